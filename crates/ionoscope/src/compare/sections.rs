//! What analyses say of two systems: fixed points, rhythms, rasters, basins, Lyapunov spectra.

use ionoscope_analysis::{
    basins::{AttractorKind, BasinOptions, Starts, basins},
    biomarkers::{BiomarkerOptions, Observation, ObserveOptions, Regime, observe},
    continuation::{Branch, ContinuationOptions, SpecialPoint, branches, held},
    diagram::{Sweep, SweepOptions, raster, sweep, sweep_times},
    lyapunov::{LyapunovOptions, lyapunov},
};
use ionoscope_dynamics::watch::Watcher;
use rayon::prelude::*;

use super::{Comparison, ROLES, Scales, Side, constant};
use crate::{
    Result, branch_ends,
    report::{
        figure::{Axis, Figure, Panel, Series},
        section::{Part, Section},
        shade::Shade,
        table::{Cell, Column, Format, Table},
    },
};

fn task<'a>(side: &'a Side, values: &'a [f64]) -> Sweep<'a> {
    Sweep {
        system: side.system(),
        over: side.over,
        values,
        x0: &side.subject.x0,
        i_stim: side.i_stim,
        p: &side.subject.p,
    }
}

impl Comparison {
    pub(super) fn fixed_points(&self) -> Result<Section> {
        let options = |s: &Side| ContinuationOptions {
            start: Some(s.subject.x0.clone()),
            ..ContinuationOptions::default()
        };
        let found = self.sides.each_ref().map(|s| {
            let p = &s.subject.p;
            branches(s.system(), s.i_stim, p, s.over, self.interval, &options(s))
        });
        let [first, second] = found;
        let found: [Vec<Branch>; 2] = [first?, second?];
        let v = self.sides[0].potential();
        let q = &self.sides[0].spec().variables[v];
        let mut points = Panel::new(
            "fixed points",
            self.parameter_axis(),
            Axis::new(&q.name, &q.unit),
        )
        .with_height(240.0);
        let rate = format!("1/{}", self.sides[0].spec().time_unit);
        let mut growth = Panel::new(
            "largest real part of the eigenvalues",
            self.parameter_axis(),
            Axis::new("Re mu", &rate),
        )
        .with_height(200.0);
        for ((side, all), role) in self.sides.iter().zip(&found).zip(ROLES) {
            for (k, branch) in all.iter().enumerate() {
                let name = if k == 0 { side.name.as_str() } else { "" };
                let x: Vec<f64> = branch.points.iter().map(|p| p.parameter).collect();
                points = points.with(Series::line(
                    name,
                    role,
                    x.clone(),
                    branch.points.iter().map(|p| p.x[v]).collect(),
                ));
                growth = growth.with(Series::line(
                    name,
                    role,
                    x,
                    branch.points.iter().map(|p| p.eigenvalues[0].re).collect(),
                ));
            }
        }
        let special: Vec<Vec<&SpecialPoint>> = found
            .iter()
            .map(|all| all.iter().flat_map(|b| &b.special_points).collect())
            .collect();
        let mut table = Table::new(
            "special-points",
            "Bifurcations of fixed points, paired in order along the parameter.",
            vec![
                Column::text(&self.sides[0].name),
                Column::number(&self.over, &self.unit, Format::Fixed(5)),
                Column::text(&self.sides[1].name),
                Column::number(&self.over, &self.unit, Format::Fixed(5)),
                Column::number("difference", &self.unit, Format::Significant(3)),
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
                both.map(|(a, b)| ionoscope_analysis::compare::distance(&a.x, &b.x))
                    .into(),
            ]);
        }
        let figure = Figure::new(
            "fixed-points",
            "Fixed points",
            "Fixed points and their stability over the parameter.",
        )
        .sharing_x()
        .with(points)
        .with(growth);
        let mut counts = format!(
            "{}: {} branches; {}: {} branches.",
            self.sides[0].name,
            found[0].len(),
            self.sides[1].name,
            found[1].len()
        );
        for (side, all) in self.sides.iter().zip(&found) {
            for (k, branch) in all.iter().enumerate().filter(|(_, b)| !b.complete()) {
                let parameters: Vec<f64> = branch.points.iter().map(|p| p.parameter).collect();
                let ends =
                    branch_ends::ends(&self.over, self.interval, &parameters, &branch.stopped);
                let text = branch_ends::text_of(&ends);
                counts += &format!(
                    " Of {}, branch {k} was not followed to both ends, and its bifurcations beyond are missing: {text}.",
                    side.name
                );
            }
        }
        let mut levels = String::new();
        for side in &self.sides {
            let (p, i_stim) = (&side.subject.p, side.i_stim);
            let of = options(side);
            let [from, to] = held(side.system(), i_stim, p, side.over, self.interval, &of)?;
            for (a, b) in from.iter().zip(&to) {
                let (q, name) = (&a.quantity, &side.name);
                let value = if a.value == b.value {
                    format!("{:.6}", a.value)
                } else {
                    format!("{:.6} to {:.6}", a.value, b.value)
                };
                levels += &format!(
                    " {name} conserves {} ({}), held at the value of its start, {value} {}.",
                    q.name, q.description, q.unit
                );
            }
        }
        let counts = counts + &levels;
        Ok(
            Section::new("fixed-points", "Fixed points and bifurcations")
                .text(counts)
                .with(Part::Figure(figure))
                .with(Part::Table(table)),
        )
    }

    pub(super) fn rhythms(&self) -> Result<Section> {
        let Some(threshold) = self.sides[0]
            .spec()
            .spike_threshold
            .or(self.sides[1].spec().spike_threshold)
        else {
            return Ok(Section::new("rhythms", "Rhythms").with(Part::Note(
                "No spikes are defined for these systems.".into(),
            )));
        };
        let values = self.values(self.effort.rhythms);
        let mut seen: [Vec<Option<Observation>>; 2] = [Vec::new(), Vec::new()];
        for (side, seen) in self.sides.iter().zip(&mut seen) {
            let options = ObserveOptions::new(BiomarkerOptions::at(threshold));
            let x0 = &side.subject.x0;
            *seen = values
                .par_iter()
                .map(|value| {
                    let (p, i_stim) = side.at(*value);
                    let v = side.potential();
                    observe(side.system(), v, x0, &p, &constant(i_stim), &options).ok()
                })
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
        let mut table = Table::new(
            "rhythms",
            "Regime, burst period, spikes a burst and interspike interval.",
            columns,
        );
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
            if let [Some(a), Some(b)] =
                [&seen[0][k], &seen[1][k]].map(|o| o.as_ref().map(|o| &o.biomarkers))
            {
                same += usize::from(a.regime == b.regime);
                let bursts = a.regime == Regime::Bursting && b.regime == Regime::Bursting;
                exact += usize::from(
                    a.regime == b.regime
                        && (!bursts
                            || a.spikes_per_burst.map(f64::round)
                                == b.spikes_per_burst.map(f64::round)),
                );
                if let (true, Some(a), Some(b)) = (a.regime == b.regime, a.isi, b.isi) {
                    worst = worst.max((b.mean / a.mean - 1.0).abs());
                }
            }
        }
        let figure = {
            let mut periods = Panel::new(
                "burst period",
                self.parameter_axis(),
                Axis::new("period", time),
            )
            .with_height(180.0);
            let mut intervals = Panel::new(
                "mean interspike interval",
                self.parameter_axis(),
                Axis::new("interval", time),
            )
            .with_height(180.0);
            for ((side, seen), role) in self.sides.iter().zip(&seen).zip(ROLES) {
                let of = |pick: &dyn Fn(&Observation) -> Option<f64>| {
                    seen.iter()
                        .map(|o| o.as_ref().and_then(pick).unwrap_or(f64::NAN))
                        .collect::<Vec<_>>()
                };
                periods = periods.with(Series::line(
                    &side.name,
                    role,
                    values.clone(),
                    of(&|o| o.biomarkers.burst_period),
                ));
                intervals = intervals.with(Series::line(
                    &side.name,
                    role,
                    values.clone(),
                    of(&|o| o.biomarkers.isi.map(|i| i.mean)),
                ));
            }
            Figure::new(
                "rhythms",
                "Rhythms",
                "Burst period and mean interspike interval over the parameter.",
            )
            .sharing_x()
            .with(periods)
            .with(intervals)
        };
        let n = values.len();
        let spikes = |o: &Option<Observation>| {
            let of = o.as_ref().map(|o| o.biomarkers.spikes.len());
            of.is_some_and(|spikes| spikes > 0)
        };
        table.folded = true;
        if !seen.iter().flatten().any(spikes) {
            let text = format!("Neither system spikes at any of {n} values: no rhythm to compare.");
            let section = Section::new("rhythms", "Rhythms").with(Part::Note(text));
            return Ok(section.with(Part::Table(table)));
        }
        let summary = format!(
            "The regime is the same at {same} of {n} values; regime and, in bursts, the number of spikes at {exact}. Where the regime is the same, the mean interval differs by up to {:.3} %.",
            100.0 * worst
        );
        Ok(Section::new("rhythms", "Rhythms")
            .text(summary)
            .with(Part::Figure(figure))
            .with(Part::Table(table)))
    }

    pub(super) fn rasters(&self) -> Result<Section> {
        let values: Vec<f64> = {
            let n = self.effort.columns;
            (0..n)
                .map(|k| {
                    self.interval[0]
                        + (self.interval[1] - self.interval[0]) * k as f64 / (n - 1) as f64
                })
                .collect()
        };
        let v = self.sides[0].potential();
        let q = &self.sides[0].spec().variables[v];
        let time = &self.sides[0].spec().time_unit;
        // The same times for both.
        let first = &self.sides[0];
        let task = |side| task(side, &values);
        let times = sweep_times(task(first), &SweepOptions::default())?;
        let (transient, window) = (Some(times.transient), Some(times.window));
        let mut figure = Figure::new("rasters", "Raster diagrams", "The membrane potential over time, a column for every value of the parameter, from the left to the right; each in line with the one before.").with_columns(2);
        for side in &self.sides {
            let columns = sweep(
                task(side),
                &SweepOptions {
                    transient,
                    window,
                    early: true,
                    ..SweepOptions::default()
                },
                &Watcher::default(),
            )?;
            let found = raster(&columns, v, 0);
            let end = found.time.last().copied().unwrap_or(1.0);
            let shade = Shade::of_columns(
                &q.name,
                &q.unit,
                &found.values,
                300,
                self.interval,
                [0.0, end],
            );
            figure = figure.with(
                Panel::new(&side.name, self.parameter_axis(), Axis::new("time", time))
                    .with_height(300.0)
                    .with_shade(shade),
            );
        }
        Ok(Section::new("rasters", "Raster diagrams").with(Part::Figure(figure)))
    }

    /// The box of the starts: what a surrogate was trained on, or the ranges.
    fn bounds(&self) -> Vec<[f64; 2]> {
        let trained = self
            .sides
            .iter()
            .find_map(|s| s.spec().trained_on.as_ref().map(|t| t.state.clone()));
        trained.unwrap_or_else(|| {
            self.sides[0]
                .spec()
                .variables
                .iter()
                .map(|q| q.range)
                .collect()
        })
    }

    pub(super) fn basins(&self) -> Result<Section> {
        let values = self.values(self.effort.values);
        let options = |side: &Side| BasinOptions {
            level: Some(side.subject.x0.clone()),
            ..BasinOptions::new(
                self.bounds(),
                Starts::Random {
                    count: self.effort.starts,
                    seed: 1,
                },
            )
        };
        let mut columns = vec![self.parameter_column()];
        for side in &self.sides {
            columns.push(Column::number(
                &format!("share of fixed points, {}", side.name),
                "",
                Format::Fixed(4),
            ));
            columns.push(Column::text("95 % interval"));
            columns.push(Column::number("not settled", "", Format::Fixed(4)));
        }
        columns.push(Column::number(
            "starts that reach the same kind of attractor, of those that settled",
            "%",
            Format::Fixed(2),
        ));
        let mut table = Table::new(
            "basins",
            "Starts that end on a stable fixed point, and whether the same starts end alike in both systems: at rest, in motion, on something unstable, or away from all that makes sense.",
            columns,
        );
        for value in values {
            let mut row: Vec<Cell> = vec![value.into()];
            let mut kinds: Vec<Vec<AttractorKind>> = Vec::new();
            for side in &self.sides {
                let (p, i_stim) = side.at(value);
                let nobody = Watcher::default();
                let found = basins(side.system(), i_stim, &p, &options(side), &nobody)?;
                let (share, [low, high]) = found.share_of(AttractorKind::FixedPoint);
                row.push(share.into());
                row.push(format!("{low:.4} to {high:.4}").into());
                row.push(found.not_settled.into());
                let kind = |label: &u16| found.attractors[usize::from(*label)].kind;
                kinds.push(found.of_start.iter().map(kind).collect());
            }
            let open = |k: &usize| {
                kinds
                    .iter()
                    .any(|kinds| kinds[*k] == AttractorKind::NotSettled)
            };
            let settled: Vec<usize> = (0..kinds[0].len()).filter(|k| !open(k)).collect();
            // A cycle of the equations is a closed curve of a map, which steps along it: both are motions, as chaos is.
            let moves = |kind| {
                matches!(
                    kind,
                    AttractorKind::Periodic
                        | AttractorKind::Quasiperiodic
                        | AttractorKind::Aperiodic
                )
            };
            let alike = |a: AttractorKind, b: AttractorKind| a == b || (moves(a) && moves(b));
            let same = settled
                .iter()
                .filter(|k| alike(kinds[0][**k], kinds[1][**k]))
                .count();
            row.push(
                (!settled.is_empty())
                    .then(|| 100.0 * same as f64 / settled.len() as f64)
                    .into(),
            );
            table.push(row);
        }
        let text = format!(
            "{} random starts at each value, the same for both systems, in the box {:?}.",
            self.effort.starts,
            self.bounds()
        );
        Ok(Section::new("basins", "Basins")
            .text(text)
            .with(Part::Table(table)))
    }

    pub(super) fn spectra(&self, scales: &Scales) -> Result<Section> {
        let rate = format!("1/{}", self.sides[0].spec().time_unit);
        let n = self.sides[0].spec().variables.len();
        let mut columns = vec![self.parameter_column(), Column::text("system")];
        columns.extend(
            (1..=n).map(|k| Column::number(&format!("exponent {k}"), &rate, Format::Fixed(4))),
        );
        columns.push(Column::number(
            "largest error",
            &rate,
            Format::Significant(2),
        ));
        columns.push(Column::text("accuracy"));
        let mut table = Table::new(
            "lyapunov",
            "Lyapunov exponents of the attractor that the start reaches.",
            columns,
        );
        let longest = self.effort.turns * scales.length;
        for value in self.values(self.effort.values) {
            for side in &self.sides {
                // Times come from the system.
                let options = LyapunovOptions {
                    longest: Some(longest),
                    trajectories: 8,
                    ..LyapunovOptions::default()
                };
                let (p, i_stim) = side.at(value);
                let x0 = &side.subject.x0;
                let found = lyapunov(side.system(), x0, i_stim, &p, &options)?;
                let mut row: Vec<Cell> = vec![value.into(), side.name.as_str().into()];
                row.extend(found.exponents.iter().map(|e| Cell::from(*e)));
                row.push(found.errors.iter().copied().fold(0.0, f64::max).into());
                row.push(
                    if found.reached {
                        "reached"
                    } else {
                        "not reached"
                    }
                    .into(),
                );
                table.push(row);
            }
        }
        Ok(Section::new("lyapunov", "Lyapunov spectra").with(Part::Table(table)))
    }
}
