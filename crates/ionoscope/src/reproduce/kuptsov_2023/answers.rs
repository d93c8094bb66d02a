//! The report: sections made of what was found.

use super::{
    DT, Findings, MODELS,
    findings::{Network, Side, median},
};
use crate::{
    Result, provenance,
    report::{
        html::Heading,
        section::{Fact, Part, Section},
        table::{Cell, Column, Format, Table, number},
    },
};

mod tables;

/// The two forms of the model, in the order of [`MODELS`].
pub const FORMS: [&str; 2] = ["original", "modified"];

/// A number in a sentence, with so many significant digits.
fn say(v: f64, digits: usize) -> String {
    if v.is_infinite() {
        "not found everywhere".into()
    } else {
        number(v, Format::Significant(digits))
    }
}

/// Heading and sections.
///
/// # Errors
/// None today.
pub fn report(o: &Findings) -> Result<(Heading, Vec<Section>)> {
    let quick = if o.options.quick {
        " A quick run: two networks, fewer data, fewer steps than the full one."
    } else {
        ""
    };
    let heading = Heading {
        title: "A neural map of the pancreatic beta-cell finds the fixed point that it was never shown".into(),
        subtitle: format!(
            "Kuptsov, Stankevich, Bagautdinova (2023), Chaos, Solitons & Fractals 167, 113027, doi 10.1016/j.chaos.2022.113027, reproduced end \
             to end: data, training, analysis.{quick}"
        ),
        footer: vec![
            format!("TrainedNetwork by ionoscope {} on {}.", provenance::version(), provenance::machine()),
            format!("Command: `{}`", provenance::command()),
            "Models: Sherman, Rinzel, Keizer (1988) Biophys. J. 54:411, doi 10.1016/S0006-3495(88)82975-8; Stankevich, Mosekilde (2017) Chaos \
             27:123101, doi 10.1063/1.4986401."
                .into(),
        ],
    };
    let sections = vec![
        summary(o),
        goals(o),
        paper(o),
        motion(o),
        over_v_s(o),
        data(o),
        fixed_point(o),
        eigenvalues(o),
        networks(o),
        cost(o),
        definitions(o),
    ];
    Ok((heading, sections))
}

/// The two main networks that are shipped, with their cells, in the order of [`MODELS`].
fn main_networks(o: &Findings) -> Vec<(&'static str, &super::BetaCell, &Network)> {
    let of = |k: usize| {
        let network = o
            .networks
            .iter()
            .find(|n| n.shipped && n.system == MODELS[k] && n.dt == DT)?;
        Some((FORMS[k], o.cells.get(k)?, network))
    };
    (0..MODELS.len()).filter_map(of).collect()
}

