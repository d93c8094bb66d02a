//! `ionoscope diagram`: raster and orbit diagrams over a parameter.

use std::{io::Write, path::PathBuf};

use clap::ValueEnum;
use ionoscope_analysis::{
    diagram::{
        Column, Inherit, Mark, Raster, Section, Sweep, SweepOptions, SweepTimes, orbit_marks,
        raster, sweep, sweep_times,
    },
    fixed_points::{FixedPointOptions, fixed_points},
};
use ionoscope_dynamics::{
    spec::Spec,
    system::{DynamicalSystem, Input, Time},
    trajectory::SolveOptions,
};
use serde_json::{Value, json};

use super::{Shared, arguments::SystemArguments, print, print_json};
use crate::{
    Error, Result,
    artifact::{self, Staged},
    named::named,
    options::Over,
    options::{self},
    report::{
        figure::{Axis, Figure, Panel, Role, Series},
        shade::Shade,
        svg,
    },
    subject::Subject,
    text::{short, write_cells},
};

/// Rows of cells of a drawn raster.
const ROWS: usize = 400;
/// Where beside a fixed point `--start fixed-point` begins, as a share of the variables' ranges.
const BESIDE: f64 = 1e-4;
/// How much finer than a raster an orbit diagram looks at a flow.
const FINER: f64 = 4.0;

/// Which diagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The membrane potential over time as shade, a column for every value
    Raster,
    /// Points for every value: maxima, intervals between spikes, or a section
    Orbit,
}

/// What an orbit diagram marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Of {
    /// Local maxima of the variable
    Maxima,
    /// Intervals between spikes
    Isi,
    /// The variable where --section is crossed upwards
    Section,
}

/// Where the first column starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Start {
    /// At the default start, or --x0
    State,
    /// Beside the first stable fixed point there, or the first
    FixedPoint,
}

/// Draws what a system does over a parameter, by simulation
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  ionoscope diagram sherman-1988 --kind raster --over v_s=-40:-30:400 --plot raster.svg
  ionoscope diagram stankevich-2017 --kind raster --over v_s=-40:-30:400 --inherit outwards:-36 --start fixed-point --plot beside.svg
  ionoscope diagram sherman-1988 --kind orbit --of isi --both --over v_s=-35:-32:301 --plot orbit.svg -o orbit.csv")]
