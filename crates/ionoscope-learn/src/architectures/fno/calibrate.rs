//! Calibration of the band around what an operator gives, and its use.

use ionoscope_dynamics::watch::Watcher;
use rayon::prelude::*;

use super::{
    bands::{BINS, Bands, Factors},
    surrogate::Fno,
};
use crate::{
    Error, Result,
    responses::{Condition, Responses},
};

/// Weight of a variable's standard deviation and, as a share of T, of its slope.
const SIZE: f64 = 0.01;
const SHIFT: f64 = 0.001;
/// What is added, as a share of the standard deviation: the rounding of single precision, where a start is exact.
const ROUNDING: f64 = 1e-6;
/// Fewest samples from which a class has factors of its own: with fewer, nine in ten of the values of a new sample are more than all there are.
const FEWEST: usize = 9;

/// What half-widths are multiples of, `[variable][point]`.
fn unit(fno: &Fno, p: &[f64], points: usize) -> Vec<f64> {
    let of = |(row, sd): (&[f64], &f64)| -> Vec<f64> {
        let slope = |t: usize| {
            let (a, b) = (t.saturating_sub(1), (t + 1).min(points - 1));
            (row[b] - row[a]).abs() / (b - a) as f64 * points as f64
        };
        // The start is exact.
        let ramp = |t: usize| {
            fno.scaling.per_point.as_ref().map_or(
                -(-(t as f64) / (points as f64 * fno.scaling.ramp)).exp_m1(),
                |_| 1.0,
            )
        };
        (0..points)
            .map(|t| ramp(t) * (SIZE * sd + SHIFT * slope(t)) + ROUNDING * sd)
            .collect()
    };
    p.chunks_exact(points)
        .zip(&fno.scaling.state)
        .flat_map(of)
        .collect()
}

impl Bands {
    /// Calibrates a band on a set; none where the set is empty.
    ///
    /// # Errors
    /// A level outside (0, 1); a network that cannot be made ready.
    pub fn calibrate(fno: &Fno, set: &Responses, level: f64) -> Result<Option<Self>> {
        let predicted = fno.respond(&set.conditions(), set.points)?;
        Bands::around(fno, set, &predicted, level, &Watcher::default())
    }

    /// As [`Bands::calibrate`], around what the network gives for the set, `[variable][point]` of
    /// each sample; `watch` may stop it.
    ///
    /// # Errors
    /// A level outside (0, 1); being stopped.
    pub fn around(
        fno: &Fno,
        set: &Responses,
        predicted: &[Vec<f64>],
        level: f64,
        watch: &Watcher,
    ) -> Result<Option<Self>> {
        if !(level > 0.0 && level < 1.0) {
            return Err(Error::Invalid(format!(
                "a band for a share of {level}; expected a number between 0 and 1"
            )));
        }
        if set.is_empty() {
            return Ok(None);
        }
        let points = set.points;
        let conditions = set.conditions();
        let units: Vec<Vec<f64>> = predicted.par_iter().map(|p| unit(fno, p, points)).collect();
        let of_samples = |samples: &[usize]| -> Factors {
            let one = |i: usize| {
                let of_bin = |bin: usize| {
                    if watch.stopped() {
                        return 0.0;
                    }
                    // A coarse grid has bins without a time of their own.
                    let inside: Vec<usize> =
                        (0..points).filter(|t| t * BINS / points == bin).collect();
                    let times = if inside.is_empty() {
                        vec![bin * points / BINS]
                    } else {
                        inside
                    };
                    let wanted =
                        ((samples.len() + 1) as f64 * times.len() as f64 * level).ceil() as usize;
                    let score = |k: usize, at: usize| {
                        (predicted[k][at] - f64::from(set.x(k)[at])).abs() / units[k][at]
                    };
                    let mut scores: Vec<f64> = times
                        .into_iter()
                        .flat_map(|t| samples.iter().map(move |k| score(*k, i * points + t)))
                        .collect();
                    scores.sort_by(f64::total_cmp);
                    scores
                        .get(wanted.saturating_sub(1))
                        .or(scores.last())
                        .copied()
                        .unwrap_or(0.0)
                };
                (0..BINS).map(of_bin).collect()
            };
            (0..set.variables).into_par_iter().map(one).collect()
        };
        let class: Vec<Option<usize>> = conditions.par_iter().map(|c| fno.class_of(c)).collect();
        let of_class = |c: usize| {
            let samples: Vec<usize> = (0..set.len()).filter(|k| class[*k] == Some(c)).collect();
            (samples.len() >= FEWEST).then(|| of_samples(&samples))
        };
        let classes = (0..fno.seen.steps.len()).map(of_class).collect();
        let bands = Bands {
            level,
            factor: of_samples(&(0..set.len()).collect::<Vec<_>>()),
            classes,
        };
        watch.check()?;
        Ok(Some(bands))
    }

    /// Half-widths `[variable][point]` around a prediction under a condition.
    pub fn half_widths(
        &self,
        fno: &Fno,
        condition: &Condition,
        p: &[f64],
        points: usize,
    ) -> Vec<f64> {
        let own = fno
            .class_of(condition)
            .and_then(|class| self.classes.get(class)?.as_ref());
        let mut widths = unit(fno, p, points);
        for (row, factors) in widths
            .chunks_exact_mut(points)
            .zip(own.unwrap_or(&self.factor))
        {
            row.iter_mut()
                .enumerate()
                .for_each(|(t, w)| *w *= factors[t * BINS / points]);
        }
        widths
    }
}
