//! The two passes over a block, once for all instruction sets.
//!
//! Everything here is inlined into a function compiled for one instruction set; what differs between them is in [`Lanes`].

use super::shape::{BLOCK, LINE, LOG2_E_TWICE, Line, Shape};

/// What a pass needs of an instruction set: a vector of single-precision lanes.
///
/// # Safety
/// All functions may only be called where the processor has the instruction set; pointers must be valid for `WIDTH` numbers and aligned to
/// their size.
pub(crate) trait Lanes: Copy {
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
    /// Adds the sums of the lanes of eight vectors to eight numbers.
    unsafe fn add_sums(vectors: &[Self; 8], to: &mut [f64; 8]);
    /// m(k) = 1 / (1 + 2^k) in place, so that tanh(z) = 1 - 2 m(2 log2(e) z). Operations that take several cycles each follow one another
    /// here, so the vectors are to go through them side by side.
    unsafe fn gates<const N: usize>(k: &mut [Self; N], constants: &Self::Constants);
}

/// Work that is written once, for any vectors, and compiled for each instruction set.
pub(crate) trait Kernel {
    /// With vectors of `L`, of which `V` by eight sums fit the registers.
    ///
    /// # Safety
    /// The processor has the instruction set of `L`.
    unsafe fn run<L: Lanes, const V: usize>(self);
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
    /// Where the sums are added: with `backward` [`pieces`] for each unit, in the order of [`slot`], then always one with those of the error
    /// and of its square.
    pub sums: &'a mut [[f64; 8]],
    /// Whether the gradient is wanted.
    pub backward: bool,
}

/// Inner inputs beyond this number are swept by a second loop over memory.
const IN_REGISTERS: usize = 6;

/// Number of pieces of eight numbers that hold the sums of a unit.
pub(super) fn pieces(shape: Shape) -> usize {
    (shape.inner + 4).div_ceil(8)
}

/// Place of the sum for row `row` of the weights among those of its unit: what is summed in registers comes first.
pub(super) fn slot(shape: Shape, row: usize) -> usize {
    let swept = shape.inner.min(IN_REGISTERS);
    if row < swept {
        row
    } else if row < shape.inner {
        row + 4
    } else {
        swept + row - shape.inner
    }
}

