//! A Rosenbrock method for many lanes at once: the exact Jacobian and one elimination a step, eight stages, no Newton iteration.
//!
//! Works on a [`Recording`], whose size is known only at run time: one compiled method serves every model. As in the explicit method, all
//! numbers belong to their lane alone.

use super::{
    clock::{Clock, Control, any, norm},
    elimination::Elimination,
    rodas5p::{A, C, EXTENSION, GAMMA, NODES, SHARES},
};
use crate::{
    curve::{Factor, TERMS, elevated, nest},
    program::{Machine, Recording},
    real::{Lane, Real, optimization_barrier},
};

/// Safety and memory of the step control (order 5).
const CONTROL: Control = Control {
    safety: 0.9,
    alpha: 0.2,
    beta: 0.0,
};
const STAGES: usize = 8;

/// A recording and the plan of its elimination.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub recording: Recording,
    elimination: Elimination,
}

impl Plan {
    /// Plans the elimination of a recording.
    pub fn new(recording: Recording) -> Self {
        let elimination = Elimination::new(recording.dimension, &recording.entries);
        Plan {
            recording,
            elimination,
        }
    }
}

/// A compiled right-hand side: state, stimulus, terms of the parameters, derivatives. For a single lane it is faster than the program.
pub(crate) type CompiledRhs<'a> = dyn Fn(&[f64], f64, &[f64], &mut [f64]) + 'a;

/// The state of `W` integrations side by side.
pub struct Rosenbrock<'a, const W: usize> {
    plan: &'a Plan,
    /// Times, steps and errors.
    pub clock: Clock<W>,
    /// State, `[variable]`.
    pub x: Vec<Lane<W>>,
    /// Parameters as given.
    pub p: Vec<Lane<W>>,
    /// Terms of the parameters.
    q: Vec<Lane<W>>,
    rhs: Machine<'a, Lane<W>>,
    linearized: Machine<'a, Lane<W>>,
    /// The right-hand side for one lane.
    compiled: &'a CompiledRhs<'a>,
    /// State and derivative, and terms of the parameters, as the compiled right-hand side takes them.
    one: Vec<f64>,
    one_q: Vec<f64>,
    /// State and stimulus, as programs take them.
    input: Vec<Lane<W>>,
    lu: Vec<Lane<W>>,
    jacobian: Vec<Lane<W>>,
    /// Derivatives by the stimulus, for each row of the recording's `stimulated`.
    by_stimulus: Vec<Lane<W>>,
    f: Vec<Lane<W>>,
    /// State of the present stage.
    y: Vec<Lane<W>>,
    /// Stages, `[stage][variable]`.
    u: Vec<Vec<Lane<W>>>,
    /// x, new x, and the three terms of the continuous extension over the last step, `[term][variable]`.
    pub extension: [Vec<Lane<W>>; 5],
}

/// Adds the weighted sum of `terms` to `y`, term by term.
#[inline(always)]
fn add_weighted<const W: usize>(y: &mut [Lane<W>], terms: &[Vec<Lane<W>>], weights: &[f64]) {
    if W == 1 {
        // Variables side by side.
        for (term, weight) in terms.iter().zip(weights) {
            for (y, u) in y.iter_mut().zip(term) {
                *y = *y + *u * *weight;
            }
        }
    } else {
        // Lanes side by side, and the sum in registers.
        for k in 0..y.len() {
            let k = optimization_barrier::<W>(k);
            let mut sum = y[k];
            for (term, weight) in terms.iter().zip(weights) {
                sum = sum + term[k] * *weight;
            }
            y[k] = sum;
        }
    }
}

