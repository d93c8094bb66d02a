//! Curves of saddle-node and Hopf points over two parameters.
//!
//! A point of a curve is a fixed point at which, besides, a test function is zero: of a saddle-node the last unknown of the Jacobian bordered by
//! its singular vectors (Govaerts 2000; smooth where a second eigenvalue is zero), of a Hopf or Neimark-Sacker point the growth rate of the
//! complex pair that is followed. The curve is traced by pseudo-arclength in the space of the state and
//! both parameters, each scaled to its range; the gradient of the test function is taken by central differences.
//!
//! | point of codimension two | where on a curve |
//! |---|---|
//! | cusp | saddle-nodes: the curve turns back in the plane of the parameters |
//! | Bogdanov-Takens | saddle-nodes: a second eigenvalue passes zero; Hopf points: the frequency goes to zero |
//! | generalized Hopf | Hopf points: the first Lyapunov coefficient changes its sign |
//! | fold-Hopf | saddle-nodes: a complex pair changes sides; Hopf points: a real eigenvalue passes zero |

use faer::{Mat, linalg::solvers::Solve};
use ionoscope_dynamics::system::{DynamicalSystem, Input};
use serde::{Deserialize, Serialize};

use super::{
    Bifurcation, SpecialPoint, normal_form,
    problem::{LARGEST_SHARE, SMALL},
};
use crate::{
    conserved::Laws,
    newton,
    residual::{residual, residual_jacobian},
    spectrum::spectrum_within,
};

const FIRST: f64 = 1e-3;
const LONGEST: f64 = 0.01;
const SHORTEST: f64 = 1e-8;
/// Step of the differences of the test function, in scaled units; the distance from the border of the plane down to which it is made to
/// stay inside; what a correction may be at the end.
const DIFFERENCE: f64 = 1e-6;
const LEAST_DIFFERENCE: f64 = 1e-10;
const CONVERGED: f64 = 1e-10;
const MOST_CORRECTIONS: usize = 12;
const MOST_STEPS: usize = 5000;
const LEAST_COSINE: f64 = 0.98;
/// How near, in scaled parameter, a curve is followed to a border at which its equations cannot be solved.
const NEAREST: f64 = 1e-9;

/// Why a curve went no further. Each is only said where it was verified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CurveStop {
    /// The end of one parameter's interval, exactly.
    EndOfRange,
    /// The end of one parameter's interval, where the equations of the curve have no unique solution: followed to it by ever shorter steps.
    SingularEnd,
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
    /// Not even the bifurcation where it begins could be solved for in both parameters.
    NotStarted,
}

impl CurveStop {
    /// Whether the curve was followed to an end of its own or one that was asked for. Otherwise it broke off: it may go on.
    pub fn complete(&self) -> bool {
        !matches!(
            self,
            CurveStop::NoConvergence | CurveStop::TooManySteps | CurveStop::NotStarted
        )
    }
}

impl std::fmt::Display for CurveStop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CurveStop::EndOfRange => f.write_str("the end of an interval"),
            CurveStop::SingularEnd => {
                f.write_str("the end of an interval, where the equations have no unique solution")
            }
            CurveStop::LeftBox(name) => write!(f, "{name} left the box"),
            CurveStop::BogdanovTakens => f.write_str("the frequency goes to zero: Bogdanov-Takens"),
            CurveStop::Closed => f.write_str("closed"),
            CurveStop::NoConvergence => {
                f.write_str("broke off: no further point by the shortest step")
            }
            CurveStop::TooManySteps => f.write_str("broke off: the limit on the number of steps"),
            CurveStop::NotStarted => {
                f.write_str("broke off: the bifurcation could not be followed in any direction")
            }
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
    /// Of a Hopf point: first Lyapunov coefficient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_lyapunov_coefficient: Option<f64>,
}

