//! How far a surrogate is from the responses of a dataset.

use std::path::{Path, PathBuf};

use ionoscope_dynamics::watch::Watcher;
use ionoscope_learn::{
    architectures::{
        fno::{Bands, Fno},
        neural_map::NeuralMap,
    },
    responses::{ResponseData, Responses},
    train::operator::BAND,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::question::Task;
use crate::{
    Error, Result,
    answer::{Answer, Text},
    artifact,
    evaluation::{self, Evaluation},
    report::table::{Cell, Column, Format, Table},
    text::short,
};

/// Measures a Fourier neural operator, or a map that takes a stimulus, on a dataset: normalized and physical errors, spikes, by variable and class of stimulus
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Evaluate {
    /// The surrogate
    #[cfg_attr(feature = "clap", arg(value_name = "SURROGATE"))]
    pub surrogate: PathBuf,
    /// The dataset of responses
    #[cfg_attr(feature = "clap", arg(value_name = "DATASET"))]
    pub dataset: PathBuf,
    /// Which of its sets
    #[cfg_attr(feature = "clap", arg(long, value_enum, default_value_t = Set::Test))]
    #[serde(default)]
    pub set: Set,
    /// Write the operator, its 90 % band calibrated anew on that set, to this file: for stimuli of a family of your own
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE.safetensors"))]
    #[serde(default)]
    pub calibrate: Option<PathBuf>,
}

/// A set of a dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Set {
    /// The dataset's training set
    Training,
    /// Its validation set, by which networks are chosen
    Validation,
    /// Its test set
    #[default]
    Test,
}

impl Task for Evaluate {
    fn run(&self, watch: &Watcher) -> Result<Answer> {
        match self.measured(watch) {
            Err(_) if watch.stopped() => Err(Error::Failed(
                "interrupted; nothing is kept of an evaluation, the same command begins again"
                    .into(),
            )),
            done => done,
        }
    }
}

