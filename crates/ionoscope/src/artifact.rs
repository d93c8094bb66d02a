//! Reading and writing files: whole or not at all, with errors that name the file.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use ionoscope_dynamics::{
    models,
    system::{DynamicalSystem, Time},
};
pub use ionoscope_learn::files::{Staged, check_destination, check_folder, write_atomic};

use ionoscope_learn::architectures::{fno::Fno, neural_map::NeuralMap, single::SinglePrecision};
use serde::Serialize;

use crate::{Error, Result};

/// Writes a JSON document, indented, as [`write_atomic`] does.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    Ok(write_atomic(path, |w| json_to(w, value))?)
}

/// Writes an indented JSON document and a line end.
///
/// # Errors
/// The writer's own.
pub fn json_to(w: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *w, value)?;
    w.write_all(b"\n")
}

/// `path` with `.meta.json` after its whole name: where units and configuration of a data file stand.
pub fn meta_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".meta.json");
    name.into()
}

/// The text of a file, which must hold some.
///
/// # Errors
/// A file that is missing, unreadable, empty or not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    let mut text = String::new();
    File::open(path).and_then(|mut f| f.read_to_string(&mut text)).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    if text.trim().is_empty() {
        return Err(Error::Input(format!("{} is empty; was it written completely?", path.display())));
    }
    Ok(text)
}

/// The neural map in a file, moving many states at once in single precision.
///
/// # Errors
/// What is no file of a neural map.
pub fn open_single(text: &str) -> Result<Arc<dyn DynamicalSystem>> {
    if open_system(text)?.time() == Time::Continuous {
        return Err(Error::Input(format!("--precision single is for neural maps; {text} runs in double precision only")));
    }
    Ok(Arc::new(SinglePrecision::new(Arc::new(NeuralMap::load(Path::new(text))?))?))
}

/// The system that `text` names: a file that exists, or a name that ends in `.safetensors`, is a surrogate; anything else the
/// identifier of a model.
///
/// # Errors
/// An unknown model, with the nearest known one; a file that is no surrogate.
pub fn open_system(text: &str) -> Result<Arc<dyn DynamicalSystem>> {
    let path = Path::new(text);
    // A name with a folder in it is no identifier either: the error should speak of a missing file.
    if path.exists() || path.extension().is_some_and(|e| e == "safetensors") || path.components().count() > 1 {
        if Fno::is_one(path) {
            return Err(Error::Input(format!(
                "{text} is a Fourier neural operator, which answers `simulate`, `evaluate` and `models`; this verb asks for a model or a neural map"
            )));
        }
        Ok(Arc::new(NeuralMap::load(path)?))
    } else {
        Ok(models::find(text)?)
    }
}
