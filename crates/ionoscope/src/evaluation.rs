//! What predicted responses are judged by: normalized and physical errors, spikes and action potentials, by variable and by class of stimulus.

use std::sync::atomic::{AtomicUsize, Ordering};

use ionoscope_analysis::{
    biomarkers::{BiomarkerOptions, Drive, Potential, biomarkers_under},
    metrics::{Relative, Spikes, Summary, TimeScale, relative},
};
use ionoscope_dynamics::{
    models,
    protocol::{Interpolation, Protocol, Sampled, Stimulus},
    spec::Spec,
    system::{DynamicalSystem, Input},
    watch::Watcher,
};
use ionoscope_learn::{
    architectures::{fno::Fno, neural_map::NeuralMap},
    responses::{ResponseData, Responses},
};
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::{Error, Result};

// What networks are trained on and what they are judged by is the same error.
const _: () =
    assert!(ionoscope_analysis::metrics::FLOOR == ionoscope_learn::train::operator::FLOOR);

/// Spikes farther apart than this share of T are not the same one.
const SAME_SPIKE: f64 = 0.02;
/// Steps of a map between two looks at whether to stop.
const BETWEEN_LOOKS: usize = 1000;

/// What was measured of one sample.
pub struct Sample {
    /// Index of its class.
    pub class: usize,
    /// Whether there was any stimulus.
    pub stimulated: bool,
    /// Normalized error of each variable.
    pub normalized: Vec<f64>,
    /// Mean over the variables of the error in the published form, with mean and standard deviation of the set that is judged (the paper's are those of
    /// its training set).
    pub published: f64,
    /// Relative errors of each variable, in physical units.
    pub relative: Vec<Relative>,
    /// Where the model says at which potential a spike is one.
    pub spikes: Option<Spikes>,
    /// Duration to 90 % repolarization of the first action potential, predicted and of the reference, where both repolarize.
    pub apd90: Option<[f64; 2]>,
}

impl Sample {
    /// Mean normalized error over the variables.
    pub fn error(&self) -> f64 {
        self.normalized.iter().sum::<f64>() / self.normalized.len() as f64
    }

    /// Whether it has another number of spikes than the reference.
    pub fn miscounted(&self) -> bool {
        self.spikes.as_ref().is_some_and(|s| s.missed != s.extra)
    }
}

/// All samples of a set, in order.
pub struct Evaluation {
    /// The samples.
    pub samples: Vec<Sample>,
    /// What was predicted, `[variable][point]` each.
    pub predicted: Vec<Vec<f64>>,
    /// Step of the grid.
    pub dt: f64,
    /// Where the network has a band.
    pub coverage: Option<Coverage>,
    /// Whether the network is scaled time by time, so that the published form means something.
    pub per_point: bool,
    /// Of an operator: whether a sample's stimulus, start and parameters are like those it was trained on.
    pub familiar: Option<Vec<bool>>,
}

/// How much lies within a network's band.
pub struct Coverage {
    /// The share that is to lie inside.
    pub level: f64,
    /// Share of the values inside, `[sample][variable]`.
    samples: Vec<Vec<f64>>,
}

impl Coverage {
    /// The share of the values inside of some samples, by number and variable; `None` of none.
    fn share(&self, of: &dyn Fn(usize, usize) -> bool) -> Option<f64> {
        let values = self
            .samples
            .iter()
            .enumerate()
            .flat_map(|(k, row)| row.iter().enumerate().map(move |(i, share)| (k, i, share)));
        let (mut sum, mut count) = (0.0, 0);
        for (_, _, share) in values.filter(|(k, i, _)| of(*k, *i)) {
            sum += share;
            count += 1;
        }
        (count > 0).then(|| sum / f64::from(count))
    }
}

