// Kernels of the training of an operator: the passes of `architectures/fno/pass.rs`, the loss of `loss.rs`, the steps of `adam.rs` and `muon.rs`.
//
// Compiled at run time for the GPU that is there. Only what C and CUDA share, so that a C compiler can build the same text for a test on a machine
// without one: a kernel takes one structure, whose twin stands in `launch.rs`, and a stand-in defines KERNEL, INLINE, WAIT and the indices itself.
//
// Channels are rows, times are columns; sums have a fixed order, so that a training gives the same bits whenever it is run on the same GPU.

#ifndef KERNEL
#define KERNEL(name, Arguments) extern "C" __global__ void __launch_bounds__(256) name(const __grid_constant__ Arguments a)
#define INLINE static __device__ __forceinline__
#define SHARED __shared__
#define ALIGNED __align__(16)
#define WAIT() __syncthreads()
#endif

typedef long long Index;

enum { NONE, TANH, RELU, GELU, LEAKY_RELU };

// The activation at x; its derivative into `slope`.
INLINE float activate(int activation, float x, float *slope) {
    if (activation == TANH) {
        float y = tanhf(x);
        *slope = 1.0f - y * y;
        return y;
    }
    if (activation == RELU) {
        *slope = x > 0.0f ? 1.0f : 0.0f;
        return x > 0.0f ? x : 0.0f;
    }
    if (activation == LEAKY_RELU) {
        *slope = x > 0.0f ? 1.0f : 0.01f;
        return x > 0.0f ? x : 0.01f * x;
    }
    // x sigma(2 y) with y = sqrt(2/pi) (x + .044715 x^3)
    const float root = 0.7978845608028654f, cubic = 0.044715f;
    float s = 1.0f / (1.0f + expf(-2.0f * root * x * (1.0f + cubic * x * x)));
    float y = x * s;
    *slope = s + y * (1.0f - s) * 2.0f * root * (1.0f + 3.0f * cubic * x * x);
    return y;
}

// c[i][j] = after + times act(scale sum_k a[i][k] b[k][j] + bias[i] + gain add[i][j]), for every member of a batch; what is null is left out. `add`,
// `times`, `after` and `slope`, which takes the slopes of the activation, stand as c does. The sum may be cut into `splits` chunks, each with a
// result of its own.
typedef struct {
    const float *a, *b;
    float *c;
    const float *bias, *add, *times, *after;
    float *slope;
    Index a_row, a_column, a_batch, b_row, b_column, b_batch, c_row, c_column, c_batch;
    int m, n, k, splits, chunk, activation;
    float scale, gain;
} Product;

// A block of 256 threads makes TILE x TILE numbers, each thread PART x PART of them, DEEP terms of the sum at a time.
#define DEEP 16
#define PRODUCT(name, TILE, PART)                                                                                                                  \
    KERNEL(name, Product) {                                                                                                                        \
        /* A thread's rows stand together, aligned, so that they are read at once; its columns are apart, so that stores are contiguous. */         \
        SHARED ALIGNED float left[DEEP][TILE + 4], right[DEEP][TILE + 1];                                                                          \
        const int across = TILE / PART, tx = threadIdx.x % across, ty = threadIdx.x / across;                                                      \
        const int i0 = blockIdx.y * TILE, j0 = blockIdx.x * TILE;                                                                                  \
        const int member = blockIdx.z / a.splits, split = blockIdx.z % a.splits;                                                                   \
        const float *pa = a.a + member * a.a_batch, *pb = a.b + member * a.b_batch;                                                                \
        const int begin = split * a.chunk, end = begin + a.chunk < a.k ? begin + a.chunk : a.k;                                                    \
        float sum[PART][PART];                                                                                                                     \
        for (int r = 0; r < PART; r++)                                                                                                             \
            for (int s = 0; s < PART; s++) sum[r][s] = 0.0f;                                                                                       \
        for (int k0 = begin; k0 < end; k0 += DEEP) {                                                                                               \
            for (int at = threadIdx.x; at < TILE * DEEP; at += 256) {                                                                              \
                /* Neighbouring threads read along the axis that is contiguous. */                                                                 \
                int i = a.a_column == 1 ? at / DEEP : at % TILE, k = a.a_column == 1 ? at % DEEP : at / TILE;                                      \
                left[k][i] = i0 + i < a.m && k0 + k < end ? pa[(i0 + i) * a.a_row + (k0 + k) * a.a_column] : 0.0f;                                 \
                int j = a.b_row == 1 ? at / DEEP : at % TILE, l = a.b_row == 1 ? at % DEEP : at / TILE;                                            \
                right[l][j] = j0 + j < a.n && k0 + l < end ? pb[(k0 + l) * a.b_row + (j0 + j) * a.b_column] : 0.0f;                                \
            }                                                                                                                                      \
            WAIT();                                                                                                                                \
            for (int k = 0; k < DEEP; k++) {                                                                                                       \
                float x[PART], y[PART];                                                                                                            \
                for (int r = 0; r < PART; r++) x[r] = left[k][ty * PART + r];                                                                    \
                for (int s = 0; s < PART; s++) y[s] = right[k][tx + s * across];                                                                   \
                for (int r = 0; r < PART; r++)                                                                                                     \
                    for (int s = 0; s < PART; s++) sum[r][s] += x[r] * y[s];                                                                       \
            }                                                                                                                                      \
            WAIT();                                                                                                                                \
        }                                                                                                                                          \
        for (int r = 0; r < PART; r++)                                                                                                             \
            for (int s = 0; s < PART; s++) {                                                                                                       \
                const int i = i0 + ty * PART + r, j = j0 + tx + s * across;                                                                      \
                if (i < a.m && j < a.n) finish(&a, blockIdx.z * a.c_batch + i * a.c_row + j * a.c_column, i, sum[r][s]);                           \
            }                                                                                                                                      \
    }

