//! The report of a study: how it went, what its parameters did, which of them mattered, and its best trials.

use std::path::Path;

use ionoscope_learn::tune::{
    Domain,
    journal::{State, Trial},
};
use serde_json::Value;

use super::{best, fitted};
use crate::{
    Result,
    config::StudyFile,
    provenance,
    report::{
        answer::{Answer, Fact, Part},
        figure::{Axis, Figure, Panel, Role, Series},
        html::Heading,
        store,
        table::{Cell, Column, Format, Table, number},
    },
};

/// Trials in the table, and groups of values by which importance is measured.
const SHOWN: usize = 20;
const GROUPS: usize = 4;

/// Writes `report.html` and what it is drawn from into the folder of a study.
///
/// # Errors
/// A file that cannot be written.
pub(super) fn write(dir: &Path, file: &StudyFile, trials: &[Trial]) -> Result<()> {
    let done: Vec<&Trial> = trials.iter().filter(|t| t.state != State::Failed && t.value.is_some()).collect();
    let heading = Heading {
        title: format!("The study '{}'", file.study.name),
        subtitle: "What is made small is the normalised error on the validation set; test sets were not looked at.".into(),
        footer: vec![
            format!("Made by ionoscope {} on {}.", provenance::version(), provenance::machine()),
            format!("Command: `{}`", provenance::command()),
        ],
    };
    let sections = [summary(trials), history(&done), values(file, &done), importance(file, &done), table(file, &done)];
    store::save(dir, &heading, &sections)?;
    store::draw(dir)
}

fn value(t: &Trial) -> f64 {
    t.value.unwrap_or(f64::NAN)
}

fn percent(v: f64) -> String {
    format!("{} %", number(100.0 * v, Format::Significant(3)))
}

