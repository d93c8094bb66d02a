//! Files of arrays: what a batch of trajectories, or one of them, is in npz, Zarr and Parquet.
//!
//! All hold the same: `time[time]`, `x[experiment,time,variable]` and one value an experiment of how it ended and what it took. States that
//! were not reached are NaN.

use ionoscope_dynamics::{
    spec::Spec,
    trajectory::{FailureReason, Outcome, TimeGrid, Trajectory},
};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

pub mod npz;
pub mod parquet;
pub mod zarr;

/// Width of the states in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 64 bits: what was computed
    #[default]
    Double,
    /// 32 bits: half the size, seven digits
    Single,
}

impl Precision {
    /// Bytes of a value.
    pub fn bytes(self) -> usize {
        match self {
            Precision::Double => 8,
            Precision::Single => 4,
        }
    }

    /// Its name in numpy and Zarr.
    pub fn dtype(self) -> &'static str {
        match self {
            Precision::Double => "<f8",
            Precision::Single => "<f4",
        }
    }
}

/// What all trajectories of a file have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// Number of experiments.
    pub experiments: usize,
    /// Output times.
    pub times: TimeGrid,
    /// Names of the variables.
    pub variables: Vec<String>,
    /// Units of the variables.
    pub units: Vec<String>,
    /// Unit of time.
    pub time_unit: String,
    /// Width of the states.
    pub precision: Precision,
}

impl Layout {
    /// For trajectories of one system over the same times.
    pub fn new(spec: &Spec, times: TimeGrid, experiments: usize, precision: Precision) -> Self {
        let of = |f: fn(&ionoscope_dynamics::spec::Quantity) -> &String| {
            spec.variables.iter().map(f).cloned().collect()
        };
        let time_unit = spec.time_unit.clone();
        Layout {
            experiments,
            times,
            variables: of(|q| &q.name),
            units: of(|q| &q.unit),
            time_unit,
            precision,
        }
    }

    /// Values of `x` of one experiment.
    pub fn values(&self) -> usize {
        self.times.count * self.variables.len()
    }

    /// Bytes of the whole, headers apart.
    pub fn bytes(&self) -> u64 {
        let one = (self.values() * self.precision.bytes()) as u64 + Values::BYTES_OF_ALL;
        one.saturating_mul(self.experiments as u64)
            .saturating_add(8 * self.times.count as u64)
    }

    /// Checks that all states fit into the width that was chosen; infinite ones and those that are not numbers stay what they are.
    ///
    /// # Errors
    /// The first one that is beyond single precision, with its time.
    pub fn check(&self, trajectories: &[Trajectory]) -> Result<()> {
        if self.precision == Precision::Double {
            return Ok(());
        }
        let beyond = |x: &f64| x.is_finite() && (*x as f32).is_infinite();
        for t in trajectories {
            if let Some(k) = t.x.iter().position(beyond) {
                let (row, i) = (k / t.dimension, k % t.dimension);
                return Err(Error::Failed(format!(
                    "{} = {:e} at t = {} is beyond single precision, which ends at {:.1e}; write the file with --precision double",
                    self.variables[i],
                    t.x[k],
                    self.times.time(row),
                    f32::MAX
                )));
            }
        }
        Ok(())
    }

    /// The output times as bytes of doubles.
    pub fn time_bytes(&self) -> Vec<u8> {
        (0..self.times.count)
            .flat_map(|k| self.times.time(k).to_le_bytes())
            .collect()
    }
}

/// Consecutive experiments that are done.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Index of the first one.
    pub first: usize,
    /// Their trajectories.
    pub trajectories: Vec<Trajectory>,
    /// Whether each went outside what a surrogate was trained on.
    pub extrapolated: Vec<bool>,
}

/// Letters of the longest text in a column; texts have a fixed width, so that numpy reads them without pickle.
pub const TEXT_WIDTH: usize = 16;

/// How a trajectory ended, in a word or two: `ok` or why it stopped.
pub fn status(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "ok",
        Outcome::Failed {
            reason: FailureReason::NotFinite { .. },
            ..
        } => "not finite",
        Outcome::Failed {
            reason: FailureReason::StepTooSmall { .. },
            ..
        } => "step too small",
        Outcome::Failed {
            reason: FailureReason::TooManySteps { .. },
            ..
        } => "too many steps",
    }
}

/// One value an experiment.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Short texts.
    Text(Vec<String>),
    /// Counts.
    Count(Vec<u64>),
    /// Numbers.
    Number(Vec<f64>),
    /// Yes or no.
    Flag(Vec<bool>),
}

