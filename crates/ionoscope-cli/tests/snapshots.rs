//! What every verb prints, word for word: help, text, JSON document, the head of its files, messages and exit code, for good and bad input.
//!
//! A change of the output shows here as a difference to read: `cargo insta review`, or `INSTA_UPDATE=always cargo test --test snapshots` and
//! `git diff`. Numbers are compared to six digits (of what was trained, to two: each instruction set rounds in its own way), and what is no larger
//! than rounding errors as `~0`.

use std::{fs, path::Path};

mod command;

use command::{Folder, command};

const MAP: &str = "pretrained/sherman-1988-dt0.005.safetensors";
const OPERATOR: &str = "pretrained/fhn-fno.safetensors";

/// Lines of a text that are kept; what a verb prints besides is counted.
const MOST_LINES: usize = 150;
/// Below, a number is what is left of others that cancel.
const NOTHING: f64 = 1e-8;

/// Commands of one verb and what came of them.
struct Transcript {
    folder: Folder,
    text: String,
    /// Digits of a number that are kept.
    digits: usize,
}

impl Transcript {
    /// Begins with the verb's help.
    fn new(verb: &str) -> Self {
        let mut new = Transcript {
            folder: Folder::new(&format!("snapshots-{verb}")),
            text: String::new(),
            digits: 6,
        };
        new.run(&[verb, "--help"]);
        new
    }

    /// A path in a folder of this test's own.
    fn path(&self, name: &str) -> String {
        self.folder.path(name)
    }

    /// Runs a command from the root of the repository and writes down what it says.
    fn run(&mut self, arguments: &[&str]) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let output = command(arguments).current_dir(root).output().unwrap();
        let code = output
            .status
            .code()
            .map_or("ended by a signal".into(), |c| format!("exit code {c}"));
        self.add(&format!("$ ionoscope {}\n{code}\n", arguments.join(" ")));
        for (name, bytes) in [("", &output.stdout), ("standard error:\n", &output.stderr)] {
            if !bytes.is_empty() {
                self.add(name);
                self.add(&head(&String::from_utf8_lossy(bytes)));
            }
        }
        self.text.push('\n');
    }

    /// Writes down the head of a text file that a command made.
    fn file(&mut self, name: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        self.add(&format!("{name}:\n"));
        self.add(&head(&text));
        self.text.push('\n');
    }

    fn add(&mut self, text: &str) {
        let folder = self.path("").trim_end_matches('/').to_owned();
        let text = text
            .replace(&folder, "FOLDER")
            .replace(env!("CARGO_PKG_VERSION"), "VERSION");
        let text: Vec<String> = text
            .split('\n')
            .map(|line| rounded(&without_what_varies(line), self.digits))
            .collect();
        self.text.push_str(&text.join("\n"));
    }

    fn check(self, name: &str) {
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, self.text);
        });
    }
}

/// The first lines of a text, long ones cut.
fn head(text: &str) -> String {
    let count = text.lines().count();
    let mut out: String = text
        .lines()
        .take(MOST_LINES)
        .map(|line| cut(line) + "\n")
        .collect();
    if count > MOST_LINES {
        out += &format!(".. {count} lines\n");
    }
    out
}

fn cut(line: &str) -> String {
    let letters = line.chars().count();
    if letters <= 300 {
        line.to_owned()
    } else {
        format!(
            "{} .. {letters} letters",
            line.chars().take(200).collect::<String>()
        )
    }
}

/// A line of a JSON document without what differs from run to run or from machine to machine: durations, and sizes and hashes of files.
fn without_what_varies(line: &str) -> String {
    let entry = line.split_once("\": ").filter(|(key, _)| {
        ["seconds", "bytes", "hash"]
            .iter()
            .any(|k| key.trim() == format!("\"{k}"))
    });
    entry.map_or(line.to_owned(), |(key, _)| format!("{key}\": .."))
}

/// A text whose numbers with a point or an exponent have at most so many digits.
fn rounded(text: &str, digits: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find(|c: char| c.is_ascii_digit()) {
        let before = &rest[..begin];
        let inside_a_word = before
            .chars()
            .next_back()
            .is_some_and(|c| c.is_alphanumeric() || c == '_');
        let length = number(&rest[begin..]);
        let token = &rest[begin..begin + length];
        out.push_str(before);
        let inexact = token.contains(['.', 'e']);
        match token.parse::<f64>() {
            Ok(value) if inexact && !inside_a_word && value.abs() < NOTHING && value != 0.0 => {
                // With its sign, which is as random as its digits.
                if out.ends_with('-') {
                    out.pop();
                }
                out.push_str("~0");
            }
            Ok(value) if inexact && !inside_a_word => {
                out.push_str(&shortened(value, token, digits))
            }
            _ => out.push_str(token),
        }
        rest = &rest[begin + length..];
    }
    out + rest
}

