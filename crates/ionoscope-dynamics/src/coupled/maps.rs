//! Coupled maps: step by step, with the pull of the neighbors beside the map or around it.

use rayon::prelude::*;

use super::cells::{CoupledCells, PIECE, Scheme};
use crate::{
    Error, Result,
    trajectory::{Outcome, SolveOptions, Statistics, TimeGrid},
};

impl CoupledCells<'_> {
    pub(super) fn iterate(
        &self,
        x: &mut Vec<f64>,
        dt: f64,
        times: TimeGrid,
        options: &SolveOptions,
        observe: &mut dyn FnMut(usize, f64, &[f64]) -> bool,
    ) -> Result<(Outcome, Statistics)> {
        let whole = |t: f64, what: &str| {
            let steps = (t / dt).round();
            if (steps * dt - t).abs() > 1e-6 * dt * steps.max(1.0) {
                return Err(Error::Invalid(format!(
                    "{what} = {t} is not a whole number of steps of the map, dt = {dt}"
                )));
            }
            Ok(steps as u64)
        };
        let (first, every) = (
            whole(times.start, "the first output time")?,
            whole(times.dt, "the output step dt")?.max(1),
        );
        let cells = self.graph.cells();
        let (mut next, mut work) = (x.clone(), [vec![0.0; cells], vec![0.0; cells]]);
        let mut statistics = Statistics::default();
        for k in 0..times.count {
            for _ in 0..if k == 0 { first } else { every } {
                options.watch.check()?;
                self.step(x, &mut work, &mut next);
                std::mem::swap(x, &mut next);
                statistics.accepted += 1;
                statistics.evaluations += 1;
            }
            if x.par_chunks(PIECE)
                .any(|x| x.iter().any(|v| !v.is_finite()))
            {
                return Ok((
                    Outcome::Failed {
                        time: times.time(k),
                        reason: self.not_finite(x, None),
                    },
                    statistics,
                ));
            }
            if !observe(k, times.time(k), x) {
                return Err(Error::Interrupted);
            }
        }
        Ok((Outcome::Completed, statistics))
    }

    /// Adds `factor` times `pull` to the potentials.
    fn add(&self, factor: f64, pull: &[f64], x: &mut [f64]) {
        let n = self.system.dimension();
        x.par_chunks_mut(PIECE * n)
            .zip(pull.par_chunks(PIECE))
            .for_each(|(x, pull)| {
                for (state, pull) in x.chunks_exact_mut(n).zip(pull) {
                    state[self.variable] += factor * pull;
                }
            });
    }

    /// The exchange between the cells alone for half a step: two terms of its series, one would make the scheme one of the first order.
    fn exchange(&self, [currents, second]: &mut [Vec<f64>; 2], x: &mut [f64]) {
        let h = 0.5 * self.gain;
        self.currents(x, currents);
        self.differences(currents, 1, 0, second);
        self.add(h, currents, x);
        self.add(0.5 * h * h, second, x);
    }

    /// One step of coupled maps, from `x` to `next`; `x` is used up.
    fn step(&self, x: &mut [f64], work: &mut [Vec<f64>; 2], next: &mut [f64]) {
        let n = self.system.dimension();
        match self.scheme {
            Scheme::Additive => self.currents(x, &mut work[0]),
            Scheme::Symmetric => self.exchange(work, x),
        }
        let stimuli = vec![self.i_stim; if self.i_stim == 0.0 { 0 } else { PIECE }];
        next.par_chunks_mut(PIECE * n)
            .zip(x.par_chunks(PIECE * n))
            .for_each(|(next, x)| {
                self.system
                    .rules(x, &stimuli[..stimuli.len().min(x.len() / n)], self.p, next);
            });
        match self.scheme {
            Scheme::Additive => self.add(self.gain, &work[0], next),
            Scheme::Symmetric => self.exchange(work, next),
        }
    }
}
