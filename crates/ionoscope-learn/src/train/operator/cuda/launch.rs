//! The GPU: its memory, and the kernels with their arguments.

use std::{ffi::CString, sync::Arc};

use cudarc::{
    driver::{
        CudaContext, CudaFunction, CudaSlice, CudaStream, DevicePtr, DeviceRepr, LaunchConfig,
        PushKernelArg, ValidAsZeroBits, sys,
    },
    nvrtc::{self, Ptx},
};

use crate::{Error, Result};

const SOURCE: &str = include_str!("kernels.cu");
/// Threads of a block, of all kernels.
const THREADS: u32 = 256;

/// An address on the GPU.
pub(super) type Pointer = u64;
/// No address.
pub(super) const NULL: Pointer = 0;

/// Arguments of the kernels; each has its twin in `kernels.cu`, with a description.
macro_rules! arguments {
    ($($name:ident { $($field:ident: $kind:ty),* })*) => {$(
        #[repr(C)]
        #[derive(Debug, Clone, Copy)]
        pub(super) struct $name { $(pub $field: $kind),* }
        // SAFETY: numbers and addresses only, laid out as C does.
        unsafe impl DeviceRepr for $name {}
    )*};
}

arguments! {
    Product {
        a: Pointer, b: Pointer, c: Pointer, bias: Pointer, add: Pointer, times: Pointer, after: Pointer, slope: Pointer,
        a_row: i64, a_column: i64, a_batch: i64, b_row: i64, b_column: i64, b_batch: i64, c_row: i64, c_column: i64, c_batch: i64,
        m: i32, n: i32, k: i32, splits: i32, chunk: i32, activation: i32, scale: f32, gain: f32
    }
    Mix { spectral: Pointer, from: Pointer, d: Pointer, to: Pointer, width: i32, modes: i32, samples: i32 }
    RowSums { d: Pointer, to: Pointer, row: i64, batch: i64, to_batch: i64, columns: i32 }
    Multiply { a: Pointer, b: Pointer, c: Pointer, length: i64 }
    Gather { inputs: Pointer, order: Pointer, x: Pointer, length: i64 }
    Loss {
        y: Pointer, x: Pointer, base: Pointer, gain: Pointer, scale: Pointer, size: Pointer, order: Pointer, d: Pointer, losses: Pointer,
        points: i32, variables: i32, normalized: f32, physical: f32, slope: f32
    }
    Reduce { parts: Pointer, gradient: Pointer, stride: i64, length: i64, count: i32, share: f64 }
    Status { factor: f64, bad: i64 }
    Clip { gradient: Pointer, partial: Pointer, status: Pointer, length: i64, batch: i64, clip: f64 }
    Adam {
        weights: Pointer, first: Pointer, second: Pointer, gradient: Pointer, status: Pointer, length: i64,
        rate: f64, beta1: f64, beta2: f64, epsilon: f64, weight_decay: f64, correction1: f64, correction2: f64
    }
    Average { weights: Pointer, average: Pointer, single: Pointer, status: Pointer, length: i64, kept: f64 }
    Muon {
        weights: Pointer, first: Pointer, gradient: Pointer, status: Pointer, starts: Pointer, x: Pointer, length: i64,
        momentum: f64, size: f64, rate: f64, weight_decay: f64
    }
}

// SAFETY: zeros are numbers.
unsafe impl ValidAsZeroBits for Status {}

/// A matrix on the GPU, or one for each member of a batch: how far it is to the next row, column and member.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix {
    pub at: Pointer,
    pub row: usize,
    pub column: usize,
    pub batch: usize,
}

impl Matrix {
    /// One matrix with rows of `columns` numbers.
    pub fn rows(at: Pointer, columns: usize) -> Self {
        Matrix {
            at,
            row: columns,
            column: 1,
            batch: 0,
        }
    }

    /// One every so many numbers.
    pub fn every(self, batch: usize) -> Self {
        Matrix { batch, ..self }
    }

    pub fn transposed(self) -> Self {
        Matrix {
            row: self.column,
            column: self.row,
            ..self
        }
    }
}

