//! The right-hand side of many states at the same parameters, in lanes.

use super::dispatch;
use crate::{
    program::{Machine, Recording},
    real::{InstructionSet, Lane},
};

/// States side by side.
const SIDE_BY_SIDE: usize = 16;

/// Derivatives `out` of states `x`, `[state][variable]`, with a stimulus each or none, and the terms `q` of the parameters.
pub fn rules(recording: &Recording, x: &[f64], i_stim: &[f64], q: &[f64], out: &mut [f64]) {
    let d = recording.dimension;
    let mut machine: Machine<'_, Lane<SIDE_BY_SIDE>> = Machine::new(&recording.rhs);
    let q: Vec<Lane<SIDE_BY_SIDE>> = q.iter().map(|q| Lane([*q; SIDE_BY_SIDE])).collect();
    machine.prepare(d + 1, &q);
    let (mut input, mut f) = (
        vec![Lane([0.0; SIDE_BY_SIDE]); d + 1],
        vec![Lane([0.0; SIDE_BY_SIDE]); d],
    );
    let with = InstructionSet::best();
    for (k, (x, out)) in x
        .chunks(d * SIDE_BY_SIDE)
        .zip(out.chunks_mut(d * SIDE_BY_SIDE))
        .enumerate()
    {
        let i_stim = i_stim.get(k * SIDE_BY_SIDE..).unwrap_or_default();
        dispatch::evaluate_many(with, &mut machine, x, i_stim, &mut input, &mut f, out);
    }
}

/// One group: the last one may be shorter, and its free lanes keep what they had.
#[inline(always)]
pub fn evaluate<const W: usize>(
    machine: &mut Machine<'_, Lane<W>>,
    x: &[f64],
    i_stim: &[f64],
    input: &mut [Lane<W>],
    f: &mut [Lane<W>],
    out: &mut [f64],
) {
    let d = f.len();
    for (lane, state) in x.chunks_exact(d).enumerate() {
        for (input, x) in input.iter_mut().zip(state) {
            input.0[lane] = *x;
        }
    }
    for (to, i) in input[d].0.iter_mut().zip(i_stim) {
        *to = *i;
    }
    machine.run(input);
    machine.outputs(0, f);
    for (lane, out) in out.chunks_exact_mut(d).enumerate() {
        for (out, f) in out.iter_mut().zip(f.iter()) {
            *out = f.0[lane];
        }
    }
}
