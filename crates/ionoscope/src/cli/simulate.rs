//! `ionoscope simulate`: one trajectory of a model or a surrogate, or one for each row of a table.

use std::path::{Path, PathBuf};

use ionoscope_dynamics::{
    spec::Spec,
    system::{DynamicalSystem, Time},
    trajectory::{Experiment, Method, SolveOptions, Statistics, TimeGrid, Trajectory},
};
use serde_json::{Map, Value, json};

use super::{Shared, arguments::SystemArguments, plot, print, print_json};
use crate::{
    Error, Result,
    arrays::{Layout, Precision, npz, parquet},
    artifact::{self, Staged},
    batch::extrapolated_states,
    named::{named, units},
    options::{self},
    report::figure::Role,
    subject::Subject,
};

mod batch;
mod operator;
mod pace;

/// Output times of a flow where no step is given.
const DEFAULT_STEPS: f64 = 10_000.0;
/// Largest number of values kept for one trajectory: 4 GiB.
const MOST_VALUES: usize = 1 << 29;
/// Files of one trajectory.
const FORMATS: [&str; 3] = ["csv", "npz", "parquet"];

/// Integrates a model, or iterates a surrogate, from one start or for each row of a table
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  ionoscope simulate sherman-1988 --t-end 60 --dt 0.005 -o cell.csv --plot cell.svg\n  \
                        ionoscope simulate sherman-1988 --t-end 60 --stimulus 50:10:0.5 -o cell.parquet\n  \
                        ionoscope simulate sherman-1988 --experiments table.csv --t-end 50 --dt 0.005 -o many.npz\n  \
                        ionoscope simulate sherman-1988 --experiments table.csv --t-end 50 --dt 0.005 -o many.zarr --resume\n  \
                        ionoscope simulate pretrained/hh-fno.safetensors --experiments table.csv --bands -o many.npz\n\n\
                        A table has one row an experiment, and the columns stim_start,stim_duration,stim_amplitude (all or none), and any\n\
                        param:NAME and x0:NAME."
)]
pub struct Arguments {
    #[command(flatten)]
    system: SystemArguments,
    /// Start on the orbit to which the cell tends when the stimulus is repeated with this period (the protocol must be over by then, or
    /// have this period); `free`: with a constant stimulus or none, to a steady state or limit cycle
    #[arg(long, value_name = "PERIOD|free", value_parser = pace::period, allow_negative_numbers = true, conflicts_with = "experiments")]
    pace: Option<pace::Period>,
    /// Time at which to stop, in the system's unit of time [default: of a Fourier neural operator the end T that it was trained to; its own times are i T / N,
    /// i < N, and end one step before T]
    #[arg(long, value_name = "T", value_parser = options::positive, allow_negative_numbers = true)]
    t_end: Option<f64>,
    /// Spacing of the output times, of which --t-end is a multiple [default: the step of a map or operator; a 10 000th of T for equations]. Of an operator a whole part of T: between its own
    /// times a cubic
    #[arg(long, value_name = "DT", value_parser = options::positive, allow_negative_numbers = true)]
    dt: Option<f64>,
    /// Relative tolerance [default: 1e-8]; for equations only
    #[arg(long, value_name = "TOL", value_parser = options::positive, allow_negative_numbers = true)]
    rtol: Option<f64>,
    /// Absolute tolerance of every variable [default: 1e-10]; for equations only
    #[arg(long, value_name = "TOL", value_parser = options::positive, allow_negative_numbers = true)]
    atol: Option<f64>,
    /// Integrator; for equations only
    #[arg(long, value_enum, default_value_t = MethodArgument::Auto)]
    method: MethodArgument,
    /// Fixed step of the method rush-larsen, in the system's unit of time
    #[arg(long, value_name = "H", value_parser = options::positive, allow_negative_numbers = true)]
    step: Option<f64>,
    /// Steps after which the solve is given up, as it is where it clearly comes to that; for equations only
    #[arg(long, value_name = "N", default_value_t = SolveOptions::default().max_steps, value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    max_steps: u64,
    /// Of a Fourier neural operator: take stimuli of a kind that it was not trained on, and mark the result
    #[arg(long)]
    extrapolate: bool,
    /// Of a Fourier neural operator: also NAME_band for every variable, half the width of a band that holds 90 % of its values
    #[arg(long)]
    bands: bool,
    /// File to write (.csv, .npz, .parquet; for a table .npz, .zarr, .parquet, of an operator .npz, .parquet), with units and configuration beside it in FILE.meta.json;
    /// the data go to standard output when no file is given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Width of the states in the file; for .npz, .zarr and .parquet
    #[arg(long, value_enum, default_value_t)]
    precision: Precision,
    /// Figure to draw (.svg): the variables over time
    #[arg(long, value_name = "FILE", conflicts_with = "experiments")]
    plot: Option<PathBuf>,
    /// Variables to draw [default: the first six, the membrane potential first]
    #[arg(long, value_name = "NAME,..", value_delimiter = ',', requires = "plot")]
    show: Vec<String>,
    #[command(flatten)]
    batch: batch::BatchArguments,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum MethodArgument {
    /// Explicit, and stiff where stability limits the step
    Auto,
    /// Runge-Kutta of order 8
    Explicit,
    /// Rosenbrock of order 5 with the exact Jacobian
    Stiff,
    /// Gates relax exponentially, all else by Euler's method; of order 1, with the fixed --step and without error control
    RushLarsen,
}

impl From<MethodArgument> for Method {
    fn from(m: MethodArgument) -> Self {
        match m {
            MethodArgument::Auto => Method::Auto,
            MethodArgument::Explicit => Method::Explicit,
            MethodArgument::Stiff => Method::Stiff,
            MethodArgument::RushLarsen => Method::RushLarsen,
        }
    }
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        match &self.batch.experiments {
            _ if self.is_operator() => self.run_operator(shared),
            Some(table) => self.run_batch(table, shared),
            None => self.run_one(shared),
        }
    }

