//! Two systems side by side: one report of tables and figures.

use std::time::Instant;

use ionoscope_dynamics::{
    protocol::Protocol,
    spec::Spec,
    system::{DynamicalSystem, Input, Time},
    trajectory::{Experiment, SolveOptions, TimeGrid, Trajectory},
    watch::Watcher,
};
use serde::Serialize;

use ionoscope_analysis::time_scales::{Motion, TimeScales, time_scales};
use rayon::prelude::*;

use crate::{
    Error, Result,
    options::Over,
    report::{
        figure::{Axis, Role},
        section::{Part, Section},
        table::{Column, Format},
    },
    subject::Subject,
};

mod errors;
mod motion;
mod sections;

/// A system with all that is set of it, and how it is called.
pub struct Side {
    subject: Subject,
    /// Name in the report.
    name: String,
    /// What is varied: an index of its own, where it is a parameter.
    over: Input,
    /// The constant stimulus where another thing is varied.
    i_stim: f64,
}

/// What is compared.
pub struct Comparison {
    /// Both systems; differences are the second minus the first.
    sides: [Side; 2],
    /// Name of what is varied.
    over: String,
    /// Its unit.
    unit: String,
    /// Its interval.
    interval: [f64; 2],
    /// Sizes of the comparison.
    effort: Effort,
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

impl Side {
    /// A system called `name` in the report, of which `over` is varied.
    ///
    /// # Errors
    /// A stimulus that changes over time; a range that has no meaning for the system.
    pub fn new(subject: Subject, name: &str, over: &Over) -> Result<Self> {
        subject.system()?;
        subject.refuse_fixed(over)?;
        Ok(Side {
            name: name.to_owned(),
            over: over.input(&subject.spec)?.0,
            i_stim: subject.constant_stimulus()?,
            subject,
        })
    }

    fn system(&self) -> &dyn DynamicalSystem {
        self.subject
            .system()
            .expect("`new` refuses what has no rule")
    }

    fn spec(&self) -> &Spec {
        &self.subject.spec
    }

    /// Parameters and stimulus at a value of what is varied.
    fn at(&self, value: f64) -> (Vec<f64>, f64) {
        let mut p = self.subject.p.clone();
        match self.over {
            Input::Parameter(k) => {
                p[k] = value;
                (p, self.i_stim)
            }
            Input::Stimulus => (p, value),
        }
    }

    /// The experiment from `x0` at a value of what is varied.
    fn experiment(&self, value: f64, x0: &[f64], times: TimeGrid) -> Experiment {
        let (p, i_stim) = self.at(value);
        Experiment {
            x0: x0.to_vec(),
            p,
            protocol: constant(i_stim),
            times,
        }
    }

