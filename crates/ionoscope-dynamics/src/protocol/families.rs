//! The list of the families of protocols that come with Ionoscope.

use super::{family::ProtocolFamily, pellegrini_2025};
use crate::{Error, Result};

impl ProtocolFamily {
    /// The families that come with Ionoscope; see `protocol/pellegrini_2025.rs` for their sources.
    pub fn all() -> Vec<Self> {
        pellegrini_2025::all()
    }

    /// The family of this name among [`ProtocolFamily::all`].
    ///
    /// # Errors
    /// An unknown name, with the nearest known one.
    pub fn find(name: &str) -> Result<Self> {
        let all = Self::all();
        let known = || all.iter().map(|f| f.name.as_str());
        all.iter()
            .find(|f| f.name == name)
            .cloned()
            .ok_or_else(|| Error::unknown("protocol family", name, known()))
    }
}
