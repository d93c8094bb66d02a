//! Which share of starts ends on which attractor.

use ionoscope_analysis::basins::{
    self as analysis, Attractor, AttractorKind, BasinOptions, Starts,
};
use ionoscope_dynamics::{
    spec::{Quantity, Spec},
    system::Input,
    trajectory::SolveOptions,
    watch::Watcher,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::question::Question;
use crate::{
    Error, Result,
    answer::{Answer, Text},
    by_name,
    named::{named, units},
    options::{self, Over},
    report::{
        figure::{Axis, Figure, Panel, Role, Series},
        table::{Column, Format, Table},
    },
    subject::Subject,
    text::short,
};

/// Finds the attractors that random or gridded starts reach, and the share of each
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[serde(default, deny_unknown_fields)]
pub struct Basins {
    /// Number of random starts, uniform in the box [default: 10000; 1000 of a system with more than four variables]
    #[cfg_attr(
        feature = "clap",
        arg(long, value_name = "N", allow_negative_numbers = true)
    )]
    pub starts: Option<usize>,
    /// Starts on a grid over one or more variables instead, such as v:100,s:100; the others are at --x0. --plot draws a grid over two
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME:N", value_parser = axis, value_delimiter = ',', conflicts_with = "starts"))]
    #[serde(deserialize_with = "by_name::deserialize")]
    pub grid: Vec<(String, usize)>,
    /// Where to start, other than the range of the variable; may be repeated
    #[cfg_attr(feature = "clap", arg(long = "box", value_name = "NAME=LO:HI", value_parser = options::name_interval, value_delimiter = ','))]
    #[serde(rename = "box", deserialize_with = "by_name::deserialize")]
    pub bounds: Vec<(String, [f64; 2])>,
    /// Seed of the starts
    #[cfg_attr(feature = "clap", arg(
        long,
        value_name = "N",
        default_value_t = Basins::default().seed,
        allow_negative_numbers = true
    ))]
    pub seed: u64,
    /// Basins at each of several values of a parameter, or of i_stim
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME=FROM:TO[:N]", value_parser = options::over, allow_hyphen_values = true))]
    pub over: Option<Over>,
    /// Time after which every trajectory is judged, once [default: measured on the system; judged again and again, up to 63 times the first time]
    #[cfg_attr(feature = "clap", arg(long, value_name = "T", value_parser = options::positive, allow_negative_numbers = true))]
    #[serde(deserialize_with = "options::positive_in")]
    pub t_end: Option<f64>,
    /// Time at the end over which a trajectory is judged: several periods [default: half of the time]
    #[cfg_attr(feature = "clap", arg(long, value_name = "T", value_parser = options::positive, allow_negative_numbers = true))]
    #[serde(deserialize_with = "options::positive_in")]
    pub window: Option<f64>,
    /// Time between two looks at a state [default: measured on the system]
    #[cfg_attr(feature = "clap", arg(long, value_name = "T", value_parser = options::positive, allow_negative_numbers = true))]
    #[serde(deserialize_with = "options::positive_in")]
    pub sample: Option<f64>,
    /// Time that a state has to stay where a motion is known to pass, to count as on it [default: its period]
    #[cfg_attr(feature = "clap", arg(long, value_name = "T", value_parser = options::positive, allow_negative_numbers = true))]
    #[serde(deserialize_with = "options::positive_in")]
    pub settle: Option<f64>,
    /// Relative tolerance of a flow; the absolute one is a hundredth of it
    #[cfg_attr(feature = "clap", arg(long, value_name = "R", value_parser = options::positive, default_value_t = Basins::default().rtol, allow_negative_numbers = true))]
    #[serde(deserialize_with = "options::positive_in")]
    pub rtol: f64,
    /// Run every trajectory to the end
    #[cfg_attr(feature = "clap", arg(long))]
    pub full: bool,
}

impl Default for Basins {
    fn default() -> Self {
        Basins {
            starts: None,
            grid: Vec::new(),
            bounds: Vec::new(),
            seed: 1,
            over: None,
            t_end: None,
            window: None,
            sample: None,
            settle: None,
            rtol: 1e-4,
            full: false,
        }
    }
}

/// The basins at one value of the parameter.
struct Found {
    value: Option<f64>,
    basins: analysis::Basins,
}

