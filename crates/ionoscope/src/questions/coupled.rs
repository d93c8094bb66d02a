//! Cells coupled through their membrane potentials.

use ionoscope_analysis::synchrony::Synchrony;
use ionoscope_dynamics::{
    coupled::{CoupledCells, Graph, Scheme},
    protocol::Protocol,
    sampling::{stream, uniform},
    spec::Spec,
    system::{DynamicalSystem, Time},
    trajectory::{Experiment, Outcome, SolveOptions, TimeGrid},
    watch::Watcher,
    watched::Watched,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::question::Question;
use crate::{
    Error, Result,
    answer::{Answer, Text},
    artifact,
    named::named,
    report::{
        figure::{Axis, Figure, Panel},
        shade::Shade,
        table::{Column, Format, Table},
    },
    subject::Subject,
    text::short,
};

/// Output times where no step is given.
const DEFAULT_TIMES: f64 = 1000.0;
/// Most potentials that are kept for a table and a figure: about 1 GB of cells and text.
const MOST_KEPT: usize = 20_000_000;
/// Columns and rows of cells of a drawn raster.
const COLUMNS: usize = 800;
const ROWS: usize = 300;

/// Couples many cells through their membrane potentials and runs them
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[serde(default, deny_unknown_fields)]
pub struct Coupled {
    /// Who is coupled with whom: ring:N, chain:N, lattice:NxM, or a table of pairs of cells, counted from 0
    #[cfg_attr(feature = "clap", arg(long, value_name = "GRAPH", required = true))]
    pub graph: Option<String>,
    /// Strength of a coupling: a cell gains D times the difference of its neighbor's potential to its own, as a stimulus
    #[cfg_attr(feature = "clap", arg(long, value_name = "D", value_parser = crate::options::number, required = true, allow_negative_numbers = true))]
    pub coupling: Option<f64>,
    /// Time at which the run ends
    #[cfg_attr(feature = "clap", arg(long, value_name = "T", value_parser = crate::options::positive, required = true, allow_negative_numbers = true))]
    pub t_end: Option<f64>,
    /// Time between two outputs, of which --t-end is a multiple [default: t-end in 1000 parts; of a map in 1000 or more, of whole steps]
    #[cfg_attr(feature = "clap", arg(long, value_name = "DT", value_parser = crate::options::positive, allow_negative_numbers = true))]
    pub dt: Option<f64>,
    /// Time over which a single cell runs before; every cell starts somewhere in the second half of it, at random. 0: all start alike
    #[cfg_attr(feature = "clap", arg(long, value_name = "T", value_parser = crate::options::number, default_value_t = Coupled::default().scatter, allow_negative_numbers = true))]
    pub scatter: f64,
    /// Seed of the starts
    #[cfg_attr(feature = "clap", arg(long, value_name = "N", default_value_t = Coupled::default().seed, allow_negative_numbers = true))]
    pub seed: u64,
    /// Relative tolerance of equations; the absolute one is a hundredth of it
    #[cfg_attr(feature = "clap", arg(long, value_name = "R", value_parser = crate::options::positive, default_value_t = Coupled::default().rtol, allow_negative_numbers = true))]
    pub rtol: f64,
    /// How the pull enters a map: additive as published, or symmetric, of the second order in dt and some hundred times closer to coupled equations
    #[cfg_attr(feature = "clap", arg(long, value_enum, default_value_t = Coupling::Additive))]
    pub scheme: Coupling,
    /// Digits of a map's increments; single is several times as fast, and states keep all their digits
    #[cfg_attr(feature = "clap", arg(long, value_enum, default_value_t = Precision::Double))]
    pub precision: Precision,
    /// Whether the potentials of all cells at all times are kept, for the table and the figure.
    #[cfg_attr(feature = "clap", arg(skip))]
    pub potentials: bool,
}

/// Digits of a map's increments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 64 bits
    Double,
    /// 32 bits for the networks of a map, 64 for its states
    Single,
}

/// How the pull of the neighbors enters a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Coupling {
    /// The pull at the old states is added to the new ones
    Additive,
    /// The cells exchange for half a step before the map and for half a step after
    Symmetric,
}

impl Default for Coupled {
    fn default() -> Self {
        Coupled {
            graph: None,
            coupling: None,
            t_end: None,
            dt: None,
            scatter: 100.0,
            seed: 1,
            rtol: 1e-6,
            scheme: Coupling::Additive,
            precision: Precision::Double,
            potentials: true,
        }
    }
}