/// Length of the number that a text begins with: digits, a point with digits, an exponent.
fn number(text: &str) -> usize {
    let digits = |from: usize| text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let mut end = digits(0);
    if text[end..].starts_with('.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    if text[end..].starts_with('e') {
        let sign = usize::from(text[end + 1..].starts_with('-'));
        if digits(end + 1 + sign) > 0 {
            end += 1 + sign + digits(end + 1 + sign);
        }
    }
    end
}

fn shortened(value: f64, as_written: &str, digits: usize) -> String {
    let short: f64 = format!("{value:.*e}", digits - 1).parse().unwrap();
    if as_written.parse() == Ok(short) {
        as_written.to_owned()
    } else {
        short.to_string()
    }
}

#[test]
fn numbers_are_rounded_and_nothing_else() {
    let text = "v -41.02345678, 3 of 0.25, 1e-13 and -2.5e-12, dt0.005123456789, 12345678, 1.0000000001e-3; 2.50";
    assert_eq!(
        rounded(text, 6),
        "v -41.0235, 3 of 0.25, ~0 and ~0, dt0.005123456789, 12345678, 0.001; 2.50"
    );
}

#[test]
fn models() {
    let mut t = Transcript::new("models");
    t.run(&["models"]);
    for system in ["sherman-1988", "ten-tusscher-panfilov-2006", MAP, OPERATOR] {
        t.run(&["models", system]);
    }
    t.run(&["models", "fitzhugh-nagumo-1961", "--json"]);
    t.run(&["models", OPERATOR, "--json"]);
    t.run(&["models", "shermann"]);
    t.run(&["models", "missing.safetensors"]);
    t.check("models");
}

#[test]
fn simulate() {
    let mut t = Transcript::new("simulate");
    let fhn = [
        "simulate",
        "fitzhugh-nagumo-1961",
        "--t-end",
        "4",
        "--dt",
        "1",
    ];
    t.run(&fhn);
    t.run(&[&fhn[..], &["--stimulus", "0.5:1:2", "--json"]].concat());
    let (csv, svg) = (t.path("one.csv"), t.path("one.svg"));
    t.run(&[&fhn[..], &["-o", &csv, "--plot", &svg]].concat());
    t.file("one.csv");
    t.file("one.csv.meta.json");
    t.run(&[
        "simulate", MAP, "--t-end", "0.02", "--param", "v_s=-36", "--json",
    ]);
    t.run(&["simulate", OPERATOR, "--stimulus", "0.5:0:20", "--dt", "20"]);
    t.run(&[
        "simulate",
        OPERATOR,
        "--stimulus",
        "0.5:0:20",
        "--dt",
        "20",
        "--json",
    ]);
    t.run(&[
        "simulate",
        OPERATOR,
        "--stimulus",
        "0.5:10:20",
        "--dt",
        "20",
    ]);
    t.run(&[
        "simulate",
        "fitzhugh-nagumo-1961",
        "--t-end",
        "1",
        "--dt",
        "0.3",
    ]);
    t.run(&[
        "simulate",
        "fitzhugh-nagumo-1961",
        "--t-end",
        "1",
        "--param",
        "z=3",
    ]);
    t.run(&["simulate", MAP, "--t-end", "1", "--rtol", "1e-3"]);
    t.check("simulate");
}