    fn run_one(&self, shared: &Shared) -> Result<()> {
        self.no_bands()?;
        self.check_files()?;
        let subject = self.system.open(shared)?;
        let (system, spec) = (&subject.system, &subject.spec);
        let shown = plot::shown(spec, &self.show)?;
        let (mut experiment, options) = self.experiment(&subject)?;
        // Its state is the start, which stands under its own name.
        let paced = self
            .pace
            .map(|period| pace::from_orbit(&**system, &mut experiment, period, &options, shared))
            .transpose();
        let paced = shared.watch.unless_stopped(paced)?;
        let mut pacing = json!(paced);
        if let Some(object) = pacing.as_object_mut() {
            object.remove("state");
        }
        let trajectory = shared
            .watch
            .unless_stopped(system.simulate(&experiment, &options))?;

        let outside = extrapolated_states(spec, &experiment, &trajectory);
        if outside > 0 {
            let all = trajectory.len();
            shared.warn(&format!("{outside} of {all} states are outside the training range (of state, parameters or stimulus)"));
        }
        if trajectory.statistics.stiff && options.method == Method::Explicit {
            shared.warn(
                "the problem is stiff at this tolerance: stability, not accuracy, limited the step; --method auto or stiff may be faster",
            );
        }
        if let (Method::Auto, Some(t)) = (options.method, trajectory.statistics.stiff_from) {
            shared.tell(&if t > 0.0 {
                format!("stability limited the explicit method's step; the stiff method took over at t = {t} {}", spec.time_unit)
            } else {
                format!("{} is a large model; it was integrated by the stiff method", spec.id)
            });
        }
        let error = self.error_of_steps(
            &**system,
            std::slice::from_ref(&experiment),
            &options,
            shared,
        )?;
        let mut meta = self.configuration(spec, system.time(), &experiment, &options);
        let result = json!({
            "pacing": pacing,
            "extrapolated": outside > 0,
            "extrapolated_states": outside,
            "rows": trajectory.len(),
            "statistics": self.statistics(system.time(), &trajectory.statistics),
        });
        extend(&mut meta, result);
        extend(&mut meta, error);
        self.deliver(spec, &experiment, &trajectory, meta, &shown, shared)
    }

