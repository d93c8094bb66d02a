//! A quantity over a plane, as shade: reduced to bytes, saved as they are, drawn as a PNG inside the SVG.

use serde::{Deserialize, Serialize};

/// The byte of what is not there.
const NOTHING: u8 = 255;
/// Stops of the colors, dark to light: perceptually even, and told apart by people with any form of color blindness (viridis, by
/// Smith and van der Walt, in the public domain).
const STOPS: [[u8; 3]; 9] = [
    [68, 1, 84],
    [72, 40, 120],
    [62, 74, 137],
    [49, 104, 142],
    [38, 130, 142],
    [31, 158, 137],
    [53, 183, 121],
    [109, 205, 89],
    [253, 231, 37],
];

/// A rectangle of shades.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shade {
    /// What is shown, and its unit.
    pub label: String,
    /// See `label`.
    pub unit: String,
    /// Values of the darkest and of the lightest shade.
    pub range: [f64; 2],
    /// Ends of the rectangle along both axes.
    pub x: [f64; 2],
    /// See `x`.
    pub y: [f64; 2],
    /// Cells along x.
    pub columns: usize,
    /// Cells along y.
    pub rows: usize,
    /// Shades, row by row from the top: 0 dark to 254 light, 255 nothing.
    #[serde(with = "hex")]
    pub cells: Vec<u8>,
}

impl Shade {
    /// Columns of values, each from the bottom up, reduced to at most `rows` cells a column by their means.
    pub fn of_columns(
        label: &str,
        unit: &str,
        columns: &[Vec<f64>],
        rows: usize,
        x: [f64; 2],
        y: [f64; 2],
    ) -> Self {
        let longest = columns.iter().map(Vec::len).max().unwrap_or(0);
        let rows = rows.clamp(1, longest.max(1));
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let cell = |column: &[f64], row: usize| {
            let (from, to) = (
                row * longest / rows,
                ((row + 1) * longest / rows).max(row * longest / rows + 1),
            );
            column
                .get(from..to.min(column.len()))
                .filter(|v| !v.is_empty())
                .map_or(f64::NAN, mean)
        };
        let means: Vec<f64> = (0..rows)
            .rev()
            .flat_map(|row| columns.iter().map(move |c| cell(c, row)))
            .collect();
        let finite = || means.iter().copied().filter(|v| v.is_finite());
        let (low, high) = (
            finite().fold(f64::INFINITY, f64::min),
            finite().fold(f64::NEG_INFINITY, f64::max),
        );
        let range = if low < high {
            [low, high]
        } else if low == high {
            [low - 1.0, high + 1.0]
        } else {
            [0.0, 1.0]
        };
        let shade = |v: f64| {
            if v.is_finite() {
                (254.0 * (v - range[0]) / (range[1] - range[0]))
                    .round()
                    .clamp(0.0, 254.0) as u8
            } else {
                NOTHING
            }
        };
        let cells = means.iter().map(|v| shade(*v)).collect();
        Shade {
            label: label.into(),
            unit: unit.into(),
            range,
            x,
            y,
            columns: columns.len(),
            rows,
            cells,
        }
    }

    /// Checks that it can be drawn.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        let size = self.columns.saturating_mul(self.rows);
        if size == 0 || size > 1 << 24 || self.cells.len() != size {
            return Err(format!(
                "a shade of {} x {} cells holds {}; expected as many, up to 2^24",
                self.columns,
                self.rows,
                self.cells.len()
            ));
        }
        let bounds = [self.x, self.y, self.range];
        if let Some([a, b]) = bounds
            .iter()
            .find(|[a, b]| !(a.is_finite() && b.is_finite() && a != b))
        {
            return Err(format!(
                "a shade runs from {a:e} to {b:e}; expected two different, finite ends"
            ));
        }
        Ok(())
    }

    /// The picture as the address of an image.
    pub fn picture(&self) -> String {
        address(&png(self.columns, self.rows, &self.cells))
    }

    /// All shades from dark to light, as the address of an image.
    pub fn scale() -> String {
        address(&png(255, 1, &(0..255).collect::<Vec<u8>>()))
    }
}

fn address(png: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::from("data:image/png;base64,");
    for three in png.chunks(3) {
        let bits = (0..3).fold(0u32, |bits, k| {
            bits << 8 | u32::from(three.get(k).copied().unwrap_or(0))
        });
        for k in 0..4 {
            let letter = if k <= three.len() {
                LETTERS[(bits >> (18 - 6 * k) & 63) as usize]
            } else {
                b'='
            };
            out.push(char::from(letter));
        }
    }
    out
}

