//! Bands around what an operator gives, calibrated on responses that it was not trained on so that a wanted share of all values lies inside (split
//! conformal prediction: Papadopoulos et al. 2002, doi 10.1007/3-540-36755-1_29).
//!
//! The half-width of variable i at time t is `factor[i][bin of t] (SIZE sd_i + SHIFT T |dp_i/dt|)`: what is steep is uncertain because it may come a little
//! sooner or later. A factor is the smallest with which the wanted share of the values of its bin, over all calibration samples, lies inside.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Fno;
use crate::{Error, Result, responses::Responses};

/// Weight of a variable's standard deviation and, as a share of T, of its slope.
const SIZE: f64 = 0.01;
const SHIFT: f64 = 0.001;
/// Bins of the time axis.
const BINS: usize = 20;

/// A calibrated band.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bands {
    /// Share of the values inside.
    pub level: f64,
    /// Factors of the half-width, `[variable][bin]`; bins divide [0, T] evenly.
    pub factor: Vec<Vec<f64>>,
}

/// What half-widths are multiples of, `[variable][point]`.
fn unit(fno: &Fno, p: &[f64], points: usize) -> Vec<f64> {
    let of = |(row, sd): (&[f64], &f64)| -> Vec<f64> {
        let slope = |t: usize| {
            let (a, b) = (t.saturating_sub(1), (t + 1).min(points - 1));
            (row[b] - row[a]).abs() / (b - a) as f64 * points as f64
        };
        (0..points).map(|t| SIZE * sd + SHIFT * slope(t)).collect()
    };
    p.chunks_exact(points).zip(&fno.scaling.state).flat_map(of).collect()
}

impl Bands {
    /// Calibrates a band on a set; none where the set is empty.
    ///
    /// # Errors
    /// A level outside (0, 1); a grid too coarse for the network.
    pub fn calibrate(fno: &Fno, set: &Responses, level: f64) -> Result<Option<Self>> {
        if !(level > 0.0 && level < 1.0) {
            return Err(Error::Invalid(format!("a band for a share of {level}; expected a number between 0 and 1")));
        }
        if set.is_empty() {
            return Ok(None);
        }
        let points = set.points;
        let predicted = fno.respond(&set.conditions(), points)?;
        let units: Vec<Vec<f64>> = predicted.par_iter().map(|p| unit(fno, p, points)).collect();
        let one = |i: usize| {
            let of_bin = |bin: usize| {
                let times = (0..points).filter(|t| t * BINS / points == bin).map(|t| i * points + t);
                let score = |k: usize, at: usize| (predicted[k][at] - f64::from(set.x(k)[at])).abs() / units[k][at];
                let mut scores: Vec<f64> = times.flat_map(|at| (0..set.len()).map(move |k| score(k, at))).collect();
                scores.sort_by(f64::total_cmp);
                let wanted = ((scores.len() + 1) as f64 * level).ceil() as usize;
                scores.get(wanted.saturating_sub(1)).or(scores.last()).copied().unwrap_or(0.0)
            };
            (0..BINS).map(of_bin).collect()
        };
        Ok(Some(Bands { level, factor: (0..set.variables).into_par_iter().map(one).collect() }))
    }

    /// Half-widths `[variable][point]` around a prediction.
    pub fn half_widths(&self, fno: &Fno, p: &[f64], points: usize) -> Vec<f64> {
        let mut widths = unit(fno, p, points);
        for (row, factors) in widths.chunks_exact_mut(points).zip(&self.factor) {
            row.iter_mut().enumerate().for_each(|(t, w)| *w *= factors[t * BINS / points]);
        }
        widths
    }

    /// Checks that it fits a network of so many variables.
    pub(super) fn check(&self, variables: usize) -> Result<()> {
        let fits =
            self.factor.len() == variables && self.factor.iter().all(|f| f.len() == BINS && f.iter().all(|v| v.is_finite() && *v >= 0.0));
        if !(fits && self.level > 0.0 && self.level < 1.0) {
            return Err(Error::Invalid(format!("its band does not fit; expected {BINS} finite factors for each of {variables} variables")));
        }
        Ok(())
    }
}
