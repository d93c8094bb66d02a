//! What can be told of a training before its data are made: whether its numbers make sense, whether it fits the memory, and whether a surrogate that is
//! given fits to start from. What needs the data, such as the scales that a map was trained with, is checked where the training begins.

use std::collections::BTreeMap;

use ionoscope_dynamics::{models, system::DynamicalSystem};
use ionoscope_learn::{
    architectures::{Architecture, Network, fno::Fno, neural_map::NeuralMap},
    dataset::DatasetConfig,
    responses::ResponseConfig,
    train::{Device, operator::OperatorConfig},
};

use super::surrogate::{Surrogate, check_device};
use crate::{
    Error, Result,
    config::{self, AnyConfiguration, Configuration, OperatorConfiguration},
    memory,
};

/// Checks a training before its data are made.
///
/// # Errors
/// Numbers that make no sense, a device that is not there, too little memory, a surrogate to start from that does not fit.
pub fn check_training(
    configuration: &AnyConfiguration,
    from: Option<&Surrogate>,
    device: Device,
) -> Result<()> {
    configuration.check()?;
    check_device(configuration, device)?;
    match configuration {
        AnyConfiguration::Operator(c) => {
            check_memory(
                &c.operator,
                &c.responses,
                models::find(&c.responses.model)?.spec().variables.len(),
            )?;
            operator_of(from)?.map_or(Ok(()), |fno| check_operator(fno, c))
        }
        AnyConfiguration::Map(c) => map_of(from)?.map_or(Ok(()), |map| check_map(map, c)),
    }
}

/// Refuses the training of an operator that does not fit the memory.
pub(super) fn check_memory(
    config: &OperatorConfig,
    data: &ResponseConfig,
    variables: usize,
) -> Result<()> {
    let needed = config.bytes(data, variables, rayon::current_num_threads());
    memory::check(
        "this training",
        needed,
        "take fewer responses.samples or responses.points, a smaller network, or fewer --threads",
    )
}

/// The operator to start from, if any.
pub(super) fn operator_of(from: Option<&Surrogate>) -> Result<Option<&Fno>> {
    match from {
        Some(Surrogate::Map(_)) => Err(Error::Input(
            "the weights to start from are a neural map's; expected an operator's".into(),
        )),
        Some(Surrogate::Operator(fno)) => Ok(Some(fno)),
        None => Ok(None),
    }
}

/// The map to start from, if any.
pub(super) fn map_of(from: Option<&Surrogate>) -> Result<Option<&NeuralMap>> {
    match from {
        Some(Surrogate::Operator(_)) => Err(Error::Input(
            "the weights to start from are an operator's; expected a neural map's".into(),
        )),
        Some(Surrogate::Map(map)) => Ok(Some(map)),
        None => Ok(None),
    }
}

/// What two sides have, where they differ.
fn same<T: PartialEq>(given: T, wanted: T, text: impl Fn(&T) -> String) -> Result<()> {
    if given == wanted {
        return Ok(());
    }
    let (given, wanted) = (text(&given), text(&wanted));
    Err(Error::Input(format!(
        "the surrogate to start from has {given}; the configuration asks for {wanted}"
    )))
}

fn keys<T>(map: &BTreeMap<String, T>) -> Vec<&str> {
    map.keys().map(String::as_str).collect()
}

fn check_operator(fno: &Fno, c: &OperatorConfiguration) -> Result<()> {
    same(fno.spec.id.as_str(), &c.responses.model, |id| {
        format!("the model {id}")
    })?;
    same(&fno.config, &c.operator.network, |network| {
        format!("the network {network:?}")
    })?;
    let start = |yes: &bool| {
        if *yes {
            "windows, with their start as an input"
        } else {
            "no windows"
        }
        .to_owned()
    };
    same(fno.takes_start(), c.responses.windows > 0, start)?;
    same(fno.scaling.charge.is_some(), c.operator.charge, |yes| {
        if *yes {
            "the charge as an input"
        } else {
            "no charge as an input"
        }
        .into()
    })?;
    let names = |names: &Vec<&str>| match &names[..] {
        [] => "no parameters as inputs".to_owned(),
        some => format!("the parameters {} as inputs", some.join(", ")),
    };
    same(
        keys(&fno.scaling.parameters),
        keys(&c.responses.vary),
        names,
    )
}

fn check_map(map: &NeuralMap, c: &Configuration) -> Result<()> {
    let (spec, dataset) = (map.spec(), &c.dataset);
    let model = models::find(&dataset.model)?;
    if let Some(trained) = &spec.trained_on {
        same(trained.model.as_str(), &dataset.model, |id| {
            format!("the model {id}")
        })?;
    }
    let names = |names: &Vec<&str>| match &names[..] {
        [] => "no control parameters".to_owned(),
        some => format!("the control parameters {}", some.join(", ")),
    };
    let given: Vec<&str> = spec.parameters.iter().map(|q| q.name.as_str()).collect();
    let wanted: Vec<&str> = model
        .spec()
        .parameters
        .iter()
        .map(|q| q.name.as_str())
        .filter(|n| dataset.control.contains_key(*n))
        .collect();
    same(given, wanted, names)?;
    let stimulus = |yes: &bool| {
        if *yes {
            "a stimulus as an input"
        } else {
            "no stimulus as an input"
        }
        .to_owned()
    };
    same(
        spec.trained_stimulus().is_some(),
        dataset.stimulus.is_some(),
        stimulus,
    )?;
    same(map.dt(), dataset.dt, |dt| format!("a step of {dt}"))?;
    same(map.architecture(), c.train.architecture, |a| {
        format!("the architecture {}", a.name())
    })?;
    let sizes: Vec<usize> = map.networks().iter().map(Network::hidden).collect();
    let of = |name: &String| {
        c.train
            .hidden_of
            .get(name)
            .copied()
            .unwrap_or(c.train.hidden)
    };
    let wanted = match c.train.architecture {
        Architecture::NeuralMap => model.spec().variables.iter().map(|q| of(&q.name)).collect(),
        Architecture::TwoLayerMap => vec![c.train.hidden],
    };
    same(sizes, wanted, |sizes| format!("{sizes:?} hidden units"))?;
    // A file that does not say on which data it was trained is judged by its scales, later.
    let Ok(then) = serde_json::from_value::<DatasetConfig>(map.provenance()["dataset"].clone())
    else {
        return Ok(());
    };
    // The scales are those of the training pairs, on which these two need not bear.
    let then = DatasetConfig {
        new_chunks: dataset.new_chunks,
        distance_of_start: dataset.distance_of_start,
        ..then
    };
    config::same("dataset", &then, dataset).map_err(|difference| {
        Error::Input(format!(
            "the map to start from was trained on other data, and with their scales: {difference}; give the [dataset] that it was trained on"
        ))
    })
}
