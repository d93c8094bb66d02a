//! Two systems side by side in one report.

use std::path::{Path, PathBuf};

use ionoscope_dynamics::{
    spec::{Preset, Spec},
    watch::Watcher,
};
use serde::Deserialize;
use serde_json::json;

use super::question::Task;
use crate::{
    Error, Result,
    answer::Answer,
    artifact, by_name,
    compare::{Comparison, Effort, Side},
    options::Over,
    provenance,
    report::{
        html::Heading,
        section::{Part, Section},
        store,
    },
    subject::{Opened, Settings},
};

/// Compares two systems, equations or networks: one report of tables and figures
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// The reference: identifier of a model, or path to a surrogate
    #[cfg_attr(feature = "clap", arg(value_name = "A"))]
    pub a: String,
    /// What is compared with it
    #[cfg_attr(feature = "clap", arg(value_name = "B"))]
    pub b: String,
    /// What is varied, a parameter of both or i_stim [default: a parameter on which a surrogate was trained, or else the stimulus, over its training range]
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME=FROM:TO", value_parser = crate::options::over, allow_hyphen_values = true))]
    #[serde(default)]
    pub over: Option<Over>,
    /// A named alternative to the default start and parameters, of every system that has it; another one takes its values of what it has
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME"))]
    #[serde(default)]
    pub preset: Option<String>,
    /// A parameter other than its default, in every system that has it; may be repeated
    #[cfg_attr(feature = "clap", arg(long = "param", value_name = "NAME=VALUE", value_parser = crate::options::name_value, value_delimiter = ','))]
    #[serde(default, deserialize_with = "by_name::deserialize")]
    pub parameters: Vec<(String, f64)>,
    /// A start of both other than the default; may be repeated
    #[cfg_attr(feature = "clap", arg(long = "x0", value_name = "NAME=VALUE", value_parser = crate::options::name_value, value_delimiter = ','))]
    #[serde(default, deserialize_with = "by_name::deserialize")]
    pub x0: Vec<(String, f64)>,
    /// A constant stimulus of both; positive depolarizes [default: none]
    #[cfg_attr(feature = "clap", arg(long, value_name = "I", value_parser = crate::options::number, allow_negative_numbers = true, conflicts_with_all = ["stimulus", "protocol"]))]
    #[serde(default)]
    pub i_stim: Option<f64>,
    /// A glance: fewer values, columns and starts
    #[cfg_attr(feature = "clap", arg(long))]
    #[serde(default)]
    pub quick: bool,
    /// Folder for the report; made if it is not there
    #[cfg_attr(
        feature = "clap",
        arg(short, long = "output", value_name = "DIR", required = true)
    )]
    #[serde(default)]
    pub output: Option<PathBuf>,
}

impl Task for Compare {
    fn run(&self, watch: &Watcher) -> Result<Answer> {
        watch.check()?;
        if let Some(dir) = &self.output {
            artifact::check_folder(dir)?;
        }
        let comparison = self.comparison(watch)?;
        let (sections, warnings) = comparison.sections(watch)?;
        let mut answer = Answer::new(json!(sections));
        answer.warnings = warnings;
        for section in &sections {
            answer.tables.extend(section.tables().cloned());
            answer.figures.extend(section.figures().cloned());
        }
        if let Some(dir) = &self.output {
            store::save(dir, &self.heading(&comparison), &sections)?;
            store::draw(dir)?;
            answer.line(dir.join("report.html").display().to_string());
        } else {
            write(&mut answer, &sections);
        }
        Ok(answer)
    }
}

impl Compare {
    fn comparison(&self, watch: &Watcher) -> Result<Comparison> {
        let opened = [Opened::open(&self.a)?, Opened::open(&self.b)?];
        let plain = |o: &Opened| o.subject(&Settings::default(), watch);
        let both = [plain(&opened[0])?, plain(&opened[1])?];
        both.iter().try_for_each(|s| s.system().map(drop))?;
        let specs = both.map(|s| s.spec);
        let pair = [&specs[0], &specs[1]];
        crate::compare::check_alike(pair)?;
        self.check_names(pair)?;
        let over = match &self.over {
            Some(over) => over.clone(),
            None => over_training(pair)?,
        };
        let names = self.names(pair);
        let side = |k: usize| {
            let settings = self.settings(pair[k], pair[1 - k], &over);
            Side::new(opened[k].subject(&settings, watch)?, &names[k], &over)
        };
        let effort = if self.quick {
            Effort::QUICK
        } else {
            Effort::FULL
        };
        Comparison::new([side(0)?, side(1)?], &over, effort)
    }

