//! A trained Fourier neural operator: stimulus in, all variables over time out.

use std::{borrow::Cow, collections::HashMap, path::Path};

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
    scaling::{Frame, PerPoint, Scaling},
    seen::{Seen, outside, shown_range},
};
use crate::{
    Error, Result, files,
    responses::{Condition, cell_means},
};

const KEY: &str = "ionoscope";
const FORMAT: &str = "fno/1";

/// Largest grid.
const MOST_POINTS: usize = 1 << 22;

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

/// A trained operator made ready for use, with its results at the times of a grid.
///
/// The network itself always works on the grid that it was trained on: its transforms are sums over cells, whose left ends stand for them, so that on
/// another grid everything comes early or late by half the difference of the steps. Other grids are served by interpolation between its times.
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
            return conditions
                .par_iter()
                .map_init(|| self.apply.memory(), one)
                .collect();
        }
        let mut memory = self.apply.memory();
        conditions
            .iter()
            .map(|c| self.one(c, &mut memory, true))
            .collect()
    }

    fn one(&self, condition: &Condition, memory: &mut Memory, parallel: bool) -> Vec<f64> {
        let (points, start) = (self.fno.points, &condition.start);
        let condition = if condition.current.len() == points {
            Cow::Borrowed(condition)
        } else {
            Cow::Owned(Condition {
                current: means_over(&condition.current, points),
                ..condition.clone()
            })
        };
        let channels = self
            .fno
            .scaling
            .channels(&self.fno.spec, &condition, self.fno.dt());
        let mut x = vec![0.0; self.fno.spec.variables.len() * points];
        self.apply
            .run(&channels, memory, parallel, |c, first, values| {
                let at = c * points + first;
                let frame = &self.frame;
                let to = &mut x[at..][..values.len()];
                for (t, (x, y)) in to.iter_mut().zip(values).enumerate() {
                    *x = frame.base(at + t, start[c])
                        + f64::from(frame.gain[at + t]) * f64::from(*y);
                }
            });
        if self.points == points {
            x
        } else {
            x.chunks_exact(points)
                .flat_map(|row| interpolated(row, self.points))
                .collect()
        }
    }
}

/// The means over `count` even cells of a function given by its means over others of the same interval.
fn means_over(means: &[f64], count: usize) -> Vec<f64> {
    let integral: Vec<f64> = std::iter::once(0.0)
        .chain(means.iter().scan(0.0, |sum, v| {
            *sum += v;
            Some(*sum)
        }))
        .collect();
    let up_to = |edge: usize| {
        let place = (edge * means.len()) as f64 / count as f64;
        let k = (place as usize).min(means.len() - 1);
        integral[k] + (place - k as f64) * means[k]
    };
    (0..count)
        .map(|i| (up_to(i + 1) - up_to(i)) * count as f64 / means.len() as f64)
        .collect()
}

/// The values at `i / points` of a function given by its values at `i / row.len()`: by the cubic through the four around, and behind the last by the
/// line through the last two.
fn interpolated(row: &[f64], points: usize) -> impl Iterator<Item = f64> {
    let n = row.len();
    (0..points).map(move |i| {
        let place = (i * n) as f64 / points as f64;
        let k = place as usize;
        if k + 1 >= n || n < 4 {
            let k = k.min(n - 2);
            return row[k] + (place - k as f64) * (row[k + 1] - row[k]);
        }
        let first = k.saturating_sub(1).min(n - 4);
        let s = place - first as f64;
        let [a, b, c, d] = [s, s - 1.0, s - 2.0, s - 3.0];
        let [x0, x1, x2, x3] = [row[first], row[first + 1], row[first + 2], row[first + 3]];
        (a * b * c * x3 - b * c * d * x0) / 6.0 + (a * c * d * x1 - a * b * d * x2) / 2.0
    })
}

