/* Read before the kernels when a C compiler builds them for `driver.c`. */
#include <math.h>

typedef struct {
    unsigned x, y, z;
} Three;

/* Of the thread that runs; set by the driver. */
Three threadIdx, blockIdx, gridDim;
/* Goes on with the block's other threads until they all stand here. */
void (*stand_in_wait)(void);

/* A kernel of its structure, and a function of its address for the driver. */
#define KERNEL(name, Arguments)                                                                                                                    \
    static void name##_kernel(const Arguments a);                                                                                                  \
    void name(const void *a) { name##_kernel(*(const Arguments *)a); }                                                                             \
    static void name##_kernel(const Arguments a)
#define INLINE static inline
/* One block runs after the other. */
#define SHARED static
#define ALIGNED __attribute__((aligned(16)))
#define WAIT() stand_in_wait()
