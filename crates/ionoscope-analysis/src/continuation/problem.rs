//! The equations of a branch of fixed points: scaled, with Newton corrections and the tangent at a point.

use faer::{Mat, linalg::solvers::Solve};
use ionoscope_dynamics::system::{DynamicalSystem, Input};

use super::answer::BranchPoint;
use crate::{
    Error, Result,
    conserved::Laws,
    newton,
    residual::{residual, residual_jacobian},
    spectrum::{Complex, spectrum_within},
};

/// Share of its own size by which a step may move the parameter, and the size, in units of the value where it is not varied, below which
/// it counts as that.
pub const LARGEST_SHARE: f64 = 0.05;
pub const SMALL: f64 = 0.1;
/// How far outside the box, in its units, a branch may go.
const MARGIN: f64 = 1e-6;
/// Newton corrections a step, and their length at which they end.
const MOST_CORRECTIONS: usize = 8;
const CONVERGED: f64 = 1e-12;
const ROUNDING: f64 = 1e-9;
/// Least cosine of the angle by which the tangent may turn in a step.
pub const LEAST_COSINE: f64 = 0.995;

/// Fixed points over a parameter: y = (state, parameter), each scaled to its range.
pub struct Problem<'a> {
    pub system: &'a dyn DynamicalSystem,
    i_stim: f64,
    p: &'a [f64],
    pub over: Input,
    interval: [f64; 2],
    low: Vec<f64>,
    pub width: Vec<f64>,
    /// What is conserved all over the interval.
    pub laws: Laws<'a>,
    /// The state whose level is that of the branches.
    pub start: Vec<f64>,
}

/// A point, the unit tangent there, and what tells bifurcations.
#[derive(Clone)]
pub struct Traced {
    pub y: Vec<f64>,
    pub tangent: Vec<f64>,
    /// Determinant of the Jacobian bordered by the tangent, or its sign where it is beyond all numbers.
    pub orientation: f64,
    pub eigenvalues: Vec<Complex>,
}

impl Traced {
    pub fn unstable(&self) -> usize {
        self.eigenvalues.iter().filter(|m| m.re > 0.0).count()
    }

    pub fn s(&self) -> f64 {
        self.y[self.y.len() - 1]
    }
}

