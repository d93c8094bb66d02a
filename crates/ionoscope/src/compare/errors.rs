//! How far two systems are apart step by step, and what each costs at which error.

use std::time::Instant;

use ionoscope_analysis::compare::distance_standardized;
use ionoscope_dynamics::{
    system::Time,
    trajectory::{Experiment, SolveOptions, TimeGrid, Trajectory},
};

use super::{Comparison, Scales, Side, tight};
use crate::{
    Result,
    report::{
        section::{Part, Section},
        table::{Cell, Column, Format, Table},
    },
};

/// Tolerances at which the costs of equations are measured.
const TOLERANCES: [f64; 6] = [1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8];
/// States from which errors are measured.
const STATES: usize = 64;
/// Trajectories side by side.
const MANY: usize = 256;
/// Periods, or decays, over which errors and costs are measured.
const PERIODS: f64 = 6.0;
/// Steps of that at most.
const MOST_STEPS: f64 = 50_000.0;
/// Share of the swing of the potential within which both stay together.
const TOGETHER: f64 = 0.05;
/// Share of a period ahead at which costs are matched with errors.
const AHEAD: f64 = 0.125;

impl Comparison {
    pub(super) fn errors(&self, scales: &Scales) -> Result<Section> {
        Ok(Section::new("errors", "Errors and costs")
            .with(Part::Table(self.differences(scales)?))
            .with(Part::Table(self.costs(scales)?)))
    }

    fn differences(&self, scales: &Scales) -> Result<Table> {
        let [a, b] = &self.sides;
        let Scales {
            step,
            transient,
            length,
        } = *scales;
        let v = a.potential();
        let count = (PERIODS * length / step).round().clamp(1.0, MOST_STEPS) as usize + 1;
        let longest = (count - 1) as f64 * step;
        let (q, time) = (&a.spec().variables[v], &a.spec().time_unit);
        let mut columns = vec![self.parameter_column()];
        columns.extend(a.spec().variables.iter().map(|q| {
            Column::number(
                &format!("step error of {}", q.name),
                &q.unit,
                Format::Significant(2),
            )
        }));
        columns.push(Column::number("stays together for", time, Format::Fixed(2)));
        let caption = format!(
            "Root mean square difference after one step of {step} {time} from the same states on the attractor of {}; and how long {} of both stays within {} % of its swing from one start there, at most {longest:.4} {time}.",
            a.name,
            q.name,
            100.0 * TOGETHER
        );
        let mut table = Table::new("errors", &caption, columns);
        for value in self.values(self.effort.values.max(3)) {
            let reference = a.run(
                value,
                &a.subject.x0,
                TimeGrid::new(transient, step, count)?,
                &tight(),
            )?;
            let states: Vec<&[f64]> = (0..reference.len() - 1)
                .step_by((count / 500).max(1))
                .map(|k| reference.state(k))
                .collect();
            let [one, other] = [a, b].map(|side| after(side, value, &states, step, &tight()));
            let (one, other) = (one?, other?);
            let mut row: Vec<Cell> = vec![value.into()];
            for i in 0..a.spec().variables.len() {
                let square = one
                    .iter()
                    .zip(&other)
                    .map(|(p, q)| (p[i] - q[i]).powi(2))
                    .sum::<f64>()
                    / one.len() as f64;
                row.push(square.sqrt().into());
            }
            let grid = TimeGrid::new(0.0, step, count)?;
            let pair = [a, b].map(|side| side.run(value, reference.state(0), grid, &tight()));
            let [one, other] = pair;
            let (one, other) = (one?, other?);
            let (low, high) = reference
                .variable(v)
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| {
                    (l.min(x), h.max(x))
                });
            let allowed =
                (TOGETHER * (high - low)).max(1e-3 * TOGETHER * (q.range[1] - q.range[0]));
            // One that fails on the way is apart from there.
            let both = one.len().min(other.len());
            let apart = (0..both)
                .find(|k| (one.state(*k)[v] - other.state(*k)[v]).abs() > allowed)
                .unwrap_or(both.min(count - 1));
            row.push((apart as f64 * step).into());
            table.push(row);
        }
        Ok(table)
    }

    /// Cost and error of equations at several tolerances, and of maps, so that the reader can match them.
    fn costs(&self, scales: &Scales) -> Result<Table> {
        let (step, time) = (scales.step, &self.sides[0].spec().time_unit);
        let value = 0.5 * (self.interval[0] + self.interval[1]);
        // A whole number of steps.
        let ahead = (AHEAD * scales.length / step).round().max(1.0) * step;
        let length = (PERIODS * scales.length / step)
            .round()
            .clamp(1.0, MOST_STEPS)
            * step;
        let exact = self
            .sides
            .iter()
            .find(|s| s.system().time() == Time::Continuous);
        let caption = format!(
            "Microseconds for a {time} of one trajectory alone, and of one of {MANY} side by side on {} threads, at {} = {value}, the median of five runs. The error is the median over {STATES} states of the distance,              in standard deviations of the attractor, from the equations solved at rtol 1e-9, {ahead} {time} after that state: compare a map with the tolerance that has its error.",
            rayon::current_num_threads(),
            self.over
        );
        let mut table = Table::new(
            "costs",
            &caption,
            vec![
                Column::text("system"),
                Column::number("rtol", "", Format::Significant(1)),
                Column::number("error", "", Format::Significant(2)),
                Column::number("alone", "us", Format::Significant(3)),
                Column::number("of many", "us", Format::Significant(3)),
            ],
        );
        let reference = exact
            .map(|s| Reference::new(s, value, scales, length, ahead))
            .transpose()?;
        for side in &self.sides {
            let map = side.system().time() != Time::Continuous;
            // A map that learned equations with other parameters would be measured against the wrong ones; the second side of two models too.
            let comparable = map || exact.is_some_and(|e| std::ptr::eq(e, side));
            let tolerances: Vec<Option<f64>> = if map {
                vec![None]
            } else {
                TOLERANCES.map(Some).to_vec()
            };
            for rtol in tolerances {
                let options = rtol.map_or_else(tight, |rtol| SolveOptions {
                    rtol,
                    atol: 1e-2 * rtol,
                    ..SolveOptions::default()
                });
                let error = reference
                    .as_ref()
                    .filter(|_| comparable)
                    .map(|r| r.error(side, value, ahead, &options))
                    .transpose()?;
                let cost = |n| cost(side, value, length, n, &options);
                table.push(vec![
                    side.name.as_str().into(),
                    rtol.into(),
                    error.into(),
                    cost(1)?.into(),
                    cost(MANY)?.into(),
                ]);
            }
        }
        Ok(table)
    }
}