/// Checks that a network can be judged by a dataset.
///
/// # Errors
/// Another model, start, parameters or length; windows from any start for a network that knows one.
pub fn check(fno: &Fno, data: &ResponseData) -> Result<()> {
    let spec = &data.spec;
    // Names and defaults: which model, from which start, under which parameters.
    let identity = |spec: &Spec| -> Vec<(String, f64)> {
        let fixed = spec
            .parameters
            .iter()
            .filter(|q| !fno.scaling.parameters.contains_key(&q.name));
        spec.variables
            .iter()
            .chain(fixed)
            .map(|q| (q.name.clone(), q.default))
            .collect()
    };
    if let Some(name) = data
        .config
        .vary
        .keys()
        .find(|name| !fno.scaling.parameters.contains_key(*name))
    {
        return Err(Error::Input(format!(
            "{name} varies in the dataset and is no input of the network; give a dataset where it is fixed"
        )));
    }
    if fno.spec.id != spec.id || identity(&fno.spec) != identity(spec) {
        return Err(Error::Input(format!(
            "the network was trained on {} and the dataset holds {}, or their starts or parameters differ; give a dataset of the same model",
            fno.spec.id, spec.id
        )));
    }
    if (fno.t_end - data.config.t_end).abs() > 1e-9 * fno.t_end {
        return Err(Error::Input(format!(
            "the network ends at {}, the dataset at {}",
            fno.t_end, data.config.t_end
        )));
    }
    if data.config.windows > 0 && !fno.takes_start() {
        return Err(Error::Input(
            "the dataset holds windows from any start, and the network knows one; give a dataset made with responses.windows = 0".into(),
        ));
    }
    Ok(())
}

/// Runs a network on the stimuli of a set and measures it.
///
/// # Errors
/// As [`check`]; an empty set; a grid too coarse for the network; being stopped.
pub fn evaluate(
    fno: &Fno,
    data: &ResponseData,
    set: &Responses,
    watch: &Watcher,
) -> Result<Evaluation> {
    check(fno, data)?;
    let predicted = respond(fno, set, watch)?;
    judge(fno, data, set, predicted, watch)
}

/// What a network gives for a set, `[variable][point]` of each sample.
///
/// # Errors
/// An empty set; a grid too coarse for the network; being stopped.
pub fn respond(fno: &Fno, set: &Responses, watch: &Watcher) -> Result<Vec<Vec<f64>>> {
    if set.is_empty() {
        return Err(Error::Input("the set has no samples".into()));
    }
    let conditions = set.conditions();
    let ready = fno.on_grid(set.points)?;
    let mut predicted = Vec::with_capacity(set.len());
    // As few as keep all threads at work, so that a stop is soon heard.
    for some in conditions.chunks(2 * rayon::current_num_threads()) {
        watch.check()?;
        predicted.extend(ready.respond(some));
        watch.progress(predicted.len(), set.len(), "samples");
    }
    Ok(predicted)
}

/// Measures what a network gave for a set, see [`respond`].
///
/// # Errors
/// As [`measure`].
pub fn judge(
    fno: &Fno,
    data: &ResponseData,
    set: &Responses,
    predicted: Vec<Vec<f64>>,
    watch: &Watcher,
) -> Result<Evaluation> {
    let conditions = set.conditions();
    let mut evaluation = measure(&data.spec, data.config.t_end, set, predicted, watch)?;
    evaluation.per_point = fno.scaling.per_point.is_some();
    evaluation.familiar = Some(
        conditions
            .par_iter()
            .map(|c| fno.check_condition(c).is_ok())
            .collect(),
    );
    evaluation.coverage = fno.bands.as_ref().map(|bands| {
        let inside = |k: usize| {
            let p = &evaluation.predicted[k];
            let widths = bands.half_widths(fno, &conditions[k], p, set.points);
            let counts = |i: usize| {
                (i * set.points..(i + 1) * set.points)
                    .filter(|t| (p[*t] - f64::from(set.x(k)[*t])).abs() <= widths[*t])
                    .count()
            };
            (0..set.variables).map(counts).collect::<Vec<_>>()
        };
        let inside = |k: usize| {
            if watch.stopped() {
                vec![0; set.variables]
            } else {
                inside(k)
            }
        };
        let of_sample = |counts: Vec<usize>| {
            counts
                .into_iter()
                .map(|c| c as f64 / set.points as f64)
                .collect()
        };
        Coverage {
            level: bands.level,
            samples: (0..set.len())
                .into_par_iter()
                .map(|k| of_sample(inside(k)))
                .collect(),
        }
    });
    watch.check()?;
    Ok(evaluation)
}

