//! Analyses of dynamical systems, for equations and surrogates alike: they see only the traits of `ionoscope-dynamics`.
