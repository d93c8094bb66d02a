use super::*;
use crate::{models, trajectory::Experiment};

#[test]
fn graphs_have_the_neighbors_that_they_should() {
    let sorted = |g: &Graph, k: usize| {
        let mut all = g.neighbors(k).to_vec();
        all.sort_unstable();
        all
    };
    let (ring, chain, lattice) = (
        Graph::ring(4).unwrap(),
        Graph::chain(4).unwrap(),
        Graph::lattice(2, 3).unwrap(),
    );
    assert_eq!(
        (sorted(&ring, 0), sorted(&chain, 0), sorted(&chain, 2)),
        (vec![1, 3], vec![1], vec![1, 3])
    );
    assert_eq!(
        (
            sorted(&lattice, 1),
            sorted(&lattice, 3),
            lattice.couplings()
        ),
        (vec![0, 2, 4], vec![0, 4], 7)
    );
    assert_eq!(
        (
            Graph::ring(2).unwrap().couplings(),
            Graph::ring(1).unwrap().couplings()
        ),
        (1, 0)
    );
    assert!(
        Graph::new(3, &[[0, 3]])
            .unwrap_err()
            .to_string()
            .contains("0 to 2")
    );
    assert!(Graph::new(3, &[[1, 1]]).is_err() && Graph::lattice(0, 3).is_err());
}

#[test]
fn two_coupled_cells_agree_with_small_runge_kutta_steps() {
    let cell = models::find("sherman-1988").unwrap();
    let p = cell.spec().default_parameters();
    let graph = Graph::chain(2).unwrap();
    let network = CoupledCells::new(&*cell, &graph, 0.3, &p).unwrap();
    let start = vec![-60.0, 0.01, 0.18, -50.0, 0.02, 0.175];
    let options = SolveOptions::with_rtol(1e-10);
    let mut end = Vec::new();
    let times = TimeGrid::new(0.5, 0.5, 2).unwrap();
    let (outcome, _) = network
        .run(start.clone(), times, &options, &mut |_, _, x| {
            end = x.to_vec();
            true
        })
        .unwrap();
    assert_eq!(outcome, Outcome::Completed);
    // The oracle: the rule of each cell with the other's pull as its stimulus, and steps of 1e-4.
    let f = |x: &[f64]| {
        let mut out = vec![0.0; 6];
        let pull = 0.3 * (x[3] - x[0]);
        cell.rule(&x[..3], pull, &p, &mut out[..3]);
        cell.rule(&x[3..], -pull, &p, &mut out[3..]);
        out
    };
    let mut x = start;
    let along = |x: &[f64], h: f64, k: &[f64]| {
        x.iter()
            .zip(k)
            .map(|(x, k)| x + h * k)
            .collect::<Vec<f64>>()
    };
    let h = 1e-4;
    for _ in 0..10_000 {
        let a = f(&x);
        let b = f(&along(&x, h / 2.0, &a));
        let c = f(&along(&x, h / 2.0, &b));
        let d = f(&along(&x, h, &c));
        x = (0..6)
            .map(|i| x[i] + h / 6.0 * (a[i] + 2.0 * b[i] + 2.0 * c[i] + d[i]))
            .collect();
    }
    assert!(
        x.iter()
            .zip(&end)
            .all(|(a, b)| (a - b).abs() < 1e-7 * a.abs().max(1.0)),
        "{x:?} {end:?}"
    );
}

#[test]
fn many_states_at_once_have_the_rule_of_each_and_uncoupled_cells_are_single_ones() {
    let cell = models::find("hodgkin-huxley-1952").unwrap();
    let p = cell.spec().default_parameters();
    let x: Vec<f64> = (0..37 * 4)
        .map(|k| [-20.0 + 3.0 * (k / 4) as f64, 0.3, 0.5, 0.4][k % 4])
        .collect();
    let currents: Vec<f64> = (0..37).map(f64::from).collect();
    let (mut all, mut one) = (vec![0.0; x.len()], vec![0.0; 4]);
    cell.rules(&x, &currents, &p, &mut all);
    for k in 0..37 {
        cell.rule(&x[4 * k..4 * k + 4], currents[k], &p, &mut one);
        assert_eq!(all[4 * k..4 * k + 4], one[..]);
    }
    let graph = Graph::new(3, &[]).unwrap();
    let network = CoupledCells::new(&*cell, &graph, 1.0, &p).unwrap();
    let options = SolveOptions {
        rtol: 1e-9,
        atol: 1e-11,
        ..SolveOptions::default()
    };
    let times = TimeGrid::new(20.0, 1.0, 1).unwrap();
    let mut end = Vec::new();
    network
        .run(x[..12].to_vec(), times, &options, &mut |_, _, x| {
            end = x.to_vec();
            true
        })
        .unwrap();
    for k in 0..3 {
        let e = Experiment {
            x0: x[4 * k..4 * k + 4].to_vec(),
            ..Experiment::from_defaults(cell.spec(), times)
        };
        let want = cell.simulate(&e, &options).unwrap();
        assert!(
            want.x
                .iter()
                .zip(&end[4 * k..])
                .all(|(a, b)| (a - b).abs() < 1e-6),
            "{:?} {end:?}",
            want.x
        );
    }
}
