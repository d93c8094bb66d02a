//! Cells coupled through their membrane potentials.
//!
//! Equations: the coupling is a current into every cell, as a stimulus is, I_i = D sum_j (V_j - V_i) over the neighbors j of cell i, so that
//! tau V_i' gains D sum_j (V_j - V_i) with the time constant (or capacitance) that the model's equations have. Maps, which were trained on
//! single cells, are coupled without retraining (Kuptsov, Stankevich 2024, arXiv 2405.05309): V_i(t + dt) = F_V(u_i) + (dt / tau) I_i, where
//! 1/tau is the derivative of V' by the stimulus in the equations that the map has learned. That is of the first order in dt; [`Scheme::Symmetric`]
//! splits the pull in halves before and after the map (Strang 1968), which is of the second.

mod cells;
mod flow;
mod graph;
mod maps;
#[cfg(test)]
mod tests;

pub use cells::{CoupledCells, Scheme};
pub use graph::Graph;

use crate::{
    Error, Result,
    system::Time,
    trajectory::{Outcome, SolveOptions, Statistics, TimeGrid},
};

impl CoupledCells<'_> {
    /// Runs the cells from states `x`, `[cell][variable]`, and tells `observe` the index, time and states at every time of the grid, until
    /// it says stop.
    ///
    /// # Errors
    /// States of a wrong length or not finite, options that make no sense, times that a map does not reach. A run that fails says so in
    /// its outcome.
    pub fn run(
        &self,
        mut x: Vec<f64>,
        times: TimeGrid,
        options: &SolveOptions,
        observe: &mut dyn FnMut(usize, f64, &[f64]) -> bool,
    ) -> Result<(Outcome, Statistics)> {
        options.check()?;
        let n = self.system.dimension();
        if x.len() != self.graph.cells() * n || x.iter().any(|v| !v.is_finite()) {
            return Err(Error::Invalid(format!(
                "{} numbers as states of {} cells; expected {n} finite ones a cell",
                x.len(),
                self.graph.cells()
            )));
        }
        match self.system.time() {
            Time::Discrete { dt } => self.iterate(&mut x, dt, times, options, observe),
            Time::Continuous => self.integrate(&mut x, times, options, observe),
        }
    }
}