impl Values {
    /// Bytes of all columns of one experiment.
    const BYTES_OF_ALL: u64 = 4 * TEXT_WIDTH as u64 + 5 * 8 + 1;

    /// Their type in numpy and Zarr.
    pub fn dtype(&self) -> String {
        match self {
            Values::Text(_) => format!("<U{TEXT_WIDTH}"),
            Values::Count(_) => "<u8".into(),
            Values::Number(_) => "<f8".into(),
            Values::Flag(_) => "|b1".into(),
        }
    }

    /// Their bytes, little-endian; texts as UTF-32.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Values::Text(v) => text_bytes(v, TEXT_WIDTH),
            Values::Count(v) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Values::Number(v) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Values::Flag(v) => v.iter().map(|v| u8::from(*v)).collect(),
        }
    }

    /// Values of this column's type from [`Values::bytes`].
    pub fn read(&self, bytes: &[u8]) -> Values {
        let words = || bytes.as_chunks().0.iter();
        match self {
            Values::Text(_) => {
                let letter =
                    |c: &[u8; 4]| char::from_u32(u32::from_le_bytes(*c)).filter(|c| *c != '\0');
                let texts = bytes.chunks_exact(4 * TEXT_WIDTH);
                Values::Text(
                    texts
                        .map(|t| t.as_chunks().0.iter().filter_map(letter).collect())
                        .collect(),
                )
            }
            Values::Count(_) => Values::Count(words().map(|b| u64::from_le_bytes(*b)).collect()),
            Values::Number(_) => Values::Number(words().map(|b| f64::from_le_bytes(*b)).collect()),
            Values::Flag(_) => Values::Flag(bytes.iter().map(|b| *b != 0).collect()),
        }
    }

    /// Puts values of the same type behind these.
    pub fn append(&mut self, more: Values) {
        match (self, more) {
            (Values::Text(a), Values::Text(b)) => a.extend(b),
            (Values::Count(a), Values::Count(b)) => a.extend(b),
            (Values::Number(a), Values::Number(b)) => a.extend(b),
            (Values::Flag(a), Values::Flag(b)) => a.extend(b),
            (a, b) => unreachable!("columns of types {} and {}", a.dtype(), b.dtype()),
        }
    }
}

/// A named column with one value an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name in a file.
    pub name: &'static str,
    /// What it holds.
    pub description: &'static str,
    /// The values.
    pub values: Values,
}

/// What is told of each experiment beside its states; for an empty block the columns without values.
pub fn columns(block: &Block) -> Vec<Column> {
    let all = &block.trajectories;
    let count = |f: fn(&Trajectory) -> u64| Values::Count(all.iter().map(f).collect());
    let column = |name, description, values| Column {
        name,
        description,
        values,
    };
    vec![
        column(
            "status",
            "ok, or why the trajectory stopped early",
            Values::Text(all.iter().map(|t| status(&t.outcome).to_owned()).collect()),
        ),
        column(
            "steps",
            "accepted steps, or iterations of a map",
            count(|t| t.statistics.accepted),
        ),
        column(
            "rejections",
            "rejected steps",
            count(|t| t.statistics.rejected),
        ),
        column(
            "evaluations",
            "evaluations of the right-hand side",
            count(|t| t.statistics.evaluations),
        ),
        column(
            "jacobians",
            "evaluations of the Jacobian",
            count(|t| t.statistics.jacobians),
        ),
        column(
            "stiff_from",
            "time from which the stiff method ran; NaN where it did not",
            Values::Number(
                all.iter()
                    .map(|t| t.statistics.stiff_from.unwrap_or(f64::NAN))
                    .collect(),
            ),
        ),
        column(
            "extrapolated",
            "whether it went outside what a surrogate was trained on",
            Values::Flag(block.extrapolated.clone()),
        ),
    ]
}