/// Iterates a map under the stimuli of a set, whose grid must have the map's step, and measures it.
///
/// # Errors
/// A map of another model, that takes no stimulus, has control parameters, or another step than the grid; an empty set; being stopped.
pub fn evaluate_map(
    map: &NeuralMap,
    data: &ResponseData,
    set: &Responses,
    watch: &Watcher,
) -> Result<Evaluation> {
    let (spec, dt) = (map.spec(), data.config.t_end / set.points.max(1) as f64);
    let model = spec.trained_on.as_ref().map(|t| t.model.as_str());
    if model != Some(data.spec.id.as_str())
        || spec.trained_stimulus().is_none()
        || !spec.parameters.is_empty()
    {
        return Err(Error::Input(format!(
            "the map {} is of {} and {}; expected one of {} that takes a stimulus and nothing else",
            spec.id,
            model.unwrap_or("nothing"),
            if spec.trained_stimulus().is_some() {
                "takes a stimulus"
            } else {
                "takes no stimulus"
            },
            data.spec.id
        )));
    }
    if (map.dt() / dt - 1.0).abs() > 1e-9 {
        let points = data.config.t_end / map.dt();
        return Err(Error::Input(format!(
            "the map's step is {}, that of the dataset's grid {dt}; give a dataset made with responses.points = {points}",
            map.dt()
        )));
    }
    let (points, d) = (set.points, set.variables);
    let done = AtomicUsize::new(0);
    let one = |k: usize| {
        let (mut x, mut next) = (set.start(k), vec![0.0; d]);
        let mut all = vec![0.0; points * d];
        for t in 0..points {
            if t % BETWEEN_LOOKS == 0 {
                watch.check()?;
            }
            (0..d).for_each(|i| all[i * points + t] = x[i]);
            map.rule(&x, f64::from(set.input(k)[t]), &[], &mut next);
            // A map that runs away stays where it was last seen, and is judged by that.
            if next.iter().all(|v| v.is_finite()) {
                x.copy_from_slice(&next);
            }
        }
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        watch.progress(done, set.len(), "samples");
        Ok(all)
    };
    let predicted = (0..set.len())
        .into_par_iter()
        .map(one)
        .collect::<Result<_>>()?;
    measure(&data.spec, data.config.t_end, set, predicted, watch)
}

