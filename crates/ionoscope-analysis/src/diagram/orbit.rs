//! Points of an orbit diagram.

use ionoscope_dynamics::trajectory::Trajectory;
use serde::{Deserialize, Serialize};

/// What marks a point of an orbit diagram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Local maxima of the variable, by a parabola through three states.
    Maxima,
    /// Intervals between upward crossings of this value by the variable.
    Intervals(f64),
    /// The variable where another one crosses a value upwards.
    Section(Section),
}

/// A Poincare section.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// Index of the variable that crosses.
    pub variable: usize,
    /// The value.
    pub value: f64,
}

/// The marks of variable `i` along a trajectory.
pub fn orbit_marks(trajectory: &Trajectory, i: usize, mark: Mark) -> Vec<f64> {
    let x: Vec<f64> = trajectory.variable(i).collect();
    match mark {
        Mark::Maxima => x
            .windows(3)
            .filter(|w| w[0] < w[1] && w[1] >= w[2])
            .map(|w| {
                let (slope, bend) = ((w[2] - w[0]) / 2.0, w[2] - 2.0 * w[1] + w[0]);
                if bend < 0.0 { w[1] - slope * slope / (2.0 * bend) } else { w[1] }
            })
            .collect(),
        Mark::Intervals(value) => {
            let crossings: Vec<f64> = crossings(&x, value).map(|(k, share)| (k as f64 + share) * trajectory.times.dt).collect();
            crossings.windows(2).map(|w| w[1] - w[0]).collect()
        }
        Mark::Section(section) => {
            let other: Vec<f64> = trajectory.variable(section.variable).collect();
            crossings(&other, section.value).map(|(k, share)| x[k] + share * (x[k + 1] - x[k])).collect()
        }
    }
}

/// Upward crossings: the state before, and the share of the step, on a line.
fn crossings(x: &[f64], value: f64) -> impl Iterator<Item = (usize, f64)> + '_ {
    x.windows(2).enumerate().filter(move |(_, w)| w[0] < value && w[1] >= value).map(move |(k, w)| (k, (value - w[0]) / (w[1] - w[0])))
}
