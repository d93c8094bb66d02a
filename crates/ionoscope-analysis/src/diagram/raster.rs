//! Windows of a sweep, put in line.

use super::sweep::Column;

/// One variable over time for every column, in line with its neighbor.
#[derive(Debug, Clone, PartialEq)]
pub struct Raster {
    /// Values of the parameter, one a column.
    pub parameter: Vec<f64>,
    /// Times from the beginning of each part that is shown.
    pub time: Vec<f64>,
    /// The variable, `[column][time]`; NaN where a trajectory failed.
    pub values: Vec<Vec<f64>>,
}

/// The raster of variable `i`: of each window the part of half its length that is nearest to the part of the column before, beginning with
/// the column at index `first` and going both ways.
pub fn raster(columns: &[Column], i: usize, first: usize) -> Raster {
    let full = columns
        .iter()
        .map(|c| c.window.times.count)
        .max()
        .unwrap_or(0);
    let shown = full.div_ceil(2);
    let dt = columns.first().map_or(0.0, |c| c.window.times.dt);
    let series: Vec<Vec<f64>> = columns
        .iter()
        .map(|c| c.window.variable(i).collect())
        .collect();
    let mut values = vec![Vec::new(); columns.len()];
    let place = |k: usize, beside: Option<&Vec<f64>>| -> Vec<f64> {
        let all = &series[k];
        if all.len() < full {
            return vec![f64::NAN; shown];
        }
        let from = beside.map_or(0, |b| nearest(all, b));
        all[from..from + shown].to_vec()
    };
    let first = first.min(columns.len().saturating_sub(1));
    let ways: [Vec<usize>; 2] = [(first..columns.len()).collect(), (0..first).rev().collect()];
    let mut beside: Option<Vec<f64>> = None;
    let mut start = None;
    for (way, order) in ways.into_iter().enumerate() {
        if way == 1 {
            beside = start.clone();
        }
        for k in order {
            values[k] = place(k, beside.as_ref());
            if !values[k].iter().any(|v| v.is_nan()) {
                beside = Some(values[k].clone());
                start = start.or_else(|| beside.clone());
            }
        }
    }
    Raster {
        parameter: columns.iter().map(|c| c.parameter).collect(),
        time: (0..shown).map(|k| k as f64 * dt).collect(),
        values,
    }
}

/// The shift at which `part` is nearest to what `all` holds there.
fn nearest(all: &[f64], part: &[f64]) -> usize {
    let mut best = (f64::INFINITY, 0);
    for shift in 0..=all.len() - part.len() {
        let mut sum = 0.0;
        // In pieces: most shifts are worse after a few.
        for (a, b) in all[shift..shift + part.len()]
            .chunks(64)
            .zip(part.chunks(64))
        {
            sum += a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
            if sum >= best.0 {
                break;
            }
        }
        if sum < best.0 {
            best = (sum, shift);
        }
    }
    best.1
}
