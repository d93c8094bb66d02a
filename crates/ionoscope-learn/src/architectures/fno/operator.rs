//! An operator as a simulator: all times at once, or window by window, on times of its own.

use std::sync::Arc;

use ionoscope_dynamics::{
    Error as DynamicsError, Result,
    simulator::{BAND, Simulated, Simulator, Unfamiliar},
    spec::{Quantity, Spec},
    system::DynamicalSystem,
    trajectory::{Experiment, Outcome, SolveOptions, Statistics, TimeGrid, Trajectory},
};

use super::surrogate::Fno;

/// Experiments that are answered before it is asked again whether to stop.
const PART: usize = 512;

/// A Fourier neural operator that answers experiments.
pub struct Operator {
    fno: Arc<Fno>,
    spec: Spec,
    band: bool,
}

impl Operator {
    /// The operator, without its band.
    pub fn new(fno: Arc<Fno>) -> Self {
        Operator {
            spec: fno.spec.clone(),
            fno,
            band: false,
        }
    }

    /// Number of times of the whole grid over [0, T] whose step is that of `times`, or over a window
    /// where the network advances window by window.
    fn points(&self, times: TimeGrid) -> usize {
        if self.fno.takes_start() {
            self.fno.points
        } else {
            (self.fno.t_end / times.dt).round().max(1.0) as usize
        }
    }

    fn windows(&self, batch: &[Experiment]) -> Result<Vec<Simulated>> {
        let (fno, n) = (&self.fno, self.fno.spec.variables.len());
        let Some(times) = batch.first().map(|e| e.times) else {
            return Ok(Vec::new());
        };
        let every = (times.dt / fno.dt()).round() as usize;
        let all = fno.advance(batch, (times.count - 1) * every + 1);
        let one = |((x, left), e): ((Vec<f64>, bool), &Experiment)| {
            finite(&x)?;
            let wanted = x
                .chunks_exact(n)
                .step_by(every)
                .flatten()
                .copied()
                .collect();
            Ok(simulated(times, n, wanted, left || self.check(e).is_err()))
        };
        all.map_err(invalid)?
            .into_iter()
            .zip(batch)
            .map(one)
            .collect()
    }

    fn whole(&self, batch: &[Experiment]) -> Result<Vec<Simulated>> {
        let fno = &self.fno;
        let Some(first) = batch.first() else {
            return Ok(Vec::new());
        };
        // On a grid at least as fine as that of the training, of which every so many times are wanted.
        let points = self.points(first.times);
        let every = fno.points.div_ceil(points);
        let grid = points * every;
        let conditions = fno.conditions(batch);
        let all = fno.respond(&conditions, grid).map_err(invalid)?;
        let one = |(k, mut x): (usize, Vec<f64>)| {
            let e = &batch[k];
            finite(&x)?;
            let new = self.check(e).is_err();
            if let Some(bands) = fno.bands.as_ref().filter(|_| self.band) {
                // What is unlike the training has no band.
                let widths = bands.half_widths(fno, &conditions[k], &x, grid).into_iter();
                x.extend(widths.map(|w| if new { f64::NAN } else { w }));
            }
            let n = x.len() / grid;
            let states = (0..e.times.count).flat_map(|t| (0..n).map(move |i| i * grid + t * every));
            Ok(simulated(e.times, n, states.map(|k| x[k]).collect(), new))
        };
        all.into_iter().enumerate().map(one).collect()
    }
}

impl Simulator for Operator {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn system(&self) -> Option<&dyn DynamicalSystem> {
        None
    }

    fn times(&self, t_end: Option<f64>, dt: Option<f64>) -> Result<TimeGrid> {
        let fno = &self.fno;
        let t_end = t_end.unwrap_or(fno.t_end);
        let wrong = |text: String| Err(DynamicsError::Invalid(text));
        if fno.takes_start() {
            let dt = dt.unwrap_or(fno.dt());
            let every = (dt / fno.dt()).round();
            if every < 1.0 || (every * fno.dt() - dt).abs() > 1e-6 * dt {
                return wrong(format!(
                    "expected a multiple of the network's step, {}",
                    fno.dt()
                ));
            }
            return TimeGrid::within(t_end, every * fno.dt());
        }
        if t_end > fno.t_end * (1.0 + 1e-9) {
            return wrong(format!(
                "the network was trained up to {}; it knows nothing beyond",
                fno.t_end
            ));
        }
        let points = dt.map_or(fno.points, |dt| (fno.t_end / dt).round().max(1.0) as usize);
        let step = fno.t_end / points as f64;
        if dt.is_some_and(|given| (given - step).abs() > 1e-6 * step) {
            return wrong(format!(
                "expected a whole part of T = {}, such as {step}",
                fno.t_end
            ));
        }
        let count = (((t_end / step) * (1.0 + 1e-9)).floor() as usize + 1).min(points);
        TimeGrid::new(0.0, step, count)
    }

    fn check(&self, e: &Experiment) -> std::result::Result<(), Unfamiliar> {
        let fno = &self.fno;
        if let Some(name) = fno.foreign_parameter(&e.p) {
            return Err(Unfamiliar::NoInput(format!(
                "the network knows one value of {name}; leave it out (`ionoscope models FILE` says what it knows)"
            )));
        }
        if e.x0 != fno.spec.default_state() && !fno.takes_start() {
            return Err(Unfamiliar::NoInput(
                "the network knows one start; leave out any other (`ionoscope models FILE` says what it knows)".into(),
            ));
        }
        fno.check_protocol(&e.protocol, e.times.end().max(fno.dt()))
            .and_then(|()| fno.check_start(&e.x0))
            .and_then(|()| fno.check_parameters(&e.p))
            .map_err(|new| Unfamiliar::Untrained(new.to_string()))
    }

    fn run(&self, batch: &[Experiment], options: &SolveOptions) -> Result<Vec<Simulated>> {
        let mut all = Vec::with_capacity(batch.len());
        for part in batch.chunks(PART) {
            options.watch.check()?;
            all.extend(if self.fno.takes_start() {
                self.windows(part)?
            } else {
                self.whole(part)?
            });
        }
        Ok(all)
    }

    fn with_band(&self) -> Option<Arc<dyn Simulator>> {
        let bands = self.fno.bands.as_ref()?;
        let band = |q: &Quantity| Quantity {
            name: format!("{}{BAND}", q.name),
            description: format!(
                "half the width of a band that holds {} % of the values of {}",
                100.0 * bands.level,
                q.name
            ),
            ..q.clone()
        };
        let mut spec = self.fno.spec.clone();
        spec.variables
            .extend(self.fno.spec.variables.iter().map(band));
        Some(Arc::new(Operator {
            fno: self.fno.clone(),
            spec,
            band: true,
        }))
    }
}

fn simulated(times: TimeGrid, dimension: usize, x: Vec<f64>, new: bool) -> Simulated {
    Simulated {
        extrapolated: if new { times.count } else { 0 },
        trajectory: Trajectory {
            times,
            dimension,
            x,
            outcome: Outcome::Completed,
            statistics: Statistics::default(),
        },
    }
}

fn finite(x: &[f64]) -> Result<()> {
    if x.iter().all(|v| v.is_finite()) {
        return Ok(());
    }
    Err(DynamicsError::Surrogate(
        "what the network gives is not finite; its file may be damaged, or the stimulus far from all it was trained on".into(),
    ))
}

fn invalid(error: crate::Error) -> DynamicsError {
    match error {
        crate::Error::Dynamics(error) => error,
        error => DynamicsError::Invalid(error.to_string()),
    }
}
