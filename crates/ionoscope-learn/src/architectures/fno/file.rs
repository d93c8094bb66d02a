//! The file of an operator: one `.safetensors` with single-precision tensors, and the rest as JSON in the header's metadata.

use std::{collections::HashMap, path::Path};

use ionoscope_dynamics::spec::Spec;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::{bands::Bands, config::FnoConfig, scaling::Scaling, seen::Seen, surrogate::Fno};
use crate::{Error, Result, files};

const KEY: &str = "ionoscope";
const FORMAT: &str = "fno/1";

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    spec: Spec,
    config: FnoConfig,
    t_end: f64,
    points: usize,
    scaling: Scaling,
    seen: Seen,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bands: Option<Bands>,
    provenance: serde_json::Value,
}

impl Fno {
    /// Writes the surrogate through a temporary name.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = self.to_bytes()?;
        files::write_atomic(path, |w| w.write_all(&bytes))
    }

    /// The content of the file: single-precision tensors `lifting.1.weight` `[to, from]`, `lifting.1.bias`, .., `layer.0.spectral` `[mode, re and im,
    /// from, to]`, `layer.0.skip.weight`, .., `projection.2.bias`.
    ///
    /// # Errors
    /// What [`from_bytes`](Self::from_bytes) would not read again, such as a number that is not finite.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let fail = |e: &dyn std::fmt::Display| {
            Error::Failed(format!("the surrogate cannot be written: {e}"))
        };
        let header = Header {
            format: FORMAT.into(),
            spec: self.spec.clone(),
            config: self.config.clone(),
            t_end: self.t_end,
            points: self.points,
            scaling: self.scaling.clone(),
            seen: self.seen.clone(),
            bands: self.bands.clone(),
            provenance: self.provenance.clone(),
        };
        let header = serde_json::to_string(&header).map_err(|e| fail(&e))?;
        let layout = self
            .config
            .layout(self.scaling.inputs(), self.spec.variables.len());
        let tensors: Vec<_> = layout
            .blocks()
            .map(|b| {
                (
                    b,
                    b.of(&self.weights)
                        .iter()
                        .flat_map(|w| w.to_le_bytes())
                        .collect::<Vec<u8>>(),
                )
            })
            .collect();
        let views = tensors
            .iter()
            .map(|(b, bytes)| {
                TensorView::new(Dtype::F32, b.shape.clone(), bytes).map(|v| (b.name.as_str(), v))
            })
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|e| fail(&e))?;
        let bytes = safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), header)])))
            .map_err(|e| fail(&e))?;
        // JSON has no word for a number that is not finite: the reader is asked, before anything stands on the disk.
        Fno::from_bytes(&bytes).map_err(|e| fail(&format!("it could not be read again: {e}")))?;
        Ok(bytes)
    }

    /// Whether a file says that it holds a Fourier neural operator.
    pub fn is_one(path: &Path) -> bool {
        let header = std::fs::read(path).ok().and_then(|bytes| {
            let (_, metadata) = SafeTensors::read_metadata(&bytes).ok()?;
            serde_json::from_str::<serde_json::Value>(metadata.metadata().as_ref()?.get(KEY)?).ok()
        });
        // Of a later version too, which is then refused by its format.
        header.is_some_and(|h| h["format"].as_str().is_some_and(|f| f.starts_with("fno/")))
    }

    /// Reads a surrogate.
    ///
    /// # Errors
    /// The file cannot be read, is not a surrogate of this kind, is damaged, or its header does not match its tensors.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        Fno::from_bytes(&bytes).map_err(|message| Error::file(path, message))
    }

    /// The surrogate in the content of a file, or what is wrong with it.
    ///
    /// # Errors
    /// As [`Fno::load`], as a sentence.
    pub fn from_bytes(bytes: &[u8]) -> std::result::Result<Self, String> {
        let damaged = |e: safetensors::SafeTensorError| {
            format!(
                "not a readable .safetensors file, or truncated ({e}); expected a surrogate written by ionoscope"
            )
        };
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let text = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
        let text = text.ok_or_else(|| {
            format!("its header has no '{KEY}' entry; expected a surrogate written by ionoscope")
        })?;
        let header: Header = serde_json::from_str(text)
            .map_err(|e| format!("its header does not describe a Fourier neural operator: {e}"))?;
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
        header
            .config
            .check()
            .map_err(|e| format!("its header: {e}"))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let layout = header
            .config
            .layout(header.scaling.inputs(), header.spec.variables.len());
        let mut weights = Vec::with_capacity(layout.count.min(bytes.len()));
        for b in layout.blocks() {
            let t = tensors.tensor(&b.name).map_err(|_| {
                format!(
                    "tensor '{}' is missing; the header does not match the tensors",
                    b.name
                )
            })?;
            if t.dtype() != Dtype::F32 || t.shape() != b.shape {
                return Err(format!(
                    "tensor '{}' is {:?} {:?}; the header asks for F32 {:?}",
                    b.name,
                    t.dtype(),
                    t.shape(),
                    b.shape
                ));
            }
            weights.extend(
                t.data()
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|b| f32::from_le_bytes(*b)),
            );
        }
        let Header {
            spec,
            config,
            t_end,
            points,
            scaling,
            seen,
            bands,
            provenance,
            ..
        } = header;
        let fno = Fno {
            spec,
            config,
            t_end,
            points,
            scaling,
            seen,
            bands,
            weights,
            provenance,
        };
        fno.check().map_err(|e| e.to_string())?;
        Ok(fno)
    }
}
