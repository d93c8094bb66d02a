//! What `import ionoscope` needs of Rust: arrays and texts in and out, no logic. Names, defaults and documentation for users are in
//! `python/ionoscope`.
//!
//! Long work runs on a thread of its own without the interpreter's lock, while the calling thread runs callbacks and looks for Ctrl-C.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    time::Duration,
};

use ionoscope::{
    Error, artifact,
    config::{self, AnyConfiguration},
    pipeline::{self, Circumstances, Data, Measured, Surrogate},
    protocol_file, questions,
    report::svg,
    subject::Subject,
    tuning::Tuning,
};
use ionoscope_dynamics::{
    models,
    protocol::{Overlap, Protocol},
    spec::{Quantity, Spec},
    system::{DynamicalSystem, Time},
    trajectory::{Experiment, Method, SolveOptions, TimeGrid, Trajectory},
    watch::{StopFlag, Watch, Watcher},
};
use ionoscope_learn::{
    architectures::fno::Fno,
    checkpoint,
    dataset::Pairs,
    responses::Responses,
    train::{Device, Ending, Existing, Record},
    tune::journal::Trial,
};
use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArray3, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2,
};
use pyo3::{prelude::*, sync::PyOnceLock, types::PyDict};
use serde_json::{Value, json};

/// The exceptions, which are written in Python: of wrong input, and of failed work.
fn raise(error: &Error) -> PyErr {
    static CLASSES: PyOnceLock<[Py<PyAny>; 2]> = PyOnceLock::new();
    Python::attach(|py| {
        let classes = CLASSES.get_or_try_init(py, || {
            let module = py.import("ionoscope._errors")?;
            Ok::<_, PyErr>([
                module.getattr("InputError")?.unbind(),
                module.getattr("WorkError")?.unbind(),
            ])
        });
        let made = classes.and_then(|c| {
            c[usize::from(!error.is_input())]
                .bind(py)
                .call1((error.to_string(),))
        });
        made.map_or_else(|e| e, PyErr::from_value)
    })
}

fn input(message: impl Into<String>) -> PyErr {
    raise(&Error::Input(message.into()))
}

fn wrong(e: impl Into<Error>) -> PyErr {
    raise(&e.into())
}

/// What work on another thread tells the one that called.
enum Message {
    /// A line for people.
    Say(String),
    /// A record of a training; the answer says whether to go on.
    Record(Value, Sender<bool>),
}

/// The work's side.
struct Link {
    stop: StopFlag,
    send: Mutex<Sender<Message>>,
}

impl Link {
    fn send(&self, message: Message) {
        // Nobody listens any more only when the work is being stopped.
        let _ = self
            .send
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .send(message);
    }

    /// Hands a record to the callback and waits for what it says.
    fn record(&self, record: &Record) {
        let (answer, wait) = mpsc::channel();
        self.send(Message::Record(json!(record), answer));
        if !wait.recv().unwrap_or(false) {
            self.stop.raise();
        }
    }
}

impl Watch for Link {
    fn stopped(&self) -> bool {
        self.stop.stopped()
    }

    fn flag(&self) -> Option<StopFlag> {
        Some(self.stop.clone())
    }

    fn tell(&self, text: &str) {
        self.send(Message::Say(text.to_owned()));
    }
}