impl Question for Coupled {
    fn ask(&self, subject: &Subject, watch: &Watcher) -> Result<Answer> {
        self.check()?;
        let i_stim = subject.constant_stimulus()?;
        let Subject { spec, p, .. } = subject;
        let single;
        let system = match self.precision {
            Precision::Double => subject.system()?,
            Precision::Single => {
                single = Watched::shared(artifact::open_single(&subject.name)?, watch);
                &*single
            }
        };
        let wiring = given(self.graph.as_ref(), "graph")?;
        let (graph, coupling) = (graph(wiring)?, *given(self.coupling.as_ref(), "coupling")?);
        let scheme = match self.scheme {
            Coupling::Additive => Scheme::Additive,
            Coupling::Symmetric => Scheme::Symmetric,
        };
        let cells = CoupledCells::new(system, &graph, coupling, p)?
            .with_scheme(scheme)
            .with_stimulus(i_stim)?;
        let times = self.times(system.time())?;
        if self.potentials {
            check_size(graph.cells(), times.count)?;
        }
        let x0 = self.starts(&subject.x0, system, i_stim, p, graph.cells())?;
        let name = spec.membrane_potential.as_deref().unwrap_or_default();
        let (n, variable) = (spec.variables.len(), spec.variable_index(name)?);
        let (mut seen, mut outside) = (Seen::default(), false);
        let options = SolveOptions {
            watch: watch.silent(),
            ..SolveOptions::with_rtol(self.rtol)
        };
        let run = cells.run(x0, times, &options, &mut |k, _, x| {
            seen.look(x.iter().skip(variable).step_by(n).copied(), self.potentials);
            outside |= system.spec().trained_on.is_some()
                && x.chunks_exact(n).any(|x| system.spec().extrapolates(x, p));
            watch.progress(k + 1, times.count, "times");
            !watch.stopped()
        });
        let (outcome, statistics) = watch.unless_stopped(run)?;
        if let Outcome::Failed { time, reason } = &outcome {
            return Err(Error::Failed(format!(
                "the coupled cells failed at t = {time}: {reason}"
            )));
        }
        let document = json!({
            "system": subject.name,
            "cells": graph.cells(),
            "couplings": graph.couplings(),
            "coupling": coupling,
            "i_stim": i_stim,
            "precision": self.precision,
            "scheme": self.scheme,
            "synchrony": seen.synchrony.chi(),
            "spread_at_the_end": seen.synchrony.spread(),
            "steps": statistics.accepted,
            "rejected": statistics.rejected,
            "extrapolated": outside,
            "parameters": named(&spec.parameters, p),
            "units": units(spec, variable),
            "version": env!("CARGO_PKG_VERSION"),
        });
        let mut answer = Answer::new(document);
        write(&mut answer, &spec.variables[variable].unit, &seen);
        answer.meta = answer.document.as_object().cloned().unwrap_or_default();
        if outside {
            answer
                .warnings
                .push("cells went outside the training range (of state or parameters)".into());
        }
        if self.potentials {
            let caption = format!("{} cells, {wiring}, coupling {coupling}.", graph.cells());
            answer
                .figures
                .push(raster(spec, variable, &caption, times, &seen));
            answer.tables.push(potentials(spec, variable, times, seen));
        }
        Ok(answer)
    }
}

fn units(spec: &Spec, variable: usize) -> Value {
    let unit = &spec.variables[variable].unit;
    json!({
        "coupling": format!("{}/{unit}", spec.stimulus_unit),
        "spread_at_the_end": unit,
        "time": spec.time_unit,
    })
}

fn write(answer: &mut Answer, unit: &str, seen: &Seen) {
    let spread = format!("spread at the end ({unit})");
    let head = ["cells", "couplings", "synchrony", &spread, "steps"].map(str::to_owned);
    let row = [
        answer.document["cells"].to_string(),
        answer.document["couplings"].to_string(),
        seen.synchrony
            .chi()
            .map_or("-".into(), |chi| format!("{chi:.4}")),
        short(seen.synchrony.spread()),
        answer.document["steps"].to_string(),
    ];
    answer
        .text
        .push(Text::Cells(vec![head.to_vec(), row.to_vec()]));
}

/// An option without a default.
fn given<'a, T>(value: Option<&'a T>, name: &str) -> Result<&'a T> {
    value.ok_or_else(|| Error::Input(format!("{name} is missing; it has no default")))
}

/// Refuses more potentials than are kept.
fn check_size(cells: usize, times: usize) -> Result<()> {
    if cells.saturating_mul(times) <= MOST_KEPT {
        return Ok(());
    }
    Err(Error::Input(format!(
        "{} potentials of {cells} cells are too many to keep, more than {MOST_KEPT}; take a larger --dt, a shorter --t-end, or leave out -o and --plot",
        cells as f64 * times as f64
    )))
}

