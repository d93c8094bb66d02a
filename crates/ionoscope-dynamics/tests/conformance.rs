//! What every model must satisfy, over the whole list.

use ionoscope_dynamics::{
    models,
    spec::{Quantity, Spec},
    system::{DynamicalSystem, Input},
    trajectory::{Experiment, SolveOptions, TimeGrid},
};

/// States and parameters spread over the physical ranges by additive recurrences, the default parameters among them.
fn points(system: &dyn DynamicalSystem) -> Vec<(Vec<f64>, Vec<f64>)> {
    let spec = system.spec();
    let mut all = Vec::new();
    for k in 0..60u32 {
        let share = |i: usize| {
            (0.5 + f64::from(k) * (1.0 + i as f64).sqrt() * 0.754_877_666_246_693).fract()
        };
        let x = spec
            .variables
            .iter()
            .enumerate()
            .map(|(i, q)| q.range[0] + share(i) * (q.range[1] - q.range[0]))
            .collect();
        // Parameters within a few percent of the published ones.
        let p = spec
            .parameters
            .iter()
            .enumerate()
            .map(|(i, q)| q.default * (0.96 + 0.08 * share(i + 7)))
            .collect();
        all.push((
            x,
            if k % 2 == 0 {
                p
            } else {
                spec.default_parameters()
            },
        ));
    }
    // Where a term may be singular: the potential at each parameter that is a potential.
    if let Some(v) = spec.membrane_potential_index() {
        for q in spec.parameters.iter().filter(|q| q.unit == "mV") {
            let mut x = spec.default_state();
            x[v] = q.default;
            all.push((x, spec.default_parameters()));
        }
    }
    all
}

/// Richardson's extrapolation of two central differences of `f` at 0, with steps `h` and `h / 2`.
fn difference(f: impl Fn(f64) -> Vec<f64>, h: f64) -> Vec<f64> {
    let central = |h: f64| -> Vec<f64> {
        f(h).iter()
            .zip(f(-h))
            .map(|(up, down)| (up - down) / (2.0 * h))
            .collect()
    };
    central(0.5 * h)
        .iter()
        .zip(central(h))
        .map(|(narrow, wide)| (4.0 * narrow - wide) / 3.0)
        .collect()
}

/// Rounding of each derivative: what relative changes of the state by 2^-52 make of it. A potential counts as 100 mV at least, since
/// others are subtracted from it.
fn rounding(spec: &Spec, x: &[f64], jacobian: &[f64]) -> Vec<f64> {
    let n = x.len();
    let size = |j: usize| {
        if spec.variables[j].unit == "mV" {
            x[j].abs().max(100.0)
        } else {
            x[j].abs()
        }
    };
    (0..n)
        .map(|i| {
            (0..n)
                .map(|j| (jacobian[i * n + j] * size(j)).abs())
                .sum::<f64>()
                * f64::EPSILON
        })
        .collect()
}

