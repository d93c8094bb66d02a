//! Mistakes in configurations: every error names the key by its whole path, the line or the replacement, what was got and what was expected.

use ionoscope::{config::parse_any, tuning::parse_study};

/// A text, what is wrong in it, and all that must be said of it.
type Mistake = (&'static str, &'static [&'static str]);

fn assert_told(read: impl Fn(&str) -> ionoscope::Result<()>, mistakes: &[Mistake]) {
    for (text, parts) in mistakes {
        let message = read(text).expect_err(text).to_string();
        for part in *parts {
            assert!(
                message.contains(part),
                "{text}\nwanted: {part}\ngot: {message}"
            );
        }
        for internal in ["untagged", "struct ", "f64", "usize", "unit variant"] {
            assert!(!message.contains(internal), "{text}\n{message}");
        }
    }
}

fn configuration(text: &str) -> ionoscope::Result<()> {
    parse_any(text, &[]).map(|_| ())
}

#[test]
fn kinds_of_values_and_names_of_keys() {
    assert_told(
        configuration,
        &[
            ("a = \n", &["line 1, column 5"]),
            (
                "\n[datset]\nchunks = 3",
                &[
                    "line 2: datset: unknown field `datset`",
                    "did you mean `dataset`?",
                ],
            ),
            (
                "dataset = 3",
                &["line 1: dataset: invalid type: integer `3`, expected a table"],
            ),
            (
                "[dataset]\nchunkss = 3",
                &[
                    "line 2: dataset.chunkss: unknown field",
                    "did you mean `chunks`?",
                ],
            ),
            (
                "[dataset]\nchunks = 1.5",
                &[
                    "line 2: dataset.chunks: ",
                    "`1.5`, expected a whole number, 0 or larger",
                ],
            ),
            (
                "[dataset]\ndt = true",
                &["line 2: dataset.dt: ", "`true`, expected a number"],
            ),
            (
                "[train.adam]\n\nlearning_rate = 'fast'",
                &[
                    "line 3: train.adam.learning_rate: ",
                    "\"fast\", expected a number",
                ],
            ),
            (
                "[dataset.control]\nv_s = 3",
                &[
                    "line 2: dataset.control.v_s: ",
                    "`3`, expected a list of the length 2",
                ],
            ),
            (
                "[dataset.control]\nv_s = [1, 2, 3]",
                &["line 2: dataset.control.v_s: invalid length 3"],
            ),
            (
                "[dataset]\ncontrol = { v_s = [1, 'a'] }",
                &[
                    "line 2: dataset.control.v_s[1]: ",
                    "\"a\", expected a number",
                ],
            ),
            (
                "[responses]\nsamples = [1, 2, -3]",
                &[
                    "line 2: responses.samples[2]: ",
                    "`-3`, expected a whole number",
                ],
            ),
        ],
    );
}

#[test]
fn choices() {
    const ARCHITECTURES: &str = "expected `neural_map` or `two_layer_map`";
    const KINDS: &str = "expected one of `constant`, `cosine`, `one-cycle`, `steps`";
    assert_told(
        configuration,
        &[
            (
                "[train]\narchitecture = 'neural'",
                &[
                    "line 2: train.architecture: ",
                    "`neural`",
                    ARCHITECTURES,
                    "did you mean `neural_map`?",
                ],
            ),
            (
                "[train]\narchitecture = 3",
                &["line 2: train.architecture: 3 is no choice", ARCHITECTURES],
            ),
            (
                "[operator.network]\nactivation = 'gelo'",
                &[
                    "line 2: operator.network.activation: ",
                    "did you mean `gelu`?",
                ],
            ),
            (
                "[train.adam]\nschedule = 'cosine'",
                &[
                    "line 2: train.adam.schedule: ",
                    "\"cosine\", expected a table such as",
                ],
            ),
            (
                "[train.adam]\nschedule = { kind = 'cosin' }",
                &["line 2: train.adam.schedule.kind: ", "`cosin`", KINDS],
            ),
            (
                "[train.adam]\nschedule = { warm_up = 1 }",
                &["line 2: train.adam.schedule: missing field `kind`", KINDS],
            ),
            (
                "[train.adam]\nschedule = { kind = 'cosine', warm_up = 'a', end = 1 }",
                &[
                    "line 2: train.adam.schedule.warm_up: ",
                    "\"a\", expected a number",
                ],
            ),
            (
                "[train.adam.schedule]\nkind = 'cosine'\nwarm_up = 1",
                &[
                    "train.adam.schedule: ",
                    "without the key `end`; expected warm_up and end",
                ],
            ),
            (
                "[train.adam.schedule]\nkind = 'constant'\nevery = 3",
                &["train.adam.schedule: ", "has no key `every`"],
            ),
        ],
    );
}

#[test]
fn families_of_protocols() {
    let family = |class: &str| {
        format!(
            "[responses.training_family]\nname = 'a'\nt_end = 200\n[[responses.training_family.class]]\n{class}\n[[responses.training_family.class.stimulus]]\nshape = 'step'\namplitude = "
        )
    };
    let told = |text: String, parts: &[&str]| {
        let message = configuration(&text).unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "wanted: {part}\ngot: {message}");
        }
    };
    let class = "responses.training_family.class[0]";
    told(
        family("name = 'b'\nweight = 1") + "{ uniform = [0, 'a'] }",
        &[
            "line 9: ",
            class,
            ".stimulus[0].amplitude.uniform[1]: ",
            "expected a number",
        ],
    );
    told(
        family("name = 'b'\nweight = 1") + "{ unifrom = [0, 1] }",
        &[
            "line 9: ",
            class,
            ".stimulus[0].amplitude.unifrom: ",
            "did you mean `uniform`?",
        ],
    );
    told(
        family("name = 'b'\nwieght = 1") + "1",
        &["line 6: ", class, ".wieght: ", "did you mean `weight`?"],
    );
    told(
        family("weight = 1") + "1",
        &["line 4: ", class, ": missing field `name`, expected a word"],
    );
    assert_told(
        configuration,
        &[
            (
                "[dataset]\nstimulus = 3",
                &[
                    "line 2: dataset.stimulus: ",
                    "`3`, expected the name of a family of protocols, or a table",
                ],
            ),
            (
                "[dataset]\nstimulus = 'fitz'",
                &[
                    "line 2: dataset.stimulus: unknown protocol family 'fitz'",
                    "fitzhugh-nagumo-train",
                ],
            ),
            (
                "[dataset]\nstimulus = { name = 'a' }",
                &["line 2: dataset.stimulus: missing field `t_end`, expected a number"],
            ),
        ],
    );
}

