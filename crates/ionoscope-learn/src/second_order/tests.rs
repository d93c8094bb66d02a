use super::*;
use crate::architectures::{sub_network::SubNetwork, two_layer_map::TwoLayerNetwork};

/// A design with random inputs and smooth targets, as many as the network has outputs.
fn design(network: &Network, n: usize) -> Design {
    let mut rng = stream(11, "design", 0);
    let inputs: Vec<Vec<f64>> = (0..4)
        .map(|_| (0..n).map(|_| normal(&mut rng)).collect())
        .collect();
    let target = |i: f64| {
        (0..n)
            .map(|k| (inputs[0][k] - (0.5 + i) * inputs[1][k]).sin() + 0.1 * inputs[2][k])
            .collect()
    };
    let targets = (0..network.outputs().len())
        .map(|i| target(i as f64))
        .collect();
    Design {
        inputs,
        targets,
        coverage: vec![1.0; 4],
    }
}

/// A sub-network of variable `own` of 4 inputs.
fn sub_network(own: usize, hidden: usize) -> Network {
    SubNetwork::zeros(own, 4, hidden).into()
}

fn both(hidden: usize) -> [Network; 2] {
    [
        sub_network(1, hidden),
        TwoLayerNetwork::zeros(4, hidden, 3).into(),
    ]
}

/// The residuals one pair at a time, by the network's own scalar code.
fn residuals(state: &SecondOrder, design: &Design) -> Vec<f64> {
    let network = state.network();
    let outputs = design.targets.len();
    let (mut out, mut gradients) = (vec![0.0; outputs], vec![0.0; 4 * outputs]);
    let mut all = Vec::new();
    for k in 0..design.len() {
        let input: Vec<f64> = design.inputs.iter().map(|row| row[k]).collect();
        network.increments(&input, &mut out, &mut gradients);
        all.extend(out.iter().zip(&design.targets).map(|(o, t)| o - t[k]));
    }
    all
}

#[test]
fn normal_equations_agree_with_differences_of_the_scalar_network() {
    for network in both(3) {
        normal_equations_against_differences(&network);
    }
}

fn normal_equations_against_differences(network: &Network) {
    // More pairs than a chunk, and no multiple of a tile.
    let design = design(network, 4096 + 77);
    let config = SecondOrderConfig {
        least_relevance: 0.6,
        b_sd: 0.5,
        ..Default::default()
    };
    let state = SecondOrder::from_prior(network, &design, &config, 5);
    let normal = state.layout.normal_equations(&state.w, &design);
    let r = residuals(&state, &design);
    let expected: f64 = r.iter().map(|r| r * r).sum();
    assert!((normal.squared_error - expected).abs() < 1e-12 * expected);
    assert!((state.layout.squared_error(&state.w, &design) - expected).abs() < 1e-12 * expected);
    let h = 1e-6;
    let columns: Vec<Vec<f64>> = (0..state.w.len())
        .map(|i| {
            let at = |sign: f64| {
                let mut s = state.clone();
                s.w[i] += sign * h;
                residuals(&s, &design)
            };
            at(1.0)
                .iter()
                .zip(at(-1.0))
                .map(|(up, down)| (up - down) / (2.0 * h))
                .collect()
        })
        .collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for i in 0..state.w.len() {
        assert!(
            (normal.gradient[i] - dot(&columns[i], &r)).abs()
                < 1e-5 * (1.0 + normal.gradient[i].abs()),
            "gradient {i}"
        );
        for j in 0..=i {
            let (got, want) = (normal.jtj[(i, j)], dot(&columns[i], &columns[j]));
            assert!(
                (got - want).abs() < 1e-5 * (1.0 + want.abs()),
                "J'J {i} {j}: {got} {want}"
            );
        }
    }
}

#[test]
fn acceleration_agrees_with_second_differences() {
    for network in both(4) {
        acceleration_against_differences(&network);
    }
}

fn acceleration_against_differences(network: &Network) {
    let design = design(network, 300);
    let config = SecondOrderConfig {
        least_relevance: 0.6,
        b_sd: 0.5,
        ..Default::default()
    };
    let state = SecondOrder::from_prior(network, &design, &config, 6);
    let mut rng = stream(12, "direction", 0);
    let v: Vec<f64> = state.w.iter().map(|_| 0.3 * normal(&mut rng)).collect();
    let at = |t: f64| {
        let mut s = state.clone();
        s.w.iter_mut().zip(&v).for_each(|(w, v)| *w += t * v);
        residuals(&s, &design)
    };
    let h = 1e-4;
    let (up, middle, down) = (at(h), at(0.0), at(-h));
    let second: Vec<f64> = (0..middle.len())
        .map(|k| (up[k] - 2.0 * middle[k] + down[k]) / (h * h))
        .collect();
    let got = state.layout.acceleration(&state.w, &v, &design);
    for i in 0..state.w.len() {
        let along = |sign: f64| {
            let mut s = state.clone();
            s.w[i] += sign * 1e-6;
            residuals(&s, &design)
        };
        let want: f64 = along(1.0)
            .iter()
            .zip(along(-1.0))
            .zip(&second)
            .map(|((u, d), s)| (u - d) / 2e-6 * s)
            .sum();
        assert!(
            (got[i] - want).abs() < 1e-4 * (1.0 + want.abs()),
            "{i}: {} {want}",
            got[i]
        );
    }
}

#[test]
fn the_inverse_diagonal_is_that_of_the_inverse() {
    let a = faer::Mat::from_fn(3, 3, |i, j| {
        [[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]][i][j]
    });
    let factor = Factor::new(&a, 2.0, &[0.1, 0.2, 0.3]).unwrap();
    for i in 0..3 {
        let unit: Vec<f64> = (0..3).map(|k| f64::from(u8::from(k == i))).collect();
        assert!((factor.solve(&unit)[i] - factor.inverse_diagonal()[i]).abs() < 1e-14);
    }
    assert!(Factor::new(&a, -1.0, &[0.0; 3]).is_none());
}

#[test]
fn training_fits_a_smooth_target_and_finds_the_input_without_effect() {
    let network = sub_network(0, 20);
    let design = design(&network, 2000);
    let config = SecondOrderConfig {
        least_relevance: 0.2,
        ..Default::default()
    };
    let mut state = SecondOrder::from_prior(&network, &design, &config, 1);
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
    for network in [sub_network(2, 10), TwoLayerNetwork::zeros(4, 10, 3).into()] {
        same_on_any_number_of_threads(&network);
    }
}

fn same_on_any_number_of_threads(network: &Network) {
    let design = design(network, 9000);
    let config = SecondOrderConfig::default();
    let run = |threads: usize, interrupt: bool| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let mut state = SecondOrder::from_prior(network, &design, &config, 3);
            for k in 0..12 {
                if interrupt && k == 2 || k == 7 {
                    state = SecondOrder::from_numbers(network, &state.to_numbers()).unwrap();
                }
                state.step(&design, &config);
            }
            state
        })
    };
    let one = run(1, false);
    assert_eq!(one, run(2, true));
    assert_eq!(one, run(3, false));
    assert!(SecondOrder::from_numbers(network, &one.to_numbers()[1..]).is_err());
}
