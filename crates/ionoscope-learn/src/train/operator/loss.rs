//! What a network is trained by: the responses as it sees them, and the loss.

use ionoscope_dynamics::spec::Spec;

use super::config::{FLOOR, LossConfig, Normalization, OperatorConfig};
use crate::{
    Error, Result,
    architectures::fno::{Fno, Frame, Layout, PerPoint, Scaling, charges, grid::Grid, pass::Work},
    responses::{ResponseData, Responses},
};

/// What the published form of the normalized error adds to the standard deviation at a time, in the variable's unit.
const PUBLISHED: f64 = 1e-5;
/// Smallest size that an error is relative to, as a share of the variable's standard deviation.
const LEAST: f64 = 0.05;

/// Mean and floored standard deviation over the samples of a set, `[variable][point]` each.
pub fn time_statistics(set: &Responses) -> (Vec<f64>, Vec<f64>) {
    let (mean, mut sd) = plain_statistics(set);
    let overall = overall_sd(set);
    sd.iter_mut().enumerate().for_each(|(k, s)| {
        *s = s
            .max(FLOOR * overall[k / set.points])
            .max(f64::MIN_POSITIVE)
    });
    (mean, sd)
}

/// Mean and standard deviation over the samples of a set.
fn plain_statistics(set: &Responses) -> (Vec<f64>, Vec<f64>) {
    let (n, d, points) = (set.len().max(1) as f64, set.variables, set.points);
    let mut mean = vec![0.0; d * points];
    let mut square = mean.clone();
    for k in 0..set.len() {
        set.x(k)
            .iter()
            .zip(&mut mean)
            .for_each(|(x, m)| *m += f64::from(*x) / n);
    }
    for k in 0..set.len() {
        set.x(k)
            .iter()
            .zip(&mean)
            .zip(&mut square)
            .for_each(|((x, m), s)| *s += (f64::from(*x) - m).powi(2) / n);
    }
    (mean, square.into_iter().map(f64::sqrt).collect())
}

