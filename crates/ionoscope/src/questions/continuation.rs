//! Branches of fixed points and of cycles over a parameter, and their bifurcations.

use ionoscope_analysis::continuation::{
    Bifurcation, Branch, ContinuationOptions, branches,
    curves::{Curve, Plane},
    cycles::{CycleOptions, cycles},
    held,
    map_cycles::map_cycles,
};
use ionoscope_dynamics::{
    system::{DynamicalSystem, Input},
    watch::Watcher,
};
use serde::Deserialize;
use serde_json::json;

use super::question::Question;
use crate::{
    Error, Result,
    answer::Answer,
    by_name,
    options::{self, Over},
    subject::Subject,
};
use followed::{Followed, Results};

mod document;
mod figure;
mod followed;
mod table;
mod text;

/// Follows fixed points, and periodic orbits, over a parameter and finds their bifurcations
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[serde(default, deny_unknown_fields)]
pub struct Continuation {
    /// The parameter, or i_stim, and the interval over which it is varied
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME=FROM:TO", value_parser = options::interval, allow_hyphen_values = true))]
    pub over: Over,
    /// A second parameter, or i_stim: saddle-nodes and Hopf points are followed over both
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME=FROM:TO", value_parser = options::interval, allow_hyphen_values = true))]
    pub and: Option<Over>,
    /// Follow periodic orbits too, from Hopf points and from simulations; of a map its invariant closed curves
    #[cfg_attr(feature = "clap", arg(long))]
    pub cycles: bool,
    /// Of a map: follow cycles of so many steps in place of fixed points
    #[cfg_attr(feature = "clap", arg(long, value_name = "STEPS", conflicts_with_all = ["cycles", "and"], allow_negative_numbers = true))]
    pub period: Option<usize>,
    /// Value of the parameter at which whole periodic orbits are given in the JSON answer; may be repeated
    #[cfg_attr(feature = "clap", arg(long, value_name = "VALUE", value_parser = options::number, requires = "cycles", allow_negative_numbers = true))]
    pub at: Vec<f64>,
    /// Box that branches may not leave, other than the range of the variable; may be repeated
    #[cfg_attr(feature = "clap", arg(long = "box", value_name = "NAME=LO:HI", value_parser = options::name_interval, value_delimiter = ','))]
    #[serde(rename = "box", deserialize_with = "by_name::deserialize")]
    pub bounds: Vec<(String, [f64; 2])>,
    /// Values of the parameter at which fixed points are sought to start from, beside the interval's ends and the model's own value; as many
    /// again by orders of magnitude in an interval over several
    #[cfg_attr(feature = "clap", arg(long, value_name = "N", default_value_t = Continuation::default().searches, allow_negative_numbers = true))]
    pub searches: usize,
    /// Starts of Newton's method in each of these searches
    #[cfg_attr(feature = "clap", arg(long, value_name = "N", default_value_t = Continuation::default().starts, allow_negative_numbers = true))]
    pub starts: usize,
    /// Seed of the starts
    #[cfg_attr(feature = "clap", arg(long, value_name = "N", default_value_t = Continuation::default().seed, allow_negative_numbers = true))]
    pub seed: u64,
    /// Variable of the diagram [default: the membrane potential, or the first]
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME"))]
    pub show: Option<String>,
}

impl Default for Continuation {
    fn default() -> Self {
        let ContinuationOptions {
            searches,
            starts,
            seed,
            ..
        } = ContinuationOptions::default();
        Continuation {
            over: Over::default(),
            and: None,
            cycles: false,
            period: None,
            at: Vec::new(),
            bounds: Vec::new(),
            searches,
            starts,
            seed,
            show: None,
        }
    }
}

impl Question for Continuation {
    fn ask(&self, subject: &Subject, watch: &Watcher) -> Result<Answer> {
        let spec = &subject.spec;
        subject.refuse_fixed(&self.over)?;
        self.check()?;
        let unit = self.over.input(spec)?.1;
        let shown = match self.show.as_ref().or(spec.membrane_potential.as_ref()) {
            Some(name) => spec.variable_index(name)?,
            None => 0,
        };
        let and = match &self.and {
            Some(and) => Some((and, and.input(spec)?.1)),
            None => None,
        };
        let options = ContinuationOptions {
            bounds: Some(options::box_with(spec, &self.bounds)?),
            searches: self.searches,
            starts: self.starts,
            seed: self.seed,
            start: Some(subject.x0.clone()),
            ..ContinuationOptions::default()
        };
        let followed = Followed {
            results: self.follow(subject, &options, watch)?,
            spec,
            p: &subject.p,
            over: &self.over,
            unit,
            and,
            period: self.period,
            cycles: self.cycles,
        };
        let mut answer = Answer::new(followed.document());
        answer.text = followed.text();
        answer.tables.push(followed.table());
        answer.figures.push(followed.figure(shown));
        answer.warnings = followed.complaints();
        let meta = json!({
            "over": self.over.name,
            "options": options,
            "units": answer.document["units"],
            "complete": answer.document["complete"],
            "ends": followed.results.branches.iter().map(|b| followed.ends(b)).collect::<Vec<_>>(),
            "cycle_ends": followed.results.periodic.iter().map(|b| followed.cycle_ends(b)).collect::<Vec<_>>(),
        });
        answer
            .meta
            .extend(meta.as_object().cloned().unwrap_or_default());
        Ok(answer)
    }
}

impl Continuation {
    /// Checks what goes together, as the command line does.
    fn check(&self) -> Result<()> {
        let wrong = |message: &str| Err(Error::Input(message.into()));
        match (self.period, &self.and) {
            (Some(_), _) if self.cycles => {
                wrong("--period is for maps in place of --cycles; leave one of them out")
            }
            (Some(_), Some(_)) => {
                wrong("--period follows no curves over two parameters; leave out --and")
            }
            _ if !self.at.is_empty() && !self.cycles => {
                wrong("--at gives whole cycles; add --cycles")
            }
            _ => Ok(()),
        }
    }

    /// Follows everything that is asked for.
    fn follow(
        &self,
        subject: &Subject,
        options: &ContinuationOptions,
        watch: &Watcher,
    ) -> Result<Results> {
        let Subject { p, x0, .. } = subject;
        let (system, i_stim) = (subject.system()?, subject.constant_stimulus()?);
        let over = self.over.input(&subject.spec)?.0;
        let interval = [self.over.from, self.over.to];
        let conserved = watch.unless_stopped(held(system, i_stim, p, over, interval, options))?;
        let branches = watch.unless_stopped(match self.period {
            Some(steps) => map_cycles(system, steps, i_stim, p, over, interval, options),
            None => branches(system, i_stim, p, over, interval, options),
        })?;
        let periodic = if self.cycles {
            let options = CycleOptions {
                bounds: options.bounds.clone(),
                at: self.at.clone(),
                searches: self.searches,
                ..CycleOptions::default()
            };
            let found = cycles(system, i_stim, p, over, interval, &branches, &options);
            watch.unless_stopped(found)?
        } else {
            Vec::new()
        };
        let curves = match &self.and {
            Some(and) => {
                watch.unless_stopped(self.curves(system, i_stim, x0.clone(), p, and, &branches))?
            }
            None => Vec::new(),
        };
        Ok(Results {
            branches,
            periodic,
            curves,
            conserved,
        })
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
}