/// What may happen at single points of a curve of bifurcations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Codimension2 {
    /// Two curves of saddle-nodes meet and end.
    Cusp,
    /// A saddle-node and a Hopf curve touch; the frequency is zero.
    BogdanovTakens,
    /// Hopf points turn from giving birth to stable cycles to unstable ones (Bautin).
    GeneralizedHopf,
    /// A real eigenvalue and a complex pair pass zero together; of maps with multipliers 1 and a pair on the unit circle.
    FoldHopf,
}

/// A point of codimension two on a curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurveSpecialPoint {
    /// Which.
    pub kind: Codimension2,
    /// Values of both parameters.
    pub parameters: [f64; 2],
    /// State.
    pub x: Vec<f64>,
}

/// A curve of bifurcations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Of which.
    pub kind: Bifurcation,
    /// Its points, in order.
    pub points: Vec<CurvePoint>,
    /// Points of codimension two on it, in order.
    pub special_points: Vec<CurveSpecialPoint>,
    /// Why it begins and ends where it does.
    pub stopped: [CurveStop; 2],
}

impl Curve {
    /// Whether it was followed to both of its ends; see [`CurveStop::complete`].
    pub fn complete(&self) -> bool {
        self.stopped.iter().all(CurveStop::complete)
    }
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
    /// The conserved quantities of the system, held at the values of `start`.
    laws: Laws<'a>,
    /// See `laws`.
    start: Vec<f64>,
}

/// What makes the Jacobian at a saddle-node regular: its rows' sizes and its singular vectors for the singular value nearest zero.
struct Borders {
    size: Vec<f64>,
    left: Vec<f64>,
    right: Vec<f64>,
}

#[derive(Clone)]
struct At {
    y: Vec<f64>,
    tangent: Vec<f64>,
    omega: f64,
}

impl<'a> Plane<'a> {
    /// A plane for curves on the level of a start, which matters where quantities are conserved.
    pub fn new(
        system: &'a dyn DynamicalSystem,
        i_stim: f64,
        p: &'a [f64],
        over: [Input; 2],
        intervals: [[f64; 2]; 2],
        bounds: Vec<[f64; 2]>,
        start: Vec<f64>,
    ) -> Self {
        let mut plane = Plane {
            system,
            i_stim,
            p,
            over,
            intervals,
            bounds,
            laws: Laws::stated(system),
            start,
        };
        let corner = |s: f64, t: f64| {
            let (_, i_stim, p) = plane.split(&[vec![0.0; plane.bounds.len()], vec![s, t]].concat());
            (i_stim, p)
        };
        plane.laws = Laws::find(
            system,
            &[corner(0.0, 0.0), corner(0.487, 0.311), corner(1.0, 1.0)],
            &plane.bounds,
        );
        plane
    }

    fn parameter(&self, k: usize, s: f64) -> f64 {
        let [from, to] = self.intervals[k];
        from + s * (to - from)
    }

    fn split(&self, y: &[f64]) -> (Vec<f64>, f64, Vec<f64>) {
        let n = y.len() - 2;
        let x = y[..n]
            .iter()
            .zip(&self.bounds)
            .map(|(y, [low, high])| low + y * (high - low))
            .collect();
        let (mut i_stim, mut p) = (self.i_stim, self.p.to_vec());
        for k in 0..2 {
            match self.over[k] {
                Input::Parameter(index) => p[index] = self.parameter(k, y[n + k]),
                Input::Stimulus => i_stim = self.parameter(k, y[n + k]),
            }
        }
        (x, i_stim, p)
    }

    /// The Jacobian of the residual by the scaled state, bordered where quantities are conserved (see [`newton`](crate::newton)).
    fn scaled_jacobian(&self, y: &[f64]) -> Mat<f64> {
        let n = y.len() - 2;
        let (x, i_stim, p) = self.split(y);
        let mut jacobian = vec![0.0; n * n];
        residual_jacobian(self.system, &x, i_stim, &p, &mut jacobian);
        let width = self.widths();
        if self.laws.is_empty() {
            return Mat::from_fn(n, n, |i, j| jacobian[i * n + j] * width[j]);
        }
        let w = self.laws.gradients(&x, &p);
        let scaled = |all: &[f64]| {
            all.iter()
                .enumerate()
                .map(|(e, v)| v * width[e % n])
                .collect::<Vec<f64>>()
        };
        let bordered = newton::bordered(&scaled(&jacobian), &scaled(&w), &w, n);
        Mat::from_fn(n + w.len() / n, n + w.len() / n, |i, j| {
            bordered.matrix[(i, j)] * bordered.rows[i]
        })
    }