/// Standard deviation of each variable over all times and samples.
pub fn overall_sd(set: &Responses) -> Vec<f64> {
    let n = (set.len() * set.points).max(1) as f64;
    let rows = |i: usize| {
        (0..set.len()).flat_map(move |k| {
            set.x(k)[i * set.points..(i + 1) * set.points]
                .iter()
                .map(|v| f64::from(*v))
        })
    };
    (0..set.variables)
        .map(|i| {
            let mean = rows(i).sum::<f64>() / n;
            (rows(i).map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
        })
        .collect()
}

/// Mean and standard deviation of each variable at the starts of a set; 1 for one that does not vary there.
fn starts(set: &Responses) -> Vec<[f64; 2]> {
    let n = set.len().max(1) as f64;
    let of = |i: usize| {
        let values = || (0..set.len()).map(|k| f64::from(set.x(k)[i * set.points]));
        let mean = values().sum::<f64>() / n;
        let sd = (values().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        [mean, if sd > 0.0 { sd } else { 1.0 }]
    };
    (0..set.variables).map(of).collect()
}

/// A set as the loss sees it.
pub(super) struct Set<'a> {
    pub(super) data: &'a Responses,
    pub(super) inputs: Vec<Vec<f32>>,
    /// What the parts of the loss are relative to, of each sample and variable: `||x - mean||_s`, `||x||` and `||x'||`.
    pub(super) size: Vec<[f64; 3]>,
}

/// What all samples share.
pub(super) struct Problem {
    pub(super) layout: Layout,
    pub(super) grid: Grid<f32>,
    pub(super) scaling: Scaling,
    pub(super) spec: Spec,
    pub(super) frame: Frame,
    /// Step of the grid.
    pub(super) dt: f64,
    pub(super) mean: Vec<f64>,
    pub(super) scale: Vec<f64>,
    pub(super) weights: LossConfig,
}

impl Problem {
    /// A network to start from keeps its own scales, so that it begins as the function that it is.
    pub(super) fn new(
        data: &ResponseData,
        config: &OperatorConfig,
        from: Option<&Fno>,
    ) -> Result<Self> {
        let per_point = config.normalization == Normalization::PerPoint;
        let (mean, scale) = if per_point {
            let (mean, sd) = plain_statistics(&data.training);
            (mean, sd.into_iter().map(|s| s + PUBLISHED).collect())
        } else {
            time_statistics(&data.training)
        };
        let state = overall_sd(&data.training);
        if let Some(i) = state.iter().position(|sd| !(sd.is_finite() && *sd > 0.0)) {
            return Err(Error::Invalid(format!(
                "variable '{}' does not vary in the training set",
                data.spec.variables[i].name
            )));
        }
        let points = data.config.points;
        let dt = data.config.t_end / points as f64;
        let currents = || (0..data.training.len()).map(|k| data.training.condition(k).current);
        let count = data.training.input.len().max(1) as f64;
        let size = |squares: f64| {
            if squares > 0.0 {
                (squares / count).sqrt()
            } else {
                1.0
            }
        };
        let input = size(currents().flatten().map(|v| v * v).sum());
        let charge = config.charge.then(|| {
            size(
                currents()
                    .map(|c| charges(&c, dt).map(|q| q * q).sum::<f64>())
                    .sum(),
            )
        });
        let start = (data.config.windows > 0).then(|| starts(&data.training));
        // Mean and standard deviation of the uniform distribution.
        let uniform = |[l, h]: &[f64; 2]| [0.5 * (l + h), (h - l) / 12f64.sqrt()];
        let parameters = data
            .config
            .vary
            .iter()
            .map(|(name, range)| (name.clone(), uniform(range)))
            .collect();
        let rows = |v: &[f64]| {
            v.chunks_exact(points)
                .map(|r| r.iter().map(|v| *v as f32).collect())
                .collect()
        };
        let per_point = per_point.then(|| PerPoint {
            mean: rows(&mean),
            sd: rows(&scale),
        });
        let scaling = from.map_or(
            Scaling {
                input,
                charge,
                state,
                ramp: config.ramp,
                start,
                per_point,
                parameters,
            },
            |fno| fno.scaling.clone(),
        );
        let frame = scaling.frame(points);
        Ok(Problem {
            layout: config
                .network
                .layout(scaling.inputs(), data.spec.variables.len()),
            grid: Grid::new(points, config.network.padding, config.network.modes)?,
            scaling,
            spec: data.spec.clone(),
            frame,
            dt,
            mean,
            scale,
            weights: config.loss.clone(),
        })
    }

    pub(super) fn set<'a>(&self, data: &'a Responses) -> Set<'a> {
        let points = data.points;
        let inputs = (0..data.len())
            .map(|k| {
                self.scaling
                    .channels(&self.spec, &data.condition(k), self.dt)
            })
            .collect();
        let size = (0..data.len() * data.variables).map(|j| {
            let (k, i) = (j / data.variables, j % data.variables);
            let at = i * points..(i + 1) * points;
            let x = &data.x(k)[at.clone()];
            let parts = x.iter().zip(&self.mean[at.clone()]).zip(&self.scale[at]);
            let root = |sum: f64| sum.sqrt().max(1e-9);
            // What hardly moves, or is hardly there, is not to outweigh all else.
            let least = LEAST * self.scaling.state[i] * (points as f64).sqrt();
            [
                root(
                    parts
                        .map(|((x, m), s)| ((f64::from(*x) - m) / s).powi(2))
                        .sum(),
                ),
                root(x.iter().map(|x| f64::from(*x).powi(2)).sum()).max(least),
                // One standard deviation over T.
                root(x.windows(2).map(|w| f64::from(w[1] - w[0]).powi(2)).sum())
                    .max(self.scaling.state[i] / (points as f64).sqrt()),
            ]
        });
        Set {
            size: size.collect(),
            data,
            inputs,
        }
    }

    /// Normalized error of each variable for sample `k`, whose output is in `work`, and the gradient by that output of the mean loss, into `d`.
    pub(super) fn loss(
        &self,
        set: &Set,
        k: usize,
        work: &Work<f32>,
        d: Option<&mut Vec<f32>>,
    ) -> Vec<f64> {
        let (points, variables) = (set.data.points, set.data.variables);
        let mut gradient = d;
        let mut by = vec![0.0; points];
        (0..variables)
            .map(|i| {
                let at = i * points..(i + 1) * points;
                let (x, y, s) = (
                    &set.data.x(k)[at.clone()],
                    &work.y[at.clone()],
                    &self.scale[at.clone()],
                );
                let gain = &self.frame.gain[at.clone()];
                let start = f64::from(x[0]);
                let error = |t: usize| {
                    self.frame.base(i * points + t, start) + f64::from(gain[t]) * f64::from(y[t])
                        - f64::from(x[t])
                };
                let [normalized, physical, slope] = set.size[k * variables + i];
                let norm = (0..points)
                    .map(|t| (error(t) / s[t]).powi(2))
                    .sum::<f64>()
                    .sqrt();
                if let Some(d) = &mut gradient {
                    let share = |weight: f64, norm: f64, size: f64| {
                        weight / (norm.max(1e-12) * size * variables as f64)
                    };
                    let first = share(self.weights.normalized, norm, normalized);
                    (0..points).for_each(|t| by[t] = first * error(t) / s[t].powi(2));
                    if self.weights.physical > 0.0 {
                        let share = share(
                            self.weights.physical,
                            (0..points).map(|t| error(t).powi(2)).sum::<f64>().sqrt(),
                            physical,
                        );
                        (0..points).for_each(|t| by[t] += share * error(t));
                    }
                    if self.weights.slope > 0.0 {
                        let step = |t: usize| error(t) - error(t - 1);
                        let share = share(
                            self.weights.slope,
                            (1..points).map(|t| step(t).powi(2)).sum::<f64>().sqrt(),
                            slope,
                        );
                        for t in 1..points {
                            let g = share * step(t);
                            by[t] += g;
                            by[t - 1] -= g;
                        }
                    }
                    for (t, d) in d[at].iter_mut().enumerate() {
                        *d = (by[t] * f64::from(gain[t])) as f32;
                    }
                }
                norm / normalized
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use ionoscope_dynamics::{models, watch::Watcher};

    use super::*;
    use crate::responses::{ResponseConfig, respond};

    #[test]
    fn gradients_of_all_parts_agree_with_differences() {
        let model = models::find("fitzhugh-nagumo-1961").unwrap();
        let data = respond(
            &*model,
            &ResponseConfig {
                samples: [40, 0, 0],
                points: 100,
                ..ResponseConfig::default()
            },
            &Watcher::default(),
        )
        .unwrap();
        for weights in [
            [1.0, 0.0, 0.0],
            [0.0, 1.0, 0.0],
            [0.0, 0.0, 1.0],
            [0.5, 2.0, 0.3],
        ] {
            let [normalized, physical, slope] = weights;
            let config = OperatorConfig {
                loss: LossConfig {
                    normalized,
                    physical,
                    slope,
                },
                ..OperatorConfig::default()
            };
            let problem = Problem::new(&data, &config, None).unwrap();
            let set = problem.set(&data.training);
            let mut work = Work::new(&config.network, &problem.layout, &problem.grid);
            work.y
                .iter_mut()
                .enumerate()
                .for_each(|(k, y)| *y = (k as f32 * 0.1).sin());
            let mut d = vec![0.0; 200];
            problem.loss(&set, 17, &work, Some(&mut d));
            // By its definition.
            let total = |y: &[f32]| {
                let one = |i: usize| {
                    let x = &data.training.x(17)[i * 100..(i + 1) * 100];
                    let p: Vec<f64> = (0..100)
                        .map(|t| {
                            f64::from(x[0])
                                + f64::from(problem.frame.gain[i * 100 + t])
                                    * f64::from(y[i * 100 + t])
                        })
                        .collect();
                    let e: Vec<f64> = p.iter().zip(x).map(|(p, x)| p - f64::from(*x)).collect();
                    let norm =
                        |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>().sqrt();
                    let size = set.size[17 * 2 + i];
                    normalized
                        * norm(&mut e.iter().zip(&problem.scale[i * 100..]).map(|(e, s)| e / s))
                        / size[0]
                        + physical * norm(&mut e.iter().copied()) / size[1]
                        + slope * norm(&mut e.windows(2).map(|w| w[1] - w[0])) / size[2]
                };
                (one(0) + one(1)) / 2.0
            };
            for k in [0, 3, 50, 99, 120, 199] {
                let mut y = work.y.clone();
                y[k] += 0.01;
                let up = total(&y);
                y[k] -= 0.02;
                let difference = (up - total(&y)) / 0.02;
                assert!(
                    (f64::from(d[k]) - difference).abs() < 2e-3 * difference.abs() + 1e-6,
                    "{weights:?} {k}: {} {difference}",
                    d[k]
                );
            }
        }
    }
}
