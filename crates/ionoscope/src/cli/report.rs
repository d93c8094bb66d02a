//! `ionoscope report`: draws a report again from its answers.

use std::path::PathBuf;

use super::{Shared, print};
use crate::{Result, report::store};

/// Draws the report of a folder again from its saved answers; computes nothing
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Folder that holds report.json
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, _shared: &Shared) -> Result<()> {
        store::draw(&self.dir)?;
        print(|w| writeln!(w, "{}", self.dir.join("report.html").display()))
    }
}
