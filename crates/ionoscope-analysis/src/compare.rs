//! How far apart two systems' answers are: the measures that reports print.

use ionoscope_dynamics::trajectory::Trajectory;

use crate::{
    basins::{AttractorKind, Basins},
    biomarkers::{Biomarkers, Regime},
};

/// Euclidean distance of two states in their raw units (mV, 1, 1 for the beta-cell), as the publications give it.
///
/// # Panics
/// On different lengths.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "two states of one system");
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).powi(2))
        .sum::<f64>()
        .sqrt()
}

/// Euclidean distance of two states, each variable in units of its standard deviation `sd`.
///
/// # Panics
/// On different lengths.
pub fn distance_standardized(a: &[f64], b: &[f64], sd: &[f64]) -> f64 {
    assert_eq!(
        (a.len(), a.len()),
        (b.len(), sd.len()),
        "two states of one system and its standard deviations"
    );
    a.iter()
        .zip(b)
        .zip(sd)
        .map(|((a, b), s)| ((a - b) / s).powi(2))
        .sum::<f64>()
        .sqrt()
}

/// Index and distance of the state in `states` that is nearest to `x` (raw units); `None` when there are none.
pub fn nearest<'a>(x: &[f64], states: impl IntoIterator<Item = &'a [f64]>) -> Option<(usize, f64)> {
    states
        .into_iter()
        .map(|s| distance(x, s))
        .enumerate()
        .min_by(|a, b| a.1.total_cmp(&b.1))
}

/// Root mean square difference of each variable over pairs of states, in its unit.
///
/// # Panics
/// On no pair, or on different numbers of states.
pub fn root_mean_square(a: &[Vec<f64>], b: &[Vec<f64>]) -> Vec<f64> {
    assert_eq!(a.len(), b.len(), "states in pairs");
    let square = |i: usize| {
        a.iter()
            .zip(b)
            .map(|(a, b)| (a[i] - b[i]).powi(2))
            .sum::<f64>()
    };
    (0..a[0].len())
        .map(|i| (square(i) / a.len() as f64).sqrt())
        .collect()
}

/// Median of the distances of pairs of states in units of the standard deviations `sd`; of an even number of pairs the larger one in the
/// middle.
///
/// # Panics
/// On no pair; as [`distance_standardized`].
pub fn median_distance(a: &[Vec<f64>], b: &[Vec<f64>], sd: &[f64]) -> f64 {
    let mut all: Vec<f64> = a
        .iter()
        .zip(b)
        .map(|(a, b)| distance_standardized(a, b, sd))
        .collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Standard deviation of each variable over the states of a trajectory (of the population), in its unit; positive, so that it can be divided by.
pub fn standard_deviations(t: &Trajectory) -> Vec<f64> {
    let n = t.len() as f64;
    let of = |i: usize| {
        let mean = t.variable(i).sum::<f64>() / n;
        let variance = t.variable(i).map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        variance.sqrt().max(f64::MIN_POSITIVE)
    };
    (0..t.dimension).map(of).collect()
}

/// For how many steps two trajectories on one grid keep a variable within `allowed` of each other; all of them where it never leaves.
///
/// # Panics
/// On a trajectory without a state.
pub fn steps_together(a: &Trajectory, b: &Trajectory, variable: usize, allowed: f64) -> usize {
    let pairs = a.variable(variable).zip(b.variable(variable));
    let last = a.len().min(b.len()) - 1;
    pairs
        .map(|(a, b)| (a - b).abs())
        .position(|apart| apart > allowed)
        .unwrap_or(last)
}

/// How far the rhythms of two systems agree over several values of a parameter.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RhythmsAgree {
    /// Values at which the regime is the same.
    pub regime: usize,
    /// Values at which, in addition, bursts have the same number of spikes, to the nearest whole one.
    pub spikes: usize,
    /// Largest relative difference of the mean interval between spikes where the regime is the same, as a share of the first system's.
    pub interval: f64,
}

impl RhythmsAgree {
    /// Of what was seen of both systems at each value; a value at which either was not seen counts as none.
    pub fn of<'a>(pairs: impl Iterator<Item = [Option<&'a Biomarkers>; 2]>) -> Self {
        let mut agree = RhythmsAgree::default();
        for pair in pairs {
            let [Some(a), Some(b)] = pair else { continue };
            if a.regime != b.regime {
                continue;
            }
            let spikes = [a, b].map(|s| s.spikes_per_burst.map(f64::round));
            agree.regime += 1;
            agree.spikes += usize::from(a.regime != Regime::Bursting || spikes[0] == spikes[1]);
            if let (Some(a), Some(b)) = (a.isi, b.isi) {
                agree.interval = agree.interval.max((b.mean / a.mean - 1.0).abs());
            }
        }
        agree
    }
}

/// Share of starts that end alike in both systems, of those that settle in both; none where there are none. Motions of all kinds are alike: a cycle
/// of equations is a closed curve of a map, which steps along it.
pub fn starts_alike(a: &Basins, b: &Basins) -> Option<f64> {
    let kinds = |found: &Basins| -> Vec<AttractorKind> {
        let kind = |label: &u16| found.attractors[usize::from(*label)].kind;
        found.of_start.iter().map(kind).collect()
    };
    share_alike(&kinds(a), &kinds(b))
}

