//! `ionoscope fixed-points`: all fixed points in a box, their eigenvalues and stability.

use ionoscope_analysis::{
    fixed_points::{FixedPoint, FixedPointOptions, fixed_points},
    spectrum::Complex,
};
use ionoscope_dynamics::spec::Spec;
use serde_json::{Value, json};

use super::{
    Shared,
    arguments::{self, Opened, SystemArguments},
    print, print_json, table,
};
use crate::{
    Result,
    named::{named, rate_unit, units},
};

/// Finds all fixed points in a box, with eigenvalues and stability
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    system: SystemArguments,
    /// Where to search, other than the range of the variable; may be repeated
    #[arg(long = "box", value_name = "NAME=LO:HI", value_parser = arguments::name_interval, value_delimiter = ',')]
    bounds: Vec<(String, [f64; 2])>,
    /// Number of starts of Newton's method
    #[arg(long, value_name = "N", default_value_t = FixedPointOptions::default().starts, allow_negative_numbers = true)]
    starts: usize,
    /// Seed of the starts
    #[arg(long, value_name = "N", default_value_t = FixedPointOptions::default().seed, allow_negative_numbers = true)]
    seed: u64,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        let Opened { system, spec, p } = self.system.open()?;
        let bounds = Some(arguments::box_with(&spec, &self.bounds)?);
        let found = fixed_points(&*system, 0.0, &p, &FixedPointOptions { bounds, starts: self.starts, seed: self.seed })?;
        let outside = found.iter().filter(|f| f.extrapolated).count();
        if outside > 0 {
            shared.warn(&format!("{outside} of {} fixed points: state or parameters outside the training range", found.len()));
        }
        if shared.json { print_json(&document(&spec, &found)) } else { show(&spec, &found) }
    }
}

fn document(spec: &Spec, found: &[FixedPoint]) -> Value {
    let mut units = units(spec);
    units.insert("eigenvalues".into(), json!(rate_unit(spec)));
    let points: Vec<Value> = found
        .iter()
        .map(|f| {
            let mut point = json!(f);
            point["x"] = named(&spec.variables, &f.x);
            point
        })
        .collect();
    json!({ "fixed_points": points, "units": units })
}

fn show(spec: &Spec, found: &[FixedPoint]) -> Result<()> {
    let unit = |u: &str| if u == "1" { String::new() } else { format!(" ({u})") };
    let mut header: Vec<String> = spec.variables.iter().map(|q| format!("{}{}", q.name, unit(&q.unit))).collect();
    header.extend(["".into(), format!("eigenvalues ({})", rate_unit(spec))]);
    let mut rows = vec![header];
    for f in found {
        let mut row: Vec<String> = f.x.iter().map(|x| table::short(*x)).collect();
        row.push(format!("{}{}", if f.stable { "stable" } else { "unstable" }, if f.extrapolated { ", extrapolated" } else { "" }));
        row.push(f.eigenvalues.iter().map(text).collect::<Vec<_>>().join("  "));
        rows.push(row);
    }
    print(|w| if found.is_empty() { writeln!(w, "no fixed point found in the box") } else { table::write(w, &rows) })
}

fn text(z: &Complex) -> String {
    let re = table::short(z.re);
    if z.im == 0.0 { re } else { format!("{re}{}{}i", if z.im < 0.0 { "-" } else { "+" }, table::short(z.im.abs())) }
}
