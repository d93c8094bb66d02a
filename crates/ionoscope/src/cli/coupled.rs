//! `ionoscope coupled`: cells coupled through their membrane potentials.

use std::{io::Write, path::PathBuf};

use ionoscope_dynamics::{
    coupled::{CoupledCells, Graph, Scheme},
    protocol::Protocol,
    sampling::{stream, uniform},
    spec::Spec,
    system::{DynamicalSystem, Time},
    trajectory::{Experiment, Outcome, SolveOptions, TimeGrid},
};
use serde_json::{Value, json};

use super::{Shared, arguments::SystemArguments, print, print_json};
use crate::{
    Error, Result,
    artifact::{self, Staged},
    named::named,
    options::{self},
    report::{
        figure::{Axis, Figure, Panel},
        shade::Shade,
        svg,
    },
    subject::Subject,
    text::{short, write_cells},
};

/// Output times where no step is given.
const DEFAULT_TIMES: f64 = 1000.0;
/// Most potentials that are kept for a table or a figure.
const MOST_KEPT: usize = 100_000_000;
/// Columns and rows of cells of a drawn raster.
const COLUMNS: usize = 800;
const ROWS: usize = 300;

/// Couples many cells through their membrane potentials and runs them
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  ionoscope coupled sherman-1988 --param v_s=-36 --graph ring:20 --coupling 0.1 --t-end 30 --plot ring.svg
  ionoscope coupled pretrained/sherman-1988-dt0.005.safetensors --graph lattice:100x100 --coupling 0.05 --t-end 5
  ionoscope coupled hodgkin-huxley-1952 --graph edges.csv --coupling 0.2 --t-end 100 -o potentials.csv")]
pub struct Arguments {
    #[command(flatten)]
    system: SystemArguments,
    /// Who is coupled with whom: ring:N, chain:N, lattice:NxM, or a table of pairs of cells, counted from 0
    #[arg(long, value_name = "GRAPH")]
    graph: String,
    /// Strength of a coupling: a cell gains D times the difference of its neighbour's potential to its own, as a stimulus
    #[arg(long, value_name = "D", value_parser = options::number, allow_negative_numbers = true)]
    coupling: f64,
    /// Time at which the run ends
    #[arg(long, value_name = "T", value_parser = options::positive, allow_negative_numbers = true)]
    t_end: f64,
    /// Time between two outputs, of which --t-end is a multiple [default: t-end in 1000 parts; of a map in 1000 or more, of whole steps]
    #[arg(long, value_name = "DT", value_parser = options::positive, allow_negative_numbers = true)]
    dt: Option<f64>,
    /// Time over which a single cell runs before; every cell starts somewhere in the second half of it, at random. 0: all start alike
    #[arg(long, value_name = "T", value_parser = options::number, default_value_t = 100.0, allow_negative_numbers = true)]
    scatter: f64,
    /// Seed of the starts
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        allow_negative_numbers = true
    )]
    seed: u64,
    /// Relative tolerance of equations; the absolute one is a hundredth of it
    #[arg(long, value_name = "R", value_parser = options::positive, default_value_t = 1e-6, allow_negative_numbers = true)]
    rtol: f64,
    /// How the pull enters a map: additive as published, or symmetric, of the second order in dt and some hundred times closer to coupled equations
    #[arg(long, value_enum, default_value_t = Coupling::Additive)]
    scheme: Coupling,
    /// Digits of a map's increments; single is several times as fast, and states keep all their digits
    #[arg(long, value_enum, default_value_t = Precision::Double)]
    precision: Precision,
    /// Table of the membrane potentials: a line for every time, a column for every cell
    #[arg(short, long = "output", value_name = "FILE.csv")]
    output: Option<PathBuf>,
    /// Raster: the potentials over time and cells as shade
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
enum Precision {
    /// 64 bits
    Double,
    /// 32 bits for the networks of a map, 64 for its states
    Single,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
enum Coupling {
    /// The pull at the old states is added to the new ones
    Additive,
    /// The cells exchange for half a step before the map and for half a step after
    Symmetric,
}

/// What is seen of a run.
#[derive(Default)]
struct Seen {
    /// Sums over time: of the mean potential and its square, and for every cell of its potential and its square.
    mean: [f64; 2],
    cells: Vec<[f64; 2]>,
    /// Largest difference between two cells at the last time.
    spread: f64,
    count: f64,
    /// Potentials, `[time][cell]`, where they are kept.
    kept: Vec<f32>,
}

impl Seen {
    fn look(&mut self, v: impl Iterator<Item = f64>, keep: bool) {
        let (mut sum, mut low, mut high, mut n) = (0.0, f64::INFINITY, f64::NEG_INFINITY, 0);
        for (k, v) in v.enumerate() {
            if self.cells.len() == k {
                self.cells.push([0.0; 2]);
            }
            self.cells[k][0] += v;
            self.cells[k][1] += v * v;
            (sum, low, high, n) = (sum + v, low.min(v), high.max(v), k + 1);
            if keep {
                self.kept.push(v as f32);
            }
        }
        let mean = sum / n as f64;
        self.mean[0] += mean;
        self.mean[1] += mean * mean;
        self.spread = high - low;
        self.count += 1.0;
    }