/// The last part of a key.
fn short(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

fn summary(trials: &[Trial]) -> Answer {
    let count = |state: State| trials.iter().filter(|t| t.state == state).count();
    let mut facts = Vec::new();
    if let Some(t) = best(trials) {
        facts.push(Fact {
            value: percent(value(t)),
            text: format!("smallest error, of trial {}; its configuration is best.toml", t.number),
        });
    }
    facts.push(Fact {
        value: trials.len().to_string(),
        text: format!(
            "trials: {} complete, {} given up early, {} failed",
            count(State::Complete),
            count(State::Pruned),
            count(State::Failed)
        ),
    });
    Answer::new("summary", "In short").with(Part::Facts(facts)).with(Part::Command(provenance::command()))
}

fn history(done: &[&Trial]) -> Answer {
    let of = |state: State| -> (Vec<f64>, Vec<f64>) {
        done.iter().filter(|t| t.state == state).map(|t| (t.number as f64, 100.0 * value(t))).unzip()
    };
    let (x, y) = of(State::Complete);
    let (given_up_x, given_up_y) = of(State::Pruned);
    let mut smallest = f64::INFINITY;
    let falling = y.iter().map(|v| {
        smallest = smallest.min(*v);
        smallest
    });
    let panel = Panel::new("", Axis::new("trial", ""), Axis::new("error", "%").log())
        .with_height(200.0)
        .with(Series::points("given up early, at its last step", Role::Guide, given_up_x, given_up_y))
        .with(Series::steps("smallest so far", Role::Network, x.clone(), falling.collect()))
        .with(Series::points("complete", Role::Equations, x, y));
    Answer::new("history", "How it went")
        .with(Part::Figure(Figure::new("history", "Errors of the trials", "In the order in which they were begun.").with(panel)))
}

/// Where a value lies on its axis: a number as it is, a choice by its place from 1 on.
fn place(domain: &Domain, v: &Value) -> Option<f64> {
    let inner = domain.inner(v)?;
    Some(if matches!(domain, Domain::Choice { .. }) { inner + 1.0 } else { inner })
}

fn axis(key: &str, domain: &Domain) -> Axis {
    match domain {
        Domain::Choice { choice } => {
            let name = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
            Axis::new(short(key), "").with_names(choice.iter().map(name).collect())
        }
        Domain::Log { .. } | Domain::LogInteger { .. } => Axis::new(short(key), "").log(),
        _ => Axis::new(short(key), ""),
    }
}

/// The error over each parameter.
fn values(file: &StudyFile, done: &[&Trial]) -> Answer {
    let mut figure = Figure::new("parameters", "Errors over the parameters", "Pale: given up early.").with_columns(3);
    for (k, (key, parameter)) in file.study.space.0.iter().enumerate() {
        let of = |state: State| -> (Vec<f64>, Vec<f64>) {
            let there = done.iter().filter(|t| t.state == state);
            there.filter_map(|t| Some((place(&parameter.domain, t.values.get(key)?)?, 100.0 * value(t)))).unzip()
        };
        let ((x, y), (given_up_x, given_up_y)) = (of(State::Complete), of(State::Pruned));
        let name = |text: &str| if k == 0 { text.to_owned() } else { String::new() };
        let panel = Panel::new("", axis(key, &parameter.domain), Axis::new("error", "%").log())
            .with(Series::points(&name("given up early"), Role::Guide, given_up_x, given_up_y))
            .with(Series::points(&name("complete"), Role::Equations, x, y));
        figure = figure.with(panel);
    }
    Answer::new("parameters", "What the parameters did").with(Part::Figure(figure))
}

/// Share of the variance of the logarithm of the error that lies between groups of values of one parameter; none for too few trials.
fn share(places: &[(f64, f64)], choices: bool) -> Option<f64> {
    let n = places.len();
    if n < 2 * GROUPS {
        return None;
    }
    let mut sorted = places.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut groups: std::collections::BTreeMap<i64, Vec<f64>> = Default::default();
    for (k, (x, y)) in sorted.iter().enumerate() {
        groups.entry(if choices { *x as i64 } else { (k * GROUPS / n) as i64 }).or_default().push(*y);
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let all: Vec<f64> = places.iter().map(|p| p.1).collect();
    let whole: f64 = all.iter().map(|y| (y - mean(&all)).powi(2)).sum();
    let between: f64 = groups.values().map(|g| g.len() as f64 * (mean(g) - mean(&all)).powi(2)).sum();
    (whole > 0.0).then(|| between / whole)
}

fn importance(file: &StudyFile, done: &[&Trial]) -> Answer {
    let mut rows: Vec<(&String, Option<f64>)> = Vec::new();
    for (key, parameter) in &file.study.space.0 {
        let places: Vec<(f64, f64)> = done
            .iter()
            .filter_map(|t| Some((place(&parameter.domain, t.values.get(key)?)?, value(t).ln())))
            .filter(|p| p.1.is_finite())
            .collect();
        rows.push((key, share(&places, matches!(parameter.domain, Domain::Choice { .. }))));
    }
    rows.sort_by(|a, b| b.1.unwrap_or(-1.0).total_cmp(&a.1.unwrap_or(-1.0)));
    let mut table = Table::new(
        "importance",
        "Share of the variance of the logarithm of the error between the groups of a parameter's values: its choices, or four groups of equal size.",
        vec![Column::text("parameter"), Column::number("share", "%", Format::Significant(2))],
    );
    for (key, share) in rows {
        table.push(vec![key.as_str().into(), share.map(|s| 100.0 * s).into()]);
    }
    Answer::new("importance", "Which of them mattered")
        .text("Each parameter by itself, over trials that were not drawn evenly: a hint, no more.")
        .with(Part::Table(table))
}

fn table(file: &StudyFile, done: &[&Trial]) -> Answer {
    let keys: Vec<&String> = file.study.space.0.keys().collect();
    let solved = file.budget.as_ref().and_then(|b| b.solve.as_ref());
    let mut columns = vec![Column::number("trial", "", Format::Shortest), Column::number("error", "%", Format::Significant(3))];
    columns.extend(keys.iter().copied().chain(solved).map(|k| Column::number(short(k), "", Format::Significant(3))));
    let mut order: Vec<&&Trial> = done.iter().filter(|t| t.state == State::Complete).collect();
    order.sort_by(|a, b| value(a).total_cmp(&value(b)));
    let mut table = Table::new("best", "The complete trials with the smallest errors.", columns);
    for t in order.into_iter().take(SHOWN) {
        let fitted = fitted(t);
        let cell = |v: Option<&Value>| -> Cell {
            match v {
                Some(Value::Number(n)) => n.as_f64().into(),
                Some(Value::String(s)) => s.as_str().into(),
                Some(v) => v.to_string().into(),
                None => Cell::Empty(()),
            }
        };
        let mut row: Vec<Cell> = vec![t.number.into(), (100.0 * value(t)).into()];
        row.extend(keys.iter().map(|k| cell(t.values.get(*k))));
        row.extend(solved.map(|k| cell(fitted.get(k))));
        table.push(row);
    }
    Answer::new("best", "The best trials").with(Part::Table(table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_has_all_of_the_variance_and_what_does_not_none() {
        let decides: Vec<(f64, f64)> = (0..16).map(|k| (f64::from(k % 2), f64::from(k % 2))).collect();
        assert!((share(&decides, true).unwrap() - 1.0).abs() < 1e-12);
        let idle: Vec<(f64, f64)> = (0..16).map(|k| (f64::from(k / 4), f64::from(k % 4))).collect();
        assert!(share(&idle, false).unwrap() < 1e-12);
        assert_eq!(share(&idle[..5], false), None);
    }
}
