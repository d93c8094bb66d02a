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
    Error,
    answer::{Answer, Course},
    artifact,
    config::{self, AnyConfiguration},
    pipeline::{self, Data, Measured, Surrogate, TrainingOptions},
    protocol_file,
    questions::{self, Simulate},
    report::svg,
    subject::{Opened, Settings, Subject},
    tuning::Tuning,
};
use ionoscope_dynamics::{
    models,
    protocol::{Overlap, Protocol},
    simulator::{Simulated, admit},
    spec::{Quantity, Spec},
    system::Time,
    trajectory::{Experiment, SolveOptions, TimeGrid, Trajectory},
    watch::{StopFlag, Watch, Watcher},
};
use ionoscope_learn::{
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
                .call1((in_python(&error.to_string()),))
        });
        made.map_or_else(|e| e, PyErr::from_value)
    })
}

/// A message with options as Python names them: `t_end` for `--t-end`.
fn in_python(message: &str) -> String {
    let mut parts = message.split("--");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '-');
        let (name, rest) = part.split_at(end.unwrap_or(part.len()));
        text += &match name {
            "" => "--".to_owned(),
            "param" => "p".to_owned(),
            "i-stim" | "protocol" => "stimulus".to_owned(),
            name => name.replace('-', "_"),
        };
        text += rest;
    }
    text
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

/// What an answer is in Python: document, tables, figure as SVG, warnings, and of a trajectory its
/// times and states `[time][variable]`.
type AnswerParts<'py> = (
    Bound<'py, PyAny>,
    Bound<'py, PyAny>,
    Option<String>,
    Vec<String>,
    Option<(
        Bound<'py, PyArray1<f64>>,
        Bound<'py, PyArray2<f64>>,
        Vec<String>,
    )>,
);

fn answer_parts<'py>(py: Python<'py>, answer: Answer) -> PyResult<AnswerParts<'py>> {
    let figure = answer.figures.first().map(svg::draw);
    let course = answer.course.map(|Course { spec, trajectory }| {
        let names = spec.variables.iter().map(|q| q.name.clone()).collect();
        let x = matrix(py, trajectory.x, trajectory.dimension)?;
        PyResult::Ok((times(trajectory.times).into_pyarray(py), x, names))
    });
    Ok((
        loads(py, &answer.document)?,
        loads(py, &json!(answer.tables))?,
        figure,
        answer.warnings.iter().map(|w| in_python(w)).collect(),
        course.transpose()?,
    ))
}

fn times(grid: TimeGrid) -> Vec<f64> {
    (0..grid.count).map(|k| grid.time(k)).collect()
}

fn options_of(text: &str) -> PyResult<Value> {
    serde_json::from_str(text).map_err(|e| input(e.to_string()))
}

/// Does a task by the name of its verb, with its options as a JSON object.
#[pyfunction]
fn run_task<'py>(
    py: Python<'py>,
    verb: &str,
    options: &str,
    say: Option<Py<PyAny>>,
) -> PyResult<AnswerParts<'py>> {
    let options = options_of(options)?;
    let answer = run(py, None, None, say.as_ref(), |link| {
        questions::run(verb, options, &Watcher::new(link.clone()))
    })?;
    answer_parts(py, answer)
}

/// Equations, a neural map or an operator, under a preset.
#[pyclass(frozen)]
struct System {
    opened: Opened,
    spec: Spec,
    preset: Option<String>,
}

impl System {
    /// The rule of equations or of a map.
    fn rule_of(&self) -> PyResult<Subject> {
        let subject = self
            .opened
            .subject(&Settings::default(), &Watcher::default());
        let subject = subject.map_err(wrong)?;
        subject.system().map_err(wrong)?;
        Ok(subject)
    }
}

#[pymethods]
impl System {
    #[new]
    fn new(name: &str, preset: Option<String>) -> PyResult<Self> {
        let opened = Opened::open(name).map_err(wrong)?;
        let settings = Settings {
            preset: preset.clone(),
            ..Settings::default()
        };
        let subject = opened
            .subject(&settings, &Watcher::default())
            .map_err(wrong)?;
        Ok(System {
            opened,
            spec: subject.spec,
            preset,
        })
    }

