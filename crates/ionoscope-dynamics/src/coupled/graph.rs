//! Who is coupled with whom.

use crate::{Error, Result};

/// Most cells that are coupled.
const MOST_CELLS: usize = 1 << 27;

/// Who is coupled with whom; coupling is mutual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// Where the neighbors of each cell begin, and the end.
    offsets: Vec<usize>,
    neighbors: Vec<u32>,
}

impl Graph {
    /// A graph from pairs of cells, counted from 0. A pair given twice counts twice.
    ///
    /// # Errors
    /// No cells or too many; a pair of a cell with itself, or with one that is not there.
    pub fn new(cells: usize, pairs: &[[u32; 2]]) -> Result<Self> {
        if !(1..=MOST_CELLS).contains(&cells) {
            return Err(Error::Invalid(format!(
                "{cells} coupled cells; expected 1 to {MOST_CELLS}"
            )));
        }
        let mut offsets = vec![0; cells + 1];
        for (k, [a, b]) in pairs.iter().enumerate() {
            if a == b || (*a).max(*b) as usize >= cells {
                return Err(Error::Invalid(format!(
                    "pair {} couples cells {a} and {b}; expected two different ones of 0 to {}",
                    k + 1,
                    cells - 1
                )));
            }
            offsets[*a as usize + 1] += 1;
            offsets[*b as usize + 1] += 1;
        }
        for k in 0..cells {
            offsets[k + 1] += offsets[k];
        }
        let mut next = offsets.clone();
        let mut neighbors = vec![0; 2 * pairs.len()];
        for [a, b] in pairs {
            for (from, to) in [(*a, *b), (*b, *a)] {
                neighbors[next[from as usize]] = to;
                next[from as usize] += 1;
            }
        }
        Ok(Graph { offsets, neighbors })
    }

    /// Cells in a row.
    ///
    /// # Errors
    /// As [`Graph::new`].
    pub fn chain(cells: usize) -> Result<Self> {
        Graph::new(
            cells,
            &(1..cells.min(MOST_CELLS) as u32)
                .map(|k| [k - 1, k])
                .collect::<Vec<_>>(),
        )
    }

    /// Cells in a ring; two cells are coupled once.
    ///
    /// # Errors
    /// As [`Graph::new`].
    pub fn ring(cells: usize) -> Result<Self> {
        let mut pairs: Vec<[u32; 2]> = (1..cells.min(MOST_CELLS) as u32)
            .map(|k| [k - 1, k])
            .collect();
        if cells > 2 {
            pairs.push([pairs.len() as u32, 0]);
        }
        Graph::new(cells, &pairs)
    }

    /// Cells on a rectangular lattice without wrapping, row by row.
    ///
    /// # Errors
    /// As [`Graph::new`].
    pub fn lattice(rows: usize, columns: usize) -> Result<Self> {
        let cells = rows
            .checked_mul(columns)
            .filter(|n| *n <= MOST_CELLS)
            .unwrap_or(0);
        let mut pairs = Vec::with_capacity(2 * cells);
        for k in 0..cells {
            if k % columns + 1 < columns {
                pairs.push([k as u32, k as u32 + 1]);
            }
            if k + columns < cells {
                pairs.push([k as u32, (k + columns) as u32]);
            }
        }
        Graph::new(cells, &pairs)
    }

    /// Number of cells.
    pub fn cells(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of couplings.
    pub fn couplings(&self) -> usize {
        self.neighbors.len() / 2
    }

    /// The cells coupled with cell `k`.
    pub fn neighbors(&self, k: usize) -> &[u32] {
        &self.neighbors[self.offsets[k]..self.offsets[k + 1]]
    }
}
