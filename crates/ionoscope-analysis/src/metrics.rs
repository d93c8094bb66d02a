//! How far predicted trajectories are from reference ones: what every surrogate and test set is judged by.
//!
//! With samples on one grid of times, of one variable, p the prediction and x the reference:
//!
//! | metric | definition |
//! |---|---|
//! | normalized | `||(p - x) / s|| / ||(x - mean) / s||`, with mean(t) over the reference samples and s(t) their standard deviation at each time, but at least [`FLOOR`] of that over all times |
//! | L2, L1 | `||p - x|| / ||x||` in physical units |
//! | H1 | the same with `||x||^2 + ||x'||^2`, the derivative in physical time, by differences |
//!
//! Spikes are upward crossings of a threshold, interpolated linearly.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Smallest standard deviation at a time, relative to that over all times: a time at which all samples are alike would ask for the impossible.
pub const FLOOR: f64 = 0.05;
/// What the published form adds to the standard deviation at a time.
const PUBLISHED: f64 = 1e-5;

/// Mean and floored standard deviation at each time over the samples of one variable.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeScale {
    /// Mean.
    pub mean: Vec<f64>,
    /// Floored standard deviation.
    pub sd: Vec<f64>,
    /// The standard deviation plus 1e-5, without a floor.
    pub published: Vec<f64>,
}

impl TimeScale {
    /// Of samples of equal length.
    ///
    /// # Errors
    /// No sample, or samples of unequal length.
    pub fn of<'a>(samples: impl Iterator<Item = &'a [f64]> + Clone) -> Result<Self> {
        let points = samples.clone().next().map_or(0, <[f64]>::len);
        if points == 0 || samples.clone().any(|s| s.len() != points) {
            return Err(Error::Invalid(
                "a scale needs at least one sample, and samples of equal length".into(),
            ));
        }
        let n = samples.clone().count() as f64;
        let (mut mean, mut square) = (vec![0.0; points], vec![0.0; points]);
        samples
            .clone()
            .for_each(|s| mean.iter_mut().zip(s).for_each(|(m, x)| *m += x / n));
        samples.clone().for_each(|s| {
            square
                .iter_mut()
                .zip(s)
                .zip(&mean)
                .for_each(|((q, x), m)| *q += (x - m).powi(2) / n)
        });
        let all = mean.iter().sum::<f64>() / points as f64;
        let overall =
            samples.flatten().map(|x| (x - all).powi(2)).sum::<f64>() / (n * points as f64);
        let floor = (FLOOR * overall.sqrt()).max(f64::MIN_POSITIVE);
        let published = square.iter().map(|q| q.sqrt() + PUBLISHED).collect();
        Ok(TimeScale {
            mean,
            sd: square.iter().map(|q| q.sqrt().max(floor)).collect(),
            published,
        })
    }

    /// The normalized error of one sample.
    pub fn error(&self, p: &[f64], x: &[f64]) -> f64 {
        self.error_over(&self.sd, p, x)
    }

    /// The same in the form of Pellegrini et al. (2025), which near a common start asks for more than there is.
    pub fn published_error(&self, p: &[f64], x: &[f64]) -> f64 {
        self.error_over(&self.published, p, x)
    }

    fn error_over(&self, sd: &[f64], p: &[f64], x: &[f64]) -> f64 {
        let over = |value: &dyn Fn(usize) -> f64| {
            (0..x.len())
                .map(|t| (value(t) / sd[t]).powi(2))
                .sum::<f64>()
                .sqrt()
        };
        over(&|t| p[t] - x[t]) / over(&|t| x[t] - self.mean[t]).max(f64::MIN_POSITIVE)
    }
}

/// Relative errors of one sample and variable in physical units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Relative {
    /// Root of the mean square.
    pub l2: f64,
    /// Mean of the absolute value.
    pub l1: f64,
    /// With the derivative.
    pub h1: f64,
}

/// Relative errors of a sample on a grid of step `dt`.
pub fn relative(p: &[f64], x: &[f64], dt: f64) -> Relative {
    let difference: Vec<f64> = p.iter().zip(x).map(|(p, x)| p - x).collect();
    let square = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>();
    let absolute = |v: &[f64]| v.iter().map(|v| v.abs()).sum::<f64>();
    let slope = |v: &[f64]| {
        v.windows(2)
            .map(|w| ((w[1] - w[0]) / dt).powi(2))
            .sum::<f64>()
    };
    let share = |a: f64, b: f64| a / b.max(f64::MIN_POSITIVE);
    Relative {
        l2: share(square(&difference), square(x)).sqrt(),
        l1: share(absolute(&difference), absolute(x)),
        h1: share(
            square(&difference) + slope(&difference),
            square(x) + slope(x),
        )
        .sqrt(),
    }
}

/// Times of the upward crossings of a threshold, in units of the grid's step.
pub fn crossings(v: &[f64], threshold: f64) -> Vec<f64> {
    let up = |k: &usize| v[k - 1] < threshold && v[*k] >= threshold;
    (1..v.len())
        .filter(up)
        .map(|k| (k - 1) as f64 + (threshold - v[k - 1]) / (v[k] - v[k - 1]))
        .collect()
}

