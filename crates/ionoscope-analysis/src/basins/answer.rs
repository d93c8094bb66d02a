//! What is asked of basins, and the answer.

use ionoscope_dynamics::{
    sampling::{stream, uniform},
    system::{DynamicalSystem, Time},
    trajectory::SolveOptions,
};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, conserved::Held};

/// More starts than this are a slip of the keyboard.
const MOST_STARTS: usize = 100_000_000;

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

    pub(super) fn check(&self, system: &dyn DynamicalSystem) -> Result<()> {
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

/// The interval of a share of which `count` starts are known, and `open` more may be.
pub(super) fn interval_with(count: u64, open: u64, of: u64) -> [f64; 2] {
    [
        wilson_interval(count, of)[0],
        wilson_interval(count + open, of)[1],
    ]
}

/// The 95 % interval of a share (Wilson 1927).
pub fn wilson_interval(count: u64, of: u64) -> [f64; 2] {
    let (n, z2) = (of as f64, 1.959_963_984_540_054f64.powi(2));
    let share = count as f64 / n;
    let center = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = (z2 * (share * (1.0 - share) / n + z2 / (4.0 * n * n))).sqrt() / (1.0 + z2 / n);
    [(center - half).max(0.0), (center + half).min(1.0)]
}
