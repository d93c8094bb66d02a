//! The JSON document of a continuation.

use ionoscope_analysis::{
    conserved::Held,
    continuation::{
        Branch, SpecialPoint,
        cycles::{CycleBranch, CyclePoint},
    },
};
use ionoscope_dynamics::spec::Spec;
use serde_json::{Value, json};

use super::followed::{Followed, Results};
use crate::{
    branch_ends::text_of,
    named::{angular_unit, named, rate_unit, units},
};

impl Followed<'_> {
    /// The document.
    pub fn document(&self) -> Value {
        let Followed { results, spec, .. } = self;
        let Results {
            branches: found,
            periodic,
            curves,
            ..
        } = results;
        let branch = |b: &Branch| {
            let special = |s: &SpecialPoint| {
                let mut value = json!(s);
                value["x"] = named(&spec.variables, &s.x);
                value
            };
            let column = |i: usize| b.points.iter().map(|q| q.x[i]).collect::<Vec<f64>>();
            let mut points = serde_json::Map::new();
            points.insert(
                "parameter".into(),
                json!(b.points.iter().map(|q| q.parameter).collect::<Vec<_>>()),
            );
            for (i, q) in spec.variables.iter().enumerate() {
                points.insert(q.name.clone(), json!(column(i)));
            }
            points.insert(
                "stable".into(),
                json!(b.points.iter().map(|q| q.stable).collect::<Vec<_>>()),
            );
            points.insert(
                "eigenvalues".into(),
                json!(b.points.iter().map(|q| &q.eigenvalues).collect::<Vec<_>>()),
            );
            points.insert(
                "extrapolated".into(),
                json!(b.points.iter().map(|q| q.extrapolated).collect::<Vec<_>>()),
            );
            json!({"special_points": b.special_points.iter().map(special).collect::<Vec<_>>(), "points": points, "complete": b.complete(), "ends": self.ends(b), "stopped": text_of(&self.ends(b))})
        };
        let mut units = units(spec);
        units.insert("parameter".into(), json!(self.unit));
        units.insert("eigenvalues".into(), json!(rate_unit(spec)));
        units.insert("frequency".into(), json!(angular_unit(spec)));
        let complete = self.complete().into_iter().all(|whole| whole);
        let mut document = json!({
            "over": self.over.name,
            "complete": complete,
            "branches": found.iter().map(branch).collect::<Vec<_>>(),
            "parameters": named(&spec.parameters, self.p),
        });
        if let Some(steps) = self.period {
            document["period"] = json!(steps);
        }
        if self.cycles {
            units.insert("period".into(), json!(spec.time_unit));
            units.insert("t".into(), json!(spec.time_unit));
            units.insert("multipliers".into(), json!("1"));
            document["cycles"] = periodic
                .iter()
                .map(|b| self.cycle_document(spec, b))
                .collect();
        }
        if let Some((and, and_unit)) = &self.and {
            units.insert("second_parameter".into(), json!(and_unit));
            document["and"] = json!(and.name);
            document["curves"] = json!(curves);
            for (value, curve) in document["curves"]
                .as_array_mut()
                .into_iter()
                .flatten()
                .zip(curves)
            {
                value["complete"] = json!(curve.complete());
                for (value, s) in value["special_points"]
                    .as_array_mut()
                    .into_iter()
                    .flatten()
                    .zip(&curve.special_points)
                {
                    value["x"] = named(&spec.variables, &s.x);
                }
            }
        }
        document["conserved"] = self.conserved();
        document["units"] = Value::Object(units);
        document
    }

    fn cycle_document(&self, spec: &Spec, branch: &CycleBranch) -> Value {
        let points = &branch.points;
        let one = |q: &CyclePoint| {
            let mut value = json!(q);
            value["min"] = named(&spec.variables, &q.min);
            value["max"] = named(&spec.variables, &q.max);
            value
        };
        let extent = |of: &dyn Fn(&CyclePoint) -> &[f64]| {
            let column = |i: usize| json!(points.iter().map(|q| of(q)[i]).collect::<Vec<f64>>());
            spec.variables
                .iter()
                .enumerate()
                .map(|(i, q)| (q.name.clone(), column(i)))
                .collect::<serde_json::Map<_, _>>()
        };
        let special = branch.special_points.iter().map(|s| {
            let mut value = one(&s.cycle);
            value["kind"] = json!(s.kind);
            value
        });
        let whole = branch.at.iter().map(|q| {
            let mut value = one(&q.cycle);
            value["t"] = json!(q.t);
            for (i, v) in spec.variables.iter().enumerate() {
                value["x"][&v.name] = json!(q.x.iter().map(|x| x[i]).collect::<Vec<f64>>());
            }
            value
        });
        json!({
            "started_from": branch.started_from,
            "special_points": special.collect::<Vec<_>>(),
            "points": {
                "parameter": points.iter().map(|q| q.parameter).collect::<Vec<_>>(),
                "period": points.iter().map(|q| q.period).collect::<Vec<_>>(),
                "min": extent(&|q| &q.min),
                "max": extent(&|q| &q.max),
                "multipliers": points.iter().map(|q| &q.multipliers).collect::<Vec<_>>(),
                "trivial_error": points.iter().map(|q| q.trivial_error).collect::<Vec<_>>(),
                "stable": points.iter().map(|q| q.stable).collect::<Vec<_>>(),
            },
            "at": whole.collect::<Vec<_>>(),
            "complete": branch.complete(),
            "ends": self.cycle_ends(branch),
            "stopped": text_of(&self.cycle_ends(branch)),
        })
    }

    /// What is conserved, with its values at both ends of the interval: where the parameter enters it, the level moves with the parameter.
    fn conserved(&self) -> Value {
        let [from, to] = &self.results.conserved;
        let one = |(a, b): (&Held, &Held)| {
            let mut value = json!(a);
            if let Some(fields) = value.as_object_mut() {
                fields.remove("value");
            }
            value["values"] = json!([a.value, b.value]);
            value["held"] = json!(format!(
                "at the value of the start, at each {}",
                self.over.name
            ));
            value
        };
        from.iter().zip(to).map(one).collect()
    }
}
