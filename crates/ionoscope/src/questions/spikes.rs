//! Spikes, bursts and action potentials.

use ionoscope_analysis::biomarkers::{
    ActionPotential, BiomarkerOptions, Biomarkers, OWN_SHARE, Observation, ObserveOptions,
    Response, Stopped, Upstroke, observe,
};
use ionoscope_dynamics::{
    protocol::Protocol,
    spec::{Quantity, Spec},
    trajectory::SolveOptions,
    watch::Watcher,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::question::Question;
use crate::{
    Error, Result,
    answer::{Answer, Text},
    named::named,
    report::{
        figure::{Axis, Figure, Panel, Role, Series},
        table::{Column, Format, Table},
    },
    subject::Subject,
    text::short,
};

/// Rows of the table of action potentials that are printed; the document and the table have all.
const MOST_ROWS: usize = 20;
/// Points of a line over a panel, at least.
const LINE: f64 = 2000.0;
/// Bursts that can be waited for.
const MOST_BURSTS: u32 = 1_000_000;

/// Counts spikes and bursts and measures action potentials, after a transient and over enough of them
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[serde(default, deny_unknown_fields)]
pub struct Spikes {
    /// Time to leave out at the beginning [default: until the cell is seen to rest, to repeat itself or to go on in the same way; 0 with a stimulus that changes over time]
    #[cfg_attr(feature = "clap", arg(long, value_name = "T", value_parser = crate::options::number, allow_negative_numbers = true))]
    pub t_transient: Option<f64>,
    /// Complete bursts to wait for, or 20 times as many spikes where there is no pause
    #[cfg_attr(feature = "clap", arg(long, value_name = "N", default_value_t = Spikes::default().bursts, value_parser = clap::value_parser!(u32).range(1..=1_000_000), allow_negative_numbers = true))]
    pub bursts: u32,
    /// Record up to this time, transient included, whatever there is to see; needed with a stimulus that changes after the transient
    #[cfg_attr(feature = "clap", arg(long, value_name = "T", value_parser = crate::options::positive, allow_negative_numbers = true))]
    pub t_end: Option<f64>,
    /// Time, transient included, after which waiting ends [default: measured on the cell]
    #[cfg_attr(feature = "clap", arg(long, value_name = "T", value_parser = crate::options::positive, allow_negative_numbers = true, conflicts_with = "t_end"))]
    pub t_limit: Option<f64>,
    /// Variable to look at [default: the membrane potential]
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME"))]
    pub variable: Option<String>,
    /// A spike is an upward crossing of this value [default: the system's own]
    #[cfg_attr(feature = "clap", arg(long, value_name = "V", value_parser = crate::options::number, allow_negative_numbers = true))]
    pub threshold: Option<f64>,
    /// A burst ends where an interval exceeds so many usual ones, the longest of the shorter half of all
    #[cfg_attr(feature = "clap", arg(long, value_name = "N", default_value_t = Spikes::default().pause, value_parser = crate::options::positive, allow_negative_numbers = true))]
    pub pause: f64,
    /// From when durations of action potentials are counted
    #[cfg_attr(
        feature = "clap",
        arg(long, value_enum, default_value = "steepest-rise")
    )]
    pub upstroke: From,
    /// Spacing of the samples, with a cubic between them [default: the step of a map; equations need none, the integrator's own polynomials are looked at]
    #[cfg_attr(feature = "clap", arg(long, value_name = "DT", value_parser = crate::options::positive, allow_negative_numbers = true))]
    pub dt: Option<f64>,
}

/// From when durations of action potentials are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// The steepest rise between rest and peak
    SteepestRise,
    /// The upward crossing of the threshold
    Crossing,
}

impl Default for Spikes {
    fn default() -> Self {
        Spikes {
            t_transient: None,
            bursts: 10,
            t_end: None,
            t_limit: None,
            variable: None,
            threshold: None,
            pause: BiomarkerOptions::at(0.0).pause,
            upstroke: From::SteepestRise,
            dt: None,
        }
    }
}