impl Question for Basins {
    fn ask(&self, subject: &Subject, watch: &Watcher) -> Result<Answer> {
        let spec = &subject.spec;
        let options = self.options(spec, &subject.x0)?;
        let all = self.find(subject, &options, watch)?;
        let mut answer = Answer::new(self.document(spec, &subject.p, &options, &all));
        self.write(&mut answer, spec, &all);
        answer.tables.push(match &self.over {
            Some(over) => shares(&over.name, &over.input(spec)?.1, &all),
            None => starts(spec, &options, &all[0].basins),
        });
        answer.figures.extend(match &self.over {
            Some(over) => Some(drawn_shares(spec, &over.name, &over.input(spec)?.1, &all)),
            None => plane(spec, &options, &all[0].basins),
        });
        answer.meta.insert("model".into(), json!(spec.id));
        answer.meta.insert("options".into(), json!(options));
        if all.iter().any(|f| f.basins.extrapolated) {
            let message = "trajectories went outside the training range (of state or parameters)";
            answer.warnings.push(message.into());
        }
        for found in &all {
            let name = self.over.as_ref().map_or("", |o| &o.name);
            let at = found.value.map(|value| format!("at {name} = {value}: "));
            if let Some(advice) = &found.basins.advice {
                // It ends with the advice to give a longest time.
                let at = at.unwrap_or_default();
                answer.warnings.push(format!("{at}{advice}, with --t-end"));
            }
        }
        if let Some(found) = all.first().filter(|f| !f.basins.conserved.is_empty()) {
            let held = found.basins.conserved.iter();
            let each =
                held.map(|h| format!("{} = {} {}", h.quantity.name, h.value, h.quantity.unit));
            watch.tell(&format!(
                "starts were moved to the level of the default start, or --x0: {}",
                each.collect::<Vec<_>>().join(", ")
            ));
        }
        Ok(answer)
    }
}

impl Basins {
    /// Whether there is something to draw: a plane, or shares over a parameter.
    pub fn draws(&self) -> bool {
        self.over.is_some() || self.grid.len() == 2
    }

    fn find(
        &self,
        subject: &Subject,
        options: &BasinOptions,
        watch: &Watcher,
    ) -> Result<Vec<Found>> {
        let (input, values) = match &self.over {
            Some(over) => {
                subject.refuse_fixed(over)?;
                (Some(over.input(&subject.spec)?.0), over.values(11))
            }
            None => (None, vec![f64::NAN]),
        };
        let constant = subject.constant_stimulus()?;
        let starts = options.starts.count();
        let at = |(k, value): (usize, &f64)| {
            let (mut p, mut i_stim) = (subject.p.clone(), constant);
            match input {
                Some(Input::Parameter(index)) => p[index] = *value,
                Some(Input::Stimulus) => i_stim = *value,
                None => {}
            }
            let part = watch.part(k * starts, values.len() * starts, "starts");
            let found = analysis::basins(subject.system()?, i_stim, &p, options, &part);
            Ok(Found {
                value: input.map(|_| *value),
                basins: watch.unless_stopped(found)?,
            })
        };
        values.iter().enumerate().map(at).collect()
    }

    fn options(&self, spec: &Spec, x0: &[f64]) -> Result<BasinOptions> {
        let bounds = options::box_with(spec, &self.bounds)?;
        let starts = if self.grid.is_empty() {
            Starts::Random {
                count: self.starts.unwrap_or(if spec.variables.len() > 4 {
                    1000
                } else {
                    10_000
                }),
                seed: self.seed,
            }
        } else {
            let axes = self
                .grid
                .iter()
                .map(|(name, n)| Ok((spec.variable_index(name)?, *n)))
                .collect::<Result<Vec<_>>>()?;
            if let Some(k) = (1..axes.len()).find(|k| axes[..*k].iter().any(|a| a.0 == axes[*k].0))
            {
                return Err(Error::Input(format!(
                    "--grid has {} twice; name each variable once",
                    self.grid[k].0
                )));
            }
            Starts::Grid {
                axes,
                at: x0.to_vec(),
            }
        };
        let solve = SolveOptions::with_rtol(self.rtol);
        Ok(BasinOptions {
            solve,
            longest: self.t_end,
            window: self.window,
            sample: self.sample,
            settle: self.settle,
            early: !self.full,
            level: Some(x0.to_vec()),
            ..BasinOptions::new(bounds, starts)
        })
    }

