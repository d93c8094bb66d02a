//! The models, one file each. A new one is a file and a line in the list behind [`all`].

use std::sync::{Arc, LazyLock};

use crate::{
    Error, Result,
    ode::{Ode, OutOfLine},
    system::DynamicalSystem,
};

pub mod fitzhugh_nagumo_1961;
pub mod hindmarsh_rose_1984;
pub mod hodgkin_huxley_1952;
pub mod lorenz_1963;
pub mod luo_rudy_1991;
pub mod ohara_rudy_2011;
pub mod rossler_1976;
pub mod sherman_1988;
pub mod ten_tusscher_panfilov_2006;

/// Each with its number of variables and of parameters; large ones are called instead of inlined, one lane at a time (see [`Ode`]). Made
/// once: what they have recorded of themselves for Jacobians and the stiff method is kept.
static MODELS: LazyLock<Vec<Arc<dyn DynamicalSystem>>> = LazyLock::new(|| {
    vec![
        Arc::new(Ode::<_, 3, 17>::new(sherman_1988::BetaCell::ORIGINAL)),
        Arc::new(Ode::<_, 3, 17>::new(sherman_1988::BetaCell::MODIFIED)),
        Arc::new(Ode::<_, 2, 6>::new(fitzhugh_nagumo_1961::FitzHughNagumo)),
        Arc::new(Ode::<_, 4, 8>::new(hodgkin_huxley_1952::HodgkinHuxley)),
        Arc::new(Ode::<_, 3, 7>::new(hindmarsh_rose_1984::HindmarshRose)),
        Arc::new(Ode::<_, 8, 14, 1>::new(OutOfLine(luo_rudy_1991::LuoRudy))),
        Arc::new(Ode::<_, 19, 30, 1>::new(OutOfLine(
            ten_tusscher_panfilov_2006::TenTusscherPanfilov,
        ))),
        Arc::new(Ode::<_, 41, 28, 1>::new(OutOfLine(
            ohara_rudy_2011::OHaraRudy,
        ))),
        Arc::new(Ode::<_, 3, 3>::new(lorenz_1963::Lorenz)),
        Arc::new(Ode::<_, 3, 3>::new(rossler_1976::Rossler)),
    ]
});

/// All models, in the order in which they are listed.
pub fn all() -> Vec<Arc<dyn DynamicalSystem>> {
    MODELS.clone()
}

/// The model with this identifier.
///
/// # Errors
/// An unknown identifier, with the nearest known one.
pub fn find(id: &str) -> Result<Arc<dyn DynamicalSystem>> {
    match MODELS.iter().find(|m| m.spec().id == id) {
        Some(m) => Ok(m.clone()),
        None => Err(Error::unknown(
            "model",
            id,
            MODELS.iter().map(|m| m.spec().id.as_str()),
        )),
    }
}