impl Question for Spikes {
    fn ask(&self, subject: &Subject, watch: &Watcher) -> Result<Answer> {
        self.check()?;
        let Subject {
            spec,
            p,
            x0,
            protocol,
            ..
        } = subject;
        let variable = self.variable(spec)?;
        let options = self.options(spec, variable, protocol)?;
        let seen = watch.unless_stopped(observe(
            subject.system()?,
            variable,
            x0,
            p,
            protocol,
            &options,
        ))?;
        let (q, threshold) = (&spec.variables[variable], options.definitions.threshold);
        let mut document = document(spec, q, &options, &seen);
        document["system"] = json!(spec.id);
        document["preset"] = json!(subject.preset);
        document["parameters"] = named(&spec.parameters, p);
        document["x0"] = named(&spec.variables, x0);
        document["protocol"] = json!((!protocol.is_none()).then_some(protocol));
        document["code_version"] = json!(env!("CARGO_PKG_VERSION"));
        let mut answer = Answer::new(document);
        self.warn(&mut answer, spec, q, threshold, &seen);
        write(&mut answer, spec, q, !protocol.is_none(), &seen);
        answer
            .tables
            .push(responses_table(spec, q, &seen.biomarkers));
        answer.figures.push(figure(spec, p, q, threshold, &seen));
        Ok(answer)
    }
}

impl Spikes {
    /// What the command line refuses when it reads.
    fn check(&self) -> Result<()> {
        if !(1..=MOST_BURSTS).contains(&self.bursts) {
            return Err(Error::Input(format!(
                "{} bursts; expected 1 to {MOST_BURSTS}",
                self.bursts
            )));
        }
        for (name, value) in [
            ("t_end", self.t_end),
            ("t_limit", self.t_limit),
            ("pause", Some(self.pause)),
            ("dt", self.dt),
        ] {
            if let Some(value) = value.filter(|v| !(v.is_finite() && *v > 0.0)) {
                return Err(Error::Input(format!(
                    "{name} = {value}; expected a finite number larger than 0"
                )));
            }
        }
        if self.t_end.is_some() && self.t_limit.is_some() {
            return Err(Error::Input(
                "a fixed end and a limit of waiting; give one of t_end and t_limit".into(),
            ));
        }
        Ok(())
    }

    fn variable(&self, spec: &Spec) -> Result<usize> {
        match self.variable.as_ref().or(spec.membrane_potential.as_ref()) {
            Some(name) => Ok(spec.variable_index(name)?),
            None => {
                let names: Vec<&str> = spec.variables.iter().map(|q| q.name.as_str()).collect();
                Err(Error::Input(format!(
                    "{} has no membrane potential; give --variable, one of {}",
                    spec.id,
                    names.join(", ")
                )))
            }
        }
    }

