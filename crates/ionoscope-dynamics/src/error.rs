//! What can be wrong with an input or fail while solving, each with a sentence that says what to do.

use thiserror::Error;

/// Result with this crate's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// An input that is wrong, or a solve that failed.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Error {
    /// A name that a list does not hold.
    #[error("unknown {kind} '{name}'{}; known: {}", suggestion(.nearest), .known.join(", "))]
    UnknownName {
        /// What was looked up: "model", "parameter", "variable".
        kind: &'static str,
        /// The name that was given.
        name: String,
        /// The most similar known name, if any is similar.
        nearest: Option<String>,
        /// All known names.
        known: Vec<String>,
    },
    /// A number outside the interval in which it makes sense.
    #[error("{name} = {} is outside [{}, {}]; give a value inside", short(*.value), short(*.low), short(*.high))]
    OutOfRange {
        /// Name of the quantity.
        name: String,
        /// The value that was given.
        value: f64,
        /// Smallest value that makes sense.
        low: f64,
        /// Largest value that makes sense.
        high: f64,
    },
    /// Any other wrong input.
    #[error("{0}")]
    Invalid(String),
    /// A trajectory that could not be completed.
    #[error("the integration failed at t = {}: {reason}", short(*.time))]
    Failed {
        /// Time of the last accepted state.
        time: f64,
        /// Why it failed and what may help.
        reason: String,
    },
    /// A surrogate that gives nothing that can be used.
    #[error("{0}")]
    Surrogate(String),
    /// The one who watches asked to stop.
    #[error("interrupted; nothing was kept")]
    Interrupted,
}

impl Error {
    /// The error for `name` not being among `known`, with the nearest known name as a suggestion.
    pub fn unknown<'a>(
        kind: &'static str,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let known: Vec<String> = known.into_iter().map(str::to_owned).collect();
        let nearest = known
            .iter()
            .map(|k| (edit_distance(&k.to_lowercase(), &name.to_lowercase()), k))
            .min()
            .filter(|(d, k)| *d <= (k.chars().count() / 2).max(2) && *d < name.chars().count())
            .map(|(_, k)| k.clone());
        Error::UnknownName {
            kind,
            name: name.to_owned(),
            nearest,
            known,
        }
    }

    /// Whether the input was wrong (exit code 2) rather than the work failed (exit code 1).
    pub fn is_input(&self) -> bool {
        !matches!(
            self,
            Error::Failed { .. } | Error::Surrogate(_) | Error::Interrupted
        )
    }
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|n| format!(" (did you mean '{n}'?)"))
        .unwrap_or_default()
}

/// A number for a message: very large and very small ones as powers of ten, not as hundreds of digits.
fn short(v: f64) -> String {
    if v != 0.0 && v.is_finite() && !(1e-15..1e15).contains(&v.abs()) {
        format!("{v:e}")
    } else {
        v.to_string()
    }
}

/// Levenshtein distance in characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &cb) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested() {
        let e = Error::unknown("parameter", "vs", ["v_s", "g_k2"]);
        assert!(e.to_string().contains("did you mean 'v_s'?"), "{e}");
        let e = Error::unknown("parameter", "entirely-else", ["v_s", "g_k2"]);
        assert!(!e.to_string().contains("did you mean"), "{e}");
    }

    #[test]
    fn edit_distance_of_known_pairs() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("same", "same"), 0);
    }
}
