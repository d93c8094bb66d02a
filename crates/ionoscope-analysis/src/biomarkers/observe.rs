//! Runs a system until there is enough to count, at a step that resolves its spikes.

use ionoscope_dynamics::{
    protocol::Protocol,
    system::{DynamicalSystem, Time},
    trajectory::Experiment,
    trajectory::{SolveOptions, TimeGrid, Trajectory},
};
use serde::{Deserialize, Serialize};

use super::{ActionPotential, BiomarkerOptions, Biomarkers, Potential, biomarkers};
use crate::{Error, Result};

/// Two steps agree when no crossing differs by more than this share of the median interval or of the duration of an action potential, no peak
/// by more of the amplitude.
const RESOLVED: f64 = 1e-4;
/// Durations may differ by ten times that, and the largest slope, which is found less well, by this share.
const RESOLVED_SLOPE: f64 = 1e-2;
/// Halvings after which a step is taken as it is.
const MOST_HALVINGS: usize = 12;
/// Without a pause so many spikes a burst that was asked for are spiking: more than bursts of beta-cells have.
const SPIKES_A_BURST: usize = 20;
/// A state that moves less than this share of its ranges over a window is at rest.
const REST: f64 = 1e-6;
/// Largest number of samples that are kept: 400 MiB with their slopes.
const MOST_SAMPLES: usize = 1 << 24;
/// Largest number of values of one trajectory: 256 MiB.
const MOST_VALUES: usize = 1 << 25;

/// How long to watch, and how closely.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObserveOptions {
    /// Time that is left out at the beginning; for a map a whole number of steps, rounded up.
    pub t_transient: f64,
    /// Complete bursts to wait for; or 20 times as many spikes where there is no pause.
    pub bursts: usize,
    /// Time, transient included, after which watching ends whatever was seen; for [`ObserveOptions::fixed`] the end of the recording.
    pub t_end: f64,
    /// Whether to watch up to `t_end` without looking before whether there is enough. Needed where the stimulus changes after the transient.
    pub fixed: bool,
    /// Length of the first window; each further one is as long as all before.
    pub window: f64,
    /// Spacing of the samples. `None`: for a map its step; for a flow the mean step of the integrator, halved until spikes, peaks, durations and
    /// slopes stay, and then once more.
    pub dt: Option<f64>,
    /// Definitions.
    pub definitions: BiomarkerOptions,
    /// Of the solver.
    pub solve: SolveOptions,
}

impl ObserveOptions {
    /// A transient of 100 and a first window of 100 units of time, 10 bursts, at most 10 000 units.
    pub fn new(definitions: BiomarkerOptions) -> Self {
        let solve = SolveOptions::default();
        ObserveOptions { t_transient: 100.0, bursts: 10, t_end: 10_000.0, fixed: false, window: 100.0, dt: None, definitions, solve }
    }

    fn check(&self) -> Result<()> {
        if !(self.t_transient >= 0.0 && self.t_end > self.t_transient && self.t_end.is_finite()) {
            let (a, b) = (self.t_transient, self.t_end);
            return Err(Error::Invalid(format!("a transient of {a} and an end at {b}; expected 0 or more, and a later end")));
        }
        for (what, value) in [("window", self.window), ("sampling step", self.dt.unwrap_or(1.0))] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::Invalid(format!("the {what} is {value}; expected a finite number larger than 0")));
            }
        }
        if self.bursts == 0 {
            return Err(Error::Invalid("0 bursts; expected at least one".into()));
        }
        self.definitions.check()
    }
}

/// Why watching ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stopped {
    /// As many complete bursts as were asked for.
    EnoughBursts,
    /// As many spikes without a pause as are taken for spiking.
    EnoughSpikes,
    /// Nothing moves any more.
    AtRest,
    /// The largest time was reached before there was enough.
    TimeLimit,
    /// As many samples as are kept were taken before there was enough.
    SampleLimit,
    /// The time that was asked for.
    AsAsked,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The potential after the transient.
    pub potential: Potential,
    /// What was counted in it.
    pub biomarkers: Biomarkers,
    /// Why watching ended.
    pub stopped: Stopped,
    /// Whether the sampling step was found to resolve spikes and peaks; `None` where it was given.
    pub resolved: Option<bool>,
    /// States outside what a surrogate was trained on; never for equations.
    pub extrapolated: usize,
    /// Number of states.
    pub states: usize,
}

