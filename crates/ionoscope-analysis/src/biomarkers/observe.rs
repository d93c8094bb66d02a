//! Runs a system until there is enough to count.

use std::cell::RefCell;

use ionoscope_dynamics::{
    protocol::{Protocol, Signal},
    system::{DynamicalSystem, Input, Time},
    trajectory::Experiment,
    trajectory::{SolveOptions, TimeGrid, Trajectory},
};
use serde::{Deserialize, Serialize};

use super::{
    BiomarkerOptions, Biomarkers, Drive, Potential, Regime, biomarkers, count, drive::Push,
};
use crate::{
    Error, Result,
    time_scales::{Motion, TimeScales, time_scales},
};

/// Without a pause so many spikes a burst that was asked for are spiking: more than bursts of beta-cells have.
const SPIKES_A_BURST: usize = 20;
/// Periods of the first window for each burst to wait for: enough for so many complete ones; and doubled four times, for so many times 20 spikes.
const PERIODS_A_BURST: f64 = 1.32;
/// Slowest decays of the first window at rest.
const DECAYS: f64 = 3.0;
/// First windows after which watching ends, and the same where the system has not settled.
const MOST_WINDOWS: f64 = 100.0;
const UNSETTLED_WINDOWS: f64 = 8.0;
/// A state that moves less than this share of its ranges over a window is at rest.
const REST: f64 = 1e-6;
/// Largest number of samples of a map, or steps of a flow, that are kept: 400 MiB.
const MOST_SAMPLES: usize = 1 << 24;
const MOST_STEPS: usize = 1 << 22;
/// Largest number of values of one trajectory: 256 MiB.
const MOST_VALUES: usize = 1 << 25;
/// States looked at in a window of a flow, for whether it rests.
const LOOKS: usize = 256;
/// A swing of the potential below this share of its range is none.
const SWING: f64 = 1e-3;

/// How long to watch, and how closely.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObserveOptions {
    /// Time that is left out at the beginning; for a map a whole number of steps, rounded up. `None`: until the system has settled, see
    /// [`time_scales`].
    pub t_transient: Option<f64>,
    /// Complete bursts to wait for; or 20 times as many spikes where there is no pause.
    pub bursts: usize,
    /// Time, transient included, after which watching ends whatever was seen. `None`: a hundred first windows after the transient. Needed for
    /// [`ObserveOptions::fixed`], where it is the end of the recording.
    pub t_end: Option<f64>,
    /// Whether to watch up to `t_end` without looking before whether there is enough. Needed where the stimulus changes after the transient.
    pub fixed: bool,
    /// Length of the first window; each further one is as long as all before. `None`: as many periods as there are bursts to wait for, and a third more; at
    /// rest three of the slowest decays.
    pub window: Option<f64>,
    /// Spacing of the samples. `None`: for a map its step; for a flow there are none, the integrator's own polynomials are looked at. With it, a flow is
    /// a cubic between samples, of which there is one at every switch of the stimulus, too.
    pub dt: Option<f64>,
    /// Definitions.
    pub definitions: BiomarkerOptions,
    /// Of the solver.
    pub solve: SolveOptions,
}

impl ObserveOptions {
    /// 10 bursts, and all times measured on the system.
    pub fn new(definitions: BiomarkerOptions) -> Self {
        let solve = SolveOptions::default();
        ObserveOptions {
            t_transient: None,
            bursts: 10,
            t_end: None,
            fixed: false,
            window: None,
            dt: None,
            definitions,
            solve,
        }
    }

    fn check(&self) -> Result<()> {
        if self.fixed && self.t_end.is_none() {
            return Err(Error::Invalid(
                "no end of the recording; expected one where it is fixed".into(),
            ));
        }
        ends(
            self.t_transient.unwrap_or(0.0),
            self.t_end.unwrap_or(f64::MAX),
        )?;
        for (what, value) in [
            ("window", self.window.unwrap_or(1.0)),
            ("sampling step", self.dt.unwrap_or(1.0)),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::Invalid(format!(
                    "the {what} is {value}; expected a finite number larger than 0"
                )));
            }
        }
        if self.bursts == 0 {
            return Err(Error::Invalid("0 bursts; expected at least one".into()));
        }
        self.definitions.check()
    }
}

