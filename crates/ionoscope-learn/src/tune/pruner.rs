//! Which trials are ended early, by what they and the others have reported so far.

use serde::{Deserialize, Serialize};

use super::journal::Trial;
use crate::{Error, Result};

/// When a trial is given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "kind")]
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
    /// Worse at its best than the median of the others at the same step.
    #[default]
    Median,
}

/// Trials that must be finished before the median means anything.
const FEWEST: usize = 5;

impl Pruner {
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Pruner::Asha { first, factor } if *first == 0 || *factor < 2 => {
                Err(Error::Invalid(format!("pruner: first = {first}, factor = {factor}; expected 1 or more, and 2 or more")))
            }
            _ => Ok(()),
        }
    }

    /// Whether `trial`, which has just reported at its last step, is to be given up.
    pub fn prunes(&self, trial: &Trial, all: &[Trial]) -> bool {
        let Some((step, value)) = trial.last() else { return false };
        if !value.is_finite() {
            return true;
        }
        match *self {
            Pruner::None => false,
            Pruner::Asha { first, factor } => {
                // The highest rung that the trial has just reached.
                let rungs = std::iter::successors(Some(first), |r| r.checked_mul(factor));
                if !rungs.take_while(|r| *r <= step).any(|r| r == step) {
                    return false;
                }
                let mut there: Vec<f64> = all.iter().filter_map(|t| t.reported.get(&step).copied()).collect();
                there.sort_by(f64::total_cmp);
                let stay = (there.len() as u64 / factor).max(1) as usize;
                there.get(stay - 1).is_some_and(|last| value > *last)
            }
            Pruner::Median => {
                let best = trial.reported.range(..=step).map(|r| *r.1).fold(f64::INFINITY, f64::min);
                let others = all.iter().filter(|t| t.number != trial.number && t.state.finished());
                let mut there: Vec<f64> = others.filter_map(|t| t.reported.get(&step).copied()).collect();
                there.sort_by(f64::total_cmp);
                there.len() >= FEWEST && best > there[there.len() / 2]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::journal::State, *};

    fn trial(number: usize, reported: &[(u64, f64)], state: State) -> Trial {
        Trial { number, state, reported: reported.iter().copied().collect(), ..Trial::default() }
    }

    #[test]
    fn the_best_third_goes_on_at_every_rung() {
        let asha = Pruner::Asha { first: 2, factor: 3 };
        let all: Vec<Trial> = (0..6).map(|k| trial(k, &[(1, 9.0), (2, k as f64)], State::Running)).collect();
        let pruned: Vec<bool> = all.iter().map(|t| asha.prunes(t, &all)).collect();
        assert_eq!(pruned, [false, false, true, true, true, true]);
        // Between rungs nothing happens; a value that is no number ends a trial anywhere.
        assert!(!asha.prunes(&trial(9, &[(3, 100.0)], State::Running), &all));
        assert!(asha.prunes(&trial(9, &[(3, f64::NAN)], State::Running), &all));
        // The first to come has nobody to lose against.
        let first = trial(0, &[(2, 5.0)], State::Running);
        assert!(!asha.prunes(&first, std::slice::from_ref(&first)));
        assert!(Pruner::Asha { first: 1, factor: 1 }.check().is_err());
    }

    #[test]
    fn worse_than_the_median_at_its_best() {
        let done: Vec<Trial> = (0..5).map(|k| trial(k, &[(1, k as f64), (2, k as f64)], State::Complete)).collect();
        let now = |reported: &[(u64, f64)]| Pruner::Median.prunes(&trial(9, reported, State::Running), &done);
        assert!(now(&[(1, 3.0), (2, 2.5)]) && !now(&[(1, 1.0), (2, 2.5)]) && !now(&[(1, 3.0), (2, 1.5)]));
        assert!(!Pruner::Median.prunes(&trial(9, &[(1, 9.0)], State::Running), &done[..4]));
    }
}
