//! Numbers that write down what is done with them.
//!
//! Running a right-hand side over [`Recorder`]s leaves a graph of its operations; over dual numbers of them, also that of its exact
//! derivatives. Equal operations are stored once, constants are folded, and what a structural zero meets vanishes, so that the derivatives
//! that remain are those which are not zero for every state. [`crate::program`] turns the graph into something to run.

use std::{
    cell::RefCell,
    collections::HashMap,
    ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub},
};

use super::{elementary, operations::Real};

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Unary {
    Neg,
    Exp,
    Ln,
    Sqrt,
    Tanh,
    Abs,
    XOverExpM1,
}

/// A function of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
}

/// A comparison of two numbers, or a combination of two comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Logic {
    Lt,
    Le,
    And,
    Or,
}

/// One operation; operands are numbers of earlier nodes, constants stand as their bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Input(u32),
    Constant(u64),
    Unary(Unary, u32),
    Binary(Binary, u32, u32),
    Powf(u32, u64),
    Logic(Logic, u32, u32),
    Not(u32),
    Truth(bool),
    Select(u32, u32, u32),
}

#[derive(Default)]
struct Graph {
    nodes: Vec<Node>,
    known: HashMap<Node, u32>,
}

thread_local! {
    static GRAPH: RefCell<Graph> = RefCell::default();
}

/// Runs `f` on a fresh graph; what it returns, and the nodes.
pub(crate) fn record<T>(f: impl FnOnce() -> T) -> (T, Vec<Node>) {
    let outer = GRAPH.take();
    let result = f();
    let graph = GRAPH.replace(outer);
    (result, graph.nodes)
}

fn push(node: Node) -> u32 {
    GRAPH.with_borrow_mut(|graph| {
        let nodes = &mut graph.nodes;
        *graph.known.entry(node).or_insert_with(|| {
            nodes.push(node);
            (nodes.len() - 1) as u32
        })
    })
}

fn node(id: u32) -> Node {
    GRAPH.with_borrow(|graph| graph.nodes[id as usize])
}

/// A number that is known only by what it was made from. Belongs to the recording, and so to the thread, in which it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recorder(u32);

/// The outcome of a comparison of [`Recorder`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecorderMask(u32);

impl Recorder {
    /// The k-th input.
    pub fn input(k: usize) -> Self {
        Recorder(push(Node::Input(k as u32)))
    }

    /// Number of its node.
    pub fn id(self) -> u32 {
        self.0
    }

    /// Its value if that is the same whatever the inputs.
    pub fn known(self) -> Option<f64> {
        match node(self.0) {
            Node::Constant(bits) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    fn unary(self, op: Unary, f: impl Fn(f64) -> f64) -> Self {
        match self.known() {
            Some(c) => Self::constant(f(c)),
            None => Recorder(push(Node::Unary(op, self.0))),
        }
    }

    fn binary(self, other: Self, op: Binary) -> Self {
        // A sum or product does not depend on the order, so one order is enough.
        let (a, b) = if matches!(op, Binary::Add | Binary::Mul) && other.0 < self.0 {
            (other, self)
        } else {
            (self, other)
        };
        Recorder(push(Node::Binary(op, a.0, b.0)))
    }
}

impl RecorderMask {
    fn known(self) -> Option<bool> {
        match node(self.0) {
            Node::Truth(t) => Some(t),
            _ => None,
        }
    }
}

fn truth(t: bool) -> RecorderMask {
    RecorderMask(push(Node::Truth(t)))
}

fn compare(op: Logic, a: Recorder, b: Recorder, f: impl Fn(f64, f64) -> bool) -> RecorderMask {
    match (a.known(), b.known()) {
        (Some(x), Some(y)) => truth(f(x, y)),
        _ => RecorderMask(push(Node::Logic(op, a.0, b.0))),
    }
}

impl BitAnd for RecorderMask {
    type Output = Self;
    fn bitand(self, o: Self) -> Self {
        match (self.known(), o.known()) {
            (Some(false), _) | (_, Some(false)) => truth(false),
            (Some(true), _) => o,
            (_, Some(true)) => self,
            _ => RecorderMask(push(Node::Logic(Logic::And, self.0, o.0))),
        }
    }
}
impl BitOr for RecorderMask {
    type Output = Self;
    fn bitor(self, o: Self) -> Self {
        match (self.known(), o.known()) {
            (Some(true), _) | (_, Some(true)) => truth(true),
            (Some(false), _) => o,
            (_, Some(false)) => self,
            _ => RecorderMask(push(Node::Logic(Logic::Or, self.0, o.0))),
        }
    }
}
impl Not for RecorderMask {
    type Output = Self;
    fn not(self) -> Self {
        self.known()
            .map_or_else(|| RecorderMask(push(Node::Not(self.0))), |t| truth(!t))
    }
}

impl Add for Recorder {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        match (self.known(), o.known()) {
            (Some(a), Some(b)) => Self::constant(a + b),
            (Some(0.0), None) => o,
            (None, Some(0.0)) => self,
            _ => self.binary(o, Binary::Add),
        }
    }
}
impl Sub for Recorder {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        match (self.known(), o.known()) {
            (Some(a), Some(b)) => Self::constant(a - b),
            (Some(0.0), None) => -o,
            (None, Some(0.0)) => self,
            // x - c is x + (-c) to the bit.
            (None, Some(c)) => self + Self::constant(-c),
            _ => self.binary(o, Binary::Sub),
        }
    }
}
impl Mul for Recorder {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        match (self.known(), o.known()) {
            (Some(a), Some(b)) => Self::constant(a * b),
            (Some(0.0), None) | (None, Some(0.0)) => Self::constant(0.0),
            (Some(1.0), None) => o,
            (None, Some(1.0)) => self,
            (Some(-1.0), None) => -o,
            (None, Some(-1.0)) => -self,
            _ => self.binary(o, Binary::Mul),
        }
    }
}
impl Div for Recorder {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        match (self.known(), o.known()) {
            (Some(a), Some(b)) => Self::constant(a / b),
            (Some(0.0), None) => self,
            (None, Some(1.0)) => self,
            _ => self.binary(o, Binary::Div),
        }
    }
}
impl Neg for Recorder {
    type Output = Self;
    fn neg(self) -> Self {
        match node(self.0) {
            Node::Unary(Unary::Neg, a) => Recorder(a),
            _ => self.unary(Unary::Neg, |a| -a),
        }
    }
}

