//! Making responses: batches of runs, cut into samples.

use ionoscope_dynamics::{
    Error as DynamicsError,
    protocol::{Member, ProtocolFamily, Signal},
    sampling::{Generator, stream, uniform},
    spec::Spec,
    system::DynamicalSystem,
    trajectory::{Experiment, SolveOptions, TimeGrid, Trajectory},
    watch::Watcher,
};

use super::{
    config::{ResponseConfig, set_parameters},
    family::member,
    parts::Parts,
    set::{ResponseData, Responses},
};
use crate::{Error, Result};

/// Experiments solved at once.
const BATCH: usize = 256;
/// What makes a third seed of one.
const THIRD: u64 = 0x7465_7374_5f73_6574;

/// Makes a dataset. The same configuration gives the same numbers for any number of threads. `watch` hears how many of all samples are done.
///
/// # Errors
/// A configuration that does not fit the system; a family whose runs end before the grid; an experiment that fails, by its class and member;
/// being stopped.
pub fn respond(
    system: &dyn DynamicalSystem,
    config: &ResponseConfig,
    watch: &Watcher,
) -> Result<ResponseData> {
    respond_in_parts(system, config, None, watch)
}

/// As [`respond`]; batches that stand in `parts` are taken from there, and new ones are kept there.
///
/// # Errors
/// As [`respond`]; a part that cannot be written.
pub fn respond_in_parts(
    system: &dyn DynamicalSystem,
    config: &ResponseConfig,
    parts: Option<&Parts>,
    watch: &Watcher,
) -> Result<ResponseData> {
    make(system, config, parts, None, watch)
}

/// Makes every `of`-th batch, from number `index` on, and keeps it in `parts`: several processes share the work so, and
/// [`respond_in_parts`] takes everything from there.
///
/// # Errors
/// As [`respond_in_parts`].
pub fn respond_shard(
    system: &dyn DynamicalSystem,
    config: &ResponseConfig,
    parts: &Parts,
    [index, of]: [usize; 2],
    watch: &Watcher,
) -> Result<()> {
    make(system, config, Some(parts), Some([index, of]), watch).map(|_| ())
}

/// What all sets of a dataset have in common, checked.
struct Maker<'a> {
    system: &'a dyn DynamicalSystem,
    config: &'a ResponseConfig,
    parts: Option<&'a Parts>,
    /// Makes only every so-manieth batch, from a first one on.
    shard: Option<[usize; 2]>,
    watch: &'a Watcher,
    spec: Spec,
    /// Parameters before those are drawn that vary.
    p: Vec<f64>,
    /// Places of the parameters that vary, and their ranges.
    varied: Vec<(usize, [f64; 2])>,
    /// Samples that are done.
    done: usize,
    /// Batches that were come to.
    batches: usize,
}

/// One set to make.
struct Set<'a> {
    name: &'a str,
    family: &'a ProtocolFamily,
    /// Samples.
    count: usize,
    /// Of the members.
    seed: u64,
    /// Of all else that is random.
    other: u64,
}

fn make(
    system: &dyn DynamicalSystem,
    config: &ResponseConfig,
    parts: Option<&Parts>,
    shard: Option<[usize; 2]>,
    watch: &Watcher,
) -> Result<ResponseData> {
    config.check_for(system.spec())?;
    let mut spec = system.spec().clone();
    let p = set_parameters(&spec, &config.parameters)?;
    spec.parameters
        .iter_mut()
        .zip(&p)
        .for_each(|(q, v)| q.default = *v);
    let mut maker = Maker {
        system,
        config,
        parts,
        shard,
        watch,
        varied: config.varied(&spec)?,
        spec,
        p,
        done: 0,
        batches: 0,
    };
    let (training, test) = (
        config.training_family.family()?,
        config.test_family.family()?,
    );
    let [many, some, few] = config.samples;
    let seed = config.seed;
    let third = seed.rotate_left(32) ^ THIRD;
    let set = |name, family, count, [seed, other]: [u64; 2]| Set {
        name,
        family,
        count,
        seed,
        other,
    };
    // Families of different names are drawn apart under any seed.
    let apart = training.name != test.name;
    let of_test = if apart { seed } else { third };
    Ok(ResponseData {
        config: config.clone(),
        training: maker.make(&set("training", &training, many, [seed; 2]))?,
        validation: maker.make(&set("validation", &training, some, [!seed; 2]))?,
        test: maker.make(&set("test", &test, few, [of_test, third]))?,
        classes: [&training, &test].map(|f| f.classes.iter().map(|c| c.name.clone()).collect()),
        spec: maker.spec,
    })
}

