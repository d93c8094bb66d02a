//! Trainable families, one file each.

pub mod fno;
pub mod network;
pub mod neural_map;
pub mod single;
pub mod sub_network;
pub mod two_layer_map;

pub use network::{Architecture, Network};
pub use sub_network::SubNetwork;
