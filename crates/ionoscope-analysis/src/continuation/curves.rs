//! Curves of saddle-node and Hopf points over two parameters.
//!
//! A point of a curve is a fixed point at which, besides, a test function is zero: the real eigenvalue nearest zero (saddle-node), or the growth
//! rate of the complex pair that is followed (Hopf, Neimark-Sacker). The curve is traced by pseudo-arclength in the space of the state and
//! both parameters, each scaled to its range; the gradient of the test function is taken by central differences.

use faer::{Mat, linalg::solvers::Solve};
use ionoscope_dynamics::system::{DynamicalSystem, Input};
use serde::{Deserialize, Serialize};

use super::{Bifurcation, SpecialPoint, normal_form};
use crate::{
    Result,
    spectrum::{residual, residual_jacobian, spectrum},
};

const FIRST: f64 = 1e-3;
const LONGEST: f64 = 0.01;
const SHORTEST: f64 = 1e-8;
/// Step of the differences of the test function, in scaled units; what a correction may be at the end.
const DIFFERENCE: f64 = 1e-6;
const CONVERGED: f64 = 1e-10;
const MOST_CORRECTIONS: usize = 12;
const MOST_STEPS: usize = 5000;
const LEAST_COSINE: f64 = 0.98;

/// Why a curve went no further.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CurveStop {
    /// The end of one parameter's interval.
    EndOfRange,
    /// This variable left the box.
    LeftBox(String),
    /// The frequency of a Hopf point went to zero: a Bogdanov-Takens point.
    BogdanovTakens,
    /// It came back to where it began.
    Closed,
    /// No further point was found by the shortest step.
    NoConvergence,
    /// As many steps as were allowed.
    TooManySteps,
}

impl std::fmt::Display for CurveStop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CurveStop::EndOfRange => f.write_str("the end of an interval"),
            CurveStop::LeftBox(name) => write!(f, "{name} left the box"),
            CurveStop::BogdanovTakens => f.write_str("the frequency goes to zero: Bogdanov-Takens"),
            CurveStop::Closed => f.write_str("closed"),
            CurveStop::NoConvergence => f.write_str("no further point by the shortest step"),
            CurveStop::TooManySteps => f.write_str("the limit on the number of steps"),
        }
    }
}

/// A point of a curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Values of both parameters.
    pub parameters: [f64; 2],
    /// State.
    pub x: Vec<f64>,
    /// Of a Hopf point: angular frequency, per unit of time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency: Option<f64>,
    /// Of a Hopf point: first Lyapunov coefficient; a generalised Hopf point lies where it changes its sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_lyapunov_coefficient: Option<f64>,
}

/// A curve of bifurcations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Of which.
    pub kind: Bifurcation,
    /// Its points, in order.
    pub points: Vec<CurvePoint>,
    /// Why it begins and ends where it does.
    pub stopped: [CurveStop; 2],
}

/// Two parameters and their intervals.
pub struct Plane<'a> {
    /// The system.
    pub system: &'a dyn DynamicalSystem,
    /// Stimulus and parameters where they are not varied.
    pub i_stim: f64,
    /// See `i_stim`.
    pub p: &'a [f64],
    /// What is varied.
    pub over: [Input; 2],
    /// Their intervals.
    pub intervals: [[f64; 2]; 2],
    /// Box `[low, high]` for each variable.
    pub bounds: Vec<[f64; 2]>,
}

#[derive(Clone)]
struct At {
    y: Vec<f64>,
    tangent: Vec<f64>,
    omega: f64,
}