impl<'a, const W: usize> Rosenbrock<'a, W> {
    /// Lanes at rest: no step, no end.
    pub fn at_rest(plan: &'a Plan, compiled: &'a CompiledRhs<'a>) -> Self {
        let r = &plan.recording;
        let many = |n: usize| vec![Lane([0.0; W]); n];
        let d = r.dimension;
        Rosenbrock {
            plan,
            clock: Clock::at_rest(),
            x: many(d),
            p: vec![Lane([1.0; W]); r.parameters],
            q: many(r.parameters),
            rhs: Machine::new(&r.rhs),
            linearized: Machine::new(&r.linearized),
            compiled,
            one: vec![0.0; 2 * d],
            one_q: vec![0.0; r.parameters],
            input: many(d + 1),
            lu: many(plan.elimination.size()),
            jacobian: many(r.entries.len()),
            by_stimulus: many(r.stimulated.len()),
            f: many(d),
            y: many(d),
            u: vec![many(d); STAGES],
            extension: std::array::from_fn(|_| many(d)),
        }
    }

    /// The derivative at state `y` under a stimulus, into `f`.
    #[inline(always)]
    fn rhs(&mut self, i_stim: Lane<W>) {
        let d = self.x.len();
        if W == 1 {
            for k in 0..d {
                self.one[k] = self.y[k].0[0];
            }
            let (x, dx) = self.one.split_at_mut(d);
            (self.compiled)(x, i_stim.0[0], &self.one_q, dx);
            for k in 0..d {
                self.f[k].0[0] = dx[k];
            }
            return;
        }
        self.input[..d].copy_from_slice(&self.y);
        self.input[d] = i_stim;
        self.rhs.run(&self.input);
        self.rhs.outputs(0, &mut self.f);
    }

    /// Terms of the parameters, derivative and first step of the lanes where `fresh` is 1 (Hairer, Norsett, Wanner II.4). Two evaluations.
    #[inline(always)]
    pub fn begin(&mut self, fresh: &Lane<W>) {
        let fresh = Lane([0.5; W]).lt(*fresh);
        let d = self.x.len();
        let mut terms = Machine::new(&self.plan.recording.terms);
        terms.prepare(0, &self.p);
        terms.run(&self.p);
        terms.outputs(0, &mut self.q);
        self.rhs.prepare(d + 1, &self.q);
        self.linearized.prepare(d + 1, &self.q);
        for (one, q) in self.one_q.iter_mut().zip(&self.q) {
            *one = q.0[0];
        }
        self.y.copy_from_slice(&self.x);
        self.rhs(self.clock.stimulus.at(self.clock.t));
        // Until a step is tried, the stages are free.
        let [scale, slope, ..] = &mut self.u[..] else {
            unreachable!("eight stages")
        };
        for k in 0..d {
            scale[k] = self.clock.scale(self.x[k].abs());
        }
        slope.copy_from_slice(&self.f);
        let rate = norm(slope, scale);
        let probe = self.clock.probe(norm(&self.x, scale), rate);
        for k in 0..d {
            self.y[k] = self.x[k] + probe * self.f[k];
        }
        self.rhs(self.clock.stimulus.at(self.clock.t + probe));
        for k in 0..d {
            self.f[k] = self.f[k] - self.u[1][k];
        }
        let bend = norm(&self.f, &self.u[0]) / probe;
        self.clock
            .begin(fresh, self.clock.first(probe, rate, bend, 5.0));
    }

