//! What there is, and what one model says of itself.

use std::path::Path;

use ionoscope_dynamics::{
    models,
    spec::{Preset, Quantity, Spec, TrainingRange},
    system::{DynamicalSystem, Time},
    watch::Watcher,
};
use ionoscope_learn::architectures::{fno::Fno, neural_map::NeuralMap};
use serde::Deserialize;
use serde_json::{Value, json};

use super::question::Task;
use crate::{
    Result,
    answer::{Answer, Text},
    artifact,
    report::table::{Cell, Column, Format, Table},
    text::short,
};

/// Lists the models, or shows variables, parameters, units and citation of one
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[serde(default, deny_unknown_fields)]
pub struct Models {
    /// Identifier of a model, or path to a surrogate (.safetensors)
    #[cfg_attr(feature = "clap", arg(value_name = "ID"))]
    pub id: Option<String>,
}

impl Task for Models {
    fn run(&self, watch: &Watcher) -> Result<Answer> {
        watch.check()?;
        let Some(id) = &self.id else {
            return Ok(list());
        };
        let path = Path::new(id);
        if path.is_file() && Fno::is_one(path) {
            return Ok(operator(&Fno::load(path)?));
        }
        let system = artifact::open_system(id)?;
        let mut document = document(&*system);
        if system.spec().trained_on.is_some() {
            document["provenance"] = NeuralMap::load(path)?.provenance().clone();
        }
        let mut answer = Answer::new(document);
        write(&mut answer, &*system);
        answer.tables.push(quantities(system.spec()));
        Ok(answer)
    }
}

fn list() -> Answer {
    let all = models::all();
    let documents: Vec<_> = all.iter().map(|m| document(&**m)).collect();
    let mut answer = Answer::new(json!({ "models": documents }));
    let columns = ["id", "title"].map(Column::text).to_vec();
    let mut table = Table::new("models", "The models.", columns);
    let mut rows = Vec::new();
    for spec in all.iter().map(|m| m.spec()) {
        rows.push(vec![spec.id.clone(), spec.title.clone()]);
        table.push(vec![spec.id.as_str().into(), spec.title.as_str().into()]);
    }
    answer.text.push(Text::Cells(rows));
    answer.tables.push(table);
    answer
}

/// Variables and parameters, with their defaults and ranges.
fn quantities(spec: &Spec) -> Table {
    let mut columns = ["kind", "name", "unit"].map(Column::text).to_vec();
    columns
        .extend(["default", "lowest", "largest"].map(|c| Column::number(c, "", Format::Shortest)));
    columns.push(Column::text("description"));
    let mut table = Table::new(
        "quantities",
        "Variables and parameters, their defaults and ranges.",
        columns,
    );
    for (kind, list) in [
        ("variable", &spec.variables),
        ("parameter", &spec.parameters),
    ] {
        for q in list {
            let words = [kind, &q.name, &q.unit].map(Cell::from);
            let numbers = [q.default, q.range[0], q.range[1]].map(Cell::from);
            let mut row = [words, numbers].concat();
            row.push(q.description.as_str().into());
            table.push(row);
        }
    }
    table
}

/// What a Fourier neural operator says of itself.
fn operator(fno: &Fno) -> Answer {
    let Fno {
        spec,
        config,
        t_end,
        points,
        seen,
        bands,
        weights,
        provenance,
        ..
    } = fno;
    let mut document = json!(spec);
    document["kind"] = json!("operator");
    let more = json!({
        "t_end": t_end, "points": points, "dt": fno.dt(), "network": config, "weights": weights.len(), "seen": seen,
        "takes_start": fno.takes_start(), "band": bands.as_ref().map(|b| b.level), "provenance": provenance,
    });
    if let (Some(all), Value::Object(more)) = (document.as_object_mut(), more) {
        all.extend(more);
    }
    let mut answer = Answer::new(document);
    write_operator(&mut answer, fno);
    answer
}

