//! The folder of a run: `training.json` (the resolved configuration), `progress.jsonl` (one record a line), TensorBoard events, checkpoints.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::record::Record;
use crate::{
    Error, Result,
    checkpoint::{self, Checkpoint, Identity},
    events, files,
};

const PROGRESS: &str = "progress.jsonl";
const EVENTS: &str = "events.out.tfevents.0.ionoscope";

/// What to do with a run that a folder already holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existing {
    /// Refuse to touch it.
    #[default]
    Refuse,
    /// Go on from its checkpoint; begin where there is none.
    Resume,
    /// Begin anew in its place.
    Replace,
}

/// A file to which whole records are appended.
struct Log {
    path: PathBuf,
    file: File,
    /// Bytes in the file.
    length: u64,
}

impl Log {
    /// Opens the log, for this process alone, and leaves what is there.
    fn open(path: PathBuf) -> Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path);
        let file = file.map_err(|source| Error::Write {
            path: path.clone(),
            source,
        })?;
        match file.try_lock() {
            // Where a file system knows no locks, whoever starts two trainings in one folder is on his own.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Log {
                path,
                file,
                length: 0,
            }),
            Err(TryLockError::WouldBlock) => Err(Error::file(
                &path,
                "another training is at work in this folder; wait for its end, or choose another folder",
            )),
        }
    }

    /// Keeps the first `length` bytes of what is there.
    fn keep(&mut self, length: u64) -> Result<()> {
        let (path, file) = (&self.path, &mut self.file);
        let failed = |source| Error::Write {
            path: path.clone(),
            source,
        };
        let there = file.metadata().map_err(failed)?.len();
        if there < length {
            return Err(Error::file(
                path,
                format!(
                    "has {there} bytes where the checkpoint says {length}; it was changed since; start anew"
                ),
            ));
        }
        file.set_len(length)
            .and_then(|()| file.seek(SeekFrom::End(0)))
            .map_err(failed)?;
        self.length = length;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.length += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|source| Error::Write {
            path: self.path.clone(),
            source,
        })
    }

    /// Makes sure that a checkpoint which refers to the log finds it, whatever happens to the machine.
    fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|source| Error::Write {
            path: self.path.clone(),
            source,
        })
    }
}

/// What a folder holds to go on from.
pub(super) type Found = (Checkpoint, Vec<Record>);

/// An open folder.
pub(super) struct Directory {
    path: PathBuf,
    progress: Log,
    events: Log,
}

impl Directory {
    /// Opens the folder; also what it holds to go on from.
    pub fn open(
        path: &Path,
        existing: Existing,
        identity: &Identity,
    ) -> Result<(Self, Option<Found>)> {
        fs::create_dir_all(path).map_err(|source| Error::Write {
            path: path.to_owned(),
            source,
        })?;
        let file = path.join(checkpoint::FILE);
        if file.exists() && existing == Existing::Refuse {
            let message =
                "the folder already holds a training; resume it, or choose another folder";
            return Err(Error::file(&file, message));
        }
        let mut directory = Directory {
            path: path.to_owned(),
            progress: Log::open(path.join(PROGRESS))?,
            events: Log::open(path.join(EVENTS))?,
        };
        let checkpoint = if existing == Existing::Resume {
            load(&file, identity)?
        } else {
            None
        };
        let (progress_bytes, event_bytes) = checkpoint
            .as_ref()
            .map_or((0, 0), |c| (c.progress_bytes, c.event_bytes));
        directory.progress.keep(progress_bytes)?;
        directory.events.keep(event_bytes)?;
        let Some(checkpoint) = checkpoint else {
            for old in [crate::checkpoint::previous(&file), file] {
                let removed = fs::remove_file(&old);
                if let Err(source) = removed.or_else(|e| {
                    if e.kind() == std::io::ErrorKind::NotFound {
                        Ok(())
                    } else {
                        Err(e)
                    }
                }) {
                    return Err(Error::Write { path: old, source });
                }
            }
            let mut text = serde_json::to_vec_pretty(identity)
                .map_err(|e| Error::Failed(format!("the configuration: {e}")))?;
            text.push(b'\n');
            files::write_atomic(&path.join("training.json"), |w| w.write_all(&text))?;
            directory.events.append(&events::header())?;
            return Ok((directory, None));
        };
        let history = directory.history()?;
        Ok((directory, Some((checkpoint, history))))
    }

    /// The records that are in the progress file.
    fn history(&mut self) -> Result<Vec<Record>> {
        let path = self.progress.path.clone();
        let mut text = String::new();
        let read = self
            .progress
            .file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.progress.file.read_to_string(&mut text));
        read.map_err(|source| Error::Read {
            path: path.clone(),
            source,
        })?;
        let parse = |(k, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|e| {
                Error::file(
                    &path,
                    format!("line {} is not a record ({e}); start anew", k + 1),
                )
            })
        };
        text.lines().enumerate().map(parse).collect()
    }

    /// Adds a record to the progress file and to the events.
    pub fn record(&mut self, record: &Record, variables: &[String]) -> Result<()> {
        let mut line = serde_json::to_vec(record)
            .map_err(|e| Error::Failed(format!("a progress record: {e}")))?;
        // JSON has no word for a number that is not finite, and a line that is not read again would end every later resumption.
        serde_json::from_slice::<Record>(&line).map_err(|_| {
            Error::Failed(format!(
                "the training has come to numbers that are not finite, which {} cannot hold",
                PROGRESS
            ))
        })?;
        line.push(b'\n');
        self.progress.append(&line)?;
        let (step, values) = record.scalars(variables);
        self.events.append(&events::scalars(
            step,
            values.iter().map(|(name, v)| (name.as_str(), *v)),
        ))
    }

    /// Writes a checkpoint.
    pub fn checkpoint(&mut self, mut checkpoint: Checkpoint) -> Result<()> {
        self.progress.sync()?;
        self.events.sync()?;
        checkpoint.progress_bytes = self.progress.length;
        checkpoint.event_bytes = self.events.length;
        checkpoint.save(&self.path.join(checkpoint::FILE))
    }
}

fn load(file: &Path, identity: &Identity) -> Result<Option<Checkpoint>> {
    if !file.exists() {
        return Ok(None);
    }
    let checkpoint = Checkpoint::load(file)?;
    let differences = checkpoint.identity.differences(identity);
    if !differences.is_empty() {
        let message = format!(
            "this checkpoint belongs to another training: {}; resume with the same configuration and data, or choose another folder",
            differences.join("; ")
        );
        return Err(Error::file(file, message));
    }
    Ok(Some(checkpoint))
}
