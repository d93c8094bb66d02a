//! How much memory there is, so that work that cannot fit is refused before it begins.

use crate::{Error, Result};

/// Bytes that programs can still take, where the system says so.
pub fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    line.split_whitespace()
        .next()?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}

/// Refuses work that needs more memory than there is.
///
/// # Errors
/// `what` needs `bytes`, and how much there is, with `advice`.
pub fn check(what: &str, bytes: u64, advice: &str) -> Result<()> {
    match available() {
        Some(there) if bytes > there => {
            let gib = |b: u64| b as f64 / f64::from(1 << 30);
            Err(Error::Input(format!(
                "{what} would take {:.1} GiB of memory and {:.1} are free; {advice}",
                gib(bytes),
                gib(there)
            )))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(check("a small thing", 1, "").is_ok());
        if available().is_some() {
            let message = check("a large thing", u64::MAX, "take less")
                .unwrap_err()
                .to_string();
            assert!(
                message.contains("a large thing") && message.contains("take less"),
                "{message}"
            );
        }
    }
}
