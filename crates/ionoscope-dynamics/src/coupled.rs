//! Cells coupled through their membrane potentials.
//!
//! Equations: the coupling is a current into every cell, as a stimulus is, I_i = D sum_j (V_j - V_i) over the neighbours j of cell i, so that
//! tau V_i' gains D sum_j (V_j - V_i) with the time constant (or capacitance) that the model's equations have. Maps, which were trained on
//! single cells, are coupled without retraining (Kuptsov, Stankevich 2024, arXiv 2405.05309): V_i(t + dt) = F_V(u_i) + (dt / tau) I_i, where
//! 1/tau is the derivative of V' by the stimulus in the equations that the map has learned. That is of the first order in dt; [`Scheme::Symmetric`]
//! splits the pull in halves before and after the map (Strang 1968), which is of the second.

use rayon::prelude::*;

use crate::{
    Error, Result, models,
    solve::{
        dop853::{ERROR_5, ORDER_3, Row, STAGES},
        limits::{self, Progress},
    },
    system::{DynamicalSystem, Input, Time},
    trajectory::{FailureReason, Outcome, SolveOptions, Statistics, TimeGrid},
};

/// Cells of a piece of work; sums over cells are taken piece by piece, so that they do not depend on the number of threads.
const PIECE: usize = 2048;
/// Most cells that are coupled.
const MOST_CELLS: usize = 1 << 27;
/// Step control of the coupled equations, as of `dop853`.
const SAFETY: f64 = 0.9;
const SHRINK: f64 = 0.333;
const GROW: f64 = 6.0;
/// What shrinks numbers whose squares would be infinite.
const DOWN: f64 = 1e-160;

/// Who is coupled with whom; coupling is mutual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// Where the neighbours of each cell begin, and the end.
    offsets: Vec<usize>,
    neighbours: Vec<u32>,
}

impl Graph {
    /// A graph from pairs of cells, counted from 0. A pair given twice counts twice.
    ///
    /// # Errors
    /// No cells or too many; a pair of a cell with itself, or with one that is not there.
    pub fn new(cells: usize, pairs: &[[u32; 2]]) -> Result<Self> {
        if !(1..=MOST_CELLS).contains(&cells) {
            return Err(Error::Invalid(format!(
                "{cells} coupled cells; expected 1 to {MOST_CELLS}"
            )));
        }
        let mut offsets = vec![0; cells + 1];
        for (k, [a, b]) in pairs.iter().enumerate() {
            if a == b || (*a).max(*b) as usize >= cells {
                return Err(Error::Invalid(format!(
                    "pair {} couples cells {a} and {b}; expected two different ones of 0 to {}",
                    k + 1,
                    cells - 1
                )));
            }
            offsets[*a as usize + 1] += 1;
            offsets[*b as usize + 1] += 1;
        }
        for k in 0..cells {
            offsets[k + 1] += offsets[k];
        }
        let mut next = offsets.clone();
        let mut neighbours = vec![0; 2 * pairs.len()];
        for [a, b] in pairs {
            for (from, to) in [(*a, *b), (*b, *a)] {
                neighbours[next[from as usize]] = to;
                next[from as usize] += 1;
            }
        }
        Ok(Graph {
            offsets,
            neighbours,
        })
    }

    /// Cells in a row.
    ///
    /// # Errors
    /// As [`Graph::new`].
    pub fn chain(cells: usize) -> Result<Self> {
        Graph::new(
            cells,
            &(1..cells.min(MOST_CELLS) as u32)
                .map(|k| [k - 1, k])
                .collect::<Vec<_>>(),
        )
    }

    /// Cells in a ring; two cells are coupled once.
    ///
    /// # Errors
    /// As [`Graph::new`].
    pub fn ring(cells: usize) -> Result<Self> {
        let mut pairs: Vec<[u32; 2]> = (1..cells.min(MOST_CELLS) as u32)
            .map(|k| [k - 1, k])
            .collect();
        if cells > 2 {
            pairs.push([pairs.len() as u32, 0]);
        }
        Graph::new(cells, &pairs)
    }

    /// Cells on a rectangular lattice without wrapping, row by row.
    ///
    /// # Errors
    /// As [`Graph::new`].
    pub fn lattice(rows: usize, columns: usize) -> Result<Self> {
        let cells = rows
            .checked_mul(columns)
            .filter(|n| *n <= MOST_CELLS)
            .unwrap_or(0);
        let mut pairs = Vec::with_capacity(2 * cells);
        for k in 0..cells {
            if k % columns + 1 < columns {
                pairs.push([k as u32, k as u32 + 1]);
            }
            if k + columns < cells {
                pairs.push([k as u32, (k + columns) as u32]);
            }
        }
        Graph::new(cells, &pairs)
    }