/// Runs `work` on a thread of its own, with so many threads for what is parallel; `callback` takes records, `say` lines.
fn run<T: Send>(
    py: Python<'_>,
    threads: Option<usize>,
    callback: Option<&Py<PyAny>>,
    say: Option<&Py<PyAny>>,
    work: impl FnOnce(&Arc<Link>) -> Result<T, Error> + Send,
) -> PyResult<T> {
    let (send, receive) = mpsc::channel();
    let stop = StopFlag::default();
    let link = Arc::new(Link {
        stop: stop.clone(),
        send: Mutex::new(send),
    });
    let pool = threads
        .map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build())
        .transpose();
    let pool = pool.map_err(|e| input(format!("threads = {threads:?}: {e}")))?;
    let receive = Mutex::new(receive);
    let next = || {
        receive
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv_timeout(Duration::from_millis(100))
    };
    std::thread::scope(|scope| {
        let working = scope.spawn(move || match pool {
            Some(pool) => pool.install(|| work(&link)),
            None => work(&link),
        });
        let mut problem = None;
        loop {
            let message = py.detach(next);
            let handled = match message {
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Ok(Message::Say(text)) => say.map_or(Ok(()), |f| f.call1(py, (text,)).map(|_| ())),
                Ok(Message::Record(record, answer)) => {
                    let told = callback.map_or(Ok(true), |f| {
                        let said = f.call1(py, (loads(py, &record)?,))?;
                        Ok(said.is_none(py) || said.is_truthy(py)?)
                    });
                    let _ = answer.send(*told.as_ref().unwrap_or(&false) && problem.is_none());
                    told.map(|_| ())
                }
            };
            if let Err(e) = handled.and_then(|()| py.check_signals()) {
                stop.raise();
                problem.get_or_insert(e);
            }
        }
        let done = py.detach(|| working.join());
        match (problem, done) {
            (Some(problem), _) => Err(problem),
            (None, Ok(Ok(done))) => Ok(done),
            (None, Ok(Err(e))) => Err(raise(&e)),
            (None, Err(_)) => Err(wrong(Error::Failed(
                "the work panicked; this is a defect of ionoscope".into(),
            ))),
        }
    })
}

/// A JSON document as Python's own objects.
fn loads<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?
        .call_method1("loads", (value.to_string(),))
}

/// Stimuli as texts of JSON, each a list of stimuli, or names of files.
fn protocols(texts: &[String], t_end: f64, spec: &Spec) -> Result<Vec<Protocol>, Error> {
    let one = |text: &String| -> Result<Protocol, Error> {
        let protocol = if text.starts_with('[') {
            let stimuli = serde_json::from_str(text)
                .map_err(|e| Error::Input(format!("stimulus {text}: {e}")))?;
            let mut protocol = Protocol {
                stimuli,
                ..Protocol::none()
            };
            if protocol.stimuli.len() > 1 {
                protocol.overlap = Overlap::Add;
            }
            protocol.check()?;
            protocol
        } else {
            protocol_file::read(Path::new(text))?
        };
        protocol.check_until(t_end)?;
        protocol.check_units(spec)?;
        Ok(protocol)
    };
    texts.iter().map(one).collect()
}

fn rows(array: &PyReadonlyArray2<f64>, columns: usize, what: &str) -> PyResult<Vec<Vec<f64>>> {
    let array = array.as_array();
    if array.ncols() != columns {
        return Err(input(format!(
            "{what} has {} columns; expected {columns}",
            array.ncols()
        )));
    }
    Ok(array.rows().into_iter().map(|r| r.to_vec()).collect())
}

fn vector(array: &PyReadonlyArray1<f64>, length: usize, what: &str) -> PyResult<Vec<f64>> {
    let array = array.as_array();
    if array.len() != length {
        return Err(input(format!(
            "{what} has {} numbers; expected {length}",
            array.len()
        )));
    }
    Ok(array.to_vec())
}

/// Whether a start and parameters are within their ranges, as on the command line.
fn check_ranges(spec: &Spec, x0: &[f64], p: &[f64]) -> PyResult<()> {
    let named = |quantities: &'_ [Quantity], values: &[f64]| {
        quantities
            .iter()
            .map(|q| q.name.clone())
            .zip(values.to_vec())
            .collect::<Vec<_>>()
    };
    let (states, parameters) = (named(&spec.variables, x0), named(&spec.parameters, p));
    spec.state_with(states.iter().map(|(n, v)| (n.as_str(), *v)))
        .map_err(wrong)?;
    spec.parameters_with(parameters.iter().map(|(n, v)| (n.as_str(), *v)))
        .map(drop)
        .map_err(wrong)
}

/// Experiments from `[experiment][variable]`, `[experiment][parameter]` and a protocol each.
fn experiments(
    x0: Vec<Vec<f64>>,
    p: Vec<Vec<f64>>,
    protocols: Vec<Protocol>,
    times: TimeGrid,
) -> PyResult<Vec<Experiment>> {
    if x0.len() != p.len() || x0.len() != protocols.len() {
        return Err(input(format!(
            "{} starts, {} sets of parameters and {} stimuli; expected as many of each",
            x0.len(),
            p.len(),
            protocols.len()
        )));
    }
    let of = |((x0, p), protocol)| Experiment {
        x0,
        p,
        protocol,
        times,
    };
    Ok(x0.into_iter().zip(p).zip(protocols).map(of).collect())
}

