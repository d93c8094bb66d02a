//! Questions to a system: one file for each, whose struct holds the options with their defaults and their help, and whose `ask` gives the answer.
//!
//! The command line, the Python package and programs in Rust ask the same structs, so a question has the same names, defaults and checks everywhere.

use ionoscope_dynamics::watch::Watcher;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result, answer::Answer, subject::Subject};

pub mod basins;
pub mod compare;
pub mod continuation;
pub mod coupled;
pub mod diagram;
pub mod evaluate;
pub mod fixed_points;
pub mod lyapunov;
pub mod models;
mod question;
pub mod report;
pub mod reproduce;
pub mod simulate;
pub mod spikes;

pub use basins::Basins;
pub use compare::Compare;
pub use continuation::Continuation;
pub use coupled::Coupled;
pub use diagram::Diagram;
pub use evaluate::Evaluate;
pub use fixed_points::FixedPoints;
pub use lyapunov::Lyapunov;
pub use models::Models;
pub use question::{Question, Task};
pub use report::Report;
pub use reproduce::Reproduce;
pub use simulate::Simulate;
pub use spikes::Spikes;

type Ask = fn(Value, &Subject, &Watcher) -> Result<Answer>;

/// The questions by the names of their verbs: a new one is a line here.
const QUESTIONS: [(&str, Ask); 8] = [
    ("basins", by_options::<Basins>),
    ("continue", by_options::<Continuation>),
    ("coupled", by_options::<Coupled>),
    ("diagram", by_options::<Diagram>),
    ("fixed-points", by_options::<FixedPoints>),
    ("lyapunov", by_options::<Lyapunov>),
    ("simulate", by_options::<Simulate>),
    ("spikes", by_options::<Spikes>),
];

/// Asks a question by the name of its verb, with its options as a JSON object of those that differ from their defaults.
///
/// # Errors
/// An unknown question or option, with those that there are; a value of a wrong kind; as [`Question::ask`].
pub fn ask(verb: &str, options: Value, subject: &Subject, watch: &Watcher) -> Result<Answer> {
    let Some((_, ask)) = QUESTIONS.iter().find(|(name, _)| *name == verb) else {
        let known: Vec<&str> = QUESTIONS.iter().map(|q| q.0).collect();
        return Err(Error::Input(format!(
            "unknown question '{verb}'; known: {}",
            known.join(", ")
        )));
    };
    ask(options, subject, watch)
}

type Run = fn(Value, &Watcher) -> Result<Answer>;

/// The tasks by the names of their verbs: a new one is a line here.
const TASKS: [(&str, Run); 5] = [
    ("compare", task_by_options::<Compare>),
    ("evaluate", task_by_options::<Evaluate>),
    ("models", task_by_options::<Models>),
    ("report", task_by_options::<Report>),
    ("reproduce", task_by_options::<Reproduce>),
];

/// Does a task by the name of its verb, with its options as a JSON object of those that differ from
/// their defaults.
///
/// # Errors
/// An unknown task or option, with those that there are; a value of a wrong kind; as [`Task::run`].
pub fn run(verb: &str, options: Value, watch: &Watcher) -> Result<Answer> {
    let Some((_, run)) = TASKS.iter().find(|(name, _)| *name == verb) else {
        let known: Vec<&str> = TASKS.iter().map(|t| t.0).collect();
        return Err(Error::Input(format!(
            "unknown task '{verb}'; known: {}",
            known.join(", ")
        )));
    };
    run(options, watch)
}

fn task_by_options<T: Task + DeserializeOwned>(options: Value, watch: &Watcher) -> Result<Answer> {
    let task: T = read(options)?;
    task.run(watch)
}

/// Options from JSON; what is wrong is named by its key.
fn read<T: DeserializeOwned>(options: Value) -> Result<T> {
    serde_path_to_error::deserialize(options).map_err(|e| {
        let key = e.path().to_string();
        let place = if key == "." {
            String::new()
        } else {
            format!("{key}: ")
        };
        Error::Input(format!("{place}{}", e.into_inner()))
    })
}

fn by_options<Q: Question + DeserializeOwned>(
    options: Value,
    subject: &Subject,
    watch: &Watcher,
) -> Result<Answer> {
    let question: Q = read(options)?;
    question.ask(subject, watch)
}

