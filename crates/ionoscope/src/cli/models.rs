//! `ionoscope models`: what there is, and what one model says of itself.

use std::path::Path;

use ionoscope_dynamics::{
    models,
    spec::{Preset, Quantity, Spec},
    system::{DynamicalSystem, Time},
};
use ionoscope_learn::architectures::{fno::Fno, neural_map::NeuralMap};
use serde_json::json;

use super::{Shared, print, print_json};
use crate::{
    Result, artifact,
    text::{short, write_cells},
};

/// Lists the models, or shows variables, parameters, units and citation of one
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Identifier of a model, or path to a surrogate (.safetensors)
    #[arg(value_name = "ID")]
    id: Option<String>,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        match &self.id {
            None => list(shared),
            Some(id) if Path::new(id).is_file() && Fno::is_one(Path::new(id)) => {
                operator(&Fno::load(Path::new(id))?, shared)
            }
            Some(id) => {
                let system = artifact::open_system(id)?;
                if !shared.json {
                    return show(&*system);
                }
                let mut document = document(&*system);
                if system.spec().trained_on.is_some() {
                    document["provenance"] = NeuralMap::load(Path::new(id))?.provenance().clone();
                }
                print_json(&document)
            }
        }
    }
}

fn list(shared: &Shared) -> Result<()> {
    let all = models::all();
    if shared.json {
        let all: Vec<_> = all.iter().map(|m| document(&**m)).collect();
        return print_json(&json!({ "models": all }));
    }
    let rows: Vec<_> = all
        .iter()
        .map(|m| vec![m.spec().id.clone(), m.spec().title.clone()])
        .collect();
    print(|w| write_cells(w, &rows))
}

/// What a Fourier neural operator says of itself.
fn operator(fno: &Fno, shared: &Shared) -> Result<()> {
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
    if shared.json {
        let mut document = json!(spec);
        document["kind"] = json!("operator");
        let more = json!({
            "t_end": t_end, "points": points, "dt": fno.dt(), "network": config, "weights": weights.len(), "seen": seen,
            "takes_start": fno.takes_start(), "band": bands.as_ref().map(|b| b.level), "provenance": provenance,
        });
        if let (Some(all), serde_json::Value::Object(more)) = (document.as_object_mut(), more) {
            all.extend(more);
        }
        return print_json(&document);
    }
    let unit = |unit: &str| {
        if unit == "1" {
            String::new()
        } else {
            format!(" {unit}")
        }
    };
    let (time, current) = (unit(&spec.time_unit), unit(&spec.stimulus_unit));
    let range = |[low, high]: [f64; 2]| format!("{} to {}", short(low), short(high));
    print(|w| {
        writeln!(
            w,
            "a Fourier neural operator of {}: {}",
            spec.id, spec.title
        )?;
        writeln!(
            w,
            "{} weights; {points} times up to {t_end}{time}, {:.6}{time} apart",
            weights.len(),
            fno.dt()
        )?;
        if fno.takes_start() {
            writeln!(
                w,
                "advances window by window from any start within those of its training"
            )?;
        } else {
            writeln!(w, "knows one start: {}", named_defaults(spec))?;
        }
        writeln!(
            w,
            "trained on currents of {}{current}, as means from each time to the next",
            range(seen.input)
        )?;
        for s in &seen.steps {
            if s.amplitude == [0.0; 2] {
                writeln!(w, "  no current")?;
                continue;
            }
            // The ends of a class are estimated, beyond its samples; no current beyond those of the training is taken.
            let amplitude = s.amplitude.map(|v| v.max(seen.input[0]).min(seen.input[1]));
            writeln!(
                w,
                "  a step from t = 0 of {}{current} for {}{time}",
                range(amplitude),
                range(s.duration)
            )?;
        }
        for (name, r) in &seen.parameters {
            writeln!(w, "  {name} of {}", range(*r))?;
        }
        match bands {
            Some(bands) => writeln!(
                w,
                "with a band for {} % of the values (simulate --bands)",
                100.0 * bands.level
            )?,
            None => writeln!(w, "without a band")?,
        }
        match provenance["validation"].as_f64() {
            Some(error) => writeln!(
                w,
                "normalised error on its validation set {:.3} %",
                100.0 * error
            ),
            None => Ok(()),
        }
    })
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

fn document(system: &dyn DynamicalSystem) -> serde_json::Value {
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

fn show(system: &dyn DynamicalSystem) -> Result<()> {
    let (spec, time) = (system.spec(), system.time());
    print(|w| {
        writeln!(w, "{}: {}", spec.id, spec.title)?;
        writeln!(w, "{}", spec.citation)?;
        match time {
            Time::Continuous if spec.time_unit == "1" => {
                writeln!(w, "time and stimulus without a unit")?
            }
            Time::Continuous => writeln!(
                w,
                "time in {}, stimulus in {}",
                spec.time_unit, spec.stimulus_unit
            )?,
            Time::Discrete { dt } if spec.time_unit == "1" => {
                writeln!(w, "a map with a step of {dt}")?
            }
            Time::Discrete { dt } => writeln!(w, "a map with a step of {dt} {}", spec.time_unit)?,
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
                writeln!(w, "\nno {title}")?;
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
            writeln!(w)?;
            write_cells(w, &rows)?;
        }
        if let Some(threshold) = spec.spike_threshold {
            let (v, unit) = spiking(spec);
            writeln!(
                w,
                "\na spike is an upward crossing of {v} = {threshold}{unit}"
            )?;
        }
        for q in system.conserved() {
            writeln!(
                w,
                "\nconserved under every stimulus and for all parameters: {} ({}), {}",
                q.name, q.unit, q.description
            )?;
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
            writeln!(w)?;
            write_cells(w, &rows)?;
        }
        if let Some(trained) = trained {
            let fixed: Vec<_> = trained
                .fixed
                .iter()
                .map(|(n, v)| format!("{n}={v}"))
                .collect();
            writeln!(
                w,
                "\ntrained on data of {} with {}",
                trained.model,
                if fixed.is_empty() {
                    "nothing fixed".into()
                } else {
                    fixed.join(", ")
                }
            )?;
            match trained.stimulus {
                Some([low, high]) => {
                    let unit = if spec.stimulus_unit == "1" {
                        String::new()
                    } else {
                        format!(" {}", spec.stimulus_unit)
                    };
                    let (low, high) = (short(low), short(high));
                    writeln!(
                        w,
                        "under stimuli of {low} to {high}{unit}, as means over a step; it takes any --stimulus and --protocol"
                    )?;
                }
                None => writeln!(w, "without a stimulus, and takes none")?,
            }
        }
        Ok(())
    })
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
