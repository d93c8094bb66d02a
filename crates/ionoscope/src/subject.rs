//! What is asked about: a system with all that is set of it.

use std::sync::Arc;

use ionoscope_dynamics::{
    protocol::Protocol, spec::Spec, system::DynamicalSystem, watch::Watcher, watched::Watched,
};

use crate::{Error, Result};

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
}

impl Subject {
    /// The same subject, whose use `watch` may stop.
    #[must_use]
    pub fn watched(self, watch: &Watcher) -> Self {
        Subject {
            system: Watched::shared(self.system, watch),
            ..self
        }
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
