//! What a study makes small: what is measured of a surrogate that a trial trained, by name.

use ionoscope_analysis::fixed_points::{FixedPointOptions, fixed_points};
use ionoscope_dynamics::{
    Error as DynamicsError, models, spec::Spec, system::DynamicalSystem, watch::Watcher,
};
use ionoscope_learn::{
    architectures::neural_map::NeuralMap,
    responses::{ResponseConfig, ResponseData, respond},
};

use super::{budget, limits::Cost};
use crate::{
    Error, Result,
    config::AnyConfiguration,
    evaluation::{Evaluation, evaluate, evaluate_map},
    pipeline::{Data, Learned, Surrogate},
};

/// Stimuli by which a map that takes one is judged, and their length in steps of it.
const STIMULI: usize = 200;
const STEPS: usize = 2000;

/// What is made small.
#[derive(Debug, Clone, PartialEq)]
pub enum Objective {
    /// By what networks are chosen: of an operator the normalized error on the validation set, of a map the MSE of a step.
    Validation,
    /// Mean normalized error of whole traces, as `evaluate` measures it, on the validation set.
    Normalized,
    /// Mean relative L2 of a variable in physical units over samples with a stimulus.
    RelativeL2(usize),
    /// Share of the samples with a wrong number of spikes.
    WrongSpikes,
    /// Mean absolute time error of spikes.
    SpikeTime,
    /// Mean relative error of the duration to 90 % repolarization.
    Apd90,
    /// Of a map: the largest distance of a fixed point of the model to the nearest of the map, over the model's fixed points, in standard deviations of
    /// each variable, at the middle of the control parameters.
    FixedPoint,
    /// What it costs.
    Cost(Cost),
}

impl Objective {
    /// The objective of a name, for a configuration.
    ///
    /// # Errors
    /// An unknown name, with the nearest; one that does not go with the configuration.
    pub fn find(name: &str, configuration: &AnyConfiguration) -> Result<Self> {
        let spec = budget::spec(configuration)?;
        let of_map = matches!(configuration, AnyConfiguration::Map(_));
        let traces = match configuration {
            AnyConfiguration::Operator(_) => true,
            AnyConfiguration::Map(c) => {
                c.dataset.stimulus.is_some() && c.dataset.control.is_empty()
            }
        };
        let fits = |ok: bool, objective: Objective, needs: &str| {
            if ok {
                Ok(objective)
            } else {
                Err(Error::Input(format!("objective '{name}' needs {needs}")))
            }
        };
        let whole =
            "whole traces: an operator, or a map with dataset.stimulus and without dataset.control";
        let spiking = spec.spike_threshold.is_some() && spec.membrane_potential.is_some();
        let costs = Cost::ALL.into_iter().find(|c| c.name() == name);
        match name {
            "validation" => Ok(Objective::Validation),
            // The second is what older studies call it.
            "normalized" | "normalised" => fits(traces, Objective::Normalized, whole),
            "wrong_spikes" => fits(
                traces && spiking,
                Objective::WrongSpikes,
                &format!("a model that spikes, and {whole}"),
            ),
            "spike_time" => fits(
                traces && spiking,
                Objective::SpikeTime,
                &format!("a model that spikes, and {whole}"),
            ),
            "apd90" => fits(
                traces && spiking,
                Objective::Apd90,
                &format!("a model that spikes, and {whole}"),
            ),
            "fixed_point" => fits(of_map, Objective::FixedPoint, "a map"),
            _ => {
                if let Some(cost) = costs {
                    return fits(
                        !of_map || matches!(cost, Cost::Weights | Cost::Bytes),
                        Objective::Cost(cost),
                        "an operator",
                    );
                }
                if let Some(variable) = name.strip_prefix("l2.") {
                    return fits(
                        traces,
                        Objective::RelativeL2(spec.variable_index(variable)?),
                        whole,
                    );
                }
                let fixed = [
                    "validation",
                    "normalized",
                    "wrong_spikes",
                    "spike_time",
                    "apd90",
                    "fixed_point",
                ]
                .map(str::to_owned);
                let all: Vec<String> = fixed
                    .into_iter()
                    .chain(Cost::ALL.map(|c| c.name().to_owned()))
                    .chain(spec.variables.iter().map(|q| format!("l2.{}", q.name)))
                    .collect();
                Err(
                    DynamicsError::unknown("objective", name, all.iter().map(String::as_str))
                        .into(),
                )
            }
        }
    }

    fn of_traces(&self) -> bool {
        use Objective::{Apd90, Normalized, RelativeL2, SpikeTime, WrongSpikes};
        matches!(
            self,
            Normalized | RelativeL2(_) | WrongSpikes | SpikeTime | Apd90
        )
    }
}