    /// The residual, how far conserved quantities are off their level, and the derivatives of both by the parameters.
    fn residual(&self, y: &[f64]) -> (Vec<f64>, [Vec<f64>; 2]) {
        let (x, i_stim, p) = self.split(y);
        let mut f = vec![0.0; x.len()];
        residual(self.system, &x, i_stim, &p, &mut f);
        let off = |of: &dyn Fn(&[f64]) -> Vec<f64>| -> Vec<f64> {
            of(&x)
                .iter()
                .zip(of(&self.start))
                .map(|(a, b)| a - b)
                .collect()
        };
        f.extend(off(&|x| self.laws.values(x, &p)));
        let by = self.over.map(|over| {
            let mut by = vec![0.0; x.len()];
            self.system.derivative_by(over, &x, i_stim, &p, &mut by);
            by.extend(off(&|x| self.laws.by(over, x, &p)));
            by
        });
        (f, by)
    }

    /// `by` holds the derivatives of the residual by both parameters: a row that is zero at the saddle-node is measured by these.
    fn borders(&self, y: &[f64], by: &[Vec<f64>; 2]) -> Option<Borders> {
        let jacobian = self.scaled_jacobian(y);
        let n = jacobian.nrows();
        let parameters = |i: usize| {
            (0..2).map(move |k| (by[k][i] * (self.intervals[k][1] - self.intervals[k][0])).abs())
        };
        let row = |i: usize| {
            (0..n)
                .map(|j| jacobian[(i, j)].abs())
                .chain(parameters(i))
                .fold(f64::MIN_POSITIVE, f64::max)
        };
        let size: Vec<f64> = (0..n).map(row).collect();
        let svd = Mat::from_fn(n, n, |i, j| jacobian[(i, j)] / size[i])
            .svd()
            .ok()?;
        let last = |m: faer::MatRef<f64>| (0..n).map(|i| m[(i, n - 1)]).collect();
        Some(Borders {
            left: last(svd.U()),
            right: last(svd.V()),
            size,
        })
    }

    /// Test function, and the frequency of the pair: that nearest the imaginary axis and the frequency before.
    fn test(&self, y: &[f64], omega: f64, borders: Option<&Borders>) -> Option<(f64, f64)> {
        if let Some(Borders { size, left, right }) = borders {
            let (jacobian, n) = (self.scaled_jacobian(y), left.len());
            let matrix = Mat::from_fn(n + 1, n + 1, |i, j| match (i < n, j < n) {
                (true, true) => jacobian[(i, j)] / size[i],
                (true, false) => left[i],
                (false, true) => right[j],
                (false, false) => 0.0,
            });
            let solution = matrix
                .partial_piv_lu()
                .solve(Mat::from_fn(n + 1, 1, |i, _| f64::from(u8::from(i == n))));
            return Some((solution[(n, 0)], 0.0));
        }
        let (x, i_stim, p) = self.split(y);
        let all = spectrum_within(&self.laws, self.system, &x, i_stim, &p, 0)
            .ok()?
            .eigenvalues;
        let far = |m: &crate::spectrum::Complex| m.re.abs() + (m.im - omega).abs();
        all.iter()
            .filter(|m| m.im > 0.0)
            .min_by(|a, b| far(a).total_cmp(&far(b)))
            .map(|m| (m.re, m.im))
    }

