//! What becomes of an answer: text or JSON on standard output, a table and a figure in files.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::shared::{Shared, print, print_json};
use ionoscope::{
    Error, Result,
    answer::{Answer, Text},
    artifact::{self, Staged},
    report::svg,
    text::write_cells,
};

/// Files of an answer.
#[derive(clap::Args, Debug, Default)]
pub struct Delivery {
    /// Table of the answer, with every digit; units and parameters in FILE.meta.json beside it
    #[arg(short, long = "output", value_name = "FILE.csv")]
    output: Option<PathBuf>,
    /// Figure of the answer
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

impl Delivery {
    /// Checks, before any work, that the files can be made.
    ///
    /// # Errors
    /// A name that ends otherwise, a file in the way of its folder.
    pub fn check(&self) -> Result<()> {
        for (path, kind) in [(&self.output, "csv"), (&self.plot, "svg")] {
            let Some(path) = path else { continue };
            if path
                .extension()
                .is_none_or(|e| !e.eq_ignore_ascii_case(kind))
            {
                return Err(Error::Input(format!(
                    "{}: cannot write this kind of file; supported: .{kind}",
                    path.display()
                )));
            }
            artifact::check_destination(path)?;
        }
        Ok(())
    }

    /// Whether the figure is wanted.
    pub fn draws(&self) -> bool {
        self.plot.is_some()
    }

    /// Whether a file of the table or of the figure is wanted.
    pub fn wants_files(&self) -> bool {
        self.output.is_some() || self.plot.is_some()
    }

    /// Warns, writes the files, whose description says `about` what they are, and prints.
    ///
    /// # Errors
    /// A file or standard output that cannot be written.
    pub fn deliver(&self, answer: &Answer, about: &Value, shared: &Shared) -> Result<()> {
        answer.warnings.iter().for_each(|w| shared.warn(w));
        // All files are complete before the first of them gets its name.
        let mut files = Vec::new();
        if let (Some(path), Some(table)) = (&self.output, answer.tables.first()) {
            let csv = table.to_csv();
            files.push(Staged::new(path, |w| w.write_all(csv.as_bytes()))?);
            let units: serde_json::Map<_, _> = table
                .columns
                .iter()
                .map(|c| (c.name.clone(), json!(c.unit)))
                .collect();
            let mut meta = about.clone();
            let more = json!({
                "caption": table.caption,
                "units": units,
                "version": env!("CARGO_PKG_VERSION"),
            });
            if let (Value::Object(meta), Value::Object(more)) = (&mut meta, more) {
                meta.extend(more);
                meta.extend(answer.meta.clone());
            }
            files.push(artifact::describe(&files[0], &meta)?);
        }
        if let (Some(path), Some(figure)) = (&self.plot, answer.figures.first()) {
            let drawing = svg::draw(figure);
            files.push(Staged::new(path, |w| w.write_all(drawing.as_bytes()))?);
        }
        files.into_iter().try_for_each(Staged::commit)?;
        if shared.json {
            return print_json(&answer.document);
        }
        print(|w| {
            answer.text.iter().try_for_each(|text| match text {
                Text::Cells(rows) => write_cells(w, rows),
                Text::Line(line) => writeln!(w, "{line}"),
            })
        })
    }
}