    /// What it is: "flow", "map" or "operator".
    fn kind(&self) -> PyResult<&'static str> {
        let subject = self
            .opened
            .subject(&Settings::default(), &Watcher::default());
        Ok(subject.map_err(wrong)?.kind())
    }

    fn spec(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(loads(py, &json!(self.spec))?.unbind())
    }

    /// Step of a map or of an operator's grid; none of equations.
    fn dt(&self) -> PyResult<Option<f64>> {
        if let Some(fno) = self.opened.operator() {
            return Ok(Some(fno.dt()));
        }
        Ok(match self.rule_of()?.system().map_err(wrong)?.time() {
            Time::Continuous => None,
            Time::Discrete { dt } => Some(dt),
        })
    }

    /// What an operator says of itself; none of others.
    fn about(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(fno) = self.opened.operator() else {
            return Ok(None);
        };
        let about = json!({
            "network": fno.config, "t_end": fno.t_end, "points": fno.points, "weights": fno.weights.len(),
            "takes_start": fno.takes_start(), "seen": fno.seen, "band": fno.bands.as_ref().map(|b| b.level), "provenance": fno.provenance,
        });
        Ok(Some(loads(py, &about)?.unbind()))
    }

    /// Derivatives, or next states, of many states.
    fn rule<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArray2<f64>,
        stimulus: PyReadonlyArray1<f64>,
        p: PyReadonlyArray1<f64>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let subject = self.rule_of()?;
        let system = subject.system().map_err(wrong)?;
        let d = self.spec.variables.len();
        let x = rows(&x, d, "x")?;
        let (i, p) = (
            vector(&stimulus, x.len(), "stimulus")?,
            vector(&p, self.spec.parameters.len(), "p")?,
        );
        let mut out = vec![0.0; x.len() * d];
        py.detach(|| {
            let states = x.iter().zip(&i).zip(out.chunks_exact_mut(d));
            states.for_each(|((x, i), out)| system.rule(x, *i, &p, out));
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
        let subject = self.rule_of()?;
        let system = subject.system().map_err(wrong)?;
        let d = self.spec.variables.len();
        let p = vector(&p, self.spec.parameters.len(), "p")?;
        let mut out = vec![0.0; d * d];
        system.jacobian(&vector(&x, d, "x")?, stimulus, &p, &mut out);
        matrix(py, out, d)
    }

    /// Many experiments at once: times, states `[experiment][time][variable]`, what failed, and of
    /// how many states each is outside what a surrogate was trained on.
    /// The options are those of `simulate`.
    #[allow(clippy::type_complexity)]
    fn simulate<'py>(
        &self,
        py: Python<'py>,
        x0: PyReadonlyArray2<f64>,
        p: PyReadonlyArray2<f64>,
        stimuli: Vec<String>,
        options: &str,
        threads: Option<usize>,
    ) -> PyResult<(Bound<'py, PyArray1<f64>>, Solved<'py>, Vec<usize>)> {
        let spec = &self.spec;
        let question: Simulate = serde_json::from_str(options).map_err(|e| input(e.to_string()))?;
        let subject = self
            .opened
            .subject(&Settings::default(), &Watcher::default());
        let subject = subject.map_err(wrong)?;
        let simulator = question.simulator(&subject).map_err(wrong)?;
        let grid = question.times(&subject, &*simulator).map_err(wrong)?;
        let solve = question.options(&subject).map_err(wrong)?;
        let (d, q) = (spec.variables.len(), spec.parameters.len());
        let protocols = protocols(&stimuli, grid.end(), spec).map_err(wrong)?;
        let batch = experiments(rows(&x0, d, "x0")?, rows(&p, q, "p")?, protocols, grid)?;
        batch
            .iter()
            .try_for_each(|e| check_ranges(spec, &e.x0, &e.p))?;
        admit(&*simulator, &batch, question.extrapolate)
            .map_err(|(k, why)| input(format!("experiment {k}: {why}")))?;
        let done = run(py, threads, None, None, |link| {
            let watch = Watcher::new(link.clone());
            Ok(simulator.run(&batch, &SolveOptions { watch, ..solve })?)
        })?;
        let one = |s: Simulated| (s.extrapolated, s.trajectory);
        let (outside, done): (Vec<usize>, Vec<Trajectory>) = done.into_iter().map(one).unzip();
        let solved = solved(py, done, grid.count, simulator.spec().variables.len())?;
        Ok((times(grid).into_pyarray(py), solved, outside))
    }

    /// Asks a question by the name of its verb, with its options as a JSON object, parameters and
    /// start by name, and the stimulus.
    #[allow(clippy::too_many_arguments)]
    fn ask<'py>(
        &self,
        py: Python<'py>,
        verb: &str,
        options: &str,
        x0: Vec<(String, f64)>,
        p: Vec<(String, f64)>,
        stimulus: String,
        say: Option<Py<PyAny>>,
    ) -> PyResult<AnswerParts<'py>> {
        let options = options_of(options)?;
        let protocol = protocols(&[stimulus], 0.0, &self.spec)
            .map_err(wrong)?
            .remove(0);
        let settings = Settings {
            preset: self.preset.clone(),
            parameters: p,
            x0,
            protocol,
            ..Settings::default()
        };
        let answer = run(py, None, None, say.as_ref(), |link| {
            let watch = Watcher::new(link.clone());
            let subject = self.opened.subject(&settings, &watch)?;
            questions::ask(verb, options, &subject, &watch)
        })?;
        answer_parts(py, answer)
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
        let how = TrainingOptions {
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
    m.add_function(wrap_pyfunction!(run_task, m)?)?;
    m.add_function(wrap_pyfunction!(model_ids, m)?)?;
    m.add_function(wrap_pyfunction!(configuration, m)?)?;
    m.add_function(wrap_pyfunction!(dataset, m)?)?;
    m.add_function(wrap_pyfunction!(train, m)?)?;
    m.add_function(wrap_pyfunction!(tune, m)?)
}
