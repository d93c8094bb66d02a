//! A figure as plain data: panels, axes with units, and series. It is saved as it is, so that a report can be drawn again
//! without computing anything.

use serde::{Deserialize, Serialize};

use super::shade::Shade;

/// Largest magnitude that an axis shows; differences of such numbers are still finite.
pub(super) const LARGEST: f64 = 1e300;

/// Panels in a grid, filled row by row, with one caption and one legend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// File name without extension, and the anchor in a page.
    pub id: String,
    /// A short heading, such as "Figure 10".
    pub title: String,
    /// What is drawn and what to look at.
    pub caption: String,
    /// Number of columns of the grid.
    pub columns: usize,
    /// Whether panels of one column share their horizontal axis, which is then labeled once, at the bottom.
    pub share_x: bool,
    /// The panels.
    pub panels: Vec<Panel>,
}

impl Figure {
    /// An empty figure with one column.
    pub fn new(id: &str, title: &str, caption: &str) -> Self {
        Figure {
            id: id.into(),
            title: title.into(),
            caption: caption.into(),
            columns: 1,
            share_x: false,
            panels: Vec::new(),
        }
    }

    /// With this number of columns.
    #[must_use]
    pub fn with_columns(mut self, columns: usize) -> Self {
        self.columns = columns.max(1);
        self
    }

    /// With a horizontal axis shared by the panels of a column.
    #[must_use]
    pub fn sharing_x(mut self) -> Self {
        self.share_x = true;
        self
    }

    /// With one more panel.
    #[must_use]
    pub fn with(mut self, panel: Panel) -> Self {
        self.panels.push(panel);
        self
    }

    /// Checks that it can be drawn: sizes within bounds, axes the right way round, as many values of y (and z) as of x.
    ///
    /// # Errors
    /// Names the first thing that is wrong, as a sentence.
    pub fn check(&self) -> Result<(), String> {
        let id = &self.id;
        if !(1..=8).contains(&self.columns) {
            return Err(format!(
                "figure '{id}' has {} columns; expected 1 to 8",
                self.columns
            ));
        }
        for (k, panel) in self.panels.iter().enumerate() {
            let panel_name = format!("panel {} of figure '{id}'", k + 1);
            if !(1.0..=10_000.0).contains(&panel.height) {
                return Err(format!(
                    "{panel_name} is {:e} pixels high; expected 1 to 10 000",
                    panel.height
                ));
            }
            for axis in [&panel.x, &panel.y].into_iter().chain(&panel.z) {
                let lowest = if axis.scale == Scale::Log {
                    f64::MIN_POSITIVE
                } else {
                    -LARGEST
                };
                if let Some([low, high]) = axis
                    .range
                    .filter(|[low, high]| !(*low >= lowest && low < high && *high <= LARGEST))
                {
                    return Err(format!(
                        "an axis of {panel_name} runs from {low:e} to {high:e}; expected the smaller end first"
                    ));
                }
            }
            if let Some(shade) = &panel.shade {
                shade.check().map_err(|e| format!("{panel_name}: {e}"))?;
            }
            for s in &panel.series {
                if s.y.len() != s.x.len() || (panel.z.is_some() && s.z.len() != s.x.len()) {
                    let (x, y, z) = (s.x.len(), s.y.len(), s.z.len());
                    return Err(format!(
                        "series '{}' in {panel_name} has {x}, {y} and {z} values; expected as many of each",
                        s.name
                    ));
                }
            }
        }
        Ok(())
    }

    /// The data in long form: columns `panel,series,x,y` and `z` where a panel has three axes. Panels are numbered from 1.
    pub fn to_csv(&self) -> String {
        let space = self.panels.iter().any(|p| p.z.is_some());
        let mut csv = String::from(if space {
            "panel,series,x,y,z\n"
        } else {
            "panel,series,x,y\n"
        });
        for (k, panel) in self.panels.iter().enumerate() {
            for series in &panel.series {
                let name = series.name.replace(',', ";");
                for (i, (x, y)) in series.x.iter().zip(&series.y).enumerate() {
                    csv.push_str(&format!("{},{name},{x},{y}", k + 1));
                    if space {
                        csv.push(',');
                        csv.push_str(&series.z.get(i).map_or(String::new(), f64::to_string));
                    }
                    csv.push('\n');
                }
            }
        }
        csv
    }
}

