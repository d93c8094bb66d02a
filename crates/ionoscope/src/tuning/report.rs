//! The report of a study: how it went, what its parameters did, which of them mattered, and its best trials.

use std::path::Path;

use ionoscope_learn::tune::{
    Domain,
    journal::{State, Trial},
};
use serde_json::Value;

use super::{
    ranking::{best, front},
    study_file::StudyFile,
};
use crate::{
    Result,
    config::AnyConfiguration,
    provenance,
    report::{
        figure::{Axis, Figure, Panel, Role, Series},
        html::Heading,
        section::{Fact, Part, Section},
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
    // What a given-up trial was last worth is its validation error, whatever the study makes small.
    let comparable = |t: &&Trial| {
        t.state == State::Complete
            || t.state == State::Pruned && file.study.objectives[0] == "validation"
    };
    let done: Vec<&Trial> = trials
        .iter()
        .filter(comparable)
        .filter(|t| t.value.is_some())
        .collect();
    let heading = Heading {
        title: format!("The study '{}'", file.study.name),
        subtitle: format!(
            "What is made small: {}. Test sets were not looked at.",
            file.study.objectives.join(", ")
        ),
        footer: vec![
            format!(
                "Made by ionoscope {} on {}.",
                provenance::version(),
                provenance::machine()
            ),
            format!("Command: `{}`", provenance::command()),
        ],
    };
    let shown = Shown::of(file);
    let mut sections = vec![
        summary(trials, shown),
        history(&done, shown),
        values(file, &done, shown),
        importance(file, &done),
        table(file, &done, shown),
    ];
    sections.insert(2, parallel(file, &done));
    if file.study.objectives.len() > 1 {
        sections.insert(1, against_one_another(file, trials));
    }
    store::save(dir, &heading, &sections)?;
    store::draw(dir)
}

fn value(t: &Trial) -> f64 {
    t.value.unwrap_or(f64::NAN)
}

/// How the first objective is shown: what is relative in per cent.
#[derive(Clone, Copy)]
struct Shown<'a> {
    label: &'a str,
    unit: &'static str,
    factor: f64,
}

impl<'a> Shown<'a> {
    fn of(file: &'a StudyFile) -> Self {
        let name = file.study.objectives[0].as_str();
        let operator = matches!(file.configuration(&[]), Ok(AnyConfiguration::Operator(_)));
        let relative = ["normalized", "wrong_spikes", "apd90"].contains(&name)
            || name.starts_with("l2.")
            || (operator && name == "validation");
        let (unit, factor) = if relative { ("%", 100.0) } else { ("", 1.0) };
        Shown {
            label: if name == "validation" { "error" } else { name },
            unit,
            factor,
        }
    }

    fn value(self, t: &Trial) -> f64 {
        self.factor * value(t)
    }

