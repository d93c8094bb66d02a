//! The fixed points that a search of a box finds, their eigenvalues and stability.

use ionoscope_analysis::{
    conserved::Held,
    fixed_points::{FixedPoint, FixedPointOptions, Search, search},
    spectrum::Complex,
};
use ionoscope_dynamics::{spec::Spec, watch::Watcher};
use serde::Deserialize;
use serde_json::{Value, json};

use super::question::Question;
use crate::{
    Result,
    answer::{Answer, Text},
    by_name,
    named::{named, rate_unit, units},
    options,
    report::{
        figure::{Axis, Figure, Panel, Role, Series},
        table::{Column, Format, Table},
    },
    subject::Subject,
    text::short,
};

/// Searches a box for fixed points, and gives their eigenvalues and stability
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[serde(default, deny_unknown_fields)]
pub struct FixedPoints {
    /// Where to search, other than the range of the variable; may be repeated
    #[cfg_attr(feature = "clap", arg(long = "box", value_name = "NAME=LO:HI", value_parser = options::name_interval, value_delimiter = ','))]
    #[serde(rename = "box", deserialize_with = "by_name::deserialize")]
    pub bounds: Vec<(String, [f64; 2])>,
    /// Number of starts of Newton's method
    #[cfg_attr(feature = "clap", arg(long, value_name = "N", default_value_t = FixedPoints::default().starts, allow_negative_numbers = true))]
    pub starts: usize,
    /// Seed of the starts
    #[cfg_attr(feature = "clap", arg(long, value_name = "N", default_value_t = FixedPoints::default().seed, allow_negative_numbers = true))]
    pub seed: u64,
}

impl Default for FixedPoints {
    fn default() -> Self {
        let FixedPointOptions { starts, seed, .. } = FixedPointOptions::default();
        FixedPoints {
            bounds: Vec::new(),
            starts,
            seed,
        }
    }
}

impl Question for FixedPoints {
    fn ask(&self, subject: &Subject, watch: &Watcher) -> Result<Answer> {
        let Subject { spec, p, x0, .. } = subject;
        let bounds = options::box_with(spec, &self.bounds)?;
        let options = FixedPointOptions {
            bounds: Some(bounds.clone()),
            starts: self.starts,
            seed: self.seed,
            start: Some(x0.clone()),
        };
        let found = watch.unless_stopped(search(
            subject.system()?,
            subject.constant_stimulus()?,
            p,
            &options,
        ))?;
        let mut answer = Answer::new(document(spec, x0, &bounds, &found));
        write(&mut answer, spec, &found, self.starts);
        answer.tables.push(points(spec, &found));
        answer.figures.push(figure(spec, &found));
        let outside = found.fixed_points.iter().filter(|f| f.extrapolated).count();
        if outside > 0 {
            let all = found.fixed_points.len();
            answer.warnings.push(format!(
                "{outside} of {all} fixed points: state or parameters outside the training range"
            ));
        }
        Ok(answer)
    }
}

/// What a search is worth, in words.
fn worth(found: &Search) -> String {
    let outside = match found.outside {
        0 => String::new(),
        1 => "; one was met outside the box, where a wider --box shows it".into(),
        k => format!("; {k} were met outside the box, where a wider --box shows them"),
    };
    let none = if found.fixed_points.is_empty() {
        "none"
    } else {
        "no other"
    };
    format!(
        "searched by {} runs of Newton's method from all over the box, which does not prove that there is {none}{outside}",
        found.tried
    )
}

/// In how many directions fixed points go on in families of which nothing is known.
fn unexplained(found: &Search) -> Option<String> {
    let directions = match found.unexplained {
        0 => return None,
        1 => "one direction".to_owned(),
        k => format!("{k} directions"),
    };
    Some(format!(
        "the Jacobian is singular and fixed points are not isolated: they go on in {directions}, and no conserved quantity is known that \
         tells them apart; given is the one to which the motion from the start leads, with as many eigenvalues that are zero for this reason"
    ))
}

fn document(spec: &Spec, start: &[f64], bounds: &[[f64; 2]], found: &Search) -> Value {
    let mut units = units(spec);
    units.insert("eigenvalues".into(), json!(rate_unit(spec)));
    for held in &found.conserved {
        units.insert(held.quantity.name.clone(), json!(held.quantity.unit));
    }
    let points: Vec<Value> = found
        .fixed_points
        .iter()
        .map(|f| {
            let mut point = json!(f);
            point["x"] = named(&spec.variables, &f.x);
            point
        })
        .collect();
    let conserved: Vec<Value> = found
        .conserved
        .iter()
        .map(|held| {
            let mut value = json!(held);
            value["held"] = json!("at the value of the start");
            value
        })
        .collect();
    let sides = spec
        .variables
        .iter()
        .zip(bounds)
        .map(|(q, b)| (q.name.clone(), json!(b)));
    let searched = json!({
        "starts": found.tried, "box": sides.collect::<serde_json::Map<_, _>>(), "outside": found.outside, "proof": false, "note": worth(found),
    });
    let mut document = json!({ "fixed_points": points, "conserved": conserved, "search": searched, "units": units });
    if !found.conserved.is_empty() || found.unexplained > 0 {
        document["start"] = named(&spec.variables, start);
    }
    if let Some(text) = unexplained(found) {
        document["not_isolated"] = json!({ "directions": found.unexplained, "note": text });
    }
    document
}

