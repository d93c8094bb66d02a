//! Work that several processes share: which of them this is, by what a scheduler says or the command line.

use crate::{Error, Result};

/// Variables by which Slurm (tasks of a step, of an array), Open MPI and MPICH tell a process which of several it is, and how many there are.
const RANKS: [[&str; 2]; 4] = [
    ["SLURM_PROCID", "SLURM_NTASKS"],
    ["SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"],
    ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"],
    ["PMI_RANK", "PMI_SIZE"],
];

/// Whether a scheduler says that this is one of several.
pub fn has_rank() -> bool {
    RANKS
        .iter()
        .any(|[rank, _]| std::env::var_os(rank).is_some())
}

/// A part of some work: the pieces k with k mod `of` = `index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which.
    pub index: usize,
    /// Of how many.
    pub of: usize,
}

impl Shard {
    /// Whether piece `k` belongs to it.
    pub fn has(self, k: usize) -> bool {
        k % self.of == self.index
    }

    /// Parses `K/N` with K from 0, or `rank`, which is what a scheduler says.
    ///
    /// # Errors
    /// Anything else; a scheduler that says nothing.
    pub fn parse(text: &str) -> Result<Self> {
        Shard::from(text, &|name| std::env::var(name).ok())
    }

    fn from(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let number = |text: &str| text.trim().parse::<usize>().ok();
        let [index, of] = if text == "rank" {
            let told = RANKS.iter().find_map(|[rank, size]| {
                let first = if rank.contains("ARRAY") {
                    variable("SLURM_ARRAY_TASK_MIN")
                        .and_then(|v| number(&v))
                        .unwrap_or(0)
                } else {
                    0
                };
                Some([
                    number(&variable(rank)?)?.checked_sub(first)?,
                    number(&variable(size)?)?,
                ])
            });
            told.ok_or_else(|| {
                let names = RANKS.map(|r| r.join(" and ")).join(", or ");
                Error::Input(format!("--shard rank: no scheduler says which this is; expected {names}, or --shard K/N"))
            })?
        } else {
            let parts = text
                .split_once('/')
                .and_then(|(k, n)| Some([number(k)?, number(n)?]));
            parts.ok_or_else(|| {
                Error::Input(format!(
                    "--shard {text}: expected K/N with K from 0, such as 0/4, or rank"
                ))
            })?
        };
        if index >= of {
            return Err(Error::Input(format!(
                "--shard {index}/{of}: expected a number from 0 to {}",
                of.saturating_sub(1)
            )));
        }
        Ok(Shard { index, of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_told_or_given() {
        let none = |_: &str| None;
        assert_eq!(
            Shard::from("1/3", &none).unwrap(),
            Shard { index: 1, of: 3 }
        );
        assert!(
            [0, 1, 2, 3, 4].map(|k| Shard { index: 1, of: 3 }.has(k))
                == [false, true, false, false, true]
        );
        for wrong in ["3/3", "1", "a/b", "1/0", "-1/3", "rank"] {
            assert!(
                Shard::from(wrong, &none)
                    .unwrap_err()
                    .to_string()
                    .contains("expected"),
                "{wrong}"
            );
        }
        let array = |name: &str| match name {
            "SLURM_ARRAY_TASK_ID" => Some("5".to_owned()),
            "SLURM_ARRAY_TASK_COUNT" => Some("4".to_owned()),
            "SLURM_ARRAY_TASK_MIN" => Some("3".to_owned()),
            _ => None,
        };
        assert_eq!(
            Shard::from("rank", &array).unwrap(),
            Shard { index: 2, of: 4 }
        );
        let task = |name: &str| match name {
            "SLURM_PROCID" => Some("1".to_owned()),
            "SLURM_NTASKS" => Some("2".to_owned()),
            _ => None,
        };
        assert_eq!(
            Shard::from("rank", &task).unwrap(),
            Shard { index: 1, of: 2 }
        );
    }
}