/// A PNG with a palette of all shades (W3C, Portable Network Graphics, 3rd edition 2025). The cells are stored without compression: they
/// are few, and what holds them is compressed by whoever sends it.
fn png(width: usize, height: usize, cells: &[u8]) -> Vec<u8> {
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::new();
    header.extend((width as u32).to_be_bytes());
    header.extend((height as u32).to_be_bytes());
    // Eight bits, palette, standard compression and filter, not interlaced.
    header.extend([8, 3, 0, 0, 0]);
    chunk(&mut out, *b"IHDR", &header);
    chunk(
        &mut out,
        *b"PLTE",
        &(0..=255).flat_map(color).collect::<Vec<u8>>(),
    );
    let mut opacity = [255; 256];
    opacity[usize::from(NOTHING)] = 0;
    chunk(&mut out, *b"tRNS", &opacity);
    // Every row begins with its filter, none.
    let raw: Vec<u8> = cells
        .chunks(width)
        .flat_map(|row| std::iter::once(0).chain(row.iter().copied()))
        .collect();
    let mut data = vec![0x78, 0x01];
    let blocks = raw.chunks(0xffff).count();
    for (k, block) in raw.chunks(0xffff).enumerate() {
        data.push(u8::from(k + 1 == blocks));
        data.extend((block.len() as u16).to_le_bytes());
        data.extend((!(block.len() as u16)).to_le_bytes());
        data.extend(block);
    }
    let (a, b) = raw.iter().fold((1u32, 0u32), |(a, b), v| {
        let a = (a + u32::from(*v)) % 65521;
        (a, (b + a) % 65521)
    });
    data.extend((b << 16 | a).to_be_bytes());
    chunk(&mut out, *b"IDAT", &data);
    chunk(&mut out, *b"IEND", &[]);
    out
}

fn color(shade: u8) -> [u8; 3] {
    let at = f64::from(shade.min(254)) / 254.0 * (STOPS.len() - 1) as f64;
    let k = (at as usize).min(STOPS.len() - 2);
    std::array::from_fn(|c| {
        let [from, to] = [f64::from(STOPS[k][c]), f64::from(STOPS[k + 1][c])];
        (from + (at - k as f64) * (to - from)).round() as u8
    })
}

fn chunk(out: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    out.extend((data.len() as u32).to_be_bytes());
    let begin = out.len();
    out.extend(kind);
    out.extend(data);
    // CRC-32, bit by bit.
    let crc = out[begin..].iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| {
            if c & 1 == 1 {
                c >> 1 ^ 0xedb8_8320
            } else {
                c >> 1
            }
        })
    });
    out.extend((!crc).to_be_bytes());
}

/// Bytes as hexadecimal digits.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&bytes.iter().map(|b| format!("{b:02x}")).collect::<String>())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(d)?;
        let digit = |b: u8| char::from(b).to_digit(16).map(|v| v as u8);
        let pair = |two: &[u8]| Some(digit(*two.first()?)? << 4 | digit(*two.get(1)?)?);
        text.as_bytes()
            .chunks(2)
            .map(|two| {
                pair(two).ok_or_else(|| D::Error::custom("expected hexadecimal digits, two a byte"))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_cells_from_the_top() {
        let columns = vec![vec![0.0, 0.0, 1.0, 1.0], vec![2.0, 2.0, f64::NAN, 4.0]];
        let shade = Shade::of_columns("v", "mV", &columns, 2, [0.0, 1.0], [0.0, 1.0]);
        assert_eq!((shade.columns, shade.rows, shade.range), (2, 2, [0.0, 2.0]));
        assert_eq!(shade.cells, [127, 255, 0, 254]);
        assert!(shade.check().is_ok());
        let text = serde_json::to_string(&shade).unwrap();
        assert_eq!(serde_json::from_str::<Shade>(&text).unwrap(), shade);
        assert!(Shade { rows: 3, ..shade }.check().is_err());
    }

    #[test]
    fn the_picture_is_a_png() {
        // CRC-32 of an empty IEND chunk, as in every PNG; Adler-32 and base64 by their definitions.
        let one = png(1, 1, &[3]);
        assert!(one.ends_with(&[0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82]));
        assert_eq!(address(b"Man"), "data:image/png;base64,TWFu");
        assert_eq!(address(b"M"), "data:image/png;base64,TQ==");
    }
}