fn summary(o: &Findings) -> Section {
    let mut answer = Section::new("summary", "In short");
    answer = answer.text(
        "A bursting cell rests at a fixed point only if it is stable and the cell is put there; otherwise it bursts or spikes around it. Networks \
         of 2103 weights were trained on single steps of such oscillations, at random values of the control parameter V_{S}. None of them ever \
         saw a state at rest. Then they were asked, with Newton's method on the network itself, for their fixed points.",
    );
    for (form, _, n) in main_networks(o) {
        let (left, right) = (
            n.worst(Side::Left, |c| c.distance),
            n.worst(Side::Right, |c| c.distance),
        );
        let missing = n
            .comparisons
            .iter()
            .filter(|c| c.distance.is_none())
            .count();
        let right = match missing {
            0 => format!(
                "and within {} on the right, up to V_{{S}} = −30, where the data are far from it",
                say(right, 2)
            ),
            m => format!(
                "while at {m} of {} values of V_{{S}} none was found",
                n.comparisons.len()
            ),
        };
        answer = answer.text(format!(
            "**The {form} model.** The network finds the fixed point within {} (raw units, mV in effect) for V_{{S}} from −40 to −35, {right}. Its \
             eigenvalues differ from those of the equations by {} % in the median on the left (at most {} %, at V_{{S}} = {}) and {} % on the right.",
            say(left, 2),
            say(100.0 * n.median(Side::Left, |c| c.eigenvalue_error), 2),
            say(100.0 * n.worst(Side::Left, |c| c.eigenvalue_error), 2),
            number(n.worst_at(Side::Left, |c| c.eigenvalue_error), Format::Shortest),
            say(100.0 * n.median(Side::Right, |c| c.eigenvalue_error), 2),
        ));
    }
    let mut facts = Vec::new();
    for (form, cell, n) in main_networks(o) {
        let middle = median(
            n.comparisons
                .iter()
                .map(|c| c.distance.unwrap_or(f64::INFINITY))
                .collect(),
        );
        facts.push(Fact {
            value: format!("{} mV", say(middle, 2)),
            text: format!("median distance of the fixed points, {form} model, all V_{{S}}"),
        });
        facts.push(Fact {
            value: say(n.metrics.validation_mse, 2),
            text: format!("validation MSE, {form} model (paper: 10^{{−7}})"),
        });
        if let ([a, b], [c, d]) = (&cell.borders[..], &n.borders[..]) {
            facts.push(Fact {
                value: format!("{} to {}", number(*c, Format::Fixed(3)), number(*d, Format::Fixed(3))),
                text: format!(
                    "window of V_{{S}} in which the network's fixed point is stable (equations: {} to {})",
                    number(*a, Format::Fixed(3)),
                    number(*b, Format::Fixed(3))
                ),
            });
        }
    }
    facts.push(Fact {
        value: time(o.cost.work()),
        text: format!(
            "for the data, training and analysis of {} networks; training alone {}",
            o.networks.len(),
            time(o.cost.training)
        ),
    });
    answer
        .with(Part::Facts(facts))
        .with(Part::Command(provenance::command()))
}

/// Seconds for people.
fn time(seconds: f64) -> String {
    if seconds < 100.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{:.1} min", seconds / 60.0)
    }
}

fn goals(o: &Findings) -> Section {
    let (table, missed) = tables::goals(o);
    let mut answer = Section::new("goals", "Goals, met and missed")
        .text("The worst of all seeds counts, at the time step 0.005. Networks are never chosen by their fixed points or eigenvalues.")
        .with(Part::Table(table));
    if missed > 0 {
        answer = answer.with(Part::Note(format!(
            "{missed} goals are missed. The fixed point lies outside the data (lower panels of figure 10), so finding it is extrapolation, which a \
             low error on the data helps but does not guarantee."
        )));
    }
    if o.options.quick {
        answer = answer
            .with(Part::Note("This was a quick run. The goals are meant for the full one, which has more data and more steps.".into()));
    }
    answer
}

fn paper(o: &Findings) -> Section {
    Section::new("paper", "Paper and here")
        .text("Every number that the paper reports, beside the equations and the networks of this run (of several seeds, those with the lowest validation error).")
        .with(Part::Table(tables::paper(o)))
}

fn motion(o: &Findings) -> Section {
    let mut answer = Section::new("motion", "Bursting and spiking");
    for figure in &o.figures.motion {
        answer = answer.with(Part::Figure(figure.clone()));
    }
    answer
        .text(
            "What can be counted in 60 s on the attractor. A spike is an upward crossing of −40 mV; an interval longer than six median ones \
             separates bursts.",
        )
        .with(Part::Table(tables::rhythms(o)))
        .with(Part::Table(tables::together(o)))
}

fn over_v_s(o: &Findings) -> Section {
    let mut answer = Section::new("over-v-s", "Over V_{S}: rasters, two branches, basins");
    for figure in &o.rasters.figures {
        answer = answer.with(Part::Figure(figure.clone()));
    }
    answer
}

fn data(o: &Findings) -> Section {
    Section::new("data", "Data: the fixed point is in none of them")
        .text(
            "Trajectories start at random states and values of V_{S}; a transient of 100 s is dropped; then pairs of states one time step apart are \
             kept. A trajectory that comes to rest is drawn again.",
        )
        .with(Part::Figure(o.figures.data.clone()))
        .with(Part::Table(tables::data(o)))
}

fn fixed_point(o: &Findings) -> Section {
    let mut answer = Section::new("fixed-point", "The fixed point")
        .with(Part::Figure(o.figures.distance.clone()));
    for (form, _, n) in main_networks(o) {
        answer = answer.with(Part::Table(tables::fixed_points(form, n)));
    }
    answer
}

