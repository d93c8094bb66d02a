use std::sync::Arc;

use ionoscope_dynamics::{
    models,
    system::Input,
    trajectory::{Outcome, Statistics},
};

use super::*;
use crate::{
    artifact, options,
    report::table::Cell,
    subject::{Opened, Settings},
};

/// The map of a flow over a step, its derivatives by differences.
struct FlowMap {
    flow: Arc<dyn DynamicalSystem>,
    dt: f64,
}

impl FlowMap {
    fn next(&self, x: &[f64], i_stim: f64, p: &[f64]) -> Vec<f64> {
        let times = TimeGrid {
            start: self.dt,
            dt: self.dt,
            count: 1,
        };
        let protocol = if i_stim == 0.0 {
            Protocol::none()
        } else {
            Protocol::constant(i_stim)
        };
        let e = Experiment {
            x0: x.to_vec(),
            p: p.to_vec(),
            protocol,
            times,
        };
        self.flow
            .simulate(
                &e,
                &SolveOptions {
                    rtol: 1e-9,
                    atol: 1e-11,
                    ..SolveOptions::default()
                },
            )
            .map_or(vec![f64::NAN; x.len()], |t| t.x)
    }
}

impl DynamicalSystem for FlowMap {
    fn spec(&self) -> &Spec {
        self.flow.spec()
    }
    fn time(&self) -> Time {
        Time::Discrete { dt: self.dt }
    }
    fn rule(&self, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]) {
        out.copy_from_slice(&self.next(x, i_stim, p));
    }
    fn jacobian(&self, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]) {
        let n = x.len();
        for j in 0..n {
            let [up, down] = [1e-5, -1e-5].map(|h| {
                let mut x = x.to_vec();
                x[j] += h;
                self.next(&x, i_stim, p)
            });
            (0..n).for_each(|i| out[i * n + j] = (up[i] - down[i]) / 2e-5);
        }
    }
    fn derivative_by(&self, by: Input, x: &[f64], i_stim: f64, p: &[f64], out: &mut [f64]) {
        let Input::Parameter(k) = by else {
            return out.fill(0.0);
        };
        let [up, down] = [1e-5, -1e-5].map(|h| {
            let mut p = p.to_vec();
            p[k] += h;
            self.next(x, i_stim, &p)
        });
        (0..x.len()).for_each(|i| out[i] = (up[i] - down[i]) / 2e-5);
    }
    /// The flow at its own times, refused where they are not whole steps.
    fn solve_ensemble(
        &self,
        batch: &[Experiment],
        _: &SolveOptions,
    ) -> ionoscope_dynamics::Result<Vec<Trajectory>> {
        let whole = |t: f64| (t / self.dt - (t / self.dt).round()).abs() < 1e-6;
        if let Some(e) = batch
            .iter()
            .find(|e| !whole(e.times.start) || !whole(e.times.dt) || e.times.dt < 0.5 * self.dt)
        {
            return Err(ionoscope_dynamics::Error::Invalid(format!(
                "{:?} are not whole steps of {}",
                e.times, self.dt
            )));
        }
        let mut all = self.flow.solve_ensemble(
            batch,
            &SolveOptions {
                rtol: 1e-8,
                atol: 1e-10,
                ..SolveOptions::default()
            },
        )?;
        for t in &mut all {
            let accepted = (t.times.end() / self.dt).round() as u64;
            t.statistics = Statistics {
                accepted,
                ..Statistics::default()
            };
            assert_eq!(t.outcome, Outcome::Completed);
        }
        Ok(all)
    }
}

const GLANCE: Effort = Effort {
    rhythms: 2,
    columns: 3,
    starts: 6,
    values: 1,
    turns: 50.0,
};

fn comparison(pair: [Arc<dyn DynamicalSystem>; 2], over: &str) -> Comparison {
    let over = options::over(over).unwrap();
    let side = |system| {
        let subject = Opened::of(system, "s").subject(&Settings::default(), &Watcher::default());
        Side::new(subject.unwrap(), "s", &over).unwrap()
    };
    Comparison::new(pair.map(side), &over, GLANCE).unwrap()
}

#[test]
fn maps_with_long_steps_are_compared() {
    let flow = models::find("fitzhugh-nagumo-1961").unwrap();
    let map = |dt| -> Arc<dyn DynamicalSystem> {
        let flow = flow.clone();
        Arc::new(FlowMap { flow, dt })
    };
    let pairs = [[flow.clone(), map(0.5)], [map(0.5), map(0.75)]];
    for (pair, step) in pairs.into_iter().zip([0.5, 1.5]) {
        let comparison = comparison(pair, "e=0.09:0.11");
        let scales = comparison.scales().unwrap();
        assert!((scales.step - step).abs() < 1e-9);
        for section in [
            comparison.motion(&scales),
            comparison.rasters(),
            comparison.basins(),
            comparison.errors(&scales),
        ] {
            section.unwrap();
        }
    }
    // Of steps without a common multiple.
    let odd = [map(0.5), map(0.1 * std::f64::consts::SQRT_2)];
    let error = comparison(odd, "e=0.09:0.11").scales().unwrap_err();
    assert!(error.to_string().contains("common multiple"), "{error}");
}

/// The first number of a column in the table of that name.
fn first(sections: &[Section], table: &str, column: usize) -> f64 {
    let mut tables = sections.iter().flat_map(Section::tables);
    let table = tables.find(|t| t.id == table).unwrap();
    match table.rows[0][column] {
        Cell::Number(value) => value,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn a_map_is_compared_with_its_equations_over_the_stimulus() {
    let map = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../pretrained/fhn-map.safetensors"
    );
    let pair = ["fitzhugh-nagumo-1961", map].map(|s| artifact::open_system(s).unwrap());
    let comparison = comparison(pair, "i_stim=0.4:0.6");
    let (sections, warnings) = comparison.sections(&Watcher::default()).unwrap();
    assert_eq!((sections.len(), warnings), (7, Vec::new()));
    assert!((first(&sections, "errors", 0) - 0.43333).abs() < 1e-4);
    // One step of the map, and the interval between two spikes.
    assert!(first(&sections, "errors", 1) < 0.01);
    let [one, other] = [4, 8].map(|c| first(&sections, "rhythms", c));
    assert!((one / other - 1.0).abs() < 0.05, "{one} {other}");
}

#[test]
fn what_makes_no_sense_for_a_pair_is_said_and_no_failure() {
    let pair = [(); 2].map(|()| models::find("lorenz-1963").unwrap());
    let (sections, warnings) = comparison(pair, "rho=27:29")
        .sections(&Watcher::default())
        .unwrap();
    assert_eq!((sections.len(), warnings), (7, Vec::new()));
    assert!(matches!(&sections[1].parts[..], [Part::Note(note)] if note.contains("No spikes")));
    assert_eq!(first(&sections, "errors", 1), 0.0);
}
