//! The figures of the paper, from plain data.

use ionoscope_analysis::fixed_points::FixedPoint;
use ionoscope_dynamics::trajectory::Trajectory;
use ionoscope_learn::dataset::Dataset;

use super::{
    findings::{BetaCell, Network},
    fixed_points::Comparison,
};
use crate::report::figure::{Axis, Figure, Panel, Role, Series};

/// The control parameter on an axis.
fn control() -> Axis {
    Axis::new("V_{S}", "mV")
}

/// The state variables of the models on axes.
fn variables() -> [Axis; 3] {
    [
        Axis::new("V", "mV"),
        Axis::new("n", "1"),
        Axis::new("S", "1"),
    ]
}

/// A named trajectory with the role that it plays.
pub struct Trace<'a> {
    /// Name in the legend.
    pub name: &'a str,
    /// How it looks.
    pub role: Role,
    /// The trajectory.
    pub trajectory: &'a Trajectory,
}

/// Figures 1, 4, 7, 8: V, n, S against time, a column for each kind of motion.
pub fn time_series(id: &str, title: &str, caption: &str, columns: &[(&str, Vec<Trace>)]) -> Figure {
    let mut figure = Figure::new(id, title, caption)
        .with_columns(columns.len())
        .sharing_x();
    for (i, axis) in variables().into_iter().enumerate() {
        for (heading, traces) in columns {
            let mut panel = Panel::new(
                if i == 0 { heading } else { "" },
                Axis::new("t", "s"),
                axis.clone(),
            )
            .with_height(118.0);
            if let Some(t) = traces.first() {
                panel.x.range = Some([0.0, t.trajectory.times.end() - t.trajectory.times.start]);
            }
            for t in traces {
                let times = (0..t.trajectory.len())
                    .map(|k| k as f64 * t.trajectory.times.dt)
                    .collect();
                panel = panel.with(Series::line(
                    t.name,
                    t.role,
                    times,
                    t.trajectory.variable(i).collect(),
                ));
            }
            figure = figure.with(panel);
        }
    }
    figure
}

/// Figure 2: attractors in space, a panel each.
pub fn attractors(id: &str, title: &str, caption: &str, panels: &[(&str, Trace)]) -> Figure {
    let [v, n, s] = variables();
    let mut figure = Figure::new(id, title, caption).with_columns(2);
    // One box for all panels, so that they can be compared.
    let range = |i: usize| {
        let all = panels.iter().flat_map(|(_, t)| t.trajectory.variable(i));
        let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
            (a.min(v), b.max(v))
        });
        (low - 0.03 * (high - low), high + 0.03 * (high - low))
    };
    let boxed = |axis: &Axis, i: usize| axis.clone().with_range(range(i).0, range(i).1);
    for (heading, t) in panels {
        let [x, y, z] = [0, 1, 2].map(|i| t.trajectory.variable(i).collect::<Vec<f64>>());
        let panel = Panel::new(heading, boxed(&v, 0), boxed(&n, 1))
            .with_z(boxed(&s, 2))
            .with_height(290.0);
        figure = figure.with(panel.with(Series::curve(t.name, t.role, x, y, z)));
    }
    figure
}

/// Figure 6: the distance to the fixed point along a trajectory of the first model, of all points of the datasets, and how they are
/// distributed.
pub fn distances(
    id: &str,
    title: &str,
    caption: &str,
    along: &[(&str, Role, Vec<f64>, Vec<f64>)],
    data: &[(&str, &Dataset)],
) -> Figure {
    let distance = || Axis::new("distance", "mV, 1, 1").log();
    let mut figure = Figure::new(id, title, caption).with_columns(2);
    let mut panel = Panel::new(
        "along a bursting trajectory",
        Axis::new("t", "s"),
        distance(),
    );
    for (name, role, t, d) in along.iter().take(1) {
        panel.title = format!("along a bursting trajectory, {name}, V_{{S}} = −36");
        panel = panel.with(Series::line(name, *role, t.clone(), d.clone()));
    }
    figure = figure.with(panel);
    let mut histogram = Panel::new(
        "share of the data",
        Axis::new("distance", "mV, 1, 1").log(),
        Axis::new("share", "%"),
    );
    let mut clouds = Vec::new();
    for (k, (name, data)) in data.iter().enumerate() {
        let points = [&data.training, &data.validation]
            .map(|set| (0..set.len()).map(move |j| (set.p(j)[0], set.distance[j])));
        let points: Vec<(f64, f64)> = points.into_iter().flatten().filter(|p| p.1 > 0.0).collect();
        let (x, y) = thin(&points);
        clouds.push(
            Panel::new(&format!("data, {name}"), control(), distance()).with(Series::points(
                "",
                Role::Data,
                x,
                y,
            )),
        );
        let (edges, shares) = shares(&points);
        histogram = histogram.with(Series::steps(
            name,
            if k == 0 {
                Role::Equations
            } else {
                Role::Network
            },
            edges,
            shares,
        ));
    }
    clouds
        .into_iter()
        .fold(figure.with(histogram), Figure::with)
}

