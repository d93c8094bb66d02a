//! What the ensemble's driver asks of a method: `W` integrations side by side, each with its own clock.

use std::ops::Range;

use super::{
    clock::Clock,
    dispatch,
    explicit::{self, Group},
    extension::Inside,
    rosenbrock::{self, CompiledRhs, Plan, Rosenbrock},
    rush_larsen::RushLarsen,
};
use crate::{
    curve::{TERMS, elevated},
    real::{InstructionSet, Lane},
    system::Model,
    trajectory::TimeGrid,
};

/// Evaluations of the right-hand side: to begin, for a step, and for the continuous extension over it; Jacobians for a step.
pub struct Work {
    pub begin: u64,
    pub step: u64,
    pub extension: u64,
    pub jacobians: u64,
}

/// `W` integrations side by side.
pub trait Lanes<const W: usize> {
    /// What things cost.
    const WORK: Work;

    /// Times, steps and errors.
    fn clock(&mut self) -> &mut Clock<W>;
    /// Puts a state and parameters into lane `i`.
    fn enter(&mut self, i: usize, x: &[f64], p: &[f64]);
    /// Begins the lanes where `fresh` is 1.
    fn begin(&mut self, fresh: &Lane<W>);
    /// Tries a step in every lane.
    fn advance(&mut self);
    /// Leaves lane `i` where its numbers stay harmless until it is used again.
    fn rest(&mut self, i: usize);
    /// The state in lane `i`.
    fn state(&self, i: usize) -> impl Iterator<Item = f64>;
    /// The number of wanted states inside a step that the step itself evaluates; see [`Lanes::inside`].
    const SLOTS: usize = 0;

    /// Adds one of the first [`Lanes::SLOTS`] wanted states inside lane `i`'s last step to `out`.
    fn inside(&self, _i: usize, _slot: usize, _out: &mut Vec<f64>) {}
    /// Adds the states at times inside lane `i`'s last step, by the method's continuous extension, to `out`, `[time][variable]`.
    fn between(&mut self, i: usize, times: TimeGrid, range: Range<usize>, out: &mut Vec<f64>);
    /// A variable over lane `i`'s last step, where [`Clock::follow`] has asked for it: its value before the step, and the terms of a
    /// [`CurvePiece`](crate::curve::CurvePiece).
    fn followed(&self, i: usize, variable: usize) -> (f64, [f64; TERMS]);
}

/// The explicit method on a compiled model.
pub struct Explicit<'a, M, const D: usize, const P: usize, const W: usize> {
    group: Box<Group<D, P, W>>,
    model: &'a M,
    terms: Vec<f64>,
    with: InstructionSet,
}

impl<'a, M, const D: usize, const P: usize, const W: usize> Explicit<'a, M, D, P, W> {
    /// Lanes at rest.
    pub fn new(model: &'a M, with: InstructionSet) -> Self {
        Explicit {
            group: Box::new(Group::at_rest()),
            model,
            terms: Vec::with_capacity(8 * D),
            with,
        }
    }
}

impl<M: Model, const D: usize, const P: usize, const W: usize> Lanes<W>
    for Explicit<'_, M, D, P, W>
{
    const WORK: Work = Work {
        begin: 2,
        step: 12,
        extension: 3,
        jacobians: 0,
    };
    const SLOTS: usize = explicit::SLOTS;

    fn inside(&self, i: usize, slot: usize, out: &mut Vec<f64>) {
        out.extend(self.group.inside[slot].iter().map(|lane| lane.0[i]));
    }

    fn clock(&mut self) -> &mut Clock<W> {
        &mut self.group.clock
    }

    fn enter(&mut self, i: usize, x: &[f64], p: &[f64]) {
        for d in 0..D {
            self.group.x[d].0[i] = x[d];
        }
        for k in 0..P {
            self.group.p[k].0[i] = p[k];
        }
    }

    fn begin(&mut self, fresh: &Lane<W>) {
        dispatch::begin_explicit(self.with, &mut self.group, self.model, fresh);
    }

    fn advance(&mut self) {
        dispatch::advance_explicit(self.with, &mut self.group, self.model);
    }

    fn rest(&mut self, i: usize) {
        for d in 0..D {
            self.group.x[d].0[i] = 0.0;
        }
        self.group.clock.rest(i);
    }

    fn state(&self, i: usize) -> impl Iterator<Item = f64> {
        self.group.x.iter().map(move |lane| lane.0[i])
    }

    fn between(&mut self, i: usize, times: TimeGrid, range: Range<usize>, out: &mut Vec<f64>) {
        self.terms.clear();
        self.terms
            .extend(self.group.extension.iter().flatten().map(|lane| lane.0[i]));
        let inside = Inside::of(&self.group.clock, i, times, range, &self.terms, D);
        dispatch::extend_explicit(self.with, &inside, out);
    }

    fn followed(&self, i: usize, variable: usize) -> (f64, [f64; TERMS]) {
        let term = |k: usize| self.group.extension[k][variable].0[i];
        (term(0), explicit::curve_terms(term))
    }
}

