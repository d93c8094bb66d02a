//! Everything that a run found, as plain data: what the report and `summary.json` are made of.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    fixed_points::{Comparison, Point},
    networks::Metrics,
    oscillations::Rhythm,
};

/// What the equations of one model do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BetaCell {
    /// Identifier of the model.
    pub system: String,
    /// Fixed points over the grid.
    pub points: Vec<Point>,
    /// Values of V_S at which the fixed point gains or loses stability (mV).
    pub borders: Vec<f64>,
    /// Rhythms at some values of V_S.
    pub rhythms: Vec<(f64, Rhythm)>,
}

/// What one trained network does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Identifier of the model that it was trained on.
    pub system: String,
    /// Time step of the map (s).
    pub dt: f64,
    /// Seed of its data and of its initial weights.
    pub seed: u64,
    /// Weights of one sub-network, and of all.
    pub weights: [usize; 2],
    /// Errors and cost of the training.
    pub metrics: Metrics,
    /// The same of a training by Adam alone on the same data, where one was made.
    pub adam_alone: Option<Metrics>,
    /// Fixed points over the grid, beside those of the equations.
    pub comparisons: Vec<Comparison>,
    /// As [`BetaCell::borders`].
    pub borders: Vec<f64>,
    /// As [`BetaCell::rhythms`].
    pub rhythms: Vec<(f64, Rhythm)>,
    /// How long it stayed within half a standard deviation of the equations, from each of several starts (s).
    pub together: Vec<f64>,
    /// Whether it has the lowest validation error among its seeds, which is the one that is shipped.
    pub shipped: bool,
}

/// A range of V_S in which a goal holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// [-40, -35], mostly bursting.
    Left,
    /// (-35, -30], mostly spiking.
    Right,
}

impl Side {
    /// Whether a value of V_S lies in it.
    pub fn holds(self, v_s: f64) -> bool {
        (v_s <= -35.0) == (self == Side::Left)
    }
}

impl Network {
    /// The values of a quantity on one side; infinite where the fixed point was not found.
    fn values(&self, side: Side, quantity: impl Fn(&Comparison) -> Option<f64>) -> Vec<f64> {
        let there = self.comparisons.iter().filter(|c| side.holds(c.point.v_s));
        there
            .map(|c| quantity(c).unwrap_or(f64::INFINITY))
            .collect()
    }

    /// The largest of a quantity on one side; infinite where the fixed point was not found.
    pub fn worst(&self, side: Side, quantity: impl Fn(&Comparison) -> Option<f64>) -> f64 {
        self.values(side, quantity).into_iter().fold(0.0, f64::max)
    }

    /// The value of V_S at which a quantity is largest on one side.
    pub fn worst_at(&self, side: Side, quantity: impl Fn(&Comparison) -> Option<f64>) -> f64 {
        let there = self.comparisons.iter().filter(|c| side.holds(c.point.v_s));
        let values = there.map(|c| (quantity(c).unwrap_or(f64::INFINITY), c.point.v_s));
        values
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map_or(f64::NAN, |(_, v_s)| v_s)
    }

    /// The median of a quantity on one side.
    pub fn median(&self, side: Side, quantity: impl Fn(&Comparison) -> Option<f64>) -> f64 {
        median(self.values(side, quantity))
    }

    /// Largest difference of the borders of stability to those of the equations; infinite where their numbers differ.
    pub fn border_error(&self, cell: &BetaCell) -> f64 {
        if self.borders.len() != cell.borders.len() {
            return f64::INFINITY;
        }
        self.borders
            .iter()
            .zip(&cell.borders)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max)
    }
}

/// The median; NaN of nothing.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => 0.5 * (values[n / 2 - 1] + values[n / 2]),
    }
}

/// Marks, for each model and time step, the network with the lowest validation error: never one chosen by its fixed points.
pub fn choose(networks: &mut [Network]) {
    for k in 0..networks.len() {
        let better = |o: &Network| {
            let same = o.system == networks[k].system && o.dt == networks[k].dt;
            same && (o.metrics.validation_mse, o.seed)
                < (networks[k].metrics.validation_mse, networks[k].seed)
        };
        networks[k].shipped = !networks.iter().any(better);
    }
}

