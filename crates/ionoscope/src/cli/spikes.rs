//! `ionoscope spikes`: spikes, bursts and action potentials of a model or a surrogate.

use std::path::PathBuf;

use ionoscope_analysis::biomarkers::{
    ActionPotential, BiomarkerOptions, Biomarkers, Observation, ObserveOptions, Stopped, Upstroke, observe,
};
use ionoscope_dynamics::{
    protocol::Protocol,
    spec::{Quantity, Spec},
    trajectory::SolveOptions,
};
use serde_json::{Value, json};

use super::{
    Shared,
    arguments::{self, Opened, SystemArguments, borrowed},
    print, print_json, table,
};
use crate::{
    Error, Result,
    artifact::{self, Staged},
    named::named,
    protocol_file,
    report::{
        figure::{Axis, Figure, Panel, Role, Series},
        svg,
    },
};

/// Rows of the table of action potentials that are printed; `--json` gives all.
const MOST_ROWS: usize = 20;
/// Transient where the stimulus does not change.
const TRANSIENT: f64 = 100.0;
/// When waiting ends.
const LIMIT: f64 = 10_000.0;

/// Counts spikes and bursts and measures action potentials, after a transient and over enough of them
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    system: SystemArguments,
    /// A start other than the default; may be repeated
    #[arg(long = "x0", value_name = "NAME=VALUE", value_parser = arguments::name_value, value_delimiter = ',')]
    x0: Vec<(String, f64)>,
    /// Stimulus over time (.toml, .csv)
    #[arg(long, value_name = "FILE")]
    protocol: Option<PathBuf>,
    /// Time to leave out at the beginning [default: 100; 0 with a stimulus that changes over time]
    #[arg(long, value_name = "T", value_parser = arguments::number, allow_negative_numbers = true)]
    t_transient: Option<f64>,
    /// Complete bursts to wait for, or 20 times as many spikes where there is no pause
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000_000), allow_negative_numbers = true)]
    bursts: u32,
    /// Record up to this time, transient included, whatever there is to see; needed with a stimulus that changes after the transient
    #[arg(long, value_name = "T", value_parser = arguments::positive, allow_negative_numbers = true)]
    t_end: Option<f64>,
    /// Time, transient included, after which waiting ends [default: 10000]
    #[arg(long, value_name = "T", value_parser = arguments::positive, allow_negative_numbers = true, conflicts_with = "t_end")]
    t_limit: Option<f64>,
    /// Variable to look at [default: the membrane potential]
    #[arg(long, value_name = "NAME")]
    variable: Option<String>,
    /// A spike is an upward crossing of this value [default: the system's own]
    #[arg(long, value_name = "V", value_parser = arguments::number, allow_negative_numbers = true)]
    threshold: Option<f64>,
    /// A burst ends where an interval exceeds so many median intervals
    #[arg(long, value_name = "N", default_value_t = BiomarkerOptions::at(0.0).pause, value_parser = arguments::positive, allow_negative_numbers = true)]
    pause: f64,
    /// From when durations of action potentials are counted
    #[arg(long, value_enum, default_value = "steepest-rise")]
    upstroke: From,
    /// Spacing of the samples [default: the step of a map; for equations one that is found to resolve the spikes]
    #[arg(long, value_name = "DT", value_parser = arguments::positive, allow_negative_numbers = true)]
    dt: Option<f64>,
    /// Figure to draw (.svg): the potential over time, with its spikes
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

