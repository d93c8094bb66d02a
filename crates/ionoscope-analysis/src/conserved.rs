//! Quantities that a system conserves, and states of one level of them.
//!
//! Where Q(x) stays what it was at the start, w(x) = grad Q is orthogonal to the rule, w(x) . f(x) = 0 at every state. At a fixed point
//! w J = 0 follows: the Jacobian is singular, and fixed points form families with one member on each level of Q. They are isolated on a
//! level, and stability, too, is a question about the level: the eigenvalue that is zero by conservation says nothing.
//!
//! Quantities come from two sources. A system states what its author knows in closed form ([`DynamicalSystem::conserved`]). Linear ones,
//! Q = w . x with constant weights, are found without being told: they are the vectors that are orthogonal to the rule at as many random
//! states as one likes, the null space of a matrix whose rows are the rule at these states.

use faer::{Mat, linalg::solvers::Solve};
use ionoscope_dynamics::{
    sampling::{stream, uniform},
    spec::Conserved,
    system::{DynamicalSystem, Input, Time},
};
use serde::{Deserialize, Serialize};

use crate::residual::residual;

/// Singular values below one of these shares of the largest count as zero where linear quantities are sought: the first with which all
/// candidates stand their check.
const NULL: [f64; 3] = [1e-10, 1e-12, 1e-14];
/// A candidate's sum is checked at further states to this share of its terms. Rounding is some 1e-15 of the largest term of the rule, and
/// terms cancel; what drifts by more is not conserved.
const ORTHOGONAL: f64 = 1e-12;
/// States at which a candidate is checked.
const CHECKS: usize = 24;
/// A weight this near a fraction of small integers is that fraction; what is less than `NOISE` beside the largest is rounding; and no weight
/// is changed by more than the share `COARSE`.
const FRACTION: f64 = 1e-8;
const NOISE: f64 = 1e-13;
const COARSE: f64 = 1e-3;
/// Newton steps to a level, the relative distance at which a state is on it, and where steps bring it no nearer, by rounding.
const MOST_STEPS: usize = 50;
const ON_LEVEL: f64 = 1e-14;
const ROUNDING: f64 = 1e-12;

/// A conserved quantity and the value at which it is held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Name, unit, and what it is.
    #[serde(flatten)]
    pub quantity: Conserved,
    /// Its value at the start, at which it is held.
    pub value: f64,
    /// Whether the system states it; otherwise it was found as a weighted sum of the variables that the rule leaves as it is.
    pub stated: bool,
}

/// The conserved quantities of a system that are known.
#[derive(Clone)]
pub struct Laws<'a> {
    system: &'a dyn DynamicalSystem,
    quantities: Vec<Conserved>,
    /// How many of them the system states; the rest are linear.
    stated: usize,
    /// Weights of each linear one.
    weights: Vec<Vec<f64>>,
}

impl<'a> Laws<'a> {
    /// What the system states.
    pub fn stated(system: &'a dyn DynamicalSystem) -> Self {
        Laws {
            system,
            quantities: system.conserved().to_vec(),
            stated: system.conserved().len(),
            weights: Vec::new(),
        }
    }

