//! Coupled cells: what they are and how they pull at each other.

use rayon::prelude::*;

use super::graph::Graph;
use crate::{
    Error, Result, models,
    system::{DynamicalSystem, Input, Time},
    trajectory::FailureReason,
};

/// Cells of a piece of work; sums over cells are taken piece by piece, so that they do not depend on the number of threads.
pub(super) const PIECE: usize = 2048;

/// How maps are coupled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scheme {
    /// The pull at the old states is added to the new ones, as Kuptsov and Stankevich do: of the first order in dt.
    #[default]
    Additive,
    /// The cells exchange for half a step before the map, and for half a step after: of the second order.
    Symmetric,
}

/// Equal cells that pull at each other's membrane potential.
pub struct CoupledCells<'a> {
    pub(super) system: &'a dyn DynamicalSystem,
    pub(super) graph: &'a Graph,
    pub(super) coupling: f64,
    pub(super) p: &'a [f64],
    /// Index of the membrane potential.
    pub(super) variable: usize,
    /// dt / tau of a map.
    pub(super) gain: f64,
    pub(super) scheme: Scheme,
    /// The same constant stimulus of every cell.
    pub(super) i_stim: f64,
}

impl<'a> CoupledCells<'a> {
    /// Cells `system` with parameters `p`, coupled with strength `coupling`, in units of the stimulus per unit of the potential.
    ///
    /// # Errors
    /// A system without a membrane potential; parameters of a wrong length; a strength that is not finite; a map whose equations are not known.
    pub fn new(
        system: &'a dyn DynamicalSystem,
        graph: &'a Graph,
        coupling: f64,
        p: &'a [f64],
    ) -> Result<Self> {
        let spec = system.spec();
        let variable = spec.membrane_potential_index().ok_or_else(|| {
            Error::Invalid(format!("{} has no membrane potential through which cells could be coupled; choose a model of a cell", spec.id))
        })?;
        if p.len() != spec.parameters.len() {
            return Err(Error::Invalid(format!(
                "{} parameters; {} has {}",
                p.len(),
                spec.id,
                spec.parameters.len()
            )));
        }
        if !coupling.is_finite() {
            return Err(Error::Invalid(format!(
                "the coupling is {coupling}; expected a finite number"
            )));
        }
        let gain = match system.time() {
            Time::Continuous => 0.0,
            Time::Discrete { dt } => dt * potential_per_stimulus(system)?,
        };
        Ok(CoupledCells {
            system,
            graph,
            coupling,
            p,
            variable,
            gain,
            scheme: Scheme::default(),
            i_stim: 0.0,
        })
    }

    /// The same cells with another way to couple maps; equations are not concerned.
    pub fn with_scheme(self, scheme: Scheme) -> Self {
        CoupledCells { scheme, ..self }
    }

    /// The same cells under a constant stimulus, the same for every cell.
    ///
    /// # Errors
    /// One that is not finite; any but 0 of a map that was learned without a stimulus.
    pub fn with_stimulus(self, i_stim: f64) -> Result<Self> {
        if !i_stim.is_finite() {
            return Err(Error::Invalid(format!(
                "the stimulus is {i_stim}; expected a finite number"
            )));
        }
        let spec = self.system.spec();
        if i_stim != 0.0
            && spec
                .trained_on
                .as_ref()
                .is_some_and(|t| t.stimulus.is_none())
        {
            return Err(Error::Invalid(format!(
                "{} was trained without a stimulus and takes none; leave it out",
                spec.id
            )));
        }
        Ok(CoupledCells { i_stim, ..self })
    }

    /// Coupling currents of all cells at states `[cell][variable]`.
    pub(super) fn currents(&self, x: &[f64], out: &mut [f64]) {
        self.differences(x, self.system.dimension(), self.variable, out);
    }

    /// D sum_j (v_j - v_i) for all cells i, with v_k at `k * stride + first` of `values`.
    pub(super) fn differences(&self, values: &[f64], stride: usize, first: usize, out: &mut [f64]) {
        let v = |k: usize| values[k * stride + first];
        out.par_chunks_mut(PIECE)
            .enumerate()
            .for_each(|(piece, out)| {
                for (k, out) in out.iter_mut().enumerate() {
                    let k = piece * PIECE + k;
                    let here = v(k);
                    *out = self.coupling
                        * self
                            .graph
                            .neighbors(k)
                            .iter()
                            .map(|j| v(*j as usize) - here)
                            .sum::<f64>();
                }
            });
    }

    /// The first variable, or derivative, that is not finite; where all of them are, and only a step leaves the finite numbers, the variable
    /// that changes most beside its size and the absolute tolerance. `f`: derivatives and that tolerance.
    pub(super) fn not_finite(&self, x: &[f64], f: Option<(&[f64], f64)>) -> FailureReason {
        let n = self.system.dimension();
        let of = |what: &str, k: usize| {
            format!(
                "{what}{} of cell {}",
                self.system.spec().variables[k % n].name,
                k / n
            )
        };
        let first = |values: &[f64]| values.iter().position(|v| !v.is_finite());
        let quantity = first(x).map(|k| of("", k)).or_else(|| {
            let (f, atol) = f?;
            let rate = |k: usize| f[k].abs() / (atol + x[k].abs());
            let most = || {
                (0..x.len())
                    .max_by(|a, b| rate(*a).total_cmp(&rate(*b)))
                    .map(|k| of("", k))
            };
            first(f).map(|k| of("the derivative of ", k)).or_else(most)
        });
        FailureReason::NotFinite { quantity }
    }
}

/// dV'/dI of the equations that a map has learned.
fn potential_per_stimulus(map: &dyn DynamicalSystem) -> Result<f64> {
    let spec = map.spec();
    let unknown = || {
        Error::Invalid(format!(
            "{} does not say which equations it has learned, so the time constant of its coupling is not known",
            spec.id
        ))
    };
    let trained = spec.trained_on.as_ref().ok_or_else(unknown)?;
    let model = models::find(&trained.model)?;
    let fixed = trained
        .fixed
        .iter()
        .map(|(name, value)| (name.as_str(), *value));
    let p = model.spec().parameters_with(fixed)?;
    let x = model.spec().default_state();
    let mut by = vec![0.0; x.len()];
    model.derivative_by(Input::Stimulus, &x, 0.0, &p, &mut by);
    Ok(by[model
        .spec()
        .membrane_potential_index()
        .ok_or_else(unknown)?])
}
