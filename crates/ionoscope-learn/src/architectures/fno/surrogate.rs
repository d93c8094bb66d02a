//! A trained Fourier neural operator: stimulus in, all variables over time out.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use ionoscope_dynamics::{
    protocol::{Protocol, Signal},
    spec::{Quantity, Spec},
    trajectory::Experiment,
};
use rayon::prelude::*;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::{
    Bands, FnoConfig,
    apply::{Apply, Memory},
};
use crate::{
    Error, Result, files,
    responses::{Condition, ResponseConfig, Responses, cell_means},
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
    /// What the charge, the integral of the current from t = 0, is divided by, where it is an input: at any time it tells what came before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<f64>,
    /// What outputs are multiplied by: the standard deviation of each variable over all times and training samples.
    pub state: Vec<f64>,
    /// Time constant of the start, as a fraction of T: an output is the start plus (1 - exp(-t / (ramp T))) times what the network gives, so that
    /// it is exact at t = 0.
    pub ramp: f64,
    /// Mean and standard deviation of each variable of the start, where the start is an input of the network: it then advances any state by T, and
    /// again from there. Where it is none, the network knows the one start of its [`Spec`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Vec<[f64; 2]>>,
    /// Where outputs are scaled time by time, as Pellegrini et al. do: an output is then this mean plus this standard deviation times what the network
    /// gives, and `state` and `ramp` are not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_point: Option<PerPoint>,
    /// Mean and standard deviation of the parameters that are inputs of the network, by name. Others are those of its [`Spec`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, [f64; 2]>,
}

/// Mean and standard deviation over the training samples at every time of the training's grid, `[variable][point]`, the latter not zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PerPoint {
    /// Mean.
    pub mean: Vec<Vec<f32>>,
    /// Standard deviation.
    pub sd: Vec<Vec<f32>>,
}

/// What turns the network's numbers into states on a grid: x = base + gain y, `[variable][point]`, where the base is the start unless it is given.
pub(crate) struct Frame {
    pub base: Option<Vec<f32>>,
    pub gain: Vec<f32>,
}

impl Frame {
    /// The base of the value at `at`, an index into `[variable][point]`, for a start of its variable.
    pub fn base(&self, at: usize, start: f64) -> f64 {
        self.base.as_ref().map_or(start, |b| f64::from(b[at]))
    }
}

impl Scaling {
    /// The frame on a grid of `points` times.
    pub(crate) fn frame(&self, points: usize) -> Frame {
        let Some(PerPoint { mean, sd }) = &self.per_point else {
            // 1 - exp(-t / (ramp T))
            let ramp: Vec<f64> = (0..points).map(|i| -(-(i as f64) / (points as f64 * self.ramp)).exp_m1()).collect();
            let gain = self.state.iter().flat_map(|sd| ramp.iter().map(move |r| (r * sd) as f32)).collect();
            return Frame { base: None, gain };
        };
        // On another grid in between.
        let at = |row: &Vec<f32>, i: usize| {
            let place = (i * row.len()) as f64 / points as f64;
            let (k, share) = (place.floor() as usize, place.fract() as f32);
            row[k] + share * (row[(k + 1).min(row.len() - 1)] - row[k])
        };
        let rows = |rows: &[Vec<f32>]| rows.iter().flat_map(|row| (0..points).map(move |i| at(row, i))).collect();
        Frame { base: Some(rows(mean)), gain: rows(sd) }
    }

    /// Number of input channels: time over T, the current and, where they are inputs, the charge, the start and parameters, each of them a constant.
    pub(crate) fn inputs(&self) -> usize {
        CHANNELS + usize::from(self.charge.is_some()) + self.start.as_ref().map_or(0, Vec::len) + self.parameters.len()
    }

    /// The input of the network under a condition on a grid of step `dt`.
    pub(crate) fn channels(&self, spec: &Spec, condition: &Condition, dt: f64) -> Vec<f32> {
        let Condition { current, start, p } = condition;
        let points = current.len();
        let mut channels: Vec<f32> = (0..points).map(|i| i as f32 / points as f32).collect();
        channels.extend(current.iter().map(|v| (v / self.input) as f32));
        if let Some(scale) = self.charge {
            channels.extend(charges(current, dt).map(|q| (q / scale) as f32));
        }
        for ([mean, sd], x) in self.start.iter().flatten().zip(start) {
            channels.extend(std::iter::repeat_n(((x - mean) / sd) as f32, points));
        }
        for (q, p) in spec.parameters.iter().zip(p) {
            if let Some([mean, sd]) = self.parameters.get(&q.name) {
                channels.extend(std::iter::repeat_n(((p - mean) / sd) as f32, points));
            }
        }
        channels
    }
}