fn ends(transient: f64, t_end: f64) -> Result<()> {
    if transient >= 0.0 && t_end > transient && t_end.is_finite() {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "a transient of {transient} and an end at {t_end}; expected 0 or more, and a later end"
    )))
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
    /// It moves, and repeats itself without a spike.
    NoSpikes,
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
    /// What was measured on the system where times were not given: whether, and how, it had settled at the end of the transient.
    pub scales: Option<TimeScales>,
    /// Where there is no spike: a swing of the potential that does not cross the threshold.
    pub swing: Option<Swing>,
    /// States outside what a surrogate was trained on; never for equations.
    pub extrapolated: usize,
    /// Number of states.
    pub states: usize,
}

/// A potential that swings again and again without a spike.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Swing {
    /// Lowest potential in the second half of the recording.
    pub low: f64,
    /// Highest potential there.
    pub high: f64,
    /// A threshold that shows it: their middle.
    pub threshold: f64,
    /// Number of spikes in the whole recording with that threshold.
    pub spikes: usize,
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
    let watch = Watch {
        system,
        variable,
        p,
        solve: &options.solve,
    };
    let own = match system.time() {
        Time::Continuous => None,
        Time::Discrete { dt } => Some(dt),
    };
    let whole = |t: f64| own.map_or(t, |dt| (t / dt - 1e-6).ceil() * dt);
    let constant_from = protocol.constant_from();
    if options.fixed {
        let t_end = options.t_end.unwrap_or_default();
        protocol.check_until(t_end)?;
        let signal = protocol.signal(t_end);
        let level = signal.value(0.0);
        let mut scales = match options.t_transient {
            None if constant_from == Some(0.0) => {
                Some(time_scales(system, x0, level, p, &options.solve)?)
            }
            _ => None,
        };
        if let Some(scales) = scales.as_mut() {
            fit(scales, t_end);
        }
        // Of a map the samples that are asked for meet the end, and begin on one of them.
        let step = match own {
            Some(own) => {
                let dt = watch.multiple(options.dt.unwrap_or(own), own)?;
                TimeGrid::until_of_map(t_end, dt, own)?;
                Some(dt)
            }
            None => None,
        };
        let whole = |t: f64| step.map_or(t, |dt| (t / dt - 1e-6).ceil() * dt);
        let transient = whole(
            options
                .t_transient
                .unwrap_or_else(|| scales.as_ref().map_or(0.0, |s| s.followed)),
        );
        ends(transient, t_end)?;
        let drive = watch.drive(x0, signal, own);
        let window = watch.window(x0, protocol, transient, t_end - transient, options.dt, own)?;
        let states = window.states.len();
        let extrapolated = (0..states)
            .filter(|k| system.spec().extrapolates(window.states.state(*k), p))
            .count();
        let kept = RefCell::new(None);
        let weaker = |push: &Push<'_>, share: f64, length: f64, until: f64| {
            let x = watch.state(&window, &drive, push.start(), own, &kept)?;
            watch.weaker(&x, &drive, push, share, [length, until], own)
        };
        let counted = count(
            &window.potential,
            Some(&drive),
            Some(&weaker),
            &options.definitions,
        )?;
        return watch.observation(
            window.potential,
            counted,
            Stopped::AsAsked,
            scales,
            extrapolated,
            states,
        );
    }
    // From here on time is counted in the stimulus' own; a window begins at `begin` in state `x`.
    let begin = whole(options.t_transient.unwrap_or(0.0));
    if constant_from.is_none_or(|from| from > begin) {
        return Err(Error::Invalid(format!(
            "the stimulus still changes after the transient of {begin}, so that nothing can be waited for; say when to end"
        )));
    }
    protocol.check_until(begin)?;
    let level = protocol.signal(begin).value(begin);
    let constant = Protocol::constant(level);
    let mut x = watch
        .run(x0, protocol, TimeGrid::new(begin, own.unwrap_or(1.0), 1)?)?
        .x;
    let mut scales = if options.t_transient.is_none() || options.t_end.is_none() {
        Some(time_scales(system, &x, level, p, &options.solve)?)
    } else {
        None
    };
    let mut transient = begin;
    if let Some(scales) = scales
        .as_mut()
        .filter(|s| options.t_transient.is_none() && s.motion != Motion::Escaped)
    {
        if options
            .t_end
            .is_some_and(|t_end| fit(scales, t_end - begin))
        {
            scales.followed = whole(scales.followed);
            scales.state = watch
                .run(
                    &x,
                    &constant,
                    TimeGrid::new(scales.followed, own.unwrap_or(1.0), 1)?,
                )?
                .x;
        }
        transient += scales.followed;
        x.clone_from(&scales.state);
    }
    let first = options
        .window
        .unwrap_or_else(|| match (&scales, options.t_end) {
            (Some(s), _) => match (s.motion, s.period) {
                (Motion::Periodic | Motion::Irregular, Some(period)) => {
                    PERIODS_A_BURST * options.bursts as f64 * period
                }
                (Motion::Rest, _) if s.slowest.is_finite() => DECAYS * s.slowest,
                _ => s.followed,
            },
            (None, t_end) => (t_end.unwrap_or_default() - transient) / 64.0,
        });
    let first = first.max(own.unwrap_or(f64::MIN_POSITIVE));
    // Where it has not settled, nobody knows how long it would take.
    let settled = scales.as_ref().is_none_or(|s| s.settled);
    let t_end = options.t_end.unwrap_or(
        transient
            + if settled {
                MOST_WINDOWS
            } else {
                UNSETTLED_WINDOWS
            } * first,
    );
    ends(transient, t_end)?;
    let repeats = scales
        .as_ref()
        .is_some_and(|s| s.motion == Motion::Periodic);
    let mut seen: Option<Potential> = None;
    let (mut extrapolated, mut states) = (0, 0);
    loop {
        let begin = seen.as_ref().map_or(transient, Potential::end);
        let left = t_end - begin;
        let wanted = seen
            .as_ref()
            .map_or(first, |v| v.end() - v.start())
            .min(left);
        let next = watch.window(&x, &constant, 0.0, wanted, options.dt, own)?;
        let t = &next.states;
        extrapolated += (1..t.len())
            .filter(|k| system.spec().extrapolates(t.state(*k), p))
            .count();
        states += t.len() - 1;
        let v = match seen.take() {
            Some(mut seen) => {
                seen.append(&next.potential, begin);
                seen
            }
            None => next.potential.moved(begin),
        };
        let counted = biomarkers(&v, &options.definitions)?;
        let most = if own.is_some() {
            MOST_SAMPLES
        } else {
            MOST_STEPS
        };
        let stopped = match () {
            () if counted.complete_bursts >= options.bursts => Some(Stopped::EnoughBursts),
            () if counted.bursts.is_empty()
                && counted.spikes.len() > SPIKES_A_BURST * options.bursts =>
            {
                Some(Stopped::EnoughSpikes)
            }
            () if watch.at_rest(t) => Some(Stopped::AtRest),
            () if repeats && v.upward_crossings(options.definitions.threshold).is_empty() => {
                Some(Stopped::NoSpikes)
            }
            () if 2 * v.pieces() > most => Some(Stopped::SampleLimit),
            () if t_end - v.end() < 1e-9 * t_end + own.unwrap_or(0.0) * (1.0 - 1e-6) => {
                Some(Stopped::TimeLimit)
            }
            () => None,
        };
        if let Some(stopped) = stopped {
            return watch.observation(v, counted, stopped, scales, extrapolated, states);
        }
        x = t.last().unwrap_or_default().to_vec();
        seen = Some(v);
    }
}

