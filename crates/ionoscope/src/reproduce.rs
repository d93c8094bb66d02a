//! Papers, end to end: data, training, analyses and a report in one folder.

pub mod kuptsov_2023;
pub mod pellegrini_2025;
