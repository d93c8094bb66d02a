//! The diagram of a continuation.

use ionoscope_analysis::continuation::{
    Bifurcation, Branch, Stop,
    curves::Codimension2,
    cycles::{CycleBranch, CyclePoint},
};

use super::followed::Followed;
use crate::report::figure::{Axis, Figure, Panel, Role, Series};

impl Followed<'_> {
    /// Stable parts dark, unstable ones dashed, of cycles the smallest and the largest value in
    /// other colors; bifurcations as dots. Below, curves over two parameters.
    pub fn figure(&self, shown: usize) -> Figure {
        let q = &self.spec.variables[shown];
        let axes = [
            Axis::new(&self.over.name, &self.unit),
            Axis::new(&q.name, &q.unit),
        ];
        let [x, y] = axes;
        let series = [
            self.branches(shown),
            self.cycles(shown),
            self.bifurcation_points(shown),
        ];
        let panel = series.into_iter().flatten().chain(self.broken_ends(shown));
        let panel = panel.fold(Panel::new("", x, y).with_height(420.0), Panel::with);
        let caption = format!("Fixed points over {}.", self.over.name);
        let figure = Figure::new("continuation", &self.spec.id, &caption).with(panel);
        match &self.and {
            Some((and, unit)) => figure.with(self.plane(Axis::new(&and.name, unit))),
            None => figure,
        }
    }

    fn branches(&self, shown: usize) -> Vec<Series> {
        let mut series = Vec::new();
        for (k, branch) in self.results.branches.iter().enumerate() {
            let parameters: Vec<f64> = branch.points.iter().map(|q| q.parameter).collect();
            let stable: Vec<bool> = branch.points.iter().map(|q| q.stable).collect();
            let values: Vec<f64> = branch.points.iter().map(|q| q.x[shown]).collect();
            for (of, name, role) in [
                (true, "stable", Role::Equations),
                (false, "unstable", Role::Network),
            ] {
                let name = if k == 0 { name } else { "" };
                series.extend(part(name, role, &parameters, &values, &stable, of));
            }
        }
        series
    }

    fn cycles(&self, shown: usize) -> Vec<Series> {
        let mut series = Vec::new();
        let smallest = |q: &CyclePoint| q.min[shown];
        let largest = |q: &CyclePoint| q.max[shown];
        for (of, name, role) in [
            (true, "stable cycles", Role::Third),
            (false, "unstable cycles", Role::Second),
        ] {
            let mut name = name;
            for branch in &self.results.periodic {
                let parameters: Vec<f64> = branch.points.iter().map(|q| q.parameter).collect();
                let stable: Vec<bool> = branch.points.iter().map(|q| q.stable).collect();
                for value in [&smallest as &dyn Fn(&CyclePoint) -> f64, &largest] {
                    let values: Vec<f64> = branch.points.iter().map(value).collect();
                    if let Some(drawn) = part(name, role, &parameters, &values, &stable, of) {
                        series.push(drawn);
                        name = "";
                    }
                }
            }
        }
        series
    }

    fn bifurcation_points(&self, shown: usize) -> Vec<Series> {
        let kinds = [
            (Bifurcation::SaddleNode, Role::Second),
            (Bifurcation::BranchPoint, Role::Equations),
            (Bifurcation::Hopf, Role::Orbit),
            (Bifurcation::PeriodDoubling, Role::Third),
            (Bifurcation::NeimarkSacker, Role::Orbit),
        ];
        let mut series = Vec::new();
        for (kind, role) in kinds {
            let all = self.results.branches.iter().flat_map(|b| &b.special_points);
            let of = all.filter(|s| s.kind == kind);
            let (mut x, mut y): (Vec<f64>, Vec<f64>) =
                of.map(|s| (s.parameter, s.x[shown])).unzip();
            let all = self.results.periodic.iter().flat_map(|b| &b.special_points);
            for s in all.filter(|s| s.kind == kind) {
                x.extend([s.cycle.parameter; 2]);
                y.extend([s.cycle.min[shown], s.cycle.max[shown]]);
            }
            if !x.is_empty() {
                series.push(Series::points(&format!("{kind:?}"), role, x, y));
            }
        }
        series
    }

    /// Where something broke off: it may go on there.
    fn broken_ends(&self, shown: usize) -> Option<Series> {
        let of = |b: &Branch| {
            ends(
                b.points.iter().map(|q| [q.parameter, q.x[shown]]),
                &b.stopped,
            )
        };
        let of_cycles = |b: &CycleBranch| {
            ends(
                b.points.iter().map(|q| [q.parameter, q.max[shown]]),
                &b.stopped,
            )
        };
        let fixed = self.results.branches.iter().flat_map(of);
        let all = fixed.chain(self.results.periodic.iter().flat_map(of_cycles));
        let (x, y): (Vec<f64>, Vec<f64>) = all.map(|[x, y]| (x, y)).unzip();
        (!x.is_empty()).then(|| Series::points("broke off", Role::Network, x, y))
    }

    /// Curves over both parameters.
    fn plane(&self, y: Axis) -> Panel {
        let curves = &self.results.curves;
        let x = Axis::new(&self.over.name, &self.unit);
        let mut plane = Panel::new("", x, y).with_height(300.0);
        for (k, c) in curves.iter().enumerate() {
            let saddle_node = c.kind == Bifurcation::SaddleNode;
            let role = if saddle_node {
                Role::Third
            } else {
                Role::Second
            };
            let named = curves[..k].iter().any(|o| o.kind == c.kind);
            let name = if named {
                String::new()
            } else {
                format!("{:?} curve", c.kind)
            };
            let (x, y) = c
                .points
                .iter()
                .map(|q| (q.parameters[0], q.parameters[1]))
                .unzip();
            plane = plane.with(Series::line(&name, role, x, y));
        }
        let kinds = [
            (Codimension2::Cusp, Role::Third),
            (Codimension2::BogdanovTakens, Role::Equations),
            (Codimension2::GeneralizedHopf, Role::Orbit),
            (Codimension2::FoldHopf, Role::Network),
        ];
        for (kind, role) in kinds {
            let special = curves
                .iter()
                .flat_map(|c| &c.special_points)
                .filter(|s| s.kind == kind);
            let (x, y): (Vec<f64>, Vec<f64>) =
                special.map(|s| (s.parameters[0], s.parameters[1])).unzip();
            if !x.is_empty() {
                plane = plane.with(Series::points(&format!("{kind:?}"), role, x, y));
            }
        }
        plane
    }
}

/// The stable or the unstable part of a branch, each piece to the point where the next begins; none
/// where the branch has no such part.
fn part(name: &str, role: Role, x: &[f64], y: &[f64], stable: &[bool], of: bool) -> Option<Series> {
    let touches = |i: usize| stable[i] == of || (i > 0 && stable[i - 1] == of);
    let y: Vec<f64> = (0..y.len())
        .map(|i| if touches(i) { y[i] } else { f64::NAN })
        .collect();
    y.iter()
        .any(|y| !y.is_nan())
        .then(|| Series::line(name, role, x.to_vec(), y))
}

/// The ends at which a branch through these points broke off.
fn ends(mut points: impl Iterator<Item = [f64; 2]>, stopped: &[Stop; 2]) -> Vec<[f64; 2]> {
    let first = points.next();
    let last = points.last().or(first);
    let both = [first, last].into_iter().zip(stopped);
    both.filter(|(_, stop)| !stop.complete())
        .filter_map(|(end, _)| end)
        .collect()
}
