//! `ionoscope diagram`.

use super::{arguments::SystemArguments, delivery::Delivery, shared::Shared};
use ionoscope::{
    Result,
    questions::{Diagram, Question},
};

/// Draws what a system does over a parameter, by simulation
#[derive(clap::Args, Debug)]
#[command(
    after_help = "The table has of a raster a line for every value, of an orbit diagram a line for every point.

Examples:
  ionoscope diagram sherman-1988 --kind raster --over v_s=-40:-30:400 --plot raster.svg
  ionoscope diagram stankevich-2017 --kind raster --over v_s=-40:-30:400 --inherit outwards:-36 --start fixed-point --plot beside.svg
  ionoscope diagram sherman-1988 --kind orbit --of isi --both --over v_s=-35:-32:301 --plot orbit.svg -o orbit.csv"
)]
pub struct Arguments {
    #[command(flatten)]
    system: SystemArguments,
    #[command(flatten)]
    question: Diagram,
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
