//! The fixed point that no network was shown: of the equations, of a map, and how far they are apart.

use ionoscope_analysis::{
    compare::{distance, distance_standardized, nearest},
    fixed_points::{FixedPoint, FixedPointOptions, fixed_points_over, refine},
    spectrum::{Complex, eigenvalue_error},
};
use ionoscope_dynamics::{spec::Spec, system::DynamicalSystem};
use ionoscope_learn::dataset::{Dataset, Pairs};
use serde::{Deserialize, Serialize};

use crate::Result;

/// The control parameter of the paper.
pub const CONTROL: &str = "v_s";

/// Data count as near in the control parameter within this distance, the spacing of the grid (mV).
pub const NEAR: f64 = 0.25;

/// Fixed points at one value of the control parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Control parameter V_S (mV).
    pub v_s: f64,
    /// The fixed point; of several, the one nearest to the one it is compared with. None where there is none.
    pub found: Option<FixedPoint>,
    /// Number of fixed points in the search box.
    pub number_in_box: usize,
}

/// A map's fixed point beside that of the equations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The map's.
    pub point: Point,
    /// Euclidean distance to that of the equations, in raw units (mV, 1, 1), as in the paper.
    pub distance: Option<f64>,
    /// The same, each variable in units of its standard deviation in the training data.
    pub distance_standardized: Option<f64>,
    /// How far the nearest data are: the smallest standardized distance from the fixed point of the equations to a state of the training
    /// or validation pairs with a control parameter within [`NEAR`]. None where there are no such pairs.
    pub data_distance_standardized: Option<f64>,
    /// Largest relative difference of the eigenvalues under the best pairing.
    pub eigenvalue_error: Option<f64>,
    /// Number of further fixed points with a state inside what the map was trained on.
    pub others_in_training_range: usize,
    /// Eigenvalues of the equations' fixed point.
    pub eigenvalues_of_equations: Vec<Complex>,
}

/// The values V_S = -40, -39.75, .., -30 of the reports.
pub fn grid() -> Vec<f64> {
    (0..=40).map(|k| -40.0 + 0.25 * f64::from(k)).collect()
}

fn parameters(spec: &Spec, grid: &[f64]) -> Result<Vec<Vec<f64>>> {
    grid.iter()
        .map(|v_s| Ok(spec.parameters_with([(CONTROL, *v_s)])?))
        .collect()
}

/// The variables' default ranges, which for a map are those of its model.
fn search(
    system: &dyn DynamicalSystem,
    grid: &[f64],
    starts: usize,
) -> Result<Vec<Vec<FixedPoint>>> {
    let options = FixedPointOptions {
        starts,
        ..FixedPointOptions::default()
    };
    Ok(fixed_points_over(
        system,
        0.0,
        &parameters(system.spec(), grid)?,
        &options,
    )?)
}

/// Fixed points of the equations over the grid. Where there were several, the first would be taken; here there is one.
///
/// # Errors
/// As the search.
pub fn of_equations(
    system: &dyn DynamicalSystem,
    grid: &[f64],
    starts: usize,
) -> Result<Vec<Point>> {
    let all = search(system, grid, starts)?;
    Ok(grid
        .iter()
        .zip(all)
        .map(|(v_s, f)| Point {
            v_s: *v_s,
            number_in_box: f.len(),
            found: f.into_iter().next(),
        })
        .collect())
}

/// Fixed points of a map over the grid of `equations`, compared.
///
/// # Errors
/// As the search.
pub fn of_map(
    map: &dyn DynamicalSystem,
    equations: &[Point],
    data: &Dataset,
    starts: usize,
) -> Result<Vec<Comparison>> {
    let grid: Vec<f64> = equations.iter().map(|e| e.v_s).collect();
    let all = search(map, &grid, starts)?;
    equations
        .iter()
        .zip(all)
        .map(|(e, found)| compare(e, found, data))
        .collect()
}

fn compare(equations: &Point, found: Vec<FixedPoint>, data: &Dataset) -> Result<Comparison> {
    let number_in_box = found.len();
    let reference = equations.found.as_ref();
    let inside = found.iter().filter(|f| !f.extrapolated).count();
    let found = match reference {
        Some(r) => {
            nearest(&r.x, found.iter().map(|f| f.x.as_slice())).map(|(k, _)| found[k].clone())
        }
        None => found.into_iter().next(),
    };
    let sd = &data.normalizer.state_sd;
    let both = reference.zip(found.as_ref());
    Ok(Comparison {
        distance: both.map(|(r, f)| distance(&r.x, &f.x)),
        distance_standardized: both.map(|(r, f)| distance_standardized(&r.x, &f.x, sd)),
        data_distance_standardized: reference
            .and_then(|r| distance_to_data(&r.x, equations.v_s, data)),
        eigenvalue_error: both
            .map(|(r, f)| eigenvalue_error(&r.eigenvalues, &f.eigenvalues))
            .transpose()?,
        others_in_training_range: inside - found.iter().filter(|f| !f.extrapolated).count(),
        eigenvalues_of_equations: reference.map(|r| r.eigenvalues.clone()).unwrap_or_default(),
        point: Point {
            v_s: equations.v_s,
            found,
            number_in_box,
        },
    })
}