fn write_operator(answer: &mut Answer, fno: &Fno) {
    let Fno {
        spec,
        t_end,
        points,
        seen,
        bands,
        weights,
        provenance,
        ..
    } = fno;
    let unit = |unit: &str| {
        if unit == "1" {
            String::new()
        } else {
            format!(" {unit}")
        }
    };
    let (time, current) = (unit(&spec.time_unit), unit(&spec.stimulus_unit));
    let range = |[low, high]: [f64; 2]| format!("{} to {}", short(low), short(high));
    answer.line(format!(
        "a Fourier neural operator of {}: {}",
        spec.id, spec.title
    ));
    answer.line(format!(
        "{} weights; {points} times up to {t_end}{time}, {:.6}{time} apart",
        weights.len(),
        fno.dt()
    ));
    if fno.takes_start() {
        answer.line("advances window by window from any start within those of its training");
    } else {
        answer.line(format!("knows one start: {}", named_defaults(spec)));
    }
    answer.line(format!(
        "trained on currents of {}{current}, as means from each time to the next",
        range(seen.input)
    ));
    for s in &seen.steps {
        if s.amplitude == [0.0; 2] {
            answer.line("  no current");
            continue;
        }
        // The ends of a class are estimated, beyond its samples; no current beyond those of the training is taken.
        let amplitude = s.amplitude.map(|v| v.max(seen.input[0]).min(seen.input[1]));
        answer.line(format!(
            "  a step from t = 0 of {}{current} for {}{time}",
            range(amplitude),
            range(s.duration)
        ));
    }
    for (name, r) in &seen.parameters {
        answer.line(format!("  {name} of {}", range(*r)));
    }
    match bands {
        Some(bands) => answer.line(format!(
            "with a band for {} % of the values (simulate --bands)",
            100.0 * bands.level
        )),
        None => answer.line("without a band"),
    }
    if let Some(error) = provenance["validation"].as_f64() {
        answer.line(format!(
            "normalized error on its validation set {:.3} %",
            100.0 * error
        ));
    }
}

/// The first few starting values.
fn named_defaults(spec: &Spec) -> String {
    let all: Vec<_> = spec
        .variables
        .iter()
        .map(|q| format!("{} = {}", q.name, q.default))
        .collect();
    if all.len() > 6 {
        format!("{}, ..", all[..6].join(", "))
    } else {
        all.join(", ")
    }
}

fn document(system: &dyn DynamicalSystem) -> Value {
    let step = match system.time() {
        Time::Continuous => None,
        Time::Discrete { dt } => Some(dt),
    };
    let mut document = json!(system.spec());
    document["kind"] = json!(if step.is_some() { "map" } else { "flow" });
    document["dt"] = json!(step);
    document["conserved"] = json!(system.conserved());
    document
}

fn write(answer: &mut Answer, system: &dyn DynamicalSystem) {
    let (spec, time) = (system.spec(), system.time());
    answer.line(format!("{}: {}", spec.id, spec.title));
    answer.line(&spec.citation);
    match time {
        Time::Continuous if spec.time_unit == "1" => {
            answer.line("time and stimulus without a unit")
        }
        Time::Continuous => answer.line(format!(
            "time in {}, stimulus in {}",
            spec.time_unit, spec.stimulus_unit
        )),
        Time::Discrete { dt } if spec.time_unit == "1" => {
            answer.line(format!("a map with a step of {dt}"))
        }
        Time::Discrete { dt } => {
            answer.line(format!("a map with a step of {dt} {}", spec.time_unit))
        }
    }
    let trained = spec.trained_on.as_ref();
    for (title, list, ranges) in [
        ("variables", &spec.variables, trained.map(|t| &t.state)),
        (
            "parameters",
            &spec.parameters,
            trained.map(|t| &t.parameters),
        ),
    ] {
        if list.is_empty() {
            answer.line("");
            answer.line(format!("no {title}"));
            continue;
        }
        let header = if ranges.is_some() {
            "trained on"
        } else {
            "range"
        };
        let mut rows = vec![
            [title, "default", "unit", header, ""]
                .map(String::from)
                .to_vec(),
        ];
        rows.extend(
            list.iter()
                .enumerate()
                .map(|(k, q)| row(q, ranges.and_then(|r| r.get(k)).unwrap_or(&q.range))),
        );
        answer.line("");
        answer.text.push(Text::Cells(rows));
    }
    if let Some(threshold) = spec.spike_threshold {
        let (v, unit) = spiking(spec);
        answer.line("");
        answer.line(format!(
            "a spike is an upward crossing of {v} = {threshold}{unit}"
        ));
    }
    for q in system.conserved() {
        answer.line("");
        answer.line(format!(
            "conserved under every stimulus and for all parameters: {} ({}), {}",
            q.name, q.unit, q.description
        ));
    }
    if !spec.presets.is_empty() {
        let mut rows = vec![["presets", "", ""].map(String::from).to_vec()];
        rows.extend(spec.presets.iter().map(|preset| {
            vec![
                format!("  {}", preset.name),
                changes(preset),
                preset.description.clone(),
            ]
        }));
        answer.line("");
        answer.text.push(Text::Cells(rows));
    }
    if let Some(trained) = trained {
        write_training(answer, spec, trained);
    }
}

