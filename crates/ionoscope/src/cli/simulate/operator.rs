//! `ionoscope simulate` of a Fourier neural operator: all times at once, from the one start that it knows.

use std::path::Path;

use ionoscope_dynamics::{
    protocol::Protocol,
    spec::{Quantity, Spec},
    trajectory::{Experiment, Outcome, SolveOptions, Statistics, TimeGrid, Trajectory},
};
use ionoscope_learn::architectures::fno::Fno;
use serde_json::{Map, Value, json};

use super::{Arguments, MOST_VALUES, MethodArgument, check_format, plot};
use crate::{
    Error, Result,
    arrays::{Layout, zarr::Existing},
    artifact,
    batch::{Output, Summary},
    cli::{Shared, print_json},
    experiments::{Reader, at},
    named::{named, units},
    options::borrowed,
    subject::under_preset,
};

/// Experiments that are computed and written at once.
const PART: usize = 512;
/// Most states of them at once.
const MOST_NUMBERS: usize = 1 << 24;

impl Arguments {
    /// Whether the system is a Fourier neural operator.
    pub(super) fn is_operator(&self) -> bool {
        let path = Path::new(&self.system.system);
        path.is_file() && Fno::is_one(path)
    }

    pub(super) fn run_operator(&self, shared: &Shared) -> Result<()> {
        let file = Path::new(&self.system.system);
        let (fno, hash) = artifact::with_fingerprint(file, || Ok(Fno::load(file)?))?;
        let spec = &fno.spec;
        if self.rtol.or(self.atol).or(self.step).is_some()
            || self.method != MethodArgument::Auto
            || self.pace.is_some()
        {
            return Err(Error::Input(format!(
                "{} is a Fourier neural operator, which needs no integrator; leave out --rtol, --atol, --method, --step, --pace",
                self.system.system
            )));
        }
        let batch = &self.batch;
        if batch.resume
            || batch.shard.is_some()
            || batch.chunk.is_some()
            || self.max_steps != SolveOptions::default().max_steps
        {
            return Err(Error::Input(format!(
                "{} is a Fourier neural operator, which is done in moments; leave out --resume, --shard, --chunk, --max-steps",
                self.system.system
            )));
        }
        let settings = self.system.settings()?;
        let given = under_preset(spec, settings.preset.as_deref(), &self.system.system)?;
        let p = given.parameters_with(borrowed(&self.system.parameters))?;
        let (times, points) = self.grid(&fno)?;
        let protocol = match settings.i_stim {
            Some(i_stim) if i_stim != 0.0 => Protocol::constant(i_stim),
            _ => settings.protocol,
        };
        protocol.check_units(spec)?;
        protocol.check_until(times.end())?;
        // With what lies between, where the output is coarser than the network's own grid.
        let values = (points
            .saturating_mul(fno.points.div_ceil(points))
            .max(times.count))
        .saturating_mul(spec.variables.len());
        if values > MOST_VALUES {
            return Err(Error::Input(
                "so many output times are more than are kept in memory; take a larger --dt or a smaller --t-end".into(),
            ));
        }
        let base = Experiment {
            x0: given.state_with(borrowed(&self.system.x0))?,
            p,
            protocol,
            times,
        };
        let configuration = self.described(&fno, &hash, &base);
        match &self.batch.experiments {
            Some(table) => self.operate_on_table(&fno, table, &base, points, configuration, shared),
            None => self.operate_once(&fno, &base, points, configuration, shared),
        }
    }

    /// Output times, and the number of those of the whole grid over [0, T], or over a window where the network advances window by window.
    fn grid(&self, fno: &Fno) -> Result<(TimeGrid, usize)> {
        let t_end = self.t_end.unwrap_or(fno.t_end);
        if fno.takes_start() {
            let dt = self.dt.unwrap_or(fno.dt());
            let every = (dt / fno.dt()).round();
            if every < 1.0 || (every * fno.dt() - dt).abs() > 1e-6 * dt {
                return Err(Error::Input(format!(
                    "--dt {dt}: expected a multiple of the network's step, {}",
                    fno.dt()
                )));
            }
            return Ok((TimeGrid::within(t_end, every * fno.dt())?, fno.points));
        }
        if t_end > fno.t_end * (1.0 + 1e-9) {
            return Err(Error::Input(format!(
                "--t-end {t_end}: the network was trained up to {}; it knows nothing beyond",
                fno.t_end
            )));
        }
        let points = self
            .dt
            .map_or(fno.points, |dt| (fno.t_end / dt).round().max(1.0) as usize);
        let dt = fno.t_end / points as f64;
        if let Some(given) = self.dt.filter(|given| (given - dt).abs() > 1e-6 * dt) {
            return Err(Error::Input(format!(
                "--dt {given}: expected a whole part of T = {}, such as {dt}",
                fno.t_end
            )));
        }
        let count = (((t_end / dt) * (1.0 + 1e-9)).floor() as usize + 1).min(points);
        Ok((TimeGrid::new(0.0, dt, count)?, points))
    }

