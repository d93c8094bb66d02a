//! The same source compiled for several instruction sets, chosen at run time. No fused multiply-add is ever used, so all of them give
//! the same bits.

use super::{
    evaluation,
    explicit::{self, Group},
    extension::{self, Inside},
    rosenbrock::{self, Rosenbrock},
    rush_larsen::RushLarsen,
};
use crate::{
    program::Machine,
    real::{InstructionSet, Lane},
    system::Model,
};

macro_rules! dispatched {
    ($(#[$doc:meta])* $name:ident => $avx2:ident, $avx512:ident [$($generics:tt)*] ($($arg:ident: $type:ty),*) $body:expr) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        fn $avx2<$($generics)*>($($arg: $type),*) {
            $body
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512dq,avx512vl")]
        fn $avx512<$($generics)*>($($arg: $type),*) {
            $body
        }
        $(#[$doc])*
        pub(super) fn $name<$($generics)*>(with: InstructionSet, $($arg: $type),*) {
            match with {
                InstructionSet::Baseline => $body,
                // SAFETY: this value is only made by `available`, which found the features.
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx2 => unsafe { $avx2($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx512 => unsafe { $avx512($($arg),*) },
            }
        }
    };
}

dispatched!(
    /// [`Group::begin`].
    begin_explicit => begin_explicit_avx2, begin_explicit_avx512 [M: Model, const D: usize, const P: usize, const W: usize]
    (group: &mut Group<D, P, W>, model: &M, fresh: &Lane<W>) group.begin(model, fresh)
);
dispatched!(
    /// [`Group::advance`].
    advance_explicit => advance_explicit_avx2, advance_explicit_avx512 [M: Model, const D: usize, const P: usize, const W: usize]
    (group: &mut Group<D, P, W>, model: &M) group.advance(model)
);
dispatched!(
    /// [`Rosenbrock::begin`].
    begin_rosenbrock => begin_rosenbrock_avx2, begin_rosenbrock_avx512 [const W: usize]
    (group: &mut Rosenbrock<'_, W>, fresh: &Lane<W>) group.begin(fresh)
);
dispatched!(
    /// [`Rosenbrock::advance`].
    advance_rosenbrock => advance_rosenbrock_avx2, advance_rosenbrock_avx512 [const W: usize]
    (group: &mut Rosenbrock<'_, W>) group.advance()
);
dispatched!(
    /// [`RushLarsen::begin`].
    begin_rush_larsen => begin_rush_larsen_avx2, begin_rush_larsen_avx512 [const W: usize]
    (group: &mut RushLarsen<'_, W>, fresh: &Lane<W>) group.begin(fresh)
);
dispatched!(
    /// [`RushLarsen::advance`].
    advance_rush_larsen => advance_rush_larsen_avx2, advance_rush_larsen_avx512 [const W: usize]
    (group: &mut RushLarsen<'_, W>) group.advance()
);
dispatched!(
    /// States inside a step of [`Group`].
    extend_explicit => extend_explicit_avx2, extend_explicit_avx512 []
    (inside: &Inside<'_>, out: &mut Vec<f64>) inside.push(out, #[inline(always)] |terms, theta| explicit::extension(#[inline(always)] |k| terms[k], theta))
);
dispatched!(
    /// States inside a step of [`Rosenbrock`].
    extend_rosenbrock => extend_rosenbrock_avx2, extend_rosenbrock_avx512 []
    (inside: &Inside<'_>, out: &mut Vec<f64>) inside.push(out, #[inline(always)] |terms, theta| rosenbrock::extension(#[inline(always)] |k| terms[k], theta))
);
dispatched!(
    /// States inside a step of [`RushLarsen`].
    extend_rush_larsen => extend_rush_larsen_avx2, extend_rush_larsen_avx512 []
    (inside: &Inside<'_>, out: &mut Vec<f64>) inside.push(out, #[inline(always)] |terms, theta| extension::line(#[inline(always)] |k| terms[k], theta))
);
dispatched!(
    /// [`evaluation::evaluate`].
    evaluate_many => evaluate_many_avx2, evaluate_many_avx512 [const W: usize]
    (machine: &mut Machine<'_, Lane<W>>, x: &[f64], i_stim: &[f64], input: &mut [Lane<W>], f: &mut [Lane<W>], out: &mut [f64])
    evaluation::evaluate(machine, x, i_stim, input, f, out)
);
