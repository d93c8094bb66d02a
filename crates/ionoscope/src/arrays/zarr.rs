//! Zarr, format 2: a folder of raw little-endian chunks along the experiments, which `xarray.open_dataset(path, engine="zarr")` opens.
//!
//! The store is built under another name and gets its own at the end. A chunk of experiments that is there with all its files is finished;
//! an interrupted run goes on behind it.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use super::{Block, Column, Layout, columns, state_bytes, text_bytes, text_width};
use crate::{Error, Result, artifact, config};

/// States of a chunk of experiments, in bytes of doubles.
const CHUNK_BYTES: usize = 32 << 20;
/// Most experiments of a chunk.
const LARGEST_CHUNK: usize = 1 << 16;

/// What to do with an unfinished store of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is an error.
    Refuse,
    /// Go on where it ended.
    Resume,
    /// Others write to it too: as [`Resume`](Existing::Resume), and what they are writing stays.
    Share,
}

/// A store that is being written.
pub struct Zarr {
    target: PathBuf,
    root: PathBuf,
    layout: Layout,
    chunk: usize,
    metadata: Map<String, Value>,
    buffer: Vec<u8>,
}

/// Experiments of a chunk where nothing else is asked for.
pub fn chunk_for(layout: &Layout) -> usize {
    (CHUNK_BYTES / (8 * layout.values().max(1)))
        .clamp(1, LARGEST_CHUNK)
        .min(layout.experiments.max(1))
}

/// Whether a complete store stands at `target`, made by the same configuration.
///
/// # Errors
/// Something else stands there, or a store of another configuration.
pub fn is_complete(target: &Path, configuration: &Value) -> Result<bool> {
    if !target.exists() {
        return Ok(false);
    }
    same_configuration(target, configuration)?;
    Ok(true)
}

impl Zarr {
    /// Begins a store, or goes on with an unfinished one. `configuration` is everything that decides the numbers.
    ///
    /// # Errors
    /// Something stands at `target`; an unfinished store that is not to be resumed or was made by another configuration; a folder that
    /// cannot be written.
    pub fn create(
        target: &Path,
        layout: Layout,
        chunk: usize,
        configuration: &Value,
        existing: Existing,
    ) -> Result<Self> {
        let root = unfinished(target);
        if target.exists() {
            return Err(Error::Input(format!(
                "{} is there already; choose another name, or remove it",
                target.display()
            )));
        }
        let mut zarr = Zarr {
            target: target.to_owned(),
            root,
            layout,
            chunk,
            metadata: Map::new(),
            buffer: Vec::new(),
        };
        if zarr.root.join(".zattrs").exists() {
            if existing == Existing::Refuse {
                return Err(Error::Input(format!(
                    "an unfinished run of {} is in {}; go on with --resume, or remove it",
                    target.display(),
                    zarr.root.display()
                )));
            }
            same_configuration(&zarr.root, configuration)?;
        }
        zarr.describe(configuration, existing)?;
        Ok(zarr)
    }

    /// Number of chunks.
    pub fn chunks(&self) -> usize {
        self.layout.experiments.div_ceil(self.chunk)
    }

    /// What an earlier run kept of chunk `k`, if all of it is there: its columns, without states.
    pub fn finished(&self, k: usize) -> Option<Vec<Column>> {
        let size = |name: &str, key: &str| {
            fs::metadata(self.root.join(name).join(key))
                .ok()
                .map(|m| m.len())
        };
        let x = self.chunk * self.layout.values() * self.layout.precision.bytes();
        if size("x", &format!("{k}.0.0")) != Some(x as u64)
            || size("experiment", &k.to_string()) != Some(8 * self.chunk as u64)
        {
            return None;
        }
        let mut found = columns(&Block {
            first: 0,
            trajectories: Vec::new(),
            extrapolated: Vec::new(),
        });
        let present = self.chunk.min(self.layout.experiments - k * self.chunk);
        for column in &mut found {
            let bytes = fs::read(self.root.join(column.name).join(k.to_string())).ok()?;
            let one = bytes.len() / self.chunk;
            if one == 0 || bytes.len() != one * self.chunk {
                return None;
            }
            column.values = column.values.read(&bytes[..one * present]);
        }
        Some(found)
    }

