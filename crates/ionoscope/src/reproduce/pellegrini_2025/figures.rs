//! The figures: traces, errors as boxes, learning curves, the worst traces.

use ionoscope_analysis::metrics::Summary;

use super::{COMES_ALONG, Findings, Judged, OURS};
use crate::report::figure::{Axis, Figure, Panel, Role, Series};

/// Variables in a figure of traces.
const SHOWN: usize = 4;
/// More names than these do not fit beside an axis.
const MOST_NAMES: usize = 12;

/// How the networks look, in order.
const ROLES: [Role; 3] = [Role::Second, Role::Network, Role::Third];

/// The membrane potential first, then the others in order.
fn shown(o: &Findings) -> Vec<usize> {
    let spec = &o.data.spec;
    let v = spec.membrane_potential_index().unwrap_or(0);
    std::iter::once(v)
        .chain((0..spec.variables.len()).filter(|i| *i != v))
        .take(SHOWN)
        .collect()
}

fn times(o: &Findings) -> Vec<f64> {
    (0..o.cell.points)
        .map(|t| o.cell.t_end * t as f64 / o.cell.points as f64)
        .collect()
}

/// The network that the figures of single traces are of: the one that comes along, else ours.
pub(super) fn best(o: &Findings) -> &Judged {
    let named = |name: &str| o.networks.iter().find(|j| j.made.name == name);
    named(COMES_ALONG)
        .or_else(|| named(OURS))
        .unwrap_or(&o.networks[0])
}

/// One panel: a variable of a sample of the first draw, by the equations and by a network.
fn panel(
    o: &Findings,
    judged: &Judged,
    sample: usize,
    variable: usize,
    title: &str,
    legend: bool,
) -> Panel {
    let (q, points) = (&o.data.spec.variables[variable], o.cell.points);
    let row = |x: &[f64]| x[variable * points..(variable + 1) * points].to_vec();
    let reference: Vec<f64> = o.draws[0]
        .test
        .x(sample)
        .iter()
        .map(|v| f64::from(*v))
        .collect();
    let name = |text: &str| {
        if legend {
            text.to_owned()
        } else {
            String::new()
        }
    };
    let (mut x, mut y) = (times(o), row(&reference));
    x.truncate(y.len());
    y.truncate(x.len());
    Panel::new(
        title,
        Axis::new("t", &o.data.spec.time_unit),
        Axis::new(&q.name, &q.unit),
    )
    .with_height(90.0)
    .with(Series::line(
        &name("equations"),
        Role::Equations,
        x.clone(),
        y,
    ))
    .with(Series::line(
        &name("network"),
        Role::Network,
        x,
        row(&judged.evaluations[0].predicted[sample]),
    ))
}

/// The stimulus of a sample in words, with its error.
fn describe(o: &Findings, judged: &Judged, sample: usize) -> String {
    let input = o.draws[0].test.input(sample);
    let dt = o.cell.t_end / o.cell.points as f64;
    let level = f64::from(input[0]);
    let duration = if level == 0.0 {
        0.0
    } else {
        input.iter().map(|v| f64::from(*v)).sum::<f64>() / level * dt
    };
    let class = &o.draws[0].classes[1][o.draws[0].test.class[sample] as usize];
    format!(
        "{class}: {level:.3} for {duration:.1}, error {:.1} %",
        100.0 * judged.evaluations[0].samples[sample].error()
    )
}

/// Three samples of the first draw: of middling error, near the 95th percentile, and the worst.
pub(super) fn traces(o: &Findings) -> Figure {
    let judged = best(o);
    let order = judged.evaluations[0].worst(usize::MAX);
    let picked = [order[order.len() / 2], order[order.len() / 20], order[0]];
    let caption = format!(
        "Of middling error, at the 95th percentile, and the worst of the first draw, by the equations and by the network '{}'.",
        judged.made.name
    );
    let mut figure = Figure::new(
        &format!("{}-traces", o.cell.name),
        &format!("{}: traces", o.cell.title),
        &caption,
    )
    .with_columns(3)
    .sharing_x();
    for (row, variable) in shown(o).into_iter().enumerate() {
        for (column, sample) in picked.into_iter().enumerate() {
            let title = if row == 0 {
                describe(o, judged, sample)
            } else {
                String::new()
            };
            figure = figure.with(panel(
                o,
                judged,
                sample,
                variable,
                &title,
                row == 0 && column == 0,
            ));
        }
    }
    figure
}