fn write(answer: &mut Answer, spec: &Spec, found: &Search, starts: usize) {
    let unit = |u: &str| {
        if u == "1" {
            String::new()
        } else {
            format!(" ({u})")
        }
    };
    let mut header: Vec<String> = spec
        .variables
        .iter()
        .map(|q| format!("{}{}", q.name, unit(&q.unit)))
        .collect();
    header.extend(["".into(), format!("eigenvalues ({})", rate_unit(spec))]);
    let mut rows = vec![header];
    for f in &found.fixed_points {
        let mut row: Vec<String> = f.x.iter().map(|x| short(*x)).collect();
        row.push(format!(
            "{}{}",
            if f.stable { "stable" } else { "unstable" },
            if f.extrapolated { ", extrapolated" } else { "" }
        ));
        row.push(eigenvalues(f, found.unexplained));
        rows.push(row);
    }
    if found.fixed_points.is_empty() {
        answer.line(format!(
            "no fixed point found in the box: {}; a wider --box or more --starts may find one",
            worth(found)
        ));
    } else {
        answer.text.push(Text::Cells(rows));
        answer.line(format!(
            "{} found: {}; --starts {} looks harder",
            found.fixed_points.len(),
            worth(found),
            starts.saturating_mul(4)
        ));
    }
    found
        .conserved
        .iter()
        .for_each(|held| answer.line(held_in_words(held)));
    if let Some(text) = unexplained(found) {
        answer.line(text);
    }
}

/// What is conserved, and at which value it was held.
pub fn held_in_words(
    Held {
        quantity: q, value, ..
    }: &Held,
) -> String {
    let unit = if q.unit == "1" {
        String::new()
    } else {
        format!(" {}", q.unit)
    };
    format!(
        "conserved: {} = {value:.10}{unit} ({}), held at the value of the start: fixed points form a family, one or more for each value; the \
         eigenvalue that is zero for this reason is left out of the verdict",
        q.name, q.description
    )
}

/// A row for every eigenvalue of every point.
fn points(spec: &Spec, found: &Search) -> Table {
    let rate = rate_unit(spec);
    let mut columns = vec![Column::number("point", "", Format::Shortest)];
    columns.extend(
        spec.variables
            .iter()
            .map(|q| Column::number(&q.name, &q.unit, Format::Significant(5))),
    );
    columns.extend([
        Column::text("stability"),
        Column::number("eigenvalue_re", &rate, Format::Significant(5)),
    ]);
    columns.push(Column::number(
        "eigenvalue_im",
        &rate,
        Format::Significant(5),
    ));
    let mut table = Table::new(
        "fixed_points",
        "Fixed points, a row for each of their eigenvalues.",
        columns,
    );
    for (k, f) in found.fixed_points.iter().enumerate() {
        for z in &f.eigenvalues {
            let mut row = vec![k.into()];
            row.extend(f.x.iter().map(|x| (*x).into()));
            row.extend([
                if f.stable { "stable" } else { "unstable" }.into(),
                z.re.into(),
                z.im.into(),
            ]);
            table.push(row);
        }
    }
    table
}

/// The eigenvalues of all points in the complex plane.
fn figure(spec: &Spec, found: &Search) -> Figure {
    let rate = rate_unit(spec);
    let mut panel =
        Panel::new("", Axis::new("Re", &rate), Axis::new("Im", &rate)).with_height(320.0);
    for (stable, name, role) in [
        (true, "of stable points", Role::Equations),
        (false, "of unstable points", Role::Network),
    ] {
        let of = found
            .fixed_points
            .iter()
            .filter(|f| f.stable == stable)
            .flat_map(|f| &f.eigenvalues);
        let (re, im): (Vec<f64>, Vec<f64>) = of.map(|z| (z.re, z.im)).unzip();
        if !re.is_empty() {
            panel = panel.with(Series::points(name, role, re, im));
        }
    }
    let count = found.fixed_points.len();
    Figure::new(
        "fixed-points",
        &spec.id,
        &format!("Eigenvalues of {count} fixed points."),
    )
    .with(panel)
}

/// Eigenvalues, those that are zero because fixed points are not isolated marked.
fn eigenvalues(f: &FixedPoint, unexplained: usize) -> String {
    let n = f.eigenvalues.len();
    let marked = |(k, z): (usize, &Complex)| match k {
        k if k + f.neutral < n => text(z),
        k if k + unexplained < n => "0 (conserved)".into(),
        _ => "0 (not isolated)".into(),
    };
    f.eigenvalues
        .iter()
        .enumerate()
        .map(marked)
        .collect::<Vec<_>>()
        .join("  ")
}

fn text(z: &Complex) -> String {
    let re = short(z.re);
    if z.im == 0.0 {
        re
    } else {
        format!(
            "{re}{}{}i",
            if z.im < 0.0 { "-" } else { "+" },
            short(z.im.abs())
        )
    }
}