INLINE void finish(const Product *a, Index at, int i, float sum) {
    float x = a->scale * sum;
    if (a->bias) x += a->bias[i];
    if (a->add) x += a->gain * a->add[at];
    if (a->activation != NONE) {
        float slope;
        x = activate(a->activation, x, &slope);
        if (a->slope) a->slope[at] = slope;
    }
    if (a->times) x *= a->times[at];
    if (a->after) x += a->after[at];
    a->c[at] = x;
}

PRODUCT(product_large, 64, 4)
PRODUCT(product_small, 32, 2)

// Applies the matrices of all modes, `[mode][re, im][from][to]`, to modes `[sample][re then im, by mode][channel]`.
typedef struct {
    const float *spectral, *from, *d;
    float *to;
    int width, modes, samples;
} Mix;

// to = R from
KERNEL(mix, Mix) {
    const int w = a.width, half = a.modes * w, m = blockIdx.y;
    const int i = blockIdx.x * 64 + threadIdx.x % 64, sample = blockIdx.z * 4 + threadIdx.x / 64;
    if (i >= w || sample >= a.samples) return;
    const float *re = a.spectral + (Index)m * 2 * w * w, *im = re + w * w;
    const float *x = a.from + (Index)sample * 2 * half + m * w;
    float y_re = 0.0f, y_im = 0.0f;
    for (int j = 0; j < w; j++) {
        float p = x[j], q = x[half + j];
        y_re += re[j * w + i] * p - im[j * w + i] * q;
        y_im += re[j * w + i] * q + im[j * w + i] * p;
    }
    float *y = a.to + (Index)sample * 2 * half + m * w;
    y[i] = y_re;
    y[half + i] = y_im;
}

// Gradient by `from`, into `to`, for that by the result, `d`.
KERNEL(unmix, Mix) {
    const int w = a.width, half = a.modes * w, m = blockIdx.y;
    const int j = blockIdx.x * 64 + threadIdx.x % 64, sample = blockIdx.z * 4 + threadIdx.x / 64;
    if (j >= w || sample >= a.samples) return;
    const float *re = a.spectral + (Index)m * 2 * w * w + j * w, *im = re + w * w;
    const float *d = a.d + (Index)sample * 2 * half + m * w;
    float x_re = 0.0f, x_im = 0.0f;
    for (int i = 0; i < w; i++) {
        x_re += re[i] * d[i] + im[i] * d[half + i];
        x_im += re[i] * d[half + i] - im[i] * d[i];
    }
    float *x = a.to + (Index)sample * 2 * half + m * w;
    x[j] = x_re;
    x[half + j] = x_im;
}

// Gradient by the matrices, into `to`, summed over the samples.
KERNEL(unmix_matrices, Mix) {
    const int w = a.width, half = a.modes * w, m = blockIdx.z;
    const int i = blockIdx.x * 64 + threadIdx.x % 64, j = blockIdx.y * 4 + threadIdx.x / 64;
    if (i >= w || j >= w) return;
    float g_re = 0.0f, g_im = 0.0f;
    for (int sample = 0; sample < a.samples; sample++) {
        const float *x = a.from + (Index)sample * 2 * half + m * w, *d = a.d + (Index)sample * 2 * half + m * w;
        g_re += d[i] * x[j] + d[half + i] * x[half + j];
        g_im += d[half + i] * x[j] - d[i] * x[half + j];
    }
    float *g = a.to + (Index)m * 2 * w * w + j * w + i;
    g[0] = g_re;
    g[w * w] = g_im;
}