/// States `[experiment][time][variable]`, NaN after a failure, and what failed.
type Solved<'py> = (Bound<'py, PyArray3<f64>>, Vec<Option<String>>);

fn solved<'py>(
    py: Python<'py>,
    trajectories: Vec<Trajectory>,
    count: usize,
    dimension: usize,
) -> PyResult<Solved<'py>> {
    let n = trajectories.len();
    let mut all = vec![f64::NAN; n * count * dimension];
    let mut failures = Vec::with_capacity(n);
    for (to, t) in all.chunks_exact_mut(count * dimension).zip(trajectories) {
        to[..t.x.len()].copy_from_slice(&t.x);
        failures.push(t.completed().err().map(|e| e.to_string()));
    }
    Ok((
        all.into_pyarray(py).reshape([n, count, dimension])?,
        failures,
    ))
}

fn matrix<'py>(
    py: Python<'py>,
    values: Vec<f64>,
    columns: usize,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let n = values.len() / columns.max(1);
    values.into_pyarray(py).reshape([n, columns])
}

/// A model's equations or a neural map.
#[pyclass(frozen)]
struct System {
    inner: Arc<dyn DynamicalSystem>,
}

#[pymethods]
impl System {
    #[new]
    fn new(name: &str) -> PyResult<Self> {
        Ok(System {
            inner: artifact::open_system(name).map_err(wrong)?,
        })
    }

    fn spec(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(loads(py, &json!(self.inner.spec()))?.unbind())
    }

    /// Step of a map; none of equations.
    fn dt(&self) -> Option<f64> {
        match self.inner.time() {
            Time::Continuous => None,
            Time::Discrete { dt } => Some(dt),
        }
    }

