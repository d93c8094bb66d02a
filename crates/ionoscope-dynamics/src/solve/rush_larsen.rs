//! The method of Rush and Larsen (IEEE Trans. Biomed. Eng. 25 (1978) 389, doi 10.1109/TBME.1978.326270) for many lanes at once: a fixed step;
//! a variable whose equation is linear in itself, as a gate's is, relaxes exponentially with everything else held; all others follow Euler.
//!
//! ```text
//! x_i(t + h) = x_i + h f_i phi(h a_i),  phi(z) = (e^z - 1)/z,  a_i = d f_i / d x_i for the former and 0 for the latter
//! ```
//! Of order 1: half the step makes half the error. There is no error control; nothing but a state that is no longer finite stops it.

use super::{
    clock::{Attempt, Clock},
    rosenbrock::Plan,
};
use crate::{
    program::Machine,
    real::{Lane, Real},
};

/// The state of `W` integrations side by side.
pub struct RushLarsen<'a, const W: usize> {
    plan: &'a Plan,
    machine: Machine<'a, Lane<W>>,
    step: f64,
    /// Whether every step is made in two halves, and where the second one ends.
    halved: bool,
    whole: Lane<W>,
    /// Times and steps.
    pub clock: Clock<W>,
    /// State, `[variable]`.
    pub x: Vec<Lane<W>>,
    /// Parameters as given.
    pub p: Vec<Lane<W>>,
    /// State before the last step.
    pub before: Vec<Lane<W>>,
    input: Vec<Lane<W>>,
    f: Vec<Lane<W>>,
    rates: Vec<Lane<W>>,
}

impl<'a, const W: usize> RushLarsen<'a, W> {
    /// Lanes at rest.
    pub fn at_rest(plan: &'a Plan, step: f64, halved: bool) -> Self {
        let r = &plan.recording;
        let many = |n: usize| vec![Lane([0.0; W]); n];
        let d = r.dimension;
        RushLarsen {
            plan,
            machine: Machine::new(&r.relaxation),
            step,
            halved,
            whole: Lane([0.0; W]),
            clock: Clock::at_rest(),
            x: many(d),
            p: vec![Lane([1.0; W]); r.parameters],
            before: many(d),
            input: many(d + 1),
            f: many(d),
            rates: many(r.relaxing.len()),
        }
    }

    /// Terms of the parameters; the step of the lanes where `fresh` is 1.
    #[inline(always)]
    pub fn begin(&mut self, fresh: &Lane<W>) {
        let mut terms = Machine::new(&self.plan.recording.terms);
        terms.prepare(0, &self.p);
        terms.run(&self.p);
        let mut q = self.p.clone();
        terms.outputs(0, &mut q);
        self.machine.prepare(self.x.len() + 1, &q);
        let fresh = Lane([0.5; W]).lt(*fresh);
        self.whole = Lane::select(fresh, self.clock.t, self.whole);
        self.clock.begin(fresh, Lane([self.step; W]));
    }

    /// The step to try. Halves are those of the steps that would be made without, wherever the end or a switch of the stimulus cuts them.
    #[inline(always)]
    fn attempt(&mut self) -> Attempt<W> {
        let tried = self.clock.attempt();
        if !self.halved {
            return tried;
        }
        let second = self.clock.t.lt(self.whole);
        let rest = self.whole - self.clock.t;
        let half = tried.h * 0.5;
        self.whole = Lane::select(second, self.whole, tried.t_new);
        Attempt {
            h: Lane::select(second, rest, half),
            t_new: Lane::select(second, self.whole, self.clock.t + half),
        }
    }

    /// One step in every lane. One evaluation.
    #[inline(always)]
    pub fn advance(&mut self) {
        let d = self.x.len();
        let tried = self.attempt();
        let h = tried.h;
        self.input[..d].copy_from_slice(&self.x);
        self.input[d] = self.clock.stimulus.at(self.clock.t);
        self.machine.run(&self.input);
        self.machine.outputs(0, &mut self.f);
        self.machine.outputs(d, &mut self.rates);
        self.before.copy_from_slice(&self.x);
        for k in 0..d {
            self.x[k] = self.x[k] + h * self.f[k];
        }
        for (k, a) in self.plan.recording.relaxing.iter().zip(&self.rates) {
            // phi(z) = (e^z - 1)/z
            let phi = Lane::constant(1.0) / (h * *a).x_over_exp_m1();
            let k = usize::from(*k);
            self.x[k] = self.before[k] + h * self.f[k] * phi;
        }
        let mut sound = Lane([0.0; W]);
        for k in 0..d {
            // Times 0, infinities and NaN become NaN.
            sound = sound + self.x[k] * 0.0;
        }
        self.clock.hold(tried, sound.le(Lane([0.0; W])), self.step);
    }
}
