//! Raster and orbit diagrams over a parameter.

use ionoscope_analysis::{
    diagram::{
        Column as Swept, Inherit, Mark, Section, Sweep, SweepOptions, SweepTimes, orbit_marks,
        raster, sweep, sweep_times,
    },
    fixed_points::{FixedPointOptions, fixed_points},
};
use ionoscope_dynamics::{
    spec::Spec,
    system::{Input, Time},
    trajectory::SolveOptions,
    watch::Watcher,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::question::Question;
use crate::{
    Error, Result,
    answer::{Answer, Text},
    by_name,
    named::named,
    options::{self, Over},
    report::{
        figure::{Axis, Figure, Panel, Role, Series},
        shade::Shade,
        table::{Column, Format, Table},
    },
    subject::Subject,
    text::short,
};

/// Rows of cells of a drawn raster.
const ROWS: usize = 400;
/// Where beside a fixed point `--start fixed-point` begins, as a share of the variables' ranges.
const BESIDE: f64 = 1e-4;
/// How much finer than a raster an orbit diagram looks at a flow.
const FINER: f64 = 4.0;

/// Which diagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The membrane potential over time as shade, a column for every value
    Raster,
    /// Points for every value: maxima, intervals between spikes, or a section
    Orbit,
}

/// What an orbit diagram marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Of {
    /// Local maxima of the variable
    Maxima,
    /// Intervals between spikes
    Isi,
    /// The variable where --section is crossed upwards
    Section,
}

/// Where the first column starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// At the default start, or --x0
    State,
    /// Beside the first stable fixed point there, or the first
    FixedPoint,
}

/// Draws what a system does over a parameter, by simulation
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[serde(default, deny_unknown_fields)]
pub struct Diagram {
    /// Which diagram
    #[cfg_attr(feature = "clap", arg(long, value_enum, default_value_t = Diagram::default().kind))]
    pub kind: Kind,
    /// The parameter, or i_stim, and its values
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME=FROM:TO[:N]", value_parser = options::over, allow_hyphen_values = true))]
    pub over: Over,
    /// From where a column starts: from its neighbor's end, forward, backward or outwards:VALUE, or none: all from the same start
    #[cfg_attr(feature = "clap", arg(long, value_name = "HOW", value_parser = inherit, default_value = "forward"))]
    #[serde(deserialize_with = "inherit_in")]
    pub inherit: Inherit,
    /// Sweep forward and backward, which shows where two attractors stand side by side (orbit diagrams)
    #[cfg_attr(feature = "clap", arg(long, conflicts_with = "inherit"))]
    pub both: bool,
    /// Where the first column starts
    #[cfg_attr(feature = "clap", arg(long, value_enum, default_value_t = Diagram::default().start))]
    pub start: Start,
    /// Variable that is shown [default: the membrane potential, or the first]
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME"))]
    pub show: Option<String>,
    /// What an orbit diagram marks
    #[cfg_attr(feature = "clap", arg(long, value_enum, default_value_t = Diagram::default().of))]
    pub of: Of,
    /// Section of an orbit diagram: the variable that crosses a value upwards
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME=VALUE", value_parser = options::name_value, allow_hyphen_values = true))]
    #[serde(deserialize_with = "by_name::one")]
    pub section: Option<(String, f64)>,
    /// Time dropped of each column [default: several of the longest period or slowest decay, measured at some of the values]
    #[cfg_attr(feature = "clap", arg(long, value_name = "T", value_parser = options::number, allow_negative_numbers = true))]
    pub transient: Option<f64>,
    /// Time shown of each column; twice as much is integrated [default: 1.75 of the longest period, measured at some of the values]
    #[cfg_attr(feature = "clap", arg(long, value_name = "T", value_parser = options::positive, allow_negative_numbers = true))]
    #[serde(deserialize_with = "options::positive_in")]
    pub window: Option<f64>,
    /// Time between two states [default: such that the fastest motion is resolved; a map's own step]
    #[cfg_attr(feature = "clap", arg(long, value_name = "DT", value_parser = options::positive, allow_negative_numbers = true))]
    #[serde(deserialize_with = "options::positive_in")]
    pub dt: Option<f64>,
    /// Relative tolerance of a flow; the absolute one is a hundredth of it
    #[cfg_attr(feature = "clap", arg(long, value_name = "R", value_parser = options::positive, default_value_t = Diagram::default().rtol, allow_negative_numbers = true))]
    #[serde(deserialize_with = "options::positive_in")]
    pub rtol: f64,
}

