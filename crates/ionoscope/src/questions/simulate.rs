//! A trajectory: of equations, of a map, or of an operator.

use ionoscope_analysis::step_errors::{StepErrors, step_errors};
use ionoscope_dynamics::{
    simulator::{Simulator, admit},
    system::{DynamicalSystem, Time},
    trajectory::{Experiment, Method, SolveOptions, Statistics, TimeGrid},
    watch::Watcher,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::question::Question;
use crate::{
    Error, Result,
    answer::{Answer, Course},
    arrays::Precision,
    named::{named, units},
    options,
    subject::Subject,
};

mod drawn;
pub mod pace;
pub mod table;

/// Largest number of values kept for one trajectory: 4 GiB.
const MOST_VALUES: usize = 1 << 29;

/// Integrates a model, or asks a surrogate, from one start
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[serde(default, deny_unknown_fields)]
pub struct Simulate {
    /// Start on the orbit to which the cell tends when the stimulus is repeated with this period (the protocol must be over by then, or
    /// have this period); `free`: with a constant stimulus or none, to a steady state or limit cycle
    #[cfg_attr(feature = "clap", arg(long, value_name = "PERIOD|free", value_parser = pace::period, allow_negative_numbers = true))]
    pub pace: Option<pace::Period>,
    /// Time at which to stop, in the system's unit of time [default: of a Fourier neural operator the end T that it was trained to; its own times are i T / N,
    /// i < N, and end one step before T]
    #[cfg_attr(feature = "clap", arg(long, value_name = "T", value_parser = options::positive, allow_negative_numbers = true))]
    #[serde(deserialize_with = "options::positive_in")]
    pub t_end: Option<f64>,
    /// Spacing of the output times, of which --t-end is a multiple [default: the step of a map or operator; a 10 000th of T for equations]. Of an operator a whole part of T: between its own
    /// times a cubic
    #[cfg_attr(feature = "clap", arg(long, value_name = "DT", value_parser = options::positive, allow_negative_numbers = true))]
    #[serde(deserialize_with = "options::positive_in")]
    pub dt: Option<f64>,
    /// Relative tolerance [default: 1e-8]; for equations only
    #[cfg_attr(feature = "clap", arg(long, value_name = "TOL", value_parser = options::positive, allow_negative_numbers = true))]
    #[serde(deserialize_with = "options::positive_in")]
    pub rtol: Option<f64>,
    /// Absolute tolerance of every variable [default: 1e-10]; for equations only
    #[cfg_attr(feature = "clap", arg(long, value_name = "TOL", value_parser = options::positive, allow_negative_numbers = true))]
    #[serde(deserialize_with = "options::positive_in")]
    pub atol: Option<f64>,
    /// Integrator; for equations only
    #[cfg_attr(feature = "clap", arg(long, value_enum, default_value_t = Simulate::default().method))]
    pub method: Integrator,
    /// Fixed step of the method rush-larsen, in the system's unit of time
    #[cfg_attr(feature = "clap", arg(long, value_name = "H", value_parser = options::positive, allow_negative_numbers = true))]
    #[serde(deserialize_with = "options::positive_in")]
    pub step: Option<f64>,
    /// Steps after which the solve is given up, as it is where it clearly comes to that; for equations only
    #[cfg_attr(feature = "clap", arg(long, value_name = "N", default_value_t = Simulate::default().max_steps, value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true))]
    pub max_steps: u64,
    /// Of a Fourier neural operator: take stimuli of a kind that it was not trained on, and mark the result
    #[cfg_attr(feature = "clap", arg(long))]
    pub extrapolate: bool,
    /// Of a Fourier neural operator: also NAME_band for every variable, half the width of a band that holds 90 % of its values
    #[cfg_attr(feature = "clap", arg(long))]
    pub bands: bool,
    /// Variables to draw [default: the first six, the membrane potential first]
    #[cfg_attr(
        feature = "clap",
        arg(long, value_name = "NAME,..", value_delimiter = ',')
    )]
    pub show: Vec<String>,
}

impl Default for Simulate {
    fn default() -> Self {
        Simulate {
            pace: None,
            t_end: None,
            dt: None,
            rtol: None,
            atol: None,
            method: Integrator::Auto,
            step: None,
            max_steps: SolveOptions::default().max_steps,
            extrapolate: false,
            bands: false,
            show: Vec::new(),
        }
    }
}

