//! Whether a sampled motion comes back to where it was, and after how long.
//!
//! A **passage** of a variable is one rise from its lower third to its upper third, so that ripples do not count. The variable with the
//! longest mean interval between passages makes the section: of a burst that is a slow variable, which passes once a burst, not the
//! potential, which passes once a spike. A **return** is the state at the passage's upward crossing of the middle, on a cubic between two
//! samples. A motion is periodic where returns repeat; a map that is no sampled flow repeats its states themselves.

use ionoscope_dynamics::{
    system::{DynamicalSystem, Time},
    trajectory::Trajectory,
};

/// A variable whose motion is below this share of the largest relative motion does not make a section: it would be noise.
const STILL: f64 = 1e-4;
/// The least extent, in units of the ranges, in shares of which states are compared.
const LEAST_EXTENT: f64 = 1e-4;
/// Returns in one period at most (of a period-doubled cycle, of a burst whose slow variable is not among the state's).
const MOST_RETURNS: usize = 96;
/// Iterates of a map that repeat themselves exactly, at most.
const MOST_ITERATES: usize = 1024;
/// Returns repeat where they differ by less than this share of the extent, and times by less than this share of the period.
pub(crate) const SAME_RETURN: f64 = 1e-2;
/// Returns of different kinds whose distance falls below this share of what it was come nearer each other.
const MERGES: f64 = 0.97;
/// Periods that have to repeat.
const REPEATS: usize = 3;

/// Smallest and largest value of every variable, as `[low, high]`.
pub(crate) fn extent(states: &[f64], n: usize) -> Vec<[f64; 2]> {
    let mut range = vec![[f64::INFINITY, f64::NEG_INFINITY]; n];
    for x in states.chunks_exact(n) {
        for ([low, high], x) in range.iter_mut().zip(x) {
            (*low, *high) = (low.min(*x), high.max(*x));
        }
    }
    range
}

/// A motion at equal times.
pub(crate) struct Motion<'a> {
    pub system: &'a dyn DynamicalSystem,
    pub i_stim: f64,
    pub p: &'a [f64],
    pub dt: f64,
    /// States `[time][variable]`.
    pub states: &'a [f64],
}

/// What repeats.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cycle {
    pub period: f64,
    /// Factor by which the difference of returns shrinks in a period; none where it is no more than an error.
    pub shrinks: Option<f64>,
    /// How far the last return is from where returns lead, as a share of the extent.
    pub left: f64,
}

/// Passages of one variable.
#[derive(Debug, Clone)]
pub(crate) struct Passages {
    /// Index of the variable, and the crossed level.
    pub variable: usize,
    pub level: f64,
    /// Samples before the crossings.
    pub at: Vec<usize>,
}

impl Passages {
    /// Mean number of samples from passage to passage; none for fewer than two.
    pub fn interval(&self) -> Option<f64> {
        let (first, last) = (self.at.first()?, self.at.last()?);
        (last > first).then(|| (last - first) as f64 / (self.at.len() - 1) as f64)
    }
}

impl<'a> Motion<'a> {
    pub fn of(
        system: &'a dyn DynamicalSystem,
        i_stim: f64,
        p: &'a [f64],
        trajectory: &'a Trajectory,
    ) -> Self {
        Motion {
            system,
            i_stim,
            p,
            dt: trajectory.times.dt,
            states: &trajectory.x,
        }
    }

    fn n(&self) -> usize {
        self.system.dimension()
    }

    pub fn len(&self) -> usize {
        self.states.len() / self.n()
    }

    fn state(&self, k: usize) -> &[f64] {
        &self.states[k * self.n()..(k + 1) * self.n()]
    }

