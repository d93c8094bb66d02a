//! Equations as a straight-line program, to be run over any [`Real`].
//!
//! A model's right-hand side is run once over numbers that write down what is done with them; what they wrote is put in order, given
//! registers, and run from then on. That costs a dispatch an operation, which many lanes share, and it buys three things: a model of 41
//! variables is not compiled again for every integrator and instruction set; the exact Jacobian costs little more than the derivatives it
//! consists of, since what is zero for every state is never computed; and its sparsity is known. Operations keep their order within
//! an expression and nothing is fused, so a program gives the bits of the code it was made from (up to the sign of zero).

use crate::{
    real::{Binary, Dual, Logic, Node, Real, Recorder, Unary, record},
    spec::Spec,
    system::Model,
};

/// What an instruction does with its operands a, b, c and its constant k.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Load,
    Neg,
    Exp,
    Ln,
    Sqrt,
    Tanh,
    Abs,
    XOverExpM1,
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    /// a + k
    AddConstant,
    /// k - a
    ConstantSub,
    /// a k
    MulConstant,
    /// a / k
    DivConstant,
    /// k / a
    ConstantDiv,
    Powf,
    /// a b + c, rounded twice
    MulAdd,
    /// a b - c, rounded twice
    MulSub,
    /// c - a b, rounded twice
    SubMul,
    /// a k + c, rounded twice
    MulConstantAdd,
    Lt,
    Le,
    And,
    Or,
    Not,
    /// b where mask a holds, c elsewhere
    Select,
}

#[derive(Debug, Clone, Copy)]
struct Instruction {
    op: Op,
    to: u16,
    a: u16,
    b: u16,
    c: u16,
    k: f64,
}

/// Masks that a program may hold at a time.
const MASKS: usize = 16;
/// Registers that [`Program::run`] may use.
const REGISTERS: usize = 384;

/// A straight-line program over registers, the first of which hold its inputs.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    code: Vec<Instruction>,
    inputs: usize,
    registers: usize,
    outputs: Vec<u16>,
}

impl Program {
    /// Number of registers, inputs included.
    pub fn registers(&self) -> usize {
        self.registers
    }

    /// The registers that hold the outputs after a run.
    pub fn outputs(&self) -> &[u16] {
        &self.outputs
    }

    /// Runs over registers whose first hold the inputs.
    #[inline(always)]
    pub fn execute<S: Real>(&self, r: &mut [S]) {
        let zero = S::constant(0.0);
        let mut masks = [zero.lt(zero); MASKS];
        for i in &self.code {
            let (a, b, c) = (i.a as usize, i.b as usize, i.c as usize);
            r[i.to as usize] = match i.op {
                Op::Load => S::constant(i.k),
                Op::Neg => -r[a],
                Op::Exp => r[a].exp(),
                Op::Ln => r[a].ln(),
                Op::Sqrt => r[a].sqrt(),
                Op::Tanh => r[a].tanh(),
                Op::Abs => r[a].abs(),
                Op::XOverExpM1 => r[a].x_over_exp_m1(),
                Op::Add => r[a] + r[b],
                Op::Sub => r[a] - r[b],
                Op::Mul => r[a] * r[b],
                Op::Div => r[a] / r[b],
                Op::Min => r[a].min(r[b]),
                Op::Max => r[a].max(r[b]),
                Op::AddConstant => r[a] + i.k,
                Op::ConstantSub => S::constant(i.k) - r[a],
                Op::MulConstant => r[a] * i.k,
                Op::DivConstant => r[a] / i.k,
                Op::ConstantDiv => S::constant(i.k) / r[a],
                Op::Powf => r[a].powf(i.k),
                Op::MulAdd => r[a] * r[b] + r[c],
                Op::MulSub => r[a] * r[b] - r[c],
                Op::SubMul => r[c] - r[a] * r[b],
                Op::MulConstantAdd => r[a] * i.k + r[c],
                Op::Select => S::select(masks[a], r[b], r[c]),
                Op::Lt | Op::Le | Op::And | Op::Or | Op::Not => {
                    masks[i.to as usize] = match i.op {
                        Op::Lt => r[a].lt(r[b]),
                        Op::Le => r[a].le(r[b]),
                        Op::And => masks[a] & masks[b],
                        Op::Or => masks[a] | masks[b],
                        _ => !masks[a],
                    };
                    continue;
                }
            };
        }
    }

