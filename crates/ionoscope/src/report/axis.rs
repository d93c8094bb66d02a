//! Where the values of an axis fall, and the ticks beside it.

use super::figure::{Axis, LARGEST, Scale};

/// Values that differ by less than this share of their size are drawn as one: enlarged to the height of a panel, rounding errors would look like an answer.
const ROUNDING: f64 = 1e-9;

/// The ends of an axis, and the map from values to [0, 1] along it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extent {
    /// Smallest value shown.
    pub low: f64,
    /// Largest value shown.
    pub high: f64,
    /// Linear or logarithmic.
    pub scale: Scale,
}

/// A mark beside an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Where it stands.
    pub value: f64,
    /// Its number, with `^{..}` for powers; empty for a minor tick.
    pub label: String,
}

impl Extent {
    /// The ends that an axis asks for, or those that the values need with some room around them.
    pub fn of(axis: &Axis, values: impl Iterator<Item = f64>) -> Self {
        if let Some([low, high]) = axis.range
            && low < high
        {
            return Extent {
                low,
                high,
                scale: axis.scale,
            };
        }
        let shown = |v: &f64| v.abs() <= LARGEST && (axis.scale == Scale::Linear || *v > 0.0);
        let (mut low, mut high) = values
            .filter(shown)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
                (a.min(v), b.max(v))
            });
        if low > high {
            (low, high) = if axis.scale == Scale::Log {
                (0.1, 1.0)
            } else {
                (0.0, 1.0)
            };
        }
        match axis.scale {
            Scale::Linear => {
                let same = high - low <= ROUNDING * low.abs().max(high.abs());
                let room = if !same {
                    0.04 * (high - low)
                } else {
                    0.5 * high.abs().max(1.0)
                };
                Extent {
                    low: low - room,
                    high: high + room,
                    scale: Scale::Linear,
                }
            }
            Scale::Log => {
                let room = if high > low {
                    (high / low).powf(0.04)
                } else {
                    3.0
                };
                Extent {
                    low: low / room,
                    high: high * room,
                    scale: Scale::Log,
                }
            }
        }
    }

    /// Position of a value along the axis: 0 at its low end, 1 at its high end; NaN where it cannot be shown.
    pub fn position(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log if value > 0.0 => (value / self.low).ln() / (self.high / self.low).ln(),
            Scale::Log => f64::NAN,
        }
    }

    /// About `wanted` labeled ticks at round values, with minor ones between them on a logarithmic axis.
    pub fn ticks(&self, wanted: usize) -> Vec<Tick> {
        match self.scale {
            Scale::Linear => self.linear_ticks(wanted),
            Scale::Log => self.log_ticks(wanted),
        }
    }

    fn linear_ticks(&self, wanted: usize) -> Vec<Tick> {
        let raw = (self.high - self.low) / wanted.max(1) as f64;
        let power = 10f64.powf(raw.log10().floor());
        // The round step nearest to the wished one, as a ratio.
        let near = |m: &f64| (m * power / raw).ln().abs();
        let step = power
            * [1.0, 2.0, 5.0, 10.0]
                .into_iter()
                .min_by(|a, b| near(a).total_cmp(&near(b)))
                .unwrap_or(1.0);
        if !(step.is_finite() && step > 0.0) {
            return Vec::new();
        }
        // Counting in whole steps keeps 0 exactly 0 and lets labels come out short.
        let (first, last) = (
            (self.low / step - 1e-9).ceil(),
            (self.high / step + 1e-9).floor(),
        );
        let decimals = (-step.log10() - 1e-9).ceil().max(0.0) as usize;
        let large = self.low.abs().max(self.high.abs());
        // As powers of ten they have three digits, which have to tell them apart.
        let as_powers = (large >= 1e5 || step < 1e-5) && large <= 100.0 * step;
        (0..=(last - first).min(1000.0) as usize)
            .map(|k| {
                let value = (first + k as f64) * step;
                let label = if as_powers {
                    power_label(value)
                } else {
                    format!("{value:.decimals$}")
                };
                Tick {
                    value,
                    label: label.replace('-', "\u{2212}"),
                }
            })
            .collect()
    }

    fn log_ticks(&self, wanted: usize) -> Vec<Tick> {
        let (first, last) = (
            self.low.log10().floor() as i32,
            self.high.log10().ceil() as i32,
        );
        let decades = (self.high / self.low).log10();
        let every = ((decades / wanted.max(1) as f64).ceil() as i32).max(1);
        let mut ticks = Vec::new();
        for exponent in first..=last {
            for digit in 1..10 {
                let value = f64::from(digit) * 10f64.powi(exponent);
                if !(self.low * 0.9999..=self.high * 1.0001).contains(&value)
                    || (digit > 1 && decades > 8.0)
                {
                    continue;
                }
                let major = (digit == 1 && exponent.rem_euclid(every) == 0)
                    || (decades < 1.5 && (digit == 2 || digit == 5));
                ticks.push(Tick {
                    value,
                    label: if major {
                        power_label(value)
                    } else {
                        String::new()
                    },
                });
            }
        }
        ticks
    }
}