fn distance_to_data(x: &[f64], v_s: f64, data: &Dataset) -> Option<f64> {
    let sd = &data.normalizer.state_sd;
    let near = |pairs: &Pairs| {
        let close = (0..pairs.len()).filter(|k| (pairs.p(*k)[0] - v_s).abs() <= NEAR);
        close
            .map(|k| distance_standardized(pairs.u(k), x, sd))
            .min_by(f64::total_cmp)
    };
    [near(&data.training), near(&data.validation)]
        .into_iter()
        .flatten()
        .min_by(f64::total_cmp)
}

/// Values of V_S at which the fixed point gains or loses stability: the largest real part of its eigenvalues changes sign between two
/// values of the grid, and bisection closes in to 1e-7 mV, following the fixed point.
///
/// # Errors
/// As Newton's method.
pub fn borders<'a>(
    system: &dyn DynamicalSystem,
    points: impl IntoIterator<Item = &'a Point>,
) -> Result<Vec<f64>> {
    let mut borders = Vec::new();
    let mut last: Option<(f64, &FixedPoint)> = None;
    for point in points {
        let here = point.found.as_ref().map(|f| (point.v_s, f));
        if let (Some((a, at_a)), Some((b, at_b))) = (last, here)
            && at_a.stable != at_b.stable
            && let Some(border) = bisect(system, (a, at_a), b)?
        {
            borders.push(border);
        }
        last = here;
    }
    Ok(borders)
}

fn bisect(
    system: &dyn DynamicalSystem,
    (mut a, at_a): (f64, &FixedPoint),
    mut b: f64,
) -> Result<Option<f64>> {
    let stable_at_a = at_a.stable;
    let mut guess = at_a.x.clone();
    while b - a > 1e-7 {
        let middle = 0.5 * (a + b);
        let p = system.spec().parameters_with([(CONTROL, middle)])?;
        // The branch ended between the two: no border of stability.
        let Some(found) = refine(system, &guess, 0.0, &p)? else {
            return Ok(None);
        };
        if found.stable == stable_at_a {
            (a, guess) = (middle, found.x);
        } else {
            b = middle;
        }
    }
    Ok(Some(0.5 * (a + b)))
}

/// The fixed point followed over `count` values of V_S in `[low, high]`, from its values on the grid, for curves. None where it was not
/// found.
///
/// # Errors
/// As Newton's method.
pub fn branch<'a>(
    system: &dyn DynamicalSystem,
    points: impl IntoIterator<Item = &'a Point>,
    [low, high]: [f64; 2],
    count: usize,
) -> Result<Vec<(f64, Option<FixedPoint>)>> {
    let points: Vec<&Point> = points.into_iter().collect();
    let mut branch = Vec::with_capacity(count);
    for k in 0..count {
        let v_s = low + (high - low) * k as f64 / (count - 1).max(1) as f64;
        let near = points
            .iter()
            .min_by(|a, b| (a.v_s - v_s).abs().total_cmp(&(b.v_s - v_s).abs()));
        let p = system.spec().parameters_with([(CONTROL, v_s)])?;
        let found = match near.and_then(|n| n.found.as_ref()) {
            Some(guess) => refine(system, &guess.x, 0.0, &p)?,
            None => None,
        };
        branch.push((v_s, found));
    }
    Ok(branch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ionoscope_dynamics::models;

    #[test]
    fn the_equations_have_one_fixed_point_and_the_modified_one_a_window() {
        let original = models::find("sherman-1988").unwrap();
        let points = of_equations(&*original, &grid(), 32).unwrap();
        assert!(
            points
                .iter()
                .all(|p| p.number_in_box == 1 && !p.found.as_ref().unwrap().stable)
        );
        assert!(borders(&*original, &points).unwrap().is_empty());
        let at = &points[16];
        assert_eq!(at.v_s, -36.0);
        assert!((at.found.as_ref().unwrap().x[0] + 49.897).abs() < 5e-4);

        let modified = models::find("stankevich-2017").unwrap();
        let points = of_equations(&*modified, &grid(), 32).unwrap();
        let borders = borders(&*modified, &points).unwrap();
        assert_eq!(borders.len(), 2, "{borders:?}");
        // At a border the leading pair lies on the imaginary axis.
        for border in borders {
            let p = modified
                .spec()
                .parameters_with([(CONTROL, border)])
                .unwrap();
            let f = refine(&*modified, &points[16].found.as_ref().unwrap().x, 0.0, &p)
                .unwrap()
                .unwrap();
            assert!(
                f.eigenvalues[0].re.abs() < 1e-4 && f.eigenvalues[0].im > 0.1,
                "{:?}",
                f.eigenvalues
            );
        }
    }
}