    /// Writes one chunk of experiments.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn put(&mut self, block: &Block) -> Result<()> {
        let k = block.first / self.chunk;
        // Chunks have one size; the last one is filled up with what no reader sees.
        for column in columns(block) {
            let mut bytes = column.values.bytes();
            bytes.resize(
                bytes.len() / block.trajectories.len().max(1) * self.chunk,
                0,
            );
            self.write(&format!("{}/{k}", column.name), &bytes)?;
        }
        let experiments: Vec<u8> = (block.first..block.first + self.chunk)
            .flat_map(|i| (i as i64).to_le_bytes())
            .collect();
        self.write(&format!("experiment/{k}"), &experiments)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        state_bytes(&self.layout, &block.trajectories, &mut buffer)?;
        buffer.resize(
            self.chunk * self.layout.values() * self.layout.precision.bytes(),
            0,
        );
        // Last, so that the rest is there when this is.
        self.write(&format!("x/{k}.0.0"), &buffer)?;
        self.buffer = buffer;
        Ok(())
    }

    /// Adds what the run gave, and gives the store its name.
    ///
    /// # Errors
    /// A file that cannot be written; something that stands at the store's name by now.
    pub fn finish(mut self, configuration: &Value, result: &Value) -> Result<()> {
        self.attributes(configuration, Some(result))?;
        let all = json!({"zarr_consolidated_format": 1, "metadata": self.metadata});
        self.write(
            ".zmetadata",
            &serde_json::to_vec_pretty(&all).map_err(|e| Error::write(&self.root, e.into()))?,
        )?;
        fs::rename(&self.root, &self.target).map_err(|e| Error::write(&self.target, e))
    }

    /// Writes everything but the chunks.
    fn describe(&mut self, configuration: &Value, existing: Existing) -> Result<()> {
        let layout = self.layout.clone();
        let (n, times, d) = (
            layout.experiments,
            layout.times.count,
            layout.variables.len(),
        );
        let empty = columns(&Block {
            first: 0,
            trajectories: Vec::new(),
            extrapolated: Vec::new(),
        });
        let folders = ["x", "time", "variable", "unit", "experiment"]
            .into_iter()
            .chain(empty.iter().map(|c| c.name));
        for folder in folders {
            let folder = self.root.join(folder);
            fs::create_dir_all(&folder).map_err(|e| Error::write(&folder, e))?;
            if existing != Existing::Share {
                clean(&folder).map_err(|e| Error::write(&folder, e))?;
            }
        }
        if existing != Existing::Share {
            clean(&self.root).map_err(|e| Error::write(&self.root, e))?;
        }
        self.array(
            "x",
            (&[n, times, d], &[self.chunk, times, d]),
            layout.precision.dtype(),
            json!("NaN"),
            &["experiment", "time", "variable"],
            json!({"long_name": "state", "units": layout.units}),
        )?;
        self.array(
            "time",
            (&[times], &[times]),
            "<f8",
            Value::Null,
            &["time"],
            json!({"units": layout.time_unit}),
        )?;
        self.write("time/0", &layout.time_bytes())?;
        for (name, texts, what) in [
            ("variable", &layout.variables, "name of the variable"),
            ("unit", &layout.units, "unit of the variable"),
        ] {
            let width = text_width(texts);
            self.array(
                name,
                (&[d], &[d]),
                &format!("<U{width}"),
                Value::Null,
                &["variable"],
                json!({"long_name": what}),
            )?;
            self.write(&format!("{name}/0"), &text_bytes(texts, width))?;
        }
        let rows = "row of the table of experiments, from 0";
        self.array(
            "experiment",
            (&[n], &[self.chunk]),
            "<i8",
            Value::Null,
            &["experiment"],
            json!({"long_name": rows}),
        )?;
        for column in empty {
            let mut attributes = json!({"long_name": column.description});
            if column.name == "stiff_from" {
                attributes["units"] = json!(layout.time_unit);
            }
            self.array(
                column.name,
                (&[n], &[self.chunk]),
                &column.values.dtype(),
                Value::Null,
                &["experiment"],
                attributes,
            )?;
        }
        let group = json!({"zarr_format": 2});
        self.document(".zgroup", group)?;
        // Last: a folder with attributes is a store that can be resumed.
        self.attributes(configuration, None)
    }

    fn attributes(&mut self, configuration: &Value, result: Option<&Value>) -> Result<()> {
        // "coordinates" is the convention by which xarray takes units as a coordinate and not as data.
        let mut attributes = json!({"coordinates": "unit", "ionoscope": configuration});
        if let Some(result) = result {
            attributes["result"] = result.clone();
        }
        self.document(".zattrs", attributes)
    }

    fn array(
        &mut self,
        name: &str,
        (shape, chunks): (&[usize], &[usize]),
        dtype: &str,
        fill: Value,
        dimensions: &[&str],
        mut attributes: Value,
    ) -> Result<()> {
        let array = json!({
            "zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": dtype, "fill_value": fill,
            "compressor": null, "filters": null, "order": "C",
        });
        attributes["_ARRAY_DIMENSIONS"] = json!(dimensions);
        self.document(&format!("{name}/.zarray"), array)?;
        self.document(&format!("{name}/.zattrs"), attributes)
    }

    /// Writes a document and keeps it for the consolidated metadata.
    fn document(&mut self, key: &str, value: Value) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(&value)
            .map_err(|e| Error::write(&self.root.join(key), e.into()))?;
        self.write(key, &bytes)?;
        self.metadata.insert(key.to_owned(), value);
        Ok(())
    }

    /// Writes a file under a temporary name, then renames it. It is not forced to the disk: after a loss of power a chunk may have lost
    /// its bytes, which its size tells.
    fn write(&self, key: &str, bytes: &[u8]) -> Result<()> {
        let path = self.root.join(key);
        let mut name = path.file_name().unwrap_or_default().to_owned();
        // Several processes may write the same description.
        name.push(format!(".{}{TEMPORARY}", std::process::id()));
        let temporary = path.with_file_name(name);
        let written = fs::File::create(&temporary)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&temporary, &path));
        written.map_err(|e| Error::write(&path, e))
    }
}

/// End of the name of a file that is not whole.
const TEMPORARY: &str = ".tmp";

/// Where a store is built: beside its own name.
fn unfinished(target: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(".partial");
    target.with_file_name(name)
}

/// Removes what a killed run left half-written.
fn clean(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() && path.to_string_lossy().ends_with(TEMPORARY) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn same_configuration(store: &Path, configuration: &Value) -> Result<()> {
    let path = store.join(".zattrs");
    let shown = store.display();
    let text = artifact::read_text(&path)?;
    let found: Value = serde_json::from_str(&text)
        .map_err(|e| Error::Input(format!("{} is damaged: {e}", path.display())))?;
    let found = found.get("ionoscope").unwrap_or(&Value::Null);
    // Both have been through a text: reading a number may change its last digit.
    let ours: Value = serde_json::from_str(&configuration.to_string()).unwrap_or_default();
    let Err(difference) = config::same("run", found, &ours) else {
        return Ok(());
    };
    Err(Error::Input(format!(
        "{shown} was made by another configuration: {difference}; choose another name, or remove it"
    )))
}
