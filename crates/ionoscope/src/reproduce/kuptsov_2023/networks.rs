//! The networks of the paper: which there are, and the stages that make each: its data, its training. A stage whose file is there with
//! the same configuration is not repeated.

use std::{path::Path, time::Instant};

use ionoscope_dynamics::{Error as DynamicsError, watch::Watcher};
use ionoscope_learn::{
    architectures::neural_map::NeuralMap,
    dataset::{Dataset, DatasetConfig, Redrawn},
    train::{Ending, Existing, Record, Run, StepErrors, TrainConfig, Trained, train},
};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    artifact::{read_text, write_json},
    pipeline,
};

/// Epochs of a training by Adam alone, as in the paper.
pub const ADAM_EPOCHS: u64 = 2000;

/// One network to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// How its data are made.
    pub dataset: DatasetConfig,
    /// How it is trained.
    pub train: TrainConfig,
    /// Seed of the data and of the initial weights.
    pub seed: u64,
}

impl Recipe {
    /// `sherman-1988-dt0.005`: the name under which it is shipped.
    pub fn name(&self) -> String {
        format!("{}-dt{}", self.dataset.model, self.dataset.dt)
    }

    /// The name of its files, which also holds its seed.
    pub fn file_stem(&self) -> String {
        format!("{}-seed{}", self.name(), self.seed)
    }
}

/// Errors and cost of a training.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Mean over pairs and variables of the squared error of u(t + dt), in units of the state's standard deviation.
    pub validation_mse: f64,
    /// The same, of each variable.
    pub validation_mse_by_variable: Vec<f64>,
    /// Mean squared error of each variable in units of its increment's standard deviation, on the validation pairs.
    pub increment_mse_by_variable: Vec<f64>,
    /// Validation MSE on pairs of chunks of which nothing was in the training data.
    pub new_chunks_mse: f64,
    /// Increment MSE on these pairs.
    pub new_chunks_increment_mse_by_variable: Vec<f64>,
    /// Training pairs.
    pub pairs: usize,
    /// Trajectories that were drawn again.
    pub redrawn: Redrawn,
    /// Seconds for the data and for the training.
    pub seconds_data: f64,
    /// See [`Metrics::seconds_data`].
    pub seconds: f64,
    /// Pairs that went forward and backward through a sub-network, a second.
    pub samples_per_second: f64,
    /// Increment MSE on the training pairs after each step, by variable.
    pub history: Vec<Vec<f64>>,
}

/// Where the stages work.
pub struct NetworkTrainer<'a> {
    /// Folder of the run.
    pub dir: &'a Path,
    /// Whether files of an earlier run with the same configuration are used.
    pub resume: bool,
    /// Told how far it is, and may stop it, with what it needs to go on.
    pub watch: Watcher,
}

/// A network with what it was trained on.
pub struct TrainedNetwork {
    /// The map.
    pub map: NeuralMap,
    /// Its data.
    pub data: Dataset,
    /// Errors and cost.
    pub metrics: Metrics,
}

#[derive(Serialize, Deserialize)]
struct Finished {
    recipe: Recipe,
    metrics: Metrics,
}

