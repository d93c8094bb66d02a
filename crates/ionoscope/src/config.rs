//! Run configurations: TOML files with single values replaced on the command line.

use std::path::Path;

use ionoscope_dynamics::models;
use ionoscope_learn::{
    Error as LearnError,
    checkpoint::differences,
    dataset::DatasetConfig,
    responses::ResponseConfig,
    train::{TrainConfig, operator::OperatorConfig},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Error, Result, artifact::read_text, document::Document};

/// A configuration file: `[dataset]` and `[train]`, each value with a default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Configuration {
    /// How the data are made.
    pub dataset: DatasetConfig,
    /// How the network is trained.
    pub train: TrainConfig,
}

impl Configuration {
    /// Checks all numbers and names.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    fn check(&self) -> Result<()> {
        let (dataset, train) = (&self.dataset, &self.train);
        let model =
            models::find(&dataset.model).map_err(|e| LearnError::of_setting("dataset.model", e))?;
        let spec = model.spec();
        dataset.check_for(spec).map_err(|e| e.within("dataset"))?;
        let parameters = dataset.control.len() + usize::from(dataset.stimulus.is_some());
        train
            .networks(spec, parameters)
            .map_err(|e| e.within("train"))?;
        Ok(())
    }
}

/// A configuration file of a Fourier neural operator: `[responses]` and `[operator]`, each value with a default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OperatorConfiguration {
    /// How the data are made.
    pub responses: ResponseConfig,
    /// How the network is trained.
    pub operator: OperatorConfig,
}

impl OperatorConfiguration {
    /// Checks all numbers and names.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    fn check(&self) -> Result<()> {
        let responses = &self.responses;
        let model = models::find(&responses.model)
            .map_err(|e| LearnError::of_setting("responses.model", e))?;
        responses
            .check_for(model.spec())
            .map_err(|e| e.within("responses"))?;
        let of_operator = self.operator.check_for(responses);
        Ok(of_operator.map_err(|e| e.within("operator"))?)
    }
}

/// A configuration of either kind, told by its sections.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum AnyConfiguration {
    /// Of a map.
    Map(Box<Configuration>),
    /// Of a Fourier neural operator.
    Operator(Box<OperatorConfiguration>),
}

impl AnyConfiguration {
    /// Sets the seed of the training.
    pub fn set_training_seed(&mut self, seed: u64) {
        match self {
            AnyConfiguration::Map(c) => c.train.seed = seed,
            AnyConfiguration::Operator(c) => c.operator.seed = seed,
        }
    }

    /// Checks what can be told without data, so that nothing is made before a mistake is found.
    ///
    /// # Errors
    /// Names the first that makes no sense.
    pub fn check(&self) -> Result<()> {
        match self {
            AnyConfiguration::Map(c) => c.check(),
            AnyConfiguration::Operator(c) => c.check(),
        }
    }
}

/// Reads a configuration of either kind; each of `changes` is `key.path=value` and replaces or adds one value, before the whole is checked.
///
/// # Errors
/// A file that cannot be read or is no TOML; a change that is not `key.path=value`; an unknown key, or a value that makes no sense, by its key and
/// its line or change.
pub fn load_any(path: &Path, changes: &[String]) -> Result<AnyConfiguration> {
    parse_any(&read_text(path)?, changes)
        .map_err(|e| Error::Input(format!("{}: {e}", path.display())))
}

/// The configuration of either kind in a text.
///
/// # Errors
/// As [`load_any`].
pub fn parse_any(text: &str, changes: &[String]) -> Result<AnyConfiguration> {
    let document = Document::parse(text, changes)?;
    let configuration = either(&document).map_err(|e| document.located(e))?;
    configuration.check().map_err(|e| document.located(e))?;
    Ok(configuration)
}

/// The configuration of one kind in a text, its numbers not checked.
///
/// # Errors
/// As [`load_any`], but for values of the right kind that make no sense.
pub fn parse<T: DeserializeOwned>(text: &str, changes: &[String]) -> Result<T> {
    let document = Document::parse(text, changes)?;
    document.read().map_err(|e| document.located(e))
}

/// The configuration in a document, told by its sections, its numbers not checked.
pub(crate) fn either(document: &Document) -> Result<AnyConfiguration> {
    let operator = ["responses", "operator"].iter().any(|s| document.has(s));
    Ok(if operator {
        AnyConfiguration::Operator(Box::new(document.read()?))
    } else {
        AnyConfiguration::Map(Box::new(document.read()?))
    })
}

/// Whether two settings of a section are the same; what differs, by key.
///
/// # Errors
/// The differences, as a text.
pub fn same<T: Serialize + PartialEq>(
    section: &str,
    then: &T,
    now: &T,
) -> std::result::Result<(), String> {
    if then == now {
        return Ok(());
    }
    let json = |value: &T| serde_json::to_value(value).unwrap_or_default();
    Err(differences(section, &json(then), &json(now)).join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_one() {
        let message = |text: &str| parse::<Configuration>(text, &[]).unwrap_err().to_string();
        for (text, parts) in [
            (
                "[dataset]\nchunkss = 3",
                ["unknown field `chunkss`", "did you mean `chunks`?"],
            ),
            (
                "[datset]\nchunks = 3",
                ["unknown field `datset`", "did you mean `dataset`?"],
            ),
            (
                "[train.adam]\nlearningrate = 3",
                [
                    "unknown field `learningrate`",
                    "did you mean `learning_rate`?",
                ],
            ),
            (
                "[dataset]\nchunks = -3",
                ["dataset", "expected a whole number, 0 or larger"],
            ),
        ] {
            parts
                .iter()
                .for_each(|part| assert!(message(text).contains(part), "{}", message(text)));
        }
    }
}
