//! What a configuration costs its users, before it is trained; and the value of a key with which it costs as much as it may.

use std::{collections::BTreeMap, time::Instant};

use ionoscope_dynamics::{models, spec::Spec};
use ionoscope_learn::{
    architectures::fno::{Fno, Scaling, Seen},
    responses::Condition,
};
use serde_json::{Value, json};

use super::limits::{Budget, Cost};
use crate::{Error, Result, config::AnyConfiguration};

/// Largest width, number of modes or of hidden units that is tried.
const LARGEST: usize = 1024;
/// Responses whose median time is the latency, after two that do not count.
const TIMED: usize = 7;

/// The model that a configuration is about.
pub(super) fn spec(configuration: &AnyConfiguration) -> Result<Spec> {
    let name = match configuration {
        AnyConfiguration::Operator(c) => &c.responses.model,
        AnyConfiguration::Map(c) => &c.dataset.model,
    };
    Ok(models::find(name)?.spec().clone())
}

/// What a configuration costs. A latency is measured, in the current rayon pool, with weights as they are drawn.
///
/// # Errors
/// A configuration that has no such cost, or whose modes do not fit its grid.
pub(super) fn cost(cost: Cost, configuration: &AnyConfiguration, spec: &Spec) -> Result<f64> {
    let variables = spec.variables.len();
    match (cost, configuration) {
        (Cost::Weights, AnyConfiguration::Operator(c)) => {
            Ok(c.operator.weight_count(variables, &c.responses) as f64)
        }
        (Cost::Weights, AnyConfiguration::Map(c)) => {
            let parameters = c.dataset.control.len() + usize::from(c.dataset.stimulus.is_some());
            Ok(c.train.weight_count(spec, parameters) as f64)
        }
        // Single precision in an operator's file, double in a map's.
        (Cost::Bytes, AnyConfiguration::Operator(_)) => {
            Ok(4.0 * self::cost(Cost::Weights, configuration, spec)?)
        }
        (Cost::Bytes, AnyConfiguration::Map(_)) => {
            Ok(8.0 * self::cost(Cost::Weights, configuration, spec)?)
        }
        (Cost::Flops, AnyConfiguration::Operator(c)) => Ok(c.operator.network.flops(
            c.operator.inputs(variables, &c.responses),
            variables,
            c.responses.points,
        )),
        (Cost::Latency, AnyConfiguration::Operator(c)) => {
            let (network, responses) = (&c.operator.network, &c.responses);
            let inputs = c.operator.inputs(variables, responses);
            let unit = [0.0, 1.0];
            let start = (responses.windows > 0).then(|| vec![unit; variables]);
            let parameters: BTreeMap<_, _> = responses
                .vary
                .keys()
                .map(|name| (name.clone(), unit))
                .collect();
            let charge = c.operator.charge.then_some(1.0);
            let fno = Fno {
                spec: spec.clone(),
                config: network.clone(),
                t_end: responses.t_end,
                points: responses.points,
                seen: Seen {
                    input: unit,
                    steps_from_zero: false,
                    steps: Vec::new(),
                    start: start.clone(),
                    parameters: parameters.clone(),
                },
                scaling: Scaling {
                    input: 1.0,
                    charge,
                    state: vec![1.0; variables],
                    ramp: c.operator.ramp,
                    start,
                    per_point: None,
                    parameters,
                },
                bands: None,
                weights: network
                    .initial_weights(inputs, variables, 1)
                    .iter()
                    .map(|w| *w as f32)
                    .collect(),
                provenance: Value::Null,
            };
            fno.check()?;
            let ready = fno.on_grid(fno.points)?;
            let one = [Condition {
                current: vec![0.5; fno.points],
                start: spec.default_state(),
                p: spec.default_parameters(),
            }];
            let mut seconds: Vec<f64> = (0..TIMED + 2)
                .map(|_| {
                    let begin = Instant::now();
                    ready.respond(&one);
                    begin.elapsed().as_secs_f64()
                })
                .skip(2)
                .collect();
            seconds.sort_by(f64::total_cmp);
            Ok(seconds[TIMED / 2])
        }
        (cost, AnyConfiguration::Map(_)) => Err(Error::Input(format!(
            "{} is for operators; a map has weights or bytes",
            cost.name()
        ))),
    }
}

/// The value of the budget's key that uses the budget best; nothing to add where there is no budget, or no key; none where it cannot be met.
/// `configuration` makes the whole of some values.
///
/// # Errors
/// A budget that makes no sense.
pub(super) fn fit(
    budget: Option<&Budget>,
    spec: &Spec,
    configuration: impl Fn(&BTreeMap<String, Value>) -> Option<AnyConfiguration>,
) -> Result<Option<BTreeMap<String, Value>>> {
    let Some(budget) = budget else {
        return Ok(Some(BTreeMap::new()));
    };
    let (kind, [least, most]) = budget.limits()?;
    let of = |fitted: &BTreeMap<String, Value>| {
        let configuration = configuration(fitted)?;
        if let AnyConfiguration::Operator(c) = &configuration
            && c.operator.network.modes > c.responses.points / 2 + 1
        {
            return None;
        }
        cost(kind, &configuration, spec).ok()
    };
    let within = |c: f64| c <= most && c >= least;
    let Some(key) = &budget.solve else {
        return Ok(of(&BTreeMap::new()).is_some_and(within).then(BTreeMap::new));
    };
    let with = |n: usize| BTreeMap::from([(key.clone(), json!(n))]);
    // Costs grow with it: the largest that is not too much lies between these two.
    let (mut fits, mut exceeds) = (0, LARGEST + 1);
    let mut cost_of_fits = None;
    while exceeds - fits > 1 {
        let middle = fits + (exceeds - fits) / 2;
        match of(&with(middle)).filter(|c| *c <= most) {
            Some(c) => (fits, cost_of_fits) = (middle, Some(c)),
            None => exceeds = middle,
        }
    }
    Ok(cost_of_fits.is_some_and(within).then(|| with(fits)))
}
