//! Basins of attraction: which share of starts ends on which attractor.
//!
//! Times follow from the system's own ([`crate::time_scales`]). A trajectory stops as soon as it is known to be on an attractor that is
//! known already (see `attractors.rs`): inside a neighborhood of a fixed point from which test trajectories all came to it, or for some time
//! among the cells that a motion visits, as in the method of recurrences of Datseris and Wagemakers (Chaos 32 (2022) 023104, doi
//! 10.1063/5.0076568). What is still undecided after a first time is judged by a window: it rests near a stable fixed point, or its returns
//! repeat, or both halves of the window look alike; then the first Lyapunov exponent decides whether it is aperiodic (positive) or
//! quasiperiodic (zero). Otherwise a longer window follows, and after the last one the trajectory counts as **not settled**, and nothing else:
//! the intervals of all other shares allow for it.
//!
//! A few trajectories, spread over all starts, go first, so that the others find the attractors known. A new motion counts as an attractor
//! where states a little beside it come back to it; fixed points and motions that states beside them leave are **unstable**, and only starts
//! exactly on them or on what leads to them, such as a plane of symmetry, stay: starts of a grid. A random start that was seen there will leave,
//! and counts as not settled.

use ionoscope_dynamics::{system::DynamicalSystem, watch::Watcher};

use crate::{
    Result,
    conserved::Laws,
    settling::{SETTLING, Several},
    time_scales::{self, time_scales},
};

mod answer;
mod attractors;
mod follow;
mod growth;
mod run;
#[cfg(test)]
mod tests;
mod trap;

pub use answer::{Attractor, AttractorKind, BasinOptions, Basins, Starts, Times, wilson_interval};
use attractors::Known;
use run::{MOST_VARIABLES, Run, whole};

/// Trajectories in memory at once.
const CHUNK: usize = 8192;
/// Starts at which time scales are measured, beside the default one.
const MEASURED: usize = 6;
/// The first time, in mean intervals of an irregular motion.
const INTERVALS: f64 = 30.0;
/// Windows, each twice as long as the one before, the first as long as the first time.
const WINDOWS: usize = 5;
/// Share of a period that a state has to stay among the cells of a cycle, where there are cells along all variables; otherwise, and among those
/// of an irregular motion, it is a whole one. Of 10 000 starts of a bistable cell none ended elsewhere when it was followed to the end.
const AMONG_ALL: f64 = 0.125;
/// Looks in the time that a state has to stay among cells.
const LOOKS: f64 = 24.0;
/// Work on trajectories that are judged by windows: steps times variables to the power of 3/2.
const MOST_WORK: f64 = 3e10;

impl BasinOptions {
    /// Times that are not given, from the motion of several starts.
    fn times(
        &self,
        system: &dyn DynamicalSystem,
        i_stim: f64,
        p: &[f64],
        starts: &[Vec<f64>],
    ) -> Result<Times> {
        let given = |window: f64, longest: f64| {
            let sample = self.sample.unwrap_or(window / 600.0);
            Times {
                slowest: None,
                measured: false,
                first: longest - window,
                windows: vec![window],
                sample: whole(system, sample),
                settle: self.settle.unwrap_or(20.0 * sample),
            }
        };
        if let (Some(longest), Some(_)) = (self.longest, self.sample.and(self.settle)) {
            let window = self.window.unwrap_or(0.5 * longest);
            return Ok(given(window, longest));
        }
        let solve = self.solve.at_most(1e-6);
        use rayon::prelude::*;
        let found: Vec<Result<time_scales::TimeScales>> = starts
            .par_iter()
            .map(|x| time_scales(system, x, i_stim, p, &solve))
            .collect();
        let found: Vec<time_scales::TimeScales> = found.into_iter().collect::<Result<_>>()?;
        let settled: Vec<&time_scales::TimeScales> = found.iter().filter(|t| t.settled).collect();
        let needs = |t: &time_scales::TimeScales| match t.motion {
            time_scales::Motion::Rest if !t.slowest.is_finite() => t.followed,
            time_scales::Motion::Rest => SETTLING * t.slowest,
            time_scales::Motion::Periodic => {
                SETTLING * t.period.unwrap_or(t.slowest).max(0.5 * t.slowest)
            }
            time_scales::Motion::Irregular => INTERVALS * t.slowest,
            time_scales::Motion::NotSettled | time_scales::Motion::Escaped => 0.0,
        };
        let several = Several::of(&found);
        let mut first = settled
            .iter()
            .map(|t| needs(t))
            .filter(|t| t.is_finite())
            .fold(0.0, f64::max);
        if first <= 0.0 {
            first = several.followed();
        }
        // A motion is looked at several times a period, a rest several times a decay.
        let period = settled
            .iter()
            .filter_map(|t| t.period)
            .fold(f64::INFINITY, f64::min);
        let among = if system.dimension() <= MOST_VARIABLES {
            AMONG_ALL
        } else {
            1.0
        };
        let stays = |t: &&time_scales::TimeScales| match t.motion {
            time_scales::Motion::Periodic => Some(among * t.period?),
            _ => t.period,
        };
        let settle = if period.is_finite() {
            settled.iter().filter_map(stays).fold(0.0, f64::max)
        } else {
            first / 20.0
        };
        let sample = if period.is_finite() {
            (settle / LOOKS).min(period / 8.0)
        } else {
            settle / LOOKS
        };
        let windows = match (self.longest, self.window) {
            (Some(longest), window) => {
                let window = window.unwrap_or(0.5 * longest);
                first = longest - window;
                vec![window]
            }
            (None, Some(window)) => {
                // Judged at the end of times that double.
                first = first.max(window);
                (0..WINDOWS)
                    .map(|k| (first * f64::from(1 << k)).max(window))
                    .collect()
            }
            (None, None) => (0..WINDOWS).map(|k| first * f64::from(1 << k)).collect(),
        };
        let sample = whole(system, self.sample.unwrap_or(sample));
        Ok(Times {
            slowest: several.slowest(),
            measured: found
                .iter()
                .all(|t| t.settled || t.motion == time_scales::Motion::Escaped),
            first,
            windows: windows.into_iter().map(|w| whole(system, w)).collect(),
            sample,
            settle: self.settle.unwrap_or(settle).max(sample),
        })
    }
}