/// One set of axes with what is drawn in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Panel {
    /// A heading above the axes; may be empty.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis (in three dimensions: the second horizontal one).
    pub y: Axis,
    /// Upward axis of a panel in three dimensions.
    pub z: Option<Axis>,
    /// Height of the axes in pixels, for a figure 800 pixels wide.
    pub height: f64,
    /// What is drawn, the first one lowest.
    pub series: Vec<Series>,
    /// Shaded intervals of x, behind everything: the interval and its name.
    pub bands: Vec<Band>,
    /// A quantity over the plane, as shade, behind the series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shade: Option<Shade>,
}

/// A shaded interval of the horizontal axis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// Its two borders.
    pub x: [f64; 2],
    /// Name in the legend.
    pub name: String,
}

impl Panel {
    /// Axes without anything in them.
    pub fn new(title: &str, x: Axis, y: Axis) -> Self {
        Panel {
            title: title.into(),
            x,
            y,
            z: None,
            height: 150.0,
            series: Vec::new(),
            bands: Vec::new(),
            shade: None,
        }
    }

    /// With a third axis, upward.
    #[must_use]
    pub fn with_z(mut self, z: Axis) -> Self {
        self.z = Some(z);
        self
    }

    /// With this height in pixels.
    #[must_use]
    pub fn with_height(mut self, height: f64) -> Self {
        self.height = height;
        self
    }

    /// With one more series, on top.
    #[must_use]
    pub fn with(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    /// With a quantity as shade, over its own rectangle.
    #[must_use]
    pub fn with_shade(mut self, shade: Shade) -> Self {
        let ordered = |[a, b]: [f64; 2]| (a.min(b), a.max(b));
        let ((left, right), (bottom, top)) = (ordered(shade.x), ordered(shade.y));
        self.x = self.x.with_range(left, right);
        self.y = self.y.with_range(bottom, top);
        self.shade = Some(shade);
        self
    }

    /// With a shaded interval of x.
    #[must_use]
    pub fn with_band(mut self, x: [f64; 2], name: &str) -> Self {
        self.bands.push(Band {
            x,
            name: name.into(),
        });
        self
    }
}

/// Linear or logarithmic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Equal distances for equal differences.
    Linear,
    /// Equal distances for equal ratios; values that are not positive are left out.
    Log,
}

/// An axis: what it shows, in which unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// What is shown; `_{..}` and `^{..}` are set low and high.
    pub label: String,
    /// Unit; `1` or empty where there is none.
    pub unit: String,
    /// Linear or logarithmic.
    pub scale: Scale,
    /// Ends of the axis; `None`: what the data need.
    pub range: Option<[f64; 2]>,
    /// Names of the values 1, 2, .., which then stand beside the axis in place of numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

impl Axis {
    /// A linear axis over what the data need.
    pub fn new(label: &str, unit: &str) -> Self {
        Axis {
            label: label.into(),
            unit: unit.into(),
            scale: Scale::Linear,
            range: None,
            names: Vec::new(),
        }
    }

    /// With names for the values 1, 2, ...
    #[must_use]
    pub fn with_names(mut self, names: Vec<String>) -> Self {
        self.range = Some([0.5, names.len().max(1) as f64 + 0.5]);
        self.names = names;
        self
    }

    /// With a logarithmic scale.
    #[must_use]
    pub fn log(mut self) -> Self {
        self.scale = Scale::Log;
        self
    }

    /// With these ends.
    #[must_use]
    pub fn with_range(mut self, low: f64, high: f64) -> Self {
        self.range = Some([low, high]);
        self
    }

    /// Label and unit as they stand beside the axis.
    pub fn text(&self) -> String {
        match self.unit.as_str() {
            "" | "1" => self.label.clone(),
            unit => format!("{} ({unit})", self.label),
        }
    }
}

/// How the values of a series are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Straight pieces; a NaN breaks the line.
    Line,
    /// A dot each.
    Points,
    /// Horizontal pieces: y holds from x to the next x (a histogram).
    Steps,
    /// An outline, filled.
    Area,
}

/// What a series stands for, which decides how it looks everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The equations: dark, solid.
    Equations,
    /// The network of which a figure speaks: orange, dashed.
    Network,
    /// The network where it stands alone: orange, solid.
    Orbit,
    /// A second, a third network beside it: other colors, other dashes.
    Second,
    /// See [`Role::Second`].
    Third,
    /// One of many, in the background: thin and pale. The number is that of the network it belongs to (0, 1, 2).
    Faint(u8),
    /// Data points.
    Data,
    /// A help to the eye, such as a zero line or a goal.
    Guide,
}

