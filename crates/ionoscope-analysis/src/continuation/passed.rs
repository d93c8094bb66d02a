//! The bifurcations that a branch passes in a step.
//!
//! Where a growth rate does not run straight enough over a step to be sure that it keeps its sign, or changes it once, both halves of the step are
//! looked at in the same way.

use super::{
    answer::{Bifurcation, crossing},
    problem::{LEAST_COSINE, Problem, Traced, difference, dot},
};

/// How far on both sides of a crossing of branches points are taken between which it is interpolated, in scaled arclength.
const ASIDE: f64 = 1e-3;
/// Arclength within which two eigenvalues that change sides are not told apart.
const CLOSEST: f64 = 1e-7;
/// A growth rate is sure to keep its sign over a step where it is larger than so many times what it differs from a straight line in the
/// middle of the step; where it changes its sign, it does so once if the difference is below this share of the change.
const SURE: f64 = 2.0;
const STRAIGHT: f64 = 0.25;
/// Growth rates below this share of the fastest are zero but for rounding.
const ZERO_RATE: f64 = 1e-11;

/// Bifurcations, each with its point.
pub type Special = Vec<(Bifurcation, Vec<f64>)>;

/// Whether what is between two points needs a closer look: whether a growth rate may have another number of zeros there than its values at
/// both ends and in the middle say.
fn unsure(here: &Traced, middle: &Traced, next: &Traced) -> bool {
    let fastest = [here, middle, next]
        .iter()
        .flat_map(|q| &q.eigenvalues)
        .map(|m| m.modulus())
        .fold(0.0, f64::max);
    (0..here.eigenvalues.len()).any(|k| {
        let [a, m, b] = [here, middle, next].map(|q| q.eigenvalues[k].re);
        if a.abs().max(m.abs()).max(b.abs()) <= ZERO_RATE * fastest {
            return false;
        }
        let bend = (m - 0.5 * (a + b)).abs();
        if a * b > 0.0 {
            a * m < 0.0 || a.abs().min(b.abs()).min(m.abs()) < SURE * bend
        } else {
            bend > STRAIGHT * (b - a).abs()
        }
    })
}