/// On what a surrogate was trained.
fn write_training(answer: &mut Answer, spec: &Spec, trained: &TrainingRange) {
    let fixed: Vec<_> = trained
        .fixed
        .iter()
        .map(|(n, v)| format!("{n}={v}"))
        .collect();
    answer.line("");
    answer.line(format!(
        "trained on data of {} with {}",
        trained.model,
        if fixed.is_empty() {
            "nothing fixed".into()
        } else {
            fixed.join(", ")
        }
    ));
    match trained.stimulus {
        Some([low, high]) => {
            let unit = if spec.stimulus_unit == "1" {
                String::new()
            } else {
                format!(" {}", spec.stimulus_unit)
            };
            let (low, high) = (short(low), short(high));
            answer.line(format!("under stimuli of {low} to {high}{unit}, as means over a step; it takes any --stimulus and --protocol"));
        }
        None => answer.line("without a stimulus, and takes none"),
    }
}

/// Name and unit of the variable in which spikes are counted.
fn spiking(spec: &Spec) -> (&str, String) {
    let name = spec.membrane_potential.as_deref().unwrap_or("v");
    let unit = spec
        .variables
        .iter()
        .find(|q| q.name == name)
        .map_or("1", |q| &q.unit);
    (
        name,
        if unit == "1" {
            String::new()
        } else {
            format!(" {unit}")
        },
    )
}

/// What a preset changes, as on the command line; long lists are counted.
fn changes(preset: &Preset) -> String {
    let listed = |list: &[(String, f64)], what: &str| match list {
        [] => None,
        [(n, v), rest @ ..] if rest.len() < 4 => Some(
            rest.iter()
                .fold(format!("{n}={v}"), |text, (n, v)| format!("{text} {n}={v}")),
        ),
        many => Some(format!("{} {what}", many.len())),
    };
    let threshold = preset
        .spike_threshold
        .map(|v| format!("spike threshold {v}"));
    [
        listed(&preset.parameters, "parameters"),
        listed(&preset.x0, "starts"),
        threshold,
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join(", ")
}

fn row(q: &Quantity, range: &[f64; 2]) -> Vec<String> {
    vec![
        format!("  {}", q.name),
        q.default.to_string(),
        q.unit.clone(),
        format!("[{}, {}]", range[0], range[1]),
        q.description.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::questions;

    #[test]
    fn all_models_one_a_map_and_an_operator() {
        let shown = |options: Value| questions::run("models", options, &Watcher::default());
        let all = shown(json!({})).unwrap();
        let listed = all.document["models"].as_array().unwrap().len();
        assert_eq!(listed, all.tables[0].rows.len());
        let one = shown(json!({"id": "fitzhugh-nagumo-1961"})).unwrap();
        assert_eq!(one.document["kind"], "flow");
        assert_eq!(one.tables[0].rows[0][1], "v".into());
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../pretrained");
        let map = shown(json!({"id": format!("{folder}/fhn-map.safetensors")})).unwrap();
        assert_eq!(map.document["kind"], "map");
        assert!(map.document["provenance"].is_object());
        let operator = shown(json!({"id": format!("{folder}/fhn-fno.safetensors")})).unwrap();
        assert_eq!(operator.document["kind"], "operator");
        assert!(shown(json!({"id": "shermann"})).unwrap_err().is_input());
    }
}
