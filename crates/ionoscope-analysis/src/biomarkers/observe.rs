//! Runs a system until there is enough to count.

use std::cell::RefCell;

use ionoscope_dynamics::{
    protocol::Protocol,
    system::{DynamicalSystem, Time},
    trajectory::{SolveOptions, TimeGrid},
};
use serde::{Deserialize, Serialize};

use super::{
    counting::{Biomarkers, Regime, biomarkers, count},
    drive::Push,
    options::BiomarkerOptions,
    potential::Potential,
    watch::{MOST_SAMPLES, MOST_STEPS, Watch},
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
    if options.fixed {
        return watch.as_asked(x0, protocol, options, own);
    }
    let beginning = watch.beginning(x0, protocol, options, own)?;
    watch.until_enough(beginning, options, own)
}

/// Where watching until there is enough begins.
struct Beginning {
    /// The time, and the state then.
    transient: f64,
    x: Vec<f64>,
    /// The stimulus from then on.
    constant: Protocol,
    /// What was measured on the way, where that was needed.
    scales: Option<TimeScales>,
}

impl Beginning {
    /// Length of the first window, and the time at which watching ends in any case.
    fn lengths(&self, options: &ObserveOptions, own: Option<f64>) -> [f64; 2] {
        let (scales, transient) = (&self.scales, self.transient);
        let first = options
            .window
            .unwrap_or_else(|| match (scales, options.t_end) {
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
        [first, t_end]
    }
}

impl Watch<'_> {
    /// The recording that was asked for.
    fn as_asked(
        &self,
        x0: &[f64],
        protocol: &Protocol,
        options: &ObserveOptions,
        own: Option<f64>,
    ) -> Result<Observation> {
        let (system, p, watch) = (self.system, self.p, self);
        let constant_from = protocol.constant_from();
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
        watch.observation(
            window.potential,
            counted,
            Stopped::AsAsked,
            scales,
            extrapolated,
            states,
        )
    }

    /// The transient, as long as is asked for or until the system has settled.
    fn beginning(
        &self,
        x0: &[f64],
        protocol: &Protocol,
        options: &ObserveOptions,
        own: Option<f64>,
    ) -> Result<Beginning> {
        let (system, p, watch) = (self.system, self.p, self);
        let whole = |t: f64| own.map_or(t, |dt| (t / dt - 1e-6).ceil() * dt);
        // From here on time is counted in the stimulus' own; a window begins at `begin` in state `x`.
        let begin = whole(options.t_transient.unwrap_or(0.0));
        if protocol.constant_from().is_none_or(|from| from > begin) {
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
        Ok(Beginning {
            transient,
            x,
            constant,
            scales,
        })
    }

    /// Windows one after another, each as long as all before, until there is enough to count.
    fn until_enough(
        &self,
        beginning: Beginning,
        options: &ObserveOptions,
        own: Option<f64>,
    ) -> Result<Observation> {
        let (system, p, watch) = (self.system, self.p, self);
        let [first, t_end] = beginning.lengths(options, own);
        let Beginning {
            transient,
            mut x,
            constant,
            scales,
        } = beginning;
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
