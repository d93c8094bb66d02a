//! An operator in use: its answers on any grid, and window by window.

use std::borrow::Cow;

use ionoscope_dynamics::{protocol::Signal, trajectory::Experiment};
use rayon::prelude::*;

use super::{
    apply::{Apply, Memory},
    scaling::Frame,
    surrogate::Fno,
};
use crate::{Error, Result, responses::Condition};

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
pub(super) fn means_over(means: &[f64], count: usize) -> Vec<f64> {
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
pub(super) fn interpolated(row: &[f64], points: usize) -> impl Iterator<Item = f64> {
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
    /// The states `[variable][point]` of each experiment on a grid of `points` times i T / points; the experiments' own times are not looked at.
    /// Uses the current rayon pool.
    ///
    /// # Errors
    /// A network that cannot be made ready.
    pub fn predict(&self, experiments: &[Experiment], points: usize) -> Result<Vec<Vec<f64>>> {
        self.respond(&self.conditions(experiments), points)
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
}
