//! The figures of a run: computes the curves that they need and hands them to [`super::figures`].

use ionoscope_analysis::compare::distance;
use ionoscope_dynamics::{
    models,
    system::DynamicalSystem,
    trajectory::{TimeGrid, Trajectory},
    watch::Watcher,
    watched::Watched,
};
use ionoscope_learn::{architectures::neural_map::NeuralMap, dataset::Dataset};

use super::{
    DT, MODELS, Options, SMALLER_DT, TRANSIENT, answers, figures,
    findings::{BetaCell, Network},
    fixed_points,
    networks::Recipe,
    oscillations,
};
use crate::{
    Error, Result,
    report::figure::{Figure, Role},
};

/// The figures, drawn from trajectories, data and branches that are not kept otherwise.
pub(crate) struct Figures {
    pub motion: Vec<Figure>,
    pub data: Figure,
    pub distance: Figure,
    pub eigenvalues: Vec<Figure>,
    pub training: Figure,
}

/// What the figures are drawn from.
struct Drawing<'a> {
    options: &'a Options,
    recipes: &'a [Recipe],
    cells: &'a [BetaCell],
    networks: &'a [Network],
    maps: &'a [NeuralMap],
    watch: &'a Watcher,
}

/// Draws everything.
///
/// # Errors
/// A simulation or an analysis that fails, data that cannot be read again.
pub(crate) fn draw(
    options: &Options,
    recipes: &[Recipe],
    cells: &[BetaCell],
    networks: &[Network],
    maps: &[NeuralMap],
    watch: &Watcher,
) -> Result<Figures> {
    let drawing = Drawing {
        options,
        recipes,
        cells,
        networks,
        maps,
        watch,
    };
    let motions = cells
        .iter()
        .enumerate()
        .map(|(k, cell)| drawing.motion(k, cell))
        .collect::<Result<Vec<_>>>()?;
    let mut motion: Vec<Figure> = Vec::new();
    motion.extend(motions.iter().map(|m| m.alone.clone()));
    motion.extend(motions.iter().map(|m| m.with_map.clone()));
    motion.extend(motions.first().map(|m| attractors(&m.bursting)));
    let of_models: Vec<(&str, Vec<&Network>)> = MODELS
        .iter()
        .zip(answers::FORMS)
        .map(|(model, form)| {
            let of = |n: &&Network| n.system == *model && n.dt == DT;
            (form, networks.iter().filter(of).collect())
        })
        .collect();
    let mut eigenvalues = drawing.eigenvalues()?;
    let caption = "Largest relative error of the eigenvalues against V_{S} (dt = 0.005), for every seed. Peaks of the modified model stand where \
                   two eigenvalues meet.";
    eigenvalues.push(figures::eigenvalue_errors(
        "eigenvalue-errors",
        "Errors of the eigenvalues",
        caption,
        &of_models,
    ));
    let caption = "Distance between the fixed points of equations and network (dt = 0.005) against V_{S}, for every seed. A gap: none found. \
                   Below, what makes the right side hard: how far the fixed point lies from the nearest data at this V_{S}, in standard \
                   deviations of the data.";
    let distance = figures::fixed_point_distances("figure-10", "Figure 10", caption, &of_models);
    let trained: Vec<&Network> = networks.iter().filter(|n| n.shipped).collect();
    let caption = "Mean squared error of the increments on the training data, in units of the increment's variance, for each sub-network.";
    let training = figures::training("training", "Training", caption, &trained, &["V", "n", "S"]);
    Ok(Figures {
        motion,
        data: distances_of_the_data(&motions),
        distance,
        eigenvalues,
        training,
    })
}

/// The motion of one model and of its network.
struct Motion {
    name: &'static str,
    /// The equations alone.
    alone: Figure,
    /// The network beside them.
    with_map: Figure,
    /// At V_S = -36, of the equations and of the network.
    bursting: (Trajectory, Option<Trajectory>),
    /// Distance to the fixed point along it, where there is one.
    along: Option<Vec<f64>>,
    data: Dataset,
}