/// The states `ahead` after each of `states`.
fn after(
    side: &Side,
    value: f64,
    states: &[&[f64]],
    ahead: f64,
    options: &SolveOptions,
) -> Result<Vec<Vec<f64>>> {
    let times = TimeGrid {
        start: ahead,
        dt: ahead,
        count: 1,
    };
    let batch: Vec<Experiment> = states
        .iter()
        .map(|x| side.experiment(value, x, times))
        .collect();
    // What fails is nowhere.
    let state = |t: Trajectory| match t.is_empty() {
        true => vec![f64::NAN; side.spec().variables.len()],
        false => t.x,
    };
    let found = side.system().solve_ensemble(&batch, options)?;
    Ok(found.into_iter().map(state).collect())
}

/// Microseconds for a unit of time of one of `n` trajectories over `length`.
fn cost(side: &Side, value: f64, length: f64, n: usize, options: &SolveOptions) -> Result<f64> {
    let times = TimeGrid::new(length, length, 1)?;
    let e = side.experiment(value, &side.subject.x0, times);
    let batch = vec![e; n];
    let mut seconds = Vec::new();
    for _ in 0..5 {
        let begin = Instant::now();
        side.system().solve_ensemble(&batch, options)?;
        seconds.push(begin.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(1e6 * seconds[2] / (n as f64 * times.end()))
}

/// States on an attractor of the equations, and where each is later.
struct Reference {
    states: Vec<Vec<f64>>,
    later: Vec<Vec<f64>>,
    /// Standard deviation of each variable on the attractor.
    sd: Vec<f64>,
}

impl Reference {
    fn new(side: &Side, value: f64, scales: &Scales, length: f64, ahead: f64) -> Result<Self> {
        let every = (length / STATES as f64 / scales.step).round().max(1.0) * scales.step;
        let along = side.run(
            value,
            &side.subject.x0,
            TimeGrid::new(scales.transient, every, STATES)?,
            &tight(),
        )?;
        let states: Vec<Vec<f64>> = (0..along.len()).map(|k| along.state(k).to_vec()).collect();
        let sd = (0..states[0].len()).map(|i| {
            let mean = along.variable(i).sum::<f64>() / STATES as f64;
            (along.variable(i).map(|x| (x - mean).powi(2)).sum::<f64>() / STATES as f64)
                .sqrt()
                .max(f64::MIN_POSITIVE)
        });
        let sd = sd.collect();
        let borrowed: Vec<&[f64]> = states.iter().map(Vec::as_slice).collect();
        let later = after(side, value, &borrowed, ahead, &tight())?;
        Ok(Reference { states, later, sd })
    }

    fn error(&self, side: &Side, value: f64, ahead: f64, options: &SolveOptions) -> Result<f64> {
        let borrowed: Vec<&[f64]> = self.states.iter().map(Vec::as_slice).collect();
        let found = after(side, value, &borrowed, ahead, options)?;
        let mut errors: Vec<f64> = found
            .iter()
            .zip(&self.later)
            .map(|(x, y)| distance_standardized(x, y, &self.sd))
            .collect();
        errors.sort_by(f64::total_cmp);
        Ok(errors[errors.len() / 2])
    }
}