    /// Widths of the variables' ranges, in which motions of different variables are compared.
    fn widths(&self) -> impl Iterator<Item = f64> + '_ {
        self.system
            .spec()
            .variables
            .iter()
            .map(|q| (q.range[1] - q.range[0]).max(f64::MIN_POSITIVE))
    }

    /// Passages of the variables that move, those with the longest intervals first; only those with at least `least`, and whether all have.
    pub fn passages(&self, least: usize) -> (Vec<Passages>, bool) {
        let range = extent(self.states, self.n());
        let motion: Vec<f64> = range
            .iter()
            .zip(self.widths())
            .map(|([low, high], width)| (high - low) / width)
            .collect();
        let largest = motion.iter().copied().fold(0.0, f64::max);
        let moves = (0..self.n()).filter(|&i| motion[i] > STILL * largest && motion[i] > 0.0);
        let of_all: Vec<Passages> = moves.map(|i| self.passages_of(i, range[i])).collect();
        let moving = of_all.len();
        let mut enough: Vec<Passages> = of_all
            .into_iter()
            .filter(|p| p.at.len() >= least.max(2))
            .collect();
        enough.sort_by(|a, b| {
            b.interval()
                .unwrap_or(0.0)
                .total_cmp(&a.interval().unwrap_or(0.0))
        });
        let complete = moving > 0 && enough.len() == moving;
        (enough, complete)
    }

    fn passages_of(&self, variable: usize, [low, high]: [f64; 2]) -> Passages {
        let n = self.n();
        let (lower, level, upper) = (
            low + (high - low) / 3.0,
            0.5 * (low + high),
            high - (high - low) / 3.0,
        );
        let (mut armed, mut crossed, mut at) = (false, None, Vec::new());
        let mut before = f64::NAN;
        for (k, x) in self
            .states
            .iter()
            .skip(variable)
            .step_by(n)
            .copied()
            .enumerate()
        {
            if x <= lower {
                (armed, crossed) = (true, None);
            }
            if armed && crossed.is_none() && before < level && x >= level {
                crossed = Some(k - 1);
            }
            if armed && x >= upper {
                at.extend(crossed);
                (armed, crossed) = (false, None);
            }
            before = x;
        }
        Passages {
            variable,
            level,
            at,
        }
    }

    /// Time, in samples, and state of the crossing after sample `k`.
    fn crossing(&self, passages: &Passages, k: usize) -> (f64, Vec<f64>) {
        let n = self.n();
        let (a, b) = (self.state(k), self.state(k + 1));
        // Slopes per sample at both ends: of a flow its rule, of a map differences over two steps.
        let slopes: [Vec<f64>; 2] = match self.system.time() {
            Time::Continuous => [a, b].map(|x| {
                let mut dx = vec![0.0; n];
                self.system.rule(x, self.i_stim, self.p, &mut dx);
                dx.iter().map(|d| d * self.dt).collect()
            }),
            Time::Discrete { .. } => {
                let (first, last) = (k.saturating_sub(1), (k + 2).min(self.len() - 1));
                let slope = |from: usize, to: usize| {
                    let over = (to - from) as f64;
                    self.state(to)
                        .iter()
                        .zip(self.state(from))
                        .map(|(b, a)| (b - a) / over)
                        .collect()
                };
                [slope(first, k + 1), slope(k, last)]
            }
        };
        let at = |i: usize, s: f64| {
            let (r, s2) = (1.0 - s, s * s);
            a[i] * r * r * (1.0 + 2.0 * s) + b[i] * s2 * (3.0 - 2.0 * s) + slopes[0][i] * s * r * r
                - slopes[1][i] * s2 * r
        };
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..52 {
            let middle = 0.5 * (low + high);
            if at(passages.variable, middle) < passages.level {
                low = middle
            } else {
                high = middle
            }
        }
        (k as f64 + high, (0..n).map(|i| at(i, high)).collect())
    }

    /// The crossings of passages: times, in samples, and states.
    pub fn crossings(&self, passages: &Passages) -> Vec<(f64, Vec<f64>)> {
        passages
            .at
            .iter()
            .map(|k| self.crossing(passages, *k))
            .collect()
    }

    /// The cycle that the motion is on or about to end on, where it repeats itself; differences are in shares of the extent.
    pub fn cycle(&self, same: f64) -> Option<Cycle> {
        if let Some(cycle) = self.iterates(same) {
            return Some(cycle);
        }
        // A slow variable first; where its returns do not repeat, the fastest one, whose crossings are best defined.
        let (mut all, _) = self.passages(REPEATS + 1);
        let last = all.pop();
        all.into_iter()
            .next()
            .into_iter()
            .chain(last)
            .find_map(|p| self.cycle_of(&p, same))
    }

    /// The cycle of a map whose states, one step apart, repeat themselves.
    pub fn iterates(&self, same: f64) -> Option<Cycle> {
        let Time::Discrete { dt } = self.system.time() else {
            return None;
        };
        let repeats = if (self.dt - dt).abs() < 0.5 * dt {
            self.repeats(same)?
        } else {
            return None;
        };
        Some(Cycle {
            period: repeats as f64 * dt,
            shrinks: None,
            left: 0.0,
        })
    }

    fn cycle_of(&self, passages: &Passages, same: f64) -> Option<Cycle> {
        let range = self.extents();
        let returns = self.crossings(passages);
        let distance = |j: usize, k: usize| {
            let share =
                |((x, y), [low, high]): ((&f64, &f64), &[f64; 2])| (x - y).abs() / (high - low);
            returns[j]
                .1
                .iter()
                .zip(&returns[k].1)
                .zip(&range)
                .map(share)
                .fold(0.0, f64::max)
        };
        let count = returns.len();
        let find = |m: usize| -> Option<Cycle> {
            // All returns of the second half of what was seen, each with the last one of its kind: successive ones differ little in a slow drift.
            let compared = (REPEATS * m).max(count / 2).min(count - m);
            let period = |k: usize| returns[k].0 - returns[k - m].0;
            let last = count - 1;
            if (count - compared..count)
                .any(|k| (period(k) - period(last)).abs() > same * period(last))
            {
                return None;
            }
            let of_kind = |k: usize| last - (last - k) % m;
            if (count - compared - m..count).any(|k| distance(k, of_kind(k)) > same) {
                return None;
            }
            let steps: Vec<f64> = (count - compared..count)
                .map(|k| distance(k, k - m))
                .collect();
            let worst = |part: &[f64]| part.iter().copied().fold(0.0, f64::max);
            let (earlier, later) = steps.split_at(steps.len() / 2);
            let (earlier, later) = (worst(earlier), worst(later));
            // One half of them lies so many periods behind the other.
            let apart = (steps.len() as f64 / (2 * m) as f64).max(1.0);
            // Where the later half differs by little less, errors differ.
            let shrinks = (later > 0.05 * same && later < 0.7 * earlier)
                .then(|| (later / earlier).powf(1.0 / apart));
            let periods = (compared / m).max(1);
            let mean = (returns[last].0 - returns[last - periods * m].0) / periods as f64;
            let left = later * shrinks.map_or(1.0, |q| 1.0 / (1.0 - q));
            // Returns of different kinds that are no farther apart than they still go, or come nearer each other, may become one.
            let first = last - (compared - 1) / m * m;
            let merge = |j: usize| {
                let [early, late] =
                    [first, last].map(|k| if k >= j { distance(k, k - j) } else { f64::NAN });
                (shrinks.is_some() && left >= 0.5 * late) || late < MERGES * early
            };
            if (1..m).any(merge) {
                return None;
            }
            Some(Cycle {
                period: mean * self.dt,
                shrinks,
                left,
            })
        };
        (1..=MOST_RETURNS.min(count / (REPEATS + 1))).find_map(find)
    }

    /// The extents, at least a small share of the variables' ranges: in what does not move, only errors differ.
    fn extents(&self) -> Vec<[f64; 2]> {
        let floor =
            |([low, high], width): ([f64; 2], f64)| [low, high.max(low + LEAST_EXTENT * width)];
        extent(self.states, self.n())
            .into_iter()
            .zip(self.widths())
            .map(floor)
            .collect()
    }

    /// After how many iterates a map's states repeat themselves.
    fn repeats(&self, same: f64) -> Option<usize> {
        let count = self.len();
        let range = self.extents();
        // Far nearer than the next state, or every slow motion would repeat itself at once.
        let near = |a: &[f64], b: &[f64]| {
            a.iter()
                .zip(b)
                .zip(&range)
                .all(|((a, b), [low, high])| (a - b).abs() <= 1e-3 * same * (high - low))
        };
        let compared = |m: usize| (REPEATS * m).max(count / 2).min(count - m);
        let all = |m: usize| {
            (count - compared(m)..count)
                .rev()
                .all(|k| near(self.state(k), self.state(k - m)))
        };
        (1..=MOST_ITERATES.min(count / (REPEATS + 1))).find(|m| all(*m))
    }
}
