//! The right-hand side of one group of states at the same parameters, in lanes.

use crate::{program::Machine, real::Lane};

/// Derivatives `out` of states `x`, `[state][variable]`, with a stimulus each or none. The last group may be shorter, and its free lanes keep what they had.
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