#[test]
fn numbers_and_names_that_make_no_sense() {
    assert_told(
        configuration,
        &[
            (
                "[dataset]\nmodel = 'shermann'",
                &["line 2: dataset.model: ", "did you mean 'sherman-1988'"],
            ),
            (
                "[dataset]\ndt = -1",
                &[
                    "line 2: dataset.dt: ",
                    "-1; expected a finite number larger than 0",
                ],
            ),
            (
                "[train]\nhidden = 0",
                &["line 2: train.hidden = 0; expected at least 1"],
            ),
            (
                "[train.hidden_of]\nvv = 3",
                &["line 2: train.hidden_of.vv: ", "did you mean 'v'"],
            ),
            (
                "[operator]\nclip = -1",
                &["line 2: operator.clip = -1; expected 0 or more"],
            ),
            (
                "[operator.adam]\nbatch = 0",
                &["line 2: operator.adam.batch = 0; expected at least 1"],
            ),
            (
                "[operator.network]\nwidth = 0",
                &["line 2: operator.network.width = 0; expected 1 to 4096"],
            ),
            (
                "[responses]\npoints = 1",
                &["line 2: responses.points = 1; expected at least 2"],
            ),
            (
                "[responses.vary]\nzz = [1, 2]",
                &["line 2: responses.vary.zz: unknown parameter 'zz'"],
            ),
        ],
    );
}

#[test]
fn replacements_stand_in_the_place_of_the_line() {
    let told = |change: &str| {
        parse_any("[train]\nhidden = 5", &[change.into()])
            .unwrap_err()
            .to_string()
    };
    for (change, part) in [
        (
            "train.hidden=a",
            "train.hidden: invalid type: string \"a\", expected a whole number",
        ),
        ("train.hiden=3", "train.hiden: unknown field `hiden`"),
        ("train.hidden=0", "train.hidden = 0; expected at least 1"),
        (
            "train.adam.schedule.kind=x",
            "train.adam.schedule.kind: unknown variant `x`",
        ),
    ] {
        let message = told(change);
        assert!(
            message.starts_with(&format!("--set {change}: {part}")),
            "{message}"
        );
    }
}