    /// Checks experiments against what the network was trained on; which of them are outside. Of a table, errors say which row.
    ///
    /// Parameters and starts for which the network has no input are refused in any case.
    fn outside(&self, fno: &Fno, experiments: &[Experiment]) -> Result<Vec<bool>> {
        let place = |k: usize| {
            if self.batch.experiments.is_some() {
                format!("experiment {k} (line {}): ", k + 2)
            } else {
                String::new()
            }
        };
        let x0 = fno.spec.default_state();
        experiments
            .iter()
            .enumerate()
            .map(|(k, e)| {
                if let Some(name) = fno.foreign_parameter(&e.p) {
                    return Err(Error::Input(format!(
                        "{}the network knows one value of {name} (`ionoscope models {}`); leave it out of --param and the columns",
                        place(k),
                        self.system.system
                    )));
                }
                if e.x0 != x0 && !fno.takes_start() {
                    return Err(Error::Input(format!(
                        "{}the network knows one start (`ionoscope models {}`); leave out --x0 and its columns",
                        place(k),
                        self.system.system
                    )));
                }
                let checked = fno.check_protocol(&e.protocol, e.times.end().max(fno.dt()));
                match checked.and_then(|()| fno.check_start(&e.x0)).and_then(|()| fno.check_parameters(&e.p)) {
                    Ok(()) => Ok(false),
                    Err(_) if self.extrapolate => Ok(true),
                    Err(error) => {
                        Err(Error::Input(format!("{}{}: {error}; --extrapolate does it and marks it", place(k), self.system.system)))
                    }
                }
            })
            .collect()
    }

    /// The variables of the result: those of the network, and with --bands half the width of the band around each.
    fn columns(&self, fno: &Fno) -> Result<Spec> {
        let mut spec = fno.spec.clone();
        if self.bands {
            let Some(bands) = &fno.bands else {
                return Err(Error::Input(format!(
                    "--bands: {} has no calibrated band",
                    self.system.system
                )));
            };
            let band = |q: &Quantity| Quantity {
                name: format!("{}{}", q.name, plot::BAND),
                description: format!(
                    "half the width of a band that holds {} % of the values of {}",
                    100.0 * bands.level,
                    q.name
                ),
                ..q.clone()
            };
            spec.variables.extend(fno.spec.variables.iter().map(band));
        }
        Ok(spec)
    }

    /// The trajectories of experiments, of which those `outside` what the network was trained on have no band; a network that advances window by window
    /// may get there on its way.
    fn operate(
        &self,
        fno: &Fno,
        experiments: &[Experiment],
        points: usize,
        outside: &mut [bool],
    ) -> Result<Vec<Trajectory>> {
        let n = fno.spec.variables.len();
        let finite = |x: &[f64]| {
            let what = "what the network gives is not finite; its file may be damaged, or the stimulus far from all it was trained on";
            if x.iter().all(|v| v.is_finite()) {
                Ok(())
            } else {
                Err(Error::Failed(what.into()))
            }
        };
        if fno.takes_start() {
            let Some(times) = experiments.first().map(|e| e.times) else {
                return Ok(Vec::new());
            };
            let every = (times.dt / fno.dt()).round() as usize;
            let all = fno.advance(experiments, (times.count - 1) * every + 1)?;
            all.iter().try_for_each(|(x, _)| finite(x))?;
            outside
                .iter_mut()
                .zip(&all)
                .for_each(|(outside, (_, left))| *outside |= left);
            let wanted = |x: Vec<f64>| {
                x.chunks_exact(n)
                    .step_by(every)
                    .flatten()
                    .copied()
                    .collect()
            };
            let one = |x| Trajectory {
                times,
                dimension: n,
                x: wanted(x),
                outcome: Outcome::Completed,
                statistics: Statistics::default(),
            };
            return Ok(all.into_iter().map(|(x, _)| one(x)).collect());
        }
        // On a grid at least as fine as that of the training, of which every so many times are wanted.
        let every = fno.points.div_ceil(points);
        let whole = points * every;
        let conditions = fno.conditions(experiments);
        let one = |(k, mut x): (usize, Vec<f64>)| {
            let times = experiments[k].times;
            finite(&x)?;
            if let Some(bands) = fno.bands.as_ref().filter(|_| self.bands) {
                let widths = bands.half_widths(fno, &conditions[k], &x, whole);
                x.extend(
                    widths
                        .into_iter()
                        .map(|w| if outside[k] { f64::NAN } else { w }),
                );
            }
            let n = x.len() / whole;
            let states = (0..times.count)
                .flat_map(|t| (0..n).map(move |i| (i, t)))
                .map(|(i, t)| x[i * whole + t * every])
                .collect();
            Ok(Trajectory {
                times,
                dimension: n,
                x: states,
                outcome: Outcome::Completed,
                statistics: Statistics::default(),
            })
        };
        fno.respond(&conditions, whole)?
            .into_iter()
            .enumerate()
            .map(one)
            .collect()
    }

