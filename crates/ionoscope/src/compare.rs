//! Two systems side by side: one report of tables and figures.

use std::time::Instant;

use ionoscope_analysis::{
    basins::{AttractorKind, BasinOptions, Starts, basins},
    biomarkers::{BiomarkerOptions, Observation, ObserveOptions, Regime, observe},
    continuation::{Branch, ContinuationOptions, SpecialPoint, branches},
    diagram::{Inherit, Sweep, SweepOptions, raster, sweep},
    lyapunov::{LyapunovOptions, lyapunov},
};
use ionoscope_dynamics::{
    protocol::Protocol,
    spec::Spec,
    system::{DynamicalSystem, Input, Time},
    trajectory::{Experiment, SolveOptions, TimeGrid, Trajectory},
};
use serde::Serialize;

use crate::{
    Error, Result,
    report::{
        answer::Answer,
        answer::Part,
        figure::{Axis, Figure, Panel, Role, Series},
        shade::Shade,
        table::{Cell, Column, Format, Table},
    },
};

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
    /// Standard error of the Lyapunov exponents, per unit of time.
    pub accuracy: f64,
}

impl Effort {
    /// The whole comparison: some minutes.
    pub const FULL: Effort = Effort { rhythms: 41, columns: 200, starts: 2000, values: 5, accuracy: 0.01 };
    /// A glance.
    pub const QUICK: Effort = Effort { rhythms: 6, columns: 40, starts: 200, values: 2, accuracy: 0.05 };
}

impl Side<'_> {
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
        self.spec().membrane_potential.as_ref().and_then(|v| self.spec().variable_index(v).ok()).unwrap_or(0)
    }
}

const ROLES: [Role; 2] = [Role::Equations, Role::Network];

