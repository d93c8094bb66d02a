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
    findings::{Cell, Network},
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

/// Draws everything.
///
/// # Errors
/// A simulation or an analysis that fails, data that cannot be read again.
pub(crate) fn draw(
    options: &Options,
    recipes: &[Recipe],
    cells: &[Cell],
    networks: &[Network],
    maps: &[NeuralMap],
    watch: &Watcher,
) -> Result<Figures> {
    let shipped = |model: &str, dt: f64| {
        networks
            .iter()
            .position(|n| n.shipped && n.system == model && n.dt == dt)
    };
    let (mut motion, mut mapped, mut attractors) = (Vec::new(), Vec::new(), Vec::new());
    let mut along = Vec::new();
    let mut data = Vec::new();
    for (k, cell) in cells.iter().enumerate() {
        let (equations, name) = (
            Watched::shared(models::find(&cell.system)?, watch),
            answers::FORMS[k],
        );
        let at = shipped(&cell.system, DT)
            .ok_or_else(|| Error::Failed(format!("no network for {}", cell.system)))?;
        let pair = |v_s: f64| both(&*equations, &maps[at], v_s);
        let (bursting, spiking) = (pair(-36.0)?, pair(-33.0)?);
        let columns = |with_map: bool| -> Vec<(&str, Vec<figures::Trace>)> {
            [
                ("bursting, V_{S} = −36", &bursting),
                ("spiking, V_{S} = −33", &spiking),
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
        };
        let [number, with] = [[1, 7], [4, 8]][k];
        let caption =
            format!("Equations, {name} model, on the attractor. V and n are fast, S is slow.");
        motion.push(figures::time_series(
            &format!("figure-{number}"),
            &format!("Figure {number}"),
            &caption,
            &columns(false),
        ));
        let caption = format!(
            "The network beside the equations, {name} model. Both start at the same state on the attractor and are then left to themselves for \
             15 s: look at the shape and the number of spikes, and at how late they drift apart. In the paper the network is shown alone."
        );
        mapped.push(figures::time_series(
            &format!("figure-{with}"),
            &format!("Figure {with}"),
            &caption,
            &columns(true),
        ));
        if let Some(f) = cell
            .points
            .iter()
            .find(|p| p.v_s == -36.0)
            .and_then(|p| p.found.as_ref())
        {
            let t = &bursting.0;
            let d = (0..t.len()).map(|j| distance(t.state(j), &f.x)).collect();
            along.push((
                name,
                Role::Equations,
                (0..t.len()).map(|j| j as f64 * DT).collect(),
                d,
            ));
        }
        data.push((
            name,
            Dataset::load(
                &options
                    .dir
                    .join(format!("data/{}.safetensors", recipes[at].file_stem())),
            )?,
        ));
        if k == 0 {
            attractors.push(bursting);
        }
    }
    motion.extend(mapped);
    if let [(of_equations, of_map)] = &attractors[..] {
        let mut panels = vec![(
            "equations",
            figures::Trace {
                name: "",
                role: Role::Equations,
                trajectory: of_equations,
            },
        )];
        panels.extend(of_map.iter().map(|t| {
            (
                "network",
                figures::Trace {
                    name: "",
                    role: Role::Orbit,
                    trajectory: t,
                },
            )
        }));
        let caption = "The bursting attractor of the original model at V_{S} = −36 in the space of its states: equations and network.";
        motion.push(figures::attractors(
            "figure-2", "Figure 2", caption, &panels,
        ));
    }
    let sets: Vec<(&str, &Dataset)> = data.iter().map(|(n, d)| (*n, d)).collect();
    let caption = "How near the data come to the fixed point, which is in none of them. Above: along a bursting trajectory, and as a \
                   histogram of all data. Below: all data of each model against V_{S}. Distances are Euclidean in the raw units mV, 1, 1, in \
                   which V dominates.";
    let data = figures::distances("figure-6", "Figure 6", caption, &along, &sets);

    let of = |model: &str| {
        networks
            .iter()
            .filter(|n| n.system == model && n.dt == DT)
            .collect::<Vec<_>>()
    };
    let of_models: Vec<(&str, Vec<&Network>)> = MODELS
        .iter()
        .zip(answers::FORMS)
        .map(|(m, f)| (f, of(m)))
        .collect();
    let caption = "Distance between the fixed points of equations and network (dt = 0.005) against V_{S}, for every seed. A gap: none found. \
                   Below, what makes the right side hard: how far the fixed point lies from the nearest data at this V_{S}, in standard \
                   deviations of the data.";
    let distance = figures::fixed_point_distances("figure-10", "Figure 10", caption, &of_models);

    let whole = [-40.0, -30.0];
    let branch = |cell: &Cell, range: [f64; 2]| -> Result<figures::Branch> {
        let points = fixed_points::branch(
            &*Watched::shared(models::find(&cell.system)?, watch),
            &cell.points,
            range,
            801,
        )?;
        Ok(figures::Branch {
            name: "equations".into(),
            role: Role::Equations,
            points,
        })
    };
    let branch_of =
        |at: usize, name: &str, role: Role, range: [f64; 2]| -> Result<figures::Branch> {
            let points = fixed_points::branch(
                &maps[at],
                networks[at].comparisons.iter().map(|c| &c.point),
                range,
                801,
            )?;
            Ok(figures::Branch {
                name: name.into(),
                role,
                points,
            })
        };
    let mut real = vec![branch(&cells[0], whole)?];
    for (dt, role) in [DT, SMALLER_DT[0], SMALLER_DT[1]].into_iter().zip([
        Role::Network,
        Role::Second,
        Role::Third,
    ]) {
        if let Some(at) = shipped(MODELS[0], dt) {
            real.push(branch_of(at, &format!("network, dt = {dt}"), role, whole)?);
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
    if let Some(at) = shipped(MODELS[1], DT) {
        let near = match cells[1].borders[..] {
            [a, b] => [a - 0.8, b + 0.8],
            _ => whole,
        };
        let both = |range| {
            Ok::<_, Error>([
                branch(&cells[1], range)?,
                branch_of(at, "network, dt = 0.005", Role::Network, range)?,
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
    let caption = "Largest relative error of the eigenvalues against V_{S} (dt = 0.005), for every seed. Peaks of the modified model stand where \
                   two eigenvalues meet.";
    eigenvalues.push(figures::eigenvalue_errors(
        "eigenvalue-errors",
        "Errors of the eigenvalues",
        caption,
        &of_models,
    ));
    let trained: Vec<&Network> = networks.iter().filter(|n| n.shipped).collect();
    let caption = "Mean squared error of the increments on the training data, in units of the increment's variance, for each sub-network.";
    let training = figures::training("training", "Training", caption, &trained, &["V", "n", "S"]);
    Ok(Figures {
        motion,
        data,
        distance,
        eigenvalues,
        training,
    })
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