/// The ten worst samples of the first draw.
pub(super) fn worst(o: &Findings) -> Figure {
    let judged = best(o);
    let caption = format!(
        "The ten samples of the first draw with the largest errors of the network '{}'.",
        judged.made.name
    );
    let mut figure = Figure::new(
        &format!("{}-worst", o.cell.name),
        &format!("{}: the ten worst", o.cell.title),
        &caption,
    )
    .with_columns(2)
    .sharing_x();
    for (k, sample) in judged.evaluations[0].worst(10).into_iter().enumerate() {
        figure = figure.with(panel(
            o,
            judged,
            sample,
            shown(o)[0],
            &describe(o, judged, sample),
            k == 0,
        ));
    }
    figure
}

/// The five numbers of a box, in percent.
fn five(values: impl Iterator<Item = f64>) -> [f64; 5] {
    Summary::of(values).map_or([f64::NAN; 5], |s| {
        [s.p05, s.p25, s.median, s.p75, s.p95].map(|v| 100.0 * v)
    })
}

/// Errors of all networks on all draws, by variable and by class.
pub(super) fn boxes(o: &Findings) -> Figure {
    let caption = "Normalized errors of all test samples: the middle half as a box with the median, whiskers to the 5th and the 95th percentile.";
    let mut figure = Figure::new(
        &format!("{}-boxes", o.cell.name),
        &format!("{}: errors", o.cell.title),
        caption,
    );
    let names: Vec<String> = o
        .data
        .spec
        .variables
        .iter()
        .map(|q| q.name.clone())
        .collect();
    let axis = if names.len() <= MOST_NAMES {
        Axis::new("variable", "").with_names(names.clone())
    } else {
        Axis::new("variable, in the order of the model", "")
            .with_range(0.0, names.len() as f64 + 1.0)
    };
    let classes = o.draws[0].classes[1].clone();
    let width = 0.8 / o.networks.len() as f64;
    let place = |group: usize, network: usize| {
        group as f64 + 1.0 + width * (network as f64 - (o.networks.len() - 1) as f64 / 2.0)
    };
    let mut by_variable =
        Panel::new("", axis, Axis::new("normalized error", "%").log()).with_height(180.0);
    let mut by_class = Panel::new(
        "",
        Axis::new("class of stimulus", "").with_names(classes.clone()),
        Axis::new("normalized error", "%").log(),
    )
    .with_height(180.0);
    for (n, judged) in o.networks.iter().enumerate() {
        let samples = || judged.evaluations.iter().flat_map(|e| &e.samples);
        let fives =
            |groups: usize, of: &dyn Fn(usize) -> [f64; 5]| (0..groups).map(of).collect::<Vec<_>>();
        let at = |groups: usize| (0..groups).map(|g| place(g, n)).collect::<Vec<_>>();
        let role = ROLES[n % ROLES.len()];
        let variables = fives(names.len(), &|i| five(samples().map(|s| s.normalized[i])));
        let of_class = fives(classes.len(), &|c| {
            five(samples().filter(|s| s.class == c).map(|s| s.error()))
        });
        by_variable = by_variable.with(Series::boxes(
            &judged.made.name,
            role,
            &at(names.len()),
            0.8 * width,
            &variables,
        ));
        by_class = by_class.with(Series::boxes(
            "",
            role,
            &at(classes.len()),
            0.8 * width,
            &of_class,
        ));
    }
    figure = figure.with(by_variable).with(by_class);
    figure
}

/// Errors over the samples seen in training.
pub(super) fn learning(o: &Findings) -> Figure {
    let caption = "Mean error of the loss over a training; dots: on the validation set. A jump in ours is the change from the coarse grid to the whole one.";
    let mut panel = Panel::new(
        "",
        Axis::new("samples seen", "thousands").log(),
        Axis::new("error", "%").log(),
    )
    .with_height(180.0);
    for (n, judged) in o
        .networks
        .iter()
        .enumerate()
        .filter(|(_, j)| !j.made.curve.is_empty())
    {
        let column = |k: usize, factor: f64| {
            judged
                .made
                .curve
                .iter()
                .map(|row| factor * row[k])
                .collect::<Vec<f64>>()
        };
        let role = ROLES[n % ROLES.len()];
        panel = panel
            .with(Series::line(
                &judged.made.name,
                role,
                column(0, 1e-3),
                column(1, 100.0),
            ))
            .with(Series::points("", role, column(0, 1e-3), column(2, 100.0)));
    }
    Figure::new(
        &format!("{}-learning", o.cell.name),
        &format!("{}: learning", o.cell.title),
        caption,
    )
    .with(panel)
}