    fn options(&self, spec: &Spec, variable: usize, protocol: &Protocol) -> Result<ObserveOptions> {
        let name = &spec.variables[variable].name;
        let own = spec
            .spike_threshold
            .filter(|_| spec.membrane_potential.as_ref() == Some(name));
        let threshold = self.threshold.or(own).ok_or_else(|| {
            let unit = &spec.variables[variable].unit;
            Error::Input(format!(
                "{} does not say above which {name} a spike is; give --threshold (in {unit})",
                spec.id
            ))
        })?;
        let t_end = self.t_end.or(self.t_limit);
        let changes = protocol.constant_from() != Some(0.0);
        let t_transient = self.t_transient.or(changes.then_some(0.0));
        if changes && t_transient == Some(0.0) && self.t_end.is_none() {
            return Err(Error::Input(
                "the stimulus changes over time; give --t-end, or a --t-transient after which it no longer does".into(),
            ));
        }
        let upstroke = match self.upstroke {
            From::SteepestRise => Upstroke::SteepestRise,
            From::Crossing => Upstroke::Crossing,
        };
        let definitions = BiomarkerOptions {
            threshold,
            pause: self.pause,
            upstroke,
        };
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

    fn warn(
        &self,
        answer: &mut Answer,
        spec: &Spec,
        q: &Quantity,
        threshold: f64,
        seen: &Observation,
    ) {
        if seen.extrapolated > 0 {
            let (outside, of) = (seen.extrapolated, seen.states);
            answer.warnings.push(format!(
                "{outside} of {of} states are outside the training range (of state or parameters)"
            ));
        }
        if let Some(swing) = seen.swing {
            let (unit, [low, high, at]) =
                (&q.unit, [swing.low, swing.high, swing.threshold].map(short));
            answer.warnings.push(format!(
                "no spike, but {} swings between {low} and {high} {unit} without crossing {threshold}; --threshold {at} shows {} spikes",
                q.name, swing.spikes
            ));
        }
        if let Some(scales) = seen.scales.as_ref().filter(|s| !s.settled) {
            let (t, unit) = (short(scales.followed), &spec.time_unit);
            answer.warnings.push(format!(
                "{} had not settled after {t} {unit}; give a longer --t-end, or --t-transient",
                spec.id
            ));
        }
        let advice = match seen.stopped {
            Stopped::TimeLimit => "see --t-limit",
            Stopped::SampleLimit => "no more is kept in memory; give a --t-end",
            Stopped::EnoughBursts
            | Stopped::EnoughSpikes
            | Stopped::AtRest
            | Stopped::NoSpikes
            | Stopped::AsAsked => return,
        };
        let v = &seen.potential;
        let (t, unit, bursts) = (v.end(), &spec.time_unit, self.bursts);
        answer
            .warnings
            .push(format!("stopped at t = {t} {unit} before {bursts} bursts, or 20 times as many spikes without a pause; {advice}"));
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
        "means": means(b),
        "capture": b.capture,
        "alternans": b.alternans,
        "swing_without_spikes": seen.swing,
        "recording": {
            "start": v.start(),
            "end": v.end(),
            "dt": v.dt(),
            "pieces": v.pieces(),
            "stopped": seen.stopped,
            "settled": seen.scales.as_ref().map(|s| s.settled),
            "motion": seen.scales.as_ref().map(|s| s.motion),
            "period_of_motion": seen.scales.as_ref().and_then(|s| s.period),
            "extrapolated_states": seen.extrapolated,
        },
        "definitions": {
            "variable": q.name,
            "threshold": options.definitions.threshold,
            "pause": options.definitions.pause,
            "upstroke": options.definitions.upstroke,
            "own_share": OWN_SHARE,
        },
        "units": { "time": spec.time_unit, q.name.as_str(): q.unit, "dvdt_max": rate },
        "spikes": b.spikes,
        "bursts": b.bursts,
        "action_potentials": b.action_potentials,
        "failed_captures": b.failed_captures,
        "early_afterdepolarizations": b.afterdepolarizations,
    })
}

/// Means over the complete action potentials; none without any.
fn means(b: &Biomarkers) -> Option<Value> {
    let whole: Vec<&ActionPotential> = b.complete_action_potentials().collect();
    let mean = |f: fn(&ActionPotential) -> f64| {
        whole.iter().map(|a| f(a)).sum::<f64>() / whole.len() as f64
    };
    (!whole.is_empty()).then(|| {
        json!({
            "action_potentials": whole.len(),
            "peak": mean(|a| a.peak),
            "rest": mean(|a| a.rest),
            "amplitude": mean(|a| a.amplitude),
            "apd50": mean(|a| a.apd50.unwrap_or(f64::NAN)),
            "apd90": mean(|a| a.apd90.unwrap_or(f64::NAN)),
            "dvdt_max": mean(|a| a.dvdt_max),
        })
    })
}

