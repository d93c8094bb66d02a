//! All fixed points of a flow or a map in a box, with their eigenvalues.
//!
//! Damped Newton iterations with the exact Jacobian from many quasi-random starts, then again with what was found deflated, until a
//! round finds nothing new. No such search is a proof that there is no other; `starts` says how hard it looks.
//!
//! Where quantities are conserved (see [`crate::conserved`]), fixed points form families and are sought on one level, that of a start. Where
//! fixed points are found not to be isolated though no such quantity is known, the member of the family is given to which the motion from
//! the start leads, and the answer says in how many directions there are others.

use ionoscope_dynamics::{spec::Quantity, system::DynamicalSystem};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    conserved::{Held, Laws},
    newton::{Scaled, newton},
    relax::{self, null_vectors, polish, pseudo_transient, simulated},
    residual::{residual, residual_jacobian},
    spectrum::{Complex, spectrum_within},
};

/// Two zeros nearer than this, in units of the box, are one.
const SAME: f64 = 1e-7;
/// A zero this far outside the box, in units of the box, still counts as on its border.
const BORDER: f64 = 1e-9;
/// More starts than this are a slip of the keyboard: they would fill the memory.
const MOST_STARTS: usize = 10_000_000;
/// Deflated rounds use this share of the starts.
const DEFLATED_SHARE: usize = 4;
/// On a level, a zero's residual may be this share of what a change by the width of the box would make of it, and its quantities off by
/// this share of their size.
const RESIDUAL: f64 = 1e-9;
/// How many times as many starts are tried on a level, to which they are moved: fewer of them lead to a fixed point.
const ON_LEVEL: usize = 4;
/// Singular values below this share of the largest make a point suspect of being one of a family.
const NEARLY_SINGULAR: f64 = 1e-7;
/// A step along a family, in units of the box, by which it is told from a single degenerate point.
const ALONG: f64 = 1e-3;

/// A fixed point, what its linearization says, and whether a surrogate was trained there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FixedPoint {
    /// State, in the order of the variables.
    pub x: Vec<f64>,
    /// Eigenvalues per unit of time, by descending real part (see [`crate::spectrum`]), and last those that are zero because fixed points
    /// are not isolated.
    pub eigenvalues: Vec<Complex>,
    /// For a map its multipliers, in the order of `eigenvalues`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multipliers: Option<Vec<Complex>>,
    /// How many eigenvalues, the last ones, are zero because fixed points are not isolated: by conservation, or in directions in which a
    /// family of them was found to go on.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub neutral: usize,
    /// Whether small disturbances decay: those that change no conserved quantity, or lead to no other member of a family.
    pub stable: bool,
    /// Whether state or parameters lie outside what a surrogate was trained on; never for equations.
    pub extrapolated: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde wants it
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// What a search found, and how it went about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// The fixed points, sorted by their first variable, then the next.
    pub fixed_points: Vec<FixedPoint>,
    /// Conserved quantities, and the values at which they were held: those of the start.
    pub conserved: Vec<Held>,
    /// Directions in which the fixed points found go on in families, although no conserved quantity is known that tells their members apart.
    pub unexplained: usize,
    /// How many times Newton's method was started.
    pub tried: usize,
    /// How many fixed points were met outside the box, and left out.
    pub outside: usize,
}

/// Numerical knobs of the search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FixedPointOptions {
    /// Box `[low, high]` for each variable; `None` takes the variables' ranges.
    pub bounds: Option<Vec<[f64; 2]>>,
    /// Number of quasi-random starts; four times as many where quantities are conserved.
    pub starts: usize,
    /// Seed of the starts.
    pub seed: u64,
    /// The state at whose values conserved quantities are held; `None` takes the default start. Of no effect where nothing is conserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Vec<f64>>,
}

impl Default for FixedPointOptions {
    fn default() -> Self {
        FixedPointOptions {
            bounds: None,
            starts: 256,
            seed: 1,
            start: None,
        }
    }
}

