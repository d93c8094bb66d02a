//! One run of a system that is watched: its potential, its states, and where it leads under a weaker stimulus.

use std::cell::RefCell;

use ionoscope_dynamics::{
    protocol::{Protocol, Signal},
    system::{DynamicalSystem, Input},
    trajectory::{Experiment, SolveOptions, TimeGrid, Trajectory},
};

use super::{
    drive::{Drive, Push},
    potential::Potential,
};
use crate::{Error, Result};

/// A state that moves less than this share of its ranges over a window is at rest.
const REST: f64 = 1e-6;
/// Largest number of samples of a map, or steps of a flow, that are kept: 400 MiB.
pub const MOST_SAMPLES: usize = 1 << 24;
pub const MOST_STEPS: usize = 1 << 22;
/// Largest number of values of one trajectory: 256 MiB.
const MOST_VALUES: usize = 1 << 25;
/// States looked at in a window of a flow, for whether it rests.
const LOOKS: usize = 256;

fn too_many(window: f64, dt: f64, most: usize) -> Error {
    let steps = window / dt;
    Error::Invalid(format!(
        "a recording of {window} in steps of {dt} has {steps:.3e} steps; expected 1 to {most}: take another step or a shorter recording"
    ))
}

/// What was seen in one run: the potential, and states that it was looked at.
pub struct Window {
    pub potential: Potential,
    pub states: Trajectory,
    /// Of a flow, times at which the stimulus switches, and states there.
    pub switches: Vec<(f64, Vec<f64>)>,
}

/// A system that is watched.
pub struct Watch<'a> {
    pub system: &'a dyn DynamicalSystem,
    pub variable: usize,
    pub p: &'a [f64],
    pub solve: &'a SolveOptions,
}

impl Watch<'_> {
    pub fn run(&self, x0: &[f64], protocol: &Protocol, times: TimeGrid) -> Result<Trajectory> {
        let e = Experiment {
            x0: x0.to_vec(),
            p: self.p.to_vec(),
            protocol: protocol.clone(),
            times,
        };
        Ok(self.system.simulate(&e, self.solve)?)
    }

    /// What a protocol does to the variable: by the rule at the start.
    pub fn drive(&self, x0: &[f64], signal: Signal, own: Option<f64>) -> Drive {
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
    pub fn window(
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

    pub fn flow(
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
    pub fn state(
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

    pub fn between(
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
    pub fn weaker(
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

    /// A step that a map can make.
    pub fn multiple(&self, dt: f64, own: f64) -> Result<f64> {
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
    pub fn at_rest(&self, t: &Trajectory) -> bool {
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
