//! A cell of `cells.c` as equations of diffsol: right-hand side, and the exact Jacobian written straight into the matrix.

use std::{
    cell::RefCell,
    ffi::{CStr, CString, c_char, c_int},
};

use diffsol::{
    ConstantOp, Matrix, NonLinearOp, NonLinearOpJacobian, OdeEquations, OdeEquationsRef, Op, Vector, VectorIndex,
    matrix::sparsity::MatrixSparsity,
    op::{ParameterisedOp, unit::UnitCallable},
};

/// `Cell` of `cells.h`.
#[repr(C)]
struct Description {
    name: *const c_char,
    variables: c_int,
    parameters: c_int,
    columns: *const c_int,
    rows: *const c_int,
    rhs: extern "C" fn(*const f64, f64, f64, *mut f64),
    jacobian: extern "C" fn(*const f64, f64, f64, *mut f64),
}

unsafe extern "C" {
    fn find_cell(name: *const c_char) -> *const Description;
}

#[derive(Clone, Copy)]
pub struct Cell(&'static Description);

// SAFETY: a constant of the C library, its functions are pure
unsafe impl Send for Cell {}
unsafe impl Sync for Cell {}

impl Cell {
    pub fn find(name: &str) -> Option<Cell> {
        let name = CString::new(name).ok()?;
        // SAFETY: gives NULL or a constant of the library
        unsafe { find_cell(name.as_ptr()).as_ref() }.map(Cell)
    }

    pub fn variables(&self) -> usize {
        self.0.variables as usize
    }

    pub fn parameters(&self) -> usize {
        self.0.parameters as usize
    }

    /// (row, column) of the Jacobian's entries, column by column.
    fn entries(&self) -> Vec<(usize, usize)> {
        let n = self.variables();
        // SAFETY: as cells.h says
        let columns = unsafe { std::slice::from_raw_parts(self.0.columns, n + 1) };
        let rows = unsafe { std::slice::from_raw_parts(self.0.rows, columns[n] as usize) };
        (0..n).flat_map(|j| (columns[j]..columns[j + 1]).map(move |k| (rows[k as usize] as usize, j))).collect()
    }

    #[allow(dead_code)]
    fn name(&self) -> &CStr {
        // SAFETY: a constant string
        unsafe { CStr::from_ptr(self.0.name) }
    }
}

/// A cell under a constant stimulus from a start.
pub struct Equations<M: Matrix<T = f64>> {
    cell: Cell,
    p: f64,
    i_stim: f64,
    x0: Vec<f64>,
    entries: Vec<(usize, usize)>,
    /// Where the entries go in the matrix' storage, where they come from, and their values.
    to: <M::V as Vector>::Index,
    from: <M::V as Vector>::Index,
    values: RefCell<M::V>,
    context: M::C,
}

impl<M: Matrix<T = f64>> Equations<M> {
    pub fn new(cell: Cell, p: f64, i_stim: f64, x0: Vec<f64>) -> Self {
        let (entries, context) = (cell.entries(), M::C::default());
        // storage of a sparse matrix is by columns as here, of a dense one the whole of it
        let to = entries.iter().enumerate().map(|(k, (i, j))| if M::is_sparse() { k } else { j * cell.variables() + i }).collect();
        let index = |v: Vec<usize>| <M::V as Vector>::Index::from_vec(v, context.clone());
        let (to, from) = (index(to), index((0..entries.len()).collect()));
        Equations { cell, p, i_stim, x0, to, from, values: RefCell::new(M::V::zeros(entries.len(), context.clone())), entries, context }
    }
}

pub struct Rhs<'a, M: Matrix<T = f64>>(&'a Equations<M>);
pub struct Init<'a, M: Matrix<T = f64>>(&'a Equations<M>);

macro_rules! op {
    ($name:ty, $self:ident, $equations:expr) => {
        impl<M: Matrix<T = f64>> Op for $name {
            type M = M;
            type V = M::V;
            type T = f64;
            type C = M::C;
            fn nstates(&$self) -> usize {
                $equations.cell.variables()
            }
            fn nout(&$self) -> usize {
                $equations.cell.variables()
            }
            fn nparams(&$self) -> usize {
                0
            }
            fn context(&$self) -> &M::C {
                &$equations.context
            }
        }
    };
}
op!(Rhs<'_, M>, self, self.0);
op!(Init<'_, M>, self, self.0);
op!(Equations<M>, self, self);

impl<M: Matrix<T = f64>> NonLinearOp for Rhs<'_, M> {
    fn call_inplace(&self, x: &M::V, _t: f64, y: &mut M::V) {
        let e = self.0;
        y.for_each_batch_host([x], |y, [x], _| (e.cell.0.rhs)(x.as_ptr(), e.p, e.i_stim, y.as_mut_ptr()));
    }
}

impl<M: Matrix<T = f64>> NonLinearOpJacobian for Rhs<'_, M> {
    fn jac_mul_inplace(&self, x: &M::V, _t: f64, v: &M::V, y: &mut M::V) {
        let e = self.0;
        let mut values = vec![0.0; e.entries.len()];
        y.for_each_batch_host([x, v], |y, [x, v], _| {
            (e.cell.0.jacobian)(x.as_ptr(), e.p, e.i_stim, values.as_mut_ptr());
            y.fill(0.0);
            for ((i, j), a) in e.entries.iter().zip(&values) {
                y[*i] += a * v[*j];
            }
        });
    }

    fn jacobian_inplace(&self, x: &M::V, _t: f64, y: &mut M) {
        let e = self.0;
        let mut values = e.values.borrow_mut();
        let states = x.clone_as_vec();
        values.for_each_batch_host([], |values, [], _| (e.cell.0.jacobian)(states.as_ptr(), e.p, e.i_stim, values.as_mut_ptr()));
        y.set_data_with_indices(&e.to, &e.from, &values);
    }

    fn jacobian_sparsity(&self) -> Option<M::Sparsity> {
        let n = self.0.cell.variables();
        M::is_sparse().then(|| MatrixSparsity::try_from_indices(n, n, self.0.entries.clone()).expect("a pattern within the matrix"))
    }
}

impl<M: Matrix<T = f64>> ConstantOp for Init<'_, M> {
    fn call_inplace(&self, _t: f64, y: &mut M::V) {
        y.for_each_batch_host([], |y, [], _| y.copy_from_slice(&self.0.x0));
    }
}

impl<'a, M: Matrix<T = f64>> OdeEquationsRef<'a> for Equations<M> {
    type Rhs = Rhs<'a, M>;
    type Init = Init<'a, M>;
    type Mass = ParameterisedOp<'a, UnitCallable<M>>;
    type Root = ParameterisedOp<'a, UnitCallable<M>>;
    type Out = ParameterisedOp<'a, UnitCallable<M>>;
    type Reset = ParameterisedOp<'a, UnitCallable<M>>;
}

impl<M: Matrix<T = f64>> OdeEquations for Equations<M> {
    fn rhs(&self) -> Rhs<'_, M> {
        Rhs(self)
    }
    fn init(&self) -> Init<'_, M> {
        Init(self)
    }
    fn mass(&self) -> Option<<Self as OdeEquationsRef<'_>>::Mass> {
        None
    }
    fn set_params(&mut self, _p: &M::V) {}
    fn get_params(&self, _p: &mut M::V) {}
}