    /// Derivatives, or next states, of many states.
    fn rule<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArray2<f64>,
        stimulus: PyReadonlyArray1<f64>,
        p: PyReadonlyArray1<f64>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let spec = self.inner.spec();
        let d = spec.variables.len();
        let x = rows(&x, d, "x")?;
        let (i, p) = (
            vector(&stimulus, x.len(), "stimulus")?,
            vector(&p, spec.parameters.len(), "p")?,
        );
        let mut out = vec![0.0; x.len() * d];
        py.detach(|| {
            x.iter()
                .zip(&i)
                .zip(out.chunks_exact_mut(d))
                .for_each(|((x, i), out)| self.inner.rule(x, *i, &p, out))
        });
        matrix(py, out, d)
    }

    /// Derivatives of [`rule`](Self::rule) by the state, `[output][input]`.
    fn jacobian<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArray1<f64>,
        stimulus: f64,
        p: PyReadonlyArray1<f64>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let spec = self.inner.spec();
        let d = spec.variables.len();
        let (x, p) = (vector(&x, d, "x")?, vector(&p, spec.parameters.len(), "p")?);
        let mut out = vec![0.0; d * d];
        self.inner.jacobian(&x, stimulus, &p, &mut out);
        matrix(py, out, d)
    }

    #[pyo3(signature = (x0, p, stimuli, t_end, dt, rtol, atol, method, step, max_steps, threads))]
    #[allow(clippy::too_many_arguments)]
    fn simulate<'py>(
        &self,
        py: Python<'py>,
        x0: PyReadonlyArray2<f64>,
        p: PyReadonlyArray2<f64>,
        stimuli: Vec<String>,
        t_end: f64,
        dt: f64,
        rtol: f64,
        atol: f64,
        method: &str,
        step: Option<f64>,
        max_steps: u64,
        threads: Option<usize>,
    ) -> PyResult<(Bound<'py, PyArray1<f64>>, Solved<'py>)> {
        let spec = self.inner.spec();
        let times = match self.inner.time() {
            Time::Continuous => TimeGrid::until(t_end, dt),
            Time::Discrete { dt: own } => TimeGrid::until_of_map(t_end, dt, own),
        };
        let times = times.map_err(wrong)?;
        let method = match method {
            "auto" => Method::Auto,
            "explicit" => Method::Explicit,
            "stiff" => Method::Stiff,
            "rush-larsen" => Method::RushLarsen,
            other => {
                return Err(input(format!(
                    "method = '{other}'; expected auto, explicit, stiff or rush-larsen"
                )));
            }
        };
        let (d, q) = (spec.variables.len(), spec.parameters.len());
        let protocols = protocols(&stimuli, times.end(), spec).map_err(wrong)?;
        let batch = experiments(rows(&x0, d, "x0")?, rows(&p, q, "p")?, protocols, times)?;
        batch
            .iter()
            .try_for_each(|e| check_ranges(spec, &e.x0, &e.p))?;
        let options = SolveOptions {
            rtol,
            atol,
            method,
            step,
            max_steps,
            ..SolveOptions::default()
        };
        let done = run(py, threads, None, None, |link| {
            let options = SolveOptions {
                watch: Watcher::new(link.clone()),
                ..options
            };
            Ok(self.inner.solve_ensemble(&batch, &options)?)
        })?;
        let t = (0..times.count).map(|k| times.time(k)).collect::<Vec<_>>();
        Ok((t.into_pyarray(py), solved(py, done, times.count, d)?))
    }

    /// Asks a question by the name of its verb, with its options as a JSON object: the document, the tables, the figure as SVG, and warnings.
    #[allow(clippy::type_complexity)]
    fn ask(
        &self,
        py: Python<'_>,
        verb: &str,
        options: &str,
        x0: PyReadonlyArray1<f64>,
        p: PyReadonlyArray1<f64>,
        stimulus: String,
    ) -> PyResult<(Py<PyAny>, Py<PyAny>, Option<String>, Vec<String>)> {
        let spec = self.inner.spec();
        let options: Value = serde_json::from_str(options).map_err(|e| input(e.to_string()))?;
        let (x0, p) = (
            vector(&x0, spec.variables.len(), "x0")?,
            vector(&p, spec.parameters.len(), "p")?,
        );
        check_ranges(spec, &x0, &p)?;
        let protocol = protocols(&[stimulus], 0.0, spec).map_err(wrong)?.remove(0);
        let subject = Subject {
            name: spec.id.clone(),
            preset: None,
            system: self.inner.clone(),
            spec: spec.clone(),
            p,
            x0,
            protocol,
        };
        let answer = run(py, None, None, None, |link| {
            let watch = Watcher::new(link.clone());
            questions::ask(verb, options, &subject.watched(&watch), &watch)
        })?;
        let figure = answer.figures.first().map(svg::draw);
        Ok((
            loads(py, &answer.document)?.unbind(),
            loads(py, &json!(answer.tables))?.unbind(),
            figure,
            answer.warnings,
        ))
    }
}

/// A Fourier neural operator.
#[pyclass(frozen)]
struct Operator {
    fno: Fno,
}

#[pymethods]
impl Operator {
    #[new]
    fn new(path: PathBuf) -> PyResult<Self> {
        Ok(Operator {
            fno: Fno::load(&path).map_err(wrong)?,
        })
    }

    /// Whether a file holds one.
    #[staticmethod]
    fn is_one(path: PathBuf) -> bool {
        path.is_file() && Fno::is_one(&path)
    }

    fn spec(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(loads(py, &json!(self.fno.spec))?.unbind())
    }

    fn about(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let fno = &self.fno;
        let about = json!({
            "network": fno.config, "t_end": fno.t_end, "points": fno.points, "dt": fno.dt(), "weights": fno.weights.len(),
            "takes_start": fno.takes_start(), "seen": fno.seen, "band": fno.bands.as_ref().map(|b| b.level), "provenance": fno.provenance,
        });
        Ok(loads(py, &about)?.unbind())
    }

