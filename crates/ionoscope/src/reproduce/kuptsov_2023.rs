//! Kuptsov, Stankevich, Bagautdinova (2023), Chaos, Solitons & Fractals 167, 113027, doi 10.1016/j.chaos.2022.113027: a neural map trained on
//! bursting and spiking alone finds the fixed point that it was never shown.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use ionoscope_analysis::compare::distance;
use ionoscope_dynamics::{
    models,
    system::DynamicalSystem,
    trajectory::{TimeGrid, Trajectory},
};
use ionoscope_learn::{
    adam::AdamConfig,
    architectures::neural_map::NeuralMap,
    dataset::{Dataset, DatasetConfig},
    second_order::SecondOrderConfig,
    train::TrainConfig,
};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    artifact::{write_atomic, write_json},
    report::{figure::Role, store},
};
use findings::{Cell, Network};
use networks::{Recipe, Workshop};

mod answers;
mod figures;
pub mod findings;
pub mod fixed_points;
pub mod networks;
pub mod oscillations;

/// The original and the modified model.
pub const MODELS: [&str; 2] = ["sherman-1988", "stankevich-2017"];
/// Time step of the two main networks, and of the two further ones for the original model (s).
const DT: f64 = 0.005;
const SMALLER_DT: [f64; 2] = [0.0025, 0.001];
/// Values of V_S (mV) of which rhythms are counted: bursting, bursting, spiking.
const RHYTHMS: [f64; 3] = [-38.0, -36.0, -33.0];
/// Dropped before an attractor is looked at, as in the paper (s).
const TRANSIENT: f64 = 100.0;
/// Starts from which equations and map run side by side, for how long (s), and when they count as apart (standard deviations).
const RUNS: usize = 32;
const RUN_LENGTH: f64 = 20.0;
const APART: f64 = 0.5;

/// What the user can choose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Two networks, fewer data and fewer steps, for a first look.
    pub quick: bool,
    /// Repetitions with different seeds.
    pub seeds: u64,
    /// The first seed.
    pub seed: u64,
    /// Use what an earlier run with the same configuration left in the folder.
    pub resume: bool,
    /// Folder of the run.
    pub dir: PathBuf,
}

impl Options {
    /// The networks to make, in order.
    pub fn recipes(&self) -> Vec<Recipe> {
        let mut kinds: Vec<(&str, f64)> = MODELS.iter().map(|m| (*m, DT)).collect();
        if !self.quick {
            kinds.extend(SMALLER_DT.map(|dt| (MODELS[0], dt)));
        }
        let seeds = self.seed..self.seed.saturating_add(self.seeds);
        seeds.flat_map(|seed| kinds.iter().map(move |(model, dt)| self.recipe(model, *dt, seed))).collect()
    }

    fn recipe(&self, model: &str, dt: f64, seed: u64) -> Recipe {
        let dataset = DatasetConfig { model: model.into(), dt, seed, ..DatasetConfig::default() };
        // The second-order stage alone: it starts from its own prior, which is what carries over to the fixed point outside the data.
        let adam = AdamConfig { epochs: 0, ..AdamConfig::default() };
        let train = TrainConfig { adam, seed, ..TrainConfig::default() };
        if self.quick {
            let dataset = DatasetConfig { chunks: 150, pairs_per_chunk: 120, stride: 4, new_chunks: 20, ..dataset };
            let second_order = SecondOrderConfig { iterations: 60, ..train.second_order.clone() };
            return Recipe { dataset, train: TrainConfig { second_order, ..train }, seed };
        }
        Recipe { dataset, train, seed }
    }

    /// Starts of the searches for fixed points.
    fn starts(&self) -> usize {
        if self.quick { 48 } else { 192 }
    }
}

/// Seconds that each part of a run took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Data of all networks.
    pub data: f64,
    /// Training of all networks; what an earlier run did counts with the time it took then.
    pub training: f64,
    /// Analyses of equations and networks, and the figures.
    pub analysis: f64,
    /// From start to end of this run.
    pub total: f64,
}

/// Everything that the report needs.
pub(crate) struct Outcome {
    options: Options,
    recipes: Vec<Recipe>,
    cells: Vec<Cell>,
    networks: Vec<Network>,
    cost: Cost,
    figures: Figures,
}

/// The figures, drawn from trajectories, data and branches that are not kept otherwise.
pub(crate) struct Figures {
    motion: Vec<crate::report::figure::Figure>,
    data: crate::report::figure::Figure,
    distance: crate::report::figure::Figure,
    eigenvalues: Vec<crate::report::figure::Figure>,
    training: crate::report::figure::Figure,
}

