//! Cycles of maps: branches of q states that a map visits one after the other, as fixed points of its q-th iterate.
//!
//! One cycle is q fixed points of the iterate, and every fixed point or cycle whose period divides q is one too. Both are removed: a branch is
//! followed from one of its states only, and ends where it joins a cycle of a smaller period, which is where that cycle doubles or
//! multiplies its period.

use ionoscope_dynamics::{
    Result as DynamicsResult,
    spec::{Conserved, Spec},
    system::{DynamicalSystem, Input, Time},
    trajectory::{Experiment, SolveOptions, Trajectory},
};

use super::{
    Branch, ContinuationOptions, ON_BRANCH, SpecialPoint, Stop, describe, problem::Problem,
    starting_points, trace_from,
};
use crate::{Error, Result};

/// A state that returns within this scaled distance after fewer steps belongs to a cycle of a smaller period.
const SMALLER: f64 = 1e-6;
/// The same for a bifurcation, whose state is known less well where branches cross.
const SMALLER_BIFURCATION: f64 = 1e-4;
/// Longest period: each step multiplies the work, and longer cycles are no longer found by a search.
const LONGEST: usize = 64;

/// A map applied several times: a map with the longer time step.
pub struct Iterated<'a> {
    map: &'a dyn DynamicalSystem,
    times: usize,
    dt: f64,
}

impl<'a> Iterated<'a> {
    /// The map applied `times` times.
    ///
    /// # Errors
    /// A flow; `times` of 0 or more than 64.
    pub fn new(map: &'a dyn DynamicalSystem, times: usize) -> Result<Self> {
        if !(1..=LONGEST).contains(&times) {
            return Err(Error::Invalid(format!(
                "a period of {times} steps; expected 1 to {LONGEST}"
            )));
        }
        match map.time() {
            Time::Discrete { dt } => Ok(Iterated {
                map,
                times,
                dt: dt * times as f64,
            }),
            Time::Continuous => Err(Error::Invalid(format!(
                "{} is a flow, and a period in steps is asked of maps; its periodic orbits are found with --cycles",
                map.spec().id
            ))),
        }
    }

    /// The states after 0 to `times` - 1 steps.
    fn orbit(&self, x: &[f64], i_stim: f64, p: &[f64]) -> Vec<Vec<f64>> {
        let mut all = vec![x.to_vec()];
        for k in 1..self.times {
            let mut next = vec![0.0; x.len()];
            self.map.rule(&all[k - 1], i_stim, p, &mut next);
            all.push(next);
        }
        all
    }
}

impl DynamicalSystem for Iterated<'_> {
    fn spec(&self) -> &Spec {
        self.map.spec()
    }

    fn time(&self) -> Time {
        Time::Discrete { dt: self.dt }
    }

    fn rule(&self, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]) {
        let mut x = x.to_vec();
        for _ in 0..self.times {
            self.map.rule(&x, i_stim, p, out);
            x.copy_from_slice(out);
        }
    }

    fn jacobian(&self, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]) {
        let n = x.len();
        let mut one = vec![0.0; n * n];
        self.map.jacobian(x, i_stim, p, out);
        for x in self.orbit(x, i_stim, p).iter().skip(1) {
            self.map.jacobian(x, i_stim, p, &mut one);
            let product: Vec<f64> = (0..n * n)
                .map(|k| {
                    (0..n)
                        .map(|m| one[k / n * n + m] * out[m * n + k % n])
                        .sum()
                })
                .collect();
            out.copy_from_slice(&product);
        }
    }

    fn derivative_by(&self, by: Input, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]) {
        let n = x.len();
        let (mut one, mut direct) = (vec![0.0; n * n], vec![0.0; n]);
        out.fill(0.0);
        for x in self.orbit(x, i_stim, p) {
            self.map.jacobian(&x, i_stim, p, &mut one);
            self.map.derivative_by(by, &x, i_stim, p, &mut direct);
            let next: Vec<f64> = (0..n)
                .map(|i| direct[i] + (0..n).map(|m| one[i * n + m] * out[m]).sum::<f64>())
                .collect();
            out.copy_from_slice(&next);
        }
    }

    fn conserved(&self) -> &[Conserved] {
        self.map.conserved()
    }

    fn conserved_values(&self, x: &[f64], p: &[f64], out: &mut [f64]) {
        self.map.conserved_values(x, p, out);
    }

    fn conserved_gradients(&self, x: &[f64], p: &[f64], out: &mut [f64]) {
        self.map.conserved_gradients(x, p, out);
    }

    fn conserved_by(&self, by: Input, x: &[f64], p: &[f64], out: &mut [f64]) {
        self.map.conserved_by(by, x, p, out);
    }

    fn solve_ensemble(
        &self,
        batch: &[Experiment],
        options: &SolveOptions,
    ) -> DynamicsResult<Vec<Trajectory>> {
        self.map.solve_ensemble(batch, options)
    }
}

