//! The families of protocols behind the datasets of Pellegrini, Ghiotto, Centofanti, Pavarino (2025), arXiv 2505.14039.
//!
//! There, a constant current I is on for a share of [0, T] from its start. For FitzHugh-Nagumo and Hodgkin-Huxley the ranges and numbers of
//! each class are those that reproduce the statistics of the stored training and test sets. For O'Hara-Rudy none are published; ours
//! follow its strength-duration curve. The *shifted* families are ours: what a network has not seen in training, each class in its own way.

use super::family::{Class, Draw, Field, ProtocolFamily, Range, Scale};

/// A fixed share of T.
const fn share(value: f64) -> Range {
    Range {
        draw: Draw::Value(value),
        of: Scale::TEnd,
    }
}

const fn fixed(value: f64) -> Range {
    Range {
        draw: Draw::Value(value),
        of: Scale::One,
    }
}

const TWO: Range = Range {
    draw: Draw::Whole([2, 2]),
    of: Scale::One,
};

const fn range(low: f64, high: f64) -> Range {
    Range::uniform(low, high)
}

const fn shares(low: f64, high: f64) -> Range {
    Range::uniform(low, high).of_t_end()
}

/// One class: a stimulus of a shape with some of its fields.
fn class(
    name: &str,
    count: u64,
    t_end: Option<f64>,
    shape: &str,
    fields: &[(&str, Range)],
) -> Class {
    let fields = fields.iter().map(|(name, range)| match range {
        Range {
            draw: Draw::Value(v),
            of: Scale::One,
        } => (name.to_string(), Field::Number(*v)),
        range => (name.to_string(), Field::Range(*range)),
    });
    let stimulus = fields
        .chain([("shape".into(), Field::Text(shape.into()))])
        .collect();
    Class {
        name: name.into(),
        count: Some(count),
        weight: None,
        t_end,
        overlap: Default::default(),
        stimulus: vec![stimulus],
    }
}

