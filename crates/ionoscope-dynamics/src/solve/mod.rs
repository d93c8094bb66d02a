//! Integrators: the fast one (Runge-Kutta of order 8, adaptive, over lanes) and the slow, obvious one that checks it.

pub(crate) mod clock;
mod dispatch;
pub(crate) mod dop853;
mod elimination;
pub(crate) mod ensemble;
mod evaluation;
mod explicit;
mod extension;
mod lanes;
pub(crate) mod limits;
pub(crate) mod many;
pub mod oracle;
mod rodas5p;
pub(crate) mod rosenbrock;
mod rush_larsen;
mod stimulus;

/// What a step may err by, as a share of the tolerance that the user gave.
///
/// The user's tolerance is on the state, and bursting and spiking amplify what a step errs by: over 101 values of `v_s` in [-40, -30],
/// both forms of the beta-cell, rtol 1e-4 to 1e-10, steps held to the full tolerance end up to 4e4 tolerances off at t = 10 (a median of
/// 1 to 9), at a share of 1e-2 up to 26, at 3e-3 up to 2.3, at 1e-3 up to 1.1. Random starts add a factor of about 5 to the largest. With
/// a method of order 8 the last factor of three costs 14 % more steps.
const LOCAL_SHARE: f64 = 1e-3;
/// The same for the stiff method.
const STIFF_LOCAL_SHARE: f64 = 1e-1;
/// Below this relative tolerance, rounding decides.
const SMALLEST_RTOL: f64 = 2e-15;

#[cfg(test)]
mod tests {
    use super::{
        ensemble::{Layout, solve},
        rosenbrock::Plan,
    };
    use crate::{
        models::sherman_1988::BetaCell,
        program::recording,
        protocol::Protocol,
        real::InstructionSet,
        system::Model,
        trajectory::{
            Experiment, FailureReason, Method, Outcome, SolveOptions, TimeGrid, Trajectory,
        },
    };

    fn bits(t: &Trajectory) -> Vec<u64> {
        t.x.iter().map(|v| v.to_bits()).collect()
    }

    /// Neighbors that end at other times, diverge at once, or need other steps.
    fn mixed_batch() -> Vec<Experiment> {
        let spec = BetaCell::ORIGINAL.definition();
        (0..45)
            .map(|k| {
                let times = TimeGrid::new(
                    0.1 * f64::from(k % 7),
                    0.005 + 0.001 * f64::from(k % 3),
                    1 + 23 * (k as usize % 9),
                )
                .unwrap();
                let mut e = Experiment::from_defaults(&spec, times);
                e.p[11] = -40.0 + 0.2 * f64::from(k);
                e.x0[0] = -60.0 + f64::from(k % 11);
                if k % 8 == 3 {
                    // Negative time constant and slope: the state explodes.
                    e.p[1] = -1e-3;
                    e.p[14] = 1e-3;
                }
                if k % 8 == 6 {
                    // Without a size, far too large, and pushed hard, for a moment, late.
                    e.x0.iter_mut()
                        .for_each(|x| *x *= [0.0, 1e-300, 1e6][k as usize / 8 % 3]);
                    e.protocol = Protocol::step(0.3, 1e-12, 1e9);
                }
                e
            })
            .collect()
    }

    #[test]
    fn a_lane_never_depends_on_its_neighbors_threads_or_instruction_set() {
        // The second switches some of the trajectories to the stiff method.
        for (method, rtol) in [
            (Method::Explicit, 1e-7),
            (Method::Auto, 1e-3),
            (Method::Stiff, 1e-5),
        ] {
            lanes_are_independent(&SolveOptions {
                rtol,
                atol: 1e-10,
                method,
                max_steps: 3000,
                ..SolveOptions::default()
            });
        }
        let fixed = SolveOptions {
            method: Method::RushLarsen,
            step: Some(1e-3),
            max_steps: 3000,
            ..SolveOptions::default()
        };
        lanes_are_independent(&fixed);
    }

    fn plan() -> Plan {
        Plan::new(recording::<_, 3>(&BetaCell::ORIGINAL, 17))
    }

    fn lanes_are_independent(options: &SolveOptions) {
        let batch = mixed_batch();
        let plan = plan();
        let alone: Vec<Trajectory> = batch
            .iter()
            .map(|e| {
                let layout = Layout {
                    instructions: InstructionSet::Baseline,
                    workers: 1,
                    scalar: true,
                };
                solve::<_, 3, 17, 16>(
                    &BetaCell::ORIGINAL,
                    &plan,
                    std::slice::from_ref(e),
                    options,
                    layout,
                )
                .unwrap()
                .remove(0)
            })
            .collect();
        assert!(alone.iter().any(|t| t.outcome != Outcome::Completed));
        let stiff = alone
            .iter()
            .filter(|t| t.statistics.stiff_from.is_some())
            .count();
        match options.method {
            Method::Explicit | Method::RushLarsen => assert_eq!(stiff, 0),
            Method::Auto => assert!((3..40).contains(&stiff), "{stiff} of {}", alone.len()),
            Method::Stiff => assert_eq!(
                stiff,
                alone
                    .iter()
                    .filter(|t| t.statistics.evaluations > 0)
                    .count()
            ),
        }
        assert!(
            alone
                .iter()
                .any(|t| t.outcome == Outcome::Completed && t.len() > 100)
        );
        for instructions in InstructionSet::available() {
            for (workers, scalar) in [(1, false), (2, false), (5, false), (3, true)] {
                for shift in [0, 1, 7] {
                    let mut shifted = batch.clone();
                    shifted.rotate_left(shift);
                    let mut got = solve::<_, 3, 17, 16>(
                        &BetaCell::ORIGINAL,
                        &plan,
                        &shifted,
                        options,
                        Layout {
                            instructions,
                            workers,
                            scalar,
                        },
                    )
                    .unwrap();
                    got.rotate_right(shift);
                    for (k, (a, b)) in alone.iter().zip(&got).enumerate() {
                        assert_eq!(
                            bits(a),
                            bits(b),
                            "experiment {k}, {instructions:?}, {workers} workers, shift {shift}"
                        );
                        assert_eq!(
                            (a.statistics, &a.outcome, a.times),
                            (b.statistics, &b.outcome, b.times),
                            "experiment {k}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn too_many_steps_is_data_with_the_states_so_far() {
        let spec = BetaCell::ORIGINAL.definition();
        let e = Experiment::from_defaults(&spec, TimeGrid::until(10.0, 0.005).unwrap());
        let options = SolveOptions {
            max_steps: 100,
            ..SolveOptions::default()
        };
        let (layout, plan) = (Layout::for_batch(1), plan());
        let cut = solve::<_, 3, 17, 16>(
            &BetaCell::ORIGINAL,
            &plan,
            std::slice::from_ref(&e),
            &options,
            layout,
        )
        .unwrap()
        .remove(0);
        let whole = solve::<_, 3, 17, 16>(
            &BetaCell::ORIGINAL,
            &plan,
            &[e],
            &SolveOptions::default(),
            layout,
        )
        .unwrap()
        .remove(0);
        let Outcome::Failed {
            time,
            reason:
                FailureReason::TooManySteps {
                    steps: 100,
                    limit: 100,
                    ..
                },
        } = cut.outcome
        else {
            panic!("{:?}", cut.outcome)
        };
        assert_eq!(cut.statistics.accepted + cut.statistics.rejected, 100);
        assert_eq!(cut.len(), (time / 0.005).floor() as usize + 1);
        assert_eq!(cut.x, whole.x[..cut.x.len()]);
    }
}
