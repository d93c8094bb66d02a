//! Iteration of the map, SIMD over the hidden units. One trajectory and many run the same code, so their numbers agree to the bit; there is no
//! fused multiply-add and no reassociation, so they agree on every instruction set too.

use ionoscope_dynamics::real::Real;
use pulp::WithSimd;

use super::super::{network::Network, sub_network::SubNetwork, two_layer_map::TwoLayerNetwork};
use crate::normalizer::Normalizer;

/// Hidden units worked on at once: one 512-bit register of double precision.
const WIDTH: usize = 8;

/// The weights laid out for iteration: hidden units padded with zero weights to a multiple of [`WIDTH`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Packed {
    networks: Vec<PackedNetwork>,
    state: usize,
}

#[derive(Debug, Clone, PartialEq)]
enum PackedNetwork {
    Own(PackedOwn),
    Shared(PackedShared),
}

/// A two-layer network.
#[derive(Debug, Clone, PartialEq)]
struct PackedShared {
    inner: Vec<Vec<[f64; WIDTH]>>,
    control: Vec<Vec<[f64; WIDTH]>>,
    beta: Vec<[f64; WIDTH]>,
    output: Vec<Vec<[f64; WIDTH]>>,
    gamma: Vec<f64>,
}

/// A sub-network.
#[derive(Debug, Clone, PartialEq)]
struct PackedOwn {
    own: usize,
    /// Variables that enter the inner layer, each with its row of weights.
    inner: Vec<(usize, Vec<[f64; WIDTH]>)>,
    control: Vec<Vec<[f64; WIDTH]>>,
    beta: Vec<[f64; WIDTH]>,
    a: Vec<[f64; WIDTH]>,
    alpha: Vec<[f64; WIDTH]>,
    b: Vec<[f64; WIDTH]>,
    gamma: f64,
}

fn pack(row: &[f64]) -> Vec<[f64; WIDTH]> {
    row.chunks(WIDTH)
        .map(|c| std::array::from_fn(|i| c.get(i).copied().unwrap_or(0.0)))
        .collect()
}

impl Packed {
    pub fn new(networks: &[Network], state: usize) -> Self {
        let own = |n: &SubNetwork| PackedOwn {
            own: n.own,
            inner: (0..state)
                .filter(|k| *k != n.own)
                .map(|k| (k, pack(&n.inner[k])))
                .collect(),
            control: n.inner[state..].iter().map(|row| pack(row)).collect(),
            beta: pack(&n.beta),
            a: pack(&n.a),
            alpha: pack(&n.alpha),
            b: pack(&n.b),
            gamma: n.gamma,
        };
        let shared = |n: &TwoLayerNetwork| PackedShared {
            inner: n.inner[..state].iter().map(|row| pack(row)).collect(),
            control: n.inner[state..].iter().map(|row| pack(row)).collect(),
            beta: pack(&n.beta),
            output: n.output.iter().map(|row| pack(row)).collect(),
            gamma: n.gamma.clone(),
        };
        let networks = networks.iter().map(|n| match n {
            Network::Own(n) => PackedNetwork::Own(own(n)),
            Network::Shared(n) => PackedNetwork::Shared(shared(n)),
        });
        Packed {
            networks: networks.collect(),
            state,
        }
    }

    /// The inner layer's offsets at standardized control parameters `q`, which stay the same along a trajectory.
    pub fn offsets(&self, q: &[f64]) -> Vec<Vec<[f64; WIDTH]>> {
        let parts = self.networks.iter().map(|n| match n {
            PackedNetwork::Own(n) => (&n.beta, &n.control),
            PackedNetwork::Shared(n) => (&n.beta, &n.control),
        });
        parts
            .map(|(beta, control)| {
                let mut offset = beta.clone();
                for (q, row) in q.iter().zip(control) {
                    for (o, w) in offset.iter_mut().zip(row) {
                        (0..WIDTH).for_each(|i| o[i] += q * w[i]);
                    }
                }
                offset
            })
            .collect()
    }

