//! Basins of attraction: which share of starts ends on which attractor.
//!
//! Times follow from the system's own ([`crate::time_scales`]). A trajectory stops as soon as it is known to be on an attractor that is
//! known already (see `attractors.rs`): inside a neighbourhood of a fixed point from which test trajectories all came to it, or for some time
//! among the cells that a motion visits, as in the method of recurrences of Datseris and Wagemakers (Chaos 32 (2022) 023104, doi
//! 10.1063/5.0076568). What is still undecided after a first time is judged by a window: it rests near a stable fixed point, or its returns
//! repeat, or both halves of the window look alike; then the first Lyapunov exponent decides whether it is aperiodic (positive) or
//! quasiperiodic (zero). Otherwise a longer window follows, and after the last one the trajectory counts as **not settled**, and nothing else:
//! the intervals of all other shares allow for it.
//!
//! A few trajectories, spread over all starts, go first, so that the others find the attractors known. A new motion counts as an attractor
//! where states a little beside it come back to it; fixed points and motions that states beside them leave are **unstable**, and only starts
//! exactly on them or on what leads to them, such as a plane of symmetry, stay: starts of a grid. A random start that was seen there will leave,
//! and counts as not settled.

use ionoscope_dynamics::{
    sampling::{stream, uniform},
    system::{DynamicalSystem, Time},
    trajectory::SolveOptions,
    watch::Watcher,
};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    conserved::{Held, Laws},
    settling::{SETTLING, Several},
    time_scales::{self, time_scales},
};

mod attractors;
mod follow;
mod growth;
#[cfg(test)]
mod tests;
mod trap;

use attractors::Known;
use follow::{Run, whole};

/// Trajectories in memory at once.
const CHUNK: usize = 8192;
/// More starts than this are a slip of the keyboard.
const MOST_STARTS: usize = 100_000_000;
/// Starts at which time scales are measured, beside the default one.
const MEASURED: usize = 6;
/// The first time, in mean intervals of an irregular motion.
const INTERVALS: f64 = 30.0;
/// Windows, each twice as long as the one before, the first as long as the first time.
const WINDOWS: usize = 5;
/// Share of a period that a state has to stay among the cells of a cycle, where there are cells along all variables; otherwise, and among those
/// of an irregular motion, it is a whole one. Of 10 000 starts of a bistable cell none ended elsewhere when it was followed to the end.
const AMONG_ALL: f64 = 0.125;
/// Looks in the time that a state has to stay among cells.
const LOOKS: f64 = 24.0;
/// Work on trajectories that are judged by windows: steps times variables to the power of 3/2.
const MOST_WORK: f64 = 3e10;

/// Where trajectories start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Starts {
    /// Uniform in the box.
    Random {
        /// Their number.
        count: usize,
        /// Their seed; start k does not depend on their number.
        seed: u64,
    },
    /// On a grid over some variables, the last one fastest, with both ends of the box; all others stay at one value.
    Grid {
        /// Index of a variable, and number of points.
        axes: Vec<(usize, usize)>,
        /// The state of which the other variables are taken.
        at: Vec<f64>,
    },
}

impl Starts {
    /// Number of starts.
    pub fn count(&self) -> usize {
        match self {
            Starts::Random { count, .. } => *count,
            Starts::Grid { axes, .. } => axes.iter().fold(1, |n, a| n.saturating_mul(a.1)),
        }
    }

    /// Start `k` in a box.
    pub fn state(&self, k: usize, bounds: &[[f64; 2]]) -> Vec<f64> {
        match self {
            Starts::Random { seed, .. } => {
                let mut random = stream(*seed, "basins", k as u64);
                bounds.iter().map(|b| uniform(&mut random, *b)).collect()
            }
            Starts::Grid { axes, at } => {
                let (mut x, mut k) = (at.clone(), k);
                for (variable, points) in axes.iter().rev() {
                    let [low, high] = bounds[*variable];
                    let share = if *points > 1 {
                        (k % points) as f64 / (points - 1) as f64
                    } else {
                        0.5
                    };
                    x[*variable] = low + share * (high - low);
                    k /= points;
                }
                x
            }
        }
    }
}

