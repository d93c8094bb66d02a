//! How the values of a trial are drawn: at random, evenly (Sobol), or where good trials are dense and bad ones are not (TPE: Bergstra et al. 2011, with
//! the defaults of Optuna, whose estimator Watanabe 2023, arXiv 2304.11127, describes).

use std::collections::BTreeMap;

use ionoscope_dynamics::sampling::{Generator, normal, stream, uniform};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    front,
    journal::{State, Trial},
    space::{Scale, Space},
};

/// A way to draw values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// Independent and even on each parameter's scale.
    Random,
    /// A shifted Sobol sequence, more even than chance; at most 16 parameters, further ones at random.
    Sobol,
    /// At random first, then by a tree-structured Parzen estimator.
    #[default]
    Tpe,
}

/// Least logarithm of a density.
const LEAST: f64 = -690.0;
/// Trials before TPE begins to look at them.
pub const STARTUP: usize = 10;
/// Candidates of which TPE takes the best.
const CANDIDATES: usize = 24;
/// Latest trials that count in full; older ones count less.
const RECENT: usize = 25;
/// Of the trials that are not among the best, the latest that are looked at: more would cost time and tell no more.
const OTHERS: usize = 200;

impl Sampler {
    /// Values of trial `number` under a study's seed, given the others. Random and Sobol do not look at these, so their trials are the same for
    /// any number of workers.
    pub fn sample(
        self,
        space: &Space,
        seed: u64,
        number: usize,
        trials: &[Trial],
    ) -> BTreeMap<String, Value> {
        let mut rng = stream(seed, "trial", number as u64);
        let mut values = BTreeMap::new();
        // The others look at nothing.
        let known: Vec<&Trial> = if self == Sampler::Tpe {
            ranked(trials)
        } else {
            Vec::new()
        };
        let parzen = self == Sampler::Tpe && known.len() >= STARTUP;
        if parzen {
            // What has no condition is drawn together.
            let free: Vec<&String> = space
                .order()
                .into_iter()
                .filter(|k| space.0[*k].when.is_empty())
                .collect();
            values.extend(tpe(space, &free, &known, &mut rng));
        }
        let point = (self == Sampler::Sobol).then(|| sobol(number as u64 + 1));
        for (k, key) in space.order().into_iter().enumerate() {
            if values.contains_key(key) || !space.applies(key, &values) {
                continue;
            }
            if parzen {
                values.extend(tpe(space, &[key], &known, &mut rng));
                continue;
            }
            // The shift makes studies of different seeds differ.
            let shift = uniform(&mut stream(seed, "shift", k as u64), [0.0, 1.0]);
            let share = match &point {
                Some(point) if k < point.len() => (point[k] + shift).fract(),
                _ => uniform(&mut rng, [0.0, 1.0]),
            };
            let domain = &space.0[key].domain;
            values.insert(key.clone(), domain.value(at(domain.scale(), share)));
        }
        values
    }
}

/// The inner number at a share of a scale.
fn at(scale: Scale, share: f64) -> f64 {
    match scale {
        Scale::Choices(n) => (share * n as f64).floor().min(n as f64 - 1.0),
        Scale::Line { .. } => {
            let line = Line::of(scale);
            line.back(line.low + share * (line.high - line.low))
        }
    }
}

/// Finished trials from the best to the worst: complete ones by value, then given-up ones by how far they came, then by their last value. Of several
/// objectives by front, and on a front by how much room there is.
fn ranked(trials: &[Trial]) -> Vec<&Trial> {
    let done: Vec<&Trial> = trials
        .iter()
        .filter(|t| matches!(t.state, State::Complete | State::Pruned))
        .collect();
    if done.iter().any(|t| !t.further.is_empty()) {
        let points: Vec<Vec<f64>> = done.iter().map(|t| t.objectives()).collect();
        let front = front::fronts(&points);
        let room = front::room(&points, &front);
        let mut order: Vec<usize> = (0..done.len()).collect();
        order.sort_by(|a, b| {
            front[*a]
                .cmp(&front[*b])
                .then(room[*b].total_cmp(&room[*a]))
                .then(a.cmp(b))
        });
        return order.into_iter().map(|k| done[k]).collect();
    }
    let key = |t: &Trial| match t.state {
        State::Complete => (0, 0, t.value.unwrap_or(f64::INFINITY)),
        _ => (
            1,
            u64::MAX - t.last().map_or(0, |l| l.0),
            t.last().map_or(f64::INFINITY, |l| l.1),
        ),
    };
    let mut keys: Vec<_> = done.iter().enumerate().map(|(k, t)| (key(t), k)).collect();
    keys.sort_unstable_by(|((s, n, v), a), ((z, m, w), b)| {
        s.cmp(z).then(n.cmp(m)).then(v.total_cmp(w)).then(a.cmp(b))
    });
    keys.into_iter().map(|(_, k)| done[k]).collect()
}

