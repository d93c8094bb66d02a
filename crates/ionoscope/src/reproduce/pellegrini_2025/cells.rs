//! The three cells: the paper's data, networks and numbers, and our networks.

use super::SAMPLES;
use crate::{
    Result,
    config::{self, OperatorConfiguration},
};
use ionoscope_learn::{
    adam::{AdamConfig, Schedule},
    architectures::fno::{Activation, FnoConfig, LayerKind},
    responses::{FamilySource, ResponseConfig},
    train::operator::{Normalization, OperatorConfig, Optimizer},
};

/// A cell of the paper.
#[derive(Debug)]
pub struct PaperCell {
    /// Short name.
    pub name: &'static str,
    /// As people say it.
    pub title: &'static str,
    /// Identifier of the model.
    pub model: &'static str,
    /// The families `..-train` and `..-test`.
    pub family: &'static str,
    /// T, and times of the grid.
    pub t_end: f64,
    /// Times of the grid.
    pub points: usize,
    /// The paper's network of fixed size.
    pub paper: Paper,
    /// The paper's network without a limit on the number of weights, and its published error on test sets, in the paper's own form.
    pub free: (Paper, f64),
    /// Ours.
    pub ours: Ours,
    /// What is published of the paper's network, and what we want to reach, both of a network of at most its size.
    pub published: Numbers,
    /// See [`PaperCell::published`].
    pub goals: Numbers,
    /// Samples of the paper's training set.
    pub samples: usize,
}

/// Table of hyperparameters of the paper.
#[derive(Debug, Clone, Copy)]
pub struct Paper {
    /// d_v, k, L
    pub size: [usize; 3],
    /// Kind of the layers.
    pub kind: LayerKind,
    /// Activation.
    pub activation: Activation,
    /// Zeros appended.
    pub padding: usize,
    /// Learning rate, weight decay, and what the rate is multiplied by after every ten epochs.
    pub rates: [f64; 3],
    /// Trainable weights.
    pub weights: usize,
    /// Epochs in a quick run and in a full one.
    pub epochs: [u64; 2],
}

/// Our recipe: a long training on a coarse grid, then a short one on the whole grid.
#[derive(Debug)]
pub struct Ours {
    /// The first of the two, a configuration as of `ionoscope train`.
    pub recipe: &'static str,
    /// Samples and epochs of both, in a quick run.
    pub quick: [[u64; 2]; 2],
    /// Samples and epochs on the whole grid, in a full run.
    pub fine: [u64; 2],
    /// Learning rate there.
    pub rate: f64,
}

/// Errors.
#[derive(Debug)]
pub struct Numbers {
    /// Normalized, mean over test sets.
    pub normalized: f64,
    /// In the paper's own form.
    pub published: Option<f64>,
    /// Relative L2 of the potential in physical units.
    pub potential: Option<f64>,
    /// Share of the samples with a wrong number of spikes.
    pub miscounted: Option<f64>,
    /// Where the numbers are from.
    pub source: &'static str,
}

const GOALS: &str = "goal";
const PUBLISHED: &str = "the published network on three draws, normalized with the floor";

/// FitzHugh-Nagumo.
pub static FHN: PaperCell = PaperCell {
    name: "fhn",
    title: "FitzHugh-Nagumo",
    model: "fitzhugh-nagumo-1961",
    family: "fitzhugh-nagumo",
    t_end: 100.0,
    points: 1260,
    paper: Paper {
        size: [64, 12, 5],
        kind: LayerKind::Zongyi,
        activation: Activation::Gelu,
        padding: 5,
        rates: [1.69e-3, 4.76e-4, 0.93],
        weights: 571_138,
        epochs: [8, 250],
    },
    free: (
        Paper {
            size: [224, 20, 4],
            kind: LayerKind::Zongyi,
            activation: Activation::LeakyRelu,
            padding: 15,
            rates: [6.2e-4, 9.7e-4, 0.85],
            weights: 8_691_298,
            epochs: [2, 500],
        },
        0.0087,
    ),
    ours: Ours {
        recipe: include_str!("../../../../../examples/fhn-fno.toml"),
        quick: [[6000, 8], [3000, 1]],
        fine: [12_000, 3],
        rate: 1e-3,
    },
    published: Numbers {
        normalized: 0.0071,
        published: Some(0.0086),
        potential: Some(0.025),
        miscounted: None,
        source: PUBLISHED,
    },
    goals: Numbers {
        normalized: 0.0035,
        published: None,
        potential: Some(0.008),
        miscounted: None,
        source: GOALS,
    },
    samples: 3000,
};

