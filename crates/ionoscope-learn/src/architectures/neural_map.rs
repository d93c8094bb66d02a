//! The neural map of Kuptsov, Stankevich, Bagautdinova, Chaos, Solitons & Fractals 167 (2023) 113027, equation (8):
//!
//! ```text
//! u_i(t + dt) = u_i + tanh(u_i a_i + alpha_i + tanh(u A_i + q B_i + beta_i)) b_i + gamma_i
//! ```
//! one sub-network per state variable, with u the standardized state (row vector of D_u entries), q the standardized control parameters
//! (D_p), N_h hidden units, and row i of A_i zero, so that u_i enters only through a_i. Here `b_i` and `gamma_i` are kept in units of the
//! increment's standard deviation, which the normalizer turns back; the map is the same. A stimulus, where the map was trained with one, is one
//! more control parameter, the last: its mean over the step, which may be another one in every step.

use ionoscope_dynamics::{
    Error as DynamicsError, Result as DynamicsResult,
    spec::Spec,
    system::{DynamicalSystem, Input, Time, check_batch},
    trajectory::{Experiment, FailureReason, Outcome, SolveOptions, Statistics, Trajectory},
};
use rayon::prelude::*;

use super::network::{Architecture, Network, check_networks};
use crate::{Error, Result, normalizer::Normalizer};

mod file;
mod iterate;

use iterate::Packed;

/// A learned map as a discrete dynamical system in physical units: one sub-network a state variable, or the one network of the
/// [two-layer map](super::two_layer_map).
#[derive(Debug, Clone, PartialEq)]
pub struct NeuralMap {
    spec: Spec,
    dt: f64,
    normalizer: Normalizer,
    networks: Vec<Network>,
    packed: Packed,
    provenance: serde_json::Value,
}

impl NeuralMap {
    /// A map from its parts. `spec` names the variables and only the control parameters; `provenance` is what the file should keep of its
    /// making (configuration, seeds, errors).
    ///
    /// # Errors
    /// Parts that do not fit together: numbers of variables, parameters and hidden units, the zero row of A_i, numbers that are not finite.
    pub fn new(
        spec: Spec,
        dt: f64,
        normalizer: Normalizer,
        networks: impl IntoIterator<Item = impl Into<Network>>,
        provenance: serde_json::Value,
    ) -> Result<Self> {
        let (d, p) = (
            spec.variables.len(),
            spec.parameters.len() + usize::from(spec.trained_stimulus().is_some()),
        );
        if !(dt > 0.0 && dt.is_finite()) {
            return Err(Error::Invalid(format!(
                "the time step of the map is {dt}; expected a finite number larger than 0"
            )));
        }
        normalizer.check()?;
        let n = &normalizer;
        let sizes = [
            &n.state_mean,
            &n.state_sd,
            &n.increment_sd,
            &n.parameter_mean,
            &n.parameter_sd,
        ]
        .map(Vec::len);
        if sizes != [d, d, d, p, p] {
            return Err(Error::Invalid(format!(
                "the normalizer has sizes {sizes:?}; expected {:?}",
                [d, d, d, p, p]
            )));
        }
        let networks: Vec<Network> = networks.into_iter().map(Into::into).collect();
        let names: Vec<&str> = spec.variables.iter().map(|q| q.name.as_str()).collect();
        check_networks(&networks, &names, p)?;
        let packed = Packed::new(&networks, d);
        Ok(NeuralMap {
            spec,
            dt,
            normalizer,
            networks,
            packed,
            provenance,
        })
    }

    /// The family of its networks.
    pub fn architecture(&self) -> Architecture {
        self.networks[0].architecture()
    }

    /// Time step of the map.
    pub fn dt(&self) -> f64 {
        self.dt
    }

    /// Means and standard deviations.
    pub fn normalizer(&self) -> &Normalizer {
        &self.normalizer
    }

    /// The sub-networks, in the order of the variables, or the one network of two layers.
    pub fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// What the file keeps of its making.
    pub fn provenance(&self) -> &serde_json::Value {
        &self.provenance
    }

    /// Number of trainable weights of all networks.
    pub fn weight_count(&self) -> usize {
        self.networks.iter().map(Network::weight_count).sum()
    }