    /// Residual with the test function, and its Jacobian bordered by `border`.
    fn bordered(
        &self,
        kind: Bifurcation,
        y: &[f64],
        omega: f64,
        border: &[f64],
    ) -> Option<(Vec<f64>, Mat<f64>, f64)> {
        let n = y.len() - 2;
        let ((mut f, by), jacobian) = (self.residual(y), self.scaled_jacobian(y));
        let k = f.len() - n;
        let span = |j: usize| self.intervals[j][1] - self.intervals[j][0];
        let borders = if kind == Bifurcation::SaddleNode {
            Some(self.borders(y, &by)?)
        } else {
            None
        };
        let (value, frequency) = self.test(y, omega, borders.as_ref())?;
        let mut gradient = vec![0.0; n + 2];
        for (j, slope) in gradient.iter_mut().enumerate() {
            let at = |h: f64| {
                let mut moved = y.to_vec();
                moved[j] += h;
                self.test(&moved, omega, borders.as_ref()).map(|t| t.0)
            };
            // Next to the border of the plane, where the curve may end, not over it.
            let left = if j < n {
                1.0
            } else {
                y[j].abs().min((1.0 - y[j]).abs())
            };
            let h = if left > LEAST_DIFFERENCE {
                DIFFERENCE.min(0.1 * left)
            } else {
                DIFFERENCE
            };
            *slope = (at(h)? - at(-h)?) / (2.0 * h);
        }
        f.insert(n, value);
        // Unknowns: state, parameters, then what borders the state where quantities are conserved. Rows: residual, test, border, levels.
        let of_system = |i: usize, j: usize| match j {
            j if j < n => jacobian[(i, j)],
            j if j < n + 2 => by[j - n][i] * span(j - n),
            j => jacobian[(i, j - 2)],
        };
        let entry = |i: usize, j: usize| match i {
            i if i < n => of_system(i, j),
            i if i == n => gradient.get(j).copied().unwrap_or(0.0),
            i if i == n + 1 => border.get(j).copied().unwrap_or(0.0),
            i => of_system(i - 2, j),
        };
        let m = n + k + 2;
        let mut size: Vec<f64> = (0..m)
            .map(|i| {
                (0..m)
                    .map(|j| entry(i, j).abs())
                    .fold(f64::MIN_POSITIVE, f64::max)
            })
            .collect();
        size[n + 1] = 1.0;
        let matrix = Mat::from_fn(m, m, |i, j| entry(i, j) / size[i]);
        size.remove(n + 1);
        f.iter_mut().zip(&size).for_each(|(f, size)| *f /= size);
        Some((f, matrix, frequency))
    }

