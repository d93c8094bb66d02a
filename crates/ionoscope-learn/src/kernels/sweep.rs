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
    /// Constants of [`gates`](Lanes::gates), kept in registers.
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
    /// The sums of the lanes of eight vectors.
    unsafe fn sums(vectors: &[Self; 8]) -> [f32; 8];
    /// m(k) = 1 / (1 + 2^k) in place, so that tanh(z) = 1 - 2 m(2 log2(e) z). Operations that take several cycles each follow one another
    /// here, so the vectors are to go through them side by side.
    unsafe fn gates<const N: usize>(k: &mut [Self; N], constants: &Self::Constants);
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
    /// Where the sums are added: with `backward` rows of N_h as those of the weights, then always those of the error and its square.
    pub sums: &'a mut [f64],
    /// Whether the gradient is wanted.
    pub backward: bool,
}

/// Inner inputs beyond this number are swept by a second loop over memory.
const IN_REGISTERS: usize = 6;

/// Both passes, with `U` vectors at once in the forward one; `U2` is twice that.
///
/// # Safety
/// The processor has the instruction set of `L`.
#[inline(always)]
pub(super) unsafe fn sweep<L: Lanes, const U: usize, const U2: usize>(mut task: Task) {
    const { assert!(U2 == 2 * U && BLOCK.is_multiple_of(U * L::WIDTH)) };
    let (inner, n) = (task.shape.inner, task.shape.hidden);
    let lines = BLOCK / LINE;
    let sums = if task.backward { n * (inner + 4) + 2 } else { 2 };
    assert!(task.weights.len() == n * (inner + 4) + 1 && task.count <= BLOCK);
    assert!(task.rows.len() == (inner + 4) * lines && task.kept.len() == 2 * n * lines && task.sums.len() == sums);
    // SAFETY: the lengths that the passes rely on were just checked; the caller answers for the instruction set.
    unsafe {
        match inner {
            0 => passes::<L, U, U2, 0, false>(&mut task),
            1 => passes::<L, U, U2, 1, false>(&mut task),
            2 => passes::<L, U, U2, 2, false>(&mut task),
            3 => passes::<L, U, U2, 3, false>(&mut task),
            4 => passes::<L, U, U2, 4, false>(&mut task),
            5 => passes::<L, U, U2, 5, false>(&mut task),
            6 => passes::<L, U, U2, 6, false>(&mut task),
            _ => passes::<L, U, U2, IN_REGISTERS, true>(&mut task),
        }
    }
}

#[inline(always)]
unsafe fn passes<L: Lanes, const U: usize, const U2: usize, const K: usize, const MORE: bool>(task: &mut Task) {
    // SAFETY: as in `sweep`.
    unsafe {
        if task.backward {
            forward::<L, U, U2, K, MORE, true>(task);
            error::<L>(task);
            backward::<L, K, MORE>(task);
        } else {
            forward::<L, U, U2, K, MORE, false>(task);
            error::<L>(task);
        }
    }
}