impl Plane<'_> {
    fn parameter(&self, k: usize, s: f64) -> f64 {
        let [from, to] = self.intervals[k];
        from + s * (to - from)
    }

    fn split(&self, y: &[f64]) -> (Vec<f64>, f64, Vec<f64>) {
        let n = y.len() - 2;
        let x = y[..n].iter().zip(&self.bounds).map(|(y, [low, high])| low + y * (high - low)).collect();
        let (mut i_stim, mut p) = (self.i_stim, self.p.to_vec());
        for k in 0..2 {
            match self.over[k] {
                Input::Parameter(index) => p[index] = self.parameter(k, y[n + k]),
                Input::Stimulus => i_stim = self.parameter(k, y[n + k]),
            }
        }
        (x, i_stim, p)
    }

    /// Test function, and the frequency of the pair: that nearest the imaginary axis and the frequency before.
    fn test(&self, kind: Bifurcation, y: &[f64], omega: f64) -> Option<(f64, f64)> {
        let (x, i_stim, p) = self.split(y);
        let all = spectrum(self.system, &x, i_stim, &p).ok()?.eigenvalues;
        match kind {
            Bifurcation::SaddleNode => {
                let real = all.iter().filter(|m| m.im == 0.0);
                real.min_by(|a, b| a.re.abs().total_cmp(&b.re.abs())).map(|m| (m.re, 0.0))
            }
            _ => {
                let far = |m: &crate::spectrum::Complex| m.re.abs() + (m.im - omega).abs();
                all.iter().filter(|m| m.im > 0.0).min_by(|a, b| far(a).total_cmp(&far(b))).map(|m| (m.re, m.im))
            }
        }
    }

    /// Residual with the test function, and its Jacobian bordered by `border`.
    fn bordered(&self, kind: Bifurcation, y: &[f64], omega: f64, border: &[f64]) -> Option<(Vec<f64>, Mat<f64>, f64)> {
        let n = y.len() - 2;
        let (x, i_stim, p) = self.split(y);
        let (mut f, mut jacobian) = (vec![0.0; n], vec![0.0; n * n]);
        residual(self.system, &x, i_stim, &p, &mut f);
        residual_jacobian(self.system, &x, i_stim, &p, &mut jacobian);
        let by = self.over.map(|over| {
            let mut by = vec![0.0; n];
            self.system.derivative_by(over, &x, i_stim, &p, &mut by);
            by
        });
        let width =
            |j: usize| if j < n { self.bounds[j][1] - self.bounds[j][0] } else { self.intervals[j - n][1] - self.intervals[j - n][0] };
        let (value, frequency) = self.test(kind, y, omega)?;
        let mut gradient = vec![0.0; n + 2];
        for (j, slope) in gradient.iter_mut().enumerate() {
            let at = |h: f64| {
                let mut moved = y.to_vec();
                moved[j] += h;
                self.test(kind, &moved, omega).map(|t| t.0)
            };
            *slope = (at(DIFFERENCE)? - at(-DIFFERENCE)?) / (2.0 * DIFFERENCE);
        }
        f.push(value);
        let entry = |i: usize, j: usize| match (i < n, i == n, j < n) {
            (true, _, true) => jacobian[i * n + j] * width(j),
            (true, _, false) => by[j - n][i] * width(j),
            (_, true, _) => gradient[j],
            _ => border[j],
        };
        let size: Vec<f64> = (0..=n + 1).map(|i| (0..n + 2).map(|j| entry(i, j).abs()).fold(f64::MIN_POSITIVE, f64::max)).collect();
        f.iter_mut().zip(&size).for_each(|(f, size)| *f /= size);
        Some((f, Mat::from_fn(n + 2, n + 2, |i, j| entry(i, j) / if i > n { 1.0 } else { size[i] }), frequency))
    }

    fn correct(&self, kind: Bifurcation, guess: &[f64], tangent: &[f64], omega: f64) -> Option<(Vec<f64>, f64)> {
        let m = guess.len();
        let (mut y, mut omega) = (guess.to_vec(), omega);
        for _ in 0..MOST_CORRECTIONS {
            let (f, matrix, frequency) = self.bordered(kind, &y, omega, tangent)?;
            omega = frequency;
            let off: f64 = (0..m).map(|i| tangent[i] * (y[i] - guess[i])).sum();
            let step = matrix.partial_piv_lu().solve(Mat::from_fn(m, 1, |i, _| if i + 1 < m { -f[i] } else { -off }));
            let length = (0..m).map(|i| step[(i, 0)] * step[(i, 0)]).sum::<f64>().sqrt();
            if !length.is_finite() || length > 0.2 {
                return None;
            }
            (0..m).for_each(|i| y[i] += step[(i, 0)]);
            if length < CONVERGED {
                return Some((y, omega));
            }
        }
        None
    }

    fn tangent(&self, kind: Bifurcation, y: &[f64], omega: f64, along: &[f64]) -> Option<Vec<f64>> {
        let m = y.len();
        let (_, matrix, _) = self.bordered(kind, y, omega, along)?;
        let solution = matrix.partial_piv_lu().solve(Mat::from_fn(m, 1, |i, _| if i + 1 < m { 0.0 } else { 1.0 }));
        let mut t: Vec<f64> = solution.col(0).iter().copied().collect();
        let length = t.iter().map(|t| t * t).sum::<f64>().sqrt();
        t.iter_mut().for_each(|t| *t /= length);
        length.is_finite().then_some(t)
    }

    /// The curve through a bifurcation at a value of the second parameter; none where it cannot be started.
    ///
    /// # Errors
    /// None today: what cannot be computed ends the curve.
    pub fn curve(&self, start: &SpecialPoint, second: f64) -> Result<Option<Curve>> {
        let scaled = |v: f64, [low, high]: [f64; 2]| (v - low) / (high - low);
        let mut y: Vec<f64> = start.x.iter().zip(&self.bounds).map(|(x, b)| scaled(*x, *b)).collect();
        y.extend([scaled(start.parameter, self.intervals[0]), scaled(second, self.intervals[1])]);
        let omega = start.frequency.unwrap_or_else(|| super::critical(&start.eigenvalues));
        let omega = if omega.is_finite() { omega } else { 0.0 };
        let m = y.len();
        let mut along = vec![0.0; m];
        along[m - 1] = 1.0;
        let Some((y, omega)) = self.correct(start.kind, &y, &along, omega) else { return Ok(None) };
        let Some(tangent) = self.tangent(start.kind, &y, omega, &along) else { return Ok(None) };
        let first = At { y, tangent, omega };
        let mut back = first.clone();
        back.tangent.iter_mut().for_each(|t| *t = -*t);
        let (mut points, begin) = self.one_way(start.kind, back);
        points.reverse();
        let mut end = CurveStop::Closed;
        if begin != CurveStop::Closed {
            points.pop();
            let (ahead, stop) = self.one_way(start.kind, first);
            points.extend(ahead);
            end = stop;
        }
        let points = points.into_iter().map(|q| self.describe(start.kind, &q)).collect();
        Ok(Some(Curve { kind: start.kind, points, stopped: [begin, end] }))
    }

    fn describe(&self, kind: Bifurcation, q: &At) -> CurvePoint {
        let (x, i_stim, p) = self.split(&q.y);
        let n = x.len();
        let hopf = kind == Bifurcation::Hopf;
        let width: Vec<f64> = self.bounds.iter().map(|[low, high]| high - low).collect();
        let coefficient = hopf.then(|| normal_form::first_lyapunov_coefficient(self.system, &x, i_stim, &p, q.omega, &width)).flatten();
        CurvePoint {
            parameters: [0, 1].map(|k| self.parameter(k, q.y[n + k])),
            x,
            frequency: (kind != Bifurcation::SaddleNode).then_some(q.omega),
            first_lyapunov_coefficient: coefficient,
        }
    }

    fn one_way(&self, kind: Bifurcation, first: At) -> (Vec<At>, CurveStop) {
        let m = first.y.len();
        let (mut points, mut h, mut length) = (vec![first.clone()], FIRST, 0.0);
        for _ in 0..MOST_STEPS {
            let here = &points[points.len() - 1];
            let guess: Vec<f64> = here.y.iter().zip(&here.tangent).map(|(y, t)| y + h * t).collect();
            let next = self.correct(kind, &guess, &here.tangent, here.omega).and_then(|(y, omega)| {
                let tangent = self.tangent(kind, &y, omega, &here.tangent)?;
                let cosine: f64 = tangent.iter().zip(&here.tangent).map(|(a, b)| a * b).sum();
                (cosine > LEAST_COSINE).then_some(At { y, tangent, omega })
            });
            let Some(next) = next else {
                h *= 0.5;
                if h < SHORTEST {
                    // Towards a Bogdanov-Takens point the pair becomes real and can no longer be followed.
                    let slow = kind == Bifurcation::Hopf && here.omega < 0.05 * first.omega;
                    return (points, if slow { CurveStop::BogdanovTakens } else { CurveStop::NoConvergence });
                }
                continue;
            };
            if next.y[m - 2..].iter().any(|s| !(0.0..=1.0).contains(s)) {
                // Back to the border of the plane, by a step that ends there.
                let k = (m - 2..m).find(|k| !(0.0..=1.0).contains(&next.y[*k])).unwrap_or(m - 1);
                let end = if next.y[k] < 0.0 { 0.0 } else { 1.0 };
                let share = (end - here.y[k]) / (next.y[k] - here.y[k]);
                let mut guess: Vec<f64> = here.y.iter().zip(&next.y).map(|(a, b)| a + share * (b - a)).collect();
                guess[k] = end;
                let mut across = vec![0.0; m];
                across[k] = 1.0;
                if let Some((y, omega)) = self.correct(kind, &guess, &across, here.omega) {
                    let tangent = here.tangent.clone();
                    points.push(At { y, tangent, omega });
                }
                return (points, CurveStop::EndOfRange);
            }
            if let Some(k) = next.y[..m - 2].iter().position(|z| !(-1e-6..=1.0 + 1e-6).contains(z)) {
                points.push(next);
                return (points, CurveStop::LeftBox(self.system.spec().variables[k].name.clone()));
            }
            let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
            let step = apart(&next.y, &here.y);
            length += step;
            let closed = length > 4.0 * step && apart(&next.y, &first.y) < step;
            points.push(next);
            if closed {
                return (points, CurveStop::Closed);
            }
            h = (1.3 * h).min(LONGEST);
        }
        (points, CurveStop::TooManySteps)
    }

    /// Whether a curve passes near a bifurcation at a value of the second parameter.
    pub fn passes(&self, curve: &Curve, point: &SpecialPoint, second: f64) -> bool {
        let span = self.intervals.map(|[low, high]| (high - low).abs());
        let at = [point.parameter, second];
        curve.kind == point.kind
            && curve.points.iter().any(|q| {
                (0..2).all(|k| ((q.parameters[k] - at[k]) / span[k]).abs() < 1.5 * LONGEST)
                    && q.x
                        .iter()
                        .zip(&point.x)
                        .zip(&self.bounds)
                        .all(|((a, b), [low, high])| ((a - b) / (high - low)).abs() < 1.5 * LONGEST)
            })
    }
}