/// Which stimuli a network has seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Smallest and largest mean current of a cell.
    pub input: [f64; 2],
    /// Whether every stimulus was one step from t = 0.
    pub steps_from_zero: bool,
    /// Smallest and largest start of each variable, where the start is an input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Vec<[f64; 2]>>,
    /// Ranges of the parameters that are inputs, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, [f64; 2]>,
}

impl Seen {
    /// What a set of responses, made by `config`, shows; of windows also their starts.
    pub fn of(set: &Responses, config: &ResponseConfig) -> Self {
        let windows = config.windows > 0;
        let wider = |[l, h]: [f64; 2], v: f64| [l.min(v), h.max(v)];
        let input = set.input.iter().fold([0.0f64; 2], |range, v| wider(range, f64::from(*v)));
        let steps_from_zero = (0..set.len()).all(|k| is_step_from_zero(set.input(k).iter().map(|v| f64::from(*v))));
        let of = |i: usize| (0..set.len()).map(|k| set.start(k)[i]).fold([f64::INFINITY, f64::NEG_INFINITY], wider);
        let start = windows.then(|| (0..set.variables).map(of).collect());
        Seen { input, steps_from_zero: steps_from_zero && !windows, start, parameters: config.vary.clone() }
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
    /// A band around what the network gives, where one was calibrated.
    pub bands: Option<Bands>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bands: Option<Bands>,
    provenance: serde_json::Value,
}

/// Input channels of every network: time over T, and the current.
const CHANNELS: usize = 2;

/// Integral of the current from t = 0 to each time of a grid, from its means over the cells: the same on any grid.
pub(crate) fn charges(current: &[f64], dt: f64) -> impl Iterator<Item = f64> {
    current.iter().scan(0.0, move |sum, v| {
        let before = *sum;
        *sum += v * dt;
        Some(before)
    })
}

/// A trained operator made ready for a grid.
pub struct OnGrid<'a> {
    fno: &'a Fno,
    apply: Apply<'a>,
    frame: Frame,
    points: usize,
}

impl OnGrid<'_> {
    /// The states `[variable][point]` under each condition, as of [`Fno::respond`]. Uses the current rayon pool, for a single sample too; its size does
    /// not change a bit of the result.
    pub fn respond(&self, conditions: &[Condition]) -> Vec<Vec<f64>> {
        // Whole samples keep threads busier than parts of one, where there are enough of them.
        if conditions.len() >= 2 * rayon::current_num_threads() {
            let one = |memory: &mut Memory, c: &Condition| self.one(c, memory, false);
            return conditions.par_iter().map_init(|| self.apply.memory(), one).collect();
        }
        let mut memory = self.apply.memory();
        conditions.iter().map(|c| self.one(c, &mut memory, true)).collect()
    }

    fn one(&self, condition: &Condition, memory: &mut Memory, parallel: bool) -> Vec<f64> {
        let (points, start) = (self.points, &condition.start);
        let channels = self.fno.scaling.channels(&self.fno.spec, condition, self.fno.t_end / points as f64);
        let mut x = vec![0.0; self.fno.spec.variables.len() * points];
        self.apply.run(&channels, memory, parallel, |c, first, values| {
            let at = c * points + first;
            let frame = &self.frame;
            let to = &mut x[at..][..values.len()];
            for (t, (x, y)) in to.iter_mut().zip(values).enumerate() {
                *x = frame.base(at + t, start[c]) + f64::from(frame.gain[at + t]) * f64::from(*y);
            }
        });
        x
    }
}

