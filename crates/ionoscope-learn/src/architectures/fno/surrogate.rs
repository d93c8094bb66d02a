//! A trained Fourier neural operator: stimulus in, all variables over time out.

use std::{collections::HashMap, path::Path};

use ionoscope_dynamics::{protocol::Protocol, spec::Spec};
use rayon::prelude::*;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::{
    FnoConfig,
    grid::Grid,
    pass::{Pass, Work},
};
use crate::{
    Error, Result, files,
    responses::{Responses, cell_means},
};

const KEY: &str = "ionoscope";
const FORMAT: &str = "fno/1";

/// Largest grid.
const MOST_POINTS: usize = 1 << 22;

/// What turns the network's numbers into those of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// What currents are divided by.
    pub input: f64,
    /// What outputs are multiplied by: the standard deviation of each variable over all times and training samples.
    pub state: Vec<f64>,
    /// Time constant of the start, as a fraction of T: an output is the start plus (1 - exp(-t / (ramp T))) times what the network gives, so that
    /// it is exact at t = 0.
    pub ramp: f64,
}

/// Which stimuli a network has seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Smallest and largest mean current of a cell.
    pub input: [f64; 2],
    /// Whether every stimulus was one step from t = 0.
    pub steps_from_zero: bool,
}

impl Seen {
    /// What a set of responses shows.
    pub fn of(set: &Responses) -> Self {
        let range = set.input.iter().fold([0.0f64; 2], |[l, h], v| [l.min(f64::from(*v)), h.max(f64::from(*v))]);
        Seen { input: range, steps_from_zero: (0..set.len()).all(|k| is_step_from_zero(set.input(k).iter().map(|v| f64::from(*v)))) }
    }
}

/// One value, then at most one cell between it and zero, then zero.
fn is_step_from_zero(input: impl Iterator<Item = f64>) -> bool {
    let input: Vec<f64> = input.collect();
    let level = input[0];
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * level.abs();
    let on = input.iter().take_while(|v| near(**v, level)).count();
    let rest = &input[on.min(input.len())..];
    let between = rest.first().is_none_or(|v| (v - level) * v <= 0.0);
    between && rest.iter().skip(1).all(|v| near(*v, 0.0))
}

/// A trained operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Fno {
    /// The model's names, units and ranges; defaults are the start and the parameters that the network was trained at.
    pub spec: Spec,
    /// Shape of the network.
    pub config: FnoConfig,
    /// End T.
    pub t_end: f64,
    /// Times of the grid that it was trained on.
    pub points: usize,
    /// Scales.
    pub scaling: Scaling,
    /// Stimuli of the training set.
    pub seen: Seen,
    /// All weights, in the order of the file's tensors.
    pub weights: Vec<f32>,
    /// What the file keeps of its making.
    pub provenance: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    spec: Spec,
    config: FnoConfig,
    t_end: f64,
    points: usize,
    scaling: Scaling,
    seen: Seen,
    provenance: serde_json::Value,
}

/// Input channels: time over T, and the current.
pub(crate) const INPUTS: usize = 2;

/// The input of the network for cell means of the current.
pub(crate) fn channels(input: impl Iterator<Item = f64>, points: usize, scale: f64) -> Vec<f32> {
    let time = (0..points).map(|i| i as f32 / points as f32);
    time.chain(input.map(|v| (v / scale) as f32)).collect()
}

/// 1 - exp(-t / (ramp T)) at the times of a grid.
pub(crate) fn ramp(ramp: f64, points: usize) -> Vec<f32> {
    (0..points).map(|i| -(-(i as f64) / (points as f64 * ramp)).exp_m1() as f32).collect()
}

impl Fno {
    /// Checks that the parts fit together.
    ///
    /// # Errors
    /// Names the first that does not.
    pub fn check(&self) -> Result<()> {
        self.config.check()?;
        let wanted = self.config.weight_count(INPUTS, self.spec.variables.len());
        let fail = |message: String| Err(Error::Invalid(message));
        if self.weights.len() != wanted || self.scaling.state.len() != self.spec.variables.len() {
            return fail(format!("{} weights and {} scales; this network has {wanted}", self.weights.len(), self.scaling.state.len()));
        }
        if !(2..=MOST_POINTS).contains(&self.points) {
            return fail(format!("its grid has {} points; expected 2 to {MOST_POINTS}", self.points));
        }
        let positive = |v: f64| v.is_finite() && v > 0.0;
        if !(positive(self.t_end) && positive(self.scaling.input) && positive(self.scaling.ramp)) {
            return fail("its end and scales must be positive and finite".into());
        }
        if !self.scaling.state.iter().all(|v| positive(*v)) || self.weights.iter().any(|w| !w.is_finite()) {
            return fail("its scales and weights must be finite, the scales positive".into());
        }
        Ok(())
    }