// Sum over the 256 threads of a block, for all of them.
#define SUM(name, Number)                                                                                                                          \
    INLINE Number name(Number x, Number *memory) {                                                                                                 \
        memory[threadIdx.x] = x;                                                                                                                   \
        WAIT();                                                                                                                                    \
        for (int half = 128; half > 0; half /= 2) {                                                                                                \
            if (threadIdx.x < half) memory[threadIdx.x] += memory[threadIdx.x + half];                                                             \
            WAIT();                                                                                                                                \
        }                                                                                                                                          \
        Number total = memory[0];                                                                                                                  \
        WAIT();                                                                                                                                    \
        return total;                                                                                                                              \
    }
SUM(sum_single, float)
SUM(sum_double, double)

// to[sample][row] = sum of a row of d.
typedef struct {
    const float *d;
    float *to;
    Index row, batch, to_batch;
    int columns;
} RowSums;

KERNEL(row_sums, RowSums) {
    SHARED float memory[256];
    const float *d = a.d + blockIdx.y * a.batch + blockIdx.x * a.row;
    float sum = 0.0f;
    for (int t = threadIdx.x; t < a.columns; t += 256) sum += d[t];
    sum = sum_single(sum, memory);
    if (threadIdx.x == 0) a.to[blockIdx.y * a.to_batch + blockIdx.x] = sum;
}

// c = a b, elementwise
typedef struct {
    const float *a, *b;
    float *c;
    Index length;
} Multiply;

KERNEL(multiply, Multiply) {
    const Index at = blockIdx.x * (Index)256 + threadIdx.x;
    if (at < a.length) a.c[at] = a.a[at] * a.b[at];
}

// The inputs of the samples of a batch, one after the other.
typedef struct {
    const float *inputs;
    const unsigned *order;
    float *x;
    Index length;
} Gather;

KERNEL(gather, Gather) {
    const Index at = blockIdx.x * (Index)256 + threadIdx.x;
    if (at < a.length) a.x[blockIdx.y * a.length + at] = a.inputs[a.order[blockIdx.y] * a.length + at];
}

// The loss of every sample and variable of a batch, and the gradient by the output y of their mean over the variables.
typedef struct {
    const float *y, *x, *base, *gain, *scale, *size;
    const unsigned *order;
    float *d;
    double *losses;
    int points, variables;
    float normalised, physical, slope;
} Loss;

KERNEL(loss, Loss) {
    SHARED float memory[256];
    const int n = a.points, i = blockIdx.x, sample = blockIdx.y;
    const Index row = (Index)sample * a.variables + i, known = (Index)a.order[sample] * a.variables + i;
    const float *y = a.y + row * n, *x = a.x + known * n, *gain = a.gain + i * n, *scale = a.scale + i * n;
    const float *base = a.base ? a.base + i * n : 0, *size = a.size + 3 * known;
    const float start = x[0];
#define ERROR(t) ((base ? base[t] : start) + gain[t] * y[t] - x[t])
    float by_scale = 0.0f, plain = 0.0f, steps = 0.0f;
    for (int t = threadIdx.x; t < n; t += 256) {
        float error = ERROR(t), step = t > 0 ? error - ERROR(t - 1) : 0.0f;
        by_scale += error / scale[t] * (error / scale[t]);
        plain += error * error;
        steps += step * step;
    }
    by_scale = sqrtf(sum_single(by_scale, memory));
    if (threadIdx.x == 0) a.losses[row] = by_scale / size[0];
    if (!a.d) return;
    plain = sqrtf(sum_single(plain, memory));
    steps = sqrtf(sum_single(steps, memory));
    const float normalised = a.normalised / (fmaxf(by_scale, 1e-12f) * size[0] * a.variables);
    const float physical = a.physical / (fmaxf(plain, 1e-12f) * size[1] * a.variables);
    const float slope = a.slope / (fmaxf(steps, 1e-12f) * size[2] * a.variables);
    float *d = a.d + row * n;
    for (int t = threadIdx.x; t < n; t += 256) {
        float error = ERROR(t), by = normalised * error / (scale[t] * scale[t]);
        if (physical > 0.0f) by += physical * error;
        if (slope > 0.0f) {
            if (t > 0) by += slope * (error - ERROR(t - 1));
            if (t + 1 < n) by -= slope * (ERROR(t + 1) - error);
        }
        d[t] = by * gain[t];
    }
}

// gradient = share times the sum of parts, `[count][stride]`.
typedef struct {
    const float *parts;
    double *gradient;
    Index stride, length;
    int count;
    double share;
} Reduce;