impl Fno {
    /// Checks that the parts fit together.
    ///
    /// # Errors
    /// Names the first that does not.
    pub fn check(&self) -> Result<()> {
        self.config.check()?;
        let wanted = self.config.weight_count(self.scaling.inputs(), self.spec.variables.len());
        let fail = |message: String| Err(Error::Invalid(message));
        let variables = self.spec.variables.len();
        if let Some(bands) = &self.bands {
            bands.check(variables)?;
        }
        if let Some(PerPoint { mean, sd }) = &self.scaling.per_point {
            let shaped = |rows: &[Vec<f32>]| rows.len() == variables && rows.iter().all(|r| r.len() == self.points);
            let fine = shaped(mean) && shaped(sd) && self.scaling.start.is_none();
            if !fine || mean.iter().flatten().any(|v| !v.is_finite()) || sd.iter().flatten().any(|v| !(v.is_finite() && *v > 0.0)) {
                return fail(format!(
                    "its scales by time do not fit; expected finite ones, of {variables} variables at {} times, of a network that knows one start",
                    self.points
                ));
            }
        }
        let starts = [self.scaling.start.as_ref().map(Vec::len), self.seen.start.as_ref().map(Vec::len)];
        if starts != [None; 2] && starts != [Some(variables); 2] {
            return fail(format!("scales and ranges of {starts:?} starts; expected none, or one of each of its {variables} variables"));
        }
        let mut scales = self.scaling.start.iter().flatten().chain(self.scaling.parameters.values());
        if let Some([mean, sd]) = scales.find(|[mean, sd]| !(mean.is_finite() && sd.is_finite() && *sd > 0.0)) {
            return fail(format!("an input of mean {mean} and standard deviation {sd}; expected finite numbers, the second positive"));
        }
        if !self.scaling.parameters.keys().eq(self.seen.parameters.keys()) {
            return fail("scales of other parameters than those whose ranges it has".into());
        }
        self.scaling.parameters.keys().try_for_each(|name| self.spec.parameter_index(name).map(|_| ()))?;
        if self.weights.len() != wanted || self.scaling.state.len() != self.spec.variables.len() {
            return fail(format!("{} weights and {} scales; this network has {wanted}", self.weights.len(), self.scaling.state.len()));
        }
        if !(2..=MOST_POINTS).contains(&self.points) {
            return fail(format!("its grid has {} points; expected 2 to {MOST_POINTS}", self.points));
        }
        let positive = |v: f64| v.is_finite() && v > 0.0;
        if !(positive(self.t_end)
            && positive(self.scaling.input)
            && self.scaling.charge.is_none_or(positive)
            && positive(self.scaling.ramp))
        {
            return fail("its end and scales must be positive and finite".into());
        }
        if !self.scaling.state.iter().all(|v| positive(*v)) || self.weights.iter().any(|w| !w.is_finite()) {
            return fail("its scales and weights must be finite, the scales positive".into());
        }
        Ok(())
    }

    /// Whether the network has the start as an input, so that it advances window by window, for as long as wanted.
    pub fn takes_start(&self) -> bool {
        self.scaling.start.is_some()
    }

    /// Step of the grid that it was trained on.
    pub fn dt(&self) -> f64 {
        self.t_end / self.points as f64
    }

    /// Whether a protocol over `[0, t_end]` is of the kind that the network was trained on; otherwise what is new about it.
    ///
    /// # Errors
    /// The difference, as wrong input.
    pub fn check_protocol(&self, protocol: &Protocol, t_end: f64) -> Result<()> {
        let points = (t_end / self.dt()).ceil().max(1.0) as usize;
        self.check_current(&cell_means(protocol, points as f64 * self.dt(), points))
    }

    /// As [`check_protocol`](Self::check_protocol), for the means over the cells of a grid.
    fn check_current(&self, means: &[f64]) -> Result<()> {
        let [low, high] = self.seen.input;
        let slack = 1e-6 * (high - low);
        if let Some(v) = means.iter().find(|v| !(low - slack..=high + slack).contains(*v)) {
            return Err(Error::Invalid(format!("a stimulus of {v}; {} was trained on {low} to {high}", self.spec.id)));
        }
        if self.seen.steps_from_zero && !is_step_from_zero(means.iter().copied()) {
            return Err(Error::Invalid(format!("a stimulus that is not one step from t = 0; {} was trained on those alone", self.spec.id)));
        }
        Ok(())
    }

