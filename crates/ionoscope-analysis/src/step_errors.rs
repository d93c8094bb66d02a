//! By how much the steps of a method without error control err.
//!
//! Two comparisons with other runs of the same experiments, over all of each run, whatever its output times are: with each step made in two
//! halves, which of a method of order 1 tells the error up to a factor, and with runs with error control, which is the error.

use ionoscope_dynamics::{
    system::DynamicalSystem,
    trajectory::{Experiment, Method, SolveOptions, TimeGrid, Trajectory},
};

use crate::Result;

/// Times at least at which two runs are compared.
const TIMES: usize = 10_000;

/// How far runs are from others of the same experiments.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Largest difference of each variable over all times and experiments, in its unit.
    pub largest: Vec<f64>,
    /// Experiments that could be compared; of the others, a run stops early.
    pub compared: usize,
}

/// What is known of the errors of steps.
#[derive(Debug, Clone, PartialEq)]
pub struct StepErrors {
    /// What half of each step changes.
    pub halved: Difference,
    /// How far off runs with error control they are, at the same tolerances.
    pub controlled: Difference,
}

/// The errors of the steps of `options.method` in `experiments`; none for a method with error control.
///
/// # Errors
/// Whatever the solver refuses; being stopped. A run that stops early is no error.
pub fn step_errors(
    system: &dyn DynamicalSystem,
    experiments: &[Experiment],
    options: &SolveOptions,
) -> Result<Option<StepErrors>> {
    if options.method != Method::RushLarsen {
        return Ok(None);
    }
    let halves = SolveOptions {
        halved: true,
        ..options.clone()
    };
    let control = SolveOptions {
        method: Method::Auto,
        step: None,
        ..options.clone()
    };
    let nothing = || Difference {
        largest: vec![0.0; system.dimension()],
        compared: 0,
    };
    let [mut halved, mut controlled] = [nothing(), nothing()];
    // One after the other: the states between the output times of one are little.
    for e in experiments {
        let e = Experiment {
            times: dense(e.times)?,
            ..e.clone()
        };
        let run = |options: &SolveOptions| -> Result<Trajectory> {
            let mut all = system.solve_ensemble(std::slice::from_ref(&e), options)?;
            Ok(all.remove(0))
        };
        let steps = run(options)?;
        halved.take(&steps, &run(&halves)?);
        controlled.take(&steps, &run(&control)?);
    }
    Ok(Some(StepErrors { halved, controlled }))
}

/// Times from 0 to the end of `times`, those of `times` among them where they begin at 0.
fn dense(times: TimeGrid) -> Result<TimeGrid> {
    let (dt, steps) = if times.start == 0.0 {
        (times.dt, times.count - 1)
    } else {
        (times.end(), 1)
    };
    let parts = TIMES.div_ceil(steps.max(1));
    Ok(TimeGrid::new(0.0, dt / parts as f64, steps * parts + 1)?)
}

impl Difference {
    /// Takes two runs of one experiment, where both are complete.
    fn take(&mut self, steps: &Trajectory, other: &Trajectory) {
        let whole = steps.times.count;
        if steps.len() < whole || other.len() < whole {
            return;
        }
        self.compared += 1;
        for (i, largest) in self.largest.iter_mut().enumerate() {
            *largest = steps
                .variable(i)
                .zip(other.variable(i))
                .map(|(a, b)| (a - b).abs())
                .fold(*largest, f64::max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ionoscope_dynamics::models;

    /// The method is of order 1: half of each step makes half of the error, so what it changes is the other half, and half of the step again
    /// halves both.
    #[test]
    fn half_of_each_step_changes_half_of_the_error() {
        let cell = models::find("hodgkin-huxley-1952").unwrap();
        let times = TimeGrid::until(10.0, 1.0).unwrap();
        let experiment = Experiment::from_defaults(cell.spec(), times);
        let errors = |step: f64| {
            let options = SolveOptions {
                method: Method::RushLarsen,
                step: Some(step),
                ..SolveOptions::default()
            };
            step_errors(&*cell, std::slice::from_ref(&experiment), &options)
                .unwrap()
                .unwrap()
        };
        let [coarse, fine] = [0.01, 0.005].map(errors);
        assert_eq!((coarse.halved.compared, coarse.controlled.compared), (1, 1));
        for k in 0..4 {
            let (half, all) = (coarse.halved.largest[k], coarse.controlled.largest[k]);
            assert!(all > 0.0 && (half / all - 0.5).abs() < 0.02, "{coarse:?}");
            let ratio = all / fine.controlled.largest[k];
            assert!((ratio - 2.0).abs() < 0.05, "{coarse:?} {fine:?}");
        }
    }

    #[test]
    fn methods_with_error_control_have_none_and_runs_that_stop_early_do_not_count() {
        let cell = models::find("hodgkin-huxley-1952").unwrap();
        let times = TimeGrid::until(10.0, 1.0).unwrap();
        let experiment = Experiment::from_defaults(cell.spec(), times);
        let of = |options: &SolveOptions| {
            step_errors(&*cell, std::slice::from_ref(&experiment), options).unwrap()
        };
        assert_eq!(of(&SolveOptions::default()), None);
        let few = of(&SolveOptions {
            method: Method::RushLarsen,
            step: Some(0.01),
            max_steps: 10,
            ..SolveOptions::default()
        });
        let few = few.unwrap();
        assert_eq!((few.halved.compared, few.controlled.compared), (0, 0));
        assert_eq!(few.halved.largest, [0.0; 4]);
    }
}
