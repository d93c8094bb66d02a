//! A trained Fourier neural operator: stimulus in, all variables over time out.

use ionoscope_dynamics::{
    protocol::Protocol,
    spec::{Quantity, Spec},
    trajectory::Experiment,
};
use rayon::prelude::*;

use super::{
    bands::Bands,
    config::FnoConfig,
    scaling::{PerPoint, Scaling},
    seen::{Seen, outside, shown_range},
};
use crate::{
    Error, Result,
    responses::{Condition, cell_means},
};

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

impl Fno {
    /// Checks that the parts fit together.
    ///
    /// # Errors
    /// Names the first that does not.
    pub fn check(&self) -> Result<()> {
        self.config.check().map_err(|e| e.within("network"))?;
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
    pub(super) fn windows(&self, steps: usize) -> usize {
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
}
