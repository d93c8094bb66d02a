//! A [`Model`] as a [`DynamicalSystem`]: `f64` for the rule, dual numbers for its Jacobian, lanes for ensembles.

use std::sync::OnceLock;

use crate::{
    Result,
    curve::Curve,
    program::recording,
    real::{Dual, Real},
    solve::{self, rosenbrock::Plan},
    spec::{Conserved, Spec},
    system::{DynamicalSystem, Input, Model, Time, check_batch},
    trajectory::{Experiment, SolveOptions, Trajectory},
};

/// A model with `D` state variables and `P` parameters. Its explicit method runs over groups of `W` lanes, which is compiled for each
/// model; from some twenty variables on that takes the compiler minutes and gains nothing: take 1.
pub struct Ode<M, const D: usize, const P: usize, const W: usize = 16> {
    model: M,
    spec: Spec,
    conserved: Vec<Conserved>,
    /// The stiff method's plan, made when it is first wanted.
    plan: OnceLock<Plan>,
}

impl<M: Model, const D: usize, const P: usize, const W: usize> Ode<M, D, P, W> {
    /// Wraps a model.
    ///
    /// # Panics
    /// When its definition does not have `D` variables and `P` parameters.
    pub fn new(model: M) -> Self {
        let spec = model.definition();
        assert_eq!(
            (spec.variables.len(), spec.parameters.len()),
            (D, P),
            "sizes of {}",
            spec.id
        );
        Ode {
            conserved: model.conserved(),
            model,
            spec,
            plan: OnceLock::new(),
        }
    }

    fn plan(&self) -> &Plan {
        self.plan
            .get_or_init(|| Plan::new(recording::<M, D>(&self.model, P)))
    }

    fn terms<S: Real>(&self, p: &[f64]) -> [S; P] {
        assert_eq!(p.len(), P, "parameters of {}", self.spec.id);
        let mut q = std::array::from_fn(|i| S::constant(p[i]));
        self.model.derive(&mut q);
        q
    }
}

impl<M: Model, const D: usize, const P: usize, const W: usize> DynamicalSystem for Ode<M, D, P, W> {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn time(&self) -> Time {
        Time::Continuous
    }

