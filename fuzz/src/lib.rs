//! What must hold whatever stands in a file: no reader panics, and what a reader accepts can be used, saved and read again.
//!
//! `crates/ionoscope/tests/readers.rs` runs the same functions on seeded mutations, with stable Rust alone.

use ionoscope::{
    config::{self, Configuration},
    experiments, protocol_file,
    report::{
        html::{self, Heading},
        section::Section,
    },
};
use ionoscope_dynamics::{
    models,
    protocol::{Protocol, Stimulus},
    system::DynamicalSystem,
    trajectory::{Experiment, SolveOptions, TimeGrid},
};
use ionoscope_learn::{
    adam::AdamConfig,
    architectures::{
        fno::{Fno, FnoConfig},
        neural_map::NeuralMap,
    },
    checkpoint::Checkpoint,
    dataset::Dataset,
    responses::ResponseData,
    second_order::SecondOrderConfig,
    train::{
        Run, TrainConfig,
        operator::{OperatorConfig, train_operator},
        train,
    },
};

/// A surrogate: its rule, its Jacobian and a short simulation; saved and read again, it is the same to the bit.
pub fn surrogate(bytes: &[u8]) {
    let Ok(map) = NeuralMap::from_bytes(bytes) else {
        return;
    };
    let saved = map.to_bytes().expect("an accepted surrogate can be saved");
    let again = NeuralMap::from_bytes(&saved).expect("and read again");
    assert_eq!(again, map);
    let (spec, d) = (map.spec(), map.dimension());
    let (x, p) = (spec.default_state(), spec.default_parameters());
    let (mut next, mut jacobian) = (vec![0.0; d], vec![0.0; d * d]);
    map.rule(&x, 0.0, &p, &mut next);
    map.jacobian(&x, 0.0, &p, &mut jacobian);
    let _ = spec.extrapolates(&x, &p);
    if let Ok(times) = TimeGrid::new(0.0, map.dt(), 3) {
        let _ = map.simulate(
            &Experiment {
                x0: x,
                p,
                protocol: Protocol::none(),
                times,
            },
            &SolveOptions::default(),
        );
    }
}

/// A dataset: a smallest training on it gives a map or an error; saved and read again, it is the same to the bit.
pub fn dataset(bytes: &[u8]) {
    let Ok(data) = Dataset::from_bytes(bytes) else {
        return;
    };
    let saved = data.to_bytes().expect("an accepted dataset can be saved");
    // By its bytes: an unknown distance is NaN, which differs from itself.
    assert_eq!(
        Dataset::from_bytes(&saved)
            .expect("and read again")
            .to_bytes()
            .expect("and saved"),
        saved
    );
    if data.training.len() * data.spec.variables.len() < 1000 {
        let config = TrainConfig {
            hidden: 1,
            adam: AdamConfig {
                epochs: 1,
                ..AdamConfig::default()
            },
            second_order: SecondOrderConfig {
                iterations: 1,
                ..SecondOrderConfig::default()
            },
            ..TrainConfig::default()
        };
        if let Ok(trained) = train(&data, &config, &mut Run::default()) {
            surrogate(&trained.map.to_bytes().expect("a trained map can be saved"));
        }
    }
}

/// A Fourier neural operator: saved and read again it is the same, and a small one answers.
pub fn operator(bytes: &[u8]) {
    let Ok(fno) = Fno::from_bytes(bytes) else {
        return;
    };
    let saved = fno.to_bytes().expect("an accepted surrogate can be saved");
    assert_eq!(Fno::from_bytes(&saved).expect("and read again"), fno);
    let protocol = Protocol::step(0.0, 0.3 * fno.t_end, 1.0);
    let _ = fno.check_protocol(&protocol, fno.t_end);
    if let (true, Ok(times)) = (fno.points < 1000, TimeGrid::new(0.0, 1.0, 1)) {
        let _ = fno.predict(
            &[Experiment {
                protocol,
                ..Experiment::from_defaults(&fno.spec, times)
            }],
            fno.points,
        );
    }
}

