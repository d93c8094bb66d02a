//! Systems with known answers.

use ionoscope_dynamics::{
    Result,
    models::sherman_1988::BetaCell,
    real::{Dual, Real},
    spec::{Quantity, Spec},
    system::{DynamicalSystem, Input, Model, Time},
    trajectory::{Experiment, Outcome, SolveOptions, Statistics, Trajectory},
};

pub type Rule = Box<dyn Fn(&[f64], &[f64], &mut [f64]) + Send + Sync>;

/// A rule and its Jacobian, each `(x, p, out)`.
pub struct TestSystem {
    pub spec: Spec,
    pub time: Time,
    pub rule: Rule,
    pub jacobian: Rule,
}

impl TestSystem {
    pub fn new(
        ranges: &[[f64; 2]],
        parameters: usize,
        time: Time,
        rule: Rule,
        jacobian: Rule,
    ) -> Self {
        let q = |k: usize, range| Quantity::new(&format!("x{k}"), "1", "", 0.0, range);
        let spec = Spec {
            id: "test".into(),
            title: String::new(),
            citation: String::new(),
            time_unit: "s".into(),
            stimulus_unit: "1".into(),
            variables: ranges.iter().enumerate().map(|(k, r)| q(k, *r)).collect(),
            parameters: (0..parameters).map(|k| q(k, [-1e9, 1e9])).collect(),
            membrane_potential: None,
            spike_threshold: None,
            presets: Vec::new(),
            trained_on: None,
        };
        TestSystem {
            spec,
            time,
            rule,
            jacobian,
        }
    }

    /// dx/dt = M B M^-1 x with the blocks B on the diagonal (1x1, or the 2x2 of a rotation), or its exact map over dt.
    pub fn linear<const N: usize>(b: &[[f64; N]; N], dt: Option<f64>) -> Self {
        let mut core = *b;
        if let Some(dt) = dt {
            for i in 0..N {
                // exp of [[a, -w], [w, a]] is e^a [[cos w, -sin w], [sin w, cos w]].
                let (a, w) = (
                    b[i][i] * dt,
                    (0..N).filter(|&j| j != i).map(|j| b[i][j]).sum::<f64>() * dt,
                );
                core[i][i] = a.exp() * w.cos();
                for j in (0..N).filter(|&j| j != i && b[i][j] != 0.0) {
                    core[i][j] = a.exp() * w.sin();
                }
            }
        }
        // M = I + strictly upper ones; its inverse has -1 beside the diagonal only when M is bidiagonal, so M is.
        let mut matrix = [[0.0; N]; N];
        for i in 0..N {
            for j in 0..N {
                let left = core[i][j] + if i + 1 < N { core[i + 1][j] } else { 0.0 };
                // Column j of (M B) M^-1 with M^-1 = sum of alternating signs above the diagonal.
                for k in j..N {
                    matrix[i][k] += left * if (k - j) % 2 == 0 { 1.0 } else { -1.0 };
                }
            }
        }
        let time = dt.map_or(Time::Continuous, |dt| Time::Discrete { dt });
        let rule = move |x: &[f64], _: &[f64], out: &mut [f64]| {
            for i in 0..N {
                out[i] = (0..N).map(|j| matrix[i][j] * x[j]).sum();
            }
        };
        let jacobian =
            move |_: &[f64], _: &[f64], out: &mut [f64]| out.copy_from_slice(matrix.as_flattened());
        TestSystem::new(
            &[[-1.0, 1.0]; N],
            0,
            time,
            Box::new(rule),
            Box::new(jacobian),
        )
    }

    /// The flow map of the beta-cell over `dt`, with its exact Jacobian: Runge-Kutta steps in dual numbers.
    pub fn beta_cell_map(model: BetaCell, dt: f64) -> Self {
        let spec = model.definition();
        let model = std::sync::Arc::new(model);
        let other = model.clone();
        let rule = move |x: &[f64], p: &[f64], out: &mut [f64]| {
            out.copy_from_slice(&advance(&model, [x[0], x[1], x[2]], p, dt))
        };
        let jacobian = move |x: &[f64], p: &[f64], out: &mut [f64]| {
            let x: [Dual<f64, 3>; 3] = std::array::from_fn(|i| Dual::variable(x[i], i));
            for (row, d) in out.chunks_exact_mut(3).zip(advance(&other, x, p, dt)) {
                row.copy_from_slice(&d.derivative);
            }
        };
        let mut system = TestSystem::new(
            &[],
            0,
            Time::Discrete { dt },
            Box::new(rule),
            Box::new(jacobian),
        );
        system.spec = spec;
        system
    }
}

fn advance<S: Real>(model: &BetaCell, mut x: [S; 3], p: &[f64], dt: f64) -> [S; 3] {
    let mut q: Vec<S> = p.iter().map(|p| S::constant(*p)).collect();
    model.derive(&mut q);
    let steps = (dt / 2.5e-5).round() as usize;
    let h = dt / steps as f64;
    let f = |x: [S; 3]| {
        let mut dx = [S::constant(0.0); 3];
        model.rhs(&x, S::constant(0.0), &q, &mut dx);
        dx
    };
    let along = |x: [S; 3], h: f64, k: [S; 3]| std::array::from_fn(|i| x[i] + k[i] * h);
    for _ in 0..steps {
        let a = f(x);
        let b = f(along(x, h / 2.0, a));
        let c = f(along(x, h / 2.0, b));
        let d = f(along(x, h, c));
        x = std::array::from_fn(|i| x[i] + (a[i] + b[i] * 2.0 + c[i] * 2.0 + d[i]) * (h / 6.0));
    }
    x
}

