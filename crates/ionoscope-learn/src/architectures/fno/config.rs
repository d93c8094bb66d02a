//! The shape of a network, what it costs, and where its weights stand.

use ionoscope_dynamics::sampling::{normal, stream};
use serde::{Deserialize, Serialize};

use super::layout::{Block, LayerBlocks, Layout, Next};
use crate::{Error, Result};

/// Width of the hidden layers of lifting and projection.
pub const HIDDEN: usize = 128;
/// Sizes beyond which a network is a slip of the keyboard.
const MOST_WIDTH: usize = 4096;
const MOST_MODES: usize = 100_000;
const MOST_LAYERS: usize = 64;

/// What a Fourier layer does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    /// act(K v + W v + b)
    Classic,
    /// act(M(K v) + W v + b)
    #[default]
    Zongyi,
    /// v + act(K v + W v + b)
    Residual,
}

/// The activation between layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Hyperbolic tangent.
    Tanh,
    /// max(x, 0)
    Relu,
    /// x sigma(2 y) with y = sqrt(2/pi) (x + .044715 x^3), what PyTorch calls `gelu(approximate="tanh")`.
    #[default]
    Gelu,
    /// max(x, .01 x)
    LeakyRelu,
}

/// The shape of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FnoConfig {
    /// Channels d_v of the Fourier layers.
    pub width: usize,
    /// Modes k that a Fourier layer keeps, the constant one counted.
    pub modes: usize,
    /// Number L of Fourier layers.
    pub layers: usize,
    /// Their kind.
    pub kind: LayerKind,
    /// The activation.
    pub activation: Activation,
    /// Zeros appended to the time axis, as a fraction of it.
    pub padding: f64,
}

impl Default for FnoConfig {
    fn default() -> Self {
        FnoConfig {
            width: 64,
            modes: 16,
            layers: 4,
            kind: LayerKind::Zongyi,
            activation: Activation::Gelu,
            padding: 0.0,
        }
    }
}

impl FnoConfig {
    /// Checks that the numbers make sense.
    ///
    /// # Errors
    /// A size of zero or absurdly large; a padding that is not a fraction.
    pub fn check(&self) -> Result<()> {
        for (name, value, most) in [
            ("width", self.width, MOST_WIDTH),
            ("modes", self.modes, MOST_MODES),
            ("layers", self.layers, MOST_LAYERS),
        ] {
            if !(1..=most).contains(&value) {
                return Err(Error::setting(name, value, format!("1 to {most}")));
            }
        }
        if !(self.padding >= 0.0 && self.padding <= 1.0) {
            let expected = "a fraction of the time axis, 0 to 1";
            return Err(Error::setting("padding", self.padding, expected));
        }
        Ok(())
    }

    /// Exact number of trainable weights; a complex one counts twice.
    pub fn weight_count(&self, inputs: usize, outputs: usize) -> usize {
        self.layout(inputs, outputs).count
    }

    /// Floating-point operations of one pass forward on a grid, two for each multiplication and addition of its matrix products, transforms among
    /// them.
    pub fn flops(&self, inputs: usize, outputs: usize, points: usize) -> f64 {
        let padded = points as f64 * (1.0 + self.padding);
        let (w, k) = (self.width as f64, self.modes as f64);
        let dense = if self.kind == LayerKind::Zongyi {
            3.0
        } else {
            1.0
        } * w
            * w;
        // There and back, real and imaginary part; a complex product is four real ones.
        let layer = padded * (dense + 4.0 * w * k) + 4.0 * w * w * k;
        let ends = points as f64 * HIDDEN as f64 * (inputs as f64 + 2.0 * w + outputs as f64);
        2.0 * (ends + self.layers as f64 * layer)
    }

    pub(crate) fn layout(&self, inputs: usize, outputs: usize) -> Layout {
        let (w, k) = (self.width, self.modes);
        let mut next = Next { count: 0 };
        let lifting = next.two("lifting", [inputs, HIDDEN, w]);
        let layers = (0..self.layers)
            .map(|l| LayerBlocks {
                spectral: next.block(format!("layer.{l}.spectral"), &[k, 2, w, w]),
                skip: next.dense(&format!("layer.{l}.skip"), w, w),
                mlp: (self.kind == LayerKind::Zongyi)
                    .then(|| next.two(&format!("layer.{l}.mlp"), [w; 3])),
            })
            .collect();
        let projection = next.two("projection", [w, HIDDEN, outputs]);
        Layout {
            inputs,
            outputs,
            lifting,
            layers,
            projection,
            count: next.count,
        }
    }

    /// Random weights: dense layers normal with variance 1 / (number of inputs), zero offsets; spectral weights normal with variance
    /// 1 / (2 d_v), so that a layer keeps the size of the modes it has.
    pub fn initial_weights(&self, inputs: usize, outputs: usize, seed: u64) -> Vec<f64> {
        let layout = self.layout(inputs, outputs);
        let mut weights = vec![0.0; layout.count];
        let mut fill = |block: &Block, sd: f64| {
            let mut rng = stream(seed, &format!("fno/{}", block.name), 0);
            block
                .of_mut(&mut weights)
                .iter_mut()
                .for_each(|w| *w = sd * normal(&mut rng));
        };
        let root = |n: usize| (n as f64).sqrt().recip();
        for blocks in [&layout.lifting, &layout.projection] {
            for matrix in [&blocks[0], &blocks[2]] {
                fill(matrix, root(matrix.shape[1]));
            }
        }
        for layer in &layout.layers {
            fill(&layer.spectral, root(2 * self.width));
            fill(&layer.skip[0], root(self.width));
            for matrix in layer.mlp.iter().flat_map(|m| [&m[0], &m[2]]) {
                fill(matrix, root(self.width));
            }
        }
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_weights_are_those_of_the_paper() {
        let of = |width, modes, layers, kind, outputs| {
            FnoConfig {
                width,
                modes,
                layers,
                kind,
                ..FnoConfig::default()
            }
            .weight_count(2, outputs)
        };
        assert_eq!(of(224, 20, 4, LayerKind::Zongyi, 2), 8_691_298);
        assert_eq!(of(64, 12, 5, LayerKind::Zongyi, 2), 571_138);
        assert_eq!(of(256, 24, 4, LayerKind::Zongyi, 4), 13_439_236);
        assert_eq!(of(96, 5, 5, LayerKind::Zongyi, 4), 626_180);
        assert_eq!(of(192, 32, 5, LayerKind::Zongyi, 41), 12_407_465);
        assert_eq!(of(32, 48, 5, LayerKind::Classic, 41), 510_825);
        assert_eq!(of(64, 16, 4, LayerKind::Zongyi, 2), 591_426);
    }
}