/// Numerical knobs. Times that are `None` follow from the system's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BasinOptions {
    /// Box `[low, high]` for each variable.
    pub bounds: Vec<[f64; 2]>,
    /// Where trajectories start.
    pub starts: Starts,
    /// Time after which every trajectory is judged, once; `None` judges again and again, up to a limit.
    pub longest: Option<f64>,
    /// Time at the end over which a trajectory is judged: several periods.
    pub window: Option<f64>,
    /// Time between two looks at a state.
    pub sample: Option<f64>,
    /// Time that a state has to stay among a motion's cells to count as on it.
    pub settle: Option<f64>,
    /// Whether trajectories stop where they are known to be on an attractor.
    pub early: bool,
    /// Trajectories that go first.
    pub pilots: usize,
    /// A state at whose level conserved quantities are held; `None` takes the default start. Of no effect where nothing is conserved.
    #[serde(default)]
    pub level: Option<Vec<f64>>,
    /// Tolerances of a flow. Windows are judged at a relative tolerance of 1e-7 at most.
    pub solve: SolveOptions,
}

/// Times of a search, in the system's unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// Slowest time that was measured from several starts, and whether all of these starts settled or escaped.
    pub slowest: Option<f64>,
    /// See `slowest`.
    pub measured: bool,
    /// Time up to which trajectories are looked at.
    pub first: f64,
    /// Lengths of the windows that follow, one after another.
    pub windows: Vec<f64>,
    /// Time between two looks.
    pub sample: f64,
    /// Time that a state has to stay among a motion's cells.
    pub settle: f64,
}

impl Times {
    /// Time after which a trajectory counts as not settled.
    pub fn longest(&self) -> f64 {
        self.first + self.windows.iter().sum::<f64>()
    }
}

impl BasinOptions {
    /// Defaults for a box and starts.
    pub fn new(bounds: Vec<[f64; 2]>, starts: Starts) -> Self {
        let solve = SolveOptions {
            rtol: 1e-4,
            atol: 1e-6,
            ..SolveOptions::default()
        };
        BasinOptions {
            bounds,
            starts,
            longest: None,
            window: None,
            sample: None,
            settle: None,
            early: true,
            pilots: 200,
            level: None,
            solve,
        }
    }

    fn check(&self, system: &dyn DynamicalSystem) -> Result<()> {
        let (n, count) = (system.dimension(), self.starts.count());
        if self.bounds.len() != n {
            return Err(Error::Invalid(format!(
                "the box has {} sides; {} has {n} variables",
                self.bounds.len(),
                system.spec().id
            )));
        }
        for ([low, high], q) in self.bounds.iter().zip(&system.spec().variables) {
            if !(low <= high && low.is_finite() && high.is_finite()) {
                return Err(Error::Invalid(format!(
                    "the box [{low}, {high}] of {} is empty; expected finite LOW <= HIGH",
                    q.name
                )));
            }
        }
        if !(1..=MOST_STARTS).contains(&count) {
            return Err(Error::Invalid(format!(
                "{count} starts; expected 1 to {MOST_STARTS}"
            )));
        }
        if let Some(bad) = self
            .level
            .as_ref()
            .filter(|x| x.len() != n || x.iter().any(|v| !v.is_finite()))
        {
            return Err(Error::Invalid(format!(
                "the state {bad:?} whose level is held; expected {n} finite numbers"
            )));
        }
        let dt = if let Time::Discrete { dt } = system.time() {
            dt
        } else {
            0.0
        };
        let times = [
            ("sample", self.sample),
            ("settling time", self.settle),
            ("window", self.window),
            ("longest time", self.longest),
        ];
        let mut least = dt;
        for (name, value) in times {
            let Some(value) = value else { continue };
            if !(value > 0.0 && value >= least && value.is_finite()) {
                return Err(Error::Invalid(format!(
                    "the {name} is {value}; expected a finite number larger than 0, at least {least}"
                )));
            }
            if name != "settling time" {
                least = value;
            }
        }
        Ok(())
    }

