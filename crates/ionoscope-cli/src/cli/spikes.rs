//! `ionoscope spikes`.

use super::{arguments::SystemArguments, delivery::Delivery, shared::Shared};
use ionoscope::{
    Result,
    questions::{Question, Spikes},
};

/// Counts spikes and bursts and measures action potentials, after a transient and over enough of them
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  ionoscope spikes sherman-1988 --param v_s=-36
  ionoscope spikes hodgkin-huxley-1952 --i-stim 10 --plot spikes.svg
  ionoscope spikes luo-rudy-1991 --stimulus 80:10:0.5 --t-end 500 -o potentials.csv
  ionoscope spikes pretrained/sherman-1988-dt0.005.safetensors --json")]
pub struct Arguments {
    #[command(flatten)]
    system: SystemArguments,
    #[command(flatten)]
    question: Spikes,
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