#[derive(clap::ValueEnum, Debug, Clone, Copy)]
enum From {
    /// The steepest rise between rest and peak
    SteepestRise,
    /// The upward crossing of the threshold
    Crossing,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        if let Some(path) = &self.plot {
            if path.extension().is_none_or(|e| !e.eq_ignore_ascii_case("svg")) {
                return Err(Error::Input(format!("{}: cannot write this kind of figure; supported: .svg", path.display())));
            }
            artifact::check_destination(path)?;
        }
        let Opened { system, spec, p } = self.system.open()?;
        let x0 = spec.state_with(borrowed(&self.x0))?;
        let variable = self.variable(&spec)?;
        let protocol = self.protocol.as_deref().map_or(Ok(Protocol::none()), protocol_file::read)?;
        protocol.check_units(&spec)?;
        let options = self.options(&spec, variable, &protocol)?;
        let seen = observe(&*system, variable, &x0, &p, &protocol, &options)?;
        self.warn(shared, &spec, &seen);
        if let Some(path) = &self.plot {
            let drawing = svg::draw(&figure(&spec, &p, &spec.variables[variable], options.definitions.threshold, &seen));
            Staged::new(path, |w| w.write_all(drawing.as_bytes()))?.commit()?;
        }
        let q = &spec.variables[variable];
        if !shared.json {
            return show(&spec, q, !protocol.is_none(), &seen);
        }
        let mut document = document(&spec, q, &options, &seen);
        document["system"] = json!(spec.id);
        document["preset"] = json!(self.system.preset);
        document["parameters"] = named(&spec.parameters, &p);
        document["x0"] = named(&spec.variables, &x0);
        document["protocol"] = json!((!protocol.is_none()).then_some(&protocol));
        document["code_version"] = json!(env!("CARGO_PKG_VERSION"));
        print_json(&document)
    }

    fn variable(&self, spec: &Spec) -> Result<usize> {
        match self.variable.as_ref().or(spec.membrane_potential.as_ref()) {
            Some(name) => Ok(spec.variable_index(name)?),
            None => {
                let names: Vec<&str> = spec.variables.iter().map(|q| q.name.as_str()).collect();
                Err(Error::Input(format!("{} has no membrane potential; give --variable, one of {}", spec.id, names.join(", "))))
            }
        }
    }

    fn options(&self, spec: &Spec, variable: usize, protocol: &Protocol) -> Result<ObserveOptions> {
        let name = &spec.variables[variable].name;
        let own = spec.spike_threshold.filter(|_| spec.membrane_potential.as_ref() == Some(name));
        let threshold = self.threshold.or(own).ok_or_else(|| {
            let unit = &spec.variables[variable].unit;
            Error::Input(format!("{} does not say above which {name} a spike is; give --threshold (in {unit})", spec.id))
        })?;
        let t_end = self.t_end.or(self.t_limit).unwrap_or(LIMIT);
        protocol.check_until(t_end)?;
        let changes = protocol.signal(t_end).pieces.iter().enumerate().any(|(k, p)| k > 0 || p.slope != 0.0 || !p.waves.is_empty());
        let t_transient = self.t_transient.unwrap_or(if changes { 0.0 } else { TRANSIENT });
        if changes && t_transient == 0.0 && self.t_end.is_none() {
            return Err(Error::Input(
                "the stimulus changes over time; give --t-end, or a --t-transient after which it no longer does".into(),
            ));
        }
        let upstroke = match self.upstroke {
            From::SteepestRise => Upstroke::SteepestRise,
            From::Crossing => Upstroke::Crossing,
        };
        let definitions = BiomarkerOptions { threshold, pause: self.pause, upstroke };
        let default = ObserveOptions::new(definitions);
        Ok(ObserveOptions {
            t_transient,
            bursts: self.bursts as usize,
            t_end,
            fixed: self.t_end.is_some(),
            dt: self.dt,
            solve: SolveOptions::default(),
            ..default
        })
    }

    fn warn(&self, shared: &Shared, spec: &Spec, seen: &Observation) {
        if seen.extrapolated > 0 {
            let (outside, of) = (seen.extrapolated, seen.states);
            shared.warn(&format!("{outside} of {of} states are outside the training range (of state or parameters)"));
        }
        if seen.resolved == Some(false) {
            shared.warn(&format!("no sampling step down to {} gave the same spikes as its half; give --dt", seen.potential.dt()));
        }
        let advice = match seen.stopped {
            Stopped::TimeLimit => "see --t-limit",
            Stopped::SampleLimit => "take a larger --dt",
            Stopped::EnoughBursts | Stopped::EnoughSpikes | Stopped::AtRest | Stopped::AsAsked => return,
        };
        let v = &seen.potential;
        let (t, unit, bursts) = (v.time(v.len() - 1), &spec.time_unit, self.bursts);
        shared.warn(&format!("stopped at t = {t} {unit} before {bursts} bursts, or 20 times as many spikes without a pause; {advice}"));
    }
}

