//! What is asked about: a system with all that is set of it.

use std::sync::Arc;

use std::path::Path;

use ionoscope_dynamics::{
    protocol::Protocol,
    simulator::Simulator,
    spec::Spec,
    system::{DynamicalSystem, Time},
    watch::Watcher,
    watched::Watched,
};
use ionoscope_learn::architectures::fno::{Fno, Operator};

use serde_json::{Value, json};

use crate::{
    Error, Result, artifact,
    named::named,
    options::{Over, borrowed},
    report::figure::Role,
};

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
    /// What answers experiments.
    pub simulator: Arc<dyn Simulator>,
    /// The operator that it is, if it is one.
    pub operator: Option<Arc<Fno>>,
    /// The fingerprint of its file, where it comes from one.
    pub hash: Option<String>,
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

/// A model or surrogate that is open: the one place where files become systems.
#[derive(Clone)]
pub struct Opened {
    name: String,
    hash: Option<String>,
    what: What,
}

#[derive(Clone)]
enum What {
    System(Arc<dyn DynamicalSystem>),
    Operator(Arc<Fno>),
}

impl Opened {
    /// Opens a model by its identifier or a surrogate by its file.
    ///
    /// # Errors
    /// An unknown model, with the nearest known one; a file that is no surrogate.
    pub fn open(name: &str) -> Result<Self> {
        let path = Path::new(name);
        if !path.is_file() {
            return Ok(Opened {
                name: name.to_owned(),
                hash: None,
                what: What::System(artifact::open_system(name)?),
            });
        }
        let (what, hash) = artifact::with_fingerprint(path, || {
            Ok(if Fno::is_one(path) {
                What::Operator(Arc::new(Fno::load(path)?))
            } else {
                What::System(artifact::open_system(name)?)
            })
        })?;
        Ok(Opened {
            name: name.to_owned(),
            hash: Some(hash),
            what,
        })
    }

    /// A system that was made here, called `name`.
    pub fn of(system: Arc<dyn DynamicalSystem>, name: &str) -> Self {
        Opened {
            name: name.to_owned(),
            hash: None,
            what: What::System(system),
        }
    }

    /// The operator, if it is one.
    pub fn operator(&self) -> Option<&Arc<Fno>> {
        match &self.what {
            What::Operator(fno) => Some(fno),
            What::System(_) => None,
        }
    }

    /// It, with what is set of it; `watch` may stop its use.
    ///
    /// # Errors
    /// An unknown preset, parameter or variable; a value outside its range; a stimulus in another
    /// unit than the system's.
    pub fn subject(&self, settings: &Settings, watch: &Watcher) -> Result<Subject> {
        let simulator: Arc<dyn Simulator> = match &self.what {
            What::System(system) => Arc::new(Watched::new(system.clone(), watch)),
            What::Operator(fno) => Arc::new(Operator::new(fno.clone())),
        };
        let subject = Subject::with(simulator, self.operator().cloned(), &self.name, settings)?;
        Ok(Subject {
            hash: self.hash.clone(),
            ..subject
        })
    }
}

impl Subject {
    /// Opens a model by its identifier or a surrogate by its file; `watch` may stop its use.
    ///
    /// # Errors
    /// As [`Opened::open`] and [`Opened::subject`].
    pub fn open(name: &str, settings: &Settings, watch: &Watcher) -> Result<Self> {
        Opened::open(name)?.subject(settings, watch)
    }

    fn with(
        simulator: Arc<dyn Simulator>,
        operator: Option<Arc<Fno>>,
        name: &str,
        settings: &Settings,
    ) -> Result<Self> {
        let spec = under_preset(simulator.spec(), settings.preset.as_deref(), name)?;
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
            simulator,
            operator,
            hash: None,
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

    /// The system, of a question about a rule.
    ///
    /// # Errors
    /// An operator, which has none.
    pub fn system(&self) -> Result<&dyn DynamicalSystem> {
        self.simulator.system().ok_or_else(|| {
            Error::Input(format!(
                "{} is a Fourier neural operator, which answers `simulate`, `evaluate` and `models`; this verb asks for a model or a neural map",
                self.name
            ))
        })
    }

    /// What it is: a flow, a map or an operator.
    pub fn kind(&self) -> &'static str {
        match self.simulator.system().map(DynamicalSystem::time) {
            Some(Time::Continuous) => "flow",
            Some(Time::Discrete { .. }) => "map",
            None => "operator",
        }
    }

    /// How it is drawn: equations, or what was learned from them.
    pub fn role(&self) -> Role {
        if self.spec.trained_on.is_some() || self.operator.is_some() {
            Role::Orbit
        } else {
            Role::Equations
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

    /// Refuses a value of what is varied: by `--param`, or a stimulus where that is.
    ///
    /// # Errors
    /// Such a value.
    pub fn refuse_fixed(&self, over: &Over) -> Result<()> {
        let given = self.set.iter().find(|(n, _)| *n == over.name);
        let fixed = match given {
            Some((n, v)) if n == "i_stim" => Some(format!("--i-stim {v}")),
            Some((n, v)) => Some(format!("--param {n}={v}")),
            None if over.name == "i_stim" && !self.protocol.is_none() => {
                Some("the --stimulus or --protocol".into())
            }
            None => None,
        };
        match fixed {
            Some(fixed) => Err(Error::Input(format!(
                "--over varies {}, and {fixed} gives it one value; leave one of them out",
                over.name
            ))),
            None => Ok(()),
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