#[test]
fn jacobians_match_central_differences_and_are_finite() {
    for system in models::all() {
        let (n, spec) = (system.dimension(), system.spec());
        for (x, p) in points(&*system) {
            let mut jacobian = vec![0.0; n * n];
            system.jacobian(&x, 0.3, &p, &mut jacobian);
            assert!(
                jacobian.iter().all(|v| v.is_finite()),
                "{} at {x:?}",
                spec.id
            );
            let rounding = rounding(spec, &x, &jacobian);
            let rule = |x: &[f64], i_stim: f64, p: &[f64]| {
                let mut f = vec![0.0; n];
                system.rule(x, i_stim, p, &mut f);
                f
            };
            // A kink, as of |v - v_p|, is smooth in the model: no exception for it.
            for j in 0..n {
                let [low, high] = spec.variables[j].range;
                let h = 2e-4 * x[j].abs().max(1e-3 * (high - low));
                let want = difference(
                    |s| {
                        let mut y = x.clone();
                        y[j] += s;
                        rule(&y, 0.3, &p)
                    },
                    h,
                );
                let size = (0..n)
                    .map(|i| jacobian[i * n + j].abs())
                    .fold(1e-6, f64::max);
                for i in 0..n {
                    let (got, near) = (jacobian[i * n + j], 1e-7 * size + 4.0 * rounding[i] / h);
                    assert!(
                        (got - want[i]).abs() < near,
                        "{} at {x:?}: d f_{i} / d x_{j} = {got}, differences {}",
                        spec.id,
                        want[i]
                    );
                }
            }
            // The columns of the parameters and of the stimulus.
            for by in (0..p.len()).map(Input::Parameter).chain([Input::Stimulus]) {
                let mut got = vec![0.0; n];
                system.derivative_by(by, &x, 0.3, &p, &mut got);
                assert!(
                    got.iter().all(|v| v.is_finite()),
                    "{} by {by:?} at {x:?}",
                    spec.id
                );
                let h = 2e-4
                    * match by {
                        Input::Parameter(k) if p[k] == 0.0 => 1e-2,
                        Input::Parameter(k) => p[k].abs(),
                        Input::Stimulus => 1.0,
                    };
                let want = difference(
                    |s| {
                        let (mut q, mut i_stim) = (p.clone(), 0.3);
                        match by {
                            Input::Parameter(k) => q[k] += s,
                            Input::Stimulus => i_stim += s,
                        }
                        rule(&x, i_stim, &q)
                    },
                    h,
                );
                let size = got.iter().fold(1e-6, |m: f64, v| m.max(v.abs()));
                for i in 0..n {
                    let near = 1e-7 * size + 4.0 * rounding[i] / h;
                    assert!(
                        (got[i] - want[i]).abs() < near,
                        "{} by {by:?} at {x:?}: {i}: {}, {}",
                        spec.id,
                        got[i],
                        want[i]
                    );
                }
            }
        }
    }
}

/// Potentials at which a published term is 0/0.
const SINGULAR: [(&str, f64); 6] = [
    ("hodgkin-huxley-1952", 10.0),
    ("hodgkin-huxley-1952", 25.0),
    ("luo-rudy-1991", -47.13),
    ("luo-rudy-1991", -77.0),
    ("ten-tusscher-panfilov-2006", 15.0),
    ("ohara-rudy-2011", 0.0),
];

#[test]
fn removable_singularities_are_removed() {
    for (id, v) in SINGULAR {
        let system = models::find(id).unwrap();
        let (n, spec) = (system.dimension(), system.spec());
        // Gates half open, so that every term counts.
        let middle = |q: &Quantity| if q.unit == "1" { 0.5 } else { q.default };
        let at = |v: f64| {
            let mut x: Vec<f64> = spec.variables.iter().map(middle).collect();
            x[0] = v;
            let (mut f, mut jacobian) = (vec![0.0; n], vec![0.0; n * n]);
            system.rule(&x, 0.0, &spec.default_parameters(), &mut f);
            system.jacobian(&x, 0.0, &spec.default_parameters(), &mut jacobian);
            (f, jacobian)
        };
        let (f, jacobian) = at(v);
        assert!(
            f.iter().chain(&jacobian).all(|v| v.is_finite()),
            "{id} at {v}"
        );
        let largest = |values: &[f64]| values.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        for step in [1e-13, 1e-9, 1e-6, 1e-3] {
            for v in [v - step, v + step] {
                let (near_f, near_jacobian) = at(v);
                for (a, b) in f.iter().zip(&near_f) {
                    assert!(
                        (a - b).abs() <= 2.0 * step * largest(&jacobian) + 1e-13 * largest(&f),
                        "{id} at {v}: {a}, {b}"
                    );
                }
                // Second derivatives are below 1 / mV^2 of the largest entry.
                for (a, b) in jacobian.iter().zip(&near_jacobian) {
                    assert!(
                        (a - b).abs() <= (step + 1e-12) * largest(&jacobian),
                        "{id} at {v}: {a}, {b}"
                    );
                }
            }
        }
    }
}

#[test]
fn derivatives_are_finite_at_every_round_potential() {
    // Most half activations and all singular points of published rates are such numbers.
    for system in models::all() {
        let (n, spec) = (system.dimension(), system.spec());
        let Some(k) = spec.membrane_potential_index() else {
            continue;
        };
        for tenth in
            (spec.variables[k].range[0] * 10.0) as i32..=(spec.variables[k].range[1] * 10.0) as i32
        {
            let mut x = spec.default_state();
            x[k] = f64::from(tenth) / 10.0;
            let (mut f, mut jacobian) = (vec![0.0; n], vec![0.0; n * n]);
            system.rule(&x, 0.0, &spec.default_parameters(), &mut f);
            system.jacobian(&x, 0.0, &spec.default_parameters(), &mut jacobian);
            assert!(
                f.iter().chain(&jacobian).all(|v| v.is_finite()),
                "{} at {}",
                spec.id,
                x[k]
            );
        }
    }
}