fn document(spec: &Spec, q: &Quantity, options: &ObserveOptions, seen: &Observation) -> Value {
    let b = &seen.biomarkers;
    let v = &seen.potential;
    let rate = format!("{}/{}", q.unit, spec.time_unit);
    json!({
        "regime": b.regime,
        "burst_period": b.burst_period,
        "spikes_per_burst": b.spikes_per_burst,
        "duty_cycle": b.duty_cycle,
        "isi": b.isi,
        "spike_count": b.spikes.len(),
        "complete_bursts": b.complete_bursts,
        "incomplete_bursts": b.incomplete_bursts,
        "incomplete_action_potentials": b.incomplete_action_potentials(),
        "begins_within_an_action_potential": b.begins_within_an_action_potential,
        "recording": {
            "start": v.time(0),
            "end": v.time(v.len() - 1),
            "dt": v.dt(),
            "dt_resolves_spikes": seen.resolved,
            "stopped": seen.stopped,
            "extrapolated_states": seen.extrapolated,
        },
        "definitions": {
            "variable": q.name,
            "threshold": options.definitions.threshold,
            "pause": options.definitions.pause,
            "upstroke": options.definitions.upstroke,
        },
        "units": { "time": spec.time_unit, q.name.as_str(): q.unit, "dvdt_max": rate },
        "spikes": b.spikes,
        "bursts": b.bursts,
        "action_potentials": b.action_potentials,
    })
}

fn show(spec: &Spec, q: &Quantity, stimulated: bool, seen: &Observation) -> Result<()> {
    let (b, v, time) = (&seen.biomarkers, &seen.potential, spec.time_unit.as_str());
    let number = |x: Option<f64>, unit: &str| x.map_or("-".into(), |x| format!("{} {unit}", table::short(x)));
    let stopped = match seen.stopped {
        Stopped::EnoughBursts => "enough bursts",
        Stopped::EnoughSpikes => "enough spikes without a pause",
        Stopped::AtRest => "at rest",
        Stopped::TimeLimit => "the largest time was reached",
        Stopped::SampleLimit => "as many samples as are kept",
        Stopped::AsAsked => "as asked",
    };
    let (from, to, dt) = (table::short(v.time(0)), table::short(v.time(v.len() - 1)), table::short(v.dt()));
    let first = format!("{:?}", b.regime).to_lowercase();
    let mut rows = vec![
        ("regime", first),
        ("recorded", format!("{from} to {to} {time} in steps of {dt}: {stopped}")),
        ("spikes", b.spikes.len().to_string()),
        ("burst period", number(b.burst_period, time)),
        ("spikes a burst", number(b.spikes_per_burst, "")),
        ("duty cycle", number(b.duty_cycle, "")),
        ("bursts", format!("{} complete, {} not", b.complete_bursts, b.incomplete_bursts)),
    ];
    if let Some(i) = b.isi {
        let [mean, min, max, median, cv] = [i.mean, i.min, i.max, i.median, i.cv].map(table::short);
        rows.push(("intervals", format!("mean {mean}, from {min} to {max}, median {median} {time}; cv {cv}")));
    }
    let whole: Vec<&ActionPotential> = b.action_potentials.iter().filter(|a| a.complete).collect();
    let mean = |f: fn(&ActionPotential) -> f64| (!whole.is_empty()).then(|| whole.iter().map(|a| f(a)).sum::<f64>() / whole.len() as f64);
    let cut = if b.begins_within_an_action_potential { ", and one that had begun before" } else { "" };
    rows.push(("action potentials", format!("{} complete, {} not{cut}", whole.len(), b.incomplete_action_potentials())));
    rows.push(("peak, mean", number(mean(|a| a.peak), &q.unit)));
    rows.push(("rest, mean", number(mean(|a| a.rest), &q.unit)));
    rows.push(("APD90, mean", number(mean(|a| a.apd90.unwrap_or(f64::NAN)), time)));
    rows.push(("dV/dt max, mean", number(mean(|a| a.dvdt_max), &format!("{}/{time}", q.unit))));
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    print(|w| {
        table::write(w, &rows)?;
        if !stimulated || b.action_potentials.is_empty() {
            return Ok(());
        }
        writeln!(w)?;
        table::write(w, &action_potentials(spec, q, b))?;
        let more = b.action_potentials.len().saturating_sub(MOST_ROWS);
        if more > 0 { writeln!(w, "and {more} more: see --json") } else { Ok(()) }
    })
}