    /// Runs from inputs given in parts into `out`.
    #[inline(always)]
    pub fn run<S: Real>(&self, inputs: [&[S]; 3], out: &mut [S]) {
        let mut r = [S::constant(0.0); REGISTERS];
        let mut next = 0;
        for part in inputs {
            r[next..next + part.len()].copy_from_slice(part);
            next += part.len();
        }
        assert!(next == self.inputs && out.len() == self.outputs.len(), "inputs and outputs of a program");
        self.execute(&mut r[..self.registers]);
        for (out, register) in out.iter_mut().zip(&self.outputs) {
            *out = r[*register as usize];
        }
    }
}

/// An operation with the nodes it needs, before it has registers.
#[derive(Clone, Copy)]
struct Lowered {
    op: Op,
    /// a, b, c.
    operands: [Option<u32>; 3],
    k: f64,
}

/// What a node is as an operation. A product that only one sum or difference needs becomes part of that.
fn lower(nodes: &[Node], uses: &[u32], id: u32) -> Lowered {
    let constant = |id: u32| match nodes[id as usize] {
        Node::Constant(bits) => Some(f64::from_bits(bits)),
        _ => None,
    };
    let product = |id: u32| match nodes[id as usize] {
        Node::Binary(Binary::Mul, a, b) if uses[id as usize] == 1 => Some((a, b)),
        _ => None,
    };
    let plain = |op, operands| Lowered { op, operands, k: 0.0 };
    match nodes[id as usize] {
        Node::Input(_) | Node::Truth(_) => plain(Op::Load, [None; 3]),
        Node::Constant(bits) => Lowered { op: Op::Load, operands: [None; 3], k: f64::from_bits(bits) },
        Node::Unary(op, a) => {
            let op = match op {
                Unary::Neg => Op::Neg,
                Unary::Exp => Op::Exp,
                Unary::Ln => Op::Ln,
                Unary::Sqrt => Op::Sqrt,
                Unary::Tanh => Op::Tanh,
                Unary::Abs => Op::Abs,
                Unary::XOverExpM1 => Op::XOverExpM1,
            };
            plain(op, [Some(a), None, None])
        }
        Node::Powf(a, bits) => Lowered { op: Op::Powf, operands: [Some(a), None, None], k: f64::from_bits(bits) },
        Node::Logic(op, a, b) => {
            let op = match op {
                Logic::Lt => Op::Lt,
                Logic::Le => Op::Le,
                Logic::And => Op::And,
                Logic::Or => Op::Or,
            };
            plain(op, [Some(a), Some(b), None])
        }
        Node::Not(a) => plain(Op::Not, [Some(a), None, None]),
        Node::Select(mask, b, c) => plain(Op::Select, [Some(mask), Some(b), Some(c)]),
        Node::Binary(op, a, b) => {
            let with = |op, a, k| Lowered { op, operands: [Some(a), None, None], k };
            match (op, constant(a), constant(b)) {
                (Binary::Add, Some(k), _) => return with(Op::AddConstant, b, k),
                (Binary::Add, _, Some(k)) => return with(Op::AddConstant, a, k),
                (Binary::Mul, Some(k), _) => return with(Op::MulConstant, b, k),
                (Binary::Mul, _, Some(k)) => return with(Op::MulConstant, a, k),
                (Binary::Sub, Some(k), _) => return with(Op::ConstantSub, b, k),
                (Binary::Div, Some(k), _) => return with(Op::ConstantDiv, b, k),
                (Binary::Div, _, Some(k)) => return with(Op::DivConstant, a, k),
                _ => {}
            }
            let fused = |op: Op, sign: f64, product: (u32, u32), c: u32| match (constant(product.0), constant(product.1)) {
                (Some(k), _) => Lowered { op: Op::MulConstantAdd, operands: [Some(product.1), None, Some(c)], k: sign * k },
                (_, Some(k)) => Lowered { op: Op::MulConstantAdd, operands: [Some(product.0), None, Some(c)], k: sign * k },
                _ => Lowered { op, operands: [Some(product.0), Some(product.1), Some(c)], k: 0.0 },
            };
            let scaled = |p: (u32, u32)| constant(p.0).or(constant(p.1)).is_some();
            match (op, product(a), product(b)) {
                (Binary::Add, Some(p), _) => fused(Op::MulAdd, 1.0, p, b),
                (Binary::Add, _, Some(p)) => fused(Op::MulAdd, 1.0, p, a),
                (Binary::Sub, _, Some(p)) => fused(Op::SubMul, -1.0, p, a),
                (Binary::Sub, Some(p), _) if !scaled(p) => fused(Op::MulSub, 1.0, p, b),
                _ => {
                    let op = match op {
                        Binary::Add => Op::Add,
                        Binary::Sub => Op::Sub,
                        Binary::Mul => Op::Mul,
                        Binary::Div => Op::Div,
                        Binary::Min => Op::Min,
                        Binary::Max => Op::Max,
                    };
                    plain(op, [Some(a), Some(b), None])
                }
            }
        }
    }
}

