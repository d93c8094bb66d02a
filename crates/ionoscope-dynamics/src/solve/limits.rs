//! When a trajectory is given up for want of progress, and what is said of the equations there.

/// Steps between two looks at how far a trajectory comes.
const LOOK: u64 = 1 << 17;
/// How many times the limit on steps the rest must seem to take: a trajectory may yet become faster.
const HOPELESS: f64 = 10.0;
/// Steps after which the limit itself is enough: who has come so far at one pace will not become faster.
const MANY: u64 = 1 << 23;

/// How far a trajectory has come on a stretch without switches.
#[derive(Default)]
pub(crate) struct Progress {
    /// Steps and time where the stretch began, and at the last look.
    start: (u64, f64),
    last: (u64, f64),
}

impl Progress {
    /// Begins a stretch at time `t`, after so many steps.
    pub fn from(steps: u64, t: f64) -> Self {
        Progress {
            start: (steps, t),
            last: (steps, t),
        }
    }

    /// Whether the limit `most` on steps will be reached far before the time `stop`, as it seems from the last many steps, or from all.
    pub fn is_hopeless(&mut self, steps: u64, t: f64, stop: f64, most: u64) -> bool {
        if steps - self.last.0 < LOOK {
            return false;
        }
        // Infinite where the time did not move.
        let rest = |since: (u64, f64)| (stop - t) / (t - since.1) * (steps - since.0) as f64;
        let (recent, all, left) = (
            rest(self.last),
            rest(self.start),
            most.saturating_sub(steps) as f64,
        );
        self.last = (steps, t);
        recent > HOPELESS * most as f64
            || (steps - self.start.0 >= MANY && recent > left && all > left)
    }
}

/// The fastest time scale of linear equations x' = J x: one over the largest magnitude of an eigenvalue of J, `[row][column]`. None where
/// nothing moves, or J is not finite.
///
/// The largest magnitude is the limit of |J^m|^(1/m) (Gelfand 1941), here for m = 2^24 by squaring, each time with a norm of 1. Before, rows and
/// columns are balanced (Osborne 1960), so that nothing that matters is too small beside the rest.
pub(crate) fn fastest(j: &[f64], n: usize) -> Option<f64> {
    let norm = |a: &[f64]| {
        a.chunks_exact(n)
            .map(|row| row.iter().map(|v| v.abs()).sum::<f64>())
            .fold(0.0, f64::max)
    };
    let size = norm(j);
    if !(size > 0.0 && size.is_finite()) || j.iter().any(|v| v.is_nan()) {
        return None;
    }
    let mut a = j.to_vec();
    balance(&mut a, n);
    let size = norm(&a);
    a.iter_mut().for_each(|v| *v /= size);
    let mut square = vec![0.0; n * n];
    let mut log = size.ln();
    let mut share = 1.0;
    for _ in 0..24 {
        for (row, out) in a.chunks_exact(n).zip(square.chunks_exact_mut(n)) {
            out.fill(0.0);
            for (v, other) in row.iter().zip(a.chunks_exact(n)) {
                out.iter_mut().zip(other).for_each(|(o, w)| *o += v * w);
            }
        }
        let size = norm(&square);
        if size <= 0.0 {
            return None;
        }
        a.iter_mut().zip(&square).for_each(|(a, s)| *a = s / size);
        share *= 0.5;
        log += share * size.ln();
    }
    Some((-log).exp()).filter(|t| t.is_finite() && *t > 0.0)
}

/// Divides row and multiplies column k by a number, for each k, until both are of one size; the eigenvalues stay.
fn balance(a: &mut [f64], n: usize) {
    for _ in 0..20 {
        for k in 0..n {
            let others = |at: &dyn Fn(usize) -> usize| {
                (0..n)
                    .filter(|i| *i != k)
                    .map(|i| a[at(i)].abs())
                    .fold(0.0, f64::max)
            };
            let (row, column) = (others(&|i| k * n + i), others(&|i| i * n + k));
            let factor = row.sqrt() / column.sqrt();
            if row > 0.0 && column > 0.0 && factor.is_finite() && factor > 0.0 {
                for i in (0..n).filter(|i| *i != k) {
                    a[k * n + i] /= factor;
                    a[i * n + k] *= factor;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_time_scale_is_that_of_the_largest_eigenvalue() {
        let close = |j: &[f64], n: usize, want: f64| {
            let got = fastest(j, n).unwrap();
            assert!((got / want - 1.0).abs() < 1e-5, "{got} instead of {want}");
        };
        close(&[-4.0], 1, 0.25);
        // A pair -1 +- 3i; far apart, and not normal.
        close(&[-1.0, 3.0, -3.0, -1.0], 2, 10f64.sqrt().recip());
        close(&[-1e12, 1e30, 0.0, -1.0], 2, 1e-12);
        close(
            &[0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 8e-300, 0.0, 0.0],
            3,
            0.5e100,
        );
        assert_eq!(
            [
                fastest(&[0.0, 1.0, 0.0, 0.0], 2),
                fastest(&[0.0; 4], 2),
                fastest(&[f64::NAN], 1)
            ],
            [None; 3]
        );
        assert_eq!(fastest(&[f64::INFINITY], 1), None);
    }

    #[test]
    fn a_pace_that_would_take_for_ever_is_seen() {
        let mut progress = Progress::from(0, 5.0);
        assert!(!progress.is_hopeless(LOOK - 1, 5.0, 6.0, 1000));
        assert!(!progress.is_hopeless(LOOK, 5.5, 6.0, LOOK));
        assert!(progress.is_hopeless(2 * LOOK, 5.5 + 1e-9, 6.0, 10 * LOOK));
        assert!(progress.is_hopeless(3 * LOOK, 5.5 + 1e-9, 6.0, 10 * LOOK));
        // Twice as many as the limit: seen late, and not where most of the way was made before.
        for (before, hopeless) in [(0.0, true), (0.9, false)] {
            let mut progress = Progress::from(0, -before);
            let pace = 0.5 / (2.0 * MANY as f64);
            let seen = (1..=MANY / LOOK)
                .any(|k| progress.is_hopeless(k * LOOK, (k * LOOK) as f64 * pace, 1.0, 2 * MANY));
            assert_eq!(seen, hopeless);
        }
    }
}