    /// What the system states, and linear quantities beyond that, found from the rule at random states of the box `bounds`, with each of
    /// `inputs` (stimulus and parameters): what is conserved under all of them.
    pub fn find(
        system: &'a dyn DynamicalSystem,
        inputs: &[(f64, Vec<f64>)],
        bounds: &[[f64; 2]],
    ) -> Self {
        let mut laws = Laws::stated(system);
        let Some((_, p)) = inputs.first() else {
            return laws;
        };
        let n = system.dimension();
        let mut random = stream(1, "conserved quantities", 0);
        let mut sample = |count: usize| -> Vec<Vec<f64>> {
            let rows = (0..count).map(|k| {
                let x: Vec<f64> = bounds.iter().map(|b| uniform(&mut random, *b)).collect();
                let (i_stim, p) = &inputs[k % inputs.len()];
                let mut f = vec![0.0; n];
                residual(system, &x, *i_stim, p, &mut f);
                f
            });
            rows.filter(|f| f.iter().all(|v| v.is_finite())).collect()
        };
        let middle: Vec<f64> = bounds
            .iter()
            .map(|[low, high]| low + 0.5 * (high - low))
            .collect();
        let mut span: Vec<Vec<f64>> = laws
            .gradients(&middle, p)
            .chunks_exact(n.max(1))
            .map(<[f64]>::to_vec)
            .collect();
        let width: Vec<f64> = bounds.iter().map(|[low, high]| high - low).collect();
        let rows = sample(2 * n + 8 * inputs.len());
        if rows.len() <= n {
            return laws;
        }
        let checks = sample(CHECKS * inputs.len());
        // Of a map the residual is a difference of states, with their rounding.
        let rounded = if system.time() == Time::Continuous {
            0.0
        } else {
            1e-3
        };
        let size = |(f, x): (&f64, &[f64; 2])| f.abs() + rounded * (x[0].abs() + x[1].abs());
        let holds = |weights: &Vec<f64>| {
            checks.iter().all(|f| {
                let sum: f64 = weights.iter().zip(f).map(|(w, f)| w * f).sum();
                let terms: f64 = weights
                    .iter()
                    .zip(f.iter().zip(bounds))
                    .map(|(w, pair)| w.abs() * size(pair))
                    .sum();
                sum.abs() <= ORTHOGONAL * terms
            })
        };
        let candidates = NULL
            .iter()
            .map(|share| orthogonal_to(&rows, &width, *share))
            .find(|all| all.iter().all(holds));
        for weights in candidates.unwrap_or_default() {
            if independent(&span, &weights, &width) {
                let names: Vec<&str> = system
                    .spec()
                    .variables
                    .iter()
                    .map(|q| q.name.as_str())
                    .collect();
                laws.quantities.push(Conserved::new(
                    &sum_of(&names, &weights),
                    &unit_of(system, &weights),
                    "a sum that the rule leaves as it is",
                ));
                span.push(weights.clone());
                laws.weights.push(weights);
            }
        }
        laws
    }

    /// Number of quantities.
    pub fn len(&self) -> usize {
        self.quantities.len()
    }

    /// Whether nothing is conserved, as far as is known.
    pub fn is_empty(&self) -> bool {
        self.quantities.is_empty()
    }

    /// Values at a state.
    pub fn values(&self, x: &[f64], p: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.stated];
        self.system.conserved_values(x, p, &mut out);
        out.extend(
            self.weights
                .iter()
                .map(|w| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>()),
        );
        out
    }

    /// Derivatives by the state, `[quantity][variable]`.
    pub fn gradients(&self, x: &[f64], p: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.stated * x.len()];
        self.system.conserved_gradients(x, p, &mut out);
        self.weights.iter().for_each(|w| out.extend_from_slice(w));
        out
    }

    /// Derivatives by a parameter or the stimulus.
    pub fn by(&self, by: Input, x: &[f64], p: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.stated];
        self.system.conserved_by(by, x, p, &mut out);
        out.resize(self.len(), 0.0);
        out
    }

    /// The quantities with their values at a start.
    pub fn held(&self, start: &[f64], p: &[f64]) -> Vec<Held> {
        let values = self.values(start, p);
        let all = self.quantities.iter().zip(values).enumerate();
        all.map(|(k, (q, value))| Held {
            quantity: q.clone(),
            value,
            stated: k < self.stated,
        })
        .collect()
    }

    /// The state nearest to `x`, in variables measured by the widths of `bounds`, whose quantities have the values `level`; variables stay
    /// inside `bounds`, or where they are if that is outside. `None` where no such state is found.
    pub fn move_to(
        &self,
        x: &[f64],
        p: &[f64],
        level: &[f64],
        bounds: &[[f64; 2]],
    ) -> Option<Vec<f64>> {
        let (n, k) = (x.len(), self.len());
        let mut y = x.to_vec();
        let mut free: Vec<bool> = bounds.iter().map(|[low, high]| high > low).collect();
        let limits: Vec<[f64; 2]> = bounds
            .iter()
            .zip(x)
            .map(|([low, high], x)| [low.min(*x), high.max(*x)])
            .collect();
        let mut before = f64::INFINITY;
        for _ in 0..MOST_STEPS {
            let (values, w) = (self.values(&y, p), self.gradients(&y, p));
            let size = |a: usize| {
                (0..n)
                    .map(|j| (w[a * n + j] * y[j]).abs())
                    .sum::<f64>()
                    .max(level[a].abs())
                    .max(f64::MIN_POSITIVE)
            };
            let off = (0..k)
                .map(|a| (level[a] - values[a]).abs() / size(a))
                .fold(0.0, f64::max);
            if off <= ON_LEVEL || (off <= ROUNDING && off >= 0.5 * before) {
                return y.iter().all(|v| v.is_finite()).then_some(y);
            }
            before = off;
            // d = S^2 W' (W S^2 W')^-1 (level - Q), S the widths of what is free.
            let scaled = |a: usize, j: usize| {
                if free[j] {
                    w[a * n + j] * (bounds[j][1] - bounds[j][0])
                } else {
                    0.0
                }
            };
            let gram = Mat::from_fn(k, k, |a, b| {
                (0..n).map(|j| scaled(a, j) * scaled(b, j)).sum::<f64>()
            });
            let share = gram
                .partial_piv_lu()
                .solve(Mat::from_fn(k, 1, |a, _| level[a] - values[a]));
            let step = |j: usize| {
                (0..k).map(|a| scaled(a, j) * share[(a, 0)]).sum::<f64>()
                    * (bounds[j][1] - bounds[j][0])
            };
            let moved: Vec<f64> = (0..n)
                .map(|j| if free[j] { y[j] + step(j) } else { y[j] })
                .collect();
            if moved.iter().any(|v| !v.is_finite()) {
                return None;
            }
            for j in 0..n {
                let [low, high] = limits[j];
                y[j] = moved[j].clamp(low, high);
                free[j] &= y[j] == moved[j];
            }
        }
        None
    }
}

