//! Files of protocols: what is read, what is refused and where it says the mistake stands.

use std::{fs, path::Path};

use ionoscope::protocol_file::{parse, parse_csv, parse_family, read, read_family};
use ionoscope_dynamics::protocol::{Interpolation, Overlap, Protocol, ProtocolFamily, Stimulus};

fn example(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/protocols")
        .join(name)
}

#[test]
fn the_examples_are_read() {
    assert_eq!(
        read(&example("step.toml")).unwrap(),
        Protocol::step(10.0, 2.0, 5.0)
    );
    let beats = read(&example("s1-s2.toml")).unwrap();
    assert_eq!(beats.unit.as_deref(), Some("A/F"));
    let signal = beats.signal(8000.0);
    assert_eq!(
        signal
            .pieces
            .iter()
            .filter(|p| p.offset == 80.0)
            .map(|p| p.start)
            .next_back(),
        Some(7310.0)
    );
    assert_eq!(
        read(&example("noise.toml"))
            .unwrap()
            .signal(10.0)
            .pieces
            .len(),
        201
    );
    let two = read(&example("two-stimuli.toml")).unwrap();
    assert_eq!((two.overlap, two.stimuli.len()), (Overlap::Add, 2));
    assert_eq!(two.signal(30.0).value(5.0), 4.0);
    let family = read_family(&example("family.toml")).unwrap();
    assert_eq!(family.len(), Some(350));
    (0..350).for_each(|k| drop(family.member(1, k).unwrap()));
}