/// Runs everything and writes the folder: `report.html`, `summary.json`, `figures/`, `tables/`, `answers/`, `networks/`, `data/` and
/// `pretrained/`, which holds of each network the seed with the lowest validation error.
///
/// `interrupt` stops it soon, with checkpoints; `say` is told how far it is.
///
/// # Errors
/// A folder that cannot be written, a training or an analysis that fails or is interrupted.
pub fn run(options: &Options, interrupt: &Arc<AtomicBool>, say: &(dyn Fn(&str) + Sync)) -> Result<()> {
    if options.seeds == 0 {
        return Err(Error::Input("0 seeds; expected at least one".into()));
    }
    let start = Instant::now();
    for folder in ["", "data", "networks", "pretrained"] {
        store::make(&options.dir.join(folder))?;
    }
    let recipes = options.recipes();
    say("fixed points and rhythms of the equations");
    let cells = MODELS.iter().map(|m| cell(m, options)).collect::<Result<Vec<_>>>()?;
    let workshop = Workshop { dir: &options.dir, resume: options.resume, interrupt: interrupt.clone(), say };
    let (mut maps, mut networks) = (Vec::new(), Vec::new());
    for recipe in &recipes {
        let made = workshop.make(recipe)?;
        say(&format!("{}: fixed points and rhythms", recipe.file_stem()));
        let cell =
            cells.iter().find(|c| c.system == recipe.dataset.model).ok_or_else(|| Error::Failed("a network without a model".into()))?;
        networks.push(analyse(&made, recipe, cell, options)?);
        maps.push(made.map);
    }
    findings::choose(&mut networks);
    for ((network, map), recipe) in networks.iter().zip(&maps).zip(&recipes) {
        if network.shipped {
            map.save(&options.dir.join(format!("pretrained/{}.safetensors", recipe.name())))?;
        }
    }
    say("figures");
    let figures = draw(options, &recipes, &cells, &networks, &maps)?;
    let total = start.elapsed().as_secs_f64();
    let sum = |f: &dyn Fn(&Network) -> f64| networks.iter().map(f).sum::<f64>();
    let (data, training) = (sum(&|n| n.metrics.seconds_data), sum(&|n| n.metrics.seconds));
    // In a resumed run the earlier training is not part of the total.
    let cost = Cost { data, training, analysis: (total - data - training).max(0.0), total };
    let variables: Vec<String> = models::find(MODELS[0])?.spec().variables.iter().map(|q| q.name.clone()).collect();
    write_json(&options.dir.join("summary.json"), &findings::summary(&networks, &variables))?;
    let outcome = Outcome { options: options.clone(), recipes, cells, networks, cost, figures };
    let (heading, sections) = answers::report(&outcome)?;
    store::save(&options.dir, &heading, &sections)?;
    store::draw(&options.dir)?;
    write_atomic(&options.dir.join("README.txt"), |w| w.write_all(FOLDER.as_bytes()))?;
    Ok(())
}

const FOLDER: &str = "report.html     everything, one page; `ionoscope report DIR` draws it again from answers/\n\
summary.json    errors, fixed points and eigenvalues of every network and seed\n\
pretrained/     of each network the seed with the lowest validation error\n\
networks/       every network, with its configuration and errors\n\
data/           what each was trained on\n\
figures/        every figure as SVG, and its data as CSV\n\
tables/         every table as CSV\n\
answers/        what the report is drawn from\n";

fn cell(model: &str, options: &Options) -> Result<Cell> {
    let system = models::find(model)?;
    let points = fixed_points::of_equations(&*system, &fixed_points::grid(), options.starts())?;
    let borders = fixed_points::borders(&*system, &points)?;
    Ok(Cell { system: model.into(), borders, points, rhythms: rhythms(&*system, DT)? })
}

/// Rhythms on the attractor that the default start leads to.
fn rhythms(system: &dyn DynamicalSystem, dt: f64) -> Result<Vec<(f64, oscillations::Rhythm)>> {
    let times = TimeGrid::new(TRANSIENT, dt, (60.0 / dt).round() as usize + 1)?;
    let one = |v_s: &f64| {
        // A map that runs away has no rhythm; that is an answer, not a failure.
        let v = oscillations::trajectory(system, None, *v_s, times).map(|t| t.variable(0).collect::<Vec<_>>()).unwrap_or_default();
        (*v_s, oscillations::rhythm(&v, dt))
    };
    Ok(RHYTHMS.iter().map(one).collect())
}