/// A scale as samplers see it: the logarithm where it is one, half a step wider on both sides where it has steps.
struct Line {
    low: f64,
    high: f64,
    log: bool,
    step: Option<f64>,
    ends: [f64; 2],
}

impl Line {
    fn of(scale: Scale) -> Self {
        let Scale::Line {
            low,
            high,
            log,
            step,
        } = scale
        else {
            return Line {
                low: 0.0,
                high: 1.0,
                log: false,
                step: None,
                ends: [0.0, 1.0],
            };
        };
        let half = step.unwrap_or(0.0) / 2.0;
        let to = |v: f64| if log { v.ln() } else { v };
        Line {
            low: to(low - half),
            high: to(high + half),
            log,
            step,
            ends: [low, high],
        }
    }

    fn forth(&self, v: f64) -> f64 {
        if self.log { v.ln() } else { v }
    }

    fn back(&self, u: f64) -> f64 {
        let v = if self.log { u.exp() } else { u };
        let v = self
            .step
            .map_or(v, |s| self.ends[0] + ((v - self.ends[0]) / s).round() * s);
        v.clamp(self.ends[0], self.ends[1])
    }
}

/// The kernels of one parameter: one for each trial, and a wide one for what is known before.
enum Kernels {
    Line {
        line: Line,
        centers: Vec<f64>,
        widths: Vec<f64>,
        /// Logarithm of the share of each kernel that lies within the line.
        inside: Vec<f64>,
    },
    /// Probability of each choice, by kernel.
    Choices(Vec<Vec<f64>>),
}

impl Kernels {
    /// From inner numbers, in the order of the trials.
    fn of(scale: Scale, seen: &[f64]) -> Self {
        let kernels = seen.len() as f64 + 1.0;
        if let Scale::Choices(n) = scale {
            let one = |k: &f64| {
                let mut row = vec![1.0 / kernels; n];
                row[*k as usize] += 1.0;
                let sum: f64 = row.iter().sum();
                row.iter().map(|v| v / sum).collect::<Vec<f64>>()
            };
            let mut rows: Vec<Vec<f64>> = seen.iter().map(one).collect();
            rows.push(vec![1.0 / n as f64; n]);
            return Kernels::Choices(rows);
        }
        let line = Line::of(scale);
        let mut centers: Vec<f64> = seen.iter().map(|v| line.forth(*v)).collect();
        let mut sorted = centers.clone();
        sorted.sort_by(f64::total_cmp);
        let range = line.high - line.low;
        let least = range / (1.0 + kernels).min(100.0);
        let width = |center: &f64| {
            let k = sorted.partition_point(|v| v < center);
            let last = sorted.len() - 1;
            // The outermost look at their inner neighbor alone.
            let left = if k > 0 {
                center - sorted[k - 1]
            } else if last > 0 {
                0.0
            } else {
                center - line.low
            };
            let right = if k < last {
                sorted[k + 1] - center
            } else if last > 0 {
                0.0
            } else {
                line.high - center
            };
            left.max(right).clamp(least, range.max(f64::MIN_POSITIVE))
        };
        let mut widths: Vec<f64> = centers.iter().map(width).collect();
        centers.push(0.5 * (line.low + line.high));
        widths.push(range.max(f64::MIN_POSITIVE));
        let share = |(c, w): (&f64, &f64)| {
            between((line.low - c) / w, (line.high - c) / w)
                .max(1e-300)
                .ln()
        };
        let inside = centers.iter().zip(&widths).map(share).collect();
        Kernels::Line {
            line,
            centers,
            widths,
            inside,
        }
    }

    fn sample(&self, kernel: usize, rng: &mut Generator) -> f64 {
        match self {
            Kernels::Choices(rows) => {
                let mut left = uniform(rng, [0.0, 1.0]);
                let hit = |p: &f64| {
                    left -= p;
                    left < 0.0
                };
                rows[kernel]
                    .iter()
                    .position(hit)
                    .unwrap_or(rows[kernel].len() - 1) as f64
            }
            Kernels::Line {
                line,
                centers,
                widths,
                ..
            } => {
                // Centers lie within, so that about every second draw does.
                let draw = |_| centers[kernel] + widths[kernel] * normal(rng);
                let inside = (0..1000)
                    .map(draw)
                    .find(|u| (line.low..=line.high).contains(u));
                line.back(inside.unwrap_or(centers[kernel]))
            }
        }
    }

