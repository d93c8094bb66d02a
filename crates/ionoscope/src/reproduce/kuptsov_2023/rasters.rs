//! Figures 3, 5 and 9: what equations and network do over V_S, and which starts come to rest.

use ionoscope_analysis::{
    basins::{AttractorKind, BasinOptions, Starts, basins},
    biomarkers::{BiomarkerOptions, ObserveOptions, Regime, observe},
    diagram::{Inherit, Sweep, SweepOptions, raster, sweep},
    fixed_points::{FixedPointOptions, fixed_points},
};
use ionoscope_dynamics::{
    models,
    protocol::Protocol,
    system::{DynamicalSystem, Input},
    trajectory::SolveOptions,
    watch::Watcher,
    watched::Watched,
};

use super::{DT, MODELS, Options, TRANSIENT, fixed_points::CONTROL};
use crate::{
    Result,
    report::{
        figure::{Axis, Figure, Panel, Role, Series},
        shade::Shade,
    },
};

/// V_S (mV) from which the two branches of the modified model are followed both ways.
const MIDDLE: f64 = -36.0;
/// Time shown of a column (s); twice as much is integrated.
const SHOWN: f64 = 15.0;
/// Cells of a drawn column.
const ROWS: usize = 200;
/// Beside the fixed point: so far, as a share of the variables' ranges.
const BESIDE: f64 = 1e-4;
/// Where random starts lie, as in the paper.
const BOX: [[f64; 2]; 3] = [[-70.0, -10.0], [0.0, 0.12], [0.17, 0.2]];
/// The border between bursting and spiking is located to this (mV), between these values of V_S.
const LOCATED: f64 = 0.002;
const BORDER_WITHIN: [f64; 2] = [-36.5, -32.0];

/// What is found over V_S.
#[derive(Default)]
pub(crate) struct Rasters {
    /// Figures 3, 5 and 9.
    pub figures: Vec<Figure>,
    /// Border between bursting and spiking, of the two models: equations and network.
    pub borders: [[Option<f64>; 2]; 2],
    /// Largest share of random starts that come to rest in the modified model: equations and network.
    pub largest_share: [Option<f64>; 2],
}

/// The figures, for the maps of the two models in their order.
///
/// # Errors
/// A model that cannot be found; being stopped. What a network cannot do leaves a gap.
pub(crate) fn draw(
    options: &Options,
    maps: [&dyn DynamicalSystem; 2],
    watch: &Watcher,
) -> Result<Rasters> {
    let equations = [models::find(MODELS[0])?, models::find(MODELS[1])?]
        .map(|system| Watched::shared(system, watch));
    let maps = maps.map(|map| Watched::new(map, watch));
    let maps: [&dyn DynamicalSystem; 2] = maps.each_ref().map(|map| map as _);
    let n = if options.quick { 40 } else { 400 };
    let values: Vec<f64> = (0..n)
        .map(|k| -40.0 + 10.0 * k as f64 / (n - 1) as f64)
        .collect();
    let mut out = Rasters::default();

    let mut three = figure(
        "figure-3",
        "Figure 3",
        "Original model: V over time as shade, one column for each V_{S}, from the left to the right, each in line with the one before. Bursts gain spikes towards the right, until spiking sets in.",
    );
    for (name, system) in [("equations", &*equations[0]), ("network", maps[0])] {
        three = three.with(panel(
            name,
            system,
            &values,
            &system.spec().default_state(),
            Inherit::Forward,
        ));
    }
    out.figures.push(three);
    for (k, (number, name, system)) in [(5, "equations", &*equations[1]), (9, "network", maps[1])]
        .into_iter()
        .enumerate()
    {
        let caption = format!(
            "Modified model, {name}. a: the branch of oscillations, from V_{{S}} = −36 both ways, started far from the fixed point; b: the same, started beside it: \
             where the fixed point is stable the cell stays at rest. c: largest real part of the fixed point's eigenvalues, as log_{{10}}(Re μ + 1) where it is positive; d: \
             the share of random starts that come to rest."
        );
        let mut figure = figure(
            &format!("figure-{number}"),
            &format!("Figure {number}"),
            &caption,
        );
        figure = figure.with(panel(
            "far from the fixed point",
            system,
            &values,
            &system.spec().default_state(),
            Inherit::Outwards(MIDDLE),
        ));
        let beside = beside(system).unwrap_or_else(|| system.spec().default_state());
        figure = figure.with(panel(
            "beside the fixed point",
            system,
            &values,
            &beside,
            Inherit::Outwards(MIDDLE),
        ));
        let (growth, share, largest) = rest(system, options);
        out.largest_share[k] = largest;
        out.figures.push(figure.with(growth).with(share));
    }
    for k in 0..2 {
        out.borders[k] = [border(&*equations[k]), border(maps[k])];
    }
    watch.check()?;
    Ok(out)
}

fn figure(id: &str, title: &str, caption: &str) -> Figure {
    Figure::new(id, title, caption).with_columns(2)
}

fn axis() -> Axis {
    Axis::new("V_{S}", "mV")
}

fn parameters(system: &dyn DynamicalSystem, v_s: f64) -> Option<Vec<f64>> {
    system.spec().parameters_with([(CONTROL, v_s)]).ok()
}

