use super::{residuals::*, *};

/// A design with random inputs and a smooth target.
fn design(n: usize) -> Design {
    let mut rng = stream(11, "design", 0);
    let inputs: Vec<Vec<f64>> = (0..4).map(|_| (0..n).map(|_| normal(&mut rng)).collect()).collect();
    let target = (0..n).map(|k| (inputs[0][k] - 0.5 * inputs[1][k]).sin() + 0.1 * inputs[2][k]).collect();
    Design { inputs, target, coverage: vec![1.0; 4] }
}

/// The residuals one pair at a time, by the network's own scalar code.
fn residuals(state: &SecondOrder, design: &Design) -> Vec<f64> {
    let network = state.network();
    let mut gradient = vec![0.0; 4];
    (0..design.target.len())
        .map(|k| {
            let input: Vec<f64> = design.inputs.iter().map(|row| row[k]).collect();
            network.increment_and_gradient(&input, &mut gradient) - design.target[k]
        })
        .collect()
}

#[test]
fn normal_equations_agree_with_differences_of_the_scalar_network() {
    // More pairs than a chunk, and no multiple of a tile.
    let design = design(4096 + 77);
    let state = SecondOrder::from_prior(1, 3, &design, &SecondOrderConfig { least_relevance: 0.6, b_sd: 0.5, ..Default::default() }, 5);
    let normal = normal_equations(&state.layout, &state.w, &design);
    let r = residuals(&state, &design);
    let expected: f64 = r.iter().map(|r| r * r).sum();
    assert!((normal.squared_error - expected).abs() < 1e-12 * expected);
    assert!((squared_error(&state.layout, &state.w, &design) - expected).abs() < 1e-12 * expected);
    let h = 1e-6;
    let columns: Vec<Vec<f64>> = (0..state.w.len())
        .map(|i| {
            let at = |sign: f64| {
                let mut s = state.clone();
                s.w[i] += sign * h;
                residuals(&s, &design)
            };
            at(1.0).iter().zip(at(-1.0)).map(|(up, down)| (up - down) / (2.0 * h)).collect()
        })
        .collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for i in 0..state.w.len() {
        assert!((normal.gradient[i] - dot(&columns[i], &r)).abs() < 1e-5 * (1.0 + normal.gradient[i].abs()), "gradient {i}");
        for j in 0..=i {
            let (got, want) = (normal.jtj[(i, j)], dot(&columns[i], &columns[j]));
            assert!((got - want).abs() < 1e-5 * (1.0 + want.abs()), "J'J {i} {j}: {got} {want}");
        }
    }
}

#[test]
fn acceleration_agrees_with_second_differences() {
    let design = design(300);
    let state = SecondOrder::from_prior(0, 4, &design, &SecondOrderConfig { least_relevance: 0.6, b_sd: 0.5, ..Default::default() }, 6);
    let mut rng = stream(12, "direction", 0);
    let v: Vec<f64> = state.w.iter().map(|_| 0.3 * normal(&mut rng)).collect();
    let at = |t: f64| {
        let mut s = state.clone();
        s.w.iter_mut().zip(&v).for_each(|(w, v)| *w += t * v);
        residuals(&s, &design)
    };
    let h = 1e-4;
    let (up, middle, down) = (at(h), at(0.0), at(-h));
    let second: Vec<f64> = (0..middle.len()).map(|k| (up[k] - 2.0 * middle[k] + down[k]) / (h * h)).collect();
    let got = acceleration(&state.layout, &state.w, &v, &design);
    for i in 0..state.w.len() {
        let along = |sign: f64| {
            let mut s = state.clone();
            s.w[i] += sign * 1e-6;
            residuals(&s, &design)
        };
        let want: f64 = along(1.0).iter().zip(along(-1.0)).zip(&second).map(|((u, d), s)| (u - d) / 2e-6 * s).sum();
        assert!((got[i] - want).abs() < 1e-4 * (1.0 + want.abs()), "{i}: {} {want}", got[i]);
    }
}

#[test]
fn the_inverse_diagonal_is_that_of_the_inverse() {
    let a = faer::Mat::from_fn(3, 3, |i, j| [[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]][i][j]);
    let factor = Factor::new(&a, 2.0, &[0.1, 0.2, 0.3]).unwrap();
    for i in 0..3 {
        let unit: Vec<f64> = (0..3).map(|k| f64::from(u8::from(k == i))).collect();
        assert!((factor.solve(&unit)[i] - factor.inverse_diagonal()[i]).abs() < 1e-14);
    }
    assert!(Factor::new(&a, -1.0, &[0.0; 3]).is_none());
}

#[test]
fn training_fits_a_smooth_target_and_finds_the_input_without_effect() {
    let design = design(2000);
    let config = SecondOrderConfig { least_relevance: 0.2, ..Default::default() };
    let mut state = SecondOrder::from_prior(0, 20, &design, &config, 1);
    let mut last = f64::INFINITY;
    for _ in 0..60 {
        let report = state.step(&design, &config);
        assert!(report.converged || report.mse.is_finite());
        last = report.mse;
    }
    assert!(last < 1e-7, "{last:e}");
    // Inner inputs are 1, 2, 3; only 3 has no effect: the evidence must have found its weights needless.
    let precision = state.precisions();
    assert!(precision[2] > 100.0 * precision[0], "{precision:?}");
}

#[test]
fn the_state_survives_as_numbers_and_does_not_depend_on_threads() {
    let design = design(9000);
    let config = SecondOrderConfig::default();
    let run = |threads: usize, interrupt: bool| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut state = SecondOrder::from_prior(2, 10, &design, &config, 3);
            for k in 0..12 {
                if interrupt && k == 2 || k == 7 {
                    state = SecondOrder::from_numbers(2, 4, 10, &state.to_numbers()).unwrap();
                }
                state.step(&design, &config);
            }
            state
        })
    };
    let one = run(1, false);
    assert_eq!(one, run(2, true));
    assert_eq!(one, run(3, false));
    assert!(SecondOrder::from_numbers(2, 4, 10, &one.to_numbers()[1..]).is_err());
}