    /// Whether a start is within those that the network was trained on, where it has it as an input; otherwise which variable is not.
    ///
    /// # Errors
    /// The difference, as wrong input.
    pub fn check_start(&self, x0: &[f64]) -> Result<()> {
        for ((q, x), [low, high]) in self.spec.variables.iter().zip(x0).zip(self.seen.start.iter().flatten()) {
            // Where all were alike, the start itself is at the border.
            let slack = 0.01 * (high - low);
            if !(low - slack..=high + slack).contains(x) {
                return Err(Error::Invalid(format!("a start of {} = {x}; {} was trained on {low} to {high}", q.name, self.spec.id)));
            }
        }
        Ok(())
    }

    /// Whether parameters are within the ranges that the network was trained on; otherwise which is not.
    ///
    /// # Errors
    /// The difference, as wrong input.
    pub fn check_parameters(&self, p: &[f64]) -> Result<()> {
        for (q, p) in self.spec.parameters.iter().zip(p) {
            let Some([low, high]) = self.seen.parameters.get(&q.name) else { continue };
            if !(*low..=*high).contains(p) {
                return Err(Error::Invalid(format!("{} = {p}; {} was trained on {low} to {high}", q.name, self.spec.id)));
            }
        }
        Ok(())
    }

    /// Whether a condition is like those that the network was trained on: its current, its parameters and, where it is an input, its start.
    ///
    /// # Errors
    /// The difference, as wrong input.
    pub fn check_condition(&self, condition: &Condition) -> Result<()> {
        self.check_current(&condition.current)?;
        self.check_start(&condition.start)?;
        self.check_parameters(&condition.p)
    }

    /// The first parameter that is no input of the network and yet has another value than it was trained with.
    pub fn foreign_parameter(&self, p: &[f64]) -> Option<&str> {
        let foreign = |(q, p): &(&Quantity, &f64)| !self.scaling.parameters.contains_key(&q.name) && q.default != **p;
        self.spec.parameters.iter().zip(p).find(foreign).map(|(q, _)| q.name.as_str())
    }

    /// The states `[variable][point]` of each experiment on a grid of `points` times i T / points; the experiments' own times are not looked at.
    /// Uses the current rayon pool.
    ///
    /// # Errors
    /// A grid too coarse for the network's modes.
    pub fn predict(&self, experiments: &[Experiment], points: usize) -> Result<Vec<Vec<f64>>> {
        let condition =
            |e: &Experiment| Condition { current: cell_means(&e.protocol, self.t_end, points), start: e.x0.clone(), p: e.p.clone() };
        self.respond(&experiments.par_iter().map(condition).collect::<Vec<_>>(), points)
    }

    /// As [`predict`](Self::predict), for conditions on that grid. A network that knows one start gives what it gives from there, moved to the start
    /// given.
    ///
    /// # Errors
    /// A grid too coarse for the network's modes.
    pub fn respond(&self, conditions: &[Condition], points: usize) -> Result<Vec<Vec<f64>>> {
        Ok(self.on_grid(points)?.respond(conditions))
    }