/// One point of each cell of a fine grid in V_S and the logarithm of the distance: no picture shows more, and files stay small.
fn thin(points: &[(f64, f64)]) -> (Vec<f64>, Vec<f64>) {
    let mut seen = std::collections::HashSet::new();
    points
        .iter()
        .filter(|(v, d)| {
            seen.insert(((v * 30.0).round() as i64, (d.log10() * 50.0).round() as i64))
        })
        .copied()
        .unzip()
}

/// Histogram with twenty bins a decade: edges, and the share (%) from each edge to the next.
fn shares(points: &[(f64, f64)]) -> (Vec<f64>, Vec<f64>) {
    let bin = |d: f64| (20.0 * d.log10()).floor() as i64;
    let (Some(first), Some(last)) = (
        points.iter().map(|p| bin(p.1)).min(),
        points.iter().map(|p| bin(p.1)).max(),
    ) else {
        return (vec![], vec![]);
    };
    let mut counts = vec![0.0; (last - first + 2) as usize];
    points
        .iter()
        .for_each(|p| counts[(bin(p.1) - first) as usize] += 100.0 / points.len() as f64);
    (
        (first..first + counts.len() as i64)
            .map(|k| 10f64.powf(k as f64 / 20.0))
            .collect(),
        counts,
    )
}

/// Panels of a quantity against V_S, every seed, a column for each model, with the goal on both sides.
fn every_seed(
    figure: Figure,
    models: &[(&str, Vec<&Network>)],
    axis: &Axis,
    goal: [f64; 2],
    quantity: impl Fn(&Comparison) -> Option<f64> + Copy,
) -> Figure {
    let all = models
        .iter()
        .flat_map(|(_, n)| n.iter())
        .flat_map(|n| n.comparisons.iter().filter_map(quantity))
        .filter(|v| *v > 0.0);
    let [low, high] = ends(all.chain(goal));
    models.iter().fold(figure, |figure, (name, networks)| {
        let axis = axis.clone().log().with_range(low / 1.5, high * 1.5);
        let mut panel =
            Panel::new(name, control().with_range(-40.0, -30.0), axis).with_height(220.0);
        let [left, right] = goal;
        panel = panel.with(Series::line(
            "goal",
            Role::Guide,
            vec![-40.0, -35.0, -35.0, -30.0],
            vec![left, left, right, right],
        ));
        for (shipped, name, role) in [
            (false, "other seeds", Role::Faint(0)),
            (
                true,
                "network with the lowest validation error",
                Role::Network,
            ),
        ] {
            for network in networks.iter().filter(|n| n.shipped == shipped) {
                let (x, y) = network
                    .comparisons
                    .iter()
                    .map(|c| (c.point.v_s, quantity(c).unwrap_or(f64::NAN)))
                    .unzip();
                panel = panel.with(Series::line(name, role, x, y));
            }
        }
        figure.with(panel)
    })
}

/// Figure 10: the distance between the fixed points of equations and maps, every seed, and how far the data are from there.
pub fn fixed_point_distances(
    id: &str,
    title: &str,
    caption: &str,
    models: &[(&str, Vec<&Network>)],
) -> Figure {
    let figure = Figure::new(id, title, caption)
        .with_columns(models.len())
        .sharing_x();
    let figure = every_seed(
        figure,
        models,
        &Axis::new("distance", "mV, 1, 1"),
        [1e-3, 1e-2],
        |c| c.distance,
    );
    models.iter().fold(figure, |figure, (_, networks)| {
        let axis = Axis::new("nearest data", "sd").log();
        let mut panel = Panel::new("", control().with_range(-40.0, -30.0), axis).with_height(120.0);
        for network in networks.iter().filter(|n| n.shipped) {
            let distance = |c: &Comparison| {
                (
                    c.point.v_s,
                    c.data_distance_standardized.unwrap_or(f64::NAN),
                )
            };
            let (x, y) = network.comparisons.iter().map(distance).unzip();
            panel = panel.with(Series::line(
                "fixed point to the nearest data",
                Role::Equations,
                x,
                y,
            ));
        }
        figure.with(panel)
    })
}

/// The error of the eigenvalues, every seed.
pub fn eigenvalue_errors(
    id: &str,
    title: &str,
    caption: &str,
    models: &[(&str, Vec<&Network>)],
) -> Figure {
    let figure = Figure::new(id, title, caption).with_columns(models.len());
    every_seed(
        figure,
        models,
        &Axis::new("eigenvalue error", "1"),
        [0.02, 0.1],
        |c| c.eigenvalue_error,
    )
}

fn ends(values: impl Iterator<Item = f64>) -> [f64; 2] {
    values.fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], v| {
        [a.min(v), b.max(v)]
    })
}

