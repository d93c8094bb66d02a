//! What an analysis says of itself: words, tables and figures. A report draws it without knowing the analysis.

use serde::{Deserialize, Serialize};

use super::{figure::Figure, table::Table};

/// One section of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
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

impl Answer {
    /// A section without anything in it.
    pub fn new(id: &str, title: &str) -> Self {
        Answer { id: id.into(), title: title.into(), parts: Vec::new() }
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

    /// Its figures.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.parts.iter().filter_map(|p| if let Part::Figure(f) = p { Some(f) } else { None })
    }

    /// Its tables.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.parts.iter().filter_map(|p| if let Part::Table(t) = p { Some(t) } else { None })
    }
}