/// All fixed points in the box that the search finds, sorted by their first variable, then the next, on the level of the start where
/// quantities are conserved. The same for any number of threads; uses the current rayon pool.
///
/// # Errors
/// Parameters of a wrong length or not finite, a box that is empty or of a wrong length, no starts; a spectrum that fails.
pub fn fixed_points(
    system: &dyn DynamicalSystem,
    i_stim: f64,
    p: &[f64],
    options: &FixedPointOptions,
) -> Result<Vec<FixedPoint>> {
    Ok(search(system, i_stim, p, options)?.fixed_points)
}

/// As [`fixed_points`], with what is conserved and how the search went.
///
/// # Errors
/// As [`fixed_points`].
pub fn search(
    system: &dyn DynamicalSystem,
    i_stim: f64,
    p: &[f64],
    options: &FixedPointOptions,
) -> Result<Search> {
    search_from(system, i_stim, p, options, &[])
}

/// The fixed point that Newton iterations from `guess` lead to, on the guess's level where quantities are conserved; `None` when they lead
/// to none near the variables' ranges.
///
/// # Errors
/// A guess or parameters of a wrong length or not finite; a spectrum that fails.
pub fn refine(
    system: &dyn DynamicalSystem,
    guess: &[f64],
    i_stim: f64,
    p: &[f64],
) -> Result<Option<FixedPoint>> {
    refine_within(None, system, guess, i_stim, p)
}

/// As [`refine`], with the conserved quantities that are known already.
pub(crate) fn refine_within<'a>(
    laws: Option<&Laws<'a>>,
    system: &'a dyn DynamicalSystem,
    guess: &[f64],
    i_stim: f64,
    p: &'a [f64],
) -> Result<Option<FixedPoint>> {
    check_state("guess", system, guess)?;
    let problem = scaled(laws, system, i_stim, p, &None, guess)?;
    newton(&problem, &problem.scaled(guess), &[])
        .map(|z| describe(&problem, problem.state(&z), 0))
        .transpose()
}

/// The fixed points at each of several parameter vectors: a full search at each, to which the points found at the one before are
/// further starts. With neighboring parameters `options.starts` can be smaller than for a single search.
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
        let guesses: Vec<Vec<f64>> = all
            .last()
            .map(|found| found.iter().map(|f| f.x.clone()).collect())
            .unwrap_or_default();
        all.push(search_from(system, i_stim, p.as_ref(), options, &guesses)?.fixed_points);
    }
    Ok(all)
}