/// A fixed point along V_S, as [`super::fixed_points::branch`] gives it, with a name and a role.
pub struct Branch {
    /// Name in the legend.
    pub name: String,
    /// How it looks.
    pub role: Role,
    /// The fixed point at each V_S.
    pub points: Vec<(f64, Option<FixedPoint>)>,
}

impl Branch {
    /// Real or imaginary part, as `part` says, of the k-th eigenvalue by descending real part.
    fn series(&self, k: usize, part: impl Fn(&FixedPoint) -> f64) -> Series {
        let (x, y) = self
            .points
            .iter()
            .map(|(v, f)| (*v, f.as_ref().map_or(f64::NAN, &part)))
            .unzip();
        Series::line(if k == 0 { &self.name } else { "" }, self.role, x, y)
    }
}

/// Figure 11: the three real eigenvalues, a panel each.
pub fn real_eigenvalues(id: &str, title: &str, caption: &str, branches: &[Branch]) -> Figure {
    let mut figure = Figure::new(id, title, caption).sharing_x();
    for k in 0..3 {
        let axis = Axis::new(&format!("μ_{{{}}}", k + 1), "1/s");
        let mut panel = Panel::new("", control().with_range(-40.0, -30.0), axis).with_height(150.0);
        for branch in branches {
            panel = panel.with(branch.series(0, |f| f.eigenvalues[k].re));
        }
        figure = figure.with(panel);
    }
    figure
}

/// Figure 12: real and imaginary parts, and the two largest real parts near the window of stability.
pub fn complex_eigenvalues(
    id: &str,
    title: &str,
    caption: &str,
    branches: &[Branch],
    zoom: &[Branch],
    cell: &BetaCell,
) -> Figure {
    let window = match cell.borders[..] {
        [a, b] => Some([a, b]),
        _ => None,
    };
    let dressed = |p: Panel| match window {
        Some(w) => p.with_band(w, "stable (equations)"),
        None => p,
    };
    let mut re = dressed(
        Panel::new(
            "real parts",
            control().with_range(-40.0, -30.0),
            Axis::new("Re μ", "1/s"),
        )
        .with_height(210.0),
    );
    let mut im = dressed(
        Panel::new(
            "imaginary parts",
            control().with_range(-40.0, -30.0),
            Axis::new("Im μ", "1/s"),
        )
        .with_height(210.0),
    );
    for branch in branches {
        for k in 0..3 {
            re = re.with(branch.series(k, |f| f.eigenvalues[k].re));
            im = im.with(branch.series(k, |f| f.eigenvalues[k].im));
        }
    }
    let across = zoom
        .first()
        .map(|b| ends(b.points.iter().map(|p| p.0)))
        .unwrap_or([-40.0, -30.0]);
    let axis = Axis::new("Re μ", "1/s").with_range(-1.0, 1.5);
    let mut close = dressed(
        Panel::new(
            "the two largest real parts, enlarged",
            control().with_range(across[0], across[1]),
            axis,
        )
        .with_height(260.0),
    );
    close = close.with(Series::line("", Role::Guide, across.to_vec(), vec![0.0; 2]));
    for branch in zoom {
        for k in 0..2 {
            close = close.with(branch.series(k, |f| f.eigenvalues[k].re));
        }
    }
    Figure::new(id, title, caption)
        .with(re)
        .with(im)
        .with(close)
}

/// The loss while training, a panel for each network.
pub fn training(
    id: &str,
    title: &str,
    caption: &str,
    networks: &[&Network],
    variables: &[&str],
) -> Figure {
    let mut figure = Figure::new(id, title, caption).with_columns(2);
    for network in networks {
        let heading = format!("{}, dt = {}", network.system, network.dt);
        let mut panel = Panel::new(
            &heading,
            Axis::new("step", "1"),
            Axis::new("increment MSE", "1").log(),
        )
        .with_height(160.0);
        for ((curve, name), role) in network.metrics.history.iter().zip(variables).zip([
            Role::Equations,
            Role::Network,
            Role::Second,
        ]) {
            panel = panel.with(Series::line(
                name,
                role,
                (1..=curve.len()).map(|k| k as f64).collect(),
                curve.clone(),
            ));
        }
        figure = figure.with(panel);
    }
    figure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_hold_all_the_data() {
        let points: Vec<(f64, f64)> = (1..1000).map(|k| (-36.0, 0.01 * f64::from(k))).collect();
        let (edges, shares) = shares(&points);
        assert_eq!(edges.len(), shares.len());
        assert!((shares.iter().sum::<f64>() - 100.0).abs() < 1e-9);
        assert!(edges[0] <= 0.01 && *edges.last().unwrap() >= 9.99);
        assert!(super::shares(&[]).0.is_empty());
        let (x, y) = thin(&points);
        assert!(x.len() == y.len() && x.len() < 200 && x.len() > 50);
    }
}