pub struct Arguments {
    #[command(flatten)]
    system: SystemArguments,
    /// Which diagram
    #[arg(long, value_enum, default_value_t = Kind::Raster)]
    kind: Kind,
    /// The parameter, or i_stim, and its values
    #[arg(long, value_name = "NAME=FROM:TO[:N]", value_parser = options::over, allow_hyphen_values = true)]
    over: Over,
    /// From where a column starts: from its neighbour's end, forward, backward or outwards:VALUE, or none: all from the same start
    #[arg(long, value_name = "HOW", value_parser = inherit, default_value = "forward")]
    inherit: Inherit,
    /// Sweep forward and backward, which shows where two attractors stand side by side (orbit diagrams)
    #[arg(long, conflicts_with = "inherit")]
    both: bool,
    /// Where the first column starts
    #[arg(long, value_enum, default_value_t = Start::State)]
    start: Start,
    /// Variable that is shown [default: the membrane potential, or the first]
    #[arg(long, value_name = "NAME")]
    show: Option<String>,
    /// What an orbit diagram marks
    #[arg(long, value_enum, default_value_t = Of::Maxima)]
    of: Of,
    /// Section of an orbit diagram: the variable that crosses a value upwards
    #[arg(long, value_name = "NAME=VALUE", value_parser = options::name_value, allow_hyphen_values = true)]
    section: Option<(String, f64)>,
    /// Time dropped of each column [default: several of the longest period or slowest decay, measured at some of the values]
    #[arg(long, value_name = "T", value_parser = options::number, allow_negative_numbers = true)]
    transient: Option<f64>,
    /// Time shown of each column; twice as much is integrated [default: 1.75 of the longest period, measured at some of the values]
    #[arg(long, value_name = "T", value_parser = options::positive, allow_negative_numbers = true)]
    window: Option<f64>,
    /// Time between two states [default: such that the fastest motion is resolved; a map's own step]
    #[arg(long, value_name = "DT", value_parser = options::positive, allow_negative_numbers = true)]
    dt: Option<f64>,
    /// Relative tolerance of a flow; the absolute one is a hundredth of it
    #[arg(long, value_name = "R", value_parser = options::positive, default_value_t = 1e-6, allow_negative_numbers = true)]
    rtol: f64,
    /// Table: of a raster a line for every value, of an orbit diagram a line for every point
    #[arg(short, long = "output", value_name = "FILE.csv")]
    output: Option<PathBuf>,
    /// The diagram
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

/// A sweep of an orbit diagram: its name and the marks of every column.
struct Marks {
    direction: &'static str,
    /// Parameter, marks, and whether the column had settled.
    columns: Vec<(f64, Vec<f64>, bool)>,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        let subject = self.system.open(shared)?;
        let i_stim = subject.constant_stimulus()?;
        let Subject {
            system,
            spec,
            p,
            x0,
            ..
        } = subject.clone();
        for path in self.output.iter().chain(&self.plot) {
            artifact::check_destination(path)?;
        }
        let (over, unit) = self.over.input(&spec)?;
        self.over.refuse_fixed(&subject)?;
        let values = self
            .over
            .values(if self.kind == Kind::Raster { 400 } else { 201 });
        let shown = match self.show.as_ref().or(spec.membrane_potential.as_ref()) {
            Some(name) => spec.variable_index(name)?,
            None => 0,
        };
        let mark = self.mark(&spec)?;
        let x0 = shared
            .watch
            .unless_stopped(self.start(x0, &*system, i_stim, &p, over, &values))?;
        let mut options = SweepOptions {
            inherit: self.inherit,
            transient: self.transient,
            early: self.transient.is_none(),
            window: self.window.map(|window| 2.0 * window),
            dt: self.dt,
            solve: SolveOptions {
                rtol: self.rtol,
                atol: 0.01 * self.rtol,
                ..SolveOptions::default()
            },
        };
        let task = Sweep {
            system: &*system,
            over,
            values: &values,
            x0: &x0,
            i_stim,
            p: &p,
        };
        let times = shared.watch.unless_stopped(sweep_times(task, &options))?;
        let mut times = times;
        if self.kind == Kind::Orbit && self.dt.is_none() && system.time() == Time::Continuous {
            times.dt /= FINER;
        }
        (options.transient, options.window, options.dt) =
            (Some(times.transient), Some(times.window), Some(times.dt));
        let bytes =
            values.len() as f64 * times.window / times.dt * 8.0 * spec.variables.len() as f64;
        if bytes > 4e9 {
            let message = format!(
                "{} values of {} states would take {:.1} GB; take fewer values, a larger --dt or a shorter --window",
                values.len(),
                (times.window / times.dt) as u64,
                bytes / 1e9
            );
            return Err(Error::Input(message));
        }
        if !times.settled {
            shared.warn(&format!(
                "the system did not settle at all values at which its time scales were measured; a transient of {} is used: give --transient and --window if that is short",
                short(times.transient)
            ));
        }
        let sweeps = if self.both {
            vec![Inherit::Forward, Inherit::Backward]
        } else {
            vec![self.inherit]
        };
        let mut columns = Vec::new();
        let whole = values.len() * sweeps.len();
        for (k, inherit) in sweeps.into_iter().enumerate() {
            let watch = shared.watch.part(k * values.len(), whole, "columns");
            columns.push(shared.watch.unless_stopped(sweep(
                task,
                &SweepOptions {
                    inherit,
                    ..options.clone()
                },
                &watch,
            ))?);
        }
        let all = || columns.iter().flatten();
        let failed: Vec<&Column> = all().filter(|c| c.failure().is_some()).collect();
        if let Some(first) = failed.first() {
            let reason = first.failure().unwrap_or_default();
            shared.warn(&format!(
                "{} columns are empty or cut short; at {} = {}: {reason}",
                failed.len(),
                self.over.name,
                first.parameter
            ));
        }
        let outside = all().filter(|c| c.extrapolated).count();
        if outside > 0 {
            shared.warn(&format!(
                "{outside} of {} columns went outside the training range (of state or parameters)",
                all().count()
            ));
        }
        let open = all().filter(|c| !c.settled).count();
        if open > 0 {
            shared.warn(&format!(
                "{open} of {} columns differ between the halves of their window: not settled, or slower than the window; give a longer --transient or --window",
                all().count()
            ));
        }
        match self.kind {
            Kind::Raster => self.raster(&spec, &p, &unit, shown, &columns[0], &times, shared),
            Kind::Orbit => {
                let names = if self.both {
                    vec!["forward", "backward"]
                } else {
                    vec!["sweep"]
                };
                let marks: Vec<Marks> = names
                    .into_iter()
                    .zip(&columns)
                    .map(|(direction, c)| Marks {
                        direction,
                        columns: c
                            .iter()
                            .map(|c| (c.parameter, orbit_marks(&task, c, shown, mark), c.settled))
                            .collect(),
                    })
                    .collect();
                self.orbit(&spec, &p, &unit, shown, &marks, &times, shared)
            }
        }
    }

