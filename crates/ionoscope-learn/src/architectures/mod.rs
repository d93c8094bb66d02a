//! Trainable families, one file each.

pub mod neural_map;
