//! The two passes over a block, once for all instruction sets.
//!
//! Everything here is inlined into a function compiled for one instruction set; what differs between them is in [`Lanes`].

use super::{BLOCK, LINE, LOG2_E_TWICE, Line, Shape};

/// What a pass needs of an instruction set: a vector of single-precision lanes.
///
/// # Safety
/// All functions may only be called where the processor has the instruction set; pointers must be valid for `WIDTH` numbers and aligned to
/// their size.
pub(super) trait Lanes: Copy {
    /// Number of lanes; divides [`LINE`].
    const WIDTH: usize;
    /// Constants of [`gate`](Lanes::gate), kept in registers.
    type Constants: Copy;
    unsafe fn constants() -> Self::Constants;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self * factor + term`.
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self;
    /// `term - self * factor`.
    unsafe fn neg_mul_add(self, factor: Self, term: Self) -> Self;
    /// m(k) = 1 / (1 + 2^k) for any k, so that tanh(z) = 1 - 2 m(2 log2(e) z).
    unsafe fn gate(self, constants: &Self::Constants) -> Self;
}

/// One block of samples to sweep.
pub(super) struct Task<'a> {
    pub shape: Shape,
    /// Scaled weights, see [`Packed`](super::Packed).
    pub weights: &'a [f32],
    /// Inner inputs, own variable, target, then room for the output and for one row between passes: `[inner + 4][BLOCK]`.
    pub rows: &'a mut [Line],
    /// Number of samples.
    pub count: usize,
    /// Room for m1 and m2, `[N_h][2 BLOCK]`.
    pub kept: &'a mut [Line],
    /// Where the sums are added: with `backward` a line for each weight in unit-major order, then always those of the error and its square.
    pub sums: &'a mut [Line],
    /// Whether the gradient is wanted.
    pub backward: bool,
}

/// Inner inputs beyond this number are swept by a second loop over memory.
const IN_REGISTERS: usize = 6;

/// Both passes.
///
/// # Safety
/// The processor has the instruction set of `L`.
#[inline(always)]
pub(super) unsafe fn sweep<L: Lanes>(mut task: Task) {
    let (inner, n) = (task.shape.inner, task.shape.hidden);
    let lines = BLOCK / LINE;
    let sums = if task.backward { n * (inner + 4) + 2 } else { 2 };
    assert!(task.weights.len() == n * (inner + 4) + 1 && task.count <= BLOCK);
    assert!(task.rows.len() == (inner + 4) * lines && task.kept.len() == 2 * n * lines && task.sums.len() == sums);
    // SAFETY: the lengths that the passes rely on were just checked; the caller answers for the instruction set.
    unsafe {
        match inner {
            0 => passes::<L, 0, false>(&mut task),
            1 => passes::<L, 1, false>(&mut task),
            2 => passes::<L, 2, false>(&mut task),
            3 => passes::<L, 3, false>(&mut task),
            4 => passes::<L, 4, false>(&mut task),
            5 => passes::<L, 5, false>(&mut task),
            6 => passes::<L, 6, false>(&mut task),
            _ => passes::<L, IN_REGISTERS, true>(&mut task),
        }
    }
}

#[inline(always)]
unsafe fn passes<L: Lanes, const K: usize, const MORE: bool>(task: &mut Task) {
    // SAFETY: as in `sweep`.
    unsafe {
        if task.backward {
            forward::<L, K, MORE, true>(task);
            error::<L>(task);
            backward::<L, K, MORE>(task);
        } else {
            forward::<L, K, MORE, false>(task);
            error::<L>(task);
        }
    }
}

/// The output of every sample; with `KEEP` also m1 and m2 of every unit.
#[inline(always)]
unsafe fn forward<L: Lanes, const K: usize, const MORE: bool, const KEEP: bool>(task: &mut Task) {
    let (inner, n) = (task.shape.inner, task.shape.hidden);
    let end = task.count.next_multiple_of(L::WIDTH);
    let w = task.weights.as_ptr();
    let x = task.rows.as_mut_ptr().cast::<f32>();
    let kept = task.kept.as_mut_ptr().cast::<f32>();
    // SAFETY: `end` is at most BLOCK, whose multiples the checked lengths are; rows are lines, so every vector is aligned.
    unsafe {
        let own = x.add(inner * BLOCK);
        let (out, between) = (x.add((inner + 2) * BLOCK), x.add((inner + 3) * BLOCK));
        let constants = L::constants();
        let slope = L::splat((-2.0 * LOG2_E_TWICE) as f32);
        let constant = L::splat(*w.add(n * (inner + 4)));
        for s in (0..end).step_by(L::WIDTH) {
            constant.store(out.add(s));
        }
        for j in 0..n {
            let mut a_inner = [slope; K];
            for k in 0..K {
                a_inner[k] = L::splat(*w.add(k * n + j));
            }
            let beta = L::splat(*w.add(inner * n + j));
            let a = L::splat(*w.add((inner + 1) * n + j));
            let alpha = L::splat(*w.add((inner + 2) * n + j));
            let b = L::splat(*w.add((inner + 3) * n + j));
            if MORE {
                for s in (0..end).step_by(L::WIDTH) {
                    let mut y = beta;
                    for k in K..inner {
                        y = L::load(x.add(k * BLOCK + s)).mul_add(L::splat(*w.add(k * n + j)), y);
                    }
                    y.store(between.add(s));
                }
            }
            for s in (0..end).step_by(L::WIDTH) {
                let mut y = if MORE { L::load(between.add(s)) } else { beta };
                for k in 0..K {
                    y = L::load(x.add(k * BLOCK + s)).mul_add(a_inner[k], y);
                }
                let m1 = y.gate(&constants);
                let z = m1.mul_add(slope, L::load(own.add(s)).mul_add(a, alpha));
                let m2 = z.gate(&constants);
                if KEEP {
                    let at = kept.add(2 * (j * BLOCK + s));
                    m1.store(at);
                    m2.store(at.add(L::WIDTH));
                }
                let o = out.add(s);
                m2.mul_add(b, L::load(o)).store(o);
            }
        }
    }
}

/// Turns outputs into errors (zero behind the last sample) and adds up these and their squares.
#[inline(always)]
unsafe fn error<L: Lanes>(task: &mut Task) {
    let inner = task.shape.inner;
    let end = task.count.next_multiple_of(L::WIDTH);
    let x = task.rows.as_mut_ptr().cast::<f32>();
    let last = task.sums.len() - 2;
    // SAFETY: as in `forward`; the last two sums are there.
    unsafe {
        let (target, out) = (x.add((inner + 1) * BLOCK), x.add((inner + 2) * BLOCK));
        for s in 0..task.count {
            *out.add(s) -= *target.add(s);
        }
        for s in task.count..end {
            *out.add(s) = 0.0;
        }
        let sums = task.sums.as_mut_ptr().add(last).cast::<f32>();
        let (mut sum, mut square) = (L::load(sums), L::load(sums.add(LINE)));
        for s in (0..end).step_by(L::WIDTH) {
            let e = L::load(out.add(s));
            sum = sum.add(e);
            square = e.mul_add(e, square);
        }
        sum.store(sums);
        square.store(sums.add(LINE));
    }
}

/// The sums from which the gradient is made.
#[inline(always)]
unsafe fn backward<L: Lanes, const K: usize, const MORE: bool>(task: &mut Task) {
    let (inner, n) = (task.shape.inner, task.shape.hidden);
    let end = task.count.next_multiple_of(L::WIDTH);
    let x = task.rows.as_mut_ptr().cast::<f32>();
    let kept = task.kept.as_ptr().cast::<f32>();
    let sums = task.sums.as_mut_ptr().cast::<f32>();
    // SAFETY: as in `forward`; there are `inner + 4` lines of sums a unit.
    unsafe {
        let own = x.add(inner * BLOCK);
        let (error, between) = (x.add((inner + 2) * BLOCK), x.add((inner + 3) * BLOCK));
        for j in 0..n {
            let zero = L::splat(0.0);
            let mut s_inner = [zero; K];
            let (mut s_beta, mut s_a, mut s_alpha, mut s_b) = (zero, zero, zero, zero);
            for s in (0..end).step_by(L::WIDTH) {
                let at = kept.add(2 * (j * BLOCK + s));
                let (m1, m2) = (L::load(at), L::load(at.add(L::WIDTH)));
                let p = L::load(error.add(s)).mul(m2);
                s_b = s_b.add(p);
                let w = p.neg_mul_add(m2, p);
                s_a = w.mul_add(L::load(own.add(s)), s_a);
                s_alpha = s_alpha.add(w);
                let d = w.mul(m1);
                let d = d.neg_mul_add(m1, d);
                for k in 0..K {
                    s_inner[k] = d.mul_add(L::load(x.add(k * BLOCK + s)), s_inner[k]);
                }
                s_beta = s_beta.add(d);
                if MORE {
                    d.store(between.add(s));
                }
            }
            let to = sums.add(j * (inner + 4) * LINE);
            for k in 0..K {
                add_to(to.add(k * LINE), s_inner[k]);
            }
            if MORE {
                for k in K..inner {
                    let mut s_k = zero;
                    for s in (0..end).step_by(L::WIDTH) {
                        s_k = L::load(between.add(s)).mul_add(L::load(x.add(k * BLOCK + s)), s_k);
                    }
                    add_to(to.add(k * LINE), s_k);
                }
            }
            add_to(to.add(inner * LINE), s_beta);
            add_to(to.add((inner + 1) * LINE), s_a);
            add_to(to.add((inner + 2) * LINE), s_alpha);
            add_to(to.add((inner + 3) * LINE), s_b);
        }
    }
}

#[inline(always)]
unsafe fn add_to<L: Lanes>(to: *mut f32, value: L) {
    // SAFETY: the caller gives the beginning of a line.
    unsafe { L::load(to).add(value).store(to) }
}

/// Sum of the parts in their order, then of the lanes pair by pair.
#[inline(always)]
pub(super) fn add_lines(parts: &[&[Line]], out: &mut [f32]) {
    assert!(parts.iter().all(|p| p.len() == out.len()));
    for (i, o) in out.iter_mut().enumerate() {
        let mut v = [0.0f32; LINE];
        for part in parts {
            for (a, b) in v.iter_mut().zip(&part[i].0) {
                *a += b;
            }
        }
        let v: [f32; 8] = std::array::from_fn(|l| v[l] + v[l + 8]);
        let v: [f32; 4] = std::array::from_fn(|l| v[l] + v[l + 4]);
        *o = (v[0] + v[2]) + (v[1] + v[3]);
    }
}

/// tanh of a line by [`Lanes::gate`].
///
/// # Safety
/// The processor has the instruction set of `L`.
#[inline(always)]
pub(super) unsafe fn tanh<L: Lanes>(line: &mut Line) {
    // SAFETY: a line is whole vectors, aligned; the caller answers for the instruction set.
    unsafe {
        let constants = L::constants();
        for s in (0..LINE).step_by(L::WIDTH) {
            let at = line.0.as_mut_ptr().add(s);
            let m = L::load(at).mul(L::splat(LOG2_E_TWICE as f32)).gate(&constants);
            m.neg_mul_add(L::splat(2.0), L::splat(1.0)).store(at);
        }
    }
}
