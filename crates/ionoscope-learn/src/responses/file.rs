//! The file of a dataset of responses: one `.safetensors` with single-precision tensors, and the rest as JSON in the header's metadata.

use std::{collections::HashMap, path::Path};

use ionoscope_dynamics::spec::Spec;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::{
    config::ResponseConfig,
    set::{ResponseData, Responses},
};
use crate::{Error, Result, files};

const KEY: &str = "ionoscope";
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
        let mut tensors = Vec::new();
        for (name, set) in sets {
            let bytes = |v: &[f32]| v.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
            let (n, points) = (set.len(), set.points);
            tensors.push((
                format!("{name}.input"),
                Dtype::F32,
                vec![n, points],
                bytes(&set.input),
            ));
            tensors.push((
                format!("{name}.x"),
                Dtype::F32,
                vec![n, set.variables, points],
                bytes(&set.x),
            ));
            let class = set
                .class
                .iter()
                .flat_map(|c| c.to_le_bytes())
                .collect::<Vec<u8>>();
            tensors.push((format!("{name}.class"), Dtype::U32, vec![n], class));
            if !self.config.vary.is_empty() {
                let p = set
                    .p
                    .iter()
                    .flat_map(|v| v.to_le_bytes())
                    .collect::<Vec<u8>>();
                tensors.push((format!("{name}.p"), Dtype::F64, vec![n, set.parameters], p));
            }
        }
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                TensorView::new(*dtype, shape.clone(), bytes).map(|v| (name.as_str(), v))
            })
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|e| fail(&e))?;
        safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), header)])))
            .map_err(|e| fail(&e))
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
        let damaged = |e: safetensors::SafeTensorError| {
            format!(
                "not a readable .safetensors file, or truncated ({e}); expected a dataset written by ionoscope"
            )
        };
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let text = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
        let text = text.ok_or_else(|| {
            format!("its header has no '{KEY}' entry; expected a dataset written by ionoscope")
        })?;
        let header: Header = serde_json::from_str(text)
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
        let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let (points, variables) = (header.config.points, header.spec.variables.len());
        let read =
            |name: String, dtype: Dtype, shape: &[usize]| -> std::result::Result<Vec<u8>, String> {
                let t = tensors.tensor(&name).map_err(|_| {
                    format!("tensor '{name}' is missing; the header does not match the tensors")
                })?;
                if t.dtype() != dtype || t.shape() != shape {
                    return Err(format!(
                        "tensor '{name}' is {:?} {:?}; the header asks for {dtype:?} {shape:?}",
                        t.dtype(),
                        t.shape()
                    ));
                }
                Ok(t.data().to_vec())
            };
        let single = |bytes: Vec<u8>| -> Vec<f32> {
            bytes
                .as_chunks::<4>()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect()
        };
        let set = |name: &str, classes: &[String]| -> std::result::Result<Responses, String> {
            let n = tensors
                .tensor(&format!("{name}.class"))
                .ok()
                .and_then(|t| t.shape().first().copied());
            let n = n.ok_or_else(|| {
                format!("tensor '{name}.class' is missing; the header does not match the tensors")
            })?;
            let input = single(read(format!("{name}.input"), Dtype::F32, &[n, points])?);
            let x = single(read(
                format!("{name}.x"),
                Dtype::F32,
                &[n, variables, points],
            )?);
            let class: Vec<u32> = read(format!("{name}.class"), Dtype::U32, &[n])?
                .as_chunks::<4>()
                .0
                .iter()
                .map(|b| u32::from_le_bytes(*b))
                .collect();
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
                let bytes = read(format!("{name}.p"), Dtype::F64, &[n, parameters])?;
                bytes
                    .as_chunks::<8>()
                    .0
                    .iter()
                    .map(|b| f64::from_le_bytes(*b))
                    .collect()
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
