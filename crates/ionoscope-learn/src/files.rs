//! Writing files whole or not at all.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use crate::{Error, Result};

/// Writes `bytes` to `path` through a temporary name beside it, so that the file is either the old one or the whole new one.
///
/// # Errors
/// The file cannot be written; the temporary one is removed.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().ok_or_else(|| Error::Invalid(format!("{} is not a file name", path.display())))?.to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = File::create(&temporary)
        .and_then(|mut f| f.write_all(bytes).and_then(|()| f.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source| {
        let _ = fs::remove_file(&temporary);
        Error::Write { path: path.to_owned(), source }
    })
}
