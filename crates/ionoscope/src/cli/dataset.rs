//! `ionoscope dataset`: pairs of states on the attractors of a model, in one file.

use super::{
    Shared, operator, print, print_json,
    training::{ConfigurationArguments, DatasetAnswer},
};
use crate::{Result, config::AnyConfiguration};

/// Samples a dataset: pairs of states one step apart on the attractors of a model, or its responses to random stimuli
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  ionoscope dataset examples/beta-cell.toml --set dataset.chunks=100 -o out/data")]
pub struct Arguments {
    #[command(flatten)]
    configuration: ConfigurationArguments,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        let configuration = match self.configuration.load()? {
            AnyConfiguration::Operator(c) => return operator::dataset(&self.configuration.output, &c, shared),
            AnyConfiguration::Map(c) => *c,
        };
        let (data, path) = self.configuration.dataset(&configuration.dataset, shared)?;
        self.configuration.keep(&configuration)?;
        let answer = DatasetAnswer::new(&path, &data);
        if shared.json { print_json(&answer) } else { print(|w| writeln!(w, "{}", answer.line())) }
    }
}