    /// Times that are not given, from the motion of several starts.
    fn times(
        &self,
        system: &dyn DynamicalSystem,
        i_stim: f64,
        p: &[f64],
        starts: &[Vec<f64>],
    ) -> Result<Times> {
        let given = |window: f64, longest: f64| {
            let sample = self.sample.unwrap_or(window / 600.0);
            Times {
                slowest: None,
                measured: false,
                first: longest - window,
                windows: vec![window],
                sample: whole(system, sample),
                settle: self.settle.unwrap_or(20.0 * sample),
            }
        };
        if let (Some(longest), Some(_)) = (self.longest, self.sample.and(self.settle)) {
            let window = self.window.unwrap_or(0.5 * longest);
            return Ok(given(window, longest));
        }
        let solve = self.solve.at_most(1e-6);
        use rayon::prelude::*;
        let found: Vec<Result<time_scales::TimeScales>> = starts
            .par_iter()
            .map(|x| time_scales(system, x, i_stim, p, &solve))
            .collect();
        let found: Vec<time_scales::TimeScales> = found.into_iter().collect::<Result<_>>()?;
        let settled: Vec<&time_scales::TimeScales> = found.iter().filter(|t| t.settled).collect();
        let needs = |t: &time_scales::TimeScales| match t.motion {
            time_scales::Motion::Rest if !t.slowest.is_finite() => t.followed,
            time_scales::Motion::Rest => SETTLING * t.slowest,
            time_scales::Motion::Periodic => {
                SETTLING * t.period.unwrap_or(t.slowest).max(0.5 * t.slowest)
            }
            time_scales::Motion::Irregular => INTERVALS * t.slowest,
            time_scales::Motion::NotSettled | time_scales::Motion::Escaped => 0.0,
        };
        let several = Several::of(&found);
        let mut first = settled
            .iter()
            .map(|t| needs(t))
            .filter(|t| t.is_finite())
            .fold(0.0, f64::max);
        if first <= 0.0 {
            first = several.followed();
        }
        // A motion is looked at several times a period, a rest several times a decay.
        let period = settled
            .iter()
            .filter_map(|t| t.period)
            .fold(f64::INFINITY, f64::min);
        let among = if system.dimension() <= attractors::MOST_VARIABLES {
            AMONG_ALL
        } else {
            1.0
        };
        let stays = |t: &&time_scales::TimeScales| match t.motion {
            time_scales::Motion::Periodic => Some(among * t.period?),
            _ => t.period,
        };
        let settle = if period.is_finite() {
            settled.iter().filter_map(stays).fold(0.0, f64::max)
        } else {
            first / 20.0
        };
        let sample = if period.is_finite() {
            (settle / LOOKS).min(period / 8.0)
        } else {
            settle / LOOKS
        };
        let windows = match (self.longest, self.window) {
            (Some(longest), window) => {
                let window = window.unwrap_or(0.5 * longest);
                first = longest - window;
                vec![window]
            }
            (None, Some(window)) => {
                // Judged at the end of times that double.
                first = first.max(window);
                (0..WINDOWS)
                    .map(|k| (first * f64::from(1 << k)).max(window))
                    .collect()
            }
            (None, None) => (0..WINDOWS).map(|k| first * f64::from(1 << k)).collect(),
        };
        let sample = whole(system, self.sample.unwrap_or(sample));
        Ok(Times {
            slowest: several.slowest(),
            measured: found
                .iter()
                .all(|t| t.settled || t.motion == time_scales::Motion::Escaped),
            first,
            windows: windows.into_iter().map(|w| whole(system, w)).collect(),
            sample,
            settle: self.settle.unwrap_or(settle).max(sample),
        })
    }
}

