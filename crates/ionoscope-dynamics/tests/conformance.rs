//! What every model must satisfy, over the whole list.

use ionoscope_dynamics::{
    models,
    system::{DynamicalSystem, Input},
    trajectory::{Experiment, SolveOptions, TimeGrid},
};

/// States and parameters spread over the physical ranges by additive recurrences, the default parameters among them.
fn points(system: &dyn DynamicalSystem) -> Vec<(Vec<f64>, Vec<f64>)> {
    let spec = system.spec();
    let mut all = Vec::new();
    for k in 0..60u32 {
        let share = |i: usize| (0.5 + f64::from(k) * (1.0 + i as f64).sqrt() * 0.754_877_666_246_693).fract();
        let x = spec.variables.iter().enumerate().map(|(i, q)| q.range[0] + share(i) * (q.range[1] - q.range[0])).collect();
        // Parameters within a few percent of the published ones.
        let p = spec.parameters.iter().enumerate().map(|(i, q)| q.default * (0.96 + 0.08 * share(i + 7))).collect();
        all.push((x, if k % 2 == 0 { p } else { spec.default_parameters() }));
    }
    // Where a term may be singular: the potential at each parameter that is a potential.
    if let Some(v) = spec.membrane_potential.as_ref().and_then(|v| spec.variable_index(v).ok()) {
        for q in spec.parameters.iter().filter(|q| q.unit == "mV") {
            let mut x = spec.default_state();
            x[v] = q.default;
            all.push((x, spec.default_parameters()));
        }
    }
    all
}

#[test]
fn jacobians_match_central_differences_and_are_finite() {
    for system in models::all() {
        let n = system.dimension();
        for (x, p) in points(&*system) {
            let mut jacobian = vec![0.0; n * n];
            system.jacobian(&x, 0.3, &p, &mut jacobian);
            assert!(jacobian.iter().all(|v| v.is_finite()), "{} at {x:?}", system.spec().id);
            for j in 0..n {
                // Richardson's extrapolation of two central differences.
                let scale = x[j].abs().max(1e-2);
                let difference = |h: f64| {
                    let at = |s: f64| {
                        let (mut y, mut f) = (x.clone(), vec![0.0; n]);
                        y[j] += s * h;
                        system.rule(&y, 0.3, &p, &mut f);
                        f
                    };
                    let (up, down) = (at(1.0), at(-1.0));
                    (0..n).map(|i| (up[i] - down[i]) / (2.0 * h)).collect::<Vec<f64>>()
                };
                let (wide, narrow) = (difference(2e-4 * scale), difference(1e-4 * scale));
                let size = (0..n).map(|i| jacobian[i * n + j].abs()).fold(1e-6, f64::max);
                for i in 0..n {
                    let want = (4.0 * narrow[i] - wide[i]) / 3.0;
                    let got = jacobian[i * n + j];
                    // A kink, as of |v - v_p|, is smooth in the model: no exception for it.
                    assert!(
                        (got - want).abs() < 1e-7 * size,
                        "{} at {x:?}: d f_{i} / d x_{j} = {got}, differences {want}",
                        system.spec().id
                    );
                }
            }
            // The columns of the parameters and of the stimulus.
            for by in (0..p.len()).map(Input::Parameter).chain([Input::Stimulus]) {
                let mut column = vec![0.0; n];
                system.derivative_by(by, &x, 0.3, &p, &mut column);
                assert!(column.iter().all(|v| v.is_finite()), "{} by {by:?} at {x:?}", system.spec().id);
                let scale = if let Input::Parameter(k) = by { p[k].abs().max(1e-6) } else { 1.0 };
                let difference = |h: f64| {
                    let at = |s: f64| {
                        let (mut q, mut f, mut i_stim) = (p.clone(), vec![0.0; n], 0.3);
                        match by {
                            Input::Parameter(k) => q[k] += s * h,
                            Input::Stimulus => i_stim += s * h,
                        }
                        system.rule(&x, i_stim, &q, &mut f);
                        f
                    };
                    let (up, down) = (at(1.0), at(-1.0));
                    (0..n).map(|i| (up[i] - down[i]) / (2.0 * h)).collect::<Vec<f64>>()
                };
                let (wide, narrow) = (difference(2e-4 * scale), difference(1e-4 * scale));
                let mut f = vec![0.0; n];
                system.rule(&x, 0.3, &p, &mut f);
                for i in 0..n {
                    let want = (4.0 * narrow[i] - wide[i]) / 3.0;
                    // Rounding of f enters the difference by f / h.
                    let near = 1e-7 * column.iter().fold(1e-6, |m: f64, v| m.max(v.abs())) + 1e-11 * f[i].abs() / scale;
                    assert!((column[i] - want).abs() < near, "{} by {by:?} at {x:?}: {i}: {}, {want}", system.spec().id, column[i]);
                }
            }
        }
    }
}

#[test]
fn the_same_bits_from_any_number_of_threads_and_alone() {
    for system in models::all() {
        let times = TimeGrid::new(0.5, 0.01, 60).unwrap();
        let batch: Vec<Experiment> = points(&*system)
            .into_iter()
            .take(37)
            .map(|(x, p)| Experiment { x0: x, p, ..Experiment::from_defaults(system.spec(), times) })
            .collect();
        let options = SolveOptions { rtol: 1e-6, ..SolveOptions::default() };
        let solve = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| system.solve_ensemble(&batch, &options)).unwrap()
        };
        let one = solve(1);
        assert_eq!(one, solve(2));
        assert_eq!(one, solve(7));
        for (e, want) in batch.iter().zip(&one) {
            assert_eq!(&system.solve_ensemble(std::slice::from_ref(e), &options).unwrap()[0], want);
        }
    }
}

#[test]
fn wrong_input_is_named() {
    for system in models::all() {
        let times = TimeGrid::until(1.0, 0.1).unwrap();
        let good = Experiment::from_defaults(system.spec(), times);
        let short = Experiment { x0: vec![0.0], ..good.clone() };
        let nan = Experiment { p: good.p.iter().map(|_| f64::NAN).collect(), ..good.clone() };
        for (bad, word) in [(short, "start"), (nan, "parameters")] {
            let error = system.solve_ensemble(&[good.clone(), bad], &SolveOptions::default()).unwrap_err();
            assert!(error.is_input() && error.to_string().contains("experiment 1") && error.to_string().contains(word), "{error}");
        }
        let error = system.solve_ensemble(&[good], &SolveOptions { rtol: f64::NAN, ..SolveOptions::default() }).unwrap_err();
        assert!(error.is_input() && error.to_string().contains("rtol"), "{error}");
        let endless = Experiment::from_defaults(system.spec(), TimeGrid::new(0.0, 1.0, usize::MAX / 2).unwrap());
        let error = system.solve_ensemble(&[endless], &SolveOptions::default()).unwrap_err();
        assert!(error.is_input() && error.to_string().contains("memory"), "{error}");
    }
}