/// What is done to a product before it is stored: `after + times act(scale a b + bias + gain add)`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finish {
    pub bias: Pointer,
    pub add: Pointer,
    pub times: Pointer,
    pub after: Pointer,
    /// Where the slopes of the activation go.
    pub slope: Pointer,
    /// By its number in `kernels.cu`.
    pub activation: i32,
    pub scale: f32,
    pub gain: f32,
    /// Chunks of the sum, each with a result of its own.
    pub splits: usize,
}

impl Default for Finish {
    fn default() -> Self {
        let (bias, add, times, after, slope) = (NULL, NULL, NULL, NULL, NULL);
        Finish {
            bias,
            add,
            times,
            after,
            slope,
            activation: 0,
            scale: 1.0,
            gain: 1.0,
            splits: 1,
        }
    }
}

/// Numbers on the GPU.
#[derive(Debug)]
pub(super) struct Buffer<T> {
    slice: CudaSlice<T>,
    /// Where they begin.
    pub at: Pointer,
}

impl<T> Buffer<T> {
    /// Address of a number.
    pub fn from(&self, index: usize) -> Pointer {
        self.at + (index * size_of::<T>()) as Pointer
    }
}

/// A GPU with the kernels. Everything is done in one stream, in order, so that nothing needs to wait for anything.
pub(super) struct Gpu {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    kernels: Kernels,
}

macro_rules! kernels {
    ($($name:ident),*) => {
        pub(super) struct Kernels { $($name: CudaFunction),* }
        impl Kernels {
            fn load(module: &Arc<cudarc::driver::CudaModule>) -> Result<Self> {
                Ok(Kernels { $($name: module.load_function(stringify!($name)).map_err(failed)?),* })
            }
        }
    };
}

kernels!(
    product_large,
    product_small,
    mix,
    unmix,
    unmix_matrices,
    row_sums,
    multiply,
    gather,
    loss,
    reduce,
    squares,
    clip,
    adam,
    average,
    muon_ahead,
    muon_step
);

fn failed(e: impl std::fmt::Display) -> Error {
    Error::Failed(format!("the GPU: {e}"))
}

/// The first GPU that CUDA shows (`CUDA_VISIBLE_DEVICES` chooses).
///
/// # Errors
/// No driver, no run-time compiler, no GPU.
pub(super) fn context() -> Result<Arc<CudaContext>> {
    let absent = |what: &str, remedy: &str| {
        Err(Error::Invalid(format!(
            "--device cuda: {what}; {remedy}, or train on the CPU with --device cpu"
        )))
    };
    // SAFETY: libraries of these names are the system's own; loading them has no precondition.
    if !unsafe { sys::is_culib_present() } {
        return absent("this machine has no NVIDIA driver (libcuda)", "install it");
    }
    // SAFETY: as above.
    if !unsafe { nvrtc::sys::is_culib_present() } {
        return absent(
            "the run-time compiler of CUDA (libnvrtc) was not found",
            "install the CUDA toolkit or put the folder of the library into LD_LIBRARY_PATH",
        );
    }
    CudaContext::new(0).or_else(|e| {
        absent(
            &format!("no GPU could be used ({e})"),
            "look at what nvidia-smi says",
        )
    })
}

/// The kernels as code of a processor, such as `sm_90`. Code, not the intermediate language: that needs a driver as new as the compiler.
///
/// # Errors
/// A processor that the compiler does not know, kernels that do not compile.
fn compile(processor: &str) -> Result<Vec<u8>> {
    use nvrtc::{result, sys};
    let source = CString::new(SOURCE).map_err(failed)?;
    let program = result::create_program(&source, None).map_err(failed)?;
    let mut code = Vec::new();
    // SAFETY: the program was made above and is destroyed below; the buffer has the size that the compiler asks for.
    let done = unsafe {
        result::compile_program(program, &[format!("--gpu-architecture={processor}")])
            .and_then(|()| {
                let mut size = 0;
                sys::nvrtcGetCUBINSize(program, &mut size).result()?;
                code.resize(size, 0u8);
                sys::nvrtcGetCUBIN(program, code.as_mut_ptr().cast()).result()
            })
            .map_err(|e| {
                let log: Vec<u8> = result::get_program_log(program)
                    .unwrap_or_default()
                    .into_iter()
                    .map(|c| c as u8)
                    .collect();
                failed(format!(
                    "the kernels do not compile for {processor}: {e} {}",
                    String::from_utf8_lossy(&log).trim_end_matches('\0')
                ))
            })
    };
    // SAFETY: as above.
    unsafe { result::destroy_program(program) }.map_err(failed)?;
    done.map(|()| code)
}