    /// Variance over time of the mean potential, over the mean of the cells' variances (Golomb 2007, Scholarpedia 2(1) 1347,
    /// doi 10.4249/scholarpedia.1347), as its root: 1 in full synchrony, of the order of 1/sqrt(N) in asynchrony. NaN at rest.
    fn synchrony(&self) -> f64 {
        let variance = |[sum, square]: [f64; 2]| square / self.count - (sum / self.count).powi(2);
        let cells = self.cells.iter().map(|c| variance(*c)).sum::<f64>() / self.cells.len() as f64;
        (variance(self.mean).max(0.0) / cells).sqrt()
    }
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        let subject = self.system.open(shared)?;
        let i_stim = subject.constant_stimulus()?;
        let Subject {
            mut system,
            spec,
            p,
            x0,
            ..
        } = subject;
        if self.precision == Precision::Single {
            system = artifact::open_single(&self.system.system)?;
        }
        for path in self.output.iter().chain(&self.plot) {
            artifact::check_destination(path)?;
        }
        let graph = graph(&self.graph)?;
        let scheme = match self.scheme {
            Coupling::Additive => Scheme::Additive,
            Coupling::Symmetric => Scheme::Symmetric,
        };
        let cells = CoupledCells::new(&*system, &graph, self.coupling, &p)?
            .with_scheme(scheme)
            .with_stimulus(i_stim)?;
        let times = self.times(system.time())?;
        let keep = self.output.is_some() || self.plot.is_some();
        if keep && graph.cells().saturating_mul(times.count) > MOST_KEPT {
            let message = format!(
                "{} potentials of {} cells are too many to keep; take a larger --dt, a shorter --t-end, or leave out -o and --plot",
                graph.cells() as f64 * times.count as f64,
                graph.cells()
            );
            return Err(Error::Input(message));
        }
        let x0 = self.starts(x0, &*system, i_stim, &p, graph.cells())?;
        let name = spec.membrane_potential.as_deref().unwrap_or_default();
        let (n, variable) = (spec.variables.len(), spec.variable_index(name)?);
        let (mut seen, mut outside) = (Seen::default(), false);
        let options = SolveOptions {
            rtol: self.rtol,
            atol: 0.01 * self.rtol,
            watch: shared.watch.silent(),
            ..SolveOptions::default()
        };
        let (outcome, statistics) = cells.run(x0, times, &options, &mut |k, _, x| {
            seen.look(x.iter().skip(variable).step_by(n).copied(), keep);
            outside |= system.spec().trained_on.is_some()
                && x.chunks_exact(n).any(|x| system.spec().extrapolates(x, &p));
            shared.watch.progress(k + 1, times.count, "times");
            !shared.watch.stopped()
        })?;
        if let Outcome::Failed { time, reason } = &outcome {
            return Err(Error::Failed(format!(
                "the coupled cells failed at t = {time}: {reason}"
            )));
        }
        if outside {
            shared.warn("cells went outside the training range (of state or parameters)");
        }
        let document = json!({
            "system": self.system.system,
            "cells": graph.cells(),
            "couplings": graph.couplings(),
            "coupling": self.coupling,
            "i_stim": i_stim,
            "precision": self.precision,
            "scheme": self.scheme,
            "synchrony": Some(seen.synchrony()).filter(|s| s.is_finite()),
            "spread_at_the_end": seen.spread,
            "steps": statistics.accepted,
            "rejected": statistics.rejected,
            "extrapolated": outside,
            "parameters": named(&spec.parameters, &p),
            "units": {"coupling": format!("{}/{}", spec.stimulus_unit, spec.variables[variable].unit), "spread_at_the_end": spec.variables[variable].unit, "time": spec.time_unit},
            "version": env!("CARGO_PKG_VERSION"),
        });
        self.write(&spec, variable, &graph, times, &seen, &document)?;
        if shared.json {
            return print_json(&document);
        }
        let rows = vec![
            vec![
                "cells".to_owned(),
                "couplings".into(),
                "synchrony".into(),
                format!("spread at the end ({})", spec.variables[variable].unit),
                "steps".into(),
            ],
            vec![
                graph.cells().to_string(),
                graph.couplings().to_string(),
                format!("{:.4}", seen.synchrony()),
                short(seen.spread),
                statistics.accepted.to_string(),
            ],
        ];
        print(|w| write_cells(w, &rows))
    }

