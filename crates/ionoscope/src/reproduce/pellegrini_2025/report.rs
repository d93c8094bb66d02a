//! The report: what was found, as sections and as numbers.

use serde_json::{Value, json};

use super::{DRAWS, Findings, Judged, Options, SAMPLES, cells::Numbers, figures};
use crate::{
    evaluation::Evaluation,
    provenance,
    report::{
        html::Heading,
        section::{Fact, Part, Section},
        table::{Cell, Column, Format, Table, number},
    },
};

/// Mean and standard deviation (of a sample) over the draws.
#[derive(Clone, Copy)]
struct Spread {
    mean: f64,
    sd: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let square = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        Spread {
            mean,
            sd: if n > 1.0 {
                (square / (n - 1.0)).sqrt()
            } else {
                0.0
            },
        }
    }
}

/// The numbers of one network.
struct Scores {
    normalized: Spread,
    /// In the published form, of a network that is scaled time by time.
    published: Option<Spread>,
    potential: Spread,
    /// Where the model says what a spike is.
    miscounted: Option<Spread>,
}

fn scores(o: &Findings, judged: &Judged) -> Scores {
    let spec = &o.data.spec;
    let v = spec.membrane_potential_index().unwrap_or(0);
    let over = |of: &dyn Fn(&Evaluation) -> f64| {
        Spread::of(&judged.evaluations.iter().map(of).collect::<Vec<_>>())
    };
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
    Scores {
        normalized: over(&|e| e.error()),
        published: judged
            .made
            .fno
            .scaling
            .per_point
            .is_some()
            .then(|| over(&|e| mean(e.samples.iter().map(|s| s.published).collect()))),
        potential: over(&|e| mean(e.stimulated().map(|s| s.relative[v].l2).collect())),
        miscounted: spec.spike_threshold.map(|_| {
            over(&|e| {
                mean(
                    e.samples
                        .iter()
                        .map(|s| f64::from(u8::from(s.miscounted())))
                        .collect(),
                )
            })
        }),
    }
}

/// The numbers of a cell.
pub(super) fn summary(o: &Findings) -> Value {
    let network = |judged: &Judged| {
        let s = scores(o, judged);
        let spread = |s: Spread| json!({"mean": s.mean, "sd": s.sd});
        json!({
            "name": judged.made.name,
            "about": judged.made.about,
            "weights": judged.made.fno.weights.len(),
            "error": spread(s.normalized),
            "error_in_the_published_form": s.published.map(spread),
            "potential_l2": spread(s.potential),
            "wrong_number_of_spikes": s.miscounted.map(spread),
            "seconds_of_training": judged.made.seconds,
            "seconds_of_a_draw": judged.inference,
            "draws": judged.evaluations.iter().zip(&o.draws).map(|(e, d)| e.document(&d.spec, &d.classes[1])).collect::<Vec<_>>(),
        })
    };
    json!({
        "cell": o.cell.name,
        "model": o.cell.model,
        "samples_of_a_draw": SAMPLES,
        "seconds_of_a_draw_by_the_equations": o.solver,
        "networks": o.networks.iter().map(network).collect::<Vec<_>>(),
    })
}

fn percent(s: Spread) -> String {
    let text = |v: f64| number(100.0 * v, Format::Significant(2));
    format!("{} ± {}", text(s.mean), text(s.sd))
}

