//! Pairs of states one step apart, which maps are trained on.

/// Pairs of states one step apart, in physical units.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pairs {
    /// Number of state variables D_u.
    pub dimension: usize,
    /// Number of control parameters D_p.
    pub parameters: usize,
    /// Control parameters, `[pair][D_p]`; the last is the mean stimulus over the step, where there is one.
    pub p: Vec<f64>,
    /// States, `[pair][D_u]`.
    pub u: Vec<f64>,
    /// States one step later, `[pair][D_u]`.
    pub next: Vec<f64>,
    /// Euclidean distance of the state to the nearest fixed point in raw units, NaN where none is known, `[pair]`.
    pub distance: Vec<f64>,
}

impl Pairs {
    pub(crate) fn new(dimension: usize, parameters: usize) -> Self {
        Pairs {
            dimension,
            parameters,
            ..Pairs::default()
        }
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.distance.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.distance.is_empty()
    }

    /// Control parameters of pair `k`.
    pub fn p(&self, k: usize) -> &[f64] {
        &self.p[k * self.parameters..(k + 1) * self.parameters]
    }

    /// State of pair `k`.
    pub fn u(&self, k: usize) -> &[f64] {
        &self.u[k * self.dimension..(k + 1) * self.dimension]
    }

    /// Next state of pair `k`.
    pub fn next(&self, k: usize) -> &[f64] {
        &self.next[k * self.dimension..(k + 1) * self.dimension]
    }

    pub(crate) fn push_from(&mut self, other: &Pairs, k: usize) {
        self.p.extend_from_slice(other.p(k));
        self.u.extend_from_slice(other.u(k));
        self.next.extend_from_slice(other.next(k));
        self.distance.push(other.distance[k]);
    }
}
