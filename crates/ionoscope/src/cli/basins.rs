//! `ionoscope basins`: which share of starts ends on which attractor.

use std::{io::Write, path::PathBuf};

use ionoscope_analysis::basins::{Attractor, AttractorKind, BasinOptions, Basins, Starts, basins};
use ionoscope_dynamics::{
    spec::Spec,
    system::{DynamicalSystem, Input},
    trajectory::SolveOptions,
};
use serde_json::{Value, json};

use super::{Shared, arguments::SystemArguments, print, print_json};
use crate::{
    Error, Result,
    artifact::{self, Staged},
    named::{named, units},
    options::Over,
    options::{self},
    report::{
        figure::{Axis, Figure, Panel, Role, Series},
        svg,
    },
    subject::Subject,
    text::{short, write_cells},
};

/// Finds the attractors that random or gridded starts reach, and the share of each
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  ionoscope basins stankevich-2017 --param v_s=-36 --starts 10000 --box v=-70:-10,n=0:0.12,s=0.17:0.2
  ionoscope basins stankevich-2017 --over v_s=-36.75:-35:8 --starts 2000 --box v=-70:-10,n=0:0.12,s=0.17:0.2 --plot shares.svg
  ionoscope basins stankevich-2017 --param v_s=-36 --grid v:120,s:120 --box v=-70:-10,s=0.17:0.2 --x0 n=0.002 --plot plane.svg")]
pub struct Arguments {
    #[command(flatten)]
    system: SystemArguments,
    /// Number of random starts, uniform in the box [default: 10000; 1000 of a system with more than four variables]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    starts: Option<usize>,
    /// Starts on a grid over one or more variables instead, such as v:100,s:100; the others are at --x0. --plot draws a grid over two
    #[arg(long, value_name = "NAME:N", value_parser = axis, value_delimiter = ',', conflicts_with = "starts")]
    grid: Vec<(String, usize)>,
    /// Where to start, other than the range of the variable; may be repeated
    #[arg(long = "box", value_name = "NAME=LO:HI", value_parser = options::name_interval, value_delimiter = ',')]
    bounds: Vec<(String, [f64; 2])>,
    /// Seed of the starts
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        allow_negative_numbers = true
    )]
    seed: u64,
    /// Basins at each of several values of a parameter, or of i_stim
    #[arg(long, value_name = "NAME=FROM:TO[:N]", value_parser = options::over, allow_hyphen_values = true)]
    over: Option<Over>,
    /// Time after which every trajectory is judged, once [default: measured on the system; judged again and again, up to 63 times the first time]
    #[arg(long, value_name = "T", value_parser = options::positive, allow_negative_numbers = true)]
    t_end: Option<f64>,
    /// Time at the end over which a trajectory is judged: several periods [default: half of the time]
    #[arg(long, value_name = "T", value_parser = options::positive, allow_negative_numbers = true)]
    window: Option<f64>,
    /// Time between two looks at a state [default: measured on the system]
    #[arg(long, value_name = "T", value_parser = options::positive, allow_negative_numbers = true)]
    sample: Option<f64>,
    /// Time that a state has to stay where a motion is known to pass, to count as on it [default: its period]
    #[arg(long, value_name = "T", value_parser = options::positive, allow_negative_numbers = true)]
    settle: Option<f64>,
    /// Relative tolerance of a flow; the absolute one is a hundredth of it
    #[arg(long, value_name = "R", value_parser = options::positive, default_value_t = 1e-4, allow_negative_numbers = true)]
    rtol: f64,
    /// Run every trajectory to the end
    #[arg(long)]
    full: bool,
    /// Table: every start with the number of its attractor; with --over, the share of every attractor
    #[arg(short, long = "output", value_name = "FILE.csv")]
    output: Option<PathBuf>,
    /// Figure: the plane of a grid, or the shares over the parameter
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

/// The basins at one value of the parameter.
struct Found {
    value: Option<f64>,
    basins: Basins,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        let subject = self.system.open(shared)?;
        let i_stim = subject.constant_stimulus()?;
        let Subject {
            system,
            spec,
            p,
            x0,
            ..
        } = subject.clone();
        for path in self.output.iter().chain(&self.plot) {
            artifact::check_destination(path)?;
        }
        if self.plot.is_some() && self.over.is_none() && self.grid.len() != 2 {
            return Err(Error::Input(
                "--plot draws the plane of a --grid over two variables, or shares --over a parameter; add one of them".into(),
            ));
        }
        let options = self.options(&spec, &x0)?;
        let (input, values) = match &self.over {
            Some(over) => {
                over.refuse_fixed(&subject)?;
                (Some(over.input(&spec)?.0), over.values(11))
            }
            None => (None, vec![f64::NAN]),
        };
        let mut all = Vec::new();
        for (k, value) in values.iter().enumerate() {
            let (mut p, mut i_stim) = (p.clone(), i_stim);
            match input {
                Some(Input::Parameter(index)) => p[index] = *value,
                Some(Input::Stimulus) => i_stim = *value,
                None => {}
            }
            let starts = options.starts.count();
            let watch = shared
                .watch
                .part(k * starts, values.len() * starts, "starts");
            let found = shared
                .watch
                .unless_stopped(basins(&*system, i_stim, &p, &options, &watch))?;
            all.push(Found {
                value: input.map(|_| *value),
                basins: found,
            });
        }
        if all.iter().any(|f| f.basins.extrapolated) {
            shared.warn("trajectories went outside the training range (of state or parameters)");
        }
        for found in &all {
            let at = found.value.map(|value| {
                format!(
                    "at {} = {value}: ",
                    self.over.as_ref().map_or("", |o| &o.name)
                )
            });
            if let Some(advice) = &found.basins.advice {
                // It ends with the advice to give a longest time.
                shared.warn(&format!(
                    "{}{advice}, with --t-end",
                    at.as_deref().unwrap_or("")
                ));
            }
        }
        if let Some(held) = all
            .first()
            .map(|f| &f.basins.conserved)
            .filter(|h| !h.is_empty())
        {
            let each = held
                .iter()
                .map(|h| format!("{} = {} {}", h.quantity.name, h.value, h.quantity.unit))
                .collect::<Vec<_>>()
                .join(", ");
            shared.tell(&format!(
                "starts were moved to the level of the default start, or --x0: {each}"
            ));
        }
        self.write(&*system, &spec, &p, &options, &all)?;
        if shared.json {
            print_json(&self.document(&spec, &p, &options, &all))
        } else {
            self.show(&spec, &all)
        }
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
        let solve = SolveOptions {
            rtol: self.rtol,
            atol: 0.01 * self.rtol,
            ..SolveOptions::default()
        };
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