    fn mark(&self, spec: &Spec) -> Result<Mark> {
        Ok(match (self.of, &self.section) {
            (Of::Maxima, None) => Mark::Maxima,
            (Of::Isi, None) => Mark::Intervals(spec.spike_threshold.ok_or_else(|| {
                Error::Input(format!("{} has no spike threshold; use --of maxima, or --of section --section NAME=VALUE", spec.id))
            })?),
            (Of::Section, Some((name, value))) => Mark::Section(Section { variable: spec.variable_index(name)?, value: *value }),
            (Of::Section, None) => return Err(Error::Input("--of section needs the section, such as --section n=0.05".into())),
            (_, Some(_)) => return Err(Error::Input("--section is for --of section; leave it out, or add that".into())),
        })
    }

    fn start(
        &self,
        state: Vec<f64>,
        system: &dyn DynamicalSystem,
        i_stim: f64,
        p: &[f64],
        over: Input,
        values: &[f64],
    ) -> Result<Vec<f64>> {
        if self.start == Start::State {
            return Ok(state);
        }
        let value = match self.inherit {
            Inherit::Outwards(value) => value,
            Inherit::Backward => values[values.len() - 1],
            _ => values[0],
        };
        let (mut p, mut i_stim) = (p.to_vec(), i_stim);
        match over {
            Input::Parameter(k) => p[k] = value,
            Input::Stimulus => i_stim = value,
        }
        let options = FixedPointOptions {
            start: Some(state),
            ..FixedPointOptions::default()
        };
        let found = fixed_points(system, i_stim, &p, &options)?;
        let point = found.iter().find(|f| f.stable).or(found.first());
        let point = point.ok_or_else(|| {
            Error::Input(format!(
                "no fixed point was found at {} = {value} to start beside, from {} starts of Newton's method; begin at a state, with --start state",
                self.over.name, options.starts
            ))
        })?;
        Ok(point
            .x
            .iter()
            .zip(&system.spec().variables)
            .map(|(x, q)| x + BESIDE * (q.range[1] - q.range[0]))
            .collect())
    }

    fn keep(
        &self,
        figure: &Figure,
        csv: impl Fn(&mut dyn Write) -> std::io::Result<()>,
        document: &Value,
    ) -> Result<()> {
        let mut files = Vec::new();
        if let Some(path) = &self.output {
            files.push(Staged::new(path, |w| csv(w))?);
            files.push(artifact::describe(&files[0], document)?);
        }
        if let Some(path) = &self.plot {
            let drawing = svg::draw(figure);
            files.push(Staged::new(path, |w| w.write_all(drawing.as_bytes()))?);
        }
        files.into_iter().try_for_each(Staged::commit)?;
        Ok(())
    }

    fn document(&self, spec: &Spec, p: &[f64], unit: &str, times: &SweepTimes) -> Value {
        json!({
            "system": self.system.system,
            "over": self.over.name,
            "parameters": named(&spec.parameters, p),
            "transient": times.transient,
            "window": 0.5 * times.window,
            "dt": times.dt,
            "units": {"parameter": unit, "time": spec.time_unit, "transient": spec.time_unit, "window": spec.time_unit, "dt": spec.time_unit},
            "version": env!("CARGO_PKG_VERSION"),
        })
    }

    #[allow(clippy::too_many_arguments)]
    fn raster(
        &self,
        spec: &Spec,
        p: &[f64],
        unit: &str,
        shown: usize,
        columns: &[Column],
        times: &SweepTimes,
        shared: &Shared,
    ) -> Result<()> {
        let first = match self.inherit {
            Inherit::Outwards(value) => (0..columns.len())
                .min_by(|a, b| {
                    (columns[*a].parameter - value)
                        .abs()
                        .total_cmp(&(columns[*b].parameter - value).abs())
                })
                .unwrap_or(0),
            Inherit::Backward => columns.len() - 1,
            _ => 0,
        };
        let found = raster(columns, shown, first);
        let q = &spec.variables[shown];
        let ends = |a: &[f64], lone: f64| {
            let half = if a.len() > 1 {
                0.5 * (a[1] - a[0])
            } else {
                lone
            };
            [
                a.first().map_or(0.0, |v| v - half),
                a.last().map_or(1.0, |v| v + half),
            ]
        };
        let shade = Shade::of_columns(
            &q.name,
            &q.unit,
            &found.values,
            ROWS,
            ends(&found.parameter, 0.5),
            ends(&found.time, 0.5),
        );
        let panel = Panel::new(
            "",
            Axis::new(&self.over.name, unit),
            Axis::new("time", &spec.time_unit),
        )
        .with_height(420.0)
        .with_shade(shade);
        let caption = format!(
            "{} over time, a column for every {}; each in line with the one before.",
            q.name, self.over.name
        );
        let figure = Figure::new("raster", &spec.id, &caption).with(panel);
        let mut document = self.document(spec, p, unit, times);
        document["kind"] = json!("raster");
        document["variable"] = json!(q.name);
        document["units"][&q.name] = json!(q.unit);
        document["columns"] = Value::Array(
            columns
                .iter()
                .zip(&found.values)
                .map(|(c, v)| {
                    let (low, high) = v.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
                    json!({"parameter": c.parameter, "min": low, "max": high, "extrapolated": c.extrapolated, "settled": c.settled, "failed": c.failure()})
                })
                .collect(),
        );
        self.keep(
            &figure,
            |w| raster_csv(w, &self.over.name, &found),
            &document,
        )?;
        if shared.json {
            return print_json(&document);
        }
        let rows = vec![
            vec!["columns".to_owned(), "times".into(), "step".into()],
            vec![
                found.parameter.len().to_string(),
                found.time.len().to_string(),
                short(found.time.get(1).copied().unwrap_or(0.0)),
            ],
        ];
        print(|w| write_cells(w, &rows))
    }