    /// Moves `x` (physical units) on by up to `steps` steps; returns how many were made, fewer where the state stopped being finite (`x` is then the
    /// last finite state).
    pub fn advance(
        &self,
        normalizer: &Normalizer,
        offsets: &[Vec<[f64; WIDTH]>],
        x: &mut [f64],
        steps: u64,
    ) -> u64 {
        let task = Advance {
            packed: self,
            normalizer,
            offsets,
            x,
            steps,
        };
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
        {
            // SAFETY: the processor has the instructions that the function is compiled for.
            return unsafe { advance_avx512(task) };
        }
        pulp::Arch::new().dispatch(task)
    }
}

impl PackedOwn {
    /// The increment in units of its standard deviation at standardized state `u`.
    #[inline(always)]
    fn increment(&self, u: &[f64], offset: &[[f64; WIDTH]]) -> f64 {
        let own = u[self.own];
        let mut sum = [0.0; WIDTH];
        for (c, offset) in offset.iter().enumerate() {
            let mut y = *offset;
            for (k, row) in &self.inner {
                let (u, row) = (u[*k], &row[c]);
                for i in 0..WIDTH {
                    y[i] += u * row[i];
                }
            }
            let (a, alpha, b) = (&self.a[c], &self.alpha[c], &self.b[c]);
            for i in 0..WIDTH {
                y[i] = Real::tanh(y[i]);
            }
            for i in 0..WIDTH {
                y[i] = Real::tanh(own * a[i] + alpha[i] + y[i]);
            }
            for i in 0..WIDTH {
                sum[i] += y[i] * b[i];
            }
        }
        self.gamma + sum.iter().sum::<f64>()
    }
}

impl PackedShared {
    /// The increments in units of their standard deviations at standardized state `u`; `sums` holds one entry a variable.
    #[inline(always)]
    fn increments(&self, u: &[f64], offset: &[[f64; WIDTH]], sums: &mut [[f64; WIDTH]]) {
        sums.fill([0.0; WIDTH]);
        for (c, offset) in offset.iter().enumerate() {
            let mut y = *offset;
            for (u, row) in u.iter().zip(&self.inner) {
                for i in 0..WIDTH {
                    y[i] += u * row[c][i];
                }
            }
            for i in 0..WIDTH {
                y[i] = Real::tanh(y[i]);
            }
            for (sum, row) in sums.iter_mut().zip(&self.output) {
                for i in 0..WIDTH {
                    sum[i] += y[i] * row[c][i];
                }
            }
        }
    }
}

struct Advance<'a> {
    packed: &'a Packed,
    normalizer: &'a Normalizer,
    offsets: &'a [Vec<[f64; WIDTH]>],
    x: &'a mut [f64],
    steps: u64,
}

/// With 512-bit registers, for which `pulp` would need a feature that also changes the bits of matrix products.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl")]
fn advance_avx512(task: Advance) -> u64 {
    task.run()
}

impl WithSimd for Advance<'_> {
    type Output = u64;
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) -> u64 {
        self.run()
    }
}

impl Advance<'_> {
    #[inline(always)]
    fn run(self) -> u64 {
        let Advance {
            packed,
            normalizer,
            offsets,
            x,
            steps,
        } = self;
        let mut u = vec![0.0; packed.state];
        let mut next = u.clone();
        let mut sums = vec![[0.0; WIDTH]; packed.state];
        for step in 0..steps {
            for i in 0..packed.state {
                u[i] = normalizer.state(i, x[i]);
            }
            // Adding to x, not to the standardized state, keeps the digits of a small increment.
            for (k, network) in packed.networks.iter().enumerate() {
                match network {
                    PackedNetwork::Own(n) => {
                        next[k] = x[k] + normalizer.increment_sd[k] * n.increment(&u, &offsets[k])
                    }
                    PackedNetwork::Shared(n) => {
                        n.increments(&u, &offsets[k], &mut sums);
                        for i in 0..packed.state {
                            let increment = n.gamma[i] + sums[i].iter().sum::<f64>();
                            next[i] = x[i] + normalizer.increment_sd[i] * increment;
                        }
                    }
                }
            }
            if !next.iter().all(|v| v.is_finite()) {
                return step;
            }
            x.copy_from_slice(&next);
        }
        steps
    }
}
