//! What is said of the ends of branches, alike in every answer.

use ionoscope_analysis::continuation::Stop;

/// An end of a branch and why the branch ends there.
#[derive(Debug, Clone, serde::Serialize)]
pub struct End {
    /// Value of the parameter.
    pub parameter: Option<f64>,
    /// The reason, as the library names it.
    pub reason: Stop,
    /// Whether the branch was followed to an end of its own or of what was asked for.
    pub complete: bool,
    /// Where it broke off: the end of the interval that it was heading for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_followed_to: Option<f64>,
    /// All this in words.
    pub text: String,
}

/// Both ends of a branch over `name` in `interval` whose points have the values `parameters`; one end, where it was seen, of what could not be
/// followed at all.
pub fn ends(name: &str, interval: [f64; 2], parameters: &[f64], stopped: &[Stop; 2]) -> Vec<End> {
    let count = parameters.len();
    if let (0, Stop::NotStarted { parameter }) = (count, &stopped[0]) {
        let text = format!(
            "broke off at {name} = {}: {}",
            short(*parameter),
            stopped[0]
        );
        return vec![End {
            parameter: Some(*parameter),
            reason: stopped[0].clone(),
            complete: false,
            not_followed_to: None,
            text,
        }];
    }
    let one = |k: usize| {
        let reason = stopped[k].clone();
        let complete = reason.complete();
        let parameter = if k == 0 {
            parameters.first()
        } else {
            parameters.last()
        }
        .copied();
        let before = if count < 2 {
            None
        } else {
            Some(parameters[if k == 0 { 1 } else { count - 2 }])
        };
        let ahead = parameter
            .zip(before)
            .map(|(last, before)| last - before)
            .filter(|d| *d != 0.0);
        let aim = ahead.map(|d| {
            if (d > 0.0) == (interval[1] > interval[0]) {
                interval[1]
            } else {
                interval[0]
            }
        });
        let not_followed_to = if complete { None } else { aim };
        let text = match (parameter, not_followed_to) {
            (None, _) => format!("broke off: {reason}"),
            (Some(at), _) if complete => format!("at {name} = {}: {reason}", short(at)),
            (Some(at), None) => format!("broke off at {name} = {}: {reason}", short(at)),
            (Some(at), Some(aim)) => {
                format!(
                    "broke off at {name} = {}: {reason}; not followed to {name} = {}",
                    short(at),
                    short(aim)
                )
            }
        };
        End {
            parameter,
            reason,
            complete,
            not_followed_to,
            text,
        }
    };
    vec![one(0), one(1)]
}

/// What is said of all ends.
pub fn text_of(ends: &[End]) -> String {
    ends.iter()
        .map(|end| end.text.as_str())
        .collect::<Vec<_>>()
        .join("; ")
}

/// A number with at most six digits; one that has few anyway, such as an end that somebody typed, exactly.
fn short(value: f64) -> String {
    let exact = value.to_string();
    if exact.len() <= 9 {
        return exact;
    }
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    let plain = rounded.to_string();
    if plain.len() <= 9 {
        plain
    } else {
        format!("{rounded:e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_says_what_it_is_and_where_it_was_heading() {
        let of = |parameters: &[f64], stopped: [Stop; 2]| {
            text_of(&ends("e", [0.0, 1000.0], parameters, &stopped))
        };
        let whole = of(
            &[0.0, 1.5, 1000.0],
            [Stop::SingularEnd { within: 1e-9 }, Stop::EndOfRange],
        );
        assert!(
            whole.starts_with("at e = 0: ")
                && whole.contains("1.0e-9")
                && whole.contains("; at e = 1000: the end of"),
            "{whole}"
        );
        let broken = of(
            &[5.71813124, 6.0, 1000.0],
            [Stop::NoConvergence, Stop::EndOfRange],
        );
        assert!(
            broken.starts_with("broke off at e = 5.71813: ")
                && broken.contains("not followed to e = 0;"),
            "{broken}"
        );
        // Over an interval from the larger to the smaller end.
        let both = ends(
            "e",
            [1000.0, 0.0],
            &[1000.0, 6.0, 5.0],
            &[Stop::EndOfRange, Stop::TooManySteps],
        );
        let [first, last] = &both[..] else {
            panic!("{both:?}")
        };
        assert_eq!(
            (
                first.complete,
                last.complete,
                first.not_followed_to,
                last.not_followed_to
            ),
            (true, false, None, Some(0.0))
        );
        // What could not be followed has one end, where it was seen.
        let stopped = [
            Stop::NotStarted { parameter: 2.0 },
            Stop::NotStarted { parameter: 2.0 },
        ];
        let nothing = ends("e", [0.0, 1000.0], &[], &stopped);
        assert_eq!(
            (nothing.len(), nothing[0].parameter, nothing[0].complete),
            (1, Some(2.0), false)
        );
        let nothing = of(&[], stopped);
        assert!(
            nothing.starts_with("broke off at e = 2: ")
                && nothing.matches("broke off").count() == 1,
            "{nothing}"
        );
    }

    #[test]
    fn numbers_are_short() {
        let all = [
            0.0,
            -40.0,
            1e-9,
            1e-12,
            101.10412345,
            -1.234567891e-7,
            1e300,
        ]
        .map(short);
        assert_eq!(
            all,
            [
                "0",
                "-40",
                "1e-9",
                "1e-12",
                "101.104",
                "-1.23457e-7",
                "1e300"
            ]
        );
    }
}