/// An integrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Integrator {
    /// Explicit, and stiff where stability limits the step
    Auto,
    /// Runge-Kutta of order 8
    Explicit,
    /// Rosenbrock of order 5 with the exact Jacobian
    Stiff,
    /// Gates relax exponentially, all else by Euler's method; of order 1, with the fixed --step and without error control
    RushLarsen,
}

impl From<Integrator> for Method {
    fn from(m: Integrator) -> Self {
        match m {
            Integrator::Auto => Method::Auto,
            Integrator::Explicit => Method::Explicit,
            Integrator::Stiff => Method::Stiff,
            Integrator::RushLarsen => Method::RushLarsen,
        }
    }
}

impl Question for Simulate {
    fn ask(&self, subject: &Subject, watch: &Watcher) -> Result<Answer> {
        let simulator = self.simulator(subject)?;
        let shown = drawn::shown(&subject.spec, &self.show)?;
        let (mut experiment, options) = self.experiment(subject, &*simulator)?;
        let mut warnings = Vec::new();
        let pacing = match self.pace {
            Some(period) => {
                let system = subject.system()?;
                let paced =
                    pace::from_orbit(system, &mut experiment, period, &options, &mut warnings);
                // Its state is the start, which stands under its own name.
                without(&json!(watch.unless_stopped(paced)?), "state")
            }
            None => Value::Null,
        };
        let batch = std::slice::from_ref(&experiment);
        admit(&*simulator, batch, self.extrapolate)
            .map_err(|(_, why)| Error::Input(format!("{}: {why}", subject.name)))?;
        let options = SolveOptions {
            watch: watch.silent(),
            ..options
        };
        let ran = watch
            .unless_stopped(simulator.run(batch, &options))?
            .remove(0);
        let (outside, trajectory) = (ran.extrapolated, ran.trajectory.completed()?);
        let mut document = self.configuration(subject, &experiment, &options);
        let note = (outside > 0 && subject.simulator.system().is_none())
            .then_some("unlike what the network was trained on");
        let result = json!({
            "pacing": pacing,
            "extrapolated": outside > 0,
            "extrapolated_states": outside,
            "rows": trajectory.len(),
            "statistics": self.statistics(subject, &trajectory.statistics),
            "note": note,
        });
        extend(&mut document, result);
        if note.is_some() {
            document["band"] = Value::Null;
        }
        if let Some(system) = simulator.system() {
            let errors = watch.unless_stopped(step_errors(system, batch, &options))?;
            extend(&mut document, told_errors(subject, errors, 1, watch)?);
            self.tell(subject, &trajectory.statistics, watch, &mut warnings);
        }
        if outside > 0 {
            let all = trajectory.len();
            warnings.push(format!(
                "{outside} of {all} states are outside the training range (of state, parameters or stimulus)"
            ));
        }
        let spec = simulator.spec();
        let words = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
        let names = [words("band"), words("note")];
        let figure = drawn::over_time(
            spec,
            subject.role(),
            &experiment,
            &trajectory,
            &shown,
            [&names[0], &names[1]],
        );
        let mut answer = Answer::new(document);
        answer.figures.push(figure);
        answer.warnings = warnings;
        answer.course = Some(Course {
            spec: spec.clone(),
            trajectory,
        });
        Ok(answer)
    }
}

impl Simulate {
    /// What answers: with the band where it is asked for.
    ///
    /// # Errors
    /// A band of what has none.
    pub fn simulator(&self, subject: &Subject) -> Result<std::sync::Arc<dyn Simulator>> {
        if !self.bands {
            return Ok(subject.simulator.clone());
        }
        subject.simulator.with_band().ok_or_else(|| {
            Error::Input(format!(
                "--bands: {} has no calibrated band; only some Fourier neural operators have one",
                subject.name
            ))
        })
    }

    /// What is asked for, tables apart.
    fn experiment(
        &self,
        subject: &Subject,
        simulator: &dyn Simulator,
    ) -> Result<(Experiment, SolveOptions)> {
        let (times, options) = (self.times(subject, simulator)?, self.options(subject)?);
        subject.protocol.check_until(times.end())?;
        let experiment = Experiment {
            x0: subject.x0.clone(),
            p: subject.p.clone(),
            protocol: subject.protocol.clone(),
            times,
        };
        Ok((experiment, options))
    }