impl Maker<'_> {
    /// The samples of a set; of a shard none.
    fn make(&mut self, of: &Set) -> Result<Responses> {
        let config = self.config;
        let windows = config.windows.max(1);
        let runs = of.count.div_ceil(windows);
        let mut set = Responses {
            points: config.points,
            variables: self.spec.variables.len(),
            parameters: self.spec.parameters.len(),
            ..Responses::default()
        };
        for first in (0..runs).step_by(BATCH) {
            let number = self.batches;
            self.batches += 1;
            if let Some([index, shards]) = self.shard {
                // What is in the parts is not wanted here.
                [&mut set.input, &mut set.x]
                    .into_iter()
                    .for_each(Vec::clear);
                set.class.clear();
                set.p.clear();
                if number % shards != index {
                    continue;
                }
            }
            let part = format!("{}-{first}", of.name);
            let expected = (BATCH * windows).min(of.count - first * windows);
            let before = set.len();
            if self
                .parts
                .is_some_and(|parts| parts.load(&part, expected, &mut set))
            {
                self.done += expected;
                continue;
            }
            let members = self.members(of, first, runs)?;
            let batch = self.experiments(of, first, &members)?;
            let solved = self.solve(&batch)?;
            for (r, (member, run)) in members.iter().zip(solved).enumerate() {
                // The last run may give fewer windows.
                let wanted = windows.min(of.count - (first + r) * windows);
                let mut rng = stream(of.other, "window", (first + r) as u64);
                let run = run.completed()?;
                let signal = member.protocol.signal(member.t_end);
                for _ in 0..wanted {
                    self.cut(&signal, &run, &mut rng, &mut set);
                    set.class.push(member.class as u32);
                    set.p.extend(&batch[r].p);
                }
            }
            if let Some(parts) = self.parts {
                parts.save(&part, before, &set)?;
            }
            self.done += set.len() - before;
            let all = config.samples.iter().sum();
            self.watch.progress(self.done, all, "responses");
            if self.watch.stopped() {
                return Err(self.interrupted());
            }
        }
        Ok(set)
    }

    /// The members of the family for a batch of the set's runs.
    fn members(&self, of: &Set, first: usize, runs: usize) -> Result<Vec<Member>> {
        let draw = of.family.len().unwrap_or(runs as u64).max(1);
        let members: Vec<_> = (first as u64..(first + BATCH).min(runs) as u64)
            .map(|k| member(of.family, of.seed, draw, k, runs as u64))
            .collect::<ionoscope_dynamics::Result<_>>()?;
        let t_end = self.config.t_end;
        match members.iter().find(|m| m.t_end < t_end * (1.0 - 1e-12)) {
            Some(short) => Err(Error::Invalid(format!(
                "family '{}' ends at {}, before t_end = {t_end}; expected a grid within it",
                of.family.name, short.t_end
            ))),
            None => Ok(members),
        }
    }

    /// What is solved for the members, with random parameters.
    fn experiments(&self, of: &Set, first: usize, members: &[Member]) -> Result<Vec<Experiment>> {
        let dt = self.config.edge(1);
        // Windows lie anywhere in the run.
        let times = |m: &Member| {
            if self.config.windows == 0 {
                self.config.points
            } else {
                (m.t_end / dt * (1.0 + 1e-12)).floor() as usize
            }
        };
        let x0 = self.spec.default_state();
        let one = |(r, m): (usize, &Member)| {
            let times = TimeGrid::new(0.0, dt, times(m))?;
            let mut p = self.p.clone();
            let mut rng = stream(of.other, "parameters", (first + r) as u64);
            self.varied
                .iter()
                .for_each(|(i, range)| p[*i] = uniform(&mut rng, *range));
            Ok(Experiment {
                x0: x0.clone(),
                p,
                protocol: m.protocol.clone(),
                times,
            })
        };
        members.iter().enumerate().map(one).collect()
    }

    fn solve(&self, batch: &[Experiment]) -> Result<Vec<Trajectory>> {
        let options = SolveOptions {
            rtol: self.config.rtol,
            atol: self.config.atol,
            watch: self.watch.silent(),
            ..SolveOptions::default()
        };
        self.system
            .solve_ensemble(batch, &options)
            .map_err(|e| match e {
                DynamicsError::Interrupted => self.interrupted(),
                e => e.into(),
            })
    }

    /// Appends one sample of a run but for its class and parameters: its beginning, or a window at a random time.
    fn cut(&self, signal: &Signal, run: &Trajectory, rng: &mut Generator, set: &mut Responses) {
        let config = self.config;
        let latest = (run.len() - config.points) as f64;
        let begin = if config.windows == 0 {
            0
        } else {
            uniform(rng, [0.0, latest + 1.0]).floor().min(latest) as usize
        };
        let edge = |i: usize| config.edge(begin + i);
        let means = (0..config.points).map(|i| signal.mean(edge(i), edge(i + 1)) as f32);
        set.input.extend(means);
        for i in 0..set.variables {
            let window = run.variable(i).skip(begin).take(config.points);
            set.x.extend(window.map(|v| v as f32));
        }
    }

    fn interrupted(&self) -> Error {
        let kept = if self.parts.is_some() {
            "the same command goes on from here"
        } else {
            "nothing was written"
        };
        Error::Failed(format!("interrupted; {kept}"))
    }
}
