//! What is asked of a continuation of fixed points, and its answer.

use ionoscope_dynamics::system::Time;
use serde::{Deserialize, Serialize};

use crate::spectrum::Complex;

/// Numerical knobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContinuationOptions {
    /// Box `[low, high]` for each variable, which branches may not leave; `None` takes the variables' ranges.
    pub bounds: Option<Vec<[f64; 2]>>,
    /// Values of the parameter, evenly over its interval, at which fixed points are sought to start from, beside its ends and the value
    /// where it is not varied; over orders of magnitude as many again evenly in the logarithm.
    pub searches: usize,
    /// Starts of each search.
    pub starts: usize,
    /// Seed of the starts.
    pub seed: u64,
    /// Longest step, in scaled arclength.
    pub longest_step: f64,
    /// Steps of a branch in each direction.
    pub most_steps: usize,
    /// The state at whose values conserved quantities are held; `None` takes the default start. Of no effect where nothing is conserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Vec<f64>>,
}

impl Default for ContinuationOptions {
    fn default() -> Self {
        ContinuationOptions {
            bounds: None,
            searches: 7,
            starts: 128,
            seed: 1,
            longest_step: 0.01,
            most_steps: 20_000,
            start: None,
        }
    }
}

/// Which bifurcation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bifurcation {
    /// Two fixed points meet: the branch turns back.
    SaddleNode,
    /// Another branch crosses.
    BranchPoint,
    /// A complex pair passes the imaginary axis.
    Hopf,
    /// A multiplier passes -1.
    PeriodDoubling,
    /// A complex pair of multipliers passes the unit circle.
    NeimarkSacker,
}

/// A bifurcation on a branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpecialPoint {
    /// Which.
    pub kind: Bifurcation,
    /// Value of the parameter.
    pub parameter: f64,
    /// State, in the order of the variables.
    pub x: Vec<f64>,
    /// Eigenvalues per unit of time.
    pub eigenvalues: Vec<Complex>,
    /// Of a Hopf point: angular frequency, per unit of time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency: Option<f64>,
    /// Of a Hopf point: negative where stable cycles are born (Kuznetsov's equation (3.20), with the eigenvector of length 1 in the
    /// model's units).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_lyapunov_coefficient: Option<f64>,
    /// Whether state or parameters lie outside what a surrogate was trained on.
    pub extrapolated: bool,
}

/// A point of a branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BranchPoint {
    /// Value of the parameter.
    pub parameter: f64,
    /// State.
    pub x: Vec<f64>,
    /// Eigenvalues per unit of time, by descending real part.
    pub eigenvalues: Vec<Complex>,
    /// Whether small disturbances decay.
    pub stable: bool,
    /// Whether state or parameters lie outside what a surrogate was trained on.
    pub extrapolated: bool,
}

/// Why a branch went no further. Each is only said where it was verified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The end of the parameter's interval, exactly.
    EndOfRange,
    /// The end of the parameter's interval, where the Jacobian is singular or nothing is finite: followed to it by ever shorter steps.
    SingularEnd {
        /// How far from it, in the parameter's unit, the equations were still solved.
        within: f64,
    },
    /// This variable left the box.
    LeftBox(String),
    /// It came back to where it began.
    Closed,
    /// Newton's corrections found no further point by the shortest step.
    NoConvergence,
    /// The branch changes its direction within the shortest step.
    NotSmooth,
    /// Equations or Jacobian are not finite within the shortest step.
    NotFinite,
    /// As many steps as were allowed.
    TooManySteps,
    /// The first point, at this value of the parameter, could not be solved for, so that nothing was followed.
    NotStarted {
        /// Where.
        parameter: f64,
    },
    /// Cycles shrank to a fixed point: a Hopf or Neimark-Sacker point.
    FixedPoint,
    /// The period grows without bound while the parameter stands still: a homoclinic orbit or a saddle-node on the cycle is near.
    LongPeriod,
    /// The period grew beyond its limit, and the parameter with it.
    PeriodLimit,
    /// Cycles need a finer mesh than is allowed.
    TooManyIntervals,
    /// Cycles join a fixed point of a map or a cycle of a smaller period, which doubles or multiplies its period there.
    SmallerPeriod,
}

impl Stop {
    /// Whether the branch was followed to an end of its own or one that was asked for. Otherwise it broke off: it may go on.
    pub fn complete(&self) -> bool {
        match self {
            Stop::EndOfRange | Stop::SingularEnd { .. } | Stop::LeftBox(_) | Stop::Closed => true,
            Stop::FixedPoint | Stop::LongPeriod | Stop::SmallerPeriod => true,
            Stop::NoConvergence | Stop::NotSmooth | Stop::NotFinite | Stop::NotStarted { .. } => {
                false
            }
            Stop::TooManySteps | Stop::PeriodLimit | Stop::TooManyIntervals => false,
        }
    }
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stop::EndOfRange => f.write_str("the end of the parameter's interval"),
            Stop::SingularEnd { within } => write!(
                f,
                "the end of the parameter's interval, where the equations have no unique solution; followed to within {within:.1e} of it"
            ),
            Stop::LeftBox(name) => write!(f, "{name} left the box; a wider --box goes on"),
            Stop::Closed => f.write_str("the branch is closed"),
            Stop::NoConvergence => f.write_str("Newton's corrections find no further point, down to the shortest step"),
            Stop::NotSmooth => {
                f.write_str("the direction of the branch jumps within the shortest step, as where the equations are not smooth")
            }
            Stop::NotFinite => f.write_str("the equations are not finite just beyond"),
            Stop::TooManySteps => f.write_str("the limit on the number of steps was reached"),
            Stop::NotStarted { .. } => f.write_str("what was found could not be followed in any direction"),
            Stop::FixedPoint => f.write_str("the cycles shrink to a fixed point"),
            Stop::LongPeriod => f.write_str("the period grows without bound at this value, as it does near a homoclinic orbit"),
            Stop::PeriodLimit => f.write_str("the period grew beyond its limit"),
            Stop::SmallerPeriod => f.write_str("it joins a fixed point or a cycle of a smaller period, which multiplies its period there"),
            Stop::TooManyIntervals => f.write_str("the cycles need a finer mesh than is allowed"),
        }
    }
}

/// A branch of fixed points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Branch {
    /// Its points, in order.
    pub points: Vec<BranchPoint>,
    /// Bifurcations, in order.
    pub special_points: Vec<SpecialPoint>,
    /// Why it begins and ends where it does.
    pub stopped: [Stop; 2],
}

impl Branch {
    /// Whether it was followed to both of its ends; see [`Stop::complete`].
    pub fn complete(&self) -> bool {
        self.stopped.iter().all(Stop::complete)
    }
}

/// The kind of bifurcation by which the eigenvalue `mu` passes the border of stability, saddle-nodes and branch points apart.
pub(super) fn crossing(time: Time, mu: Complex) -> Option<Bifurcation> {
    match time {
        Time::Continuous if mu.im != 0.0 => Some(Bifurcation::Hopf),
        Time::Discrete { dt } if mu.im != 0.0 => {
            let half = (mu.im.abs() * dt - std::f64::consts::PI).abs() < 1e-9;
            Some(if half {
                Bifurcation::PeriodDoubling
            } else {
                Bifurcation::NeimarkSacker
            })
        }
        _ => None,
    }
}
