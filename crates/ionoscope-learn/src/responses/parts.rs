//! What was made of a dataset before an interruption: a folder with one file for each batch of runs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{config::ResponseConfig, set::Responses};
use crate::{Error, Result, checkpoint::fingerprint, files};

/// Length of the checksum at the end of a part.
const CHECKSUM: usize = 16;

/// The checksum of a part, whose length is a multiple of four.
fn of(bytes: &[u8]) -> String {
    fingerprint(
        bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f64::from(u32::from_le_bytes(*b))),
    )
}

/// Finished batches of a dataset.
pub struct Parts {
    dir: PathBuf,
}

impl Parts {
    /// The folder `dir` for this configuration.
    ///
    /// # Errors
    /// A folder that cannot be made, or holds what another configuration left there.
    pub fn open(dir: &Path, config: &ResponseConfig) -> Result<Self> {
        let write = |source| Error::Write {
            path: dir.to_owned(),
            source,
        };
        let text = serde_json::to_string(config)
            .map_err(|e| Error::Failed(format!("the configuration cannot be written: {e}")))?;
        let about = dir.join("config.json");
        // Without a description another process has just begun it: parts come after that.
        if fs::read_to_string(&about).is_ok_and(|there| there != text) {
            return Err(Error::Invalid(format!(
                "{} holds the beginning of other responses; go on with their configuration, choose another folder, or remove it",
                dir.display()
            )));
        }
        fs::create_dir_all(dir).map_err(write)?;
        files::write_atomic(&about, |w| w.write_all(text.as_bytes()))?;
        Ok(Parts {
            dir: dir.to_owned(),
        })
    }

    /// Removes the folder, once the whole is safe.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.dir).map_err(|source| Error::Write {
            path: self.dir,
            source,
        })
    }

    /// Appends a finished batch of `count` samples to `set`; says whether there was one, undamaged.
    pub(super) fn load(&self, name: &str, count: usize, set: &mut Responses) -> bool {
        let Ok(mut bytes) = fs::read(self.dir.join(name)) else {
            return false;
        };
        let checksum = bytes.split_off(bytes.len().saturating_sub(CHECKSUM));
        let (inputs, states, parameters) = (
            count * set.points,
            count * set.points * set.variables,
            count * set.parameters,
        );
        if bytes.len() != 4 * (inputs + states + count) + 8 * parameters
            || checksum != of(&bytes).as_bytes()
        {
            return false;
        }
        let words = bytes.as_chunks::<4>().0;
        let single = |b: &[u8; 4]| f32::from_le_bytes(*b);
        set.input.extend(words[..inputs].iter().map(single));
        set.x
            .extend(words[inputs..inputs + states].iter().map(single));
        set.class.extend(
            words[inputs + states..inputs + states + count]
                .iter()
                .map(|b| u32::from_le_bytes(*b)),
        );
        set.p.extend(
            bytes[4 * (inputs + states + count)..]
                .as_chunks::<8>()
                .0
                .iter()
                .map(|b| f64::from_le_bytes(*b)),
        );
        true
    }

    /// Keeps the samples of `set` from `first` on.
    pub(super) fn save(&self, name: &str, first: usize, set: &Responses) -> Result<()> {
        let numbers = set.input[first * set.points..]
            .iter()
            .chain(&set.x[first * set.points * set.variables..]);
        let mut bytes: Vec<u8> = numbers.flat_map(|v| v.to_le_bytes()).collect();
        bytes.extend(set.class[first..].iter().flat_map(|c| c.to_le_bytes()));
        bytes.extend(
            set.p[first * set.parameters..]
                .iter()
                .flat_map(|v| v.to_le_bytes()),
        );
        let checksum = of(&bytes);
        files::write_atomic(&self.dir.join(name), |w| {
            w.write_all(&bytes)
                .and_then(|()| w.write_all(checksum.as_bytes()))
        })
    }
}