    /// The standardized control parameters, and the stimulus where the map takes one.
    fn control(&self, p: &[f64], i_stim: f64) -> Vec<f64> {
        let stimulus = self.spec.trained_stimulus().map(|_| i_stim);
        p.iter()
            .copied()
            .chain(stimulus)
            .enumerate()
            .map(|(l, v)| self.normalizer.parameter(l, v))
            .collect()
    }

    /// Derivatives of the increments, in units of their standard deviations, by the standardized state and control: `[D_u][D_u + D_p]`.
    fn gradients(&self, x: &[f64], i_stim: f64, p: &[f64]) -> Vec<f64> {
        let d = self.dimension();
        let mut input: Vec<f64> = x
            .iter()
            .enumerate()
            .map(|(i, v)| self.normalizer.state(i, *v))
            .collect();
        input.extend(self.control(p, i_stim));
        let m = input.len();
        let (mut out, mut gradients) = (vec![0.0; d], vec![0.0; d * m]);
        for net in &self.networks {
            let rows = net.outputs();
            net.increments(
                &input,
                &mut out[rows.clone()],
                &mut gradients[rows.start * m..rows.end * m],
            );
        }
        gradients
    }

    /// Steps between output times, as whole numbers of the map's own step.
    fn steps(&self, e: &Experiment) -> DynamicsResult<(u64, u64)> {
        let whole = |t: f64, what: &str| {
            let steps = (t / self.dt).round();
            if (steps * self.dt - t).abs() > 1e-6 * self.dt * steps.max(1.0) {
                return Err(DynamicsError::Invalid(format!(
                    "{what} = {t} is not a whole number of steps of the map, dt = {}",
                    self.dt
                )));
            }
            Ok(steps as u64)
        };
        let every = whole(e.times.dt, "the output step dt")?;
        if every == 0 && e.times.count > 1 {
            return Err(DynamicsError::Invalid(format!(
                "the output step dt = {} is shorter than the map's, {}",
                e.times.dt, self.dt
            )));
        }
        Ok((whole(e.times.start, "the first output time")?, every))
    }

    fn iterate(&self, e: &Experiment, first: u64, every: u64) -> Trajectory {
        let d = self.dimension();
        // The stimulus of a step is that of the offsets.
        let mut stimulus = 0.0;
        let mut offsets = self.packed.offsets(&self.control(&e.p, stimulus));
        let signal = (!e.protocol.is_none()).then(|| e.protocol.signal(e.times.end()));
        let mut x = e.x0.clone();
        let mut out = Vec::with_capacity(d * e.times.count);
        let mut statistics = Statistics::default();
        let mut outcome = Outcome::Completed;
        for k in 0..e.times.count {
            let steps = if k == 0 { first } else { every };
            let made = match &signal {
                None => self
                    .packed
                    .advance(&self.normalizer, &offsets, &mut x, steps),
                Some(signal) => {
                    let mut one = |step: u64| {
                        let at = |n: u64| (statistics.accepted + n) as f64 * self.dt;
                        let mean = signal.mean(at(step), at(step + 1));
                        if mean != stimulus {
                            stimulus = mean;
                            offsets = self.packed.offsets(&self.control(&e.p, stimulus));
                        }
                        self.packed.advance(&self.normalizer, &offsets, &mut x, 1) == 1
                    };
                    (0..steps).take_while(|step| one(*step)).count() as u64
                }
            };
            statistics.accepted += made;
            if made < steps {
                let mut next = vec![0.0; d];
                self.rule(&x, stimulus, &e.p, &mut next);
                let quantity = next
                    .iter()
                    .position(|x| !x.is_finite())
                    .map(|k| self.spec.variables[k].name.clone());
                outcome = Outcome::Failed {
                    time: statistics.accepted as f64 * self.dt,
                    reason: FailureReason::NotFinite { quantity },
                };
                break;
            }
            out.extend_from_slice(&x);
        }
        statistics.evaluations = statistics.accepted;
        Trajectory {
            times: e.times,
            dimension: d,
            x: out,
            outcome,
            statistics,
        }
    }
}

impl DynamicalSystem for NeuralMap {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn time(&self) -> Time {
        Time::Discrete { dt: self.dt }
    }