    #[allow(clippy::too_many_arguments)]
    fn orbit(
        &self,
        spec: &Spec,
        p: &[f64],
        unit: &str,
        shown: usize,
        marks: &[Marks],
        times: &SweepTimes,
        shared: &Shared,
    ) -> Result<()> {
        let q = &spec.variables[shown];
        let (label, mark_unit) = match self.of {
            Of::Maxima => (format!("maxima of {}", q.name), q.unit.clone()),
            Of::Isi => ("interval between spikes".into(), spec.time_unit.clone()),
            Of::Section => (q.name.clone(), q.unit.clone()),
        };
        let mut panel = Panel::new(
            "",
            Axis::new(&self.over.name, unit),
            Axis::new(&label, &mark_unit),
        )
        .with_height(420.0);
        for (sweep, role) in marks.iter().zip([Role::Equations, Role::Network]) {
            let (x, y) = sweep
                .columns
                .iter()
                .flat_map(|(p, values, _)| values.iter().map(|v| (*p, *v)))
                .unzip();
            panel = panel.with(Series::points(
                if marks.len() > 1 { sweep.direction } else { "" },
                role,
                x,
                y,
            ));
        }
        let figure = Figure::new(
            "orbit",
            &spec.id,
            &format!("{label} over {}.", self.over.name),
        )
        .with(panel);
        let mut document = self.document(spec, p, unit, times);
        document["kind"] = json!("orbit");
        document["of"] = json!(label);
        document["units"]["values"] = json!(mark_unit);
        document["sweeps"] = Value::Array(
            marks
                .iter()
                .map(|m| {
                    json!({
                        "direction": m.direction,
                        "columns": m.columns.iter().map(|(p, v, settled)| json!({"parameter": p, "values": v, "settled": settled})).collect::<Vec<_>>(),
                    })
                })
                .collect(),
        );
        let csv = |w: &mut dyn Write| {
            writeln!(w, "{},value,direction", self.over.name)?;
            for sweep in marks {
                for (p, values, _) in &sweep.columns {
                    values
                        .iter()
                        .try_for_each(|v| writeln!(w, "{p},{v},{}", sweep.direction))?;
                }
            }
            Ok(())
        };
        self.keep(&figure, csv, &document)?;
        if shared.json {
            return print_json(&document);
        }
        let points: usize = marks
            .iter()
            .flat_map(|m| &m.columns)
            .map(|c| c.1.len())
            .sum();
        print(|w| {
            writeln!(
                w,
                "{points} points at {} values of {}",
                marks[0].columns.len(),
                self.over.name
            )
        })
    }
}

/// One line a column: the parameter, then the values at the times of the header.
fn raster_csv(w: &mut dyn Write, name: &str, found: &Raster) -> std::io::Result<()> {
    write!(w, "{name}")?;
    found.time.iter().try_for_each(|t| write!(w, ",{t}"))?;
    writeln!(w)?;
    for (p, values) in found.parameter.iter().zip(&found.values) {
        write!(w, "{p}")?;
        values.iter().try_for_each(|v| write!(w, ",{v}"))?;
        writeln!(w)?;
    }
    Ok(())
}

/// Parses `forward`, `backward`, `outwards:VALUE` or `none`.
fn inherit(text: &str) -> std::result::Result<Inherit, String> {
    match text.split_once(':') {
        None if text == "forward" => Ok(Inherit::Forward),
        None if text == "backward" => Ok(Inherit::Backward),
        None if text == "none" => Ok(Inherit::None),
        Some(("outwards", value)) => Ok(Inherit::Outwards(options::number(value)?)),
        _ => Err(format!(
            "'{text}'; expected forward, backward, outwards:VALUE or none"
        )),
    }
}
