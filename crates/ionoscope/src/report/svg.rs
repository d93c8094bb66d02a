//! A [`Figure`] as SVG: 800 pixels wide, white, one legend, every line thinned to what the eye can see.
//!
//! The text holds no `id`, so that many figures can stand in one page; a panel is a nested `svg` element, which clips by itself.

use std::fmt::Write;

use super::{
    axis::{Extent, Tick},
    figure::{Axis, Figure, Kind, Panel, Role, Scale, Series},
    rich,
    shade::Shade,
    simplify,
    space::Space,
};

/// Width of every figure in pixels.
const WIDTH: f64 = 800.0;
/// Size of letters in pixels.
const FONT: f64 = 12.0;
/// Room right of each panel, for the number at the end of its axis.
const MARGIN: f64 = 18.0;
/// Dropped points lie this near, in pixels, to the line that is drawn.
const TOLERANCE: f64 = 0.12;

/// How a role looks: color, width of the line and its dashes.
struct Look {
    color: &'static str,
    width: f64,
    dash: &'static str,
}

/// Colors after Okabe and Ito, which people with any form of color blindness can tell apart.
fn look(role: Role) -> Look {
    let l = |color, width, dash| Look { color, width, dash };
    match role {
        Role::Equations => l("#1d3557", 1.3, ""),
        Role::Network => l("#e66100", 1.3, "5 4"),
        Role::Orbit => l("#e66100", 1.2, ""),
        Role::Second => l("#009e73", 1.5, "2 2"),
        Role::Third => l("#c05a9d", 1.5, "7 2 1.5 2"),
        Role::Faint(0) => l("#f4b183", 0.9, ""),
        Role::Faint(1) => l("#93d3bf", 0.9, ""),
        Role::Faint(_) => l("#dfb3cf", 0.9, ""),
        Role::Data => l("#7a9cc6", 1.0, ""),
        Role::Guide => l("#9a9a9a", 1.0, "3 3"),
    }
}

/// The figure as SVG text.
pub fn draw(figure: &Figure) -> String {
    let columns = figure.columns.clamp(1, figure.panels.len().max(1));
    let rows = figure.panels.len().div_ceil(columns);
    let frames: Vec<Frame> = figure.panels.iter().map(Frame::of).collect();
    let left: Vec<f64> = (0..columns)
        .map(|c| {
            frames
                .iter()
                .skip(c)
                .step_by(columns)
                .map(|f| f.left)
                .fold(30.0, f64::max)
        })
        .collect();
    let inner = (WIDTH - left.iter().sum::<f64>() - MARGIN * columns as f64) / columns as f64;
    let mut body = String::new();
    let legend = legend(figure, &mut body);
    let mut y = legend;
    for row in 0..rows {
        let range = row * columns..((row + 1) * columns).min(figure.panels.len());
        let titled = range.clone().any(|k| !figure.panels[k].title.is_empty())
            || (figure.panels.len() > 1 && (row == 0 || !figure.share_x));
        let height = range
            .clone()
            .map(|k| figure.panels[k].height)
            .fold(0.0, f64::max);
        let top = y + if titled { 22.0 } else { 8.0 };
        let mut labeled = false;
        let mut x = 0.0;
        for k in range {
            x += left[k % columns];
            let last = k + columns >= figure.panels.len();
            let below = last || !figure.share_x;
            labeled |= below;
            let area = Area {
                x,
                y: top,
                width: inner,
                height,
            };
            frames[k].draw(
                &mut body,
                &figure.panels[k],
                &area,
                below,
                left[k % columns],
            );
            heading(&mut body, figure, k, &area);
            x += inner + MARGIN;
        }
        let flat = figure.panels[row * columns..]
            .iter()
            .take(columns)
            .any(|p| p.z.is_none());
        y = top + height + if labeled && flat { 40.0 } else { 4.0 };
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {y:.0}\" width=\"{WIDTH:.0}\" height=\"{y:.0}\" role=\"img\" \
         font-family=\"system-ui,'Segoe UI','DejaVu Sans',Helvetica,Arial,sans-serif\" font-size=\"{FONT}\" fill=\"#222\">\
         <title>{}</title><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>{body}</svg>\n",
        rich::escape(&rich::plain(&figure.title))
    )
}

