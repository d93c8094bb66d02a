//! One step of Adam on a slice of weights, double precision.

/// What one step of Adam needs to know beside the moments: Kingma, Ba, arXiv 1412.6980, algorithm 1, with decoupled weight decay
/// (Loshchilov, Hutter, arXiv 1711.05101).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// Learning rate of this step.
    pub rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Share of its size that a weight loses in a step, relative to the learning rate.
    pub weight_decay: f64,
    /// 1 - beta1^t for the t-th step.
    pub correction1: f64,
    /// 1 - beta2^t for the t-th step.
    pub correction2: f64,
}

/// Plain Rust; inlined into a function for each instruction set. Without fused operations it gives the same bits on all.
#[inline(always)]
pub(super) fn adam(
    step: &AdamStep,
    weights: &mut [f64],
    first: &mut [f64],
    second: &mut [f64],
    gradient: &[f64],
) {
    let n = weights.len();
    assert!(first.len() == n && second.len() == n && gradient.len() == n);
    let scale = step.rate / step.correction1;
    let root = 1.0 / step.correction2;
    let keep = 1.0 - step.rate * step.weight_decay;
    for i in 0..n {
        let g = gradient[i];
        first[i] = step.beta1 * first[i] + (1.0 - step.beta1) * g;
        second[i] = step.beta2 * second[i] + (1.0 - step.beta2) * g * g;
        weights[i] =
            keep * weights[i] - scale * first[i] / ((second[i] * root).sqrt() + step.epsilon);
    }
}
