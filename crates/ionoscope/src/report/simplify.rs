//! Fewer points for the same picture.

/// A point on the page, in pixels.
pub type Point = [f64; 2];

/// The points that a polyline needs so that no dropped one is further than `tolerance` from it (Douglas and Peucker,
/// Cartographica 10 (1973) 112). First and last point are kept.
pub fn polyline(points: &[Point], tolerance: f64) -> Vec<Point> {
    // The recursion works on short pieces, so a long dense curve stays near linear in time.
    const PIECE: usize = 4096;
    let mut kept = Vec::new();
    let mut start = 0;
    while start + 1 < points.len() {
        let end = (start + PIECE).min(points.len() - 1);
        kept.push(points[start]);
        piece(&points[start..=end], tolerance, &mut kept);
        start = end;
    }
    kept.extend(points.last());
    kept
}

/// Appends what is needed between the first and the last point of `points`.
fn piece(points: &[Point], tolerance: f64, kept: &mut Vec<Point>) {
    if points.len() < 3 {
        return;
    }
    let (a, b) = (points[0], points[points.len() - 1]);
    let (mut far, mut at) = (0.0, 0);
    for (i, p) in points.iter().enumerate().take(points.len() - 1).skip(1) {
        let d = distance(*p, a, b);
        if d > far {
            (far, at) = (d, i);
        }
    }
    if far > tolerance {
        piece(&points[..=at], tolerance, kept);
        kept.push(points[at]);
        piece(&points[at..], tolerance, kept);
    }
}

/// Distance of `p` to the segment from `a` to `b`.
fn distance(p: Point, a: Point, b: Point) -> f64 {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let square = dx * dx + dy * dy;
    let t = if square > 0.0 {
        (((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / square).clamp(0.0, 1.0)
    } else {
        0.0
    };
    (p[0] - a[0] - t * dx).hypot(p[1] - a[1] - t * dy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_train_keeps_its_extremes_with_far_fewer_points() {
        let curve: Vec<Point> = (0..100_000)
            .map(|i| f64::from(i) * 0.003)
            .map(|x| [x, 80.0 * (x * 0.9).sin().powi(41) + (x * 0.02).cos()])
            .collect();
        let few = polyline(&curve, 0.1);
        assert!(few.len() < curve.len() / 50, "{}", few.len());
        for sign in [1.0, -1.0] {
            let top = |c: &[Point]| {
                c.iter()
                    .map(|p| sign * p[1])
                    .fold(f64::NEG_INFINITY, f64::max)
            };
            assert!(top(&curve) - top(&few) <= 0.1);
        }
        // Every point of the curve lies within the tolerance of the piece that spans it.
        for p in curve.iter().step_by(97) {
            let k = few.partition_point(|q| q[0] < p[0]).clamp(1, few.len() - 1);
            assert!(distance(*p, few[k - 1], few[k]) <= 0.1001);
        }
    }

    #[test]
    fn straight_lines_and_short_ones() {
        let line: Vec<Point> = (0..10_000)
            .map(|i| [f64::from(i), 2.0 * f64::from(i)])
            .collect();
        assert!(polyline(&line, 0.01).len() <= 4);
        assert_eq!(polyline(&line[..1], 0.01), &line[..1]);
        assert!(polyline(&[], 0.01).is_empty());
    }
}