impl Default for Diagram {
    fn default() -> Self {
        Diagram {
            kind: Kind::Raster,
            over: Over::default(),
            inherit: Inherit::Forward,
            both: false,
            start: Start::State,
            show: None,
            of: Of::Maxima,
            section: None,
            transient: None,
            window: None,
            dt: None,
            rtol: 1e-6,
        }
    }
}

/// A sweep of an orbit diagram: its name and the marks of every column.
struct Marks {
    direction: &'static str,
    /// Parameter, marks, and whether the column had settled.
    columns: Vec<(f64, Vec<f64>, bool)>,
}

impl Question for Diagram {
    fn ask(&self, subject: &Subject, watch: &Watcher) -> Result<Answer> {
        let spec = &subject.spec;
        let (over, unit) = self.over.input(spec)?;
        subject.refuse_fixed(&self.over)?;
        let default = if self.kind == Kind::Raster { 400 } else { 201 };
        let values = self.over.values(default);
        let shown = match self.show.as_ref().or(spec.membrane_potential.as_ref()) {
            Some(name) => spec.variable_index(name)?,
            None => 0,
        };
        let mark = self.mark(spec)?;
        let x0 = watch.unless_stopped(self.start(subject, over, &values))?;
        let task = Sweep {
            system: subject.system()?,
            over,
            values: &values,
            x0: &x0,
            i_stim: subject.constant_stimulus()?,
            p: &subject.p,
        };
        let (options, times) = self.times(task, watch)?;
        let sweeps = self.sweep(task, &options, watch)?;
        let mut document = self.document(subject, &unit, &times);
        let mut answer = match self.kind {
            Kind::Raster => self.raster(spec, &unit, shown, &sweeps[0], &mut document),
            Kind::Orbit => {
                let names = if self.both {
                    vec!["forward", "backward"]
                } else {
                    vec!["sweep"]
                };
                let marks = names
                    .into_iter()
                    .zip(&sweeps)
                    .map(|(direction, swept)| Marks {
                        direction,
                        columns: swept
                            .iter()
                            .map(|c| (c.parameter, orbit_marks(&task, c, shown, mark), c.settled))
                            .collect(),
                    });
                self.orbit(
                    spec,
                    &unit,
                    shown,
                    &marks.collect::<Vec<_>>(),
                    &mut document,
                )
            }
        };
        if let Value::Object(document) = &document {
            answer.meta = document.clone();
        }
        answer.document = document;
        if !times.settled {
            answer.warnings.push(format!(
                "the system did not settle at all values at which its time scales were measured; a transient of {} is used: give --transient and --window if that is short",
                short(times.transient)
            ));
        }
        answer.warnings.extend(self.complaints(&sweeps));
        Ok(answer)
    }
}

impl Diagram {
    /// The options of the sweeps, with times that were measured where none were given.
    fn times(&self, task: Sweep<'_>, watch: &Watcher) -> Result<(SweepOptions, SweepTimes)> {
        let mut options = SweepOptions {
            inherit: self.inherit,
            transient: self.transient,
            early: self.transient.is_none(),
            window: self.window.map(|window| 2.0 * window),
            dt: self.dt,
            solve: SolveOptions::with_rtol(self.rtol),
        };
        let mut times = watch.unless_stopped(sweep_times(task, &options))?;
        let flow = task.system.time() == Time::Continuous;
        if self.kind == Kind::Orbit && self.dt.is_none() && flow {
            times.dt /= FINER;
        }
        (options.transient, options.window, options.dt) =
            (Some(times.transient), Some(times.window), Some(times.dt));
        let states = times.window / times.dt;
        let bytes = task.values.len() as f64 * states * 8.0 * task.x0.len() as f64;
        if bytes > 4e9 {
            return Err(Error::Input(format!(
                "{} values of {} states would take {:.1} GB; take fewer values, a larger --dt or a shorter --window",
                task.values.len(),
                states as u64,
                bytes / 1e9
            )));
        }
        Ok((options, times))
    }

    fn sweep(
        &self,
        task: Sweep<'_>,
        options: &SweepOptions,
        watch: &Watcher,
    ) -> Result<Vec<Vec<Swept>>> {
        let directions = match self.both {
            true if self.inherit != Inherit::Forward => {
                let message = "--both sweeps forward and backward; leave out --inherit";
                return Err(Error::Input(message.into()));
            }
            true => vec![Inherit::Forward, Inherit::Backward],
            false => vec![self.inherit],
        };
        let columns = task.values.len();
        let whole = columns * directions.len();
        let one = |(k, inherit)| {
            let options = SweepOptions {
                inherit,
                ..options.clone()
            };
            let part = watch.part(k * columns, whole, "columns");
            Ok(watch.unless_stopped(sweep(task, &options, &part))?)
        };
        directions.into_iter().enumerate().map(one).collect()
    }

