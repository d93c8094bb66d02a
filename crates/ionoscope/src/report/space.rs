//! Three dimensions on paper: a parallel projection of the box of the data, seen from the side and from above.

use super::{
    axis::Extent,
    figure::{Axis, Panel},
};

/// Where one looks from: turned by 35 degrees about the upward axis, 22 degrees above the horizon.
const AZIMUTH: f64 = 35.0;
const ELEVATION: f64 = 22.0;

/// The box of a panel with three axes and its projection on the unit square (y downward).
pub struct Space {
    extent: [Extent; 3],
    /// Smallest and largest projected value of the box's corners, per axis of the page.
    low: [f64; 2],
    high: [f64; 2],
}

/// A word or number beside an axis.
pub struct Note {
    /// Where, on the unit square.
    pub at: [f64; 2],
    /// Away from the axis, in pixels.
    pub shift: [f64; 2],
    /// What.
    pub text: String,
    /// Whether it is the name of an axis.
    pub strong: bool,
}

type Edge = [[f64; 2]; 2];

/// A point of the unit cube on the plane of the page, y upward.
fn turn(u: [f64; 3]) -> [f64; 2] {
    let (sa, ca) = AZIMUTH.to_radians().sin_cos();
    let (se, ce) = ELEVATION.to_radians().sin_cos();
    let c = u.map(|v| v - 0.5);
    // The box is drawn wider than high: attractors of cells are flat.
    let across = c[0] * ca - c[1] * sa;
    let away = c[0] * sa + c[1] * ca;
    [1.25 * across, 0.9 * c[2] * ce + away * se]
}

impl Space {
    /// The box of a panel; `None` if it has only two axes.
    pub fn of(panel: &Panel) -> Option<Space> {
        let z = panel.z.as_ref()?;
        let extent = [
            Extent::of(
                &panel.x,
                panel.series.iter().flat_map(|s| s.x.iter().copied()),
            ),
            Extent::of(
                &panel.y,
                panel.series.iter().flat_map(|s| s.y.iter().copied()),
            ),
            Extent::of(z, panel.series.iter().flat_map(|s| s.z.iter().copied())),
        ];
        let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
        for corner in 0..8 {
            let p = turn([0, 1, 2].map(|k| f64::from(corner >> k & 1)));
            for i in 0..2 {
                (low[i], high[i]) = (low[i].min(p[i]), high[i].max(p[i]));
            }
        }
        Some(Space { extent, low, high })
    }

    /// A point of the unit cube on the unit square, with room for the words around the box.
    fn place(&self, u: [f64; 3]) -> [f64; 2] {
        let p = turn(u);
        let share = |i: usize| (p[i] - self.low[i]) / (self.high[i] - self.low[i]);
        [0.1 + 0.88 * share(0), 0.88 - 0.84 * share(1)]
    }

    /// A state on the unit square.
    pub fn project(&self, x: [f64; 3]) -> [f64; 2] {
        self.place([0, 1, 2].map(|i| self.extent[i].position(x[i])))
    }

    /// The edges of the floor and of the two walls behind: nothing of the box stands before the curve.
    pub fn edges(&self) -> Vec<Edge> {
        let corners: [[[f64; 3]; 2]; 9] = [
            [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]],
            [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
            [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]],
            [[0.0, 1.0, 0.0], [1.0, 1.0, 0.0]],
            [[0.0, 1.0, 0.0], [0.0, 1.0, 1.0]],
            [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]],
            [[1.0, 0.0, 0.0], [1.0, 0.0, 1.0]],
            [[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]],
            [[1.0, 0.0, 1.0], [1.0, 1.0, 1.0]],
        ];
        corners.map(|e| e.map(|u| self.place(u))).to_vec()
    }

    /// Lines at the ticks on the floor and on the walls behind.
    pub fn grid(&self) -> Vec<Edge> {
        let mut lines = Vec::new();
        for t in self.marks(0) {
            lines.push([[t.0, 0.0, 0.0], [t.0, 1.0, 0.0]]);
            lines.push([[t.0, 1.0, 0.0], [t.0, 1.0, 1.0]]);
        }
        for t in self.marks(1) {
            lines.push([[0.0, t.0, 0.0], [1.0, t.0, 0.0]]);
            lines.push([[1.0, t.0, 0.0], [1.0, t.0, 1.0]]);
        }
        for t in self.marks(2) {
            lines.push([[0.0, 1.0, t.0], [1.0, 1.0, t.0]]);
            lines.push([[1.0, 0.0, t.0], [1.0, 1.0, t.0]]);
        }
        lines
            .into_iter()
            .map(|e| e.map(|u| self.place(u)))
            .collect()
    }

    /// Positions and numbers of the ticks of an axis.
    fn marks(&self, axis: usize) -> Vec<(f64, String)> {
        let extent = &self.extent[axis];
        extent
            .ticks(4)
            .into_iter()
            .filter(|t| !t.label.is_empty())
            .map(|t| (extent.position(t.value), t.label))
            .collect()
    }

    /// Numbers at the ticks and the names of the axes.
    pub fn notes(&self, panel: &Panel) -> Vec<Note> {
        let mut notes = Vec::new();
        let mut axis = |axis: usize,
                        name: Option<&Axis>,
                        along: &dyn Fn(f64) -> [f64; 3],
                        shift: [f64; 2],
                        far: [f64; 2]| {
            for (t, text) in self.marks(axis) {
                notes.push(Note {
                    at: self.place(along(t)),
                    shift,
                    text,
                    strong: false,
                });
            }
            let text = name.map(Axis::text).unwrap_or_default();
            // The upward axis carries its name on top, the others in the middle.
            let at = if axis == 2 { 1.0 } else { 0.5 };
            notes.push(Note {
                at: self.place(along(at)),
                shift: far,
                text,
                strong: true,
            });
        };
        axis(
            0,
            Some(&panel.x),
            &|t| [t, 0.0, 0.0],
            [14.0, 9.0],
            [40.0, 24.0],
        );
        axis(
            1,
            Some(&panel.y),
            &|t| [0.0, t, 0.0],
            [-14.0, 9.0],
            [-40.0, 24.0],
        );
        axis(
            2,
            panel.z.as_ref(),
            &|t| [0.0, 1.0, t],
            [-18.0, 0.0],
            [0.0, -11.0],
        );
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::figure::{Role, Series};

    #[test]
    fn the_box_fills_the_square_and_up_is_up() {
        let panel = Panel::new(
            "",
            Axis::new("x", "").with_range(0.0, 1.0),
            Axis::new("y", "").with_range(0.0, 1.0),
        )
        .with_z(Axis::new("z", "").with_range(0.0, 1.0))
        .with(Series::curve("", Role::Equations, vec![], vec![], vec![]));
        let space = Space::of(&panel).unwrap();
        for [a, b] in space.edges() {
            assert!(a.iter().chain(&b).all(|v| (0.0..=1.0).contains(v)));
        }
        let (low, high) = (
            space.project([0.5, 0.5, 0.0]),
            space.project([0.5, 0.5, 1.0]),
        );
        assert!(high[1] < low[1] && (high[0] - low[0]).abs() < 1e-12);
        // Larger x lies further right.
        assert!(space.project([1.0, 0.0, 0.0])[0] > space.project([0.0, 0.0, 0.0])[0]);
    }
}
