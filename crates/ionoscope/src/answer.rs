//! What a question is answered by: data, from which text, JSON, CSV, figures and Python's objects are written, each in one place.

use ionoscope_dynamics::{spec::Spec, trajectory::Trajectory};
use serde_json::{Map, Value};

use crate::report::{figure::Figure, table::Table};

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The document: a contract with programs that read it.
    pub document: Value,
    /// What people read, in order.
    pub text: Vec<Text>,
    /// Its numbers with all their digits; the first table is that of a CSV file.
    pub tables: Vec<Table>,
    /// A trajectory, whose numbers are too many for a table of cells.
    pub course: Option<Course>,
    /// What else stands in the description of a file of the first table.
    pub meta: Map<String, Value>,
    /// Its figures.
    pub figures: Vec<Figure>,
    /// What whoever asked should know: an answer that is not settled, a surrogate outside its training.
    pub warnings: Vec<String>,
}

/// A trajectory with the names and units of its variables.
#[derive(Debug, Clone)]
pub struct Course {
    /// Names and units.
    pub spec: Spec,
    /// The states.
    pub trajectory: Trajectory,
}

impl Course {
    /// A document with the numbers too, as `time` and, by variable, `x`.
    pub fn in_document(&self, mut document: Value) -> Value {
        let Course { spec, trajectory } = self;
        document["time"] = (0..trajectory.len())
            .map(|k| trajectory.times.time(k))
            .collect();
        let columns = spec.variables.iter().enumerate();
        let columns = columns.map(|(i, q)| (q.name.clone(), trajectory.variable(i).collect()));
        document["x"] = Value::Object(columns.collect());
        document
    }
}

/// A piece of text.
#[derive(Debug, Clone, PartialEq)]
pub enum Text {
    /// Cells in rows, the first of them the header; columns are aligned.
    Cells(Vec<Vec<String>>),
    /// A line.
    Line(String),
}

impl Answer {
    /// An answer of which there is only the document so far.
    pub fn new(document: Value) -> Self {
        Answer {
            document,
            text: Vec::new(),
            tables: Vec::new(),
            course: None,
            meta: Map::new(),
            figures: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Adds a line of text.
    pub fn line(&mut self, text: impl Into<String>) {
        self.text.push(Text::Line(text.into()));
    }
}
