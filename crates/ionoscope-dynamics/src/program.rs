//! Equations as a straight-line program, to be run over any [`Real`].
//!
//! A model's right-hand side is run once over numbers that write down what is done with them; what they wrote is sorted into runs of
//! operations of one kind, and run from then on. A dispatch is shared by the length of a run and by the lanes, and it buys three things: a
//! model of 41 variables is not compiled again for every integrator and instruction set; the exact Jacobian costs little more than the
//! derivatives it consists of, since what is zero for every state is never computed; and its sparsity is known. Nothing is fused or
//! reordered within an expression, so a program gives the bits of the code it was made from (up to the sign of zero).

use crate::{
    real::{Binary, Dual, Logic, Node, Real, Recorder, Unary, record},
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

/// Operations of one kind, whose results stand side by side.
#[derive(Debug, Clone)]
struct Run {
    op: Op,
    /// Register of the first result.
    to: u32,
    /// Operands and constant of each.
    operands: Vec<([u16; 3], f64)>,
}

/// Masks that a program may make.
const MASKS: usize = 16;

/// A straight-line program. Every result has a register of its own: first the inputs, then constants, then the results in the order of
/// the runs.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    constants: Vec<f64>,
    /// Runs that depend on nothing but the inputs announced as steady, and all others.
    steady: Vec<Run>,
    runs: Vec<Run>,
    inputs: usize,
    registers: usize,
    outputs: Vec<u16>,
}

impl Program {
    /// Puts constants, and what depends on steady inputs alone, into the registers. To be called again only when a steady input changes.
    #[inline(always)]
    pub fn prepare<S: Real>(&self, r: &mut [S]) {
        for (register, value) in r[self.inputs..].iter_mut().zip(&self.constants) {
            *register = S::constant(*value);
        }
        execute(&self.steady, r);
    }

    /// Runs over prepared registers whose first hold the inputs.
    #[inline(always)]
    pub fn execute<S: Real>(&self, r: &mut [S]) {
        execute(&self.runs, r);
    }

    /// The outputs for these inputs, without anything prepared.
    pub fn evaluate(&self, inputs: [&[f64]; 3]) -> Vec<f64> {
        let mut r = inputs.concat();
        assert_eq!(r.len(), self.inputs, "inputs of a program");
        r.resize(self.registers, 0.0);
        self.prepare(&mut r);
        self.execute(&mut r);
        self.outputs.iter().map(|o| r[usize::from(*o)]).collect()
    }
}

/// A program with registers of its own.
pub(crate) struct Machine<'a, S> {
    program: &'a Program,
    registers: Vec<S>,
}

impl<'a, S: Real> Machine<'a, S> {
    /// With all inputs zero, not prepared.
    pub fn new(program: &'a Program) -> Self {
        Machine {
            program,
            registers: vec![S::constant(0.0); program.registers],
        }
    }

    /// Sets the inputs from `from` on and prepares.
    #[inline(always)]
    pub fn prepare(&mut self, from: usize, inputs: &[S]) {
        self.registers[from..from + inputs.len()].copy_from_slice(inputs);
        self.program.prepare(&mut self.registers);
    }

    /// Runs from the first inputs.
    #[inline(always)]
    pub fn run(&mut self, first: &[S]) {
        self.registers[..first.len()].copy_from_slice(first);
        self.program.execute(&mut self.registers);
    }

    /// The outputs from `from` on.
    #[inline(always)]
    pub fn outputs(&self, from: usize, out: &mut [S]) {
        for (out, register) in out.iter_mut().zip(&self.program.outputs[from..]) {
            *out = self.registers[usize::from(*register)];
        }
    }
}

macro_rules! each {
    ($run:ident, $r:ident, |$read:ident, $a:ident, $b:ident, $c:ident, $k:ident| $value:expr) => {{
        // Operands stand below the results.
        let ($read, write) = $r.split_at_mut($run.to as usize);
        for (to, (operands, k)) in write.iter_mut().zip(&$run.operands) {
            #[allow(unused_variables)]
            let ([$a, $b, $c], $k) = (operands.map(usize::from), *k);
            *to = $value;
        }
    }};
}