    /// Refuses parameters and presets that neither system has.
    fn check_names(&self, [a, b]: [&Spec; 2]) -> Result<()> {
        for (name, _) in &self.parameters {
            a.parameter_index(name)
                .or_else(|e| b.parameter_index(name).map_err(|_| e))?;
        }
        match &self.preset {
            Some(preset) if a.presets.is_empty() && b.presets.is_empty() => {
                Err(Error::Input(format!(
                    "--preset {preset}: {} and {} have no presets; leave it out",
                    self.a, self.b
                )))
            }
            Some(preset) if find(a, preset).or(find(b, preset)).is_none() => {
                let with = if a.presets.is_empty() { b } else { a };
                Ok(with.with_preset(preset).map(|_| ())?)
            }
            _ => Ok(()),
        }
    }

    /// How the systems are called: by their files where one of them is of a file.
    fn names(&self, [a, b]: [&Spec; 2]) -> [String; 2] {
        let files = [&self.a, &self.b].map(Path::new);
        let of_files = files.iter().any(|f| f.is_file());
        let name = |k: usize, spec: &Spec| match files[k].file_stem() {
            Some(stem) if of_files => stem.to_string_lossy().into_owned(),
            _ => spec.id.clone(),
        };
        let [one, mut other] = [name(0, a), name(1, b)];
        if one == other {
            other += " (B)";
        }
        [one, other]
    }

    /// What is set of the system with this spec, beside the one with the `other`.
    fn settings(&self, spec: &Spec, other: &Spec, over: &Over) -> Settings {
        let has = |(name, _): &&(String, f64)| spec.parameter_index(name).is_ok();
        let mut settings = Settings {
            parameters: self.parameters.iter().filter(has).cloned().collect(),
            x0: self.x0.clone(),
            i_stim: self.i_stim,
            ..Settings::default()
        };
        let Some(preset) = &self.preset else {
            return settings;
        };
        if find(spec, preset).is_some() {
            settings.preset = Some(preset.clone());
        } else if let Some(theirs) = find(other, preset) {
            let free = |(n, _): &&(String, f64)| {
                *n != over.name && self.parameters.iter().all(|(given, _)| given != n)
            };
            let own = theirs.parameters.iter().filter(has).filter(free);
            settings.parameters.extend(own.cloned());
            let free = |(n, _): &&(String, f64)| self.x0.iter().all(|(given, _)| given != n);
            settings.x0.extend(theirs.x0.iter().filter(free).cloned());
        }
        settings
    }

    fn heading(&self, comparison: &Comparison) -> Heading {
        let [a, b] = comparison.names();
        Heading {
            title: format!("{a} and {b}"),
            subtitle: comparison.range(),
            footer: vec![
                provenance::version(),
                provenance::command(),
                provenance::machine(),
            ],
        }
    }
}

fn find<'a>(spec: &'a Spec, preset: &str) -> Option<&'a Preset> {
    spec.presets.iter().find(|p| p.name == preset)
}

/// A parameter of both, or else the stimulus, over what the surrogates among two systems were trained on.
fn over_training(specs: [&Spec; 2]) -> Result<Over> {
    let common = |ranges: &mut dyn Iterator<Item = [f64; 2]>| {
        let all = ranges.reduce(|[a, b], [c, d]| [a.max(c), b.min(d)]);
        all.filter(|[low, high]| low < high)
    };
    let of_parameter = |name: &str| {
        common(&mut specs.iter().filter_map(|spec| {
            let k = spec.parameter_index(name).ok()?;
            spec.trained_on.as_ref()?.parameters.get(k).copied()
        }))
    };
    let of_both = |q: &&ionoscope_dynamics::spec::Quantity| {
        specs.iter().all(|s| s.parameter_index(&q.name).is_ok())
    };
    let parameters = specs.iter().flat_map(|s| &s.parameters).filter(of_both);
    let found = parameters
        .filter_map(|q| Some((q.name.as_str(), of_parameter(&q.name)?)))
        .next()
        .or_else(|| {
            let trained = common(&mut specs.iter().filter_map(|s| s.trained_stimulus()));
            Some(("i_stim", trained?))
        });
    let Some((name, range)) = found else {
        return Err(Error::Input(
            "neither system was trained over a parameter or a stimulus; say what to vary, such as --over v_s=-40:-30 or --over i_stim=0:10".into(),
        ));
    };
    let [from, to] = rounded(range);
    Ok(Over {
        name: name.to_owned(),
        from,
        to,
        count: None,
    })
}

