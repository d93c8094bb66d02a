//! Gaussian elimination of (I / (h gamma) - J) for many lanes, planned once from the pattern of J.
//!
//! Pivots are taken from the diagonal in an order that makes little fill (Markowitz 1957), without regard to size, as is usual for the
//! Jacobians of reaction systems (Sandu and others, KPP): for steps that follow the solution the diagonal dominates, and where it does not,
//! the step's error is large and the step is rejected. The gates of a cell each meet only the potential, so that of the 41 x 41 entries of a
//! ventricular cell a tenth are left.

use crate::real::{Lane, Real};

/// One pivot: where its entries are. Positions are those in the storage of the factors.
#[derive(Debug, Clone)]
struct Pivot {
    /// Its variable.
    variable: u16,
    /// Position of the diagonal, which holds the reciprocal after elimination.
    diagonal: u16,
    /// Entries below: position and row.
    lower: Vec<(u16, u16)>,
    /// Entries to the right: position and column.
    upper: Vec<(u16, u16)>,
    /// For each entry below, for each entry to the right: the position of where they meet.
    meet: Vec<u16>,
}

/// The plan of an elimination.
#[derive(Debug, Clone)]
pub(crate) struct Elimination {
    pivots: Vec<Pivot>,
    /// Position of each entry of the Jacobian.
    entries: Vec<u16>,
    size: usize,
}

impl Elimination {
    /// Plans for matrices of this dimension with these entries (row, column); the diagonal is always there.
    pub fn new(dimension: usize, entries: &[(u16, u16)]) -> Self {
        let mut at = vec![vec![None; dimension]; dimension];
        let mut size = 0u16;
        let mut place = |at: &mut Vec<Vec<Option<u16>>>, i: usize, j: usize| {
            *at[i][j].get_or_insert_with(|| {
                size += 1;
                size - 1
            })
        };
        for i in 0..dimension {
            place(&mut at, i, i);
        }
        let positions = entries
            .iter()
            .map(|(i, j)| place(&mut at, usize::from(*i), usize::from(*j)))
            .collect();
        let mut left: Vec<usize> = (0..dimension).collect();
        let mut pivots = Vec::new();
        while !left.is_empty() {
            let others = |k: usize, f: &dyn Fn(usize) -> bool| {
                left.iter().filter(|i| **i != k && f(**i)).count()
            };
            let cost =
                |k: usize| others(k, &|i| at[i][k].is_some()) * others(k, &|j| at[k][j].is_some());
            let Some(chosen) = (0..left.len()).min_by_key(|c| (cost(left[*c]), left[*c])) else {
                break;
            };
            let k = left.remove(chosen);
            let rows: Vec<usize> = left
                .iter()
                .copied()
                .filter(|i| at[*i][k].is_some())
                .collect();
            let columns: Vec<usize> = left
                .iter()
                .copied()
                .filter(|j| at[k][*j].is_some())
                .collect();
            let mut meet = Vec::new();
            for &i in &rows {
                for &j in &columns {
                    meet.push(place(&mut at, i, j));
                }
            }
            let named = |list: &[usize], f: &dyn Fn(usize) -> Option<u16>| {
                list.iter()
                    .filter_map(|i| f(*i).map(|p| (p, *i as u16)))
                    .collect()
            };
            pivots.push(Pivot {
                variable: k as u16,
                diagonal: at[k][k].unwrap_or_default(),
                lower: named(&rows, &|i| at[i][k]),
                upper: named(&columns, &|j| at[k][j]),
                meet,
            });
        }
        Elimination {
            pivots,
            entries: positions,
            size: size.into(),
        }
    }

    /// Numbers that the factors take.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Factors `diagonal` I - J, with the entries of J in the order in which they were announced, into `lu`.
    #[inline(always)]
    pub fn factor<const W: usize>(
        &self,
        diagonal: Lane<W>,
        jacobian: &[Lane<W>],
        lu: &mut [Lane<W>],
    ) {
        for position in lu.iter_mut() {
            *position = Lane([0.0; W]);
        }
        for (position, value) in self.entries.iter().zip(jacobian) {
            lu[*position as usize] = -*value;
        }
        for pivot in &self.pivots {
            let d = pivot.diagonal as usize;
            lu[d] = lu[d] + diagonal;
        }
        for pivot in &self.pivots {
            let reciprocal = Lane::constant(1.0) / lu[pivot.diagonal as usize];
            lu[pivot.diagonal as usize] = reciprocal;
            let mut meet = pivot.meet.iter();
            for &(below, _) in &pivot.lower {
                let factor = lu[below as usize] * reciprocal;
                lu[below as usize] = factor;
                for (&(right, _), to) in pivot.upper.iter().zip(&mut meet) {
                    lu[*to as usize] = lu[*to as usize] - factor * lu[right as usize];
                }
            }
        }
    }

    /// Solves for the right-hand side `b`, in place.
    #[inline(always)]
    pub fn solve<const W: usize>(&self, lu: &[Lane<W>], b: &mut [Lane<W>]) {
        for pivot in &self.pivots {
            let known = b[pivot.variable as usize];
            for &(below, row) in &pivot.lower {
                b[row as usize] = b[row as usize] - lu[below as usize] * known;
            }
        }
        for pivot in self.pivots.iter().rev() {
            let mut sum = b[pivot.variable as usize];
            for &(right, column) in &pivot.upper {
                sum = sum - lu[right as usize] * b[column as usize];
            }
            b[pivot.variable as usize] = sum * lu[pivot.diagonal as usize];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pattern with an arrow and some couplings, numbers from a recurrence.
    fn case(n: usize) -> (Vec<(u16, u16)>, Vec<f64>) {
        let mut entries = Vec::new();
        for i in 0..n {
            for j in 0..n {
                if i == j || j == 0 || i == 0 || (i * 7 + j * 3) % 11 == 0 {
                    entries.push((i as u16, j as u16));
                }
            }
        }
        let values = (0..entries.len())
            .map(|k| (k as f64 * 0.618_033_988_749_894_9 + 0.3).fract() - 0.5)
            .collect();
        (entries, values)
    }

    #[test]
    fn it_solves_what_it_factored_in_every_lane() {
        for n in [1, 2, 3, 17, 41] {
            let (entries, values) = case(n);
            let plan = Elimination::new(n, &entries);
            let shift = Lane([2.0, 9.0]);
            let jacobian: Vec<Lane<2>> = values.iter().map(|v| Lane([*v, v * v - 0.1])).collect();
            let mut lu = vec![Lane([0.0; 2]); plan.size()];
            plan.factor(shift, &jacobian, &mut lu);
            let want: Vec<Lane<2>> = (0..n)
                .map(|i| Lane([1.0 + i as f64, 0.5 - i as f64]))
                .collect();
            let mut b: Vec<Lane<2>> = want.iter().map(|x| shift * *x).collect();
            for (&(i, j), a) in entries.iter().zip(&jacobian) {
                b[i as usize] = b[i as usize] - *a * want[j as usize];
            }
            plan.solve(&lu, &mut b);
            for (got, want) in b.iter().zip(&want) {
                for lane in 0..2 {
                    assert!(
                        (got.0[lane] - want.0[lane]).abs() < 1e-11 * (n as f64),
                        "{n}: {got:?} instead of {want:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn an_arrow_makes_no_fill() {
        let entries: Vec<(u16, u16)> = (0..30).flat_map(|i| [(i, i), (0, i), (i, 0)]).collect();
        assert_eq!(Elimination::new(30, &entries).size(), 30 + 2 * 29);
    }
}
