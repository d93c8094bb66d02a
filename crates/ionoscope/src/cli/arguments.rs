//! Arguments that several verbs share: `NAME=VALUE`, `NAME=LO:HI`, and the system they belong to.

use std::path::PathBuf;

use clap::Args;
use ionoscope_dynamics::{
    protocol::{Protocol, Step, Stimulus},
    spec::Spec,
    system::Input,
    watched::Watched,
};

use super::Shared;
use crate::{Error, Result, artifact, protocol_file, subject::Subject};

/// A system with all that is set of it: preset, parameters, start and stimulus. Every verb that asks about a system takes these.
#[derive(Args, Clone, Debug)]
pub struct SystemArguments {
    /// Identifier of a model (see `ionoscope models`) or path to a surrogate (.safetensors)
    #[arg(value_name = "SYSTEM")]
    pub system: String,
    /// A named alternative to the default start and parameters (see `ionoscope models SYSTEM`); --param and --x0 change it further
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// A parameter other than its default; may be repeated
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = name_value, value_delimiter = ',')]
    pub parameters: Vec<(String, f64)>,
    /// A start other than the default; may be repeated. What is conserved, such as a cell's charge, stays at its value there
    #[arg(long = "x0", value_name = "NAME=VALUE", value_parser = name_value, value_delimiter = ',')]
    pub x0: Vec<(String, f64)>,
    /// A constant stimulus; positive depolarises [default: none]
    #[arg(long, value_name = "I", value_parser = number, allow_negative_numbers = true, conflicts_with_all = ["stimulus", "protocol"])]
    pub i_stim: Option<f64>,
    /// A stimulus I[:START[:DURATION]] from START (default: 0) for DURATION (default: for ever), in the system's units; may be repeated
    #[arg(long, value_name = "I:START:DURATION", value_parser = stimulus, allow_hyphen_values = true, conflicts_with = "protocol")]
    pub stimulus: Vec<Step>,
    /// Stimulus protocol (.toml), or a sampled current with columns time,current (.csv)
    #[arg(long, value_name = "FILE")]
    pub protocol: Option<PathBuf>,
}

impl SystemArguments {
    /// The system, which stops its solves when the process should, its spec under the preset, and its parameters.
    ///
    /// # Errors
    /// An unknown system, preset or parameter; a value outside its range.
    pub fn open(&self, shared: &Shared) -> Result<Subject> {
        let system = Watched::shared(artifact::open_system(&self.system)?, &shared.watch);
        let spec = self.under_preset(system.spec())?;
        let p = spec.parameters_with(borrowed(&self.parameters))?;
        let (x0, protocol) = (spec.state_with(borrowed(&self.x0))?, self.stimulus(&spec)?);
        Ok(Subject {
            name: self.system.clone(),
            preset: self.preset.clone(),
            system,
            spec,
            p,
            x0,
            protocol,
        })
    }

    /// The stimulus that is asked for.
    ///
    /// # Errors
    /// A file that holds none, one in another unit than the system's.
    pub fn stimulus(&self, spec: &Spec) -> Result<Protocol> {
        let lasting = self
            .stimulus
            .iter()
            .filter(|s| s.duration != Some(0.0))
            .cloned()
            .map(Stimulus::Step);
        let protocol = match (&self.protocol, self.i_stim) {
            (Some(path), _) => protocol_file::read(path)?,
            (None, Some(i_stim)) if i_stim != 0.0 => Protocol::constant(i_stim),
            _ => Protocol {
                stimuli: lasting.collect(),
                ..Protocol::none()
            },
        };
        protocol.check_units(spec)?;
        Ok(protocol)
    }

    /// The system's spec under the preset.
    ///
    /// # Errors
    /// An unknown preset; one of a system that has none.
    pub fn under_preset(&self, spec: &Spec) -> Result<Spec> {
        match &self.preset {
            Some(name) if spec.presets.is_empty() => Err(Error::Input(format!(
                "--preset {name}: {} has no presets; leave it out",
                self.system
            ))),
            Some(name) => Ok(spec.with_preset(name)?),
            None => Ok(spec.clone()),
        }
    }
}

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
#[derive(Clone, Debug, PartialEq)]
pub struct Over {
    /// The name of a parameter, or `i_stim`.
    pub name: String,
    /// Both ends; the first may be the larger one.
    pub from: f64,
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
        if self.name == "i_stim" {
            return Ok((Input::Stimulus, spec.stimulus_unit.clone()));
        }
        for end in [self.from, self.to] {
            spec.parameters_with([(self.name.as_str(), end)])?;
        }
        let k = spec.parameter_index(&self.name)?;
        Ok((Input::Parameter(k), spec.parameters[k].unit.clone()))
    }

    /// Refuses a value of what is varied: by `--param`, or a stimulus where that is.
    ///
    /// # Errors
    /// Such a value.
    pub fn refuse_fixed(&self, system: &SystemArguments) -> Result<()> {
        let fixed = match (self.name == "i_stim", system.i_stim) {
            (true, Some(value)) => Some(format!("--i-stim {value}")),
            (true, None) if !system.stimulus.is_empty() => Some("--stimulus".into()),
            (true, None) if system.protocol.is_some() => Some("--protocol".into()),
            _ => system
                .parameters
                .iter()
                .find(|(n, _)| *n == self.name)
                .map(|(n, v)| format!("--param {n}={v}")),
        };
        match fixed {
            Some(fixed) => Err(Error::Input(format!(
                "--over varies {}, and {fixed} gives it one value; leave one of them out",
                self.name
            ))),
            None => Ok(()),
        }
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