/// A range whose ends have two digits more than its width needs: data end near a round number.
fn rounded([low, high]: [f64; 2]) -> [f64; 2] {
    let digits = (2.0 - (high - low).log10().floor()).max(0.0) as usize;
    let near = |v: f64| format!("{v:.digits$}").parse().unwrap_or(v);
    [near(low), near(high)]
}

/// What is said in words.
fn write(answer: &mut Answer, sections: &[Section]) {
    for section in sections {
        answer.line(section.title.as_str());
        for part in &section.parts {
            if let Part::Text(text) | Part::Note(text) = part {
                answer.line(format!("  {text}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ionoscope_dynamics::models;

    use super::*;
    use crate::questions;

    fn map(name: &str) -> String {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../pretrained");
        format!("{folder}/{name}.safetensors")
    }

    #[test]
    fn what_is_varied_without_a_word_is_what_a_surrogate_was_trained_over() {
        let over = |a: &str, b: &str| {
            let [a, b] = [a, b].map(|s| artifact::open_system(s).unwrap());
            over_training([a.spec(), b.spec()])
        };
        let cells = over("sherman-1988", &map("sherman-1988-dt0.005")).unwrap();
        assert_eq!(cells, crate::options::over("v_s=-40:-30").unwrap());
        let fibers = over("hodgkin-huxley-1952", &map("hh-map")).unwrap();
        assert_eq!(fibers.name, "i_stim");
        assert!(fibers.from < fibers.to);
        let error = over("lorenz-1963", "lorenz-1963").unwrap_err().to_string();
        assert!(error.contains("--over i_stim=0:10"), "{error}");
    }

    #[test]
    fn what_cannot_be_compared_is_named() {
        let refused = |options| {
            let error = questions::run("compare", options, &Watcher::default()).unwrap_err();
            assert!(error.is_input(), "{error}");
            error.to_string()
        };
        let cells = |more: serde_json::Value| {
            let mut all =
                json!({"a": "sherman-1988", "b": "stankevich-2017", "over": {"v_s": [-40, -30]}});
            if let (Some(all), Some(more)) = (all.as_object_mut(), more.as_object()) {
                all.extend(more.clone());
            }
            all
        };
        for (options, words) in [
            (
                json!({"a": "sherman-1988", "b": "fitzhugh-nagumo-1961"}),
                "sherman-1988 has v, n, s, and fitzhugh-nagumo-1961 has v, w",
            ),
            (cells(json!({"over": null})), "say what to vary"),
            (cells(json!({"over": {"v_z": [0, 1]}})), "unknown parameter"),
            (
                cells(json!({"parameters": {"v_s": -36.0}})),
                "--param v_s=-36",
            ),
            (
                cells(json!({"parameters": {"v_z": 0.0}})),
                "unknown parameter",
            ),
            (cells(json!({"preset": "other"})), "have no presets"),
            (
                cells(json!({"over": {"i_stim": [0, 1]}, "i_stim": 0.5})),
                "--i-stim 0.5",
            ),
            (json!({"a": "sherman-1988"}), "missing field `b`"),
        ] {
            let error = refused(options);
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_preset_is_taken_by_both() {
        let model = models::all()
            .into_iter()
            .find(|m| m.spec().presets.iter().any(|p| !p.parameters.is_empty()))
            .unwrap();
        let spec = model.spec();
        let preset = spec.presets.iter().find(|p| !p.parameters.is_empty());
        let preset = preset.unwrap();
        let bare = Spec {
            presets: Vec::new(),
            ..spec.clone()
        };
        let compare = Compare {
            preset: Some(preset.name.clone()),
            ..Compare::default()
        };
        let over = Over::default();
        let [own, other] = [
            compare.settings(spec, &bare, &over),
            compare.settings(&bare, spec, &over),
        ];
        assert_eq!(own.preset, compare.preset);
        assert_eq!(
            (other.preset, other.parameters),
            (None, preset.parameters.clone())
        );
        assert_eq!(other.x0, preset.x0);
    }
}
