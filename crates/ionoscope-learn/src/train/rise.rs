//! Whether a learning rate is too high for the weights that it moves: told by an error that rises far above what it was before the first step.
//!
//! It is the error that networks are judged by, of training samples and of the validation set: that of operators is the normalized one, whatever their
//! loss.

use super::record::{AdamRecord, Record, WarningRecord};

/// By how much an error has to rise.
const RISE: f64 = 10.0;

/// What the errors of an epoch are compared with, and whether anything was said yet: all of it stands in the history, so that an interruption changes
/// nothing.
pub(super) struct Rise<'a> {
    history: &'a [Record],
    /// Samples over which errors are averaged at least, since single ones differ much among themselves.
    least: usize,
    /// The rate.
    learning_rate: f64,
}

impl<'a> Rise<'a> {
    pub fn new(history: &'a [Record], least: usize, learning_rate: f64) -> Self {
        Rise {
            history,
            least,
            learning_rate,
        }
    }

    /// Errors of the first batch of all, of each variable.
    fn first(&self) -> Option<&[f64]> {
        self.history.iter().find_map(|r| {
            if let Record::Adam(AdamRecord {
                first_batch: Some(first),
                ..
            }) = r
            {
                Some(&first[..])
            } else {
                None
            }
        })
    }

    /// A warning, where the error of variable `i`, or of all (`None`), rose in the epoch that the last record is of: `batches` gives the samples of each
    /// batch and the mean of their errors, in order. There is one warning in a training.
    pub fn told(
        &self,
        epoch: u64,
        i: Option<(usize, &str)>,
        batches: &[(usize, f64)],
    ) -> Option<Record> {
        if self.history.iter().any(|r| matches!(r, Record::Warning(_))) {
            return None;
        }
        let of =
            |v: &[f64]| i.map_or_else(|| v.iter().sum::<f64>() / v.len() as f64, |(i, _)| v[i]);
        let first = of(self.first()?);
        let start = self.history.iter().find_map(|r| {
            if let Record::Start(r) = r {
                Some(of(&r.validation))
            } else {
                None
            }
        });
        let least = self.least.min(batches.iter().map(|b| b.0).sum());
        let (mut samples, mut sum, mut training, mut from) = (0, 0.0, 0.0f64, 0);
        for (count, error) in batches {
            samples += count;
            sum += *count as f64 * error;
            while samples - batches[from].0 >= least {
                samples -= batches[from].0;
                sum -= batches[from].0 as f64 * batches[from].1;
                from += 1;
            }
            if samples >= least {
                training = training.max(sum / samples as f64);
            }
        }
        let validation = match self
            .history
            .iter()
            .rev()
            .find(|r| matches!(r, Record::Adam(_)))
        {
            Some(Record::Adam(AdamRecord {
                validation: Some(v),
                ..
            })) => of(v),
            _ => 0.0,
        };
        // One set may be harder than the other: the validation set is compared with itself where the start is known. Where it is not, a single batch,
        // whose error is that before any step, leaves nothing else to tell it by; after several the training errors tell it.
        let beside = start.or((batches.len() == 1).then_some(first));
        // A first batch may happen to be an easy one.
        let pairs = [
            ("training", start.map_or(first, |s| s.max(first)), training),
            ("validation", beside.unwrap_or(0.0), validation),
        ];
        let risen = pairs
            .into_iter()
            .filter(|(_, before, worst)| *worst >= RISE * before && *before > 0.0);
        risen.max_by(|a, b| (a.2 / a.1).total_cmp(&(b.2 / b.1))).map(|(what, before, worst)| {
            let of = i.map_or(String::new(), |(_, name)| format!(" of '{name}'"));
            let message = format!(
                "in epoch {epoch} the {what} error{of} rose to {} times what it was before the first step ({before:.2e} to {worst:.2e}): \
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
    if ratio < 1e4 {
        format!("{ratio:.0}")
    } else {
        format!("{ratio:.0e}")
    }
}

#[cfg(test)]
mod tests {
    use super::{super::record::StartRecord, *};

    /// What is said after an epoch, with so large a validation error of the start, error of the first batch and validation error of the epoch.
    fn said(
        start: Option<f64>,
        first: f64,
        validation: Option<f64>,
        batches: &[(usize, f64)],
    ) -> Option<String> {
        let start = start.map(|v| {
            Record::Start(StartRecord {
                epoch: 0,
                validation: vec![v],
            })
        });
        let epoch = Record::Adam(AdamRecord {
            epoch: 1,
            training: vec![first],
            first_batch: Some(vec![first]),
            validation: validation.map(|v| vec![v]),
            learning_rate: 0.1,
            samples_per_second: 1.0,
            seconds: 1.0,
            seconds_left: 0.0,
        });
        let history: Vec<Record> = start.into_iter().chain([epoch]).collect();
        match Rise::new(&history, 32, 0.1).told(1, None, batches)? {
            Record::Warning(w) => Some(w.message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_set_is_compared_with_itself() {
        let calm = [(32, 0.2), (32, 0.2)];
        // The validation set is an easy one: fifteen times its own start is a rise, and less than the training error.
        let message = said(Some(0.01), 0.2, Some(0.15), &calm).unwrap();
        assert!(
            message.contains("validation error rose to 15 times")
                && message.contains("(1.00e-2 to 1.50e-1)"),
            "{message}"
        );
        assert_eq!(said(Some(0.01), 0.2, Some(0.09), &calm), None);
        // It is a hard one, and nothing has risen.
        assert_eq!(said(Some(2.1), 0.2, Some(2.1), &calm), None);
        assert_eq!(said(None, 0.2, Some(2.1), &calm), None);
        // After a single batch there is no other error to compare.
        assert!(
            said(None, 0.2, Some(2.1), &[(40, 0.2)])
                .unwrap()
                .contains("validation error")
        );
        // In training it is told by itself, but an easy first batch is none.
        assert!(
            said(None, 0.2, None, &[(32, 0.2), (32, 3.0)])
                .unwrap()
                .contains("training error rose to 15 times")
        );
        assert_eq!(said(Some(0.5), 0.2, None, &[(32, 0.2), (32, 3.0)]), None);
        // The greater rise of two is named.
        assert!(
            said(Some(0.1), 0.2, Some(5.0), &[(32, 0.2), (32, 3.0)])
                .unwrap()
                .contains("validation error rose to 50 times")
        );
    }
}