    fn rule(&self, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]) {
        out.copy_from_slice(x);
        if self.packed.advance(
            &self.normalizer,
            &self.packed.offsets(&self.control(p, i_stim)),
            out,
            1,
        ) == 0
        {
            out.fill(f64::NAN);
        }
    }

    fn rules(&self, x: &[f64], i_stim: &[f64], p: &[f64], out: &mut [f64]) {
        out.copy_from_slice(x);
        let mut stimulus = i_stim.first().copied().unwrap_or(0.0);
        let mut offsets = self.packed.offsets(&self.control(p, stimulus));
        for (k, state) in out.chunks_exact_mut(self.dimension()).enumerate() {
            if let Some(i_stim) = i_stim.get(k).filter(|i| **i != stimulus) {
                stimulus = *i_stim;
                offsets = self.packed.offsets(&self.control(p, stimulus));
            }
            if self.packed.advance(&self.normalizer, &offsets, state, 1) == 0 {
                state.fill(f64::NAN);
            }
        }
    }

    fn jacobian(&self, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]) {
        let d = self.dimension();
        for (i, gradient) in self
            .gradients(x, i_stim, p)
            .chunks_exact(d + self.normalizer.parameter_sd.len())
            .enumerate()
        {
            for k in 0..d {
                let scaled =
                    gradient[k] * self.normalizer.increment_sd[i] / self.normalizer.state_sd[k];
                out[i * d + k] = scaled + f64::from(u8::from(i == k));
            }
        }
    }

    fn derivative_by(&self, by: Input, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        let l = match by {
            Input::Parameter(l) => l,
            Input::Stimulus if self.spec.trained_stimulus().is_some() => p.len(),
            Input::Stimulus => return,
        };
        let d = self.dimension();
        for (i, gradient) in self
            .gradients(x, i_stim, p)
            .chunks_exact(d + self.normalizer.parameter_sd.len())
            .enumerate()
        {
            out[i] =
                gradient[d + l] * self.normalizer.increment_sd[i] / self.normalizer.parameter_sd[l];
        }
    }

    fn solve_ensemble(
        &self,
        batch: &[Experiment],
        _options: &SolveOptions,
    ) -> DynamicsResult<Vec<Trajectory>> {
        check_batch(&self.spec, batch)?;
        if self.spec.trained_stimulus().is_none() && batch.iter().any(|e| !e.protocol.is_none()) {
            return Err(DynamicsError::Invalid(format!(
                "{} was trained without a stimulus and takes none; leave it out",
                self.spec.id
            )));
        }
        let steps = batch
            .iter()
            .map(|e| self.steps(e))
            .collect::<DynamicsResult<Vec<_>>>()?;
        Ok(batch
            .par_iter()
            .zip(steps)
            .map(|(e, (first, every))| self.iterate(e, first, every))
            .collect())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{super::sub_network::SubNetwork, *};
    use crate::architectures::two_layer_map::TwoLayerNetwork;
    use ionoscope_dynamics::{
        models,
        protocol::Protocol,
        sampling::{normal, stream},
        trajectory::TimeGrid,
    };

    /// A small map with random weights for the beta-cell's variables and v_s.
    fn random_map(hidden: usize) -> NeuralMap {
        random(Architecture::NeuralMap, hidden)
    }

    pub(crate) fn random(architecture: Architecture, hidden: usize) -> NeuralMap {
        let model = models::find("sherman-1988").unwrap();
        let mut spec = model.spec().clone();
        spec.parameters.retain(|q| q.name == "v_s");
        let mut rng = stream(7, "random map", 0);
        let mut networks: Vec<Network> = match architecture {
            Architecture::NeuralMap => (0..3)
                .map(|own| SubNetwork::zeros(own, 4, hidden).into())
                .collect(),
            Architecture::TwoLayerMap => vec![TwoLayerNetwork::zeros(4, hidden, 3).into()],
        };
        networks
            .iter_mut()
            .flat_map(Network::groups_mut)
            .flatten()
            .for_each(|w| *w = 0.3 * normal(&mut rng));
        let normalizer = Normalizer {
            state_mean: vec![-50.0, 0.02, 0.18],
            state_sd: vec![12.0, 0.02, 0.004],
            parameter_mean: vec![-35.0],
            parameter_sd: vec![2.9],
            increment_sd: vec![1.0, 0.003, 2e-5],
        };
        NeuralMap::new(
            spec,
            0.005,
            normalizer,
            networks,
            serde_json::json!({"seed": 7}),
        )
        .unwrap()
    }

    #[test]
    fn the_papers_map_has_701_weights_a_sub_network() {
        assert_eq!(
            (
                random_map(100).networks[0].weight_count(),
                random_map(100).weight_count()
            ),
            (701, 2103)
        );
        assert_eq!(random(Architecture::TwoLayerMap, 100).weight_count(), 803);
    }

    #[test]
    fn the_jacobian_agrees_with_central_differences() {
        for architecture in [Architecture::NeuralMap, Architecture::TwoLayerMap] {
            jacobian_against_differences(&random(architecture, 13));
        }
    }

    fn jacobian_against_differences(map: &NeuralMap) {
        let (x, p) = ([-48.0, 0.03, 0.181], [-36.0]);
        let mut jacobian = [0.0; 9];
        map.jacobian(&x, 0.0, &p, &mut jacobian);
        let (mut up, mut down) = ([0.0; 3], [0.0; 3]);
        for k in 0..3 {
            let h = 1e-5 * map.normalizer.state_sd[k];
            let shifted = |sign: f64| {
                std::array::from_fn::<f64, 3, _>(|i| if i == k { x[i] + sign * h } else { x[i] })
            };
            map.rule(&shifted(1.0), 0.0, &p, &mut up);
            map.rule(&shifted(-1.0), 0.0, &p, &mut down);
            for i in 0..3 {
                let difference = (up[i] - down[i]) / (2.0 * h);
                assert!(
                    (difference - jacobian[i * 3 + k]).abs() < 1e-6 * (1.0 + difference.abs()),
                    "{i} {k}: {difference} {}",
                    jacobian[i * 3 + k]
                );
            }
        }
        let (mut column, mut up, mut down) = ([0.0; 3], [0.0; 3], [0.0; 3]);
        map.derivative_by(Input::Parameter(0), &x, 0.0, &p, &mut column);
        map.rule(&x, 0.0, &[p[0] + 1e-4], &mut up);
        map.rule(&x, 0.0, &[p[0] - 1e-4], &mut down);
        for i in 0..3 {
            let difference = (up[i] - down[i]) / 2e-4;
            assert!(
                (difference - column[i]).abs() < 1e-6 * difference.abs(),
                "{i} by v_s: {difference} {}",
                column[i]
            );
        }
    }

    #[test]
    fn a_file_holds_every_bit_and_damage_is_noticed() {
        let two_layers = random(Architecture::TwoLayerMap, 5);
        assert_eq!(
            NeuralMap::from_bytes(&two_layers.to_bytes().unwrap()).unwrap(),
            two_layers
        );
        let map = random_map(5);
        let bytes = map.to_bytes().unwrap();
        assert_eq!(NeuralMap::from_bytes(&bytes).unwrap(), map);
        for cut in [0, 7, 8, 100, bytes.len() / 2, bytes.len() - 1] {
            assert!(
                NeuralMap::from_bytes(&bytes[..cut]).is_err(),
                "cut at {cut}"
            );
        }
        let mut swapped = bytes.clone();
        let at = bytes.windows(7).position(|w| w == b"v.alpha").unwrap();
        swapped[at..at + 7].copy_from_slice(b"v.alphb");
        assert!(
            NeuralMap::from_bytes(&swapped)
                .unwrap_err()
                .contains("v.alpha")
        );
    }

    #[test]
    fn iteration_agrees_with_the_scalar_networks() {
        // 13 hidden units: padding takes part.
        for architecture in [Architecture::NeuralMap, Architecture::TwoLayerMap] {
            iteration_against_scalar_code(&random(architecture, 13));
        }
    }

    fn iteration_against_scalar_code(map: &NeuralMap) {
        let (x, p) = ([-48.0, 0.03, 0.181], [-36.0]);
        let n = map.normalizer();
        let mut input: Vec<f64> = (0..3).map(|i| n.state(i, x[i])).collect();
        input.push(n.parameter(0, p[0]));
        let mut out = [0.0; 3];
        map.rule(&x, 0.0, &p, &mut out);
        let mut increments = [0.0; 3];
        for net in map.networks() {
            let rows = net.outputs();
            net.increments(
                &input,
                &mut increments[rows.clone()],
                &mut [0.0; 12][..4 * rows.len()],
            );
        }
        for i in 0..3 {
            let want = x[i] + n.increment_sd[i] * increments[i];
            assert!(
                (out[i] - want).abs() < 1e-14 * want.abs(),
                "{i}: {} {want}",
                out[i]
            );
        }
        let e = Experiment {
            x0: x.to_vec(),
            p: p.to_vec(),
            protocol: Protocol::none(),
            times: TimeGrid::new(0.0, 0.005, 2).unwrap(),
        };
        let all = map
            .solve_ensemble(&[e.clone(), e], &SolveOptions::default())
            .unwrap();
        assert_eq!((all[0].state(1), all[1].state(1)), (&out[..], &out[..]));
    }

    #[test]
    fn output_times_must_be_steps_of_the_map() {
        let map = random_map(5);
        let mut e = Experiment::from_defaults(map.spec(), TimeGrid::new(0.0, 0.01, 3).unwrap());
        let two = map.simulate(&e, &SolveOptions::default()).unwrap();
        e.times = TimeGrid::new(0.0, 0.005, 5).unwrap();
        let one = map.simulate(&e, &SolveOptions::default()).unwrap();
        assert_eq!(two.state(2), one.state(4));
        e.times = TimeGrid::new(0.0, 0.007, 3).unwrap();
        assert!(
            map.simulate(&e, &SolveOptions::default())
                .unwrap_err()
                .to_string()
                .contains("whole number of steps")
        );
    }

    #[test]
    fn a_stimulus_enters_as_its_mean_over_each_step() {
        let plain = random_map(13);
        let mut spec = plain.spec().clone();
        // What was v_s is now the stimulus.
        spec.parameters.clear();
        spec.trained_on = Some(ionoscope_dynamics::spec::TrainingRange {
            model: "sherman-1988".into(),
            fixed: vec![],
            state: vec![[-70.0, -20.0], [0.0, 0.1], [0.1, 0.2]],
            parameters: vec![],
            stimulus: Some([-40.0, 0.0]),
        });
        let map = NeuralMap::new(
            spec,
            plain.dt(),
            plain.normalizer().clone(),
            plain.networks().to_vec(),
            serde_json::Value::Null,
        )
        .unwrap();
        assert_eq!(
            NeuralMap::from_bytes(&map.to_bytes().unwrap()).unwrap(),
            map
        );
        // On for two and a half steps from the second one on.
        let dt = map.dt();
        let e = Experiment {
            x0: vec![-48.0, 0.03, 0.181],
            p: vec![],
            protocol: Protocol::step(dt, 2.5 * dt, -36.0),
            times: TimeGrid::new(0.0, dt, 6).unwrap(),
        };
        let run = map.simulate(&e, &SolveOptions::default()).unwrap();
        let (mut x, mut next) = (e.x0.clone(), vec![0.0; 3]);
        for (k, stimulus) in [0.0, -36.0, -36.0, -18.0, 0.0].into_iter().enumerate() {
            map.rule(&x, stimulus, &[], &mut next);
            x.copy_from_slice(&next);
            let close = |a: &f64, b: &f64| (a - b).abs() < 1e-9 * b.abs();
            assert!(
                run.state(k + 1).iter().zip(&x).all(|(a, b)| close(a, b)),
                "{k}"
            );
        }
        // As the control parameter that it was.
        plain.rule(&e.x0, 0.0, &[-36.0], &mut next);
        map.rule(&e.x0, -36.0, &[], &mut x);
        assert_eq!(x, next);
        let (mut by, mut want) = ([0.0; 3], [0.0; 3]);
        map.derivative_by(Input::Stimulus, &e.x0, -36.0, &[], &mut by);
        plain.derivative_by(Input::Parameter(0), &e.x0, 0.0, &[-36.0], &mut want);
        assert_eq!(by, want);
        // One in two and many give the same; a map without a stimulus takes none.
        assert_eq!(
            map.solve_ensemble(&[e.clone(), e.clone()], &SolveOptions::default())
                .unwrap()[1],
            run
        );
        let e = Experiment {
            p: vec![-36.0],
            ..e
        };
        assert!(
            plain
                .solve_ensemble(&[e], &SolveOptions::default())
                .unwrap_err()
                .to_string()
                .contains("without a stimulus")
        );
    }
}
