//! How a neural map is trained.

use std::collections::BTreeMap;

use ionoscope_dynamics::{
    sampling::{normal, stream},
    spec::Spec,
};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    adam::AdamConfig,
    architectures::{
        Architecture, Network, sub_network::SubNetwork, two_layer_map::TwoLayerNetwork,
    },
    dataset::Dataset,
    second_order::SecondOrderConfig,
};

/// Standard deviations of the normal numbers from which the weights start before Adam; gamma starts at 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InitialWeights {
    /// Inner weights A and B.
    pub inner: f64,
    /// Inner offsets beta.
    pub beta: f64,
    /// Weights a of the own variable.
    pub a: f64,
    /// Outer offsets alpha.
    pub alpha: f64,
    /// Output weights b, in units of the increment's standard deviation.
    pub b: f64,
}

impl Default for InitialWeights {
    fn default() -> Self {
        InitialWeights {
            inner: 0.2,
            beta: 0.2,
            a: 0.2,
            alpha: 0.2,
            b: 0.2,
        }
    }
}

impl InitialWeights {
    fn check(&self) -> Result<()> {
        for (name, value) in [
            ("inner", self.inner),
            ("beta", self.beta),
            ("a", self.a),
            ("alpha", self.alpha),
            ("b", self.b),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::setting(name, value, "0 or more"));
            }
        }
        Ok(())
    }
}

fn check_hidden(key: &str, n: usize) -> Result<()> {
    match n {
        0 => Err(Error::setting(key, n, "at least 1")),
        1..=MOST_HIDDEN => Ok(()),
        _ => Err(Error::setting(key, n, format!("at most {MOST_HIDDEN}"))),
    }
}

/// Most hidden units of a sub-network: more are a slip of the keyboard.
const MOST_HIDDEN: usize = 100_000;
/// Most weights of a sub-network in the second stage, whose matrices hold their square: 3 GiB each.
const MOST_SECOND_ORDER: usize = 20_000;

/// How a neural map is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Family of the map. A `two_layer_map` has one network for all variables and no first stage.
    #[serde(skip_serializing_if = "Architecture::is_default")]
    pub architecture: Architecture,
    /// Hidden units N_h of each network.
    pub hidden: usize,
    /// Hidden units of the sub-networks of single variables, by name, where they differ.
    pub hidden_of: BTreeMap<String, usize>,
    /// Where the weights start.
    pub initial: InitialWeights,
    /// The first stage; with no epochs the second begins from weights of its own.
    pub adam: AdamConfig,
    /// The second stage; with no iterations the first is all.
    pub second_order: SecondOrderConfig,
    /// The validation error is computed after every so many epochs or iterations, and at the end of a stage.
    pub validate_every: u64,
    /// Seed of the initial weights and of the order of the pairs.
    pub seed: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            architecture: Architecture::default(),
            hidden: 100,
            hidden_of: BTreeMap::new(),
            initial: InitialWeights::default(),
            // The second stage does best from weights of its own (docs/decisions/0001).
            adam: AdamConfig {
                epochs: 0,
                ..AdamConfig::default()
            },
            second_order: SecondOrderConfig::default(),
            validate_every: 10,
            seed: 1,
        }
    }
}

