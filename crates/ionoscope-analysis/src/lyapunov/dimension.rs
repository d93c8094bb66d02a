//! The dimension of an attractor after Kaplan and Yorke.

use super::answer::{INTERVAL, Motion};

/// Share of the rate of a turn below which an exponent is told from zero by nothing but its interval.
const NARROW: f64 = 0.1;
/// The same for every further one: that a flow's phase makes an exponent zero is known, that another is zero, as on a torus, is only seen; a cycle to
/// which motion comes slowly looks alike.
const NARROWER: f64 = 1e-3;

/// j + (lambda_1 + .. + lambda_j) / |lambda_(j + 1)| for the largest j whose sum is not negative (Kaplan, Yorke 1979), an exponent whose
/// interval holds zero counting as zero. `exponents` descend, and a turn of the motion takes the
/// time `turn`. Otherwise why it is not decided.
pub fn kaplan_yorke(
    exponents: &[f64],
    errors: &[f64],
    complete: bool,
    motion: &Motion,
    turn: f64,
) -> Result<f64, String> {
    match motion {
        Motion::Rest { stable: true, .. } => return Ok(0.0),
        Motion::Rest { stable: false, .. } => {
            return Err("the start is on an unstable rest, which is no attractor".into());
        }
        Motion::Cycle { stable: false, .. } => {
            return Err("the start is on an unstable cycle, which is no attractor".into());
        }
        Motion::Cycle { .. } | Motion::Other => {}
    }
    let zero = |k: usize| exponents[k].abs() <= INTERVAL * errors[k];
    let next = (0..exponents.len())
        .find(|k| !zero(*k))
        .map(|k| exponents[k].abs());
    // That an interval holds zero says something only if it is narrow: beside the other exponents, and beside the rate of a turn.
    let phase =
        (0..exponents.len()).min_by(|a, b| exponents[*a].abs().total_cmp(&exponents[*b].abs()));
    let narrow = |k: usize| if Some(k) == phase { NARROW } else { NARROWER };
    let wide = |k: usize| {
        INTERVAL * errors[k]
            > next
                .map_or(f64::INFINITY, |next| 0.5 * next)
                .min(narrow(k) / turn)
    };
    if let Some(k) = (0..exponents.len()).find(|k| zero(*k) && wide(*k)) {
        let (value, error) = (exponents[k], errors[k]);
        return Err(format!(
            "exponent {} is {value:.2e} with an error of {error:.1e}: it cannot be told from zero",
            k + 1
        ));
    }
    let mut sum = 0.0;
    for (j, lambda) in exponents.iter().enumerate() {
        let lambda = if zero(j) { 0.0 } else { *lambda };
        if sum + lambda < 0.0 {
            return Ok(j as f64 + sum / lambda.abs());
        }
        sum += lambda;
    }
    if complete {
        Ok(exponents.len() as f64)
    } else {
        Err("the sum of the exponents that were computed is not negative; raise --count".into())
    }
}