/// A row for every time, a column for every cell.
fn potentials(spec: &Spec, variable: usize, times: TimeGrid, seen: Seen) -> Table {
    let (q, cells) = (&spec.variables[variable], seen.kept.len() / times.count);
    let mut columns = vec![Column::number("time", &spec.time_unit, Format::Shortest)];
    columns.extend(
        (0..cells)
            .map(|k| Column::number(&format!("{}{k}", q.name), &q.unit, Format::Significant(5))),
    );
    let mut table = Table::new("potentials", "The potential of every cell.", columns);
    for (k, row) in seen.kept.chunks_exact(cells).enumerate() {
        let time = std::iter::once(times.time(k));
        table.push(time.chain(row.iter().copied()).map(Into::into).collect());
    }
    table
}

/// Time across, cells up; too many times are thinned by their means, too many cells in the shade.
fn raster(spec: &Spec, variable: usize, caption: &str, times: TimeGrid, seen: &Seen) -> Figure {
    let (q, cells) = (&spec.variables[variable], seen.kept.len() / times.count);
    let bins = times.count.min(COLUMNS);
    let column = |bin: usize| -> Vec<f64> {
        let first = bin * times.count / bins;
        let rows = first..((bin + 1) * times.count / bins).max(first + 1);
        let mean = |c: usize| {
            let sum: f64 = rows.clone().map(|r| seen.kept[r * cells + c]).sum();
            sum / rows.len() as f64
        };
        (0..cells).map(mean).collect()
    };
    let columns: Vec<Vec<f64>> = (0..bins).map(column).collect();
    let across = [0.0, times.end()];
    let up = [-0.5, cells as f64 - 0.5];
    let shade = Shade::of_columns(&q.name, &q.unit, &columns, ROWS, across, up);
    let axes = [Axis::new("time", &spec.time_unit), Axis::new("cell", "")];
    let [x, y] = axes;
    let panel = Panel::new("", x, y).with_height(320.0).with_shade(shade);
    Figure::new("coupled", &spec.id, caption).with(panel)
}

/// What is seen of a run.
#[derive(Default)]
struct Seen {
    synchrony: Synchrony,
    /// Potentials, `[time][cell]`, where they are kept.
    kept: Vec<f64>,
}

impl Seen {
    fn look(&mut self, v: impl Iterator<Item = f64> + Clone, keep: bool) {
        if keep {
            self.kept.extend(v.clone());
        }
        self.synchrony.look(v);
    }
}

impl Coupled {
    /// What the command line refuses when it reads.
    fn check(&self) -> Result<()> {
        for (name, value) in [
            ("t_end", self.t_end),
            ("dt", self.dt),
            ("rtol", Some(self.rtol)),
        ] {
            if let Some(value) = value.filter(|v| !(v.is_finite() && *v > 0.0)) {
                return Err(Error::Input(format!(
                    "{name} = {value}; expected a finite number larger than 0"
                )));
            }
        }
        Ok(())
    }

    fn times(&self, time: Time) -> Result<TimeGrid> {
        let t_end = *given(self.t_end.as_ref(), "t_end")?;
        let own = match time {
            Time::Continuous => {
                let dt = self.dt.unwrap_or(t_end / DEFAULT_TIMES);
                return Ok(TimeGrid::until(t_end, dt)?);
            }
            Time::Discrete { dt } => dt,
        };
        let dt = self.dt.unwrap_or_else(|| {
            // The most steps that fit, if not exactly so many times.
            let steps = (t_end / own).round();
            let most = (steps / DEFAULT_TIMES).round().clamp(1.0, 1e6) as u64;
            (1..=most)
                .rev()
                .find(|k| steps % *k as f64 == 0.0)
                .unwrap_or(1) as f64
                * own
        });
        Ok(TimeGrid::until_of_map(t_end, dt, own)?)
    }

    /// States `[cell][variable]`.
    fn starts(
        &self,
        x0: &[f64],
        system: &dyn DynamicalSystem,
        i_stim: f64,
        p: &[f64],
        cells: usize,
    ) -> Result<Vec<f64>> {
        if self.scatter == 0.0 {
            return Ok((0..cells).flat_map(|_| x0.iter().copied()).collect());
        }
        if self.scatter < 0.0 {
            return Err(Error::Input(format!(
                "--scatter {}; expected 0 or larger",
                self.scatter
            )));
        }
        let dt = if let Time::Discrete { dt } = system.time() {
            (self.scatter / 20_000.0 / dt).ceil() * dt
        } else {
            self.scatter / 20_000.0
        };
        let first = (0.5 * self.scatter / dt).round() * dt;
        let times = TimeGrid::new(first, dt, ((self.scatter - first) / dt) as usize + 1)?;
        let protocol = if i_stim == 0.0 {
            Protocol::none()
        } else {
            Protocol::constant(i_stim)
        };
        let e = Experiment {
            x0: x0.to_vec(),
            p: p.to_vec(),
            protocol,
            times,
        };
        let single = system.simulate(
            &e,
            &SolveOptions {
                rtol: 1e-6,
                atol: 1e-8,
                ..SolveOptions::default()
            },
        )?;
        let mut random = stream(self.seed, "network", 0);
        Ok((0..cells)
            .flat_map(|_| {
                single
                    .state(uniform(&mut random, [0.0, single.len() as f64]) as usize)
                    .to_vec()
            })
            .collect())
    }
}