/// `summary.json`: one entry a network and seed, and one a training by Adam alone. `null` where the fixed point was not found.
pub fn summary(networks: &[Network], variables: &[String]) -> Value {
    let by_variable = |values: &[f64]| -> Map<String, Value> {
        variables
            .iter()
            .cloned()
            .zip(values.iter().map(|v| json!(v)))
            .collect()
    };
    let fixed_point = |c: &Comparison| {
        json!({
            "v_s": c.point.v_s,
            "distance": c.distance,
            "distance_standardized": c.distance_standardized,
            "data_distance_standardized": c.data_distance_standardized,
            "number_in_box": c.point.number_in_box,
            "eigenvalue_error": c.eigenvalue_error,
            "eigenvalues": c.point.found.as_ref().map(|f| f.eigenvalues.as_slice()).unwrap_or_default(),
            "eigenvalues_of_equations": c.eigenvalues_of_equations,
        })
    };
    let entry = |n: &Network| {
        json!({
            "system": n.system,
            "dt": n.dt,
            "seed": n.seed,
            "validation_mse": n.metrics.validation_mse,
            "validation_mse_by_variable": by_variable(&n.metrics.validation_mse_by_variable),
            "increment_mse_by_variable": by_variable(&n.metrics.increment_mse_by_variable),
            "seconds": n.metrics.seconds,
            "fixed_points": n.comparisons.iter().map(fixed_point).collect::<Vec<_>>(),
        })
    };
    let adam = |n: &Network| {
        n.adam_alone.as_ref().map(|m| {
            json!({
                "system": n.system,
                "dt": n.dt,
                "seed": n.seed,
                "validation_mse": m.validation_mse,
                "validation_mse_by_variable": by_variable(&m.validation_mse_by_variable),
                "increment_mse_by_variable": by_variable(&m.increment_mse_by_variable),
                "seconds": m.seconds,
            })
        })
    };
    json!({
        "networks": networks.iter().map(entry).collect::<Vec<_>>(),
        "adam_alone": networks.iter().filter_map(adam).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(seed: u64, validation_mse: f64, distance: Option<f64>) -> Network {
        let comparison = |v_s: f64, distance: Option<f64>| Comparison {
            point: Point {
                v_s,
                found: None,
                number_in_box: 0,
            },
            distance,
            distance_standardized: distance,
            data_distance_standardized: Some(1.0),
            eigenvalue_error: None,
            others_in_training_range: 0,
            eigenvalues_of_equations: vec![],
        };
        Network {
            system: "sherman-1988".into(),
            dt: 0.005,
            seed,
            weights: [701, 2103],
            metrics: Metrics {
                validation_mse,
                validation_mse_by_variable: vec![1.0, 2.0, 3.0],
                ..Metrics::default()
            },
            adam_alone: None,
            comparisons: vec![
                comparison(-40.0, Some(1e-4)),
                comparison(-35.0, Some(2e-4)),
                comparison(-30.0, distance),
            ],
            borders: vec![],
            rhythms: vec![],
            together: vec![],
            shipped: false,
        }
    }

    #[test]
    fn the_lowest_validation_error_is_shipped_whatever_the_fixed_points() {
        let mut all = [
            network(1, 2e-9, Some(1e-9)),
            network(2, 1e-9, None),
            network(3, 1e-9, Some(1.0)),
        ];
        choose(&mut all);
        assert_eq!(
            all.iter().map(|n| n.shipped).collect::<Vec<_>>(),
            [false, true, false]
        );
        assert_eq!(all[1].worst(Side::Left, |c| c.distance), 2e-4);
        assert_eq!(all[1].worst_at(Side::Left, |c| c.distance), -35.0);
        assert_eq!(all[1].worst(Side::Right, |c| c.distance), f64::INFINITY);
        assert_eq!(all[2].worst(Side::Right, |c| c.distance), 1.0);
    }

    #[test]
    fn the_summary_has_the_agreed_names_and_null_where_nothing_was_found() {
        let s = summary(
            &[network(1, 1e-9, None)],
            &["v".into(), "n".into(), "s".into()],
        );
        let n = &s["networks"][0];
        for key in [
            "system",
            "dt",
            "seed",
            "validation_mse",
            "validation_mse_by_variable",
            "increment_mse_by_variable",
            "seconds",
        ] {
            assert!(!n[key].is_null(), "{key}");
        }
        assert_eq!(n["validation_mse_by_variable"]["s"], 3.0);
        let points = n["fixed_points"].as_array().unwrap();
        assert_eq!((points.len(), &points[0]["v_s"]), (3, &json!(-40.0)));
        assert!(points[2]["distance"].is_null() && points[2]["eigenvalue_error"].is_null());
        assert_eq!(points[2]["number_in_box"], 0);
        assert!(points[2]["eigenvalues"].as_array().unwrap().is_empty());
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![3.0, 1.0, 2.0, 0.0]), 1.5);
        assert!(median(vec![]).is_nan());
    }
}