#[test]
fn fixed_points() {
    let mut t = Transcript::new("fixed-points");
    for system in ["sherman-1988", MAP] {
        t.run(&["fixed-points", system, "--param", "v_s=-36"]);
        t.run(&["fixed-points", system, "--param", "v_s=-36", "--json"]);
    }
    let (csv, svg) = (t.path("points.csv"), t.path("plane.svg"));
    t.run(&[
        "fixed-points",
        "fitzhugh-nagumo-1961",
        "-o",
        &csv,
        "--plot",
        &svg,
    ]);
    t.file("points.csv");
    t.file("points.csv.meta.json");
    t.run(&[
        "fixed-points",
        "fitzhugh-nagumo-1961",
        "--plot",
        "plane.png",
    ]);
    t.run(&["fixed-points", "luo-rudy-1991", "--starts", "32"]);
    t.run(&[
        "fixed-points",
        "ten-tusscher-panfilov-2006",
        "--starts",
        "8",
    ]);
    t.run(&["fixed-points", "fitzhugh-nagumo-1961", "--box", "v=3:4"]);
    t.run(&["fixed-points", "fitzhugh-nagumo-1961", "--box", "v=4:3"]);
    t.run(&["fixed-points", OPERATOR]);
    t.check("fixed-points");
}

#[test]
fn spikes() {
    let mut t = Transcript::new("spikes");
    t.run(&["spikes", "sherman-1988"]);
    t.run(&["spikes", "hodgkin-huxley-1952", "--i-stim", "120"]);
    t.run(&[
        "spikes",
        "hodgkin-huxley-1952",
        "--i-stim",
        "10",
        "--t-end",
        "60",
        "--json",
    ]);
    let csv = t.path("potentials.csv");
    t.run(&[
        "spikes",
        "luo-rudy-1991",
        "--stimulus",
        "80:10:0.5",
        "--t-end",
        "500",
        "-o",
        &csv,
    ]);
    t.file("potentials.csv");
    t.run(&["spikes", MAP]);
    t.run(&["spikes", "lorenz-1963"]);
    t.run(&["spikes", OPERATOR]);
    t.check("spikes");
}

#[test]
fn continuation() {
    let mut t = Transcript::new("continue");
    let svg = t.path("branches.svg");
    t.run(&[
        "continue",
        "stankevich-2017",
        "--over",
        "v_s=-40:-30",
        "--plot",
        &svg,
    ]);
    t.run(&[
        "continue",
        "fitzhugh-nagumo-1961",
        "--over",
        "i_stim=0:0.4",
        "--json",
    ]);
    let csv = t.path("branches.csv");
    t.run(&["continue", MAP, "--over", "v_s=-40:-30", "-o", &csv]);
    t.file("branches.csv.meta.json");
    t.run(&["continue", "sherman-1988", "--over", "v_s=-40:-30:5"]);
    t.run(&[
        "continue",
        "sherman-1988",
        "--over",
        "v_s=-40:-30",
        "--param",
        "v_s=-36",
    ]);
    t.run(&["continue", OPERATOR, "--over", "i_stim=0:1"]);
    t.check("continue");
}

#[test]
fn diagram() {
    let mut t = Transcript::new("diagram");
    let (csv, svg) = (t.path("raster.csv"), t.path("raster.svg"));
    t.run(&[
        "diagram",
        "fitzhugh-nagumo-1961",
        "--over",
        "i_stim=0:1:3",
        "-o",
        &csv,
        "--plot",
        &svg,
    ]);
    t.file("raster.csv.meta.json");
    t.run(&[
        "diagram",
        "fitzhugh-nagumo-1961",
        "--over",
        "i_stim=0:1:3",
        "--kind",
        "orbit",
        "--json",
    ]);
    t.run(&[
        "diagram",
        MAP,
        "--over",
        "v_s=-40:-30:3",
        "--transient",
        "2",
        "--window",
        "2",
    ]);
    t.run(&[
        "diagram",
        "fitzhugh-nagumo-1961",
        "--over",
        "i_stim=0:1:3",
        "--of",
        "section",
    ]);
    t.run(&["diagram", OPERATOR, "--over", "i_stim=0:1:3"]);
    t.check("diagram");
}

#[test]
fn basins() {
    let mut t = Transcript::new("basins");
    t.run(&["basins", "fitzhugh-nagumo-1961", "--starts", "20"]);
    t.run(&[
        "basins",
        "fitzhugh-nagumo-1961",
        "--starts",
        "20",
        "--over",
        "i_stim=0:1:3",
        "--json",
    ]);
    let csv = t.path("starts.csv");
    t.run(&[
        "basins",
        "fitzhugh-nagumo-1961",
        "--grid",
        "v:2,w:2",
        "-o",
        &csv,
    ]);
    t.file("starts.csv");
    t.run(&[
        "basins", MAP, "--starts", "4", "--param", "v_s=-36", "--t-end", "2",
    ]);
    t.run(&[
        "basins",
        "fitzhugh-nagumo-1961",
        "--starts",
        "20",
        "--plot",
        "plane.svg",
    ]);
    t.run(&["basins", OPERATOR]);
    t.check("basins");
}