/// The basins of all attractors that the starts reach, under a constant stimulus. Where quantities are conserved, starts are moved to the
/// level of [`BasinOptions::level`]. `watch` hears how many starts are decided. The same for any number of threads.
///
/// # Errors
/// Options that make no sense; the errors of the fixed-point search.
pub fn basins(
    system: &dyn DynamicalSystem,
    i_stim: f64,
    p: &[f64],
    options: &BasinOptions,
    watch: &Watcher,
) -> Result<Basins> {
    options.check(system)?;
    let count = options.starts.count();
    let ranges: Vec<[f64; 2]> = system.spec().variables.iter().map(|q| q.range).collect();
    let laws = Laws::find(system, &[(i_stim, p.to_vec())], &ranges);
    let held = laws.held(
        options
            .level
            .as_ref()
            .unwrap_or(&system.spec().default_state()),
        p,
    );
    let blank = Times {
        slowest: None,
        measured: false,
        first: 1.0,
        windows: vec![1.0],
        sample: 1.0,
        settle: 1.0,
    };
    let mut run = Run::new(system, i_stim, p, options, laws, blank);
    let start = |run: &Run, k: usize| {
        let x = options.starts.state(k, &options.bounds);
        run.on_level(&x).unwrap_or(x)
    };
    let mut measured = vec![
        options
            .level
            .clone()
            .unwrap_or_else(|| system.spec().default_state()),
    ];
    measured.extend((0..MEASURED.min(count)).map(|k| start(&run, k * count / MEASURED.min(count))));
    run.set_times(options.times(system, i_stim, p, &measured)?);
    let run = run;
    let mut known = Known::fixed_points(&run)?;

    // Pilots are spread over all starts, which matters for a grid; few at first, as all of them have to be judged.
    let pilots = options.pilots.clamp(1, count);
    let (mut done, mut size) = (0, 8);
    while done < pilots {
        let spread: Vec<Vec<f64>> = (done..(done + size).min(pilots))
            .map(|k| start(&run, k * count / pilots))
            .collect();
        for end in run.follow(&spread, &known)? {
            known.label(&run, end.verdict)?;
        }
        (done, size) = (done + size, 2 * size);
    }

    let (mut of_start, mut time, mut extrapolated, mut work) =
        (Vec::with_capacity(count), 0.0, false, 0.0);
    let weight = (system.dimension() as f64).powf(1.5);
    let (mut first, mut off_level) = (0, 0);
    while first < count {
        // Few at a time while there is much to judge.
        let x: Vec<Vec<f64>> = (first..(first + CHUNK).min(count))
            .map(|k| start(&run, k))
            .collect();
        first += x.len();
        let ends = if work <= MOST_WORK {
            run.follow(&x, &known)?
        } else {
            run.look_only(&x, &known)?
        };
        if !run.laws.is_empty() {
            off_level += x.iter().filter(|x| !run.is_on_level(x)).count();
        }
        for end in ends {
            time += end.time;
            work += end.steps as f64 * weight;
            extrapolated |= end.extrapolated;
            of_start.push(known.label(&run, end.verdict)?);
        }
        watch.progress(of_start.len(), count, "starts");
    }
    let mut found = known.described(of_start, time, extrapolated, &run);
    found.conserved = held;
    found.advice = advice(&found, options, work > MOST_WORK);
    if off_level > 0 {
        let off = format!(
            "{off_level} of {count} starts could not be moved to the level of what is conserved within the box, and went on from where they \
             were: what they reach is on other levels; take a wider box"
        );
        found.advice = Some(
            found
                .advice
                .map_or(off.clone(), |advice| format!("{advice}; {off}")),
        );
    }
    Ok(found)
}

fn advice(found: &Basins, options: &BasinOptions, spent: bool) -> Option<String> {
    let open = found
        .attractors
        .iter()
        .find(|a| a.kind == AttractorKind::NotSettled)?
        .count;
    let all = found.of_start.len();
    let longest = options.longest.unwrap_or_else(|| found.times.longest());
    let more = if spent {
        "the work that is spent on such starts was spent; take fewer starts, or give a longest time"
            .to_owned()
    } else {
        format!(
            "give a longest time beyond {longest:.4}, such as {:.4}",
            10.0 * longest
        )
    };
    Some(format!(
        "{open} of {all} starts had not settled by t = {longest:.4}: they may belong to any attractor, and intervals allow for it; {more}"
    ))
}
