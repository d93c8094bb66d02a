//! The Lyapunov exponents of a trajectory.

use ionoscope_analysis::lyapunov::{LyapunovOptions, LyapunovSpectrum, Motion, lyapunov};
use ionoscope_dynamics::{spec::Spec, trajectory::SolveOptions, watch::Watcher};
use serde::Deserialize;
use serde_json::{Value, json};

use super::question::Question;
use crate::{
    Result,
    answer::{Answer, Text},
    named::{named, rate_unit},
    report::{
        figure::{Axis, Figure, Panel, Role, Series},
        table::{Column, Format, Table},
    },
    subject::Subject,
    text::short,
};

/// Exponents that are drawn over time.
const PANELS: usize = 6;

/// Finds the Lyapunov exponents of a trajectory, with errors
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[serde(default, deny_unknown_fields)]
pub struct Lyapunov {
    /// Number of exponents, the largest first [default: all]
    #[cfg_attr(
        feature = "clap",
        arg(long, value_name = "N", allow_negative_numbers = true)
    )]
    pub count: Option<usize>,
    /// Time before anything is counted, at least [default: until the trajectory has settled]
    #[cfg_attr(feature = "clap", arg(long, value_name = "T", value_parser = crate::options::number, allow_negative_numbers = true))]
    pub transient: Option<f64>,
    /// Error, per unit of time, at which to stop [default: 0.005 / time of a turn; at rest / slowest decay time; or 1e-5 of the exponent]
    #[cfg_attr(feature = "clap", arg(long, value_name = "E", value_parser = crate::options::positive, allow_negative_numbers = true))]
    pub accuracy: Option<f64>,
    /// Time of each trajectory after which to stop in any case [default: 8000 turns of the motion, or some minutes of work]
    #[cfg_attr(feature = "clap", arg(long, value_name = "T", value_parser = crate::options::positive, allow_negative_numbers = true))]
    pub t_end: Option<f64>,
    /// Time between two looks at the errors, rounded up to whole turns of the motion [default: four]
    #[cfg_attr(feature = "clap", arg(long, value_name = "T", value_parser = crate::options::positive, allow_negative_numbers = true))]
    pub segment: Option<f64>,
    /// Trajectories side by side
    #[cfg_attr(feature = "clap", arg(long, value_name = "N", default_value_t = Lyapunov::default().trajectories, allow_negative_numbers = true))]
    pub trajectories: usize,
    /// Relative tolerance of a flow's trajectories; the absolute one is a hundredth of it
    #[cfg_attr(feature = "clap", arg(long, value_name = "R", value_parser = crate::options::positive, default_value_t = Lyapunov::default().rtol, allow_negative_numbers = true))]
    pub rtol: f64,
}

impl Default for Lyapunov {
    fn default() -> Self {
        let trajectories = LyapunovOptions::default().trajectories;
        Lyapunov {
            count: None,
            transient: None,
            accuracy: None,
            t_end: None,
            segment: None,
            trajectories,
            rtol: 1e-9,
        }
    }
}

impl Question for Lyapunov {
    fn ask(&self, subject: &Subject, watch: &Watcher) -> Result<Answer> {
        let Subject { spec, p, x0, .. } = subject;
        let options = LyapunovOptions {
            count: self.count,
            transient: self.transient,
            segment: self.segment,
            trajectories: self.trajectories,
            accuracy: self.accuracy,
            longest: self.t_end,
            solve: SolveOptions::with_rtol(self.rtol),
        };
        let found = watch.unless_stopped(lyapunov(
            subject.system()?,
            x0,
            subject.constant_stimulus()?,
            p,
            &options,
        ))?;
        let mut answer = Answer::new(self.document(spec, p, &found));
        self.write(&mut answer, spec, &found);
        answer.tables.push(exponents(spec, &found));
        answer.figures.push(figure(spec, &found));
        if !found.reached {
            answer.warnings.push(format!(
                "not reached: {}",
                found.not_reached_because.join("; ")
            ));
        }
        if let Motion::Rest { stable: false, .. } = &found.motion {
            answer.warnings.push("the start is on an unstable rest and stays there; another --x0 leads to an attractor".into());
        }
        if found.extrapolated {
            answer.warnings.push(
                "a trajectory went outside the training range (of state or parameters)".into(),
            );
        }
        Ok(answer)
    }
}

impl Lyapunov {
    fn document(&self, spec: &Spec, p: &[f64], found: &LyapunovSpectrum) -> Value {
        let mut document = json!(found);
        document["parameters"] = named(&spec.parameters, p);
        if let Motion::Rest { x, .. } | Motion::Cycle { x, .. } = &found.motion {
            document["motion"]["x"] = named(&spec.variables, x);
        }
        let (rate, time) = (rate_unit(spec), &spec.time_unit);
        document["units"] = json!({
            "exponents": rate, "errors": rate, "error_parts": rate, "accuracy": rate, "divergence": rate, "convergence": rate,
            "time": time, "transient": time, "segment": time, "period": time, "step": time,
        });
        document["trajectories"] =
            json!((found.motion == Motion::Other).then_some(self.trajectories));
        document
    }