/// Watches variable `variable` of a system from `x0`.
///
/// # Errors
/// Options that make no sense; a stimulus that changes after the transient without [`ObserveOptions::fixed`]; a recording that does not fit in memory;
/// whatever the solver refuses or fails at.
pub fn observe(
    system: &dyn DynamicalSystem,
    variable: usize,
    x0: &[f64],
    p: &[f64],
    protocol: &Protocol,
    options: &ObserveOptions,
) -> Result<Observation> {
    options.check()?;
    let watch = Watch { system, variable, p, solve: &options.solve };
    let own = match system.time() {
        Time::Continuous => None,
        Time::Discrete { dt } => Some(dt),
    };
    // From here on time is counted in the stimulus' own; a window begins at `begin` in state `x`.
    let transient = own.map_or(options.t_transient, |dt| (options.t_transient / dt - 1e-6).ceil() * dt);
    if options.fixed {
        return watch.fixed(x0, protocol, transient, own, options);
    }
    let signal = protocol.signal(options.t_end);
    let last = &signal.pieces[signal.pieces.len() - 1];
    if last.slope != 0.0 || !last.waves.is_empty() || last.start > transient {
        return Err(Error::Invalid(format!(
            "the stimulus still changes after the transient of {transient}, so that nothing can be waited for; say when to end"
        )));
    }
    let constant = if last.offset == 0.0 { Protocol::none() } else { Protocol::constant(last.offset) };
    let start = watch.run(x0, protocol, TimeGrid::new(transient, own.unwrap_or(1.0), 1)?)?;
    let first = options.window.min(options.t_end - transient);
    let (dt, resolved) = match options.dt.or(own) {
        Some(dt) => (watch.multiple(dt, own)?, None),
        None => watch.resolve(&start.x, &constant, 0.0, first, options)?,
    };
    let steps = |t: f64| ((t / dt - 1e-6).ceil() as usize).max(1);
    let most = ((options.t_end - transient) / dt - 1e-6).ceil().clamp(1.0, MOST_SAMPLES as f64) as usize;
    if first / dt > MOST_SAMPLES as f64 {
        return Err(too_many(first, dt, MOST_SAMPLES));
    }
    let mut x = start.x;
    let mut seen: Option<Potential> = None;
    let (mut extrapolated, mut states) = (0, 0);
    loop {
        let so_far = seen.as_ref().map_or(0, |v| v.len() - 1);
        let count = if so_far == 0 { steps(first) } else { so_far }.min(most - so_far).min(MOST_VALUES / system.dimension());
        let t = watch.run(&x, &constant, TimeGrid::new(0.0, dt, count + 1)?)?;
        let begin = transient + so_far as f64 * dt;
        let v = Potential::of(system, variable, p, &constant.signal(1.0), begin, dt, &t.x)?;
        extrapolated += (1..t.len()).filter(|k| system.spec().extrapolates(t.state(*k), p)).count();
        states += count;
        match &mut seen {
            Some(seen) => seen.append(v),
            None => seen = Some(v),
        }
        x = t.state(count).to_vec();
        let Some(v) = &seen else { continue };
        let counted = biomarkers(v, &options.definitions)?;
        let stopped = match () {
            () if counted.complete_bursts >= options.bursts => Some(Stopped::EnoughBursts),
            () if counted.bursts.is_empty() && counted.spikes.len() > SPIKES_A_BURST * options.bursts => Some(Stopped::EnoughSpikes),
            () if watch.at_rest(&t) => Some(Stopped::AtRest),
            () if so_far + count >= MOST_SAMPLES => Some(Stopped::SampleLimit),
            () if so_far + count >= most => Some(Stopped::TimeLimit),
            () => None,
        };
        if let Some(stopped) = stopped {
            let potential = v.clone();
            return Ok(Observation { potential, biomarkers: counted, stopped, resolved, extrapolated, states });
        }
    }
}

fn too_many(window: f64, dt: f64, most: usize) -> Error {
    let steps = window / dt;
    Error::Invalid(format!(
        "a recording of {window} in steps of {dt} has {steps:.3e} steps; expected 1 to {most}: take another step or a shorter recording"
    ))
}

/// A system that is watched.
struct Watch<'a> {
    system: &'a dyn DynamicalSystem,
    variable: usize,
    p: &'a [f64],
    solve: &'a SolveOptions,
}

