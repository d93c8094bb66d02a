//! Randomness: one seed, split by name and index, so that a result depends neither on the number of threads nor on the order of the work.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// The generator used everywhere.
pub type Generator = Xoshiro256PlusPlus;

/// The generator of one named, numbered purpose under a seed.
pub fn stream(seed: u64, name: &str, index: u64) -> Generator {
    // FNV-1a over the parts; seed_from_u64 then spreads the bits with SplitMix64.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut eat = |bytes: &[u8]| {
        for &b in bytes {
            hash = (hash ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    eat(&seed.to_le_bytes());
    eat(name.as_bytes());
    eat(&index.to_le_bytes());
    Generator::seed_from_u64(hash)
}

/// A number uniform in [low, high).
pub fn uniform(rng: &mut Generator, [low, high]: [f64; 2]) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

/// A standard normal number, by Box and Muller.
pub fn normal(rng: &mut Generator) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

/// A permutation of 0 .. n - 1, by Fisher and Yates.
pub fn permutation(rng: &mut Generator, n: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    for i in (1..n).rev() {
        order.swap(i, rng.random_range(0..=i));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_name_and_index_and_repeat() {
        let first = |s, n, i| stream(s, n, i).random::<u64>();
        assert_eq!(first(1, "a", 0), first(1, "a", 0));
        let all = [
            first(1, "a", 0),
            first(2, "a", 0),
            first(1, "b", 0),
            first(1, "a", 1),
        ];
        for i in 0..all.len() {
            for j in 0..i {
                assert_ne!(all[i], all[j]);
            }
        }
    }

    /// Datasets and trained networks depend on these bits: they may not change unseen.
    #[test]
    fn the_numbers_of_a_stream_are_pinned() {
        let mut rng = stream(7, "pinned", 3);
        assert_eq!(rng.random::<u64>(), 0x2615_0e40_a3e5_c211);
        assert_eq!(uniform(&mut rng, [-1.0, 3.0]), 0.443553729521299);
        assert_eq!(normal(&mut rng), -1.0379780207806386);
        assert_eq!(permutation(&mut rng, 6), [4, 5, 2, 0, 3, 1]);
    }

    #[test]
    fn normal_numbers_have_the_moments_of_the_normal_distribution() {
        let mut rng = stream(1, "moments", 0);
        let x: Vec<f64> = (0..100_000).map(|_| normal(&mut rng)).collect();
        let moment = |k: i32| x.iter().map(|v| v.powi(k)).sum::<f64>() / x.len() as f64;
        // Four standard errors of each sample moment.
        assert!(moment(1).abs() < 0.013, "{}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.018, "{}", moment(2));
        assert!((moment(4) - 3.0).abs() < 0.13, "{}", moment(4));
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut p = permutation(&mut stream(3, "p", 0), 1000);
        assert_ne!(p[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        p.sort_unstable();
        assert!(p.iter().enumerate().all(|(i, &v)| i == v as usize));
    }
}