    /// What the columns say against themselves.
    fn complaints(&self, sweeps: &[Vec<Swept>]) -> Vec<String> {
        let mut complaints = Vec::new();
        let all = || sweeps.iter().flatten();
        let count = all().count();
        let failed: Vec<&Swept> = all().filter(|c| c.failure().is_some()).collect();
        if let Some(first) = failed.first() {
            let reason = first.failure().unwrap_or_default();
            complaints.push(format!(
                "{} columns are empty or cut short; at {} = {}: {reason}",
                failed.len(),
                self.over.name,
                first.parameter
            ));
        }
        let outside = all().filter(|c| c.extrapolated).count();
        if outside > 0 {
            complaints.push(format!(
                "{outside} of {count} columns went outside the training range (of state or parameters)"
            ));
        }
        let open = all().filter(|c| !c.settled).count();
        if open > 0 {
            complaints.push(format!(
                "{open} of {count} columns differ between the halves of their window: not settled, or slower than the window; give a longer --transient or --window"
            ));
        }
        complaints
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

    /// Where the first column starts.
    fn start(&self, subject: &Subject, over: Input, values: &[f64]) -> Result<Vec<f64>> {
        if self.start == Start::State {
            return Ok(subject.x0.clone());
        }
        let value = match self.inherit {
            Inherit::Outwards(value) => value,
            Inherit::Backward => values[values.len() - 1],
            _ => values[0],
        };
        let (mut p, mut i_stim) = (subject.p.clone(), subject.constant_stimulus()?);
        match over {
            Input::Parameter(k) => p[k] = value,
            Input::Stimulus => i_stim = value,
        }
        let options = FixedPointOptions {
            start: Some(subject.x0.clone()),
            ..FixedPointOptions::default()
        };
        let found = fixed_points(subject.system()?, i_stim, &p, &options)?;
        let point = found.iter().find(|f| f.stable).or(found.first());
        let point = point.ok_or_else(|| {
            Error::Input(format!(
                "no fixed point was found at {} = {value} to start beside, from {} starts of Newton's method; begin at a state, with --start state",
                self.over.name, options.starts
            ))
        })?;
        let variables = &subject.system()?.spec().variables;
        let beside = |(x, [low, high]): (&f64, [f64; 2])| x + BESIDE * (high - low);
        Ok(point
            .x
            .iter()
            .zip(variables.iter().map(|q| q.range))
            .map(beside)
            .collect())
    }

    fn document(&self, subject: &Subject, unit: &str, times: &SweepTimes) -> Value {
        let time = &subject.spec.time_unit;
        json!({
            "system": subject.name,
            "over": self.over.name,
            "parameters": named(&subject.spec.parameters, &subject.p),
            "transient": times.transient,
            "window": 0.5 * times.window,
            "dt": times.dt,
            "units": {"parameter": unit, "time": time, "transient": time, "window": time, "dt": time},
            "version": env!("CARGO_PKG_VERSION"),
        })
    }

    fn raster(
        &self,
        spec: &Spec,
        unit: &str,
        shown: usize,
        columns: &[Swept],
        document: &mut Value,
    ) -> Answer {
        let away = |k: &usize, from: f64| (columns[*k].parameter - from).abs();
        let first = match self.inherit {
            Inherit::Outwards(from) => (0..columns.len())
                .min_by(|a, b| away(a, from).total_cmp(&away(b, from)))
                .unwrap_or(0),
            Inherit::Backward => columns.len() - 1,
            _ => 0,
        };
        let found = raster(columns, shown, first);
        let q = &spec.variables[shown];
        let column = |(c, values): (&Swept, &Vec<f64>)| {
            let (low, high) = values
                .iter()
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
                    (a.min(*v), b.max(*v))
                });
            json!({"parameter": c.parameter, "min": low, "max": high, "extrapolated": c.extrapolated, "settled": c.settled, "failed": c.failure()})
        };
        document["kind"] = json!("raster");
        document["variable"] = json!(q.name);
        document["units"][&q.name] = json!(q.unit);
        document["columns"] = columns.iter().zip(&found.values).map(column).collect();
        let mut answer = Answer::new(Value::Null);
        let step = found.time.get(1).copied().unwrap_or(0.0);
        answer.text.push(Text::Cells(vec![
            ["columns", "times", "step"].map(String::from).to_vec(),
            vec![
                found.parameter.len().to_string(),
                found.time.len().to_string(),
                short(step),
            ],
        ]));
        // A row a column of the raster: the parameter, then the values at the times of the header.
        let time = |t: &f64| Column::number(&t.to_string(), &q.unit, Format::Significant(5));
        let parameter = Column::number(&self.over.name, unit, Format::Shortest);
        let columns = [parameter]
            .into_iter()
            .chain(found.time.iter().map(time))
            .collect();
        let caption = format!("{} over time, a row for every {}.", q.name, self.over.name);
        let mut table = Table::new("raster", &caption, columns);
        for (p, values) in found.parameter.iter().zip(&found.values) {
            table.push([p].into_iter().chain(values).map(|v| (*v).into()).collect());
        }
        answer.tables.push(table);
        let ends = |a: &[f64]| {
            let half = if a.len() > 1 {
                0.5 * (a[1] - a[0])
            } else {
                0.5
            };
            [
                a.first().map_or(0.0, |v| v - half),
                a.last().map_or(1.0, |v| v + half),
            ]
        };
        let (across, up) = (ends(&found.parameter), ends(&found.time));
        let shade = Shade::of_columns(&q.name, &q.unit, &found.values, ROWS, across, up);
        let axes = [
            Axis::new(&self.over.name, unit),
            Axis::new("time", &spec.time_unit),
        ];
        let caption = format!(
            "{} over time, a column for every {}; each in line with the one before.",
            q.name, self.over.name
        );
        answer
            .figures
            .push(drawn("raster", spec, &caption, axes, |panel| {
                panel.with_shade(shade)
            }));
        answer
    }

    fn orbit(
        &self,
        spec: &Spec,
        unit: &str,
        shown: usize,
        marks: &[Marks],
        document: &mut Value,
    ) -> Answer {
        let q = &spec.variables[shown];
        let (label, mark_unit) = match self.of {
            Of::Maxima => (format!("maxima of {}", q.name), q.unit.clone()),
            Of::Isi => ("interval between spikes".into(), spec.time_unit.clone()),
            Of::Section => (q.name.clone(), q.unit.clone()),
        };
        let sweep = |m: &Marks| {
            let column = |(p, v, settled): &(f64, Vec<f64>, bool)| json!({"parameter": p, "values": v, "settled": settled});
            json!({"direction": m.direction, "columns": m.columns.iter().map(column).collect::<Value>()})
        };
        document["kind"] = json!("orbit");
        document["of"] = json!(label);
        document["units"]["values"] = json!(mark_unit);
        document["sweeps"] = marks.iter().map(sweep).collect();
        let mut answer = Answer::new(Value::Null);
        let points: usize = marks
            .iter()
            .flat_map(|m| &m.columns)
            .map(|c| c.1.len())
            .sum();
        answer.line(format!(
            "{points} points at {} values of {}",
            marks[0].columns.len(),
            self.over.name
        ));
        let columns = vec![
            Column::number(&self.over.name, unit, Format::Shortest),
            Column::number("value", &mark_unit, Format::Significant(5)),
            Column::text("direction"),
        ];
        let caption = format!("{label} over {}.", self.over.name);
        let mut table = Table::new("orbit", &caption, columns);
        for sweep in marks {
            for (p, values, _) in &sweep.columns {
                values.iter().for_each(|v| {
                    table.push(vec![(*p).into(), (*v).into(), sweep.direction.into()])
                });
            }
        }
        answer.tables.push(table);
        let axes = [
            Axis::new(&self.over.name, unit),
            Axis::new(&label, &mark_unit),
        ];
        answer
            .figures
            .push(drawn("orbit", spec, &caption, axes, |mut panel| {
                for (sweep, role) in marks.iter().zip([Role::Equations, Role::Network]) {
                    let all = sweep
                        .columns
                        .iter()
                        .flat_map(|(p, values, _)| values.iter().map(|v| (*p, *v)));
                    let (x, y) = all.unzip();
                    let name = if marks.len() > 1 { sweep.direction } else { "" };
                    panel = panel.with(Series::points(name, role, x, y));
                }
                panel
            }));
        answer
    }
}

fn drawn(
    id: &str,
    spec: &Spec,
    caption: &str,
    [x, y]: [Axis; 2],
    fill: impl FnOnce(Panel) -> Panel,
) -> Figure {
    Figure::new(id, &spec.id, caption).with(fill(Panel::new("", x, y).with_height(420.0)))
}

/// What [`inherit`] makes of a text.
fn inherit_in<'de, D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Inherit, D::Error> {
    options::text_in(d, inherit)
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
