//! Two systems side by side: one report of tables and figures.

use std::time::Instant;

use ionoscope_dynamics::{
    protocol::Protocol,
    spec::Spec,
    system::{DynamicalSystem, Time},
    trajectory::{Experiment, SolveOptions, TimeGrid, Trajectory},
    watch::Watcher,
};
use serde::Serialize;

use ionoscope_analysis::time_scales::{Motion, TimeScales, time_scales};
use rayon::prelude::*;

use crate::{
    Error, Result,
    report::{
        figure::{Axis, Role},
        section::Section,
        table::{Column, Format},
    },
};

mod errors;
mod motion;
mod sections;

/// A system and how it is called.
pub struct Side<'a> {
    /// The system.
    pub system: &'a dyn DynamicalSystem,
    /// Name in the report.
    pub name: String,
    /// Its parameters beside the one that is varied.
    pub p: Vec<f64>,
    /// Index of the parameter that is varied.
    pub over: usize,
}

/// What is compared.
pub struct Comparison<'a> {
    /// Both systems; differences are the second minus the first.
    pub sides: [Side<'a>; 2],
    /// Name of the parameter that is varied.
    pub over: String,
    /// Its interval.
    pub interval: [f64; 2],
    /// Sizes of the comparison.
    pub effort: Effort,
}

/// Sizes of a comparison.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Effort {
    /// Values of the parameter for rhythms.
    pub rhythms: usize,
    /// Columns of the rasters.
    pub columns: usize,
    /// Starts of basins at each of some values.
    pub starts: usize,
    /// Values at which basins and spectra are compared.
    pub values: usize,
    /// Turns of the motion, or slowest decays, after which the averages of Lyapunov exponents end, whether or not they are accurate.
    pub turns: f64,
}

impl Effort {
    /// The whole comparison: some minutes.
    pub const FULL: Effort = Effort {
        rhythms: 41,
        columns: 200,
        starts: 2000,
        values: 5,
        turns: 2000.0,
    };
    /// A glance.
    pub const QUICK: Effort = Effort {
        rhythms: 6,
        columns: 40,
        starts: 200,
        values: 2,
        turns: 200.0,
    };
}

impl Side<'_> {
    /// The trajectory from `x0` at a value of the parameter that is varied.
    fn run(
        &self,
        value: f64,
        x0: &[f64],
        times: TimeGrid,
        options: &SolveOptions,
    ) -> Result<Trajectory> {
        let e = Experiment {
            x0: x0.to_vec(),
            p: self.at(value),
            protocol: Protocol::none(),
            times,
        };
        Ok(self.system.simulate(&e, options)?)
    }

    fn spec(&self) -> &Spec {
        self.system.spec()
    }

    fn at(&self, value: f64) -> Vec<f64> {
        let mut p = self.p.clone();
        p[self.over] = value;
        p
    }

    /// The membrane potential, or the first variable.
    fn potential(&self) -> usize {
        self.spec()
            .membrane_potential
            .as_ref()
            .and_then(|v| self.spec().variable_index(v).ok())
            .unwrap_or(0)
    }
}

/// Times of a comparison.
#[derive(Debug, Clone, Copy)]
struct Scales {
    /// A step of both systems.
    step: f64,
    /// After which they have settled, in whole steps.
    transient: f64,
    /// The longest period, or the slowest decay where both rest, in whole steps.
    length: f64,
}

/// Steps of a transient or a period at most.
const MOST_STEPS: f64 = 1e6;

/// Tolerances of what is taken as exact.
fn tight() -> SolveOptions {
    SolveOptions {
        rtol: 1e-9,
        atol: 1e-11,
        ..SolveOptions::default()
    }
}

const ROLES: [Role; 2] = [Role::Equations, Role::Network];