#[test]
fn lyapunov() {
    let mut t = Transcript::new("lyapunov");
    t.run(&["lyapunov", "luo-rudy-1991"]);
    t.run(&[
        "lyapunov",
        "fitzhugh-nagumo-1961",
        "--i-stim",
        "0.5",
        "--json",
    ]);
    t.run(&["lyapunov", MAP, "--param", "v_s=-45"]);
    let (csv, svg) = (t.path("exponents.csv"), t.path("exponents.svg"));
    t.run(&[
        "lyapunov",
        "lorenz-1963",
        "--accuracy",
        "0.1",
        "-o",
        &csv,
        "--plot",
        &svg,
    ]);
    t.file("exponents.csv.meta.json");
    t.run(&["lyapunov", "fitzhugh-nagumo-1961", "--count", "9"]);
    t.run(&["lyapunov", OPERATOR]);
    t.check("lyapunov");
}

#[test]
fn coupled() {
    let mut t = Transcript::new("coupled");
    let csv = t.path("ring.csv");
    let ring = [
        "--graph",
        "ring:3",
        "--coupling",
        "0.1",
        "--t-end",
        "0.1",
        "--dt",
        "0.05",
        "--scatter",
        "1",
    ];
    t.run(&[&["coupled", "sherman-1988"], &ring[..], &["-o", &csv]].concat());
    t.file("ring.csv");
    t.run(&[&["coupled", MAP], &ring[..], &["--json"]].concat());
    t.run(&[&["network", "sherman-1988"], &ring[..]].concat());
    t.run(&[
        "coupled",
        "sherman-1988",
        "--graph",
        "star:3",
        "--coupling",
        "0.1",
        "--t-end",
        "1",
    ]);
    t.check("coupled");
}

#[test]
fn compare() {
    let mut t = Transcript::new("compare");
    let folder = t.path("report");
    t.run(&[
        "compare",
        "sherman-1988",
        "hodgkin-huxley-1952",
        "--over",
        "v_s=-40:-30",
        "-o",
        &folder,
    ]);
    t.run(&["compare", "sherman-1988", OPERATOR, "-o", &folder]);
    t.check("compare");
}

const TINY: &str = "
[responses]
samples = [16, 4, 4]
points = 100
t_end = 100
rtol = 1e-6
atol = 1e-8

[operator]
validate_every = 1

[operator.network]
width = 4
modes = 4
layers = 2

[operator.adam]
epochs = 2
batch = 8
";

#[test]
fn learning() {
    let mut t = Transcript::new("dataset");
    t.digits = 2;
    for verb in ["train", "tune", "evaluate"] {
        t.run(&[verb, "--help"]);
    }
    let (config, dir) = (t.path("tiny.toml"), t.path("run"));
    fs::write(&config, TINY).unwrap();
    t.run(&["dataset", &config, "-o", &dir, "--quiet", "--json"]);
    t.run(&["train", &config, "-o", &dir, "--quiet", "--json"]);
    t.run(&["train", &config, "-o", &dir]);
    let (surrogate, data) = (
        format!("{dir}/surrogate.safetensors"),
        format!("{dir}/responses.safetensors"),
    );
    t.run(&["evaluate", &surrogate, &data]);
    t.run(&["evaluate", &surrogate, &data, "--json"]);
    t.run(&["evaluate", MAP, &data]);
    t.run(&[
        "train",
        "examples/fhn-fno.toml",
        "-o",
        &dir,
        "--set",
        "operator.epochs=3",
    ]);
    t.run(&["train", "missing.toml", "-o", &dir]);
    t.run(&["tune", "examples/fhn-fno.toml", "-o", &dir]);
    t.check("learning");
}

#[test]
fn report() {
    let mut t = Transcript::new("report");
    t.run(&["reproduce", "--help"]);
    t.run(&["report", "missing"]);
    t.run(&["reproduce", "kuptsov-2023", "--model", "fhn", "-o", "out"]);
    t.run(&["--help"]);
    t.run(&["forecast"]);
    t.run(&["simulate", "sherman-1988", "--i-stim", "3"]);
    t.run(&["lyapunov", "sherman-1988", "--stimulus", "3:1:1"]);
    t.check("report");
}
