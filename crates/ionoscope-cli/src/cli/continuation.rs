//! `ionoscope continue`.

use super::{arguments::SystemArguments, delivery::Delivery, shared::Shared};
use ionoscope::{
    Result,
    questions::{Continuation, Question},
};

/// Follows fixed points, and periodic orbits, over a parameter and finds their bifurcations
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  ionoscope continue stankevich-2017 --over v_s=-40:-30
  ionoscope continue hodgkin-huxley-1952 --over i_stim=0:200 --plot diagram.svg
  ionoscope continue stankevich-2017 --over v_s=-40:-30 --cycles --plot cycles.svg
  ionoscope continue stankevich-2017 --over v_s=-40:-30 --cycles --at -36 --json
  ionoscope continue stankevich-2017 --over v_s=-40:-30 --and g_k2=0:0.3 --plot curves.svg
  ionoscope continue pretrained/stankevich-2017-dt0.005.safetensors --over v_s=-40:-30 -o branches.csv --json")]
pub struct Arguments {
    #[command(flatten)]
    system: SystemArguments,
    #[command(flatten)]
    question: Continuation,
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