fn search_from(
    system: &dyn DynamicalSystem,
    i_stim: f64,
    p: &[f64],
    options: &FixedPointOptions,
    guesses: &[Vec<f64>],
) -> Result<Search> {
    if !(1..=MOST_STARTS).contains(&options.starts) {
        return Err(Error::Invalid(format!(
            "{} starts; expected at least one and at most {MOST_STARTS}",
            options.starts
        )));
    }
    let start = options
        .start
        .clone()
        .unwrap_or_else(|| system.spec().default_state());
    check_state("start", system, &start)?;
    let problem = scaled(None, system, i_stim, p, &options.bounds, &start)?;
    let at_start = problem.scaled(&start);
    let mut starts: Vec<Vec<f64>> = guesses.iter().map(|x| problem.scaled(x)).collect();
    let count = if problem.laws.is_empty() {
        options.starts
    } else {
        ON_LEVEL * options.starts
    };
    starts.extend(quasi_random(count, system.dimension(), options.seed));
    let mut relaxed = None;
    if !problem.laws.is_empty() {
        // The motion stays on its level: it leads to rest where starts from all over the box may not.
        relaxed = pseudo_transient(&problem, &at_start);
        starts.splice(0..0, relaxed.iter().chain([&at_start]).cloned());
        starts.iter_mut().for_each(|z| *z = on_level(&problem, z));
    }
    let mut roots = Vec::new();
    add_new(&mut roots, &problem, &starts, &[]);
    let mut tried = starts.len();
    let mut families: Vec<(Vec<f64>, usize)> = Vec::new();
    if roots.iter().any(|z| directions(&problem, z) > 0) {
        // Of a family every member is a zero: the one is given to which the motion from the start leads, or the first found.
        let (many, single): (Vec<_>, Vec<_>) = roots
            .iter()
            .cloned()
            .partition(|z| directions(&problem, z) > 0);
        roots = single;
        families = family(&problem, &at_start)
            .or_else(|| many.first().map(|z| (z.clone(), directions(&problem, z))))
            .into_iter()
            .collect();
    } else if roots.is_empty() {
        let relaxed = relaxed.or_else(|| pseudo_transient(&problem, &at_start));
        let more: Vec<Vec<f64>> = relaxed.into_iter().chain([at_start.clone()]).collect();
        tried += more.len();
        add_new(&mut roots, &problem, &more, &[]);
        if roots.is_empty() {
            families = family(&problem, &at_start).into_iter().collect();
        }
    }
    // A single point next to which the Jacobian is almost singular may be one of a family, and a degenerate one.
    if families.is_empty() && roots.iter().any(|z| nearly_singular(&problem, z)) {
        let members = family(&problem, &at_start);
        if let Some((member, _)) = &members {
            roots.retain(|z| {
                !nearly_singular(&problem, z)
                    && (0..z.len()).any(|i| (z[i] - member[i]).abs() >= SAME)
            });
        }
        families = members.into_iter().collect();
    }
    let again = &starts[..count.div_ceil(DEFLATED_SHARE)];
    while !roots.is_empty() && families.is_empty() {
        let known = roots.clone();
        tried += again.len();
        if !add_new(&mut roots, &problem, again, &known) {
            break;
        }
    }
    let inside = |z: &[f64]| z.iter().all(|z| (-BORDER..=1.0 + BORDER).contains(z));
    let unexplained = families
        .iter()
        .filter(|(z, _)| inside(z))
        .map(|f| f.1)
        .max()
        .unwrap_or(0);
    let all: Vec<(Vec<f64>, usize)> = roots.into_iter().map(|z| (z, 0)).chain(families).collect();
    let outside = all.iter().filter(|(z, _)| !inside(z)).count();
    let all = all.into_iter();
    let mut found = all
        .filter(|(z, _)| inside(z))
        .map(|(z, k)| describe(&problem, problem.state(&z), k))
        .collect::<Result<Vec<_>>>()?;
    found.sort_by(|a, b| {
        a.x.iter()
            .zip(&b.x)
            .map(|(a, b)| a.total_cmp(b))
            .find(|o| o.is_ne())
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    Ok(Search {
        fixed_points: found,
        conserved: problem.laws.held(&start, p),
        unexplained,
        tried,
        outside,
    })
}

/// A start moved to the level of the problem, or itself where that is not possible.
fn on_level(problem: &Scaled, z: &[f64]) -> Vec<f64> {
    let bounds: Vec<[f64; 2]> = problem
        .low
        .iter()
        .zip(&problem.width)
        .map(|(l, w)| [*l, l + w])
        .collect();
    let moved = problem
        .laws
        .move_to(&problem.state(z), problem.p, &problem.level, &bounds);
    moved.map_or_else(|| z.to_vec(), |x| problem.scaled(&x))
}

/// Whether a zero's Jacobian is singular, but for less than would be seen of a simple one, beside what is conserved.
fn nearly_singular(problem: &Scaled, z: &[f64]) -> bool {
    let n = z.len();
    let mut jacobian = vec![0.0; n * n];
    residual_jacobian(
        problem.system,
        &problem.state(z),
        problem.i_stim,
        problem.p,
        &mut jacobian,
    );
    jacobian
        .iter_mut()
        .enumerate()
        .for_each(|(e, v)| *v *= problem.width[e % n]);
    null_vectors(&jacobian, n, NEARLY_SINGULAR, None)
        .is_some_and(|(left, _)| left.len() > problem.laws.len())
}

/// In how many directions, beside those of conserved quantities that are known, a zero is one of a family.
fn directions(problem: &Scaled, z: &[f64]) -> usize {
    let (n, known) = (z.len(), problem.laws.len());
    let jacobian = |z: &[f64]| {
        let mut jacobian = vec![0.0; n * n];
        residual_jacobian(
            problem.system,
            &problem.state(z),
            problem.i_stim,
            problem.p,
            &mut jacobian,
        );
        jacobian
            .iter_mut()
            .enumerate()
            .for_each(|(e, v)| *v *= problem.width[e % n]);
        jacobian
    };
    let Some((left, right)) = null_vectors(&jacobian(z), n, relax::SINGULAR, None) else {
        return 0;
    };
    if left.len() <= known {
        return 0;
    }
    // A saddle-node, too, has a singular Jacobian: of a family the neighbors are zeros.
    let goes_on = |direction: &Vec<f64>| {
        let aside: Vec<f64> = z
            .iter()
            .zip(direction)
            .map(|(z, d)| z + ALONG * d)
            .collect();
        polish(problem, &aside, Some(left.len())).is_some_and(|(zero, _)| {
            let away = zero
                .iter()
                .zip(z)
                .map(|(a, b)| (a - b).powi(2))
                .sum::<f64>()
                .sqrt();
            away > 0.5 * ALONG && is_zero_at(problem, &zero)
        })
    };
    if right.iter().all(goes_on) {
        left.len() - known
    } else {
        0
    }
}

/// The member of a family of zeros to which the motion from `start` leads, and the number of the family's directions.
fn family(problem: &Scaled, start: &[f64]) -> Option<(Vec<f64>, usize)> {
    let rough = pseudo_transient(problem, start)?;
    polish(problem, &rough, None)?;
    let (zero, _) = polish(problem, &simulated(problem, start).unwrap_or(rough), None)?;
    let k = directions(problem, &zero);
    (k > 0).then_some((zero, k))
}

/// Whether every component of the residual is small beside what it changes by over the box.
fn is_zero_at(problem: &Scaled, z: &[f64]) -> bool {
    let (n, x) = (z.len(), problem.state(z));
    let (mut f, mut jacobian) = (vec![0.0; n], vec![0.0; n * n]);
    residual(problem.system, &x, problem.i_stim, problem.p, &mut f);
    residual_jacobian(problem.system, &x, problem.i_stim, problem.p, &mut jacobian);
    let size = |i: usize| {
        (0..n)
            .map(|j| (jacobian[i * n + j] * problem.width[j]).abs())
            .fold(0.0, f64::max)
    };
    (0..n).all(|i| f[i].abs() <= RESIDUAL * size(i))
}

/// Whether a zero found on a level is one: its residual small, its quantities on the level.
fn confirmed(problem: &Scaled, z: &[f64]) -> bool {
    let x = problem.state(z);
    let values = problem.laws.values(&x, problem.p);
    let w = problem.laws.gradients(&x, problem.p);
    let size = |k: usize| {
        w[k * x.len()..(k + 1) * x.len()]
            .iter()
            .zip(&x)
            .map(|(w, x)| (w * x).abs())
            .sum::<f64>()
            .max(problem.level[k].abs())
    };
    is_zero_at(problem, z)
        && (0..values.len()).all(|k| (values[k] - problem.level[k]).abs() <= RESIDUAL * size(k))
}

/// Adds to `roots` what Newton iterations from `starts`, with `known` deflated, find beside them; whether that was anything.
fn add_new(
    roots: &mut Vec<Vec<f64>>,
    problem: &Scaled,
    starts: &[Vec<f64>],
    known: &[Vec<f64>],
) -> bool {
    let polished = |z: Vec<f64>| {
        if known.is_empty() {
            Some(z)
        } else {
            newton(problem, &z, &[])
        }
    };
    let sound = |z: &Vec<f64>| problem.laws.is_empty() || confirmed(problem, z);
    let found: Vec<Option<Vec<f64>>> = starts
        .par_iter()
        .map(|s| newton(problem, s, known).and_then(polished).filter(sound))
        .collect();
    let before = roots.len();
    for z in found.into_iter().flatten() {
        let same = |r: &Vec<f64>| r.iter().zip(&z).all(|(r, z)| (r - z).abs() < SAME);
        if !roots.iter().any(same) {
            roots.push(z);
        }
    }
    roots.len() > before
}

fn describe(problem: &Scaled, x: Vec<f64>, unexplained: usize) -> Result<FixedPoint> {
    let s = spectrum_within(
        &problem.laws,
        problem.system,
        &x,
        problem.i_stim,
        problem.p,
        unexplained,
    )?;
    let extrapolated = problem.system.spec().extrapolates(&x, problem.p);
    Ok(FixedPoint {
        x,
        eigenvalues: s.eigenvalues,
        multipliers: s.multipliers,
        neutral: s.neutral,
        stable: s.stable,
        extrapolated,
    })
}

fn scaled<'a>(
    laws: Option<&Laws<'a>>,
    system: &'a dyn DynamicalSystem,
    i_stim: f64,
    p: &'a [f64],
    bounds: &Option<Vec<[f64; 2]>>,
    start: &[f64],
) -> Result<Scaled<'a>> {
    let spec = system.spec();
    if p.len() != spec.parameters.len() || !p.iter().all(|v| v.is_finite()) || !i_stim.is_finite() {
        let expected = spec.parameters.len();
        return Err(Error::Invalid(format!(
            "parameters {p:?}, stimulus {i_stim}; expected {expected} finite parameters for {}",
            spec.id
        )));
    }
    let ranges: Vec<[f64; 2]> = match bounds {
        None => spec.variables.iter().map(|q| q.range).collect(),
        Some(b) if b.len() == spec.variables.len() => b.clone(),
        Some(b) => {
            return Err(Error::Invalid(format!(
                "the box has {} sides; {} has {} variables",
                b.len(),
                spec.id,
                spec.variables.len()
            )));
        }
    };
    for ([low, high], Quantity { name, .. }) in ranges.iter().zip(&spec.variables) {
        if !(low < high && low.is_finite() && high.is_finite()) {
            return Err(Error::Invalid(format!(
                "the box [{low}, {high}] of {name} is empty; expected finite LOW < HIGH"
            )));
        }
    }
    let width = ranges.iter().map(|r| r[1] - r[0]).collect();
    let laws = laws
        .cloned()
        .unwrap_or_else(|| Laws::find(system, &[(i_stim, p.to_vec())], &ranges));
    let level = laws.values(start, p);
    Ok(Scaled {
        system,
        i_stim,
        p,
        low: ranges.iter().map(|r| r[0]).collect(),
        width,
        laws,
        level,
    })
}

fn check_state(what: &str, system: &dyn DynamicalSystem, x: &[f64]) -> Result<()> {
    if x.len() == system.dimension() && x.iter().all(|v| v.is_finite()) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "the {what} {x:?}; expected {} finite numbers for {}",
        system.dimension(),
        system.spec().id
    )))
}

/// `count` points that fill the unit cube evenly: the additive recurrence with the generalized golden ratio (the root of
/// g^(n+1) = g + 1), shifted at random.
fn quasi_random(count: usize, n: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let golden = (0..64).fold(2.0f64, |g, _| (1.0 + g).powf(1.0 / (n as f64 + 1.0)));
    let shift: Vec<f64> = (0..n).map(|_| random.random()).collect();
    (0..count)
        .map(|k| {
            (0..n)
                .map(|i| (shift[i] + k as f64 * golden.powi(-(i as i32 + 1))).fract())
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests;