/// What became of the spikes of a sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spikes {
    /// Spikes of the reference.
    pub expected: usize,
    /// Of these without a predicted one.
    pub missed: usize,
    /// Predicted ones without a spike.
    pub extra: usize,
    /// Absolute time errors of those that have one another, in units of the grid's step.
    pub shifts: Vec<f64>,
}

impl Spikes {
    /// Pairs spikes in order, each of the reference with the nearest predicted one within `window` that comes after those already paired.
    pub fn of(p: &[f64], x: &[f64], threshold: f64, window: f64) -> Self {
        let (predicted, expected) = (crossings(p, threshold), crossings(x, threshold));
        let (mut shifts, mut next) = (Vec::new(), 0);
        for t in &expected {
            while next < predicted.len() && predicted[next] < t - window {
                next += 1;
            }
            while next + 1 < predicted.len()
                && (predicted[next + 1] - t).abs() < (predicted[next] - t).abs()
            {
                next += 1;
            }
            if next < predicted.len() && (predicted[next] - t).abs() <= window {
                shifts.push((predicted[next] - t).abs());
                next += 1;
            }
        }
        Spikes {
            expected: expected.len(),
            missed: expected.len() - shifts.len(),
            extra: predicted.len() - shifts.len(),
            shifts,
        }
    }
}

/// Mean, percentiles and worst of some numbers. A percentile between two of them is interpolated linearly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Mean.
    pub mean: f64,
    /// 5th percentile.
    pub p05: f64,
    /// 25th percentile.
    pub p25: f64,
    /// Median.
    pub median: f64,
    /// 75th percentile.
    pub p75: f64,
    /// 95th percentile.
    pub p95: f64,
    /// Largest.
    pub worst: f64,
}

impl Summary {
    /// Of numbers; none of no numbers.
    pub fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut all: Vec<f64> = values.collect();
        all.sort_by(f64::total_cmp);
        // Between two numbers that a share falls between, in proportion: the median of an even number is the mean of the two in the middle.
        let at = |share: f64| {
            let place = (all.len() - 1) as f64 * share;
            let (low, high) = (all[place.floor() as usize], all[place.ceil() as usize]);
            if low == high {
                low
            } else {
                low + (place - place.floor()) * (high - low)
            }
        };
        (!all.is_empty()).then(|| Summary {
            mean: all.iter().sum::<f64>() / all.len() as f64,
            p05: at(0.05),
            p25: at(0.25),
            median: at(0.5),
            p75: at(0.75),
            p95: at(0.95),
            worst: at(1.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_known_samples() {
        // Two samples, alike at the first time: s there is the floor.
        let samples = [[0.0, 1.0], [0.0, 3.0]];
        let scale = TimeScale::of(samples.iter().map(|s| &s[..])).unwrap();
        assert_eq!(scale.mean, [0.0, 2.0]);
        let overall = (samples
            .iter()
            .flatten()
            .map(|x| (x - 1.0f64).powi(2))
            .sum::<f64>()
            / 4.0)
            .sqrt();
        assert!((scale.sd[0] - FLOOR * overall).abs() < 1e-15 && scale.sd[1] == 1.0);
        assert!((scale.error(&[0.0, 1.5], &[0.0, 1.0]) - 0.5).abs() < 1e-15);
        assert!(TimeScale::of([].iter().map(|s: &[f64; 2]| &s[..])).is_err());

        let r = relative(&[3.0, 4.5], &[3.0, 4.0], 0.5);
        assert!((r.l2 - 0.1).abs() < 1e-15 && (r.l1 - 0.5 / 7.0).abs() < 1e-15);
        // Differences (0, .5) with slope 1; the reference (3, 4) with slope 2.
        assert!((r.h1 - (1.25f64 / 29.0).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn spikes_are_paired_in_order() {
        let spike = |at: &[usize]| {
            (0..100)
                .map(|k| f64::from(u8::from(at.contains(&k))))
                .collect::<Vec<f64>>()
        };
        let s = Spikes::of(&spike(&[11, 50, 70]), &spike(&[10, 30, 71]), 0.5, 5.0);
        assert_eq!((s.expected, s.missed, s.extra), (3, 1, 1));
        assert_eq!(s.shifts, [1.0, 1.0]);
        let s = Summary::of((0..=100).map(f64::from)).unwrap();
        assert_eq!(
            (s.mean, s.median, s.p95, s.worst),
            (50.0, 50.0, 95.0, 100.0)
        );
        let s = Summary::of([4.0, 1.0, 2.0, 3.0].into_iter()).unwrap();
        for (got, want) in [
            (s.p05, 1.15),
            (s.p25, 1.75),
            (s.median, 2.5),
            (s.p75, 3.25),
            (s.p95, 3.85),
            (s.worst, 4.0),
        ] {
            assert!((got - want).abs() < 1e-14, "{s:?}");
        }
        let one = Summary::of([7.0].into_iter()).unwrap();
        assert_eq!((one.p05, one.median, one.worst), (7.0, 7.0, 7.0));
        assert!(Summary::of([].into_iter()).is_none());
    }
}
