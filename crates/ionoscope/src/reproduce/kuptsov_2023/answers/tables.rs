//! The tables of the report.

use ionoscope_analysis::spectrum::Complex;

use super::{
    super::{
        DT, Findings, MODELS, RUN_LENGTH,
        findings::{Network, Side, median},
        oscillations::Rhythm,
    },
    FORMS, main_networks, verdict,
};
use crate::report::table::{Cell, Column, Format, Table, number};

const SHORT: Format = Format::Significant(2);

fn form(system: &str) -> &'static str {
    MODELS
        .iter()
        .position(|m| *m == system)
        .map_or("other", |k| FORMS[k])
}

/// Goals, and the number of those missed.
pub fn goals(o: &Findings) -> (Table, usize) {
    let columns = vec![
        Column::text("goal"),
        Column::text("model"),
        Column::text("wanted"),
        Column::number("worst seed", "", SHORT),
        Column::number("median seed", "", SHORT),
        Column::text("verdict"),
    ];
    let mut table = Table::new("goals-table", "Goals of this reproduction", columns);
    let mut missed = 0;
    for (k, model) in MODELS.iter().enumerate() {
        let seeds: Vec<&Network> = o
            .networks
            .iter()
            .filter(|n| n.system == *model && n.dt == DT)
            .collect();
        let mut row = |what: &str, wanted: &str, goal: f64, of: &dyn Fn(&Network) -> f64| {
            let values: Vec<f64> = seeds.iter().map(|n| of(n)).collect();
            let worst = values.iter().copied().fold(0.0, f64::max);
            missed += usize::from(worst.is_nan() || worst > goal);
            let middle = median(values);
            table.push(vec![
                what.into(),
                FORMS[k].into(),
                wanted.into(),
                worst.into(),
                middle.into(),
                verdict(worst, goal),
            ]);
        };
        row("validation MSE", "10^{−10}", 1e-10, &|n| {
            n.metrics.validation_mse
        });
        if seeds.iter().all(|n| n.adam_alone.is_some()) {
            let error = |n: &Network| {
                n.adam_alone
                    .as_ref()
                    .map_or(f64::INFINITY, |m| m.validation_mse)
            };
            row(
                "validation MSE by Adam alone, 2000 epochs",
                "10^{−8}",
                1e-8,
                &error,
            );
        }
        let increments = |n: &Network| {
            n.metrics
                .increment_mse_by_variable
                .iter()
                .copied()
                .fold(0.0, f64::max)
        };
        row(
            "increment MSE, every variable",
            "10^{−6}",
            1e-6,
            &increments,
        );
        row("distance, V_{S} ≤ −35 (mV)", "10^{−3}", 1e-3, &|n| {
            n.worst(Side::Left, |c| c.distance)
        });
        row("distance, V_{S} > −35 (mV)", "10^{−2}", 1e-2, &|n| {
            n.worst(Side::Right, |c| c.distance)
        });
        let others = |n: &Network| {
            n.comparisons
                .iter()
                .map(|c| c.others_in_training_range as f64)
                .fold(0.0, f64::max)
        };
        row(
            "further fixed points in the training range",
            "0",
            0.0,
            &others,
        );
        row("eigenvalue error, V_{S} ≤ −35", "0.02", 0.02, &|n| {
            n.worst(Side::Left, |c| c.eigenvalue_error)
        });
        row("eigenvalue error, V_{S} > −35", "0.10", 0.10, &|n| {
            n.worst(Side::Right, |c| c.eigenvalue_error)
        });
        if let Some(cell) = o.cells.get(k).filter(|c| !c.borders.is_empty()) {
            row("borders of stability (mV)", "0.01", 0.01, &|n| {
                n.border_error(cell)
            });
        }
    }
    (table, missed)
}

