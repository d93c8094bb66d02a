//! Writing files whole or not at all.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

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
        let (staged, file) = Staged::open(path)?;
        let mut writer = BufWriter::with_capacity(1 << 18, file);
        let written = write(&mut writer).and_then(|()| {
            writer
                .into_inner()
                .map_err(io::IntoInnerError::into_error)?
                .sync_all()
        });
        written.map_err(|source| Error::Write {
            path: path.to_owned(),
            source,
        })?;
        Ok(staged)
    }

    /// An empty file under the temporary name, in a folder that is made where it is missing, to be filled as a stream before [`Staged::commit`].
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn open(path: &Path) -> Result<(Self, File)> {
        check_destination(path)?;
        make_folder_of(path).map_err(|source| Error::Write {
            path: path.to_owned(),
            source,
        })?;
        let staged = Staged {
            path: path.to_owned(),
            temporary: beside(path, &std::process::id().to_string()),
        };
        let file = File::create(&staged.temporary).map_err(|source| Error::Write {
            path: path.to_owned(),
            source,
        })?;
        Ok((staged, file))
    }

    /// The name that it will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where its content stands until then.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Gives the file its name, in place of what had it before. What described that, [`described`], is put aside first and removed in the end: at no
    /// moment, whenever the process ends, does a description stand beside data that it does not speak of. Where the file does not get its name, the old
    /// one has its description again. A process that ends in between leaves data without a description, and what it had put aside to the next commit,
    /// which removes it.
    ///
    /// # Errors
    /// The file cannot be renamed, or the old description not be put aside or removed; the temporary file is removed.
    pub fn commit(self) -> Result<()> {
        let old = described(&self.path);
        // Not the name under which a new description is written in the meantime.
        let aside = beside(&old, "old");
        let failed = |path: &Path, source| Error::Write {
            path: path.to_owned(),
            source,
        };
        // A folder would be moved, and could not be removed then.
        if old.is_dir() {
            return Err(failed(&old, io::ErrorKind::IsADirectory.into()));
        }
        let put_aside = match fs::rename(&old, &aside) {
            Ok(()) => true,
            Err(source) if source.kind() == io::ErrorKind::NotFound => false,
            Err(source) => return Err(failed(&old, source)),
        };
        if let Err(source) = fs::rename(&self.temporary, &self.path) {
            if put_aside {
                // Why the data could not be replaced is what is to be told, whatever becomes of this.
                let _ = fs::rename(&aside, &old);
            }
            return Err(failed(&self.path, source));
        }
        match fs::remove_file(&aside) {
            Err(source) if put_aside && source.kind() != io::ErrorKind::NotFound => {
                Err(failed(&aside, source))
            }
            _ => Ok(()),
        }
    }
}

/// Where the description of a data file stands, its units and configuration: `.meta.json` after the whole name.
pub fn described(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".meta.json");
    name.into()
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
pub fn write_atomic(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    Staged::new(path, write)?.commit()
}

/// Checks, before long work, that a file can be made at `path`: it has a name, is no folder, and its folder is there or can be made.
///
/// # Errors
/// Wrong input that says which of these does not hold.
pub fn check_destination(path: &Path) -> Result<()> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if path.file_name().is_none() || path.is_dir() {
        return Err(Error::Invalid(format!(
            "{} is a folder; expected the name of a file to write",
            path.display()
        )));
    }
    check_folder(folder)
}

/// Checks, before long work, that a folder is there or can be made at `path`: no file stands in its way.
///
/// # Errors
/// Wrong input that names the file.
pub fn check_folder(path: &Path) -> Result<()> {
    match path
        .ancestors()
        .find(|p| p.exists())
        .filter(|p| !p.is_dir())
    {
        Some(file) => {
            let (path, file) = (path.display(), file.display());
            Err(Error::Invalid(format!(
                "cannot make the folder {path}: {file} is a file; choose another folder"
            )))
        }
        None => Ok(()),
    }
}