/// The values of a trained surrogate. Test sets are not looked at.
///
/// # Errors
/// What cannot be measured of it: spikes that there are none of, fixed points that it has not.
pub(super) fn measure(
    objectives: &[Objective],
    configuration: &AnyConfiguration,
    data: &Data,
    learned: &Learned,
) -> Result<Vec<f64>> {
    let traces = objectives
        .iter()
        .any(Objective::of_traces)
        .then(|| traces(configuration, data, &learned.surrogate))
        .transpose()?;
    let spec = budget::spec(configuration)?;
    let missing = |what: &str| Error::Failed(format!("{what} cannot be measured"));
    let mean = |values: &mut dyn Iterator<Item = f64>| {
        let (n, sum) = values.fold((0.0, 0.0), |(n, sum), v| (n + 1.0, sum + v));
        if n > 0.0 { Some(sum / n) } else { None }
    };
    let one = |objective: &Objective| -> Result<f64> {
        match (objective, &traces) {
            (Objective::Validation, _) => learned
                .value()
                .ok_or_else(|| missing("without a validation set the validation error")),
            (Objective::Cost(cost), _) => budget::cost(*cost, configuration, &spec),
            (Objective::FixedPoint, _) => match &learned.surrogate {
                Surrogate::Map(map) => fixed_point(map, &spec),
                Surrogate::Operator(_) => Err(missing("a fixed point of an operator")),
            },
            (Objective::Normalized, Some(e)) => Ok(e.error()),
            (Objective::RelativeL2(i), Some(e)) => {
                mean(&mut e.stimulated().map(|s| s.relative[*i].l2))
                    .ok_or_else(|| missing("without a sample under a stimulus the relative error"))
            }
            (Objective::WrongSpikes, Some(e)) => {
                Ok(e.samples.iter().filter(|s| s.miscounted()).count() as f64
                    / e.samples.len().max(1) as f64)
            }
            (Objective::SpikeTime, Some(e)) => {
                let shifts = e
                    .samples
                    .iter()
                    .filter_map(|s| s.spikes.as_ref())
                    .flat_map(|s| s.shifts.iter().map(|t| t * e.dt));
                mean(&mut { shifts }).ok_or_else(|| missing("without a spike its time"))
            }
            (Objective::Apd90, Some(e)) => mean(
                &mut e
                    .samples
                    .iter()
                    .filter_map(|s| s.apd90)
                    .map(|[p, x]| (p / x - 1.0).abs()),
            )
            .ok_or_else(|| missing("without an action potential its duration")),
            (objective, None) => Err(missing(&format!("without traces {objective:?}"))),
        }
    };
    objectives.iter().map(one).collect()
}

/// Whole traces of the validation set; of a map such as are made for it, of the family it was trained on under another seed.
fn traces(
    configuration: &AnyConfiguration,
    data: &Data,
    surrogate: &Surrogate,
) -> Result<Evaluation> {
    match (configuration, data, surrogate) {
        (_, Data::Responses(data), Surrogate::Operator(fno)) => {
            evaluate(fno, data, &data.validation, &Watcher::default())
        }
        (AnyConfiguration::Map(c), _, Surrogate::Map(map)) => {
            let Some(family) = &c.dataset.stimulus else {
                return Err(Error::Failed(
                    "a map without a stimulus has no traces here".into(),
                ));
            };
            // As long as every run of the family lasts.
            let shortest = family.family()?;
            let shortest = shortest
                .classes
                .iter()
                .map(|c| c.t_end.unwrap_or(shortest.t_end))
                .fold(f64::INFINITY, f64::min);
            let points =
                ((shortest / c.dataset.dt * (1.0 + 1e-9)).floor() as usize).clamp(2, STEPS);
            let config = ResponseConfig {
                model: c.dataset.model.clone(),
                parameters: c.dataset.parameters.clone(),
                training_family: family.clone(),
                test_family: family.clone(),
                samples: [0, STIMULI, 0],
                t_end: points as f64 * c.dataset.dt,
                points,
                seed: c.dataset.seed,
                ..ResponseConfig::default()
            };
            let data: ResponseData =
                respond(&*models::find(&config.model)?, &config, &Watcher::default())?;
            evaluate_map(map, &data, &data.validation, &Watcher::default())
        }
        _ => Err(Error::Failed(
            "data of another kind than the surrogate".into(),
        )),
    }
}

fn fixed_point(map: &NeuralMap, spec: &Spec) -> Result<f64> {
    let model = models::find(&spec.id)?;
    let trained = map.spec().trained_on.clone();
    let fixed = trained
        .iter()
        .flat_map(|t| t.fixed.iter().map(|(n, v)| (n.as_str(), *v)));
    let mut p = spec.parameters_with(fixed)?;
    let middle = map.spec().default_parameters();
    for (q, v) in map.spec().parameters.iter().zip(&middle) {
        p[spec.parameter_index(&q.name)?] = *v;
    }
    let options = FixedPointOptions::default();
    let (there, here) = (
        fixed_points(&*model, 0.0, &p, &options)?,
        fixed_points(map, 0.0, &middle, &options)?,
    );
    let sd = &map.normalizer().state_sd;
    let distance = |a: &[f64], b: &[f64]| {
        a.iter()
            .zip(b)
            .zip(sd)
            .map(|((a, b), s)| ((a - b) / s).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    let nearest = |x: &[f64]| {
        here.iter()
            .map(|f| distance(x, &f.x))
            .fold(f64::INFINITY, f64::min)
    };
    let worst = there.iter().map(|f| nearest(&f.x)).fold(0.0, f64::max);
    if there.is_empty() || worst.is_infinite() {
        return Err(Error::Failed(
            "the model, or the map, has no fixed point in its box".into(),
        ));
    }
    Ok(worst)
}
