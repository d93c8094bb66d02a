//! Where the weights of a network stand in the flat list of all.

/// A matrix or a vector of weights, row-major in the flat list of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    pub name: String,
    pub shape: Vec<usize>,
    pub start: usize,
}

impl Block {
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn of<'a, T>(&self, weights: &'a [T]) -> &'a [T] {
        &weights[self.start..self.start + self.len()]
    }

    pub fn of_mut<'a, T>(&self, weights: &'a mut [T]) -> &'a mut [T] {
        &mut weights[self.start..self.start + self.len()]
    }
}

/// The blocks of a Fourier layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LayerBlocks {
    /// `[k][re, im][from][to]`
    pub spectral: Block,
    /// W and b.
    pub skip: [Block; 2],
    /// M1, c1, M2, c2 of a Zongyi layer.
    pub mlp: Option<[Block; 4]>,
}

/// Where the weights of a network stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub inputs: usize,
    pub outputs: usize,
    /// W1, b1, W2, b2.
    pub lifting: [Block; 4],
    pub layers: Vec<LayerBlocks>,
    /// P1, b1, P2, b2.
    pub projection: [Block; 4],
    pub count: usize,
}

/// Where the next block begins.
pub(super) struct Next {
    pub count: usize,
}

impl Next {
    pub fn block(&mut self, name: String, shape: &[usize]) -> Block {
        let block = Block {
            name,
            shape: shape.to_vec(),
            start: self.count,
        };
        self.count += block.len();
        block
    }

    /// Matrix and offsets of a layer.
    pub fn dense(&mut self, name: &str, from: usize, to: usize) -> [Block; 2] {
        [
            self.block(format!("{name}.weight"), &[to, from]),
            self.block(format!("{name}.bias"), &[to]),
        ]
    }

    /// Two layers, one after the other.
    pub fn two(&mut self, name: &str, [from, between, to]: [usize; 3]) -> [Block; 4] {
        let ([a, b], [c, d]) = (
            self.dense(&format!("{name}.1"), from, between),
            self.dense(&format!("{name}.2"), between, to),
        );
        [a, b, c, d]
    }
}

impl Layout {
    /// All blocks, in the order of the weights.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        let layers = self.layers.iter().flat_map(|l| {
            [&l.spectral]
                .into_iter()
                .chain(&l.skip)
                .chain(l.mlp.iter().flatten())
        });
        self.lifting.iter().chain(layers).chain(&self.projection)
    }
}
