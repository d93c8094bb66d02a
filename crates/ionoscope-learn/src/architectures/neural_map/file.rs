//! The file of a neural map: one `.safetensors` with double-precision tensors, and the rest as JSON in the header's metadata.

use std::{collections::HashMap, path::Path};

use ionoscope_dynamics::spec::Spec;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::{NeuralMap, SubNetwork};
use crate::{Error, Result, files, normalizer::Normalizer};

/// Key of the metadata entry that holds the header document.
const KEY: &str = "ionoscope";
/// Architecture and version of the layout.
const FORMAT: &str = "neural_map/1";

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    dt: f64,
    spec: Spec,
    normalizer: Normalizer,
    provenance: serde_json::Value,
}

impl NeuralMap {
    /// Writes the map to a file, through a temporary name.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = self.to_bytes()?;
        files::write_atomic(path, |w| w.write_all(&bytes))
    }

    /// The content of the map's file. Tensors of variable `v`: `v.a`, `v.alpha`, `v.b`, `v.beta` `[N_h]`, `v.A` `[D_u, N_h]`, `v.B` `[D_p, N_h]`,
    /// `v.gamma` `[1]`, all double precision.
    ///
    /// # Errors
    /// A header that cannot be expressed as JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let header = Header {
            format: FORMAT.into(),
            dt: self.dt,
            spec: self.spec.clone(),
            normalizer: self.normalizer.clone(),
            provenance: self.provenance.clone(),
        };
        let fail = |e: &dyn std::fmt::Display| Error::Failed(format!("the surrogate cannot be written: {e}"));
        let header = serde_json::to_string(&header).map_err(|e| fail(&e))?;
        let d = self.spec.variables.len();
        let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        for (net, variable) in self.networks.iter().zip(&self.spec.variables) {
            let mut add = |part: &str, shape: Vec<usize>, values: Vec<f64>| {
                tensors.push((format!("{}.{part}", variable.name), shape, values.iter().flat_map(|w| w.to_le_bytes()).collect()));
            };
            let h = net.hidden();
            for (part, values) in [("a", &net.a), ("alpha", &net.alpha), ("b", &net.b), ("beta", &net.beta)] {
                add(part, vec![h], values.clone());
            }
            add("A", vec![d, h], net.inner[..d].concat());
            add("B", vec![net.inner.len() - d, h], net.inner[d..].concat());
            add("gamma", vec![1], vec![net.gamma]);
        }
        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| TensorView::new(Dtype::F64, shape.clone(), bytes).map(|v| (name.as_str(), v)))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|e| fail(&e))?;
        safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), header)]))).map_err(|e| fail(&e))
    }

    /// Reads a map from its file.
    ///
    /// # Errors
    /// The file cannot be read, is not a surrogate of this kind, is damaged, or its header does not match its tensors.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        NeuralMap::from_bytes(&bytes).map_err(|message| Error::file(path, message))
    }

    /// The map in the content of a file, or what is wrong with it.
    ///
    /// # Errors
    /// As [`NeuralMap::load`], as a sentence.
    pub fn from_bytes(bytes: &[u8]) -> std::result::Result<Self, String> {
        let damaged = |e: safetensors::SafeTensorError| {
            format!("not a readable .safetensors file, or truncated ({e}); expected a surrogate written by ionoscope")
        };
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let text = metadata
            .metadata()
            .as_ref()
            .and_then(|m| m.get(KEY))
            .ok_or_else(|| format!("its header has no '{KEY}' entry; expected a surrogate written by ionoscope"))?;
        let format = serde_json::from_str::<serde_json::Value>(text).ok().and_then(|v| Some(v.get("format")?.as_str()?.to_owned()));
        if format.as_deref() != Some(FORMAT) {
            return Err(format!("its format is {}; this version reads '{FORMAT}'", format.map_or("missing".into(), |f| format!("'{f}'"))));
        }
        let header: Header = serde_json::from_str(text).map_err(|e| format!("its header does not describe a neural map: {e}"))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
        header.spec.check().map_err(|e| format!("its header: {e}"))?;
        let (d, p) = (header.spec.variables.len(), header.spec.parameters.len());
        let read = |variable: &str, part: &str, shape: &[usize]| -> std::result::Result<Vec<f64>, String> {
            let name = format!("{variable}.{part}");
            let t = tensors.tensor(&name).map_err(|_| format!("tensor '{name}' is missing; the header does not match the tensors"))?;
            if t.dtype() != Dtype::F64 || t.shape() != shape {
                return Err(format!("tensor '{name}' is {:?} {:?}; the header asks for F64 {shape:?}", t.dtype(), t.shape()));
            }
            Ok(t.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect())
        };
        let mut networks = Vec::with_capacity(d);
        for (own, variable) in header.spec.variables.iter().enumerate() {
            let v = &variable.name;
            let hidden = tensors.tensor(&format!("{v}.a")).ok().and_then(|t| t.shape().first().copied());
            let h = hidden
                .filter(|h| *h > 0)
                .ok_or_else(|| format!("tensor '{v}.a' is missing or empty; the header does not match the tensors"))?;
            let mut inner: Vec<Vec<f64>> = read(v, "A", &[d, h])?.chunks_exact(h).map(<[f64]>::to_vec).collect();
            inner.extend(read(v, "B", &[p, h])?.chunks_exact(h).map(<[f64]>::to_vec));
            networks.push(SubNetwork {
                own,
                a: read(v, "a", &[h])?,
                alpha: read(v, "alpha", &[h])?,
                b: read(v, "b", &[h])?,
                beta: read(v, "beta", &[h])?,
                inner,
                gamma: read(v, "gamma", &[1])?[0],
            });
        }
        NeuralMap::new(header.spec, header.dt, header.normalizer, networks, header.provenance).map_err(|e| e.to_string())
    }
}
