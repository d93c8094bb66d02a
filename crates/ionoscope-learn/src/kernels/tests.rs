use super::*;
use ionoscope_dynamics::sampling::{normal, stream};

struct Case {
    shape: Shape,
    weights: Vec<f64>,
    /// Inner rows, own, target.
    rows: Vec<Vec<f32>>,
}

fn case(inner: usize, hidden: usize, samples: usize) -> Case {
    let shape = Shape { inner, hidden };
    let mut rng = stream(5, "kernel case", (inner * 1000 + hidden) as u64);
    let weights = (0..shape.weights())
        .map(|_| 0.5 * normal(&mut rng))
        .collect();
    let rows = (0..inner + 2)
        .map(|_| (0..samples).map(|_| normal(&mut rng) as f32).collect())
        .collect();
    Case {
        shape,
        weights,
        rows,
    }
}

impl Case {
    fn samples(&self) -> Samples<'_> {
        let k = self.shape.inner;
        Samples {
            inner: self.rows[..k].iter().map(|r| &r[..]).collect(),
            own: &self.rows[k],
            target: &self.rows[k + 1],
        }
    }

    fn oracle(&self) -> (f64, Vec<f64>) {
        let k = self.shape.inner;
        let mut gradient = vec![0.0; self.shape.weights()];
        let mut loss = 0.0;
        for s in 0..self.rows[0].len() {
            let x: Vec<f64> = self.rows.iter().map(|r| f64::from(r[s])).collect();
            loss += oracle::squared_error(
                self.shape,
                &self.weights,
                &x[..k],
                x[k],
                x[k + 1],
                &mut gradient,
            );
        }
        (loss, gradient)
    }
}

#[test]
fn the_oracles_gradient_agrees_with_differences() {
    let mut c = case(3, 5, 4);
    let (_, gradient) = c.oracle();
    for i in 0..c.weights.len() {
        let w = c.weights[i];
        c.weights[i] = w + 1e-5;
        let up = c.oracle().0;
        c.weights[i] = w - 1e-5;
        let down = c.oracle().0;
        c.weights[i] = w;
        let difference = (up - down) / 2e-5;
        assert!(
            (difference - gradient[i]).abs() < 1e-7 * (1.0 + difference.abs()),
            "{i}: {difference} {}",
            gradient[i]
        );
    }
}

#[test]
fn the_oracle_is_the_neural_map() {
    use crate::architectures::sub_network::SubNetwork;
    let c = case(3, 7, 5);
    let mut net = SubNetwork::zeros(1, 4, 7);
    let mut left = &c.weights[..];
    for group in net.groups_mut() {
        let (now, rest) = left.split_at(group.len());
        group.copy_from_slice(now);
        left = rest;
    }
    for s in 0..5 {
        let x: Vec<f64> = c.rows.iter().map(|r| f64::from(r[s])).collect();
        let expected = oracle::output(c.shape, &c.weights, &x[..3], x[3]);
        let got = net.increment_and_gradient(&[x[0], x[3], x[1], x[2]], &mut [0.0; 4]);
        assert!((got - expected).abs() < 1e-13, "{got} {expected}");
    }
}

