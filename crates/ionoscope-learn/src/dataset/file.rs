//! The file of a dataset: one `.safetensors` with double-precision tensors, and the rest as JSON in the header's metadata.

use std::path::Path;

use ionoscope_dynamics::spec::Spec;
use serde::{Deserialize, Serialize};

use super::{
    config::DatasetConfig,
    set::{Dataset, Redrawn},
};
use crate::{
    Error, Result, files,
    normalizer::Normalizer,
    pairs::Pairs,
    tensors::{self, Tensor, Tensors},
};

const FORMAT: &str = "dataset/1";

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    config: DatasetConfig,
    spec: Spec,
    normalizer: Normalizer,
    redrawn: Redrawn,
}

impl Dataset {
    /// Writes the dataset through a temporary name. Tensors of each set (`training`, `validation`, `new_chunks`): `set.p` `[pair, D_p]`, `set.u`
    /// and `set.next` `[pair, D_u]`, `set.distance` `[pair]`, double precision, physical units.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = self.to_bytes()?;
        files::write_atomic(path, |w| w.write_all(&bytes))
    }

    /// The content of the dataset's file.
    ///
    /// # Errors
    /// A number that is not finite, or no pair to train on, which no reader takes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let fail = |e: &dyn std::fmt::Display| {
            Error::Failed(format!("the dataset cannot be written: {e}"))
        };
        let sets = [
            ("training", &self.training),
            ("validation", &self.validation),
            ("new_chunks", &self.new_chunks),
        ];
        sets.iter()
            .try_for_each(|(name, set)| finite(name, set))
            .map_err(|e| fail(&e))?;
        if self.training.is_empty() {
            return Err(fail(&"it has no training pairs"));
        }
        self.normalizer.check().map_err(|e| fail(&e))?;
        let header = Header {
            format: FORMAT.into(),
            config: self.config.clone(),
            spec: self.spec.clone(),
            normalizer: self.normalizer.clone(),
            redrawn: self.redrawn,
        };
        let header = serde_json::to_string(&header).map_err(|e| fail(&e))?;
        let mut parts = Vec::new();
        for (set, pairs) in sets {
            let (n, d, p) = (pairs.len(), pairs.dimension, pairs.parameters);
            parts.push(Tensor::f64(format!("{set}.p"), &[n, p], &pairs.p));
            parts.push(Tensor::f64(format!("{set}.u"), &[n, d], &pairs.u));
            parts.push(Tensor::f64(format!("{set}.next"), &[n, d], &pairs.next));
            parts.push(Tensor::f64(
                format!("{set}.distance"),
                &[n],
                &pairs.distance,
            ));
        }
        tensors::to_bytes(header, &parts).map_err(|e| fail(&e))
    }

    /// Reads a dataset.
    ///
    /// # Errors
    /// The file cannot be read, is not a dataset, is damaged, or its header does not match its tensors.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        Dataset::from_bytes(&bytes).map_err(|message| Error::file(path, message))
    }

    /// The dataset in the content of a file, or what is wrong with it.
    ///
    /// # Errors
    /// As [`Dataset::load`], as a sentence.
    pub fn from_bytes(bytes: &[u8]) -> std::result::Result<Self, String> {
        let text = tensors::document(bytes).map_err(|e| e.of("dataset"))?;
        let header: Header = serde_json::from_str(&text)
            .map_err(|e| format!("its header does not describe a dataset: {e}"))?;
        if header.format != FORMAT {
            return Err(format!(
                "its format is '{}'; this version reads '{FORMAT}'",
                header.format
            ));
        }
        let tensors = Tensors::read(bytes).map_err(|e| e.of("dataset"))?;
        header
            .spec
            .check()
            .map_err(|e| format!("its header: {e}"))?;
        let stimulus = usize::from(header.spec.trained_stimulus().is_some());
        let (d, p) = (
            header.spec.variables.len(),
            header.spec.parameters.len() + stimulus,
        );
        let trained = header.spec.trained_on.as_ref().map(|t| t.model.as_str());
        if trained != Some(header.config.model.as_str()) {
            return Err(format!(
                "its header speaks of '{}' and of '{}'; expected one model",
                header.config.model,
                trained.unwrap_or("none")
            ));
        }
        if !(header.config.dt.is_finite() && header.config.dt > 0.0) {
            return Err(format!(
                "its time step is {}; expected a finite number larger than 0",
                header.config.dt
            ));
        }
        let n = &header.normalizer;
        let sizes = [
            n.state_mean.len(),
            n.state_sd.len(),
            n.increment_sd.len(),
            n.parameter_mean.len(),
            n.parameter_sd.len(),
        ];
        if sizes != [d, d, d, p, p] {
            return Err(format!(
                "its normalizer has sizes {sizes:?}; its variables and parameters ask for {:?}",
                [d, d, d, p, p]
            ));
        }
        header.normalizer.check().map_err(|e| e.to_string())?;
        let read = |set: &str| -> std::result::Result<Pairs, String> {
            let n = tensors.length(&format!("{set}.distance")).unwrap_or(0);
            let part = |part: &str, shape: &[usize]| tensors.f64(&format!("{set}.{part}"), shape);
            let pairs = Pairs {
                dimension: d,
                parameters: p,
                p: part("p", &[n, p])?,
                u: part("u", &[n, d])?,
                next: part("next", &[n, d])?,
                distance: part("distance", &[n])?,
            };
            finite(set, &pairs)?;
            Ok(pairs)
        };
        let (training, validation, new_chunks) =
            (read("training")?, read("validation")?, read("new_chunks")?);
        if training.is_empty() {
            return Err("it has no training pairs; expected at least two".into());
        }
        Ok(Dataset {
            config: header.config,
            spec: header.spec,
            normalizer: header.normalizer,
            training,
            validation,
            new_chunks,
            redrawn: header.redrawn,
        })
    }
}

/// What is written is what is read: finite numbers, but for distances where there is no fixed point.
fn finite(set: &str, pairs: &Pairs) -> std::result::Result<(), String> {
    match pairs
        .p
        .iter()
        .chain(&pairs.u)
        .chain(&pairs.next)
        .find(|v| !v.is_finite())
    {
        Some(bad) => Err(format!(
            "the set '{set}' holds {bad}; expected finite numbers"
        )),
        None => Ok(()),
    }
}
