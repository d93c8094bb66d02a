//! `ionoscope lyapunov`: the Lyapunov spectrum of a trajectory.

use ionoscope_analysis::lyapunov::{LyapunovOptions, LyapunovSpectrum, Motion, lyapunov};
use ionoscope_dynamics::{spec::Spec, trajectory::SolveOptions};
use serde_json::{Value, json};

use super::{
    Shared,
    arguments::{self, Opened, SystemArguments},
    print, print_json, table,
};
use crate::{Result, named::rate_unit};

/// Finds the Lyapunov exponents of a trajectory, with errors
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  ionoscope lyapunov lorenz-1963
  ionoscope lyapunov sherman-1988 --param v_s=-36 --accuracy 0.01
  ionoscope lyapunov pretrained/sherman-1988-dt0.005.safetensors --param v_s=-36 --accuracy 0.01")]
pub struct Arguments {
    #[command(flatten)]
    system: SystemArguments,
    /// Number of exponents, the largest first [default: all]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    count: Option<usize>,
    /// Time before anything is counted, at least [default: until the trajectory has settled]
    #[arg(long, value_name = "T", value_parser = arguments::number, allow_negative_numbers = true)]
    transient: Option<f64>,
    /// Error, per unit of time, at which to stop [default: 0.005 / time of a turn; at rest / slowest decay time; or 1e-5 of the exponent]
    #[arg(long, value_name = "E", value_parser = arguments::positive, allow_negative_numbers = true)]
    accuracy: Option<f64>,
    /// Time of each trajectory after which to stop in any case [default: 8000 turns of the motion, or some minutes of work]
    #[arg(long, value_name = "T", value_parser = arguments::positive, allow_negative_numbers = true)]
    t_end: Option<f64>,
    /// Time between two looks at the errors, rounded up to whole turns of the motion [default: four]
    #[arg(long, value_name = "T", value_parser = arguments::positive, allow_negative_numbers = true)]
    segment: Option<f64>,
    /// Trajectories side by side
    #[arg(long, value_name = "N", default_value_t = LyapunovOptions::default().trajectories, allow_negative_numbers = true)]
    trajectories: usize,
    /// Relative tolerance of a flow's trajectories; the absolute one is a hundredth of it
    #[arg(long, value_name = "R", value_parser = arguments::positive, default_value_t = 1e-9, allow_negative_numbers = true)]
    rtol: f64,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        let opened = self.system.open(shared)?;
        let i_stim = opened.constant_stimulus()?;
        let Opened { system, spec, p, x0, .. } = opened;
        let options = LyapunovOptions {
            count: self.count,
            transient: self.transient,
            segment: self.segment,
            trajectories: self.trajectories,
            accuracy: self.accuracy,
            longest: self.t_end,
            solve: SolveOptions { rtol: self.rtol, atol: 0.01 * self.rtol, ..SolveOptions::default() },
        };
        let found = shared.watch.unless_stopped(lyapunov(&*system, &x0, i_stim, &p, &options))?;
        if !found.reached {
            shared.warn(&format!("not reached: {}", found.not_reached_because.join("; ")));
        }
        if let Motion::Rest { stable: false, .. } = &found.motion {
            shared.warn("the start is on an unstable rest and stays there; another --x0 leads to an attractor");
        }
        if found.extrapolated {
            shared.warn("a trajectory went outside the training range (of state or parameters)");
        }
        if shared.json {
            let mut document = document(&spec, &p, &found);
            document["trajectories"] = json!((found.motion == Motion::Other).then_some(self.trajectories));
            print_json(&document)
        } else {
            show(&spec, &found, self.trajectories)
        }
    }
}

fn document(spec: &Spec, p: &[f64], found: &LyapunovSpectrum) -> Value {
    let mut document = json!(found);
    document["parameters"] = crate::named::named(&spec.parameters, p);
    if let Motion::Rest { x, .. } | Motion::Cycle { x, .. } = &found.motion {
        document["motion"]["x"] = crate::named::named(&spec.variables, x);
    }
    let (rate, time) = (rate_unit(spec), &spec.time_unit);
    document["units"] = json!({
        "exponents": rate, "errors": rate, "error_parts": rate, "accuracy": rate, "divergence": rate, "convergence": rate,
        "time": time, "transient": time, "segment": time, "period": time, "step": time,
    });
    document
}

fn show(spec: &Spec, found: &LyapunovSpectrum, trajectories: usize) -> Result<()> {
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
        let digits = if *error > 0.0 { (1.0 - error.log10()).ceil().clamp(5.0, 12.0) as usize } else { 12 };
        let mut row = vec![format!("{exponent:.digits$}"), format!("{error:.1e}")];
        if averaged {
            row.extend([&parts.spread, &parts.alignment, &parts.step, &parts.settling].map(|part| format!("{:.1e}", part[k])));
        }
        rows.push(row);
    }
    print(|w| {
        table::write(w, &rows)?;
        let transient = table::short(found.transient);
        match &found.motion {
            Motion::Rest { stable, neutral, .. } => {
                let kind = if *stable { "a stable rest" } else { "an unstable rest" };
                writeln!(w, "{kind}, after {transient}{unit}: the real parts of its eigenvalues")?;
                if *neutral > 0 {
                    writeln!(w, "  exponents that are zero there: {neutral}, by a quantity that is conserved or at a bifurcation")?;
                }
            }
            Motion::Cycle { period, .. } => {
                writeln!(w, "a cycle of period {}{unit}, after {transient}{unit}: from its multipliers", table::short(*period))?;
            }
            Motion::Other => {
                let of = |t: f64| format!(", mean return time of the slowest variable {}{unit}", table::short(t));
                let (turn, each) = (found.period.map_or(String::new(), of), table::short(found.time / trajectories as f64));
                writeln!(
                    w,
                    "neither rest nor cycle{turn}: means over {trajectories} trajectories of {each}{unit} each, after {transient}{unit}"
                )?;
            }
        }
        writeln!(w, "accuracy {:.1e} {rate}: {}", found.accuracy, if found.reached { "reached" } else { "not reached" })?;
        match (&found.kaplan_yorke_dimension, &found.dimension_undecided_because) {
            (Some(dimension), _) => writeln!(w, "Kaplan-Yorke dimension {dimension:.4}")?,
            (None, why) => writeln!(w, "Kaplan-Yorke dimension undecided: {}", why.as_deref().unwrap_or("unknown"))?,
        }
        writeln!(w, "mean divergence {:.5} {rate}", found.divergence)
    })
}
