//! `ionoscope dataset`: pairs of states on the attractors of a model, or its responses to random stimuli, in one file.

use std::path::Path;

use ionoscope_learn::{
    checkpoint,
    dataset::{Dataset, Redrawn},
    responses::ResponseData,
};
use serde::Serialize;
use serde_json::json;

use super::{
    shared::{Shared, print, print_json},
    training::ConfigurationArguments,
};
use ionoscope::{
    Result,
    pipeline::{self, Data},
    shard::Shard,
};

/// Samples a dataset: pairs of states one step apart on the attractors of a model, or its responses to random stimuli
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Example:\n  ionoscope dataset examples/beta-cell.toml --set dataset.chunks=100 -o out/data"
)]
pub struct Arguments {
    #[command(flatten)]
    configuration: ConfigurationArguments,
    /// Make a share of the responses, beside others that make the rest: K/N, or `rank` for what a scheduler says; the same command without it then
    /// puts them together
    #[arg(long, value_name = "K/N|rank")]
    shard: Option<String>,
}

#[derive(Serialize)]
struct PairsAnswer<'a> {
    file: &'a Path,
    model: &'a str,
    pairs: [usize; 3],
    redrawn: Redrawn,
    hash: String,
}

#[derive(Serialize)]
struct ResponsesAnswer<'a> {
    file: &'a Path,
    model: &'a str,
    samples: [usize; 3],
    points: usize,
    variables: usize,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        let configuration = self.configuration.load()?;
        if let Some(shard) = &self.shard {
            let shard = Shard::parse(shard)?;
            pipeline::shard_in(
                &self.configuration.output,
                &configuration,
                shard,
                &shared.watch,
            )?;
            if shared.json {
                return print_json(&json!({"shard": [shard.index, shard.of]}));
            }
            shared.tell(
                "done; when all shards are, the same command without --shard puts them together",
            );
            return Ok(());
        }
        let (data, file) = self.configuration.data(&configuration, shared)?;
        // Beside a training stands the configuration that made it.
        if !checkpoint::exists(&self.configuration.output) {
            pipeline::keep(&self.configuration.output, &configuration)?;
        }
        match &data {
            Data::Pairs(data) => pairs(&file, data, shared),
            Data::Responses(data) => responses(&file, data, shared),
        }
    }
}

fn pairs(file: &Path, data: &Dataset, shared: &Shared) -> Result<()> {
    let pairs = [&data.training, &data.validation, &data.new_chunks].map(|p| p.len());
    if shared.json {
        let hash = format!("{:016x}", data.hash());
        return print_json(&PairsAnswer {
            file,
            model: &data.config.model,
            pairs,
            redrawn: data.redrawn,
            hash,
        });
    }
    let ([training, validation, new], again) =
        (pairs, data.redrawn.on_fixed_point + data.redrawn.failed);
    print(|w| {
        writeln!(
            w,
            "{}: {training} pairs to train on, {validation} for validation, {new} of new chunks; {again} chunks drawn again",
            file.display()
        )
    })
}

fn responses(file: &Path, data: &ResponseData, shared: &Shared) -> Result<()> {
    let samples = [&data.training, &data.validation, &data.test].map(|s| s.len());
    let points = data.config.points;
    if shared.json {
        return print_json(&ResponsesAnswer {
            file,
            model: &data.config.model,
            samples,
            points,
            variables: data.spec.variables.len(),
        });
    }
    let [training, validation, test] = samples;
    print(|w| {
        writeln!(
            w,
            "{}: {training} responses to train on, {validation} for validation, {test} for the test, at {points} times",
            file.display()
        )
    })
}
