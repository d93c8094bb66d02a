//! All fixed points of a flow or a map in a box, with their eigenvalues.
//!
//! Damped Newton iterations with the exact Jacobian from many quasi-random starts, then again with what was found deflated, until a
//! round finds nothing new. No such search is a proof that there is no other; `starts` says how hard it looks.

use ionoscope_dynamics::{spec::Quantity, system::DynamicalSystem};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    newton::{Scaled, newton},
    spectrum::{Complex, spectrum},
};

/// Two zeros nearer than this, in units of the box, are one.
const SAME: f64 = 1e-7;
/// A zero this far outside the box, in units of the box, still counts as on its border.
const BORDER: f64 = 1e-9;
/// More starts than this are a slip of the keyboard: they would fill the memory.
const MOST_STARTS: usize = 10_000_000;
/// Deflated rounds use this share of the starts.
const DEFLATED_SHARE: usize = 4;

/// A fixed point, what its linearisation says, and whether a surrogate was trained there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FixedPoint {
    /// State, in the order of the variables.
    pub x: Vec<f64>,
    /// Eigenvalues per unit of time, by descending real part (see [`crate::spectrum`]).
    pub eigenvalues: Vec<Complex>,
    /// For a map its multipliers, in the order of `eigenvalues`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multipliers: Option<Vec<Complex>>,
    /// Whether small disturbances decay.
    pub stable: bool,
    /// Whether state or parameters lie outside what a surrogate was trained on; never for equations.
    pub extrapolated: bool,
}

/// Numerical knobs of the search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FixedPointOptions {
    /// Box `[low, high]` for each variable; `None` takes the variables' ranges.
    pub bounds: Option<Vec<[f64; 2]>>,
    /// Number of quasi-random starts.
    pub starts: usize,
    /// Seed of the starts.
    pub seed: u64,
}

impl Default for FixedPointOptions {
    fn default() -> Self {
        FixedPointOptions { bounds: None, starts: 256, seed: 1 }
    }
}

/// All fixed points in the box that the search finds, sorted by their first variable, then the next. The same for any number of
/// threads; uses the current rayon pool.
///
/// # Errors
/// Parameters of a wrong length or not finite, a box that is empty or of a wrong length, no starts; a spectrum that fails.
pub fn fixed_points(system: &dyn DynamicalSystem, i_stim: f64, p: &[f64], options: &FixedPointOptions) -> Result<Vec<FixedPoint>> {
    search(system, i_stim, p, options, &[])
}

/// The fixed point that Newton iterations from `guess` lead to; `None` when they lead to none near the variables' ranges.
///
/// # Errors
/// A guess or parameters of a wrong length or not finite; a spectrum that fails.
pub fn refine(system: &dyn DynamicalSystem, guess: &[f64], i_stim: f64, p: &[f64]) -> Result<Option<FixedPoint>> {
    let problem = scaled(system, i_stim, p, &None)?;
    check_state(system, guess)?;
    newton(&problem, &problem.scaled(guess), &[]).map(|z| describe(&problem, problem.state(&z))).transpose()
}

/// The fixed points at each of several parameter vectors: a full search at each, to which the points found at the one before are
/// further starts. With neighbouring parameters `options.starts` can be smaller than for a single search.
///
/// # Errors
/// As [`fixed_points`].
pub fn fixed_points_over<P: AsRef<[f64]>>(
    system: &dyn DynamicalSystem,
    i_stim: f64,
    parameters: &[P],
    options: &FixedPointOptions,
) -> Result<Vec<Vec<FixedPoint>>> {
    let mut all: Vec<Vec<FixedPoint>> = Vec::with_capacity(parameters.len());
    for p in parameters {
        let guesses: Vec<Vec<f64>> = all.last().map(|found| found.iter().map(|f| f.x.clone()).collect()).unwrap_or_default();
        all.push(search(system, i_stim, p.as_ref(), options, &guesses)?);
    }
    Ok(all)
}