/// Where the axes of a panel stand.
struct Area {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// The letter and the title of a panel.
fn heading(out: &mut String, figure: &Figure, k: usize, area: &Area) {
    let title = rich::svg(&figure.panels[k].title);
    let letter = if figure.panels.len() > 1 {
        char::from(b'a' + (k % 26) as u8).to_string()
    } else {
        String::new()
    };
    if letter.is_empty() && title.is_empty() {
        return;
    }
    // Panels stacked without room between them carry their letter inside.
    let (x, y) = if title.is_empty() && figure.share_x && k >= figure.columns {
        (area.x + 6.0, area.y + 15.0)
    } else {
        (area.x, area.y - 7.0)
    };
    let gap = if letter.is_empty() || title.is_empty() {
        ""
    } else {
        "\u{2002}"
    };
    let _ = write!(
        out,
        r##"<text x="{x:.1}" y="{y:.1}" paint-order="stroke" stroke="#fff" stroke-width="4"><tspan font-weight="bold">{letter}</tspan>{gap}{title}</text>"##
    );
}

/// Draws the legend, on top, and returns how much height it takes.
fn legend(figure: &Figure, out: &mut String) -> f64 {
    let mut entries: Vec<(&str, Option<(Role, Kind)>)> = Vec::new();
    for panel in &figure.panels {
        let series = panel
            .series
            .iter()
            .map(|s| (s.name.as_str(), Some((s.role, s.kind))));
        for entry in series.chain(panel.bands.iter().map(|b| (b.name.as_str(), None))) {
            if !entry.0.is_empty() && !entries.iter().any(|e| e.0 == entry.0) {
                entries.push(entry);
            }
        }
    }
    let mut shades: Vec<&Shade> = Vec::new();
    for shade in figure.panels.iter().filter_map(|p| p.shade.as_ref()) {
        let same =
            |s: &&Shade| (&s.label, &s.unit, s.range) == (&shade.label, &shade.unit, shade.range);
        if !shades.iter().any(same) {
            shades.push(shade);
        }
    }
    if entries.is_empty() && shades.is_empty() {
        return 0.0;
    }
    let (mut x, mut y) = (40.0, 15.0);
    for shade in shades {
        let [low, high] = shade.range.map(|v| {
            format!("{v:.3}")
                .trim_end_matches('0')
                .trim_end_matches('.')
                .to_owned()
        });
        let label = Axis::new(&shade.label, &shade.unit).text();
        let [before, first, last] =
            [label.as_str(), &low, &high].map(|t| FONT * rich::width(t) + 14.0);
        let width = before + first + 126.0 + last + 18.0;
        if x + width > WIDTH && x > 40.0 {
            (x, y) = (40.0, y + 19.0);
        }
        let at = x + before + first;
        let _ = write!(
            out,
            r#"<text x="{x:.1}" y="{y:.1}">{}</text><text x="{:.1}" y="{y:.1}" text-anchor="end">{low}</text><image x="{at:.1}" y="{:.1}" width="120" height="11" preserveAspectRatio="none" href="{}"/><text x="{:.1}" y="{y:.1}">{high}</text>"#,
            rich::svg(&label),
            at - 6.0,
            y - 9.5,
            Shade::scale(),
            at + 126.0
        );
        x += width;
    }
    for (name, sample) in entries {
        let width = 34.0 + FONT * rich::width(name) + 18.0;
        if x + width > WIDTH && x > 40.0 {
            (x, y) = (40.0, y + 19.0);
        }
        match sample {
            Some((role, Kind::Points)) => {
                let _ = write!(
                    out,
                    r#"<circle cx="{:.1}" cy="{:.1}" r="2.6" fill="{}"/>"#,
                    x + 14.0,
                    y - 4.0,
                    look(role).color
                );
            }
            Some((role, Kind::Area)) => {
                let color = look(role).color;
                let _ = write!(
                    out,
                    r#"<rect x="{x:.1}" y="{:.1}" width="28" height="11" fill="{color}" fill-opacity=".55"/>"#,
                    y - 9.5
                );
            }
            Some((role, _)) => {
                let look = look(role);
                let _ = write!(
                    out,
                    r#"<path d="M{x:.1} {:.1}h28" stroke="{}" stroke-width="{}"{} fill="none"/>"#,
                    y - 4.0,
                    look.color,
                    look.width.max(1.4),
                    dashes(look.dash)
                );
            }
            None => {
                let _ = write!(
                    out,
                    r##"<rect x="{x:.1}" y="{:.1}" width="28" height="11" fill="#e9eef5"/>"##,
                    y - 9.5
                );
            }
        }
        let _ = write!(
            out,
            r#"<text x="{:.1}" y="{y:.1}">{}</text>"#,
            x + 34.0,
            rich::svg(name)
        );
        x += width;
    }
    y + 5.0
}

fn dashes(dash: &str) -> String {
    if dash.is_empty() {
        String::new()
    } else {
        format!(r#" stroke-dasharray="{dash}""#)
    }
}

/// The axes of a panel, before it is known where they stand.
enum Axes {
    Plane { x: Extent, y: Extent },
    Space(Space),
}

struct Frame {
    axes: Axes,
    /// Room for what stands left of the axes, in pixels.
    left: f64,
}

impl Frame {
    fn of(panel: &Panel) -> Frame {
        if let Some(space) = Space::of(panel) {
            return Frame {
                axes: Axes::Space(space),
                left: 10.0,
            };
        }
        let x = Extent::of(
            &panel.x,
            panel.series.iter().flat_map(|s| s.x.iter().copied()),
        );
        // A line that runs beyond a fixed range of x does not stretch y.
        let inside = |s: &Series| {
            s.x.iter()
                .copied()
                .zip(s.y.iter().copied())
                .filter(|(v, _)| (x.low..=x.high).contains(v))
                .map(|(_, v)| v)
                .collect::<Vec<_>>()
        };
        let y = Extent::of(&panel.y, panel.series.iter().flat_map(inside));
        let widest = y
            .ticks(y_ticks(panel.height))
            .iter()
            .map(|t| rich::width(&t.label))
            .fold(0.0, f64::max);
        Frame {
            axes: Axes::Plane { x, y },
            left: 11.0 * widest + 34.0,
        }
    }

    fn draw(&self, out: &mut String, panel: &Panel, area: &Area, below: bool, left: f64) {
        let (x, y) = match &self.axes {
            Axes::Plane { x, y } => (x, y),
            Axes::Space(space) => return draw_space(out, panel, space, area),
        };
        let x_ticks = match &panel.x.names[..] {
            [] => x.ticks(
                (area.width
                    / if panel.x.scale == Scale::Log {
                        45.0
                    } else {
                        75.0
                    }) as usize,
            ),
            names => (1..)
                .zip(names)
                .map(|(k, name)| Tick {
                    value: f64::from(k),
                    label: name.clone(),
                })
                .collect(),
        };
        let y_ticks = y.ticks(y_ticks(area.height));
        for band in &panel.bands {
            let [a, b] = band.x.map(|v| x.position(v).clamp(0.0, 1.0) * area.width);
            if b > a {
                let (left, width) = (area.x + a, b - a);
                let _ = write!(
                    out,
                    r##"<rect x="{left:.1}" y="{:.1}" width="{width:.1}" height="{:.1}" fill="#e9eef5"/>"##,
                    area.y, area.height
                );
            }
        }
        let mut grid = String::new();
        for (tick, at) in labeled(&x_ticks).map(|t| (t, area.x + x.position(t.value) * area.width))
        {
            let _ = write!(grid, "M{at:.1} {:.1}v{:.1}", area.y, area.height);
            if below {
                let (y, label) = (area.y + area.height + 16.0, rich::svg(&tick.label));
                let _ = write!(
                    out,
                    r#"<text x="{at:.1}" y="{y:.1}" font-size="11" text-anchor="middle">{label}</text>"#
                );
            }
        }
        for (tick, at) in
            labeled(&y_ticks).map(|t| (t, area.y + (1.0 - y.position(t.value)) * area.height))
        {
            let _ = write!(grid, "M{:.1} {at:.1}h{:.1}", area.x, area.width);
            let (x, y, label) = (area.x - 6.0, at + 4.0, rich::svg(&tick.label));
            let _ = write!(
                out,
                r#"<text x="{x:.1}" y="{y:.1}" font-size="11" text-anchor="end">{label}</text>"#
            );
        }
        let _ = write!(out, r##"<path d="{grid}" stroke="#ececec" fill="none"/>"##);
        let _ = write!(
            out,
            r#"<svg x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}">"#,
            area.x, area.y, area.width, area.height
        );
        if let Some(shade) = &panel.shade {
            let [a, b] = shade.x.map(|v| x.position(v) * area.width);
            let [c, d] = shade.y.map(|v| (1.0 - y.position(v)) * area.height);
            // A rectangle whose axis runs the other way is mirrored.
            let (flip_x, flip_y) = (if b < a { -1 } else { 1 }, if d > c { -1 } else { 1 });
            let _ = write!(
                out,
                r#"<image transform="translate({a:.1} {d:.1}) scale({flip_x} {flip_y})" width="{:.1}" height="{:.1}" preserveAspectRatio="none" style="image-rendering:pixelated" href="{}"/>"#,
                (b - a).abs(),
                (c - d).abs(),
                shade.picture()
            );
        }
        for s in &panel.series {
            let points: Vec<[f64; 2]> =
                s.x.iter()
                    .zip(&s.y)
                    .map(|(a, b)| {
                        [
                            x.position(*a) * area.width,
                            (1.0 - y.position(*b)) * area.height,
                        ]
                    })
                    .collect();
            draw_series(out, s, &points, area);
        }
        out.push_str("</svg>");
        let mut small = String::new();
        for t in y_ticks.iter().filter(|t| t.label.is_empty()) {
            let _ = write!(
                small,
                "M{:.1} {:.1}h3",
                area.x,
                area.y + (1.0 - y.position(t.value)) * area.height
            );
        }
        for t in x_ticks.iter().filter(|t| t.label.is_empty()) {
            let _ = write!(
                small,
                "M{:.1} {:.1}v-3",
                area.x + x.position(t.value) * area.width,
                area.y + area.height
            );
        }
        let _ = write!(
            out,
            r##"<path d="M{:.1} {:.1}h{:.1}v{:.1}h-{:.1}z{small}" stroke="#777" fill="none"/>"##,
            area.x, area.y, area.width, area.height, area.width
        );
        if below {
            let (at, y) = (area.x + area.width / 2.0, area.y + area.height + 33.0);
            let _ = write!(
                out,
                r#"<text x="{at:.1}" y="{y:.1}" text-anchor="middle">{}</text>"#,
                rich::svg(&panel.x.text())
            );
        }
        let (at, y) = (area.x - left + 14.0, area.y + area.height / 2.0);
        let _ = write!(
            out,
            r#"<text transform="translate({at:.1} {y:.1}) rotate(-90)" text-anchor="middle">{}</text>"#,
            rich::svg(&panel.y.text())
        );
    }
}

fn labeled(ticks: &[Tick]) -> impl Iterator<Item = &Tick> {
    ticks.iter().filter(|t| !t.label.is_empty())
}

fn y_ticks(height: f64) -> usize {
    ((height / 30.0) as usize).max(3)
}

/// Draws one series, given its points in pixels within `area`.
fn draw_series(out: &mut String, s: &Series, points: &[[f64; 2]], area: &Area) {
    let look = look(s.role);
    if s.kind == Kind::Points {
        let inside = |p: &[f64; 2]| {
            (-3.0..area.width + 3.0).contains(&p[0]) && (-3.0..area.height + 3.0).contains(&p[1])
        };
        let dots: Vec<[f64; 2]> = points.iter().filter(|p| inside(p)).copied().collect();
        draw_dots(out, &dots, look.color);
        return;
    }
    let stairs: Vec<[f64; 2]>;
    let points = if s.kind == Kind::Steps {
        stairs = points
            .windows(2)
            .flat_map(|w| [w[0], [w[1][0], w[0][1]]])
            .collect();
        &stairs
    } else {
        points
    };
    let mut path = String::new();
    let mut pen = Pen::default();
    // What lies far outside is drawn just outside: numbers stay short.
    let bound = |p: [f64; 2]| {
        [
            p[0].clamp(-50.0, area.width + 50.0),
            p[1].clamp(-3.0 * area.height, 4.0 * area.height),
        ]
    };
    for run in points
        .split(|p| !(p[0].is_finite() && p[1].is_finite()))
        .filter(|r| !r.is_empty())
    {
        let near: Vec<[f64; 2]> = run.iter().map(|p| bound(*p)).collect();
        let kept = simplify::polyline(&near, TOLERANCE);
        pen.jump(&mut path, kept[0]);
        // A value between two gaps is still seen.
        if kept.len() == 1 {
            path.push_str("h.1");
        }
        kept[1..].iter().for_each(|p| pen.line(&mut path, *p));
    }
    if s.kind == Kind::Area {
        let _ = write!(
            out,
            r#"<path d="{path}z" fill="{}" fill-opacity=".55"/>"#,
            look.color
        );
        return;
    }
    let _ = write!(
        out,
        r#"<path d="{path}" stroke="{}" stroke-width="{}"{} stroke-linejoin="round" fill="none"/>"#,
        look.color,
        look.width,
        dashes(look.dash)
    );
}

/// Draws dots as one path of round pieces of no length, far shorter than a list of circles. Many dots are a cloud: one a cell of a fine
/// grid, neighbors in a row joined.
fn draw_dots(out: &mut String, dots: &[[f64; 2]], color: &str) {
    const CELL: f64 = 1.2;
    let mut path = String::new();
    let mut pen = Pen::default();
    let cloud = dots.len() > 300;
    if cloud {
        let mut cells: Vec<[i64; 2]> = dots
            .iter()
            .map(|p| [p[1], p[0]].map(|v| (v / CELL).round() as i64))
            .collect();
        cells.sort_unstable();
        cells.dedup();
        for run in cells.chunk_by(|a, b| a[0] == b[0] && a[1] + 1 == b[1]) {
            pen.jump(
                &mut path,
                [run[0][1] as f64 * CELL, run[0][0] as f64 * CELL],
            );
            path.push('h');
            tenths(
                &mut path,
                (10.0 * CELL * (run.len() - 1) as f64).round() as i64,
                true,
            );
        }
    } else {
        for p in dots {
            pen.jump(&mut path, *p);
            path.push_str("h0");
        }
    }
    let width = if cloud { 1.6 } else { 5.0 };
    let _ = write!(
        out,
        r#"<path d="{path}" stroke="{color}" stroke-width="{width}" stroke-linecap="round" fill="none"/>"#
    );
}

/// Writes a path in tenths of a pixel, each point relative to the one written before it, so that rounding does not add up.
#[derive(Default)]
struct Pen {
    at: [i64; 2],
}

impl Pen {
    fn jump(&mut self, path: &mut String, p: [f64; 2]) {
        self.at = p.map(|v| (10.0 * v).round() as i64);
        path.push('M');
        tenths(path, self.at[0], true);
        tenths(path, self.at[1], false);
    }

    fn line(&mut self, path: &mut String, p: [f64; 2]) {
        let next = p.map(|v| (10.0 * v).round() as i64);
        if next != self.at {
            path.push('l');
            tenths(path, next[0] - self.at[0], true);
            tenths(path, next[1] - self.at[1], false);
            self.at = next;
        }
    }
}

/// Appends a number given in tenths, as short as SVG allows.
fn tenths(path: &mut String, v: i64, first: bool) {
    if v < 0 {
        path.push('-');
    } else if !first {
        path.push(' ');
    }
    let (whole, tenth) = (v.abs() / 10, v.abs() % 10);
    let _ = match (whole, tenth) {
        (w, 0) => write!(path, "{w}"),
        (0, t) => write!(path, ".{t}"),
        (w, t) => write!(path, "{w}.{t}"),
    };
}

/// Draws a panel with three axes.
fn draw_space(out: &mut String, panel: &Panel, space: &Space, area: &Area) {
    let place = |p: [f64; 2]| [area.x + p[0] * area.width, area.y + p[1] * area.height];
    let mut back = String::new();
    for edge in space.grid() {
        let [a, b] = edge.map(place);
        let _ = write!(back, "M{:.1} {:.1}L{:.1} {:.1}", a[0], a[1], b[0], b[1]);
    }
    let _ = write!(out, r##"<path d="{back}" stroke="#ececec" fill="none"/>"##);
    let mut box_edges = String::new();
    for edge in space.edges() {
        let [a, b] = edge.map(place);
        let _ = write!(
            box_edges,
            "M{:.1} {:.1}L{:.1} {:.1}",
            a[0], a[1], b[0], b[1]
        );
    }
    let _ = write!(
        out,
        r##"<path d="{box_edges}" stroke="#999" fill="none"/>"##
    );
    for note in space.notes(panel) {
        let p = place(note.at);
        let _ = write!(
            out,
            r#"<text x="{:.1}" y="{:.1}" font-size="{}" text-anchor="middle">{}</text>"#,
            p[0] + note.shift[0],
            p[1] + note.shift[1] + 4.0,
            if note.strong { FONT } else { 10.5 },
            rich::svg(&note.text)
        );
    }
    let _ = write!(
        out,
        r#"<svg x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}">"#,
        area.x, area.y, area.width, area.height
    );
    for s in &panel.series {
        let points: Vec<[f64; 2]> = (0..s.x.len().min(s.y.len()).min(s.z.len()))
            .map(|i| space.project([s.x[i], s.y[i], s.z[i]]))
            .map(|p| [p[0] * area.width, p[1] * area.height])
            .collect();
        draw_series(out, s, &points, area);
    }
    out.push_str("</svg>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::figure::Axis;

    fn dense() -> Figure {
        let t: Vec<f64> = (0..20_000).map(|i| f64::from(i) * 0.001).collect();
        let v: Vec<f64> = t
            .iter()
            .map(|t| -50.0 + 20.0 * (14.0 * t).sin().powi(9))
            .collect();
        let panel = |name: &str| {
            Panel::new(name, Axis::new("t", "s"), Axis::new("V", "mV"))
                .with(Series::line(
                    "equations",
                    Role::Equations,
                    t.clone(),
                    v.clone(),
                ))
                .with(Series::line(
                    "network <1> & \"2\"",
                    Role::Network,
                    t.clone(),
                    v.clone(),
                ))
                .with_band([3.0, 5.0], "a band")
        };
        let cloud = Panel::new(
            "",
            Axis::new("V_{S}", "mV"),
            Axis::new("distance", "1").log(),
        )
        .with(Series::points(
            "data",
            Role::Data,
            t.clone(),
            v.iter().map(|v| 10f64.powf(v / 10.0)).collect(),
        ));
        let attractor = Panel::new("c", Axis::new("V", "mV"), Axis::new("n", "1"))
            .with_z(Axis::new("S", "1"))
            .with_height(300.0)
            .with(Series::curve(
                "equations",
                Role::Equations,
                v.clone(),
                t.iter().map(|t| t.cos()).collect(),
                t.clone(),
            ));
        let gaps = vec![f64::NAN, 1.0, f64::NAN, 2.0, 3.0];
        let gaps = Panel::new("", Axis::new("x", "1"), Axis::new("y", "1"))
            .with(Series::line(
                "",
                Role::Second,
                vec![0.0, 1.0, 2.0, 3.0, 4.0],
                gaps.clone(),
            ))
            .with(Series::steps(
                "",
                Role::Third,
                vec![0.0, 1.0, 2.0, 3.0, 4.0],
                gaps,
            ));
        let empty = Panel::new("nothing", Axis::new("x", ""), Axis::new("y", "").log());
        let panels = vec![panel("a < b"), panel("b"), cloud, attractor, gaps, empty];
        Figure {
            panels,
            ..Figure::new("f", "Figure & more", "caption").with_columns(2)
        }
    }

    #[test]
    fn the_text_is_well_formed_small_and_without_ids() {
        let svg = draw(&dense());
        let document = roxmltree::Document::parse(&svg).expect("well-formed");
        assert!(document.descendants().all(|n| n.attribute("id").is_none()));
        assert!(
            document
                .descendants()
                .any(|n| n.text() == Some("network <1> & \"2\""))
        );
        assert!(
            !svg.contains("NaN") && !svg.contains("inf"),
            "a number that cannot be drawn"
        );
        assert!(
            svg.len() < 200_000,
            "{} bytes for 120 000 points",
            svg.len()
        );
    }

    #[test]
    fn everything_lies_on_the_page() {
        let svg = draw(&dense());
        let document = roxmltree::Document::parse(&svg).unwrap();
        let [.., width, height] = document
            .root_element()
            .attribute("viewBox")
            .unwrap()
            .split(' ')
            .map(|v| v.parse::<f64>().unwrap())
            .collect::<Vec<_>>()[..]
        else {
            panic!("viewBox")
        };
        for node in document
            .descendants()
            .filter(|n| n.has_tag_name("text") && n.attribute("x").is_some())
        {
            let at = |name| node.attribute(name).unwrap().parse::<f64>().unwrap();
            assert!(
                (0.0..=width).contains(&at("x")) && (0.0..=height).contains(&at("y")),
                "{:?}",
                node.text()
            );
        }
    }

    #[test]
    fn a_path_is_drawn_where_its_points_are() {
        let panel = Panel::new(
            "",
            Axis::new("x", "").with_range(0.0, 1.0),
            Axis::new("y", "").with_range(0.0, 1.0),
        )
        .with(Series::line(
            "",
            Role::Equations,
            vec![0.0, 0.5, 1.0],
            vec![0.0, 1.0, 0.0],
        ));
        let svg = draw(&Figure::new("f", "", "").with(panel));
        // The panel is 150 high: from the lower left up to the middle of the top and down again.
        let path = svg
            .split("<path d=\"")
            .find(|p| p.starts_with("M0 150"))
            .expect("a path from the lower left");
        let end = path.split('"').next().unwrap();
        assert!(end.contains("-150l") && end.ends_with(" 150"), "{end}");
    }

    #[test]
    fn an_empty_figure_is_still_a_picture() {
        roxmltree::Document::parse(&draw(&Figure::new("f", "", ""))).unwrap();
    }
}
