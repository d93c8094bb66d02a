//! States, parameters and units as JSON objects of name to value, in the order of the model.

use ionoscope_dynamics::spec::{Quantity, Spec};
use serde_json::{Map, Value, json};

/// `{"v": -60.0, "n": 0.01, ..}`.
pub fn named(quantities: &[Quantity], values: &[f64]) -> Value {
    Value::Object(
        quantities
            .iter()
            .zip(values)
            .map(|(q, v)| (q.name.clone(), json!(v)))
            .collect(),
    )
}

/// `{"time": "s", "v": "mV", ..}`.
pub fn units(spec: &Spec) -> Map<String, Value> {
    let time = ("time".to_owned(), json!(spec.time_unit));
    std::iter::once(time)
        .chain(
            spec.variables
                .iter()
                .map(|q| (q.name.clone(), json!(q.unit))),
        )
        .collect()
}

/// The unit of an eigenvalue, `1/s`.
pub fn rate_unit(spec: &Spec) -> String {
    format!("1/{}", spec.time_unit)
}

/// The unit of an angular frequency, `rad/s`.
pub fn angular_unit(spec: &Spec) -> String {
    if spec.time_unit == "1" {
        "rad".into()
    } else {
        format!("rad/{}", spec.time_unit)
    }
}
