//! The state of an unfinished training in one file, from which it goes on to the bit.
//!
//! A `.safetensors` file with double-precision tensors for each sub-network i (`i.weights`, `i.first`, `i.second`, the moments of Adam, and
//! `i.second_order` once that stage has begun) and the rest as JSON in the header, with a checksum of everything.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Error, Result, files, hash,
    tensors::{self, Damage, Tensor, Tensors},
};

const FORMAT: &str = "checkpoint/2";

/// What a checkpoint belongs to; resuming with anything else would give a result that is neither one nor the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The resolved configuration of the training.
    pub configuration: Value,
    /// Fingerprint of the dataset, hexadecimal.
    pub dataset: String,
    /// Fingerprint of the weights that were given to start from.
    pub from: Option<String>,
}

impl Identity {
    /// What differs from `now`, as sentences.
    pub fn differences(&self, now: &Identity) -> Vec<String> {
        let mut found = differences("", &self.configuration, &now.configuration);
        if self.dataset != now.dataset {
            found.push(format!(
                "the dataset was {} and is {}",
                self.dataset, now.dataset
            ));
        }
        if self.from != now.from {
            let name = |from: &Option<String>| from.clone().unwrap_or_else(|| "random".into());
            found.push(format!(
                "the weights to start from were {} and are {}",
                name(&self.from),
                name(&now.from)
            ));
        }
        found
    }
}

/// What differs between two JSON values below `path`, as sentences.
pub fn differences(path: &str, then: &Value, now: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(path, then, now, &mut found);
    found
}

/// Appends what differs between two JSON values, by path.
fn compare(path: &str, then: &Value, now: &Value, found: &mut Vec<String>) {
    match (then, now) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                compare(
                    &path,
                    a.get(key).unwrap_or(&Value::Null),
                    b.get(key).unwrap_or(&Value::Null),
                    found,
                );
            }
        }
        _ if then != now => found.push(format!("{path} was {then} and is {now}")),
        _ => {}
    }
}

/// One sub-network in a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkState {
    /// Weights, in the order of [`SubNetwork::groups_mut`](crate::architectures::sub_network::SubNetwork::groups_mut).
    pub weights: Vec<f64>,
    /// First moments of Adam.
    pub first: Vec<f64>,
    /// Second moments of Adam.
    pub second: Vec<f64>,
    /// Steps of Adam made.
    pub steps: u64,
    /// State of the second-order stage, once it has begun.
    pub second_order: Option<Vec<f64>>,
}

/// The state of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// What it belongs to.
    pub identity: Identity,
    /// Epochs of Adam done.
    pub epoch: u64,
    /// Seconds trained.
    pub seconds: f64,
    /// Length of the progress file at this moment, bytes.
    pub progress_bytes: u64,
    /// Length of the event file at this moment, bytes.
    pub event_bytes: u64,
    /// The sub-networks, in the order of the variables.
    pub networks: Vec<NetworkState>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    version: String,
    identity: Identity,
    epoch: u64,
    seconds: f64,
    progress_bytes: u64,
    event_bytes: u64,
    steps: Vec<u64>,
    /// Of the tensors' numbers and this header without it, hexadecimal.
    checksum: String,
}

/// Hexadecimal FNV-1a over the bits of numbers, rotated so that every bit spreads.
pub(crate) fn fingerprint(numbers: impl Iterator<Item = f64>) -> String {
    format!("{:016x}", hash::of_numbers(numbers))
}