/// Responses: saved and read again, they are the same; a smallest training on them gives an operator or an error.
pub fn responses(bytes: &[u8]) {
    let Ok(data) = ResponseData::from_bytes(bytes) else {
        return;
    };
    let saved = data.to_bytes().expect("an accepted dataset can be saved");
    assert_eq!(
        ResponseData::from_bytes(&saved).expect("and read again"),
        data
    );
    let network = FnoConfig {
        width: 1,
        modes: 2,
        layers: 1,
        ..FnoConfig::default()
    };
    let adam = AdamConfig {
        epochs: 1,
        ..OperatorConfig::default().adam
    };
    if let Ok(trained) = train_operator(
        &data,
        &OperatorConfig {
            network,
            adam,
            ..OperatorConfig::default()
        },
        &mut Run::default(),
    ) {
        operator(
            &trained
                .fno
                .to_bytes()
                .expect("a trained operator can be saved"),
        );
    }
}

/// A checkpoint: saved and read again, it is the same.
pub fn checkpoint(bytes: &[u8]) {
    let Ok(checkpoint) = Checkpoint::from_bytes(bytes) else {
        return;
    };
    let saved = checkpoint
        .to_bytes()
        .expect("an accepted checkpoint can be saved");
    assert_eq!(
        Checkpoint::from_bytes(&saved).expect("and read again"),
        checkpoint
    );
    assert!(
        checkpoint
            .identity
            .differences(&checkpoint.identity)
            .is_empty()
    );
}

/// A configuration: written and read again, it says the same. The text is also tried as a change of one value.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let _ = config::parse::<Configuration>("", &[text.to_owned()]);
    let Ok(configuration) = config::parse::<Configuration>(text, &[]) else {
        return;
    };
    let saved = toml::to_string(&configuration).expect("an accepted configuration can be written");
    let again: Configuration = config::parse(&saved, &[]).expect("and read again");
    assert_eq!(toml::to_string(&again).expect("and written"), saved);
}

/// A protocol: its current is cut into pieces in the order of time, and a short run ends; written and read again, it is the same.
pub fn protocol(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    // Without a folder no file is opened.
    let Ok(protocol) = protocol_file::parse(text, None) else {
        return;
    };
    let saved = toml::to_string(&protocol).expect("an accepted protocol can be written");
    assert_eq!(
        protocol_file::parse(&saved, None).expect("and read again"),
        protocol
    );
    stimulate(protocol);
}

/// A sampled current in CSV: as [`protocol`].
pub fn current(bytes: &[u8]) {
    if let Ok(sampled) = protocol_file::parse_csv(bytes) {
        stimulate(Stimulus::Sampled(sampled).into());
    }
}

/// A table of experiments: what its rows give is run, for a few steps.
pub fn experiments(bytes: &[u8]) {
    let cell = models::find("sherman-1988").expect("a model");
    let base = Experiment::from_defaults(cell.spec(), TimeGrid::new(0.0, 1.0, 2).expect("times"));
    let Ok(mut reader) = experiments::Reader::new(bytes, cell.spec(), &base) else {
        return;
    };
    let batch: Vec<Experiment> = std::iter::from_fn(|| reader.read().ok().flatten())
        .take(50)
        .collect();
    let options = SolveOptions {
        max_steps: 20,
        ..SolveOptions::default()
    };
    assert_eq!(
        cell.solve_ensemble(&batch, &options)
            .expect("accepted experiments make sense")
            .len(),
        batch.len()
    );
}

/// A family of protocols: its members can be used or are refused; written and read again, it is the same.
pub fn protocol_family(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(family) = protocol_file::parse_family(text) else {
        return;
    };
    let saved = toml::to_string(&family).expect("an accepted family can be written");
    assert_eq!(
        protocol_file::parse_family(&saved).expect("and read again"),
        family
    );
    for k in [0, family.len().unwrap_or(8) - 1] {
        if let Ok(member) = family.member(1, k) {
            member
                .protocol
                .check_until(member.t_end)
                .expect("a member that was given makes sense");
        }
    }
}