    /// The output times.
    ///
    /// # Errors
    /// Times that are missing, cannot be reached, or are too many.
    pub fn times(&self, subject: &Subject, simulator: &dyn Simulator) -> Result<TimeGrid> {
        let system = simulator.system();
        if self.t_end.is_none() && system.is_some() {
            return Err(Error::Input(
                "--t-end is missing; give the time at which to stop, such as --t-end 100".into(),
            ));
        }
        let times = simulator.times(self.t_end, self.dt).map_err(|e| {
            let given = [("--t-end", self.t_end), ("--dt", self.dt)];
            let given = given
                .iter()
                .filter_map(|(name, v)| v.map(|v| format!("{name} {v}")));
            let given = given.collect::<Vec<_>>().join(", ");
            let map = match system.map(DynamicalSystem::time) {
                Some(Time::Discrete { dt }) => {
                    format!(" of {}, a map with a step of {dt}", subject.spec.id)
                }
                _ => String::new(),
            };
            Error::Input(format!("{given}{map}: {e}"))
        })?;
        if times.count.saturating_mul(simulator.spec().variables.len()) > MOST_VALUES {
            return Err(Error::Input(format!(
                "{} output times are more than are kept in memory; take a larger --dt or a smaller --t-end",
                times.count
            )));
        }
        Ok(times)
    }

    /// The numerical options, of which maps and operators have none.
    ///
    /// # Errors
    /// Options of what has none; those that do not go together.
    pub fn options(&self, subject: &Subject) -> Result<SolveOptions> {
        let spec = &subject.spec;
        let tolerances = self.rtol.or(self.atol).is_some();
        let integrator = self.method != Integrator::Auto || self.step.is_some();
        let default = SolveOptions::default();
        let knobs = tolerances || integrator || self.max_steps != default.max_steps;
        match subject.simulator.system().map(DynamicalSystem::time) {
            None if knobs || self.pace.is_some() => {
                return Err(Error::Input(format!(
                    "{} is a Fourier neural operator, which needs no integrator; leave out --rtol, --atol, --method, --step, --max-steps, --pace",
                    subject.name
                )));
            }
            Some(Time::Discrete { .. }) if tolerances => {
                return Err(Error::Input(format!(
                    "{} is a map and has no tolerances; leave out --rtol and --atol",
                    spec.id
                )));
            }
            Some(Time::Discrete { .. }) if integrator => {
                return Err(Error::Input(format!(
                    "{} is a map and needs no integrator; leave out --method and --step",
                    spec.id
                )));
            }
            _ => {}
        }
        if self.method == Integrator::RushLarsen && self.rtol.or(self.atol).is_some() {
            return Err(Error::Input(
                "rush-larsen has a fixed step and no tolerances; leave out --rtol and --atol"
                    .into(),
            ));
        }
        if self.method == Integrator::RushLarsen && self.step.is_none() {
            let unit = if spec.time_unit == "1" {
                String::new()
            } else {
                format!(", in {}", spec.time_unit)
            };
            return Err(Error::Input(format!(
                "--method rush-larsen has a fixed step; give --step H{unit}"
            )));
        }
        let (rtol, atol) = (
            self.rtol.unwrap_or(default.rtol),
            self.atol.unwrap_or(default.atol),
        );
        let options = SolveOptions {
            rtol,
            atol,
            method: self.method.into(),
            step: self.step,
            max_steps: self.max_steps,
            ..default
        };
        options.check()?;
        Ok(options)
    }

    /// Everything that is needed to read the data and to make them again.
    fn configuration(&self, subject: &Subject, e: &Experiment, options: &SolveOptions) -> Value {
        let spec = &subject.spec;
        let flow = subject.kind() == "flow";
        let controlled = flow && options.method != Method::RushLarsen;
        let mut configuration = json!({
            "system": subject.name,
            "id": spec.id,
            "preset": subject.preset,
            "kind": subject.kind(),
            "parameters": named(&spec.parameters, &e.p),
            "x0": named(&spec.variables, &e.x0),
            "protocol": (!e.protocol.is_none()).then_some(&e.protocol),
            "t_end": self.t_end.unwrap_or(e.times.end()),
            "dt": e.times.dt,
            "rtol": controlled.then_some(options.rtol),
            "atol": controlled.then_some(options.atol),
            "method": flow.then_some(options.method),
            "step": options.step,
            "max_steps": flow.then_some(options.max_steps),
            "precision": Precision::Double,
            "units": units(spec),
            "parameter_units": spec.parameters.iter().map(|q| (q.name.clone(), json!(q.unit))).collect::<Map<_, _>>(),
            "stimulus_unit": spec.stimulus_unit,
            "citation": spec.citation,
            "code_version": env!("CARGO_PKG_VERSION"),
        });
        if let Some(operator) = &subject.operator {
            let band = operator.bands.as_ref().filter(|_| self.bands);
            let more = json!({
                "surrogate_hash": subject.hash,
                "band": band.map(|b| format!("holds {} % of the values", 100.0 * b.level)),
                "calibrated_on": band.and(operator.provenance.get("calibrated_on")),
            });
            extend(&mut configuration, more);
        }
        configuration
    }