/// The bifurcations between two neighboring points, in order, each located along the branch. `looks` is how many points may be spent on
/// looking closer.
pub fn bifurcations(
    problem: &Problem,
    here: &Traced,
    next: &Traced,
    h: f64,
    looks: &mut usize,
) -> Special {
    let n = here.y.len() - 1;
    let (before, after) = (here.unstable(), next.unstable());
    let more = if after > before { next } else { here };
    if h > CLOSEST
        && *looks > 0
        && let Some((middle, _)) = problem.at(here, 0.5 * h)
    {
        *looks -= 1;
        // Two real eigenvalues on one side of zero at one end and on the other at the other end may have met, passed as a complex pair and
        // parted again between: look closer until the pair is seen, or one of them passes alone.
        let real = |k: usize| crossing(problem.system.time(), more.eigenvalues[k]).is_none();
        let met = before.abs_diff(after) > 1 && (before.min(after)..before.max(after)).any(real);
        if met || unsure(here, &middle, next) {
            let rest = dot(&difference(&next.y, &middle.y), &middle.tangent);
            let mut both = bifurcations(problem, here, &middle, 0.5 * h, looks);
            both.extend(bifurcations(problem, &middle, next, rest, looks));
            return both;
        }
    }
    let mut found: Vec<(f64, Bifurcation, Vec<f64>)> = Vec::new();
    let mut locate = |kind, test: &dyn Fn(&Traced) -> f64, is: &dyn Fn(&Traced) -> bool| {
        let between = |a: &Traced, b: &Traced, share: f64| {
            let y =
                a.y.iter()
                    .zip(&b.y)
                    .map(|(a, b)| a + share * (b - a))
                    .collect();
            Traced {
                y,
                ..if share < 0.5 { a.clone() } else { b.clone() }
            }
        };
        if let Some((at, q)) = zero(
            &|h| Some(problem.at(here, h)?.0),
            here,
            next,
            h,
            test,
            &between,
        ) && is(&q)
        {
            found.push((at, kind, q.y));
        }
    };
    let turned = here.tangent[n] * next.tangent[n] < 0.0;
    if turned {
        locate(Bifurcation::SaddleNode, &|q| q.tangent[n], &|_| true);
    }
    if here.orientation * next.orientation < 0.0 {
        locate(
            Bifurcation::BranchPoint,
            &|q| q.orientation / here.orientation,
            &|_| true,
        );
    }
    // The eigenvalue that becomes the last unstable one, or the first stable one.
    if before != after {
        let (low, high) = (before.min(after), before.max(after));
        let mut k = low;
        while k < high {
            let mu = more.eigenvalues[k];
            if let Some(kind) = crossing(problem.system.time(), mu) {
                // Eigenvalues are sorted by their real parts: the k-th is continuous along the branch, and zero where it passes.
                // What was a pair at the end of the step may have met before, and passes as two real ones: that is a turn.
                locate(kind, &|q| q.eigenvalues[k].re, &|q| {
                    crossing(problem.system.time(), q.eigenvalues[k]) == Some(kind)
                });
                k += if kind == Bifurcation::PeriodDoubling {
                    1
                } else {
                    2
                };
            } else {
                k += 1;
            }
        }
    }
    for point in found.iter_mut().filter(|f| f.1 == Bifurcation::BranchPoint) {
        if let Some((at, y)) = crossing_of_branches(problem, here, h, point.0) {
            (point.0, point.2) = (at, y);
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Where another branch crosses, the one through it may turn back as well; that is no saddle-node.
    let crossings: Vec<f64> = found
        .iter()
        .filter(|f| f.1 == Bifurcation::BranchPoint)
        .map(|f| f.0)
        .collect();
    found.retain(|f| {
        f.1 != Bifurcation::SaddleNode || crossings.iter().all(|c| (c - f.0).abs() > 1e-6)
    });
    found.into_iter().map(|(_, kind, y)| (kind, y)).collect()
}

/// Where the branch crosses another, near arclength `near` from `here`, in a step of length `h`. There the equations have no unique solution, and
/// next to it corrections may end on the other branch: the point is interpolated between points on both sides, through which the determinant
/// goes smoothly. None where they are not on one smooth branch.
fn crossing_of_branches(
    problem: &Problem,
    here: &Traced,
    h: f64,
    near: f64,
) -> Option<(f64, Vec<f64>)> {
    let aside = ASIDE.min(0.1 * h);
    let arclengths = [-3.0, -1.0, 1.0, 3.0].map(|k| near + k * aside);
    let mut points = Vec::new();
    for at in arclengths {
        points.push(problem.at(here, at)?.0);
    }
    let straight = points
        .windows(2)
        .all(|w| dot(&w[0].tangent, &w[1].tangent) > LEAST_COSINE);
    let d: Vec<f64> = points
        .iter()
        .map(|q| q.orientation / here.orientation)
        .collect();
    if !(straight && d[0] > 0.0 && d[1] > 0.0 && d[2] < 0.0 && d[3] < 0.0) {
        return None;
    }
    // Lagrange's polynomials.
    let weights = |t: f64| -> [f64; 4] {
        std::array::from_fn(|k| {
            (0..4)
                .filter(|j| *j != k)
                .map(|j| (t - arclengths[j]) / (arclengths[k] - arclengths[j]))
                .product()
        })
    };
    let value = |t: f64| weights(t).iter().zip(&d).map(|(w, d)| w * d).sum::<f64>();
    let (mut low, mut high) = (arclengths[1], arclengths[2]);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if value(middle) > 0.0 {
            low = middle
        } else {
            high = middle
        }
    }
    let w = weights(low);
    let y = (0..here.y.len())
        .map(|i| (0..4).map(|k| w[k] * points[k].y[i]).sum())
        .collect();
    Some((low, y))
}

/// Where a test function is zero between two points of a branch, `here` and `next` at arclength `h` from it: bisection, sped up by the
/// secant (Illinois). `at` gives the point at an arclength.
/// `between` interpolates, where the equations have no unique solution next to the zero.
pub fn zero<Q: Clone>(
    at: &dyn Fn(f64) -> Option<Q>,
    here: &Q,
    next: &Q,
    h: f64,
    test: &dyn Fn(&Q) -> f64,
    between: &dyn Fn(&Q, &Q, f64) -> Q,
) -> Option<(f64, Q)> {
    let (mut a, mut b) = ((0.0, test(here)), (h, test(next)));
    if a.1 * b.1 > 0.0 {
        return None;
    }
    let (mut before, mut after) = ((a, here.clone()), (b, next.clone()));
    let mut best = if a.1.abs() < b.1.abs() {
        here.clone()
    } else {
        next.clone()
    };
    let mut side = 0;
    for k in 0..200 {
        let secant = (a.0 * b.1 - b.0 * a.1) / (b.1 - a.1);
        let middle = if k % 4 == 3 || !secant.is_finite() {
            0.5 * (a.0 + b.0)
        } else {
            secant
        };
        // At the zero itself the equations may have no unique solution: beside it they have.
        let beside =
            |share: f64| at(a.0 + share * (b.0 - a.0)).map(|q| (a.0 + share * (b.0 - a.0), q));
        let elsewhere = || {
            [0.38, 0.7, 0.2, 0.85, 0.07, 0.95]
                .into_iter()
                .find_map(beside)
        };
        let Some((middle, q)) = at(middle).map(|q| (middle, q)).or_else(elsewhere) else {
            // Test values as they were found: those of the bracket may be halved.
            let ((from, low), (to, high)) = (before.0, after.0);
            let share = low / (low - high);
            return Some((
                from + share * (to - from),
                between(&before.1, &after.1, share),
            ));
        };
        let value = test(&q);
        best = q;
        if value * a.1 > 0.0 {
            before = ((middle, value), best.clone());
        } else {
            after = ((middle, value), best.clone());
        }
        if value == 0.0 || (b.0 - a.0).abs() < 1e-13 {
            return Some((middle, best));
        }
        if value * a.1 > 0.0 {
            a = (middle, value);
            if side == 1 {
                b.1 *= 0.5;
            }
            side = 1;
        } else {
            b = (middle, value);
            if side == 2 {
                a.1 *= 0.5;
            }
            side = 2;
        }
    }
    Some((0.5 * (a.0 + b.0), best))
}