#[test]
fn what_models_say_of_themselves_holds() {
    let snake = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let all = models::all();
    for system in &all {
        let spec = system.spec();
        spec.check().unwrap();
        assert_eq!(all.iter().filter(|s| s.spec().id == spec.id).count(), 1);
        assert!(
            spec.id
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
            "{}",
            spec.id
        );
        assert!(
            spec.citation.contains("doi:10.")
                && !spec.title.is_empty()
                && !spec.time_unit.is_empty()
                && !spec.stimulus_unit.is_empty()
        );
        for q in spec.variables.iter().chain(&spec.parameters) {
            assert!(
                snake(&q.name) && !q.unit.is_empty() && !q.description.is_empty(),
                "{}: {q:?}",
                spec.id
            );
            assert!(
                q.range[0] <= q.default && q.default <= q.range[1] && q.range[0] < q.range[1],
                "{}: {q:?}",
                spec.id
            );
        }
        assert_eq!(
            spec.spike_threshold.is_some(),
            spec.membrane_potential.is_some(),
            "{}",
            spec.id
        );
        for preset in &spec.presets {
            assert!(!preset.description.is_empty(), "{}: {preset:?}", spec.id);
            assert!(
                preset.x0.len() + preset.parameters.len() > 0,
                "{}: {preset:?}",
                spec.id
            );
            let with = spec.with_preset(&preset.name).unwrap();
            let mut f = vec![0.0; system.dimension()];
            system.rule(
                &with.default_state(),
                0.0,
                &with.default_parameters(),
                &mut f,
            );
            assert!(
                f.iter().all(|v| v.is_finite()),
                "{} {}: {f:?}",
                spec.id,
                preset.name
            );
        }
        // A positive stimulus depolarizes, or adds to the first variable where there is no potential.
        let first = spec.membrane_potential_index().unwrap_or(0);
        let mut column = vec![0.0; system.dimension()];
        system.derivative_by(
            Input::Stimulus,
            &spec.default_state(),
            0.0,
            &spec.default_parameters(),
            &mut column,
        );
        assert!(column[first] > 0.0, "{}: {column:?}", spec.id);
    }
}

#[test]
fn the_same_bits_from_any_number_of_threads_and_alone() {
    for system in models::all() {
        let times = TimeGrid::new(0.5, 0.01, 60).unwrap();
        let batch: Vec<Experiment> = points(&*system)
            .into_iter()
            .take(37)
            .map(|(x, p)| Experiment {
                x0: x,
                p,
                ..Experiment::from_defaults(system.spec(), times)
            })
            .collect();
        let options = SolveOptions {
            rtol: 1e-6,
            ..SolveOptions::default()
        };
        let solve = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| system.solve_ensemble(&batch, &options))
                .unwrap()
        };
        let one = solve(1);
        assert_eq!(one, solve(2));
        assert_eq!(one, solve(7));
        for (e, want) in batch.iter().zip(&one) {
            assert_eq!(
                &system
                    .solve_ensemble(std::slice::from_ref(e), &options)
                    .unwrap()[0],
                want
            );
        }
    }
}

#[test]
fn wrong_input_is_named() {
    for system in models::all() {
        let times = TimeGrid::until(1.0, 0.1).unwrap();
        let good = Experiment::from_defaults(system.spec(), times);
        let short = Experiment {
            x0: vec![0.0],
            ..good.clone()
        };
        let nan = Experiment {
            p: good.p.iter().map(|_| f64::NAN).collect(),
            ..good.clone()
        };
        for (bad, word) in [(short, "start"), (nan, "parameters")] {
            let error = system
                .solve_ensemble(&[good.clone(), bad], &SolveOptions::default())
                .unwrap_err();
            assert!(
                error.is_input()
                    && error.to_string().contains("experiment 1")
                    && error.to_string().contains(word),
                "{error}"
            );
        }
        let error = system
            .solve_ensemble(
                &[good],
                &SolveOptions {
                    rtol: f64::NAN,
                    ..SolveOptions::default()
                },
            )
            .unwrap_err();
        assert!(
            error.is_input() && error.to_string().contains("rtol"),
            "{error}"
        );
        let endless = Experiment::from_defaults(
            system.spec(),
            TimeGrid::new(0.0, 1.0, usize::MAX / 2).unwrap(),
        );
        let error = system
            .solve_ensemble(&[endless], &SolveOptions::default())
            .unwrap_err();
        assert!(
            error.is_input() && error.to_string().contains("memory"),
            "{error}"
        );
    }
}