/// How the checksum stands in the header.
fn entry(checksum: &str) -> String {
    format!(r#""checksum":"{checksum}""#)
}

/// Of a header whose checksum is empty, and of all numbers.
fn checksum(header: &str, networks: &[NetworkState]) -> String {
    fingerprint(header.bytes().map(f64::from).chain(all_numbers(networks)))
}

fn all_numbers(networks: &[NetworkState]) -> impl Iterator<Item = f64> {
    networks
        .iter()
        .flat_map(NetworkState::parts)
        .flat_map(|(_, v)| v.iter().copied())
}

impl NetworkState {
    fn parts(&self) -> impl Iterator<Item = (&'static str, &Vec<f64>)> {
        let adam = [
            ("weights", &self.weights),
            ("first", &self.first),
            ("second", &self.second),
        ];
        adam.into_iter()
            .chain(self.second_order.as_ref().map(|s| ("second_order", s)))
    }
}

/// Name of the file in the folder of a training.
pub(crate) const FILE: &str = "checkpoint.safetensors";

/// Whether a folder holds a training that can be gone on with.
pub fn exists(directory: &Path) -> bool {
    directory.join(FILE).exists()
}

/// Where the checkpoint before the last one is kept.
pub fn previous(path: &Path) -> PathBuf {
    path.with_extension("previous.safetensors")
}

impl Checkpoint {
    /// Writes the checkpoint through a temporary name; the one that was there is kept under [`previous`].
    ///
    /// # Errors
    /// The file cannot be written; what was there stays.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = self.to_bytes()?;
        if path.exists() {
            // A second name for the old file: at no moment is there no checkpoint.
            let link = previous(path);
            let kept = fs::remove_file(&link).or_else(|e| {
                if e.kind() == std::io::ErrorKind::NotFound {
                    Ok(())
                } else {
                    Err(e)
                }
            });
            kept.and_then(|()| {
                fs::hard_link(path, &link).or_else(|_| fs::copy(path, &link).map(|_| ()))
            })
            .map_err(|source| Error::Write { path: link, source })?;
        }
        files::write_atomic(path, |w| w.write_all(&bytes))
    }

    /// The content of the checkpoint's file.
    ///
    /// # Errors
    /// A number that is not finite, which no reader takes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let fail = |e: &dyn std::fmt::Display| {
            Error::Failed(format!("the checkpoint cannot be written: {e}"))
        };
        if !self.seconds.is_finite() || all_numbers(&self.networks).any(|v| !v.is_finite()) {
            return Err(fail(
                &"the training has come to numbers that are not finite; begin anew with a lower adam.learning_rate",
            ));
        }
        let header = Header {
            format: FORMAT.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            identity: self.identity.clone(),
            epoch: self.epoch,
            seconds: self.seconds,
            progress_bytes: self.progress_bytes,
            event_bytes: self.event_bytes,
            steps: self.networks.iter().map(|n| n.steps).collect(),
            checksum: String::new(),
        };
        let header = serde_json::to_string(&header).map_err(|e| fail(&e))?;
        let header = header.replacen(&entry(""), &entry(&checksum(&header, &self.networks)), 1);
        let parts = self.networks.iter().enumerate().flat_map(|(i, n)| {
            n.parts()
                .map(move |(name, v)| Tensor::f64(format!("{i}.{name}"), &[v.len()], v))
        });
        tensors::to_bytes(header, &parts.collect::<Vec<_>>()).map_err(|e| fail(&e))
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// The file cannot be read or is damaged; the message names the previous checkpoint if there is one.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        Checkpoint::from_bytes(&bytes).map_err(|message| {
            let before = previous(path);
            let advice = if before.exists() {
                format!(
                    "to go on from the checkpoint before it, rename {} to this name",
                    before.display()
                )
            } else {
                "there is no earlier one; start anew".to_owned()
            };
            Error::file(path, format!("{message}; {advice}"))
        })
    }

    /// The checkpoint in the content of a file, or what is wrong with it.
    ///
    /// # Errors
    /// As [`Checkpoint::load`], as a sentence.
    pub fn from_bytes(bytes: &[u8]) -> std::result::Result<Self, String> {
        let damaged =
            |e: &dyn std::fmt::Display| format!("not a readable checkpoint, or truncated ({e})");
        let none = |e: Damage| match e {
            Damage::Unreadable(e) => damaged(&e),
            Damage::NoDocument => damaged(&"no header of ionoscope"),
        };
        let text = tensors::document(bytes).map_err(none)?;
        let header: Header = serde_json::from_str(&text).map_err(|e| damaged(&e))?;
        if header.format != FORMAT {
            return Err(format!(
                "the format is '{}'; expected '{FORMAT}', written by version {}",
                header.format,
                env!("CARGO_PKG_VERSION")
            ));
        }
        let tensors = Tensors::read(bytes).map_err(none)?;
        let numbers = |name: String| -> std::result::Result<Vec<f64>, String> {
            let length = tensors.length(&name).unwrap_or(0);
            tensors.f64(&name, &[length]).map_err(|e| damaged(&e))
        };
        let mut networks = Vec::new();
        for (i, steps) in header.steps.iter().enumerate() {
            let second_order = format!("{i}.second_order");
            networks.push(NetworkState {
                weights: numbers(format!("{i}.weights"))?,
                first: numbers(format!("{i}.first"))?,
                second: numbers(format!("{i}.second"))?,
                steps: *steps,
                second_order: tensors
                    .length(&second_order)
                    .map(|_| numbers(second_order))
                    .transpose()?,
            });
        }
        if checksum(
            &text.replacen(&entry(&header.checksum), &entry(""), 1),
            &networks,
        ) != header.checksum
        {
            return Err(damaged(&"its checksum does not fit"));
        }
        if all_numbers(&networks).any(|v| !v.is_finite()) {
            return Err(damaged(&"it holds numbers that are not finite"));
        }
        let Header {
            identity,
            epoch,
            seconds,
            progress_bytes,
            event_bytes,
            ..
        } = header;
        Ok(Checkpoint {
            identity,
            epoch,
            seconds,
            progress_bytes,
            event_bytes,
            networks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn example(epoch: u64) -> Checkpoint {
        let state = |k: usize| NetworkState {
            weights: vec![0.1, -0.2, 1.0 / 3.0],
            first: vec![1e-300, 0.0, f64::MIN_POSITIVE / 8.0],
            second: vec![k as f64; 3],
            steps: 17,
            second_order: (k == 1).then(|| vec![3.0; 5]),
        };
        let identity = Identity {
            configuration: json!({"seed": 1, "adam": {"batch": 10, "epochs": 5}}),
            dataset: "00ff".into(),
            from: None,
        };
        Checkpoint {
            identity,
            epoch,
            seconds: 0.1,
            progress_bytes: 5,
            event_bytes: 6,
            networks: (0..3).map(state).collect(),
        }
    }

    #[test]
    fn every_bit_comes_back_and_damage_is_noticed() {
        let c = example(3);
        let bytes = c.to_bytes().unwrap();
        assert_eq!(Checkpoint::from_bytes(&bytes).unwrap(), c);
        for cut in [0, 5, 8, 60, bytes.len() / 2, bytes.len() - 1] {
            assert!(
                Checkpoint::from_bytes(&bytes[..cut]).is_err(),
                "cut at {cut}"
            );
        }
        let mut flipped = bytes.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert!(
            Checkpoint::from_bytes(&flipped)
                .unwrap_err()
                .contains("checksum")
        );
    }

    #[test]
    fn the_checkpoint_before_is_kept_and_named_when_the_last_is_damaged() {
        let directory =
            std::env::temp_dir().join(format!("ionoscope-checkpoint-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("checkpoint.safetensors");
        for epoch in 1..=3 {
            example(epoch).save(&path).unwrap();
        }
        assert_eq!(
            (
                Checkpoint::load(&path).unwrap().epoch,
                Checkpoint::load(&previous(&path)).unwrap().epoch
            ),
            (3, 2)
        );
        fs::write(&path, b"rubbish").unwrap();
        let e = Checkpoint::load(&path).unwrap_err();
        assert!(
            e.is_input() && e.to_string().contains("checkpoint.previous.safetensors"),
            "{e}"
        );
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn differences_are_named_by_their_path() {
        let then = example(1).identity;
        let now = Identity {
            configuration: json!({"seed": 2, "adam": {"batch": 10, "epochs": 9}}),
            dataset: "1".into(),
            from: Some("ab".into()),
        };
        assert_eq!(
            then.differences(&now),
            [
                "adam.epochs was 5 and is 9",
                "seed was 1 and is 2",
                "the dataset was 00ff and is 1",
                "the weights to start from were random and are ab"
            ]
            .map(str::to_owned)
        );
        assert!(then.differences(&then).is_empty());
    }
}