    fn document(&self, spec: &Spec, p: &[f64], options: &BasinOptions, all: &[Found]) -> Value {
        let one = |found: &Found| {
            let mut document = json!({
                "attractors": found.basins.attractors.iter().map(|a| attractor(spec, a)).collect::<Vec<_>>(),
                "not_settled": found.basins.not_settled,
                "advice": found.basins.advice,
                "times": found.basins.times,
                "conserved": found.basins.conserved,
                "mean_time": found.basins.mean_time,
                "extrapolated": found.basins.extrapolated,
            });
            if let (Some(over), Some(value)) = (&self.over, found.value) {
                document[&over.name] = json!(value);
            }
            document
        };
        let mut document = match &self.over {
            Some(over) => {
                json!({"over": over.name, "basins": all.iter().map(one).collect::<Vec<_>>()})
            }
            None => one(&all[0]),
        };
        document["parameters"] = named(&spec.parameters, p);
        document["starts"] = json!(options.starts.count());
        document["units"] = json!(units(spec));
        document
    }

    fn write(&self, answer: &mut Answer, spec: &Spec, all: &[Found]) {
        let mut rows = vec![vec![
            "attractor".into(),
            "share".into(),
            "95 % interval".into(),
            "where".into(),
        ]];
        if let Some(over) = &self.over {
            rows[0].insert(0, over.name.clone());
        }
        for found in all {
            for a in &found.basins.attractors {
                let place = |(q, [low, high]): (&Quantity, &[f64; 2])| {
                    let (low, high) = (short(*low), short(*high));
                    if low == high {
                        format!("{} {low}", q.name)
                    } else {
                        format!("{} {low}..{high}", q.name)
                    }
                };
                let mut place = spec
                    .variables
                    .iter()
                    .zip(&a.extent)
                    .take(4)
                    .map(place)
                    .collect::<Vec<_>>()
                    .join("  ");
                match a.kind {
                    AttractorKind::NotSettled => {
                        place = format!(
                            "by {} {}",
                            short(found.basins.times.longest()),
                            spec.time_unit
                        )
                    }
                    AttractorKind::Unstable => place = format!("no attractor: {place}"),
                    _ => {}
                }
                if let Some(period) = a.period {
                    place += &format!("  period {} {}", short(period), spec.time_unit);
                }
                let mut row = vec![
                    format!("{:?}", a.kind),
                    format!("{:.5}", a.share),
                    format!("{:.5} .. {:.5}", a.interval[0], a.interval[1]),
                    place,
                ];
                if let Some(value) = found.value {
                    row.insert(0, short(value));
                }
                rows.push(row);
            }
        }
        answer.text.push(Text::Cells(rows));
    }
}

fn shares(name: &str, unit: &str, all: &[Found]) -> Table {
    let number = |name: &str| Column::number(name, "1", Format::Significant(5));
    let columns = vec![
        Column::number(name, unit, Format::Shortest),
        Column::number("attractor", "", Format::Fixed(0)),
        Column::text("kind"),
        number("share"),
        number("low"),
        number("high"),
    ];
    let caption = "Shares of the starts by attractor, with 95 % intervals.";
    let mut table = Table::new("shares", caption, columns);
    for found in all {
        for (k, a) in found.basins.attractors.iter().enumerate() {
            let kind = format!("{:?}", a.kind);
            let [low, high] = a.interval.map(Into::into);
            table.push(vec![
                found.value.into(),
                k.into(),
                kind.into(),
                a.share.into(),
                low,
                high,
            ]);
        }
    }
    table
}