    /// Logarithm of the probability (density) of an inner number under every kernel, added to `sums`.
    fn add_log_densities(&self, inner: f64, sums: &mut [f64]) {
        match self {
            Kernels::Choices(rows) => sums
                .iter_mut()
                .zip(rows)
                .for_each(|(s, row)| *s += row[inner as usize].ln()),
            Kernels::Line {
                line,
                centers,
                widths,
                inside,
            } => {
                let kernels = sums.iter_mut().zip(centers).zip(widths).zip(inside);
                let Some(step) = line.step else {
                    let (u, root) = (line.forth(inner), 0.5 * std::f64::consts::TAU.ln());
                    kernels.for_each(|(((s, c), w), i)| {
                        *s += (-0.5 * ((u - c) / w).powi(2) - w.ln() - root).max(LEAST) - i
                    });
                    return;
                };
                let [low, high] = [-0.5, 0.5]
                    .map(|half| line.forth(inner + half * step).clamp(line.low, line.high));
                // Many kernels are the same: whole numbers are few.
                let mut seen: Vec<([u64; 2], f64)> = Vec::new();
                for (((s, c), w), i) in kernels {
                    let key = [c.to_bits(), w.to_bits()];
                    let share = match seen.iter().find(|k| k.0 == key) {
                        Some(known) => known.1,
                        None => {
                            let share = between((low - c) / w, (high - c) / w).max(1e-300).ln();
                            seen.push((key, share));
                            share
                        }
                    };
                    *s += share - i;
                }
            }
        }
    }

    #[cfg(test)]
    fn log_density(&self, kernel: usize, inner: f64) -> f64 {
        let kernels = match self {
            Kernels::Choices(rows) => rows.len(),
            Kernels::Line { centers, .. } => centers.len(),
        };
        let mut sums = vec![0.0; kernels];
        self.add_log_densities(inner, &mut sums);
        sums[kernel]
    }
}

/// Probability of a standard normal number between two.
fn between(a: f64, b: f64) -> f64 {
    let half = |z: f64| 0.5 * libm::erfc(z * std::f64::consts::FRAC_1_SQRT_2);
    // On the right of 0 the complements keep their digits.
    if a > 0.0 {
        half(a) - half(b)
    } else {
        half(-b) - half(-a)
    }
}

/// A mixture over trials of products over parameters.
struct Estimator {
    weights: Vec<f64>,
    log_weights: Vec<f64>,
    parts: Vec<Kernels>,
}

impl Estimator {
    fn of(space: &Space, keys: &[&String], trials: &[&Trial]) -> Self {
        // Older trials count less: their weights rise from 1 / n to 1 by their number.
        let mut order: Vec<&&Trial> = trials.iter().collect();
        order.sort_by_key(|t| t.number);
        let n = order.len();
        let old = n.saturating_sub(RECENT);
        let rise = |k: usize| {
            if old < 2 {
                1.0
            } else {
                1.0 / n as f64 + (1.0 - 1.0 / n as f64) * k as f64 / (old - 1) as f64
            }
        };
        let mut weights: Vec<f64> = (0..n)
            .map(|k| if k < old { rise(k) } else { 1.0 })
            .collect();
        weights.push(1.0);
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= sum);
        let part = |key: &&String| {
            let domain = &space.0[*key].domain;
            let seen: Vec<f64> = order
                .iter()
                .filter_map(|t| domain.inner(t.values.get(*key)?))
                .collect();
            Kernels::of(domain.scale(), &seen)
        };
        Estimator {
            log_weights: weights.iter().map(|w| w.ln()).collect(),
            weights,
            parts: keys.iter().map(part).collect(),
        }
    }

    fn sample(&self, rng: &mut Generator) -> Vec<f64> {
        let mut left = uniform(rng, [0.0, 1.0]);
        let hit = |w: &f64| {
            left -= w;
            left < 0.0
        };
        let kernel = self
            .weights
            .iter()
            .position(hit)
            .unwrap_or(self.weights.len() - 1);
        self.parts.iter().map(|p| p.sample(kernel, rng)).collect()
    }

    fn log_density(&self, point: &[f64]) -> f64 {
        let mut all = self.log_weights.clone();
        self.parts
            .iter()
            .zip(point)
            .for_each(|(p, v)| p.add_log_densities(*v, &mut all));
        let top = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        top + all.iter().map(|l| (l - top).exp()).sum::<f64>().ln()
    }
}

