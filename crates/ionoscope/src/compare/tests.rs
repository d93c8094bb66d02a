use std::sync::Arc;

use ionoscope_dynamics::{
    models,
    system::Input,
    trajectory::{Outcome, Statistics},
};

use super::*;

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

#[test]
fn maps_with_long_steps_are_compared() {
    let flow = models::find("fitzhugh-nagumo-1961").unwrap();
    let maps = [0.5, 0.75].map(|dt| FlowMap {
        flow: flow.clone(),
        dt,
    });
    let over = flow.spec().parameter_index("e").unwrap();
    let effort = Effort {
        rhythms: 2,
        columns: 3,
        starts: 6,
        values: 1,
        turns: 50.0,
    };
    let pairs: [[&dyn DynamicalSystem; 2]; 2] = [[&*flow, &maps[0]], [&maps[0], &maps[1]]];
    for (pair, step) in pairs.into_iter().zip([0.5, 1.5]) {
        let sides = pair.map(|system| Side {
            system,
            name: "s".into(),
            p: system.spec().default_parameters(),
            over,
        });
        let comparison = Comparison {
            sides,
            over: "e".into(),
            interval: [0.09, 0.11],
            effort,
        };
        assert!((comparison.scales().unwrap().step - step).abs() < 1e-9);
        for section in [
            comparison.motion(),
            comparison.rasters(),
            comparison.basins(),
            comparison.errors(),
        ] {
            section.unwrap();
        }
    }
    // Of steps without a common multiple.
    let odd = FlowMap {
        flow: flow.clone(),
        dt: 0.1 * std::f64::consts::SQRT_2,
    };
    let sides = [&maps[0] as &dyn DynamicalSystem, &odd].map(|system| Side {
        system,
        name: "s".into(),
        p: system.spec().default_parameters(),
        over,
    });
    let comparison = Comparison {
        sides,
        over: "e".into(),
        interval: [0.09, 0.11],
        effort,
    };
    assert!(
        comparison
            .scales()
            .unwrap_err()
            .to_string()
            .contains("common multiple")
    );
}
