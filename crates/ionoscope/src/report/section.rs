//! What an analysis says of itself: words, tables and figures. A report draws it without knowing the analysis.

use serde::{Deserialize, Serialize};

use super::{figure::Figure, table::Table};

/// One section of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// File name without extension, and the anchor in a page.
    pub id: String,
    /// Heading of the section.
    pub title: String,
    /// What follows the heading, in order.
    pub parts: Vec<Part>,
}

/// A piece of a section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A paragraph.
    Text(String),
    /// A remark that stands out: a goal that is missed, a thing that is not there yet.
    Note(String),
    /// Facts in large letters: a number and what it is.
    Facts(Vec<Fact>),
    /// Lines typed in a shell.
    Command(String),
    /// Lines that few want to read, folded under a heading.
    Listing {
        /// The heading.
        title: String,
        /// The lines, as they are.
        text: String,
    },
    /// A table.
    Table(Table),
    /// A figure.
    Figure(Figure),
}

/// A number that a reader should see first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// The number with its unit.
    pub value: String,
    /// What it is.
    pub text: String,
}

/// Whether a text can be a file name on any system, and stays inside its folder.
pub(super) fn is_name(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= 100
        && id
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

impl Section {
    /// A section without anything in it.
    pub fn new(id: &str, title: &str) -> Self {
        Section {
            id: id.into(),
            title: title.into(),
            parts: Vec::new(),
        }
    }

    /// Adds a piece.
    #[must_use]
    pub fn with(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    /// Adds a paragraph.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.with(Part::Text(text.into()))
    }

    /// Checks what a file says: names that can name files, figures and tables that can be drawn.
    ///
    /// # Errors
    /// Names the first thing that is wrong, as a sentence.
    pub fn check(&self) -> Result<(), String> {
        let ids = self
            .figures()
            .map(|f| &f.id)
            .chain(self.tables().map(|t| &t.id));
        if let Some(id) = ids.chain([&self.id]).find(|id| !is_name(id)) {
            return Err(format!(
                "'{id}' cannot name a file; expected letters, digits, - and _"
            ));
        }
        self.figures().try_for_each(Figure::check)?;
        self.tables().try_for_each(Table::check)
    }

    /// Its figures.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.parts.iter().filter_map(|p| {
            if let Part::Figure(f) = p {
                Some(f)
            } else {
                None
            }
        })
    }

    /// Its tables.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.parts.iter().filter_map(|p| {
            if let Part::Table(t) = p {
                Some(t)
            } else {
                None
            }
        })
    }
}