/// States as bytes in the order `[experiment][time][variable]`, NaN where they were not reached, in place of what `out` held.
///
/// # Errors
/// As [`Layout::check`].
pub fn state_bytes(layout: &Layout, trajectories: &[Trajectory], out: &mut Vec<u8>) -> Result<()> {
    layout.check(trajectories)?;
    let size = layout.values() * layout.precision.bytes();
    out.resize(trajectories.len() * size, 0);
    for (out, t) in out.chunks_exact_mut(size).zip(trajectories) {
        let values =
            t.x.iter()
                .copied()
                .chain(std::iter::repeat_n(f64::NAN, layout.values() - t.x.len()));
        match layout.precision {
            Precision::Double => out
                .as_chunks_mut()
                .0
                .iter_mut()
                .zip(values)
                .for_each(|(o, v)| *o = v.to_le_bytes()),
            Precision::Single => out
                .as_chunks_mut()
                .0
                .iter_mut()
                .zip(values)
                .for_each(|(o, v)| *o = (v as f32).to_le_bytes()),
        }
    }
    Ok(())
}

/// Texts of a fixed width in letters, as UTF-32, filled up with 0.
pub fn text_bytes<S: AsRef<str>>(texts: &[S], width: usize) -> Vec<u8> {
    let letters = |t: &str| {
        t.chars()
            .map(u32::from)
            .chain(std::iter::repeat(0))
            .take(width)
            .collect::<Vec<u32>>()
    };
    texts
        .iter()
        .flat_map(|t| letters(t.as_ref()))
        .flat_map(u32::to_le_bytes)
        .collect()
}

/// The width that texts need, at least one letter.
pub fn text_width<S: AsRef<str>>(texts: &[S]) -> usize {
    texts
        .iter()
        .map(|t| t.as_ref().chars().count())
        .max()
        .unwrap_or(0)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_from_their_bytes_and_every_status_fits() {
        let reasons = [
            FailureReason::NotFinite { quantity: None },
            FailureReason::StepTooSmall { fastest: None },
            FailureReason::TooManySteps {
                steps: 1,
                limit: 1,
                fastest: None,
            },
        ];
        let outcomes = reasons.map(|reason| Outcome::Failed { time: 1.0, reason });
        let all: Vec<String> = outcomes
            .iter()
            .chain([&Outcome::Completed])
            .map(|o| status(o).to_owned())
            .collect();
        assert!(
            all.iter().all(|s| s.chars().count() <= TEXT_WIDTH),
            "{all:?}"
        );
        for values in [
            Values::Text(all),
            Values::Count(vec![0, u64::MAX, 7]),
            Values::Number(vec![-0.5, f64::INFINITY, 1e-300]),
            Values::Flag(vec![true, false, true]),
        ] {
            assert_eq!(values.read(&values.bytes()), values);
        }
    }

    #[test]
    fn states_that_were_not_reached_are_nan() {
        let times = TimeGrid::new(0.0, 0.5, 3).unwrap();
        let names = vec!["a".to_owned(), "b".to_owned()];
        let mut layout = Layout {
            experiments: 2,
            times,
            variables: names.clone(),
            units: names,
            time_unit: "s".into(),
            precision: Precision::Double,
        };
        let trajectory = |x: &[f64]| Trajectory {
            times,
            dimension: 2,
            x: x.to_vec(),
            outcome: Outcome::Completed,
            statistics: Default::default(),
        };
        let all = [
            trajectory(&[1.0, 2.0]),
            trajectory(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),
        ];
        let mut out = vec![9; 3];
        state_bytes(&layout, &all, &mut out).unwrap();
        let back: Vec<f64> = out
            .as_chunks()
            .0
            .iter()
            .map(|b| f64::from_le_bytes(*b))
            .collect();
        assert_eq!(back[..2], [1.0, 2.0]);
        assert!(back[2..6].iter().all(|v| v.is_nan()));
        assert_eq!(back[6..], all[1].x);
        layout.precision = Precision::Single;
        state_bytes(&layout, &all, &mut out).unwrap();
        let back: Vec<f32> = out
            .as_chunks()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect();
        assert_eq!((back.len(), back[6], back[11]), (12, 0.1f32, 0.6f32));
        assert!(back[2..6].iter().all(|v| v.is_nan()));

        // What single precision cannot hold is refused; what is infinite or no number already is kept.
        let wild = trajectory(&[1.0, f64::INFINITY, f64::NAN, 3.4e38]);
        assert!(state_bytes(&layout, &[wild], &mut out).is_ok());
        let huge = [trajectory(&[1.0, 2.0, 1.0, -1e40])];
        let error = state_bytes(&layout, &huge, &mut out).unwrap_err();
        assert_eq!(
            error.to_string(),
            "b = -1e40 at t = 0.5 is beyond single precision, which ends at 3.4e38; write the file with --precision double"
        );
        layout.precision = Precision::Double;
        assert!(state_bytes(&layout, &huge, &mut out).is_ok());
    }
}