/// Every number of the paper beside equations and networks.
pub fn paper(o: &Findings) -> Table {
    let columns = vec![
        Column::text("quantity"),
        Column::text("paper"),
        Column::text("equations here"),
        Column::text("network here"),
    ];
    let mut table = Table::new("paper-table", "Paper and here", columns);
    let printed = [
        (
            ["−49.897", "2.3452·10^{−3}", "0.19946"],
            ["20.772", "9.0834·10^{−2}", "−42.884"],
        ),
        (
            ["−50.636", "2.0560·10^{−3}", "0.18792"],
            ["−0.15927", "−19.521", "−38.785"],
        ),
    ];
    for ((form, cell, n), (state, spectrum)) in main_networks(o).into_iter().zip(printed) {
        let here = cell
            .points
            .iter()
            .find(|p| p.v_s == -36.0)
            .and_then(|p| p.found.as_ref());
        let map = n
            .comparisons
            .iter()
            .find(|c| c.point.v_s == -36.0)
            .and_then(|c| c.point.found.as_ref());
        let digits = |v: f64| Cell::Text(number(v, Format::Significant(5)));
        for (i, name) in ["V (mV)", "n", "S"].iter().enumerate() {
            let what = format!("{form}, V_{{S}} = −36: fixed point, {name}");
            table.push(vec![
                what.into(),
                state[i].into(),
                here.map(|f| digits(f.x[i])).into(),
                map.map(|f| digits(f.x[i])).into(),
            ]);
        }
        for (i, paper) in spectrum.iter().enumerate() {
            let what = format!("{form}, V_{{S}} = −36: eigenvalue μ_{{{}}} (1/s)", i + 1);
            // The paper lists the unstable pair before the stable one; here they are sorted by real part, which is the same order.
            let text = |z: &Complex| Cell::Text(complex(z, 5));
            let of =
                |f: &ionoscope_analysis::fixed_points::FixedPoint| f.eigenvalues.get(i).map(text);
            table.push(vec![
                what.into(),
                (*paper).into(),
                here.and_then(of).into(),
                map.and_then(of).into(),
            ]);
        }
    }
    for (form, cell, n) in main_networks(o) {
        let mut row = |what: String, paper: &str, equations: Cell, network: String| {
            table.push(vec![what.into(), paper.into(), equations, network.into()])
        };
        row(
            format!("{form}: validation MSE"),
            "about 10^{−7}",
            Cell::Empty(()),
            number(n.metrics.validation_mse, SHORT),
        );
        let distances: Vec<f64> = n
            .comparisons
            .iter()
            .map(|c| c.distance.unwrap_or(f64::INFINITY))
            .collect();
        let (worst, middle) = (
            distances.iter().copied().fold(0.0, f64::max),
            median(distances),
        );
        row(
            format!("{form}: distance of the fixed points (mV)"),
            "of the order 10^{−3}",
            Cell::Empty(()),
            format!(
                "median {}, largest {}",
                super::say(middle, 2),
                super::say(worst, 2)
            ),
        );
        let percent = |side| super::say(100.0 * n.median(side, |c| c.eigenvalue_error), 2);
        let reported = if form == FORMS[0] {
            "good on the left, off on the right"
        } else {
            "remarkable correspondence"
        };
        row(
            format!("{form}: eigenvalues, median error"),
            reported,
            Cell::Empty(()),
            format!(
                "{} % left of −35, {} % right",
                percent(Side::Left),
                percent(Side::Right)
            ),
        );
        if let [a, b] = cell.borders[..] {
            let fixed = |v: f64| number(v, Format::Fixed(4));
            let network: Vec<String> = n.borders.iter().map(|v| fixed(*v)).collect();
            let network = if network.is_empty() {
                "none".into()
            } else {
                network.join(" and ")
            };
            row(
                format!("{form}: borders of stability (mV)"),
                "found, no numbers",
                format!("{} and {}", fixed(a), fixed(b)).into(),
                network,
            );
        }
    }
    if let Some((_, _, n)) = main_networks(o).first() {
        let [one, all] = n.weights;
        for (what, paper, here) in [
            ("weights of a sub-network", "701", one.to_string()),
            ("weights of a network", "2103", all.to_string()),
        ] {
            table.push(vec![
                what.into(),
                paper.into(),
                Cell::Empty(()),
                here.into(),
            ]);
        }
    }
    let r = &o.rasters;
    let fixed = |v: Option<f64>| Cell::from(v.map(|v| number(v, Format::Fixed(3))));
    for (form, paper, borders) in [
        ("original", "−33.73", r.borders[0]),
        ("modified", "", r.borders[1]),
    ] {
        table.push(vec![
            format!("{form}: V_{{S}} between bursting and spiking (mV)").into(),
            paper.into(),
            fixed(borders[0]),
            fixed(borders[1]),
        ]);
    }
    let percent = |v: Option<f64>| {
        Cell::from(v.map(|v| format!("{} %", number(100.0 * v, Format::Fixed(1)))))
    };
    let what = "modified: largest share of random starts that come to rest";
    table.push(vec![
        what.into(),
        "1 to 3 %".into(),
        percent(r.largest_share[0]),
        percent(r.largest_share[1]),
    ]);
    table
}

