//! Trials of several objectives: which are better than others in everything.

/// Whether `a` is nowhere worse than `b`, and somewhere better.
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b)
}

/// The front that each point lies on, from 0: what is left after those before were taken away and is dominated by nothing of the rest.
pub fn fronts(points: &[Vec<f64>]) -> Vec<usize> {
    let mut front = vec![usize::MAX; points.len()];
    for rank in 0.. {
        let open: Vec<usize> = (0..points.len())
            .filter(|k| front[*k] == usize::MAX)
            .collect();
        if open.is_empty() {
            break;
        }
        let free = |k: &&usize| !open.iter().any(|j| dominates(&points[*j], &points[**k]));
        let taken: Vec<usize> = open.iter().filter(free).copied().collect();
        taken.into_iter().for_each(|k| front[k] = rank);
    }
    front
}

/// How much room each point has on its front (the crowding distance of Deb et al. 2002, doi 10.1109/4235.996017): infinite at the ends.
pub fn room(points: &[Vec<f64>], front: &[usize]) -> Vec<f64> {
    let mut room = vec![0.0; points.len()];
    let fronts = front.iter().max().map_or(0, |m| m + 1);
    for rank in 0..fronts {
        let on: Vec<usize> = (0..points.len()).filter(|k| front[*k] == rank).collect();
        for i in 0..points[on[0]].len() {
            let mut order = on.clone();
            order.sort_by(|a, b| points[*a][i].total_cmp(&points[*b][i]));
            let (first, last) = (order[0], order[order.len() - 1]);
            let range = points[last][i] - points[first][i];
            room[first] = f64::INFINITY;
            room[last] = f64::INFINITY;
            for w in order.windows(3).filter(|_| range > 0.0) {
                room[w[1]] += (points[w[2]][i] - points[w[0]][i]) / range;
            }
        }
    }
    room
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fronts_lie_behind_one_another() {
        let points: Vec<Vec<f64>> = [
            [1.0, 4.0],
            [2.0, 2.0],
            [4.0, 1.0],
            [3.0, 3.0],
            [2.0, 2.0],
            [5.0, 5.0],
        ]
        .map(|p| p.to_vec())
        .into();
        let front = fronts(&points);
        assert_eq!(front, [0, 0, 0, 1, 0, 2]);
        let room = room(&points, &front);
        assert!(
            room[0].is_infinite() && room[2].is_infinite() && room[1].is_finite() && room[1] > 0.0
        );
        assert!(fronts(&[]).is_empty());
    }
}