fn search(
    system: &dyn DynamicalSystem,
    i_stim: f64,
    p: &[f64],
    options: &FixedPointOptions,
    guesses: &[Vec<f64>],
) -> Result<Vec<FixedPoint>> {
    if !(1..=MOST_STARTS).contains(&options.starts) {
        return Err(Error::Invalid(format!("{} starts; expected at least one and at most {MOST_STARTS}", options.starts)));
    }
    let problem = scaled(system, i_stim, p, &options.bounds)?;
    let mut starts: Vec<Vec<f64>> = guesses.iter().map(|x| problem.scaled(x)).collect();
    starts.extend(quasi_random(options.starts, system.dimension(), options.seed));
    let mut roots = Vec::new();
    add_new(&mut roots, &problem, &starts, &[]);
    let again = &starts[..options.starts.div_ceil(DEFLATED_SHARE)];
    while !roots.is_empty() {
        let known = roots.clone();
        if !add_new(&mut roots, &problem, again, &known) {
            break;
        }
    }
    let inside = |z: &Vec<f64>| z.iter().all(|z| (-BORDER..=1.0 + BORDER).contains(z));
    let mut found = roots.iter().filter(|z| inside(z)).map(|z| describe(&problem, problem.state(z))).collect::<Result<Vec<_>>>()?;
    found.sort_by(|a, b| a.x.iter().zip(&b.x).map(|(a, b)| a.total_cmp(b)).find(|o| o.is_ne()).unwrap_or(std::cmp::Ordering::Equal));
    Ok(found)
}

/// Adds to `roots` what Newton iterations from `starts`, with `known` deflated, find beside them; whether that was anything.
fn add_new(roots: &mut Vec<Vec<f64>>, problem: &Scaled, starts: &[Vec<f64>], known: &[Vec<f64>]) -> bool {
    let polished = |z: Vec<f64>| if known.is_empty() { Some(z) } else { newton(problem, &z, &[]) };
    let found: Vec<Option<Vec<f64>>> = starts.par_iter().map(|s| newton(problem, s, known).and_then(polished)).collect();
    let before = roots.len();
    for z in found.into_iter().flatten() {
        let same = |r: &Vec<f64>| r.iter().zip(&z).all(|(r, z)| (r - z).abs() < SAME);
        if !roots.iter().any(same) {
            roots.push(z);
        }
    }
    roots.len() > before
}

fn describe(problem: &Scaled, x: Vec<f64>) -> Result<FixedPoint> {
    let s = spectrum(problem.system, &x, problem.i_stim, problem.p)?;
    let extrapolated = problem.system.spec().extrapolates(&x, problem.p);
    Ok(FixedPoint { x, eigenvalues: s.eigenvalues, multipliers: s.multipliers, stable: s.stable, extrapolated })
}

fn scaled<'a>(system: &'a dyn DynamicalSystem, i_stim: f64, p: &'a [f64], bounds: &Option<Vec<[f64; 2]>>) -> Result<Scaled<'a>> {
    let spec = system.spec();
    if p.len() != spec.parameters.len() || !p.iter().all(|v| v.is_finite()) || !i_stim.is_finite() {
        let expected = spec.parameters.len();
        return Err(Error::Invalid(format!("parameters {p:?}, stimulus {i_stim}; expected {expected} finite parameters for {}", spec.id)));
    }
    let ranges: Vec<[f64; 2]> = match bounds {
        None => spec.variables.iter().map(|q| q.range).collect(),
        Some(b) if b.len() == spec.variables.len() => b.clone(),
        Some(b) => {
            return Err(Error::Invalid(format!("the box has {} sides; {} has {} variables", b.len(), spec.id, spec.variables.len())));
        }
    };
    for ([low, high], Quantity { name, .. }) in ranges.iter().zip(&spec.variables) {
        if !(low < high && low.is_finite() && high.is_finite()) {
            return Err(Error::Invalid(format!("the box [{low}, {high}] of {name} is empty; expected finite LOW < HIGH")));
        }
    }
    let width = ranges.iter().map(|r| r[1] - r[0]).collect();
    Ok(Scaled { system, i_stim, p, low: ranges.iter().map(|r| r[0]).collect(), width })
}

fn check_state(system: &dyn DynamicalSystem, x: &[f64]) -> Result<()> {
    if x.len() == system.dimension() && x.iter().all(|v| v.is_finite()) {
        return Ok(());
    }
    Err(Error::Invalid(format!("the guess {x:?}; expected {} finite numbers for {}", system.dimension(), system.spec().id)))
}

/// `count` points that fill the unit cube evenly: the additive recurrence with the generalised golden ratio (the root of
/// g^(n+1) = g + 1), shifted at random.
fn quasi_random(count: usize, n: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let golden = (0..64).fold(2.0f64, |g, _| (1.0 + g).powf(1.0 / (n as f64 + 1.0)));
    let shift: Vec<f64> = (0..n).map(|_| random.random()).collect();
    (0..count).map(|k| (0..n).map(|i| (shift[i] + k as f64 * golden.powi(-(i as i32 + 1))).fract()).collect()).collect()
}

#[cfg(test)]
mod tests;
