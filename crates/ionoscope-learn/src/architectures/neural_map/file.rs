//! The file of a neural map: one `.safetensors` with double-precision tensors, and the rest as JSON in the header's metadata.

use std::path::Path;

use ionoscope_dynamics::{models, spec::Spec};
use serde::{Deserialize, Serialize};

use super::{
    super::{
        network::{Architecture, Network},
        sub_network::SubNetwork,
        two_layer_map::TwoLayerNetwork,
    },
    NeuralMap,
};
use crate::{
    Error, Result, files,
    normalizer::Normalizer,
    tensors::{self, Tensor, Tensors},
};

/// Version of the layout, after the architecture's name and a slash.
const VERSION: &str = "1";

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

    /// The content of the map's file. Tensors of variable `v` of a neural map: `v.a`, `v.alpha`, `v.b`, `v.beta` `[N_h]`, `v.A` `[D_u, N_h]`,
    /// `v.B` `[D_p, N_h]`, `v.gamma` `[1]`; of a two-layer map: `A` `[D_u, N_h]`, `B` `[D_p, N_h]`, `beta` `[N_h]`, `C` `[D_u, N_h]` (row i:
    /// what enters variable i), `gamma` `[D_u]`. All double precision.
    ///
    /// # Errors
    /// What [`from_bytes`](Self::from_bytes) would not read again, such as a number that is not finite.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let header = Header {
            format: format!("{}/{VERSION}", self.architecture().name()),
            dt: self.dt,
            spec: self.spec.clone(),
            normalizer: self.normalizer.clone(),
            provenance: self.provenance.clone(),
        };
        let fail = |e: &dyn std::fmt::Display| {
            Error::Failed(format!("the surrogate cannot be written: {e}"))
        };
        let header = serde_json::to_string(&header).map_err(|e| fail(&e))?;
        let d = self.spec.variables.len();
        let mut parts = Vec::new();
        let mut add = |name: String, shape: Vec<usize>, values: Vec<f64>| {
            parts.push(Tensor::f64(name, &shape, &values));
        };
        for net in &self.networks {
            let h = net.hidden();
            match net {
                Network::Own(net) => {
                    let v = &self.spec.variables[net.own].name;
                    for (part, values) in [
                        ("a", &net.a),
                        ("alpha", &net.alpha),
                        ("b", &net.b),
                        ("beta", &net.beta),
                    ] {
                        add(format!("{v}.{part}"), vec![h], values.clone());
                    }
                    add(format!("{v}.A"), vec![d, h], net.inner[..d].concat());
                    add(
                        format!("{v}.B"),
                        vec![net.inner.len() - d, h],
                        net.inner[d..].concat(),
                    );
                    add(format!("{v}.gamma"), vec![1], vec![net.gamma]);
                }
                Network::Shared(net) => {
                    add("A".into(), vec![d, h], net.inner[..d].concat());
                    add(
                        "B".into(),
                        vec![net.inner.len() - d, h],
                        net.inner[d..].concat(),
                    );
                    add("beta".into(), vec![h], net.beta.clone());
                    add("C".into(), vec![d, h], net.output.concat());
                    add("gamma".into(), vec![d], net.gamma.clone());
                }
            }
        }
        let bytes = tensors::to_bytes(header, &parts).map_err(|e| fail(&e))?;
        // JSON has no word for a number that is not finite: the reader is asked, before anything stands on the disk.
        NeuralMap::from_bytes(&bytes)
            .map_err(|e| fail(&format!("it could not be read again: {e}")))?;
        Ok(bytes)
    }

    /// Reads a map from its file.
    ///
    /// # Errors
    /// The file cannot be read, is not a surrogate of this kind, is damaged, or its header does not match its tensors.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        NeuralMap::from_bytes(&bytes).map_err(|message| Error::file(path, message))
    }

    /// The map in the content of a file, or what is wrong with it.
    ///
    /// # Errors
    /// As [`NeuralMap::load`], as a sentence.
    pub fn from_bytes(bytes: &[u8]) -> std::result::Result<Self, String> {
        let text = tensors::document(bytes).map_err(|e| e.of("surrogate"))?;
        let format = serde_json::from_str::<serde_json::Value>(&text)
            .ok()
            .and_then(|v| Some(v.get("format")?.as_str()?.to_owned()));
        let known = [Architecture::NeuralMap, Architecture::TwoLayerMap]
            .map(|a| (a, format!("{}/{VERSION}", a.name())));
        let Some(architecture) = known
            .iter()
            .find(|(_, f)| format.as_ref() == Some(f))
            .map(|(a, _)| *a)
        else {
            let format = format.map_or("missing".into(), |f| format!("'{f}'"));
            return Err(format!(
                "its format is {format}; this version reads '{}' and '{}'",
                known[0].1, known[1].1
            ));
        };
        let mut header: Header = serde_json::from_str(&text)
            .map_err(|e| format!("its header does not describe a neural map: {e}"))?;
        let tensors = Tensors::read(bytes).map_err(|e| e.of("surrogate"))?;
        header
            .spec
            .check()
            .map_err(|e| format!("its header: {e}"))?;
        // Older files do not say at which potential a spike is one: as in the model.
        let model = || {
            models::find(&header.spec.trained_on.as_ref()?.model)
                .ok()?
                .spec()
                .spike_threshold
        };
        header.spec.spike_threshold = header.spec.spike_threshold.or_else(model);
        let stimulus = usize::from(header.spec.trained_stimulus().is_some());
        let (d, p) = (
            header.spec.variables.len(),
            header.spec.parameters.len() + stimulus,
        );
        let read = |name: &str, shape: &[usize]| tensors.f64(name, shape);
        // N_h is the length of a vector of hidden units.
        let hidden = |name: &str| {
            let length = tensors.length(name);
            length.filter(|h| *h > 0).ok_or_else(|| {
                format!(
                    "tensor '{name}' is missing or empty; the header does not match the tensors"
                )
            })
        };
        let rows =
            |name: &str, count: usize, h: usize| -> std::result::Result<Vec<Vec<f64>>, String> {
                Ok(read(name, &[count, h])?
                    .chunks_exact(h)
                    .map(<[f64]>::to_vec)
                    .collect())
            };
        let sub_network = |own: usize, v: &str| -> std::result::Result<Network, String> {
            let h = hidden(&format!("{v}.a"))?;
            let vector = |part: &str| read(&format!("{v}.{part}"), &[h]);
            let inner = [
                rows(&format!("{v}.A"), d, h)?,
                rows(&format!("{v}.B"), p, h)?,
            ]
            .concat();
            let (a, alpha, b, beta) = (
                vector("a")?,
                vector("alpha")?,
                vector("b")?,
                vector("beta")?,
            );
            Ok(SubNetwork {
                own,
                a,
                alpha,
                b,
                beta,
                inner,
                gamma: read(&format!("{v}.gamma"), &[1])?[0],
            }
            .into())
        };
        let networks = match architecture {
            Architecture::NeuralMap => {
                let variables = header.spec.variables.iter().enumerate();
                variables
                    .map(|(own, q)| sub_network(own, &q.name))
                    .collect::<std::result::Result<Vec<_>, _>>()?
            }
            Architecture::TwoLayerMap => {
                let h = hidden("beta")?;
                let inner = [rows("A", d, h)?, rows("B", p, h)?].concat();
                let (beta, output, gamma) =
                    (read("beta", &[h])?, rows("C", d, h)?, read("gamma", &[d])?);
                vec![
                    TwoLayerNetwork {
                        inner,
                        beta,
                        output,
                        gamma,
                    }
                    .into(),
                ]
            }
        };
        NeuralMap::new(
            header.spec,
            header.dt,
            header.normalizer,
            networks,
            header.provenance,
        )
        .map_err(|e| e.to_string())
    }
}
