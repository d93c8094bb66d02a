//! `ionoscope evaluate`: how far a Fourier neural operator is from the responses of a dataset.

use std::path::PathBuf;

use ionoscope_learn::{
    architectures::{fno::Fno, neural_map::NeuralMap},
    responses::ResponseData,
};
use serde_json::{Value, json};

use super::{Shared, print, print_json, table};
use crate::{Error, Result, evaluation};

/// Measures a Fourier neural operator, or a map that takes a stimulus, on a dataset: normalised and physical errors, spikes, by variable and class of stimulus
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  ionoscope evaluate out/fhn/surrogate.safetensors out/fhn/responses.safetensors\n  \
                        ionoscope evaluate out/fhn/surrogate.safetensors out/fhn/responses.safetensors --set validation --json")]
pub struct Arguments {
    /// The surrogate
    #[arg(value_name = "SURROGATE")]
    surrogate: PathBuf,
    /// The dataset of responses
    #[arg(value_name = "DATASET")]
    dataset: PathBuf,
    /// Which of its sets
    #[arg(long, value_enum, default_value_t = Set::Test)]
    set: Set,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
enum Set {
    /// What the network was trained on
    Training,
    /// What it was chosen by
    Validation,
    /// What it has not seen
    Test,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        let data = ResponseData::load(&self.dataset)?;
        let (set, classes) = match self.set {
            Set::Training => (&data.training, &data.classes[0]),
            Set::Validation => (&data.validation, &data.classes[0]),
            Set::Test => (&data.test, &data.classes[1]),
        };
        let named = |e: Error| Error::Input(format!("{} and {}: {e}", self.surrogate.display(), self.dataset.display()));
        if set.is_empty() {
            return Err(Error::Input(format!("{} has no samples in that set", self.dataset.display())));
        }
        let (evaluation, weights) = if Fno::is_one(&self.surrogate) {
            let fno = Fno::load(&self.surrogate)?;
            evaluation::check(&fno, &data).map_err(named)?;
            (evaluation::evaluate(&fno, &data, set)?, fno.weights.len())
        } else {
            let map = NeuralMap::load(&self.surrogate)?;
            (evaluation::evaluate_map(&map, &data, set).map_err(named)?, map.weight_count())
        };
        let mut document = evaluation.document(&data.spec, classes);
        let about = json!({
            "surrogate": self.surrogate,
            "dataset": self.dataset,
            "set": self.set,
            "model": data.spec.id,
            "weights": weights,
            "version": env!("CARGO_PKG_VERSION"),
        });
        if let (Some(document), Value::Object(about)) = (document.as_object_mut(), about) {
            document.extend(about);
        }
        if shared.json { print_json(&document) } else { show(&document) }
    }
}

fn show(document: &Value) -> Result<()> {
    let percent = |v: &Value| v.as_f64().map_or(String::new(), |v| format!("{:.3}", 100.0 * v));
    let of = |v: &Value| ["mean", "median", "p95", "worst"].map(|k| percent(&v[k]));
    let head = |first: &str| [first, "metric", "mean (%)", "median (%)", "95 % (%)", "worst (%)"].map(str::to_owned).to_vec();
    let mut rows = vec![head("variable")];
    let name = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    rows.push([vec!["all".into(), "normalised".into()], of(&document["normalised"]).to_vec()].concat());
    for q in document["variables"].as_array().into_iter().flatten() {
        for metric in ["normalised", "l2", "l1", "h1"] {
            rows.push([vec![name(&q["name"]), metric.into()], of(&q[metric]).to_vec()].concat());
        }
    }
    let mut classes = vec![head("class")];
    for c in document["classes"].as_array().into_iter().flatten() {
        let label = format!("{} ({})", name(&c["name"]), c["samples"]);
        classes.push([vec![label, "normalised".into()], of(&c["normalised"]).to_vec()].concat());
    }
    let s = &document["spikes"];
    let unit = |of: &str| document["units"][of].as_str().filter(|u| *u != "1").unwrap_or("(no unit)").to_owned();
    print(|w| {
        table::write(w, &rows)?;
        writeln!(w)?;
        table::write(w, &classes)?;
        if s.is_object() {
            writeln!(
                w,
                "\nspikes: {} expected, {} missed, {} extra; {} of {} samples with a wrong number; mean time error {} {}",
                s["expected"],
                s["missed"],
                s["extra"],
                s["samples_with_a_wrong_number"],
                s["samples"],
                s["time_error"]["mean"].as_f64().map_or("-".into(), table::short),
                unit("time_error")
            )?;
        }
        let band = &document["band"];
        if band.is_object() {
            writeln!(w, "band for {} % of the values: {} % lie within", percent(&band["level"]), percent(&band["within"]))?;
        }
        let apd = &document["apd90"];
        if apd.is_object() {
            writeln!(
                w,
                "duration to 90 % repolarisation of the first action potential: {} samples, mean error {} {} ({} %)",
                apd["samples"],
                apd["error"]["mean"].as_f64().map_or("-".into(), table::short),
                unit("apd90"),
                percent(&apd["relative_error"]["mean"])
            )?;
        }
        writeln!(
            w,
            "L2, L1 and H1 are relative, in physical units, over the {} samples with a stimulus.",
            document["samples"].as_u64().unwrap_or(0) - document["without_stimulus"].as_u64().unwrap_or(0)
        )
    })
}