    fn write(
        &self,
        system: &dyn DynamicalSystem,
        spec: &Spec,
        p: &[f64],
        options: &BasinOptions,
        all: &[Found],
    ) -> Result<()> {
        let mut files = Vec::new();
        if let Some(path) = &self.output {
            files.push(Staged::new(path, |w| self.csv(w, spec, options, all))?);
            let meta = json!({"system": self.system.system, "model": system.spec().id, "parameters": named(&spec.parameters, p), "options": options, "units": units(spec), "version": env!("CARGO_PKG_VERSION")});
            files.push(artifact::describe(&files[0], &meta)?);
        }
        if let Some(path) = &self.plot {
            let figure = if self.over.is_some() {
                self.shares(spec, all)?
            } else {
                plane(spec, options, &all[0].basins)
            };
            files.push(Staged::new(path, |w| {
                w.write_all(svg::draw(&figure).as_bytes())
            })?);
        }
        files.into_iter().try_for_each(Staged::commit)?;
        Ok(())
    }

    fn csv(
        &self,
        w: &mut dyn Write,
        spec: &Spec,
        options: &BasinOptions,
        all: &[Found],
    ) -> std::io::Result<()> {
        if let Some(over) = &self.over {
            writeln!(w, "{},attractor,kind,share,low,high", over.name)?;
            for found in all {
                for (k, a) in found.basins.attractors.iter().enumerate() {
                    let [low, high] = a.interval;
                    writeln!(
                        w,
                        "{},{k},{:?},{},{low},{high}",
                        found.value.unwrap_or(f64::NAN),
                        a.kind,
                        a.share
                    )?;
                }
            }
            return Ok(());
        }
        let names: Vec<&str> = spec.variables.iter().map(|q| q.name.as_str()).collect();
        writeln!(w, "{},attractor", names.join(","))?;
        for (k, label) in all[0].basins.of_start.iter().enumerate() {
            for x in options.starts.state(k, &options.bounds) {
                write!(w, "{x},")?;
            }
            writeln!(w, "{label}")?;
        }
        Ok(())
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

    fn show(&self, spec: &Spec, all: &[Found]) -> Result<()> {
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
                let place = |(q, [low, high]): (&ionoscope_dynamics::spec::Quantity, &[f64; 2])| {
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
        print(|w| write_cells(w, &rows))
    }

    /// Share of each kind of attractor over the parameter, with its interval.
    fn shares(&self, spec: &Spec, all: &[Found]) -> Result<Figure> {
        let Some(over) = &self.over else {
            return Err(Error::Input("shares are drawn --over a parameter".into()));
        };
        let x: Vec<f64> = all.iter().filter_map(|f| f.value).collect();
        let mut panel = Panel::new(
            "",
            Axis::new(&over.name, &over.input(spec)?.1),
            Axis::new("share of starts", "1"),
        )
        .with_height(260.0);
        let kinds = [
            (AttractorKind::FixedPoint, "fixed points", Role::Equations),
            (AttractorKind::Periodic, "periodic", Role::Network),
            (AttractorKind::Quasiperiodic, "quasiperiodic", Role::Data),
            (AttractorKind::Aperiodic, "aperiodic", Role::Second),
            (AttractorKind::Unstable, "unstable", Role::Third),
            (AttractorKind::Escaped, "escaped", Role::Third),
            (AttractorKind::NotSettled, "not settled", Role::Guide),
        ];
        for (kind, name, role) in kinds {
            let of: Vec<(f64, [f64; 2])> = all.iter().map(|f| f.basins.share_of(kind)).collect();
            let y: Vec<f64> = of.iter().map(|(share, _)| *share).collect();
            if y.iter().any(|y| *y > 0.0) {
                panel = panel.with(Series::line(name, role, x.clone(), y));
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
        Ok(Figure::new(
            "basins",
            &spec.id,
            "Share of starts that reach each kind of attractor; thin: 95 % intervals, which allow for those that have not settled.",
        )
        .with(panel))
    }
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

/// The starts of a grid, by their attractor.
fn plane(spec: &Spec, options: &BasinOptions, found: &Basins) -> Figure {
    let Starts::Grid { axes, .. } = &options.starts else {
        return Figure::new("basins", &spec.id, "");
    };
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
    Figure::new(
        "basins",
        &spec.id,
        "Starts by the attractor that they reach.",
    )
    .with(panel)
}

/// Parses `NAME:N`.
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