/// `ring:N`, `chain:N`, `lattice:NxM`, or a file of pairs.
fn graph(text: &str) -> Result<Graph> {
    let expected = || {
        let message = format!(
            "--graph {text}; expected ring:N, chain:N, lattice:NxM, or the file of a table of pairs of cells"
        );
        Error::Input(if text.contains(':') {
            message
        } else {
            format!("{message}, which is not there")
        })
    };
    let count = |n: &str| n.trim().parse::<usize>().map_err(|_| expected());
    Ok(match text.split_once(':') {
        Some(("ring", n)) => Graph::ring(count(n)?)?,
        Some(("chain", n)) => Graph::chain(count(n)?)?,
        Some(("lattice", size)) => {
            let (rows, columns) = size.split_once('x').ok_or_else(expected)?;
            Graph::lattice(count(rows)?, count(columns)?)?
        }
        _ if !std::path::Path::new(text).exists() => return Err(expected()),
        _ => {
            let content = artifact::read_text(std::path::Path::new(text))?;
            let mut pairs = Vec::new();
            for (k, line) in content
                .lines()
                .enumerate()
                .filter(|(_, l)| !l.trim().is_empty())
            {
                let numbers: Vec<Option<u32>> =
                    line.split(',').map(|c| c.trim().parse().ok()).collect();
                match numbers[..] {
                    [Some(a), Some(b)] => pairs.push([a, b]),
                    // A header.
                    _ if pairs.is_empty() && k == 0 => {}
                    _ => {
                        return Err(Error::Input(format!(
                            "{text}: line {}: '{}'; expected two cells, counted from 0, such as 0,1",
                            k + 1,
                            line.trim()
                        )));
                    }
                }
            }
            let cells = pairs.iter().flatten().max().map_or(0, |m| *m as usize + 1);
            Graph::new(cells, &pairs).map_err(|e| Error::Input(format!("{text}: {e}")))?
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{questions, subject::Settings};

    const MAP: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../pretrained/sherman-1988-dt0.005.safetensors"
    );

    fn asked(system: &str, more: Value) -> Result<Answer> {
        let nobody = Watcher::default();
        let subject = Subject::open(system, &Settings::default(), &nobody)?;
        let mut options =
            json!({"graph": "ring:3", "coupling": 0.1, "t_end": 0.1, "dt": 0.05, "scatter": 1.0});
        if let (Some(options), Value::Object(more)) = (options.as_object_mut(), more) {
            options.extend(more);
        }
        questions::ask("coupled", options, &subject, &nobody)
    }

    #[test]
    fn potentials_are_kept_where_they_are_wanted() {
        let whole = asked("sherman-1988", json!({})).unwrap();
        let table = &whole.tables[0];
        assert_eq!((table.columns.len(), table.rows.len()), (4, 3));
        assert_eq!((whole.figures.len(), &table.columns[3].name[..]), (1, "v2"));
        let bare = asked("sherman-1988", json!({"potentials": false})).unwrap();
        assert!(bare.tables.is_empty() && bare.figures.is_empty());
        assert_eq!(bare.document, whole.document);
        let many = json!({"graph": "lattice:1000x1000", "dt": 0.001});
        let error = asked("sherman-1988", many).unwrap_err().to_string();
        assert!(error.contains("too many to keep"), "{error}");
    }

    #[test]
    fn single_precision_is_close_and_of_maps_alone() {
        let spread = |precision: &str| {
            let answer = asked(MAP, json!({"precision": precision, "scheme": "symmetric"}));
            answer.unwrap().document["spread_at_the_end"]
                .as_f64()
                .unwrap()
        };
        let (double, single) = (spread("double"), spread("single"));
        assert!(double != single && (double - single).abs() < 1e-3 * double);
        let error = asked("sherman-1988", json!({"precision": "single"})).unwrap_err();
        assert!(error.to_string().contains("is for neural maps"), "{error}");
    }

    #[test]
    fn what_has_no_default_is_asked_for() {
        for name in ["graph", "coupling", "t_end"] {
            let error = asked("sherman-1988", json!({name: null})).unwrap_err();
            assert!(
                error.to_string().contains(&format!("{name} is missing")),
                "{error}"
            );
        }
        let error = asked("sherman-1988", json!({"t_end": -1.0})).unwrap_err();
        assert!(error.to_string().contains("t_end = -1"), "{error}");
    }
}
