//! A surrogate of either kind, and where it can be trained.

use std::path::Path;

use ionoscope_learn::{
    architectures::{fno::Fno, neural_map::NeuralMap},
    train::{Device, operator},
};

use crate::{Error, Result, artifact, config::AnyConfiguration};

/// A trained surrogate of either kind.
pub enum Surrogate {
    /// A neural map.
    Map(NeuralMap),
    /// A Fourier neural operator.
    Operator(Fno),
}

impl Surrogate {
    /// The surrogate in a file.
    ///
    /// # Errors
    /// A file that cannot be read, or holds neither.
    pub fn load(path: &Path) -> Result<Self> {
        Ok(if Fno::is_one(path) {
            Surrogate::Operator(Fno::load(path)?)
        } else {
            Surrogate::Map(NeuralMap::load(path)?)
        })
    }

    /// The content of its file.
    ///
    /// # Errors
    /// A header that cannot be expressed as JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        Ok(match self {
            Surrogate::Map(map) => map.to_bytes()?,
            Surrogate::Operator(fno) => fno.to_bytes()?,
        })
    }

    /// Writes the file.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = self.to_bytes()?;
        Ok(artifact::write_atomic(path, |w| w.write_all(&bytes))?)
    }
}

/// Whether a device can train what a configuration says: worth asking before the data are made.
///
/// # Errors
/// A GPU for a map; a GPU that is not there.
pub fn check_device(configuration: &AnyConfiguration, device: Device) -> Result<()> {
    match configuration {
        AnyConfiguration::Operator(_) => Ok(operator::check_device(device)?),
        AnyConfiguration::Map(_) if device == Device::Cuda => {
            Err(Error::Input("neural maps train on the CPU, since they are too small to gain from a GPU; leave out --device cuda".into()))
        }
        AnyConfiguration::Map(_) => Ok(()),
    }
}
