//! Surrogates of excitable cells: datasets, architectures and their training.