    /// The work of a run, and by which method it was done. Whether stability limited the explicit method's step is told of a run that it began.
    fn statistics(&self, time: Time, statistics: &Statistics) -> Value {
        let mut value = json!(statistics);
        if let Some(entries) = value.as_object_mut() {
            entries.remove("stiff");
        }
        let ran = match (time, self.method, statistics.stiff_from) {
            (Time::Discrete { .. }, ..) => None,
            (_, MethodArgument::RushLarsen, _) => Some("rush-larsen"),
            (.., None) => Some("explicit"),
            (.., Some(t)) if t > 0.0 => Some("explicit, then stiff"),
            _ => Some("stiff"),
        };
        value["ran"] = json!(ran);
        let explicit = ran.is_some_and(|ran| ran.starts_with("explicit"));
        value["stability_limited_the_step"] = json!(explicit.then_some(statistics.stiff));
        value
    }

    /// Refuses --bands for what has none.
    fn no_bands(&self) -> Result<()> {
        if self.bands {
            return Err(Error::Input(format!(
                "--bands: {} is no Fourier neural operator, only those have bands",
                self.system.system
            )));
        }
        Ok(())
    }

    /// Checks, before any work, that the files of one trajectory can be made.
    fn check_files(&self) -> Result<()> {
        for (path, formats) in [(&self.output, &FORMATS[..]), (&self.plot, &["svg"])] {
            if let Some(path) = path {
                let hint = if ends_with(path, "zarr") {
                    "; .zarr is for --experiments"
                } else {
                    ""
                };
                check_format(path, formats, hint)?;
                artifact::check_destination(path)?;
            }
        }
        if self.precision == Precision::Single
            && self
                .output
                .as_ref()
                .is_none_or(|path| ends_with(path, "csv"))
        {
            return Err(Error::Input(
                "--precision single is for .npz and .parquet; a CSV holds every digit".into(),
            ));
        }
        Ok(())
    }

    /// Writes, draws or prints one trajectory, whatever was asked for.
    fn deliver(
        &self,
        spec: &Spec,
        e: &Experiment,
        trajectory: &Trajectory,
        meta: Value,
        shown: &[usize],
        shared: &Shared,
    ) -> Result<()> {
        // All files are complete before the first of them gets its name.
        let mut files = Vec::new();
        if let Some(path) = &self.output {
            files.push(self.write(path, spec, trajectory, &meta)?);
            files.push(artifact::describe(&files[0], &meta)?);
        }
        if let Some(path) = &self.plot {
            let role = if spec.trained_on.is_some() || self.is_operator() {
                Role::Orbit
            } else {
                Role::Equations
            };
            let words = |key: &str| meta[key].as_str().unwrap_or_default().to_owned();
            let drawing = plot::over_time(
                spec,
                role,
                e,
                trajectory,
                shown,
                [&words("band"), &words("note")],
            );
            files.push(Staged::new(path, |w| w.write_all(drawing.as_bytes()))?);
        }
        let only_print = files.is_empty();
        files.into_iter().try_for_each(Staged::commit)?;
        match (shared.json, only_print) {
            (true, true) => print_json(&with_data(meta, spec, trajectory)),
            (true, false) => print_json(&meta),
            (false, true) => print(|w| write_csv(w, spec, trajectory)),
            (false, false) => Ok(()),
        }
    }