/// What trajectories end on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttractorKind {
    /// A stable fixed point.
    FixedPoint,
    /// Motion that comes back to where it was. Of a map, whose steps do not fall on the same states again, on a curve through them.
    Periodic,
    /// Motion that stays as it is and does not come back, though small disturbances do not grow (first Lyapunov exponent 0): a torus.
    Quasiperiodic,
    /// Motion that stays as it is while small disturbances grow (first Lyapunov exponent positive).
    Aperiodic,
    /// No attractor: a fixed point or a motion that states beside it leave. Only starts exactly on it, or on what leads to it, stay.
    Unstable,
    /// Away from all that makes sense, or to a state that is not finite.
    Escaped,
    /// No attractor: what was none of the others up to the longest time.
    NotSettled,
}

/// An attractor and its basin, or a class of starts that reached none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attractor {
    /// What it is.
    pub kind: AttractorKind,
    /// Starts that reached it, their share of all, and that share's interval: from Wilson's lower end (95 %) if none of those that have not
    /// settled belong to it, to his upper end if all of them do.
    pub count: u64,
    /// Share.
    pub share: f64,
    /// Interval of the share.
    pub interval: [f64; 2],
    /// The fixed point, or one state of the motion; `None` where trajectories escaped or did not settle.
    pub x: Option<Vec<f64>>,
    /// Smallest and largest value of each variable.
    pub extent: Vec<[f64; 2]>,
    /// Period of a periodic motion.
    pub period: Option<f64>,
}

/// Basins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Basins {
    /// Fixed points first, then motions in the order in which they were met, then what is no attractor: unstable, escaped, not settled.
    pub attractors: Vec<Attractor>,
    /// Index of the attractor of each start.
    #[serde(skip)]
    pub of_start: Vec<u16>,
    /// Share of starts that had not settled.
    pub not_settled: f64,
    /// What to do where that is not zero.
    pub advice: Option<String>,
    /// The times that were used.
    pub times: Times,
    /// Conserved quantities and the values to which all starts were moved.
    pub conserved: Vec<Held>,
    /// Mean time for which a trajectory was followed.
    pub mean_time: f64,
    /// Whether a surrogate left what it was trained on; never for equations.
    pub extrapolated: bool,
}

impl Basins {
    /// Share of starts that end on attractors of a kind, with its interval (see [`Attractor::interval`]).
    pub fn share_of(&self, kind: AttractorKind) -> (f64, [f64; 2]) {
        let of = |kind| {
            self.attractors
                .iter()
                .filter(|a| a.kind == kind)
                .map(|a| a.count)
                .sum::<u64>()
        };
        let (count, all) = (of(kind), self.of_start.len() as u64);
        let open = if kind == AttractorKind::NotSettled {
            0
        } else {
            of(AttractorKind::NotSettled)
        };
        (count as f64 / all as f64, interval_with(count, open, all))
    }
}