impl Gpu {
    /// Compiles the kernels for the GPU.
    ///
    /// # Errors
    /// Those of [`context`]; kernels that do not compile.
    pub fn open() -> Result<Self> {
        let context = context()?;
        // SAFETY: all work is in one stream.
        unsafe { context.disable_event_tracking() };
        let (major, minor) = context.compute_capability().map_err(failed)?;
        let code = Ptx::from_binary(compile(&format!("sm_{major}{minor}"))?);
        let kernels = Kernels::load(&context.load_module(code).map_err(failed)?)?;
        Ok(Gpu {
            stream: context.default_stream(),
            context,
            kernels,
        })
    }

    /// What it is called.
    pub fn name(&self) -> String {
        self.context.name().unwrap_or_else(|_| "unknown".into())
    }

    /// Bytes of memory that are free.
    pub fn free(&self) -> Result<u64> {
        Ok(self.context.mem_get_info().map_err(failed)?.0 as u64)
    }

    /// Zeros.
    pub fn zeros<T: DeviceRepr + ValidAsZeroBits>(&self, length: usize) -> Result<Buffer<T>> {
        let slice = self.stream.alloc_zeros(length.max(1)).map_err(failed)?;
        let at = slice.device_ptr(&self.stream).0;
        Ok(Buffer { slice, at })
    }

    /// A copy of numbers.
    pub fn upload<T: DeviceRepr + ValidAsZeroBits>(&self, numbers: &[T]) -> Result<Buffer<T>> {
        let mut buffer = self.zeros(numbers.len())?;
        self.write(numbers, &mut buffer)?;
        Ok(buffer)
    }

    /// Overwrites the first numbers of a buffer.
    pub fn write<T: DeviceRepr>(&self, numbers: &[T], buffer: &mut Buffer<T>) -> Result<()> {
        if numbers.is_empty() {
            return Ok(());
        }
        self.stream
            .memcpy_htod(numbers, &mut buffer.slice.slice_mut(..numbers.len()))
            .map_err(failed)
    }

    /// Zeros again.
    pub fn clear<T: DeviceRepr + ValidAsZeroBits>(&self, buffer: &mut Buffer<T>) -> Result<()> {
        self.stream.memset_zeros(&mut buffer.slice).map_err(failed)
    }

    /// The first numbers of a buffer, after all that was asked for before.
    pub fn read<T: DeviceRepr + Clone>(&self, buffer: &Buffer<T>, length: usize) -> Result<Vec<T>> {
        let numbers = self
            .stream
            .clone_dtoh(&buffer.slice.slice(..length))
            .map_err(failed)?;
        self.stream.synchronize().map_err(failed)?;
        Ok(numbers)
    }