    /// The work of a run, and by which method it was done; none of an operator. Whether stability
    /// limited the explicit method's step is told of a run that it began.
    fn statistics(&self, subject: &Subject, statistics: &Statistics) -> Value {
        let Some(system) = subject.simulator.system() else {
            return Value::Null;
        };
        let mut value = without(&json!(statistics), "stiff");
        let ran = match (system.time(), self.method, statistics.stiff_from) {
            (Time::Discrete { .. }, ..) => None,
            (_, Integrator::RushLarsen, _) => Some("rush-larsen"),
            (.., None) => Some("explicit"),
            (.., Some(t)) if t > 0.0 => Some("explicit, then stiff"),
            _ => Some("stiff"),
        };
        value["ran"] = json!(ran);
        let explicit = ran.is_some_and(|ran| ran.starts_with("explicit"));
        value["stability_limited_the_step"] = json!(explicit.then_some(statistics.stiff));
        value
    }

    /// Says which method did the work, where that was not to be expected.
    fn tell(
        &self,
        subject: &Subject,
        statistics: &Statistics,
        watch: &Watcher,
        warnings: &mut Vec<String>,
    ) {
        let spec = &subject.spec;
        if statistics.stiff && self.method == Integrator::Explicit {
            warnings.push(
                "the problem is stiff at this tolerance: stability, not accuracy, limited the step; --method auto or stiff may be faster".into(),
            );
        }
        match (self.method, statistics.stiff_from) {
            (Integrator::Auto, Some(t)) if t > 0.0 => watch.tell(&format!(
                "stability limited the explicit method's step; the stiff method took over at t = {t} {}",
                spec.time_unit
            )),
            (Integrator::Auto, Some(_)) => {
                watch.tell(&format!("{} is a large model; it was integrated by the stiff method", spec.id));
            }
            _ => {}
        }
    }
}

/// Says how far the steps of a method without error control are off in `all` experiments, and gives
/// the entries of the document.
fn told_errors(
    subject: &Subject,
    errors: Option<StepErrors>,
    all: usize,
    watch: &Watcher,
) -> Result<Value> {
    let Some(StepErrors { halved, controlled }) = errors else {
        return Ok(json!({"change_by_half_the_step": null}));
    };
    let spec = &subject.spec;
    let first = spec.membrane_potential_index().unwrap_or(0);
    let q = &spec.variables[first];
    let both = [&halved, &controlled];
    let of = |k: usize| match both[k].compared {
        1 if all == 1 => String::new(),
        n if all == n => format!(" in the first {n} experiments"),
        n => format!(" in {n} of the first {all} experiments; the others stop early"),
    };
    let amount = |k: usize| format!("{:.2e} {}", both[k].largest[first], q.unit);
    let (name, half) = (&q.name, amount(0));
    let off = || {
        let (amount, of) = (amount(1), of(1));
        format!(
            "no error control: {name} is off by up to {amount} from a run with error control{of}"
        )
    };
    watch.tell(&match both.map(|d| d.compared == 0) {
        [true, true] => "no error control, and no estimate of the error: there is no other run to compare with that does not stop early".into(),
        [false, true] => format!(
            "no error control: half of each step changes {name} by up to {half}{}; the error is not known, since with error control the run stops early",
            of(0)
        ),
        [true, false] => format!("{} (with half of each step the run stops early)", off()),
        [false, false] => format!("{} (half of each step changes it by up to {half})", off()),
    });
    let entry = |k: usize| (both[k].compared > 0).then(|| named(&spec.variables, &both[k].largest));
    let least = both.map(|d| d.compared).into_iter().min().unwrap_or(0);
    Ok(json!({
        "change_by_half_the_step": entry(0),
        "error_of_the_steps": entry(1),
        "experiments_not_compared": all - least,
    }))
}

/// Adds the entries of an object to another one.
pub(crate) fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(all), Value::Object(more)) = (object, more) {
        all.extend(more);
    }
}

/// An object without one of its entries.
fn without(object: &Value, entry: &str) -> Value {
    let mut object = object.clone();
    if let Some(entries) = object.as_object_mut() {
        entries.remove(entry);
    }
    object
}