impl Comparison<'_> {
    /// All sections, in order.
    ///
    /// # Errors
    /// Systems with different variables; whatever an analysis fails at; being stopped.
    pub fn answers(&self, watch: &Watcher) -> Result<Vec<Section>> {
        let [a, b] = &self.sides;
        let names = |s: &Side| {
            s.spec()
                .variables
                .iter()
                .map(|q| q.name.clone())
                .collect::<Vec<_>>()
        };
        if names(a) != names(b) {
            let (a, b) = (names(a).join(", "), names(b).join(", "));
            return Err(Error::Input(format!(
                "the systems have different variables, {a} and {b}; compare systems with the same"
            )));
        }
        type Part<'s> = (&'s str, &'s dyn Fn() -> Result<Section>);
        let sections: [Part; 7] = [
            ("fixed points", &|| self.fixed_points()),
            ("rhythms", &|| self.rhythms()),
            ("motion", &|| self.motion()),
            ("raster diagrams", &|| self.rasters()),
            ("basins", &|| self.basins()),
            ("Lyapunov spectra", &|| self.spectra()),
            ("errors and costs", &|| self.errors()),
        ];
        sections
            .into_iter()
            .map(|(name, section)| {
                let begin = Instant::now();
                let answer = watch.unless_stopped(section());
                watch.tell(&format!("{name}: {:.1} s", begin.elapsed().as_secs_f64()));
                answer
            })
            .collect()
    }

    /// Times of a comparison, from the time scales of both systems.
    fn scales(&self) -> Result<Scales> {
        let [a, b] = self.interval;
        let all: Vec<(usize, f64)> = (0..2)
            .flat_map(|side| [a, 0.5 * (a + b), b].map(|value| (side, value)))
            .collect();
        let options = SolveOptions {
            rtol: 1e-6,
            atol: 1e-8,
            ..SolveOptions::default()
        };
        let found: Vec<Result<TimeScales>> = all
            .par_iter()
            .map(|(side, value)| {
                let side = &self.sides[*side];
                Ok(time_scales(
                    side.system,
                    &side.spec().default_state(),
                    0.0,
                    &side.at(*value),
                    &options,
                )?)
            })
            .collect();
        let found: Vec<TimeScales> = found.into_iter().collect::<Result<_>>()?;
        let settled: Vec<&TimeScales> = found
            .iter()
            .filter(|t| t.settled && t.slowest.is_finite())
            .collect();
        let moves = || settled.iter().filter(|t| t.motion != Motion::Rest);
        let longest = |times: &mut dyn Iterator<Item = f64>| times.fold(0.0, f64::max);
        let followed = longest(&mut found.iter().map(|t| t.followed)).max(f64::MIN_POSITIVE);
        let slowest = Some(longest(&mut settled.iter().map(|t| t.slowest)))
            .filter(|t| *t > 0.0)
            .unwrap_or(followed);
        let period = Some(longest(&mut moves().filter_map(|t| t.period))).filter(|t| *t > 0.0);
        let fastest = moves().map(|t| t.fastest).fold(f64::INFINITY, f64::min);
        let length = period.unwrap_or(slowest);
        let fastest = if fastest.is_finite() {
            fastest
        } else {
            length / 100.0
        };
        let step = self.step(fastest.max(length / MOST_STEPS))?;
        let steps = |t: f64| (t / step).round().clamp(1.0, MOST_STEPS) * step;
        Ok(Scales {
            step,
            transient: steps(12.0 * slowest),
            length: steps(length),
        })
    }

    /// A time step that both systems can make: of two maps the least common multiple of their steps; of two flows half of the `fastest` time.
    fn step(&self, fastest: f64) -> Result<f64> {
        let own = |s: &Side| {
            if let Time::Discrete { dt } = s.system.time() {
                Some(dt)
            } else {
                None
            }
        };
        match [own(&self.sides[0]), own(&self.sides[1])] {
            [None, None] => Ok(0.5 * fastest),
            [Some(dt), None] | [None, Some(dt)] => Ok(dt),
            [Some(a), Some(b)] => {
                let whole = |k: &usize| {
                    let steps = *k as f64 * a / b;
                    (steps - steps.round()).abs() <= 1e-6 && steps.round() >= 1.0
                };
                let steps = (1..=1000).find(whole).ok_or_else(|| {
                    Error::Input(format!("the steps {a} and {b} of the two maps have no common multiple up to 1000 steps of the first; compare each with the equations"))
                })?;
                Ok(steps as f64 * a)
            }
        }
    }

    fn values(&self, n: usize) -> Vec<f64> {
        let [from, to] = self.interval;
        (0..n)
            .map(|k| {
                from + (to - from) * (k as f64 + if n < 6 { 0.5 } else { 0.0 })
                    / if n < 6 { n as f64 } else { (n - 1) as f64 }
            })
            .collect()
    }

    fn unit(&self) -> &str {
        &self.sides[0].spec().parameters[self.sides[0].over].unit
    }

    fn parameter_axis(&self) -> Axis {
        Axis::new(&self.over, self.unit())
    }

    fn parameter_column(&self) -> Column {
        Column::number(&self.over, self.unit(), Format::Shortest)
    }
}

#[cfg(test)]
mod tests;
