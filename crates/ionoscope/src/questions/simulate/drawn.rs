//! A trajectory as a figure.

use ionoscope_dynamics::{
    simulator::BAND,
    spec::Spec,
    trajectory::{Experiment, Trajectory},
};

use crate::{
    Result,
    report::figure::{Axis, Figure, Panel, Role, Series},
};

/// Variables drawn where none is chosen.
const SHOWN: usize = 6;
/// Height of the stimulus' panel in pixels.
const THIN: f64 = 100.0;

/// Indices of the variables to draw: those named, or the first few with the membrane potential before all others.
///
/// # Errors
/// An unknown name.
pub fn shown(spec: &Spec, names: &[String]) -> Result<Vec<usize>> {
    if !names.is_empty() {
        return names
            .iter()
            .map(|name| Ok(spec.variable_index(name.trim())?))
            .collect();
    }
    let first = spec
        .membrane_potential
        .as_ref()
        .and_then(|name| spec.variable_index(name).ok());
    let others = (0..spec.variables.len()).filter(|i| Some(*i) != first);
    Ok(first.into_iter().chain(others).take(SHOWN).collect())
}

/// Variables over time, one panel each, the stimulus, if there is one, in a thin panel on top.
///
/// Where a variable has a band, `band` is its name in the legend, and `note` is that of the lines.
pub fn over_time(
    spec: &Spec,
    role: Role,
    experiment: &Experiment,
    trajectory: &Trajectory,
    shown: &[usize],
    [band, note]: [&str; 2],
) -> Figure {
    let time: Vec<f64> = (0..trajectory.len())
        .map(|k| trajectory.times.time(k))
        .collect();
    let parameters = spec.parameters.iter().zip(&experiment.p);
    let changed = parameters
        .filter(|(q, v)| q.default != **v)
        .map(|(q, v)| format!("{} = {v} {}", q.name, q.unit));
    let caption = changed.collect::<Vec<_>>().join(", ");
    let mut figure = Figure::new("trajectory", &spec.id, &caption).sharing_x();
    let axis = || Axis::new("time", &spec.time_unit);
    if !experiment.protocol.is_none() {
        let (x, y) = stimulus(experiment, &time);
        let panel =
            Panel::new("", axis(), Axis::new("i_stim", &spec.stimulus_unit)).with_height(THIN);
        figure = figure.with(panel.with(Series::line("", Role::Data, x, y)));
    }
    for (k, &i) in shown.iter().enumerate() {
        let q = &spec.variables[i];
        let mut panel = Panel::new("", axis(), Axis::new(&q.name, &q.unit));
        if let Ok(half) = spec.variable_index(&format!("{}{BAND}", q.name)) {
            let edge = |sign: f64| {
                trajectory
                    .variable(i)
                    .zip(trajectory.variable(half))
                    .map(|(x, w)| x + sign * w)
                    .collect::<Vec<f64>>()
            };
            panel = panel.with(Series::area(
                if k == 0 { band } else { "" },
                Role::Faint(0),
                &time,
                &edge(-1.0),
                &edge(1.0),
            ));
        }
        let name = if k == 0 { note } else { "" };
        figure = figure.with(panel.with(Series::line(
            name,
            role,
            time.clone(),
            trajectory.variable(i).collect(),
        )));
    }
    figure
}

/// The stimulus at the output times and on both sides of every switch.
fn stimulus(experiment: &Experiment, time: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let end = time.last().copied().unwrap_or(0.0);
    let signal = experiment.protocol.signal(end);
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for (k, piece) in signal.pieces.iter().enumerate() {
        let until = signal
            .pieces
            .get(k + 1)
            .map_or(end, |next| next.start.min(end));
        let from = time.partition_point(|t| *t <= piece.start);
        let inside = time[from..].iter().copied().take_while(|t| *t < until);
        for t in std::iter::once(piece.start)
            .chain(inside)
            .chain(std::iter::once(until))
        {
            x.push(t);
            y.push(piece.value(t));
        }
    }
    (x, y)
}
