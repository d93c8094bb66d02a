//! Both systems over time from the same state, and their attractors in space.

use ionoscope_analysis::biomarkers::{BiomarkerOptions, ObserveOptions, observe};
use ionoscope_dynamics::trajectory::{TimeGrid, Trajectory};

use super::{Comparison, ROLES, Scales, constant, tight};
use crate::{
    Result,
    report::{
        figure::{Axis, Figure, Panel, Series},
        section::{Part, Section},
    },
};

/// Length of what is drawn where no rhythm gives one, in periods or decays.
const LENGTH: f64 = 2.2;
/// Most points of a curve.
const MOST_POINTS: usize = 40_000;

impl Comparison {
    /// Figures at two values of the parameter: all variables over time, one spike, and the attractors in the space of the first three variables.
    pub(super) fn motion(&self, scales: &Scales) -> Result<Section> {
        let [a, b] = &self.sides;
        let (v, step) = (a.potential(), scales.step);
        let variables = &a.spec().variables[..a.spec().variables.len().min(3)];
        let time = &a.spec().time_unit;
        let values = self.values(2);
        let mut pairs: Vec<(f64, [Trajectory; 2], f64, f64)> = Vec::new();
        for value in &values {
            let (length, spike) = self.window(*value, LENGTH * scales.length);
            let count = ((length / step) as usize).clamp(2, MOST_POINTS);
            let from = a.run(
                *value,
                &a.subject.x0,
                TimeGrid::new(scales.transient, step, 1)?,
                &tight(),
            )?;
            let grid = TimeGrid::new(0.0, step, count)?;
            let [one, other] = [a, b].map(|side| side.run(*value, from.state(0), grid, &tight()));
            pairs.push((*value, [one?, other?], length, spike));
        }
        let heading = |value: f64| format!("{} = {value}", self.over).replace('-', "−");
        let lines = |panel: Panel, pair: &[Trajectory; 2], i: usize, from: usize, to: usize| {
            self.sides
                .iter()
                .zip(pair)
                .zip(ROLES)
                .fold(panel, |panel, ((side, t), role)| {
                    let x = (from..to).map(|k| k as f64 * step).collect();
                    panel.with(Series::line(
                        &side.name,
                        role,
                        x,
                        t.variable(i).skip(from).take(to - from).collect(),
                    ))
                })
        };
        let caption = "Both systems from the same state on the attractor of the first, each then left to itself.";
        let mut over_time = Figure::new("motion", "Motion", caption)
            .with_columns(values.len())
            .sharing_x();
        for (i, q) in variables.iter().enumerate() {
            for (value, pair, _, _) in &pairs {
                let title = if i == 0 {
                    heading(*value)
                } else {
                    String::new()
                };
                let panel = Panel::new(&title, Axis::new("t", time), Axis::new(&q.name, &q.unit))
                    .with_height(130.0);
                over_time =
                    over_time.with(lines(panel, pair, i, 0, pair[0].len().min(pair[1].len())));
            }
        }
        let caption = format!(
            "{} around the first of its upward crossings of the middle of its range.",
            a.spec().variables[v].name
        );
        let mut spikes = Figure::new("spikes", "A spike", &caption).with_columns(values.len());
        for (value, pair, _, spike) in &pairs {
            let q = &a.spec().variables[v];
            let series: Vec<f64> = pair[0].variable(v).collect();
            let (low, high) = series
                .iter()
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| {
                    (l.min(*x), h.max(*x))
                });
            // A cell at rest has no spike to show.
            if high - low <= 1e-3 * (q.range[1] - q.range[0]) {
                continue;
            }
            let middle = 0.5 * (low + high);
            let crossing = (1..series.len())
                .find(|k| series[k - 1] < middle && series[*k] >= middle)
                .unwrap_or(0);
            let width = ((spike / step) as usize).max(4);
            let from = crossing.saturating_sub(width / 2);
            let to = (from + width)
                .min(pair[0].len())
                .min(pair[1].len())
                .max(from);
            let panel = Panel::new(
                &heading(*value),
                Axis::new("t", time),
                Axis::new(&q.name, &q.unit),
            )
            .with_height(170.0);
            spikes = spikes.with(lines(panel, pair, v, from, to));
        }
        let mut answer = Section::new("motion", "Motion").with(Part::Figure(over_time));
        answer = answer.with(if spikes.panels.is_empty() {
            Part::Note(format!(
                "{} rests at these values: no spike to show.",
                a.name
            ))
        } else {
            Part::Figure(spikes)
        });
        if let [x, y, z] = variables {
            let caption = "The attractors in the space of the first three variables.";
            let mut space = Figure::new("attractors", "Attractors", caption).with_columns(2);
            for (value, pair, _, _) in &pairs {
                // One box for both, so that they can be compared.
                let axis = |i: usize, label: &str, unit: &str| {
                    let all = pair.iter().flat_map(|t| t.variable(i));
                    let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| {
                        (l.min(x), h.max(x))
                    });
                    let margin = 0.03 * (high - low).max(f64::MIN_POSITIVE);
                    Axis::new(label, unit).with_range(low - margin, high + margin)
                };
                for ((side, t), role) in self.sides.iter().zip(pair).zip(ROLES) {
                    let [xs, ys, zs] = [0, 1, 2].map(|i| t.variable(i).collect::<Vec<f64>>());
                    let title = format!("{}, {}", side.name, heading(*value));
                    let panel =
                        Panel::new(&title, axis(0, &x.name, &x.unit), axis(1, &y.name, &y.unit));
                    let panel = panel.with_z(axis(2, &z.name, &z.unit)).with_height(290.0);
                    space = space.with(panel.with(Series::curve(&side.name, role, xs, ys, zs)));
                }
            }
            answer = answer.with(Part::Figure(space));
        }
        Ok(answer)
    }

    /// How long a stretch shows the rhythm of the first system (two bursts or ten spikes), and how long one spike; `length` without a rhythm.
    fn window(&self, value: f64, length: f64) -> (f64, f64) {
        let side = &self.sides[0];
        let Some(threshold) = side.spec().spike_threshold else {
            return (length, length / 10.0);
        };
        let options = ObserveOptions::new(BiomarkerOptions::at(threshold));
        let (p, i_stim) = side.at(value);
        let (v, x0) = (side.potential(), &side.subject.x0);
        let seen = observe(side.system(), v, x0, &p, &constant(i_stim), &options).ok();
        let Some((isi, burst)) =
            seen.and_then(|o| Some((o.biomarkers.isi?, o.biomarkers.burst_period)))
        else {
            return (length, length / 10.0);
        };
        (
            burst.map_or(10.0 * isi.mean, |period| 2.2 * period),
            1.5 * isi.min,
        )
    }
}