fn complex(z: &Complex, digits: usize) -> String {
    let re = number(z.re, Format::Significant(digits));
    if z.im == 0.0 {
        re
    } else {
        format!(
            "{re} {} {}i",
            if z.im < 0.0 { "−" } else { "+" },
            number(z.im.abs(), Format::Significant(digits))
        )
    }
}

/// Rhythms of equations and networks.
pub fn rhythms(o: &Findings) -> Table {
    let fixed = Format::Fixed(3);
    let columns = vec![
        Column::text("model"),
        Column::text("system"),
        Column::number("V_{S}", "mV", Format::Fixed(0)),
        Column::number("burst period", "s", fixed),
        Column::number("spikes a burst", "", Format::Fixed(1)),
        Column::number("shortest interval", "s", fixed),
        Column::number("longest interval", "s", fixed),
    ];
    let mut table = Table::new("rhythms", "Rhythms on the attractor", columns);
    for (form, cell, n) in main_networks(o) {
        for (e, m) in cell.rhythms.iter().zip(&n.rhythms) {
            for (name, (v_s, r)) in [("equations", e), ("network", m)] {
                let Rhythm {
                    burst_period,
                    spikes_per_burst,
                    shortest_interval,
                    longest_interval,
                } = *r;
                let numbers = [
                    burst_period,
                    spikes_per_burst,
                    shortest_interval,
                    longest_interval,
                ]
                .map(Cell::from);
                table.push(
                    [Cell::from(form), name.into(), (*v_s).into()]
                        .into_iter()
                        .chain(numbers)
                        .collect(),
                );
            }
        }
    }
    table
}

/// How long networks stay with the equations.
pub fn together(o: &Findings) -> Table {
    let seconds = |name: &str| Column::number(name, "s", Format::Fixed(2));
    let columns = vec![
        Column::text("model"),
        Column::number("dt", "s", Format::Shortest),
        seconds("shortest"),
        seconds("median"),
        seconds("longest"),
    ];
    let caption = format!(
        "Time together: how long a network stays within half a standard deviation of the equations, from 32 states on new trajectories at random \
         V_{{S}}; {RUN_LENGTH:.0} s were run"
    );
    let mut table = Table::new("together", &caption, columns);
    for n in o.networks.iter().filter(|n| n.shipped) {
        let ends = n
            .together
            .iter()
            .fold([f64::INFINITY, 0.0], |[a, b]: [f64; 2], t| {
                [a.min(*t), b.max(*t)]
            });
        table.push(vec![
            form(&n.system).into(),
            n.dt.into(),
            ends[0].into(),
            median(n.together.clone()).into(),
            ends[1].into(),
        ]);
    }
    table
}

