//! Arguments that several verbs share: `NAME=VALUE`, `NAME=LO:HI`, and the system they belong to.

use std::sync::Arc;

use clap::Args;
use ionoscope_dynamics::{spec::Spec, system::DynamicalSystem};

use crate::{Error, Result, artifact};

/// A system, a preset of it, and its parameters.
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
}

/// What [`SystemArguments`] name.
pub struct Opened {
    /// The system.
    pub system: Arc<dyn DynamicalSystem>,
    /// Its spec, with the preset's start, parameters and spike threshold as the defaults.
    pub spec: Spec,
    /// Its parameters, in the order of the spec: the defaults, changed by `--param`.
    pub p: Vec<f64>,
}

impl SystemArguments {
    /// The system, its spec under the preset, and its parameters.
    ///
    /// # Errors
    /// An unknown system, preset or parameter; a value outside its range.
    pub fn open(&self) -> Result<Opened> {
        let system = artifact::open_system(&self.system)?;
        let spec = match &self.preset {
            Some(name) => system.spec().with_preset(name)?,
            None => system.spec().clone(),
        };
        let p = spec.parameters_with(borrowed(&self.parameters))?;
        Ok(Opened { system, spec, p })
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
            return Err(Error::Input(format!("the box {name}={low}:{high} is empty; expected LO < HI")));
        }
        bounds[spec.variable_index(name)?] = [*low, *high];
    }
    Ok(bounds)
}

/// Parses `NAME=VALUE`.
pub fn name_value(text: &str) -> std::result::Result<(String, f64), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE, such as v_s=-36")?;
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
    let value: f64 = text.trim().parse().map_err(|_| format!("'{text}' is not a number"))?;
    if value.is_finite() { Ok(value) } else { Err(format!("{value} is not a finite number")) }
}

/// Parses a finite number larger than 0.
pub fn positive(text: &str) -> std::result::Result<f64, String> {
    let value = number(text)?;
    if value > 0.0 { Ok(value) } else { Err(format!("{value} is not larger than 0")) }
}
