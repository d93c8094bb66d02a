//! The truncated discrete Fourier transform of a grid as two matrices: for the few modes that are kept, products with them are faster than a fast
//! transform of everything.

use super::scalar::Scalar;
use crate::{Error, Result};

/// Transforms between a padded grid and its lowest modes.
#[derive(Debug, Clone)]
pub(crate) struct Grid<T> {
    /// Times of the grid.
    pub points: usize,
    /// The same with the padding.
    pub padded: usize,
    pub modes: usize,
    /// `[padded][2 modes]`: all cosines, then all negative sines.
    pub forward: Vec<T>,
    /// `[2 modes][padded]`
    pub back: Vec<T>,
}

impl<T: Scalar> Grid<T> {
    /// The grid of `points` times with `padding` (a fraction of it) zeros, and `modes` modes.
    ///
    /// # Errors
    /// More modes than the grid has.
    pub fn new(points: usize, padding: f64, modes: usize) -> Result<Self> {
        let padded = points + (padding * points as f64).round() as usize;
        if modes > padded / 2 + 1 || points == 0 {
            return Err(Error::Invalid(format!(
                "a grid of {points} points ({padded} with the padding) has {} modes; the network has {modes}: take a finer grid, or fewer modes",
                padded / 2 + 1
            )));
        }
        // Angles from whole numbers, so that none of them loses digits.
        let circle: Vec<(f64, f64)> = (0..padded)
            .map(|k| (std::f64::consts::TAU * k as f64 / padded as f64).sin_cos())
            .collect();
        let mut forward = vec![T::default(); padded * 2 * modes];
        let mut back = forward.clone();
        for m in 0..modes {
            // Modes 0 and N/2 have no mirror image.
            let weight = if m == 0 || 2 * m == padded { 1.0 } else { 2.0 } / padded as f64;
            for t in 0..padded {
                let (sin, cos) = circle[(m * t) % padded];
                forward[t * 2 * modes + m] = T::of(cos);
                forward[t * 2 * modes + modes + m] = T::of(-sin);
                back[m * padded + t] = T::of(weight * cos);
                back[(modes + m) * padded + t] = T::of(-weight * sin);
            }
        }
        Ok(Grid {
            points,
            padded,
            modes,
            forward,
            back,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_modes_give_the_function_back() {
        for padded in [9, 10] {
            let grid = Grid::<f64>::new(padded, 0.0, padded / 2 + 1).unwrap();
            let x: Vec<f64> = (0..padded)
                .map(|t| (t as f64 * 0.7).sin() + 0.1 * (t * t) as f64)
                .collect();
            let modes: Vec<f64> = (0..2 * grid.modes)
                .map(|c| {
                    (0..padded)
                        .map(|t| x[t] * grid.forward[t * 2 * grid.modes + c])
                        .sum()
                })
                .collect();
            for t in 0..padded {
                let y: f64 = (0..2 * grid.modes)
                    .map(|c| modes[c] * grid.back[c * padded + t])
                    .sum();
                assert!((y - x[t]).abs() < 1e-12, "{t}: {y} {}", x[t]);
            }
        }
        assert!(
            Grid::<f32>::new(10, 0.0, 7)
                .unwrap_err()
                .to_string()
                .contains("7")
        );
        assert_eq!(Grid::<f32>::new(100, 0.05, 4).unwrap().padded, 105);
    }
}
