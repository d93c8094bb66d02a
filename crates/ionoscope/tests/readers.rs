//! Readers of files against thousands of damaged ones: no panic, and what is accepted is usable. Seeded, so that a failure comes again.
//! `fuzz/` looks further with the same functions.

use serde_json::{Value, json};

#[path = "../../../fuzz/src/lib.rs"]
mod readers;

use ionoscope::protocol_file;
use ionoscope_learn::{
    architectures::{fno::Fno, neural_map::NeuralMap},
    checkpoint::Checkpoint,
    dataset::Dataset,
    responses::ResponseData,
};
use readers::valid;

/// Mutations of each kind of file.
const ROUNDS: u64 = 3000;

/// Steele, Lea, Flood (2014): SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn of<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}

/// What to put in the place of a number, and of a word.
const NUMBERS: [&str; 14] = [
    "0",
    "-1",
    "1e308",
    "-1e308",
    "1e-320",
    "1e999",
    "18446744073709551615",
    "18446744073709551616",
    "4294967296",
    "NaN",
    "null",
    "[]",
    "\"\"",
    "{}",
];
const WORDS: [&str; 8] = ["v", "n", "s", "v_s", "", "zz", "../x", "F32"];

/// Damages bytes in one to three ways.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random, binary: bool) {
    for _ in 0..1 + random.below(3) {
        let n = bytes.len();
        match random.below(if binary { 8 } else { 6 }) {
            0 => bytes.truncate(random.below(n)),
            1 if n > 0 => bytes[random.below(n)] ^= 1 << random.below(8),
            2 if n > 0 => {
                let (from, to) = (random.below(n), random.below(n));
                let piece = bytes[from..(from + 1 + random.below(40)).min(n)].to_vec();
                bytes.splice(to..(to + random.below(40)).min(n), piece);
            }
            3 => replace(
                bytes,
                random,
                |b| b.is_ascii_digit() || b"+-.eE".contains(b),
                &NUMBERS,
            ),
            4 => replace(
                bytes,
                random,
                |b| b.is_ascii_alphabetic() || *b == b'_',
                &WORDS,
            ),
            5 => {
                let deep = random
                    .of(&["[", "{\"a\":", "(", "[[", "a.", "\\\""])
                    .repeat(1 << random.below(12));
                let at = random.below(n);
                edit(bytes, at..at, deep.as_bytes());
            }
            6 if n >= 8 => {
                let size =
                    [0, 1, 7, n as u64, n as u64 - 8, 1 << 32, 1 << 60, u64::MAX][random.below(8)];
                bytes[..8].copy_from_slice(&size.to_le_bytes());
            }
            7 if n >= 8 => {
                let special = [f64::NAN, f64::INFINITY, 0.0, -1.0, 1e308, 5e-324][random.below(6)]
                    .to_le_bytes();
                let at = n - 8 * (1 + random.below(n / 8));
                bytes[at..at + 8].copy_from_slice(&special);
            }
            _ => {}
        }
    }
}

/// Replaces one run of bytes of a kind.
fn replace(bytes: &mut Vec<u8>, random: &mut Random, kind: impl Fn(&u8) -> bool, by: &[&str]) {
    let header = header_end(bytes).unwrap_or(bytes.len());
    let start = random.below(header);
    let Some(from) = (start..header).find(|k| kind(&bytes[*k])) else {
        return;
    };
    let to = (from..header).find(|k| !kind(&bytes[*k])).unwrap_or(header);
    edit(bytes, from..to, random.of(by).as_bytes());
}

/// Where the header of a safetensors file ends, if the bytes look like one.
fn header_end(bytes: &[u8]) -> Option<usize> {
    let size = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let end = usize::try_from(size).ok()?.checked_add(8)?;
    (end <= bytes.len() && bytes.get(8) == Some(&b'{')).then_some(end)
}