    /// Number of cells.
    pub fn cells(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of couplings.
    pub fn couplings(&self) -> usize {
        self.neighbours.len() / 2
    }

    /// The cells coupled with cell `k`.
    pub fn neighbours(&self, k: usize) -> &[u32] {
        &self.neighbours[self.offsets[k]..self.offsets[k + 1]]
    }
}

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
    system: &'a dyn DynamicalSystem,
    graph: &'a Graph,
    coupling: f64,
    p: &'a [f64],
    /// Index of the membrane potential.
    variable: usize,
    /// dt / tau of a map.
    gain: f64,
    scheme: Scheme,
    /// The same constant stimulus of every cell.
    i_stim: f64,
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

    /// Adds `factor` times `pull` to the potentials.
    fn add(&self, factor: f64, pull: &[f64], x: &mut [f64]) {
        let n = self.system.dimension();
        x.par_chunks_mut(PIECE * n)
            .zip(pull.par_chunks(PIECE))
            .for_each(|(x, pull)| {
                for (state, pull) in x.chunks_exact_mut(n).zip(pull) {
                    state[self.variable] += factor * pull;
                }
            });
    }

    /// The exchange between the cells alone for half a step: two terms of its series, one would make the scheme one of the first order.
    fn exchange(&self, [currents, second]: &mut [Vec<f64>; 2], x: &mut [f64]) {
        let h = 0.5 * self.gain;
        self.currents(x, currents);
        self.differences(currents, 1, 0, second);
        self.add(h, currents, x);
        self.add(0.5 * h * h, second, x);
    }

    /// One step of coupled maps, from `x` to `next`; `x` is used up.
    fn step(&self, x: &mut [f64], work: &mut [Vec<f64>; 2], next: &mut [f64]) {
        let n = self.system.dimension();
        match self.scheme {
            Scheme::Additive => self.currents(x, &mut work[0]),
            Scheme::Symmetric => self.exchange(work, x),
        }
        let stimuli = vec![self.i_stim; if self.i_stim == 0.0 { 0 } else { PIECE }];
        next.par_chunks_mut(PIECE * n)
            .zip(x.par_chunks(PIECE * n))
            .for_each(|(next, x)| {
                self.system
                    .rules(x, &stimuli[..stimuli.len().min(x.len() / n)], self.p, next);
            });
        match self.scheme {
            Scheme::Additive => self.add(self.gain, &work[0], next),
            Scheme::Symmetric => self.exchange(work, next),
        }
    }

    /// Coupling currents of all cells at states `[cell][variable]`.
    fn currents(&self, x: &[f64], out: &mut [f64]) {
        self.differences(x, self.system.dimension(), self.variable, out);
    }

