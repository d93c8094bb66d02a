//! The work of the integrators, pinned: a change that makes them work harder, or less, shows here. The numbers are the same on every
//! instruction set and for any number of threads, since no operation is fused or reordered.

use ionoscope_dynamics::{
    models,
    protocol::Protocol,
    trajectory::{Experiment, Method, SolveOptions, TimeGrid},
};

/// Model, amplitude and duration of a stimulus from 0, end, and accepted and rejected steps by the explicit and by the stiff method at
/// rtol 1e-6, atol 1e-8.
type Case = (&'static str, f64, f64, f64, [u64; 2], [u64; 2]);

const CASES: &[Case] = &[
    (
        "fitzhugh-nagumo-1961",
        0.5,
        5.0,
        100.0,
        [258, 11],
        [237, 18],
    ),
    (
        "hodgkin-huxley-1952",
        20.0,
        50.0,
        100.0,
        [835, 29],
        [1031, 48],
    ),
    ("sherman-1988", 0.0, 0.0, 10.0, [930, 72], [1709, 57]),
    ("stankevich-2017", 0.0, 0.0, 10.0, [984, 107], [1702, 165]),
    ("lorenz-1963", 0.0, 0.0, 20.0, [687, 7], [1726, 33]),
    ("rossler-1976", 0.0, 0.0, 50.0, [499, 41], [1017, 60]),
    ("hindmarsh-rose-1984", 0.0, 0.0, 100.0, [299, 26], [24, 0]),
    ("luo-rudy-1991", 50.0, 1.0, 400.0, [2765, 175], [530, 31]),
    (
        "ten-tusscher-panfilov-2006",
        50.0,
        1.0,
        400.0,
        [13990, 308],
        [687, 44],
    ),
    ("ohara-rudy-2011", 19.48, 4.56, 500.0, [3066, 73], [524, 17]),
];

#[test]
fn steps_of_both_methods() {
    let mut seen = String::new();
    for (id, amplitude, duration, t_end, explicit, stiff) in CASES {
        let cell = models::find(id).unwrap();
        let mut e = Experiment::from_defaults(cell.spec(), TimeGrid::new(*t_end, 1.0, 1).unwrap());
        if *duration > 0.0 {
            e.protocol = Protocol::step(0.0, *duration, *amplitude);
        }
        for (method, want) in [(Method::Explicit, explicit), (Method::Stiff, stiff)] {
            let options = SolveOptions {
                rtol: 1e-6,
                atol: 1e-8,
                method,
                ..SolveOptions::default()
            };
            let work = cell.simulate(&e, &options).unwrap().statistics;
            let steps = work.accepted + work.rejected;
            // A start and, where the stimulus ends, a restart cost two evaluations each.
            let starts = if *duration > 0.0 { 2 } else { 1 };
            match method {
                Method::Stiff => assert_eq!(
                    (work.evaluations, work.jacobians),
                    (8 * steps + 2 * starts, steps),
                    "{id}"
                ),
                _ => assert_eq!(
                    (work.evaluations, work.jacobians),
                    (12 * steps + 2 * starts, 0),
                    "{id}"
                ),
            }
            if [work.accepted, work.rejected] != *want {
                seen += &format!(
                    "{id}, {method:?}: [{}, {}] instead of {want:?}\n",
                    work.accepted, work.rejected
                );
            }
        }
    }
    assert!(seen.is_empty(), "steps accepted and rejected:\n{seen}");
}