#[inline(always)]
fn execute<S: Real>(runs: &[Run], r: &mut [S]) {
    let zero = S::constant(0.0);
    let mut masks = [zero.lt(zero); MASKS];
    for run in runs {
        match run.op {
            Op::Neg => each!(run, r, |x, a, b, c, k| -x[a]),
            Op::Exp => each!(run, r, |x, a, b, c, k| x[a].exp()),
            Op::Ln => each!(run, r, |x, a, b, c, k| x[a].ln()),
            Op::Sqrt => each!(run, r, |x, a, b, c, k| x[a].sqrt()),
            Op::Tanh => each!(run, r, |x, a, b, c, k| x[a].tanh()),
            Op::Abs => each!(run, r, |x, a, b, c, k| x[a].abs()),
            Op::XOverExpM1 => each!(run, r, |x, a, b, c, k| x[a].x_over_exp_m1()),
            Op::Add => each!(run, r, |x, a, b, c, k| x[a] + x[b]),
            Op::Sub => each!(run, r, |x, a, b, c, k| x[a] - x[b]),
            Op::Mul => each!(run, r, |x, a, b, c, k| x[a] * x[b]),
            Op::Div => each!(run, r, |x, a, b, c, k| x[a] / x[b]),
            Op::Min => each!(run, r, |x, a, b, c, k| x[a].min(x[b])),
            Op::Max => each!(run, r, |x, a, b, c, k| x[a].max(x[b])),
            Op::AddConstant => each!(run, r, |x, a, b, c, k| x[a] + k),
            Op::ConstantSub => each!(run, r, |x, a, b, c, k| S::constant(k) - x[a]),
            Op::MulConstant => each!(run, r, |x, a, b, c, k| x[a] * k),
            Op::DivConstant => each!(run, r, |x, a, b, c, k| x[a] / k),
            Op::ConstantDiv => each!(run, r, |x, a, b, c, k| S::constant(k) / x[a]),
            Op::Powf => each!(run, r, |x, a, b, c, k| x[a].powf(k)),
            Op::MulAdd => each!(run, r, |x, a, b, c, k| x[a] * x[b] + x[c]),
            Op::MulSub => each!(run, r, |x, a, b, c, k| x[a] * x[b] - x[c]),
            Op::SubMul => each!(run, r, |x, a, b, c, k| x[c] - x[a] * x[b]),
            Op::MulConstantAdd => each!(run, r, |x, a, b, c, k| x[a] * k + x[c]),
            Op::Select => each!(run, r, |x, a, b, c, k| S::select(masks[a], x[b], x[c])),
            Op::Lt | Op::Le | Op::And | Op::Or | Op::Not | Op::Load => {
                for (to, ([a, b, _], _)) in (run.to as usize..).zip(&run.operands) {
                    let (a, b) = (usize::from(*a), usize::from(*b));
                    masks[to] = match run.op {
                        Op::Lt => r[a].lt(r[b]),
                        Op::Le => r[a].le(r[b]),
                        Op::And => masks[a] & masks[b],
                        Op::Or => masks[a] | masks[b],
                        _ => !masks[a],
                    };
                }
            }
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
    let plain = |op, operands| Lowered {
        op,
        operands,
        k: 0.0,
    };
    match nodes[id as usize] {
        Node::Input(_) | Node::Truth(_) => plain(Op::Load, [None; 3]),
        Node::Constant(bits) => Lowered {
            op: Op::Load,
            operands: [None; 3],
            k: f64::from_bits(bits),
        },
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
        Node::Powf(a, bits) => Lowered {
            op: Op::Powf,
            operands: [Some(a), None, None],
            k: f64::from_bits(bits),
        },
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
            let with = |op, a, k| Lowered {
                op,
                operands: [Some(a), None, None],
                k,
            };
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
            let fused = |op: Op, sign: f64, product: (u32, u32), c: u32| match (
                constant(product.0),
                constant(product.1),
            ) {
                (Some(k), _) => Lowered {
                    op: Op::MulConstantAdd,
                    operands: [Some(product.1), None, Some(c)],
                    k: sign * k,
                },
                (_, Some(k)) => Lowered {
                    op: Op::MulConstantAdd,
                    operands: [Some(product.0), None, Some(c)],
                    k: sign * k,
                },
                _ => Lowered {
                    op,
                    operands: [Some(product.0), Some(product.1), Some(c)],
                    k: 0.0,
                },
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
                stack.extend(
                    operands(id)
                        .into_iter()
                        .flatten()
                        .filter(|o| !seen[*o as usize])
                        .map(|o| (o, false)),
                );
            }
        }
    }
    order
}

/// How soon an operation is done when several could be: the dear ones last, so that many of them stand in one run.
fn cost(op: Op) -> u8 {
    match op {
        Op::Exp | Op::Ln | Op::Tanh | Op::XOverExpM1 | Op::Powf => 2,
        Op::Div | Op::DivConstant | Op::ConstantDiv | Op::Sqrt => 1,
        _ => 0,
    }
}

/// Sorts operations into runs: always all that are ready of one kind, of the cheapest sort the kind with the most.
fn runs_of(ids: &[u32], lowered: &[Lowered], done: &mut [bool]) -> Vec<(Op, Vec<u32>)> {
    let mut waiting: Vec<u32> = ids.to_vec();
    let mut runs = Vec::new();
    while !waiting.is_empty() {
        let ready: Vec<u32> = waiting
            .iter()
            .copied()
            .filter(|id| {
                lowered[*id as usize]
                    .operands
                    .iter()
                    .flatten()
                    .all(|o| done[*o as usize])
            })
            .collect();
        let count = |op: Op| {
            ready
                .iter()
                .filter(|id| lowered[**id as usize].op == op)
                .count()
        };
        let kinds = ready.iter().map(|id| lowered[*id as usize].op);
        let Some(op) = kinds.min_by_key(|op| (cost(*op), usize::MAX - count(*op))) else {
            break;
        };
        let run: Vec<u32> = ready
            .into_iter()
            .filter(|id| lowered[*id as usize].op == op)
            .collect();
        run.iter().for_each(|id| done[*id as usize] = true);
        waiting.retain(|id| !done[*id as usize]);
        runs.push((op, run));
    }
    runs
}

impl Program {
    /// The program that computes `outputs` from the first `inputs` inputs, of which those from `steady` on change rarely.
    pub fn new(nodes: &[Node], inputs: usize, steady: usize, outputs: &[u32]) -> Program {
        // How often each node is needed, by nodes that are needed themselves.
        let mut uses = vec![0u32; nodes.len()];
        for id in in_order(nodes.len(), outputs, |id| children(nodes[id as usize])) {
            children(nodes[id as usize])
                .into_iter()
                .flatten()
                .for_each(|o| uses[o as usize] += 1);
        }
        outputs.iter().for_each(|o| uses[*o as usize] += 2);
        let lowered: Vec<Lowered> = (0..nodes.len() as u32)
            .map(|id| lower(nodes, &uses, id))
            .collect();
        let order = in_order(nodes.len(), outputs, |id| lowered[id as usize].operands);

        let mut place = vec![0u16; nodes.len()];
        let mut done = vec![false; nodes.len()];
        let mut is_steady = vec![false; nodes.len()];
        let mut constants = Vec::new();
        let mut operations = [Vec::new(), Vec::new()];
        for &id in &order {
            let known = match nodes[id as usize] {
                Node::Input(k) => {
                    place[id as usize] = k as u16;
                    is_steady[id as usize] = k as usize >= steady;
                    true
                }
                Node::Constant(bits) => {
                    place[id as usize] = (inputs + constants.len()) as u16;
                    constants.push(f64::from_bits(bits));
                    is_steady[id as usize] = true;
                    true
                }
                node => {
                    // A mask belongs to where it is made.
                    let all = lowered[id as usize]
                        .operands
                        .iter()
                        .flatten()
                        .all(|o| is_steady[*o as usize]);
                    is_steady[id as usize] = all && !is_mask(node);
                    false
                }
            };
            done[id as usize] = known;
            if !known {
                operations[usize::from(!is_steady[id as usize])].push(id);
            }
        }
        let mut next = inputs + constants.len();
        let mut masks = 0;
        let [steady, runs] = operations.map(|ids| {
            let sorted = runs_of(&ids, &lowered, &mut done);
            let runs = sorted.into_iter().map(|(op, ids)| {
                let counter = if is_mask(nodes[ids[0] as usize]) {
                    &mut masks
                } else {
                    &mut next
                };
                let to = *counter as u32;
                for id in &ids {
                    place[*id as usize] = *counter as u16;
                    *counter += 1;
                }
                let operands = ids.iter().map(|id| {
                    let Lowered { operands, k, .. } = lowered[*id as usize];
                    (operands.map(|o| o.map_or(0, |o| place[o as usize])), k)
                });
                Run {
                    op,
                    to,
                    operands: operands.collect(),
                }
            });
            runs.collect::<Vec<Run>>()
        });
        assert!(
            masks <= MASKS && next <= usize::from(u16::MAX),
            "a program with {masks} masks and {next} registers"
        );
        let outputs = outputs.iter().map(|o| place[*o as usize]).collect();
        Program {
            constants,
            steady,
            runs,
            inputs,
            registers: next,
            outputs,
        }
    }
}

/// A model's right-hand side and its exact linearization as programs. Inputs are the state, the stimulus, and the terms of the parameters
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
    /// The time derivatives, and for each row in `relaxing` its derivative by its own variable.
    pub relaxation: Program,
    /// The variables whose equation is linear in themselves, such as gates.
    pub relaxing: Vec<u16>,
}

