//! The shipped maps, coupled without retraining, against the coupled equations.

use std::path::Path;

use ionoscope_dynamics::{
    coupled::{CoupledCells, Graph, Scheme},
    models,
    system::DynamicalSystem,
    trajectory::{Outcome, SolveOptions, TimeGrid},
};
use ionoscope_learn::architectures::neural_map::NeuralMap;

/// Potentials of both cells at every .01 s of half a second.
fn potentials(system: &dyn DynamicalSystem, p: &[f64], coupling: f64, scheme: Scheme) -> Vec<f64> {
    let graph = Graph::chain(2).unwrap();
    let network = CoupledCells::new(system, &graph, coupling, p)
        .unwrap()
        .with_scheme(scheme);
    let options = SolveOptions::with_rtol(1e-10);
    let start = vec![-55.0, 0.002, 0.182, -50.0, 0.01, 0.182];
    let mut seen = Vec::new();
    let (outcome, _) = network
        .run(
            start,
            TimeGrid::new(0.01, 0.01, 50).unwrap(),
            &options,
            &mut |_, _, x| {
                seen.extend([x[0], x[3]]);
                true
            },
        )
        .unwrap();
    assert_eq!(outcome, Outcome::Completed);
    seen
}

/// Root mean square differences to the coupled equations in mV, of the maps with dt .005, .0025 and .001 s.
fn errors(coupling: f64, scheme: Scheme) -> [f64; 3] {
    let cell = models::find("sherman-1988").unwrap();
    let p = cell.spec().parameters_with([("v_s", -33.0)]).unwrap();
    let exact = potentials(&*cell, &p, coupling, scheme);
    ["0.005", "0.0025", "0.001"].map(|dt| {
        let path = format!(
            "{}/../../pretrained/sherman-1988-dt{dt}.safetensors",
            env!("CARGO_MANIFEST_DIR")
        );
        let map = NeuralMap::load(Path::new(&path)).unwrap();
        let seen = potentials(&map, &[-33.0], coupling, scheme);
        (seen
            .iter()
            .zip(&exact)
            .map(|(a, b)| (a - b).powi(2))
            .sum::<f64>()
            / exact.len() as f64)
            .sqrt()
    })
}

#[test]
fn two_coupled_maps_converge_with_their_step_to_the_coupled_equations() {
    let additive = errors(0.01, Scheme::Additive);
    let [a, b, c] = additive;
    assert!(
        a < 2.5 && (1.7..2.4).contains(&(a / b)) && (2.2..2.9).contains(&(b / c)),
        "first order: {additive:?}"
    );
    // The other scheme is down to what the maps themselves are off by, some .01 mV here.
    let symmetric = errors(0.05, Scheme::Symmetric);
    assert!(symmetric.iter().all(|e| *e < 0.06), "{symmetric:?}");
    assert!(
        errors(0.05, Scheme::Additive).iter().all(|e| *e > 1.0),
        "the additive scheme at the same coupling"
    );
}