impl TrainConfig {
    /// Checks every number, and the names against a model's variables; the hidden units of each network. The map has so many inputs besides its
    /// state: control parameters and the stimulus.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn networks(&self, spec: &Spec, parameters: usize) -> Result<Vec<usize>> {
        self.adam.check().map_err(|e| e.within("adam"))?;
        self.second_order
            .check()
            .map_err(|e| e.within("second_order"))?;
        self.initial.check().map_err(|e| e.within("initial"))?;
        if self.validate_every == 0 {
            return Err(Error::setting("validate_every", 0, "at least 1"));
        }
        let hidden = self.hidden_units(spec)?;
        self.check_second_stage(spec, parameters, &hidden)?;
        Ok(hidden)
    }

    /// The hidden units of each network.
    fn hidden_units(&self, spec: &Spec) -> Result<Vec<usize>> {
        let mut of: Vec<Option<usize>> = vec![None; spec.variables.len()];
        for (name, n) in &self.hidden_of {
            let key = format!("hidden_of.{name}");
            let i = spec
                .variable_index(name)
                .map_err(|e| Error::of_setting(&key, e))?;
            check_hidden(&key, *n)?;
            of[i] = Some(*n);
        }
        // A number that no variable takes may be anything.
        if of.contains(&None) {
            check_hidden("hidden", self.hidden)?;
        }
        if self.architecture == Architecture::NeuralMap {
            return Ok(of.into_iter().map(|n| n.unwrap_or(self.hidden)).collect());
        }
        let one = |key, problem| Err(Error::of_setting(key, problem));
        if self.adam.epochs > 0 {
            return one(
                "adam.epochs",
                "a two_layer_map trains by the second-order stage alone; set it to 0",
            );
        }
        if !self.hidden_of.is_empty() {
            return one(
                "hidden_of",
                "a two_layer_map has one hidden layer for all variables; leave it out",
            );
        }
        Ok(vec![self.hidden])
    }

    /// Refuses networks whose second stage would not fit the memory.
    fn check_second_stage(&self, spec: &Spec, parameters: usize, hidden: &[usize]) -> Result<()> {
        let d = spec.variables.len();
        let weights = hidden
            .iter()
            .enumerate()
            .map(|(i, h)| self.network(d, parameters, i, *h).weight_count())
            .max()
            .unwrap_or(0);
        if self.second_order.iterations > 0 && weights > MOST_SECOND_ORDER {
            let problem = format!(
                "{weights} weights of one sub-network: the second stage, with a matrix of their square, takes at most {MOST_SECOND_ORDER}; \
                 lower hidden, or train by Adam alone (second_order.iterations = 0)"
            );
            return Err(Error::of_setting("hidden", problem));
        }
        Ok(())
    }

    /// Network `i` of `hidden` units with all weights zero.
    fn zeros(&self, dataset: &Dataset, i: usize, hidden: usize) -> Network {
        self.network(
            dataset.spec.variables.len(),
            dataset.normalizer.parameter_sd.len(),
            i,
            hidden,
        )
    }

    /// Exact number of trainable weights of a map of a model with so many inputs besides its state: control parameters and the stimulus.
    pub fn weight_count(&self, spec: &Spec, parameters: usize) -> usize {
        let d = spec.variables.len();
        let hidden = |i: usize| {
            self.hidden_of
                .get(&spec.variables[i].name)
                .copied()
                .unwrap_or(self.hidden)
        };
        let networks = if self.architecture == Architecture::TwoLayerMap {
            1
        } else {
            d
        };
        (0..networks)
            .map(|i| self.network(d, parameters, i, hidden(i)).weight_count())
            .sum()
    }

    fn network(&self, d: usize, parameters: usize, i: usize, hidden: usize) -> Network {
        let inputs = d + parameters;
        match self.architecture {
            Architecture::NeuralMap => SubNetwork::zeros(i, inputs, hidden).into(),
            Architecture::TwoLayerMap => TwoLayerNetwork::zeros(inputs, hidden, d).into(),
        }
    }

    /// Random networks for a dataset.
    pub(super) fn initial_networks(&self, dataset: &Dataset, hidden: &[usize]) -> Vec<Network> {
        let networks = hidden.iter().enumerate().map(|(i, &hidden)| {
            let mut rng = stream(self.seed, "initial weights", i as u64);
            let mut net = self.zeros(dataset, i, hidden);
            // A network without a first stage draws its weights when the second begins.
            if let Network::Own(net) = &mut net {
                let s = &self.initial;
                let sds = std::iter::repeat_n(s.inner, net.inner.len() - 1)
                    .chain([s.beta, s.a, s.alpha, s.b, 0.0]);
                for (group, sd) in net.groups_mut().into_iter().zip(sds) {
                    group.iter_mut().for_each(|w| *w = sd * normal(&mut rng));
                }
            }
            net
        });
        networks.collect()
    }
}