#[test]
fn the_example_of_the_guide_is_read() {
    let guide = fs::read_to_string(example("../../docs/guide.md")).unwrap();
    let text = guide
        .split("```toml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let protocol = parse(text, None).unwrap();
    assert_eq!(
        (protocol.stimuli.len(), protocol.unit.as_deref()),
        (2, Some("mV"))
    );
    // And every shape is described there.
    Stimulus::SHAPES
        .iter()
        .for_each(|shape| assert!(guide.contains(&format!("| `{shape}` |")), "{shape}"));
}

#[test]
fn a_protocol_is_written_as_it_is_read() {
    let text = fs::read_to_string(example("two-stimuli.toml")).unwrap();
    let mut protocols = vec![
        parse(&text, None).unwrap(),
        Protocol::constant(0.1 + 0.2),
        read(&example("s1-s2.toml")).unwrap(),
    ];
    protocols.push(parse(&fs::read_to_string(example("noise.toml")).unwrap(), None).unwrap());
    protocols.push(
        Stimulus::Sampled(parse_csv(&b"time,current\n0,0.1\n1e-3,-2.5e-17\n"[..]).unwrap()).into(),
    );
    for family in ProtocolFamily::all() {
        protocols.push(family.member(3, 100).unwrap().protocol);
        let toml = toml::to_string(&family).unwrap();
        assert_eq!(parse_family(&toml).unwrap(), family, "{toml}");
    }
    for protocol in protocols {
        let toml = toml::to_string(&protocol).unwrap();
        assert_eq!(parse(&toml, None).unwrap(), protocol, "{toml}");
        let json = serde_json::to_string(&protocol).unwrap();
        assert_eq!(
            serde_json::from_str::<Protocol>(&json).unwrap(),
            protocol,
            "{json}"
        );
    }
    // No stimulus at all is written too, but a file of one must hold some.
    let json = serde_json::to_string(&Protocol::none()).unwrap();
    assert_eq!(
        (
            json.as_str(),
            serde_json::from_str::<Protocol>(&json).unwrap()
        ),
        (r#"{"stimulus":[]}"#, Protocol::none())
    );
}

#[test]
fn a_mistake_is_named_with_its_place() {
    let step = "[[stimulus]]\nshape = \"step\"\namplitude = 1\n";
    for (text, parts) in [
        (
            "[[stimulus]]\nshape = \"step\"\namplitude = = 1\n",
            &["line 3, column 13: "][..],
        ),
        ("[[stimulus]\n", &["line 1, column "]),
        (
            "\n[[stimulus]]\nshape = \"stp\"\n",
            &["line 2, column 1: stimulus 1 (stp): unknown shape 'stp' (did you mean 'step'?)"],
        ),
        (
            "[[stimulus]]\namplitude = 1\n",
            &["stimulus 1: it has no shape; expected one of step, pulse-train"],
        ),
        ("[[stimulus]]\nshape = 3\n", &["stimulus 1: its shape is 3"]),
        (
            &format!("{step}\n[[stimulus]]\nshape = \"step\"\namplitud = 1\n"),
            &[
                "line 5, column 1: stimulus 2 (step): unknown field `amplitud`",
                "did you mean `amplitude`?",
            ],
        ),
        (
            "[[stimulus]]\nshape = \"ramp\"\nfrom = 1\nto = 2\n",
            &["stimulus 1 (ramp): missing field `duration`"],
        ),
        (
            "[[stimulus]]\nshape = \"step\"\namplitude = \"1\"\n",
            &["stimulus 1 (step): amplitude: invalid type: string \"1\", expected a number"],
        ),
        (
            "# One.\n[stimulus]\nshape = \"step\"\namplitude = 1\n",
            &["line 2: [stimulus] in single brackets; write [[stimulus]]"],
        ),
        (
            "[[stimulus]]\nshape = \"step\"\namplitude = nan\n",
            &["stimulus 1 (step): its amplitude is NaN"],
        ),
        (
            "[[stimulus]]\nshape = \"step\"\namplitude = 1\nduration = -2\n",
            &["line 1, column 1: ", "its duration is -2"],
        ),
        (
            "overlp = \"add\"\n",
            &[
                "line 1, column 1: unknown field `overlp`",
                "did you mean `overlap`?",
            ],
        ),
        (
            "overlap = \"sum\"\n",
            &["line 1, column 11: unknown variant `sum`, expected `refuse` or `add`"],
        ),
        (
            "stimulus = []\n",
            &["it has no stimulus; write at least one [[stimulus]]"],
        ),
        ("unit = \"mV\"\n", &["it has no stimulus"]),
        (
            &step.repeat(2),
            &[
                "stimulus 1 (step), active on [0, inf), and stimulus 2 (step)",
                "overlap = \"add\"",
            ],
        ),
        (
            "[[stimulus]]\nshape = \"sampled\"\ntimes = [0, 1]\n",
            &["it needs either times and values, or file"],
        ),
        (
            "[[stimulus]]\nshape = \"sampled\"\ntimes = [1, 0]\nvalues = [1, 2]\n",
            &["time 2 is 0 after 1; expected times that increase"],
        ),
        (
            "[[stimulus]]\nshape = \"sampled\"\ntimes = []\nvalues = []\n",
            &["it has no times"],
        ),
        (
            "[[stimulus]]\nshape = \"sampled\"\nfile = \"x.csv\"\n",
            &["its file 'x.csv' cannot be found from here"],
        ),
        (
            "[[stimulus]]\nshape = \"sampled\"\nfile = \"x.csv\"\ntimes = [1]\n",
            &["it has both file and times"],
        ),
        (
            "[[stimulus]]\nshape = \"noise\"\nsd = 1\ncorrelation_time = 1\ndt = 1\nseed = -1\n",
            &["expected a whole number, 0 or larger"],
        ),
    ] {
        let message = parse(text, None).unwrap_err().to_string();
        parts.iter().for_each(|part| {
            assert!(
                message.contains(part),
                "expected '{part}' of {text}: {message}"
            )
        });
        assert!(
            !message.contains("f64") && !message.contains('\n'),
            "{message}"
        );
    }
    let family = "name = \"x\"\nt_end = 1\n[[class]]\nname = \"a\"\nweight = 1\n[[class.stimulus]]\nshape = \"step\"\namplitude = ";
    for (rest, part) in [
        (
            "{ unifrm = [0, 1] }",
            "line 8, column 15: unknown field `unifrm`, expected one of `value`, `uniform`",
        ),
        (
            "{ uniform = [0, 1], value = 3 }",
            "a range needs exactly one of value, uniform, log-uniform and whole",
        ),
        (
            "true",
            "expected a number, a word, a list of numbers or a range",
        ),
        ("1\ndurtion = 3", "did you mean `duration`?"),
        (
            "{ uniform = [1, 0] }",
            "class 'a', stimulus 1: its amplitude has the range",
        ),
    ] {
        let message = parse_family(&format!("{family}{rest}\n"))
            .unwrap_err()
            .to_string();
        assert!(message.contains(part), "expected '{part}': {message}");
    }
}

#[test]
fn csv_is_a_sampled_current() {
    let read = |text: &str| parse_csv(text.as_bytes());
    let sampled = read("\u{feff}# mine\ntime, current\r\n0,1\r\n\r\n 2.5 , -3e0\r\n").unwrap();
    assert_eq!(
        (sampled.times, sampled.values, sampled.interpolation),
        (vec![0.0, 2.5], vec![1.0, -3.0], Interpolation::Hold)
    );
    for (text, part) in [
        ("", "it is empty; expected a header time,current and rows"),
        ("time,current\n", "it has no times"),
        (
            "0,1\n1,2\n",
            "line 1: the header is missing; expected time,current",
        ),
        (
            "time,curent\n0,1\n",
            "line 1: unknown column 'curent' (did you mean 'current'?)",
        ),
        (
            "current,time\n0,1\n",
            "line 1: the header is current,time; expected time,current",
        ),
        ("time,current,v\n0,1,2\n", "line 1: unknown column 'v'"),
        (
            "time,current\n0,1\n1\n",
            "line 3: it has 1 entries; expected two, time and current",
        ),
        (
            "time,current\n0,1\n1,x\n",
            "line 3: the current is 'x'; expected a finite number",
        ),
        ("time,current\n0,1\nNaN,1\n", "line 3: the time is 'NaN'"),
        (
            "time,current\n0,1\n0,2\n",
            "line 3: the time 0 comes after 0; expected times that increase",
        ),
        ("time,current\n-1,1\n0,2\n", "its first time is -1"),
    ] {
        let message = read(text).unwrap_err().to_string();
        assert!(
            message.contains(part),
            "expected '{part}' of {text:?}: {message}"
        );
    }
    assert!(
        parse_csv(&b"time,current\n\xff\xff,1\n"[..])
            .unwrap_err()
            .to_string()
            .contains("line 2: it cannot be read")
    );
}

#[test]
fn a_sampled_stimulus_names_a_file_beside_its_own() {
    let folder = std::env::temp_dir().join(format!("ionoscope-protocol-{}", std::process::id()));
    fs::create_dir_all(folder.join("data")).unwrap();
    let toml = folder.join("p.toml");
    fs::write(folder.join("data/c.csv"), "time,current\n0,1\n2,0\n").unwrap();
    fs::write(&toml, "[[stimulus]]\nshape = \"sampled\"\nstart = 1\ninterpolation = \"linear\"\nfile = \"data/c.csv\"\n").unwrap();
    let protocol = read(&toml).unwrap();
    assert_eq!(
        [1.0, 2.0, 3.0].map(|t| protocol.signal(9.0).value(t)),
        [1.0, 0.5, 0.0]
    );
    // What is written needs no file.
    assert_eq!(
        parse(&toml::to_string(&protocol).unwrap(), None).unwrap(),
        protocol
    );
    assert_eq!(
        read(&folder.join("data/c.csv"))
            .unwrap()
            .signal(9.0)
            .value(1.0),
        1.0
    );
    fs::write(folder.join("data/c.csv"), "time,current\n0,1\n2,z\n").unwrap();
    let wrong = read(&toml).unwrap_err();
    for part in [
        "p.toml: line 1, column 1: stimulus 1 (sampled): ",
        "c.csv: line 3: the current is 'z'",
    ] {
        assert!(wrong.to_string().contains(part), "{wrong}");
    }
    let missing = read(&folder.join("none.toml")).unwrap_err();
    assert!(
        missing.is_input() && missing.to_string().contains("cannot read"),
        "{missing}"
    );
    let kind = read(&folder.join("p.json")).unwrap_err();
    assert!(
        kind.is_input() && kind.to_string().contains("supported: .toml, .csv"),
        "{kind}"
    );
    fs::remove_dir_all(&folder).unwrap();
}
