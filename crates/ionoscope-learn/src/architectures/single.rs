//! A neural map whose many states at once are moved in single precision, by the kernels of the training: for networks of many cells.

use std::sync::Arc;

use ionoscope_dynamics::{
    Result as DynamicsResult,
    spec::Spec,
    system::{DynamicalSystem, Input, Time},
    trajectory::{Experiment, SolveOptions, Trajectory},
};

use super::{network::Network, neural_map::NeuralMap};
use crate::{
    Error, Result,
    kernels::{BLOCK, Backend, Packed, Samples, Scratch, Shape, outputs},
};

/// A neural map with increments in single precision where [`rules`](DynamicalSystem::rules) moves many states; all else is in double
/// precision. States stay in double precision, so an increment loses digits, a state does not: one of the beta-cell's steps is off by some
/// 1e-6 mV, which is what the network itself is off by.
pub struct SinglePrecision {
    map: Arc<NeuralMap>,
    backend: Backend,
    /// Of each variable.
    networks: Vec<Packed>,
}

impl SinglePrecision {
    /// The map in single precision.
    ///
    /// # Errors
    /// A map of another family, for which there are no kernels.
    pub fn new(map: Arc<NeuralMap>) -> Result<Self> {
        let pack = |n: &Network| match n {
            Network::Own(own) => {
                let mut packed = Packed::new(Shape {
                    inner: own.inner.len() - 1,
                    hidden: own.hidden(),
                });
                packed.set(&n.weights());
                Ok(packed)
            }
            Network::Shared(_) => Err(Error::Invalid(format!(
                "{} is a two_layer_map, which runs in double precision only",
                map.spec().id
            ))),
        };
        let networks = map
            .networks()
            .iter()
            .map(pack)
            .collect::<Result<Vec<_>>>()?;
        Ok(SinglePrecision {
            backend: Backend::detect(),
            networks,
            map,
        })
    }
}

impl DynamicalSystem for SinglePrecision {
    fn spec(&self) -> &Spec {
        self.map.spec()
    }

    fn time(&self) -> Time {
        self.map.time()
    }

    fn rule(&self, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]) {
        self.map.rule(x, i_stim, p, out);
    }

    fn rules(&self, x: &[f64], i_stim: &[f64], p: &[f64], out: &mut [f64]) {
        let (n, d) = (self.map.normalizer(), self.map.dimension());
        let mut scratch = Scratch::new(self.networks[0].shape());
        let mut rows = vec![[0.0f32; BLOCK]; d + n.parameter_sd.len()];
        for (l, value) in p.iter().enumerate() {
            rows[d + l] = [n.parameter(l, *value) as f32; BLOCK];
        }
        let (target, mut increments) = ([0.0; BLOCK], [0.0; BLOCK]);
        for (block, (x, out)) in x
            .chunks(BLOCK * d)
            .zip(out.chunks_mut(BLOCK * d))
            .enumerate()
        {
            let count = x.len() / d;
            if let Some(row) = rows.get_mut(d + p.len()) {
                let stimulus = |k: usize| i_stim.get(block * BLOCK + k).copied().unwrap_or(0.0);
                (0..count).for_each(|k| row[k] = n.parameter(p.len(), stimulus(k)) as f32);
            }
            for (k, state) in x.chunks_exact(d).enumerate() {
                (0..d).for_each(|i| rows[i][k] = n.state(i, state[i]) as f32);
            }
            for (own, network) in self.networks.iter().enumerate() {
                let inner = (0..rows.len())
                    .filter(|k| *k != own)
                    .map(|k| &rows[k][..count])
                    .collect();
                let samples = Samples {
                    inner,
                    own: &rows[own][..count],
                    target: &target[..count],
                };
                outputs(
                    self.backend,
                    network,
                    &samples,
                    &mut scratch,
                    &mut increments[..count],
                );
                for k in 0..count {
                    out[k * d + own] =
                        x[k * d + own] + n.increment_sd[own] * f64::from(increments[k]);
                }
            }
        }
    }

    fn jacobian(&self, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]) {
        self.map.jacobian(x, i_stim, p, out);
    }

    fn derivative_by(&self, by: Input, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]) {
        self.map.derivative_by(by, x, i_stim, p, out);
    }

    fn solve_ensemble(
        &self,
        batch: &[Experiment],
        options: &SolveOptions,
    ) -> DynamicsResult<Vec<Trajectory>> {
        self.map.solve_ensemble(batch, options)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Architecture, neural_map::tests::random};
    use super::*;

    #[test]
    fn many_states_move_as_single_ones_do_within_single_precision() {
        let map = Arc::new(random(Architecture::NeuralMap, 100));
        let single = SinglePrecision::new(map.clone()).unwrap();
        // More than a block, and no multiple of one.
        let x: Vec<f64> = (0..3 * 613)
            .map(|k| [-70.0 + 0.09 * (k / 3) as f64, 0.03 + 1e-5 * k as f64, 0.18][k % 3])
            .collect();
        let (mut one, mut many) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        map.rules(&x, &[], &[-36.0], &mut one);
        single.rules(&x, &[], &[-36.0], &mut many);
        // Hundred terms of size .3, each off by a few times the spacing 6e-8.
        for (k, (a, b)) in one.iter().zip(&many).enumerate() {
            assert!(
                (a - b).abs() < 2e-5 * map.normalizer().increment_sd[k % 3],
                "{k}: {a} {b}"
            );
        }
        assert!(
            one != many,
            "the test compares single with double precision"
        );
        assert!(SinglePrecision::new(Arc::new(random(Architecture::TwoLayerMap, 5))).is_err());
    }
}