fn write(answer: &mut Answer, spec: &Spec, q: &Quantity, stimulated: bool, seen: &Observation) {
    let (b, v, time) = (&seen.biomarkers, &seen.potential, spec.time_unit.as_str());
    let number =
        |x: Option<f64>, unit: &str| x.map_or("-".into(), |x| format!("{} {unit}", short(x)));
    let stopped = match seen.stopped {
        Stopped::EnoughBursts => "enough bursts",
        Stopped::EnoughSpikes => "enough spikes without a pause",
        Stopped::AtRest => "at rest",
        Stopped::NoSpikes => "it repeats itself without a spike",
        Stopped::TimeLimit => "the largest time was reached",
        Stopped::SampleLimit => "as many samples as are kept",
        Stopped::AsAsked => "as asked",
    };
    let (from, to) = (short(v.start()), short(v.end()));
    let steps = v
        .dt()
        .map_or(format!("the integrator's {} steps", v.pieces()), |dt| {
            format!("samples every {}", short(dt))
        });
    let first = format!("{:?}", b.regime).to_lowercase();
    let mut rows = vec![
        ("regime", first),
        (
            "recorded",
            format!("{from} to {to} {time}, {steps}: {stopped}"),
        ),
        ("spikes", b.spikes.len().to_string()),
        ("burst period", number(b.burst_period, time)),
        ("spikes a burst", number(b.spikes_per_burst, "")),
        ("duty cycle", number(b.duty_cycle, "")),
        (
            "bursts",
            format!(
                "{} complete, {} not",
                b.complete_bursts, b.incomplete_bursts
            ),
        ),
    ];
    if let Some(i) = b.isi {
        let [mean, min, max, median, cv] = [i.mean, i.min, i.max, i.median, i.cv].map(short);
        rows.push((
            "intervals",
            format!("mean {mean}, from {min} to {max}, median {median} {time}; cv {cv}"),
        ));
    }
    let mean = |name: &str| means(b).and_then(|means| means[name].as_f64());
    if let Some(s) = seen.swing {
        let [low, high, at] = [s.low, s.high, s.threshold].map(short);
        rows.push((
            "swing",
            format!(
                "from {low} to {high} {}, without a spike; --threshold {at} shows {}",
                q.unit, s.spikes
            ),
        ));
    }
    if let Some(c) = b.capture {
        let open = if c.open > 0 {
            format!(", {} at the end not known", c.open)
        } else {
            String::new()
        };
        let ratio = c
            .ratio
            .map_or(String::new(), |r| format!(": {} %", short(100.0 * r)));
        rows.push((
            "capture",
            format!("{} of {} stimuli{ratio}{open}", c.captured, c.stimuli),
        ));
    }
    if !b.failed_captures.is_empty() {
        rows.push((
            "failed captures",
            format!(
                "{} over the threshold by the stimulus alone",
                b.failed_captures.len()
            ),
        ));
    }
    if !b.afterdepolarizations.is_empty() {
        rows.push((
            "afterdepolarizations",
            format!("{} early", b.afterdepolarizations.len()),
        ));
    }
    let cut = if b.begins_within_an_action_potential {
        ", and one that had begun before"
    } else {
        ""
    };
    rows.push((
        "action potentials",
        format!(
            "{} complete, {} not{cut}",
            b.complete_action_potentials().count(),
            b.incomplete_action_potentials()
        ),
    ));
    rows.push(("peak, mean", number(mean("peak"), &q.unit)));
    rows.push(("rest, mean", number(mean("rest"), &q.unit)));
    rows.push(("APD90, mean", number(mean("apd90"), time)));
    rows.push((
        "dV/dt max, mean",
        number(mean("dvdt_max"), &format!("{}/{time}", q.unit)),
    ));
    if let Some(a) = b.alternans {
        let [long, short, last] = [a.long, a.short, a.last].map(short);
        let dying = if a.lasting { "" } else { ", dying away" };
        rows.push(("alternans", format!("APD90 {long} and {short} {time} in turn, their difference {last} {time} at the end{dying}")));
    }
    answer.text.push(Text::Cells(
        rows.into_iter()
            .map(|(name, value)| vec![name.to_owned(), value])
            .collect(),
    ));
    let responses = b.action_potentials.len() + b.failed_captures.len();
    if !stimulated || responses == 0 {
        return;
    }
    answer.line("");
    answer.text.push(Text::Cells(action_potentials(spec, q, b)));
    let more = responses.saturating_sub(MOST_ROWS);
    if more > 0 {
        answer.line(format!("and {more} more: see --json"));
    }
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
        let optional = |x: Option<f64>| x.map_or("-".into(), short);
        let [upstroke, rest, peak, amplitude, dvdt] =
            [a.upstroke, a.rest, a.peak, a.amplitude, a.dvdt_max].map(short);
        let mut remarks: Vec<String> = match a.kind {
            Response::ActionPotential => vec![],
            Response::Incomplete => vec!["incomplete".into()],
            Response::FailedCapture => vec!["failed capture".into()],
        };
        if a.disturbed > 0 {
            remarks.push("a failed stimulus before its end".into());
        }
        if a.afterdepolarizations > 0 {
            remarks.push(format!(
                "{} early afterdepolarizations",
                a.afterdepolarizations
            ));
        }
        vec![
            upstroke,
            rest,
            peak,
            amplitude,
            optional(a.apd50),
            optional(a.apd90),
            dvdt,
            remarks.join(", "),
        ]
    };
    std::iter::once(header.to_vec())
        .chain(responses(b).into_iter().take(MOST_ROWS).map(row))
        .collect()
}

