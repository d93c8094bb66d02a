//! Small dense matrices, row-major.

/// Norm below which the series of the exponential, of degree 8, errs by 1e-11 relative to 1; larger matrices are halved first.
const SMALL: f64 = 0.25;
/// Halvings beyond which a matrix counts as overflowing.
const MOST_HALVINGS: i32 = 60;

/// a (n x n) times b (n x columns), into `out`.
pub fn multiply(a: &[f64], b: &[f64], out: &mut [f64], n: usize, columns: usize) {
    for (row, out) in a.chunks_exact(n).zip(out.chunks_exact_mut(columns)) {
        out.fill(0.0);
        for (a, b) in row.iter().zip(b.chunks_exact(columns)) {
            for (o, b) in out.iter_mut().zip(b) {
                *o += a * b;
            }
        }
    }
}

/// a times b, both n x n.
pub fn product(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    let mut out = vec![0.0; n * n];
    multiply(a, b, &mut out, n, n);
    out
}

/// exp(a), NaN where it overflows.
pub fn exponential(a: &[f64], n: usize) -> Vec<f64> {
    let mut exponential = Exponential::new(n);
    let mut a = a.to_vec();
    if !exponential.of(&mut a) {
        return vec![f64::NAN; n * n];
    }
    exponential.value
}

/// Work space for exponentials of n x n matrices, by scaling and squaring of Taylor's series.
pub struct Exponential {
    n: usize,
    /// The last exponential.
    pub value: Vec<f64>,
    work: Vec<f64>,
}

impl Exponential {
    /// For n x n matrices.
    pub fn new(n: usize) -> Self {
        Exponential {
            n,
            value: vec![0.0; n * n],
            work: vec![0.0; n * n],
        }
    }

    /// exp(a) into `value`; `a` is scaled. False where it is not finite or overflows.
    pub fn of(&mut self, a: &mut [f64]) -> bool {
        let n = self.n;
        let norm = a
            .chunks_exact(n)
            .map(|row| row.iter().map(|v| v.abs()).sum::<f64>())
            .fold(0.0, f64::max);
        let halvings = if norm > SMALL {
            (norm / SMALL).log2().ceil() as i32
        } else {
            0
        };
        if !norm.is_finite() || halvings > MOST_HALVINGS || a.iter().any(|v| v.is_nan()) {
            return false;
        }
        let scale = 0.5f64.powi(halvings);
        a.iter_mut().for_each(|o| *o *= scale);
        // Horner's scheme: 1 + X (1 + X/2 (1 + X/3 (..))).
        self.value.fill(0.0);
        self.value.iter_mut().step_by(n + 1).for_each(|d| *d = 1.0);
        for degree in (1..=8).rev() {
            multiply(a, &self.value, &mut self.work, n, n);
            for (value, work) in self.value.iter_mut().zip(&self.work) {
                *value = work / f64::from(degree);
            }
            self.value.iter_mut().step_by(n + 1).for_each(|d| *d += 1.0);
        }
        for _ in 0..halvings {
            multiply(&self.value, &self.value, &mut self.work, n, n);
            std::mem::swap(&mut self.value, &mut self.work);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_of_a_rotation_and_of_a_stiff_decay() {
        let (a, w) = (-0.3f64, 7.0f64);
        let got = exponential(&[a, -w, w, a], 2);
        let want = [w.cos(), -w.sin(), w.sin(), w.cos()].map(|v| v * a.exp());
        assert!(
            got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-9),
            "{got:?}"
        );
        let got = exponential(&[-800.0, 0.0, 100.0, -1.0], 2);
        assert!(
            got[0].abs() < 1e-12
                && (got[3] - (-1f64).exp()).abs() < 1e-9
                && (got[2] - 100.0 / 799.0 * (-1f64).exp()).abs() < 1e-8,
            "{got:?}"
        );
        assert!(exponential(&[f64::NAN], 1)[0].is_nan());
    }
}
