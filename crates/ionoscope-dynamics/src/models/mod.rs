//! The models, one file each. A new one is a file and a line in [`all`].

use std::sync::Arc;

use crate::{Error, Result, ode::Ode, system::DynamicalSystem};

pub mod sherman_1988;

/// All models, in the order in which they are listed.
pub fn all() -> Vec<Arc<dyn DynamicalSystem>> {
    vec![Arc::new(Ode::<_, 3, 17>::new(sherman_1988::BetaCell::ORIGINAL)), Arc::new(Ode::<_, 3, 17>::new(sherman_1988::BetaCell::MODIFIED))]
}

/// The model with this identifier.
///
/// # Errors
/// An unknown identifier, with the nearest known one.
pub fn find(id: &str) -> Result<Arc<dyn DynamicalSystem>> {
    let all = all();
    match all.iter().find(|m| m.spec().id == id) {
        Some(m) => Ok(m.clone()),
        None => Err(Error::unknown("model", id, all.iter().map(|m| m.spec().id.as_str()))),
    }
}