fn analyse(made: &networks::Made, recipe: &Recipe, cell: &Cell, options: &Options) -> Result<Network> {
    let (map, data) = (&made.map, &made.data);
    let comparisons = fixed_points::of_map(map, &cell.points, data, options.starts())?;
    let borders = fixed_points::borders(map, comparisons.iter().map(|c| &c.point))?;
    let equations = models::find(&recipe.dataset.model)?;
    let pairs = &data.new_chunks;
    let starts: Vec<(Vec<f64>, f64)> =
        (0..RUNS.min(pairs.len())).map(|k| k * pairs.len() / RUNS).map(|k| (pairs.u(k).to_vec(), pairs.p(k)[0])).collect();
    let times = TimeGrid::until(RUN_LENGTH, recipe.dataset.dt)?;
    let together = oscillations::time_together(&*equations, map, &data.normalizer.state_sd, &starts, APART, times)?;
    Ok(Network {
        system: recipe.dataset.model.clone(),
        dt: recipe.dataset.dt,
        seed: recipe.seed,
        weights: [map.networks().first().map_or(0, |n| n.weight_count()), map.weight_count()],
        metrics: made.metrics.clone(),
        comparisons,
        borders,
        rhythms: rhythms(map, recipe.dataset.dt)?,
        together,
        shipped: false,
    })
}