/// Values of `keys`, drawn together: of some candidates that are likely among good trials the one that is least likely among the others.
fn tpe(
    space: &Space,
    keys: &[&String],
    ranked: &[&Trial],
    rng: &mut Generator,
) -> Vec<(String, Value)> {
    let within = |t: &&&Trial| {
        keys.iter().all(|k| {
            t.values
                .get(*k)
                .is_some_and(|v| space.0[*k].domain.inner(v).is_some())
        })
    };
    let known: Vec<&Trial> = ranked.iter().filter(within).copied().collect();
    let best = known.len().div_ceil(10).min(25);
    let (good, bad) = known.split_at(best);
    let mut bad = bad.to_vec();
    if bad.len() > OTHERS {
        bad.sort_unstable_by_key(|t| t.number);
        bad.drain(..bad.len() - OTHERS);
    }
    let (good, bad) = (
        Estimator::of(space, keys, good),
        Estimator::of(space, keys, &bad),
    );
    let scored = (0..CANDIDATES).map(|_| {
        let c = good.sample(rng);
        (good.log_density(&c) - bad.log_density(&c), c)
    });
    let chosen = scored.max_by(|a, b| a.0.total_cmp(&b.0)).map(|c| c.1);
    chosen
        .iter()
        .flatten()
        .zip(keys)
        .map(|(inner, key)| ((*key).clone(), space.0[*key].domain.value(*inner)))
        .collect()
}

/// Point `n` of the Sobol sequence (direction numbers of Joe and Kuo 2008, `new-joe-kuo-6.21201`).
fn sobol(n: u64) -> Vec<f64> {
    /// s, a and the m_i of each dimension from the second on.
    const DIRECTIONS: [(u32, u32, &[u32]); 15] = [
        (1, 0, &[1]),
        (2, 1, &[1, 3]),
        (3, 1, &[1, 3, 1]),
        (3, 2, &[1, 1, 1]),
        (4, 1, &[1, 1, 3, 3]),
        (4, 4, &[1, 3, 5, 13]),
        (5, 2, &[1, 1, 5, 5, 17]),
        (5, 4, &[1, 1, 5, 5, 5]),
        (5, 7, &[1, 1, 7, 11, 19]),
        (5, 11, &[1, 1, 5, 1, 1]),
        (5, 13, &[1, 1, 1, 3, 11]),
        (5, 14, &[1, 3, 5, 5, 31]),
        (6, 1, &[1, 3, 3, 9, 7, 49]),
        (6, 13, &[1, 1, 1, 15, 21, 21]),
        (6, 16, &[1, 3, 1, 13, 27, 49]),
    ];
    let gray = n ^ (n >> 1);
    let coordinate = |v: &dyn Fn(usize) -> u32| {
        (0..32)
            .filter(|k| gray >> k & 1 == 1)
            .fold(0u32, |x, k| x ^ v(k))
    };
    let mut point = vec![f64::from(coordinate(&|k| 1 << (31 - k))) / 2f64.powi(32)];
    for (s, a, m) in DIRECTIONS {
        let s = s as usize;
        let mut v = [0u32; 32];
        for k in 0..32 {
            v[k] = if k < s {
                m[k] << (31 - k)
            } else {
                let bits = (1..s)
                    .filter(|j| a >> (s - 1 - j) & 1 == 1)
                    .fold(0, |x, j| x ^ v[k - j]);
                v[k - s] ^ (v[k - s] >> s) ^ bits
            };
        }
        point.push(f64::from(coordinate(&|k| v[k])) / 2f64.powi(32));
    }
    point
}

#[cfg(test)]
mod tests {
    use super::{super::Parameter, *};

