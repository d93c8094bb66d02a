//! What is asked about: a system with all that is set of it.

use std::sync::Arc;

use ionoscope_dynamics::{
    protocol::Protocol, spec::Spec, system::DynamicalSystem, watch::Watcher, watched::Watched,
};

use serde_json::{Value, json};

use crate::{Error, Result, artifact, named::named, options::borrowed};

/// What is set of a system; the rest is at its defaults.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// A named alternative to the default start and parameters.
    pub preset: Option<String>,
    /// Parameters by name.
    pub parameters: Vec<(String, f64)>,
    /// Variables of the start by name.
    pub x0: Vec<(String, f64)>,
    /// A constant stimulus, in place of `protocol`.
    pub i_stim: Option<f64>,
    /// The stimulus over time.
    pub protocol: Protocol,
}

/// A system, its parameters, its start and its stimulus.
#[derive(Clone)]
pub struct Subject {
    /// As it was named: the identifier of a model, or the path of a surrogate.
    pub name: String,
    /// The preset that its defaults are of, where one was chosen.
    pub preset: Option<String>,
    /// The system.
    pub system: Arc<dyn DynamicalSystem>,
    /// Its spec, with a preset's start, parameters and spike threshold as the defaults.
    pub spec: Spec,
    /// Its parameters, in the order of the spec.
    pub p: Vec<f64>,
    /// Its start, in the order of the variables.
    pub x0: Vec<f64>,
    /// Its stimulus.
    pub protocol: Protocol,
    /// The parameters that were set, and `i_stim` where a constant one was: what is varied must not
    /// be among them.
    pub set: Vec<(String, f64)>,
}

impl Subject {
    /// Opens a model by its identifier or a surrogate by its file; `watch` may stop its use.
    ///
    /// # Errors
    /// An unknown system, preset, parameter or variable; a value outside its range; a stimulus in
    /// another unit than the system's.
    pub fn open(name: &str, settings: &Settings, watch: &Watcher) -> Result<Self> {
        Subject::of(artifact::open_system(name)?, name, settings, watch)
    }

    /// A system that is open already, called `name`.
    ///
    /// # Errors
    /// As [`Subject::open`].
    pub fn of(
        system: Arc<dyn DynamicalSystem>,
        name: &str,
        settings: &Settings,
        watch: &Watcher,
    ) -> Result<Self> {
        let system = Watched::shared(system, watch);
        let spec = under_preset(system.spec(), settings.preset.as_deref(), name)?;
        let p = spec.parameters_with(borrowed(&settings.parameters))?;
        let x0 = spec.state_with(borrowed(&settings.x0))?;
        let protocol = match settings.i_stim {
            Some(0.0) => Protocol::none(),
            Some(i_stim) => Protocol::constant(i_stim),
            None => settings.protocol.clone(),
        };
        protocol.check_units(&spec)?;
        let constant = settings.i_stim.map(|i_stim| ("i_stim".to_owned(), i_stim));
        Ok(Subject {
            name: name.to_owned(),
            preset: settings.preset.clone(),
            system,
            spec,
            p,
            x0,
            protocol,
            set: settings
                .parameters
                .iter()
                .cloned()
                .chain(constant)
                .collect(),
        })
    }

    /// The same subject, whose use `watch` may stop.
    #[must_use]
    pub fn watched(self, watch: &Watcher) -> Self {
        Subject {
            system: Watched::shared(self.system, watch),
            ..self
        }
    }

    /// What a file of an answer says of it.
    pub fn description(&self) -> Value {
        json!({
            "system": self.name,
            "preset": self.preset,
            "parameters": named(&self.spec.parameters, &self.p),
            "x0": named(&self.spec.variables, &self.x0),
            "protocol": (!self.protocol.is_none()).then_some(&self.protocol),
        })
    }

    /// The stimulus, of a question that is asked under a constant one.
    ///
    /// # Errors
    /// One that changes over time.
    pub fn constant_stimulus(&self) -> Result<f64> {
        match self.protocol.constant_from() {
            Some(0.0) => Ok(self.protocol.signal(1.0).value(0.0)),
            _ => Err(Error::Input(
                "the stimulus changes over time; this verb asks what happens under a constant one: give --i-stim I".into(),
            )),
        }
    }
}

/// The spec of the system called `name` under a preset.
///
/// # Errors
/// An unknown preset; one of a system that has none.
pub fn under_preset(spec: &Spec, preset: Option<&str>, name: &str) -> Result<Spec> {
    match preset {
        Some(preset) if spec.presets.is_empty() => Err(Error::Input(format!(
            "--preset {preset}: {name} has no presets; leave it out"
        ))),
        Some(preset) => Ok(spec.with_preset(preset)?),
        None => Ok(spec.clone()),
    }
}
