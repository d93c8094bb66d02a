//! The traits: a model as its author writes it, and a system as everybody else sees it.

use crate::{
    Error, Result,
    curve::Curve,
    real::Real,
    spec::{Conserved, Spec},
    trajectory::{Experiment, SolveOptions, TimeGrid, Trajectory},
};

/// A model as its author writes it: a definition, and the equations once.
pub trait Model: Send + Sync + 'static {
    /// Names, units, defaults, ranges and source.
    fn definition(&self) -> Spec;

    /// Terms of the parameters alone, computed once a run, in place: on entry `q` holds the parameters in order; on return
    /// what [`Model::rhs`] wants to read there (reciprocals of time constants, say).
    #[inline(always)]
    fn derive<S: Real>(&self, _q: &mut [S]) {}

    /// Time derivatives `dx` at state `x` under stimulus `i_stim`, with `q` as left by [`Model::derive`].
    fn rhs<S: Real>(&self, x: &[S], i_stim: S, q: &[S], dx: &mut [S]);

    /// Quantities Q(x) that the equations conserve under every stimulus and for all parameters; most models have none. Where there is
    /// one, rest is not isolated: it depends on the start, through Q.
    fn conserved(&self) -> Vec<Conserved> {
        Vec::new()
    }

    /// The values of what [`Model::conserved`] names at state `x`, with `q` as left by [`Model::derive`], into `out`.
    #[inline(always)]
    fn conserved_values<S: Real>(&self, _x: &[S], _q: &[S], _out: &mut [S]) {}
}

/// Whether a rule gives a derivative or the next state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Time {
    /// A flow: the rule is dx/dt.
    Continuous,
    /// A map: the rule is x(t + dt).
    Discrete {
        /// Time step of the map.
        dt: f64,
    },
}

/// What a rule depends on beside the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The parameter with this index.
    Parameter(usize),
    /// The stimulus current.
    Stimulus,
}

/// A rule on a state, as every analysis and simulation sees it: stateless, object-safe, plain `f64`.
///
/// `x`, `out` have the length of the variables and `p` that of the parameters of [`DynamicalSystem::spec`]; other lengths panic.
pub trait DynamicalSystem: Send + Sync {
    /// Names, units, defaults, ranges and source.
    fn spec(&self) -> &Spec;

    /// Flow or map.
    fn time(&self) -> Time;

    /// The rule: dx/dt for a flow, x(t + dt) for a map.
    fn rule(&self, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]);

    /// Exact derivative of the rule by the state, row-major: `out[i * n + j]` = d rule_i / d x_j.
    fn jacobian(&self, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]);

    /// Exact derivative of the rule by a parameter or by the stimulus: `out[i]` = d rule_i / d that.
    ///
    /// # Panics
    /// A parameter's index beyond the parameters.
    fn derivative_by(&self, by: Input, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]);

    /// The quantities that the rule conserves, as far as it is known to: none for most systems.
    fn conserved(&self) -> &[Conserved] {
        &[]
    }

    /// Values of the conserved quantities at a state, into `out`, one each.
    fn conserved_values(&self, _x: &[f64], _p: &[f64], _out: &mut [f64]) {}

    /// Exact derivatives of the conserved quantities by the state, row-major: `out[k * n + j]` = d Q_k / d x_j.
    fn conserved_gradients(&self, _x: &[f64], _p: &[f64], _out: &mut [f64]) {}

    /// Exact derivatives of the conserved quantities by a parameter (by the stimulus they are zero): a buffer's amount enters a charge.
    ///
    /// # Panics
    /// A parameter's index beyond the parameters.
    fn conserved_by(&self, _by: Input, _x: &[f64], _p: &[f64], out: &mut [f64]) {
        out.fill(0.0);
    }

    /// The rule of many states at once, `x` and `out` as `[state][variable]`, with a stimulus each or, where `i_stim` is empty, none.
    fn rules(&self, x: &[f64], i_stim: &[f64], p: &[f64], out: &mut [f64]) {
        let n = self.dimension();
        for (k, (x, out)) in x.chunks_exact(n).zip(out.chunks_exact_mut(n)).enumerate() {
            self.rule(x, i_stim.get(k).copied().unwrap_or(0.0), p, out);
        }
    }

    /// Runs a batch; one trajectory an experiment, in order. A trajectory that fails says so in its outcome. The numbers depend
    /// neither on the number of threads nor on what else is in the batch. Uses the current rayon pool.
    ///
    /// # Errors
    /// Wrong input only: lengths, options, output times that a map does not reach.
    fn solve_ensemble(
        &self,
        batch: &[Experiment],
        options: &SolveOptions,
    ) -> Result<Vec<Trajectory>>;

    /// Number of state variables.
    fn dimension(&self) -> usize {
        self.spec().variables.len()
    }

    /// Runs one experiment.
    ///
    /// # Errors
    /// Wrong input, or a trajectory that failed.
    fn simulate(&self, experiment: &Experiment, options: &SolveOptions) -> Result<Trajectory> {
        let mut all = self.solve_ensemble(std::slice::from_ref(experiment), options)?;
        all.pop()
            .ok_or_else(|| Error::Invalid("an ensemble of one came back empty".into()))?
            .completed()
    }

    /// Runs one experiment and follows one variable from the first output time to the last by the integrator's own continuous extension.
    /// `None` for a map, which is nowhere between its steps.
    ///
    /// # Errors
    /// As [`DynamicalSystem::simulate`]; more than 2^22 steps from the first output time on, of which no more are kept in memory.
    ///
    /// # Panics
    /// A variable's index beyond the variables.
    fn follow(
        &self,
        experiment: &Experiment,
        variable: usize,
        options: &SolveOptions,
    ) -> Result<(Trajectory, Option<Curve>)> {
        assert!(
            variable < self.dimension(),
            "variables of {}",
            self.spec().id
        );
        Ok((self.simulate(experiment, options)?, None))
    }
}

/// Checks the lengths and values of a batch against a system.
///
/// # Errors
/// The first experiment, by its index, whose start or parameters have a wrong length or are not finite; more output than memory.
pub fn check_batch(spec: &Spec, batch: &[Experiment]) -> Result<()> {
    for (k, e) in batch.iter().enumerate() {
        for (what, got, want) in [
            ("start", &e.x0, spec.variables.len()),
            ("parameters", &e.p, spec.parameters.len()),
        ] {
            if got.len() != want {
                return Err(Error::Invalid(format!(
                    "experiment {k}: the {what} has {} entries; {} has {want}",
                    got.len(),
                    spec.id
                )));
            }
            if let Some(bad) = got.iter().find(|v| !v.is_finite()) {
                return Err(Error::Invalid(format!(
                    "experiment {k}: the {what} holds {bad}; expected finite numbers"
                )));
            }
        }
        TimeGrid::new(e.times.start, e.times.dt, e.times.count)?;
        let protocol = e
            .protocol
            .check_until(e.times.end())
            .and_then(|()| e.protocol.check_units(spec));
        protocol.map_err(|error| Error::Invalid(format!("experiment {k}: {error}")))?;
    }
    // Asks for the memory without touching it: a refusal here is an error, in the middle of the work it would be the end.
    let states = batch
        .iter()
        .fold(0usize, |n, e| n.saturating_add(e.times.count));
    Vec::<f64>::new().try_reserve_exact(states.saturating_mul(spec.variables.len())).map_err(|_| {
        Error::Invalid(format!("{states} output states in all do not fit in memory; take a larger dt, a shorter run or a smaller batch"))
    })
}