    /// The trajectory from `x0` at a value of what is varied, shorter than wanted where it fails.
    ///
    /// # Errors
    /// Whatever the solver refuses; a failure before the first of the times.
    fn run(
        &self,
        value: f64,
        x0: &[f64],
        times: TimeGrid,
        options: &SolveOptions,
    ) -> Result<Trajectory> {
        let experiment = self.experiment(value, x0, times);
        let run = self.system().simulate(&experiment, options)?;
        if run.is_empty() {
            return Err(Error::Failed(format!(
                "{} failed before t = {}, from {x0:?}",
                self.name, times.start
            )));
        }
        Ok(run)
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

fn constant(i_stim: f64) -> Protocol {
    if i_stim == 0.0 {
        Protocol::none()
    } else {
        Protocol::constant(i_stim)
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

/// The sections of a comparison, and what whoever reads them should know.
pub type Sections = (Vec<Section>, Vec<String>);

impl Comparison {
    /// Two systems with the same variables (`check_alike`) over a range that both have.
    ///
    /// # Errors
    /// Systems that measure what is varied, or their stimulus, in different units.
    pub fn new(sides: [Side; 2], over: &Over, effort: Effort) -> Result<Self> {
        let specs = sides.each_ref().map(|s| s.spec());
        let [unit, other] = [over.input(specs[0])?.1, over.input(specs[1])?.1];
        let stimulated = sides.iter().any(|s| s.i_stim != 0.0);
        let currents = specs.map(|s| s.stimulus_unit.clone());
        if unit != other || (stimulated && currents[0] != currents[1]) {
            return Err(Error::Input(format!(
                "{} is in {unit} and {other}, and stimuli are in {} and {}; compare systems with the same units",
                over.name, currents[0], currents[1]
            )));
        }
        Ok(Comparison {
            sides,
            over: over.name.clone(),
            unit,
            interval: [over.from, over.to],
            effort,
        })
    }

    /// How the systems are called.
    pub fn names(&self) -> [&str; 2] {
        self.sides.each_ref().map(|s| s.name.as_str())
    }

    /// What is varied, and under which stimulus, in words.
    pub fn range(&self) -> String {
        let [from, to] = self.interval;
        let range = format!("{} from {from} to {to}", self.over);
        match self.sides[0].i_stim {
            0.0 => range,
            i_stim => format!("{range}, under a stimulus of {i_stim}"),
        }
    }

    /// All sections, in order; one that makes no sense for these systems says why.
    ///
    /// # Errors
    /// Maps whose steps do not fit; being stopped.
    pub fn sections(&self, watch: &Watcher) -> Result<Sections> {
        let scales = watch.unless_stopped(self.scales())?;
        type Named<'s> = (&'s str, &'s str, &'s dyn Fn() -> Result<Section>);
        let parts: [Named; 7] = [
            ("fixed-points", "Fixed points and bifurcations", &|| {
                self.fixed_points()
            }),
            ("rhythms", "Rhythms", &|| self.rhythms()),
            ("motion", "Motion", &|| self.motion(&scales)),
            ("rasters", "Raster diagrams", &|| self.rasters()),
            ("basins", "Basins", &|| self.basins()),
            ("lyapunov", "Lyapunov spectra", &|| self.spectra(&scales)),
            ("errors", "Errors and costs", &|| self.errors(&scales)),
        ];
        let (mut sections, mut warnings) = (Vec::new(), self.beyond_training());
        for (id, title, section) in parts {
            let begin = Instant::now();
            let done = watch.unless_stopped(section());
            let seconds = begin.elapsed().as_secs_f64();
            watch.tell(&format!("{}: {seconds:.1} s", title.to_lowercase()));
            sections.push(match done {
                Err(e) if watch.stopped() => return Err(e),
                Err(e) => {
                    warnings.push(format!("{}: {e}", title.to_lowercase()));
                    Section::new(id, title).with(Part::Note(format!("There is none: {e}.")))
                }
                Ok(section) => section,
            });
        }
        Ok((sections, warnings))
    }

    /// Where surrogates are used outside their training, or beside systems with other values than those of their data.
    fn beyond_training(&self) -> Vec<String> {
        let mut all = Vec::new();
        let [a, b] = &self.sides;
        for (side, other) in [(a, b), (b, a)] {
            let (name, spec) = (&side.name, side.spec());
            let Some(trained) = &spec.trained_on else {
                continue;
            };
            let mut ranges: Vec<(String, [f64; 2], [f64; 2])> = Vec::new();
            for (k, (q, range)) in spec.parameters.iter().zip(&trained.parameters).enumerate() {
                let used = match side.over {
                    Input::Parameter(over) if over == k => self.interval,
                    _ => [side.subject.p[k]; 2],
                };
                ranges.push((q.name.clone(), used, *range));
            }
            if let Some(range) = trained.stimulus {
                let used = match side.over {
                    Input::Stimulus => self.interval,
                    Input::Parameter(_) => [side.i_stim; 2],
                };
                ranges.push(("i_stim".into(), used, range));
            }
            for (of, used, [low, high]) in ranges {
                // Random data seldom reach the ends of their range.
                let margin = 0.01 * (high - low);
                if used
                    .iter()
                    .any(|v| !(low - margin..=high + margin).contains(v))
                {
                    let [from, to] = used;
                    all.push(format!(
                        "{name} was trained on {of} of {low} to {high}, and is compared at {from} to {to}"
                    ));
                }
            }
            for (of, value) in trained
                .fixed
                .iter()
                .filter(|_| other.spec().id == trained.model)
            {
                let theirs = other.spec().parameter_index(of).map(|k| other.subject.p[k]);
                if let Ok(theirs) = theirs
                    && theirs != *value
                    && *of != self.over
                {
                    all.push(format!(
                        "{name} was trained at {of} = {value}, and {} has {theirs}",
                        other.name
                    ));
                }
            }
        }
        all
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
                let (p, i_stim) = side.at(*value);
                let x0 = &side.subject.x0;
                Ok(time_scales(side.system(), x0, i_stim, &p, &options)?)
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
            if let Time::Discrete { dt } = s.system().time() {
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

    fn parameter_axis(&self) -> Axis {
        Axis::new(&self.over, &self.unit)
    }

    fn parameter_column(&self) -> Column {
        Column::number(&self.over, &self.unit, Format::Shortest)
    }
}

/// Checks that two systems have the same variables in the same units.
///
/// # Errors
/// Others, which are named.
pub(crate) fn check_alike([a, b]: [&Spec; 2]) -> Result<()> {
    let names = |spec: &Spec| {
        let names: Vec<&str> = spec.variables.iter().map(|q| q.name.as_str()).collect();
        names.join(", ")
    };
    if names(a) != names(b) {
        return Err(Error::Input(format!(
            "the systems have different variables: {} has {}, and {} has {}; compare systems with the same",
            a.id,
            names(a),
            b.id,
            names(b)
        )));
    }
    let units = |spec: &Spec| {
        let units = spec
            .variables
            .iter()
            .map(|q| format!("{} in {}", q.name, q.unit));
        let time = std::iter::once(format!("time in {}", spec.time_unit));
        time.chain(units).collect::<Vec<_>>().join(", ")
    };
    if units(a) != units(b) {
        return Err(Error::Input(format!(
            "the systems have different units: {} has {}, and {} has {}; compare systems with the same",
            a.id,
            units(a),
            b.id,
            units(b)
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
