//! Which trials are the best.

use ionoscope_learn::tune::{
    front::fronts,
    journal::{State, Trial},
};

/// Complete trials than which no other is better in every objective, by the first of them.
pub fn front(trials: &[Trial]) -> Vec<&Trial> {
    let mut done: Vec<&Trial> = trials
        .iter()
        .filter(|t| t.state == State::Complete && t.value.is_some())
        .collect();
    let ranks = fronts(&done.iter().map(|t| t.objectives()).collect::<Vec<_>>());
    let mut k = 0;
    done.retain(|_| {
        k += 1;
        ranks[k - 1] == 0
    });
    done.sort_by(|a, b| {
        a.objectives()
            .partial_cmp(&b.objectives())
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    done
}

/// The trial with the smallest value of the first objective.
pub fn best(trials: &[Trial]) -> Option<&Trial> {
    let done = trials
        .iter()
        .filter(|t| t.state == State::Complete && t.value.is_some());
    done.min_by(|a, b| {
        a.value
            .unwrap_or(f64::INFINITY)
            .total_cmp(&b.value.unwrap_or(f64::INFINITY))
    })
}
