//! `ionoscope lyapunov`: the Lyapunov spectrum of a trajectory.

use ionoscope_analysis::lyapunov::{LyapunovOptions, LyapunovSpectrum, lyapunov};
use ionoscope_dynamics::{spec::Spec, trajectory::SolveOptions};
use serde_json::{Value, json};

use super::{
    Shared,
    arguments::{self, Opened, SystemArguments, borrowed},
    print, print_json, table,
};
use crate::{Result, named::rate_unit};

/// Finds the Lyapunov exponents of a trajectory, with standard errors
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  ionoscope lyapunov lorenz-1963
  ionoscope lyapunov sherman-1988 --param v_s=-36 --accuracy 0.01
  ionoscope lyapunov pretrained/sherman-1988-dt0.005.safetensors --param v_s=-36 --accuracy 0.01")]
pub struct Arguments {
    #[command(flatten)]
    system: SystemArguments,
    /// A start other than the default; may be repeated
    #[arg(long = "x0", value_name = "NAME=VALUE", value_parser = arguments::name_value, value_delimiter = ',')]
    x0: Vec<(String, f64)>,
    /// Constant stimulus; positive depolarises
    #[arg(long, value_name = "I", value_parser = arguments::number, default_value_t = 0.0, allow_negative_numbers = true)]
    i_stim: f64,
    /// Number of exponents, the largest first [default: all]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    count: Option<usize>,
    /// Time before anything is counted
    #[arg(long, value_name = "T", value_parser = arguments::number, default_value_t = LyapunovOptions::default().transient, allow_negative_numbers = true)]
    transient: f64,
    /// Standard error, per unit of time, at which to stop
    #[arg(long, value_name = "E", value_parser = arguments::positive, default_value_t = LyapunovOptions::default().accuracy, allow_negative_numbers = true)]
    accuracy: f64,
    /// Time of each trajectory after which to stop in any case
    #[arg(long, value_name = "T", value_parser = arguments::positive, default_value_t = LyapunovOptions::default().longest, allow_negative_numbers = true)]
    t_end: f64,
    /// Time between two looks at the errors
    #[arg(long, value_name = "T", value_parser = arguments::positive, default_value_t = LyapunovOptions::default().segment, allow_negative_numbers = true)]
    segment: f64,
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
        let Opened { system, spec, p } = self.system.open()?;
        let x0 = spec.state_with(borrowed(&self.x0))?;
        let options = LyapunovOptions {
            count: self.count,
            transient: self.transient,
            segment: self.segment,
            trajectories: self.trajectories,
            accuracy: self.accuracy,
            longest: self.t_end,
            solve: SolveOptions { rtol: self.rtol, atol: 0.01 * self.rtol, ..SolveOptions::default() },
        };
        let found = lyapunov(&*system, &x0, self.i_stim, &p, &options)?;
        if !found.reached {
            let largest = found.errors.iter().copied().fold(0.0, f64::max);
            shared.warn(&format!(
                "after {} {} the largest standard error is {largest:.1e}; a longer --t-end makes it smaller",
                found.time, spec.time_unit
            ));
        }
        if found.extrapolated {
            shared.warn("a trajectory went outside the training range (of state or parameters)");
        }
        if shared.json { print_json(&document(&spec, &p, &found)) } else { show(&spec, &found) }
    }
}

fn document(spec: &Spec, p: &[f64], found: &LyapunovSpectrum) -> Value {
    let mut document = json!(found);
    document["parameters"] = crate::named::named(&spec.parameters, p);
    document["units"] = json!({"exponents": rate_unit(spec), "errors": rate_unit(spec), "divergence": rate_unit(spec), "time": spec.time_unit, "step": spec.time_unit});
    document
}

fn show(spec: &Spec, found: &LyapunovSpectrum) -> Result<()> {
    let mut rows = vec![vec![format!("exponent ({})", rate_unit(spec)), "standard error".into()]];
    for (exponent, error) in found.exponents.iter().zip(&found.errors) {
        rows.push(vec![format!("{exponent:.5}"), format!("{error:.1e}")]);
    }
    print(|w| {
        table::write(w, &rows)?;
        if let Some(dimension) = found.kaplan_yorke_dimension {
            writeln!(w, "Kaplan-Yorke dimension {dimension:.4}")?;
        }
        writeln!(w, "mean divergence {:.5} {}, over {} {}", found.divergence, rate_unit(spec), found.time, spec.time_unit)
    })
}
