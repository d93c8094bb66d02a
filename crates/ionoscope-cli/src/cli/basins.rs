//! `ionoscope basins`.

use super::{arguments::SystemArguments, delivery::Delivery, shared::Shared};
use ionoscope::{
    Error, Result,
    questions::{Basins, Question},
};

/// Finds the attractors that random or gridded starts reach, and the share of each
#[derive(clap::Args, Debug)]
#[command(
    after_help = "The table has every start with the number of its attractor; with --over, the share of every attractor. The figure
shows the plane of a grid over two variables, or the shares over the parameter.

Examples:
  ionoscope basins stankevich-2017 --param v_s=-36 --starts 10000 --box v=-70:-10,n=0:0.12,s=0.17:0.2
  ionoscope basins stankevich-2017 --over v_s=-36.75:-35:8 --starts 2000 --box v=-70:-10,n=0:0.12,s=0.17:0.2 --plot shares.svg
  ionoscope basins stankevich-2017 --param v_s=-36 --grid v:120,s:120 --box v=-70:-10,s=0.17:0.2 --x0 n=0.002 --plot plane.svg"
)]
pub struct Arguments {
    #[command(flatten)]
    system: SystemArguments,
    #[command(flatten)]
    question: Basins,
    #[command(flatten)]
    delivery: Delivery,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        self.delivery.check()?;
        if self.delivery.draws() && !self.question.draws() {
            return Err(Error::Input(
                "--plot draws the plane of a --grid over two variables, or shares --over a parameter; add one of them".into(),
            ));
        }
        let subject = self.system.open(shared)?;
        let answer = self.question.ask(&subject, &shared.watch)?;
        self.delivery
            .deliver(&answer, &subject.description(), shared)
    }
}
