//! The same source compiled for several instruction sets, chosen at run time. No fused multiply-add is ever used, so all of them give
//! the same bits.

use super::group::Group;
use crate::{real::Lane, system::Model};

/// An instruction set that this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstructionSet {
    /// What every processor of the architecture has.
    Baseline,
    /// 256-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 512-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl InstructionSet {
    /// Those that this machine has, the widest last.
    pub fn available() -> Vec<InstructionSet> {
        #[allow(unused_mut)]
        let mut all = vec![InstructionSet::Baseline];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                all.push(InstructionSet::Avx2);
            }
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512vl") {
                all.push(InstructionSet::Avx512);
            }
        }
        all
    }
}

macro_rules! dispatched {
    ($(#[$doc:meta])* $name:ident => $method:ident, $avx2:ident, $avx512:ident ($($arg:ident: $type:ty),*)) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        fn $avx2<M: Model, const D: usize, const P: usize, const W: usize>(group: &mut Group<D, P, W>, model: &M $(, $arg: $type)*) {
            group.$method(model $(, $arg)*)
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512dq,avx512vl")]
        fn $avx512<M: Model, const D: usize, const P: usize, const W: usize>(group: &mut Group<D, P, W>, model: &M $(, $arg: $type)*) {
            group.$method(model $(, $arg)*)
        }
        $(#[$doc])*
        pub(super) fn $name<M: Model, const D: usize, const P: usize, const W: usize>(
            with: InstructionSet, group: &mut Group<D, P, W>, model: &M $(, $arg: $type)*
        ) {
            match with {
                InstructionSet::Baseline => group.$method(model $(, $arg)*),
                // SAFETY: this value is only made by `available`, which found the features.
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx2 => unsafe { $avx2(group, model $(, $arg)*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx512 => unsafe { $avx512(group, model $(, $arg)*) },
            }
        }
    };
}

dispatched!(
    /// [`Group::begin`].
    begin => begin, begin_avx2, begin_avx512 (fresh: &Lane<W>)
);
dispatched!(
    /// [`Group::advance`].
    advance => advance, advance_avx2, advance_avx512 ()
);