/// The output of every sample; with `KEEP` also m1 and m2 of every unit.
///
/// A unit's chain of operations is long: about a hundred cycles, of which throughput would allow a tenth. So the outer gates of one group of
/// `U` vectors go together with the inner gates of the next group, and `2 U` chains are under way.
#[inline(always)]
unsafe fn forward<L: Lanes, const U: usize, const U2: usize, const K: usize, const MORE: bool, const KEEP: bool>(task: &mut Task) {
    let (inner, n) = (task.shape.inner, task.shape.hidden);
    let group = U * L::WIDTH;
    let end = task.count.next_multiple_of(group);
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
            let kept = kept.add(2 * j * BLOCK);
            // The inner sums of the group at `s`, to `q` from `first` on.
            macro_rules! inner_sums {
                ($q:ident, $first:expr, $s:expr) => {
                    for i in 0..U {
                        $q[$first + i] = if MORE { L::load(between.add($s + i * L::WIDTH)) } else { beta };
                    }
                    for k in 0..K {
                        for i in 0..U {
                            $q[$first + i] = L::load(x.add(k * BLOCK + $s + i * L::WIDTH)).mul_add(a_inner[k], $q[$first + i]);
                        }
                    }
                };
            }
            // The outer sums of the group at `s`, to the beginning of `q`.
            macro_rules! outer_sums {
                ($q:ident, $m1:ident, $s:expr) => {
                    for i in 0..U {
                        if KEEP {
                            $m1[i].store(kept.add(2 * ($s + i * L::WIDTH)));
                        }
                        $q[i] = $m1[i].mul_add(slope, L::load(own.add($s + i * L::WIDTH)).mul_add(a, alpha));
                    }
                };
            }
            // What m2, at the beginning of `q`, adds to the output of the group at `s`.
            macro_rules! output {
                ($q:ident, $s:expr) => {
                    for i in 0..U {
                        if KEEP {
                            $q[i].store(kept.add(2 * ($s + i * L::WIDTH) + L::WIDTH));
                        }
                        let o = out.add($s + i * L::WIDTH);
                        $q[i].mul_add(b, L::load(o)).store(o);
                    }
                };
            }
            let mut m1 = [beta; U];
            inner_sums!(m1, 0, 0);
            L::gates(&mut m1, &constants);
            let mut s = 0;
            while s + group < end {
                let mut q = [beta; U2];
                outer_sums!(q, m1, s);
                inner_sums!(q, U, s + group);
                L::gates(&mut q, &constants);
                output!(q, s);
                m1.copy_from_slice(&q[U..]);
                s += group;
            }
            let mut q = [beta; U];
            outer_sums!(q, m1, s);
            L::gates(&mut q, &constants);
            output!(q, s);
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
    // SAFETY: as in `forward`.
    unsafe {
        let (target, out) = (x.add((inner + 1) * BLOCK), x.add((inner + 2) * BLOCK));
        for s in 0..task.count {
            *out.add(s) -= *target.add(s);
        }
        for s in task.count..end {
            *out.add(s) = 0.0;
        }
        let zero = L::splat(0.0);
        let (mut sum, mut square) = (zero, zero);
        for s in (0..end).step_by(L::WIDTH) {
            let e = L::load(out.add(s));
            sum = sum.add(e);
            square = e.mul_add(e, square);
        }
        let sums = L::sums(&[sum, square, zero, zero, zero, zero, zero, zero]);
        task.sums[last] += f64::from(sums[0]);
        task.sums[last + 1] += f64::from(sums[1]);
    }
}

/// The sums from which the gradient is made.
#[inline(always)]
unsafe fn backward<L: Lanes, const K: usize, const MORE: bool>(task: &mut Task) {
    let (inner, n) = (task.shape.inner, task.shape.hidden);
    let end = task.count.next_multiple_of(L::WIDTH);
    let x = task.rows.as_mut_ptr().cast::<f32>();
    let kept = task.kept.as_ptr().cast::<f32>();
    // SAFETY: as in `forward`.
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
            let to = &mut task.sums[j..];
            // The lanes are added up eight sums at a time; K is at most 6.
            let mut low = [zero; 8];
            low[..K].copy_from_slice(&s_inner);
            let rest = [s_beta, s_a, s_alpha, s_b];
            let fit = if K + 4 > 8 { 8 - K } else { 4 };
            low[K..K + fit].copy_from_slice(&rest[..fit]);
            let mut sums = [0.0; 12];
            sums[..8].copy_from_slice(&L::sums(&low));
            if K + 4 > 8 {
                let mut high = [zero; 8];
                high[..4 - fit].copy_from_slice(&rest[fit..]);
                sums[8..].copy_from_slice(&L::sums(&high)[..4]);
            }
            for k in 0..K {
                to[k * n] += f64::from(sums[k]);
            }
            if MORE {
                for k in K..inner {
                    let mut s_k = zero;
                    for s in (0..end).step_by(L::WIDTH) {
                        s_k = L::load(between.add(s)).mul_add(L::load(x.add(k * BLOCK + s)), s_k);
                    }
                    to[k * n] += f64::from(L::sums(&[s_k, zero, zero, zero, zero, zero, zero, zero])[0]);
                }
            }
            for r in 0..4 {
                to[(inner + r) * n] += f64::from(sums[K + r]);
            }
        }
    }
}

/// tanh of a line by [`Lanes::gates`].
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
            let mut m = [L::load(at).mul(L::splat(LOG2_E_TWICE as f32))];
            L::gates(&mut m, &constants);
            m[0].neg_mul_add(L::splat(2.0), L::splat(1.0)).store(at);
        }
    }
}