    fn times(&self, time: Time) -> Result<TimeGrid> {
        let own = match time {
            Time::Continuous => {
                return Ok(TimeGrid::until(
                    self.t_end,
                    self.dt.unwrap_or(self.t_end / DEFAULT_TIMES),
                )?);
            }
            Time::Discrete { dt } => dt,
        };
        let dt = self.dt.unwrap_or_else(|| {
            // The most steps that fit, if not exactly so many times.
            let steps = (self.t_end / own).round();
            let most = (steps / DEFAULT_TIMES).round().clamp(1.0, 1e6) as u64;
            (1..=most)
                .rev()
                .find(|k| steps % *k as f64 == 0.0)
                .unwrap_or(1) as f64
                * own
        });
        Ok(TimeGrid::until_of_map(self.t_end, dt, own)?)
    }

    /// States `[cell][variable]`.
    fn starts(
        &self,
        x0: Vec<f64>,
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
            x0,
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

    fn write(
        &self,
        spec: &Spec,
        variable: usize,
        graph: &Graph,
        times: TimeGrid,
        seen: &Seen,
        document: &Value,
    ) -> Result<()> {
        let q = &spec.variables[variable];
        let cells = graph.cells();
        let mut files = Vec::new();
        if let Some(path) = &self.output {
            let csv = |w: &mut dyn Write| {
                write!(w, "time")?;
                (0..cells).try_for_each(|k| write!(w, ",{}{k}", q.name))?;
                for (k, row) in seen.kept.chunks_exact(cells).enumerate() {
                    write!(w, "\n{}", times.time(k))?;
                    row.iter().try_for_each(|v| write!(w, ",{v}"))?;
                }
                writeln!(w)
            };
            files.push(Staged::new(path, |w| csv(w))?);
            files.push(artifact::describe(&files[0], document)?);
        }
        if let Some(path) = &self.plot {
            // Time across, cells up; too many times are thinned by their means, too many cells in the shade.
            let bins = times.count.min(COLUMNS);
            let column = |bin: usize| -> Vec<f64> {
                let rows = bin * times.count / bins
                    ..((bin + 1) * times.count / bins).max(bin * times.count / bins + 1);
                (0..cells)
                    .map(|c| {
                        rows.clone()
                            .map(|r| f64::from(seen.kept[r * cells + c]))
                            .sum::<f64>()
                            / rows.len() as f64
                    })
                    .collect()
            };
            let columns: Vec<Vec<f64>> = (0..bins).map(column).collect();
            let shade = Shade::of_columns(
                &q.name,
                &q.unit,
                &columns,
                ROWS,
                [0.0, times.end()],
                [-0.5, cells as f64 - 0.5],
            );
            let panel = Panel::new(
                "",
                Axis::new("time", &spec.time_unit),
                Axis::new("cell", ""),
            )
            .with_height(320.0)
            .with_shade(shade);
            let caption = format!("{cells} cells, {}, coupling {}.", self.graph, self.coupling);
            let drawing = svg::draw(&Figure::new("coupled", &spec.id, &caption).with(panel));
            files.push(Staged::new(path, |w| w.write_all(drawing.as_bytes()))?);
        }
        files.into_iter().try_for_each(Staged::commit)?;
        Ok(())
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