/// A basis, with many zeros, of the vectors orthogonal to all `rows`, up to `share` of the largest singular value. `width` measures the
/// variables.
fn orthogonal_to(rows: &[Vec<f64>], width: &[f64], share: f64) -> Vec<Vec<f64>> {
    let n = width.len();
    // Rows and columns of size one: the rule's entries differ by many orders of magnitude, between variables and between states.
    let sized: Vec<f64> = rows
        .iter()
        .map(|f| {
            f.iter()
                .zip(width)
                .map(|(f, w)| (f / w).abs())
                .fold(f64::MIN_POSITIVE, f64::max)
        })
        .collect();
    let column: Vec<f64> = (0..n)
        .map(|j| {
            let size = rows
                .iter()
                .zip(&sized)
                .map(|(f, s)| (f[j] / s).powi(2))
                .sum::<f64>()
                .sqrt();
            if size > 0.0 { size } else { width[j] }
        })
        .collect();
    let Ok(svd) = Mat::from_fn(rows.len(), n, |i, j| rows[i][j] / sized[i] / column[j]).thin_svd()
    else {
        return Vec::new();
    };
    let (values, v) = (svd.S().column_vector(), svd.V());
    let mut basis: Vec<Vec<f64>> = (0..n)
        .filter(|k| values[*k] <= share * values[0])
        .map(|k| (0..n).map(|j| v[(j, k)]).collect())
        .collect();
    // Elimination with the largest pivots gives each vector a variable of its own, and zeros.
    let mut pivots = Vec::new();
    for k in 0..basis.len() {
        let pivot = |j: &usize| basis[k][*j].abs();
        let Some(j) = (0..n).max_by(|a, b| pivot(a).total_cmp(&pivot(b))) else {
            return Vec::new();
        };
        pivots.push(j);
        let lead = basis[k][j];
        basis[k].iter_mut().for_each(|v| *v /= lead);
        let row = basis[k].clone();
        for (i, other) in basis.iter_mut().enumerate() {
            let share = other[j];
            if i != k {
                other
                    .iter_mut()
                    .zip(&row)
                    .for_each(|(o, r)| *o -= share * r);
            }
        }
    }
    // Weights are known to the rounding of the pivot's, 1: those of a variable that hardly moves to few digits, which fractions give back.
    for (w, pivot) in basis.iter_mut().zip(&pivots) {
        for (v, size) in w.iter_mut().zip(&column) {
            let near = (FRACTION + NOISE / v.abs()).min(COARSE);
            *v = if v.abs() < NOISE {
                0.0
            } else {
                fraction(*v * column[*pivot] / size, near)
            };
        }
        let largest = w
            .iter()
            .fold(0.0f64, |m, v| if v.abs() > m.abs() { *v } else { m });
        w.iter_mut().for_each(|v| *v /= largest);
    }
    basis
}

