//! A table as plain data, and its CSV.

use serde::{Deserialize, Serialize};

/// A table with a caption.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// File name without extension, and the anchor in a page.
    pub id: String,
    /// What it shows.
    pub caption: String,
    /// The columns, in order.
    pub columns: Vec<Column>,
    /// Cells, `[row][column]`.
    pub rows: Vec<Vec<Cell>>,
    /// Whether a page shows it folded, for long ones.
    #[serde(default)]
    pub folded: bool,
}

/// A column: what it holds, in which unit, and how its numbers are written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// What it holds.
    pub name: String,
    /// Unit; `1` or empty where there is none.
    pub unit: String,
    /// How its numbers are written in a page; files keep every digit.
    pub format: Format,
}

impl Column {
    /// A column of words.
    pub fn text(name: &str) -> Self {
        Column {
            name: name.into(),
            unit: String::new(),
            format: Format::Significant(4),
        }
    }

    /// A column of numbers.
    pub fn number(name: &str, unit: &str, format: Format) -> Self {
        Column {
            name: name.into(),
            unit: unit.into(),
            format,
        }
    }
}

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// So many digits after the point.
    Fixed(usize),
    /// So many significant digits, as a power of ten where that is shorter.
    Significant(usize),
    /// As many digits as it takes: for numbers that somebody chose.
    Shortest,
}

/// A cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// A number.
    Number(f64),
    /// Words.
    Text(String),
    /// Whether a goal is met, and a word on it.
    Verdict {
        /// Met or missed.
        met: bool,
        /// What is said of it.
        text: String,
    },
    /// Nothing.
    Empty(()),
}

impl From<f64> for Cell {
    fn from(v: f64) -> Self {
        if v.is_finite() {
            Cell::Number(v)
        } else {
            Cell::Empty(())
        }
    }
}

impl From<usize> for Cell {
    fn from(v: usize) -> Self {
        Cell::Number(v as f64)
    }
}

impl From<&str> for Cell {
    fn from(v: &str) -> Self {
        Cell::Text(v.to_owned())
    }
}

impl From<String> for Cell {
    fn from(v: String) -> Self {
        Cell::Text(v)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(v: Option<T>) -> Self {
        v.map_or(Cell::Empty(()), Into::into)
    }
}

impl Table {
    /// A table without rows.
    pub fn new(id: &str, caption: &str, columns: Vec<Column>) -> Self {
        Table {
            id: id.into(),
            caption: caption.into(),
            columns,
            rows: Vec::new(),
            folded: false,
        }
    }

    /// Checks that it can be drawn: a cell for each column, and no more digits than a number has.
    ///
    /// # Errors
    /// Names the first thing that is wrong, as a sentence.
    pub fn check(&self) -> Result<(), String> {
        let id = &self.id;
        if let Some(row) = self.rows.iter().find(|row| row.len() != self.columns.len()) {
            return Err(format!(
                "a row of table '{id}' has {} cells; expected {}",
                row.len(),
                self.columns.len()
            ));
        }
        let digits = |c: &Column| {
            if let Format::Fixed(n) | Format::Significant(n) = c.format {
                n
            } else {
                1
            }
        };
        match self.columns.iter().find(|c| digits(c) > 100) {
            Some(column) => Err(format!(
                "column '{}' of table '{id}' has {} digits; expected at most 100",
                column.name,
                digits(column)
            )),
            None => Ok(()),
        }
    }

    /// Adds a row.
    pub fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// Shown folded.
    #[must_use]
    pub fn folded(mut self) -> Self {
        self.folded = true;
        self
    }

    /// As CSV: a bare header of names, every digit of every number, nothing in an empty cell.
    pub fn to_csv(&self) -> String {
        let quote = |s: &str| {
            let s = super::rich::plain(s);
            if s.contains([',', '"', '\n']) {
                format!("\"{}\"", s.replace('"', "\"\""))
            } else {
                s
            }
        };
        let mut csv = self
            .columns
            .iter()
            .map(|c| quote(&c.name))
            .collect::<Vec<_>>()
            .join(",")
            + "\n";
        for row in &self.rows {
            let whole =
                |column: &Column, v: f64| column.format == Format::Fixed(0) && v.fract() == 0.0;
            let cells = row
                .iter()
                .zip(&self.columns)
                .map(|(cell, column)| match cell {
                    Cell::Number(v) if whole(column, *v) => format!("{v}"),
                    // `Debug` keeps every digit too, and writes small numbers with an exponent.
                    Cell::Number(v) => format!("{v:?}"),
                    Cell::Text(t) => quote(t),
                    Cell::Verdict { met, text } => {
                        quote(format!("{} {text}", if *met { "met" } else { "missed" }).trim())
                    }
                    Cell::Empty(()) => String::new(),
                });
            csv += &(cells.collect::<Vec<_>>().join(",") + "\n");
        }
        csv
    }
}

/// A number for people, with `^{..}` for powers and a true minus sign.
pub fn number(v: f64, format: Format) -> String {
    if !v.is_finite() {
        return "\u{2013}".into();
    }
    let text = match format {
        Format::Fixed(digits) => format!("{v:.digits$}"),
        Format::Shortest => v.to_string(),
        Format::Significant(_) if v == 0.0 => "0".into(),
        Format::Significant(digits) => {
            // Rounding first decides the power: 9.9996 with four digits is 10.00.
            let science = format!("{v:.*e}", digits.saturating_sub(1));
            let (mantissa, exponent) = science.split_once('e').unwrap_or((&science, "0"));
            match exponent.parse::<i32>().unwrap_or(0) {
                e @ -3..=4 => format!("{v:.*}", (digits as i32 - 1 - e).max(0) as usize),
                e => format!("{mantissa}·10^{{{e}}}"),
            }
        }
    };
    text.replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        for (v, format, text) in [
            (-49.8971, Format::Significant(5), "−49.897"),
            (2.34521e-3, Format::Significant(5), "0.0023452"),
            (2.34521e-5, Format::Significant(3), "2.35·10^{−5}"),
            (9.9996, Format::Significant(4), "10.00"),
            (0.0, Format::Significant(4), "0"),
            (-36.0, Format::Fixed(2), "−36.00"),
            (123_456.0, Format::Significant(3), "1.23·10^{5}"),
            (0.005, Format::Shortest, "0.005"),
            (f64::NAN, Format::Fixed(1), "–"),
        ] {
            assert_eq!(number(v, format), text);
        }
    }

    #[test]
    fn csv_keeps_digits_and_quotes_words() {
        let mut table = Table::new(
            "t",
            "",
            vec![
                Column::text("what, where"),
                Column::number("V_{S}", "mV", Format::Fixed(1)),
            ],
        );
        table.push(vec!["a \"b\"".into(), 0.1234567890123.into()]);
        table.push(vec![
            Cell::Verdict {
                met: true,
                text: "yes".into(),
            },
            f64::NAN.into(),
        ]);
        assert_eq!(
            table.to_csv(),
            "\"what, where\",V_S\n\"a \"\"b\"\"\",0.1234567890123\nmet yes,\n"
        );
        let json = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<Table>(&json).unwrap(), table);
    }
}