/// The stiff method on a recorded model.
pub struct Stiff<'a, const W: usize> {
    group: Rosenbrock<'a, W>,
    terms: Vec<f64>,
    with: InstructionSet,
}

impl<'a, const W: usize> Stiff<'a, W> {
    /// Lanes at rest.
    pub fn new(plan: &'a Plan, compiled: &'a CompiledRhs<'a>, with: InstructionSet) -> Self {
        Stiff {
            group: Rosenbrock::at_rest(plan, compiled),
            terms: Vec::new(),
            with,
        }
    }
}

impl<const W: usize> Lanes<W> for Stiff<'_, W> {
    const WORK: Work = Work {
        begin: 2,
        step: 8,
        extension: 0,
        jacobians: 1,
    };

    fn clock(&mut self) -> &mut Clock<W> {
        &mut self.group.clock
    }

    fn enter(&mut self, i: usize, x: &[f64], p: &[f64]) {
        set_lane(&mut self.group.x, i, x);
        set_lane(&mut self.group.p, i, p);
    }

    fn begin(&mut self, fresh: &Lane<W>) {
        dispatch::begin_rosenbrock(self.with, &mut self.group, fresh);
    }

    fn advance(&mut self) {
        dispatch::advance_rosenbrock(self.with, &mut self.group);
    }

    fn rest(&mut self, i: usize) {
        self.group.x.iter_mut().for_each(|lane| lane.0[i] = 0.0);
        self.group.clock.rest(i);
    }

    fn state(&self, i: usize) -> impl Iterator<Item = f64> {
        self.group.x.iter().map(move |lane| lane.0[i])
    }

    fn between(&mut self, i: usize, times: TimeGrid, range: Range<usize>, out: &mut Vec<f64>) {
        self.terms.clear();
        self.terms
            .extend(self.group.extension.iter().flatten().map(|lane| lane.0[i]));
        let inside = Inside::of(
            &self.group.clock,
            i,
            times,
            range,
            &self.terms,
            self.group.x.len(),
        );
        dispatch::extend_rosenbrock(self.with, &inside, out);
    }

    fn followed(&self, i: usize, variable: usize) -> (f64, [f64; TERMS]) {
        let term = |k: usize| self.group.extension[k][variable].0[i];
        (term(0), rosenbrock::curve_terms(term))
    }
}

/// The method of Rush and Larsen on a recorded model.
pub struct Relaxing<'a, const W: usize> {
    group: RushLarsen<'a, W>,
    terms: Vec<f64>,
    with: InstructionSet,
}

impl<'a, const W: usize> Relaxing<'a, W> {
    /// Lanes at rest.
    pub fn new(plan: &'a Plan, step: f64, halved: bool, with: InstructionSet) -> Self {
        Relaxing {
            group: RushLarsen::at_rest(plan, step, halved),
            terms: Vec::new(),
            with,
        }
    }
}

impl<const W: usize> Lanes<W> for Relaxing<'_, W> {
    const WORK: Work = Work {
        begin: 0,
        step: 1,
        extension: 0,
        jacobians: 0,
    };

    fn clock(&mut self) -> &mut Clock<W> {
        &mut self.group.clock
    }

    fn enter(&mut self, i: usize, x: &[f64], p: &[f64]) {
        set_lane(&mut self.group.x, i, x);
        set_lane(&mut self.group.p, i, p);
    }

    fn begin(&mut self, fresh: &Lane<W>) {
        dispatch::begin_rush_larsen(self.with, &mut self.group, fresh);
    }

    fn advance(&mut self) {
        dispatch::advance_rush_larsen(self.with, &mut self.group);
    }

    fn rest(&mut self, i: usize) {
        self.group.x.iter_mut().for_each(|lane| lane.0[i] = 0.0);
        self.group.clock.rest(i);
    }

    fn state(&self, i: usize) -> impl Iterator<Item = f64> {
        self.group.x.iter().map(move |lane| lane.0[i])
    }

    fn between(&mut self, i: usize, times: TimeGrid, range: Range<usize>, out: &mut Vec<f64>) {
        self.terms.clear();
        self.terms.extend(
            self.group
                .before
                .iter()
                .chain(&self.group.x)
                .map(|lane| lane.0[i]),
        );
        let inside = Inside::of(
            &self.group.clock,
            i,
            times,
            range,
            &self.terms,
            self.group.x.len(),
        );
        dispatch::extend_rush_larsen(self.with, &inside, out);
    }

    fn followed(&self, i: usize, variable: usize) -> (f64, [f64; TERMS]) {
        let [before, after] = [&self.group.before, &self.group.x].map(|x| x[variable].0[i]);
        (before, elevated([0.0, after - before]))
    }
}

fn set_lane<const W: usize>(lanes: &mut [Lane<W>], i: usize, values: &[f64]) {
    for (lane, value) in lanes.iter_mut().zip(values) {
        lane.0[i] = *value;
    }
}
