//! Random families of protocols: the numbers of the paper, the ranges, and that a member depends on nothing but its family, seed and index.

use std::collections::{BTreeMap, HashSet};

use ionoscope_dynamics::protocol::{
    Class, Draw, Field, Member, Overlap, ProtocolFamily, Range, Scale, Step, Stimulus,
};

fn members(family: &ProtocolFamily, seed: u64) -> Vec<Member> {
    (0..family.len().unwrap())
        .map(|k| family.member(seed, k).unwrap())
        .collect()
}

fn the_step(member: &Member) -> &Step {
    match member.protocol.stimuli.as_slice() {
        [Stimulus::Step(step)] => step,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_paper_s_tables() {
    // Pellegrini et al. (2025): class, number for training and test, range of I, range of T_stim / T.
    #[rustfmt::skip]
    let tables = [
        ("fitzhugh-nagumo", vec![
            ("none", [20, 10], [0.1, 2.0], [0.0, 0.0]),
            ("general", [2300, 285], [0.1, 2.0], [0.01, 1.0]),
            ("sub-threshold", [650, 30], [1e-4, 0.01], [0.1, 1.0]),
            ("whole", [30, 50], [0.3, 2.0], [1.0, 1.0]),
        ]),
        ("hodgkin-huxley", vec![
            ("none", [20, 10], [2.0, 10.0], [0.0, 0.0]),
            ("general", [2380, 275], [2.0, 10.0], [0.01, 1.0]),
            ("sub-threshold", [100, 30], [1e-4, 2.0], [0.1, 1.0]),
            ("high", [300, 30], [50.0, 200.0], [0.01, 1.0]),
            ("whole", [200, 30], [2.0, 30.0], [1.0, 1.0]),
        ]),
    ];
    for (cell, rows) in tables {
        for (set, kind, total) in [(0, "train", 3000), (1, "test", 375)] {
            let family = ProtocolFamily::find(&format!("{cell}-{kind}")).unwrap();
            let all = members(&family, 1);
            assert_eq!(all.len(), total);
            for (class, (name, counts, amplitude, share)) in rows.iter().enumerate() {
                assert_eq!(family.classes[class].name, *name);
                let own: Vec<&Step> = all
                    .iter()
                    .filter(|m| m.class == class)
                    .map(the_step)
                    .collect();
                assert_eq!(own.len(), counts[set], "{} {name}", family.name);
                let spread = |values: Vec<f64>, [low, high]: [f64; 2]| {
                    assert!(
                        values.iter().all(|v| (low..=high).contains(v)),
                        "{} {name}: {values:?}",
                        family.name
                    );
                    // Uniform: the mean is within five of its standard errors.
                    let mean = values.iter().sum::<f64>() / values.len() as f64;
                    let error = (high - low) / (12.0 * values.len() as f64).sqrt();
                    assert!(
                        (mean - 0.5 * (low + high)).abs() <= 5.0 * error,
                        "{} {name}: mean {mean}",
                        family.name
                    );
                };
                spread(own.iter().map(|s| s.amplitude).collect(), *amplitude);
                spread(
                    own.iter().map(|s| s.duration.unwrap() / 100.0).collect(),
                    *share,
                );
                assert!(own.iter().all(|s| s.start == 0.0));
            }
        }
    }
}

#[test]
fn families_that_come_along_make_sense_and_share_no_member() {
    let mut seen = HashSet::new();
    let mut drawn = 0;
    for family in ProtocolFamily::all() {
        family
            .check()
            .unwrap_or_else(|e| panic!("{}: {e}", family.name));
        for member in members(&family, 1) {
            let [start, end] = member.protocol.stimuli[0].span();
            assert!(
                start <= end && end <= member.t_end * (1.0 + 1e-12),
                "{}: {member:?}",
                family.name
            );
            seen.insert(format!("{:?}", member.protocol));
            drawn += 1;
        }
    }
    assert_eq!((seen.len(), drawn), (drawn, 3 * (3000 + 375 + 375)));
    let message = ProtocolFamily::find("hodgkin-huxley-tran")
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("did you mean 'hodgkin-huxley-train'?"),
        "{message}"
    );
}

#[test]
fn shifted_families_leave_the_training_set_by_start_number_and_length() {
    for cell in ["fitzhugh-nagumo", "hodgkin-huxley", "ohara-rudy"] {
        let train = ProtocolFamily::find(&format!("{cell}-train")).unwrap();
        let t = train.t_end;
        assert!(members(&train, 2).iter().all(|m| the_step(m).start == 0.0
            && the_step(m).duration.unwrap() <= t
            && m.t_end == t));
        for member in members(
            &ProtocolFamily::find(&format!("{cell}-shifted")).unwrap(),
            2,
        ) {
            match member.class {
                0 => assert!(the_step(&member).start >= 0.1 * t),
                1 => {
                    let starts = member
                        .protocol
                        .signal(t)
                        .pieces
                        .iter()
                        .filter(|p| p.offset != 0.0)
                        .count();
                    assert_eq!(starts, 2, "{member:?}");
                }
                _ => assert!(member.t_end == 2.0 * t && the_step(&member).duration.unwrap() >= t),
            }
        }
    }
}

#[test]
fn the_family_of_ohara_rudy_lies_on_both_sides_of_the_threshold() {
    // Amplitudes (A/F) that just make an action potential, by duration (ms), from the start of the paper; between them, log-log.
    let curve: [(f64, f64); 10] = [
        (0.5, 57.0),
        (1.0, 29.8),
        (2.0, 16.0),
        (5.0, 7.6),
        (10.0, 4.7),
        (20.0, 3.1),
        (50.0, 1.72),
        (100.0, 1.2),
        (200.0, 0.99),
        (500.0, 0.91),
    ];
    let threshold = |d: f64| -> f64 {
        let k = curve
            .iter()
            .rposition(|(at, _)| *at <= d)
            .unwrap()
            .min(curve.len() - 2);
        let [(d0, i0), (d1, i1)] = [curve[k], curve[k + 1]];
        i0 * (i1 / i0).powf((d / d0).ln() / (d1 / d0).ln())
    };
    let family = ProtocolFamily::find("ohara-rudy-train").unwrap();
    let mut above = vec![(0, 0); family.classes.len()];
    for member in members(&family, 1) {
        let s = the_step(&member);
        let duration = s.duration.unwrap();
        let (fires, all) = &mut above[member.class];
        *all += 1;
        if duration > 0.0 {
            assert!(duration >= 0.5 && (0.0..200.0).contains(&s.amplitude));
            *fires += usize::from(s.amplitude > threshold(duration));
        }
    }
    for (class, (fires, all)) in family.classes.iter().zip(above) {
        let share = fires as f64 / all as f64;
        let expected = if class.name.starts_with("sub") || class.name == "none" {
            0.0..=0.0
        } else {
            0.5..=0.95
        };
        assert!(expected.contains(&share), "{}: {share}", class.name);
    }
}

fn template(fields: &[(&str, Field)]) -> BTreeMap<String, Field> {
    fields
        .iter()
        .map(|(name, field)| (name.to_string(), field.clone()))
        .collect()
}

fn class(name: &str, stimulus: BTreeMap<String, Field>) -> Class {
    Class {
        name: name.into(),
        count: None,
        weight: Some(1.0),
        t_end: None,
        overlap: Overlap::Refuse,
        stimulus: vec![stimulus],
    }
}

fn noise() -> BTreeMap<String, Field> {
    let log = Range {
        draw: Draw::LogUniform([0.01, 10.0]),
        of: Scale::One,
    };
    let number = Field::Number;
    template(&[
        ("shape", Field::Text("noise".into())),
        ("sd", number(1.0)),
        ("correlation_time", log.into()),
        ("dt", number(0.1)),
    ])
}

fn train() -> BTreeMap<String, Field> {
    let count = Range {
        draw: Draw::Whole([2, 5]),
        of: Scale::One,
    };
    let numbers = [("amplitude", 1.0), ("width", 1.0), ("period", 2.0)]
        .map(|(name, v)| (name, Field::Number(v)));
    template(
        &[
            &[
                ("shape", Field::Text("pulse-train".into())),
                ("count", count.into()),
            ],
            &numbers[..],
        ]
        .concat(),
    )
}

fn weighted() -> ProtocolFamily {
    let classes = vec![
        class("noise", noise()),
        Class {
            weight: Some(3.0),
            ..class("train", train())
        },
    ];
    ProtocolFamily {
        name: "test".into(),
        description: String::new(),
        t_end: 50.0,
        unit: None,
        time_unit: None,
        classes,
    }
}

#[test]
fn weights_ranges_and_seeds() {
    let family = weighted();
    family.check().unwrap();
    assert_eq!(family.len(), None);
    let all: Vec<Member> = (0..4000).map(|k| family.member(9, k).unwrap()).collect();
    let noises: Vec<_> = all
        .iter()
        .filter_map(|m| {
            if let Stimulus::Noise(s) = &m.protocol.stimuli[0] {
                Some(s)
            } else {
                None
            }
        })
        .collect();
    // Binomial with 1/4: four standard deviations.
    assert!(
        (noises.len() as f64 - 1000.0).abs() < 4.0 * (4000.0f64 * 0.25 * 0.75).sqrt(),
        "{}",
        noises.len()
    );
    assert_eq!(
        noises.iter().map(|s| s.seed).collect::<HashSet<_>>().len(),
        noises.len()
    );
    let logs: Vec<f64> = noises.iter().map(|s| s.correlation_time.log10()).collect();
    assert!(logs.iter().all(|l| (-2.0..=1.0).contains(l)));
    assert!(
        (logs.iter().sum::<f64>() / logs.len() as f64 + 0.5).abs()
            < 5.0 * 3.0 / (12.0 * logs.len() as f64).sqrt()
    );
    let counts = all.iter().filter_map(|m| {
        if let Stimulus::PulseTrain(s) = &m.protocol.stimuli[0] {
            s.count
        } else {
            None
        }
    });
    let mut tally = [0; 4];
    counts.for_each(|c| tally[c as usize - 2] += 1);
    assert!(tally.iter().all(|n| (600..900).contains(n)), "{tally:?}");
    // Any order, any subset, the same; another seed, another member; a class more changes no other field.
    assert_eq!(family.member(9, 3999).unwrap(), all[3999]);
    assert_ne!(family.member(8, 3999).unwrap(), all[3999]);
    let mut renamed = family.clone();
    renamed.name = "other".into();
    assert_ne!(renamed.member(9, 3999).unwrap(), all[3999]);
    let mut more = family.clone();
    more.classes[0].stimulus[0].insert("mean".into(), Range::uniform(0.0, 1.0).into());
    let index = all.iter().position(|m| m.class == 0).unwrap();
    let (Stimulus::Noise(a), Stimulus::Noise(b)) = (
        &all[index].protocol.stimuli[0],
        &more.member(9, index as u64).unwrap().protocol.stimuli[0],
    ) else {
        panic!("both are noise");
    };
    assert_eq!((a.seed, a.correlation_time), (b.seed, b.correlation_time));
    assert!(b.mean > 0.0);
}

#[test]
fn families_that_make_no_sense_are_refused_by_name() {
    let range = |low: f64, high: f64| Field::from(Range::uniform(low, high));
    type Change = Box<dyn Fn(&mut ProtocolFamily)>;
    let set = |name: &'static str, field: Field| -> Change {
        Box::new(move |f| drop(f.classes[1].stimulus[0].insert(name.into(), field.clone())))
    };
    let cases: Vec<(Change, &str)> = vec![
        (
            Box::new(|f| f.classes.clear()),
            "family 'test' has no class",
        ),
        (
            Box::new(|f| f.t_end = f64::NAN),
            "class 'noise': its t_end is NaN",
        ),
        (
            Box::new(|f| f.classes[1].name = "noise".into()),
            "the name 'noise' of class 2 is empty or given twice",
        ),
        (
            Box::new(|f| f.classes[1].weight = Some(-1.0)),
            "class 'train': its weight is -1",
        ),
        (
            Box::new(|f| f.classes[1].count = Some(3)),
            "class 'train': expected either a count in every class, or a weight in every class",
        ),
        (
            Box::new(|f| {
                f.classes
                    .iter_mut()
                    .for_each(|c| (c.count, c.weight) = (Some(0), None))
            }),
            "has 0 members",
        ),
        (
            set("shape", Field::Text("puls-train".into())),
            "class 'train', stimulus 1: unknown shape 'puls-train' (did you mean 'pulse-train'?)",
        ),
        (
            set("perod", Field::Number(1.0)),
            "class 'train', stimulus 1: unknown field `perod`, expected one of `start`",
        ),
        (
            set("amplitude", range(2.0, 1.0)),
            "its amplitude has the range Uniform([2.0, 1.0]); expected finite numbers, the smaller one first",
        ),
        (
            set("amplitude", range(0.0, f64::NAN)),
            "its amplitude has the range",
        ),
        (
            set("width", range(0.5, 3.0)),
            "class 'train': stimulus 1 (pulse-train): its width 3 is longer than its period 2",
        ),
        (set("count", range(1.0, 3.0)), "expected u64"),
        (
            set(
                "width",
                Range {
                    draw: Draw::LogUniform([0.0, 1.0]),
                    of: Scale::One,
                }
                .into(),
            ),
            "finite numbers larger than 0",
        ),
        (
            set("amplitude", Field::Text("much".into())),
            "invalid type: string \"much\"",
        ),
    ];
    for (change, part) in cases {
        let mut family = weighted();
        change(&mut family);
        let message = family.check().unwrap_err().to_string();
        assert!(message.contains(part), "expected '{part}': {message}");
    }
    let family = ProtocolFamily::find("ohara-rudy-test").unwrap();
    assert!(
        family
            .member(1, 375)
            .unwrap_err()
            .to_string()
            .contains("has 375 members; there is no member 375")
    );
}