    /// States `[experiment][time][variable]` at `count` times of the network's own step, what was not of the kind trained on, and the bands.
    #[allow(clippy::type_complexity, clippy::too_many_arguments)]
    fn predict<'py>(
        &self,
        py: Python<'py>,
        stimuli: Vec<String>,
        x0: PyReadonlyArray2<f64>,
        p: PyReadonlyArray2<f64>,
        count: usize,
        extrapolate: bool,
        bands: bool,
        threads: Option<usize>,
    ) -> PyResult<(
        Bound<'py, PyArray3<f64>>,
        Vec<Option<String>>,
        Option<Bound<'py, PyArray3<f64>>>,
    )> {
        let (fno, d) = (&self.fno, self.fno.spec.variables.len());
        let starts = rows(&x0, d, "x0")?;
        let t_end = count.max(1) as f64 * fno.dt();
        if !fno.takes_start()
            && (count > fno.points || starts.iter().any(|x| *x != fno.spec.default_state()))
        {
            return Err(input(format!(
                "{} knows one start, and {} times of {}",
                fno.spec.id,
                fno.points,
                fno.dt()
            )));
        }
        let calibrated = fno.bands.as_ref().filter(|_| bands && !fno.takes_start());
        if bands && calibrated.is_none() {
            return Err(input(format!("{} has no calibrated band", fno.spec.id)));
        }
        let p = rows(&p, fno.spec.parameters.len(), "p")?;
        if let Some(name) = p.iter().find_map(|p| fno.foreign_parameter(p)) {
            return Err(input(format!(
                "{} knows one value of {name}, which is no input of it",
                fno.spec.id
            )));
        }
        let times = TimeGrid::new(0.0, fno.dt(), count).map_err(wrong)?;
        let batch = experiments(
            starts,
            p,
            protocols(&stimuli, t_end, &fno.spec).map_err(wrong)?,
            times,
        )?;
        let check = |e: &Experiment| {
            let checked = fno
                .check_protocol(&e.protocol, t_end)
                .and_then(|()| fno.check_start(&e.x0));
            checked
                .and_then(|()| fno.check_parameters(&e.p))
                .err()
                .map(|e| e.to_string())
        };
        let mut outside: Vec<Option<String>> = batch.iter().map(check).collect();
        if let (false, Some((k, e))) = (
            extrapolate,
            outside
                .iter()
                .enumerate()
                .find_map(|(k, e)| Some((k, e.as_ref()?))),
        ) {
            return Err(input(format!(
                "experiment {k}: {e}; extrapolate=True does it"
            )));
        }
        let n = batch.len();
        let (states, widths, left) = run(py, threads, None, None, |_| {
            if fno.takes_start() {
                let (all, left): (Vec<_>, Vec<bool>) =
                    fno.advance(&batch, count)?.into_iter().unzip();
                return Ok((all.concat(), None, left));
            }
            let of = |x: &[f64]| {
                (0..count)
                    .flat_map(|t| (0..d).map(move |c| (c, t)))
                    .map(|(c, t)| x[c * fno.points + t])
                    .collect::<Vec<f64>>()
            };
            let conditions = fno.conditions(&batch);
            let all = fno.respond(&conditions, fno.points)?;
            let widths = calibrated.map(|bands| {
                let half = |k: usize| match &outside[k] {
                    // What is unlike the training has no band.
                    Some(_) => vec![f64::NAN; count * d],
                    None => of(&bands.half_widths(fno, &conditions[k], &all[k], fno.points)),
                };
                (0..n).flat_map(half).collect::<Vec<f64>>()
            });
            Ok((
                all.iter().flat_map(|x| of(x)).collect::<Vec<f64>>(),
                widths,
                vec![false; n],
            ))
        })?;
        for (outside, left) in outside.iter_mut().zip(left) {
            if left && outside.is_none() {
                *outside = Some("a window begins outside the starts of the training".into());
            }
        }
        let shaped = |v: Vec<f64>| v.into_pyarray(py).reshape([n, count, d]);
        Ok((shaped(states)?, outside, widths.map(shaped).transpose()?))
    }
}

/// A configuration from a TOML file, or a JSON document.
fn text_of(file: Option<PathBuf>, document: Option<String>) -> Result<String, Error> {
    match (file, document) {
        (Some(file), _) => artifact::read_text(&file),
        (None, Some(document)) => {
            let value: Value = serde_json::from_str(&document)
                .map_err(|e| Error::Input(format!("the configuration: {e}")))?;
            toml::to_string(&value).map_err(|e| {
                Error::Input(format!("the configuration: {e}; leave out what is None"))
            })
        }
        (None, None) => Err(Error::Input(
            "a configuration is missing; give a file or a dict".into(),
        )),
    }
}