    /// For a method without error control: by how much half of each step changes each variable of these experiments, at most, and by how much
    /// they differ from runs with error control, which is their error. Over all of the run, whatever the output times are.
    fn error_of_steps(
        &self,
        system: &dyn DynamicalSystem,
        experiments: &[Experiment],
        options: &SolveOptions,
        shared: &Shared,
    ) -> Result<Value> {
        if options.method != Method::RushLarsen {
            return Ok(json!({"change_by_half_the_step": null}));
        }
        let dense = |e: &Experiment| -> Result<Experiment> {
            let TimeGrid { dt, count, .. } = e.times;
            let parts = (DEFAULT_STEPS as usize).div_ceil((count - 1).max(1));
            let times = TimeGrid::new(0.0, dt / parts as f64, (count - 1) * parts + 1)?;
            Ok(Experiment { times, ..e.clone() })
        };
        let controlled = SolveOptions {
            method: Method::Auto,
            step: None,
            ..options.clone()
        };
        let spec = system.spec();
        let mut by = [
            vec![0f64; spec.variables.len()],
            vec![0f64; spec.variables.len()],
        ];
        let mut not_compared = [0, 0];
        // One after the other: the states between the output times of one are little.
        for e in experiments {
            let e = dense(e)?;
            let run = |options: &SolveOptions| -> Result<Trajectory> {
                Ok(system
                    .solve_ensemble(std::slice::from_ref(&e), options)?
                    .remove(0))
            };
            let steps = run(options)?;
            for (k, other) in [
                &SolveOptions {
                    halved: true,
                    ..options.clone()
                },
                &controlled,
            ]
            .into_iter()
            .enumerate()
            {
                let other = run(other)?;
                if steps.len() < e.times.count || other.len() < e.times.count {
                    not_compared[k] += 1;
                    continue;
                }
                for (i, by) in by[k].iter_mut().enumerate() {
                    *by = steps
                        .variable(i)
                        .zip(other.variable(i))
                        .map(|(a, b)| (a - b).abs())
                        .fold(*by, f64::max);
                }
            }
        }
        let all = experiments.len();
        let q = &spec.variables[spec
            .membrane_potential
            .as_ref()
            .and_then(|v| spec.variable_index(v).ok())
            .unwrap_or(0)];
        let first = spec.variable_index(&q.name)?;
        let of = |k: usize| match all - not_compared[k] {
            1 if all == 1 => String::new(),
            n if all == n => format!(" in the first {n} experiments"),
            n => format!(" in {n} of the first {all} experiments; the others stop early"),
        };
        let amount = |k: usize| format!("{:.2e} {}", by[k][first], q.unit);
        let (name, halved, none) = (&q.name, amount(0), not_compared.map(|n| n == all));
        let off = || {
            format!(
                "no error control: {name} is off by up to {} from a run with error control{}",
                amount(1),
                of(1)
            )
        };
        shared.tell(&match none {
            [true, true] => "no error control, and no estimate of the error: there is no other run to compare with that does not stop early".into(),
            [false, true] => format!(
                "no error control: half of each step changes {name} by up to {halved}{}; the error is not known, since with error control the run \
                 stops early",
                of(0)
            ),
            [true, false] => format!("{} (with half of each step the run stops early)", off()),
            [false, false] => format!("{} (half of each step changes it by up to {halved})", off()),
        });
        let entry = |k: usize| (not_compared[k] < all).then(|| named(&spec.variables, &by[k]));
        Ok(
            json!({"change_by_half_the_step": entry(0), "error_of_the_steps": entry(1), "experiments_not_compared": not_compared[1].max(not_compared[0])}),
        )
    }

    /// What the arguments ask for, tables apart.
    fn experiment(&self, subject: &Subject) -> Result<(Experiment, SolveOptions)> {
        let Subject {
            system,
            spec,
            p,
            x0,
            protocol,
            ..
        } = subject;
        let (times, options) = (
            self.times(system.time(), spec)?,
            self.options(system.time(), spec)?,
        );
        protocol.check_until(times.end())?;
        Ok((
            Experiment {
                x0: x0.clone(),
                p: p.clone(),
                protocol: protocol.clone(),
                times,
            },
            options,
        ))
    }

    fn times(&self, time: Time, spec: &Spec) -> Result<TimeGrid> {
        let t_end = self.t_end.ok_or_else(|| {
            Error::Input(
                "--t-end is missing; give the time at which to stop, such as --t-end 100".into(),
            )
        })?;
        let times = match (time, self.dt) {
            (Time::Continuous, dt) => TimeGrid::until(t_end, dt.unwrap_or(t_end / DEFAULT_STEPS))?,
            (Time::Discrete { dt: own }, dt) => {
                let dt = dt.unwrap_or(own);
                let of_map = |e| {
                    Error::Input(format!(
                        "--t-end {t_end}, --dt {dt} of {}, a map with a step of {own}: {e}",
                        spec.id
                    ))
                };
                TimeGrid::until_of_map(t_end, dt, own).map_err(of_map)?
            }
        };
        let values = times.count.saturating_mul(spec.variables.len());
        if values > MOST_VALUES {
            let count = times.count;
            return Err(Error::Input(format!(
                "{count} output times are more than are kept in memory; take a larger --dt or a smaller --t-end"
            )));
        }
        Ok(times)
    }