/// Where the measured transient leaves less than this share of the time until the end, half of that is taken.
const LEFT: f64 = 0.1;

/// Makes a measured transient fit: what it settles to is then not known. Whether that was needed.
fn fit(scales: &mut TimeScales, t_end: f64) -> bool {
    let late = scales.followed > (1.0 - LEFT) * t_end;
    if late {
        (scales.followed, scales.settled) = (0.5 * t_end, false);
    }
    late
}

fn too_many(window: f64, dt: f64, most: usize) -> Error {
    let steps = window / dt;
    Error::Invalid(format!(
        "a recording of {window} in steps of {dt} has {steps:.3e} steps; expected 1 to {most}: take another step or a shorter recording"
    ))
}

/// What was seen in one run: the potential, and states that it was looked at.
struct Window {
    potential: Potential,
    states: Trajectory,
    /// Of a flow, times at which the stimulus switches, and states there.
    switches: Vec<(f64, Vec<f64>)>,
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
        let e = Experiment {
            x0: x0.to_vec(),
            p: self.p.to_vec(),
            protocol: protocol.clone(),
            times,
        };
        Ok(self.system.simulate(&e, self.solve)?)
    }

    /// What a protocol does to the variable: by the rule at the start.
    fn drive(&self, x0: &[f64], signal: Signal, own: Option<f64>) -> Drive {
        let mut by = vec![0.0; x0.len()];
        self.system
            .derivative_by(Input::Stimulus, x0, signal.value(0.0), self.p, &mut by);
        Drive {
            signal,
            gain: by[self.variable] / own.unwrap_or(1.0),
            before: 0.0,
        }
    }

    /// From `begin` over a window: of a flow to its end; of a map as far as its steps reach.
    fn window(
        &self,
        x0: &[f64],
        protocol: &Protocol,
        begin: f64,
        window: f64,
        dt: Option<f64>,
        own: Option<f64>,
    ) -> Result<Window> {
        let Some(own) = own else {
            return self.flow(x0, protocol, begin, window, dt);
        };
        let dt = self.multiple(dt.unwrap_or(own), own)?;
        let steps = (window / dt + 1e-6).floor();
        let most = MOST_SAMPLES.min(MOST_VALUES / self.system.dimension());
        if !(steps >= 1.0 && steps < most as f64) {
            return Err(too_many(window, dt, most));
        }
        let states = self.run(x0, protocol, TimeGrid::new(begin, dt, steps as usize + 1)?)?;
        let potential =
            Potential::from_samples(begin, dt, states.variable(self.variable).collect())?;
        Ok(Window {
            potential,
            states,
            switches: Vec::new(),
        })
    }

    fn flow(
        &self,
        x0: &[f64],
        protocol: &Protocol,
        begin: f64,
        window: f64,
        dt: Option<f64>,
    ) -> Result<Window> {
        if let Some(dt) = dt.filter(|dt| !(window / dt >= 1.0 && window / dt <= MOST_STEPS as f64))
        {
            return Err(too_many(window, dt, MOST_STEPS));
        }
        let times = TimeGrid::new(begin, window / LOOKS as f64, LOOKS + 1)?;
        let experiment = Experiment {
            x0: x0.to_vec(),
            p: self.p.to_vec(),
            protocol: protocol.clone(),
            times,
        };
        let (states, curve) = self.system.follow(&experiment, self.variable, self.solve)?;
        let Some(curve) = curve else {
            return Err(Error::Invalid(format!(
                "{} cannot be followed between its steps",
                self.system.spec().id
            )));
        };
        let switches = curve.switches().to_vec();
        let potential = match dt {
            None => Potential::from_curve(curve),
            Some(dt) => {
                let corners: Vec<f64> = protocol
                    .signal(begin + window)
                    .pieces
                    .iter()
                    .map(|p| p.start)
                    .collect();
                Potential::sampled(&curve, dt, &corners)
            }
        };
        Ok(Window {
            potential,
            states,
            switches,
        })
    }

    /// The state at a time: that of the nearest switch, sample or earlier question before it, and a run from there. None where that fails.
    fn state(
        &self,
        window: &Window,
        drive: &Drive,
        t: f64,
        own: Option<f64>,
        kept: &RefCell<Option<(f64, Vec<f64>)>>,
    ) -> Option<Vec<f64>> {
        let states = &window.states;
        if let Some(own) = own {
            // A map takes the mean of the current over its step: the step in which the push begins is the first.
            let near = states.times.reached(t * (1.0 + 1e-12)).checked_sub(1)?;
            let (from, x) = (states.times.time(near), states.state(near).to_vec());
            let steps = ((t * (1.0 + 1e-12) - from) / own).floor().max(0.0);
            let to = from + steps * own;
            return if steps == 0.0 {
                Some(x)
            } else {
                self.between(&x, drive, from, to, Some(own))
            };
        }
        let last = window
            .switches
            .partition_point(|(at, _)| *at <= t)
            .checked_sub(1);
        let mut near = last.map_or((states.times.start, states.state(0)), |k| {
            (window.switches[k].0, window.switches[k].1.as_slice())
        });
        let earlier = kept.borrow().clone();
        if let Some((at, x)) = earlier.as_ref().filter(|(at, _)| near.0 < *at && *at <= t) {
            near = (*at, x);
        }
        if near.0 == t {
            return Some(near.1.to_vec());
        }
        let x = self.between(near.1, drive, near.0, t, None)?;
        *kept.borrow_mut() = Some((t, x.clone()));
        Some(x)
    }

    fn between(
        &self,
        x: &[f64],
        drive: &Drive,
        from: f64,
        to: f64,
        own: Option<f64>,
    ) -> Option<Vec<f64>> {
        let times = TimeGrid::new(to - from, own.unwrap_or(1.0), 1).ok()?;
        self.run(x, &drive.between(from, to), times)
            .ok()
            .map(|t| t.x)
    }

    /// What a weaker push would have done from the state where it begins.
    fn weaker(
        &self,
        x: &[f64],
        drive: &Drive,
        push: &Push<'_>,
        share: f64,
        [length, until]: [f64; 2],
        own: Option<f64>,
    ) -> Option<(Potential, Drive)> {
        let length = own.map_or(length, |dt| (length / dt).round().max(2.0) * dt);
        let protocol = push.weaker(share, length, until);
        let signal = protocol.signal(length);
        let found = self.window(x, &protocol, 0.0, length, None, own).ok()?;
        Some((
            found.potential,
            Drive {
                signal,
                gain: drive.gain,
                before: push.level(),
            },
        ))
    }

    fn observation(
        &self,
        potential: Potential,
        biomarkers: Biomarkers,
        stopped: Stopped,
        scales: Option<TimeScales>,
        extrapolated: usize,
        states: usize,
    ) -> Result<Observation> {
        let range = self.system.spec().variables[self.variable].range;
        let swing = if biomarkers.regime == Regime::Silent {
            swing(&potential, SWING * (range[1] - range[0]))?
        } else {
            None
        };
        Ok(Observation {
            potential,
            biomarkers,
            stopped,
            scales,
            swing,
            extrapolated,
            states,
        })
    }

    /// A step that a map can make.
    fn multiple(&self, dt: f64, own: f64) -> Result<f64> {
        let ratio = (dt / own).round();
        if ratio < 1.0 || (dt / own - ratio).abs() > 1e-6 {
            let id = &self.system.spec().id;
            return Err(Error::Invalid(format!(
                "a sampling step of {dt}: {id} is a map with a step of {own}; expected a multiple of it"
            )));
        }
        Ok(ratio * own)
    }

    /// Whether no variable moves over the trajectory by more than a share of its range.
    fn at_rest(&self, t: &Trajectory) -> bool {
        let spec = self.system.spec();
        (0..t.dimension).all(|i| {
            let (low, high) = t
                .variable(i)
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
                    (a.min(v), b.max(v))
                });
            let range = spec.variables[i].range;
            high - low <= REST * (range[1] - range[0])
        })
    }
}

/// The swing in the second half of a recording without spikes, where it is larger than `least` and goes through its middle at least twice.
fn swing(v: &Potential, least: f64) -> Result<Option<Swing>> {
    if v.pieces() == 0 {
        return Ok(None);
    }
    let middle = 0.5 * (v.start() + v.end());
    let ([_, low], [_, high]) = (v.lowest(middle, v.end()), v.highest(middle, v.end()));
    let threshold = 0.5 * (low + high);
    let crossed = || {
        v.upward_crossings(threshold)
            .into_iter()
            .filter(|t| *t >= middle)
            .count()
    };
    if high - low < least || crossed() < 2 {
        return Ok(None);
    }
    let spikes = biomarkers(v, &BiomarkerOptions::at(threshold))?
        .spikes
        .len();
    Ok(Some(Swing {
        low,
        high,
        threshold,
        spikes,
    }))
}
