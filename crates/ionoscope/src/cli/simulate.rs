//! `ionoscope simulate`: one trajectory of a model or a surrogate.

use std::path::{Path, PathBuf};

use ionoscope_dynamics::{
    protocol::Protocol,
    spec::Spec,
    system::Time,
    trajectory::{Experiment, SolveOptions, TimeGrid, Trajectory},
};
use serde_json::{Map, Value, json};

use super::{
    Shared,
    arguments::{self, Opened, SystemArguments, borrowed},
    plot, print, print_json,
};
use crate::{
    Error, Result,
    artifact::{self, Staged},
    named::{named, units},
};

/// Output times of a flow where no step is given.
const DEFAULT_STEPS: f64 = 10_000.0;
/// Largest number of values kept for one trajectory: 4 GiB.
const MOST_VALUES: usize = 1 << 29;

/// Integrates a model, or iterates a surrogate, from one start
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    system: SystemArguments,
    /// A start other than the default; may be repeated
    #[arg(long = "x0", value_name = "NAME=VALUE", value_parser = arguments::name_value, value_delimiter = ',')]
    x0: Vec<(String, f64)>,
    /// Time at which to stop, in the system's unit of time
    #[arg(long, value_name = "T", value_parser = arguments::positive, allow_negative_numbers = true)]
    t_end: f64,
    /// Spacing of the output times [default: the step of a map; a 10 000th of T for equations]
    #[arg(long, value_name = "DT", value_parser = arguments::positive, allow_negative_numbers = true)]
    dt: Option<f64>,
    /// Relative tolerance [default: 1e-8]; for equations only
    #[arg(long, value_name = "TOL", value_parser = arguments::positive, allow_negative_numbers = true)]
    rtol: Option<f64>,
    /// Absolute tolerance of every variable [default: 1e-10]; for equations only
    #[arg(long, value_name = "TOL", value_parser = arguments::positive, allow_negative_numbers = true)]
    atol: Option<f64>,
    /// Steps after which the solve is given up; for equations only
    #[arg(long, value_name = "N", default_value_t = SolveOptions::default().max_steps, value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    max_steps: u64,
    /// File to write (.csv), with units and configuration beside it in FILE.meta.json; the data go to standard output when no file is given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Figure to draw (.svg): the variables over time
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        for (path, formats) in [(&self.output, ["csv"]), (&self.plot, ["svg"])] {
            if let Some(path) = path {
                check_format(path, &formats)?;
                artifact::check_destination(path)?;
            }
        }
        let Opened { system, spec, p } = self.system.open()?;
        let spec = &spec;
        let x0 = spec.state_with(borrowed(&self.x0))?;
        let times = self.times(system.time(), spec)?;
        let options = self.options(system.time(), spec)?;
        let experiment = Experiment { x0, p, protocol: Protocol::none(), times };
        let trajectory = system.simulate(&experiment, &options)?;

        let outside = (0..trajectory.len()).filter(|k| spec.extrapolates(trajectory.state(*k), &experiment.p)).count();
        if outside > 0 {
            shared.warn(&format!("{outside} of {} states are outside the training range (of state or parameters)", trajectory.len()));
        }
        if trajectory.statistics.stiff {
            shared
                .warn("the problem is stiff at this tolerance: stability, not accuracy, limited the step; a looser tolerance is no faster");
        }
        let meta = self.meta(spec, system.time(), &experiment, &options, &trajectory, outside);
        // All files are complete before the first of them gets its name.
        let mut files = Vec::new();
        if let Some(path) = &self.output {
            files.push(Staged::new(path, |w| write_csv(w, spec, &trajectory))?);
            files.push(Staged::new(&artifact::meta_path(path), |w| artifact::json_to(w, &meta))?);
        }
        if let Some(path) = &self.plot {
            let drawing = plot::over_time(spec, &experiment.p, &trajectory);
            files.push(Staged::new(path, |w| w.write_all(drawing.as_bytes()))?);
        }
        let only_print = files.is_empty();
        files.into_iter().try_for_each(Staged::commit)?;
        match (shared.json, only_print) {
            (true, true) => print_json(&with_data(meta, spec, &trajectory)),
            (true, false) => print_json(&meta),
            (false, true) => print(|w| write_csv(w, spec, &trajectory)),
            (false, false) => Ok(()),
        }
    }

    fn times(&self, time: Time, spec: &Spec) -> Result<TimeGrid> {
        let dt = match (time, self.dt) {
            (Time::Continuous, dt) => dt.unwrap_or(self.t_end / DEFAULT_STEPS),
            (Time::Discrete { dt: own }, None) => own,
            (Time::Discrete { dt: own }, Some(dt)) => {
                let ratio = (dt / own).round();
                if ratio < 1.0 || (dt / own - ratio).abs() > 1e-6 {
                    return Err(Error::Input(format!("--dt {dt}: {} is a map with a step of {own}; expected a multiple of it", spec.id)));
                }
                ratio * own
            }
        };
        let times = TimeGrid::until(self.t_end, dt)?;
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
        if let (Time::Discrete { .. }, Some(_)) = (time, self.rtol.or(self.atol)) {
            return Err(Error::Input(format!("{} is a map and has no tolerances; leave out --rtol and --atol", spec.id)));
        }
        let default = SolveOptions::default();
        let (rtol, atol) = (self.rtol.unwrap_or(default.rtol), self.atol.unwrap_or(default.atol));
        let options = SolveOptions { rtol, atol, max_steps: self.max_steps, ..default };
        options.check()?;
        Ok(options)
    }

    /// Everything that is needed to read the data and to make them again.
    fn meta(&self, spec: &Spec, time: Time, e: &Experiment, options: &SolveOptions, trajectory: &Trajectory, outside: usize) -> Value {
        let tolerances = match time {
            Time::Continuous => (Some(options.rtol), Some(options.atol)),
            Time::Discrete { .. } => (None, None),
        };
        json!({
            "system": self.system.system,
            "id": spec.id,
            "preset": self.system.preset,
            "kind": if tolerances.0.is_some() { "flow" } else { "map" },
            "parameters": named(&spec.parameters, &e.p),
            "x0": named(&spec.variables, &e.x0),
            "t_end": self.t_end,
            "dt": e.times.dt,
            "rtol": tolerances.0,
            "atol": tolerances.1,
            "units": units(spec),
            "parameter_units": spec.parameters.iter().map(|q| (q.name.clone(), json!(q.unit))).collect::<Map<_, _>>(),
            "extrapolated": outside > 0,
            "extrapolated_states": outside,
            "rows": trajectory.len(),
            "statistics": trajectory.statistics,
            "citation": spec.citation,
            "code_version": env!("CARGO_PKG_VERSION"),
        })
    }
}

fn check_format(path: &Path, formats: &[&str]) -> Result<()> {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    if formats.contains(&extension.as_str()) {
        return Ok(());
    }
    let supported: Vec<String> = formats.iter().map(|f| format!(".{f}")).collect();
    Err(Error::Input(format!("{}: cannot write this kind of file; supported: {}", path.display(), supported.join(", "))))
}

/// Writes `time,v,n,s` and one row an output time; numbers read back to the same bits.
fn write_csv(w: &mut dyn std::io::Write, spec: &Spec, trajectory: &Trajectory) -> std::io::Result<()> {
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
    meta["time"] = (0..trajectory.len()).map(|k| trajectory.times.time(k)).collect();
    let columns = spec.variables.iter().enumerate().map(|(i, q)| (q.name.clone(), trajectory.variable(i).collect::<Value>()));
    meta["x"] = Value::Object(columns.collect());
    meta
}