/// A named sequence of values in a panel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Name in the legend; empty: not in the legend.
    pub name: String,
    /// What it stands for.
    pub role: Role,
    /// How its values are joined.
    pub kind: Kind,
    /// Horizontal values.
    pub x: Vec<f64>,
    /// Vertical values. NaN: nothing there.
    #[serde(with = "nan_as_null")]
    pub y: Vec<f64>,
    /// Third values, in a panel with three axes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub z: Vec<f64>,
}

impl Series {
    fn new(name: &str, role: Role, kind: Kind, x: Vec<f64>, y: Vec<f64>) -> Self {
        Series {
            name: name.into(),
            role,
            kind,
            x,
            y,
            z: Vec::new(),
        }
    }

    /// A line.
    pub fn line(name: &str, role: Role, x: Vec<f64>, y: Vec<f64>) -> Self {
        Series::new(name, role, Kind::Line, x, y)
    }

    /// Dots.
    pub fn points(name: &str, role: Role, x: Vec<f64>, y: Vec<f64>) -> Self {
        Series::new(name, role, Kind::Points, x, y)
    }

    /// Horizontal pieces.
    pub fn steps(name: &str, role: Role, x: Vec<f64>, y: Vec<f64>) -> Self {
        Series::new(name, role, Kind::Steps, x, y)
    }

    /// The area between two curves over the same horizontal values.
    pub fn area(name: &str, role: Role, x: &[f64], low: &[f64], high: &[f64]) -> Self {
        let round =
            |there: &[f64], back: &[f64]| there.iter().chain(back.iter().rev()).copied().collect();
        Series::new(name, role, Kind::Area, round(x, x), round(low, high))
    }

    /// Boxes from the second to the fourth of five ordered numbers, with a line at the third and whiskers to the first and the last; each at a
    /// horizontal value, all of one width.
    pub fn boxes(name: &str, role: Role, at: &[f64], width: f64, fives: &[[f64; 5]]) -> Self {
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for (at, [a, b, c, d, e]) in at.iter().zip(fives) {
            let (left, right) = (at - width / 2.0, at + width / 2.0);
            let pieces: [&[[f64; 2]]; 4] = [
                &[[*at, *a], [*at, *b]],
                &[[left, *b], [right, *b], [right, *d], [left, *d], [left, *b]],
                &[[left, *c], [right, *c]],
                &[[*at, *d], [*at, *e]],
            ];
            for piece in pieces {
                x.extend(piece.iter().map(|p| p[0]).chain([*at]));
                y.extend(piece.iter().map(|p| p[1]).chain([f64::NAN]));
            }
        }
        Series::line(name, role, x, y)
    }

    /// A line in three dimensions.
    pub fn curve(name: &str, role: Role, x: Vec<f64>, y: Vec<f64>, z: Vec<f64>) -> Self {
        Series {
            z,
            ..Series::new(name, role, Kind::Line, x, y)
        }
    }
}

/// JSON has no NaN: it is written as `null`, and read back as NaN.
mod nan_as_null {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(values: &[f64], s: S) -> Result<S::Ok, S::Error> {
        values
            .iter()
            .map(|v| v.is_finite().then_some(*v))
            .collect::<Vec<_>>()
            .serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<f64>, D::Error> {
        Ok(Vec::<Option<f64>>::deserialize(d)?
            .into_iter()
            .map(|v| v.unwrap_or(f64::NAN))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_survives_json_with_its_gaps() {
        let panel =
            Panel::new("", Axis::new("t", "s"), Axis::new("d", "1").log()).with(Series::line(
                "a, b",
                Role::Network,
                vec![0.0, 1.0, 2.0],
                vec![1.0, f64::NAN, 0.1],
            ));
        let figure = Figure::new("f", "Figure", "caption").with(panel);
        let text = serde_json::to_string(&figure).unwrap();
        let back: Figure = serde_json::from_str(&text).unwrap();
        assert!(back.panels[0].series[0].y[1].is_nan());
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
        assert_eq!(
            figure.to_csv(),
            "panel,series,x,y\n1,a; b,0,1\n1,a; b,1,NaN\n1,a; b,2,0.1\n"
        );
    }
}