    /// The network made ready for a grid of `points` times i T / points: worth keeping where it is used more than once.
    ///
    /// # Errors
    /// A grid too coarse for the network's modes.
    pub fn on_grid(&self, points: usize) -> Result<OnGrid<'_>> {
        let layout = self.config.layout(self.scaling.inputs(), self.spec.variables.len());
        let apply = Apply::new(&self.config, &layout, &self.weights, points)?;
        Ok(OnGrid { fno: self, apply, frame: self.scaling.frame(points), points })
    }

    /// The states `[time][variable]` of each experiment at the first `count` times of the network's own step, window by window: the last time of a
    /// window is the start of the next. Uses the current rayon pool.
    ///
    /// # Errors
    /// A network that knows one start only.
    pub fn advance(&self, experiments: &[Experiment], count: usize) -> Result<Vec<Vec<f64>>> {
        if !self.takes_start() {
            return Err(Error::Invalid(format!("the network of {} knows one start, and nothing beyond its end", self.spec.id)));
        }
        let (d, n, dt) = (self.spec.variables.len(), self.points, self.dt());
        let mut all: Vec<Vec<f64>> = experiments.iter().map(|e| e.x0.clone()).collect();
        let signals: Vec<_> = experiments.iter().map(|e| e.protocol.signal(dt * (count + n) as f64)).collect();
        let ready = self.on_grid(n)?;
        for first in (0..count - 1).step_by(n - 1) {
            let means = |s: &Signal| (0..n).map(|i| s.mean((first + i) as f64 * dt, (first + i + 1) as f64 * dt)).collect();
            let condition = |((s, e), x): ((&Signal, &Experiment), &Vec<f64>)| Condition {
                current: means(s),
                start: x[x.len() - d..].to_vec(),
                p: e.p.clone(),
            };
            let conditions: Vec<_> = signals.par_iter().zip(experiments).zip(&all).map(condition).collect();
            let taken = (n - 1).min(count - 1 - first);
            for (x, window) in all.iter_mut().zip(ready.respond(&conditions)) {
                x.extend((1..=taken).flat_map(|t| (0..d).map(move |c| c * n + t)).map(|k| window[k]));
            }
        }
        Ok(all)
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
            bands: self.bands.clone(),
            provenance: self.provenance.clone(),
        };
        let header = serde_json::to_string(&header).map_err(|e| fail(&e))?;
        let layout = self.config.layout(self.scaling.inputs(), self.spec.variables.len());
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
        let layout = header.config.layout(header.scaling.inputs(), header.spec.variables.len());
        let mut weights = Vec::with_capacity(layout.count.min(bytes.len()));
        for b in layout.blocks() {
            let t =
                tensors.tensor(&b.name).map_err(|_| format!("tensor '{}' is missing; the header does not match the tensors", b.name))?;
            if t.dtype() != Dtype::F32 || t.shape() != b.shape {
                return Err(format!("tensor '{}' is {:?} {:?}; the header asks for F32 {:?}", b.name, t.dtype(), t.shape(), b.shape));
            }
            weights.extend(t.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)));
        }
        let Header { spec, config, t_end, points, scaling, seen, bands, provenance, .. } = header;
        let fno = Fno { spec, config, t_end, points, scaling, seen, bands, weights, provenance };
        fno.check().map_err(|e| e.to_string())?;
        Ok(fno)
    }
}

#[cfg(test)]
mod tests {
    use ionoscope_dynamics::{models, trajectory::TimeGrid};

    use super::*;

    fn random() -> Fno {
        let config = FnoConfig { width: 6, modes: 5, layers: 2, padding: 0.05, ..FnoConfig::default() };
        let weights = config.initial_weights(CHANNELS, 2, 3).iter().map(|w| *w as f32).collect();
        Fno {
            spec: models::find("fitzhugh-nagumo-1961").unwrap().spec().clone(),
            config,
            t_end: 100.0,
            points: 200,
            scaling: Scaling {
                input: 0.7,
                charge: None,
                state: vec![0.5, 0.4],
                ramp: 0.01,
                start: None,
                per_point: None,
                parameters: BTreeMap::new(),
            },
            seen: Seen { input: [0.0, 2.0], steps_from_zero: true, start: None, parameters: BTreeMap::new() },
            bands: None,
            weights,
            provenance: serde_json::Value::Null,
        }
    }

    fn experiment(fno: &Fno, protocol: Protocol) -> Experiment {
        Experiment { protocol, ..Experiment::from_defaults(&fno.spec, TimeGrid::new(0.0, 1.0, 1).unwrap()) }
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
        let e = experiment(&fno, Protocol::step(0.0, 25.0, 1.2));
        let [coarse, fine] = [200, 1000].map(|points| fno.predict(std::slice::from_ref(&e), points).unwrap().remove(0));
        let start = fno.spec.default_state();
        for c in 0..2 {
            assert_eq!(coarse[c * 200], start[c]);
            let worst = (0..200).map(|t| (coarse[c * 200 + t] - fine[c * 1000 + 5 * t]).abs()).fold(0.0, f64::max);
            // What is left is the sampling of the lowest modes, of the first order in the grid's step at the jump.
            assert!(worst < 0.02, "{worst}");
        }
        assert!(fno.predict(&[e], 7).unwrap_err().to_string().contains("finer grid"));
    }

