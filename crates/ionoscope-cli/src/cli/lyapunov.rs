//! `ionoscope lyapunov`.

use super::{arguments::SystemArguments, delivery::Delivery, shared::Shared};
use ionoscope::{
    Result,
    questions::{Lyapunov, Question},
};

/// Finds the Lyapunov exponents of a trajectory, with errors
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  ionoscope lyapunov lorenz-1963 --plot lorenz.svg
  ionoscope lyapunov sherman-1988 --param v_s=-36 --accuracy 0.01
  ionoscope lyapunov pretrained/sherman-1988-dt0.005.safetensors --param v_s=-36 --accuracy 0.01")]
pub struct Arguments {
    #[command(flatten)]
    system: SystemArguments,
    #[command(flatten)]
    question: Lyapunov,
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
