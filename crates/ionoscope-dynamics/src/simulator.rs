//! What answers an experiment with a trajectory, and says what it knows.

use std::sync::Arc;

use rayon::prelude::*;

use crate::{
    Error, Result,
    spec::Spec,
    system::{DynamicalSystem, Time},
    trajectory::{Experiment, SolveOptions, TimeGrid, Trajectory},
};

/// Output times of a flow where no step is given.
const DEFAULT_STEPS: f64 = 10_000.0;

/// A trajectory, and how much of it is unlike what was trained on.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulated {
    /// The trajectory.
    pub trajectory: Trajectory,
    /// How many of its states are outside what a surrogate was trained on.
    pub extrapolated: usize,
}

/// What is new about an experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfamiliar {
    /// Something for which there is no input, so that it would be ignored.
    NoInput(String),
    /// Something outside what was trained on.
    Untrained(String),
}

/// What answers an [`Experiment`] with a [`Trajectory`]: equations, a map, an operator. Every
/// [`DynamicalSystem`] is one; an operator has no rule and is no system.
pub trait Simulator: Send + Sync {
    /// Names, units, defaults, ranges and source.
    fn spec(&self) -> &Spec;

    /// The system behind it, where there is a rule.
    fn system(&self) -> Option<&dyn DynamicalSystem>;

    /// Output times up to `t_end`, `dt` apart, or what stands for them where they are not given.
    ///
    /// # Errors
    /// Times that it cannot reach, by the reason alone.
    fn times(&self, t_end: Option<f64>, dt: Option<f64>) -> Result<TimeGrid>;

    /// Whether it knows such experiments; otherwise what is new.
    ///
    /// # Errors
    /// The first thing that is new.
    fn check(&self, _experiment: &Experiment) -> std::result::Result<(), Unfamiliar> {
        Ok(())
    }

    /// Runs a batch: one answer an experiment, in order. A trajectory that fails says so in its
    /// outcome. What is new is not refused here, but counted: see [`admit`].
    ///
    /// # Errors
    /// Wrong input, such as lengths; being stopped.
    fn run(&self, batch: &[Experiment], options: &SolveOptions) -> Result<Vec<Simulated>>;

    /// The same, which also gives half the width of a calibrated band around each variable, as
    /// further variables whose names end in [`BAND`]; none where it has no band.
    fn with_band(&self) -> Option<Arc<dyn Simulator>> {
        None
    }
}

/// What the name of half a band's width ends with, after that of its variable.
pub const BAND: &str = "_band";

/// The one rule about what a simulator was not trained on: it is refused, or with `extrapolate`
/// done and marked; what it has no input for is refused in any case.
///
/// # Errors
/// The index of the first experiment that is refused, and why.
pub fn admit(
    simulator: &dyn Simulator,
    batch: &[Experiment],
    extrapolate: bool,
) -> std::result::Result<(), (usize, String)> {
    for (k, experiment) in batch.iter().enumerate() {
        match simulator.check(experiment) {
            Ok(()) => {}
            Err(Unfamiliar::Untrained(_)) if extrapolate => {}
            Err(Unfamiliar::NoInput(what)) => return Err((k, what)),
            Err(Unfamiliar::Untrained(what)) => {
                return Err((k, format!("{what}; --extrapolate does it and marks it")));
            }
        }
    }
    Ok(())
}

impl<S: DynamicalSystem> Simulator for S {
    fn spec(&self) -> &Spec {
        DynamicalSystem::spec(self)
    }

    fn system(&self) -> Option<&dyn DynamicalSystem> {
        Some(self)
    }

    fn times(&self, t_end: Option<f64>, dt: Option<f64>) -> Result<TimeGrid> {
        let t_end = t_end.ok_or_else(|| {
            Error::Invalid("the end is missing; give the time at which to stop".into())
        })?;
        match self.time() {
            Time::Continuous => TimeGrid::until(t_end, dt.unwrap_or(t_end / DEFAULT_STEPS)),
            Time::Discrete { dt: own } => TimeGrid::until_of_map(t_end, dt.unwrap_or(own), own),
        }
    }

    fn run(&self, batch: &[Experiment], options: &SolveOptions) -> Result<Vec<Simulated>> {
        let spec = DynamicalSystem::spec(self);
        let outside = |t: &Trajectory, e: &Experiment| match spec.trained_on {
            Some(_) => extrapolated_states(spec, e, t),
            None => 0,
        };
        let trajectories = self.solve_ensemble(batch, options)?;
        let all = trajectories.into_par_iter().zip(batch);
        let one = |(trajectory, e): (Trajectory, &Experiment)| Simulated {
            extrapolated: outside(&trajectory, e),
            trajectory,
        };
        Ok(all.map(one).collect())
    }
}

/// Of how many states of a trajectory the state, the parameters or the stimulus lie outside what a
/// surrogate was trained on.
fn extrapolated_states(spec: &Spec, experiment: &Experiment, trajectory: &Trajectory) -> usize {
    let range = spec.trained_stimulus();
    let signal = range.map(|_| experiment.protocol.signal(experiment.times.end()));
    let stimulus = |k: usize| match (&signal, range) {
        (Some(signal), Some([low, high])) => {
            !(low..=high).contains(&signal.value(experiment.times.time(k)))
        }
        _ => false,
    };
    (0..trajectory.len())
        .filter(|k| spec.extrapolates(trajectory.state(*k), &experiment.p) || stimulus(*k))
        .count()
}
