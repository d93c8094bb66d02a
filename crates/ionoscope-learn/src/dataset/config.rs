//! How a dataset of pairs is made.

use std::collections::BTreeMap;

use ionoscope_dynamics::{spec::Spec, trajectory::TimeGrid};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, responses::FamilySource};

/// Most pairs of all chunks, by memory and by the 32 bits of their numbers.
const MOST_PAIRS: usize = 1 << 30;

/// How a dataset is made. Times, states and parameters in the units of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatasetConfig {
    /// Identifier of the model.
    pub model: String,
    /// Values of parameters that differ from the model's defaults and stay fixed.
    pub parameters: BTreeMap<String, f64>,
    /// Control parameters and the ranges from which a chunk's values are drawn.
    pub control: BTreeMap<String, [f64; 2]>,
    /// Ranges of the starts, by variable.
    pub start: BTreeMap<String, [f64; 2]>,
    /// Protocols under which the system runs, where the map is to take a stimulus. A chunk is then one run of a member from its start to its end,
    /// of which pairs are taken at random times after the transient, and fixed points are not kept away from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stimulus: Option<FamilySource>,
    /// Time step of the pairs.
    pub dt: f64,
    /// Number of chunks C for training and validation. Many short chunks cover the control range and the phases of a burst better than few long
    /// ones; the paper leaves both numbers open.
    pub chunks: usize,
    /// Pairs S of a chunk.
    pub pairs_per_chunk: usize,
    /// Transient dropped at the beginning of each chunk.
    pub transient: f64,
    /// A start nearer than this to the fixed point is drawn again, in standard deviations of the start box.
    pub distance_of_start: f64,
    /// Share of the pairs kept for validation; the split is by pair.
    pub validation_share: f64,
    /// Number of further chunks for the second validation set, of which nothing is in the training set.
    pub new_chunks: usize,
    /// Relative tolerance of the integration.
    pub rtol: f64,
    /// Absolute tolerance of the integration.
    pub atol: f64,
    /// Seed of everything that is random here.
    pub seed: u64,
}

impl Default for DatasetConfig {
    fn default() -> Self {
        DatasetConfig {
            model: "sherman-1988".into(),
            parameters: BTreeMap::new(),
            control: BTreeMap::from([("v_s".into(), [-40.0, -30.0])]),
            start: BTreeMap::from([
                ("v".into(), [-70.0, -10.0]),
                ("n".into(), [0.0, 0.12]),
                ("s".into(), [0.17, 0.2]),
            ]),
            stimulus: None,
            dt: 0.005,
            chunks: 2000,
            pairs_per_chunk: 20,
            transient: 100.0,
            distance_of_start: 0.5,
            validation_share: 0.1,
            new_chunks: 200,
            rtol: 1e-9,
            atol: 1e-11,
            seed: 1,
        }
    }
}

impl DatasetConfig {
    /// Checks every number, and the names against those of the model.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn check_for(&self, spec: &Spec) -> Result<()> {
        if self.model != spec.id {
            return Err(Error::Invalid(format!(
                "the dataset is configured for '{}', not for '{}'",
                self.model, spec.id
            )));
        }
        self.fixed(spec)?;
        if self.controlled(spec)?.is_empty() && self.stimulus.is_none() {
            let problem = "no parameter is controlled; expected at least one, or a stimulus";
            return Err(Error::of_setting("control", problem));
        }
        self.starts(spec)?;
        for (key, count) in [
            ("chunks", self.chunks),
            ("pairs_per_chunk", self.pairs_per_chunk),
        ] {
            if count == 0 {
                return Err(Error::setting(key, 0, "at least 1"));
            }
        }
        let chunks = self.chunks.saturating_add(self.new_chunks);
        if chunks.saturating_mul(self.pairs_per_chunk) > MOST_PAIRS {
            let problem = format!(
                "{chunks} chunks of {} pairs do not fit in memory; expected at most {MOST_PAIRS} pairs",
                self.pairs_per_chunk
            );
            return Err(Error::of_setting("chunks", problem));
        }
        if !(self.distance_of_start >= 0.0 && self.distance_of_start.is_finite()) {
            return Err(Error::setting(
                "distance_of_start",
                self.distance_of_start,
                "0 or more",
            ));
        }
        if !(self.validation_share >= 0.0 && self.validation_share < 1.0) {
            return Err(Error::setting(
                "validation_share",
                self.validation_share,
                "a number in [0, 1)",
            ));
        }
        self.times()?;
        match &self.stimulus {
            Some(source) => source
                .family()
                .map(|_| ())
                .map_err(|e| Error::of_setting("stimulus", e)),
            None => Ok(()),
        }
    }

    /// All parameters of the model before the control parameters are set.
    pub(super) fn fixed(&self, spec: &Spec) -> Result<Vec<f64>> {
        crate::responses::set_parameters(spec, &self.parameters)
    }

    /// Index among the model's parameters, and range, of each control parameter, in the model's order.
    pub(super) fn controlled(&self, spec: &Spec) -> Result<Vec<(usize, [f64; 2])>> {
        let mut control = Vec::new();
        for (name, range) in &self.control {
            let key = format!("control.{name}");
            let i = spec
                .parameter_index(name)
                .map_err(|e| unknown(spec, &key, e, "control = { NAME = [LOW, HIGH] }"))?;
            for end in ordered(&key, *range)? {
                spec.parameters_with([(name.as_str(), end)])
                    .map_err(|e| Error::of_setting(&key, e))?;
            }
            control.push((i, *range));
        }
        control.sort_by_key(|c| c.0);
        Ok(control)
    }

    /// Range of each variable's start.
    pub(super) fn starts(&self, spec: &Spec) -> Result<Vec<[f64; 2]>> {
        let mut start: Vec<[f64; 2]> = spec.variables.iter().map(|q| [q.default; 2]).collect();
        for (name, range) in &self.start {
            let key = format!("start.{name}");
            let i = spec.variable_index(name).map_err(|e| {
                let instead =
                    "start = {} for the model's own start, or start = { NAME = [LOW, HIGH] }";
                unknown(spec, &key, e, instead)
            })?;
            start[i] = ordered(&key, *range)?;
        }
        Ok(start)
    }

    /// Times of a chunk.
    pub(super) fn times(&self) -> Result<TimeGrid> {
        let key = if self.transient >= 0.0 && self.transient.is_finite() {
            "dt"
        } else {
            "transient"
        };
        TimeGrid::new(self.transient, self.dt, self.pairs_per_chunk + 1)
            .map_err(|e| Error::of_setting(key, e))
    }
}

/// A name that the model does not have, with what to write instead.
fn unknown(spec: &Spec, key: &str, e: ionoscope_dynamics::Error, instead: &str) -> Error {
    Error::of_setting(key, format!("{e} (of {}); write {instead}", spec.id))
}

/// A range whose ends are finite and in order.
fn ordered(key: &str, [low, high]: [f64; 2]) -> Result<[f64; 2]> {
    if low.is_finite() && high.is_finite() && low <= high {
        return Ok([low, high]);
    }
    let got = format!("[{low}, {high}]");
    Err(Error::setting(
        key,
        got,
        "two finite numbers, the smaller first",
    ))
}