impl Watch<'_> {
    fn run(&self, x0: &[f64], protocol: &Protocol, times: TimeGrid) -> Result<Trajectory> {
        let e = Experiment { x0: x0.to_vec(), p: self.p.to_vec(), protocol: protocol.clone(), times };
        Ok(self.system.simulate(&e, self.solve)?)
    }

    /// The whole recording at once, under a stimulus of any kind.
    fn fixed(&self, x0: &[f64], protocol: &Protocol, transient: f64, own: Option<f64>, options: &ObserveOptions) -> Result<Observation> {
        let window = options.t_end - transient;
        let (dt, resolved) = match options.dt.or(own) {
            Some(dt) => (self.multiple(dt, own)?, None),
            None => self.resolve(x0, protocol, transient, window, options)?,
        };
        let (t, potential) = self.record(x0, protocol, transient, window, dt)?;
        let biomarkers = biomarkers(&potential, &options.definitions)?;
        let extrapolated = (0..t.len()).filter(|k| self.system.spec().extrapolates(t.state(*k), self.p)).count();
        Ok(Observation { potential, biomarkers, stopped: Stopped::AsAsked, resolved, extrapolated, states: t.len() })
    }

    /// From `begin` over a window, of which the end is included when it is whole to 1e-6 of a step.
    fn record(&self, x0: &[f64], protocol: &Protocol, begin: f64, window: f64, dt: f64) -> Result<(Trajectory, Potential)> {
        let steps = (window / dt + 1e-6).floor();
        let most = MOST_VALUES / self.system.dimension();
        if !(steps >= 1.0 && steps < most as f64) {
            return Err(too_many(window, dt, most));
        }
        let t = self.run(x0, protocol, TimeGrid::new(begin, dt, steps as usize + 1)?)?;
        let signal = protocol.signal(begin + window);
        let v = Potential::of(self.system, self.variable, self.p, &signal, begin, dt, &t.x)?;
        Ok((t, v))
    }

    /// A step that resolves spikes and peaks of a window, and whether it was found.
    fn resolve(&self, x0: &[f64], protocol: &Protocol, begin: f64, window: f64, options: &ObserveOptions) -> Result<(f64, Option<bool>)> {
        // What the integrator needs to follow the window is the cell's own time scale; the pieces of a stimulus cut its steps.
        let whole = self.run(x0, protocol, TimeGrid::new(begin + window, 1.0, 1)?)?.statistics.accepted;
        let before = if begin > 0.0 { self.run(x0, protocol, TimeGrid::new(begin, 1.0, 1)?)?.statistics.accepted } else { 0 };
        let mut steps = whole.saturating_sub(before).clamp(100, (MOST_VALUES / self.system.dimension() / 4) as u64);
        let count = |steps: u64| -> Result<Biomarkers> {
            biomarkers(&self.record(x0, protocol, begin, window, window / steps as f64)?.1, &options.definitions)
        };
        let mut coarse = count(steps)?;
        // Twice in a row: once may be chance.
        let mut agreed = 0;
        for _ in 0..MOST_HALVINGS {
            if 2 * steps > (MOST_VALUES / self.system.dimension()) as u64 {
                break;
            }
            let fine = count(2 * steps)?;
            agreed = if same(&coarse, &fine, window / steps as f64) { agreed + 1 } else { 0 };
            if agreed == 2 {
                return Ok((window / (2 * steps) as f64, Some(true)));
            }
            (coarse, steps) = (fine, 2 * steps);
        }
        Ok((window / steps as f64, Some(false)))
    }

    /// A step that a map can make.
    fn multiple(&self, dt: f64, own: Option<f64>) -> Result<f64> {
        let Some(own) = own else { return Ok(dt) };
        let ratio = (dt / own).round();
        if ratio < 1.0 || (dt / own - ratio).abs() > 1e-6 {
            let id = &self.system.spec().id;
            return Err(Error::Invalid(format!("a sampling step of {dt}: {id} is a map with a step of {own}; expected a multiple of it")));
        }
        Ok(ratio * own)
    }

    /// Whether no variable moves over the trajectory by more than a share of its range.
    fn at_rest(&self, t: &Trajectory) -> bool {
        let spec = self.system.spec();
        (0..t.dimension).all(|i| {
            let (low, high) = t.variable(i).fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
            let range = spec.variables[i].range;
            high - low <= REST * (range[1] - range[0])
        })
    }
}

/// Whether halving the step `dt` of `a` changed nothing.
fn same(a: &Biomarkers, b: &Biomarkers, dt: f64) -> bool {
    let durations = b.action_potentials.iter().filter_map(|a| a.apd90);
    let unit = durations.chain(b.isi.map(|i| i.median)).fold(f64::INFINITY, f64::min);
    let unit = if unit.is_finite() { unit } else { dt };
    let near = |a: f64, b: f64, most: f64| (a - b).abs() <= most;
    let alike = |(a, b): (&ActionPotential, &ActionPotential)| {
        near(a.peak, b.peak, RESOLVED * b.amplitude)
            && near(a.dvdt_max, b.dvdt_max, RESOLVED_SLOPE * b.dvdt_max)
            && match (a.apd90, b.apd90) {
                (Some(a), Some(b)) => near(a, b, 10.0 * RESOLVED * b),
                (a, b) => a.is_none() && b.is_none(),
            }
    };
    a.spikes.len() == b.spikes.len()
        && a.spikes.iter().zip(&b.spikes).all(|(a, b)| near(*a, *b, RESOLVED * unit))
        && a.action_potentials.iter().zip(&b.action_potentials).all(alike)
}
