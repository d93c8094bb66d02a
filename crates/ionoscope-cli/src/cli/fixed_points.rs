//! `ionoscope fixed-points`.

use super::{arguments::SystemArguments, delivery::Delivery, shared::Shared};
use ionoscope::{
    Result,
    questions::{FixedPoints, Question},
};

/// Searches a box for fixed points, and gives their eigenvalues and stability
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  ionoscope fixed-points sherman-1988 --param v_s=-36
  ionoscope fixed-points hodgkin-huxley-1952 --i-stim 8 -o points.csv --plot plane.svg
  ionoscope fixed-points ten-tusscher-panfilov-2006 --x0 k_i=130
  ionoscope fixed-points pretrained/sherman-1988-dt0.005.safetensors --json")]
pub struct Arguments {
    #[command(flatten)]
    system: SystemArguments,
    #[command(flatten)]
    question: FixedPoints,
    #[command(flatten)]
    delivery: Delivery,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        self.delivery.check()?;
        let subject = self.system.open(shared)?;
        let answer = self.question.ask(&subject, &shared.watch)?;
        self.delivery
            .deliver(&answer, &subject.description(), shared)
    }
}
