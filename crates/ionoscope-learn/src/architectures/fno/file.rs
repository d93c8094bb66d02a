//! The file of an operator: one `.safetensors` with single-precision tensors, and the rest as JSON in the header's metadata.

use std::path::Path;

use ionoscope_dynamics::spec::Spec;
use serde::{Deserialize, Serialize};

use super::{bands::Bands, config::FnoConfig, scaling::Scaling, seen::Seen, surrogate::Fno};
use crate::{
    Error, Result, files,
    tensors::{self, Tensor, Tensors},
};

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
        let parts: Vec<Tensor> = layout
            .blocks()
            .map(|b| Tensor::f32(b.name.as_str(), &b.shape, b.of(&self.weights)))
            .collect();
        let bytes = tensors::to_bytes(header, &parts).map_err(|e| fail(&e))?;
        // JSON has no word for a number that is not finite: the reader is asked, before anything stands on the disk.
        Fno::from_bytes(&bytes).map_err(|e| fail(&format!("it could not be read again: {e}")))?;
        Ok(bytes)
    }

    /// Whether a file says that it holds a Fourier neural operator.
    pub fn is_one(path: &Path) -> bool {
        let header = std::fs::read(path).ok().and_then(|bytes| {
            let text = tensors::document(&bytes).ok()?;
            serde_json::from_str::<serde_json::Value>(&text).ok()
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
        let text = tensors::document(bytes).map_err(|e| e.of("surrogate"))?;
        let header: Header = serde_json::from_str(&text)
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
        let tensors = Tensors::read(bytes).map_err(|e| e.of("surrogate"))?;
        let layout = header
            .config
            .layout(header.scaling.inputs(), header.spec.variables.len());
        let mut weights = Vec::with_capacity(layout.count.min(bytes.len()));
        for b in layout.blocks() {
            weights.extend(tensors.f32(&b.name, &b.shape)?);
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