impl Drawing<'_> {
    /// The index of the network of a model and time step that is kept.
    fn shipped(&self, model: &str, dt: f64) -> Option<usize> {
        self.networks
            .iter()
            .position(|n| n.shipped && n.system == model && n.dt == dt)
    }

    fn motion(&self, k: usize, cell: &BetaCell) -> Result<Motion> {
        let name = answers::FORMS[k];
        let equations = Watched::shared(models::find(&cell.system)?, self.watch);
        let at = self
            .shipped(&cell.system, DT)
            .ok_or_else(|| Error::Failed(format!("no network for {}", cell.system)))?;
        let pair = |v_s: f64| both(&*equations, &self.maps[at], v_s);
        let (bursting, spiking) = (pair(-36.0)?, pair(-33.0)?);
        let [number, with] = [[1, 7], [4, 8]][k];
        let figure = |number: usize, caption: &str, with_map: bool| {
            figures::time_series(
                &format!("figure-{number}"),
                &format!("Figure {number}"),
                caption,
                &columns([&bursting, &spiking], with_map),
            )
        };
        let alone =
            format!("Equations, {name} model, on the attractor. V and n are fast, S is slow.");
        let beside = format!(
            "The network beside the equations, {name} model. Both start at the same state on the attractor and are then left to themselves for \
             15 s: look at the shape and the number of spikes, and at how late they drift apart. In the paper the network is shown alone."
        );
        let (alone, with_map) = (figure(number, &alone, false), figure(with, &beside, true));
        let rest = cell.points.iter().find(|p| p.v_s == -36.0);
        let along = rest.and_then(|p| p.found.as_ref()).map(|f| {
            let t = &bursting.0;
            (0..t.len()).map(|j| distance(t.state(j), &f.x)).collect()
        });
        let file = format!("data/{}.safetensors", self.recipes[at].file_stem());
        Ok(Motion {
            name,
            alone,
            with_map,
            along,
            bursting,
            data: Dataset::load(&self.options.dir.join(file))?,
        })
    }

    /// The branch of fixed points of the equations of a cell.
    fn branch(&self, cell: &BetaCell, range: [f64; 2]) -> Result<figures::Branch> {
        let equations = Watched::shared(models::find(&cell.system)?, self.watch);
        Ok(figures::Branch {
            name: "equations".into(),
            role: Role::Equations,
            points: fixed_points::branch(&*equations, &cell.points, range, 801)?,
        })
    }

    /// That of a network.
    fn branch_of(
        &self,
        at: usize,
        name: &str,
        role: Role,
        range: [f64; 2],
    ) -> Result<figures::Branch> {
        let points = self.networks[at].comparisons.iter().map(|c| &c.point);
        Ok(figures::Branch {
            name: name.into(),
            role,
            points: fixed_points::branch(&self.maps[at], points, range, 801)?,
        })
    }

    /// The eigenvalues of the fixed points along the control parameter.
    fn eigenvalues(&self) -> Result<Vec<Figure>> {
        let (cells, whole) = (self.cells, [-40.0, -30.0]);
        let mut real = vec![self.branch(&cells[0], whole)?];
        for (dt, role) in [DT, SMALLER_DT[0], SMALLER_DT[1]].into_iter().zip([
            Role::Network,
            Role::Second,
            Role::Third,
        ]) {
            if let Some(at) = self.shipped(MODELS[0], dt) {
                real.push(self.branch_of(at, &format!("network, dt = {dt}"), role, whole)?);
            }
        }
        let caption = "The three eigenvalues of the fixed point of the original model, all real, against V_{S}: equations, and networks at each time \
                       step. The paper reports: good on the left, off on the right, better with smaller time steps.";
        let mut eigenvalues = vec![figures::real_eigenvalues(
            "figure-11",
            "Figure 11",
            caption,
            &real,
        )];
        if let Some(at) = self.shipped(MODELS[1], DT) {
            let near = match cells[1].borders[..] {
                [a, b] => [a - 0.8, b + 0.8],
                _ => whole,
            };
            let both = |range| {
                Ok::<_, Error>([
                    self.branch(&cells[1], range)?,
                    self.branch_of(at, "network, dt = 0.005", Role::Network, range)?,
                ])
            };
            let caption = "Eigenvalues of the fixed point of the modified model: real parts, imaginary parts, and the two largest real parts near \
                           the window in which the fixed point is stable. Look at the two segments with a complex pair, one at each border: there \
                           the real parts coincide.";
            eigenvalues.push(figures::complex_eigenvalues(
                "figure-12",
                "Figure 12",
                caption,
                &both(whole)?,
                &both(near)?,
                &cells[1],
            ));
        }
        Ok(eigenvalues)
    }
}