fn panel(
    name: &str,
    system: &dyn DynamicalSystem,
    values: &[f64],
    x0: &[f64],
    inherit: Inherit,
) -> Panel {
    let empty = || {
        Panel::new(
            name,
            axis().with_range(-40.0, -30.0),
            Axis::new("time", "s").with_range(0.0, SHOWN),
        )
        .with_height(240.0)
    };
    let Ok(control) = system.spec().parameter_index(CONTROL) else {
        return empty();
    };
    let p = system.spec().default_parameters();
    let task = Sweep {
        system,
        over: Input::Parameter(control),
        values,
        x0,
        i_stim: 0.0,
        p: &p,
    };
    let options = SweepOptions {
        inherit,
        transient: Some(TRANSIENT),
        window: Some(2.0 * SHOWN),
        dt: Some(DT),
        ..SweepOptions::default()
    };
    let Ok(columns) = sweep(task, &options, &Watcher::default()) else {
        return empty();
    };
    let first = if inherit == Inherit::Forward {
        0
    } else {
        values.iter().position(|v| *v >= MIDDLE).unwrap_or(0)
    };
    let found = raster(&columns, 0, first);
    let shade = Shade::of_columns("V", "mV", &found.values, ROWS, [-40.0, -30.0], [0.0, SHOWN]);
    empty().with_shade(shade)
}

/// A state beside the fixed point at [`MIDDLE`].
fn beside(system: &dyn DynamicalSystem) -> Option<Vec<f64>> {
    let found = fixed_points(
        system,
        0.0,
        &parameters(system, MIDDLE)?,
        &FixedPointOptions::default(),
    )
    .ok()?;
    let point = found.iter().find(|f| f.stable).or(found.first())?;
    Some(
        point
            .x
            .iter()
            .zip(&system.spec().variables)
            .map(|(x, q)| x + BESIDE * (q.range[1] - q.range[0]))
            .collect(),
    )
}

/// Panels c and d, and the largest share of starts that come to rest.
fn rest(system: &dyn DynamicalSystem, options: &Options) -> (Panel, Panel, Option<f64>) {
    let (count, starts) = if options.quick {
        (11, 500)
    } else {
        (81, 10_000)
    };
    let (mut at, mut growth, mut share) = (Vec::new(), Vec::new(), Vec::new());
    for k in 0..count {
        let v_s = -40.0 + 10.0 * f64::from(k) / f64::from(count - 1);
        let Some(p) = parameters(system, v_s) else {
            continue;
        };
        let found =
            fixed_points(system, 0.0, &p, &FixedPointOptions::default()).unwrap_or_default();
        let largest = found
            .iter()
            .map(|f| f.eigenvalues[0].re)
            .fold(f64::INFINITY, f64::min);
        // A second among the cells of a burst is enough: of 100 000 starts none ended elsewhere when it was run to the end.
        let wanted = BasinOptions {
            sample: Some(0.05),
            settle: Some(1.0),
            pilots: 32,
            ..BasinOptions::new(
                BOX.to_vec(),
                Starts::Random {
                    count: starts,
                    seed: 1,
                },
            )
        };
        let part = |kind| move |b: ionoscope_analysis::basins::Basins| b.share_of(kind).0;
        at.push(v_s);
        growth.push(if !largest.is_finite() {
            f64::NAN
        } else if largest > 0.0 {
            (largest + 1.0).log10()
        } else {
            largest
        });
        // Nothing comes to rest at an unstable point.
        let rests = largest.is_finite() && largest < 0.0;
        share.push(if rests {
            basins(system, 0.0, &p, &wanted, &Watcher::default())
                .map_or(f64::NAN, part(AttractorKind::FixedPoint))
        } else {
            0.0
        });
    }
    let largest = share
        .iter()
        .copied()
        .filter(|s| s.is_finite())
        .reduce(f64::max);
    let zero = Series::line("", Role::Guide, vec![-40.0, -30.0], vec![0.0, 0.0]);
    let growth = Panel::new("", axis(), Axis::new("Re μ, or log_{10}(Re μ + 1)", "1/s"))
        .with_height(170.0)
        .with(zero)
        .with(Series::line("", Role::Equations, at.clone(), growth));
    let share = Panel::new("", axis(), Axis::new("P_{fxp}", "1"))
        .with_height(170.0)
        .with(Series::line("", Role::Equations, at, share));
    (growth, share, largest)
}

/// Where bursting gives way to spiking, by bisection from the default start.
fn border(system: &dyn DynamicalSystem) -> Option<f64> {
    let threshold = models::find(MODELS[0]).ok()?.spec().spike_threshold?;
    let solve = SolveOptions::with_rtol(1e-8);
    let bursts = |v_s: f64| -> Option<bool> {
        let options = ObserveOptions {
            t_transient: Some(100.0),
            window: Some(100.0),
            t_end: Some(400.0),
            dt: Some(DT),
            solve: solve.clone(),
            ..ObserveOptions::new(BiomarkerOptions::at(threshold))
        };
        let seen = observe(
            system,
            0,
            &system.spec().default_state(),
            &parameters(system, v_s)?,
            &Protocol::none(),
            &options,
        )
        .ok()?;
        Some(seen.biomarkers.regime == Regime::Bursting)
    };
    let [mut low, mut high] = BORDER_WITHIN;
    if !bursts(low)? || bursts(high)? {
        return None;
    }
    while high - low > LOCATED {
        let middle = 0.5 * (low + high);
        if bursts(middle)? {
            low = middle
        } else {
            high = middle
        }
    }
    Some(0.5 * (low + high))
}