fn stimulate(protocol: Protocol) {
    const T_END: f64 = 10.0;
    protocol.check().expect("an accepted protocol makes sense");
    if protocol.check_until(T_END).is_err() {
        return;
    }
    let signal = protocol.signal(T_END);
    assert_eq!(signal.pieces[0].start, 0.0);
    assert!(signal.pieces.windows(2).all(|w| w[0].start < w[1].start));
    for [t0, t1] in [[0.0, T_END], [1.0, 1.1], [T_END, T_END]] {
        let _ = (signal.value(t0), signal.mean(t0, t1));
    }
    let cell = models::find("sherman-1988").expect("a model");
    let times = TimeGrid::new(0.0, T_END, 2).expect("times");
    let options = SolveOptions {
        max_steps: 50,
        ..SolveOptions::default()
    };
    let batch = [Experiment {
        protocol,
        ..Experiment::from_defaults(cell.spec(), times)
    }];
    let _ = cell.solve_ensemble(&batch, &options);
}

/// An answer of a report: it is drawn as a page, and its tables and figures are written.
pub fn report(bytes: &[u8]) {
    let Ok(answer) = serde_json::from_slice::<Section>(bytes) else {
        return;
    };
    if answer.check().is_err() {
        return;
    }
    answer.figures().for_each(|f| drop(f.to_csv()));
    answer.tables().for_each(|t| drop(t.to_csv()));
    let heading = Heading {
        title: answer.title.clone(),
        subtitle: String::new(),
        footer: Vec::new(),
    };
    assert!(html::page(&heading, std::slice::from_ref(&answer)).ends_with("</html>\n"));
    let saved = serde_json::to_string(&answer).expect("an accepted answer can be saved");
    serde_json::from_str::<Section>(&saved).expect("and read again");
}

/// Small valid files, to start from.
pub mod valid {
    use super::*;
    use ionoscope::report::{
        figure::{Axis, Figure, Panel, Role, Series},
        section::{Fact, Part},
        table::{Column, Format, Table},
    };
    use ionoscope_dynamics::{spec::Spec, spec::TrainingRange};
    use ionoscope_learn::{
        architectures::{
            SubNetwork,
            fno::{Scaling, Seen},
        },
        checkpoint::{Identity, NetworkState},
        dataset::{DatasetConfig, Pairs, Redrawn},
        normalizer::Normalizer,
        responses::{ResponseConfig, Responses},
    };
    use serde_json::json;