/// What the networks were trained on.
pub fn data(o: &Findings) -> Table {
    let columns = vec![
        Column::text("model"),
        Column::number("dt", "s", Format::Shortest),
        Column::number("trajectories", "", Format::Fixed(0)),
        Column::number("pairs of each", "", Format::Fixed(0)),
        Column::number("training pairs", "", Format::Fixed(0)),
        Column::number("transient", "s", Format::Fixed(0)),
        Column::number("share for validation", "", Format::Shortest),
        Column::number(
            "drawn again: start near the fixed point",
            "",
            Format::Fixed(0),
        ),
        Column::number("came to rest", "", Format::Fixed(0)),
        Column::number("failed", "", Format::Fixed(0)),
    ];
    let mut table = Table::new(
        "data-table",
        "Data of the networks that are shipped",
        columns,
    );
    for (n, r) in o.networks.iter().zip(&o.recipes).filter(|(n, _)| n.shipped) {
        let d = &r.dataset;
        table.push(vec![
            form(&n.system).into(),
            n.dt.into(),
            d.chunks.into(),
            d.pairs_per_chunk.into(),
            n.metrics.pairs.into(),
            d.transient.into(),
            d.validation_share.into(),
            (n.metrics.redrawn.near_fixed_point as f64).into(),
            (n.metrics.redrawn.on_fixed_point as f64).into(),
            (n.metrics.redrawn.failed as f64).into(),
        ]);
    }
    table
}

/// Fixed points of a network over the grid.
pub fn fixed_points(form: &str, n: &Network) -> Table {
    let five = Format::Significant(5);
    let columns = vec![
        Column::number("V_{S}", "mV", Format::Fixed(2)),
        Column::number("V", "mV", five),
        Column::number("n", "", five),
        Column::number("S", "", five),
        Column::number("distance", "mV, 1, 1", SHORT),
        Column::number("standardized", "sd", SHORT),
        Column::number("to the data", "sd", SHORT),
        Column::number("in the box", "", Format::Fixed(0)),
        Column::number("eigenvalue error", "", SHORT),
        Column::text("eigenvalues (1/s)"),
        Column::text("of the equations (1/s)"),
    ];
    let caption = format!(
        "The network's fixed point over V_{{S}}, {form} model, dt = {}, seed {}",
        n.dt, n.seed
    );
    let mut table = Table::new(&format!("fixed-points-{form}"), &caption, columns).folded();
    let list = |z: &[Complex]| {
        z.iter()
            .map(|z| complex(z, 4))
            .collect::<Vec<_>>()
            .join(", ")
    };
    for c in &n.comparisons {
        let found = c.point.found.as_ref();
        let x = |i: usize| found.map(|f| f.x[i]).into();
        table.push(vec![
            c.point.v_s.into(),
            x(0),
            x(1),
            x(2),
            c.distance.into(),
            c.distance_standardized.into(),
            c.data_distance_standardized.into(),
            c.point.number_in_box.into(),
            c.eigenvalue_error.into(),
            found.map(|f| list(&f.eigenvalues)).into(),
            list(&c.eigenvalues_of_equations).into(),
        ]);
    }
    table
}

/// Borders of the window of stability, every seed.
pub fn windows(o: &Findings) -> Table {
    let fixed = Format::Fixed(4);
    let columns = vec![
        Column::text("system"),
        Column::number("left border", "mV", fixed),
        Column::number("right border", "mV", fixed),
        Column::number("largest difference", "mV", SHORT),
    ];
    let mut table = Table::new(
        "windows",
        "The window of V_{S} in which the fixed point of the modified model is stable",
        columns,
    );
    let Some(cell) = o.cells.iter().find(|c| c.system == MODELS[1]) else {
        return table;
    };
    let ends = |b: &[f64]| match b {
        [a, b] => [Cell::from(*a), Cell::from(*b)],
        other => [
            Cell::from(format!("{} borders", other.len())),
            Cell::Empty(()),
        ],
    };
    let [a, b] = ends(&cell.borders);
    table.push(vec!["equations".into(), a, b, Cell::Empty(())]);
    for n in o.networks.iter().filter(|n| n.system == MODELS[1]) {
        let [a, b] = ends(&n.borders);
        let name = format!(
            "network, seed {}{}",
            n.seed,
            if n.shipped {
                " (lowest validation error)"
            } else {
                ""
            }
        );
        table.push(vec![name.into(), a, b, n.border_error(cell).into()]);
    }
    table
}