/// Action potentials and failed captures in the order of time.
fn responses(b: &Biomarkers) -> Vec<&ActionPotential> {
    let mut all: Vec<&ActionPotential> = b
        .action_potentials
        .iter()
        .chain(&b.failed_captures)
        .collect();
    all.sort_by(|a, b| a.upstroke.total_cmp(&b.upstroke));
    all
}

/// All of them with every digit.
fn responses_table(spec: &Spec, q: &Quantity, b: &Biomarkers) -> Table {
    let (time, unit, digits) = (&spec.time_unit, &q.unit, Format::Significant(5));
    let mut columns = vec![
        Column::number("upstroke", time, digits),
        Column::text("kind"),
    ];
    columns.extend(["rest", "peak", "amplitude"].map(|name| Column::number(name, unit, digits)));
    columns.extend(["apd50", "apd90"].map(|name| Column::number(name, time, digits)));
    columns.push(Column::number(
        "dvdt_max",
        &format!("{unit}/{time}"),
        digits,
    ));
    columns.push(Column::number(
        "early_afterdepolarizations",
        "",
        Format::Shortest,
    ));
    let mut table = Table::new(
        "action_potentials",
        "Action potentials and failed captures, in the order of time.",
        columns,
    );
    for a in responses(b) {
        let kind = match a.kind {
            Response::ActionPotential => "action potential",
            Response::Incomplete => "incomplete",
            Response::FailedCapture => "failed capture",
        };
        let mut row = vec![
            a.upstroke.into(),
            kind.into(),
            a.rest.into(),
            a.peak.into(),
            a.amplitude.into(),
        ];
        row.extend([
            a.apd50.into(),
            a.apd90.into(),
            a.dvdt_max.into(),
            a.afterdepolarizations.into(),
        ]);
        table.push(row);
    }
    table
}

fn figure(spec: &Spec, p: &[f64], q: &Quantity, threshold: f64, seen: &Observation) -> Figure {
    let (v, b) = (&seen.potential, &seen.biomarkers);
    let role = if spec.trained_on.is_some() {
        Role::Orbit
    } else {
        Role::Equations
    };
    let changed = spec
        .parameters
        .iter()
        .zip(p)
        .filter(|(q, v)| q.default != **v)
        .map(|(q, v)| format!("{} = {v} {}", q.name, q.unit));
    let first = format!("{:?}, {} spikes", b.regime, b.spikes.len());
    let caption = std::iter::once(first)
        .chain(changed)
        .collect::<Vec<_>>()
        .join(", ");
    let panel = |from: f64, to: f64| {
        let inside = |t: &f64| (from..=to).contains(t);
        let (time, potential) = v.line(from, to, LINE);
        let spikes: Vec<f64> = b.spikes.iter().copied().filter(inside).collect();
        let level = vec![threshold; spikes.len()];
        Panel::new(
            "",
            Axis::new("time", &spec.time_unit),
            Axis::new(&q.name, &q.unit),
        )
        .with_height(200.0)
        .with(Series::line("", role, time, potential))
        .with(Series::line(
            "threshold",
            Role::Guide,
            vec![from, to],
            vec![threshold; 2],
        ))
        .with(Series::points("spikes", Role::Second, spikes, level))
    };
    let figure = Figure::new("spikes", &spec.id, &caption).with(panel(v.start(), v.end()));
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
    Some(
        complete.map_or([b.spikes[0], b.spikes[MOST_ROWS / 2]], |k| {
            [b.bursts[k - 1].end, b.bursts[k + 1].start]
        }),
    )
}