    fn launch<A: DeviceRepr>(
        &self,
        kernel: &CudaFunction,
        [x, y, z]: [usize; 3],
        arguments: &A,
    ) -> Result<()> {
        let config = LaunchConfig {
            grid_dim: (x as u32, y as u32, z as u32),
            block_dim: (THREADS, 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: every kernel takes the one structure that its method below gives it, with addresses of buffers that its caller holds.
        unsafe {
            self.stream
                .launch_builder(kernel)
                .arg(arguments)
                .launch(config)
        }
        .map_err(failed)?;
        Ok(())
    }

    /// c = a b of m x k and k x n matrices, for every member of a batch; with `splits` the c of a member stand one after the other.
    pub fn product(
        &self,
        c: Matrix,
        a: Matrix,
        b: Matrix,
        [m, n, k]: [usize; 3],
        members: usize,
        finish: Finish,
    ) -> Result<()> {
        let Finish {
            bias,
            add,
            times,
            after,
            slope,
            activation,
            scale,
            gain,
            splits,
        } = finish;
        // A tile wants to be filled.
        let (kernel, tile) = if m > 32 && n > 32 {
            (&self.kernels.product_large, 64)
        } else {
            (&self.kernels.product_small, 32)
        };
        let arguments = Product {
            a: a.at,
            b: b.at,
            c: c.at,
            bias,
            add,
            times,
            after,
            slope,
            a_row: a.row as i64,
            a_column: a.column as i64,
            a_batch: a.batch as i64,
            b_row: b.row as i64,
            b_column: b.column as i64,
            b_batch: b.batch as i64,
            c_row: c.row as i64,
            c_column: c.column as i64,
            c_batch: c.batch as i64,
            m: m as i32,
            n: n as i32,
            k: k as i32,
            splits: splits as i32,
            chunk: k.div_ceil(splits) as i32,
            activation,
            scale,
            gain,
        };
        self.launch(
            kernel,
            [n.div_ceil(tile), m.div_ceil(tile), members * splits],
            &arguments,
        )
    }

    pub fn mix(&self, a: Mix) -> Result<()> {
        self.launch(&self.kernels.mix, by_mode(&a), &a)
    }

    pub fn unmix(&self, a: Mix) -> Result<()> {
        self.launch(&self.kernels.unmix, by_mode(&a), &a)
    }

    pub fn unmix_matrices(&self, a: Mix) -> Result<()> {
        let (width, modes) = (a.width as usize, a.modes as usize);
        self.launch(
            &self.kernels.unmix_matrices,
            [width.div_ceil(64), width.div_ceil(4), modes],
            &a,
        )
    }

    pub fn row_sums(&self, a: RowSums, rows: usize, members: usize) -> Result<()> {
        self.launch(&self.kernels.row_sums, [rows, members, 1], &a)
    }

    pub fn multiply(&self, a: Multiply) -> Result<()> {
        self.launch(&self.kernels.multiply, [blocks(a.length), 1, 1], &a)
    }

    pub fn gather(&self, a: Gather, members: usize) -> Result<()> {
        self.launch(&self.kernels.gather, [blocks(a.length), members, 1], &a)
    }

    pub fn loss(&self, a: Loss, members: usize) -> Result<()> {
        self.launch(&self.kernels.loss, [a.variables as usize, members, 1], &a)
    }

    pub fn reduce(&self, a: Reduce) -> Result<()> {
        self.launch(&self.kernels.reduce, [blocks(a.length), 1, 1], &a)
    }

    /// Length of the gradient, and what it is to be multiplied by; `partial` has room for [`PARTIAL`] numbers.
    pub fn clip(&self, a: Clip) -> Result<()> {
        self.launch(&self.kernels.squares, [PARTIAL, 1, 1], &a)?;
        self.launch(
            &self.kernels.clip,
            [1, 1, 1],
            &Clip {
                length: PARTIAL as i64,
                ..a
            },
        )
    }

    pub fn adam(&self, a: Adam) -> Result<()> {
        self.launch(&self.kernels.adam, [blocks(a.length), 1, 1], &a)
    }

    pub fn average(&self, a: Average) -> Result<()> {
        self.launch(&self.kernels.average, [blocks(a.length), 1, 1], &a)
    }

    pub fn muon_ahead(&self, a: Muon, matrices: usize) -> Result<()> {
        self.launch(&self.kernels.muon_ahead, [matrices, 1, 1], &a)
    }

    pub fn muon_step(&self, a: Muon, matrices: usize) -> Result<()> {
        self.launch(&self.kernels.muon_step, [blocks(a.length), matrices, 1], &a)
    }
}

/// Blocks that add up the squares of a gradient.
pub(super) const PARTIAL: usize = 256;

fn blocks(length: i64) -> usize {
    (length as usize).div_ceil(THREADS as usize)
}

fn by_mode(a: &Mix) -> [usize; 3] {
    [
        (a.width as usize).div_ceil(64),
        a.modes as usize,
        (a.samples as usize).div_ceil(4),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "needs the run-time compiler of CUDA, no GPU; or scripts/test-cuda --stand-in"]
    fn the_kernels_compile_for_gpus_old_and_new() {
        for processor in ["sm_75", "sm_80", "sm_90", "sm_120"] {
            assert!(!compile(processor).unwrap().is_empty());
        }
    }
}