/// The study of the time step.
pub fn time_steps(o: &Findings) -> Table {
    let columns = vec![
        Column::number("dt", "s", Format::Shortest),
        Column::number("seeds", "", Format::Fixed(0)),
        Column::number("eigenvalue error, V_{S} ≤ −35", "", SHORT),
        Column::number("eigenvalue error, V_{S} > −35", "", SHORT),
        Column::number("distance, V_{S} ≤ −35", "mV", SHORT),
        Column::number("distance, V_{S} > −35", "mV", SHORT),
    ];
    let caption = "Smaller time steps, original model: medians over V_{S} and seeds. The paper: smaller is better on the right";
    let mut table = Table::new("time-steps", caption, columns);
    let mut steps: Vec<f64> = o
        .networks
        .iter()
        .filter(|n| n.system == MODELS[0])
        .map(|n| n.dt)
        .collect();
    steps.sort_by(|a, b| b.total_cmp(a));
    steps.dedup();
    for dt in steps {
        let of: Vec<&Network> = o
            .networks
            .iter()
            .filter(|n| n.system == MODELS[0] && n.dt == dt)
            .collect();
        let error = |side| {
            median(
                of.iter()
                    .map(|n| n.median(side, |c| c.eigenvalue_error))
                    .collect(),
            )
        };
        let distance = |side| median(of.iter().map(|n| n.median(side, |c| c.distance)).collect());
        let numbers = [
            error(Side::Left),
            error(Side::Right),
            distance(Side::Left),
            distance(Side::Right),
        ]
        .map(Cell::from);
        table.push(
            [Cell::from(dt), of.len().into()]
                .into_iter()
                .chain(numbers)
                .collect(),
        );
    }
    table
}

/// Every network.
pub fn networks(o: &Findings) -> Table {
    let n = |name: &str, unit: &str| Column::number(name, unit, SHORT);
    let columns = vec![
        Column::text("model"),
        Column::number("dt", "s", Format::Shortest),
        Column::number("seed", "", Format::Fixed(0)),
        n("validation MSE", ""),
        n("on new trajectories", ""),
        n("increment MSE V", ""),
        n("n", ""),
        n("S", ""),
        n("largest distance left", "mV"),
        n("right", "mV"),
        n("eigenvalue error left", ""),
        n("right", ""),
        Column::text("shipped"),
    ];
    let mut table = Table::new(
        "networks-table",
        "Errors of every network; left: V_{S} ≤ −35, right: V_{S} > −35; – where the fixed point was not found",
        columns,
    );
    for w in &o.networks {
        let m = &w.metrics;
        let increment = |i: usize| m.increment_mse_by_variable.get(i).copied().into();
        table.push(vec![
            form(&w.system).into(),
            w.dt.into(),
            (w.seed as f64).into(),
            m.validation_mse.into(),
            m.new_chunks_mse.into(),
            increment(0),
            increment(1),
            increment(2),
            w.worst(Side::Left, |c| c.distance).into(),
            w.worst(Side::Right, |c| c.distance).into(),
            w.worst(Side::Left, |c| c.eigenvalue_error).into(),
            w.worst(Side::Right, |c| c.eigenvalue_error).into(),
            if w.shipped { "yes" } else { "" }.into(),
        ]);
    }
    table
}

/// Seconds and samples a second.
pub fn cost(o: &Findings) -> Table {
    let seconds = |name: &str| Column::number(name, "s", Format::Fixed(1));
    let columns = vec![
        Column::text("model"),
        Column::number("dt", "s", Format::Shortest),
        Column::number("seed", "", Format::Fixed(0)),
        seconds("data"),
        seconds("training"),
        Column::number("pairs a second", "1/s", Format::Significant(3)),
    ];
    let mut table = Table::new(
        "cost-table",
        "Cost of each network; a pair counts once for each step of each sub-network",
        columns,
    );
    for n in &o.networks {
        let m = &n.metrics;
        table.push(vec![
            form(&n.system).into(),
            n.dt.into(),
            (n.seed as f64).into(),
            m.seconds_data.into(),
            m.seconds.into(),
            m.samples_per_second.into(),
        ]);
    }
    table
}