fn share_alike(a: &[AttractorKind], b: &[AttractorKind]) -> Option<f64> {
    use AttractorKind::{Aperiodic, NotSettled, Periodic, Quasiperiodic};
    let moves = |kind| matches!(kind, Periodic | Quasiperiodic | Aperiodic);
    let settled = || {
        a.iter()
            .zip(b)
            .filter(|(a, b)| **a != NotSettled && **b != NotSettled)
    };
    let same = settled()
        .filter(|(a, b)| a == b || (moves(**a) && moves(**b)))
        .count();
    let all = settled().count();
    (all > 0).then(|| same as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use ionoscope_dynamics::trajectory::{Outcome, Statistics, TimeGrid};

    use super::*;
    use crate::biomarkers::{BiomarkerOptions, Potential, biomarkers};

    fn trajectory(dimension: usize, x: &[f64]) -> Trajectory {
        Trajectory {
            times: TimeGrid::new(0.0, 1.0, x.len() / dimension).unwrap(),
            dimension,
            x: x.to_vec(),
            outcome: Outcome::Completed,
            statistics: Statistics::default(),
        }
    }

    #[test]
    fn differences_of_a_hand_worked_case() {
        let a = [vec![1.0, 10.0], vec![3.0, 20.0], vec![5.0, 30.0]];
        let b = [vec![1.0, 14.0], vec![6.0, 20.0], vec![5.0, 33.0]];
        let want = [3.0f64.sqrt(), (25.0f64 / 3.0).sqrt()];
        assert_eq!(root_mean_square(&a, &b), want);
        // Distances of 4, 3 and 3 in raw units; of 2, 3 and 1.5 in these.
        assert_eq!(median_distance(&a, &b, &[1.0, 2.0]), 2.0);
        let one = trajectory(2, &[0.0, 5.0, 2.0, 5.0, 4.0, 5.0, 6.0, 5.0]);
        assert_eq!(
            standard_deviations(&one),
            [5.0f64.sqrt(), f64::MIN_POSITIVE]
        );
        let other = trajectory(2, &[0.0, 5.0, 2.5, 5.0, 5.0, 5.0, 6.0, 5.0]);
        let together = |allowed| steps_together(&one, &other, 0, allowed);
        assert_eq!([together(0.1), together(0.5), together(1.0)], [1, 2, 3]);
    }

    #[test]
    fn rhythms_agree_where_regime_and_spikes_do() {
        // Pulses of a given period, and bursts of a given number of them.
        let of = |spikes: &dyn Fn(usize) -> bool| {
            let v: Vec<f64> = (0..4000)
                .map(|k| if spikes(k) { 1.0 } else { -1.0 })
                .collect();
            let v = Potential::from_samples(0.0, 1.0, v).unwrap();
            biomarkers(&v, &BiomarkerOptions::at(0.0)).unwrap()
        };
        let spiking = |period: usize| of(&move |k| k % period == 5);
        let bursting = |n: usize| of(&move |k| k % 400 < 10 * n && k % 10 == 5);
        let silent = of(&|_| false);
        let [fast, slow, three, four] = [spiking(50), spiking(60), bursting(3), bursting(4)];
        assert_eq!(
            [&fast, &three, &silent].map(|b| b.regime),
            [Regime::Spiking, Regime::Bursting, Regime::Silent]
        );
        let agree = RhythmsAgree::of(
            [
                [Some(&fast), Some(&slow)],
                [Some(&three), Some(&four)],
                [Some(&silent), Some(&silent)],
                [Some(&fast), Some(&three)],
                [None, Some(&fast)],
            ]
            .into_iter(),
        );
        assert_eq!((agree.regime, agree.spikes), (3, 2));
        let burst = four.isi.unwrap().mean / three.isi.unwrap().mean - 1.0;
        let want = burst.abs().max(60.0 / 50.0 - 1.0);
        assert!((agree.interval - want).abs() < 1e-12, "{agree:?}");
    }

    #[test]
    fn starts_are_alike_at_rest_and_in_motion_and_open_ones_do_not_count() {
        use AttractorKind::{Aperiodic, Escaped, FixedPoint, NotSettled, Periodic, Quasiperiodic};
        let a = [
            FixedPoint, Periodic, Aperiodic, Escaped, NotSettled, FixedPoint,
        ];
        let b = [
            FixedPoint,
            Quasiperiodic,
            FixedPoint,
            Escaped,
            FixedPoint,
            NotSettled,
        ];
        assert_eq!(share_alike(&a, &b), Some(0.75));
        assert_eq!(share_alike(&a[4..], &b[4..]), None);
    }

    #[test]
    fn distances_of_a_hand_worked_case() {
        let (a, b) = ([-50.0, 0.1, 0.2], [-47.0, 0.1, 4.2]);
        assert_eq!(distance(&a, &b), 5.0);
        assert_eq!(distance_standardized(&a, &b, &[0.5, 1.0, 0.5]), 10.0);
        assert_eq!(nearest(&a, [&b[..], &a[..]]), Some((1, 0.0)));
        assert_eq!(nearest(&a, []), None);
    }
}
