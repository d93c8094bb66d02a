//! The sub-network in double precision, one sample and one weight at a time, straight from its formula: what the kernels are checked against.

use super::shape::Shape;

/// The output for one sample; `weights` in the order of [`Packed::set`](super::Packed::set).
pub fn output(shape: Shape, weights: &[f64], inner: &[f64], own: f64) -> f64 {
    let (n, k) = (shape.hidden, shape.inner);
    let w = |row: usize, j: usize| weights[row * n + j];
    let mut out = weights[shape.weights() - 1];
    for j in 0..n {
        let y: f64 = w(k, j) + (0..k).map(|l| inner[l] * w(l, j)).sum::<f64>();
        out += (own * w(k + 1, j) + w(k + 2, j) + y.tanh()).tanh() * w(k + 3, j);
    }
    out
}

/// The squared error of one sample, whose gradient by the weights is added to `gradient`.
pub fn squared_error(
    shape: Shape,
    weights: &[f64],
    inner: &[f64],
    own: f64,
    target: f64,
    gradient: &mut [f64],
) -> f64 {
    let (n, k) = (shape.hidden, shape.inner);
    let error = output(shape, weights, inner, own) - target;
    let w = |row: usize, j: usize| weights[row * n + j];
    for j in 0..n {
        let h = (w(k, j) + (0..k).map(|l| inner[l] * w(l, j)).sum::<f64>()).tanh();
        let g = (own * w(k + 1, j) + w(k + 2, j) + h).tanh();
        let by_z = 2.0 * error * w(k + 3, j) * (1.0 - g * g);
        let by_y = by_z * (1.0 - h * h);
        for l in 0..k {
            gradient[l * n + j] += by_y * inner[l];
        }
        gradient[k * n + j] += by_y;
        gradient[(k + 1) * n + j] += by_z * own;
        gradient[(k + 2) * n + j] += by_z;
        gradient[(k + 3) * n + j] += 2.0 * error * g;
    }
    gradient[shape.weights() - 1] += 2.0 * error;
    error * error
}