/// The fraction of small integers that a weight is, up to the share `near` of it, or the weight.
fn fraction(w: f64, near: f64) -> f64 {
    (1..=12)
        .map(f64::from)
        .map(|q| (w * q).round() / q)
        .find(|f| (f - w).abs() < near * w.abs())
        .unwrap_or(w)
}

/// Whether a vector is none of those that `span` spans.
fn independent(span: &[Vec<f64>], vector: &[f64], width: &[f64]) -> bool {
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let mut left = 0.0;
    for v in span.iter().map(Vec::as_slice).chain([vector]) {
        let mut v: Vec<f64> = v.iter().zip(width).map(|(v, w)| v * w).collect();
        let size = v.iter().map(|v| v * v).sum::<f64>().sqrt();
        for b in &basis {
            let along: f64 = v.iter().zip(b).map(|(v, b)| v * b).sum();
            v.iter_mut().zip(b).for_each(|(v, b)| *v -= along * b);
        }
        left = v.iter().map(|v| v * v).sum::<f64>().sqrt();
        // Not finite counts as nothing left.
        if left.is_nan() || left <= 1e-6 * size {
            left = 0.0;
            continue;
        }
        v.iter_mut().for_each(|v| *v /= left);
        basis.push(v);
    }
    left > 0.0
}

/// `a + 2 b - c`, for people.
fn sum_of(names: &[&str], weights: &[f64]) -> String {
    let mut text = String::new();
    for (name, w) in names.iter().zip(weights).filter(|(_, w)| **w != 0.0) {
        let sign = match (text.is_empty(), *w < 0.0) {
            (true, false) => "",
            (true, true) => "-",
            (false, false) => " + ",
            (false, true) => " - ",
        };
        let factor = if w.abs() == 1.0 {
            String::new()
        } else {
            format!("{} ", (w.abs() * 1e6).round() / 1e6)
        };
        text = format!("{text}{sign}{factor}{name}");
    }
    text
}

/// The unit of the variable with the largest weight, that of the sum.
fn unit_of(system: &dyn DynamicalSystem, weights: &[f64]) -> String {
    let largest = (0..weights.len())
        .find(|j| weights[*j].abs() == 1.0)
        .unwrap_or(0);
    system.spec().variables[largest].unit.clone()
}

#[cfg(test)]
mod tests {
    use ionoscope_dynamics::models;

    use super::*;
    use crate::testing::TestSystem;