    /// Whether a protocol is of the kind that the network was trained on; otherwise what is new about it.
    ///
    /// # Errors
    /// The difference, as wrong input.
    pub fn check_protocol(&self, protocol: &Protocol) -> Result<()> {
        let means = cell_means(protocol, self.t_end, self.points);
        let [low, high] = self.seen.input;
        let slack = 1e-6 * (high - low);
        if let Some(v) = means.iter().find(|v| !(low - slack..=high + slack).contains(*v)) {
            return Err(Error::Invalid(format!("a stimulus of {v}; {} was trained on {low} to {high}", self.spec.id)));
        }
        if self.seen.steps_from_zero && !is_step_from_zero(means.into_iter()) {
            return Err(Error::Invalid(format!("a stimulus that is not one step from t = 0; {} was trained on those alone", self.spec.id)));
        }
        Ok(())
    }

    /// The states `[variable][point]` of each protocol on a grid of `points` times i T / points. Uses the current rayon pool.
    ///
    /// # Errors
    /// A grid too coarse for the network's modes.
    pub fn predict(&self, protocols: &[Protocol], points: usize) -> Result<Vec<Vec<f64>>> {
        let inputs: Vec<Vec<f64>> = protocols.par_iter().map(|p| cell_means(p, self.t_end, points)).collect();
        self.respond(&inputs, points)
    }

    /// As [`predict`](Self::predict), for the mean currents of all cells of the grid.
    ///
    /// # Errors
    /// A grid too coarse for the network's modes.
    pub fn respond(&self, inputs: &[Vec<f64>], points: usize) -> Result<Vec<Vec<f64>>> {
        let inputs = inputs.iter().map(|i| channels(i.iter().copied(), points, self.scaling.input)).collect::<Vec<_>>();
        self.outputs(&inputs, points)
    }

    /// The states for inputs of the network.
    pub(crate) fn outputs(&self, inputs: &[Vec<f32>], points: usize) -> Result<Vec<Vec<f64>>> {
        let grid = Grid::<f32>::new(points, self.config.padding, self.config.modes)?;
        let layout = self.config.layout(INPUTS, self.spec.variables.len());
        let pass = Pass { config: &self.config, layout: &layout, grid: &grid, weights: &self.weights };
        let ramp = ramp(self.scaling.ramp, points);
        let start = self.spec.default_state();
        let one = |work: &mut Work<f32>, input: &Vec<f32>| {
            pass.forward(input, work);
            let value = |c: usize, t: usize, y: f32| start[c] + f64::from(ramp[t]) * self.scaling.state[c] * f64::from(y);
            work.y.iter().enumerate().map(|(k, y)| value(k / points, k % points, *y)).collect()
        };
        Ok(inputs.par_iter().map_init(|| Work::new(&self.config, &layout, &grid), |work, input| one(work, input)).collect())
    }

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
    /// A header that cannot be expressed as JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let fail = |e: &dyn std::fmt::Display| Error::Failed(format!("the surrogate cannot be written: {e}"));
        let header = Header {
            format: FORMAT.into(),
            spec: self.spec.clone(),
            config: self.config.clone(),
            t_end: self.t_end,
            points: self.points,
            scaling: self.scaling.clone(),
            seen: self.seen.clone(),
            provenance: self.provenance.clone(),
        };
        let header = serde_json::to_string(&header).map_err(|e| fail(&e))?;
        let layout = self.config.layout(INPUTS, self.spec.variables.len());
        let tensors: Vec<_> =
            layout.blocks().map(|b| (b, b.of(&self.weights).iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>())).collect();
        let views = tensors
            .iter()
            .map(|(b, bytes)| TensorView::new(Dtype::F32, b.shape.clone(), bytes).map(|v| (b.name.as_str(), v)))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|e| fail(&e))?;
        safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), header)]))).map_err(|e| fail(&e))
    }

    /// Whether a file says that it holds a Fourier neural operator.
    pub fn is_one(path: &Path) -> bool {
        let header = std::fs::read(path).ok().and_then(|bytes| {
            let (_, metadata) = SafeTensors::read_metadata(&bytes).ok()?;
            serde_json::from_str::<serde_json::Value>(metadata.metadata().as_ref()?.get(KEY)?).ok()
        });
        header.is_some_and(|h| h["format"] == FORMAT)
    }

    /// Reads a surrogate.
    ///
    /// # Errors
    /// The file cannot be read, is not a surrogate of this kind, is damaged, or its header does not match its tensors.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Fno::from_bytes(&bytes).map_err(|message| Error::file(path, message))
    }

    /// The surrogate in the content of a file, or what is wrong with it.
    ///
    /// # Errors
    /// As [`Fno::load`], as a sentence.
    pub fn from_bytes(bytes: &[u8]) -> std::result::Result<Self, String> {
        let damaged = |e: safetensors::SafeTensorError| {
            format!("not a readable .safetensors file, or truncated ({e}); expected a surrogate written by ionoscope")
        };
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let text = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
        let text = text.ok_or_else(|| format!("its header has no '{KEY}' entry; expected a surrogate written by ionoscope"))?;
        let header: Header =
            serde_json::from_str(text).map_err(|e| format!("its header does not describe a Fourier neural operator: {e}"))?;
        if header.format != FORMAT {
            return Err(format!("its format is '{}'; this version reads '{FORMAT}'", header.format));
        }
        header.spec.check().map_err(|e| format!("its header: {e}"))?;
        header.config.check().map_err(|e| format!("its header: {e}"))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let layout = header.config.layout(INPUTS, header.spec.variables.len());
        let mut weights = Vec::with_capacity(layout.count.min(bytes.len()));
        for b in layout.blocks() {
            let t =
                tensors.tensor(&b.name).map_err(|_| format!("tensor '{}' is missing; the header does not match the tensors", b.name))?;
            if t.dtype() != Dtype::F32 || t.shape() != b.shape {
                return Err(format!("tensor '{}' is {:?} {:?}; the header asks for F32 {:?}", b.name, t.dtype(), t.shape(), b.shape));
            }
            weights.extend(t.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)));
        }
        let Header { spec, config, t_end, points, scaling, seen, provenance, .. } = header;
        let fno = Fno { spec, config, t_end, points, scaling, seen, weights, provenance };
        fno.check().map_err(|e| e.to_string())?;
        Ok(fno)
    }
}