/// Seconds for people.
fn time(seconds: f64) -> String {
    match seconds {
        s if s < 100.0 => format!("{s:.0} s"),
        s if s < 6000.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// Heading and sections.
pub(super) fn report(
    options: &Options,
    outcomes: &[Findings],
    seconds: f64,
) -> (Heading, Vec<Section>) {
    let quick = if options.quick {
        " A quick run: trainings of minutes, for a first look."
    } else {
        ""
    };
    let heading = Heading {
        title: "From a stimulus to all variables of a cell: Fourier neural operators".into(),
        subtitle: format!(
            "Pellegrini, Ghiotto, Centofanti, Pavarino (2025), arXiv 2505.14039: data, networks and errors, with ours beside the paper's.{quick}"
        ),
        footer: vec![
            format!(
                "TrainedNetwork by ionoscope {} on {} in {}.",
                provenance::version(),
                provenance::machine(),
                time(seconds)
            ),
            format!("Command: `{}`", provenance::command()),
        ],
    };
    let mut sections = vec![in_short(options, outcomes)];
    sections.extend(outcomes.iter().map(|o| section(options, o)));
    sections.push(cost(outcomes));
    sections.push(definitions());
    (heading, sections)
}

fn in_short(options: &Options, outcomes: &[Findings]) -> Section {
    let mut answer = Section::new("summary", "In short").text(
        "A network learns the operator from a stimulus over time to all variables of a cell over time, from simulated responses to random steps of \
         current. Networks are chosen by their errors on a validation set and judged on test sets that are drawn anew.",
    );
    let mut facts = Vec::new();
    for o in outcomes {
        let judged = figures::best(o);
        facts.push(Fact {
            value: format!("{} %", percent(scores(o, judged).normalized)),
            text: format!(
                "normalized error, {}, network '{}' ({} weights; published: {} %)",
                o.cell.title,
                judged.made.name,
                judged.made.fno.weights.len(),
                number(100.0 * o.cell.published.normalized, Format::Significant(2))
            ),
        });
    }
    answer = answer
        .with(Part::Facts(facts))
        .with(Part::Command(provenance::command()));
    if options.quick {
        answer = answer.with(Part::Note(
            "This was a quick run. The goals are meant for full trainings.".into(),
        ));
    }
    answer
}

fn section(options: &Options, o: &Findings) -> Section {
    let name = o.cell.name;
    let columns = vec![
        Column::text("network"),
        Column::text("trained on"),
        Column::number("weights", "", Format::Shortest),
        Column::text("normalized error (%)"),
        Column::text("in the published form (%)"),
        Column::text("V, relative L2 (%)"),
        Column::text("wrong number of spikes (%)"),
        Column::text("training"),
    ];
    let caption = format!(
        "Errors on {DRAWS} test sets of {SAMPLES}: mean and standard deviation over the sets."
    );
    let mut table = Table::new(&format!("{name}-errors"), &caption, columns);
    for judged in &o.networks {
        let s = scores(o, judged);
        table.push(vec![
            judged.made.name.as_str().into(),
            judged.made.about.as_str().into(),
            judged.made.fno.weights.len().into(),
            percent(s.normalized).into(),
            s.published.map(percent).into(),
            percent(s.potential).into(),
            s.miscounted.map(percent).into(),
            judged.made.seconds.map(time).into(),
        ]);
    }
    let fixed = |title: &str, n: &Numbers| -> Vec<Cell> {
        let text = |v: f64| number(100.0 * v, Format::Significant(2));
        vec![
            title.into(),
            n.source.into(),
            o.cell.paper.weights.into(),
            text(n.normalized).into(),
            n.published.map(text).into(),
            n.potential.map(text).into(),
            n.miscounted.map(text).into(),
            Cell::Empty(()),
        ]
    };
    table.push(fixed("published", &o.cell.published));
    if options.free {
        let (paper, error) = &o.cell.free;
        let mut row = vec![Cell::Empty(()); 8];
        row[0] = "published, free".into();
        row[1] = "paper, without the floor".into();
        row[2] = paper.weights.into();
        row[4] = number(100.0 * error, Format::Significant(3)).into();
        table.push(row);
    }
    table.push(fixed("goal", &o.cell.goals));
    let mut answer = Section::new(name, o.cell.title)
        .with(Part::Table(table))
        .with(Part::Table(variables(o)));
    let best = scores(o, figures::best(o)).normalized.mean;
    if best > o.cell.goals.normalized {
        answer = answer.with(Part::Note(format!(
            "The goal of {} % is missed: {} %.",
            number(100.0 * o.cell.goals.normalized, Format::Significant(2)),
            number(100.0 * best, Format::Significant(2))
        )));
    }
    [
        figures::traces(o),
        figures::boxes(o),
        figures::learning(o),
        figures::worst(o),
    ]
    .into_iter()
    .fold(answer, |answer, figure| answer.with(Part::Figure(figure)))
}

/// Errors of every variable, in physical units, of the network that the figures are of.
fn variables(o: &Findings) -> Table {
    let judged = figures::best(o);
    let percent = |name: &str| Column::number(name, "%", Format::Significant(3));
    let columns = vec![
        Column::text("variable"),
        percent("normalized"),
        percent("L2, mean"),
        percent("L2, median"),
        percent("L2, 95 %"),
        percent("L2, worst"),
        percent("L1, mean"),
        percent("H1, mean"),
    ];
    let caption = format!(
        "Network '{}': relative errors in physical units over all stimulated samples of the {DRAWS} sets; H1 counts the derivative.",
        judged.made.name
    );
    let mut table = Table::new(&format!("{}-variables", o.cell.name), &caption, columns);
    for (i, q) in o.data.spec.variables.iter().enumerate() {
        let samples = || judged.evaluations.iter().flat_map(|e| e.stimulated());
        let of = |f: &dyn Fn(&crate::evaluation::Sample) -> f64| {
            ionoscope_analysis::metrics::Summary::of(samples().map(f))
        };
        let Some((n, l2, l1, h1)) = (|| {
            Some((
                of(&|s| s.normalized[i])?,
                of(&|s| s.relative[i].l2)?,
                of(&|s| s.relative[i].l1)?,
                of(&|s| s.relative[i].h1)?,
            ))
        })() else {
            continue;
        };
        let mut row: Vec<Cell> = vec![q.name.as_str().into()];
        row.extend(
            [
                n.mean, l2.mean, l2.median, l2.p95, l2.worst, l1.mean, h1.mean,
            ]
            .map(|v| Cell::from(100.0 * v)),
        );
        table.push(row);
    }
    if table.rows.len() > 10 {
        table.folded()
    } else {
        table
    }
}

fn cost(outcomes: &[Findings]) -> Section {
    let columns = vec![
        Column::text("cell"),
        Column::text("network"),
        Column::number("equations", "ms a trace", Format::Significant(3)),
        Column::number("network", "ms a trace", Format::Significant(3)),
        Column::number("the network is faster by", "", Format::Significant(3)),
        Column::text("traces after which its training has paid"),
    ];
    let mut table = Table::new(
        "cost",
        "Times of many traces at once, on all cores: the integrator at its default tolerances against the network.",
        columns,
    );
    for o in outcomes {
        for judged in &o.networks {
            let saved = (o.solver - judged.inference) / SAMPLES as f64;
            let even = judged.made.seconds.map(|s| {
                if saved > 0.0 {
                    number((s / saved).round(), Format::Significant(2))
                } else {
                    "never".into()
                }
            });
            table.push(vec![
                o.cell.title.into(),
                judged.made.name.as_str().into(),
                (1e3 * o.solver / SAMPLES as f64).into(),
                (1e3 * judged.inference / SAMPLES as f64).into(),
                (o.solver / judged.inference).into(),
                even.into(),
            ]);
        }
    }
    Section::new("cost", "What it costs, and when it pays")
        .text(
            "The equations are cheap to solve here, many at once in the lanes of the processor, so a network that only gives the same traces pays late \
             or never. It pays where what is wanted is the network: derivatives by the stimulus, or a model inside another one.",
        )
        .with(Part::Table(table))
}

fn definitions() -> Section {
    Section::new("definitions", "Definitions")
        .text(
            "**Normalized error**: of a sample and variable the root mean square of (p − x)/s over that of (x − mean)/s, with mean(t) and s(t) of the \
             test set, s at least 5 % of the variable's standard deviation over all times; averaged over variables, then samples. The paper's own form \
             adds 10^{−5} in place of the floor, and can be asked only of networks that are normalized at each time.",
        )
        .text("**Relative L2** of V: in physical units, samples without a stimulus left out. **Wrong number of spikes**: upward crossings of the model's threshold.")
        .text(
            "**Ours**: no more weights than the paper's network. A long training on a coarse grid, on more samples than the paper's, then a short one on the whole grid; \
             steps along orthogonalized gradients; the input of a cell of the grid is the mean current over it; the start is exact by construction. \
             **The paper's**: its size, activation, learning rate, weight decay, schedule, loss and normalization at each time (its learning curve is of its own form of the error), by our code, for fewer epochs than the paper's 1000 where \
             the table says so.",
        )
}