    fn options(&self, time: Time, spec: &Spec) -> Result<SolveOptions> {
        if let Time::Discrete { .. } = time {
            let id = &spec.id;
            if self.rtol.or(self.atol).is_some() {
                return Err(Error::Input(format!(
                    "{id} is a map and has no tolerances; leave out --rtol and --atol"
                )));
            }
            if self.method != MethodArgument::Auto || self.step.is_some() {
                return Err(Error::Input(format!(
                    "{id} is a map and needs no integrator; leave out --method and --step"
                )));
            }
        }
        if self.method == MethodArgument::RushLarsen && self.rtol.or(self.atol).is_some() {
            return Err(Error::Input(
                "rush-larsen has a fixed step and no tolerances; leave out --rtol and --atol"
                    .into(),
            ));
        }
        if self.method == MethodArgument::RushLarsen && self.step.is_none() {
            let unit = if spec.time_unit == "1" {
                String::new()
            } else {
                format!(", in {}", spec.time_unit)
            };
            return Err(Error::Input(format!(
                "--method rush-larsen has a fixed step; give --step H{unit}"
            )));
        }
        let default = SolveOptions::default();
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
    fn configuration(
        &self,
        spec: &Spec,
        time: Time,
        e: &Experiment,
        options: &SolveOptions,
    ) -> Value {
        let flow = time == Time::Continuous;
        let controlled = flow && options.method != Method::RushLarsen;
        json!({
            "system": self.system.system,
            "id": spec.id,
            "preset": self.system.preset,
            "kind": if flow { "flow" } else { "map" },
            "parameters": named(&spec.parameters, &e.p),
            "x0": named(&spec.variables, &e.x0),
            "protocol": (!e.protocol.is_none()).then_some(&e.protocol),
            "t_end": self.t_end,
            "dt": e.times.dt,
            "rtol": controlled.then_some(options.rtol),
            "atol": controlled.then_some(options.atol),
            "method": flow.then_some(options.method),
            "step": options.step,
            "max_steps": flow.then_some(options.max_steps),
            "precision": self.precision,
            "units": units(spec),
            "parameter_units": spec.parameters.iter().map(|q| (q.name.clone(), json!(q.unit))).collect::<Map<_, _>>(),
            "stimulus_unit": spec.stimulus_unit,
            "citation": spec.citation,
            "code_version": env!("CARGO_PKG_VERSION"),
        })
    }

    fn write(
        &self,
        path: &Path,
        spec: &Spec,
        trajectory: &Trajectory,
        meta: &Value,
    ) -> Result<Staged> {
        let layout = || Layout::new(spec, trajectory.times, 1, self.precision);
        if ends_with(path, "npz") {
            npz::write_trajectory(path, &layout(), trajectory)
        } else if ends_with(path, "parquet") {
            parquet::write_trajectory(path, &layout(), trajectory, &meta.to_string())
        } else {
            Ok(Staged::new(path, |w| write_csv(w, spec, trajectory))?)
        }
    }
}

fn ends_with(path: &Path, format: &str) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case(format))
}

fn check_format(path: &Path, formats: &[&str], hint: &str) -> Result<()> {
    if formats.iter().any(|format| ends_with(path, format)) {
        return Ok(());
    }
    let supported: Vec<String> = formats.iter().map(|f| format!(".{f}")).collect();
    Err(Error::Input(format!(
        "{}: cannot write this kind of file; supported: {}{hint}",
        path.display(),
        supported.join(", ")
    )))
}

/// Adds the entries of an object to another one.
fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(all), Value::Object(more)) = (object, more) {
        all.extend(more);
    }
}

/// Writes `time,v,n,s` and one row an output time; numbers read back to the same bits.
fn write_csv(
    w: &mut dyn std::io::Write,
    spec: &Spec,
    trajectory: &Trajectory,
) -> std::io::Result<()> {
    write!(w, "time")?;
    for q in &spec.variables {
        write!(w, ",{}", q.name)?;
    }
    writeln!(w)?;
    for k in 0..trajectory.len() {
        write!(w, "{:?}", trajectory.times.time(k))?;
        for x in trajectory.state(k) {
            write!(w, ",{x:?}")?;
        }
        writeln!(w)?;
    }
    Ok(())
}

fn with_data(mut meta: Value, spec: &Spec, trajectory: &Trajectory) -> Value {
    meta["time"] = (0..trajectory.len())
        .map(|k| trajectory.times.time(k))
        .collect();
    let columns = spec
        .variables
        .iter()
        .enumerate()
        .map(|(i, q)| (q.name.clone(), trajectory.variable(i).collect::<Value>()));
    meta["x"] = Value::Object(columns.collect());
    meta
}