    fn correct(
        &self,
        kind: Bifurcation,
        guess: &[f64],
        tangent: &[f64],
        omega: f64,
    ) -> Option<(Vec<f64>, f64)> {
        let m = guess.len();
        let (mut y, mut omega) = (guess.to_vec(), omega);
        for _ in 0..MOST_CORRECTIONS {
            let (f, matrix, frequency) = self.bordered(kind, &y, omega, tangent)?;
            omega = frequency;
            let off: f64 = (0..m).map(|i| tangent[i] * (y[i] - guess[i])).sum();
            let rhs = |i: usize| match i + 1 {
                k if k < m => -f[i],
                k if k == m => -off,
                _ => -f[i - 1],
            };
            let step = matrix
                .partial_piv_lu()
                .solve(Mat::from_fn(matrix.nrows(), 1, |i, _| rhs(i)));
            let length = (0..m)
                .map(|i| step[(i, 0)] * step[(i, 0)])
                .sum::<f64>()
                .sqrt();
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
        let across = Mat::from_fn(matrix.nrows(), 1, |i, _| if i + 1 == m { 1.0 } else { 0.0 });
        let solution = matrix.partial_piv_lu().solve(across);
        let mut t: Vec<f64> = solution.col(0).iter().take(m).copied().collect();
        let length = t.iter().map(|t| t * t).sum::<f64>().sqrt();
        t.iter_mut().for_each(|t| *t /= length);
        length.is_finite().then_some(t)
    }

    /// The curve through a bifurcation at a value of the second parameter; that point alone where it cannot be started.
    pub fn curve(&self, start: &SpecialPoint, second: f64) -> Curve {
        let scaled = |v: f64, [low, high]: [f64; 2]| (v - low) / (high - low);
        let mut y: Vec<f64> = start
            .x
            .iter()
            .zip(&self.bounds)
            .map(|(x, b)| scaled(*x, *b))
            .collect();
        y.extend([
            scaled(start.parameter, self.intervals[0]),
            scaled(second, self.intervals[1]),
        ]);
        let omega = start
            .frequency
            .unwrap_or_else(|| super::critical(&start.eigenvalues));
        let omega = if omega.is_finite() { omega } else { 0.0 };
        let m = y.len();
        let mut along = vec![0.0; m];
        along[m - 1] = 1.0;
        let first = self
            .correct(start.kind, &y, &along, omega)
            .and_then(|(y, omega)| {
                let tangent = self.tangent(start.kind, &y, omega, &along)?;
                Some(At { y, tangent, omega })
            });
        let Some(first) = first else {
            let point = self.describe(
                start.kind,
                &At {
                    y,
                    tangent: along,
                    omega,
                },
            );
            let stopped = [CurveStop::NotStarted, CurveStop::NotStarted];
            return Curve {
                kind: start.kind,
                points: vec![point],
                special_points: Vec::new(),
                stopped,
            };
        };
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
        let mut special_points: Vec<CurveSpecialPoint> = points
            .windows(2)
            .flat_map(|w| self.between(start.kind, &w[0], &w[1]))
            .collect();
        // The curve ends a little before a Bogdanov-Takens point, to which the square of the frequency goes straight.
        let count = points.len();
        if count > 1 && end == CurveStop::BogdanovTakens {
            special_points.push(self.slowest(&points[count - 2], &points[count - 1]));
        }
        if count > 1 && begin == CurveStop::BogdanovTakens {
            special_points.insert(0, self.slowest(&points[1], &points[0]));
        }
        let points = points
            .into_iter()
            .map(|q| self.describe(start.kind, &q))
            .collect();
        Curve {
            kind: start.kind,
            points,
            special_points,
            stopped: [begin, end],
        }
    }

    fn special(&self, kind: Codimension2, y: &[f64]) -> CurveSpecialPoint {
        let n = y.len() - 2;
        CurveSpecialPoint {
            kind,
            parameters: [0, 1].map(|k| self.parameter(k, y[n + k])),
            x: self.split(y).0,
        }
    }

    /// Where the square of the frequency is zero on the straight line through two points.
    fn slowest(&self, before: &At, last: &At) -> CurveSpecialPoint {
        let [w0, w1] = [before, last].map(|q| q.omega * q.omega);
        let share = if w0 > w1 {
            (w1 / (w0 - w1)).min(1.0)
        } else {
            0.0
        };
        let y: Vec<f64> = before
            .y
            .iter()
            .zip(&last.y)
            .map(|(a, b)| b + share * (b - a))
            .collect();
        self.special(Codimension2::BogdanovTakens, &y)
    }

    /// The points of codimension two between two neighboring points of a curve.
    fn between(&self, kind: Bifurcation, a: &At, b: &At) -> Vec<CurveSpecialPoint> {
        let m = a.y.len();
        let eigenvalues = |q: &At| {
            let (x, i_stim, p) = self.split(&q.y);
            let spectrum = spectrum_within(&self.laws, self.system, &x, i_stim, &p, 0);
            // Those that are zero by conservation are last, and tell nothing.
            let mut all = spectrum
                .map(|s| s.eigenvalues[..x.len() - s.neutral].to_vec())
                .unwrap_or_default();
            all.sort_by(|a, b| a.re.abs().total_cmp(&b.re.abs()));
            all
        };
        // The real eigenvalue nearest zero, that of the saddle-node left out.
        let real = |q: &At| {
            let zero = usize::from(kind == Bifurcation::SaddleNode);
            eigenvalues(q)
                .iter()
                .filter(|m| m.im == 0.0)
                .nth(zero)
                .map(|m| m.re)
        };
        let pair = |q: &At| eigenvalues(q).iter().find(|m| m.im > 0.0).map(|m| m.re);
        // Tangents of the part that was followed backwards point from b to a.
        let forward = |q: &At| {
            (0..m)
                .map(|k| q.tangent[k] * (b.y[k] - a.y[k]))
                .sum::<f64>()
                .signum()
        };
        let turn = |q: &At| {
            Some(
                forward(q)
                    * forward(a)
                    * (m - 2..m).map(|k| q.tangent[k] * a.tangent[k]).sum::<f64>(),
            )
        };
        let coefficient = |q: &At| {
            let (x, i_stim, p) = self.split(&q.y);
            normal_form::first_lyapunov_coefficient(
                &self.laws,
                self.system,
                &x,
                i_stim,
                &p,
                q.omega,
                &self.widths(),
            )
        };
        type Test<'t> = (Codimension2, &'t dyn Fn(&At) -> Option<f64>);
        let tests: &[Test] = match kind {
            Bifurcation::SaddleNode => &[
                (Codimension2::Cusp, &turn),
                (Codimension2::BogdanovTakens, &real),
                (Codimension2::FoldHopf, &pair),
            ],
            Bifurcation::Hopf => &[
                (Codimension2::GeneralizedHopf, &coefficient),
                (Codimension2::FoldHopf, &real),
            ],
            _ => &[(Codimension2::FoldHopf, &real)],
        };
        tests
            .iter()
            .filter_map(|(which, test)| Some(self.special(*which, &self.zero(kind, a, b, *test)?)))
            .collect()
    }

