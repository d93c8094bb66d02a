//! `ionoscope coupled`.

use super::{arguments::SystemArguments, delivery::Delivery, shared::Shared};
use ionoscope::{
    Result,
    questions::{Coupled, Question},
};

/// Couples many cells through their membrane potentials and runs them
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  ionoscope coupled sherman-1988 --param v_s=-36 --graph ring:20 --coupling 0.1 --t-end 30 --plot ring.svg
  ionoscope coupled pretrained/sherman-1988-dt0.005.safetensors --graph lattice:100x100 --coupling 0.05 --t-end 5
  ionoscope coupled hodgkin-huxley-1952 --graph edges.csv --coupling 0.2 --t-end 100 -o potentials.csv")]
pub struct Arguments {
    #[command(flatten)]
    system: SystemArguments,
    #[command(flatten)]
    question: Coupled,
    #[command(flatten)]
    delivery: Delivery,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        self.delivery.check()?;
        let subject = self.system.open(shared)?;
        let question = Coupled {
            potentials: self.delivery.wants_files(),
            ..self.question.clone()
        };
        let answer = question.ask(&subject, &shared.watch)?;
        self.delivery
            .deliver(&answer, &subject.description(), shared)
    }
}