    fn found(system: &dyn DynamicalSystem) -> Laws<'_> {
        let bounds: Vec<[f64; 2]> = system.spec().variables.iter().map(|q| q.range).collect();
        Laws::find(
            system,
            &[(0.0, system.spec().default_parameters())],
            &bounds,
        )
    }

    #[test]
    fn the_models_conserve_what_they_state_and_nothing_linear() {
        for model in models::all() {
            let laws = found(&*model);
            let charge = ["ten-tusscher-panfilov-2006", "ohara-rudy-2011"]
                .contains(&model.spec().id.as_str());
            assert_eq!(
                laws.len(),
                usize::from(charge),
                "{}: {:?}",
                model.spec().id,
                laws.quantities
            );
            assert!(
                laws.held(
                    &model.spec().default_state(),
                    &model.spec().default_parameters()
                )
                .iter()
                .all(|h| h.stated)
            );
        }
    }

    #[test]
    fn linear_quantities_are_found_and_named() {
        // A + B <-> C -> D and a variable of its own: A + C + D and B + C + D stay, x5 decays.
        let rates = |x: &[f64], out: &mut [f64]| {
            let (bind, turn) = (2e3 * x[0] * x[1] - 0.3 * x[2], 1e-4 * x[2]);
            out.copy_from_slice(&[-bind, -bind, bind - turn, turn, -x[4]]);
        };
        let flow = TestSystem::new(
            &[
                [0.0, 1.0],
                [0.0, 2.0],
                [0.0, 1e-3],
                [0.0, 50.0],
                [-1.0, 1.0],
            ],
            0,
            Time::Continuous,
            Box::new(move |x, _, out| rates(x, out)),
            Box::new(|_, _, _| {}),
        );
        let laws = found(&flow);
        assert_eq!(laws.len(), 2, "{:?}", laws.quantities);
        // Whatever the basis: each is a sum of A + C + D and B + C + D.
        for w in &laws.weights {
            assert!(
                (w[2] - w[0] - w[1]).abs() < 1e-12 && (w[3] - w[2]).abs() < 1e-12 && w[4] == 0.0,
                "{w:?}"
            );
        }
        assert_eq!(laws.held(&[0.5, 0.25, 0.0, 0.0, 0.0], &[]).len(), 2);
        // The Euler map of it, and three times one variable and a third of another.
        let map = TestSystem::new(
            &[[0.0, 1.0], [0.0, 2.0], [0.0, 1.0]],
            0,
            Time::Discrete { dt: 0.1 },
            Box::new(|x, _, out| {
                let rate = 0.1 * (x[0] * x[0] - x[1]);
                out.copy_from_slice(&[x[0] - rate, x[1] + 3.0 * rate, x[2] + 0.1 * (x[0] - x[2])]);
            }),
            Box::new(|_, _, _| {}),
        );
        let laws = found(&map);
        assert_eq!(
            laws.quantities
                .iter()
                .map(|q| q.name.as_str())
                .collect::<Vec<_>>(),
            ["x0 + 0.333333 x1"]
        );
        // A variable that never moves is conserved itself; a sum that moves a little is not.
        let still = TestSystem::new(
            &[[-1.0, 1.0]; 3],
            0,
            Time::Continuous,
            Box::new(|x, _, out| {
                out.copy_from_slice(&[0.0, x[2] - x[1], x[1] - x[2] + 1e-6 * x[0]])
            }),
            Box::new(|_, _, _| {}),
        );
        assert_eq!(
            found(&still)
                .quantities
                .iter()
                .map(|q| q.name.as_str())
                .collect::<Vec<_>>(),
            ["x0"]
        );
    }

    #[test]
    fn states_move_to_a_level_by_little_and_stay_in_the_box() {
        for id in ["ten-tusscher-panfilov-2006", "ohara-rudy-2011"] {
            let cell = models::find(id).unwrap();
            let (laws, p) = (Laws::stated(&*cell), cell.spec().default_parameters());
            let bounds: Vec<[f64; 2]> = cell.spec().variables.iter().map(|q| q.range).collect();
            let level = laws.values(&cell.spec().default_state(), &p);
            let mut random = stream(3, "level", 0);
            for _ in 0..200 {
                let x: Vec<f64> = bounds.iter().map(|b| uniform(&mut random, *b)).collect();
                let moved = laws.move_to(&x, &p, &level, &bounds).unwrap();
                assert!((laws.values(&moved, &p)[0] - level[0]).abs() < 1e-11 * level[0]);
                assert!(
                    moved
                        .iter()
                        .zip(&bounds)
                        .all(|(x, [low, high])| (low..=high).contains(&x)),
                    "{moved:?}"
                );
                // Moving along no other direction is shorter: the step is along the scaled gradient, but for what met its border.
                let w = laws.gradients(&moved, &p);
                let k = cell.spec().variable_index("k_i").unwrap();
                let width = |j: usize| bounds[j][1] - bounds[j][0];
                let share = |j: usize| (moved[j] - x[j]) / (w[j] * width(j).powi(2));
                let na = cell.spec().variable_index("na_i").unwrap();
                let free = |j: usize| moved[j] > bounds[j][0] && moved[j] < bounds[j][1];
                if free(k) && free(na) {
                    assert!(
                        (share(k) / share(na) - 1.0).abs() < 1e-6,
                        "{} {}",
                        share(k),
                        share(na)
                    );
                }
            }
            // Nothing to move: the state itself.
            let x = cell.spec().default_state();
            assert_eq!(laws.move_to(&x, &p, &level, &bounds).unwrap(), x);
            assert!(laws.move_to(&x, &p, &[1e9], &bounds).is_none());
        }
    }
}