impl NetworkTrainer<'_> {
    /// Makes a network, or finds it made.
    ///
    /// # Errors
    /// A configuration that does not fit, data or training that fail, files that cannot be written.
    pub fn make(&self, recipe: &Recipe) -> Result<TrainedNetwork> {
        let stem = recipe.file_stem();
        let (data, seconds_data) = self.data(recipe, &stem)?;
        let (map, metrics) = self.network(recipe, &data, &stem, seconds_data)?;
        Ok(TrainedNetwork { map, data, metrics })
    }

    /// Errors and cost of the same network trained by Adam alone on the same data.
    ///
    /// # Errors
    /// As [`NetworkTrainer::make`].
    pub fn adam_alone(&self, recipe: &Recipe, data: &Dataset) -> Result<Metrics> {
        let mut recipe = recipe.clone();
        recipe.train.adam.epochs = ADAM_EPOCHS;
        recipe.train.second_order.iterations = 0;
        let stem = format!("{}-adam", recipe.file_stem());
        self.network(&recipe, data, &stem, 0.0)
            .map(|(_, metrics)| metrics)
    }

    fn network(
        &self,
        recipe: &Recipe,
        data: &Dataset,
        stem: &str,
        seconds_data: f64,
    ) -> Result<(NeuralMap, Metrics)> {
        let (map_path, record_path) = (
            self.dir.join(format!("networks/{stem}.safetensors")),
            self.dir.join(format!("networks/{stem}.json")),
        );
        if self.resume
            && let Some(Finished { metrics, .. }) =
                read_record(&record_path).filter(|r| r.recipe == *recipe)
            && let Ok(map) = NeuralMap::load(&map_path)
        {
            self.watch.tell(&format!("{stem}: found trained"));
            return Ok((map, metrics));
        }
        let (map, metrics) = self.train(recipe, data, stem)?;
        let metrics = Metrics {
            seconds_data,
            ..metrics
        };
        map.save(&map_path)?;
        write_json(
            &record_path,
            &Finished {
                recipe: recipe.clone(),
                metrics: metrics.clone(),
            },
        )?;
        Ok((map, metrics))
    }

    fn data(&self, recipe: &Recipe, stem: &str) -> Result<(Dataset, f64)> {
        let path = self.dir.join(format!("data/{stem}.safetensors"));
        let start = Instant::now();
        if self.resume
            && let Ok(data) = Dataset::load(&path)
            && data.config == recipe.dataset
        {
            self.watch.tell(&format!("{stem}: found its data"));
            return Ok((data, start.elapsed().as_secs_f64()));
        }
        self.watch.tell(&format!(
            "{stem}: data from {} trajectories",
            recipe.dataset.chunks + recipe.dataset.new_chunks
        ));
        let data = pipeline::sample(&recipe.dataset, &self.watch)?;
        let seconds = start.elapsed().as_secs_f64();
        data.save(&path)?;
        Ok((data, seconds))
    }

    fn train(&self, recipe: &Recipe, data: &Dataset, stem: &str) -> Result<(NeuralMap, Metrics)> {
        let directory = self.dir.join("networks").join(stem);
        let mut progress = |record: &Record| {
            if let Some(line) = pipeline::progress_line(record, &recipe.train) {
                self.watch.tell(&format!("{stem}: {line}"));
            }
        };
        let mut run = Run {
            directory: Some(&directory),
            existing: if self.resume {
                Existing::Resume
            } else {
                Existing::Replace
            },
            watch: self.watch.clone(),
            progress: Some(&mut progress),
            ..Run::default()
        };
        let trained = train(data, &recipe.train, &mut run)?;
        if trained.ending != Ending::Completed {
            return Err(DynamicsError::Interrupted.into());
        }
        let metrics = metrics(&trained, data, &recipe.train)?;
        Ok((trained.map, metrics))
    }
}

fn metrics(trained: &Trained, data: &Dataset, config: &TrainConfig) -> Result<Metrics> {
    let present = |errors: &Option<StepErrors>| {
        errors
            .clone()
            .ok_or_else(|| Error::Failed("a dataset without validation pairs".into()))
    };
    let (validation, new_chunks) = (present(&trained.validation)?, present(&trained.new_chunks)?);
    let variables = &data.spec.variables;
    let mut history = vec![Vec::new(); variables.len()];
    // The second stage sees a bounded number of pairs.
    let (all, some) = (
        data.training.len(),
        data.training.len().min(config.second_order.pairs),
    );
    let mut passes = 0;
    for record in &trained.history {
        match record {
            Record::Adam(r) => {
                passes += all * variables.len();
                history
                    .iter_mut()
                    .zip(&r.training)
                    .for_each(|(h, e)| h.push(*e));
            }
            Record::SecondOrder(r) => {
                passes += some;
                history
                    .iter_mut()
                    .zip(variables)
                    .filter(|(_, v)| v.name == r.variable)
                    .for_each(|(h, _)| h.push(r.training));
            }
            Record::Start(_) | Record::Warning(_) => {}
        }
    }
    Ok(Metrics {
        validation_mse: validation.mse,
        validation_mse_by_variable: validation.mse_by_variable,
        increment_mse_by_variable: validation.increment_mse,
        new_chunks_mse: new_chunks.mse,
        new_chunks_increment_mse_by_variable: new_chunks.increment_mse,
        pairs: data.training.len(),
        redrawn: data.redrawn,
        seconds_data: 0.0,
        seconds: trained.seconds,
        samples_per_second: passes as f64 / trained.seconds,
        history,
    })
}

fn read_record(path: &Path) -> Option<Finished> {
    let text = read_text(path).map_err(|e: Error| e.to_string()).ok()?;
    serde_json::from_str(&text).ok()
}