/// The nodes that a node refers to.
fn children(node: Node) -> [Option<u32>; 3] {
    match node {
        Node::Input(_) | Node::Constant(_) | Node::Truth(_) => [None; 3],
        Node::Unary(_, a) | Node::Powf(a, _) | Node::Not(a) => [Some(a), None, None],
        Node::Binary(_, a, b) | Node::Logic(_, a, b) => [Some(a), Some(b), None],
        Node::Select(a, b, c) => [Some(a), Some(b), Some(c)],
    }
}

fn is_mask(node: Node) -> bool {
    matches!(node, Node::Logic(..) | Node::Not(_) | Node::Truth(_))
}

/// The nodes that `roots` need, operands first, each once; `operands` says what a node needs.
fn in_order(count: usize, roots: &[u32], operands: impl Fn(u32) -> [Option<u32>; 3]) -> Vec<u32> {
    let mut seen = vec![false; count];
    let mut order = Vec::new();
    for &root in roots {
        let mut stack = vec![(root, false)];
        while let Some((id, ready)) = stack.pop() {
            if ready {
                order.push(id);
            } else if !std::mem::replace(&mut seen[id as usize], true) {
                stack.push((id, true));
                stack.extend(operands(id).into_iter().flatten().filter(|o| !seen[*o as usize]).map(|o| (o, false)));
            }
        }
    }
    order
}

/// Registers in use, the last one freed given out first, so that it is still near.
#[derive(Default)]
struct Registers {
    free: Vec<u16>,
    count: u16,
}

impl Registers {
    fn take(&mut self) -> u16 {
        self.free.pop().unwrap_or_else(|| {
            self.count += 1;
            self.count - 1
        })
    }
}

impl Program {
    /// The program that computes `outputs` from the first `inputs` inputs.
    pub fn new(nodes: &[Node], inputs: usize, outputs: &[u32]) -> Program {
        // How often each node is needed, by nodes that are needed themselves.
        let mut uses = vec![0u32; nodes.len()];
        for id in in_order(nodes.len(), outputs, |id| children(nodes[id as usize])) {
            children(nodes[id as usize]).into_iter().flatten().for_each(|o| uses[o as usize] += 1);
        }
        outputs.iter().for_each(|o| uses[*o as usize] += 2);
        let lowered: Vec<Lowered> = (0..nodes.len() as u32).map(|id| lower(nodes, &uses, id)).collect();
        let order = in_order(nodes.len(), outputs, |id| lowered[id as usize].operands);
        let mut last_use = vec![0usize; nodes.len()];
        for (at, id) in order.iter().enumerate() {
            lowered[*id as usize].operands.into_iter().flatten().for_each(|o| last_use[o as usize] = at);
        }
        outputs.iter().for_each(|o| last_use[*o as usize] = usize::MAX);
        let mut place = vec![0u16; nodes.len()];
        let mut registers = Registers { free: Vec::new(), count: inputs as u16 };
        let mut masks = Registers::default();
        let mut code = Vec::new();
        for (at, &id) in order.iter().enumerate() {
            let node = nodes[id as usize];
            if let Node::Input(k) = node {
                place[id as usize] = k as u16;
                continue;
            }
            let Lowered { op, operands, k } = lowered[id as usize];
            let [a, b, c] = operands.map(|o| o.map_or(0, |o| place[o as usize]));
            let mut ended: Vec<u32> = operands.into_iter().flatten().filter(|o| last_use[*o as usize] == at).collect();
            ended.sort_unstable();
            ended.dedup();
            for o in ended {
                match nodes[o as usize] {
                    Node::Input(_) => {}
                    other if is_mask(other) => masks.free.push(place[o as usize]),
                    _ => registers.free.push(place[o as usize]),
                }
            }
            let to = if is_mask(node) { masks.take() } else { registers.take() };
            place[id as usize] = to;
            code.push(Instruction { op, to, a, b, c, k });
        }
        assert!(usize::from(masks.count) <= MASKS, "a program with {} masks at a time", masks.count);
        let outputs = outputs.iter().map(|o| place[*o as usize]).collect();
        Program { code, inputs, registers: registers.count.into(), outputs }
    }
}

