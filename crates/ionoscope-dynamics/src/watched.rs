//! A system whose use can be stopped from outside, whatever it is used for.

use std::{ops::Deref, sync::Arc};

use crate::{
    Result,
    curve::Curve,
    spec::{Conserved, Spec},
    system::{DynamicalSystem, Input, Time},
    trajectory::{Experiment, SolveOptions, Trajectory},
    watch::Watcher,
};

/// A system that answers as another one does, until it is to stop: solves then return [`Error::Interrupted`](crate::Error::Interrupted), and rules and derivatives are not a
/// number, with which every search ends. Whoever uses one asks [`Watcher::check`] behind the work, since its answer is then none.
pub struct Watched<S> {
    system: S,
    watch: Watcher,
}

impl Watched<Arc<dyn DynamicalSystem>> {
    /// The system, stopped by `watch`, to be shared; itself where nobody watches.
    pub fn shared(system: Arc<dyn DynamicalSystem>, watch: &Watcher) -> Arc<dyn DynamicalSystem> {
        if watch.is_nobody() {
            system
        } else {
            Arc::new(Watched::new(system, watch))
        }
    }
}

impl<S> Watched<S> {
    /// The system behind a reference of any kind, stopped by `watch`.
    pub fn new(system: S, watch: &Watcher) -> Self {
        Watched {
            system,
            watch: watch.silent(),
        }
    }

    /// Options that hear of the stop, and of whoever else watches a solve.
    fn options(&self, options: &SolveOptions) -> SolveOptions {
        let watch = if options.watch.is_nobody() {
            self.watch.clone()
        } else {
            options.watch.clone()
        };
        SolveOptions {
            watch,
            ..options.clone()
        }
    }

    /// Whether to answer: where not, `out` is no number.
    fn goes_on(&self, out: &mut [f64]) -> bool {
        let stopped = self.watch.stopped();
        if stopped {
            out.fill(f64::NAN);
        }
        !stopped
    }
}

impl<S> DynamicalSystem for Watched<S>
where
    S: Deref + Send + Sync,
    S::Target: DynamicalSystem,
{
    fn spec(&self) -> &Spec {
        self.system.spec()
    }

    fn time(&self) -> Time {
        self.system.time()
    }

    fn rule(&self, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]) {
        if self.goes_on(out) {
            self.system.rule(x, i_stim, p, out);
        }
    }

    fn jacobian(&self, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]) {
        if self.goes_on(out) {
            self.system.jacobian(x, i_stim, p, out);
        }
    }

    fn derivative_by(&self, by: Input, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]) {
        if self.goes_on(out) {
            self.system.derivative_by(by, x, i_stim, p, out);
        }
    }

    fn conserved(&self) -> &[Conserved] {
        self.system.conserved()
    }

    fn conserved_values(&self, x: &[f64], p: &[f64], out: &mut [f64]) {
        if self.goes_on(out) {
            self.system.conserved_values(x, p, out);
        }
    }

    fn conserved_gradients(&self, x: &[f64], p: &[f64], out: &mut [f64]) {
        if self.goes_on(out) {
            self.system.conserved_gradients(x, p, out);
        }
    }

    fn conserved_by(&self, by: Input, x: &[f64], p: &[f64], out: &mut [f64]) {
        if self.goes_on(out) {
            self.system.conserved_by(by, x, p, out);
        }
    }

    fn rules(&self, x: &[f64], i_stim: &[f64], p: &[f64], out: &mut [f64]) {
        if self.goes_on(out) {
            self.system.rules(x, i_stim, p, out);
        }
    }

    fn solve_ensemble(
        &self,
        batch: &[Experiment],
        options: &SolveOptions,
    ) -> Result<Vec<Trajectory>> {
        self.watch.check()?;
        self.system.solve_ensemble(batch, &self.options(options))
    }

    fn simulate(&self, experiment: &Experiment, options: &SolveOptions) -> Result<Trajectory> {
        self.watch.check()?;
        self.system.simulate(experiment, &self.options(options))
    }

    fn follow(
        &self,
        experiment: &Experiment,
        variable: usize,
        options: &SolveOptions,
    ) -> Result<(Trajectory, Option<Curve>)> {
        self.watch.check()?;
        self.system
            .follow(experiment, variable, &self.options(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, models, trajectory::TimeGrid, watch::StopFlag};

    #[test]
    fn a_watched_system_answers_until_it_is_stopped() {
        let flag = StopFlag::default();
        let plain = models::find("fitzhugh-nagumo-1961").unwrap();
        let watched = Watched::shared(plain.clone(), &Watcher::new(flag.clone()));
        let e = Experiment::from_defaults(plain.spec(), TimeGrid::new(0.0, 1.0, 11).unwrap());
        let options = SolveOptions::default();
        assert_eq!(watched.simulate(&e, &options), plain.simulate(&e, &options));
        let slope = |system: &dyn DynamicalSystem| {
            let (mut dx, mut jacobian) = ([0.0; 2], [0.0; 4]);
            system.rule(&e.x0, 0.5, &e.p, &mut dx);
            system.jacobian(&e.x0, 0.5, &e.p, &mut jacobian);
            (dx, jacobian)
        };
        assert_eq!(slope(&*watched), slope(&*plain));
        flag.raise();
        assert_eq!(watched.simulate(&e, &options), Err(Error::Interrupted));
        assert_eq!(
            watched.solve_ensemble(&[], &options),
            Err(Error::Interrupted)
        );
        let (dx, jacobian) = slope(&*watched);
        assert!(dx.iter().chain(&jacobian).all(|v| v.is_nan()));
        // Where nobody watches, nothing stands between.
        assert!(Arc::ptr_eq(
            &plain,
            &Watched::shared(plain.clone(), &Watcher::default())
        ));
    }
}