/// Both passes, with `U` vectors at once in the forward one; `U2` is twice that.
///
/// # Safety
/// The processor has the instruction set of `L`.
#[inline(always)]
pub(super) unsafe fn sweep<L: Lanes, const U: usize, const U2: usize>(mut task: Task) {
    const { assert!(U2 == 2 * U && BLOCK.is_multiple_of(U * L::WIDTH)) };
    let (inner, n) = (task.shape.inner, task.shape.hidden);
    let lines = BLOCK / LINE;
    let sums = if task.backward {
        n * pieces(task.shape) + 1
    } else {
        1
    };
    assert!(task.weights.len() == n * (inner + 4) + 1 && task.count <= BLOCK);
    assert!(
        task.rows.len() == (inner + 4) * lines
            && task.kept.len() == 2 * n * lines
            && task.sums.len() == sums
    );
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
unsafe fn passes<L: Lanes, const U: usize, const U2: usize, const K: usize, const MORE: bool>(
    task: &mut Task,
) {
    // SAFETY: as in `sweep`.
    unsafe {
        forward::<L, U, U2, K, MORE>(task);
        error::<L>(task);
        if task.backward {
            backward::<L, K, MORE>(task);
        }
    }
}

/// The output of every sample; m1 and m2 of every unit are kept.
///
/// A unit's chain of operations is long: about a hundred cycles, of which throughput would allow a tenth, and no processor looks far enough
/// ahead to fill the gap. So the outer gates of one unit go together with the inner gates of the next, for `U` vectors at a time.
#[inline(always)]
unsafe fn forward<L: Lanes, const U: usize, const U2: usize, const K: usize, const MORE: bool>(
    task: &mut Task,
) {
    let (inner, n) = (task.shape.inner, task.shape.hidden);
    let end = task.count.next_multiple_of(U * L::WIDTH);
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
        // The inner weights of unit `j`, and its sums of the inputs that have no register.
        macro_rules! inner_weights {
            ($j:expr) => {{
                let mut a = [slope; K];
                for k in 0..K {
                    a[k] = L::splat(*w.add(k * n + $j));
                }
                let beta = L::splat(*w.add(inner * n + $j));
                if MORE {
                    for s in (0..end).step_by(L::WIDTH) {
                        let mut y = beta;
                        for k in K..inner {
                            y = L::load(x.add(k * BLOCK + s))
                                .mul_add(L::splat(*w.add(k * n + $j)), y);
                        }
                        y.store(between.add(s));
                    }
                }
                (a, beta)
            }};
        }
        // Its inner sums for the vectors from `s` on, to `q` from `first` on.
        macro_rules! inner_sums {
            ($q:ident, $first:expr, $s:ident, $a:ident, $beta:ident) => {
                for i in 0..U {
                    $q[$first + i] = if MORE {
                        L::load(between.add($s + i * L::WIDTH))
                    } else {
                        $beta
                    };
                }
                for k in 0..K {
                    for i in 0..U {
                        $q[$first + i] = L::load(x.add(k * BLOCK + $s + i * L::WIDTH))
                            .mul_add($a[k], $q[$first + i]);
                    }
                }
            };
        }
        // The outer sums of a unit for the vectors from `s` on, to the beginning of `q`.
        macro_rules! outer_sums {
            ($q:ident, $s:ident, $kept:ident, $a:ident, $alpha:ident) => {
                for i in 0..U {
                    let at = $s + i * L::WIDTH;
                    $q[i] = L::load($kept.add(2 * at))
                        .mul_add(slope, L::load(own.add(at)).mul_add($a, $alpha));
                }
            };
        }
        // What m2, at the beginning of `q`, adds to the output.
        macro_rules! output {
            ($q:ident, $s:ident, $kept:ident, $b:ident) => {
                for i in 0..U {
                    let at = $s + i * L::WIDTH;
                    $q[i].store($kept.add(2 * at + L::WIDTH));
                    $q[i].mul_add($b, L::load(out.add(at))).store(out.add(at));
                }
            };
        }
        let (a_inner, beta) = inner_weights!(0);
        for s in (0..end).step_by(U * L::WIDTH) {
            let mut q = [beta; U];
            inner_sums!(q, 0, s, a_inner, beta);
            L::gates(&mut q, &constants);
            for i in 0..U {
                q[i].store(kept.add(2 * (s + i * L::WIDTH)));
            }
        }
        for j in 0..n {
            let a = L::splat(*w.add((inner + 1) * n + j));
            let alpha = L::splat(*w.add((inner + 2) * n + j));
            let b = L::splat(*w.add((inner + 3) * n + j));
            let now = kept.add(2 * j * BLOCK);
            if j + 1 < n {
                let (a_inner, beta) = inner_weights!(j + 1);
                let next = now.add(2 * BLOCK);
                for s in (0..end).step_by(U * L::WIDTH) {
                    let mut q = [beta; U2];
                    outer_sums!(q, s, now, a, alpha);
                    inner_sums!(q, U, s, a_inner, beta);
                    L::gates(&mut q, &constants);
                    for i in 0..U {
                        q[U + i].store(next.add(2 * (s + i * L::WIDTH)));
                    }
                    output!(q, s, now, b);
                }
            } else {
                for s in (0..end).step_by(U * L::WIDTH) {
                    let mut q = [alpha; U];
                    outer_sums!(q, s, now, a, alpha);
                    L::gates(&mut q, &constants);
                    output!(q, s, now, b);
                }
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
    let last = task.sums.len() - 1;
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
        L::add_sums(
            &[sum, square, zero, zero, zero, zero, zero, zero],
            &mut task.sums[last],
        );
    }
}

/// The sums from which the gradient is made.
#[inline(always)]
unsafe fn backward<L: Lanes, const K: usize, const MORE: bool>(task: &mut Task) {
    let (inner, n, pieces) = (task.shape.inner, task.shape.hidden, pieces(task.shape));
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
            let to = &mut task.sums[j * pieces..(j + 1) * pieces];
            // K is at most 6, so that one or two pieces hold these.
            let mut all = [[zero; 8]; 2];
            let flat = all.as_flattened_mut();
            flat[..K].copy_from_slice(&s_inner);
            flat[K..K + 4].copy_from_slice(&[s_beta, s_a, s_alpha, s_b]);
            L::add_sums(&all[0], &mut to[0]);
            if K + 4 > 8 {
                L::add_sums(&all[1], &mut to[1]);
            }
            if MORE {
                for k in K..inner {
                    let mut s_k = zero;
                    for s in (0..end).step_by(L::WIDTH) {
                        s_k = L::load(between.add(s)).mul_add(L::load(x.add(k * BLOCK + s)), s_k);
                    }
                    let mut sums = [0.0; 8];
                    L::add_sums(&[s_k, zero, zero, zero, zero, zero, zero, zero], &mut sums);
                    to[(k + 4) / 8][(k + 4) % 8] += sums[0];
                }
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
