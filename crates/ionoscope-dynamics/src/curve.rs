//! One variable over continuous time: what an integrator knows between its steps.
//!
//! An integrator has a polynomial for every step it took, its continuous extension. A [`Curve`] keeps those of one variable, step by step, so that
//! crossings, peaks and slopes can be found on the solution itself, without samples. Steps end at every switch of the stimulus, so a corner of the
//! variable is always between two pieces.

/// Number of terms of a piece: its degree, that of the extension of the highest order, and one.
pub const TERMS: usize = 8;

/// Numbers in states at switches that are kept.
const MOST_KEPT: usize = 1 << 20;

/// A polynomial of degree 7 on `[start, start + length]`, in the form of Bernstein: at a share s of the length it is
/// `value + sum_k terms[k] C(7, k) s^k (1 - s)^(7 - k)`. It lies between the smallest and the largest of `value + terms[k]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePiece {
    /// Where it begins.
    pub start: f64,
    /// How long it is; not 0.
    pub length: f64,
    /// The value at its start.
    pub value: f64,
    /// Terms, relative to the value at the start; the first is 0.
    pub terms: [f64; TERMS],
}

impl CurvePiece {
    /// The cubic with these values and slopes at its ends (Hermite).
    pub fn cubic(start: f64, length: f64, values: [f64; 2], slopes: [f64; 2]) -> Self {
        let change = values[1] - values[0];
        let [from, to] = slopes.map(|s| s * length / 3.0);
        CurvePiece {
            start,
            length,
            value: values[0],
            terms: elevated([0.0, from, change - to, change]),
        }
    }

    /// The value at a share `s` of the length.
    pub fn at(&self, s: f64) -> f64 {
        self.value + casteljau(self.terms, s)
    }

    /// The derivative by time at a share `s` of the length.
    pub fn slope(&self, s: f64) -> f64 {
        let steps: [f64; TERMS - 1] = std::array::from_fn(|k| self.terms[k + 1] - self.terms[k]);
        (TERMS - 1) as f64 * casteljau(steps, s) / self.length
    }

    /// What is left of it from a share `s` of its length on.
    fn rest_after(&self, s: f64) -> CurvePiece {
        let mut terms = self.terms;
        // The last column of de Casteljau's triangle.
        for round in 1..TERMS {
            for k in 0..TERMS - round {
                terms[k] += s * (terms[k + 1] - terms[k]);
            }
        }
        let first = terms[0];
        CurvePiece {
            start: self.start + s * self.length,
            length: (1.0 - s) * self.length,
            value: self.value + first,
            terms: terms.map(|term| term - first),
        }
    }
}

/// The polynomial with these terms at `s` (de Casteljau).
fn casteljau<const N: usize>(mut terms: [f64; N], s: f64) -> f64 {
    for round in 1..N {
        for k in 0..N - round {
            terms[k] += s * (terms[k + 1] - terms[k]);
        }
    }
    terms[0]
}

/// The same polynomial with more terms.
pub(crate) fn elevated<const N: usize>(terms: [f64; N]) -> [f64; TERMS] {
    let mut all = [0.0; TERMS];
    all[..N].copy_from_slice(&terms);
    for degree in N..TERMS {
        // From degree - 1 to degree.
        all[degree] = all[degree - 1];
        for k in (1..degree).rev() {
            let share = k as f64 / degree as f64;
            all[k] = share * all[k - 1] + (1.0 - share) * all[k];
        }
    }
    all
}

/// What a nested polynomial multiplies by.
pub(crate) enum Factor {
    /// s
    Share,
    /// 1 - s
    Rest,
}

/// Terms of the polynomial times s or 1 - s, plus a constant; `terms` of them are there before.
pub(crate) fn nest(all: &mut [f64; TERMS], terms: usize, factor: &Factor, plus: f64) {
    let degree = terms as f64;
    match factor {
        Factor::Share => {
            for k in (1..=terms).rev() {
                all[k] = k as f64 / degree * all[k - 1];
            }
            all[0] = 0.0;
        }
        Factor::Rest => {
            all[terms] = 0.0;
            for (k, term) in all[..terms].iter_mut().enumerate() {
                *term *= (degree - k as f64) / degree;
            }
        }
    }
    all[..=terms].iter_mut().for_each(|term| *term += plus);
}