/// The whole configuration with its defaults.
#[pyfunction]
fn configuration(
    py: Python<'_>,
    file: Option<PathBuf>,
    document: Option<String>,
    changes: Vec<String>,
) -> PyResult<Py<PyAny>> {
    let resolved = text_of(file, document)
        .and_then(|text| config::parse_any(&text, &changes))
        .map_err(wrong)?;
    Ok(loads(py, &json!(resolved))?.unbind())
}

fn responses<'py>(py: Python<'py>, set: &Responses) -> PyResult<Bound<'py, PyDict>> {
    let d = PyDict::new(py);
    d.set_item(
        "current",
        set.input
            .clone()
            .into_pyarray(py)
            .reshape([set.len(), set.points])?,
    )?;
    d.set_item(
        "x",
        set.x
            .clone()
            .into_pyarray(py)
            .reshape([set.len(), set.variables, set.points])?,
    )?;
    d.set_item("class", set.class.clone().into_pyarray(py))?;
    Ok(d)
}

fn pairs<'py>(py: Python<'py>, set: &Pairs) -> PyResult<Bound<'py, PyDict>> {
    let d = PyDict::new(py);
    d.set_item("x", matrix(py, set.u.clone(), set.dimension)?)?;
    d.set_item("next", matrix(py, set.next.clone(), set.dimension)?)?;
    d.set_item("p", matrix(py, set.p.clone(), set.parameters)?)?;
    Ok(d)
}

/// The data of a configuration in a folder: their file, and arrays by part.
#[pyfunction]
#[pyo3(signature = (file, document, changes, folder, say, threads))]
fn dataset<'py>(
    py: Python<'py>,
    file: Option<PathBuf>,
    document: Option<String>,
    changes: Vec<String>,
    folder: PathBuf,
    say: Option<Py<PyAny>>,
    threads: Option<usize>,
) -> PyResult<(PathBuf, Bound<'py, PyDict>)> {
    let configuration = text_of(file, document)
        .and_then(|text| config::parse_any(&text, &changes))
        .map_err(wrong)?;
    let (data, path) = run(py, threads, None, say.as_ref(), |link| {
        let found = pipeline::data_in(&folder, &configuration, &Watcher::new(link.clone()))?;
        pipeline::keep(&folder, &configuration)?;
        Ok(found)
    })?;
    let parts = PyDict::new(py);
    match &data {
        Data::Responses(data) => {
            for (name, set) in [
                ("training", &data.training),
                ("validation", &data.validation),
                ("test", &data.test),
            ] {
                parts.set_item(name, responses(py, set)?)?;
            }
        }
        Data::Pairs(data) => {
            for (name, set) in [
                ("training", &data.training),
                ("validation", &data.validation),
                ("new_chunks", &data.new_chunks),
            ] {
                parts.set_item(name, pairs(py, set)?)?;
            }
        }
    }
    Ok((path, parts))
}