    fn space() -> Space {
        let text = r#"{"x": {"real": [-5, 5]}, "y": {"log": [1e-3, 10]}, "n": {"integer": [1, 9], "step": 2}, "c": {"choice": ["a", "b", "d"]},
            "z": {"real": [0, 1], "when": {"c": ["b"]}}}"#;
        serde_json::from_str(text).unwrap()
    }

    /// Smallest at x = 2, y = .1, n = 5, c = b, z = .5.
    fn cost(v: &BTreeMap<String, Value>) -> f64 {
        let f = |k: &str| v.get(k).and_then(Value::as_f64);
        let z = if v["c"] == "b" {
            (f("z").unwrap() - 0.5).powi(2)
        } else {
            1.0
        };
        (f("x").unwrap() - 2.0).powi(2)
            + f("y").unwrap().ln().abs_sub_tenth()
            + (f("n").unwrap() - 5.0).powi(2) / 4.0
            + z
    }

    trait Tenth {
        fn abs_sub_tenth(self) -> f64;
    }
    impl Tenth for f64 {
        fn abs_sub_tenth(self) -> f64 {
            (self - 0.1f64.ln()).powi(2) / 4.0
        }
    }

    fn best_after(sampler: Sampler, seed: u64, trials: usize) -> f64 {
        let (space, mut all) = (space(), Vec::new());
        for number in 0..trials {
            let values = sampler.sample(&space, seed, number, &all);
            for (key, value) in &values {
                assert!(
                    space.0[key].domain.inner(value).is_some(),
                    "{key} = {value}"
                );
            }
            assert_eq!(values.contains_key("z"), values["c"] == "b");
            let value = Some(cost(&values));
            all.push(Trial {
                number,
                state: State::Complete,
                value,
                values,
                ..Trial::default()
            });
        }
        all.iter()
            .filter_map(|t| t.value)
            .fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn tpe_finds_what_chance_does_not() {
        let median = |sampler| {
            let mut all: Vec<f64> = (0..9).map(|seed| best_after(sampler, seed, 80)).collect();
            all.sort_by(f64::total_cmp);
            all[4]
        };
        let (random, tpe, even) = (
            median(Sampler::Random),
            median(Sampler::Tpe),
            median(Sampler::Sobol),
        );
        assert!(
            tpe < 0.3 * random && even < 2.0 * random,
            "{tpe} {random} {even}"
        );
    }

    #[test]
    fn the_sobol_points_are_the_published_ones() {
        // The first points of the sequence, and its evenness in every dimension.
        let first: Vec<Vec<f64>> = (1..4).map(|n| sobol(n)[..3].to_vec()).collect();
        assert_eq!(
            first,
            [[0.5, 0.5, 0.5], [0.75, 0.25, 0.25], [0.25, 0.75, 0.75]]
        );
        for d in 0..16 {
            let mut cells = [0; 64];
            (0..64).for_each(|n| cells[(sobol(n)[d] * 64.0) as usize] += 1);
            assert!(cells.iter().all(|c| *c == 1), "{d}");
        }
    }

    #[test]
    fn densities_integrate_to_one() {
        for (text, seen) in [
            (r#"{"integer": [1, 9], "step": 2}"#, vec![3.0, 3.0, 9.0]),
            (r#"{"log_integer": [1, 40]}"#, vec![1.0, 7.0]),
        ] {
            let Parameter { domain, .. } = serde_json::from_str(text).unwrap();
            let kernels = Kernels::of(domain.scale(), &seen);
            for k in 0..=seen.len() {
                let sum: f64 = (1..=40)
                    .filter(|v| {
                        domain.inner(&(*v).into()).is_some() && (text.contains("log") || v % 2 == 1)
                    })
                    .map(|v| kernels.log_density(k, f64::from(v)).exp())
                    .sum();
                assert!((sum - 1.0).abs() < 1e-9, "{text} {k}: {sum}");
            }
        }
        let Parameter { domain, .. } = serde_json::from_str(r#"{"real": [-1, 3]}"#).unwrap();
        let kernels = Kernels::of(domain.scale(), &[-1.0, 0.5, 2.9]);
        for k in 0..4 {
            let sum: f64 = (0..4000)
                .map(|i| {
                    kernels
                        .log_density(k, -1.0 + (f64::from(i) + 0.5) * 1e-3)
                        .exp()
                        * 1e-3
                })
                .sum();
            assert!((sum - 1.0).abs() < 1e-5, "{k}: {sum}");
        }
        assert!((between(-1.0, 1.0) - 0.6826894921370859).abs() < 1e-14 && between(8.0, 9.0) > 0.0);
    }

    #[test]
    fn trials_do_not_depend_on_what_random_and_sobol_cannot_see() {
        let space = space();
        for sampler in [Sampler::Random, Sampler::Sobol] {
            let done = vec![Trial {
                number: 0,
                state: State::Complete,
                value: Some(1.0),
                ..Trial::default()
            }];
            assert_eq!(
                sampler.sample(&space, 3, 7, &[]),
                sampler.sample(&space, 3, 7, &done)
            );
            assert_ne!(
                sampler.sample(&space, 3, 7, &[]),
                sampler.sample(&space, 4, 7, &[])
            );
        }
    }
}