/// The traces of a bursting and of a spiking motion, of the equations and perhaps of the network.
fn columns<'a>(
    [bursting, spiking]: [&'a (Trajectory, Option<Trajectory>); 2],
    with_map: bool,
) -> Vec<(&'static str, Vec<figures::Trace<'a>>)> {
    [
        ("bursting, V_{S} = −36", bursting),
        ("spiking, V_{S} = −33", spiking),
    ]
    .into_iter()
    .map(|(heading, (of_equations, of_map))| {
        let mut traces = vec![figures::Trace {
            name: "equations",
            role: Role::Equations,
            trajectory: of_equations,
        }];
        traces.extend(of_map.iter().filter(|_| with_map).map(|t| figures::Trace {
            name: "network",
            role: Role::Network,
            trajectory: t,
        }));
        (heading, traces)
    })
    .collect()
}

/// The bursting attractor of equations and network in the space of the states.
fn attractors((of_equations, of_map): &(Trajectory, Option<Trajectory>)) -> Figure {
    let trace = |role, trajectory| figures::Trace {
        name: "",
        role,
        trajectory,
    };
    let mut panels = vec![("equations", trace(Role::Equations, of_equations))];
    panels.extend(of_map.iter().map(|t| ("network", trace(Role::Orbit, t))));
    let caption = "The bursting attractor of the original model at V_{S} = −36 in the space of its states: equations and network.";
    figures::attractors("figure-2", "Figure 2", caption, &panels)
}

/// How near the data of each model come to its fixed point.
fn distances_of_the_data(motions: &[Motion]) -> Figure {
    let along: Vec<_> = motions
        .iter()
        .filter_map(|m| {
            let along = m.along.clone()?;
            let times = (0..along.len()).map(|j| j as f64 * DT).collect();
            Some((m.name, Role::Equations, times, along))
        })
        .collect();
    let sets: Vec<(&str, &Dataset)> = motions.iter().map(|m| (m.name, &m.data)).collect();
    let caption = "How near the data come to the fixed point, which is in none of them. Above: along a bursting trajectory, and as a \
                   histogram of all data. Below: all data of each model against V_{S}. Distances are Euclidean in the raw units mV, 1, 1, in \
                   which V dominates.";
    figures::distances("figure-6", "Figure 6", caption, &along, &sets)
}

/// Fifteen seconds of the equations on their attractor, and of a map from the same state; the map may fail.
fn both(
    equations: &dyn DynamicalSystem,
    map: &NeuralMap,
    v_s: f64,
) -> Result<(Trajectory, Option<Trajectory>)> {
    let count = (15.0 / DT).round() as usize + 1;
    let a = oscillations::trajectory(equations, None, v_s, TimeGrid::new(TRANSIENT, DT, count)?)?;
    let b =
        oscillations::trajectory(map, Some(a.state(0)), v_s, TimeGrid::new(0.0, DT, count)?).ok();
    Ok((a, b))
}
