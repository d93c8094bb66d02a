//! Trains the networks, stage by stage, each in a folder of its own.

use std::time::Duration;

use ionoscope_dynamics::{Error as DynamicsError, models, watch::Watcher};
use ionoscope_learn::{
    architectures::fno::Fno,
    responses::{ResponseData, respond},
    train::{Ending, Existing, Record, Run, operator::train_operator},
};

use super::{
    OURS, Options,
    cells::{PaperCell, Stage},
};
use crate::{Error, Result, artifact, config::OperatorConfiguration};

/// A trained network.
pub(crate) struct TrainedNetwork {
    /// Short name.
    pub name: String,
    /// How it was made.
    pub about: String,
    pub fno: Fno,
    /// Samples seen, and training and validation error (NaN where not measured) after each epoch.
    pub curve: Vec<[f64; 3]>,
    /// Seconds of training; none of a network that was found.
    pub seconds: Option<f64>,
}

/// Makes networks.
pub(crate) struct NetworkTrainer<'a> {
    pub options: &'a Options,
    pub watch: &'a Watcher,
}

impl NetworkTrainer<'_> {
    /// The paper's network of fixed size, ours, and, where it is asked for, the paper's without a limit; and the data of the first.
    pub fn train(&self, cell: &PaperCell) -> Result<(Vec<TrainedNetwork>, ResponseData)> {
        let Options {
            quick, free, seed, ..
        } = *self.options;
        let (paper, data) =
            self.recipe(cell, "paper", &cell.paper_stages(&cell.paper, quick, seed))?;
        let (ours, _) = self.recipe(cell, OURS, &cell.our_stages(quick, seed)?)?;
        let mut made = vec![paper, ours];
        if free {
            made.push(
                self.recipe(cell, "free", &cell.paper_stages(&cell.free.0, quick, seed))?
                    .0,
            );
        }
        Ok((made, data))
    }

    fn recipe(
        &self,
        cell: &PaperCell,
        name: &str,
        stages: &[Stage],
    ) -> Result<(TrainedNetwork, ResponseData)> {
        let (mut curve, mut seconds, mut seen) = (Vec::new(), 0.0, 0.0);
        let mut last: Option<(Fno, ResponseData)> = None;
        for (k, stage) in stages.iter().enumerate() {
            let label = format!("{}-{name}-{}", cell.name, k + 1);
            let dir = self.options.dir.join("networks").join(&label);
            let samples = stage.responses.samples[0];
            self.watch.tell(&format!(
                "{label}: {samples} responses at {} times",
                stage.responses.points
            ));
            let system = models::find(cell.model)?;
            let data = respond(&*system, &stage.responses, &self.watch.silent())?;
            artifact::check_folder(&dir)?;
            std::fs::create_dir_all(&dir).map_err(|e| Error::write(&dir, e))?;
            let configuration = OperatorConfiguration {
                responses: stage.responses.clone(),
                operator: stage.operator.clone(),
            };
            let text = toml::to_string(&configuration)
                .map_err(|e| Error::Failed(format!("the configuration cannot be written: {e}")))?;
            let epochs = stage.operator.adam.epochs;
            let every = epochs.div_ceil(10);
            let mut progress = |record: &Record| {
                let Record::Adam(r) = record else { return };
                if r.epoch.is_multiple_of(every) || r.epoch == 1 {
                    let mean = |v: &[f64]| 100.0 * v.iter().sum::<f64>() / v.len() as f64;
                    let validation = r
                        .validation
                        .as_ref()
                        .map_or(String::new(), |v| format!(", validation {:.2} %", mean(v)));
                    self.watch.tell(&format!(
                        "{label}: epoch {} of {epochs}, training {:.2} %{validation}, {:.0} s left",
                        r.epoch,
                        mean(&r.training),
                        r.seconds_left
                    ));
                }
            };
            let mut run = Run {
                directory: Some(&dir),
                existing: if self.options.resume {
                    Existing::Resume
                } else {
                    Existing::Refuse
                },
                from: last.as_ref().map(|(fno, _)| fno),
                time_limit: None,
                checkpoint_every: Duration::from_secs(60),
                watch: self.watch.clone(),
                device: self.options.device,
                before: None,
                progress: Some(&mut progress),
            };
            let trained = train_operator(&data, &stage.operator, &mut run)?;
            artifact::write_atomic(&dir.join("config.toml"), |w| w.write_all(text.as_bytes()))?;
            if trained.ending == Ending::Interrupted {
                return Err(DynamicsError::Interrupted.into());
            }
            trained.fno.save(&dir.join("surrogate.safetensors"))?;
            for record in &trained.history {
                let Record::Adam(r) = record else { continue };
                let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
                seen += samples as f64;
                curve.push([
                    seen,
                    mean(&r.training),
                    r.validation.as_deref().map_or(f64::NAN, mean),
                ]);
            }
            seconds += trained.seconds;
            last = Some((trained.fno, data));
        }
        let (fno, data) = last.ok_or_else(|| Error::Failed("a recipe without stages".into()))?;
        let about = stages
            .iter()
            .map(|s| {
                format!(
                    "{} epochs of {} samples at {} times",
                    s.operator.adam.epochs, s.responses.samples[0], s.responses.points
                )
            })
            .collect::<Vec<_>>()
            .join(", then ");
        Ok((
            TrainedNetwork {
                name: name.into(),
                about,
                fno,
                curve,
                seconds: Some(seconds),
            },
            data,
        ))
    }
}
