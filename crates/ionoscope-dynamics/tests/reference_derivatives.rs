//! Every model's derivatives, digit by digit, against numbers that were made without this crate: `reference_derivatives.txt`, by
//! `scripts/reference_derivatives.py`, where the sources are named.

use ionoscope_dynamics::{models, system::DynamicalSystem};

struct Case {
    model: String,
    preset: String,
    parameters: Vec<(String, f64)>,
    i_stim: f64,
    x: Vec<f64>,
    dx: Vec<f64>,
}

fn cases() -> Vec<Case> {
    let numbers = |text: &str| {
        text.split_whitespace()
            .map(|t| t.parse::<f64>().unwrap())
            .collect::<Vec<_>>()
    };
    let text = include_str!("reference_derivatives.txt");
    text.split("\n\n")
        .filter(|block| !block.trim().is_empty())
        .map(|block| {
            let field = |name: &str| {
                let line = block
                    .lines()
                    .find(|line| line.split(' ').next() == Some(name));
                line.and_then(|line| line.strip_prefix(name))
                    .unwrap()
                    .trim()
            };
            let parameters = field("parameters")
                .split_whitespace()
                .map(|text| text.split_once('=').unwrap());
            Case {
                model: field("model").into(),
                preset: field("preset").into(),
                parameters: parameters
                    .map(|(name, value)| (name.into(), value.parse().unwrap()))
                    .collect(),
                i_stim: numbers(field("i_stim"))[0],
                x: numbers(field("x")),
                dx: numbers(field("dx")),
            }
        })
        .collect()
}

/// Derivatives, and by how much each may be wrong when all that enters is rounded once: the change that a relative change of the state and
/// the parameters by half an ulp makes.
fn with_rounding(
    system: &dyn DynamicalSystem,
    x: &[f64],
    i_stim: f64,
    p: &[f64],
) -> (Vec<f64>, Vec<f64>) {
    let n = x.len();
    let (mut dx, mut jacobian) = (vec![0.0; n], vec![0.0; n * n]);
    system.rule(x, i_stim, p, &mut dx);
    system.jacobian(x, i_stim, p, &mut jacobian);
    let spec = system.spec();
    // A potential is subtracted from others, each of the size of 100 mV.
    let size = |k: usize| {
        if spec.membrane_potential.as_ref() == Some(&spec.variables[k].name) {
            x[k].abs().max(100.0)
        } else {
            x[k].abs()
        }
    };
    let scale = if n < 4 { 1.0 } else { 1e-3 };
    let rounding = (0..n)
        .map(|i| {
            (0..n)
                .map(|j| (jacobian[i * n + j] * size(j)).abs())
                .sum::<f64>()
                * 1.2e-16
                + 1e-18 * scale
        })
        .collect();
    (dx, rounding)
}

#[test]
fn derivatives_have_every_digit() {
    let mut seen = std::collections::BTreeSet::new();
    for case in cases() {
        let system = models::find(&case.model).unwrap();
        let spec = if case.preset == "-" {
            system.spec().clone()
        } else {
            system.spec().with_preset(&case.preset).unwrap()
        };
        if !case.parameters.is_empty() {
            assert_eq!(
                case.parameters.len(),
                spec.parameters.len(),
                "{}: the reference knows every parameter",
                case.model
            );
        }
        let p = spec
            .parameters_with(case.parameters.iter().map(|(n, v)| (n.as_str(), *v)))
            .unwrap();
        let (dx, rounding) = with_rounding(&*system, &case.x, case.i_stim, &p);
        for i in 0..dx.len() {
            let name = &spec.variables[i].name;
            assert!(
                (dx[i] - case.dx[i]).abs() <= 1e-11 * case.dx[i].abs() + 40.0 * rounding[i],
                "{} {} at {} = {}: {name}' = {:e} instead of {:e}, rounding {:e}",
                case.model,
                case.preset,
                spec.variables[0].name,
                case.x[0],
                dx[i],
                case.dx[i],
                rounding[i]
            );
        }
        seen.insert((case.model, case.preset));
    }
    // Every model but the beta-cells, which have a test of their own, and every preset that changes parameters.
    for system in models::all()
        .iter()
        .filter(|s| !["sherman-1988", "stankevich-2017"].contains(&s.spec().id.as_str()))
    {
        let presets = system
            .spec()
            .presets
            .iter()
            .filter(|q| !q.parameters.is_empty())
            .map(|q| q.name.clone());
        for preset in presets.chain(["-".to_owned()]) {
            assert!(
                seen.contains(&(system.spec().id.clone(), preset.clone())),
                "{}, preset {preset}: no case",
                system.spec().id
            );
        }
    }
}

#[test]
fn ohara_rudy_at_its_default_start() {
    // An independent implementation of the public CellML file, endocardial, no stimulus; 7 digits.
    let printed: [&str; 41] = [
        "-8.036558e-4",
        "-1.276361e-5",
        "3.070877e-5",
        "1.369715e-5",
        "0",
        "-2.45311e-8",
        "4.693986e-9",
        "-1.629764e-5",
        "1.957381e-4",
        "1.281453e-4",
        "-1.672096e-3",
        "-2.018622e-5",
        "-1.891056e-7",
        "-4.923258e-6",
        "1.358379e-6",
        "6.286842e-6",
        "5.781175e-5",
        "7.453931e-5",
        "3.070097e-7",
        "-7.854632e-8",
        "4.872648e-4",
        "1.573272e-7",
        "-8.989029e-8",
        "4.865227e-4",
        "3.143769e-12",
        "-1.314483e-9",
        "8.932899e-5",
        "-1.3617e-9",
        "1.799905e-6",
        "3.065396e-7",
        "-2.89308e-6",
        "-5.257931e-10",
        "-5.446799e-10",
        "-1.344562e-9",
        "-4.746407e-4",
        "-1.292366e-4",
        "5.107517e-10",
        "4.709324e-8",
        "-5.334605e-6",
        "-1.386235e-10",
        "-6.461351e-6",
    ];
    let cell = models::find("ohara-rudy-2011").unwrap();
    let mut dx = vec![0.0; 41];
    cell.rule(
        &cell.spec().default_state(),
        0.0,
        &cell.spec().default_parameters(),
        &mut dx,
    );
    for ((got, text), q) in dx.iter().zip(printed).zip(&cell.spec().variables) {
        let want: f64 = text.parse().unwrap();
        let half_digit = if want == 0.0 {
            1e-13
        } else {
            0.5001 * 10f64.powi(want.abs().log10().floor() as i32 - 6)
        };
        assert!(
            (got - want).abs() <= half_digit,
            "{}' = {got:e} instead of {text}",
            q.name
        );
    }
}