/// A model's right-hand side and its exact linearisation as programs. Inputs are the state, the stimulus, and the terms of the parameters
/// as left by [`Model::derive`].
#[derive(Debug, Clone)]
pub(crate) struct Recording {
    /// Number of state variables.
    pub dimension: usize,
    /// Number of parameters.
    pub parameters: usize,
    /// The terms of the parameters, from the parameters ([`Model::derive`]).
    pub terms: Program,
    /// The time derivatives.
    pub rhs: Program,
    /// The time derivatives, the entries of the Jacobian, and the derivatives by the stimulus of the rows in `stimulated`.
    pub linearized: Program,
    /// Row and column of each entry of the Jacobian that is not zero for every state, row by row.
    pub entries: Vec<(u16, u16)>,
    /// The rows that depend on the stimulus directly.
    pub stimulated: Vec<u16>,
}

fn inputs(from: usize, count: usize) -> Vec<Recorder> {
    (from..from + count).map(Recorder::input).collect()
}

/// Records a model of `D` state variables.
pub(crate) fn recording<M: Model, const D: usize>(model: &M, parameters: usize) -> Recording {
    let fixed = |x: Recorder| Dual::<Recorder, D>::fixed(x);
    let zero = || Recorder::constant(0.0);
    let ((values, entries, by_stimulus), nodes) = record(|| {
        let (x, i_stim, q) = (inputs(0, D), Recorder::input(D), inputs(D + 1, parameters));
        let mut dx = vec![fixed(zero()); D];
        let states: Vec<_> = x.iter().enumerate().map(|(k, x)| Dual::variable(*x, k)).collect();
        let terms: Vec<_> = q.iter().map(|q| fixed(*q)).collect();
        model.rhs(&states, fixed(i_stim), &terms, &mut dx);
        let entries = dx.iter().enumerate().flat_map(|(row, d)| {
            let nonzero = d.derivative.iter().enumerate().filter(|(_, e)| e.known() != Some(0.0));
            nonzero.map(move |(column, e)| ((row as u16, column as u16), e.id()))
        });
        let fixed = |x: &Recorder| Dual::<Recorder, 1>::fixed(*x);
        let mut by = vec![fixed(&zero()); D];
        let (x, q): (Vec<_>, Vec<_>) = (x.iter().map(fixed).collect(), q.iter().map(fixed).collect());
        model.rhs(&x, Dual::variable(i_stim, 0), &q, &mut by);
        let by_stimulus = by.iter().enumerate().filter(|(_, d)| d.derivative[0].known() != Some(0.0));
        (
            dx.iter().map(|d| d.value.id()).collect::<Vec<u32>>(),
            entries.collect::<Vec<_>>(),
            by_stimulus.map(|(row, d)| (row as u16, d.derivative[0].id())).collect::<Vec<_>>(),
        )
    });
    let (terms, term_nodes) = record(|| {
        let mut q = inputs(0, parameters);
        model.derive(&mut q);
        q.iter().map(|q| q.id()).collect::<Vec<u32>>()
    });
    let size = D + 1 + parameters;
    let linearized: Vec<u32> = values.iter().copied().chain(entries.iter().map(|e| e.1)).chain(by_stimulus.iter().map(|e| e.1)).collect();
    Recording {
        dimension: D,
        parameters,
        terms: Program::new(&term_nodes, parameters, &terms),
        rhs: Program::new(&nodes, size, &values),
        linearized: Program::new(&nodes, size, &linearized),
        entries: entries.into_iter().map(|e| e.0).collect(),
        stimulated: by_stimulus.into_iter().map(|e| e.0).collect(),
    }
}

