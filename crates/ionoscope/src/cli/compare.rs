//! `ionoscope compare`: two systems side by side in one report.

use std::path::PathBuf;

use ionoscope_dynamics::{system::Input, watched::Watched};

use super::{Shared, print, print_json};
use crate::{
    Error, Result, artifact,
    compare::{Comparison, Effort, Side},
    options::Over,
    options::borrowed,
    options::{self},
    provenance,
    report::{html::Heading, store},
};

/// Compares two systems, equations or networks: one report of tables and figures
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  ionoscope compare stankevich-2017 pretrained/stankevich-2017-dt0.005.safetensors -o out/compare
  ionoscope compare sherman-1988 stankevich-2017 --over v_s=-40:-30 --quick -o out/forms")]
pub struct Arguments {
    /// The reference: identifier of a model, or path to a surrogate
    #[arg(value_name = "A")]
    a: String,
    /// What is compared with it
    #[arg(value_name = "B")]
    b: String,
    /// The parameter that is varied [default: that on which a surrogate was trained, over its training range]
    #[arg(long, value_name = "NAME=FROM:TO", value_parser = options::over, allow_hyphen_values = true)]
    over: Option<Over>,
    /// A parameter other than its default, in every system that has it; may be repeated
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = options::name_value, value_delimiter = ',')]
    parameters: Vec<(String, f64)>,
    /// A glance: fewer values, columns and starts
    #[arg(long)]
    quick: bool,
    /// Folder for the report; made if it is not there
    #[arg(short, long = "output", value_name = "DIR")]
    output: PathBuf,
}

impl Arguments {
    /// Runs the verb.
    pub fn run(&self, shared: &Shared) -> Result<()> {
        artifact::check_folder(&self.output)?;
        let [a, b] = [
            artifact::open_system(&self.a)?,
            artifact::open_system(&self.b)?,
        ]
        .map(|system| Watched::shared(system, &shared.watch));
        let over = match &self.over {
            Some(over) => over.clone(),
            None => [&a, &b]
                .into_iter()
                .find_map(|s| {
                    let (range, q) = (s.spec().trained_on.as_ref()?.parameters.first()?, s.spec().parameters.first()?);
                    Some(Over { name: q.name.clone(), from: range[0].round(), to: range[1].round(), count: None })
                })
                .ok_or_else(|| {
                    Error::Input("neither system was trained over a parameter; say which one to vary, such as --over v_s=-40:-30".into())
                })?,
        };
        let side = |system, name: &str| -> Result<Side> {
            let system: &dyn ionoscope_dynamics::system::DynamicalSystem = system;
            let spec = system.spec();
            let Input::Parameter(index) = over.input(spec)?.0 else {
                return Err(Error::Input(
                    "systems are compared over a parameter, not over the stimulus".into(),
                ));
            };
            let own = borrowed(&self.parameters).filter(|(n, _)| spec.parameter_index(n).is_ok());
            let name = std::path::Path::new(name)
                .file_stem()
                .map_or_else(|| name.to_owned(), |s| s.to_string_lossy().into_owned());
            let name = if std::path::Path::new(&self.a).is_file()
                || std::path::Path::new(&self.b).is_file()
            {
                name
            } else {
                spec.id.clone()
            };
            Ok(Side {
                system,
                name,
                p: spec.parameters_with(own)?,
                over: index,
            })
        };
        for (name, _) in &self.parameters {
            a.spec()
                .parameter_index(name)
                .or_else(|e| b.spec().parameter_index(name).map_err(|_| e))?;
        }
        let effort = if self.quick {
            Effort::QUICK
        } else {
            Effort::FULL
        };
        let mut sides = [side(&*a, &self.a)?, side(&*b, &self.b)?];
        if sides[0].name == sides[1].name {
            sides[1].name += " (B)";
        }
        let heading = Heading {
            title: format!("{} and {}", sides[0].name, sides[1].name),
            subtitle: format!("{} from {} to {}", over.name, over.from, over.to),
            footer: vec![
                provenance::version(),
                provenance::command(),
                provenance::machine(),
            ],
        };
        let comparison = Comparison {
            sides,
            over: over.name.clone(),
            interval: [over.from, over.to],
            effort,
        };
        let answers = comparison.answers(&shared.watch)?;
        store::save(&self.output, &heading, &answers)?;
        store::draw(&self.output)?;
        if shared.json {
            return print_json(&answers);
        }
        print(|w| writeln!(w, "{}", self.output.join("report.html").display()))
    }
}