/// Only the model is changed in a configuration of another: the error names what does not fit it, and what to write.
#[test]
fn another_model_in_a_copied_configuration() {
    let text = include_str!("../../../examples/beta-cell.toml");
    for model in ionoscope_dynamics::models::all() {
        let id = &model.spec().id;
        let copied = text.replace("\"sherman-1988\"", &format!("\"{id}\""));
        let Err(e) = parse_any(&copied, &[]) else {
            assert!(
                ["sherman-1988", "stankevich-2017"].contains(&id.as_str()),
                "{id}"
            );
            continue;
        };
        let message = e.to_string();
        let control = message.starts_with("line 5: dataset.control.v_s: unknown parameter 'v_s'")
            && message.ends_with("write control = { NAME = [LOW, HIGH] }");
        let start = message.starts_with("line 3: dataset.start.")
            && message.contains("write start = {} for the model's own start")
            && message.ends_with("(a default: dataset.start is not given)");
        assert!((control || start) && message.contains(id), "{message}");
    }
}

#[test]
fn studies() {
    let space = |domain: &str| {
        format!(
            "trials = 4\n[space]\n\"operator.network.width\" = {domain}\n[operator.network]\nmodes = 5\n"
        )
    };
    let fine = space("{ integer = [8, 16], step = 8 }");
    parse_study(&fine, &[]).unwrap();
    let told = |text: String, parts: &[&str]| {
        let message = parse_study(&text, &[]).unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "wanted: {part}\ngot: {message}");
        }
    };
    let key = "line 3: space.\"operator.network.width\"";
    told(space("3"), &[key, "`3`, expected a table such as"]);
    told(
        space("{ intger = [8, 16] }"),
        &[key, ".intger: ", "did you mean `integer`?"],
    );
    told(
        space("{ integer = ['a', 16] }"),
        &[key, ".integer[0]: ", "expected a whole number"],
    );
    told(
        space("{ integer = [8, 16], real = [1, 2] }"),
        &[key, "expected exactly one of choice, integer"],
    );
    told(
        space("{ real = [1, 2], step = 1 }"),
        &[key, "step is for integer"],
    );
    told(
        space("{ integer = [0, 16] }"),
        &[key, "operator.network.width = 0; expected 1 to 4096"],
    );
    told(
        fine.replace("width", "wdith"),
        &["line 3: ", "did you mean `width`?"],
    );
    told(
        format!("trialls = 3\n{fine}"),
        &["line 1: trialls: ", "did you mean `trials`?"],
    );
    told(
        format!("sampler = 'tep'\n{fine}"),
        &[
            "line 1: sampler: ",
            "expected one of `random`, `sobol`, `tpe`",
        ],
    );
    told(
        format!("sampler = 3\n{fine}"),
        &["line 1: sampler: 3 is no choice, expected one of `random`"],
    );
    told(
        format!("pruner = 'asha'\n{fine}"),
        &["line 1: pruner: ", "expected a table such as"],
    );
    told(
        format!("pruner = {{ kind = 'asha' }}\n{fine}"),
        &["line 1: pruner: ", "without the key `first`"],
    );
    told(
        format!("objectives = ['size']\n{fine}"),
        &["line 1: objectives: ", "unknown objective 'size'"],
    );
    told(
        format!("{fine}[budget]\nweigths = 1"),
        &["line 7: budget.weigths: ", "did you mean `weights`?"],
    );
    told(
        format!("{fine}[budget]\nweights = 'a'"),
        &["line 7: budget.weights: ", "expected a number"],
    );
    told(
        format!("{fine}[budget]\nweights = 9\nsolve = 'operator.network.layers'"),
        &["line 8: budget.solve = 'operator.network.layers'; expected operator.network.modes or"],
    );
    let message = parse_study(
        &fine,
        &["space.\"operator.network.width\"={ real = [2, 1] }".into()],
    )
    .unwrap_err()
    .to_string();
    assert!(
        message.starts_with("--set space.")
            && message.contains("real = [2, 1]; expected two finite numbers"),
        "{message}"
    );
}