pub fn norm(a: &[f64]) -> f64 {
    a.iter().map(|v| v * v).sum::<f64>().sqrt()
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl<'a> Problem<'a> {
    pub fn new(
        system: &'a dyn DynamicalSystem,
        i_stim: f64,
        p: &'a [f64],
        over: Input,
        interval: [f64; 2],
        bounds: Option<&[[f64; 2]]>,
    ) -> Result<Self> {
        let spec = system.spec();
        if p.len() != spec.parameters.len() {
            return Err(Error::Invalid(format!(
                "{} parameters; {} has {}",
                p.len(),
                spec.id,
                spec.parameters.len()
            )));
        }
        let ranges: Vec<[f64; 2]> = bounds.map_or_else(
            || spec.variables.iter().map(|q| q.range).collect(),
            <[_]>::to_vec,
        );
        if ranges.len() != spec.variables.len() {
            return Err(Error::Invalid(format!(
                "the box has {} sides; {} has {} variables",
                ranges.len(),
                spec.id,
                spec.variables.len()
            )));
        }
        let width = ranges.iter().map(|r| r[1] - r[0]).collect();
        let low = ranges.iter().map(|r| r[0]).collect();
        let mut problem = Problem {
            system,
            i_stim,
            p,
            over,
            interval,
            low,
            width,
            laws: Laws::stated(system),
            start: spec.default_state(),
        };
        problem.laws = Laws::find(
            system,
            &[0.0, 0.487, 1.0].map(|s| problem.inputs(s)),
            &ranges,
        );
        Ok(problem)
    }

    /// With another start than the default one.
    pub fn held_at(self, start: Option<&[f64]>) -> Result<Self> {
        let Some(start) = start else { return Ok(self) };
        let (n, id) = (self.width.len(), &self.system.spec().id);
        if start.len() != n || start.iter().any(|v| !v.is_finite()) {
            return Err(Error::Invalid(format!(
                "the start {start:?}; expected {n} finite numbers for {id}"
            )));
        }
        Ok(Problem {
            start: start.to_vec(),
            ..self
        })
    }

    /// Length of the parameter's interval, with its sign.
    pub fn span(&self) -> f64 {
        self.interval[1] - self.interval[0]
    }

    /// The parameter at its scaled value `s`.
    pub fn value(&self, s: f64) -> f64 {
        // The ends exactly.
        let [from, to] = self.interval;
        if s == 1.0 { to } else { from + s * (to - from) }
    }

    /// What is varied where it is not varied.
    pub fn own(&self) -> f64 {
        match self.over {
            Input::Parameter(k) => self.p[k],
            Input::Stimulus => self.i_stim,
        }
    }

    /// Whether the model is defined at a scaled value of the parameter, as far as its range says.
    pub fn defined(&self, s: f64) -> bool {
        match self.over {
            Input::Parameter(k) => {
                let [low, high] = self.system.spec().parameters[k].range;
                (low..=high).contains(&self.value(s))
            }
            Input::Stimulus => true,
        }
    }

    /// Size of the parameter at a scaled value of it, for what is small beside it. With no value of its own to measure by, where it is
    /// zero, that is the length of the interval.
    pub fn size(&self, s: f64) -> f64 {
        let own = self.own().abs();
        if own == 0.0 {
            self.span().abs()
        } else {
            self.value(s).abs().max(SMALL * own)
        }
    }

    /// The longest arclength that may be gone from the scaled value `s` with the component `slope` of the tangent, `most` at most: see
    /// [`LARGEST_SHARE`].
    pub fn longest(&self, s: f64, slope: f64, most: f64) -> f64 {
        (LARGEST_SHARE * self.size(s) / (self.span() * slope).abs()).min(most)
    }

    /// Stimulus and parameters at a scaled value of what is varied.
    pub fn inputs(&self, s: f64) -> (f64, Vec<f64>) {
        let mut p = self.p.to_vec();
        match self.over {
            Input::Parameter(k) => p[k] = self.value(s),
            Input::Stimulus => return (self.value(s), p),
        }
        (self.i_stim, p)
    }

    pub fn scaled(&self, x: &[f64], s: f64) -> Vec<f64> {
        x.iter()
            .zip(&self.low)
            .zip(&self.width)
            .map(|((x, l), w)| (x - l) / w)
            .chain([s])
            .collect()
    }

    /// The state, in the model's units.
    pub fn state(&self, y: &[f64]) -> Vec<f64> {
        y.iter()
            .zip(&self.low)
            .zip(&self.width)
            .map(|((y, l), w)| l + w * y)
            .collect()
    }

    /// Scaled distance between two points.
    pub fn apart(&self, (a, pa): (&[f64], f64), (b, pb): (&[f64], f64)) -> f64 {
        let sum: f64 = a
            .iter()
            .zip(b)
            .zip(&self.width)
            .map(|((a, b), w)| ((a - b) / w).powi(2))
            .sum();
        (sum + ((pa - pb) / self.span()).powi(2)).sqrt()
    }

    /// What is said of a point.
    pub fn point(&self, y: &[f64]) -> Result<BranchPoint> {
        let (s, x) = (y[y.len() - 1], self.state(y));
        let (i_stim, p) = self.inputs(s);
        let spectrum = spectrum_within(&self.laws, self.system, &x, i_stim, &p, 0)?;
        let extrapolated = self.system.spec().extrapolates(&x, &p);
        Ok(BranchPoint {
            parameter: self.value(s),
            x,
            eigenvalues: spectrum.eigenvalues,
            stable: spectrum.stable,
            extrapolated,
        })
    }

    /// Residual and its Jacobian by y, bordered from below by `border`, and where quantities are conserved by their level, with as many more
    /// unknowns (see [`newton`](crate::newton)); y is the first unknowns.
    pub fn bordered(&self, y: &[f64], border: &[f64]) -> (Vec<f64>, Mat<f64>) {
        let n = y.len() - 1;
        let x = self.state(y);
        let (i_stim, p) = self.inputs(y[n]);
        let (mut f, mut jacobian, mut by) = (vec![0.0; n], vec![0.0; n * n], vec![0.0; n]);
        residual(self.system, &x, i_stim, &p, &mut f);
        residual_jacobian(self.system, &x, i_stim, &p, &mut jacobian);
        self.system
            .derivative_by(self.over, &x, i_stim, &p, &mut by);
        let span = self.span();
        if !self.laws.is_empty() {
            return self.on_level(y, border, (f, jacobian, by));
        }
        let rows: Vec<f64> = (0..n)
            .map(|i| {
                (0..n)
                    .map(|j| (jacobian[i * n + j] * self.width[j]).abs())
                    .fold((by[i] * span).abs(), f64::max)
                    .max(f64::MIN_POSITIVE)
            })
            .collect();
        let matrix = Mat::from_fn(n + 1, n + 1, |i, j| match (i < n, j < n) {
            (true, true) => jacobian[i * n + j] * self.width[j] / rows[i],
            (true, false) => by[i] * span / rows[i],
            (false, _) => border[j],
        });
        f.iter_mut().zip(&rows).for_each(|(f, row)| *f /= row);
        (f, matrix)
    }

    /// As [`Problem::bordered`] on the level of the start, from the residual and its derivatives by state and parameter.
    pub fn on_level(
        &self,
        y: &[f64],
        border: &[f64],
        (f, jacobian, by): (Vec<f64>, Vec<f64>, Vec<f64>),
    ) -> (Vec<f64>, Mat<f64>) {
        let (n, k) = (y.len() - 1, self.laws.len());
        let x = self.state(y);
        let (_, p) = self.inputs(y[n]);
        let w = self.laws.gradients(&x, &p);
        let by_scaled = |all: &[f64]| {
            all.iter()
                .enumerate()
                .map(|(e, v)| v * self.width[e % n])
                .collect::<Vec<f64>>()
        };
        let inner = newton::bordered(&by_scaled(&jacobian), &by_scaled(&w), &w, n);
        let [level, value] =
            [&self.start, &x].map(|x| (self.laws.values(x, &p), self.laws.by(self.over, x, &p)));
        let off: Vec<f64> = (0..k).map(|a| value.0[a] - level.0[a]).collect();
        let by: Vec<f64> = by
            .into_iter()
            .chain((0..k).map(|a| value.1[a] - level.1[a]))
            .map(|v| v * self.span())
            .collect();
        // Unknowns: state, parameter, then what borders the state.
        let size: Vec<f64> = (0..n + k).map(|i| inner.rows[i].max(by[i].abs())).collect();
        let matrix = Mat::from_fn(n + k + 1, n + k + 1, |i, j| {
            let row = |i: usize| match j {
                j if j < n => inner.matrix[(i, j)] * inner.rows[i] / size[i],
                j if j == n => by[i] / size[i],
                _ => inner.matrix[(i, j - 1)] * inner.rows[i] / size[i],
            };
            // The border stays below the residual, as without conserved quantities.
            match i {
                i if i < n => row(i),
                i if i == n => border.get(j).copied().unwrap_or(0.0),
                _ => row(i - 1),
            }
        });
        let mut f: Vec<f64> = f.iter().zip(&size).map(|(f, s)| f / s).collect();
        f.extend(off.iter().zip(&size[n..]).map(|(f, s)| f / s));
        (f, matrix)
    }

    /// Unknowns of the bordered system for a right-hand side: minus the residual, `across` in the border's row.
    pub fn solve(matrix: &Mat<f64>, f: Option<&[f64]>, across: f64, n: usize) -> Vec<f64> {
        let rhs = |i: usize| match i {
            i if i == n => across,
            i => f.map_or(0.0, |f| -f[if i < n { i } else { i - 1 }]),
        };
        let solution = matrix
            .partial_piv_lu()
            .solve(Mat::from_fn(matrix.nrows(), 1, |i, _| rhs(i)));
        solution.col(0).iter().take(n + 1).copied().collect()
    }

    /// Newton corrections from `y` in the plane across `tangent` through it; none where they do not converge.
    pub fn correct(&self, y: &[f64], tangent: &[f64]) -> Option<(Vec<f64>, usize)> {
        let n = y.len() - 1;
        let (mut z, mut before) = (y.to_vec(), f64::INFINITY);
        for k in 0..MOST_CORRECTIONS {
            let (f, matrix) = self.bordered(&z, tangent);
            let off: f64 = (0..=n).map(|i| tangent[i] * (z[i] - y[i])).sum();
            let step = Self::solve(&matrix, Some(&f), -off, n);
            let length = norm(&step);
            if !length.is_finite() || length > 0.5 {
                return None;
            }
            z.iter_mut().zip(&step).for_each(|(z, d)| *z += d);
            if length < CONVERGED || (length < ROUNDING && length > 0.5 * before) {
                return Some((z, k + 1));
            }
            before = length;
        }
        None
    }

    /// Tangent, in the direction of `along`, and eigenvalues at a point of the branch.
    pub fn traced(&self, y: Vec<f64>, along: &[f64]) -> Option<Traced> {
        let n = y.len() - 1;
        let (_, matrix) = self.bordered(&y, along);
        let mut tangent = Self::solve(&matrix, None, 1.0, n);
        let length = norm(&tangent);
        if !(length > 0.0 && length.is_finite()) {
            return None;
        }
        tangent.iter_mut().for_each(|t| *t /= length);
        let determinant = self.bordered(&y, &tangent).1.determinant();
        let orientation = if determinant.is_normal() {
            determinant
        } else {
            determinant.signum()
        };
        let (i_stim, p) = self.inputs(y[n]);
        let eigenvalues = spectrum_within(&self.laws, self.system, &self.state(&y), i_stim, &p, 0)
            .ok()?
            .eigenvalues;
        Some(Traced {
            y,
            tangent,
            orientation,
            eigenvalues,
        })
    }

    /// The point of the branch at arclength `h` along the tangent of another.
    pub fn at(&self, from: &Traced, h: f64) -> Option<(Traced, usize)> {
        let guess: Vec<f64> = from
            .y
            .iter()
            .zip(&from.tangent)
            .map(|(y, t)| y + h * t)
            .collect();
        let (y, corrections) = self.correct(&guess, &from.tangent)?;
        Some((self.traced(y, &from.tangent)?, corrections))
    }

    /// The variable that is outside the box, and the face of the box on that side.
    pub fn outside(&self, y: &[f64]) -> Option<(usize, f64)> {
        let k = y[..y.len() - 1]
            .iter()
            .position(|v| !(-MARGIN..=1.0 + MARGIN).contains(v))?;
        Some((k, if y[k] < 0.0 { -MARGIN } else { 1.0 + MARGIN }))
    }
}

pub fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}