impl Evaluate {
    fn measured(&self, watch: &Watcher) -> Result<Answer> {
        watch.check()?;
        let data = ResponseData::load(&self.dataset)?;
        let (set, classes) = match self.set {
            Set::Training => (&data.training, &data.classes[0]),
            Set::Validation => (&data.validation, &data.classes[0]),
            Set::Test => (&data.test, &data.classes[1]),
        };
        if set.is_empty() {
            return Err(Error::Input(format!(
                "{} has no samples in that set",
                self.dataset.display()
            )));
        }
        if let Some(path) = &self.calibrate {
            check_destination(path)?;
        }
        let (evaluation, weights) = if Fno::is_one(&self.surrogate) {
            self.operator(&data, set, watch)?
        } else {
            self.map(&data, set, watch)?
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
        let mut answer = Answer::new(document.clone());
        write_errors(&mut answer, &document);
        write_events(&mut answer, &document);
        answer.tables.push(errors(&document));
        Ok(answer)
    }

    /// The evaluation of an operator and the number of its weights. The operator is written, where it is calibrated, when all is measured.
    fn operator(
        &self,
        data: &ResponseData,
        set: &Responses,
        watch: &Watcher,
    ) -> Result<(Evaluation, usize)> {
        let mut fno = Fno::load(&self.surrogate)?;
        evaluation::check(&fno, data).map_err(|e| self.named(e))?;
        if self.calibrate.is_some() && fno.takes_start() {
            return Err(Error::Input(
                "--calibrate: an operator that advances window by window has no band".into(),
            ));
        }
        let predicted = evaluation::respond(&fno, set, watch)?;
        if self.calibrate.is_some() {
            fno.bands = Bands::around(&fno, set, &predicted, BAND, watch)?;
            let family = if self.set == Set::Test {
                &data.config.test_family
            } else {
                &data.config.training_family
            };
            fno.provenance["calibrated_on"] = json!({"family": family, "seed": data.config.seed, "set": self.set, "samples": set.len()});
        }
        let evaluation = evaluation::judge(&fno, data, set, predicted, watch)?;
        if let Some(path) = &self.calibrate {
            fno.save(path)?;
            watch.tell(&format!(
                "{}: calibrated on {} samples; judge it by others",
                path.display(),
                set.len()
            ));
        }
        Ok((evaluation, fno.weights.len()))
    }

    /// The evaluation of a map and the number of its weights.
    fn map(
        &self,
        data: &ResponseData,
        set: &Responses,
        watch: &Watcher,
    ) -> Result<(Evaluation, usize)> {
        if self.calibrate.is_some() {
            return Err(Error::Input(
                "--calibrate: a map has no band; expected an operator".into(),
            ));
        }
        let map = NeuralMap::load(&self.surrogate)?;
        let evaluation = evaluation::evaluate_map(&map, data, set, watch);
        Ok((evaluation.map_err(|e| self.named(e))?, map.weight_count()))
    }

    /// An error that says of which files it speaks.
    fn named(&self, e: Error) -> Error {
        let (surrogate, dataset) = (self.surrogate.display(), self.dataset.display());
        Error::Input(format!("{surrogate} and {dataset}: {e}"))
    }
}

/// Checks that a calibrated operator can be written there.
fn check_destination(path: &Path) -> Result<()> {
    artifact::check_destination(path)?;
    if path.exists() && !Fno::is_one(path) {
        return Err(Error::Input(format!(
            "--calibrate {}: there is a file of another kind; choose another name for the operator",
            path.display()
        )));
    }
    Ok(())
}

/// Errors of all variables and classes, as shares.
fn errors(document: &Value) -> Table {
    let mut columns = ["of", "name", "metric"].map(Column::text).to_vec();
    columns.extend(STATISTICS.map(|s| Column::number(s, "1", Format::Significant(4))));
    let mut table = Table::new(
        "errors",
        "Errors by variable and by class of stimulus.",
        columns,
    );
    let mut push = |of: &str, name: &Value, metric: &str, errors: &Value| {
        let words = [of, name.as_str().unwrap_or_default(), metric].map(Cell::from);
        let numbers = STATISTICS.map(|s| Cell::from(errors[s].as_f64()));
        table.push(words.into_iter().chain(numbers).collect());
    };
    push("all", &Value::Null, "normalized", &document["normalized"]);
    for (of, list, metrics) in [
        (
            "variable",
            "variables",
            &["normalized", "l2", "l1", "h1"][..],
        ),
        ("class", "classes", &["normalized"]),
    ] {
        for one in document[list].as_array().into_iter().flatten() {
            for metric in metrics {
                push(of, &one["name"], metric, &one[*metric]);
            }
        }
    }
    table
}

/// What is said of the errors of all samples.
const STATISTICS: [&str; 4] = ["mean", "median", "p95", "worst"];

fn percent(v: &Value) -> String {
    v.as_f64()
        .map_or(String::new(), |v| format!("{:.3}", 100.0 * v))
}

/// Errors by variable and by class.
fn write_errors(answer: &mut Answer, document: &Value) {
    let of = |v: &Value| STATISTICS.map(|k| percent(&v[k]));
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
            vec!["all".into(), "normalized".into()],
            of(&document["normalized"]).to_vec(),
        ]
        .concat(),
    );
    for q in document["variables"].as_array().into_iter().flatten() {
        for metric in ["normalized", "l2", "l1", "h1"] {
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
                vec![label, "normalized".into()],
                of(&c["normalized"]).to_vec(),
                within(c),
            ]
            .concat(),
        );
    }
    answer.text.push(Text::Cells(rows));
    answer.line("");
    answer.text.push(Text::Cells(classes));
}