    /// D sum_j (v_j - v_i) for all cells i, with v_k at `k * stride + first` of `values`.
    fn differences(&self, values: &[f64], stride: usize, first: usize, out: &mut [f64]) {
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
                            .neighbours(k)
                            .iter()
                            .map(|j| v(*j as usize) - here)
                            .sum::<f64>();
                }
            });
    }

    /// The derivatives of all cells of a flow.
    fn rule(&self, x: &[f64], currents: &mut [f64], out: &mut [f64]) {
        let n = self.system.dimension();
        self.currents(x, currents);
        if self.i_stim != 0.0 {
            currents.par_iter_mut().for_each(|i| *i += self.i_stim);
        }
        out.par_chunks_mut(PIECE * n)
            .zip(x.par_chunks(PIECE * n))
            .zip(currents.par_chunks(PIECE))
            .for_each(|((out, x), i)| {
                self.system.rules(x, i, self.p, out);
            });
    }

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

    fn iterate(
        &self,
        x: &mut Vec<f64>,
        dt: f64,
        times: TimeGrid,
        options: &SolveOptions,
        observe: &mut dyn FnMut(usize, f64, &[f64]) -> bool,
    ) -> Result<(Outcome, Statistics)> {
        let whole = |t: f64, what: &str| {
            let steps = (t / dt).round();
            if (steps * dt - t).abs() > 1e-6 * dt * steps.max(1.0) {
                return Err(Error::Invalid(format!(
                    "{what} = {t} is not a whole number of steps of the map, dt = {dt}"
                )));
            }
            Ok(steps as u64)
        };
        let (first, every) = (
            whole(times.start, "the first output time")?,
            whole(times.dt, "the output step dt")?.max(1),
        );
        let cells = self.graph.cells();
        let (mut next, mut work) = (x.clone(), [vec![0.0; cells], vec![0.0; cells]]);
        let mut statistics = Statistics::default();
        for k in 0..times.count {
            for _ in 0..if k == 0 { first } else { every } {
                options.watch.check()?;
                self.step(x, &mut work, &mut next);
                std::mem::swap(x, &mut next);
                statistics.accepted += 1;
                statistics.evaluations += 1;
            }
            if x.par_chunks(PIECE)
                .any(|x| x.iter().any(|v| !v.is_finite()))
            {
                return Ok((
                    Outcome::Failed {
                        time: times.time(k),
                        reason: self.not_finite(x, None),
                    },
                    statistics,
                ));
            }
            if !observe(k, times.time(k), x) {
                return Err(Error::Interrupted);
            }
        }
        Ok((Outcome::Completed, statistics))
    }

    /// The method of Dormand and Prince of order 8 over all cells at once, with steps that end at the times of the grid.
    fn integrate(
        &self,
        x: &mut Vec<f64>,
        times: TimeGrid,
        options: &SolveOptions,
        observe: &mut dyn FnMut(usize, f64, &[f64]) -> bool,
    ) -> Result<(Outcome, Statistics)> {
        let size = x.len();
        let mut k: Vec<Vec<f64>> = vec![vec![0.0; size]; 13];
        let (mut y, mut currents) = (x.clone(), vec![0.0; self.graph.cells()]);
        let mut statistics = Statistics {
            evaluations: 1,
            ..Statistics::default()
        };
        self.rule(x, &mut currents, &mut k[0]);
        let (mut t, mut h, mut fresh) = (0.0, first_step(x, &k[0], options), true);
        let mut progress = Progress::default();
        for index in 0..times.count {
            let end = times.time(index);
            while t < end {
                options.watch.check()?;
                let last = t + 1.01 * h >= end;
                let step = if last { end - t } else { h };
                for stage in 1..=12 {
                    combine(&mut y, x, step, STAGES[stage], &k);
                    let (_, rest) = k.split_at_mut(stage);
                    self.rule(&y, &mut currents, &mut rest[0]);
                }
                statistics.evaluations += 12;
                let error = self.error(x, &y, step, &k, options);
                let factor = if error.is_finite() {
                    (SAFETY * error.max(1e-16).powf(-1.0 / 8.0)).clamp(SHRINK, GROW)
                } else {
                    SHRINK
                };
                if error <= 1.0 {
                    statistics.accepted += 1;
                    t = if last { end } else { t + step };
                    std::mem::swap(x, &mut y);
                    k.swap(0, 12);
                    // A step cut short by the grid says little about the next.
                    let grown = step * if fresh { factor } else { factor.min(1.0) };
                    h = if last { h.max(grown) } else { grown };
                    fresh = true;
                } else {
                    statistics.rejected += 1;
                    h = step * factor.min(1.0);
                    fresh = false;
                }
                let steps = statistics.accepted + statistics.rejected;
                let vanished = h <= 4.0 * t * f64::EPSILON || h < 1e-290;
                if vanished
                    || steps >= options.max_steps
                    || progress.is_hopeless(steps, t, times.end(), options.max_steps)
                {
                    self.rule(x, &mut currents, &mut k[0]);
                    let reason = match () {
                        () if vanished && !error.is_finite() => {
                            self.not_finite(x, Some((&k[0], options.atol)))
                        }
                        () if vanished => FailureReason::StepTooSmall {
                            fastest: self.fastest(x, &k[0], &currents, options),
                        },
                        () => FailureReason::TooManySteps {
                            steps,
                            limit: options.max_steps,
                            fastest: self.fastest(x, &k[0], &currents, options),
                        },
                    };
                    return Ok((Outcome::Failed { time: t, reason }, statistics));
                }
            }
            if !observe(index, end, x) {
                return Err(Error::Interrupted);
            }
        }
        Ok((Outcome::Completed, statistics))
    }

    /// The first variable, or derivative, that is not finite; where all of them are, and only a step leaves the finite numbers, the variable
    /// that changes most beside its size and the absolute tolerance. `f`: derivatives and that tolerance.
    fn not_finite(&self, x: &[f64], f: Option<(&[f64], f64)>) -> FailureReason {
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

    /// The fastest time scale of the cell that changes most beside its size, its coupling included.
    fn fastest(
        &self,
        x: &[f64],
        f: &[f64],
        currents: &[f64],
        options: &SolveOptions,
    ) -> Option<f64> {
        let n = self.system.dimension();
        let rate = |k: usize| f[k].abs() / (options.atol + x[k].abs());
        let cell = (0..x.len()).max_by(|a, b| rate(*a).total_cmp(&rate(*b)))? / n;
        let (state, i_stim) = (&x[cell * n..(cell + 1) * n], currents[cell]);
        let (mut jacobian, mut by) = (vec![0.0; n * n], vec![0.0; n]);
        self.system.jacobian(state, i_stim, self.p, &mut jacobian);
        self.system
            .derivative_by(Input::Stimulus, state, i_stim, self.p, &mut by);
        let pull = self.coupling * self.graph.neighbours(cell).len() as f64;
        for (row, by) in jacobian.chunks_exact_mut(n).zip(&by) {
            row[self.variable] -= pull * by;
        }
        limits::fastest(&jacobian, n)
    }

    /// The largest error of a cell, of `dop853`'s kind.
    fn error(&self, x: &[f64], y: &[f64], h: f64, k: &[Vec<f64>], options: &SolveOptions) -> f64 {
        let n = self.system.dimension();
        let weighted = |row: Row, i: usize| row.iter().map(|&(j, a)| a * k[j][i]).sum::<f64>();
        let pieces: Vec<f64> = (0..self.graph.cells().div_ceil(PIECE))
            .into_par_iter()
            .map(|piece| {
                let cells = piece * PIECE..((piece + 1) * PIECE).min(self.graph.cells());
                let mut most: f64 = 0.0;
                for cell in cells {
                    let sums = |shrink: f64| {
                        let (mut error_5, mut error_3, mut sound) = (0.0, 0.0, 0.0);
                        for i in cell * n..(cell + 1) * n {
                            let scale = options.atol + options.rtol * x[i].abs().max(y[i].abs());
                            error_5 += (weighted(ERROR_5, i) * shrink / scale).powi(2);
                            error_3 += ((weighted(STAGES[12], i) - weighted(ORDER_3, i)) * shrink
                                / scale)
                                .powi(2);
                            sound += (y[i] + k[12][i]) * 0.0;
                        }
                        (error_5, error_3, sound)
                    };
                    let (mut error_5, mut error_3, sound) = sums(1.0);
                    let mut shrink = 1.0;
                    if error_5 + error_3 == f64::INFINITY {
                        // Squares beyond all numbers: the same with numbers made smaller.
                        shrink = DOWN;
                        (error_5, error_3, _) = sums(shrink);
                    }
                    let both = error_5 + 0.01 * error_3;
                    let error = if both > 0.0 {
                        h * error_5 / (both * n as f64).sqrt() / shrink
                    } else {
                        0.0
                    };
                    most = if sound == 0.0 && !error.is_nan() {
                        most.max(error)
                    } else {
                        f64::INFINITY
                    };
                }
                most
            })
            .collect();
        pieces.into_iter().fold(0.0, f64::max)
    }
}