/// Replaces bytes and keeps the size of a safetensors header true, so that the edit is seen and not only a wrong size.
fn edit(bytes: &mut Vec<u8>, range: std::ops::Range<usize>, by: &[u8]) {
    let end = header_end(bytes).filter(|end| range.start >= 8 && range.end <= *end);
    let (removed, added) = (range.len(), by.len());
    bytes.splice(range, by.iter().copied());
    if let Some(end) = end {
        bytes[..8].copy_from_slice(&((end - 8 + added - removed) as u64).to_le_bytes());
    }
}

fn attack(name: &str, valid: &[u8], read: fn(&[u8])) {
    for round in 0..ROUNDS {
        let mut bytes = valid.to_vec();
        mutate(&mut bytes, &mut Random(round), header_end(valid).is_some());
        // The test's own output names the panic; this one names the bytes.
        let survived = std::panic::catch_unwind(|| read(&bytes)).is_ok();
        assert!(
            survived,
            "{name}, round {round}: {}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

#[test]
fn damaged_surrogates() {
    attack("surrogate", &valid::surrogate(), readers::surrogate);
}

#[test]
fn damaged_datasets() {
    attack("dataset", &valid::dataset(), readers::dataset);
}

#[test]
fn damaged_operators() {
    attack("operator", &valid::operator(), readers::operator);
}

#[test]
fn damaged_responses() {
    attack("responses", &valid::responses(), readers::responses);
}

#[test]
fn damaged_checkpoints() {
    attack("checkpoint", &valid::checkpoint(), readers::checkpoint);
}

#[test]
fn damaged_configurations() {
    attack(
        "configuration",
        valid::configuration().as_bytes(),
        readers::configuration,
    );
}

#[test]
fn damaged_answers() {
    attack("report", &valid::report(), readers::report);
}

#[test]
fn damaged_protocols() {
    attack("protocol", valid::PROTOCOL.as_bytes(), readers::protocol);
}

#[test]
fn damaged_currents() {
    attack("current", valid::CURRENT.as_bytes(), readers::current);
}

#[test]
fn damaged_tables_of_experiments() {
    attack(
        "experiments",
        valid::EXPERIMENTS.as_bytes(),
        readers::experiments,
    );
}

#[test]
fn damaged_protocol_families() {
    attack(
        "protocol_family",
        valid::PROTOCOL_FAMILY.as_bytes(),
        readers::protocol_family,
    );
}

#[test]
fn what_is_valid_is_accepted() {
    assert_eq!(valid::all().len(), 11);
    NeuralMap::from_bytes(&valid::surrogate()).unwrap();
    assert_eq!(
        Dataset::from_bytes(&valid::dataset())
            .unwrap()
            .training
            .len(),
        6
    );
    Fno::from_bytes(&valid::operator()).unwrap();
    assert_eq!(
        ResponseData::from_bytes(&valid::responses())
            .unwrap()
            .training
            .len(),
        3
    );
    Checkpoint::from_bytes(&valid::checkpoint()).unwrap();
    ionoscope::config::parse::<ionoscope::config::Configuration>(&valid::configuration(), &[])
        .unwrap();
    serde_json::from_slice::<ionoscope::report::section::Section>(&valid::report())
        .unwrap()
        .check()
        .unwrap();
    assert_eq!(
        protocol_file::parse(valid::PROTOCOL, None)
            .unwrap()
            .stimuli
            .len(),
        8
    );
    assert_eq!(
        protocol_file::parse_csv(valid::CURRENT.as_bytes())
            .unwrap()
            .times
            .len(),
        3
    );
    assert_eq!(
        protocol_file::parse_family(valid::PROTOCOL_FAMILY)
            .unwrap()
            .len(),
        Some(6)
    );
}

/// Not a test: writes the valid files to `fuzz/corpus/TARGET/valid`, from which fuzzing starts.
#[test]
#[ignore = "writes into fuzz/corpus"]
fn write_the_seeds() {
    for (target, bytes) in valid::all() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../fuzz/corpus")
            .join(target);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("valid"), bytes).unwrap();
    }
}

/// The file with its own part of the header changed.
fn with_header(bytes: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let end = header_end(bytes).unwrap();
    let mut outer: Value = serde_json::from_slice(&bytes[8..end]).unwrap();
    let mut inner: Value =
        serde_json::from_str(outer["__metadata__"]["ionoscope"].as_str().unwrap()).unwrap();
    change(&mut inner);
    outer["__metadata__"]["ionoscope"] = inner.to_string().into();
    let mut changed = bytes.to_vec();
    edit(&mut changed, 8..end, outer.to_string().as_bytes());
    changed
}

#[test]
fn headers_that_make_no_sense_are_refused_by_name() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 12] = [
        (
            |h| h["normalizer"]["state_sd"][1] = json!(0.0),
            "standard deviation of state 1 is 0",
        ),
        (
            |h| h["normalizer"]["increment_sd"][0] = json!(-1.0),
            "standard deviation of increment 0 is -1",
        ),
        (
            |h| h["normalizer"]["state_mean"] = json!([1.0]),
            "normalizer",
        ),
        (
            |h| h["spec"]["variables"][1]["name"] = json!("v"),
            "'v' of variable 1 is empty or given twice",
        ),
        (|h| h["spec"]["variables"] = json!([]), "no variables"),
        (
            |h| h["spec"]["variables"][2]["range"] = json!([1.0, 0.0]),
            "variable 's'",
        ),
        (|h| h["spec"]["parameters"] = json!([]), "training ranges"),
        (
            |h| h["spec"]["membrane_potential"] = json!("x"),
            "membrane potential 'x'",
        ),
        (
            |h| h["spec"]["trained_on"]["state"][0] = json!([0.0, -1.0]),
            "training ranges",
        ),
        (
            |h| h["spec"]["variables"][0]["default"] = Value::Null,
            "header",
        ),
        (|h| h["format"] = json!("other/1"), "format is 'other/1'"),
        (|h| *h = json!(1), "header"),
    ];
    for (change, part) in cases {
        let surrogate =
            NeuralMap::from_bytes(&with_header(&valid::surrogate(), change)).unwrap_err();
        let dataset = Dataset::from_bytes(&with_header(&valid::dataset(), change)).unwrap_err();
        for message in [surrogate, dataset] {
            assert!(
                message.contains(part) || message.contains("format is missing"),
                "expected '{part}': {message}"
            );
        }
    }
    let renamed: Change = |h| h["spec"]["variables"][1]["name"] = json!("w");
    assert!(
        NeuralMap::from_bytes(&with_header(&valid::surrogate(), renamed))
            .unwrap_err()
            .contains("tensor 'w.a' is missing")
    );
    let dt: Change = |h| h["dt"] = json!(-0.005);
    assert!(
        NeuralMap::from_bytes(&with_header(&valid::surrogate(), dt))
            .unwrap_err()
            .contains("time step of the map is -0.005")
    );
    let other: Change = |h| h["config"]["model"] = json!("stankevich-2017");
    assert!(
        Dataset::from_bytes(&with_header(&valid::dataset(), other))
            .unwrap_err()
            .contains("expected one model")
    );

    let mut not_a_number = valid::surrogate();
    let n = not_a_number.len();
    not_a_number[n - 8..].copy_from_slice(&f64::NAN.to_le_bytes());
    assert!(
        NeuralMap::from_bytes(&not_a_number)
            .unwrap_err()
            .contains("not all finite")
    );
    for size in [1u64 << 60, u64::MAX, 0] {
        let mut claims = valid::surrogate();
        claims[..8].copy_from_slice(&size.to_le_bytes());
        assert!(
            NeuralMap::from_bytes(&claims)
                .unwrap_err()
                .contains("truncated")
        );
    }
}
