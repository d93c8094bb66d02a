//! The file of a study.

use std::{collections::BTreeMap, path::Path};

use ionoscope_learn::{
    Error as LearnError,
    tune::{StudyConfig, key_of},
};

use super::{
    limits::{Budget, Cost},
    objective::Objective,
};
use crate::{
    Error, Result,
    artifact::read_text,
    config::{self, AnyConfiguration},
    document::Document,
};

/// The sections of the configuration that is tuned; all else is of the study.
const SECTIONS: [&str; 4] = ["responses", "operator", "dataset", "train"];

/// A study's file: the study at its top, `[space]`, perhaps `[budget]`, and the sections of the configuration that is tuned.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyFile {
    /// The study.
    pub study: StudyConfig,
    /// What every trial must meet.
    pub budget: Option<Budget>,
    /// The sections of the configuration.
    base: Document,
}

/// The section of the budget.
#[derive(serde::Deserialize)]
struct Limits {
    budget: Option<Budget>,
}

/// Reads a study's file, as [`load_any`](config::load_any) reads a configuration.
///
/// # Errors
/// As there; a study or a budget that makes no sense.
pub fn load_study(path: &Path, changes: &[String]) -> Result<StudyFile> {
    let at = |e: Error| Error::Input(format!("{}: {e}", path.display()));
    parse_study(&read_text(path)?, changes).map_err(at)
}

/// The study in a text.
///
/// # Errors
/// As [`load_study`].
pub fn parse_study(text: &str, changes: &[String]) -> Result<StudyFile> {
    let document = Document::parse(text, changes)?;
    StudyFile::read(&document).map_err(|e| document.located(e))
}

/// A setting about which something else complains.
fn setting(key: &str, problem: impl std::fmt::Display) -> Error {
    LearnError::of_setting(key, problem).into()
}

impl StudyFile {
    /// What stands in a document.
    fn read(document: &Document) -> Result<Self> {
        let study: StudyConfig = document.without(&SECTIONS).without(&["budget"]).read()?;
        study.check()?;
        let Limits { budget } = document.of(&["budget"]).read()?;
        let file = StudyFile {
            study,
            budget,
            base: document.of(&SECTIONS),
        };
        let first = file.configuration(&[])?;
        file.check_space()?;
        file.check_budget(&first)?;
        first.check()?;
        for name in &file.study.objectives {
            Objective::find(name, &first).map_err(|e| setting("objectives", e))?;
        }
        Ok(file)
    }

    /// Every key must be one of the configuration, and every end of its values make sense there.
    fn check_space(&self) -> Result<()> {
        for (key, parameter) in &self.study.space.0 {
            for value in parameter.domain.ends() {
                self.configuration(&[(key.clone(), value)])
                    .and_then(|c| c.check())
                    .map_err(|e| setting(&key_of(key), e))?;
            }
        }
        Ok(())
    }

    fn check_budget(&self, first: &AnyConfiguration) -> Result<()> {
        let Some(budget) = &self.budget else {
            return Ok(());
        };
        let (cost, _) = budget.limits()?;
        let (known, map): (&[&str], _) = match first {
            AnyConfiguration::Operator(_) => {
                (&["operator.network.modes", "operator.network.width"], false)
            }
            AnyConfiguration::Map(_) => (&["train.hidden"], true),
        };
        if map && !matches!(cost, Cost::Weights | Cost::Bytes) {
            let problem = "it is for operators; a map has weights or bytes";
            return Err(setting(&format!("budget.{}", cost.name()), problem));
        }
        let Some(key) = &budget.solve else {
            return Ok(());
        };
        let got = format!("'{key}'");
        let wrong =
            |expected: String| Err(LearnError::setting("budget.solve", &got, expected).into());
        if self.study.space.0.contains_key(key) {
            return wrong("a key that is not in the space too; leave it out there".into());
        }
        if !known.contains(&key.as_str()) {
            return wrong(known.join(" or "));
        }
        Ok(())
    }

    /// The configuration with these values.
    ///
    /// # Errors
    /// A key or value that the configuration does not accept.
    pub fn configuration<'a>(
        &self,
        values: impl IntoIterator<Item = &'a (String, serde_json::Value)>,
    ) -> Result<AnyConfiguration> {
        let mut document = self.base.clone();
        for (key, value) in values {
            document = document.with(key, value)?;
        }
        config::either(&document)
    }

    /// The configuration's own values of the keys of the space.
    ///
    /// # Errors
    /// A configuration that makes no sense.
    pub fn defaults(&self) -> Result<BTreeMap<String, serde_json::Value>> {
        let whole = serde_json::to_value(self.configuration(&[])?).unwrap_or_default();
        let of = |key: &String| {
            whole
                .pointer(&format!("/{}", key.replace('.', "/")))
                .cloned()
        };
        Ok(self
            .study
            .space
            .0
            .keys()
            .filter_map(|k| Some((k.clone(), of(k)?)))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_study_file_is_read_and_what_makes_no_sense_named() {
        let text = "trials = 4\n[space]\n\"operator.network.width\" = { integer = [8, 16], step = 8 }\n\"operator.network.kind\" = { choice = [\"classic\", \"zongyi\"] }\n[operator.network]\nmodes = 5\n";
        let file = parse_study(text, &["trials=6".into()]).unwrap();
        assert_eq!(
            (
                file.study.trials,
                file.defaults().unwrap()["operator.network.width"].as_u64()
            ),
            (6, Some(64))
        );
        let AnyConfiguration::Operator(set) = file
            .configuration(&[("operator.network.kind".into(), "classic".into())])
            .unwrap()
        else {
            panic!("an operator")
        };
        assert_eq!(
            (set.operator.network.kind, set.operator.network.modes),
            (ionoscope_learn::architectures::fno::LayerKind::Classic, 5)
        );
        for (change, part) in [
            (
                "space.\"operator.network.wdith\"={ integer = [1, 2] }",
                "operator",
            ),
            ("space.x={ real = [2, 1] }", "smaller first"),
            ("budget={ weights = 0 }", "weights = 0"),
            (
                "budget={ weights = 9, solve = \"operator.network.width\" }",
                "in the space too",
            ),
            (
                "budget={ weights = 9, solve = \"operator.network.layers\" }",
                "expected operator.network.modes",
            ),
            ("sampler=\"tep\"", "tep"),
            ("trialls=3", "did you mean `trials`"),
        ] {
            let message = parse_study(text, &[change.into()]).unwrap_err().to_string();
            assert!(message.contains(part), "{change}: {message}");
        }
        let wrong = text.replace("operator.network.width", "operator.network.wdith");
        assert!(
            parse_study(&wrong, &[])
                .unwrap_err()
                .to_string()
                .contains("did you mean `width`")
        );
        let wide = text.replace("[8, 16], step = 8", "[0, 16]");
        assert!(
            parse_study(&wide, &[])
                .unwrap_err()
                .to_string()
                .contains("network.width = 0")
        );
    }
}
