//! Options in writing, as the command line takes them: `NAME=VALUE`, `NAME=LO:HI`, ranges of what is varied.
//!
//! Questions name them as the parsers of their fields, and Python gives the same options as JSON.

use ionoscope_dynamics::{protocol::Step, spec::Spec, system::Input};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{Error, Result};

/// `&str` keys, as [`Spec::parameters_with`] wants them.
pub fn borrowed(pairs: &[(String, f64)]) -> impl Iterator<Item = (&str, f64)> {
    pairs.iter().map(|(n, v)| (n.as_str(), *v))
}

/// The variables' ranges with some replaced.
///
/// # Errors
/// An unknown variable.
pub fn box_with(spec: &Spec, changes: &[(String, [f64; 2])]) -> Result<Vec<[f64; 2]>> {
    let mut bounds: Vec<[f64; 2]> = spec.variables.iter().map(|q| q.range).collect();
    for (name, [low, high]) in changes {
        if low >= high {
            return Err(Error::Input(format!(
                "the box {name}={low}:{high} is empty; expected LO < HI"
            )));
        }
        bounds[spec.variable_index(name)?] = [*low, *high];
    }
    Ok(bounds)
}

/// Parses `NAME=VALUE`.
pub fn name_value(text: &str) -> std::result::Result<(String, f64), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("expected NAME=VALUE, such as v_s=-36")?;
    Ok((name.trim().to_owned(), number(value)?))
}

/// Parses `NAME=LO:HI`.
pub fn name_interval(text: &str) -> std::result::Result<(String, [f64; 2]), String> {
    let malformed = "expected NAME=LO:HI, such as v=-75:25";
    let (name, interval) = text.split_once('=').ok_or(malformed)?;
    let (low, high) = interval.split_once(':').ok_or(malformed)?;
    Ok((name.trim().to_owned(), [number(low)?, number(high)?]))
}

/// Parses a finite number.
pub fn number(text: &str) -> std::result::Result<f64, String> {
    let value: f64 = text
        .trim()
        .parse()
        .map_err(|_| format!("'{text}' is not a number"))?;
    if value.is_finite() {
        Ok(value)
    } else {
        Err(format!("{value} is not a finite number"))
    }
}

/// Parses a finite number larger than 0.
pub fn positive(text: &str) -> std::result::Result<f64, String> {
    let value = number(text)?;
    if value > 0.0 {
        Ok(value)
    } else {
        Err(format!("{value} is not larger than 0"))
    }
}

/// [`positive`], of a number in JSON, where one is given.
pub fn positive_in<'de, D: Deserializer<'de>, T>(d: D) -> std::result::Result<T, D::Error>
where
    T: Deserialize<'de> + Copy + Into<Option<f64>>,
{
    let value = T::deserialize(d)?;
    if let Some(number) = value.into() {
        positive(&number.to_string()).map_err(D::Error::custom)?;
    }
    Ok(value)
}

/// What `parse` makes of a text in JSON.
pub fn text_in<'de, D: Deserializer<'de>, T>(
    d: D,
    parse: impl Fn(&str) -> std::result::Result<T, String>,
) -> std::result::Result<T, D::Error> {
    parse(&String::deserialize(d)?).map_err(D::Error::custom)
}

/// Parses `I[:START[:DURATION]]`.
pub fn stimulus(text: &str) -> std::result::Result<Step, String> {
    let parts: Vec<f64> = text
        .split(':')
        .map(number)
        .collect::<std::result::Result<_, _>>()?;
    let (amplitude, start, duration) = match parts[..] {
        [amplitude] => (amplitude, 0.0, None),
        [amplitude, start] => (amplitude, start, None),
        [amplitude, start, duration] => (amplitude, start, Some(duration)),
        _ => return Err("expected I[:START[:DURATION]], such as 80:50:0.5".into()),
    };
    Ok(Step {
        start,
        duration,
        amplitude,
    })
}

/// A range of one parameter or of the stimulus, `NAME=FROM:TO[:N]`, as `--over` takes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Over {
    /// The name of a parameter, or `i_stim`.
    pub name: String,
    /// The first value, which may be the larger one.
    pub from: f64,
    /// The last value.
    pub to: f64,
    /// Number of values, both ends included, where it was given.
    pub count: Option<usize>,
}

impl Over {
    /// What is varied, and its unit.
    ///
    /// # Errors
    /// An unknown parameter, or an end outside its range.
    pub fn input(&self, spec: &Spec) -> Result<(Input, String)> {
        if self.name.is_empty() {
            return Err(Error::Input(
                "nothing is varied; give a parameter, or i_stim, and its range: --over NAME=FROM:TO".into(),
            ));
        }
        if self.name == "i_stim" {
            return Ok((Input::Stimulus, spec.stimulus_unit.clone()));
        }
        for end in [self.from, self.to] {
            spec.parameters_with([(self.name.as_str(), end)])?;
        }
        let k = spec.parameter_index(&self.name)?;
        Ok((Input::Parameter(k), spec.parameters[k].unit.clone()))
    }

