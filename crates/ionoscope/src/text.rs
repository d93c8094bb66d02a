//! Numbers and aligned columns, as people read them.

use std::io::{self, Write};

/// Writes rows with columns aligned to the left; the last column is not padded.
pub fn write_cells(w: &mut dyn Write, rows: &[Vec<String>]) -> io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width: Vec<usize> = (0..columns)
        .map(|c| {
            rows.iter()
                .filter_map(|r| r.get(c))
                .map(|s| s.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    for row in rows {
        let mut line = String::new();
        for (c, cell) in row.iter().enumerate() {
            line.push_str(cell);
            if c + 1 < row.len() {
                line.extend(std::iter::repeat_n(
                    ' ',
                    width[c] + 2 - cell.chars().count(),
                ));
            }
        }
        writeln!(w, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A number with five significant digits.
pub fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let exponent = value.abs().log10().floor() as i32;
    if (-3..7).contains(&exponent) {
        format!("{value:.*}", (4 - exponent).max(0) as usize)
    } else {
        format!("{value:.4e}")
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn five_significant_digits() {
        for (value, text) in [
            (-49.8974, "-49.897"),
            (2.34521e-3, "0.0023452"),
            (0.0, "0"),
            (1.0, "1.0000"),
            (1.5e-9, "1.5000e-9"),
        ] {
            assert_eq!(super::short(value), text);
        }
    }
}