#[cfg(test)]
mod tests {
    use ionoscope_dynamics::protocol::Protocol;
    use serde_json::json;

    use super::*;
    use crate::subject::Settings;

    fn subject(id: &str) -> Subject {
        Subject::open(id, &Settings::default(), &Watcher::default()).unwrap()
    }

    #[test]
    fn a_question_is_asked_by_its_name_and_what_is_wrong_is_named() {
        let nobody = Watcher::default();
        let cell = subject("fitzhugh-nagumo-1961");
        let found = ask(
            "fixed-points",
            json!({"box": {"v": [-0.5, 0.5]}, "starts": 16}),
            &cell,
            &nobody,
        )
        .unwrap();
        assert_eq!(
            (
                found.document["fixed_points"][0]["x"]["v"].as_f64(),
                &found.document["search"]["box"]["v"]
            ),
            (Some(0.0), &json!([-0.5, 0.5]))
        );
        let by_struct = FixedPoints {
            starts: 16,
            bounds: vec![("v".into(), [-0.5, 0.5])],
            ..FixedPoints::default()
        };
        assert_eq!(
            by_struct.ask(&cell, &nobody).unwrap().document,
            found.document
        );
        let wrong = |verb: &str, options: Value| {
            ask(verb, options, &cell, &nobody).unwrap_err().to_string()
        };
        assert!(
            wrong("fixed-point", json!({}))
                .contains("known: basins, continue, coupled, diagram, fixed-points")
        );
        assert!(
            wrong("lyapunov", json!({"acuracy": 1}))
                .contains("unknown field `acuracy`, expected one of `count`")
        );
        assert!(wrong("lyapunov", json!({"accuracy": "high"})).contains("invalid type"));
        assert!(wrong("lyapunov", json!({"accuracy": -1.0})).contains("accuracy"));
        assert!(wrong("spikes", json!({"bursts": 0})).contains("0 bursts"));
        assert!(wrong("spikes", json!({"t_end": 5.0, "t_limit": 6.0})).contains("give one of"));
        assert!(
            wrong("spikes", json!({"upstroke": "steep"}))
                .contains("expected `steepest-rise` or `crossing`")
        );
        let changing = Subject {
            protocol: Protocol::step(1.0, 2.0, 0.5),
            ..cell.clone()
        };
        assert!(
            ask("lyapunov", json!({}), &changing, &nobody)
                .unwrap_err()
                .to_string()
                .contains("changes over time")
        );
    }

    /// The options of a verb that have no default.
    fn needed(verb: &str) -> Value {
        match verb {
            "coupled" => json!({"graph": "ring:3", "coupling": 0.1, "t_end": 1.0}),
            "continue" | "diagram" => json!({"over": {"v_s": [-40, -30]}}),
            "simulate" => json!({"t_end": 1.0}),
            _ => json!({}),
        }
    }

    #[test]
    fn a_question_that_is_stopped_has_no_answer() {
        let stop = ionoscope_dynamics::watch::StopFlag::default();
        stop.raise();
        let watch = Watcher::new(stop);
        for verb in QUESTIONS.map(|q| q.0) {
            let error = ask(
                verb,
                needed(verb),
                &Subject::open("sherman-1988", &Settings::default(), &watch).unwrap(),
                &watch,
            )
            .unwrap_err();
            assert!(
                !error.is_input() && error.to_string().contains("interrupted"),
                "{verb}: {error}"
            );
        }
    }

    #[test]
    fn a_task_that_is_stopped_has_no_answer() {
        let stop = ionoscope_dynamics::watch::StopFlag::default();
        stop.raise();
        let watch = Watcher::new(stop);
        for (verb, options) in [
            ("models", json!({})),
            (
                "evaluate",
                json!({"surrogate": "missing", "dataset": "missing"}),
            ),
            ("report", json!({"dir": "missing"})),
        ] {
            let error = run(verb, options, &watch).unwrap_err();
            assert!(
                !error.is_input() && error.to_string().contains("interrupted"),
                "{verb}: {error}"
            );
        }
        let nobody = Watcher::default();
        let error = run("model", json!({}), &nobody).unwrap_err().to_string();
        assert!(error.contains("unknown task 'model'; known: "), "{error}");
        let error = run("models", json!({"name": "x"}), &nobody).unwrap_err();
        assert!(
            error.to_string().contains("unknown field `name`"),
            "{error}"
        );
    }
}
