//! Files of named tensors: `.safetensors`, with one JSON document of ours in the header's metadata.

use std::collections::HashMap;

use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};

/// Key of the metadata entry that holds the document.
const KEY: &str = "ionoscope";

/// A tensor to be written, row-major.
pub(crate) struct Tensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tensor {
    /// Of double precision.
    pub fn f64(name: impl Into<String>, shape: &[usize], values: &[f64]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Tensor::new(name, Dtype::F64, shape, bytes)
    }

    /// Of single precision.
    pub fn f32(name: impl Into<String>, shape: &[usize], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Tensor::new(name, Dtype::F32, shape, bytes)
    }

    /// Of whole numbers.
    pub fn u32(name: impl Into<String>, shape: &[usize], values: &[u32]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Tensor::new(name, Dtype::U32, shape, bytes)
    }

    fn new(name: impl Into<String>, dtype: Dtype, shape: &[usize], bytes: Vec<u8>) -> Self {
        Tensor {
            name: name.into(),
            dtype,
            shape: shape.to_vec(),
            bytes,
        }
    }
}

/// The content of a file.
///
/// # Errors
/// A tensor whose shape is not that of its values.
pub(crate) fn to_bytes(document: String, tensors: &[Tensor]) -> Result<Vec<u8>, SafeTensorError> {
    let views = tensors
        .iter()
        .map(|t| TensorView::new(t.dtype, t.shape.clone(), &t.bytes).map(|v| (t.name.as_str(), v)))
        .collect::<Result<Vec<_>, _>>()?;
    safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), document)])))
}

/// Why the content of a file is none of ours.
pub(crate) enum Damage {
    /// It is no `.safetensors` file, or not a whole one.
    Unreadable(SafeTensorError),
    /// It has no document.
    NoDocument,
}

impl Damage {
    /// As a sentence about a file that should have held a `kind`.
    pub fn of(&self, kind: &str) -> String {
        let expected = format!("expected a {kind} written by ionoscope");
        match self {
            Damage::Unreadable(e) => {
                format!("not a readable .safetensors file, or truncated ({e}); {expected}")
            }
            Damage::NoDocument => format!("its header has no '{KEY}' entry; {expected}"),
        }
    }
}

/// The document in the content of a file, which may be truncated behind it.
pub(crate) fn document(bytes: &[u8]) -> Result<String, Damage> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(Damage::Unreadable)?;
    let entry = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
    entry.cloned().ok_or(Damage::NoDocument)
}

/// The tensors in the content of a file.
pub(crate) struct Tensors<'a>(SafeTensors<'a>);

impl<'a> Tensors<'a> {
    /// Reads them.
    ///
    /// # Errors
    /// A file that is truncated.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Damage> {
        SafeTensors::deserialize(bytes)
            .map(Tensors)
            .map_err(Damage::Unreadable)
    }

    /// The first size of a tensor; none where there is no such tensor, or where it is a single number.
    pub fn length(&self, name: &str) -> Option<usize> {
        self.0.tensor(name).ok()?.shape().first().copied()
    }

    /// A tensor of double precision, row-major.
    ///
    /// # Errors
    /// None of this name, or of another type or shape.
    pub fn f64(&self, name: &str, shape: &[usize]) -> Result<Vec<f64>, String> {
        let words = self.data(name, Dtype::F64, shape)?.as_chunks::<8>().0;
        Ok(words.iter().map(|b| f64::from_le_bytes(*b)).collect())
    }

    /// A tensor of single precision, row-major.
    ///
    /// # Errors
    /// As [`f64`](Self::f64).
    pub fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        let words = self.data(name, Dtype::F32, shape)?.as_chunks::<4>().0;
        Ok(words.iter().map(|b| f32::from_le_bytes(*b)).collect())
    }

    /// A tensor of whole numbers, row-major.
    ///
    /// # Errors
    /// As [`f64`](Self::f64).
    pub fn u32(&self, name: &str, shape: &[usize]) -> Result<Vec<u32>, String> {
        let words = self.data(name, Dtype::U32, shape)?.as_chunks::<4>().0;
        Ok(words.iter().map(|b| u32::from_le_bytes(*b)).collect())
    }

    fn data(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&[u8], String> {
        let t = self.0.tensor(name).map_err(|_| {
            format!("tensor '{name}' is missing; the header does not match the tensors")
        })?;
        if t.dtype() != dtype || t.shape() != shape {
            return Err(format!(
                "tensor '{name}' is {:?} {:?}; the header asks for {dtype:?} {shape:?}",
                t.dtype(),
                t.shape()
            ));
        }
        Ok(t.data())
    }
}
