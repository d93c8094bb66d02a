//! Trajectories of equations and maps, and what can be counted in them.

use ionoscope_analysis::biomarkers::{BiomarkerOptions, Potential, biomarkers};
use ionoscope_dynamics::{
    protocol::Protocol,
    system::DynamicalSystem,
    trajectory::{Experiment, SolveOptions, TimeGrid, Trajectory},
};
use serde::{Deserialize, Serialize};

use super::fixed_points::CONTROL;
use crate::Result;

/// A spike is an upward crossing of this potential (mV): between the troughs in a burst, below -51, and the peaks, above -25.
const THRESHOLD: f64 = -40.0;
/// An interval longer than so many median intervals separates bursts: the reports of record were made with it. Within a burst of the equations
/// intervals stay below three, the usual limit, and silence is beyond fifteen; on equations and shipped networks both limits give the same counts.
const PAUSE: f64 = 6.0;

/// Tolerances of every trajectory of a report.
pub fn tolerances() -> SolveOptions {
    SolveOptions::with_rtol(1e-10)
}

/// A trajectory from `x0`, or from the default start, at a value of V_S.
///
/// # Errors
/// A start, parameter or time grid that the system refuses; a trajectory that fails.
pub fn trajectory(
    system: &dyn DynamicalSystem,
    x0: Option<&[f64]>,
    v_s: f64,
    times: TimeGrid,
) -> Result<Trajectory> {
    let spec = system.spec();
    let x0 = x0.map_or_else(|| spec.default_state(), <[f64]>::to_vec);
    let e = Experiment {
        x0,
        p: spec.parameters_with([(CONTROL, v_s)])?,
        protocol: Protocol::none(),
        times,
    };
    Ok(system.simulate(&e, &tolerances())?)
}

/// What can be counted in a potential that oscillates. Times in the unit of the model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rhythm {
    /// Mean time from the first spike of a burst to that of the next; none when it does not burst.
    pub burst_period: Option<f64>,
    /// Mean number of spikes of a complete burst.
    pub spikes_per_burst: Option<f64>,
    /// Shortest interval between spikes.
    pub shortest_interval: Option<f64>,
    /// Longest interval between spikes, silence between bursts included.
    pub longest_interval: Option<f64>,
}

/// Counts in a potential `v` sampled every `dt`.
///
/// # Errors
/// A sample that is not finite.
pub fn rhythm(v: Vec<f64>, dt: f64) -> Result<Rhythm> {
    let definitions = BiomarkerOptions {
        pause: PAUSE,
        ..BiomarkerOptions::at(THRESHOLD)
    };
    let b = biomarkers(&Potential::from_samples(0.0, dt, v)?, &definitions)?;
    Ok(Rhythm {
        burst_period: b.burst_period,
        spikes_per_burst: b.spikes_per_burst,
        shortest_interval: b.isi.map(|i| i.min),
        longest_interval: b.isi.map(|i| i.max),
    })
}

/// How long a map, left to itself, stays with the equations: the time until their states are further apart than `limit` standard deviations
/// (Euclid), from each of `starts` (state and V_S); at most `t_end`.
///
/// # Errors
/// As [`trajectory`].
pub fn time_together(
    equations: &dyn DynamicalSystem,
    map: &dyn DynamicalSystem,
    sd: &[f64],
    starts: &[(Vec<f64>, f64)],
    limit: f64,
    times: TimeGrid,
) -> Result<Vec<f64>> {
    let run = |system: &dyn DynamicalSystem| -> Result<Vec<Trajectory>> {
        let spec = system.spec();
        let experiment = |(x0, v_s): &(Vec<f64>, f64)| {
            Ok(Experiment {
                x0: x0.clone(),
                p: spec.parameters_with([(CONTROL, *v_s)])?,
                protocol: Protocol::none(),
                times,
            })
        };
        Ok(system.solve_ensemble(
            &starts.iter().map(experiment).collect::<Result<Vec<_>>>()?,
            &tolerances(),
        )?)
    };
    let apart = |(a, b): (&Trajectory, &Trajectory)| {
        let far = |k: &usize| {
            let square: f64 = a
                .state(*k)
                .iter()
                .zip(b.state(*k))
                .zip(sd)
                .map(|((a, b), s)| ((a - b) / s).powi(2))
                .sum();
            square.is_nan() || square > limit * limit
        };
        let both = a.len().min(b.len());
        times.time((0..both).find(far).unwrap_or(both.saturating_sub(1)))
    };
    let (a, b) = (run(equations)?, run(map)?);
    Ok(a.iter().zip(&b).map(apart).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ionoscope_dynamics::models;

    #[test]
    fn bursts_and_spikes_of_the_original_model_are_counted() {
        let cell = models::find("sherman-1988").unwrap();
        let count = |v_s| {
            let t = trajectory(
                &*cell,
                None,
                v_s,
                TimeGrid::new(100.0, 0.005, 12_001).unwrap(),
            )
            .unwrap();
            rhythm(t.variable(0).collect(), 0.005).unwrap()
        };
        // Reference values of a tight integration.
        for (v_s, period, spikes) in [(-36.0, 9.026, 20.0), (-38.0, 8.419, 15.0)] {
            let r = count(v_s);
            assert!((r.burst_period.unwrap() - period).abs() < 2e-3, "{r:?}");
            assert_eq!(r.spikes_per_burst, Some(spikes));
        }
        let spiking = count(-33.0);
        assert_eq!(spiking.burst_period, None);
        assert!(
            spiking.shortest_interval.unwrap() > 0.444 && spiking.longest_interval.unwrap() < 0.451,
            "{spiking:?}"
        );
    }

    #[test]
    fn silence_has_no_rhythm_and_a_system_stays_with_itself() {
        assert_eq!(rhythm(vec![-60.0; 100], 0.1).unwrap(), Rhythm::default());
        assert_eq!(rhythm(vec![], 0.1).unwrap(), Rhythm::default());
        let cell = models::find("sherman-1988").unwrap();
        let times = TimeGrid::until(2.0, 0.005).unwrap();
        let together = time_together(
            &*cell,
            &*cell,
            &[1.0; 3],
            &[(vec![-60.0, 0.01, 0.18], -36.0)],
            1e-9,
            times,
        )
        .unwrap();
        assert!((together[0] - 2.0).abs() < 1e-9);
    }
}
