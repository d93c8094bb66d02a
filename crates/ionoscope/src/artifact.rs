//! Reading and writing files: whole or not at all, with errors that name the file.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use ionoscope_dynamics::{models, system::DynamicalSystem};
use ionoscope_learn::architectures::neural_map::NeuralMap;
use serde::Serialize;

use crate::{Error, Result};

/// A file written completely under a temporary name beside its own. [`Staged::commit`] gives it its name; dropped without that, it
/// goes away.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    temporary: PathBuf,
}

impl Staged {
    /// Writes the content and waits until it is on the disk.
    ///
    /// # Errors
    /// The file cannot be written, or `write` fails; the temporary file is removed.
    pub fn new(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<Self> {
        check_destination(path)?;
        let staged = Staged { path: path.to_owned(), temporary: beside(path) };
        let written = File::create(&staged.temporary).and_then(|file| {
            let mut writer = BufWriter::with_capacity(1 << 18, file);
            write(&mut writer)?;
            writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
        });
        written.map_err(|source| Error::write(path, source))?;
        Ok(staged)
    }

    /// Gives the file its name, in place of what had it before.
    ///
    /// # Errors
    /// The file cannot be renamed; the temporary file is removed.
    pub fn commit(self) -> Result<()> {
        fs::rename(&self.temporary, &self.path).map_err(|source| Error::write(&self.path, source))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a commit there is nothing under this name.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Writes a file so that `path` holds either what it held before or the whole new content.
///
/// # Errors
/// As [`Staged::new`] and [`Staged::commit`].
pub fn write_atomic(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    Staged::new(path, write)?.commit()
}

/// Writes a JSON document, indented, as [`write_atomic`] does.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    write_atomic(path, |w| json_to(w, value))
}

/// Writes an indented JSON document and a line end.
///
/// # Errors
/// The writer's own.
pub fn json_to(w: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *w, value)?;
    w.write_all(b"\n")
}

/// Checks, before long work, that a file can be made at `path`: it has a name, is no folder, and its folder exists.
///
/// # Errors
/// Wrong input that says which of these does not hold.
pub fn check_destination(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.file_name().is_none() || path.is_dir() {
        return Err(Error::Input(format!("{} is a folder; expected the name of a file to write", path.display())));
    }
    if !folder.is_dir() {
        return Err(Error::Input(format!("cannot write {}: there is no folder {}; make it first", path.display(), folder.display())));
    }
    Ok(())
}

fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
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

/// The system that `text` names: a file that exists, or a name that ends in `.safetensors`, is a surrogate; anything else the
/// identifier of a model.
///
/// # Errors
/// An unknown model, with the nearest known one; a file that is no surrogate.
pub fn open_system(text: &str) -> Result<Arc<dyn DynamicalSystem>> {
    let path = Path::new(text);
    // A name with a folder in it is no identifier either: the error should speak of a missing file.
    if path.exists() || path.extension().is_some_and(|e| e == "safetensors") || path.components().count() > 1 {
        Ok(Arc::new(NeuralMap::load(path)?))
    } else {
        Ok(models::find(text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_or_not_there() {
        let folder = std::env::temp_dir().join(format!("ionoscope-artifact-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let names = || fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>();
        let path = folder.join("data.csv");
        write_atomic(&path, |w| w.write_all(b"old")).unwrap();
        let full = |w: &mut dyn Write| {
            w.write_all(&[b'x'; 1 << 19])?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        };
        let error = write_atomic(&path, full).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().contains("data.csv"), "{error}");
        drop(Staged::new(&folder.join("other.csv"), |w| w.write_all(b"never named")).unwrap());
        assert_eq!((names(), read_text(&path).unwrap()), (vec!["data.csv".to_owned()], "old".to_owned()));
        write_atomic(&path, |_| Ok(())).unwrap();
        assert!(read_text(&path).unwrap_err().to_string().contains("empty"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