/// Whether a node depends on the k-th input.
fn depends(nodes: &[Node], root: u32, k: usize) -> bool {
    in_order(nodes.len(), &[root], |id| children(nodes[id as usize]))
        .iter()
        .any(|id| nodes[*id as usize] == Node::Input(k as u32))
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
        let states: Vec<_> = x
            .iter()
            .enumerate()
            .map(|(k, x)| Dual::variable(*x, k))
            .collect();
        let terms: Vec<_> = q.iter().map(|q| fixed(*q)).collect();
        model.rhs(&states, fixed(i_stim), &terms, &mut dx);
        let entries = dx.iter().enumerate().flat_map(|(row, d)| {
            let nonzero = d
                .derivative
                .iter()
                .enumerate()
                .filter(|(_, e)| e.known() != Some(0.0));
            nonzero.map(move |(column, e)| ((row as u16, column as u16), e.id()))
        });
        let fixed = |x: &Recorder| Dual::<Recorder, 1>::fixed(*x);
        let mut by = vec![fixed(&zero()); D];
        let (x, q): (Vec<_>, Vec<_>) =
            (x.iter().map(fixed).collect(), q.iter().map(fixed).collect());
        model.rhs(&x, Dual::variable(i_stim, 0), &q, &mut by);
        let by_stimulus = by
            .iter()
            .enumerate()
            .filter(|(_, d)| d.derivative[0].known() != Some(0.0));
        (
            dx.iter().map(|d| d.value.id()).collect::<Vec<u32>>(),
            entries.collect::<Vec<_>>(),
            by_stimulus
                .map(|(row, d)| (row as u16, d.derivative[0].id()))
                .collect::<Vec<_>>(),
        )
    });
    let (terms, term_nodes) = record(|| {
        let mut q = inputs(0, parameters);
        model.derive(&mut q);
        q.iter().map(|q| q.id()).collect::<Vec<u32>>()
    });
    let size = D + 1 + parameters;
    let own = entries.iter().filter(|((row, column), _)| row == column);
    let (relaxing, rates): (Vec<u16>, Vec<u32>) = own
        .filter(|((row, _), rate)| !depends(&nodes, *rate, usize::from(*row)))
        .map(|((row, _), rate)| (*row, *rate))
        .unzip();
    let relaxation: Vec<u32> = values.iter().chain(&rates).copied().collect();
    let linearized: Vec<u32> = values
        .iter()
        .copied()
        .chain(entries.iter().map(|e| e.1))
        .chain(by_stimulus.iter().map(|e| e.1))
        .collect();
    Recording {
        dimension: D,
        parameters,
        terms: Program::new(&term_nodes, parameters, 0, &terms),
        rhs: Program::new(&nodes, size, D + 1, &values),
        linearized: Program::new(&nodes, size, D + 1, &linearized),
        relaxation: Program::new(&nodes, size, D + 1, &relaxation),
        relaxing,
        entries: entries.into_iter().map(|e| e.0).collect(),
        stimulated: by_stimulus.into_iter().map(|e| e.0).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::sherman_1988::BetaCell;

    #[test]
    fn a_recorded_model_gives_the_bits_of_the_compiled_one() {
        let model = BetaCell::MODIFIED;
        let recording = recording::<_, 3>(&model, 17);
        let p = model.definition().default_parameters();
        let mut q = p.clone();
        model.derive(&mut q);
        assert_eq!(recording.terms.evaluate([&p, &[], &[]]), q);
        for k in 0..200 {
            let share = |salt: f64| (0.37 + f64::from(k) * salt).fract();
            let x = [-80.0 + 120.0 * share(0.618), share(0.755), share(0.287)];
            let mut dx = [0.0; 3];
            model.rhs(&x, 0.7, &q, &mut dx);
            assert_eq!(recording.rhs.evaluate([&x, &[0.7], &q]), dx, "at {x:?}");
        }
    }

    #[test]
    fn the_linearization_is_that_of_dual_numbers_and_leaves_out_what_is_always_zero() {
        let model = BetaCell::MODIFIED;
        let recording = recording::<_, 3>(&model, 17);
        // n and s do not meet each other.
        assert_eq!(
            recording.entries,
            [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0), (2, 2)]
        );
        assert_eq!(recording.stimulated, [0]);
        let (x, i_stim, mut q) = (
            [-51.0, 0.02, 0.18],
            0.3,
            model.definition().default_parameters(),
        );
        model.derive(&mut q);
        let states: [Dual<f64, 3>; 3] = std::array::from_fn(|k| Dual::variable(x[k], k));
        let terms: Vec<_> = q.iter().map(|q| Dual::fixed(*q)).collect();
        let mut want = [Dual::fixed(0.0); 3];
        model.rhs(&states, Dual::fixed(i_stim), &terms, &mut want);
        let got = recording.linearized.evaluate([&x, &[i_stim], &q]);
        for d in 0..3 {
            assert_eq!(got[d], want[d].value);
        }
        for ((i, j), entry) in recording.entries.iter().zip(&got[3..]) {
            assert_eq!(*entry, want[*i as usize].derivative[*j as usize], "{i} {j}");
        }
        assert_eq!(got[3 + 7..], [q[0]], "the stimulus enters over tau");
    }
}