    fn rule(&self, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]) {
        assert_eq!(
            (x.len(), out.len()),
            (D, D),
            "variables of {}",
            self.spec.id
        );
        self.model.rhs::<f64>(x, i_stim, &self.terms(p), out);
    }

    fn rules(&self, x: &[f64], i_stim: &[f64], p: &[f64], out: &mut [f64]) {
        assert!(
            x.len() == out.len() && x.len().is_multiple_of(D),
            "variables of {}",
            self.spec.id
        );
        solve::many::rules(
            &self.plan().recording,
            x,
            i_stim,
            &self.terms::<f64>(p),
            out,
        );
    }

    fn jacobian(&self, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]) {
        assert_eq!(
            (x.len(), out.len()),
            (D, D * D),
            "variables of {}",
            self.spec.id
        );
        let recording = &self.plan().recording;
        let all = recording
            .linearized
            .evaluate([x, &[i_stim], &self.terms::<f64>(p)]);
        out.fill(0.0);
        for ((row, column), entry) in recording.entries.iter().zip(&all[D..]) {
            out[usize::from(*row) * D + usize::from(*column)] = *entry;
        }
    }

    fn derivative_by(&self, by: Input, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]) {
        assert_eq!(
            (x.len(), out.len(), p.len()),
            (D, D, P),
            "variables and parameters of {}",
            self.spec.id
        );
        let mut q: [Dual<f64, 1>; P] = std::array::from_fn(|k| Dual::fixed(p[k]));
        let mut i_stim = Dual::fixed(i_stim);
        match by {
            Input::Parameter(k) => q[k] = Dual::variable(p[k], 0),
            Input::Stimulus => i_stim = Dual::variable(i_stim.value, 0),
        }
        self.model.derive(&mut q);
        let x: [Dual<f64, 1>; D] = std::array::from_fn(|i| Dual::fixed(x[i]));
        let mut dx = [Dual::fixed(0.0); D];
        self.model.rhs(&x, i_stim, &q, &mut dx);
        for (out, d) in out.iter_mut().zip(dx) {
            *out = d.derivative[0];
        }
    }

    fn conserved(&self) -> &[Conserved] {
        &self.conserved
    }

    fn conserved_values(&self, x: &[f64], p: &[f64], out: &mut [f64]) {
        assert_eq!(
            (x.len(), out.len()),
            (D, self.conserved.len()),
            "variables and conserved quantities of {}",
            self.spec.id
        );
        self.model.conserved_values::<f64>(x, &self.terms(p), out);
    }

    fn conserved_gradients(&self, x: &[f64], p: &[f64], out: &mut [f64]) {
        assert_eq!(
            (x.len(), out.len()),
            (D, D * self.conserved.len()),
            "variables and conserved quantities of {}",
            self.spec.id
        );
        let q = self.terms::<Dual<f64, 1>>(p);
        let mut x: [Dual<f64, 1>; D] = std::array::from_fn(|i| Dual::fixed(x[i]));
        let mut values = vec![Dual::fixed(0.0); self.conserved.len()];
        for j in 0..D {
            x[j].derivative = [1.0];
            self.model.conserved_values(&x, &q, &mut values);
            x[j].derivative = [0.0];
            for (row, value) in out.chunks_exact_mut(D).zip(&values) {
                row[j] = value.derivative[0];
            }
        }
    }

    fn conserved_by(&self, by: Input, x: &[f64], p: &[f64], out: &mut [f64]) {
        assert_eq!(
            (x.len(), out.len(), p.len()),
            (D, self.conserved.len(), P),
            "variables and parameters of {}",
            self.spec.id
        );
        out.fill(0.0);
        let Input::Parameter(k) = by else { return };
        let mut q: [Dual<f64, 1>; P] = std::array::from_fn(|k| Dual::fixed(p[k]));
        q[k] = Dual::variable(p[k], 0);
        self.model.derive(&mut q);
        let x: [Dual<f64, 1>; D] = std::array::from_fn(|i| Dual::fixed(x[i]));
        let mut values = vec![Dual::fixed(0.0); out.len()];
        self.model.conserved_values(&x, &q, &mut values);
        for (out, value) in out.iter_mut().zip(values) {
            *out = value.derivative[0];
        }
    }

    fn solve_ensemble(
        &self,
        batch: &[Experiment],
        options: &SolveOptions,
    ) -> Result<Vec<Trajectory>> {
        options.check()?;
        check_batch(&self.spec, batch)?;
        solve::ensemble::solve::<M, D, P, W>(
            &self.model,
            self.plan(),
            batch,
            options,
            solve::ensemble::Layout::for_batch(batch.len()),
        )
    }

    fn follow(
        &self,
        experiment: &Experiment,
        variable: usize,
        options: &SolveOptions,
    ) -> Result<(Trajectory, Option<Curve>)> {
        assert!(variable < D, "variables of {}", self.spec.id);
        options.check()?;
        check_batch(&self.spec, std::slice::from_ref(experiment))?;
        let (trajectory, curve) = solve::ensemble::follow::<M, D, P, W>(
            &self.model,
            self.plan(),
            experiment,
            variable,
            options,
        )?;
        Ok((trajectory.completed()?, Some(curve)))
    }
}

/// A model whose equations are called, instead of inlined wherever they are evaluated: for models so large that a call costs nothing
/// beside them.
pub struct OutOfLine<M>(pub M);

#[inline(never)]
fn called<M: Model, S: Real>(model: &M, x: &[S], i_stim: S, q: &[S], dx: &mut [S]) {
    model.rhs(x, i_stim, q, dx);
}

impl<M: Model> Model for OutOfLine<M> {
    fn definition(&self) -> Spec {
        self.0.definition()
    }

    #[inline(always)]
    fn derive<S: Real>(&self, q: &mut [S]) {
        self.0.derive(q);
    }

    #[inline(always)]
    fn rhs<S: Real>(&self, x: &[S], i_stim: S, q: &[S], dx: &mut [S]) {
        called(&self.0, x, i_stim, q, dx);
    }

    fn conserved(&self) -> Vec<Conserved> {
        self.0.conserved()
    }

    #[inline(always)]
    fn conserved_values<S: Real>(&self, x: &[S], q: &[S], out: &mut [S]) {
        self.0.conserved_values(x, q, out);
    }
}