impl Comparison<'_> {
    /// All sections, in order. `tell` hears what is being done.
    ///
    /// # Errors
    /// Systems with different variables; whatever an analysis fails at.
    pub fn answers(&self, tell: &dyn Fn(&str)) -> Result<Vec<Answer>> {
        let [a, b] = &self.sides;
        let names = |s: &Side| s.spec().variables.iter().map(|q| q.name.clone()).collect::<Vec<_>>();
        if names(a) != names(b) {
            let (a, b) = (names(a).join(", "), names(b).join(", "));
            return Err(Error::Input(format!("the systems have different variables, {a} and {b}; compare systems with the same")));
        }
        type Section<'s> = (&'s str, &'s dyn Fn() -> Result<Answer>);
        let sections: [Section; 6] = [
            ("fixed points", &|| self.fixed_points()),
            ("rhythms", &|| self.rhythms()),
            ("raster diagrams", &|| self.rasters()),
            ("basins", &|| self.basins()),
            ("Lyapunov spectra", &|| self.spectra()),
            ("errors and costs", &|| self.errors()),
        ];
        sections
            .into_iter()
            .map(|(name, section)| {
                let begin = Instant::now();
                let answer = section();
                tell(&format!("{name}: {:.1} s", begin.elapsed().as_secs_f64()));
                answer
            })
            .collect()
    }

    fn values(&self, n: usize) -> Vec<f64> {
        let [from, to] = self.interval;
        (0..n)
            .map(|k| from + (to - from) * (k as f64 + if n < 6 { 0.5 } else { 0.0 }) / if n < 6 { n as f64 } else { (n - 1) as f64 })
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

    fn fixed_points(&self) -> Result<Answer> {
        let found = self
            .sides
            .each_ref()
            .map(|s| branches(s.system, 0.0, &s.p, Input::Parameter(s.over), self.interval, &ContinuationOptions::default()));
        let [first, second] = found;
        let found: [Vec<Branch>; 2] = [first?, second?];
        let v = self.sides[0].potential();
        let q = &self.sides[0].spec().variables[v];
        let mut points = Panel::new("fixed points", self.parameter_axis(), Axis::new(&q.name, &q.unit)).with_height(240.0);
        let rate = format!("1/{}", self.sides[0].spec().time_unit);
        let mut growth =
            Panel::new("largest real part of the eigenvalues", self.parameter_axis(), Axis::new("Re mu", &rate)).with_height(200.0);
        for ((side, all), role) in self.sides.iter().zip(&found).zip(ROLES) {
            for (k, branch) in all.iter().enumerate() {
                let name = if k == 0 { side.name.as_str() } else { "" };
                let x: Vec<f64> = branch.points.iter().map(|p| p.parameter).collect();
                points = points.with(Series::line(name, role, x.clone(), branch.points.iter().map(|p| p.x[v]).collect()));
                growth = growth.with(Series::line(name, role, x, branch.points.iter().map(|p| p.eigenvalues[0].re).collect()));
            }
        }
        let special: Vec<Vec<&SpecialPoint>> = found.iter().map(|all| all.iter().flat_map(|b| &b.special_points).collect()).collect();
        let mut table = Table::new(
            "special-points",
            "Bifurcations of fixed points, paired in order along the parameter.",
            vec![
                Column::text(&self.sides[0].name),
                Column::number(&self.over, self.unit(), Format::Fixed(5)),
                Column::text(&self.sides[1].name),
                Column::number(&self.over, self.unit(), Format::Fixed(5)),
                Column::number("difference", self.unit(), Format::Significant(3)),
                Column::number("distance of the states", "", Format::Significant(3)),
            ],
        );
        for k in 0..special[0].len().max(special[1].len()) {
            let [a, b] = [special[0].get(k), special[1].get(k)];
            let kind = |s: Option<&&SpecialPoint>| s.map(|s| format!("{:?}", s.kind));
            let both = a.zip(b);
            table.push(vec![
                kind(a).into(),
                a.map(|s| s.parameter).into(),
                kind(b).into(),
                b.map(|s| s.parameter).into(),
                both.map(|(a, b)| b.parameter - a.parameter).into(),
                both.map(|(a, b)| ionoscope_analysis::compare::distance(&a.x, &b.x)).into(),
            ]);
        }
        let figure = Figure::new("fixed-points", "Fixed points", "Fixed points and their stability over the parameter.")
            .sharing_x()
            .with(points)
            .with(growth);
        let counts = format!("{}: {} branches; {}: {} branches.", self.sides[0].name, found[0].len(), self.sides[1].name, found[1].len());
        Ok(Answer::new("fixed-points", "Fixed points and bifurcations").text(counts).with(Part::Figure(figure)).with(Part::Table(table)))
    }

    fn rhythms(&self) -> Result<Answer> {
        let Some(threshold) = self.sides[0].spec().spike_threshold.or(self.sides[1].spec().spike_threshold) else {
            return Ok(Answer::new("rhythms", "Rhythms").with(Part::Note("No spikes are defined for these systems.".into())));
        };
        let values = self.values(self.effort.rhythms);
        let mut seen: [Vec<Option<Observation>>; 2] = [Vec::new(), Vec::new()];
        for (side, seen) in self.sides.iter().zip(&mut seen) {
            let options = ObserveOptions { t_end: 1000.0, ..ObserveOptions::new(BiomarkerOptions::at(threshold)) };
            let x0 = side.spec().default_state();
            use rayon::prelude::*;
            *seen = values
                .par_iter()
                .map(|value| observe(side.system, side.potential(), &x0, &side.at(*value), &Protocol::none(), &options).ok())
                .collect();
        }
        let time = &self.sides[0].spec().time_unit;
        let mut columns = vec![self.parameter_column()];
        for side in &self.sides {
            columns.push(Column::text(&format!("regime, {}", side.name)));
            columns.push(Column::number("burst period", time, Format::Fixed(4)));
            columns.push(Column::number("spikes a burst", "", Format::Fixed(2)));
            columns.push(Column::number("mean interval", time, Format::Fixed(4)));
        }
        let mut table = Table::new("rhythms", "Regime, burst period, spikes a burst and interspike interval.", columns);
        let (mut same, mut exact, mut worst) = (0, 0, 0.0f64);
        for (k, value) in values.iter().enumerate() {
            let mut row: Vec<Cell> = vec![(*value).into()];
            for seen in &seen {
                let b = seen[k].as_ref().map(|o| &o.biomarkers);
                row.push(b.map(|b| format!("{:?}", b.regime)).into());
                row.push(b.and_then(|b| b.burst_period).into());
                row.push(b.and_then(|b| b.spikes_per_burst).into());
                row.push(b.and_then(|b| b.isi).map(|i| i.mean).into());
            }
            table.push(row);
            if let [Some(a), Some(b)] = [&seen[0][k], &seen[1][k]].map(|o| o.as_ref().map(|o| &o.biomarkers)) {
                same += usize::from(a.regime == b.regime);
                let bursts = a.regime == Regime::Bursting && b.regime == Regime::Bursting;
                exact += usize::from(
                    a.regime == b.regime && (!bursts || a.spikes_per_burst.map(f64::round) == b.spikes_per_burst.map(f64::round)),
                );
                if let (true, Some(a), Some(b)) = (a.regime == b.regime, a.isi, b.isi) {
                    worst = worst.max((b.mean / a.mean - 1.0).abs());
                }
            }
        }
        let figure = {
            let mut periods = Panel::new("burst period", self.parameter_axis(), Axis::new("period", time)).with_height(180.0);
            let mut intervals =
                Panel::new("mean interspike interval", self.parameter_axis(), Axis::new("interval", time)).with_height(180.0);
            for ((side, seen), role) in self.sides.iter().zip(&seen).zip(ROLES) {
                let of = |pick: &dyn Fn(&Observation) -> Option<f64>| {
                    seen.iter().map(|o| o.as_ref().and_then(pick).unwrap_or(f64::NAN)).collect::<Vec<_>>()
                };
                periods = periods.with(Series::line(&side.name, role, values.clone(), of(&|o| o.biomarkers.burst_period)));
                intervals = intervals.with(Series::line(&side.name, role, values.clone(), of(&|o| o.biomarkers.isi.map(|i| i.mean))));
            }
            Figure::new("rhythms", "Rhythms", "Burst period and mean interspike interval over the parameter.")
                .sharing_x()
                .with(periods)
                .with(intervals)
        };
        let n = values.len();
        let summary = format!(
            "The regime is the same at {same} of {n} values; regime and, in bursts, the number of spikes at {exact}. Where the regime is the same, the mean interval differs by up to {:.3} %.",
            100.0 * worst
        );
        table.folded = true;
        Ok(Answer::new("rhythms", "Rhythms").text(summary).with(Part::Figure(figure)).with(Part::Table(table)))
    }

    fn rasters(&self) -> Result<Answer> {
        let values: Vec<f64> = {
            let n = self.effort.columns;
            (0..n).map(|k| self.interval[0] + (self.interval[1] - self.interval[0]) * k as f64 / (n - 1) as f64).collect()
        };
        let v = self.sides[0].potential();
        let q = &self.sides[0].spec().variables[v];
        let time = &self.sides[0].spec().time_unit;
        let mut figure = Figure::new("rasters", "Raster diagrams", "The membrane potential over time, a column for every value of the parameter, from the left to the right; each in line with the one before.").with_columns(2);
        for side in &self.sides {
            let x0 = side.spec().default_state();
            let task = Sweep { system: side.system, over: Input::Parameter(side.over), values: &values, x0: &x0, i_stim: 0.0, p: &side.p };
            let dt = if let Time::Discrete { dt } = side.system.time() { dt } else { 0.01 };
            let columns = sweep(task, &SweepOptions { inherit: Inherit::Forward, dt, ..SweepOptions::default() }, &|| ())?;
            let found = raster(&columns, v, 0);
            let end = found.time.last().copied().unwrap_or(1.0);
            let shade = Shade::of_columns(&q.name, &q.unit, &found.values, 300, self.interval, [0.0, end]);
            figure =
                figure.with(Panel::new(&side.name, self.parameter_axis(), Axis::new("time", time)).with_height(300.0).with_shade(shade));
        }
        Ok(Answer::new("rasters", "Raster diagrams").with(Part::Figure(figure)))
    }

    /// The box of the starts: what a surrogate was trained on, or the ranges.
    fn bounds(&self) -> Vec<[f64; 2]> {
        let trained = self.sides.iter().find_map(|s| s.spec().trained_on.as_ref().map(|t| t.state.clone()));
        trained.unwrap_or_else(|| self.sides[0].spec().variables.iter().map(|q| q.range).collect())
    }

    fn basins(&self) -> Result<Answer> {
        let values = self.values(self.effort.values);
        let options = BasinOptions::new(self.bounds(), Starts::Random { count: self.effort.starts, seed: 1 });
        let mut columns = vec![self.parameter_column()];
        for side in &self.sides {
            columns.push(Column::number(&format!("share of fixed points, {}", side.name), "", Format::Fixed(4)));
            columns.push(Column::text("95 % interval"));
        }
        columns.push(Column::number("starts that reach the same kind of attractor", "%", Format::Fixed(2)));
        let mut table = Table::new(
            "basins",
            "Starts that end on a stable fixed point, and whether the same starts end alike in both systems.",
            columns,
        );
        for value in values {
            let mut row: Vec<Cell> = vec![value.into()];
            let mut kinds: Vec<Vec<bool>> = Vec::new();
            for side in &self.sides {
                let found = basins(side.system, 0.0, &side.at(value), &options, &|_| ())?;
                let fixed = |label: u16| found.attractors[usize::from(label)].kind == AttractorKind::FixedPoint;
                let count = found.of_start.iter().filter(|l| fixed(**l)).count() as u64;
                let [low, high] = ionoscope_analysis::basins::wilson_interval(count, found.of_start.len() as u64);
                row.push((count as f64 / found.of_start.len() as f64).into());
                row.push(format!("{low:.4} to {high:.4}").into());
                kinds.push(found.of_start.iter().map(|l| fixed(*l)).collect());
            }
            let same = kinds[0].iter().zip(&kinds[1]).filter(|(a, b)| a == b).count();
            row.push((100.0 * same as f64 / kinds[0].len() as f64).into());
            table.push(row);
        }
        let text =
            format!("{} random starts at each value, the same for both systems, in the box {:?}.", self.effort.starts, options.bounds);
        Ok(Answer::new("basins", "Basins").text(text).with(Part::Table(table)))
    }

    fn spectra(&self) -> Result<Answer> {
        let rate = format!("1/{}", self.sides[0].spec().time_unit);
        let n = self.sides[0].spec().variables.len();
        let mut columns = vec![self.parameter_column(), Column::text("system")];
        columns.extend((1..=n).map(|k| Column::number(&format!("exponent {k}"), &rate, Format::Fixed(4))));
        columns.push(Column::number("largest standard error", &rate, Format::Significant(2)));
        let mut table = Table::new("lyapunov", "Lyapunov exponents of the attractor that the default start reaches.", columns);
        for value in self.values(self.effort.values) {
            for side in &self.sides {
                let options = LyapunovOptions {
                    accuracy: self.effort.accuracy,
                    trajectories: 8,
                    segment: 50.0,
                    longest: 400.0,
                    ..LyapunovOptions::default()
                };
                let found = lyapunov(side.system, &side.spec().default_state(), 0.0, &side.at(value), &options)?;
                let mut row: Vec<Cell> = vec![value.into(), side.name.as_str().into()];
                row.extend(found.exponents.iter().map(|e| Cell::from(*e)));
                row.push(found.errors.iter().copied().fold(0.0, f64::max).into());
                table.push(row);
            }
        }
        Ok(Answer::new("lyapunov", "Lyapunov spectra").with(Part::Table(table)))
    }

    fn errors(&self) -> Result<Answer> {
        let [a, b] = &self.sides;
        let v = a.potential();
        let step =
            self.sides.iter().find_map(|s| if let Time::Discrete { dt } = s.system.time() { Some(dt) } else { None }).unwrap_or(0.01);
        let tight = SolveOptions { rtol: 1e-9, atol: 1e-11, ..SolveOptions::default() };
        let run = |side: &Side, value: f64, x0: &[f64], times: TimeGrid, options: &SolveOptions| -> Result<Trajectory> {
            let e = Experiment { x0: x0.to_vec(), p: side.at(value), protocol: Protocol::none(), times };
            Ok(side.system.simulate(&e, options)?)
        };
        let (q, time) = (&a.spec().variables[v], &a.spec().time_unit);
        let mut columns = vec![self.parameter_column()];
        columns.extend(
            a.spec().variables.iter().map(|q| Column::number(&format!("step error of {}", q.name), &q.unit, Format::Significant(2))),
        );
        columns.push(Column::number("stays together for", time, Format::Fixed(2)));
        let caption = format!(
            "Root mean square difference after one step of {step} {time} from the same states on the attractor of {}; and how long {} of both stays within 5 {} from one start there, at most 50 {time}.",
            a.name, q.name, q.unit
        );
        let mut table = Table::new("errors", &caption, columns);
        for value in self.values(self.effort.values.max(3)) {
            let transient = (100.0 / step).round() * step;
            let count = (50.0 / step).round() as usize + 1;
            let reference = run(a, value, &a.spec().default_state(), TimeGrid::new(transient, step, count)?, &tight)?;
            let states: Vec<&[f64]> = (0..reference.len() - 1).step_by(20).map(|k| reference.state(k)).collect();
            let batch = |side: &Side| -> Vec<Experiment> {
                let times = TimeGrid { start: step, dt: step, count: 1 };
                states.iter().map(|x| Experiment { x0: x.to_vec(), p: side.at(value), protocol: Protocol::none(), times }).collect()
            };
            let [one, other] = [a.system.solve_ensemble(&batch(a), &tight)?, b.system.solve_ensemble(&batch(b), &tight)?];
            let mut row: Vec<Cell> = vec![value.into()];
            for i in 0..a.spec().variables.len() {
                let square = one.iter().zip(&other).map(|(p, q)| (p.x[i] - q.x[i]).powi(2)).sum::<f64>() / one.len() as f64;
                row.push(square.sqrt().into());
            }
            let grid = TimeGrid::new(0.0, step, count)?;
            let pair = [run(a, value, reference.state(0), grid, &tight)?, run(b, value, reference.state(0), grid, &tight)?];
            let apart = (0..count).find(|k| (pair[0].state(*k)[v] - pair[1].state(*k)[v]).abs() > 5.0).unwrap_or(count - 1);
            row.push((apart as f64 * step).into());
            table.push(row);
        }
        let mut costs = Table::new(
            "costs",
            &format!(
                "Microseconds for a {time} of one trajectory alone, and of one of 256 side by side, on all threads; equations at rtol 1e-6. The median of five runs."
            ),
            vec![
                Column::text("system"),
                Column::number("alone", "us", Format::Significant(3)),
                Column::number("of many", "us", Format::Significant(3)),
            ],
        );
        for side in &self.sides {
            let times = TimeGrid::new((50.0 / step).round() * step, step, 1)?;
            let value = 0.5 * (self.interval[0] + self.interval[1]);
            let e = Experiment { x0: side.spec().default_state(), p: side.at(value), protocol: Protocol::none(), times };
            let options = SolveOptions { rtol: 1e-6, atol: 1e-8, ..SolveOptions::default() };
            let median = |n: usize| -> Result<f64> {
                let batch = vec![e.clone(); n];
                let mut seconds = Vec::new();
                for _ in 0..5 {
                    let begin = Instant::now();
                    side.system.solve_ensemble(&batch, &options)?;
                    seconds.push(begin.elapsed().as_secs_f64());
                }
                seconds.sort_by(f64::total_cmp);
                Ok(1e6 * seconds[2] / (n as f64 * times.end()))
            };
            costs.push(vec![side.name.as_str().into(), median(1)?.into(), median(256)?.into()]);
        }
        Ok(Answer::new("errors", "Errors and costs").with(Part::Table(table)).with(Part::Table(costs)))
    }
}
