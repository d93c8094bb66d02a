//! `ionoscope fixed-points`: the fixed points that a search of a box finds, their eigenvalues and stability.

use ionoscope_analysis::{
    conserved::Held,
    fixed_points::{FixedPoint, FixedPointOptions, Search, search},
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

/// Searches a box for fixed points, and gives their eigenvalues and stability
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  ionoscope fixed-points sherman-1988 --param v_s=-36
  ionoscope fixed-points hodgkin-huxley-1952 --i-stim 8
  ionoscope fixed-points ten-tusscher-panfilov-2006 --x0 k_i=130
  ionoscope fixed-points pretrained/sherman-1988-dt0.005.safetensors --json")]
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
        let opened = self.system.open(shared)?;
        let i_stim = opened.constant_stimulus()?;
        let Opened { system, spec, p, x0: start, .. } = opened;
        let bounds = arguments::box_with(&spec, &self.bounds)?;
        let options = FixedPointOptions { bounds: Some(bounds.clone()), starts: self.starts, seed: self.seed, start: Some(start.clone()) };
        let found = shared.watch.unless_stopped(search(&*system, i_stim, &p, &options))?;
        let points = &found.fixed_points;
        let outside = points.iter().filter(|f| f.extrapolated).count();
        if outside > 0 {
            shared.warn(&format!("{outside} of {} fixed points: state or parameters outside the training range", points.len()));
        }
        if shared.json { print_json(&document(&spec, &start, &bounds, &found)) } else { show(&spec, &found, self.starts) }
    }
}

/// What a search is worth, in words.
fn worth(found: &Search) -> String {
    let outside = match found.outside {
        0 => String::new(),
        1 => "; one was met outside the box, where a wider --box shows it".into(),
        k => format!("; {k} were met outside the box, where a wider --box shows them"),
    };
    let none = if found.fixed_points.is_empty() { "none" } else { "no other" };
    format!("searched by {} runs of Newton's method from all over the box, which does not prove that there is {none}{outside}", found.tried)
}

/// In how many directions fixed points go on in families of which nothing is known.
fn unexplained(found: &Search) -> Option<String> {
    let directions = match found.unexplained {
        0 => return None,
        1 => "one direction".to_owned(),
        k => format!("{k} directions"),
    };
    Some(format!(
        "the Jacobian is singular and fixed points are not isolated: they go on in {directions}, and no conserved quantity is known that \
         tells them apart; given is the one to which the motion from the start leads, with as many eigenvalues that are zero for this reason"
    ))
}

fn document(spec: &Spec, start: &[f64], bounds: &[[f64; 2]], found: &Search) -> Value {
    let mut units = units(spec);
    units.insert("eigenvalues".into(), json!(rate_unit(spec)));
    for held in &found.conserved {
        units.insert(held.quantity.name.clone(), json!(held.quantity.unit));
    }
    let points: Vec<Value> = found
        .fixed_points
        .iter()
        .map(|f| {
            let mut point = json!(f);
            point["x"] = named(&spec.variables, &f.x);
            point
        })
        .collect();
    let conserved: Vec<Value> = found
        .conserved
        .iter()
        .map(|held| {
            let mut value = json!(held);
            value["held"] = json!("at the value of the start");
            value
        })
        .collect();
    let sides = spec.variables.iter().zip(bounds).map(|(q, b)| (q.name.clone(), json!(b)));
    let searched = json!({
        "starts": found.tried, "box": sides.collect::<serde_json::Map<_, _>>(), "outside": found.outside, "proof": false, "note": worth(found),
    });
    let mut document = json!({ "fixed_points": points, "conserved": conserved, "search": searched, "units": units });
    if !found.conserved.is_empty() || found.unexplained > 0 {
        document["start"] = named(&spec.variables, start);
    }
    if let Some(text) = unexplained(found) {
        document["not_isolated"] = json!({ "directions": found.unexplained, "note": text });
    }
    document
}

fn show(spec: &Spec, found: &Search, starts: usize) -> Result<()> {
    let unit = |u: &str| if u == "1" { String::new() } else { format!(" ({u})") };
    let mut header: Vec<String> = spec.variables.iter().map(|q| format!("{}{}", q.name, unit(&q.unit))).collect();
    header.extend(["".into(), format!("eigenvalues ({})", rate_unit(spec))]);
    let mut rows = vec![header];
    for f in &found.fixed_points {
        let mut row: Vec<String> = f.x.iter().map(|x| table::short(*x)).collect();
        row.push(format!("{}{}", if f.stable { "stable" } else { "unstable" }, if f.extrapolated { ", extrapolated" } else { "" }));
        row.push(eigenvalues(f, found.unexplained));
        rows.push(row);
    }
    print(|w| {
        if found.fixed_points.is_empty() {
            writeln!(w, "no fixed point found in the box: {}; a wider --box or more --starts may find one", worth(found))?;
        } else {
            table::write(w, &rows)?;
            writeln!(w, "{} found: {}; --starts {} looks harder", found.fixed_points.len(), worth(found), starts.saturating_mul(4))?;
        }
        held(w, &found.conserved)?;
        if let Some(text) = unexplained(found) {
            writeln!(w, "{text}")?;
        }
        Ok(())
    })
}

/// What is conserved, and at which value it was held.
pub fn held(w: &mut dyn std::io::Write, conserved: &[Held]) -> std::io::Result<()> {
    for Held { quantity: q, value, .. } in conserved {
        let unit = if q.unit == "1" { String::new() } else { format!(" {}", q.unit) };
        writeln!(
            w,
            "conserved: {} = {value:.10}{unit} ({}), held at the value of the start: fixed points form a family, one or more for each value; \
             the eigenvalue that is zero for this reason is left out of the verdict",
            q.name, q.description
        )?;
    }
    Ok(())
}

/// Eigenvalues, those that are zero because fixed points are not isolated marked.
fn eigenvalues(f: &FixedPoint, unexplained: usize) -> String {
    let n = f.eigenvalues.len();
    let marked = |(k, z): (usize, &Complex)| match k {
        k if k + f.neutral < n => text(z),
        k if k + unexplained < n => "0 (conserved)".into(),
        _ => "0 (not isolated)".into(),
    };
    f.eigenvalues.iter().enumerate().map(marked).collect::<Vec<_>>().join("  ")
}

fn text(z: &Complex) -> String {
    let re = table::short(z.re);
    if z.im == 0.0 { re } else { format!("{re}{}{}i", if z.im < 0.0 { "-" } else { "+" }, table::short(z.im.abs())) }
}