/// A model whose equations are run as a program instead of compiled code: for models so large that compiling them for every integrator
/// and instruction set would take minutes.
pub struct Recorded<M> {
    model: M,
    rhs: Program,
}

impl<M: Model> Recorded<M> {
    /// Records the equations of a model.
    ///
    /// # Panics
    /// Equations that need more numbers at a time than a program holds.
    pub fn new(model: M) -> Self {
        let spec = model.definition();
        let (d, p) = (spec.variables.len(), spec.parameters.len());
        let (outputs, nodes) = record(|| {
            let mut dx = vec![Recorder::constant(0.0); d];
            model.rhs(&inputs(0, d), Recorder::input(d), &inputs(d + 1, p), &mut dx);
            dx.iter().map(|dx| dx.id()).collect::<Vec<u32>>()
        });
        let rhs = Program::new(&nodes, d + 1 + p, &outputs);
        assert!(rhs.registers() <= REGISTERS, "{} needs {} registers", spec.id, rhs.registers());
        Recorded { model, rhs }
    }
}

impl<M: Model> Model for Recorded<M> {
    fn definition(&self) -> Spec {
        self.model.definition()
    }

    #[inline(always)]
    fn derive<S: Real>(&self, q: &mut [S]) {
        self.model.derive(q);
    }

    #[inline(always)]
    fn rhs<S: Real>(&self, x: &[S], i_stim: S, q: &[S], dx: &mut [S]) {
        self.rhs.run([x, &[i_stim], q], dx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{models::sherman_1988::BetaCell, real::Lane};

    #[test]
    fn a_recorded_model_gives_the_bits_of_the_compiled_one() {
        let (compiled, recorded) = (BetaCell::MODIFIED, Recorded::new(BetaCell::MODIFIED));
        let mut q: Vec<f64> = compiled.definition().default_parameters();
        compiled.derive(&mut q);
        for k in 0..200 {
            let share = |salt: f64| (0.37 + f64::from(k) * salt).fract();
            let x = [-80.0 + 120.0 * share(0.618), share(0.755), share(0.287)];
            let (mut a, mut b) = ([0.0; 3], [0.0; 3]);
            compiled.rhs(&x, 0.7, &q, &mut a);
            recorded.rhs(&x, 0.7, &q, &mut b);
            assert_eq!(a.map(f64::to_bits), b.map(f64::to_bits), "at {x:?}");
        }
    }

    #[test]
    fn the_linearisation_is_that_of_dual_numbers_and_leaves_out_what_is_always_zero() {
        let model = BetaCell::MODIFIED;
        let recording = recording::<_, 3>(&model, 17);
        // n and s do not meet each other.
        assert_eq!(recording.entries, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0), (2, 2)]);
        assert_eq!(recording.stimulated, [0]);
        let (x, i_stim, mut q) = ([-51.0, 0.02, 0.18], 0.3, model.definition().default_parameters());
        model.derive(&mut q);
        let states: [Dual<f64, 3>; 3] = std::array::from_fn(|k| Dual::variable(x[k], k));
        let terms: Vec<_> = q.iter().map(|q| Dual::fixed(*q)).collect();
        let mut want = [Dual::fixed(0.0); 3];
        model.rhs(&states, Dual::fixed(i_stim), &terms, &mut want);
        let mut got = [Lane([0.0; 2]); 3 + 7 + 1];
        let lanes = |values: &[f64]| values.iter().map(|v| Lane([*v, *v])).collect::<Vec<_>>();
        recording.linearized.run([&lanes(&x), &lanes(&[i_stim]), &lanes(&q)], &mut got);
        for d in 0..3 {
            assert_eq!(got[d].0, [want[d].value; 2]);
        }
        for ((i, j), entry) in recording.entries.iter().zip(&got[3..]) {
            assert_eq!(entry.0, [want[*i as usize].derivative[*j as usize]; 2], "{i} {j}");
        }
        assert_eq!(got[10].0, [q[0]; 2], "the stimulus enters over tau");
    }
}
