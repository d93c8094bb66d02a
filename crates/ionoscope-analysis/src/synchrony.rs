//! How far coupled cells are in step.
//!
//! The measure is chi of Golomb and Rinzel (1993, Phys. Rev. E 48, 4810; Golomb 2007, Scholarpedia 2(1) 1347, doi
//! 10.4249/scholarpedia.1347), with `<>` the mean over time and v(t) the mean of the potentials v_i(t) of N cells:
//!
//! ```text
//! chi^2 = (<v^2> - <v>^2) / ((1/N) sum_i (<v_i^2> - <v_i>^2))
//! ```
//!
//! It is 1 in full synchrony and of the order of 1/sqrt(N) in asynchrony.

/// Sums over the times that were looked at; the potentials themselves are not kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Synchrony {
    /// Of the mean potential and of its square.
    mean: [f64; 2],
    /// Of each cell's potential and of its square.
    cells: Vec<[f64; 2]>,
    spread: f64,
    times: usize,
}

impl Synchrony {
    /// Takes the potentials of all cells at one more time. The number of cells is that of the first time.
    pub fn look(&mut self, potentials: impl Iterator<Item = f64>) {
        let (mut sum, mut low, mut high, mut n) = (0.0, f64::INFINITY, f64::NEG_INFINITY, 0);
        for (k, v) in potentials.enumerate() {
            if self.cells.len() == k {
                self.cells.push([0.0; 2]);
            }
            self.cells[k][0] += v;
            self.cells[k][1] += v * v;
            (sum, low, high, n) = (sum + v, low.min(v), high.max(v), k + 1);
        }
        let mean = sum / n as f64;
        self.mean[0] += mean;
        self.mean[1] += mean * mean;
        self.spread = high - low;
        self.times += 1;
    }

    /// chi; none where nothing moves, or nothing was looked at.
    pub fn chi(&self) -> Option<f64> {
        let times = self.times as f64;
        let variance = |[sum, square]: [f64; 2]| square / times - (sum / times).powi(2);
        let cells = self.cells.iter().map(|c| variance(*c)).sum::<f64>() / self.cells.len() as f64;
        Some((variance(self.mean).max(0.0) / cells).sqrt()).filter(|chi| chi.is_finite())
    }

    /// Largest difference between the potentials of two cells at the last time, in the unit of the potential.
    pub fn spread(&self) -> f64 {
        self.spread
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    /// Cells of given amplitudes and phases (in turns) over one period of a sine.
    fn sines(cells: &[[f64; 2]]) -> Synchrony {
        let mut seen = Synchrony::default();
        for k in 0..1000 {
            let t = f64::from(k) / 1000.0;
            seen.look(cells.iter().map(|[a, phase]| a * (TAU * (t + phase)).sin()));
        }
        seen
    }

    #[test]
    fn sines_have_the_synchrony_of_their_sum() {
        // Of equal amplitudes the mean has the amplitude of the mean phasor: 1 together, cos(phi / 2) of two a phase phi apart, 0 all around.
        let chi = |cells: &[[f64; 2]]| sines(cells).chi().unwrap();
        assert!((chi(&[[1.0, 0.1]; 5]) - 1.0).abs() < 1e-12);
        assert!((chi(&[[1.0, 0.0], [1.0, 0.25]]) - 0.5f64.sqrt()).abs() < 1e-12);
        let around: Vec<[f64; 2]> = (0..8).map(|k| [1.0, f64::from(k) / 8.0]).collect();
        assert!(chi(&around) < 1e-7);
        // Of amplitudes 1 and 3 in phase: a mean of 2 over a mean square of 5.
        assert!((chi(&[[1.0, 0.0], [3.0, 0.0]]) - 2.0 / 5f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn cells_at_rest_have_a_spread_and_no_synchrony() {
        let mut seen = Synchrony::default();
        assert_eq!(seen.chi(), None);
        seen.look([2.0, -1.0, 0.5].into_iter());
        seen.look([2.0, -1.0, 0.5].into_iter());
        assert_eq!((seen.chi(), seen.spread()), (None, 3.0));
    }
}