#[test]
fn every_kernel_agrees_with_the_oracle_for_odd_sizes() {
    for (inner, hidden, samples) in [
        (0, 1, 1),
        (1, 3, 17),
        (2, 100, 15),
        (3, 100, 1000),
        (3, 17, 257),
        (4, 6, 31),
        (5, 5, 512),
        (6, 2, 300),
        (7, 9, 40),
        (11, 4, 600),
    ] {
        let c = case(inner, hidden, samples);
        let (loss, expected) = c.oracle();
        let size = expected.iter().map(|g| g * g).sum::<f64>().sqrt();
        for backend in Backend::available() {
            let mut packed = Packed::new(c.shape);
            packed.set(&c.weights);
            let mut scratch = Scratch::new(c.shape);
            let mut sums = Sums::new(c.shape);
            let mut gradient = vec![0.0; c.shape.weights()];
            // Twice, so that what is left in the memory would show.
            for _ in 0..2 {
                sums.set(backend, &packed, &c.samples(), &mut scratch)
                    .unwrap();
            }
            let got = Sums::gradient(&packed, &[&sums], &mut gradient);
            let forward = squared_error(backend, &packed, &c.samples(), &mut scratch).unwrap();
            let what = format!("{} {inner} {hidden} {samples}", backend.name());
            assert!(
                (got - loss).abs() < 3e-6 * loss.abs() && (forward - loss).abs() < 3e-6 * loss,
                "{what}: {got} {forward} {loss}"
            );
            for (i, (g, e)) in gradient.iter().zip(&expected).enumerate() {
                assert!(
                    (g - e).abs() < 3e-6 * size,
                    "{what}: weight {i}: {g}, expected {e}, length {size}"
                );
            }
        }
    }
}

#[test]
fn parts_add_up() {
    let c = case(3, 20, 700);
    let (loss, expected) = c.oracle();
    let backend = Backend::detect();
    let mut packed = Packed::new(c.shape);
    packed.set(&c.weights);
    let mut scratch = Scratch::new(c.shape);
    let cut = |from: usize, to: usize| {
        let all = c.samples();
        Samples {
            inner: all.inner.iter().map(|r| &r[from..to]).collect(),
            own: &all.own[from..to],
            target: &all.target[from..to],
        }
    };
    let parts: Vec<Sums> = [(0, 256), (256, 300), (300, 700)]
        .map(|(from, to)| {
            let mut s = Sums::new(c.shape);
            s.set(backend, &packed, &cut(from, to), &mut scratch)
                .unwrap();
            s
        })
        .into();
    let mut gradient = vec![0.0; c.shape.weights()];
    let got = Sums::gradient(&packed, &parts.iter().collect::<Vec<_>>(), &mut gradient);
    assert!((got - loss).abs() < 3e-6 * loss);
    let size = expected.iter().map(|g| g * g).sum::<f64>().sqrt();
    assert!(
        gradient
            .iter()
            .zip(&expected)
            .all(|(g, e)| (g - e).abs() < 3e-6 * size)
    );
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let c = case(3, 4, 20);
    let (packed, mut scratch, mut sums) = (
        Packed::new(c.shape),
        Scratch::new(c.shape),
        Sums::new(c.shape),
    );
    let mut samples = c.samples();
    samples.own = &samples.own[..19];
    assert!(
        sums.set(Backend::detect(), &packed, &samples, &mut scratch)
            .unwrap_err()
            .is_input()
    );
    let other = Packed::new(Shape {
        inner: 2,
        hidden: 4,
    });
    assert!(
        sums.set(Backend::detect(), &other, &c.samples(), &mut scratch)
            .is_err()
    );
}

#[test]
fn tanh_is_within_4e_7_wherever_a_training_may_come() {
    for backend in Backend::available() {
        let mut worst = (0.0, 0.0);
        let mut check = |values: Vec<f32>| {
            let mut t = values.clone();
            backend.tanh(&mut t);
            for (x, t) in values.iter().zip(t) {
                let error = (f64::from(t) - f64::from(*x).tanh()).abs();
                if error.is_nan() || error > worst.0 {
                    worst = (error, *x);
                }
            }
        };
        // Every 2^-16 in [-12, 12], then every 997th float up to 1e25: beyond, where only a training that has diverged
        // comes, the powers of 2 may overflow to something that is not a number.
        check(
            (-12 * 65536..=12 * 65536)
                .map(|i| i as f32 / 65536.0)
                .collect(),
        );
        check(
            (0..=u32::MAX)
                .step_by(997)
                .map(f32::from_bits)
                .filter(|x| x.abs() < 1e25)
                .collect(),
        );
        check(vec![1e25, -1e25, f32::MIN_POSITIVE, 0.0, -0.0]);
        assert!(worst.0 <= 4e-7, "{}: {worst:?}", backend.name());
    }
}