impl DynamicalSystem for TestSystem {
    fn spec(&self) -> &Spec {
        &self.spec
    }
    fn time(&self) -> Time {
        self.time
    }
    fn rule(&self, x: &[f64], _: f64, p: &[f64], out: &mut [f64]) {
        (self.rule)(x, p, out);
    }
    fn jacobian(&self, x: &[f64], _: f64, p: &[f64], out: &mut [f64]) {
        (self.jacobian)(x, p, out);
    }
    fn derivative_by(&self, by: Input, x: &[f64], _: f64, p: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        let Input::Parameter(k) = by else { return };
        let (mut up, mut down) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        let shifted = |h: f64| {
            p.iter()
                .enumerate()
                .map(|(j, v)| if j == k { v + h } else { *v })
                .collect::<Vec<f64>>()
        };
        (self.rule)(x, &shifted(1e-5), &mut up);
        (self.rule)(x, &shifted(-1e-5), &mut down);
        for i in 0..x.len() {
            out[i] = (up[i] - down[i]) / 2e-5;
        }
    }
    /// Iterates a map; nothing for a flow.
    fn solve_ensemble(&self, batch: &[Experiment], _: &SolveOptions) -> Result<Vec<Trajectory>> {
        let Time::Discrete { dt } = self.time else {
            return Ok(Vec::new());
        };
        let run = |e: &Experiment| {
            let [first, every] = [e.times.start, e.times.dt].map(|t| (t / dt).round() as usize);
            let count = e.times.count;
            let mut x = e.x0.clone();
            let mut all = Vec::new();
            for k in 0..=first + (count - 1) * every {
                if k >= first && (k - first).is_multiple_of(every) {
                    all.extend_from_slice(&x);
                }
                let old = x.clone();
                self.rule(&old, 0.0, &e.p, &mut x);
            }
            let statistics = Statistics {
                accepted: (first + (count - 1) * every) as u64,
                ..Statistics::default()
            };
            Trajectory {
                times: e.times,
                dimension: self.dimension(),
                x: all,
                outcome: Outcome::Completed,
                statistics,
            }
        };
        Ok(batch.iter().map(run).collect())
    }
}

/// Two uncoupled oscillators that each come to the unit circle, `rate` times as fast as in a unit of time; a torus where `ratio` is
/// irrational. Each is `z' = (1 + i w) z - |z|^2 z`, the Hopf normal form.
pub struct Oscillators;

impl Model for Oscillators {
    fn definition(&self) -> Spec {
        let mut spec = definition("oscillators", 4, [-2.0, 2.0]);
        spec.parameters = vec![
            Quantity::new("rate", "1", "", 1.0, [1e-30, 1e30]),
            Quantity::new("ratio", "1", "", 1.0, [0.0, 1e9]),
        ];
        spec
    }
    fn rhs<S: Real>(&self, x: &[S], _: S, q: &[S], dx: &mut [S]) {
        for (k, frequency) in [S::constant(1.0), q[1]].into_iter().enumerate() {
            let (a, b) = (x[2 * k], x[2 * k + 1]);
            let decay = S::constant(1.0) - a * a - b * b;
            dx[2 * k] = (a * decay - b * frequency) * q[0];
            dx[2 * k + 1] = (b * decay + a * frequency) * q[0];
        }
    }
}

/// x' = x (1 - x) (x - a): stable points at 0 and 1, an unstable one at a; and y' = -y. For a < 0 starts below it escape.
pub struct TwoPoints;

impl Model for TwoPoints {
    fn definition(&self) -> Spec {
        let mut spec = definition("two-points", 2, [-2.0, 2.0]);
        spec.parameters = vec![Quantity::new("a", "1", "", 0.25, [-1.0, 1.0])];
        spec
    }
    fn rhs<S: Real>(&self, x: &[S], _: S, q: &[S], dx: &mut [S]) {
        dx[0] = x[0] * (S::constant(1.0) - x[0]) * (x[0] - q[0]);
        dx[1] = -x[1];
    }
}

/// x' = x^2, y' = -y: from x > 0 away in finite time.
pub struct BlowUp;

impl Model for BlowUp {
    fn definition(&self) -> Spec {
        definition("blow-up", 2, [-2.0, 2.0])
    }
    fn rhs<S: Real>(&self, x: &[S], _: S, _: &[S], dx: &mut [S]) {
        dx[0] = x[0] * x[0];
        dx[1] = -x[1];
    }
}

fn definition(id: &str, variables: usize, range: [f64; 2]) -> Spec {
    let mut spec = TestSystem::new(
        &vec![range; variables],
        0,
        Time::Continuous,
        Box::new(|_, _, _| ()),
        Box::new(|_, _, _| ()),
    )
    .spec;
    spec.id = id.into();
    spec.variables.iter_mut().for_each(|q| q.default = 0.3);
    spec
}