    #[test]
    fn stimuli_of_another_kind_are_refused() {
        let fno = random();
        assert!(fno.check_protocol(&Protocol::step(0.0, 33.3, 1.9), 100.0).is_ok());
        assert!(fno.check_protocol(&Protocol::none(), 100.0).is_ok());
        assert!(fno.check_protocol(&Protocol::constant(1.0), 100.0).is_ok());
        assert!(fno.check_protocol(&Protocol::step(0.0, 33.3, 2.1), 100.0).unwrap_err().to_string().contains("trained on 0 to 2"));
        assert!(fno.check_protocol(&Protocol::step(5.0, 33.3, 1.0), 100.0).unwrap_err().to_string().contains("one step"));
    }

    #[test]
    fn with_the_start_as_an_input_windows_follow_one_another() {
        let plain = random();
        let scaling = Scaling { charge: Some(20.0), start: Some(vec![[0.1, 0.5], [0.0, 0.4]]), ..plain.scaling.clone() };
        let condition = Condition { current: vec![1.0, 1.0, 0.5, 0.0], start: vec![0.6, 0.4], p: plain.spec.default_parameters() };
        let channels = scaling.channels(&plain.spec, &condition, 8.0);
        assert_eq!(channels[8..], [0.0, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        let weights = plain.config.initial_weights(scaling.inputs(), 2, 3).iter().map(|w| *w as f32).collect();
        let seen = Seen { start: Some(vec![[-0.5, 1.0], [-0.1, 1.0]]), ..plain.seen.clone() };
        let fno = Fno { scaling, weights, seen, ..plain.clone() };
        fno.check().unwrap();
        assert_eq!(Fno::from_bytes(&fno.to_bytes().unwrap()).unwrap(), fno);
        assert!(Fno { seen: plain.seen.clone(), ..fno.clone() }.check().is_err());
        let protocol = Protocol::step(30.0, 120.0, 0.8);
        let e = Experiment { x0: vec![0.2, 0.1], ..experiment(&fno, protocol.clone()) };
        let x = fno.advance(std::slice::from_ref(&e), 500).unwrap().remove(0);
        assert_eq!((x.len(), &x[..2]), (1000, &e.x0[..]));
        // The second window by hand, from time 199.
        let means: Vec<f64> = (0..200).map(|i| protocol.signal(500.0).mean((199 + i) as f64 * 0.5, (200 + i) as f64 * 0.5)).collect();
        let condition = Condition { current: means, start: x[398..400].to_vec(), p: e.p.clone() };
        let second = fno.respond(&[condition], 200).unwrap().remove(0);
        assert!((0..200).all(|t| x[(199 + t) * 2] == second[t] && x[(199 + t) * 2 + 1] == second[200 + t]));
        assert!(fno.check_start(&[0.2, 0.1]).is_ok() && fno.check_start(&[1.2, 0.1]).unwrap_err().to_string().contains("v = 1.2"));
        assert!(plain.advance(&[e], 500).unwrap_err().to_string().contains("one start"));
    }

    #[test]
    fn shifted_stimuli_are_told_from_those_of_the_family() {
        use crate::responses::{ResponseConfig, respond};
        use ionoscope_dynamics::protocol::ProtocolFamily;
        let model = models::find("fitzhugh-nagumo-1961").unwrap();
        let config = ResponseConfig { samples: [600, 0, 0], points: 200, rtol: 1e-4, atol: 1e-6, ..ResponseConfig::default() };
        let data = respond(&*model, &config, &|_, _| true).unwrap();
        let fno = Fno { seen: Seen::of(&data.training, &data.config), ..random() };
        let refused = |family: &str| {
            let family = ProtocolFamily::find(family).unwrap();
            let count = family.len().unwrap();
            let outside = |k: &u64| {
                let m = family.member(7, *k).unwrap();
                // What goes on beyond T is refused by its length.
                m.t_end > fno.t_end || fno.check_protocol(&m.protocol, fno.t_end).is_err()
            };
            (0..count).filter(outside).count() as f64 / count as f64
        };
        let (inside, shifted) = (refused("fitzhugh-nagumo-test"), refused("fitzhugh-nagumo-shifted"));
        assert!(inside <= 0.05 && shifted >= 0.95, "{inside} {shifted}");
    }
}
