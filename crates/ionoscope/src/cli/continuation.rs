//! `ionoscope continue`: branches of fixed points over a parameter, and their bifurcations.

use std::{io::Write, path::PathBuf};

use ionoscope_analysis::{
    conserved::Held,
    continuation::{
        Bifurcation, Branch, ContinuationOptions, SpecialPoint, Stop, branches,
        curves::{Codimension2, Curve, CurvePoint, CurveStop, Plane},
        cycles::{CycleBranch, CycleOptions, CyclePoint, Origin, cycles},
        held,
        map_cycles::map_cycles,
    },
};
use ionoscope_dynamics::{
    spec::Spec,
    system::{DynamicalSystem, Input},
};
use serde_json::{Value, json};

use super::{Shared, arguments::SystemArguments, print, print_json};
use crate::{
    Error, Result,
    artifact::{self, Staged},
    branch_ends::{End, ends, text_of},
    named::{angular_unit, named, rate_unit, units},
    options::Over,
    options::{self},
    report::{
        figure::{Axis, Figure, Panel, Role, Series},
        svg,
    },
    subject::Subject,
    text::{short, write_cells},
};

/// Follows fixed points, and periodic orbits, over a parameter and finds their bifurcations
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  ionoscope continue stankevich-2017 --over v_s=-40:-30
  ionoscope continue hodgkin-huxley-1952 --over i_stim=0:200 --plot diagram.svg
  ionoscope continue stankevich-2017 --over v_s=-40:-30 --cycles --plot cycles.svg
  ionoscope continue stankevich-2017 --over v_s=-40:-30 --cycles --at -36 --json
  ionoscope continue stankevich-2017 --over v_s=-40:-30 --and g_k2=0:0.3 --plot curves.svg
  ionoscope continue pretrained/stankevich-2017-dt0.005.safetensors --over v_s=-40:-30 -o branches.csv --json")]