    /// Where a test function is zero between two points of a curve; none where it does not change its sign or jumps.
    fn zero(
        &self,
        kind: Bifurcation,
        a: &At,
        b: &At,
        test: &dyn Fn(&At) -> Option<f64>,
    ) -> Option<Vec<f64>> {
        let (first, last) = (test(a)?, test(b)?);
        if first == 0.0 || first * last >= 0.0 {
            return None;
        }
        let chord: Vec<f64> = a.y.iter().zip(&b.y).map(|(a, b)| b - a).collect();
        let length = chord.iter().map(|c| c * c).sum::<f64>().sqrt();
        let along: Vec<f64> = chord.iter().map(|c| c / length).collect();
        let at = |share: f64| {
            let guess: Vec<f64> = a.y.iter().zip(&chord).map(|(y, c)| y + share * c).collect();
            let (y, omega) =
                self.correct(kind, &guess, &along, a.omega + share * (b.omega - a.omega))?;
            let tangent = self.tangent(kind, &y, omega, &along)?;
            Some(At { y, tangent, omega })
        };
        let (mut low, mut high, mut found) = ((0.0, first), (1.0, last), None);
        for k in 0..60 {
            // The secant's share and the middle by turns: fast near a zero, and safe.
            let secant = low.0 - low.1 * (high.0 - low.0) / (high.1 - low.1);
            let share = if k % 2 == 0 {
                secant
            } else {
                0.5 * (low.0 + high.0)
            };
            let Some(q) = at(share) else { break };
            let Some(value) = test(&q) else {
                // So near a Bogdanov-Takens point that rounding makes two eigenvalues complex: nearer than can be told.
                found = Some((q.y, 0.0));
                break;
            };
            found = Some((q.y, value));
            if value == 0.0 || (high.0 - low.0) * length < 1e-11 {
                break;
            }
            if value * first > 0.0 {
                low = (share, value)
            } else {
                high = (share, value)
            }
        }
        // At a jump the values stay as they were.
        found
            .filter(|(_, value)| value.abs() < 1e-3 * first.abs().max(last.abs()))
            .map(|f| f.0)
    }

    fn widths(&self) -> Vec<f64> {
        self.bounds.iter().map(|[low, high]| high - low).collect()
    }

