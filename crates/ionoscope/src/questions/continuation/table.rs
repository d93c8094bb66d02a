//! The table of all points of a continuation.

use ionoscope_analysis::{continuation::cycles::CyclePoint, spectrum::Complex};
use ionoscope_dynamics::spec::Quantity;

use super::followed::{Followed, Results};
use crate::report::table::{Cell, Column, Format, Table};

impl Followed<'_> {
    /// Fixed points, then, in the same columns, the smallest and the largest values of cycles, with
    /// their multipliers in the place of eigenvalues.
    pub fn table(&self) -> Table {
        let Results {
            branches, periodic, ..
        } = &self.results;
        let mut table = Table::new("branches", "All points of all branches.", self.columns());
        let state = |x: &[f64]| x.iter().map(|x| Cell::from(*x)).collect::<Vec<_>>();
        let truth = |v: bool| Cell::from(v.to_string());
        let n = self.spec.variables.len();
        let empty = vec![Cell::Empty(()); if self.cycles { n + 1 } else { 0 }];
        for (k, branch) in branches.iter().enumerate() {
            let mut row = |kind: String,
                           parameter: f64,
                           x: &[f64],
                           eigenvalues: &[Complex],
                           last: [Cell; 2]| {
                let first = vec![k.to_string().into(), kind.into(), parameter.into()];
                table.push(
                    [
                        first,
                        state(x),
                        parts(eigenvalues),
                        last.to_vec(),
                        empty.clone(),
                    ]
                    .concat(),
                );
            };
            for q in &branch.points {
                let last = [truth(q.stable), truth(q.extrapolated)];
                row(String::new(), q.parameter, &q.x, &q.eigenvalues, last);
            }
            for s in &branch.special_points {
                let last = [Cell::Empty(()), truth(s.extrapolated)];
                row(
                    format!("{:?}", s.kind),
                    s.parameter,
                    &s.x,
                    &s.eigenvalues,
                    last,
                );
            }
        }
        for (k, branch) in periodic.iter().enumerate() {
            let mut row = |kind: String, q: &CyclePoint| {
                let first = vec![format!("cycle{k}").into(), kind.into(), q.parameter.into()];
                // The trivial multiplier is 1.
                let one = vec![1.0.into(), 0.0.into()];
                let last = vec![truth(q.stable), Cell::Empty(()), q.period.into()];
                table.push(
                    [
                        first,
                        state(&q.min),
                        parts(&q.multipliers),
                        one,
                        last,
                        state(&q.max),
                    ]
                    .concat(),
                );
            };
            branch.points.iter().for_each(|q| row(String::new(), q));
            branch
                .special_points
                .iter()
                .for_each(|s| row(format!("{:?}", s.kind), &s.cycle));
        }
        table
    }

    fn columns(&self) -> Vec<Column> {
        let number = |name: &str, unit: &str| Column::number(name, unit, Format::Significant(5));
        let variables = &self.spec.variables;
        let mut columns = vec![Column::text("branch"), Column::text("kind")];
        columns.push(Column::number(
            &self.over.name,
            &self.unit,
            Format::Shortest,
        ));
        columns.extend(
            variables
                .iter()
                .map(|q: &Quantity| number(&q.name, &q.unit)),
        );
        for k in 1..=variables.len() {
            columns.extend(["re", "im"].map(|part| number(&format!("mu{k}_{part}"), "")));
        }
        columns.extend([Column::text("stable"), Column::text("extrapolated")]);
        if self.cycles {
            columns.push(number("period", &self.spec.time_unit));
            columns.extend(
                variables
                    .iter()
                    .map(|q| number(&format!("{}_max", q.name), &q.unit)),
            );
        }
        columns
    }
}

fn parts(all: &[Complex]) -> Vec<Cell> {
    all.iter()
        .flat_map(|m| [m.re.into(), m.im.into()])
        .collect()
}
