//! Kuptsov, Stankevich, Bagautdinova (2023), Chaos, Solitons & Fractals 167, 113027, doi 10.1016/j.chaos.2022.113027: a neural map trained on
//! bursting and spiking alone finds the fixed point that it was never shown.

use std::{path::PathBuf, time::Instant};

use ionoscope_dynamics::{
    models, system::DynamicalSystem, trajectory::TimeGrid, watch::Watcher, watched::Watched,
};
use ionoscope_learn::{
    dataset::DatasetConfig, second_order::SecondOrderConfig, train::TrainConfig,
};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    artifact::{write_atomic, write_json},
    report::store,
};
use drawing::Figures;
use findings::{BetaCell, Network};
use networks::{NetworkTrainer, Recipe};
use rasters::Rasters;

mod answers;
mod drawing;
mod figures;
pub mod findings;
pub mod fixed_points;
pub mod networks;
pub mod oscillations;
mod rasters;

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
        seeds
            .flat_map(|seed| {
                kinds
                    .iter()
                    .map(move |(model, dt)| self.recipe(model, *dt, seed))
            })
            .collect()
    }

    fn recipe(&self, model: &str, dt: f64, seed: u64) -> Recipe {
        let dataset = DatasetConfig {
            model: model.into(),
            dt,
            seed,
            ..DatasetConfig::default()
        };
        // The second-order stage alone: it starts from its own prior, which is what carries over to the fixed point outside the data.
        let mut train = TrainConfig {
            seed,
            ..TrainConfig::default()
        };
        // The modified cell has a current that is one mV wide, and takes twice the steps to the same error.
        if model == MODELS[1] {
            train.second_order.iterations *= 2;
        }
        if self.quick {
            let dataset = DatasetConfig {
                chunks: 500,
                new_chunks: 50,
                ..dataset
            };
            let second_order = SecondOrderConfig {
                iterations: 200,
                ..train.second_order.clone()
            };
            return Recipe {
                dataset,
                train: TrainConfig {
                    second_order,
                    ..train
                },
                seed,
            };
        }
        Recipe {
            dataset,
            train,
            seed,
        }
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

impl Cost {
    /// Seconds of all parts, whichever run did them.
    fn work(&self) -> f64 {
        self.data + self.training + self.analysis
    }
}

/// Everything that the report needs.
pub(crate) struct Findings {
    options: Options,
    recipes: Vec<Recipe>,
    cells: Vec<BetaCell>,
    networks: Vec<Network>,
    cost: Cost,
    figures: Figures,
    rasters: Rasters,
}

/// Runs everything and writes the folder: `report.html`, `summary.json`, `figures/`, `tables/`, `answers/`, `networks/`, `data/` and
/// `pretrained/`, which holds of each network the seed with the lowest validation error.
///
/// `watch` is told how far it is, and stops it, with checkpoints.
///
/// # Errors
/// A folder that cannot be written, a training or an analysis that fails or is interrupted.
pub fn run(options: &Options, watch: &Watcher) -> Result<()> {
    if options.seeds == 0 {
        return Err(Error::Input("0 seeds; expected at least one".into()));
    }
    run_recipes(options, options.recipes(), watch)
}

fn run_recipes(options: &Options, recipes: Vec<Recipe>, watch: &Watcher) -> Result<()> {
    super::unless_stopped(run_all(options, recipes, watch), watch)
}

fn run_all(options: &Options, recipes: Vec<Recipe>, watch: &Watcher) -> Result<()> {
    let start = Instant::now();
    for folder in ["", "data", "networks", "pretrained"] {
        store::make(&options.dir.join(folder))?;
    }
    watch.tell("fixed points and rhythms of the equations");
    let cells = MODELS
        .iter()
        .map(|m| cell(m, options, watch))
        .collect::<Result<Vec<_>>>()?;
    watch.check()?;
    let workshop = NetworkTrainer {
        dir: &options.dir,
        resume: options.resume,
        watch: watch.clone(),
    };
    let mut analysis = start.elapsed();
    let (mut maps, mut networks) = (Vec::new(), Vec::new());
    for recipe in &recipes {
        let made = workshop.make(recipe)?;
        watch.tell(&format!("{}: fixed points and rhythms", recipe.file_stem()));
        let begin = Instant::now();
        let cell = cells
            .iter()
            .find(|c| c.system == recipe.dataset.model)
            .ok_or_else(|| Error::Failed("a network without a model".into()))?;
        let network = analyze(&made, recipe, cell, options, watch)?;
        watch.check()?;
        analysis += begin.elapsed();
        // What the paper's own method gives in the paper's 2000 epochs, for the two main networks of a full run.
        let first_order = !options.quick && recipe.dataset.dt == DT;
        let adam_alone = first_order
            .then(|| workshop.adam_alone(recipe, &made.data))
            .transpose()?;
        networks.push(Network {
            adam_alone,
            ..network
        });
        maps.push(made.map);
    }
    findings::choose(&mut networks);
    for ((network, map), recipe) in networks.iter().zip(&maps).zip(&recipes) {
        if network.shipped {
            map.save(
                &options
                    .dir
                    .join(format!("pretrained/{}.safetensors", recipe.name())),
            )?;
        }
    }
    watch.tell("figures");
    let begin = Instant::now();
    let figures = drawing::draw(options, &recipes, &cells, &networks, &maps, watch)?;
    watch.tell("raster diagrams, borders and basins");
    let shipped = |model: &str| {
        networks
            .iter()
            .position(|n| n.shipped && n.system == model && n.dt == DT)
            .map(|k| &maps[k])
    };
    let rasters = match MODELS.map(shipped) {
        [Some(a), Some(b)] => rasters::draw(options, [a, b], watch)?,
        _ => Rasters::default(),
    };
    analysis += begin.elapsed();
    let sum = |f: &dyn Fn(&Network) -> f64| networks.iter().map(f).sum::<f64>();
    let cost = Cost {
        data: sum(&|n| n.metrics.seconds_data),
        training: sum(&|n| n.metrics.seconds + n.adam_alone.as_ref().map_or(0.0, |m| m.seconds)),
        analysis: analysis.as_secs_f64(),
        total: start.elapsed().as_secs_f64(),
    };
    let variables: Vec<String> = models::find(MODELS[0])?
        .spec()
        .variables
        .iter()
        .map(|q| q.name.clone())
        .collect();
    write_json(
        &options.dir.join("summary.json"),
        &findings::summary(&networks, &variables),
    )?;
    let outcome = Findings {
        options: options.clone(),
        recipes,
        cells,
        networks,
        cost,
        figures,
        rasters,
    };
    let (heading, sections) = answers::report(&outcome)?;
    store::save(&options.dir, &heading, &sections)?;
    store::draw(&options.dir)?;
    write_atomic(&options.dir.join("README.txt"), |w| {
        w.write_all(FOLDER.as_bytes())
    })?;
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

fn cell(model: &str, options: &Options, watch: &Watcher) -> Result<BetaCell> {
    let system = Watched::shared(models::find(model)?, watch);
    let points = fixed_points::of_equations(&*system, &fixed_points::grid(), options.starts())?;
    let borders = fixed_points::borders(&*system, &points)?;
    Ok(BetaCell {
        system: model.into(),
        borders,
        points,
        rhythms: rhythms(&*system, DT)?,
    })
}

/// Rhythms on the attractor that the default start leads to.
fn rhythms(system: &dyn DynamicalSystem, dt: f64) -> Result<Vec<(f64, oscillations::Rhythm)>> {
    let times = TimeGrid::new(TRANSIENT, dt, (60.0 / dt).round() as usize + 1)?;
    let one = |v_s: &f64| {
        // A map that runs away has no rhythm; that is an answer, not a failure.
        let v = oscillations::trajectory(system, None, *v_s, times)
            .map(|t| t.variable(0).collect::<Vec<_>>())
            .unwrap_or_default();
        Ok((*v_s, oscillations::rhythm(v, dt)?))
    };
    RHYTHMS.iter().map(one).collect()
}

fn analyze(
    made: &networks::TrainedNetwork,
    recipe: &Recipe,
    cell: &BetaCell,
    options: &Options,
    watch: &Watcher,
) -> Result<Network> {
    let (map, data) = (&Watched::new(&made.map, watch), &made.data);
    let comparisons = fixed_points::of_map(map, &cell.points, data, options.starts())?;
    let borders = fixed_points::borders(map, comparisons.iter().map(|c| &c.point))?;
    let equations = Watched::shared(models::find(&recipe.dataset.model)?, watch);
    let pairs = &data.new_chunks;
    let starts: Vec<(Vec<f64>, f64)> = (0..RUNS.min(pairs.len()))
        .map(|k| k * pairs.len() / RUNS)
        .map(|k| (pairs.u(k).to_vec(), pairs.p(k)[0]))
        .collect();
    let times = TimeGrid::until(RUN_LENGTH, recipe.dataset.dt)?;
    let together = oscillations::time_together(
        &*equations,
        map,
        &data.normalizer.state_sd,
        &starts,
        APART,
        times,
    )?;
    Ok(Network {
        system: recipe.dataset.model.clone(),
        dt: recipe.dataset.dt,
        seed: recipe.seed,
        weights: [
            made.map.networks().first().map_or(0, |n| n.weight_count()),
            made.map.weight_count(),
        ],
        metrics: made.metrics.clone(),
        adam_alone: None,
        comparisons,
        borders,
        rhythms: rhythms(map, recipe.dataset.dt)?,
        together,
        shipped: false,
    })
}

#[cfg(test)]
mod tests {
    use ionoscope_dynamics::watch::StopFlag;

    use super::*;

    #[test]
    fn the_full_run_makes_four_networks_a_seed_and_the_quick_one_two() {
        let options = |quick| Options {
            quick,
            seeds: 3,
            seed: 5,
            resume: false,
            dir: "out".into(),
        };
        let full = options(false).recipes();
        assert_eq!(full.len(), 12);
        assert_eq!(full[3].name(), "sherman-1988-dt0.001");
        assert_eq!(full[11].file_stem(), "sherman-1988-dt0.001-seed7");
        assert_eq!(options(true).recipes().len(), 6);
        assert_eq!(full[0].dataset.transient, TRANSIENT);
    }

    /// Networks far too small to be any good: whatever they do, there is a report, and it is the same when resumed.
    #[test]
    fn a_tiny_run_writes_its_report_and_resumes() {
        let dir = std::env::temp_dir().join(format!("ionoscope-reproduce-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let recipes = || {
            let options = Options {
                quick: true,
                seeds: 1,
                seed: 1,
                resume: false,
                dir: dir.clone(),
            };
            let tiny = |mut r: Recipe| {
                r.dataset = DatasetConfig {
                    chunks: 12,
                    pairs_per_chunk: 20,
                    transient: 5.0,
                    new_chunks: 2,
                    rtol: 1e-8,
                    atol: 1e-10,
                    ..r.dataset
                };
                r.train.hidden = 6;
                r.train.second_order.iterations = 4;
                r
            };
            options.recipes().into_iter().map(tiny).collect::<Vec<_>>()
        };
        let run = |resume| {
            let options = Options {
                quick: true,
                seeds: 1,
                seed: 1,
                resume,
                dir: dir.clone(),
            };
            run_recipes(&options, recipes(), &Watcher::default()).unwrap();
            std::fs::read_to_string(dir.join("summary.json")).unwrap()
        };
        let first = run(false);
        let summary: serde_json::Value = serde_json::from_str(&first).unwrap();
        assert_eq!(summary["networks"].as_array().unwrap().len(), 2);
        assert_eq!(
            summary["networks"][1]["fixed_points"]
                .as_array()
                .unwrap()
                .len(),
            41
        );
        for file in [
            "report.html",
            "figures/figure-12.svg",
            "tables/networks-table.csv",
            "pretrained/sherman-1988-dt0.005.safetensors",
        ] {
            assert!(dir.join(file).is_file(), "{file}");
        }
        assert_eq!(run(true), first);
        let page = std::fs::read_to_string(dir.join("report.html")).unwrap();
        store::draw(&dir).unwrap();
        assert_eq!(
            std::fs::read_to_string(dir.join("report.html")).unwrap(),
            page
        );
        // A raised flag ends the training, and the folder can be gone on with.
        std::fs::remove_dir_all(&dir).unwrap();
        let options = Options {
            quick: true,
            seeds: 1,
            seed: 1,
            resume: true,
            dir: dir.clone(),
        };
        let raised = StopFlag::default();
        raised.raise();
        let stopped = run_recipes(&options, recipes(), &Watcher::new(raised)).unwrap_err();
        assert!(
            !stopped.is_input() && stopped.to_string().contains("--resume"),
            "{stopped}"
        );
        let without_time = |text: &str| {
            let mut v: serde_json::Value = serde_json::from_str(text).unwrap();
            v["networks"]
                .as_array_mut()
                .unwrap()
                .iter_mut()
                .for_each(|n| n["seconds"] = 0.into());
            v
        };
        assert_eq!(without_time(&run(true)), without_time(&first));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