/// Measures predictions `[variable][point]` of all samples of a set.
///
/// # Errors
/// Fewer than two samples, which say nothing of what is usual; a prediction that is not finite; being stopped.
pub fn measure(
    spec: &Spec,
    t_end: f64,
    set: &Responses,
    predicted: Vec<Vec<f64>>,
    watch: &Watcher,
) -> Result<Evaluation> {
    let (points, variables) = (set.points, set.variables);
    let dt = t_end / points as f64;
    if set.len() < 2 {
        return Err(Error::Input(
            "the set has one sample; normalized errors need two at least".into(),
        ));
    }
    if let Some(k) = predicted
        .iter()
        .position(|x| x.iter().any(|v| !v.is_finite()))
    {
        return Err(Error::Failed(format!(
            "what the network gives for sample {k} is not finite; its file may be damaged"
        )));
    }
    let reference: Vec<Vec<f64>> = (0..set.len())
        .map(|k| set.x(k).iter().map(|v| f64::from(*v)).collect())
        .collect();
    let scales = (0..variables)
        .map(|i| TimeScale::of(reference.iter().map(|x| &x[i * points..(i + 1) * points])))
        .collect::<ionoscope_analysis::Result<Vec<_>>>()?;
    let v = spec
        .membrane_potential
        .as_ref()
        .and_then(|name| spec.variable_index(name).ok())
        .zip(spec.spike_threshold);
    let gain = v.and_then(|(v, _)| gain(spec, v));
    // The current as the network was given it: held over each step.
    let drive = |k: usize| {
        let times = (0..points).map(|t| t as f64 * dt).collect();
        let values = set.input(k).iter().map(|i| f64::from(*i)).collect();
        let held = Stimulus::Sampled(Sampled {
            start: 0.0,
            duration: None,
            times,
            values,
            interpolation: Interpolation::Hold,
        });
        Some(Drive {
            signal: Protocol::from(held).signal(t_end),
            gain: gain?,
            before: 0.0,
        })
    };
    let duration = |v: &[f64], drive: &Option<Drive>, threshold: f64| {
        let v = Potential::from_samples(0.0, dt, v.to_vec()).ok()?;
        biomarkers_under(&v, drive.as_ref(), &BiomarkerOptions::at(threshold))
            .ok()?
            .action_potentials
            .first()?
            .apd90
    };
    let one = |k: usize| {
        let rows = |i: usize| {
            (
                &predicted[k][i * points..(i + 1) * points],
                &reference[k][i * points..(i + 1) * points],
            )
        };
        let pairs = || (0..variables).map(rows);
        Sample {
            class: set.class[k] as usize,
            stimulated: set.input(k).iter().any(|v| *v != 0.0),
            published: pairs()
                .zip(&scales)
                .map(|((p, x), s)| s.published_error(p, x))
                .sum::<f64>()
                / variables as f64,
            normalized: pairs()
                .zip(&scales)
                .map(|((p, x), s)| s.error(p, x))
                .collect(),
            relative: pairs().map(|(p, x)| relative(p, x, dt)).collect(),
            spikes: v.map(|(v, threshold)| {
                Spikes::of(rows(v).0, rows(v).1, threshold, SAME_SPIKE * points as f64)
            }),
            apd90: v.and_then(|(v, threshold)| {
                let drive = drive(k);
                Some([
                    duration(rows(v).0, &drive, threshold)?,
                    duration(rows(v).1, &drive, threshold)?,
                ])
            }),
        }
    };
    let samples = (0..set.len())
        .into_par_iter()
        .map(|k| watch.check().map(|()| one(k)))
        .collect::<ionoscope_dynamics::Result<_>>()?;
    Ok(Evaluation {
        samples,
        predicted,
        dt,
        coverage: None,
        per_point: false,
        familiar: None,
    })
}

/// By how much a stimulus moves the potential, variable `v`: by the equations that the network has learned, where they are known.
fn gain(spec: &Spec, v: usize) -> Option<f64> {
    let model = models::find(&spec.id).ok()?;
    let mut by = vec![0.0; model.dimension()];
    model.derivative_by(
        Input::Stimulus,
        &model.spec().default_state(),
        0.0,
        &model.spec().default_parameters(),
        &mut by,
    );
    by.get(v).copied()
}

impl Evaluation {
    /// Mean normalized error over variables, then samples.
    pub fn error(&self) -> f64 {
        self.samples.iter().map(Sample::error).sum::<f64>() / self.samples.len() as f64
    }