pub struct Arguments {
    #[command(flatten)]
    system: SystemArguments,
    /// The parameter, or i_stim, and the interval over which it is varied
    #[arg(long, value_name = "NAME=FROM:TO", value_parser = options::interval, allow_hyphen_values = true)]
    over: Over,
    /// A second parameter, or i_stim: saddle-nodes and Hopf points are followed over both
    #[arg(long, value_name = "NAME=FROM:TO", value_parser = options::interval, allow_hyphen_values = true)]
    and: Option<Over>,
    /// Follow periodic orbits too, from Hopf points and from simulations; of a map its invariant closed curves
    #[arg(long)]
    cycles: bool,
    /// Of a map: follow cycles of so many steps in place of fixed points
    #[arg(long, value_name = "STEPS", conflicts_with_all = ["cycles", "and"], allow_negative_numbers = true)]
    period: Option<usize>,
    /// Value of the parameter at which whole periodic orbits are given in the JSON answer; may be repeated
    #[arg(long, value_name = "VALUE", value_parser = options::number, requires = "cycles", allow_negative_numbers = true)]
    at: Vec<f64>,
    /// Box that branches may not leave, other than the range of the variable; may be repeated
    #[arg(long = "box", value_name = "NAME=LO:HI", value_parser = options::name_interval, value_delimiter = ',')]
    bounds: Vec<(String, [f64; 2])>,
    /// Values of the parameter at which fixed points are sought to start from, beside the interval's ends and the model's own value; as many
    /// again by orders of magnitude in an interval over several
    #[arg(long, value_name = "N", default_value_t = ContinuationOptions::default().searches, allow_negative_numbers = true)]
    searches: usize,
    /// Starts of Newton's method in each of these searches
    #[arg(long, value_name = "N", default_value_t = ContinuationOptions::default().starts, allow_negative_numbers = true)]
    starts: usize,
    /// Seed of the starts
    #[arg(long, value_name = "N", default_value_t = ContinuationOptions::default().seed, allow_negative_numbers = true)]
    seed: u64,
    /// Table of all points of all branches
    #[arg(short, long = "output", value_name = "FILE.csv")]
    output: Option<PathBuf>,
    /// Bifurcation diagram
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Variable of the diagram [default: the membrane potential, or the first]
    #[arg(long, value_name = "NAME", requires = "plot")]
    show: Option<String>,
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
        let (over, unit) = self.over.input(&spec)?;
        self.over.refuse_fixed(&subject)?;
        let shown = match self.show.as_ref().or(spec.membrane_potential.as_ref()) {
            Some(name) => spec.variable_index(name)?,
            None => 0,
        };
        let bounds = Some(options::box_with(&spec, &self.bounds)?);
        let options = ContinuationOptions {
            bounds: bounds.clone(),
            searches: self.searches,
            starts: self.starts,
            seed: self.seed,
            start: Some(x0.clone()),
            ..ContinuationOptions::default()
        };
        let interval = [self.over.from, self.over.to];
        let conserved = shared
            .watch
            .unless_stopped(held(&*system, i_stim, &p, over, interval, &options))?;
        let found = shared.watch.unless_stopped(match self.period {
            Some(steps) => map_cycles(&*system, steps, i_stim, &p, over, interval, &options),
            None => branches(&*system, i_stim, &p, over, interval, &options),
        })?;
        let outside = found
            .iter()
            .flat_map(|b| &b.points)
            .filter(|q| q.extrapolated)
            .count();
        if outside > 0 {
            let all: usize = found.iter().map(|b| b.points.len()).sum();
            shared.warn(&format!(
                "{outside} of {all} points: state or parameters outside the training range"
            ));
        }
        let periodic = if self.cycles {
            let options = CycleOptions {
                bounds,
                at: self.at.clone(),
                searches: self.searches,
                ..CycleOptions::default()
            };
            shared.watch.unless_stopped(cycles(
                &*system, i_stim, &p, over, interval, &found, &options,
            ))?
        } else {
            Vec::new()
        };
        let curves = match &self.and {
            Some(and) => shared
                .watch
                .unless_stopped(self.curves(&*system, i_stim, x0, &p, and, &found))?,
            None => Vec::new(),
        };
        let mut document = self.document(&spec, &p, &unit, &found, &periodic, &curves)?;
        document["conserved"] = self.conserved_document(&conserved);
        let ways = found
            .iter()
            .map(Branch::complete)
            .chain(periodic.iter().map(CycleBranch::complete))
            .chain(curves.iter().map(Curve::complete));
        let (all, whole) = ways.fold((0, 0), |(all, whole), complete| {
            (all + 1, whole + usize::from(complete))
        });
        if whole < all {
            shared.warn(&format!(
                "{} of {all} branches and curves broke off; what lies beyond was not searched for bifurcations",
                all - whole
            ));
        }
        let mut files = Vec::new();
        if let Some(path) = &self.output {
            files.push(Staged::new(path, |w| {
                self.csv(w, &spec, &found, &periodic)
            })?);
            let meta = json!({"system": self.system.system, "parameters": document["parameters"], "over": self.over.name, "options": options, "units": document["units"], "version": env!("CARGO_PKG_VERSION"), "complete": document["complete"], "ends": found.iter().map(|b| self.ends(b)).collect::<Vec<_>>(), "cycle_ends": periodic.iter().map(|b| self.cycle_ends(b)).collect::<Vec<_>>()});
            files.push(artifact::describe(&files[0], &meta)?);
        }
        if let Some(path) = &self.plot {
            let drawing = svg::draw(&self.figure(&spec, &unit, shown, &found, &periodic, &curves)?);
            files.push(Staged::new(path, |w| w.write_all(drawing.as_bytes()))?);
        }
        files.into_iter().try_for_each(Staged::commit)?;
        if shared.json {
            print_json(&document)
        } else {
            self.show(&spec, &unit, &found, &periodic, &curves, &conserved)
        }
    }

    /// What is conserved, with its values at both ends of the interval: where the parameter enters it, the level moves with the parameter.
    fn conserved_document(&self, [from, to]: &[Vec<Held>; 2]) -> Value {
        let one = |(a, b): (&Held, &Held)| {
            let mut value = json!(a);
            if let Some(fields) = value.as_object_mut() {
                fields.remove("value");
            }
            value["values"] = json!([a.value, b.value]);
            value["held"] = json!(format!(
                "at the value of the start, at each {}",
                self.over.name
            ));
            value
        };
        from.iter().zip(to).map(one).collect()
    }

    /// The ends of a branch whose points have these values of the parameter, and why it ends there.
    fn both_ends(&self, parameters: &[f64], stopped: &[Stop; 2]) -> Vec<End> {
        ends(
            &self.over.name,
            [self.over.from, self.over.to],
            parameters,
            stopped,
        )
    }

    fn ends(&self, branch: &Branch) -> Vec<End> {
        self.both_ends(
            &branch
                .points
                .iter()
                .map(|q| q.parameter)
                .collect::<Vec<_>>(),
            &branch.stopped,
        )
    }

    /// The curves through all bifurcations that have one, each once.
    fn curves(
        &self,
        system: &dyn DynamicalSystem,
        i_stim: f64,
        start: Vec<f64>,
        p: &[f64],
        and: &Over,
        found: &[Branch],
    ) -> Result<Vec<Curve>> {
        let spec = system.spec();
        let (first, second) = (self.over.input(spec)?.0, and.input(spec)?.0);
        if first == second {
            return Err(Error::Input(format!(
                "--over and --and both vary {}; expected two different parameters",
                and.name
            )));
        }
        let value = match second {
            Input::Parameter(k) => p[k],
            Input::Stimulus => i_stim,
        };
        let [low, high] = [and.from.min(and.to), and.from.max(and.to)];
        if !(low..=high).contains(&value) {
            let name = &and.name;
            return Err(Error::Input(format!(
                "{name} is {value}, outside --and {name}={low}:{high}; set it inside with --param, since the curves start there"
            )));
        }
        let intervals = [[self.over.from, self.over.to], [and.from, and.to]];
        let bounds = options::box_with(spec, &self.bounds)?;
        let plane = Plane::new(system, i_stim, p, [first, second], intervals, bounds, start);
        let mut curves: Vec<Curve> = Vec::new();
        for s in found.iter().flat_map(|b| &b.special_points) {
            let followed = matches!(
                s.kind,
                Bifurcation::SaddleNode | Bifurcation::Hopf | Bifurcation::NeimarkSacker
            );
            if followed && !curves.iter().any(|c| plane.passes(c, s, value)) {
                curves.push(plane.curve(s, value));
            }
        }
        Ok(curves)
    }

    fn document(
        &self,
        spec: &Spec,
        p: &[f64],
        unit: &str,
        found: &[Branch],
        periodic: &[CycleBranch],
        curves: &[Curve],
    ) -> Result<Value> {
        let branch = |b: &Branch| {
            let special = |s: &SpecialPoint| {
                let mut value = json!(s);
                value["x"] = named(&spec.variables, &s.x);
                value
            };
            let column = |i: usize| b.points.iter().map(|q| q.x[i]).collect::<Vec<f64>>();
            let mut points = serde_json::Map::new();
            points.insert(
                "parameter".into(),
                json!(b.points.iter().map(|q| q.parameter).collect::<Vec<_>>()),
            );
            for (i, q) in spec.variables.iter().enumerate() {
                points.insert(q.name.clone(), json!(column(i)));
            }
            points.insert(
                "stable".into(),
                json!(b.points.iter().map(|q| q.stable).collect::<Vec<_>>()),
            );
            points.insert(
                "eigenvalues".into(),
                json!(b.points.iter().map(|q| &q.eigenvalues).collect::<Vec<_>>()),
            );
            points.insert(
                "extrapolated".into(),
                json!(b.points.iter().map(|q| q.extrapolated).collect::<Vec<_>>()),
            );
            json!({"special_points": b.special_points.iter().map(special).collect::<Vec<_>>(), "points": points, "complete": b.complete(), "ends": self.ends(b), "stopped": text_of(&self.ends(b))})
        };
        let mut units = units(spec);
        units.insert("parameter".into(), json!(unit));
        units.insert("eigenvalues".into(), json!(rate_unit(spec)));
        units.insert("frequency".into(), json!(angular_unit(spec)));
        let complete = found.iter().all(Branch::complete)
            && periodic.iter().all(CycleBranch::complete)
            && curves.iter().all(Curve::complete);
        let mut document = json!({
            "over": self.over.name,
            "complete": complete,
            "branches": found.iter().map(branch).collect::<Vec<_>>(),
            "parameters": named(&spec.parameters, p),
        });
        if let Some(steps) = self.period {
            document["period"] = json!(steps);
        }
        if self.cycles {
            units.insert("period".into(), json!(spec.time_unit));
            units.insert("t".into(), json!(spec.time_unit));
            units.insert("multipliers".into(), json!("1"));
            document["cycles"] = periodic
                .iter()
                .map(|b| self.cycle_document(spec, b))
                .collect();
        }
        if let Some(and) = &self.and {
            units.insert("second_parameter".into(), json!(and.input(spec)?.1));
            document["and"] = json!(and.name);
            document["curves"] = json!(curves);
            for (value, curve) in document["curves"]
                .as_array_mut()
                .into_iter()
                .flatten()
                .zip(curves)
            {
                value["complete"] = json!(curve.complete());
                for (value, s) in value["special_points"]
                    .as_array_mut()
                    .into_iter()
                    .flatten()
                    .zip(&curve.special_points)
                {
                    value["x"] = named(&spec.variables, &s.x);
                }
            }
        }
        document["units"] = Value::Object(units);
        Ok(document)
    }

    fn cycle_ends(&self, branch: &CycleBranch) -> Vec<End> {
        self.both_ends(
            &branch
                .points
                .iter()
                .map(|q| q.parameter)
                .collect::<Vec<_>>(),
            &branch.stopped,
        )
    }

    fn cycle_document(&self, spec: &Spec, branch: &CycleBranch) -> Value {
        let points = &branch.points;
        let one = |q: &CyclePoint| {
            let mut value = json!(q);
            value["min"] = named(&spec.variables, &q.min);
            value["max"] = named(&spec.variables, &q.max);
            value
        };
        let extent = |of: &dyn Fn(&CyclePoint) -> &[f64]| {
            let column = |i: usize| json!(points.iter().map(|q| of(q)[i]).collect::<Vec<f64>>());
            spec.variables
                .iter()
                .enumerate()
                .map(|(i, q)| (q.name.clone(), column(i)))
                .collect::<serde_json::Map<_, _>>()
        };
        let special = branch.special_points.iter().map(|s| {
            let mut value = one(&s.cycle);
            value["kind"] = json!(s.kind);
            value
        });
        let whole = branch.at.iter().map(|q| {
            let mut value = one(&q.cycle);
            value["t"] = json!(q.t);
            for (i, v) in spec.variables.iter().enumerate() {
                value["x"][&v.name] = json!(q.x.iter().map(|x| x[i]).collect::<Vec<f64>>());
            }
            value
        });
        json!({
            "started_from": branch.started_from,
            "special_points": special.collect::<Vec<_>>(),
            "points": {
                "parameter": points.iter().map(|q| q.parameter).collect::<Vec<_>>(),
                "period": points.iter().map(|q| q.period).collect::<Vec<_>>(),
                "min": extent(&|q| &q.min),
                "max": extent(&|q| &q.max),
                "multipliers": points.iter().map(|q| &q.multipliers).collect::<Vec<_>>(),
                "trivial_error": points.iter().map(|q| q.trivial_error).collect::<Vec<_>>(),
                "stable": points.iter().map(|q| q.stable).collect::<Vec<_>>(),
            },
            "at": whole.collect::<Vec<_>>(),
            "complete": branch.complete(),
            "ends": self.cycle_ends(branch),
            "stopped": text_of(&self.cycle_ends(branch)),
        })
    }

    /// Fixed points, then, in a table of the same columns, the smallest and the largest values of cycles, with their multipliers in the place
    /// of eigenvalues.
    fn csv(
        &self,
        w: &mut dyn Write,
        spec: &Spec,
        found: &[Branch],
        periodic: &[CycleBranch],
    ) -> std::io::Result<()> {
        let n = spec.variables.len();
        write!(w, "branch,kind,{}", self.over.name)?;
        spec.variables
            .iter()
            .try_for_each(|q| write!(w, ",{}", q.name))?;
        (1..=n).try_for_each(|k| write!(w, ",mu{k}_re,mu{k}_im"))?;
        write!(w, ",stable,extrapolated")?;
        if self.cycles {
            write!(w, ",period")?;
            spec.variables
                .iter()
                .try_for_each(|q| write!(w, ",{}_max", q.name))?;
        }
        writeln!(w)?;
        let empty = if self.cycles {
            ",".repeat(n + 1)
        } else {
            String::new()
        };
        for (k, branch) in found.iter().enumerate() {
            for q in &branch.points {
                write!(w, "{k},,{}", q.parameter)?;
                q.x.iter().try_for_each(|x| write!(w, ",{x}"))?;
                q.eigenvalues
                    .iter()
                    .try_for_each(|m| write!(w, ",{},{}", m.re, m.im))?;
                writeln!(w, ",{},{}{empty}", q.stable, q.extrapolated)?;
            }
            for s in &branch.special_points {
                write!(w, "{k},{:?},{}", s.kind, s.parameter)?;
                s.x.iter().try_for_each(|x| write!(w, ",{x}"))?;
                s.eigenvalues
                    .iter()
                    .try_for_each(|m| write!(w, ",{},{}", m.re, m.im))?;
                writeln!(w, ",,{}{empty}", s.extrapolated)?;
            }
        }
        for (k, branch) in periodic.iter().enumerate() {
            let mut row = |kind: &str, q: &CyclePoint| {
                write!(w, "cycle{k},{kind},{}", q.parameter)?;
                q.min.iter().try_for_each(|x| write!(w, ",{x}"))?;
                q.multipliers
                    .iter()
                    .try_for_each(|m| write!(w, ",{},{}", m.re, m.im))?;
                write!(w, ",1,0,{},,{}", q.stable, q.period)?;
                q.max.iter().try_for_each(|x| write!(w, ",{x}"))?;
                writeln!(w)
            };
            branch.points.iter().try_for_each(|q| row("", q))?;
            branch
                .special_points
                .iter()
                .try_for_each(|s| row(&format!("{:?}", s.kind), &s.cycle))?;
        }
        Ok(())
    }

    fn show(
        &self,
        spec: &Spec,
        unit: &str,
        found: &[Branch],
        periodic: &[CycleBranch],
        curves: &[Curve],
        conserved: &[Vec<Held>; 2],
    ) -> Result<()> {
        let bare = |u: &str| {
            if u == "1" || u.is_empty() {
                String::new()
            } else {
                format!(" ({u})")
            }
        };
        let mut rows = vec![vec![
            "branch".to_owned(),
            "bifurcation".into(),
            format!("{}{}", self.over.name, bare(unit)),
        ]];
        rows[0].extend(
            spec.variables
                .iter()
                .take(6)
                .map(|q| format!("{}{}", q.name, bare(&q.unit))),
        );
        rows[0].push(format!("angular frequency ({}), l1", angular_unit(spec)));
        for (k, branch) in found.iter().enumerate() {
            for s in &branch.special_points {
                let mut row = vec![
                    k.to_string(),
                    format!("{:?}", s.kind),
                    format!("{:.8}", s.parameter),
                ];
                row.extend(s.x.iter().take(6).map(|x| short(*x)));
                let hopf = s.frequency.map(|f| {
                    format!(
                        "{}, {}",
                        short(f),
                        s.first_lyapunov_coefficient.map_or("?".into(), short)
                    )
                });
                row.push(hopf.unwrap_or_default());
                rows.push(row);
            }
        }
        let mut cycle_rows = vec![vec![
            "cycles".to_owned(),
            "bifurcation".into(),
            format!("{}{}", self.over.name, bare(unit)),
        ]];
        cycle_rows[0].push(format!("period{}", bare(&spec.time_unit)));
        cycle_rows[0].extend(
            spec.variables
                .iter()
                .take(4)
                .map(|q| format!("{}{}", q.name, bare(&q.unit))),
        );
        for (k, branch) in periodic.iter().enumerate() {
            for s in &branch.special_points {
                let q = &s.cycle;
                let mut row = vec![
                    k.to_string(),
                    format!("{:?}", s.kind),
                    format!("{:.8}", q.parameter),
                    format!("{:.6}", q.period),
                ];
                row.extend(
                    q.min
                        .iter()
                        .zip(&q.max)
                        .take(4)
                        .map(|(a, b)| format!("{} to {}", short(*a), short(*b))),
                );
                cycle_rows.push(row);
            }
        }
        print(|w| {
            if rows.len() > 1 {
                write_cells(w, &rows)?
            } else {
                writeln!(
                    w,
                    "no bifurcation{}",
                    if found.iter().all(Branch::complete) {
                        ""
                    } else {
                        " on what was followed"
                    }
                )?
            }
            found.iter().enumerate().try_for_each(|(k, b)| {
                writeln!(
                    w,
                    "branch {k}: {} points; {}",
                    b.points.len(),
                    text_of(&self.ends(b))
                )
            })?;
            for (
                Held {
                    quantity: q, value, ..
                },
                Held { value: end, .. },
            ) in conserved[0].iter().zip(&conserved[1])
            {
                let unit = if q.unit == "1" {
                    String::new()
                } else {
                    format!(" {}", q.unit)
                };
                let moves = if value == end {
                    format!("{} = {value:.10}{unit}", q.name)
                } else {
                    format!(
                        "{} from {value:.10} to {end:.10}{unit}, since {} enters it",
                        q.name, self.over.name
                    )
                };
                writeln!(
                    w,
                    "conserved: {moves} ({}), held at the value of the start",
                    q.description
                )?;
            }
            if self.cycles {
                writeln!(w)?;
                match &cycle_rows[..] {
                    [_] if periodic.iter().all(CycleBranch::complete) => {
                        writeln!(w, "no bifurcation of cycles")?
                    }
                    [_] => writeln!(w, "no bifurcation of cycles on what was followed")?,
                    rows => write_cells(w, rows)?,
                }
            }
            for (k, b) in periodic.iter().enumerate() {
                let from = match b.started_from {
                    Origin::Hopf(at) => format!("from the Hopf point at {}", short(at)),
                    Origin::Simulation(at) => {
                        format!("found by simulation at {}", short(at))
                    }
                };
                writeln!(
                    w,
                    "cycles {k}: {} points, {from}; {}",
                    b.points.len(),
                    text_of(&self.cycle_ends(b))
                )?;
            }
            let Some(and) = &self.and else { return Ok(()) };
            curves.iter().enumerate().try_for_each(|(k, c)| {
                let end = |q: Option<&CurvePoint>, stop: &CurveStop| {
                    let at = q.map_or([f64::NAN; 2], |q| q.parameters).map(short);
                    format!(
                        "{} = {}, {} = {} ({stop})",
                        self.over.name, at[0], and.name, at[1]
                    )
                };
                let (from, to) = (
                    end(c.points.first(), &c.stopped[0]),
                    end(c.points.last(), &c.stopped[1]),
                );
                writeln!(
                    w,
                    "curve {k}, {:?}: {} points from {from} to {to}",
                    c.kind,
                    c.points.len()
                )?;
                c.special_points.iter().try_for_each(|s| {
                    let at = s.parameters;
                    writeln!(
                        w,
                        "    {:?} at {} = {:.8}, {} = {:.8}",
                        s.kind, self.over.name, at[0], and.name, at[1]
                    )
                })
            })
        })
    }

    /// Stable parts dark, unstable ones dashed, of cycles the smallest and the largest value in other colours; bifurcations as dots.
    fn figure(
        &self,
        spec: &Spec,
        unit: &str,
        shown: usize,
        found: &[Branch],
        periodic: &[CycleBranch],
        curves: &[Curve],
    ) -> Result<Figure> {
        let q = &spec.variables[shown];
        let mut panel = Panel::new(
            "",
            Axis::new(&self.over.name, unit),
            Axis::new(&q.name, &q.unit),
        )
        .with_height(420.0);
        for (k, branch) in found.iter().enumerate() {
            for (stable, name, role) in [
                (true, "stable", Role::Equations),
                (false, "unstable", Role::Network),
            ] {
                // Each part to the point where the next begins.
                let touches = |i: usize| {
                    branch.points[i].stable == stable
                        || (i > 0 && branch.points[i - 1].stable == stable)
                };
                let (x, y): (Vec<f64>, Vec<f64>) = branch
                    .points
                    .iter()
                    .enumerate()
                    .map(|(i, q)| (q.parameter, if touches(i) { q.x[shown] } else { f64::NAN }))
                    .unzip();
                if y.iter().any(|y| !y.is_nan()) {
                    panel = panel.with(Series::line(if k == 0 { name } else { "" }, role, x, y));
                }
            }
        }
        for (stable, name, role) in [
            (true, "stable cycles", Role::Third),
            (false, "unstable cycles", Role::Second),
        ] {
            let mut first = true;
            for branch in periodic {
                for of in [
                    |q: &CyclePoint, i: usize| q.min[i],
                    |q: &CyclePoint, i: usize| q.max[i],
                ] {
                    let touches = |i: usize| {
                        branch.points[i].stable == stable
                            || (i > 0 && branch.points[i - 1].stable == stable)
                    };
                    let value = |(i, q): (usize, &CyclePoint)| {
                        (
                            q.parameter,
                            if touches(i) { of(q, shown) } else { f64::NAN },
                        )
                    };
                    let (x, y): (Vec<f64>, Vec<f64>) =
                        branch.points.iter().enumerate().map(value).unzip();
                    if y.iter().any(|y| !y.is_nan()) {
                        panel = panel.with(Series::line(if first { name } else { "" }, role, x, y));
                        first = false;
                    }
                }
            }
        }
        let kinds = [
            (Bifurcation::SaddleNode, Role::Second),
            (Bifurcation::BranchPoint, Role::Equations),
            (Bifurcation::Hopf, Role::Orbit),
            (Bifurcation::PeriodDoubling, Role::Third),
            (Bifurcation::NeimarkSacker, Role::Orbit),
        ];
        for (kind, role) in kinds {
            let special = found
                .iter()
                .flat_map(|b| &b.special_points)
                .filter(|s| s.kind == kind);
            let (mut x, mut y): (Vec<f64>, Vec<f64>) =
                special.map(|s| (s.parameter, s.x[shown])).unzip();
            for s in periodic
                .iter()
                .flat_map(|b| &b.special_points)
                .filter(|s| s.kind == kind)
            {
                x.extend([s.cycle.parameter; 2]);
                y.extend([s.cycle.min[shown], s.cycle.max[shown]]);
            }
            if !x.is_empty() {
                panel = panel.with(Series::points(&format!("{kind:?}"), role, x, y));
            }
        }
        // Where something broke off, it may go on.
        let broken = |parameters: Vec<f64>, values: Vec<f64>, stopped: &[Stop; 2]| {
            let ends = [
                (parameters.first().copied(), values.first().copied()),
                (parameters.last().copied(), values.last().copied()),
            ];
            ends.into_iter()
                .zip(stopped)
                .filter(|(_, stop)| !stop.complete())
                .filter_map(|((x, y), _)| x.zip(y))
                .collect::<Vec<_>>()
        };
        let (x, y): (Vec<f64>, Vec<f64>) = (found.iter())
            .map(|b| {
                broken(
                    b.points.iter().map(|q| q.parameter).collect(),
                    b.points.iter().map(|q| q.x[shown]).collect(),
                    &b.stopped,
                )
            })
            .chain(periodic.iter().map(|b| {
                broken(
                    b.points.iter().map(|q| q.parameter).collect(),
                    b.points.iter().map(|q| q.max[shown]).collect(),
                    &b.stopped,
                )
            }))
            .flatten()
            .unzip();
        if !x.is_empty() {
            panel = panel.with(Series::points("broke off", Role::Network, x, y));
        }
        let figure = Figure::new(
            "continuation",
            &spec.id,
            &format!("Fixed points over {}.", self.over.name),
        )
        .with(panel);
        let Some(and) = &self.and else {
            return Ok(figure);
        };
        let mut plane = Panel::new(
            "",
            Axis::new(&self.over.name, unit),
            Axis::new(&and.name, &and.input(spec)?.1),
        )
        .with_height(300.0);
        for (k, c) in curves.iter().enumerate() {
            let role = if c.kind == Bifurcation::SaddleNode {
                Role::Third
            } else {
                Role::Second
            };
            let name = if curves[..k].iter().any(|o| o.kind == c.kind) {
                String::new()
            } else {
                format!("{:?} curve", c.kind)
            };
            let (x, y) = c
                .points
                .iter()
                .map(|q| (q.parameters[0], q.parameters[1]))
                .unzip();
            plane = plane.with(Series::line(&name, role, x, y));
        }
        let kinds = [
            (Codimension2::Cusp, Role::Third),
            (Codimension2::BogdanovTakens, Role::Equations),
            (Codimension2::GeneralisedHopf, Role::Orbit),
            (Codimension2::FoldHopf, Role::Network),
        ];
        for (kind, role) in kinds {
            let special = curves
                .iter()
                .flat_map(|c| &c.special_points)
                .filter(|s| s.kind == kind);
            let (x, y): (Vec<f64>, Vec<f64>) =
                special.map(|s| (s.parameters[0], s.parameters[1])).unzip();
            if !x.is_empty() {
                plane = plane.with(Series::points(&format!("{kind:?}"), role, x, y));
            }
        }
        Ok(figure.with(plane))
    }
}