    /// The values, `default` of them where their number was not given.
    pub fn values(&self, default: usize) -> Vec<f64> {
        let n = self.count.unwrap_or(default);
        let share = |k: usize| {
            if n == 1 {
                0.0
            } else {
                k as f64 / (n - 1) as f64
            }
        };
        // Both ends exactly, and none beyond them.
        (0..n)
            .map(|k| {
                if k + 1 == n && n > 1 {
                    self.to
                } else {
                    self.from + share(k) * (self.to - self.from)
                }
            })
            .collect()
    }
}

/// An object of one name and its range, `{"v_s": [-40, -30]}` or `{"v_s": [-40, -30, 101]}`; or the
/// text of the command line.
impl<'de> Deserialize<'de> for Over {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(d)?;
        let pair = value.as_object().filter(|o| o.len() == 1);
        let text = match (value.as_str(), pair.and_then(|o| o.iter().next())) {
            (Some(text), _) => text.to_owned(),
            (None, Some((name, range))) if range.is_array() => {
                let ends = range.as_array().into_iter().flatten();
                let ends: Vec<String> = ends.map(ToString::to_string).collect();
                format!("{name}={}", ends.join(":"))
            }
            _ => {
                return Err(D::Error::custom(format!(
                    "{value}; expected one name and its range, such as {{\"v_s\": [-40, -30, 101]}}"
                )));
            }
        };
        over(&text).map_err(D::Error::custom)
    }
}

/// Parses `NAME=FROM:TO[:N]`.
pub fn over(text: &str) -> std::result::Result<Over, String> {
    let malformed = "expected NAME=FROM:TO or NAME=FROM:TO:N, such as v_s=-40:-30:101";
    let (name, range) = text.split_once('=').ok_or(malformed)?;
    let parts: Vec<&str> = range.split(':').collect();
    let (from, to, count) = match parts[..] {
        [from, to] => (number(from)?, number(to)?, None),
        [from, to, n] => {
            let n: usize = n
                .trim()
                .parse()
                .map_err(|_| format!("'{n}' is not a number of values"))?;
            if !(1..=1_000_000).contains(&n) {
                return Err(format!("{n} values of {name}; expected 1 to 1000000"));
            }
            (number(from)?, number(to)?, Some(n))
        }
        _ => return Err(malformed.into()),
    };
    if from == to && count.is_none_or(|n| n > 1) {
        return Err(format!(
            "the range {from}:{to} of {name} is empty; expected two different ends"
        ));
    }
    Ok(Over {
        name: name.trim().to_owned(),
        from,
        to,
        count,
    })
}

/// Parses `NAME=FROM:TO`, of what is followed by steps of its own and not at given values.
pub fn interval(text: &str) -> std::result::Result<Over, String> {
    let malformed = "expected NAME=FROM:TO, such as v_s=-40:-30";
    let (name, range) = text.split_once('=').ok_or(malformed)?;
    match range.split(':').count() {
        2 => over(text),
        3 => {
            let ends = range.rsplit_once(':').map_or(range, |(ends, _)| ends);
            Err(format!(
                "a branch is followed by steps of its own, not at a number of values; write {name}={ends}"
            ))
        }
        _ => Err(malformed.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_a_parameter() {
        let wanted = over("v_s=-40:-30:5").unwrap();
        assert_eq!(wanted.values(99), [-40.0, -37.5, -35.0, -32.5, -30.0]);
        assert_eq!(
            over("v_s=-30:-40").unwrap().values(3),
            [-30.0, -35.0, -40.0]
        );
        for bad in [
            "v_s",
            "v_s=1",
            "v_s=1:2:0",
            "v_s=1:1",
            "v_s=1:nan",
            "v_s=1:2:3:4",
            "v_s=1:2:x",
        ] {
            assert!(over(bad).is_err(), "{bad}");
        }
        assert_eq!(interval("v_s=-40:-30"), over("v_s=-40:-30"));
        assert!(
            interval("v_s=-40:-30:5")
                .unwrap_err()
                .ends_with("write v_s=-40:-30")
                && interval("v_s=1").is_err()
        );
        let cell = ionoscope_dynamics::models::find("sherman-1988").unwrap();
        assert_eq!(wanted.input(cell.spec()).unwrap().1, "mV");
        assert!(
            over("vs=-40:-30")
                .unwrap()
                .input(cell.spec())
                .unwrap_err()
                .to_string()
                .contains("v_s")
        );
        assert_eq!(
            over("i_stim=0:1").unwrap().input(cell.spec()).unwrap().0,
            Input::Stimulus
        );
    }
}