macro_rules! with_constant {
    ($($name:ident $method:ident $symbol:tt),*) => {$(
        impl $name<f64> for Recorder {
            type Output = Self;
            fn $method(self, o: f64) -> Self {
                self $symbol Self::constant(o)
            }
        }
    )*};
}
with_constant!(Add add +, Sub sub -, Mul mul *, Div div /);

impl Real for Recorder {
    type Mask = RecorderMask;

    fn constant(value: f64) -> Self {
        // One zero: a derivative that vanishes is the same with either sign.
        Recorder(push(Node::Constant(
            if value == 0.0 { 0.0f64 } else { value }.to_bits(),
        )))
    }
    fn exp(self) -> Self {
        self.unary(Unary::Exp, Real::exp)
    }
    fn ln(self) -> Self {
        self.unary(Unary::Ln, Real::ln)
    }
    fn sqrt(self) -> Self {
        self.unary(Unary::Sqrt, Real::sqrt)
    }
    fn powi(self, n: i32) -> Self {
        elementary::powi(Self::constant(1.0), self, n, |y| Self::constant(1.0) / y)
    }
    fn powf(self, e: f64) -> Self {
        match self.known() {
            Some(c) => Self::constant(Real::powf(c, e)),
            None => Recorder(push(Node::Powf(self.0, e.to_bits()))),
        }
    }
    fn tanh(self) -> Self {
        self.unary(Unary::Tanh, Real::tanh)
    }
    fn abs(self) -> Self {
        self.unary(Unary::Abs, Real::abs)
    }
    fn min(self, other: Self) -> Self {
        match (self.known(), other.known()) {
            (Some(a), Some(b)) => Self::constant(Real::min(a, b)),
            _ => self.binary(other, Binary::Min),
        }
    }
    fn max(self, other: Self) -> Self {
        match (self.known(), other.known()) {
            (Some(a), Some(b)) => Self::constant(Real::max(a, b)),
            _ => self.binary(other, Binary::Max),
        }
    }
    fn lt(self, other: Self) -> RecorderMask {
        compare(Logic::Lt, self, other, |a, b| a < b)
    }
    fn le(self, other: Self) -> RecorderMask {
        compare(Logic::Le, self, other, |a, b| a <= b)
    }
    fn select(mask: RecorderMask, yes: Self, no: Self) -> Self {
        match mask.known() {
            _ if yes == no => yes,
            Some(true) => yes,
            Some(false) => no,
            None => Recorder(push(Node::Select(mask.0, yes.0, no.0))),
        }
    }
    fn x_over_exp_m1(self) -> Self {
        self.unary(Unary::XOverExpM1, Real::x_over_exp_m1)
    }
}