/// A number as a power of ten: `10^{-3}`, `2·10^{5}`; short numbers near 1 as they are.
fn power_label(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let exponent = (value.abs().log10() + 1e-9).floor() as i32;
    let digits = value / 10f64.powi(exponent);
    if (-1..=2).contains(&exponent) {
        return format!("{}", (value * 1e6).round() / 1e6);
    }
    let exponent = exponent.to_string().replace('-', "\u{2212}");
    if (digits - 1.0).abs() < 1e-6 {
        format!("10^{{{exponent}}}")
    } else {
        format!("{}·10^{{{exponent}}}", (digits * 100.0).round() / 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, scale: Scale, wanted: usize) -> Vec<String> {
        Extent { low, high, scale }
            .ticks(wanted)
            .into_iter()
            .map(|t| t.label)
            .filter(|l| !l.is_empty())
            .collect()
    }

    #[test]
    fn linear_ticks_are_round_and_inside() {
        assert_eq!(
            labels(-40.0, -30.0, Scale::Linear, 5),
            ["−40", "−38", "−36", "−34", "−32", "−30"]
        );
        assert_eq!(
            labels(0.172, 0.188, Scale::Linear, 4),
            ["0.175", "0.180", "0.185"]
        );
        assert_eq!(labels(-0.3, 0.3, Scale::Linear, 3), ["−0.2", "0.0", "0.2"]);
        assert_eq!(
            labels(0.0, 1e6, Scale::Linear, 2),
            ["0", "5·10^{5}", "10^{6}"]
        );
        // No two of them read alike.
        assert_eq!(
            labels(0.1290880, 0.1290881, Scale::Linear, 2),
            ["0.12908800", "0.12908805", "0.12908810"]
        );
        assert_eq!(
            labels(1e6, 1e6 + 2.0, Scale::Linear, 2),
            ["1000000", "1000001", "1000002"]
        );
    }

    #[test]
    fn logarithmic_ticks_are_powers() {
        assert_eq!(
            labels(5e-5, 2.0, Scale::Log, 6),
            ["10^{−4}", "10^{−3}", "10^{−2}", "0.1", "1"]
        );
        assert_eq!(labels(0.9, 11.0, Scale::Log, 6), ["1", "2", "5", "10"]);
    }

    #[test]
    fn positions_run_from_zero_to_one() {
        let log = Extent {
            low: 1e-4,
            high: 1.0,
            scale: Scale::Log,
        };
        assert!((log.position(1e-2) - 0.5).abs() < 1e-12);
        assert!(log.position(0.0).is_nan());
        let linear = Extent::of(&Axis::new("x", "1"), [3.0, f64::NAN, 3.0].into_iter());
        assert!(linear.low < 3.0 && linear.high > 3.0);
        assert!((linear.position(3.0) - 0.5).abs() < 1e-12);
        // What differs by rounding alone is one line in the middle.
        let rounded = Extent::of(
            &Axis::new("x", "1"),
            [3.0, 3.0 + 4e-16, 3.0 - 4e-10].into_iter(),
        );
        assert!(rounded.low < 2.0 && rounded.high > 4.0, "{rounded:?}");
        let apart = Extent::of(&Axis::new("x", "1"), [3.0, 3.0 + 1e-7].into_iter());
        assert!(apart.high - apart.low < 2e-7, "{apart:?}");
    }

    #[test]
    fn an_axis_without_values_still_has_ends() {
        for axis in [Axis::new("x", "1"), Axis::new("x", "1").log()] {
            let e = Extent::of(&axis, [f64::NAN, f64::INFINITY].into_iter());
            assert!(e.low < e.high && !e.ticks(4).is_empty());
        }
    }
}
