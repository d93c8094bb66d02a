//! The file of a dataset of responses: one `.safetensors` with single-precision tensors, and the rest as JSON in the header's metadata.

use std::path::Path;

use ionoscope_dynamics::spec::Spec;
use serde::{Deserialize, Serialize};

use super::{
    config::ResponseConfig,
    set::{ResponseData, Responses},
};
use crate::{
    Error, Result, files,
    tensors::{self, Tensor, Tensors},
};

const FORMAT: &str = "responses/1";

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    config: ResponseConfig,
    spec: Spec,
    classes: [Vec<String>; 2],
}

impl ResponseData {
    /// Writes the dataset through a temporary name. Tensors of each set (`training`, `validation`, `test`): `set.input` `[sample, point]`, `set.x`
    /// `[sample, variable, point]`, single precision, `set.class` `[sample]`, 32-bit whole numbers, and where parameters vary `set.p`
    /// `[sample, parameter]`, double precision.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = self.to_bytes()?;
        files::write_atomic(path, |w| w.write_all(&bytes))
    }

    /// The content of the file.
    ///
    /// # Errors
    /// A number that is not finite, which no reader takes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let fail = |e: &dyn std::fmt::Display| {
            Error::Failed(format!("the dataset cannot be written: {e}"))
        };
        let sets = [
            ("training", &self.training),
            ("validation", &self.validation),
            ("test", &self.test),
        ];
        sets.iter()
            .try_for_each(|(name, set)| finite(name, set))
            .map_err(|e| fail(&e))?;
        let header = Header {
            format: FORMAT.into(),
            config: self.config.clone(),
            spec: self.spec.clone(),
            classes: self.classes.clone(),
        };
        let header = serde_json::to_string(&header).map_err(|e| fail(&e))?;
        let mut parts = Vec::new();
        for (name, set) in sets {
            let (n, points) = (set.len(), set.points);
            let of = |part: &str| format!("{name}.{part}");
            parts.push(Tensor::f32(of("input"), &[n, points], &set.input));
            parts.push(Tensor::f32(of("x"), &[n, set.variables, points], &set.x));
            parts.push(Tensor::u32(of("class"), &[n], &set.class));
            if !self.config.vary.is_empty() {
                parts.push(Tensor::f64(of("p"), &[n, set.parameters], &set.p));
            }
        }
        tensors::to_bytes(header, &parts).map_err(|e| fail(&e))
    }

    /// Reads a dataset.
    ///
    /// # Errors
    /// The file cannot be read, is not a dataset of responses, is damaged, or its header does not match its tensors.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        ResponseData::from_bytes(&bytes).map_err(|message| Error::file(path, message))
    }

    /// The dataset in the content of a file, or what is wrong with it.
    ///
    /// # Errors
    /// As [`ResponseData::load`], as a sentence.
    pub fn from_bytes(bytes: &[u8]) -> std::result::Result<Self, String> {
        let text = tensors::document(bytes).map_err(|e| e.of("dataset"))?;
        let header: Header = serde_json::from_str(&text)
            .map_err(|e| format!("its header does not describe a dataset of responses: {e}"))?;
        if header.format != FORMAT {
            return Err(format!(
                "its format is '{}'; this version reads '{FORMAT}'",
                header.format
            ));
        }
        header
            .spec
            .check()
            .map_err(|e| format!("its header: {e}"))?;
        let tensors = Tensors::read(bytes).map_err(|e| e.of("dataset"))?;
        let (points, variables) = (header.config.points, header.spec.variables.len());
        let set = |name: &str, classes: &[String]| -> std::result::Result<Responses, String> {
            let of = |part: &str| format!("{name}.{part}");
            let n = tensors.length(&of("class")).ok_or_else(|| {
                format!("tensor '{name}.class' is missing; the header does not match the tensors")
            })?;
            let input = tensors.f32(&of("input"), &[n, points])?;
            let x = tensors.f32(&of("x"), &[n, variables, points])?;
            let class = tensors.u32(&of("class"), &[n])?;
            if let Some(c) = class.iter().find(|c| **c as usize >= classes.len()) {
                return Err(format!(
                    "a sample of set '{name}' is of class {c}; its family has {}",
                    classes.len()
                ));
            }
            let parameters = header.spec.parameters.len();
            let p: Vec<f64> = if header.config.vary.is_empty() {
                header.spec.default_parameters().repeat(n)
            } else {
                tensors.f64(&of("p"), &[n, parameters])?
            };
            let set = Responses {
                points,
                variables,
                input,
                x,
                class,
                parameters,
                p,
            };
            finite(name, &set)?;
            Ok(set)
        };
        let (training, validation) = (
            set("training", &header.classes[0])?,
            set("validation", &header.classes[0])?,
        );
        let test = set("test", &header.classes[1])?;
        Ok(ResponseData {
            config: header.config,
            spec: header.spec,
            classes: header.classes,
            training,
            validation,
            test,
        })
    }
}

/// What is written is what is read: finite numbers, in single precision but for parameters.
fn finite(name: &str, set: &Responses) -> std::result::Result<(), String> {
    let single = set.input.iter().chain(&set.x).map(|v| f64::from(*v));
    match single.chain(set.p.iter().copied()).find(|v| !v.is_finite()) {
        Some(bad) => Err(format!(
            "the set '{name}' holds {bad}; expected numbers that are finite in single precision"
        )),
        None => Ok(()),
    }
}
