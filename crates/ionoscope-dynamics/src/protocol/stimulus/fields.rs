//! What the fields of all shapes are checked by, and what follows from them.

use crate::{Error, Result};

pub fn fail<T>(message: String) -> Result<T> {
    Err(Error::Invalid(message))
}

pub fn finite(name: &str, value: f64) -> Result<()> {
    if value.is_finite() {
        Ok(())
    } else {
        fail(format!("its {name} is {value}; expected a finite number"))
    }
}

pub fn not_negative(name: &str, value: f64) -> Result<()> {
    if value >= 0.0 && value.is_finite() {
        Ok(())
    } else {
        fail(format!(
            "its {name} is {value}; expected a finite number, 0 or larger"
        ))
    }
}

pub fn positive(name: &str, value: f64) -> Result<()> {
    if value > 0.0 && value.is_finite() {
        Ok(())
    } else {
        fail(format!(
            "its {name} is {value}; expected a finite number larger than 0"
        ))
    }
}

/// The end of an interval that may never end.
pub fn end(start: f64, duration: Option<f64>) -> f64 {
    duration.map_or(f64::INFINITY, |d| start + d)
}

/// How many steps of `dt` begin in a closed interval, as a floating-point number since it may be huge; never less, perhaps one more.
pub fn steps_in(length: f64, dt: f64) -> f64 {
    if length >= 0.0 {
        (length / dt).ceil() + 1.0
    } else {
        0.0
    }
}