    /// The valid file of each target.
    pub fn all() -> [(&'static str, Vec<u8>); 11] {
        [
            ("surrogate", surrogate()),
            ("dataset", dataset()),
            ("operator", operator()),
            ("responses", responses()),
            ("checkpoint", checkpoint()),
            ("configuration", configuration().into_bytes()),
            ("report", report()),
            ("protocol", PROTOCOL.into()),
            ("current", CURRENT.into()),
            ("experiments", EXPERIMENTS.into()),
            ("protocol_family", PROTOCOL_FAMILY.into()),
        ]
    }

    /// A protocol with every shape.
    pub const PROTOCOL: &str = r#"
overlap = "add"
unit = "mV"
time_unit = "s"
[[stimulus]]
shape = "step"
start = 1
duration = 2
amplitude = 3
[[stimulus]]
shape = "pulse-train"
amplitude = 2.5
width = 0.5
period = 2
count = 3
[[stimulus]]
shape = "pulse-train"
start = 0.1
amplitude = 1
width = 0.2
period = 0.7
until = 4
[[stimulus]]
shape = "s1-s2"
start = 1
amplitude = 2
width = 0.5
period = 1
count = 2
coupling = 0.8
s2_amplitude = 3
s2_width = 0.1
[[stimulus]]
shape = "ramp"
duration = 3
from = -1
to = 1
[[stimulus]]
shape = "sine"
start = 0.5
duration = 4
amplitude = 3
period = 2
phase = 0.25
offset = 1
[[stimulus]]
shape = "noise"
duration = 5
mean = 1
sd = 2
correlation_time = 0.3
dt = 0.1
seed = 7
[[stimulus]]
shape = "sampled"
start = 1
duration = 9
interpolation = "linear"
times = [0, 1, 2.5]
values = [3, -1, 0]
"#;

    /// A sampled current.
    pub const CURRENT: &str = "# a comment\ntime,current\n0,1\n0.5,-2.25\n1e1,3e0\n";

    /// A table of three experiments.
    pub const EXPERIMENTS: &str = "# cells\nparam:v_s,x0:v,stim_start,stim_duration,stim_amplitude\n-36,-60,0,0,0\n-38.5,-5.5e1,0.1,1e6,-2\n\n-30, -40 ,1,.5,3\n";

    /// A family with every kind of range.
    pub const PROTOCOL_FAMILY: &str = r#"
name = "f"
description = "d"
t_end = 100
unit = "mV"
[[class]]
name = "a"
count = 3
overlap = "add"
[[class.stimulus]]
shape = "step"
start = { value = 0.1, of = "t_end" }
duration = { uniform = [0.1, 1], of = "t_end" }
amplitude = { log-uniform = [0.1, 2] }
[[class.stimulus]]
shape = "noise"
sd = 1.5
correlation_time = 1
dt = 0.5
[[class]]
name = "b"
count = 2
t_end = 50
[[class.stimulus]]
shape = "pulse-train"
amplitude = 1
width = 1
period = 2
count = { whole = [2, 5] }
[[class]]
name = "c"
count = 1
[[class.stimulus]]
shape = "sampled"
times = [0, 1]
values = [1, 0.5]
"#;

    fn spec() -> Spec {
        let mut spec = models::find("sherman-1988")
            .expect("a model")
            .spec()
            .clone();
        spec.parameters.retain(|q| q.name == "v_s");
        spec.trained_on = Some(TrainingRange {
            model: "sherman-1988".into(),
            fixed: vec![("g_k2".into(), 0.0)],
            state: vec![[-65.0, -22.0], [0.0, 0.12], [0.17, 0.19]],
            stimulus: None,
            parameters: vec![[-40.0, -30.0]],
        });
        spec
    }

    /// A surrogate with two hidden units.
    pub fn surrogate() -> Vec<u8> {
        let networks = (0..3).map(|own| {
            let mut net = SubNetwork::zeros(own, 4, 2);
            net.groups_mut()
                .into_iter()
                .flatten()
                .enumerate()
                .for_each(|(k, w)| *w = 0.1 * (k as f64).sin());
            net
        });
        let normalizer = Normalizer {
            state_mean: vec![-50.0, 0.02, 0.18],
            state_sd: vec![12.0, 0.02, 0.004],
            parameter_mean: vec![-35.0],
            parameter_sd: vec![2.9],
            increment_sd: vec![1.0, 0.003, 2e-5],
        };
        let map =
            NeuralMap::new(spec(), 0.005, normalizer, networks, json!({"seed": 1})).expect("a map");
        map.to_bytes().expect("a file")
    }

    /// A dataset of six, two and no pairs.
    pub fn dataset() -> Vec<u8> {
        let pairs = |n: usize| {
            let wave = |k: usize, step: f64| {
                let phase = k as f64 + step;
                [
                    -50.0 + 10.0 * phase.sin(),
                    0.05 + 0.04 * phase.cos(),
                    0.18 + 0.01 * (0.3 * phase).sin(),
                ]
            };
            Pairs {
                dimension: 3,
                parameters: 1,
                p: (0..n).map(|k| -40.0 + k as f64).collect(),
                u: (0..n).flat_map(|k| wave(k, 0.0)).collect(),
                next: (0..n).flat_map(|k| wave(k, 0.005)).collect(),
                distance: (0..n)
                    .map(|k| if k == 1 { f64::NAN } else { 1.0 })
                    .collect(),
            }
        };
        let training = pairs(6);
        let normalizer = Normalizer::fit(&training).expect("pairs that vary");
        let (validation, new_chunks) = (pairs(2), pairs(0));
        let config = DatasetConfig::default();
        let data = Dataset {
            config,
            spec: spec(),
            normalizer,
            training,
            validation,
            new_chunks,
            redrawn: Redrawn::default(),
        };
        data.to_bytes().expect("a file")
    }

    /// An operator with one channel.
    pub fn operator() -> Vec<u8> {
        let config = FnoConfig {
            width: 1,
            modes: 2,
            layers: 1,
            ..FnoConfig::default()
        };
        let weights = config
            .initial_weights(2, 2, 1)
            .iter()
            .map(|w| *w as f32)
            .collect();
        let fno = Fno {
            spec: models::find("fitzhugh-nagumo-1961")
                .expect("a model")
                .spec()
                .clone(),
            config,
            t_end: 100.0,
            points: 12,
            bands: None,
            scaling: Scaling {
                input: 1.0,
                charge: None,
                state: vec![0.5, 0.4],
                ramp: 0.01,
                start: None,
                per_point: None,
                parameters: Default::default(),
            },
            seen: Seen {
                input: [0.0, 2.0],
                steps_from_zero: true,
                steps: Vec::new(),
                start: None,
                parameters: Default::default(),
            },
            weights,
            provenance: json!({"seed": 1}),
        };
        fno.to_bytes().expect("a file")
    }

    /// Responses: three, one and no samples of two variables at four times.
    pub fn responses() -> Vec<u8> {
        let set = |n: usize| Responses {
            points: 4,
            variables: 2,
            input: (0..4 * n).map(|k| (k % 3) as f32).collect(),
            x: (0..8 * n).map(|k| (k as f32).sin()).collect(),
            class: vec![0; n],
            ..Responses::default()
        };
        let config = ResponseConfig {
            points: 4,
            ..ResponseConfig::default()
        };
        let spec = models::find("fitzhugh-nagumo-1961")
            .expect("a model")
            .spec()
            .clone();
        let classes = [vec!["a".to_owned()], vec!["b".to_owned()]];
        let data = ResponseData {
            config,
            spec,
            classes,
            training: set(3),
            validation: set(1),
            test: set(0),
        };
        data.to_bytes().expect("a file")
    }

    /// A checkpoint of two sub-networks, one of them in the second stage.
    pub fn checkpoint() -> Vec<u8> {
        let state = |k: usize| NetworkState {
            weights: vec![0.1, -0.2, 1.0 / 3.0],
            first: vec![1e-300, 0.0, 2.0],
            second: vec![k as f64; 3],
            steps: 17,
            second_order: (k == 1).then(|| vec![3.0; 5]),
        };
        let identity = Identity {
            configuration: json!({"seed": 1, "adam": {"batch": 10}}),
            dataset: "00ff".into(),
            from: None,
        };
        let checkpoint = Checkpoint {
            identity,
            epoch: 3,
            seconds: 0.1,
            progress_bytes: 5,
            event_bytes: 6,
            networks: vec![state(0), state(1)],
        };
        checkpoint.to_bytes().expect("a file")
    }

    /// A configuration with every key.
    pub fn configuration() -> String {
        toml::to_string(&Configuration::default()).expect("a text")
    }

    /// An answer with every kind of part.
    pub fn report() -> Vec<u8> {
        let mut table = Table::new(
            "t",
            "c",
            vec![
                Column::text("w"),
                Column::number("V_{S}", "mV", Format::Fixed(1)),
            ],
        );
        table.push(vec!["a < b".into(), (-36.0).into()]);
        let panel = Panel::new(
            "a",
            Axis::new("t", "s"),
            Axis::new("d", "1").log().with_range(1e-3, 1.0),
        )
        .with(Series::line(
            "x",
            Role::Network,
            vec![0.0, 1.0, 2.0],
            vec![0.1, f64::NAN, 0.2],
        ))
        .with(Series::points(
            "y",
            Role::Data,
            vec![0.0, 1.0],
            vec![0.5, 0.1],
        ))
        .with(Series::steps(
            "h",
            Role::Faint(1),
            vec![0.0, 1.0],
            vec![0.5, 0.1],
        ))
        .with_band([0.5, 1.0], "band");
        let space = Panel::new("b", Axis::new("x", "1"), Axis::new("y", "1"))
            .with_z(Axis::new("z", "1"))
            .with(Series::curve(
                "c",
                Role::Orbit,
                vec![0.0, 1.0],
                vec![0.0, 2.0],
                vec![0.0, 3.0],
            ));
        let answer = Section::new("one", "One & only")
            .text("A `code` word of **strength**")
            .with(Part::Note("n".into()))
            .with(Part::Facts(vec![Fact {
                value: "1 mV".into(),
                text: "small".into(),
            }]))
            .with(Part::Command("ionoscope".into()))
            .with(Part::Listing {
                title: "all".into(),
                text: "{}".into(),
            })
            .with(Part::Table(table))
            .with(Part::Figure(
                Figure::new("f", "F", "c")
                    .with_columns(2)
                    .with(panel)
                    .with(space),
            ));
        serde_json::to_vec(&answer).expect("a document")
    }
}
