//! Which trials are ended early, by what they and the others have reported so far.

use serde::{Deserialize, Serialize};

use super::journal::Trial;
use crate::{Error, Result, tagged::exactly};

/// When a trial is given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", try_from = "Written")]
pub enum Pruner {
    /// Never.
    None,
    /// Asynchronous successive halving (Li et al. 2020): at the steps `first`, `first * factor`, .. only the best share 1 / `factor` of all trials that
    /// came so far goes on.
    Asha {
        /// The first step that is looked at.
        first: u64,
        /// Share that goes on, as 1 / `factor`, and the ratio of steps.
        factor: u64,
    },
    /// Hyperband (Li et al. 2018) over asynchronous halving: trials are dealt to brackets that begin to look at `first`, `first * factor`, .. up to
    /// `last`, more of them the earlier it looks, and compete within their bracket.
    Hyperband {
        /// The first step that the strictest bracket looks at.
        first: u64,
        /// As of `asha`.
        factor: u64,
        /// The last step of a trial.
        last: u64,
    },
    /// Worse at its best than the median of the others at the same step.
    #[default]
    Median,
}

/// A [`Pruner`] as it stands in files: read so, errors name the key within it.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table such as { kind = \"median\" }"
)]
struct Written {
    kind: Kind,
    first: Option<u64>,
    factor: Option<u64>,
    last: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    None,
    Asha,
    Hyperband,
    Median,
}

impl TryFrom<Written> for Pruner {
    type Error = String;

    fn try_from(w: Written) -> std::result::Result<Self, String> {
        let given = [("first", w.first), ("factor", w.factor), ("last", w.last)];
        Ok(match w.kind {
            Kind::None => {
                let [] = exactly("none", [], &given)?;
                Pruner::None
            }
            Kind::Asha => {
                let [first, factor] = exactly("asha", ["first", "factor"], &given)?;
                Pruner::Asha { first, factor }
            }
            Kind::Hyperband => {
                let [first, factor, last] =
                    exactly("hyperband", ["first", "factor", "last"], &given)?;
                Pruner::Hyperband {
                    first,
                    factor,
                    last,
                }
            }
            Kind::Median => {
                let [] = exactly("median", [], &given)?;
                Pruner::Median
            }
        })
    }
}

/// Trials that must be finished before the median means anything.
const FEWEST: usize = 5;