    fn describe(&self, kind: Bifurcation, q: &At) -> CurvePoint {
        let (x, i_stim, p) = self.split(&q.y);
        let n = x.len();
        let hopf = kind == Bifurcation::Hopf;
        let coefficient = hopf
            .then(|| {
                normal_form::first_lyapunov_coefficient(
                    &self.laws,
                    self.system,
                    &x,
                    i_stim,
                    &p,
                    q.omega,
                    &self.widths(),
                )
            })
            .flatten();
        CurvePoint {
            parameters: [0, 1].map(|k| self.parameter(k, q.y[n + k])),
            x,
            frequency: (kind != Bifurcation::SaddleNode).then_some(q.omega),
            first_lyapunov_coefficient: coefficient,
        }
    }

    /// The longest arclength from a point that moves each parameter by a share of its own size, as on branches.
    fn longest(&self, q: &At) -> f64 {
        let n = q.y.len() - 2;
        (0..2).fold(LONGEST, |most, k| {
            let own = match self.over[k] {
                Input::Parameter(index) => self.p[index].abs(),
                Input::Stimulus => self.i_stim.abs(),
            };
            let moves = (q.tangent[n + k] * (self.intervals[k][1] - self.intervals[k][0])).abs();
            let size = self.parameter(k, q.y[n + k]).abs().max(SMALL * own);
            if own == 0.0 {
                most
            } else {
                most.min(LARGEST_SHARE * size / moves)
            }
        })
    }

    /// The border of the plane that a curve meets first on the way along `way` from a point: which parameter, its end, and the share of
    /// the way.
    fn border(&self, from: &[f64], way: &[f64]) -> Option<(usize, f64, f64)> {
        let m = from.len();
        let meets = |k: usize| {
            let end = if way[k] > 0.0 { 1.0 } else { 0.0 };
            let share = (end - from[k]) / way[k];
            (share.is_finite() && share >= 0.0).then_some((k, end, share))
        };
        (m - 2..m)
            .filter_map(meets)
            .min_by(|a, b| a.2.total_cmp(&b.2))
    }

    /// The next point at arclength `h`, or that on the border of the plane where it would be beyond, and whether it is on the border.
    fn step(&self, kind: Bifurcation, here: &At, h: f64) -> Option<(At, bool)> {
        let m = here.y.len();
        let cosine = |t: &[f64]| t.iter().zip(&here.tangent).map(|(a, b)| a * b).sum::<f64>();
        let ahead: Vec<f64> = here
            .y
            .iter()
            .zip(&here.tangent)
            .map(|(y, t)| y + h * t)
            .collect();
        let ordinary = self
            .correct(kind, &ahead, &here.tangent, here.omega)
            .and_then(|(y, omega)| {
                let tangent = self.tangent(kind, &y, omega, &here.tangent)?;
                (cosine(&tangent) > LEAST_COSINE).then_some(At { y, tangent, omega })
            });
        let inside = |y: &[f64]| y[m - 2..].iter().all(|s| (0.0..=1.0).contains(s));
        match ordinary {
            Some(next) if inside(&next.y) => return Some((next, false)),
            None if inside(&ahead) => return None,
            _ => {}
        }
        let beyond = ordinary.map_or(ahead, |q| q.y);
        let way: Vec<f64> = here.y.iter().zip(&beyond).map(|(a, b)| b - a).collect();
        let (k, end, share) = self.border(&here.y, &way)?;
        let mut guess: Vec<f64> = here
            .y
            .iter()
            .zip(&way)
            .map(|(y, w)| y + share * w)
            .collect();
        guess[k] = end;
        let mut across = vec![0.0; m];
        across[k] = 1.0;
        let (mut y, omega) = self.correct(kind, &guess, &across, here.omega)?;
        y[k] = end;
        let near = y
            .iter()
            .zip(&guess)
            .map(|(a, b)| (a - b).powi(2))
            .sum::<f64>()
            .sqrt()
            <= 0.1 * h;
        let tangent = self.tangent(kind, &y, omega, &here.tangent)?;
        (near && inside(&y) && cosine(&tangent) > LEAST_COSINE)
            .then_some((At { y, tangent, omega }, true))
    }

