//! The right-hand side of many states at the same parameters, group by group.

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
