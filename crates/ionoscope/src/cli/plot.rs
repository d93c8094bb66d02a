//! Quick figures of a single answer.

use ionoscope_dynamics::{spec::Spec, trajectory::Trajectory};

use crate::report::{
    figure::{Axis, Figure, Panel, Role, Series},
    svg,
};

/// The variables over time, one panel each, as SVG.
pub fn over_time(spec: &Spec, p: &[f64], trajectory: &Trajectory) -> String {
    let time: Vec<f64> = (0..trajectory.len()).map(|k| trajectory.times.time(k)).collect();
    let role = if spec.trained_on.is_some() { Role::Network } else { Role::Equations };
    let changed = spec.parameters.iter().zip(p).filter(|(q, v)| q.default != **v).map(|(q, v)| format!("{} = {v} {}", q.name, q.unit));
    let caption = changed.collect::<Vec<_>>().join(", ");
    let mut figure = Figure::new("trajectory", &spec.id, &caption).sharing_x();
    for (i, q) in spec.variables.iter().enumerate() {
        let panel = Panel::new("", Axis::new("time", &spec.time_unit), Axis::new(&q.name, &q.unit));
        figure = figure.with(panel.with(Series::line("", role, time.clone(), trajectory.variable(i).collect())));
    }
    svg::draw(&figure)
}