/// Hodgkin-Huxley.
pub static HH: PaperCell = PaperCell {
    name: "hh",
    title: "Hodgkin-Huxley",
    model: "hodgkin-huxley-1952",
    family: "hodgkin-huxley",
    t_end: 100.0,
    points: 1260,
    paper: Paper {
        size: [96, 5, 5],
        kind: LayerKind::Zongyi,
        activation: Activation::Gelu,
        padding: 7,
        rates: [7.64e-3, 5.14e-4, 0.92],
        weights: 626_180,
        epochs: [8, 150],
    },
    free: (
        Paper {
            size: [256, 24, 4],
            kind: LayerKind::Zongyi,
            activation: Activation::LeakyRelu,
            padding: 15,
            rates: [4.4e-4, 7.49e-4, 0.88],
            weights: 13_439_236,
            epochs: [2, 500],
        },
        0.0234,
    ),
    ours: Ours {
        recipe: include_str!("../../../../../examples/hh-fno.toml"),
        quick: [[6000, 8], [3000, 1]],
        fine: [12_000, 4],
        rate: 1e-3,
    },
    published: Numbers {
        normalized: 0.03,
        published: Some(0.0271),
        potential: Some(0.052),
        miscounted: Some(0.025),
        source: PUBLISHED,
    },
    goals: Numbers {
        normalized: 0.014,
        published: None,
        potential: Some(0.02),
        miscounted: Some(0.003),
        source: GOALS,
    },
    samples: 3000,
};

/// O'Hara-Rudy, endocardial.
pub static ORD: PaperCell = PaperCell {
    name: "ord",
    title: "O'Hara-Rudy",
    model: "ohara-rudy-2011",
    family: "ohara-rudy",
    t_end: 500.0,
    points: 5040,
    paper: Paper {
        size: [32, 48, 5],
        kind: LayerKind::Classic,
        activation: Activation::Gelu,
        padding: 15,
        rates: [4.23e-3, 4.93e-4, 0.93],
        weights: 510_825,
        epochs: [2, 60],
    },
    free: (
        Paper {
            size: [192, 32, 5],
            kind: LayerKind::Zongyi,
            activation: Activation::Gelu,
            padding: 14,
            rates: [8.3e-4, 1e-3, 0.93],
            weights: 12_407_465,
            epochs: [1, 300],
        },
        0.0219,
    ),
    ours: Ours {
        recipe: include_str!("../../../../../examples/ord-fno.toml"),
        quick: [[3000, 2], [500, 1]],
        fine: [2500, 3],
        rate: 1e-3,
    },
    published: Numbers {
        normalized: 0.0242,
        published: Some(0.0242),
        potential: None,
        miscounted: None,
        source: "paper, without the floor, on stimuli of its own that are not published",
    },
    goals: Numbers {
        normalized: 0.015,
        published: None,
        potential: None,
        miscounted: None,
        source: GOALS,
    },
    samples: 3000,
};

/// All of them.
pub static ALL: [&PaperCell; 3] = [&FHN, &HH, &ORD];

/// For tests.
#[cfg(test)]
pub static TINY: PaperCell = PaperCell {
    points: 120,
    paper: Paper {
        size: [6, 4, 2],
        padding: 2,
        epochs: [2, 2],
        ..FHN_PAPER
    },
    free: (
        Paper {
            size: [7, 4, 2],
            padding: 2,
            epochs: [2, 2],
            ..FHN_PAPER
        },
        0.0087,
    ),
    ours: Ours {
        recipe: "responses.points = 60\noperator.network = {width = 6, modes = 4, layers = 2}",
        quick: [[30, 3], [20, 1]],
        fine: [20, 1],
        rate: 1e-3,
    },
    published: Numbers {
        normalized: 0.0071,
        published: None,
        potential: None,
        miscounted: None,
        source: PUBLISHED,
    },
    goals: Numbers {
        normalized: 0.0035,
        published: None,
        potential: None,
        miscounted: None,
        source: GOALS,
    },
    samples: 40,
    name: "fhn",
    title: "FitzHugh-Nagumo",
    model: "fitzhugh-nagumo-1961",
    family: "fitzhugh-nagumo",
    t_end: 100.0,
};