impl Pruner {
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Pruner::Asha { first, factor } if *first == 0 || *factor < 2 => Err(Error::of_setting(
                "pruner",
                format!("first = {first}, factor = {factor}; expected 1 or more, and 2 or more"),
            )),
            Pruner::Hyperband {
                first,
                factor,
                last,
            } if *first == 0 || *factor < 2 || last < first => Err(Error::of_setting(
                "pruner",
                format!(
                    "first = {first}, factor = {factor}, last = {last}; expected 1 or more, 2 or more, and at least the first"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Whether `trial`, which has just reported at its last step, is to be given up.
    pub fn prunes(&self, trial: &Trial, all: &[Trial]) -> bool {
        let Some((step, value)) = trial.last() else {
            return false;
        };
        if !value.is_finite() {
            return true;
        }
        match *self {
            Pruner::None => false,
            Pruner::Asha { first, factor } => halving(first, factor, step, value, &|_| true, all),
            Pruner::Hyperband {
                first,
                factor,
                last,
            } => {
                let own = bracket(first, factor, last, trial.origin());
                halving(
                    first * factor.pow(own),
                    factor,
                    step,
                    value,
                    &|t| bracket(first, factor, last, t.origin()) == own,
                    all,
                )
            }
            Pruner::Median => {
                let best = trial
                    .reported
                    .range(..=step)
                    .map(|r| *r.1)
                    .fold(f64::INFINITY, f64::min);
                let others = all
                    .iter()
                    .filter(|t| t.number != trial.number && t.state.finished() && !t.left_behind());
                let mut there: Vec<f64> = others
                    .filter_map(|t| t.reported.get(&step).copied())
                    .collect();
                there.sort_by(f64::total_cmp);
                there.len() >= FEWEST && best > there[there.len() / 2]
            }
        }
    }
}

/// Whether a value is not among the best share 1 / `factor` of `all` that are `of` the same kind, at a step that is a rung.
fn halving(
    first: u64,
    factor: u64,
    step: u64,
    value: f64,
    of: &dyn Fn(&Trial) -> bool,
    all: &[Trial],
) -> bool {
    let rungs = std::iter::successors(Some(first), |r| r.checked_mul(factor));
    if !rungs.take_while(|r| *r <= step).any(|r| r == step) {
        return false;
    }
    // What was begun again counts once.
    let counted = all.iter().filter(|t| of(t) && !t.left_behind());
    let mut there: Vec<f64> = counted
        .filter_map(|t| t.reported.get(&step).copied())
        .collect();
    there.sort_by(f64::total_cmp);
    let stay = (there.len() as u64 / factor).max(1) as usize;
    there.get(stay - 1).is_some_and(|last| value > *last)
}

/// The bracket of a trial: of s + 1 brackets, number b gets a share of trials in proportion to ceil((s + 1) factor^(s - b) / (s - b + 1)), so that each
/// spends about the same; dealt by the trial's number, evenly.
fn bracket(first: u64, factor: u64, last: u64, number: usize) -> u32 {
    let s = std::iter::successors(Some(first), |r| r.checked_mul(factor))
        .take_while(|r| *r <= last)
        .count()
        .max(1) as u32
        - 1;
    let share = |b: u32| (u64::from(s + 1) * factor.pow(s - b)).div_ceil(u64::from(s - b + 1));
    let all: u64 = (0..=s).map(share).sum();
    // A step that has no divisor in common with the whole visits every place once a round.
    let step = (all * 382 / 1000 + 1..all)
        .find(|k| (2..=*k).all(|d| !(k.is_multiple_of(d) && all.is_multiple_of(d))))
        .unwrap_or(1);
    let mut place = (number as u64 % all).wrapping_mul(step) % all;
    for b in 0..=s {
        match place.checked_sub(share(b)) {
            Some(rest) => place = rest,
            None => return b,
        }
    }
    s
}

#[cfg(test)]
mod tests {
    use super::{super::journal::State, *};

    fn trial(number: usize, reported: &[(u64, f64)], state: State) -> Trial {
        Trial {
            number,
            state,
            reported: reported.iter().copied().collect(),
            ..Trial::default()
        }
    }

    #[test]
    fn the_best_third_goes_on_at_every_rung() {
        let asha = Pruner::Asha {
            first: 2,
            factor: 3,
        };
        let all: Vec<Trial> = (0..6)
            .map(|k| trial(k, &[(1, 9.0), (2, k as f64)], State::Running))
            .collect();
        let pruned: Vec<bool> = all.iter().map(|t| asha.prunes(t, &all)).collect();
        assert_eq!(pruned, [false, false, true, true, true, true]);
        // Between rungs nothing happens; a value that is no number ends a trial anywhere.
        assert!(!asha.prunes(&trial(9, &[(3, 100.0)], State::Running), &all));
        assert!(asha.prunes(&trial(9, &[(3, f64::NAN)], State::Running), &all));
        // The first to come has nobody to lose against.
        let first = trial(0, &[(2, 5.0)], State::Running);
        assert!(!asha.prunes(&first, std::slice::from_ref(&first)));
        assert!(
            Pruner::Asha {
                first: 1,
                factor: 1
            }
            .check()
            .is_err()
        );
    }

    #[test]
    fn brackets_share_the_work_and_compete_within() {
        // Rungs 1, 3, 9: three brackets; shares 9, 5 (of 4.5), 3.
        let all: Vec<u32> = (0..17).map(|n| bracket(1, 3, 9, n)).collect();
        assert_eq!(
            [0, 1, 2].map(|b| all.iter().filter(|k| **k == b).count()),
            [9, 5, 3]
        );
        assert!(all[..6].iter().any(|b| *b > 0));
        let hyperband = Pruner::Hyperband {
            first: 1,
            factor: 3,
            last: 9,
        };
        let (strict, late) = (
            (0..17).find(|n| all[*n] == 0).unwrap(),
            (0..17).find(|n| all[*n] == 2).unwrap(),
        );
        let others: Vec<Trial> = (0..17)
            .map(|n| trial(n, &[(1, n as f64 / 100.0)], State::Running))
            .collect();
        assert!(hyperband.prunes(&trial(strict, &[(1, 9.0)], State::Running), &others));
        assert!(!hyperband.prunes(&trial(late, &[(1, 9.0)], State::Running), &others));
        assert!(
            Pruner::Hyperband {
                first: 4,
                factor: 3,
                last: 3
            }
            .check()
            .is_err()
        );
    }

    #[test]
    fn worse_than_the_median_at_its_best() {
        let done: Vec<Trial> = (0..5)
            .map(|k| trial(k, &[(1, k as f64), (2, k as f64)], State::Complete))
            .collect();
        let now = |reported: &[(u64, f64)]| {
            Pruner::Median.prunes(&trial(9, reported, State::Running), &done)
        };
        assert!(
            now(&[(1, 3.0), (2, 2.5)])
                && !now(&[(1, 1.0), (2, 2.5)])
                && !now(&[(1, 3.0), (2, 1.5)])
        );
        assert!(!Pruner::Median.prunes(&trial(9, &[(1, 9.0)], State::Running), &done[..4]));
    }
}