/// Share of each kind of attractor over the parameter, with its interval.
fn drawn_shares(spec: &Spec, name: &str, unit: &str, all: &[Found]) -> Figure {
    let x: Vec<f64> = all.iter().filter_map(|f| f.value).collect();
    let mut panel =
        Panel::new("", Axis::new(name, unit), Axis::new("share of starts", "1")).with_height(260.0);
    let kinds = [
        (AttractorKind::FixedPoint, "fixed points", Role::Equations),
        (AttractorKind::Periodic, "periodic", Role::Network),
        (AttractorKind::Quasiperiodic, "quasiperiodic", Role::Data),
        (AttractorKind::Aperiodic, "aperiodic", Role::Second),
        (AttractorKind::Unstable, "unstable", Role::Third),
        (AttractorKind::Escaped, "escaped", Role::Third),
        (AttractorKind::NotSettled, "not settled", Role::Guide),
    ];
    for (kind, label, role) in kinds {
        let of: Vec<(f64, [f64; 2])> = all.iter().map(|f| f.basins.share_of(kind)).collect();
        let y: Vec<f64> = of.iter().map(|(share, _)| *share).collect();
        if y.iter().any(|y| *y > 0.0) {
            panel = panel.with(Series::line(label, role, x.clone(), y));
            for side in 0..2 {
                panel = panel.with(Series::line(
                    "",
                    Role::Guide,
                    x.clone(),
                    of.iter().map(|(_, interval)| interval[side]).collect(),
                ));
            }
        }
    }
    Figure::new(
            "basins",
            &spec.id,
            "Share of starts that reach each kind of attractor; thin: 95 % intervals, which allow for those that have not settled.",
        )
        .with(panel)
}

fn attractor(spec: &Spec, a: &Attractor) -> Value {
    let mut value = json!(a);
    value["x"] =
        a.x.as_ref()
            .map_or(Value::Null, |x| named(&spec.variables, x));
    value["extent"] = Value::Object(
        spec.variables
            .iter()
            .zip(&a.extent)
            .map(|(q, r)| (q.name.clone(), json!(r)))
            .collect(),
    );
    value
}

/// The starts with the numbers of their attractors.
fn starts(spec: &Spec, options: &BasinOptions, found: &analysis::Basins) -> Table {
    let variable = |q: &Quantity| Column::number(&q.name, &q.unit, Format::Significant(5));
    let label = Column::number("attractor", "", Format::Fixed(0));
    let columns = spec.variables.iter().map(variable).chain([label]).collect();
    let mut table = Table::new("starts", "Every start and its attractor.", columns);
    for (k, label) in found.of_start.iter().enumerate() {
        let x = options.starts.state(k, &options.bounds).into_iter();
        let label = usize::from(*label).into();
        table.push(x.map(Into::into).chain([label]).collect());
    }
    table
}

/// The starts of a grid over two variables, by their attractor.
fn plane(spec: &Spec, options: &BasinOptions, found: &analysis::Basins) -> Option<Figure> {
    let Starts::Grid { axes, .. } = &options.starts else {
        return None;
    };
    if axes.len() != 2 {
        return None;
    }
    let [a, b] = [axes[0].0, axes[1].0];
    let axis = |i: usize| Axis::new(&spec.variables[i].name, &spec.variables[i].unit);
    let mut panel = Panel::new("", axis(a), axis(b)).with_height(500.0);
    let roles = [
        Role::Equations,
        Role::Network,
        Role::Second,
        Role::Third,
        Role::Data,
    ];
    for (k, attractor) in found.attractors.iter().enumerate() {
        let starts = found
            .of_start
            .iter()
            .enumerate()
            .filter(|(_, label)| usize::from(**label) == k);
        let (x, y) = starts
            .map(|(k, _)| options.starts.state(k, &options.bounds))
            .map(|x| (x[a], x[b]))
            .unzip();
        panel = panel.with(Series::points(
            &format!("{:?} ({:.2} %)", attractor.kind, 100.0 * attractor.share),
            roles[k % roles.len()],
            x,
            y,
        ));
    }
    Some(
        Figure::new(
            "basins",
            &spec.id,
            "Starts by the attractor that they reach.",
        )
        .with(panel),
    )
}

/// Parses `NAME:N`.
#[cfg(feature = "clap")]
fn axis(text: &str) -> std::result::Result<(String, usize), String> {
    let (name, n) = text
        .split_once(':')
        .ok_or("expected NAME:N, such as v:100")?;
    let n: usize = n
        .trim()
        .parse()
        .map_err(|_| format!("'{n}' is not a number of points"))?;
    if !(2..=100_000).contains(&n) {
        return Err(format!("{n} points of {name}; expected 2 to 100000"));
    }
    Ok((name.trim().to_owned(), n))
}
