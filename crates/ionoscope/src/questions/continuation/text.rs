//! What people read of a continuation.

use ionoscope_analysis::{
    conserved::Held,
    continuation::{
        Branch,
        curves::{CurvePoint, CurveStop},
        cycles::{CycleBranch, Origin},
    },
};

use super::followed::{Followed, Results};
use crate::{answer::Text, branch_ends::text_of, named::angular_unit, text::short};

/// Variables shown beside a bifurcation, and beside one of cycles.
const SHOWN: [usize; 2] = [6, 4];

impl Followed<'_> {
    /// Bifurcations, branches with their ends, what is conserved, cycles, curves.
    pub fn text(&self) -> Vec<Text> {
        let Results {
            branches, periodic, ..
        } = &self.results;
        let mut all = Vec::new();
        let rows = self.bifurcations();
        let cut = |complete: bool| {
            if complete {
                ""
            } else {
                " on what was followed"
            }
        };
        if rows.len() > 1 {
            all.push(Text::Cells(rows));
        } else {
            let cut = cut(branches.iter().all(Branch::complete));
            all.push(Text::Line(format!("no bifurcation{cut}")));
        }
        for (k, b) in branches.iter().enumerate() {
            let (points, ends) = (b.points.len(), text_of(&self.ends(b)));
            all.push(Text::Line(format!("branch {k}: {points} points; {ends}")));
        }
        let [from, to] = &self.results.conserved;
        all.extend(from.iter().zip(to).map(|held| self.conserved_line(held)));
        if self.cycles {
            all.push(Text::Line(String::new()));
            let rows = self.bifurcations_of_cycles();
            if rows.len() > 1 {
                all.push(Text::Cells(rows));
            } else {
                let cut = cut(periodic.iter().all(CycleBranch::complete));
                all.push(Text::Line(format!("no bifurcation of cycles{cut}")));
            }
        }
        for (k, b) in periodic.iter().enumerate() {
            let from = match b.started_from {
                Origin::Hopf(at) => format!("from the Hopf point at {}", short(at)),
                Origin::Simulation(at) => format!("found by simulation at {}", short(at)),
            };
            let (points, ends) = (b.points.len(), text_of(&self.cycle_ends(b)));
            all.push(Text::Line(format!(
                "cycles {k}: {points} points, {from}; {ends}"
            )));
        }
        all.extend(self.curve_lines().into_iter().map(Text::Line));
        all
    }

    fn bifurcations(&self) -> Vec<Vec<String>> {
        let spec = self.spec;
        let mut header = self.header("branch");
        header.extend(
            spec.variables
                .iter()
                .take(SHOWN[0])
                .map(|q| format!("{}{}", q.name, bare(&q.unit))),
        );
        header.push(format!("angular frequency ({}), l1", angular_unit(spec)));
        let mut rows = vec![header];
        for (k, branch) in self.results.branches.iter().enumerate() {
            for s in &branch.special_points {
                let mut row = vec![
                    k.to_string(),
                    format!("{:?}", s.kind),
                    format!("{:.8}", s.parameter),
                ];
                row.extend(s.x.iter().take(SHOWN[0]).map(|x| short(*x)));
                let l1 = s.first_lyapunov_coefficient.map_or("?".into(), short);
                let hopf = s.frequency.map(|f| format!("{}, {l1}", short(f)));
                row.push(hopf.unwrap_or_default());
                rows.push(row);
            }
        }
        rows
    }

    fn bifurcations_of_cycles(&self) -> Vec<Vec<String>> {
        let spec = self.spec;
        let mut header = self.header("cycles");
        header.push(format!("period{}", bare(&spec.time_unit)));
        header.extend(
            spec.variables
                .iter()
                .take(SHOWN[1])
                .map(|q| format!("{}{}", q.name, bare(&q.unit))),
        );
        let mut rows = vec![header];
        for (k, branch) in self.results.periodic.iter().enumerate() {
            for s in &branch.special_points {
                let q = &s.cycle;
                let [parameter, period] =
                    [format!("{:.8}", q.parameter), format!("{:.6}", q.period)];
                let mut row = vec![k.to_string(), format!("{:?}", s.kind), parameter, period];
                let extent = q.min.iter().zip(&q.max).take(SHOWN[1]);
                row.extend(extent.map(|(a, b)| format!("{} to {}", short(*a), short(*b))));
                rows.push(row);
            }
        }
        rows
    }

    fn header(&self, first: &str) -> Vec<String> {
        let parameter = format!("{}{}", self.over.name, bare(&self.unit));
        vec![first.to_owned(), "bifurcation".into(), parameter]
    }

    fn conserved_line(&self, (from, to): (&Held, &Held)) -> Text {
        let q = &from.quantity;
        let unit = if q.unit == "1" {
            String::new()
        } else {
            format!(" {}", q.unit)
        };
        let moves = if from.value == to.value {
            format!("{} = {:.10}{unit}", q.name, from.value)
        } else {
            let over = &self.over.name;
            format!(
                "{} from {:.10} to {:.10}{unit}, since {over} enters it",
                q.name, from.value, to.value
            )
        };
        Text::Line(format!(
            "conserved: {moves} ({}), held at the value of the start",
            q.description
        ))
    }

    fn curve_lines(&self) -> Vec<String> {
        let Some((and, _)) = &self.and else {
            return Vec::new();
        };
        let (over, and) = (&self.over.name, &and.name);
        let end = |q: Option<&CurvePoint>, stop: &CurveStop| {
            let at = q.map_or([f64::NAN; 2], |q| q.parameters).map(short);
            format!("{over} = {}, {and} = {} ({stop})", at[0], at[1])
        };
        let mut lines = Vec::new();
        for (k, c) in self.results.curves.iter().enumerate() {
            let (from, to) = (
                end(c.points.first(), &c.stopped[0]),
                end(c.points.last(), &c.stopped[1]),
            );
            lines.push(format!(
                "curve {k}, {:?}: {} points from {from} to {to}",
                c.kind,
                c.points.len()
            ));
            lines.extend(c.special_points.iter().map(|s| {
                let at = s.parameters;
                format!(
                    "    {:?} at {over} = {:.8}, {and} = {:.8}",
                    s.kind, at[0], at[1]
                )
            }));
        }
        lines
    }
}

fn bare(unit: &str) -> String {
    if unit == "1" || unit.is_empty() {
        String::new()
    } else {
        format!(" ({unit})")
    }
}