fn action_potentials(spec: &Spec, q: &Quantity, b: &Biomarkers) -> Vec<Vec<String>> {
    let (time, unit) = (&spec.time_unit, &q.unit);
    let header = [
        format!("upstroke ({time})"),
        format!("rest ({unit})"),
        format!("peak ({unit})"),
        format!("amplitude ({unit})"),
        format!("APD50 ({time})"),
        format!("APD90 ({time})"),
        format!("dV/dt max ({unit}/{time})"),
        String::new(),
    ];
    let row = |a: &ActionPotential| {
        let optional = |x: Option<f64>| x.map_or("-".into(), table::short);
        let [upstroke, rest, peak, amplitude, dvdt] = [a.upstroke, a.rest, a.peak, a.amplitude, a.dvdt_max].map(table::short);
        let end = if a.complete { "" } else { "incomplete" };
        vec![upstroke, rest, peak, amplitude, optional(a.apd50), optional(a.apd90), dvdt, end.into()]
    };
    std::iter::once(header.to_vec()).chain(b.action_potentials.iter().take(MOST_ROWS).map(row)).collect()
}

fn figure(spec: &Spec, p: &[f64], q: &Quantity, threshold: f64, seen: &Observation) -> Figure {
    let (v, b) = (&seen.potential, &seen.biomarkers);
    let role = if spec.trained_on.is_some() { Role::Orbit } else { Role::Equations };
    let changed = spec.parameters.iter().zip(p).filter(|(q, v)| q.default != **v).map(|(q, v)| format!("{} = {v} {}", q.name, q.unit));
    let first = format!("{:?}, {} spikes", b.regime, b.spikes.len());
    let caption = std::iter::once(first).chain(changed).collect::<Vec<_>>().join(", ");
    let panel = |from: f64, to: f64| {
        let inside = |t: &f64| (from..=to).contains(t);
        let (time, potential): (Vec<f64>, Vec<f64>) = (0..v.len()).map(|k| (v.time(k), v.samples()[k])).filter(|(t, _)| inside(t)).unzip();
        let spikes: Vec<f64> = b.spikes.iter().copied().filter(inside).collect();
        let level = vec![threshold; spikes.len()];
        Panel::new("", Axis::new("time", &spec.time_unit), Axis::new(&q.name, &q.unit))
            .with_height(200.0)
            .with(Series::line("", role, time, potential))
            .with(Series::line("threshold", Role::Guide, vec![from, to], vec![threshold; 2]))
            .with(Series::points("spikes", Role::Second, spikes, level))
    };
    let figure = Figure::new("spikes", &spec.id, &caption).with(panel(v.time(0), v.time(v.len() - 1)));
    match detail(b) {
        Some([from, to]) => figure.with(panel(from, to)),
        None => figure,
    }
}

/// A stretch in which single spikes can be seen where the whole does not show them: the first burst with its pauses, or the first few spikes.
fn detail(b: &Biomarkers) -> Option<[f64; 2]> {
    if b.spikes.len() <= MOST_ROWS {
        return None;
    }
    let complete = b.bursts.iter().position(|b| b.complete);
    Some(complete.map_or([b.spikes[0], b.spikes[MOST_ROWS / 2]], |k| [b.bursts[k - 1].end, b.bursts[k + 1].start]))
}