    fn axis(self, done: &[&Trial]) -> Axis {
        let axis = Axis::new(self.label, self.unit);
        if done.iter().all(|t| value(t) > 0.0) {
            axis.log()
        } else {
            axis
        }
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or(String::new(), |c| c.to_uppercase().chain(chars).collect())
}

/// The last part of a key.
fn short(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

fn summary(trials: &[Trial], shown: Shown) -> Section {
    let count = |state: State| trials.iter().filter(|t| t.state == state).count();
    let mut facts = Vec::new();
    if let Some(t) = best(trials) {
        facts.push(Fact {
            value: format!(
                "{} {}",
                number(shown.value(t), Format::Significant(3)),
                shown.unit
            )
            .trim_end()
            .to_owned(),
            text: format!(
                "smallest {}, of trial {}; its configuration is best.toml",
                shown.label, t.number
            ),
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
    Section::new("summary", "In short")
        .with(Part::Facts(facts))
        .with(Part::Command(provenance::command()))
}

fn history(done: &[&Trial], shown: Shown) -> Section {
    let of = |state: State| -> (Vec<f64>, Vec<f64>) {
        done.iter()
            .filter(|t| t.state == state)
            .map(|t| (t.number as f64, shown.value(t)))
            .unzip()
    };
    let (x, y) = of(State::Complete);
    let (given_up_x, given_up_y) = of(State::Pruned);
    let mut smallest = f64::INFINITY;
    let falling = y.iter().map(|v| {
        smallest = smallest.min(*v);
        smallest
    });
    let panel = Panel::new("", Axis::new("trial", ""), shown.axis(done))
        .with_height(200.0)
        .with(Series::points(
            "given up early, at its last step",
            Role::Guide,
            given_up_x,
            given_up_y,
        ))
        .with(Series::steps(
            "smallest so far",
            Role::Network,
            x.clone(),
            falling.collect(),
        ))
        .with(Series::points("complete", Role::Equations, x, y));
    Section::new("history", "How it went").with(Part::Figure(
        Figure::new(
            "history",
            "The trials",
            "In the order in which they were begun.",
        )
        .with(panel),
    ))
}

/// Where a value lies on its axis: a number as it is, a choice by its place from 1 on.
fn place(domain: &Domain, v: &Value) -> Option<f64> {
    let inner = domain.inner(v)?;
    Some(if matches!(domain, Domain::Choice { .. }) {
        inner + 1.0
    } else {
        inner
    })
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

/// Two objectives at a time, and the front.
fn against_one_another(file: &StudyFile, trials: &[Trial]) -> Section {
    let names = &file.study.objectives;
    let best = front(trials);
    let done: Vec<&Trial> = trials
        .iter()
        .filter(|t| t.state == State::Complete)
        .collect();
    let axis = |k: usize, of: &[&Trial]| {
        let positive = of.iter().all(|t| t.objectives()[k] > 0.0);
        let axis = Axis::new(&names[k], "");
        if positive { axis.log() } else { axis }
    };
    let mut figure = Figure::new(
        "front",
        "Objectives against one another",
        "On the front, no other trial is better in everything.",
    )
    .with_columns(2);
    for k in 1..names.len() {
        let of = |trials: &[&Trial]| {
            trials
                .iter()
                .map(|t| (t.objectives()[k], t.objectives()[0]))
                .unzip::<f64, f64, Vec<_>, Vec<_>>()
        };
        let ((x, y), (front_x, front_y)) = (of(&done), of(&best));
        let name = |text: &str| {
            if k == 1 {
                text.to_owned()
            } else {
                String::new()
            }
        };
        let panel = Panel::new("", axis(k, &done), axis(0, &done))
            .with_height(220.0)
            .with(Series::points(&name("trials"), Role::Guide, x, y))
            .with(Series::points(
                &name("on the front"),
                Role::Network,
                front_x,
                front_y,
            ));
        figure = figure.with(panel);
    }
    let mut columns = vec![Column::number("trial", "", Format::Shortest)];
    columns.extend(
        names
            .iter()
            .map(|n| Column::number(n, "", Format::Significant(3))),
    );
    let mut table = Table::new(
        "front",
        "The trials on the front; their configurations are front/NNNN.toml.",
        columns,
    );
    for t in best {
        table.push(
            [t.number.into()]
                .into_iter()
                .chain(t.objectives().into_iter().map(Cell::from))
                .collect(),
        );
    }
    Section::new("front", "The front")
        .with(Part::Figure(figure))
        .with(Part::Table(table))
}

/// All parameters of each trial side by side.
fn parallel(file: &StudyFile, done: &[&Trial]) -> Section {
    let space = &file.study.space.0;
    let mut order: Vec<&&Trial> = done.iter().filter(|t| t.state == State::Complete).collect();
    order.sort_by(|a, b| value(a).total_cmp(&value(b)));
    let best = order.len().div_ceil(10);
    // Every axis runs from its lowest value at 0 to its highest at 1, on its own scale.
    let share = |domain: &Domain, v: &Value| -> Option<f64> {
        let ends: Vec<f64> = domain
            .ends()
            .iter()
            .filter_map(|e| place(domain, e))
            .collect();
        let log = matches!(domain, Domain::Log { .. } | Domain::LogInteger { .. });
        let scale = |v: f64| if log { v.ln() } else { v };
        let (low, high) = (scale(*ends.first()?), scale(*ends.last()?));
        Some(if high > low {
            (scale(place(domain, v)?) - low) / (high - low)
        } else {
            0.5
        })
    };
    let line = |t: &Trial| -> (Vec<f64>, Vec<f64>) {
        let at = |(k, (key, parameter)): (usize, (&String, &ionoscope_learn::tune::Parameter))| {
            Some((
                k as f64 + 1.0,
                share(&parameter.domain, t.values.get(key)?)?,
            ))
        };
        space.iter().enumerate().filter_map(at).unzip()
    };
    let text = |v: &Value| {
        v.as_str().map_or_else(
            || {
                v.as_f64()
                    .map_or(v.to_string(), |x| number(x, Format::Significant(2)))
            },
            str::to_owned,
        )
    };
    let name = |(key, parameter): (&String, &ionoscope_learn::tune::Parameter)| {
        let ends = parameter.domain.ends();
        let ends = ends
            .first()
            .zip(ends.last())
            .map_or(String::new(), |(a, b)| {
                format!("{} to {}", text(a), text(b))
            });
        format!("{} {ends}", short(key))
    };
    let names = space.keys().map(|k| short(k).to_owned()).collect();
    let mut panel = Panel::new(
        "",
        Axis::new("", "").with_names(names),
        Axis::new("lowest to highest", ""),
    )
    .with_height(260.0);
    // The best are drawn last, on top.
    for (k, t) in order.iter().enumerate().rev() {
        let (role, label) = if k < best {
            (Role::Network, "the best tenth")
        } else {
            (Role::Guide, "the others")
        };
        let first = k == order.len() - 1 && k >= best || k == best - 1;
        let (x, y) = line(t);
        panel = panel.with(Series::line(if first { label } else { "" }, role, x, y));
    }
    let ranges = space.iter().map(name).collect::<Vec<_>>().join(", ");
    let figure = Figure::new(
        "parallel",
        "Values of the complete trials",
        &format!("A line is a trial; upwards {ranges}."),
    );
    Section::new("parallel", "Which values went together").with(Part::Figure(figure.with(panel)))
}

/// The error over each parameter.
fn values(file: &StudyFile, done: &[&Trial], shown: Shown) -> Section {
    let mut figure = Figure::new(
        "parameters",
        &format!("{} over the parameters", capital(shown.label)),
        "Pale: given up early.",
    )
    .with_columns(3);
    for (k, (key, parameter)) in file.study.space.0.iter().enumerate() {
        let of = |state: State| -> (Vec<f64>, Vec<f64>) {
            let there = done.iter().filter(|t| t.state == state);
            there
                .filter_map(|t| {
                    Some((
                        place(&parameter.domain, t.values.get(key)?)?,
                        shown.value(t),
                    ))
                })
                .unzip()
        };
        let ((x, y), (given_up_x, given_up_y)) = (of(State::Complete), of(State::Pruned));
        let name = |text: &str| {
            if k == 0 {
                text.to_owned()
            } else {
                String::new()
            }
        };
        let panel = Panel::new("", axis(key, &parameter.domain), shown.axis(done))
            .with(Series::points(
                &name("given up early"),
                Role::Guide,
                given_up_x,
                given_up_y,
            ))
            .with(Series::points(&name("complete"), Role::Equations, x, y));
        figure = figure.with(panel);
    }
    Section::new("parameters", "What the parameters did").with(Part::Figure(figure))
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
        groups
            .entry(if choices {
                *x as i64
            } else {
                (k * GROUPS / n) as i64
            })
            .or_default()
            .push(*y);
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let all: Vec<f64> = places.iter().map(|p| p.1).collect();
    let whole: f64 = all.iter().map(|y| (y - mean(&all)).powi(2)).sum();
    let between: f64 = groups
        .values()
        .map(|g| g.len() as f64 * (mean(g) - mean(&all)).powi(2))
        .sum();
    (whole > 0.0).then(|| between / whole)
}

fn importance(file: &StudyFile, done: &[&Trial]) -> Section {
    let mut rows: Vec<(&String, Option<f64>)> = Vec::new();
    for (key, parameter) in &file.study.space.0 {
        let places: Vec<(f64, f64)> = done
            .iter()
            .filter_map(|t| Some((place(&parameter.domain, t.values.get(key)?)?, value(t).ln())))
            .filter(|p| p.1.is_finite())
            .collect();
        rows.push((
            key,
            share(&places, matches!(parameter.domain, Domain::Choice { .. })),
        ));
    }
    rows.sort_by(|a, b| b.1.unwrap_or(-1.0).total_cmp(&a.1.unwrap_or(-1.0)));
    let mut table = Table::new(
        "importance",
        "Share of the variance of the logarithm of the error between the groups of a parameter's values: its choices, or four groups of equal size.",
        vec![
            Column::text("parameter"),
            Column::number("share", "%", Format::Significant(2)),
        ],
    );
    for (key, share) in rows {
        table.push(vec![key.as_str().into(), share.map(|s| 100.0 * s).into()]);
    }
    Section::new("importance", "Which of them mattered")
        .text("Each parameter by itself, over trials that were not drawn evenly: a hint, no more.")
        .with(Part::Table(table))
}

fn table(file: &StudyFile, done: &[&Trial], shown: Shown) -> Section {
    let keys: Vec<&String> = file.study.space.0.keys().collect();
    let solved = file.budget.as_ref().and_then(|b| b.solve.as_ref());
    let mut columns = vec![
        Column::number("trial", "", Format::Shortest),
        Column::number(shown.label, shown.unit, Format::Significant(3)),
    ];
    // Whole numbers are shown whole.
    let format = |key: &String| match file.study.space.0.get(key).map(|p| &p.domain) {
        Some(Domain::Real { .. } | Domain::Log { .. }) => Format::Significant(3),
        _ => Format::Shortest,
    };
    columns.extend(
        keys.iter()
            .copied()
            .chain(solved)
            .map(|k| Column::number(short(k), "", format(k))),
    );
    let mut order: Vec<&&Trial> = done.iter().filter(|t| t.state == State::Complete).collect();
    order.sort_by(|a, b| value(a).total_cmp(&value(b)));
    let mut table = Table::new("best", "The best complete trials.", columns);
    for t in order.into_iter().take(SHOWN) {
        let fitted = t.fitted();
        let cell = |v: Option<&Value>| -> Cell {
            match v {
                Some(Value::Number(n)) => n.as_f64().into(),
                Some(Value::String(s)) => s.as_str().into(),
                Some(v) => v.to_string().into(),
                None => Cell::Empty(()),
            }
        };
        let mut row: Vec<Cell> = vec![t.number.into(), shown.value(t).into()];
        row.extend(keys.iter().map(|k| cell(t.values.get(*k))));
        row.extend(solved.map(|k| cell(fitted.get(k))));
        table.push(row);
    }
    Section::new("best", "The best trials").with(Part::Table(table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_has_all_of_the_variance_and_what_does_not_none() {
        let decides: Vec<(f64, f64)> = (0..16)
            .map(|k| (f64::from(k % 2), f64::from(k % 2)))
            .collect();
        assert!((share(&decides, true).unwrap() - 1.0).abs() < 1e-12);
        let idle: Vec<(f64, f64)> = (0..16)
            .map(|k| (f64::from(k / 4), f64::from(k % 4)))
            .collect();
        assert!(share(&idle, false).unwrap() < 1e-12);
        assert_eq!(share(&idle[..5], false), None);
    }
}