#[cfg(test)]
const FHN_PAPER: Paper = FHN.paper;

/// One stage of a training.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The data.
    pub responses: ResponseConfig,
    /// The training.
    pub operator: OperatorConfig,
}

impl PaperCell {
    /// The paper's data.
    pub fn responses(&self, seed: u64) -> ResponseConfig {
        ResponseConfig {
            model: self.model.into(),
            training_family: FamilySource::Named(format!("{}-train", self.family)),
            test_family: FamilySource::Named(format!("{}-test", self.family)),
            samples: [self.samples, SAMPLES, SAMPLES],
            t_end: self.t_end,
            points: self.points,
            seed,
            ..ResponseConfig::default()
        }
    }

    /// A network of the paper by the paper's rules, but for the number of epochs: AdamW, a learning rate that falls every ten epochs.
    pub fn paper_stages(&self, paper: &Paper, quick: bool, seed: u64) -> Vec<Stage> {
        let Paper {
            size: [width, modes, layers],
            kind,
            activation,
            padding,
            rates,
            epochs,
            ..
        } = *paper;
        let [learning_rate, weight_decay, factor] = rates;
        let padding = padding as f64 / self.points as f64;
        let epochs = epochs[usize::from(!quick)];
        let adam = AdamConfig {
            epochs,
            batch: 32,
            learning_rate,
            weight_decay,
            schedule: Schedule::Steps { factor, every: 10 },
            ..OperatorConfig::default().adam
        };
        let network = FnoConfig {
            width,
            modes,
            layers,
            kind,
            activation,
            padding,
        };
        // The paper has neither of these; nor do their weights start at the same numbers as ours.
        let plain = OperatorConfig {
            charge: false,
            clip: 0.0,
            average: 0.0,
            optimizer: Optimizer::Adam,
            normalization: Normalization::PerPoint,
            validate_every: 1,
            seed,
            ..OperatorConfig::default()
        };
        vec![Stage {
            responses: self.responses(seed),
            operator: OperatorConfig {
                network,
                adam,
                ..plain
            },
        }]
    }

    /// Our network by our rules.
    ///
    /// # Errors
    /// A recipe that cannot be read.
    pub fn our_stages(&self, quick: bool, seed: u64) -> Result<Vec<Stage>> {
        let Ours {
            recipe,
            quick: short,
            fine,
            rate,
        } = &self.ours;
        let OperatorConfiguration {
            mut responses,
            mut operator,
        } = config::parse(recipe, &[])?;
        (responses.seed, operator.seed) = (seed, seed);
        let mut stages = vec![
            Stage {
                responses,
                operator
            };
            2
        ];
        if quick {
            (
                stages[0].responses.samples[0],
                stages[0].operator.adam.epochs,
            ) = (short[0][0] as usize, short[0][1]);
        }
        let whole = &mut stages[1];
        let [samples, epochs] = if quick { short[1] } else { *fine };
        (whole.responses.samples[0], whole.responses.points) = (samples as usize, self.points);
        (
            whole.operator.adam.epochs,
            whole.operator.adam.learning_rate,
        ) = (epochs, *rate);
        Ok(stages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_networks_have_its_numbers_of_weights_and_ours_no_more() {
        for (cell, variables) in ALL.iter().zip([2, 4, 41]) {
            let weights = |stages: Vec<Stage>| {
                stages[0]
                    .operator
                    .weight_count(variables, &stages[0].responses)
            };
            for paper in [&cell.paper, &cell.free.0] {
                assert_eq!(weights(cell.paper_stages(paper, false, 1)), paper.weights);
            }
            let ours = cell.our_stages(false, 1).unwrap();
            assert_eq!(
                (ours[0].responses.model.as_str(), ours[1].responses.points),
                (cell.model, cell.points)
            );
            let ours = ours[0].operator.weight_count(variables, &ours[0].responses);
            assert!(ours <= cell.paper.weights, "{ours}");
        }
    }
}