#[cfg(test)]
mod tests {
    use ionoscope_dynamics::models;

    use super::*;

    fn random() -> Fno {
        let config = FnoConfig { width: 6, modes: 5, layers: 2, padding: 0.05, ..FnoConfig::default() };
        let weights = config.initial_weights(INPUTS, 2, 3).iter().map(|w| *w as f32).collect();
        Fno {
            spec: models::find("fitzhugh-nagumo-1961").unwrap().spec().clone(),
            config,
            t_end: 100.0,
            points: 200,
            scaling: Scaling { input: 0.7, state: vec![0.5, 0.4], ramp: 0.01 },
            seen: Seen { input: [0.0, 2.0], steps_from_zero: true },
            weights,
            provenance: serde_json::Value::Null,
        }
    }

    #[test]
    fn a_file_holds_every_bit_and_damage_is_noticed() {
        let fno = random();
        let bytes = fno.to_bytes().unwrap();
        assert_eq!(Fno::from_bytes(&bytes).unwrap(), fno);
        for cut in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
            assert!(Fno::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn another_grid_gives_the_same_function_and_the_start_is_exact() {
        let fno = random();
        // A step that ends on both grids, so that both see it alike.
        let protocol = Protocol::step(0.0, 25.0, 1.2);
        let [coarse, fine] = [200, 1000].map(|points| fno.predict(std::slice::from_ref(&protocol), points).unwrap().remove(0));
        let start = fno.spec.default_state();
        for c in 0..2 {
            assert_eq!(coarse[c * 200], start[c]);
            let worst = (0..200).map(|t| (coarse[c * 200 + t] - fine[c * 1000 + 5 * t]).abs()).fold(0.0, f64::max);
            // What is left is the sampling of the lowest modes, of the first order in the grid's step at the jump.
            assert!(worst < 0.02, "{worst}");
        }
        assert!(fno.predict(&[protocol], 7).unwrap_err().to_string().contains("finer grid"));
    }

    #[test]
    fn stimuli_of_another_kind_are_refused() {
        let fno = random();
        assert!(fno.check_protocol(&Protocol::step(0.0, 33.3, 1.9)).is_ok());
        assert!(fno.check_protocol(&Protocol::none()).is_ok());
        assert!(fno.check_protocol(&Protocol::constant(1.0)).is_ok());
        assert!(fno.check_protocol(&Protocol::step(0.0, 33.3, 2.1)).unwrap_err().to_string().contains("trained on 0 to 2"));
        assert!(fno.check_protocol(&Protocol::step(5.0, 33.3, 1.0)).unwrap_err().to_string().contains("one step"));
    }
}
