//! Whether a learning rate is too high for the weights that it moves: told by a loss that rises far above what it was before the first step.

use super::{
    Record,
    record::{AdamRecord, WarningRecord},
};

/// By how much a loss has to rise.
const RISE: f64 = 10.0;

/// What the losses of an epoch are compared with, and whether anything was said yet: all of it stands in the history, so that an interruption changes
/// nothing.
pub(super) struct Rise<'a> {
    history: &'a [Record],
    /// Samples over which losses are averaged at least, since single ones differ much among themselves.
    least: usize,
    /// The rate.
    learning_rate: f64,
}

impl<'a> Rise<'a> {
    pub fn new(history: &'a [Record], least: usize, learning_rate: f64) -> Self {
        Rise { history, least, learning_rate }
    }

    /// Losses of the first batch of all, of each variable.
    fn first(&self) -> Option<&[f64]> {
        self.history
            .iter()
            .find_map(|r| if let Record::Adam(AdamRecord { first_batch: Some(first), .. }) = r { Some(&first[..]) } else { None })
    }

    /// A warning, where the loss of variable `i`, or of all (`None`), rose in the epoch that the last record is of: `batches` gives the samples of each
    /// batch and the mean of their losses, in order. There is one warning in a training.
    pub fn told(&self, epoch: u64, i: Option<(usize, &str)>, batches: &[(usize, f64)]) -> Option<Record> {
        if self.history.iter().any(|r| matches!(r, Record::Warning(_))) {
            return None;
        }
        let of = |v: &[f64]| i.map_or_else(|| v.iter().sum::<f64>() / v.len() as f64, |(i, _)| v[i]);
        let first = of(self.first()?);
        // A first batch may happen to be an easy one.
        let start = self.history.iter().find_map(|r| if let Record::Start(r) = r { Some(of(&r.validation)) } else { None });
        let before = start.map_or(first, |s| s.max(first));
        let least = self.least.min(batches.iter().map(|b| b.0).sum());
        let (mut samples, mut sum, mut worst, mut from) = (0, 0.0, 0.0f64, 0);
        for (count, loss) in batches {
            samples += count;
            sum += *count as f64 * loss;
            while samples - batches[from].0 >= least {
                samples -= batches[from].0;
                sum -= batches[from].0 as f64 * batches[from].1;
                from += 1;
            }
            if samples >= least {
                worst = worst.max(sum / samples as f64);
            }
        }
        // After a single batch there is nothing else to tell it by.
        let validation = match self.history.iter().rev().find(|r| matches!(r, Record::Adam(_))) {
            Some(Record::Adam(AdamRecord { validation: Some(v), .. })) => of(v),
            _ => 0.0,
        };
        let what = if validation > worst { "validation error" } else { "training loss" };
        let worst = worst.max(validation);
        (worst >= RISE * before && before > 0.0).then(|| {
            let of = i.map_or(String::new(), |(_, name)| format!(" of '{name}'"));
            let message = format!(
                "in epoch {epoch} the {what}{of} rose to {} times what the loss was before the first step ({before:.2e} to {worst:.2e}): \
                 adam.learning_rate = {} is too high for these weights; begin anew with {:.1e} or less",
                times(worst / before),
                self.learning_rate,
                self.learning_rate / RISE
            );
            Record::Warning(WarningRecord { epoch, message })
        })
    }
}

fn times(ratio: f64) -> String {
    if ratio < 1e4 { format!("{ratio:.0}") } else { format!("{ratio:.0e}") }
}
