//! `ionoscope evaluate`: how far a Fourier neural operator is from the responses of a dataset.

use std::path::PathBuf;

use ionoscope_analysis::metrics::{Relative, Spikes, Summary, TimeScale, relative};
use ionoscope_dynamics::spec::Spec;
use ionoscope_learn::{architectures::fno::Fno, responses::ResponseData};
use rayon::prelude::*;
use serde_json::{Value, json};

use super::{Shared, print, print_json, table};
use crate::{Error, Result};

/// Spikes farther apart than this share of T are not the same one.
const SAME_SPIKE: f64 = 0.02;

/// Measures a Fourier neural operator on a dataset: normalised and physical errors, spikes, by variable and class of stimulus
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

/// What was measured of one sample.
struct Sample {
    class: usize,
    /// Whether there was any stimulus.
    stimulated: bool,
    normalised: Vec<f64>,
    relative: Vec<Relative>,
    spikes: Option<Spikes>,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        let fno = Fno::load(&self.surrogate)?;
        let data = ResponseData::load(&self.dataset)?;
        let spec = &data.spec;
        // Names and defaults: which model, from which start, under which parameters.
        let identity = |spec: &Spec| -> Vec<(String, f64)> {
            spec.variables.iter().chain(&spec.parameters).map(|q| (q.name.clone(), q.default)).collect()
        };
        if fno.spec.id != spec.id || identity(&fno.spec) != identity(spec) {
            return Err(Error::Input(format!(
                "{} was trained on {} and {} holds {}, or their starts or parameters differ; give a dataset of the same model",
                self.surrogate.display(),
                fno.spec.id,
                self.dataset.display(),
                spec.id
            )));
        }
        if (fno.t_end - data.config.t_end).abs() > 1e-9 * fno.t_end {
            return Err(Error::Input(format!("the network ends at {}, the dataset at {}", fno.t_end, data.config.t_end)));
        }
        if data.config.windows > 0 && !fno.takes_start() {
            return Err(Error::Input(format!(
                "{} holds windows from any start, and the network knows one; give a dataset made with responses.windows = 0",
                self.dataset.display()
            )));
        }
        let (set, classes) = match self.set {
            Set::Training => (&data.training, &data.classes[0]),
            Set::Validation => (&data.validation, &data.classes[0]),
            Set::Test => (&data.test, &data.classes[1]),
        };
        if set.is_empty() {
            return Err(Error::Input(format!("{} has no samples in that set", self.dataset.display())));
        }
        let (points, variables) = (set.points, set.variables);
        let dt = data.config.t_end / points as f64;
        let reference: Vec<Vec<f64>> = (0..set.len()).map(|k| set.x(k).iter().map(|v| f64::from(*v)).collect()).collect();
        let row = |x: &'_ [f64], i: usize| -> Vec<f64> { x[i * points..(i + 1) * points].to_vec() };
        let scales = (0..variables)
            .map(|i| TimeScale::of(reference.iter().map(|x| &x[i * points..(i + 1) * points])))
            .collect::<ionoscope_analysis::Result<Vec<_>>>()?;
        let inputs: Vec<Vec<f64>> = (0..set.len()).map(|k| set.input(k).iter().map(|v| f64::from(*v)).collect()).collect();
        let starts: Vec<Vec<f64>> = (0..set.len()).map(|k| set.start(k)).collect();
        let predicted = fno.respond(&inputs, &starts, points)?;
        let v = spec.membrane_potential.as_ref().and_then(|name| spec.variable_index(name).ok());
        let samples: Vec<Sample> = (0..set.len())
            .into_par_iter()
            .map(|k| {
                let (p, x) = (&predicted[k], &reference[k]);
                let pairs: Vec<(Vec<f64>, Vec<f64>)> = (0..variables).map(|i| (row(p, i), row(x, i))).collect();
                Sample {
                    class: set.class[k] as usize,
                    stimulated: inputs[k].iter().any(|v| *v != 0.0),
                    normalised: pairs.iter().zip(&scales).map(|((p, x), s)| s.error(p, x)).collect(),
                    relative: pairs.iter().map(|(p, x)| relative(p, x, dt)).collect(),
                    spikes: v
                        .zip(spec.spike_threshold)
                        .map(|(v, threshold)| Spikes::of(&pairs[v].0, &pairs[v].1, threshold, SAME_SPIKE * points as f64)),
                }
            })
            .collect();
        let document = self.document(&data, &fno, &samples, classes, dt);
        if shared.json { print_json(&document) } else { show(&document) }
    }

    fn document(&self, data: &ResponseData, fno: &Fno, samples: &[Sample], classes: &[String], dt: f64) -> Value {
        let spec = &data.spec;
        let mean = |s: &Sample| s.normalised.iter().sum::<f64>() / s.normalised.len() as f64;
        let stimulated = || samples.iter().filter(|s| s.stimulated);
        let variables = spec.variables.iter().enumerate().map(|(i, q)| {
            json!({
                "name": q.name,
                "unit": q.unit,
                "normalised": Summary::of(samples.iter().map(|s| s.normalised[i])),
                "l2": Summary::of(stimulated().map(|s| s.relative[i].l2)),
                "l1": Summary::of(stimulated().map(|s| s.relative[i].l1)),
                "h1": Summary::of(stimulated().map(|s| s.relative[i].h1)),
            })
        });
        let spikes = |of: &dyn Fn(&Sample) -> bool| {
            let all: Vec<&Spikes> = samples.iter().filter(|s| of(s)).filter_map(|s| s.spikes.as_ref()).collect();
            (!all.is_empty()).then(|| {
                let sum = |f: &dyn Fn(&Spikes) -> usize| all.iter().map(|s| f(s)).sum::<usize>();
                json!({
                    "samples": all.len(),
                    "expected": sum(&|s| s.expected),
                    "missed": sum(&|s| s.missed),
                    "extra": sum(&|s| s.extra),
                    "samples_with_a_wrong_number": all.iter().filter(|s| s.missed != s.extra).count(),
                    "time_error": Summary::of(all.iter().flat_map(|s| &s.shifts).map(|t| t * dt)),
                })
            })
        };
        let of_class = classes.iter().enumerate().map(|(c, name)| {
            json!({
                "name": name,
                "samples": samples.iter().filter(|s| s.class == c).count(),
                "normalised": Summary::of(samples.iter().filter(|s| s.class == c).map(mean)),
                "spikes": spikes(&|s: &Sample| s.class == c),
            })
        });
        json!({
            "surrogate": self.surrogate,
            "dataset": self.dataset,
            "set": self.set,
            "model": spec.id,
            "weights": fno.weights.len(),
            "samples": samples.len(),
            "without_stimulus": samples.len() - stimulated().count(),
            "normalised": Summary::of(samples.iter().map(mean)),
            "variables": variables.collect::<Vec<_>>(),
            "spikes": spikes(&|_: &Sample| true),
            "classes": of_class.collect::<Vec<_>>(),
            "units": {"time_error": spec.time_unit},
            "version": env!("CARGO_PKG_VERSION"),
        })
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
                name(&document["units"]["time_error"])
            )?;
        }
        writeln!(
            w,
            "L2, L1 and H1 are relative, in physical units, over the {} samples with a stimulus.",
            document["samples"].as_u64().unwrap_or(0) - document["without_stimulus"].as_u64().unwrap_or(0)
        )
    })
}