fn draw(options: &Options, recipes: &[Recipe], cells: &[Cell], networks: &[Network], maps: &[NeuralMap]) -> Result<Figures> {
    let shipped = |model: &str, dt: f64| networks.iter().position(|n| n.shipped && n.system == model && n.dt == dt);
    let (mut motion, mut mapped, mut attractors) = (Vec::new(), Vec::new(), Vec::new());
    let mut along = Vec::new();
    let mut data = Vec::new();
    for (k, cell) in cells.iter().enumerate() {
        let (equations, name) = (models::find(&cell.system)?, answers::FORMS[k]);
        let at = shipped(&cell.system, DT).ok_or_else(|| Error::Failed(format!("no network for {}", cell.system)))?;
        let pair = |v_s: f64| both(&*equations, &maps[at], v_s);
        let (bursting, spiking) = (pair(-36.0)?, pair(-33.0)?);
        let columns = |with_map: bool| -> Vec<(&str, Vec<figures::Trace>)> {
            [("bursting, V_{S} = −36", &bursting), ("spiking, V_{S} = −33", &spiking)]
                .into_iter()
                .map(|(heading, (of_equations, of_map))| {
                    let mut traces = vec![figures::Trace { name: "equations", role: Role::Equations, trajectory: of_equations }];
                    traces.extend(of_map.iter().filter(|_| with_map).map(|t| figures::Trace {
                        name: "network",
                        role: Role::Network,
                        trajectory: t,
                    }));
                    (heading, traces)
                })
                .collect()
        };
        let [number, with] = [[1, 7], [4, 8]][k];
        let caption = format!("Equations, {name} model, on the attractor. V and n are fast, S is slow.");
        motion.push(figures::time_series(&format!("figure-{number}"), &format!("Figure {number}"), &caption, &columns(false)));
        let caption = format!(
            "The network beside the equations, {name} model. Both start at the same state on the attractor and are then left to themselves for \
             15 s: look at the shape and the number of spikes, and at how late they drift apart. In the paper the network is shown alone."
        );
        mapped.push(figures::time_series(&format!("figure-{with}"), &format!("Figure {with}"), &caption, &columns(true)));
        if let Some(f) = cell.points.iter().find(|p| p.v_s == -36.0).and_then(|p| p.found.as_ref()) {
            let t = &bursting.0;
            let d = (0..t.len()).map(|j| distance(t.state(j), &f.x)).collect();
            along.push((name, Role::Equations, (0..t.len()).map(|j| j as f64 * DT).collect(), d));
        }
        data.push((name, Dataset::load(&options.dir.join(format!("data/{}.safetensors", recipes[at].file_stem())))?));
        if k == 0 {
            attractors.push(bursting);
        }
    }
    motion.extend(mapped);
    if let [(of_equations, of_map)] = &attractors[..] {
        let mut panels = vec![("equations", figures::Trace { name: "", role: Role::Equations, trajectory: of_equations })];
        panels.extend(of_map.iter().map(|t| ("network", figures::Trace { name: "", role: Role::Orbit, trajectory: t })));
        let caption = "The bursting attractor of the original model at V_{S} = −36 in the space of its states: equations and network.";
        motion.push(figures::attractors("figure-2", "Figure 2", caption, &panels));
    }
    let sets: Vec<(&str, &Dataset)> = data.iter().map(|(n, d)| (*n, d)).collect();
    let caption = "How near the data come to the fixed point, which is in none of them. Above: along a bursting trajectory, and as a \
                   histogram of all data. Below: all data of each model against V_{S}. Distances are Euclidean in the raw units mV, 1, 1, in \
                   which V dominates.";
    let data = figures::distances("figure-6", "Figure 6", caption, &along, &sets);

    let of = |model: &str| networks.iter().filter(|n| n.system == model && n.dt == DT).collect::<Vec<_>>();
    let models_: Vec<(&str, Vec<&Network>)> = MODELS.iter().zip(answers::FORMS).map(|(m, f)| (f, of(m))).collect();
    let caption = "Distance between the fixed points of equations and network (dt = 0.005) against V_{S}, for every seed. A gap: none found. \
                   Below, what makes the right side hard: how far the fixed point lies from the nearest data at this V_{S}, in standard \
                   deviations of the data.";
    let distance = figures::fixed_point_distances("figure-10", "Figure 10", caption, &models_);

    let whole = [-40.0, -30.0];
    let branch = |cell: &Cell, range: [f64; 2]| -> Result<figures::Branch> {
        let points = fixed_points::branch(&*models::find(&cell.system)?, &cell.points, range, 801)?;
        Ok(figures::Branch { name: "equations".into(), role: Role::Equations, points })
    };
    let branch_of = |at: usize, name: &str, role: Role, range: [f64; 2]| -> Result<figures::Branch> {
        let points = fixed_points::branch(&maps[at], networks[at].comparisons.iter().map(|c| &c.point), range, 801)?;
        Ok(figures::Branch { name: name.into(), role, points })
    };
    let mut real = vec![branch(&cells[0], whole)?];
    for (dt, role) in [DT, SMALLER_DT[0], SMALLER_DT[1]].into_iter().zip([Role::Network, Role::Second, Role::Third]) {
        if let Some(at) = shipped(MODELS[0], dt) {
            real.push(branch_of(at, &format!("network, dt = {dt}"), role, whole)?);
        }
    }
    let caption = "The three eigenvalues of the fixed point of the original model, all real, against V_{S}: equations, and networks at each time \
                   step. The paper reports: good on the left, off on the right, better with smaller time steps.";
    let mut eigenvalues = vec![figures::real_eigenvalues("figure-11", "Figure 11", caption, &real)];
    if let Some(at) = shipped(MODELS[1], DT) {
        let near = match cells[1].borders[..] {
            [a, b] => [a - 0.8, b + 0.8],
            _ => whole,
        };
        let both = |range| Ok::<_, Error>([branch(&cells[1], range)?, branch_of(at, "network, dt = 0.005", Role::Network, range)?]);
        let caption = "Eigenvalues of the fixed point of the modified model: real parts, imaginary parts, and the two largest real parts near \
                       the window in which the fixed point is stable. Look at the two segments with a complex pair, one at each border: there \
                       the real parts coincide.";
        eigenvalues.push(figures::complex_eigenvalues("figure-12", "Figure 12", caption, &both(whole)?, &both(near)?, &cells[1]));
    }
    let trained: Vec<&Network> = networks.iter().filter(|n| n.shipped).collect();
    let caption = "Mean squared error of the increments on the training data, in units of the increment's variance, for each sub-network.";
    let training = figures::training("training", "Training", caption, &trained, &["V", "n", "S"]);
    Ok(Figures { motion, data, distance, eigenvalues, training })
}

/// Fifteen seconds of the equations on their attractor, and of a map from the same state; the map may fail.
fn both(equations: &dyn DynamicalSystem, map: &NeuralMap, v_s: f64) -> Result<(Trajectory, Option<Trajectory>)> {
    let count = (15.0 / DT).round() as usize + 1;
    let a = oscillations::trajectory(equations, None, v_s, TimeGrid::new(TRANSIENT, DT, count)?)?;
    let b = oscillations::trajectory(map, Some(a.state(0)), v_s, TimeGrid::new(0.0, DT, count)?).ok();
    Ok((a, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_run_makes_four_networks_a_seed_and_the_quick_one_two() {
        let options = |quick| Options { quick, seeds: 3, seed: 5, resume: false, dir: "out".into() };
        let full = options(false).recipes();
        assert_eq!(full.len(), 12);
        assert_eq!(full[3].name(), "sherman-1988-dt0.001");
        assert_eq!(full[11].file_stem(), "sherman-1988-dt0.001-seed7");
        assert_eq!(options(true).recipes().len(), 6);
        assert_eq!(full[0].dataset.transient, TRANSIENT);
    }
}