impl Fno {
    /// Checks that the parts fit together.
    ///
    /// # Errors
    /// Names the first that does not.
    pub fn check(&self) -> Result<()> {
        self.config.check()?;
        let wanted = self
            .config
            .weight_count(self.scaling.inputs(), self.spec.variables.len());
        let fail = |message: String| Err(Error::Invalid(message));
        let variables = self.spec.variables.len();
        if let Some(bands) = &self.bands {
            bands.check(variables)?;
        }
        if let Some(PerPoint { mean, sd }) = &self.scaling.per_point {
            let shaped = |rows: &[Vec<f32>]| {
                rows.len() == variables && rows.iter().all(|r| r.len() == self.points)
            };
            let fine = shaped(mean) && shaped(sd) && self.scaling.start.is_none();
            if !fine
                || mean.iter().flatten().any(|v| !v.is_finite())
                || sd.iter().flatten().any(|v| !(v.is_finite() && *v > 0.0))
            {
                return fail(format!(
                    "its scales by time do not fit; expected finite ones, of {variables} variables at {} times, of a network that knows one start",
                    self.points
                ));
            }
        }
        let starts = [
            self.scaling.start.as_ref().map(Vec::len),
            self.seen.start.as_ref().map(Vec::len),
        ];
        if starts != [None; 2] && starts != [Some(variables); 2] {
            return fail(format!(
                "scales and ranges of {starts:?} starts; expected none, or one of each of its {variables} variables"
            ));
        }
        let mut scales = self
            .scaling
            .start
            .iter()
            .flatten()
            .chain(self.scaling.parameters.values());
        if let Some([mean, sd]) =
            scales.find(|[mean, sd]| !(mean.is_finite() && sd.is_finite() && *sd > 0.0))
        {
            return fail(format!(
                "an input of mean {mean} and standard deviation {sd}; expected finite numbers, the second positive"
            ));
        }
        if !self
            .scaling
            .parameters
            .keys()
            .eq(self.seen.parameters.keys())
        {
            return fail("scales of other parameters than those whose ranges it has".into());
        }
        self.scaling
            .parameters
            .keys()
            .try_for_each(|name| self.spec.parameter_index(name).map(|_| ()))?;
        if self.weights.len() != wanted || self.scaling.state.len() != self.spec.variables.len() {
            return fail(format!(
                "{} weights and {} scales; this network has {wanted}",
                self.weights.len(),
                self.scaling.state.len()
            ));
        }
        if !(2..=MOST_POINTS).contains(&self.points) {
            return fail(format!(
                "its grid has {} points; expected 2 to {MOST_POINTS}",
                self.points
            ));
        }
        let positive = |v: f64| v.is_finite() && v > 0.0;
        if !(positive(self.t_end)
            && positive(self.scaling.input)
            && self.scaling.charge.is_none_or(positive)
            && positive(self.scaling.ramp))
        {
            return fail("its end and scales must be positive and finite".into());
        }
        if !self.scaling.state.iter().all(|v| positive(*v))
            || self.weights.iter().any(|w| !w.is_finite())
        {
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

    /// Whether a protocol is of the kind that the network was trained on, over all times that it looks at for a result over `[0, t_end]`: its whole
    /// time, or whole windows. Otherwise what is new about it.
    ///
    /// # Errors
    /// The difference, as wrong input.
    pub fn check_protocol(&self, protocol: &Protocol, t_end: f64) -> Result<()> {
        let windows = if self.takes_start() {
            self.windows((t_end / self.dt() - 1e-9).ceil().max(0.0) as usize)
        } else {
            1
        };
        let cells = (windows.max(1) - 1) * (self.points - 1) + self.points;
        let means = cell_means(protocol, cells as f64 * self.dt(), cells);
        self.seen.check_current(&means, self.dt(), &self.spec.id)
    }

    /// Which of the classes of the training a condition's stimulus belongs to, an index into [`Seen::steps`].
    pub(super) fn class_of(&self, condition: &Condition) -> Option<usize> {
        self.seen.class(
            &condition.current,
            self.t_end / condition.current.len() as f64,
        )
    }

    /// Number of windows for so many steps from the start.
    fn windows(&self, steps: usize) -> usize {
        steps.div_ceil(self.points - 1)
    }

    /// Whether a start is within those that the network was trained on, where it has it as an input; otherwise which variable is not.
    ///
    /// # Errors
    /// The difference, as wrong input.
    pub fn check_start(&self, x0: &[f64]) -> Result<()> {
        for ((q, x), [low, high]) in self
            .spec
            .variables
            .iter()
            .zip(x0)
            .zip(self.seen.start.iter().flatten())
        {
            // Where all were alike, the start itself is at the border.
            let slack = 0.01 * (high - low);
            if !(low - slack..=high + slack).contains(x) {
                return Err(Error::Invalid(format!(
                    "a start of {} = {}; the network of {} was trained on {}",
                    q.name,
                    outside(*x, [*low, *high]),
                    self.spec.id,
                    shown_range([*low, *high])
                )));
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
            let Some([low, high]) = self.seen.parameters.get(&q.name) else {
                continue;
            };
            if !(*low..=*high).contains(p) {
                return Err(Error::Invalid(format!(
                    "{} = {}; the network of {} was trained on {}",
                    q.name,
                    outside(*p, [*low, *high]),
                    self.spec.id,
                    shown_range([*low, *high])
                )));
            }
        }
        Ok(())
    }

    /// Whether a condition is like those that the network was trained on: its current, its parameters and, where it is an input, its start.
    ///
    /// # Errors
    /// The difference, as wrong input.
    pub fn check_condition(&self, condition: &Condition) -> Result<()> {
        let dt = self.t_end / condition.current.len() as f64;
        self.seen
            .check_current(&condition.current, dt, &self.spec.id)?;
        self.check_start(&condition.start)?;
        self.check_parameters(&condition.p)
    }

    /// The first parameter that is no input of the network and yet has another value than it was trained with.
    pub fn foreign_parameter(&self, p: &[f64]) -> Option<&str> {
        let foreign = |(q, p): &(&Quantity, &f64)| {
            !self.scaling.parameters.contains_key(&q.name) && q.default != **p
        };
        self.spec
            .parameters
            .iter()
            .zip(p)
            .find(foreign)
            .map(|(q, _)| q.name.as_str())
    }

    /// The states `[variable][point]` of each experiment on a grid of `points` times i T / points; the experiments' own times are not looked at.
    /// Uses the current rayon pool.
    ///
    /// # Errors
    /// A network that cannot be made ready.
    pub fn predict(&self, experiments: &[Experiment], points: usize) -> Result<Vec<Vec<f64>>> {
        self.respond(&self.conditions(experiments), points)
    }

    /// What experiments are to the network: their currents on its own grid, over its whole time.
    pub fn conditions(&self, experiments: &[Experiment]) -> Vec<Condition> {
        let current = |e: &Experiment| cell_means(&e.protocol, self.t_end, self.points);
        experiments
            .par_iter()
            .map(|e| Condition {
                current: current(e),
                start: e.x0.clone(),
                p: e.p.clone(),
            })
            .collect()
    }

    /// As [`predict`](Self::predict), for conditions whose currents are means over the cells of any even grid over [0, T]. A network that knows one start gives what it gives from there, moved to the start
    /// given.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn respond(&self, conditions: &[Condition], points: usize) -> Result<Vec<Vec<f64>>> {
        Ok(self.on_grid(points)?.respond(conditions))
    }

    /// The network made ready for results at `points` times i T / points: worth keeping where it is used more than once.
    ///
    /// # Errors
    /// No points; a network that cannot be made ready.
    pub fn on_grid(&self, points: usize) -> Result<OnGrid<'_>> {
        let layout = self
            .config
            .layout(self.scaling.inputs(), self.spec.variables.len());
        if points == 0 {
            return Err(Error::Invalid(
                "a grid of 0 times; expected at least one".into(),
            ));
        }
        let apply = Apply::new(&self.config, &layout, &self.weights, self.points)?;
        Ok(OnGrid {
            fno: self,
            apply,
            frame: self.scaling.frame(self.points),
            points,
        })
    }

    /// The states `[time][variable]` of each experiment at the first `count` times of the network's own step, window by window: the last time of a
    /// window is the start of the next; and whether a window began outside the starts of the training. Uses the current rayon pool.
    ///
    /// # Errors
    /// A network that knows one start only.
    pub fn advance(
        &self,
        experiments: &[Experiment],
        count: usize,
    ) -> Result<Vec<(Vec<f64>, bool)>> {
        if !self.takes_start() {
            return Err(Error::Invalid(format!(
                "the network of {} knows one start, and nothing beyond its end",
                self.spec.id
            )));
        }
        let (d, n, dt) = (self.spec.variables.len(), self.points, self.dt());
        let steps = count.saturating_sub(1);
        let mut all: Vec<(Vec<f64>, bool)> =
            experiments.iter().map(|e| (e.x0.clone(), false)).collect();
        let signals: Vec<_> = experiments
            .iter()
            .map(|e| e.protocol.signal(dt * (count + n) as f64))
            .collect();
        let ready = self.on_grid(n)?;
        for first in (0..self.windows(steps)).map(|window| window * (n - 1)) {
            let means = |s: &Signal| {
                (0..n)
                    .map(|i| s.mean((first + i) as f64 * dt, (first + i + 1) as f64 * dt))
                    .collect()
            };
            let condition =
                |((s, e), (x, _)): ((&Signal, &Experiment), &(Vec<f64>, bool))| Condition {
                    current: means(s),
                    start: x[x.len() - d..].to_vec(),
                    p: e.p.clone(),
                };
            let conditions: Vec<_> = signals
                .par_iter()
                .zip(experiments)
                .zip(&all)
                .map(condition)
                .collect();
            let taken = (n - 1).min(steps - first);
            for (((x, outside), window), condition) in all
                .iter_mut()
                .zip(ready.respond(&conditions))
                .zip(&conditions)
            {
                *outside |= self.check_start(&condition.start).is_err();
                x.extend(
                    (1..=taken)
                        .flat_map(|t| (0..d).map(move |c| c * n + t))
                        .map(|k| window[k]),
                );
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ionoscope_dynamics::{models, trajectory::TimeGrid, watch::Watcher};

    use super::{
        super::{scaling::CHANNELS, seen::Steps},
        *,
    };

    fn random() -> Fno {
        let config = FnoConfig {
            width: 6,
            modes: 5,
            layers: 2,
            padding: 0.05,
            ..FnoConfig::default()
        };
        let weights = config
            .initial_weights(CHANNELS, 2, 3)
            .iter()
            .map(|w| *w as f32)
            .collect();
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
            seen: Seen {
                input: [0.0, 2.0],
                steps_from_zero: true,
                steps: Vec::new(),
                start: None,
                parameters: BTreeMap::new(),
            },
            bands: None,
            weights,
            provenance: serde_json::Value::Null,
        }
    }

    fn experiment(fno: &Fno, protocol: Protocol) -> Experiment {
        Experiment {
            protocol,
            ..Experiment::from_defaults(&fno.spec, TimeGrid::new(0.0, 1.0, 1).unwrap())
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
        let e = [experiment(&fno, Protocol::step(0.0, 25.0, 1.2))];
        let own = fno.predict(&e, 200).unwrap().remove(0);
        for points in [1000, 40, 7] {
            let other = fno.predict(&e, points).unwrap().remove(0);
            for c in 0..2 {
                assert_eq!(other[c * points], fno.spec.default_state()[c]);
                // Every shared time has the same value.
                let shared = (0..points).filter(|t| (t * 200).is_multiple_of(points));
                assert!(
                    shared.into_iter().all(|t| (other[c * points + t]
                        - own[c * 200 + t * 200 / points])
                        .abs()
                        < 1e-12),
                    "{points}"
                );
            }
        }
        // The stimulus may come on any grid that tells when it ends.
        let finer = Condition {
            current: cell_means(&e[0].protocol, 100.0, 1000),
            start: e[0].x0.clone(),
            p: e[0].p.clone(),
        };
        let same = fno.respond(&[finer], 200).unwrap().remove(0);
        assert!(same.iter().zip(&own).all(|(a, b)| (a - b).abs() < 1e-6));
        assert!(fno.predict(&e, 0).is_err());
    }

    #[test]
    fn between_its_times_a_cubic_is_what_it_is() {
        let cubic = |t: f64| ((2.0 * t - 1.5) * t + 0.3) * t + 1.0;
        let row: Vec<f64> = (0..50).map(|i| cubic(f64::from(i) / 50.0)).collect();
        let fine: Vec<f64> = interpolated(&row, 170).collect();
        for (i, x) in fine.iter().enumerate() {
            let t = i as f64 / 170.0;
            // Behind the last time it is a line.
            assert!(
                (x - cubic(t)).abs() < if t <= 0.98 { 1e-12 } else { 4e-3 },
                "{t}"
            );
        }
        assert_eq!(
            means_over(&[1.0, 3.0, 0.0], 6),
            [1.0, 1.0, 3.0, 3.0, 0.0, 0.0]
        );
        assert!(
            means_over(&[1.0, 3.0, 0.0], 2)
                .iter()
                .zip([5.0 / 3.0, 1.0])
                .all(|(a, b)| (a - b).abs() < 1e-12)
        );
    }

    #[test]
    fn stimuli_of_another_kind_are_refused() {
        let fno = random();
        assert!(
            fno.check_protocol(&Protocol::step(0.0, 33.3, 1.9), 100.0)
                .is_ok()
        );
        assert!(fno.check_protocol(&Protocol::none(), 100.0).is_ok());
        assert!(fno.check_protocol(&Protocol::constant(1.0), 100.0).is_ok());
        assert!(
            fno.check_protocol(&Protocol::step(0.0, 33.3, 2.1), 100.0)
                .unwrap_err()
                .to_string()
                .contains("trained on 0 to 2")
        );
        assert!(
            fno.check_protocol(&Protocol::step(5.0, 33.3, 1.0), 100.0)
                .unwrap_err()
                .to_string()
                .contains("one step")
        );
        // What comes after the times that are wanted counts too: the network looks at all of it.
        assert!(
            fno.check_protocol(&Protocol::step(60.0, 20.0, 1.0), 50.0)
                .is_err()
        );
        // A strong current that was seen for a short time only.
        let steps = vec![
            Steps {
                amplitude: [0.0, 0.5],
                duration: [0.0, 100.0],
            },
            Steps {
                amplitude: [0.5, 2.0],
                duration: [1.0, 10.0],
            },
        ];
        let fno = Fno {
            seen: Seen {
                steps,
                ..fno.seen.clone()
            },
            ..fno
        };
        for (duration, amplitude, fine) in [
            (50.0, 0.4, true),
            (7.7, 1.9, true),
            (50.0, 1.9, false),
            (0.6, 1.0, false),
            (0.0, 1.0, true),
        ] {
            let checked = fno.check_protocol(&Protocol::step(0.0, duration, amplitude), 100.0);
            assert_eq!(checked.is_ok(), fine, "{duration} {amplitude} {checked:?}");
        }
        let refused = fno
            .check_protocol(&Protocol::step(0.0, 50.0, 1.9), 100.0)
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("1.9 for 50") && refused.contains("of 0.5 to 2 for 1 to 10"),
            "{refused}"
        );
    }

    #[test]
    fn with_the_start_as_an_input_windows_follow_one_another() {
        let plain = random();
        let scaling = Scaling {
            charge: Some(20.0),
            start: Some(vec![[0.1, 0.5], [0.0, 0.4]]),
            ..plain.scaling.clone()
        };
        let condition = Condition {
            current: vec![1.0, 1.0, 0.5, 0.0],
            start: vec![0.6, 0.4],
            p: plain.spec.default_parameters(),
        };
        let channels = scaling.channels(&plain.spec, &condition, 8.0);
        assert_eq!(
            channels[8..],
            [0.0, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
        );
        let weights = plain
            .config
            .initial_weights(scaling.inputs(), 2, 3)
            .iter()
            .map(|w| *w as f32)
            .collect();
        let seen = Seen {
            start: Some(vec![[-0.5, 1.0], [-0.1, 1.0]]),
            ..plain.seen.clone()
        };
        let fno = Fno {
            scaling,
            weights,
            seen,
            ..plain.clone()
        };
        fno.check().unwrap();
        assert_eq!(Fno::from_bytes(&fno.to_bytes().unwrap()).unwrap(), fno);
        assert!(
            Fno {
                seen: plain.seen.clone(),
                ..fno.clone()
            }
            .check()
            .is_err()
        );
        let protocol = Protocol::step(30.0, 120.0, 0.8);
        let e = Experiment {
            x0: vec![0.2, 0.1],
            ..experiment(&fno, protocol.clone())
        };
        let (x, outside) = fno
            .advance(std::slice::from_ref(&e), 500)
            .unwrap()
            .remove(0);
        // A window that begins where none did in training is told.
        let began = |window: usize| fno.check_start(&x[398 * window..][..2]).is_err();
        assert_eq!(outside, (0..3).any(began));
        let narrow = Seen {
            start: Some(vec![[0.19, 0.21], [0.09, 0.11]]),
            ..fno.seen.clone()
        };
        assert!(
            Fno {
                seen: narrow,
                ..fno.clone()
            }
            .advance(std::slice::from_ref(&e), 500)
            .unwrap()[0]
                .1
        );
        assert_eq!((x.len(), &x[..2]), (1000, &e.x0[..]));
        // The second window by hand, from time 199.
        let means: Vec<f64> = (0..200)
            .map(|i| {
                protocol
                    .signal(500.0)
                    .mean((199 + i) as f64 * 0.5, (200 + i) as f64 * 0.5)
            })
            .collect();
        let condition = Condition {
            current: means,
            start: x[398..400].to_vec(),
            p: e.p.clone(),
        };
        let second = fno.respond(&[condition], 200).unwrap().remove(0);
        assert!(
            (0..200)
                .all(|t| x[(199 + t) * 2] == second[t] && x[(199 + t) * 2 + 1] == second[200 + t])
        );
        assert!(
            fno.check_start(&[0.2, 0.1]).is_ok()
                && fno
                    .check_start(&[1.2, 0.1])
                    .unwrap_err()
                    .to_string()
                    .contains("v = 1.2")
        );
        assert!(
            plain
                .advance(&[e], 500)
                .unwrap_err()
                .to_string()
                .contains("one start")
        );
    }

    #[test]
    fn shifted_stimuli_are_told_from_those_of_the_family() {
        use crate::responses::{ResponseConfig, respond};
        use ionoscope_dynamics::protocol::ProtocolFamily;
        let model = models::find("fitzhugh-nagumo-1961").unwrap();
        let config = ResponseConfig {
            samples: [600, 0, 0],
            points: 200,
            rtol: 1e-4,
            atol: 1e-6,
            ..ResponseConfig::default()
        };
        let data = respond(&*model, &config, &Watcher::default()).unwrap();
        let fno = Fno {
            seen: Seen::of(&data.training, &data.config),
            ..random()
        };
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
        let (inside, shifted) = (
            refused("fitzhugh-nagumo-test"),
            refused("fitzhugh-nagumo-shifted"),
        );
        assert!(inside <= 0.05 && shifted >= 0.95, "{inside} {shifted}");
    }
}
