//! `ionoscope evaluate`: how far a Fourier neural operator is from the responses of a dataset.

use std::path::PathBuf;

use ionoscope_learn::{
    architectures::{
        fno::{Bands, Fno},
        neural_map::NeuralMap,
    },
    responses::ResponseData,
    train::operator::BAND,
};
use serde_json::{Value, json};

use super::{Shared, print, print_json};
use crate::{
    Error, Result, artifact, evaluation,
    text::{short, write_cells},
};

/// Measures a Fourier neural operator, or a map that takes a stimulus, on a dataset: normalised and physical errors, spikes, by variable and class of stimulus
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  ionoscope evaluate out/fhn/surrogate.safetensors out/fhn/responses.safetensors\n  \
                        ionoscope evaluate out/fhn/surrogate.safetensors out/fhn/responses.safetensors --set validation --json\n  \
                        ionoscope evaluate pretrained/hh-fno.safetensors mine/responses.safetensors --calibrate mine/hh-fno.safetensors"
)]
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
    /// Write the operator, its 90 % band calibrated anew on that set, to this file: for stimuli of a family of your own
    #[arg(long, value_name = "FILE.safetensors")]
    calibrate: Option<PathBuf>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
enum Set {
    /// The dataset's training set
    Training,
    /// Its validation set, by which networks are chosen
    Validation,
    /// Its test set
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
        let named = |e: Error| {
            Error::Input(format!(
                "{} and {}: {e}",
                self.surrogate.display(),
                self.dataset.display()
            ))
        };
        if set.is_empty() {
            return Err(Error::Input(format!(
                "{} has no samples in that set",
                self.dataset.display()
            )));
        }
        if let Some(path) = &self.calibrate {
            artifact::check_destination(path)?;
            if path.exists() && !Fno::is_one(path) {
                let path = path.display();
                return Err(Error::Input(format!(
                    "--calibrate {path}: there is a file of another kind; choose another name for the operator"
                )));
            }
        }
        let (evaluation, weights) = if Fno::is_one(&self.surrogate) {
            let mut fno = Fno::load(&self.surrogate)?;
            evaluation::check(&fno, &data).map_err(named)?;
            if let Some(path) = &self.calibrate {
                if fno.takes_start() {
                    return Err(Error::Input(
                        "--calibrate: an operator that advances window by window has no band"
                            .into(),
                    ));
                }
                fno.bands = Bands::calibrate(&fno, set, BAND)?;
                let family = if self.set == Set::Test {
                    &data.config.test_family
                } else {
                    &data.config.training_family
                };
                fno.provenance["calibrated_on"] = json!({"family": family, "seed": data.config.seed, "set": self.set, "samples": set.len()});
                fno.save(path)?;
                shared.tell(&format!(
                    "{}: calibrated on {} samples; judge it by others",
                    path.display(),
                    set.len()
                ));
            }
            (evaluation::evaluate(&fno, &data, set)?, fno.weights.len())
        } else {
            if self.calibrate.is_some() {
                return Err(Error::Input(
                    "--calibrate: a map has no band; expected an operator".into(),
                ));
            }
            let map = NeuralMap::load(&self.surrogate)?;
            (
                evaluation::evaluate_map(&map, &data, set).map_err(named)?,
                map.weight_count(),
            )
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
        if shared.json {
            print_json(&document)
        } else {
            show(&document)
        }
    }
}

fn show(document: &Value) -> Result<()> {
    let percent = |v: &Value| {
        v.as_f64()
            .map_or(String::new(), |v| format!("{:.3}", 100.0 * v))
    };
    let of = |v: &Value| ["mean", "median", "p95", "worst"].map(|k| percent(&v[k]));
    let head = |first: &str| {
        [
            first,
            "metric",
            "mean (%)",
            "median (%)",
            "95 % (%)",
            "worst (%)",
        ]
        .map(str::to_owned)
        .to_vec()
    };
    let mut rows = vec![head("variable")];
    let name = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    rows.push(
        [
            vec!["all".into(), "normalised".into()],
            of(&document["normalised"]).to_vec(),
        ]
        .concat(),
    );
    for q in document["variables"].as_array().into_iter().flatten() {
        for metric in ["normalised", "l2", "l1", "h1"] {
            rows.push(
                [
                    vec![name(&q["name"]), metric.into()],
                    of(&q[metric]).to_vec(),
                ]
                .concat(),
            );
        }
    }
    let banded = document["band"].is_object();
    let within = |c: &Value| {
        if banded {
            vec![percent(&c["within_band"])]
        } else {
            Vec::new()
        }
    };
    let mut classes = vec![
        [
            head("class"),
            if banded {
                vec!["in band (%)".into()]
            } else {
                Vec::new()
            },
        ]
        .concat(),
    ];
    for c in document["classes"].as_array().into_iter().flatten() {
        let label = format!("{} ({})", name(&c["name"]), c["samples"]);
        classes.push(
            [
                vec![label, "normalised".into()],
                of(&c["normalised"]).to_vec(),
                within(c),
            ]
            .concat(),
        );
    }
    let s = &document["spikes"];
    let unit = |of: &str| {
        document["units"][of]
            .as_str()
            .filter(|u| *u != "1")
            .unwrap_or("(no unit)")
            .to_owned()
    };
    print(|w| {
        write_cells(w, &rows)?;
        writeln!(w)?;
        write_cells(w, &classes)?;
        if s.is_object() {
            writeln!(
                w,
                "\nspikes: {} expected, {} missed, {} extra; {} of {} samples with a wrong number; mean time error {} {}",
                s["expected"],
                s["missed"],
                s["extra"],
                s["samples_with_a_wrong_number"],
                s["samples"],
                s["time_error"]["mean"].as_f64().map_or("-".into(), short),
                unit("time_error")
            )?;
        }
        let band = &document["band"];
        if band.is_object() {
            writeln!(
                w,
                "band for {} % of the values: {} % lie within",
                percent(&band["level"]),
                percent(&band["within"])
            )?;
        }
        let unlike = &document["unlike_training"];
        if let Some(count) = unlike["samples"].as_u64().filter(|n| *n > 0) {
            let (all, mean) = (&document["samples"], percent(&unlike["normalised"]["mean"]));
            writeln!(
                w,
                "{count} of {all} stimuli are unlike those of the training (`simulate` would refuse them): normalised error {mean} %"
            )?;
        }
        let apd = &document["apd90"];
        if apd.is_object() {
            writeln!(
                w,
                "duration to 90 % repolarisation of the first action potential: {} samples, mean error {} {} ({} %)",
                apd["samples"],
                apd["error"]["mean"].as_f64().map_or("-".into(), short),
                unit("apd90"),
                percent(&apd["relative_error"]["mean"])
            )?;
        }
        writeln!(
            w,
            "L2, L1 and H1 are relative, in physical units, over the {} samples with a stimulus.",
            document["samples"].as_u64().unwrap_or(0)
                - document["without_stimulus"].as_u64().unwrap_or(0)
        )
    })
}