#[test]
fn conserved_quantities_are_conserved_for_every_state_stimulus_and_parameter() {
    let mut with: Vec<String> = Vec::new();
    for system in models::all() {
        let (n, spec, k) = (system.dimension(), system.spec(), system.conserved().len());
        if k == 0 {
            continue;
        }
        with.push(spec.id.clone());
        assert!(
            system
                .conserved()
                .iter()
                .all(|q| !q.name.is_empty() && !q.unit.is_empty() && !q.description.is_empty())
        );
        let values = |x: &[f64], p: &[f64]| {
            let mut out = vec![0.0; k];
            system.conserved_values(x, p, &mut out);
            out
        };
        for (m, (x, mut p)) in points(&*system).into_iter().enumerate() {
            // Parameters far from the published ones too.
            if m % 4 == 0 {
                p.iter_mut()
                    .zip(&spec.parameters)
                    .enumerate()
                    .for_each(|(i, (p, q))| {
                        *p = (*p * [0.4, 1.0, 2.3][(m / 4 + i) % 3]).clamp(q.range[0], q.range[1]);
                    });
            }
            let i_stim = [0.0, 0.3, -40.0, 80.0][m % 4];
            let (mut f, mut w) = (vec![0.0; n], vec![0.0; k * n]);
            system.rule(&x, i_stim, &p, &mut f);
            system.conserved_gradients(&x, &p, &mut w);
            for w in w.chunks_exact(n) {
                let terms: Vec<f64> = w.iter().zip(&f).map(|(w, f)| w * f).collect();
                let (sum, size) = (
                    terms.iter().sum::<f64>(),
                    terms.iter().map(|t| t.abs()).sum::<f64>(),
                );
                // The potential's rate is a sum of currents of up to 1e5 A/F that may cancel: each is rounded.
                assert!(
                    sum.abs() <= 1e-13 * size.max(1.0),
                    "{} at {x:?}: {sum} of {size}",
                    spec.id
                );
            }
            for j in 0..n {
                let h = 1e-4 * x[j].abs().max(1e-3);
                let want = difference(
                    |s| {
                        let mut y = x.clone();
                        y[j] += s;
                        values(&y, &p)
                    },
                    h,
                );
                let near = 1e-13 * values(&x, &p)[0].abs() / h;
                assert!(
                    (0..k).all(|q| (w[q * n + j] - want[q]).abs() <= 1e-6 * want[q].abs() + near),
                    "{}: {j}, {want:?}",
                    spec.id
                );
            }
            for by in (0..p.len()).map(Input::Parameter).chain([Input::Stimulus]) {
                let mut got = vec![0.0; k];
                system.conserved_by(by, &x, &p, &mut got);
                let Input::Parameter(index) = by else {
                    assert_eq!(got, vec![0.0; k]);
                    continue;
                };
                let h = 1e-3 * p[index].abs().max(1e-3);
                let want = difference(
                    |s| {
                        let mut p = p.clone();
                        p[index] += s;
                        values(&x, &p)
                    },
                    h,
                );
                let near = 1e-13 * values(&x, &p)[0].abs() / h;
                assert!(
                    (0..k).all(|q| (got[q] - want[q]).abs() <= 1e-6 * want[q].abs() + near),
                    "{} by {by:?}: {got:?}",
                    spec.id
                );
            }
        }
    }
    assert_eq!(with, ["ten-tusscher-panfilov-2006", "ohara-rudy-2011"]);
    // Hund et al. (2001) state the charge for a cell of this kind; that of this start is known from pacing it.
    let cell = models::find("ohara-rudy-2011").unwrap();
    let mut charge = [0.0];
    cell.conserved_values(
        &cell.spec().default_state(),
        &cell.spec().default_parameters(),
        &mut charge,
    );
    assert!((charge[0] - 105.991).abs() < 5e-4, "{charge:?}");
}
