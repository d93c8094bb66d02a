//! How far apart two systems' answers are: the measures that reports print.

/// Euclidean distance of two states in their raw units (mV, 1, 1 for the beta-cell), as the publications give it.
///
/// # Panics
/// On different lengths.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "two states of one system");
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).powi(2))
        .sum::<f64>()
        .sqrt()
}

/// Euclidean distance of two states, each variable in units of its standard deviation `sd`.
///
/// # Panics
/// On different lengths.
pub fn distance_standardised(a: &[f64], b: &[f64], sd: &[f64]) -> f64 {
    assert_eq!(
        (a.len(), a.len()),
        (b.len(), sd.len()),
        "two states of one system and its standard deviations"
    );
    a.iter()
        .zip(b)
        .zip(sd)
        .map(|((a, b), s)| ((a - b) / s).powi(2))
        .sum::<f64>()
        .sqrt()
}

/// Index and distance of the state in `states` that is nearest to `x` (raw units); `None` when there are none.
pub fn nearest<'a>(x: &[f64], states: impl IntoIterator<Item = &'a [f64]>) -> Option<(usize, f64)> {
    states
        .into_iter()
        .map(|s| distance(x, s))
        .enumerate()
        .min_by(|a, b| a.1.total_cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_of_a_hand_worked_case() {
        let (a, b) = ([-50.0, 0.1, 0.2], [-47.0, 0.1, 4.2]);
        assert_eq!(distance(&a, &b), 5.0);
        assert_eq!(distance_standardised(&a, &b, &[0.5, 1.0, 0.5]), 10.0);
        assert_eq!(nearest(&a, [&b[..], &a[..]]), Some((1, 0.0)));
        assert_eq!(nearest(&a, []), None);
    }
}