/// The basins of all attractors that the starts reach, under a constant stimulus. Where quantities are conserved, starts are moved to the
/// level of [`BasinOptions::level`]. `watch` hears how many starts are decided. The same for any number of threads.
///
/// # Errors
/// Options that make no sense; the errors of the fixed-point search.
pub fn basins(
    system: &dyn DynamicalSystem,
    i_stim: f64,
    p: &[f64],
    options: &BasinOptions,
    watch: &Watcher,
) -> Result<Basins> {
    options.check(system)?;
    let count = options.starts.count();
    let ranges: Vec<[f64; 2]> = system.spec().variables.iter().map(|q| q.range).collect();
    let laws = Laws::find(system, &[(i_stim, p.to_vec())], &ranges);
    let held = laws.held(
        options
            .level
            .as_ref()
            .unwrap_or(&system.spec().default_state()),
        p,
    );
    let blank = Times {
        slowest: None,
        measured: false,
        first: 1.0,
        windows: vec![1.0],
        sample: 1.0,
        settle: 1.0,
    };
    let mut run = Run::new(system, i_stim, p, options, laws, blank);
    let start = |run: &Run, k: usize| {
        let x = options.starts.state(k, &options.bounds);
        run.on_level(&x).unwrap_or(x)
    };
    let mut measured = vec![
        options
            .level
            .clone()
            .unwrap_or_else(|| system.spec().default_state()),
    ];
    measured.extend((0..MEASURED.min(count)).map(|k| start(&run, k * count / MEASURED.min(count))));
    run.set_times(options.times(system, i_stim, p, &measured)?);
    let run = run;
    let mut known = Known::fixed_points(&run)?;

    // Pilots are spread over all starts, which matters for a grid; few at first, as all of them have to be judged.
    let pilots = options.pilots.clamp(1, count);
    let (mut done, mut size) = (0, 8);
    while done < pilots {
        let spread: Vec<Vec<f64>> = (done..(done + size).min(pilots))
            .map(|k| start(&run, k * count / pilots))
            .collect();
        for end in run.follow(&spread, &known)? {
            known.label(&run, end.verdict)?;
        }
        (done, size) = (done + size, 2 * size);
    }

    let (mut of_start, mut time, mut extrapolated, mut work) =
        (Vec::with_capacity(count), 0.0, false, 0.0);
    let weight = (system.dimension() as f64).powf(1.5);
    let (mut first, mut off_level) = (0, 0);
    while first < count {
        // Few at a time while there is much to judge.
        let x: Vec<Vec<f64>> = (first..(first + CHUNK).min(count))
            .map(|k| start(&run, k))
            .collect();
        first += x.len();
        let ends = if work <= MOST_WORK {
            run.follow(&x, &known)?
        } else {
            run.look_only(&x, &known)?
        };
        if !run.laws.is_empty() {
            off_level += x.iter().filter(|x| !run.is_on_level(x)).count();
        }
        for end in ends {
            time += end.time;
            work += end.steps as f64 * weight;
            extrapolated |= end.extrapolated;
            of_start.push(known.label(&run, end.verdict)?);
        }
        watch.progress(of_start.len(), count, "starts");
    }
    let mut found = known.described(of_start, time, extrapolated, &run);
    found.conserved = held;
    found.advice = advice(&found, options, work > MOST_WORK);
    if off_level > 0 {
        let off = format!(
            "{off_level} of {count} starts could not be moved to the level of what is conserved within the box, and went on from where they \
             were: what they reach is on other levels; take a wider box"
        );
        found.advice = Some(
            found
                .advice
                .map_or(off.clone(), |advice| format!("{advice}; {off}")),
        );
    }
    Ok(found)
}

fn advice(found: &Basins, options: &BasinOptions, spent: bool) -> Option<String> {
    let open = found
        .attractors
        .iter()
        .find(|a| a.kind == AttractorKind::NotSettled)?
        .count;
    let all = found.of_start.len();
    let longest = options.longest.unwrap_or_else(|| found.times.longest());
    let more = if spent {
        "the work that is spent on such starts was spent; take fewer starts, or give a longest time"
            .to_owned()
    } else {
        format!(
            "give a longest time beyond {longest:.4}, such as {:.4}",
            10.0 * longest
        )
    };
    Some(format!(
        "{open} of {all} starts had not settled by t = {longest:.4}: they may belong to any attractor, and intervals allow for it; {more}"
    ))
}

/// The interval of a share of which `count` starts are known, and `open` more may be.
fn interval_with(count: u64, open: u64, of: u64) -> [f64; 2] {
    [
        wilson_interval(count, of)[0],
        wilson_interval(count + open, of)[1],
    ]
}

/// The 95 % interval of a share (Wilson 1927).
pub fn wilson_interval(count: u64, of: u64) -> [f64; 2] {
    let (n, z2) = (of as f64, 1.959_963_984_540_054f64.powi(2));
    let share = count as f64 / n;
    let centre = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = (z2 * (share * (1.0 - share) / n + z2 / (4.0 * n * n))).sqrt() / (1.0 + z2 / n);
    [(centre - half).max(0.0), (centre + half).min(1.0)]
}