    /// Tries one step in every lane; where `error` is at most 1 it was accepted, and state, time and, where a wanted time lies inside,
    /// `extension` are those of the step. 8 evaluations, one of them with the Jacobian.
    #[inline(always)]
    pub fn advance(&mut self) {
        let zero = Lane([0.0; W]);
        let d = self.x.len();
        let tried = self.clock.attempt();
        let h = tried.h;
        let per_h = Lane::constant(1.0) / h;

        self.input[..d].copy_from_slice(&self.x);
        self.input[d] = self.clock.stimulus.at(self.clock.t);
        self.linearized.run(&self.input);
        self.linearized.outputs(0, &mut self.f);
        self.linearized.outputs(d, &mut self.jacobian);
        self.linearized
            .outputs(d + self.jacobian.len(), &mut self.by_stimulus);
        // h df/dt: time enters through the stimulus alone.
        let change = h * self.clock.stimulus.rate(self.clock.t);
        self.plan
            .elimination
            .factor(per_h * (1.0 / GAMMA), &self.jacobian, &mut self.lu);

        self.y.copy_from_slice(&self.x);
        for stage in 0..STAGES {
            if stage > 0 {
                if stage < 6 {
                    self.y.copy_from_slice(&self.x);
                    add_weighted(&mut self.y, &self.u[..stage], A[stage - 1]);
                } else {
                    add_weighted(&mut self.y, &self.u[stage - 1..stage], &[1.0]);
                }
                self.rhs(self.clock.stimulus.at(self.clock.t + h * NODES[stage]));
            }
            let (before, rest) = self.u.split_at_mut(stage);
            let b = &mut rest[0];
            b.fill(zero);
            if stage > 0 {
                add_weighted(b, before, C[stage - 1]);
            }
            for k in 0..d {
                let k = optimization_barrier::<W>(k);
                b[k] = self.f[k] + b[k] * per_h;
            }
            if stage < SHARES.len() {
                for (row, by) in self.plan.recording.stimulated.iter().zip(&self.by_stimulus) {
                    b[*row as usize] = b[*row as usize] + *by * change * SHARES[stage];
                }
            }
            self.plan.elimination.solve(&self.lu, b);
        }

        // The new state, in place of the last stage's.
        let [.., last] = &self.u[..] else {
            unreachable!("eight stages")
        };
        let mut sum = zero;
        let mut sound = zero;
        for k in 0..d {
            let k = optimization_barrier::<W>(k);
            let x_new = self.y[k] + last[k];
            self.y[k] = x_new;
            let share = last[k] / self.clock.scale(self.x[k].abs().max(x_new.abs()));
            sum = sum + share * share;
            // Times 0, infinities and NaN become NaN.
            sound = sound + x_new * 0.0;
        }
        let error = (sum / d as f64).sqrt();
        let error = Lane::select(
            (sound + error * 0.0).le(zero),
            error,
            Lane([f64::INFINITY; W]),
        );
        let accept = error.le(Lane([1.0; W]));

        if self.clock.follow || any(accept & self.clock.output(0).lt(tried.t_new)) {
            let [from, to, terms @ ..] = &mut self.extension;
            from.copy_from_slice(&self.x);
            to.copy_from_slice(&self.y);
            for (term, weights) in terms.iter_mut().zip(&EXTENSION) {
                term.fill(zero);
                add_weighted(term, &self.u, weights);
            }
        }
        for k in 0..d {
            let k = optimization_barrier::<W>(k);
            self.x[k] = Lane::select(accept, self.y[k], self.x[k]);
        }
        self.clock.book(tried, error, CONTROL);
    }
}

/// The continuous extension from its five terms, at a share `theta` of the step.
#[inline(always)]
pub fn extension<R: Real>(term: impl Fn(usize) -> R, theta: R) -> R {
    let rest = R::constant(1.0) - theta;
    rest * term(0) + theta * (term(1) + rest * (term(2) + theta * (term(3) + theta * term(4))))
}

/// The terms of a [`CurvePiece`](crate::curve::CurvePiece) from the five of [`extension`].
pub fn curve_terms(term: impl Fn(usize) -> f64) -> [f64; TERMS] {
    let mut all = [0.0; TERMS];
    all[0] = term(4);
    nest(&mut all, 1, &Factor::Share, term(3));
    nest(&mut all, 2, &Factor::Share, term(2));
    nest(&mut all, 3, &Factor::Rest, term(1) - term(0));
    nest(&mut all, 4, &Factor::Share, 0.0);
    elevated([all[0], all[1], all[2], all[3], all[4]])
}