    fn one_way(&self, kind: Bifurcation, first: At) -> (Vec<At>, CurveStop) {
        let m = first.y.len();
        let (mut points, mut h, mut length) = (vec![first.clone()], FIRST, 0.0);
        for _ in 0..MOST_STEPS {
            let here = &points[points.len() - 1];
            h = h.min(self.longest(here));
            let Some((next, landed)) = self.step(kind, here, h) else {
                h *= 0.5;
                let left = self.border(&here.y, &here.tangent);
                if let Some((k, end, _)) = left
                    && (end - here.y[k]).abs() <= NEAREST
                {
                    return (points, CurveStop::SingularEnd);
                }
                if h < left.map_or(SHORTEST, |(_, _, arclength)| SHORTEST.min(0.1 * arclength)) {
                    // Towards a Bogdanov-Takens point the pair becomes real and can no longer be followed.
                    let slow = kind == Bifurcation::Hopf
                        && here.omega < 0.05 * first.omega
                        && points.len() > 1
                        && self.double_zero(here);
                    return (
                        points,
                        if slow {
                            CurveStop::BogdanovTakens
                        } else {
                            CurveStop::NoConvergence
                        },
                    );
                }
                continue;
            };
            if let Some(k) = next.y[..m - 2]
                .iter()
                .position(|z| !(-1e-6..=1.0 + 1e-6).contains(z))
            {
                points.push(next);
                return (
                    points,
                    CurveStop::LeftBox(self.system.spec().variables[k].name.clone()),
                );
            }
            let apart = |a: &[f64], b: &[f64]| {
                a.iter()
                    .zip(b)
                    .map(|(a, b)| (a - b).powi(2))
                    .sum::<f64>()
                    .sqrt()
            };
            let step = apart(&next.y, &here.y);
            length += step;
            let inner = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let closed = length > 4.0 * step
                && apart(&next.y, &first.y) < step
                && inner(&next.tangent, &first.tangent) > 0.9
                && {
                    // The step that ends beside the first point ends on it.
                    let home: Vec<f64> = first.y.iter().zip(&next.y).map(|(a, b)| a - b).collect();
                    let along = inner(&home, &next.tangent);
                    let guess: Vec<f64> = next
                        .y
                        .iter()
                        .zip(&next.tangent)
                        .map(|(y, t)| y + along * t)
                        .collect();
                    let back = self.correct(kind, &guess, &next.tangent, next.omega);
                    back.is_some_and(|(y, _)| apart(&y, &first.y) < 1e-6 + 1e-3 * step)
                };
            points.push(next);
            if landed {
                return (points, CurveStop::EndOfRange);
            }
            if closed {
                return (points, CurveStop::Closed);
            }
            h = (1.3 * h).min(LONGEST);
        }
        (points, CurveStop::TooManySteps)
    }

    /// Whether a point on a curve of Hopf points is next to one with two eigenvalues zero: the pair is the slowest of all, and a saddle-node,
    /// whose Jacobian has one eigenvalue zero, is found beside it.
    fn double_zero(&self, q: &At) -> bool {
        let (x, i_stim, p) = self.split(&q.y);
        let Ok(all) = spectrum_within(&self.laws, self.system, &x, i_stim, &p, 0) else {
            return false;
        };
        let slowest = all
            .eigenvalues
            .iter()
            .map(|m| m.modulus())
            .fold(f64::INFINITY, f64::min);
        if slowest < 0.5 * q.omega {
            return false;
        }
        // Either parameter may be the one along which the saddle-nodes lie.
        let m = q.y.len();
        (m - 2..m).any(|k| {
            let mut across = vec![0.0; m];
            across[k] = 1.0;
            let found = self.correct(Bifurcation::SaddleNode, &q.y, &across, 0.0);
            found.is_some_and(|(y, _)| {
                y.iter()
                    .zip(&q.y)
                    .map(|(a, b)| (a - b).powi(2))
                    .sum::<f64>()
                    .sqrt()
                    < 0.05
            })
        })
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