fn eigenvalues(o: &Findings) -> Section {
    let mut answer = Section::new("eigenvalues", "Eigenvalues and stability").text(
        "A multiplier λ of a network's fixed point is compared with an eigenvalue μ of the equations by μ = ln(λ)/dt. The fixed point of the \
         original model is unstable throughout; that of the modified one is stable in a window, whose borders are Hopf bifurcations. Near each border \
         two real eigenvalues meet and become a complex pair, and come apart again; where they meet they change as the square root of any error, \
         so that small errors of the network show most there.",
    );
    for figure in &o.figures.eigenvalues {
        answer = answer.with(Part::Figure(figure.clone()));
    }
    answer
        .with(Part::Table(tables::windows(o)))
        .with(Part::Table(tables::time_steps(o)))
}

fn networks(o: &Findings) -> Section {
    Section::new("networks", "All networks, all seeds")
        .text(
            "Of each model and time step, the seed with the lowest validation error is shipped and drawn. The seed decides the data and the initial \
             weights.",
        )
        .with(Part::Table(tables::networks(o)))
        .with(Part::Figure(o.figures.training.clone()))
}

fn cost(o: &Findings) -> Section {
    Section::new("cost", "Cost")
        .text(format!(
            "{} of work: {} for data, {} for training, {} for fixed points, eigenvalues, trajectories and figures. Machine: {}. This run took {}; \
             with `--resume`, work done by an earlier run counts with the time that it took then.",
            time(o.cost.work()),
            time(o.cost.data),
            time(o.cost.training),
            time(o.cost.analysis),
            provenance::machine(),
            time(o.cost.total)
        ))
        .with(Part::Table(tables::cost(o)))
}

fn definitions(o: &Findings) -> Section {
    let mut table = Table::new(
        "definitions",
        "What the words mean",
        vec![Column::text("word"), Column::text("meaning")],
    );
    for (word, meaning) in [
        (
            "validation MSE",
            "mean over pairs and variables of the squared error of u(t + dt), in units of the state's standard deviation",
        ),
        (
            "increment MSE",
            "the same for one variable, in units of the standard deviation of its increment over one time step",
        ),
        (
            "distance",
            "Euclidean distance of the fixed points of network and equations in raw units (mV, 1, 1), as in the paper",
        ),
        (
            "standardized distance",
            "the same, each variable in units of its standard deviation in the training data",
        ),
        (
            "distance to the data",
            "the smallest standardized distance from the equations' fixed point to a state of the training or validation pairs with V_{S} within 0.25 mV",
        ),
        (
            "eigenvalue error",
            "largest |μ − μ'| / max(1, |μ|), eigenvalues paired so that the sum of these is smallest",
        ),
        (
            "fixed points in the box",
            "all that Newton's method with deflation finds from many starts in V [−75, 25], n [0, 1], S [0, 1]; of several, the one nearest to the \
             equations' is compared",
        ),
        (
            "border of stability",
            "V_{S} at which the largest real part changes sign, by bisection to 10^{−7} mV",
        ),
        (
            "time together",
            "time until network and equations, from the same state, are more than half a standard deviation apart",
        ),
    ] {
        table.push(vec![word.into(), meaning.into()]);
    }
    let text = o
        .recipes
        .first()
        .and_then(|r| serde_json::to_string_pretty(r).ok())
        .unwrap_or_default();
    let title =
        "The configuration of the first network; the others differ in model, time step and seed"
            .into();
    Section::new("definitions", "Definitions and configuration")
        .with(Part::Table(table))
        .with(Part::Listing { title, text })
}

/// A verdict for a value that should not exceed a goal.
fn verdict(value: f64, goal: f64) -> Cell {
    let text = match value / goal {
        _ if value <= goal => String::new(),
        r if r.is_finite() => format!("by a factor {}", number(r, Format::Significant(2))),
        _ if value.is_finite() => String::new(),
        _ => "not found everywhere".into(),
    };
    Cell::Verdict {
        met: value <= goal,
        text,
    }
}