KERNEL(reduce, Reduce) {
    const Index at = blockIdx.x * (Index)256 + threadIdx.x;
    if (at >= a.length) return;
    double sum = 0.0;
    for (int z = 0; z < a.count; z++) sum += a.parts[z * a.stride + at];
    a.gradient[at] = a.share * sum;
}

// What the steps of a batch share: what the gradient is multiplied by, and the first batch with a gradient that was not finite, from 1; 0: none.
typedef struct {
    double factor;
    Index bad;
} Status;

typedef struct {
    const double *gradient;
    double *partial;
    Status *status;
    Index length, batch;
    double clip;
} Clip;

// Sums of squares, one a block.
KERNEL(squares, Clip) {
    SHARED double memory[256];
    double sum = 0.0;
    for (Index at = blockIdx.x * (Index)256 + threadIdx.x; at < a.length; at += gridDim.x * (Index)256) sum += a.gradient[at] * a.gradient[at];
    sum = sum_double(sum, memory);
    if (threadIdx.x == 0) a.partial[blockIdx.x] = sum;
}

// One block: their total, of `length` blocks.
KERNEL(clip, Clip) {
    SHARED double memory[256];
    double sum = 0.0;
    for (Index at = threadIdx.x; at < a.length; at += 256) sum += a.partial[at];
    const double norm = sqrt(sum_double(sum, memory));
    if (threadIdx.x > 0) return;
    // Neither infinite nor not a number.
    if (!(norm <= 1.7e308) && a.status->bad == 0) a.status->bad = a.batch;
    a.status->factor = a.clip > 0.0 && norm > a.clip ? a.clip / norm : 1.0;
}

// A step of Adam.
typedef struct {
    double *weights, *first, *second;
    const double *gradient;
    const Status *status;
    Index length;
    double rate, beta1, beta2, epsilon, weight_decay, correction1, correction2;
} Adam;

KERNEL(adam, Adam) {
    const Index at = blockIdx.x * (Index)256 + threadIdx.x;
    if (at >= a.length || a.status->bad) return;
    const double g = a.status->factor * a.gradient[at];
    const double m = a.beta1 * a.first[at] + (1.0 - a.beta1) * g, v = a.beta2 * a.second[at] + (1.0 - a.beta2) * g * g;
    a.first[at] = m;
    a.second[at] = v;
    a.weights[at] = (1.0 - a.rate * a.weight_decay) * a.weights[at] - a.rate / a.correction1 * m / (sqrt(v / a.correction2) + a.epsilon);
}

// The running mean of the weights, and the weights in single precision.
typedef struct {
    const double *weights;
    double *average;
    float *single;
    const Status *status;
    Index length;
    double kept;
} Average;

KERNEL(average, Average) {
    const Index at = blockIdx.x * (Index)256 + threadIdx.x;
    if (at >= a.length || a.status->bad) return;
    const double w = a.weights[at];
    a.average[at] = a.kept * a.average[at] + (1.0 - a.kept) * w;
    a.single[at] = (float)w;
}

// Steps along orthogonalised gradients, of matrices of one shape that begin at `starts`; x holds them one after the other.
typedef struct {
    double *weights, *first;
    const double *gradient;
    const Status *status;
    const Index *starts;
    float *x;
    Index length;
    double momentum, size, rate, weight_decay;
} Muon;

// x = the gradient ahead, of length one; a block a matrix.
KERNEL(muon_ahead, Muon) {
    SHARED double memory[256];
    const Index start = a.starts[blockIdx.x];
    float *x = a.x + blockIdx.x * a.length;
    double sum = 0.0;
    for (Index at = threadIdx.x; at < a.length; at += 256) {
        double g = a.status->factor * a.gradient[start + at];
        x[at] = (float)(g + a.momentum * (a.momentum * a.first[start + at] + g));
        sum += (double)x[at] * x[at];
    }
    const float norm = (float)sqrt(sum_double(sum, memory));
    for (Index at = threadIdx.x; at < a.length; at += 256) x[at] = norm > 0.0f && norm <= 3.4e38f ? x[at] / norm : 0.0f;
}

// Moves the weights along x.
KERNEL(muon_step, Muon) {
    const Index at = blockIdx.x * (Index)256 + threadIdx.x, k = a.starts[blockIdx.y] + at;
    if (at >= a.length || a.status->bad) return;
    a.first[k] = a.momentum * a.first[k] + a.status->factor * a.gradient[k];
    a.weights[k] -= a.rate * (a.size * a.x[blockIdx.y * a.length + at] + a.weight_decay * a.weights[k]);
}