/// A class as in the paper: amplitude and duration of a step from t = 0.
type Steps = (&'static str, Range, Range);

/// The cells of the paper.
struct CellStimuli {
    name: &'static str,
    t_end: f64,
    units: &'static str,
    classes: &'static [Steps],
    /// Members of each class for training, and for the test.
    counts: [&'static [u64]; 2],
    source: &'static str,
    /// Amplitude and duration of the stimuli of the shifted families: later start, two pulses, longer.
    shifted: [(Range, Range); 3],
    /// From the start of one pulse to the next.
    period: Range,
}

const FITZHUGH_NAGUMO: CellStimuli = CellStimuli {
    name: "fitzhugh-nagumo",
    t_end: 100.0,
    units: "dimensionless",
    classes: &[
        ("none", range(0.1, 2.0), fixed(0.0)),
        ("general", range(0.1, 2.0), shares(0.01, 1.0)),
        ("sub-threshold", range(1e-4, 0.01), shares(0.1, 1.0)),
        ("whole", range(0.3, 2.0), share(1.0)),
    ],
    counts: [&[20, 2300, 650, 30], &[10, 285, 30, 50]],
    source: "Pellegrini et al. (2025)",
    shifted: [
        (range(0.1, 2.0), shares(0.01, 0.5)),
        (range(0.1, 2.0), shares(0.02, 0.2)),
        (range(0.1, 2.0), shares(0.5, 1.0)),
    ],
    period: shares(0.25, 0.6),
};

const HODGKIN_HUXLEY: CellStimuli = CellStimuli {
    name: "hodgkin-huxley",
    t_end: 100.0,
    units: "uA/cm^2, ms",
    classes: &[
        ("none", range(2.0, 10.0), fixed(0.0)),
        ("general", range(2.0, 10.0), shares(0.01, 1.0)),
        ("sub-threshold", range(1e-4, 2.0), shares(0.1, 1.0)),
        ("high", range(50.0, 200.0), shares(0.01, 1.0)),
        ("whole", range(2.0, 30.0), share(1.0)),
    ],
    counts: [&[20, 2380, 100, 300, 200], &[10, 275, 30, 30, 30]],
    source: "Pellegrini et al. (2025)",
    shifted: [
        (range(2.0, 10.0), shares(0.01, 0.5)),
        (range(2.0, 10.0), shares(0.02, 0.2)),
        (range(2.0, 10.0), shares(0.5, 1.0)),
    ],
    period: shares(0.25, 0.6),
};

/// From the start of the paper, an action potential needs (LSODA, bisection to 2 %) 57 A/F for 0.5 ms, 30 for 1, 16 for 2, 7.6 for 5, 4.7
/// for 10, 1.7 for 50, 1.0 for 200 and 0.91 for 500 ms. Each class but the sub-threshold ones lies on both sides of that curve. Its far
/// corner drives the potential to at most 160 mV (200 A/F for 1 ms: 142; 40 for 5 ms: 155): beyond, the equations say nothing of a cell
/// (200 A/F for 2 ms: 330 mV), so strong currents are short.
const OHARA_RUDY: CellStimuli = CellStimuli {
    name: "ohara-rudy",
    t_end: 500.0,
    units: "A/F, ms",
    classes: &[
        ("none", range(0.0, 200.0), fixed(0.0)),
        ("sub-threshold-short", range(0.0, 7.0), range(0.5, 5.0)),
        ("sub-threshold-long", range(0.0, 0.9), range(5.0, 500.0)),
        ("half-millisecond", range(20.0, 200.0), range(0.5, 1.0)),
        ("millisecond", range(5.0, 100.0), range(1.0, 2.0)),
        ("milliseconds", range(2.0, 40.0), range(2.0, 5.0)),
        ("ten-milliseconds", range(2.0, 20.0), range(5.0, 10.0)),
        ("long", range(0.9, 5.0), range(10.0, 50.0)),
        ("plateau", range(0.5, 2.0), range(50.0, 500.0)),
    ],
    counts: [
        &[20, 200, 150, 700, 700, 700, 330, 150, 50],
        &[10, 25, 20, 85, 85, 85, 40, 15, 10],
    ],
    source: "ranges of this project, along the strength-duration curve",
    shifted: [
        (range(2.0, 40.0), range(2.0, 5.0)),
        (range(2.0, 40.0), range(2.0, 5.0)),
        (range(0.5, 2.0), shares(0.5, 1.0)),
    ],
    period: range(200.0, 450.0),
};

impl CellStimuli {
    fn family(&self, kind: &str, description: String, classes: Vec<Class>) -> ProtocolFamily {
        ProtocolFamily {
            name: format!("{}-{kind}", self.name),
            description: format!("{description} ({})", self.units),
            t_end: self.t_end,
            unit: None,
            time_unit: None,
            classes,
        }
    }

    fn all(&self) -> [ProtocolFamily; 3] {
        let steps = |counts: &[u64]| {
            let step = |((name, amplitude, duration), count): (&Steps, &u64)| {
                class(
                    name,
                    *count,
                    None,
                    "step",
                    &[
                        ("start", fixed(0.0)),
                        ("duration", *duration),
                        ("amplitude", *amplitude),
                    ],
                )
            };
            self.classes.iter().zip(counts).map(step).collect()
        };
        let [later, two, longer] = self.shifted;
        let two_pulses = [
            ("start", fixed(0.0)),
            ("amplitude", two.0),
            ("width", two.1),
            ("period", self.period),
            ("count", TWO),
        ];
        let shifted = vec![
            class(
                "later-start",
                125,
                None,
                "step",
                &[
                    ("start", shares(0.1, 0.5)),
                    ("duration", later.1),
                    ("amplitude", later.0),
                ],
            ),
            class("two-pulses", 125, None, "pulse-train", &two_pulses),
            class(
                "longer",
                125,
                Some(2.0 * self.t_end),
                "step",
                &[
                    ("start", fixed(0.0)),
                    ("duration", longer.1),
                    ("amplitude", longer.0),
                ],
            ),
        ];
        [
            self.family("train", format!("steps from t = 0 for training; {}", self.source), steps(self.counts[0])),
            self.family("test", format!("steps from t = 0 for validation and test; {}", self.source), steps(self.counts[1])),
            self.family(
                "shifted",
                "stimuli as they do not occur in training: later, twice, and longer with twice the time".into(),
                shifted,
            ),
        ]
    }
}

/// All families: for each cell `..-train`, `..-test` and `..-shifted`.
pub(super) fn all() -> Vec<ProtocolFamily> {
    [FITZHUGH_NAGUMO, HODGKIN_HUXLEY, OHARA_RUDY]
        .iter()
        .flat_map(CellStimuli::all)
        .collect()
}