    fn operate_once(
        &self,
        fno: &Fno,
        base: &Experiment,
        points: usize,
        mut meta: Value,
        shared: &Shared,
    ) -> Result<()> {
        self.check_files()?;
        let spec = &self.columns(fno)?;
        let shown = plot::shown(&fno.spec, &self.show)?;
        let mut outside = self.outside(fno, std::slice::from_ref(base))?;
        let trajectory = self
            .operate(fno, std::slice::from_ref(base), points, &mut outside)?
            .remove(0);
        warn(&outside, shared);
        let note = outside[0].then_some("unlike what the network was trained on");
        super::extend(
            &mut meta,
            json!({"extrapolated": outside[0], "rows": trajectory.len(), "note": note}),
        );
        if outside[0] {
            meta["band"] = Value::Null;
        }
        self.deliver(spec, base, &trajectory, meta, &shown, shared)
    }

    fn operate_on_table(
        &self,
        fno: &Fno,
        table: &Path,
        base: &Experiment,
        points: usize,
        mut meta: Value,
        shared: &Shared,
    ) -> Result<()> {
        let Some(path) = &self.output else {
            return Err(Error::Input(
                "--experiments needs a file to write, -o FILE".into(),
            ));
        };
        check_format(
            path,
            &["npz", "parquet"],
            "; of an operator, which is done in moments",
        )?;
        artifact::check_destination(path)?;
        let mut reader = Reader::open(table, &fno.spec, base)?;
        let mut experiments = Vec::new();
        while let Some(e) = reader.read().map_err(|e| at(table, e))? {
            experiments.push(e);
        }
        if experiments.is_empty() {
            return Err(at(
                table,
                Error::Input("it has a header and no row; expected one row an experiment".into()),
            ));
        }
        let mut outside = self.outside(fno, &experiments).map_err(|e| at(table, e))?;
        let layout = Layout::new(
            &self.columns(fno)?,
            base.times,
            experiments.len(),
            self.precision,
        );
        let more = json!({"experiments": {"file": table, "hash": reader.read_so_far().to_string(), "rows": experiments.len()}});
        super::extend(&mut meta, more);
        let part = (MOST_NUMBERS / (base.times.count * fno.spec.variables.len())).clamp(1, PART);
        let mut output = Output::create(path, &layout, part, &meta, Existing::Refuse)?;
        let mut summary = Summary::default();
        for (k, experiments) in experiments.chunks(part).enumerate() {
            let outside = &mut outside[k * part..k * part + experiments.len()];
            let trajectories = self.operate(fno, experiments, points, outside)?;
            output.add(k * part, trajectories, outside, &mut summary)?;
        }
        warn(&outside, shared);
        super::extend(&mut meta, json!({"result": summary}));
        if let Some(file) = output.finish(&meta, &summary)? {
            let beside = artifact::describe(&file, &meta)?;
            file.commit()?;
            beside.commit()?;
        }
        if shared.json {
            print_json(&meta)
        } else {
            Ok(())
        }
    }

    /// Everything that is needed to read the data and to make them again.
    fn described(&self, fno: &Fno, hash: &str, e: &Experiment) -> Value {
        let spec: &Spec = &fno.spec;
        json!({
            "system": self.system.system,
            "id": spec.id,
            "kind": "operator",
            "surrogate_hash": hash,
            "band": fno.bands.as_ref().filter(|_| self.bands).map(|b| format!("holds {} % of the values", 100.0 * b.level)),
            "calibrated_on": self.bands.then(|| fno.provenance.get("calibrated_on")).flatten(),
            "parameters": named(&spec.parameters, &e.p),
            "x0": named(&spec.variables, &e.x0),
            "protocol": (!e.protocol.is_none()).then_some(&e.protocol),
            "t_end": e.times.end(),
            "dt": e.times.dt,
            "precision": self.precision,
            "units": units(spec),
            "parameter_units": spec.parameters.iter().map(|q| (q.name.clone(), json!(q.unit))).collect::<Map<_, _>>(),
            "stimulus_unit": spec.stimulus_unit,
            "citation": spec.citation,
            "code_version": env!("CARGO_PKG_VERSION"),
        })
    }
}

fn warn(outside: &[bool], shared: &Shared) {
    let (count, all) = (outside.iter().filter(|o| **o).count(), outside.len());
    if count > 0 {
        shared.warn(&format!(
            "{count} of {all} experiments are or become unlike what the network was trained on"
        ));
    }
}
