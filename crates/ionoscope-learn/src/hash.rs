//! The hash FNV-1a: tells things apart, and is no proof against forgery.

/// The prime of its 64-bit form.
pub(crate) const PRIME: u64 = 0x0000_0100_0000_01b3;
/// What it begins with.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// Of the bits of numbers, rotated so that every bit spreads.
pub(crate) fn of_numbers(numbers: impl Iterator<Item = f64>) -> u64 {
    numbers.fold(OFFSET, |h, v| {
        (h ^ v.to_bits()).wrapping_mul(PRIME).rotate_left(23)
    })
}
