//! npz: a zip of numpy arrays, not compressed, written as a stream; beyond 4 GiB in the zip64 format.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use ionoscope_dynamics::trajectory::Trajectory;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::{Block, Column, Layout, columns, state_bytes, text_bytes, text_width};
use crate::{Error, Result, artifact::Staged};

/// Largest file: what is larger cannot be read in parts by numpy and belongs into Zarr.
pub const LARGEST: u64 = 16 << 30;

/// Entries above this size need the zip64 format, which is used a little early because headers count too.
const ZIP64_FROM: u64 = (u32::MAX - (1 << 20)) as u64;

/// A file of a batch that is being written.
pub struct Npz {
    staged: Staged,
    zip: ZipWriter<File>,
    layout: Layout,
    columns: Vec<Column>,
    buffer: Vec<u8>,
}

impl Npz {
    /// Begins the file, under a temporary name.
    ///
    /// # Errors
    /// A file that would be larger than [`LARGEST`]; one that cannot be written.
    pub fn create(path: &Path, layout: Layout) -> Result<Self> {
        let bytes = layout.bytes();
        if bytes > LARGEST {
            return Err(Error::Input(format!(
                "{} would have {:.1} GB, and more than {:.1} GB cannot be read well from an npz; write a .zarr, which is read in parts, or \
                 take a larger --dt or --precision single",
                path.display(),
                bytes as f64 / 1e9,
                LARGEST as f64 / 1e9
            )));
        }
        let (staged, file) = Staged::open(path)?;
        let empty = Block {
            first: 0,
            trajectories: Vec::new(),
            extrapolated: Vec::new(),
        };
        let mut npz = Npz {
            staged,
            zip: ZipWriter::new(file),
            layout,
            columns: columns(&empty),
            buffer: Vec::new(),
        };
        npz.begin().map_err(|e| npz.failed(e))?;
        Ok(npz)
    }

    /// Writes the next experiments.
    ///
    /// # Errors
    /// As [`Layout::check`]; the file cannot be written.
    pub fn put(&mut self, block: &Block) -> Result<()> {
        state_bytes(&self.layout, &block.trajectories, &mut self.buffer)?;
        for (all, new) in self.columns.iter_mut().zip(columns(block)) {
            all.values.append(new.values);
        }
        self.zip.write_all(&self.buffer).map_err(|e| self.failed(e))
    }

    /// Ends the file, which has its name only after [`Staged::commit`].
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self) -> Result<Staged> {
        let path = self.staged.path().to_owned();
        let mut end = || {
            for column in &self.columns {
                let bytes = column.values.bytes();
                entry(
                    &mut self.zip,
                    column.name,
                    &column.values.dtype(),
                    &[self.layout.experiments],
                    bytes.len() as u64,
                )?;
                self.zip.write_all(&bytes)?;
            }
            Ok(())
        };
        end().map_err(|e| Error::write(&path, e))?;
        let file = self
            .zip
            .finish()
            .map_err(|e| Error::write(&path, e.into()))?;
        file.sync_all().map_err(|e| Error::write(&path, e))?;
        Ok(self.staged)
    }

    fn begin(&mut self) -> io::Result<()> {
        let layout = &self.layout;
        head(&mut self.zip, layout)?;
        let shape = [
            layout.experiments,
            layout.times.count,
            layout.variables.len(),
        ];
        let size = (layout.values() * layout.precision.bytes()) as u64 * layout.experiments as u64;
        entry(&mut self.zip, "x", layout.precision.dtype(), &shape, size)
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::write(self.staged.path(), error)
    }
}

/// Writes one trajectory: `time`, `x[time,variable]`, `variables`, `units`.
///
/// # Errors
/// As [`Layout::check`]; the file cannot be written.
pub fn write_trajectory(path: &Path, layout: &Layout, trajectory: &Trajectory) -> Result<Staged> {
    let (staged, file) = Staged::open(path)?;
    let mut zip = ZipWriter::new(file);
    let mut bytes = Vec::new();
    state_bytes(layout, std::slice::from_ref(trajectory), &mut bytes)?;
    let write = |zip: &mut ZipWriter<File>| {
        head(zip, layout)?;
        entry(
            zip,
            "x",
            layout.precision.dtype(),
            &[layout.times.count, layout.variables.len()],
            bytes.len() as u64,
        )?;
        zip.write_all(&bytes)
    };
    write(&mut zip).map_err(|e| Error::write(path, e))?;
    let file = zip.finish().map_err(|e| Error::write(path, e.into()))?;
    file.sync_all().map_err(|e| Error::write(path, e))?;
    Ok(staged)
}

/// Times, names and units.
fn head(zip: &mut ZipWriter<File>, layout: &Layout) -> io::Result<()> {
    let time = layout.time_bytes();
    entry(zip, "time", "<f8", &[layout.times.count], time.len() as u64)?;
    zip.write_all(&time)?;
    for (name, texts) in [("variables", &layout.variables), ("units", &layout.units)] {
        let width = text_width(texts);
        let bytes = text_bytes(texts, width);
        entry(
            zip,
            name,
            &format!("<U{width}"),
            &[texts.len()],
            bytes.len() as u64,
        )?;
        zip.write_all(&bytes)?;
    }
    Ok(())
}

/// Begins an array of so many bytes.
fn entry(
    zip: &mut ZipWriter<File>,
    name: &str,
    dtype: &str,
    shape: &[usize],
    bytes: u64,
) -> io::Result<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .large_file(bytes > ZIP64_FROM);
    zip.start_file(format!("{name}.npy"), options)?;
    zip.write_all(&header(dtype, shape))
}

/// The header of an array in numpy's format 1.0, filled up to a multiple of 64 bytes.
fn header(dtype: &str, shape: &[usize]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|n| format!("{n},")).collect();
    let text = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({sizes}), }}");
    let filled = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&(filled as u16).to_le_bytes());
    bytes.extend_from_slice(format!("{text:<width$}\n", width = filled - 1).as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_aligned_and_says_type_and_shape() {
        let bytes = header("<f8", &[3]);
        assert_eq!(bytes.len() % 64, 0);
        assert_eq!(
            u16::from_le_bytes([bytes[8], bytes[9]]) as usize,
            bytes.len() - 10
        );
        assert!(
            bytes[10..].starts_with(b"{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }")
        );
        assert_eq!(bytes.last(), Some(&b'\n'));
        assert!(String::from_utf8_lossy(&header("<f4", &[10, 2, 3])).contains("(10,2,3,)"));
    }
}