/// A variable over time: pieces that follow each other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curve {
    pieces: Vec<CurvePiece>,
    /// Time and value at the end.
    end: [f64; 2],
    /// Times of switches of the stimulus, and the whole states there.
    switches: Vec<(f64, Vec<f64>)>,
}

impl Curve {
    /// The pieces, in the order of time; each begins where the one before ends.
    pub fn pieces(&self) -> &[CurvePiece] {
        &self.pieces
    }

    /// Time and value at the end.
    pub fn end(&self) -> [f64; 2] {
        self.end
    }

    /// Times at which the stimulus switches, and the whole states there; no more than the first so many as fill 8 MiB.
    pub fn switches(&self) -> &[(f64, Vec<f64>)] {
        &self.switches
    }

    /// Adds a state at a switch.
    pub(crate) fn switch(&mut self, t: f64, state: impl Iterator<Item = f64>) {
        let kept = self
            .switches
            .first()
            .map_or(0, |s| s.1.len() * self.switches.len());
        if kept < MOST_KEPT {
            self.switches.push((t, state.collect()));
        }
    }

    /// Adds a piece, which ends at `end` (time and value).
    pub fn push(&mut self, piece: CurvePiece, end: [f64; 2]) {
        self.pieces.push(piece);
        self.end = end;
    }

    /// As [`Curve::push`], and cuts off what lies before `start`.
    pub(crate) fn push_from(&mut self, start: f64, piece: CurvePiece, end: [f64; 2]) {
        if piece.start >= start {
            return self.push(piece, end);
        }
        let mut rest = piece.rest_after((start - piece.start) / piece.length);
        (rest.start, rest.length) = (start, end[0] - start);
        self.push(rest, end);
    }

    /// Adds another curve, moved by `shift` in time, which begins where this one ends.
    pub fn append(&mut self, next: &Curve, shift: f64) {
        self.pieces.extend(next.pieces.iter().map(|p| CurvePiece {
            start: p.start + shift,
            ..*p
        }));
        self.switches
            .extend(next.switches.iter().map(|(t, x)| (t + shift, x.clone())));
        self.end = [next.end[0] + shift, next.end[1]];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_the_polynomial_that_it_was_made_of() {
        // 1 + 2 t - t^3 on [3, 5], t = 2 s.
        let f = |t: f64| 1.0 + 2.0 * t - t * t * t;
        let slope = |t: f64| 2.0 - 3.0 * t * t;
        let piece = CurvePiece::cubic(3.0, 2.0, [f(0.0), f(2.0)], [slope(0.0), slope(2.0)]);
        let rest = piece.rest_after(0.3);
        assert_eq!([rest.start, rest.length], [3.6, 1.4]);
        for k in 0..=10 {
            let s = f64::from(k) / 10.0;
            assert!(
                (piece.at(s) - f(2.0 * s)).abs() < 1e-14
                    && (piece.slope(s) - slope(2.0 * s)).abs() < 1e-13,
                "{s}"
            );
            assert!((rest.at(s) - f(0.6 + 1.4 * s)).abs() < 1e-14, "{s}");
        }
    }

    #[test]
    fn nesting_multiplies() {
        // 5 + s (4 + (1 - s) (3 + s 2))
        let mut terms = [2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        nest(&mut terms, 1, &Factor::Share, 3.0);
        nest(&mut terms, 2, &Factor::Rest, 4.0);
        nest(&mut terms, 3, &Factor::Share, 5.0);
        let all = elevated([terms[0], terms[1], terms[2], terms[3]]);
        for s in [0.0, 0.25, 0.5, 1.0] {
            let want = 5.0 + s * (4.0 + (1.0 - s) * (3.0 + s * 2.0));
            assert!((casteljau(all, s) - want).abs() < 1e-14, "{s}");
        }
    }
}
