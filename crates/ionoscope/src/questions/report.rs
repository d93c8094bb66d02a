//! Draws a report again from its saved sections.

use std::path::PathBuf;

use ionoscope_dynamics::watch::Watcher;
use serde::Deserialize;
use serde_json::json;

use super::question::Task;
use crate::{Result, answer::Answer, report::store};

/// Draws the report of a folder again from its saved answers; computes nothing
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Folder that holds report.json
    #[cfg_attr(feature = "clap", arg(value_name = "DIR"))]
    pub dir: PathBuf,
}

impl Task for Report {
    fn run(&self, watch: &Watcher) -> Result<Answer> {
        watch.check()?;
        store::draw(&self.dir)?;
        let page = self.dir.join("report.html").display().to_string();
        let mut answer = Answer::new(json!({ "report": page }));
        answer.line(page);
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{questions, report::html::Heading};

    #[test]
    fn a_report_is_drawn_again_by_its_folder() {
        let dir = std::env::temp_dir().join(format!("ionoscope-redraw-{}", std::process::id()));
        let heading = Heading {
            title: "T".into(),
            subtitle: "s".into(),
            footer: vec![],
        };
        store::save(&dir, &heading, &[]).unwrap();
        let nobody = Watcher::default();
        let answer = questions::run("report", json!({ "dir": dir }), &nobody).unwrap();
        let page = answer.document["report"].as_str().unwrap();
        assert!(std::fs::read_to_string(page).unwrap().contains("<h1"));
        std::fs::remove_dir_all(&dir).unwrap();
        let error = questions::run("report", json!({}), &nobody).unwrap_err();
        assert!(error.to_string().contains("missing field `dir`"), "{error}");
    }
}
