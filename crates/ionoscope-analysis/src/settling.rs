//! Times for several motions at once, from the time scales of each: how long until all have settled, and how long a stretch shows them.

use crate::time_scales::{Motion, TimeScales};

/// Slowest times (of a decay at rest, or of a motion) after which a start is forgotten: e^-12 of it is left.
pub const SETTLING: f64 = 12.0;

/// The time scales of several motions, as of one system at several values of a parameter, or of systems that are compared.
///
/// Motions that have not settled tell only for how long they were followed; slowest times that are infinite, as of a rest where nothing decays,
/// do not count.
pub struct Several<'a> {
    all: &'a [TimeScales],
}

impl<'a> Several<'a> {
    /// Of these.
    pub fn of(all: &'a [TimeScales]) -> Self {
        Several { all }
    }

    /// Whether all have settled.
    pub fn settled(&self) -> bool {
        self.all.iter().all(|t| t.settled)
    }

    /// The longest time for which one was followed; positive.
    pub fn followed(&self) -> f64 {
        self.all
            .iter()
            .map(|t| t.followed)
            .fold(f64::MIN_POSITIVE, f64::max)
    }

    /// The longest slowest time; none where no motion has one.
    pub fn slowest(&self) -> Option<f64> {
        longest(self.usable().map(|t| t.slowest))
    }

    /// The longest period, or mean time between passages; none where all rest.
    pub fn period(&self) -> Option<f64> {
        longest(self.moving().filter_map(|t| t.period))
    }

    /// The shortest time in which a variable crosses its extent; none where all rest.
    pub fn fastest(&self) -> Option<f64> {
        self.moving().map(|t| t.fastest).reduce(f64::min)
    }

    /// What a picture of the motions has to span: the longest period, or the slowest decay where all rest, or for how long they were followed
    /// where nothing is known.
    pub fn length(&self) -> f64 {
        self.period()
            .or_else(|| self.slowest())
            .unwrap_or_else(|| self.followed())
    }

    fn usable(&self) -> impl Iterator<Item = &'a TimeScales> {
        self.all
            .iter()
            .filter(|t| t.settled && t.slowest.is_finite())
    }

    fn moving(&self) -> impl Iterator<Item = &'a TimeScales> {
        self.usable().filter(|t| t.motion != Motion::Rest)
    }
}

fn longest(times: impl Iterator<Item = f64>) -> Option<f64> {
    Some(times.fold(0.0, f64::max)).filter(|t| *t > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scales(motion: Motion, slowest: f64, period: Option<f64>) -> TimeScales {
        TimeScales {
            motion,
            fastest: 0.1 * slowest,
            slowest,
            period,
            settled: !matches!(motion, Motion::NotSettled | Motion::Escaped),
            followed: 100.0 * slowest.min(1e3),
            state: Vec::new(),
        }
    }

    #[test]
    fn motions_that_settled_count_and_others_only_where_there_are_no_others() {
        let all = [
            scales(Motion::Rest, 7.0, None),
            scales(Motion::Rest, f64::INFINITY, None),
            scales(Motion::Periodic, 5.0, Some(2.0)),
            scales(Motion::Irregular, 3.0, Some(3.0)),
            scales(Motion::NotSettled, 900.0, Some(900.0)),
        ];
        let of = |all| {
            let s = Several::of(all);
            (
                s.settled(),
                s.slowest(),
                s.period(),
                s.fastest(),
                s.length(),
            )
        };
        let want = (
            false,
            Some(7.0),
            Some(3.0),
            Some(0.1 * 3.0f64.min(5.0)),
            3.0,
        );
        assert_eq!(of(&all), want);
        assert_eq!(of(&all[..1]), (true, Some(7.0), None, None, 7.0));
        assert_eq!(of(&all[4..]), (false, None, None, None, 90_000.0));
        assert_eq!(Several::of(&all).followed(), 100_000.0);
        assert!(Several::of(&[]).followed() > 0.0);
    }
}