/// Trains in a folder; a document about it.
#[pyfunction]
#[pyo3(signature = (file, document, changes, folder, resume, start, time_limit, checkpoint_every, device, callback, say, threads))]
#[allow(clippy::too_many_arguments)]
fn train(
    py: Python<'_>,
    file: Option<PathBuf>,
    document: Option<String>,
    changes: Vec<String>,
    folder: PathBuf,
    resume: bool,
    start: Option<PathBuf>,
    time_limit: Option<f64>,
    checkpoint_every: f64,
    device: &str,
    callback: Option<Py<PyAny>>,
    say: Option<Py<PyAny>>,
    threads: Option<usize>,
) -> PyResult<Py<PyAny>> {
    let seconds = |name: &str, s: f64| {
        Duration::try_from_secs_f64(s)
            .map_err(|e| input(format!("{name} = {s}: {e}; expected seconds")))
    };
    let time_limit = time_limit.map(|s| seconds("time_limit", s)).transpose()?;
    let checkpoint_every = seconds("checkpoint_every", checkpoint_every)?;
    let device = match device {
        "cpu" => Device::Cpu,
        "cuda" => Device::Cuda,
        other => {
            return Err(input(format!(
                "device = '{other}'; expected 'cpu' or 'cuda'"
            )));
        }
    };
    let configuration: AnyConfiguration = text_of(file, document)
        .and_then(|text| config::parse_any(&text, &changes))
        .map_err(wrong)?;
    let answer = run(py, threads, callback.as_ref(), say.as_ref(), |link| {
        let from = start.as_deref().map(Surrogate::load).transpose()?;
        pipeline::check_device(&configuration, device)?;
        let watch = Watcher::new(link.clone());
        let (data, _) = pipeline::data_in(&folder, &configuration, &watch)?;
        if !checkpoint::exists(&folder) {
            pipeline::keep(&folder, &configuration)?;
        }
        let existing = if resume {
            Existing::Resume
        } else {
            Existing::Refuse
        };
        let how = Circumstances {
            folder: Some(&folder),
            existing,
            from: from.as_ref(),
            time_limit,
            checkpoint_every,
            watch,
            device,
        };
        let learned = pipeline::learn(&configuration, &data, &how, &mut |record: &Record| {
            link.record(record)
        })?;
        let surrogate = folder.join("surrogate.safetensors");
        learned.surrogate.save(&surrogate)?;
        let epochs = match &learned.measured {
            Measured::Operator { epochs, .. } => Some(*epochs),
            Measured::Map { .. } => None,
        };
        Ok(json!({
            "surrogate": surrogate, "ending": learned.ending, "seconds": learned.seconds, "weights": learned.weights,
            "validation": learned.value(), "epochs": epochs, "measured": learned.measured, "warnings": learned.warnings,
            "completed": matches!(learned.ending, Ending::Completed),
        }))
    })?;
    Ok(loads(py, &answer)?.unbind())
}

fn trial(t: &Trial) -> Value {
    json!({
        "number": t.number, "state": format!("{:?}", t.state).to_lowercase(), "value": t.value, "objectives": t.objectives(), "values": t.values,
        "fitted": (!t.fitted().is_empty()).then(|| t.fitted()), "reported": t.reported, "problem": t.problem(),
    })
}

/// Works on a study in a folder; its trials.
#[pyfunction]
#[pyo3(signature = (file, document, changes, folder, workers, resume, say, threads))]
#[allow(clippy::too_many_arguments)]
fn tune(
    py: Python<'_>,
    file: Option<PathBuf>,
    document: Option<String>,
    changes: Vec<String>,
    folder: PathBuf,
    workers: usize,
    resume: bool,
    say: Option<Py<PyAny>>,
    threads: Option<usize>,
) -> PyResult<Py<PyAny>> {
    let file = text_of(file, document)
        .and_then(|text| ionoscope::tuning::parse_study(&text, &changes))
        .map_err(wrong)?;
    if folder.join(ionoscope::tuning::JOURNAL).exists() && !resume {
        return Err(input(format!(
            "{} holds a study already; resume=True goes on with it",
            folder.display()
        )));
    }
    let trials = run(py, threads, None, say.as_ref(), |link| {
        let tuning = Tuning {
            file: &file,
            dir: &folder,
            workers,
            watch: Watcher::new(link.clone()),
            single_writer: false,
        };
        tuning.run()
    })?;
    Ok(loads(py, &Value::Array(trials.iter().map(trial).collect()))?.unbind())
}

/// Identifiers of the models.
#[pyfunction]
fn model_ids() -> Vec<String> {
    models::all().iter().map(|m| m.spec().id.clone()).collect()
}

#[pymodule]
fn _native(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    m.add_class::<System>()?;
    m.add_class::<Operator>()?;
    m.add_function(wrap_pyfunction!(model_ids, m)?)?;
    m.add_function(wrap_pyfunction!(configuration, m)?)?;
    m.add_function(wrap_pyfunction!(dataset, m)?)?;
    m.add_function(wrap_pyfunction!(train, m)?)?;
    m.add_function(wrap_pyfunction!(tune, m)?)
}