    /// The samples with the largest errors, the largest first.
    pub fn worst(&self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.samples.len()).collect();
        order.sort_by(|a, b| {
            self.samples[*b]
                .error()
                .total_cmp(&self.samples[*a].error())
        });
        order.truncate(count);
        order
    }

    /// Samples with a stimulus: relative errors of the others say nothing.
    pub fn stimulated(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(|s| s.stimulated)
    }

    /// Everything as one JSON object.
    pub fn document(&self, spec: &Spec, classes: &[String]) -> Value {
        let groups = |of: &dyn Fn(&Sample) -> bool, i: usize| {
            let group = || self.stimulated().filter(|s| of(s));
            json!({
                "l2": Summary::of(group().map(|s| s.relative[i].l2)),
                "l1": Summary::of(group().map(|s| s.relative[i].l1)),
                "h1": Summary::of(group().map(|s| s.relative[i].h1)),
            })
        };
        let silent = |s: &Sample| s.spikes.as_ref().is_some_and(|s| s.expected == 0);
        let variables = spec.variables.iter().enumerate().map(|(i, q)| {
            let mut all = groups(&|_| true, i);
            all["name"] = q.name.clone().into();
            all["unit"] = q.unit.clone().into();
            all["normalized"] = json!(Summary::of(self.samples.iter().map(|s| s.normalized[i])));
            if let Some(coverage) = &self.coverage {
                all["within_band"] = json!(coverage.share(&|_, of| of == i));
            }
            if self.stimulated().any(silent) {
                all["sub_threshold"] = groups(&silent, i);
            }
            all
        });
        let of_class = classes.iter().enumerate().map(|(c, name)| {
            json!({
                "name": name,
                "samples": self.samples.iter().filter(|s| s.class == c).count(),
                "normalized": Summary::of(self.samples.iter().filter(|s| s.class == c).map(Sample::error)),
                "spikes": self.spikes(&|s| s.class == c),
                "within_band": self.coverage.as_ref().and_then(|coverage| coverage.share(&|k, _| self.samples[k].class == c)),
            })
        });
        json!({
            "samples": self.samples.len(),
            "without_stimulus": self.samples.len() - self.stimulated().count(),
            "normalized": Summary::of(self.samples.iter().map(Sample::error)),
            "published_form": self.per_point.then(|| Summary::of(self.samples.iter().map(|s| s.published))),
            "variables": variables.collect::<Vec<_>>(),
            "spikes": self.spikes(&|_| true),
            "apd90": self.apd90(),
            "band": self.coverage.as_ref().map(|c| json!({"level": c.level, "within": c.share(&|_, _| true)})),
            "unlike_training": self.familiar.as_ref().map(|familiar| {
                let unlike = || self.samples.iter().zip(familiar).filter(|s| !s.1);
                json!({"samples": unlike().count(), "normalized": Summary::of(unlike().map(|s| s.0.error()))})
            }),
            "classes": of_class.collect::<Vec<_>>(),
            "worst": self.worst(10).into_iter().map(|k| json!({"sample": k, "class": classes.get(self.samples[k].class), "normalized": self.samples[k].error()})).collect::<Vec<_>>(),
            "units": {"time_error": spec.time_unit, "apd90": spec.time_unit},
        })
    }

    fn spikes(&self, of: &dyn Fn(&Sample) -> bool) -> Option<Value> {
        let all: Vec<&Sample> = self
            .samples
            .iter()
            .filter(|s| of(s) && s.spikes.is_some())
            .collect();
        let spikes = || all.iter().filter_map(|s| s.spikes.as_ref());
        let sum = |f: &dyn Fn(&Spikes) -> usize| spikes().map(f).sum::<usize>();
        (!all.is_empty()).then(|| {
            json!({
                "samples": all.len(),
                "expected": sum(&|s| s.expected),
                "missed": sum(&|s| s.missed),
                "extra": sum(&|s| s.extra),
                "samples_with_a_wrong_number": all.iter().filter(|s| s.miscounted()).count(),
                "time_error": Summary::of(spikes().flat_map(|s| &s.shifts).map(|t| t * self.dt)),
            })
        })
    }

    /// Errors of the duration to 90 % repolarization of the first action potential.
    fn apd90(&self) -> Option<Value> {
        let all: Vec<[f64; 2]> = self.samples.iter().filter_map(|s| s.apd90).collect();
        (!all.is_empty()).then(|| {
            json!({
                "samples": all.len(),
                "error": Summary::of(all.iter().map(|[p, x]| (p - x).abs())),
                "relative_error": Summary::of(all.iter().map(|[p, x]| (p / x - 1.0).abs())),
            })
        })
    }
}
