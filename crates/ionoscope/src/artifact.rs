//! Reading and writing files: whole or not at all, with errors that name the file.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
    sync::Arc,
};

use ionoscope_dynamics::{
    models,
    system::{DynamicalSystem, Time},
};
pub use ionoscope_learn::files::{
    Staged, check_destination, check_folder, described, write_atomic,
};

use ionoscope_learn::architectures::{fno::Fno, neural_map::NeuralMap, single::SinglePrecision};
use serde::Serialize;
use serde_json::{Value, json};

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

/// The description of a data file, to be committed after it: `meta`, and under `describes` the number of its bytes and their [`fingerprint`], by which anybody can
/// tell whether it speaks of this very file. Committing the data removes an older description, so that none ever stands beside other data.
///
/// # Errors
/// A file that cannot be read or written.
pub fn describe(data: &Staged, meta: &Value) -> Result<Staged> {
    let mut meta = meta.clone();
    let bytes = std::fs::metadata(data.temporary())
        .map_err(|e| Error::write(data.path(), e))?
        .len();
    if let Value::Object(entries) = &mut meta {
        entries.insert(
            "describes".into(),
            json!({"bytes": bytes, "hash": fingerprint(data.temporary())?}),
        );
    }
    Ok(Staged::new(&described(data.path()), |w| json_to(w, &meta))?)
}

/// FNV-1a of bytes that come one after the other: tells files apart, and is no proof against forgery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Fingerprint(0xcbf2_9ce4_8422_2325)
    }
}

impl Fingerprint {
    /// Takes up more bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |h, b| {
            (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The [`Fingerprint`] of a file, as sixteen digits.
///
/// # Errors
/// A file that cannot be read.
pub fn fingerprint(path: &Path) -> Result<String> {
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(failed)?;
    let (mut hash, mut buffer) = (Fingerprint::default(), vec![0; 1 << 18]);
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(hash.to_string()),
            n => hash.add(&buffer[..n]),
        }
    }
}

/// What `read` makes of a file, with the file's [`fingerprint`]: both of the same bytes.
///
/// # Errors
/// Those of `read`; a file that was changed meanwhile.
pub fn with_fingerprint<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<(T, String)> {
    let before = fingerprint(path)?;
    let made = read()?;
    if fingerprint(path)? != before {
        return Err(Error::Input(format!(
            "{} was changed while it was read; run the command again",
            path.display()
        )));
    }
    Ok((made, before))
}

/// The text of a file, which must hold some.
///
/// # Errors
/// A file that is missing, unreadable, empty or not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|mut f| f.read_to_string(&mut text))
        .map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
    if text.trim().is_empty() {
        return Err(Error::Input(format!(
            "{} is empty; was it written completely?",
            path.display()
        )));
    }
    Ok(text)
}

/// The neural map in a file, moving many states at once in single precision.
///
/// # Errors
/// What is no file of a neural map.
pub fn open_single(text: &str) -> Result<Arc<dyn DynamicalSystem>> {
    if open_system(text)?.time() == Time::Continuous {
        return Err(Error::Input(format!(
            "--precision single is for neural maps; {text} runs in double precision only"
        )));
    }
    Ok(Arc::new(SinglePrecision::new(Arc::new(NeuralMap::load(
        Path::new(text),
    )?))?))
}

/// The system that `text` names: a file that exists, or a name that ends in `.safetensors`, is a surrogate; anything else the
/// identifier of a model.
///
/// # Errors
/// An unknown model, with the nearest known one; a file that is no surrogate.
pub fn open_system(text: &str) -> Result<Arc<dyn DynamicalSystem>> {
    let path = Path::new(text);
    // A name with a folder in it is no identifier either: the error should speak of a missing file.
    if path.exists()
        || path.extension().is_some_and(|e| e == "safetensors")
        || path.components().count() > 1
    {
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