/// Spikes, the band, stimuli unlike those of the training and durations of action potentials.
fn write_events(answer: &mut Answer, document: &Value) {
    let s = &document["spikes"];
    let unit = |of: &str| {
        document["units"][of]
            .as_str()
            .filter(|u| *u != "1")
            .unwrap_or("(no unit)")
            .to_owned()
    };
    if s.is_object() {
        answer.line("");
        answer.line(format!("spikes: {} expected, {} missed, {} extra; {} of {} samples with a wrong number; mean time error {} {}",
                s["expected"],
                s["missed"],
                s["extra"],
                s["samples_with_a_wrong_number"],
                s["samples"],
                s["time_error"]["mean"].as_f64().map_or("-".into(), short),
                unit("time_error")));
    }
    let band = &document["band"];
    if band.is_object() {
        answer.line(format!(
            "band for {} % of the values: {} % lie within",
            percent(&band["level"]),
            percent(&band["within"])
        ));
    }
    let unlike = &document["unlike_training"];
    if let Some(count) = unlike["samples"].as_u64().filter(|n| *n > 0) {
        let (all, mean) = (&document["samples"], percent(&unlike["normalized"]["mean"]));
        answer.line(format!("{count} of {all} stimuli are unlike those of the training (`simulate` would refuse them): normalized error {mean} %"));
    }
    let apd = &document["apd90"];
    if apd.is_object() {
        answer.line(format!("duration to 90 % repolarization of the first action potential: {} samples, mean error {} {} ({} %)",
                apd["samples"],
                apd["error"]["mean"].as_f64().map_or("-".into(), short),
                unit("apd90"),
                percent(&apd["relative_error"]["mean"])));
    }
    answer.line(format!(
        "L2, L1 and H1 are relative, in physical units, over the {} samples with a stimulus.",
        document["samples"].as_u64().unwrap_or(0)
            - document["without_stimulus"].as_u64().unwrap_or(0)
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ionoscope_dynamics::{models, watch::Watch};
    use ionoscope_learn::responses::{ResponseConfig, respond};

    use super::*;
    use crate::questions;

    const OPERATOR: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../pretrained/fhn-fno.safetensors"
    );

    /// Stops behind the first samples.
    #[derive(Default)]
    struct Impatient(AtomicUsize);

    impl Watch for Impatient {
        fn stopped(&self) -> bool {
            self.0.load(Ordering::Relaxed) > 0
        }

        fn progress(&self, done: usize, of: usize, what: &str) {
            assert_eq!((of, what), (200, "samples"));
            assert!((1..of).contains(&done), "{done} samples before the stop");
            self.0.store(done, Ordering::Relaxed);
        }
    }

    #[test]
    fn an_operator_is_measured_calibrated_and_stopped_in_its_midst() {
        let dir = std::env::temp_dir().join(format!("ionoscope-evaluate-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let [path, own] = ["responses", "own"].map(|n| dir.join(format!("{n}.safetensors")));
        let fno = Fno::load(Path::new(OPERATOR)).unwrap();
        let config = ResponseConfig {
            model: fno.spec.id.clone(),
            samples: [0, 0, 200],
            t_end: fno.t_end,
            points: 100,
            ..ResponseConfig::default()
        };
        let model = models::find(&config.model).unwrap();
        let data = respond(&*model, &config, &Watcher::default()).unwrap();
        data.save(&path).unwrap();
        let options = json!({"surrogate": OPERATOR, "dataset": path, "calibrate": own});
        let stopped = questions::run(
            "evaluate",
            options.clone(),
            &Watcher::new(Impatient::default()),
        );
        let error = stopped.unwrap_err().to_string();
        assert!(error.contains("interrupted; nothing is kept"), "{error}");
        assert!(!own.exists());
        let answer = questions::run("evaluate", options, &Watcher::default()).unwrap();
        assert_eq!(answer.document["samples"], 200);
        assert!((answer.document["band"]["within"].as_f64().unwrap() - BAND).abs() < 0.02);
        assert!(Fno::is_one(&own) && answer.tables[0].rows.len() > 9);
        let wrong = json!({"surrogate": OPERATOR, "dataset": path, "set": "tests"});
        let error = questions::run("evaluate", wrong, &Watcher::default()).unwrap_err();
        assert!(
            error.to_string().contains("expected one of `training`"),
            "{error}"
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