/// Makes the folder in which a file is to be, and those in which that is.
///
/// # Errors
/// The operating system's.
pub fn make_folder_of(path: &Path) -> io::Result<()> {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .map_or(Ok(()), std::fs::create_dir_all)
}

/// A hidden name beside that of a file, told apart from others by `what`.
fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{what}.tmp"));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_never_stands_beside_other_data() {
        let folder =
            std::env::temp_dir().join(format!("ionoscope-described-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("data.csv");
        let there = || [&path, &described(&path)].map(|p| fs::read_to_string(p).ok());
        let stage =
            |path: &Path, text: &str| Staged::new(path, |w| w.write_all(text.as_bytes())).unwrap();
        let old = ["old", "of old"].map(|s| Some(s.to_owned()));
        stage(&path, "old").commit().unwrap();
        stage(&described(&path), "of old").commit().unwrap();
        assert_eq!(there(), old);
        // Whatever was reached when the process ended.
        let (data, about) = (stage(&path, "new"), stage(&described(&path), "of new"));
        assert_eq!(there(), old);
        data.commit().unwrap();
        assert_eq!(there(), [Some("new".to_owned()), None]);
        about.commit().unwrap();
        assert_eq!(there(), ["new", "of new"].map(|s| Some(s.to_owned())));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn data_that_are_not_replaced_keep_their_description() {
        let folder = std::env::temp_dir().join(format!("ionoscope-kept-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let names = || {
            let mut names: Vec<_> = fs::read_dir(&folder)
                .unwrap()
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let path = folder.join("data.csv");
        let stage =
            |path: &Path, text: &str| Staged::new(path, |w| w.write_all(text.as_bytes())).unwrap();
        stage(&path, "old").commit().unwrap();
        stage(&described(&path), "of old").commit().unwrap();
        let (new, about) = (stage(&path, "new"), stage(&described(&path), "of new"));
        // Somebody has cleared the folder of what looked temporary.
        fs::remove_file(new.temporary()).unwrap();
        let error = new.commit().unwrap_err();
        assert!(error.to_string().contains("data.csv"), "{error}");
        drop(about);
        assert_eq!(names(), ["data.csv", "data.csv.meta.json"]);
        assert_eq!(
            [&path, &described(&path)].map(|p| fs::read_to_string(p).unwrap()),
            ["old", "of old"]
        );
        // Nothing is left of the old one beside the new, nor of one that was put aside by a process that was killed.
        stage(&path, "new").commit().unwrap();
        assert_eq!(names(), ["data.csv"]);
        fs::write(beside(&described(&path), "old"), "of older").unwrap();
        stage(&path, "new").commit().unwrap();
        assert_eq!(names(), ["data.csv"]);
        // Nor is a folder of that name touched.
        fs::create_dir(described(&path)).unwrap();
        assert!(stage(&path, "newer").commit().is_err());
        assert_eq!(
            (names().len(), fs::read_to_string(&path).unwrap()),
            (2, "new".to_owned())
        );
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_is_whole_or_not_there() {
        let folder = std::env::temp_dir().join(format!("ionoscope-files-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let names = || {
            fs::read_dir(&folder)
                .unwrap()
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .collect::<Vec<_>>()
        };
        let path = folder.join("data.csv");
        write_atomic(&path, |w| w.write_all(b"old")).unwrap();
        let full = |w: &mut dyn Write| {
            w.write_all(&[b'x'; 1 << 19])?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        };
        let error = write_atomic(&path, full).unwrap_err();
        assert!(!error.is_input());
        assert!(error.to_string().contains("data.csv"), "{error}");
        drop(Staged::new(&folder.join("other.csv"), |w| w.write_all(b"never named")).unwrap());
        assert_eq!(
            (names(), fs::read_to_string(&path).unwrap()),
            (vec!["data.csv".to_owned()], "old".to_owned())
        );
        assert!(check_folder(&path.join("below")).unwrap_err().is_input());
        check_folder(&folder.join("new/and/below")).unwrap();
        fs::remove_dir_all(&folder).unwrap();
    }
}