/// All branches of cycles of `period` steps of a map that pass through what the searches find, each followed from one of its states.
/// `x` of a point is that state, its eigenvalues are those of a whole period, per unit of time; the rest is as for
/// [`branches`](super::branches).
///
/// # Errors
/// A flow; a period of 0 or more than 64; an interval that is empty; options that make no sense; no such cycle at any of the values that
/// are searched.
pub fn map_cycles(
    map: &dyn DynamicalSystem,
    period: usize,
    i_stim: f64,
    p: &[f64],
    over: Input,
    interval: [f64; 2],
    options: &ContinuationOptions,
) -> Result<Vec<Branch>> {
    let iterated = Iterated::new(map, period)?;
    let problem = Problem::new(
        &iterated,
        i_stim,
        p,
        over,
        interval,
        options.bounds.as_deref(),
    )?
    .held_at(options.start.as_deref())?;
    // The scaled states of the orbit through a scaled point.
    let images = |y: &[f64]| -> Vec<Vec<f64>> {
        let s = y[y.len() - 1];
        let (i_stim, p) = problem.inputs(s);
        iterated
            .orbit(&problem.state(&y[..y.len() - 1]), i_stim, &p)
            .iter()
            .map(|x| problem.scaled(x, s))
            .collect()
    };
    let far = |a: &[f64], b: &[f64]| {
        a.iter()
            .zip(b)
            .map(|(a, b)| (a - b).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    let smaller = |y: &[f64], near: f64| {
        let orbit = images(y);
        (1..period).any(|k| period.is_multiple_of(k) && far(&orbit[0], &orbit[k]) < near)
    };
    let starts: Vec<Vec<f64>> = starting_points(&problem, options)?
        .into_iter()
        .filter(|y| !smaller(y, SMALLER))
        .collect();
    if starts.is_empty() {
        return Err(Error::Invalid(format!(
            "no cycle of {period} steps of {} was found in the box at any of {} values from {} to {}; widen the box or search at more values",
            map.spec().id,
            options.searches,
            interval[0],
            interval[1]
        )));
    }
    let raw = trace_from(&problem, starts, options, &|y, branch| {
        images(y).iter().any(|y| branch.passes(y, ON_BRANCH))
    });
    let mut all = Vec::new();
    for raw in raw {
        // Where a cycle of a smaller period is passed, the way from a state to its image changes its sign.
        let orbits: Vec<Vec<Vec<f64>>> = raw.points.iter().map(|q| images(&q.y)).collect();
        let ways = |k: usize| {
            orbits.iter().map(move |o| {
                o[0].iter()
                    .zip(&o[k])
                    .map(|(a, b)| b - a)
                    .collect::<Vec<f64>>()
            })
        };
        let turned = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() < 0.0;
        let divisors = (1..period).filter(|k| period.is_multiple_of(*k));
        let mut cuts: Vec<usize> = divisors
            .flat_map(|k| {
                let ways: Vec<Vec<f64>> = ways(k).collect();
                let turns: Vec<usize> = (1..ways.len())
                    .filter(|i| turned(&ways[i - 1], &ways[*i]))
                    .collect();
                turns
            })
            .collect();
        cuts.sort_unstable();
        let branch = describe(&problem, raw)?;
        let scaled = |x: &[f64], parameter: f64| {
            problem.scaled(x, (parameter - interval[0]) / problem.span())
        };
        all.push(once(branch, &cuts, &scaled, &images, &far, &|y| {
            smaller(y, SMALLER_BIFURCATION)
        }));
    }
    Ok(all)
}

/// The part of a branch that visits each cycle once: beyond a point (`cuts`) where it joins a smaller period it goes on through the images
/// of the cycles before. Of several bifurcations that are images of one another the first stays.
fn once(
    mut branch: Branch,
    cuts: &[usize],
    scaled: &dyn Fn(&[f64], f64) -> Vec<f64>,
    images: &dyn Fn(&[f64]) -> Vec<Vec<f64>>,
    far: &dyn Fn(&[f64], &[f64]) -> f64,
    smaller: &dyn Fn(&[f64]) -> bool,
) -> Branch {
    let place = |branch: &Branch, y: &[f64]| {
        let distances = branch
            .points
            .iter()
            .map(|q| far(&scaled(&q.x, q.parameter), y))
            .enumerate();
        distances
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map_or(0, |d| d.0)
    };
    // The longest stretch from a cut to just before the next; with none, all of it.
    let count = branch.points.len();
    if count == 0 {
        return branch;
    }
    let ends: Vec<usize> = [0]
        .into_iter()
        .chain(cuts.iter().copied())
        .chain([count])
        .collect();
    let [from, to] = ends
        .windows(2)
        .map(|w| [w[0], w[1] - 1])
        .max_by_key(|w| w[1] - w[0])
        .unwrap_or([0, count - 1]);
    let kept = |s: &SpecialPoint| {
        let y = scaled(&s.x, s.parameter);
        let k = place(&branch, &y);
        (from..=to).contains(&k) && !smaller(&y)
    };
    let mut special: Vec<SpecialPoint> = Vec::new();
    for s in branch.special_points.iter().filter(|s| kept(s)) {
        let orbit = images(&scaled(&s.x, s.parameter));
        let known = |o: &SpecialPoint| {
            o.kind == s.kind
                && orbit
                    .iter()
                    .any(|y| far(y, &scaled(&o.x, o.parameter)) < SMALLER_BIFURCATION)
        };
        if !special.iter().any(known) {
            special.push(s.clone());
        }
    }
    if from > 0 {
        branch.stopped[0] = Stop::SmallerPeriod;
    }
    if to + 1 < count {
        branch.stopped[1] = Stop::SmallerPeriod;
    }
    branch.points = branch.points.drain(from..=to).collect();
    branch.special_points = special;
    branch
}

#[cfg(test)]
mod tests {
    use super::super::{Bifurcation, tests::system};
    use super::*;

    fn points(branches: &[Branch]) -> Vec<(Bifurcation, f64)> {
        branches
            .iter()
            .flat_map(|b| &b.special_points)
            .map(|s| (s.kind, s.parameter))
            .collect()
    }

    #[test]
    fn cycles_of_the_henon_and_logistic_maps_bifurcate_where_formulas_say() {
        let henon = system(
            &[[-2.0, 2.0]; 2],
            Time::Discrete { dt: 0.5 },
            |x, a, out| {
                out.copy_from_slice(&[1.0 - a * x[0] * x[0] + x[1], 0.3 * x[0]]);
            },
        );
        // With b = .3 the 2-cycle is born at a = 3 (1 - b)^2 / 4 = .3675 and doubles at (1 - b)^2 + (1 + b)^2 / 4 = .9125.
        let options = ContinuationOptions::default();
        let two = map_cycles(
            &henon,
            2,
            0.0,
            &[0.0],
            Input::Parameter(0),
            [0.0, 1.2],
            &options,
        )
        .unwrap();
        assert_eq!(two.len(), 1, "{:?}", points(&two));
        let found = points(&two);
        assert!(
            found.len() == 1
                && found[0].0 == Bifurcation::PeriodDoubling
                && (found[0].1 - 0.9125).abs() < 1e-8,
            "{found:?}"
        );
        let ends: Vec<f64> = [0, two[0].points.len() - 1]
            .iter()
            .map(|k| two[0].points[*k].parameter)
            .collect();
        assert!(
            two[0].stopped.contains(&Stop::SmallerPeriod)
                && ends.iter().any(|a| (a - 0.3675).abs() < 0.01),
            "{ends:?}"
        );
        assert!(
            two[0]
                .points
                .iter()
                .all(|q| q.stable == (q.parameter < 0.9125) || (q.parameter - 0.3675).abs() < 0.01)
        );

        // x' = r x (1 - x): a 3-cycle is born in a saddle-node at r = 1 + sqrt 8.
        let logistic = system(&[[0.01, 1.0]], Time::Discrete { dt: 1.0 }, |x, r, out| {
            out[0] = r * x[0] * (1.0 - x[0])
        });
        let three = map_cycles(
            &logistic,
            3,
            0.0,
            &[0.0],
            Input::Parameter(0),
            [3.5, 3.86],
            &options,
        )
        .unwrap();
        let found = points(&three);
        let folds: Vec<_> = found
            .iter()
            .filter(|f| f.0 == Bifurcation::SaddleNode)
            .collect();
        assert!(
            three.len() == 1 && folds.len() == 1 && (folds[0].1 - (1.0 + 8f64.sqrt())).abs() < 1e-8,
            "{found:?}"
        );
        // The stable one doubles at 3.8414990075435 where its multiplier, by iteration, is -1.
        let flips: Vec<_> = found
            .iter()
            .filter(|f| f.0 == Bifurcation::PeriodDoubling)
            .collect();
        assert!(
            flips.len() == 1 && (flips[0].1 - flip_of_three()).abs() < 1e-8,
            "{found:?} {}",
            flip_of_three()
        );
    }

    /// Where the multiplier of the stable 3-cycle of the logistic map is -1, by iterating the map itself and bisecting.
    fn flip_of_three() -> f64 {
        let multiplier = |r: f64| {
            let mut x = 0.5;
            for _ in 0..300_000 {
                x = r * x * (1.0 - x);
            }
            (0..3).fold(1.0, |m, _| {
                let slope = r * (1.0 - 2.0 * x);
                x = r * x * (1.0 - x);
                m * slope
            })
        };
        let (mut low, mut high) = (3.835, 3.8414);
        // The cycle attracts slowly just before it doubles: the bracket stays below, and the multiplier, smooth there, is extrapolated.
        assert!(multiplier(low) > multiplier(high));
        for _ in 0..4 {
            let (m0, m1) = (multiplier(low), multiplier(high));
            let next = high + (-1.0 - m1) * (high - low) / (m1 - m0);
            (low, high) = (high, next - (next - high) * 1e-3);
        }
        let (m0, m1) = (multiplier(low), multiplier(high));
        high + (-1.0 - m1) * (high - low) / (m1 - m0)
    }

    #[test]
    fn derivatives_of_the_iterate_agree_with_differences() {
        let henon = system(
            &[[-2.0, 2.0]; 2],
            Time::Discrete { dt: 0.5 },
            |x, a, out| {
                out.copy_from_slice(&[1.0 - a * x[0] * x[0] + x[1], 0.3 * x[0]]);
            },
        );
        let iterated = Iterated::new(&henon, 5).unwrap();
        let at = |x: [f64; 2]| {
            let mut out = [0.0; 2];
            iterated.rule(&x, 0.0, &[0.7], &mut out);
            out
        };
        let mut jacobian = [0.0; 4];
        iterated.jacobian(&[0.2, 0.1], 0.0, &[0.7], &mut jacobian);
        for k in 0..2 {
            let shifted = |h: f64| {
                at(std::array::from_fn(|i| {
                    [0.2, 0.1][i] + if i == k { h } else { 0.0 }
                }))
            };
            let (up, down) = (shifted(1e-6), shifted(-1e-6));
            (0..2).for_each(|i| {
                assert!(
                    ((up[i] - down[i]) / 2e-6 - jacobian[2 * i + k]).abs() < 1e-8,
                    "{i} {k}"
                )
            });
        }
        assert!(Iterated::new(&henon, 0).is_err() && Iterated::new(&henon, 65).is_err());
        let flow = system(&[[-1.0, 1.0]], Time::Continuous, |_, _, out| out[0] = 0.0);
        assert!(
            Iterated::new(&flow, 2)
                .err()
                .unwrap()
                .to_string()
                .contains("--cycles")
        );
    }
}
