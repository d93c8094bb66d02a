//! What the ensemble's driver asks of a method: `W` integrations side by side, each with its own clock.

use super::{
    clock::Clock,
    dispatch,
    explicit::{self, Group},
    rosenbrock::{self, CompiledRhs, Plan, Rosenbrock},
    rush_larsen::RushLarsen,
};
use crate::{
    real::{InstructionSet, Lane},
    system::Model,
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
    fn state(&self, i: usize, x: &mut [f64]);
    /// The terms of lane `i`'s continuous extension over the last step, `[term][variable]`.
    fn extension(&self, i: usize, terms: &mut Vec<f64>);
    /// The state at a share `theta` of that step.
    fn interpolate(terms: &[f64], theta: f64, x: &mut [f64]);
}

/// The explicit method on a compiled model.
pub struct Explicit<'a, M, const D: usize, const P: usize, const W: usize> {
    group: Box<Group<D, P, W>>,
    model: &'a M,
    with: InstructionSet,
}

impl<'a, M, const D: usize, const P: usize, const W: usize> Explicit<'a, M, D, P, W> {
    /// Lanes at rest.
    pub fn new(model: &'a M, with: InstructionSet) -> Self {
        Explicit { group: Box::new(Group::at_rest()), model, with }
    }
}

impl<M: Model, const D: usize, const P: usize, const W: usize> Lanes<W> for Explicit<'_, M, D, P, W> {
    const WORK: Work = Work { begin: 2, step: 12, extension: 3, jacobians: 0 };

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

    fn state(&self, i: usize, x: &mut [f64]) {
        for d in 0..D {
            x[d] = self.group.x[d].0[i];
        }
    }

    fn extension(&self, i: usize, terms: &mut Vec<f64>) {
        terms.clear();
        terms.extend(self.group.extension.iter().flatten().map(|lane| lane.0[i]));
    }

    fn interpolate(terms: &[f64], theta: f64, x: &mut [f64]) {
        let (terms, _) = terms.as_chunks::<D>();
        if let (Some(terms), Some(x)) = (terms.first_chunk::<8>(), x.first_chunk_mut::<D>()) {
            for d in 0..D {
                x[d] = explicit::interpolate(terms, theta, d);
            }
        }
    }
}

/// The stiff method on a recorded model.
pub struct Stiff<'a, const W: usize> {
    group: Rosenbrock<'a, W>,
    with: InstructionSet,
}

impl<'a, const W: usize> Stiff<'a, W> {
    /// Lanes at rest.
    pub fn new(plan: &'a Plan, compiled: &'a CompiledRhs<'a>, with: InstructionSet) -> Self {
        Stiff { group: Rosenbrock::at_rest(plan, compiled), with }
    }
}

impl<const W: usize> Lanes<W> for Stiff<'_, W> {
    const WORK: Work = Work { begin: 2, step: 8, extension: 0, jacobians: 1 };

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

    fn state(&self, i: usize, x: &mut [f64]) {
        for (x, lane) in x.iter_mut().zip(&self.group.x) {
            *x = lane.0[i];
        }
    }

    fn extension(&self, i: usize, terms: &mut Vec<f64>) {
        terms.clear();
        terms.extend(self.group.extension.iter().flatten().map(|lane| lane.0[i]));
    }

    fn interpolate(terms: &[f64], theta: f64, x: &mut [f64]) {
        let d = x.len();
        for k in 0..d {
            x[k] = rosenbrock::interpolate(std::array::from_fn(|term| terms[term * d + k]), theta);
        }
    }
}

/// The method of Rush and Larsen on a recorded model.
pub struct Relaxing<'a, const W: usize> {
    group: RushLarsen<'a, W>,
    with: InstructionSet,
}

impl<'a, const W: usize> Relaxing<'a, W> {
    /// Lanes at rest.
    pub fn new(plan: &'a Plan, step: f64, with: InstructionSet) -> Self {
        Relaxing { group: RushLarsen::at_rest(plan, step), with }
    }
}

impl<const W: usize> Lanes<W> for Relaxing<'_, W> {
    const WORK: Work = Work { begin: 0, step: 1, extension: 0, jacobians: 0 };

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

    fn state(&self, i: usize, x: &mut [f64]) {
        for (x, lane) in x.iter_mut().zip(&self.group.x) {
            *x = lane.0[i];
        }
    }

    fn extension(&self, i: usize, terms: &mut Vec<f64>) {
        terms.clear();
        terms.extend(self.group.before.iter().chain(&self.group.x).map(|lane| lane.0[i]));
    }

    fn interpolate(terms: &[f64], theta: f64, x: &mut [f64]) {
        // On a line, which is as good as the method.
        let (from, to) = terms.split_at(x.len());
        for k in 0..x.len() {
            x[k] = from[k] + theta * (to[k] - from[k]);
        }
    }
}

fn set_lane<const W: usize>(lanes: &mut [Lane<W>], i: usize, values: &[f64]) {
    for (lane, value) in lanes.iter_mut().zip(values) {
        lane.0[i] = *value;
    }
}