    fn write(&self, answer: &mut Answer, spec: &Spec, found: &LyapunovSpectrum) {
        let (rate, unit) = match spec.time_unit.as_str() {
            "1" => ("per unit of time".into(), String::new()),
            unit => (rate_unit(spec), format!(" {unit}")),
        };
        let parts = &found.error_parts;
        let mut rows = vec![vec![format!("exponent ({rate})"), "error".into()]];
        let averaged = found.motion == Motion::Other;
        if averaged {
            rows[0].extend(["spread", "alignment", "step", "settling"].map(String::from));
        }
        for (k, (exponent, error)) in found.exponents.iter().zip(&found.errors).enumerate() {
            // As many digits as the error leaves.
            let digits = if *error > 0.0 {
                (1.0 - error.log10()).ceil().clamp(5.0, 12.0) as usize
            } else {
                12
            };
            let mut row = vec![format!("{exponent:.digits$}"), format!("{error:.1e}")];
            if averaged {
                row.extend(
                    [
                        &parts.spread,
                        &parts.alignment,
                        &parts.step,
                        &parts.settling,
                    ]
                    .map(|part| format!("{:.1e}", part[k])),
                );
            }
            rows.push(row);
        }
        answer.text.push(Text::Cells(rows));
        let transient = short(found.transient);
        match &found.motion {
            Motion::Rest {
                stable, neutral, ..
            } => {
                let kind = if *stable {
                    "a stable rest"
                } else {
                    "an unstable rest"
                };
                answer.line(format!(
                    "{kind}, after {transient}{unit}: the real parts of its eigenvalues"
                ));
                if *neutral > 0 {
                    answer.line(format!("  exponents that are zero there: {neutral}, by a quantity that is conserved or at a bifurcation"));
                }
            }
            Motion::Cycle { period, .. } => {
                answer.line(format!(
                    "a cycle of period {}{unit}, after {transient}{unit}: from its multipliers",
                    short(*period)
                ));
            }
            Motion::Other => {
                let of = |t: f64| {
                    format!(
                        ", mean return time of the slowest variable {}{unit}",
                        short(t)
                    )
                };
                let count = self.trajectories;
                let (turn, each) = (
                    found.period.map_or(String::new(), of),
                    short(found.time / self.trajectories as f64),
                );
                answer.line(format!(
                    "neither rest nor cycle{turn}: means over {count} trajectories of {each}{unit} each, after {transient}{unit}"
                ));
            }
        }
        answer.line(format!(
            "accuracy {:.1e} {rate}: {}",
            found.accuracy,
            if found.reached {
                "reached"
            } else {
                "not reached"
            }
        ));
        match (
            &found.kaplan_yorke_dimension,
            &found.dimension_undecided_because,
        ) {
            (Some(dimension), _) => answer.line(format!("Kaplan-Yorke dimension {dimension:.4}")),
            (None, why) => answer.line(format!(
                "Kaplan-Yorke dimension undecided: {}",
                why.as_deref().unwrap_or("unknown")
            )),
        }
        answer.line(format!("mean divergence {:.5} {rate}", found.divergence));
    }
}

fn exponents(spec: &Spec, found: &LyapunovSpectrum) -> Table {
    let rate = rate_unit(spec);
    let names = [
        "exponent",
        "error",
        "spread",
        "alignment",
        "step",
        "settling",
    ];
    let columns = names.map(|name| Column::number(name, &rate, Format::Significant(5)));
    let mut table = Table::new(
        "exponents",
        "Lyapunov exponents, their errors, and what these consist of.",
        columns.to_vec(),
    );
    let parts = &found.error_parts;
    for (k, (exponent, error)) in found.exponents.iter().zip(&found.errors).enumerate() {
        let of = [
            *exponent,
            *error,
            parts.spread[k],
            parts.alignment[k],
            parts.step[k],
            parts.settling[k],
        ];
        table.push(of.map(Into::into).to_vec());
    }
    table
}

/// The means over the time so far, or, where there are none, the exponents.
fn figure(spec: &Spec, found: &LyapunovSpectrum) -> Figure {
    let rate = rate_unit(spec);
    let unit = if spec.time_unit == "1" { "1" } else { &rate };
    let role = if spec.trained_on.is_some() {
        Role::Orbit
    } else {
        Role::Equations
    };
    let exponent = || Axis::new("Lyapunov exponent", unit);
    if found.convergence.is_empty() {
        let index: Vec<f64> = (1..=found.exponents.len()).map(|k| k as f64).collect();
        let [low, high] = [0.5, found.exponents.len() as f64 + 0.5];
        let panel = Panel::new(
            "",
            Axis::new("number", "").with_range(low, high),
            exponent(),
        )
        .with_height(320.0)
        .with(Series::line("", Role::Guide, vec![low, high], vec![0.0; 2]))
        .with(Series::points("", role, index, found.exponents.clone()));
        return Figure::new(
            "lyapunov",
            &spec.id,
            "Lyapunov exponents, the largest first.",
        )
        .with(panel);
    }
    // A panel each: beside a strong contraction the others would be lines of no height.
    let time: Vec<f64> = (1..=found.convergence.len())
        .map(|k| k as f64 * found.segment)
        .collect();
    let mut figure = Figure::new(
        "lyapunov",
        &spec.id,
        "Lyapunov exponents as means over the time so far, the largest first.",
    )
    .sharing_x();
    for k in 0..found.exponents.len().min(PANELS) {
        let means = found
            .convergence
            .iter()
            .map(|all| all.get(k).copied().unwrap_or(f64::NAN))
            .collect();
        let panel = Panel::new(
            "",
            Axis::new("time of each trajectory", &spec.time_unit),
            Axis::new(&format!("exponent {}", k + 1), unit),
        );
        figure = figure.with(panel.with_height(130.0).with(Series::line(
            "",
            role,
            time.clone(),
            means,
        )));
    }
    figure
}