/// y = x + h times the weighted sum of the stages.
fn combine(y: &mut [f64], x: &[f64], h: f64, row: Row, k: &[Vec<f64>]) {
    y.par_chunks_mut(PIECE).enumerate().for_each(|(piece, y)| {
        let range = piece * PIECE..piece * PIECE + y.len();
        y.fill(0.0);
        for &(j, a) in row {
            for (y, k) in y.iter_mut().zip(&k[j][range.clone()]) {
                *y += a * k;
            }
        }
        for (y, x) in y.iter_mut().zip(&x[range]) {
            *y = x + h * *y;
        }
    });
}

/// A first step that is safe: a hundredth of the time in which the fastest cell would move by its own size, or, of a cell without any, by the
/// geometric mean of 1 and the absolute tolerance.
fn first_step(x: &[f64], f: &[f64], options: &SolveOptions) -> f64 {
    let rate = x
        .iter()
        .zip(f)
        .map(|(x, f)| f.abs() / (options.atol + x.abs()).max(options.atol.sqrt()))
        .fold(0.0, f64::max);
    if rate > 0.0 {
        (0.01 / rate).max(1e-250)
    } else {
        1e-6
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trajectory::Experiment;

    #[test]
    fn graphs_have_the_neighbours_that_they_should() {
        let sorted = |g: &Graph, k: usize| {
            let mut all = g.neighbours(k).to_vec();
            all.sort_unstable();
            all
        };
        let (ring, chain, lattice) = (
            Graph::ring(4).unwrap(),
            Graph::chain(4).unwrap(),
            Graph::lattice(2, 3).unwrap(),
        );
        assert_eq!(
            (sorted(&ring, 0), sorted(&chain, 0), sorted(&chain, 2)),
            (vec![1, 3], vec![1], vec![1, 3])
        );
        assert_eq!(
            (
                sorted(&lattice, 1),
                sorted(&lattice, 3),
                lattice.couplings()
            ),
            (vec![0, 2, 4], vec![0, 4], 7)
        );
        assert_eq!(
            (
                Graph::ring(2).unwrap().couplings(),
                Graph::ring(1).unwrap().couplings()
            ),
            (1, 0)
        );
        assert!(
            Graph::new(3, &[[0, 3]])
                .unwrap_err()
                .to_string()
                .contains("0 to 2")
        );
        assert!(Graph::new(3, &[[1, 1]]).is_err() && Graph::lattice(0, 3).is_err());
    }

    #[test]
    fn two_coupled_cells_agree_with_small_runge_kutta_steps() {
        let cell = models::find("sherman-1988").unwrap();
        let p = cell.spec().default_parameters();
        let graph = Graph::chain(2).unwrap();
        let network = CoupledCells::new(&*cell, &graph, 0.3, &p).unwrap();
        let start = vec![-60.0, 0.01, 0.18, -50.0, 0.02, 0.175];
        let options = SolveOptions::with_rtol(1e-10);
        let mut end = Vec::new();
        let times = TimeGrid::new(0.5, 0.5, 2).unwrap();
        let (outcome, _) = network
            .run(start.clone(), times, &options, &mut |_, _, x| {
                end = x.to_vec();
                true
            })
            .unwrap();
        assert_eq!(outcome, Outcome::Completed);
        // The oracle: the rule of each cell with the other's pull as its stimulus, and steps of 1e-4.
        let f = |x: &[f64]| {
            let mut out = vec![0.0; 6];
            let pull = 0.3 * (x[3] - x[0]);
            cell.rule(&x[..3], pull, &p, &mut out[..3]);
            cell.rule(&x[3..], -pull, &p, &mut out[3..]);
            out
        };
        let mut x = start;
        let along = |x: &[f64], h: f64, k: &[f64]| {
            x.iter()
                .zip(k)
                .map(|(x, k)| x + h * k)
                .collect::<Vec<f64>>()
        };
        let h = 1e-4;
        for _ in 0..10_000 {
            let a = f(&x);
            let b = f(&along(&x, h / 2.0, &a));
            let c = f(&along(&x, h / 2.0, &b));
            let d = f(&along(&x, h, &c));
            x = (0..6)
                .map(|i| x[i] + h / 6.0 * (a[i] + 2.0 * b[i] + 2.0 * c[i] + d[i]))
                .collect();
        }
        assert!(
            x.iter()
                .zip(&end)
                .all(|(a, b)| (a - b).abs() < 1e-7 * a.abs().max(1.0)),
            "{x:?} {end:?}"
        );
    }

    #[test]
    fn many_states_at_once_have_the_rule_of_each_and_uncoupled_cells_are_single_ones() {
        let cell = models::find("hodgkin-huxley-1952").unwrap();
        let p = cell.spec().default_parameters();
        let x: Vec<f64> = (0..37 * 4)
            .map(|k| [-20.0 + 3.0 * (k / 4) as f64, 0.3, 0.5, 0.4][k % 4])
            .collect();
        let currents: Vec<f64> = (0..37).map(f64::from).collect();
        let (mut all, mut one) = (vec![0.0; x.len()], vec![0.0; 4]);
        cell.rules(&x, &currents, &p, &mut all);
        for k in 0..37 {
            cell.rule(&x[4 * k..4 * k + 4], currents[k], &p, &mut one);
            assert_eq!(all[4 * k..4 * k + 4], one[..]);
        }
        let graph = Graph::new(3, &[]).unwrap();
        let network = CoupledCells::new(&*cell, &graph, 1.0, &p).unwrap();
        let options = SolveOptions {
            rtol: 1e-9,
            atol: 1e-11,
            ..SolveOptions::default()
        };
        let times = TimeGrid::new(20.0, 1.0, 1).unwrap();
        let mut end = Vec::new();
        network
            .run(x[..12].to_vec(), times, &options, &mut |_, _, x| {
                end = x.to_vec();
                true
            })
            .unwrap();
        for k in 0..3 {
            let e = Experiment {
                x0: x[4 * k..4 * k + 4].to_vec(),
                ..Experiment::from_defaults(cell.spec(), times)
            };
            let want = cell.simulate(&e, &options).unwrap();
            assert!(
                want.x
                    .iter()
                    .zip(&end[4 * k..])
                    .all(|(a, b)| (a - b).abs() < 1e-6),
                "{:?} {end:?}",
                want.x
            );
        }
    }
}
