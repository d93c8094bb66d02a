/*
 * What the project uses of CUDA's driver and run-time compiler, on the processor: the kernels are built by a C compiler, the threads of a block are
 * coroutines that change places at barriers. For tests of kernels and of what calls them on machines without a GPU; it says nothing about speed.
 *
 * It is stricter than a GPU where it can be: behind every buffer stands a page that must not be touched, new memory is not zero, and threads run
 * forwards and backwards in turn, so that most missing barriers show.
 *
 * `scripts/test-cuda` builds it twice, as libcuda.so and as libnvrtc.so.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500, COMPILATION = 6 };

/* ---- Memory ---- */

static const size_t PAGE = 4096;

typedef struct Block {
    char *pages, *data;
    size_t length;
    struct Block *next;
} Block;
static Block *blocks;

int cuMemAlloc_v2(uint64_t *pointer, size_t length) {
    size_t whole = (length + PAGE - 1) / PAGE * PAGE;
    char *pages = mmap(0, whole + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return OUT_OF_MEMORY;
    mprotect(pages + whole, PAGE, PROT_NONE);
    /* Numbers have at most eight bytes. */
    char *data = pages + whole - (length + 7) / 8 * 8;
    memset(pages, 0xff, whole);
    Block *block = malloc(sizeof *block);
    *block = (Block){pages, data, whole + PAGE, blocks};
    blocks = block;
    *pointer = (uint64_t)data;
    return SUCCESS;
}

int cuMemFree_v2(uint64_t pointer) {
    for (Block **at = &blocks; *at; at = &(*at)->next)
        if ((*at)->data == (char *)pointer) {
            Block *block = *at;
            *at = block->next;
            munmap(block->pages, block->length);
            free(block);
            return SUCCESS;
        }
    return INVALID_VALUE;
}

int cuMemGetInfo_v2(size_t *available, size_t *total) {
    const char *limit = getenv("CUDA_STAND_IN_BYTES");
    *available = *total = limit ? strtoull(limit, 0, 10) : (size_t)1 << 30;
    return SUCCESS;
}

int cuMemsetD8Async(uint64_t to, unsigned char value, size_t length, void *stream) {
    (void)stream;
    memset((void *)to, value, length);
    return SUCCESS;
}

int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t length, void *stream) {
    (void)stream;
    memcpy((void *)to, from, length);
    return SUCCESS;
}

int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t length, void *stream) {
    (void)stream;
    memcpy(to, (const void *)from, length);
    return SUCCESS;
}

/* ---- Devices and contexts: one of each ---- */

static int context;

int cuInit(unsigned flags) { return flags == 0 ? SUCCESS : INVALID_VALUE; }

int cuDeviceGet(int *device, int ordinal) {
    *device = ordinal;
    return ordinal == 0 ? SUCCESS : 101;
}

int cuDeviceGetCount(int *count) {
    *count = 1;
    return SUCCESS;
}

int cuDeviceGetName(char *name, int length, int device) {
    (void)device;
    snprintf(name, length, "stand-in");
    return SUCCESS;
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
    (void)device;
    /* Compute capability 8.0, and no memory pools. */
    *value = attribute == 75 ? 8 : 0;
    return SUCCESS;
}

int cuDevicePrimaryCtxRetain(void **made, int device) {
    (void)device;
    *made = &context;
    return SUCCESS;
}

int cuDevicePrimaryCtxRelease_v2(int device) { return device == 0 ? SUCCESS : INVALID_VALUE; }

int cuCtxGetCurrent(void **current) {
    *current = &context;
    return SUCCESS;
}

int cuCtxSetCurrent(void *wanted) { return wanted == &context ? SUCCESS : INVALID_VALUE; }

int cuCtxSynchronize(void) { return SUCCESS; }

int cuStreamSynchronize(void *stream) {
    (void)stream;
    return SUCCESS;
}

int cuGetErrorName(int error, const char **name) {
    (void)error;
    *name = "CUDA_ERROR_OF_THE_STAND_IN";
    return SUCCESS;
}

int cuGetErrorString(int error, const char **text) { return cuGetErrorName(error, text); }

/* ---- Modules: shared libraries, whose paths the compiler gives as its code ---- */

typedef struct {
    unsigned x, y, z;
} Three;

typedef struct {
    void *library;
    Three *thread, *block, *grid;
} Module;

typedef struct {
    Module *module;
    void (*run)(const void *);
} Function;

static void wait_for_others(void);

int cuModuleLoadData(void **made, const void *code) {
    Module *module = malloc(sizeof *module);
    module->library = dlopen(code, RTLD_NOW | RTLD_LOCAL);
    if (!module->library) {
        fprintf(stderr, "%s\n", dlerror());
        return NOT_FOUND;
    }
    unlink(code);
    module->thread = dlsym(module->library, "threadIdx");
    module->block = dlsym(module->library, "blockIdx");
    module->grid = dlsym(module->library, "gridDim");
    void (**wait)(void) = dlsym(module->library, "stand_in_wait");
    *wait = wait_for_others;
    *made = module;
    return SUCCESS;
}

int cuModuleUnload(void *module) {
    (void)module;
    return SUCCESS;
}

int cuModuleGetFunction(void **made, void *module, const char *name) {
    Function *function = malloc(sizeof *function);
    function->module = module;
    function->run = (void (*)(const void *))dlsym(function->module->library, name);
    *made = function;
    return function->run ? SUCCESS : NOT_FOUND;
}

/* ---- Kernels ---- */

/* Coroutines live as long as the program; jumps change between them, since changing contexts costs a system call each time. */
enum { MOST_THREADS = 1024, STACK = 1 << 16 };
static jmp_buf driver, threads[MOST_THREADS];
static int begun[MOST_THREADS], ended[MOST_THREADS];
static volatile int running;
static Function *function;
static const void *arguments;

static void wait_for_others(void) {
    if (!_setjmp(threads[running])) _longjmp(driver, 1);
}

static void thread(void) {
    for (;;) {
        function->run(arguments);
        ended[running] = 1;
        wait_for_others();
    }
}

/* Runs a thread up to its next barrier or its end. */
static void go_on(int t) {
    running = t;
    *function->module->thread = (Three){t, 0, 0};
    if (_setjmp(driver)) return;
    if (begun[t]) _longjmp(threads[t], 1);
    begun[t] = 1;
    ucontext_t first;
    getcontext(&first);
    first.uc_stack.ss_sp = malloc(STACK);
    first.uc_stack.ss_size = STACK;
    makecontext(&first, thread, 0);
    setcontext(&first);
}

static void run_block(int count) {
    memset(ended, 0, sizeof ended);
    for (int left = count, phase = 0; left > 0; phase++) {
        left = 0;
        for (int k = 0; k < count; k++) {
            int t = phase % 2 ? count - 1 - k : k;
            if (ended[t]) continue;
            go_on(t);
            left += !ended[t];
        }
    }
}

int cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *stream, void **a,
                   void **extra) {
    (void)shared, (void)stream, (void)extra;
    if (gx == 0 || gy == 0 || gz == 0 || gy > 65535 || gz > 65535 || bx == 0 || bx > MOST_THREADS || by != 1 || bz != 1) return INVALID_VALUE;
    function = f;
    arguments = a[0];
    *function->module->grid = (Three){gx, gy, gz};
    for (unsigned z = 0; z < gz; z++)
        for (unsigned y = 0; y < gy; y++)
            for (unsigned x = 0; x < gx; x++) {
                *function->module->block = (Three){x, y, z};
                run_block(bx);
            }
    return SUCCESS;
}

/* ---- Run-time compiler ---- */

typedef struct {
    char *source;
    char path[64];
} Program;

int nvrtcCreateProgram(void **made, const char *source, const char *name, int headers, const char *const *texts, const char *const *names) {
    (void)name, (void)headers, (void)texts, (void)names;
    Program *program = malloc(sizeof *program);
    program->source = strdup(source);
    *made = program;
    return SUCCESS;
}

int nvrtcCompileProgram(void *made, int count, const char *const *options) {
    (void)count, (void)options;
    Program *program = made;
    snprintf(program->path, sizeof program->path, "/tmp/cuda-stand-in-%d-XXXXXX", getpid());
    int file = mkstemp(program->path);
    if (file < 0) return COMPILATION;
    close(file);
    char command[512];
    snprintf(command, sizeof command, "cc -std=gnu11 -O2 -ffp-contract=off -Wall -Wextra -Wno-sign-compare -Werror -shared -fPIC -include " KERNELS_H " -x c - -o %s -lm",
             program->path);
    FILE *compiler = popen(command, "w");
    if (!compiler) return COMPILATION;
    fputs(program->source, compiler);
    return pclose(compiler) == 0 ? SUCCESS : COMPILATION;
}

int nvrtcGetCUBINSize(void *program, size_t *size) {
    *size = strlen(((Program *)program)->path) + 1;
    return SUCCESS;
}

int nvrtcGetCUBIN(void *program, char *code) {
    strcpy(code, ((Program *)program)->path);
    return SUCCESS;
}

int nvrtcGetProgramLogSize(void *program, size_t *size) {
    (void)program;
    *size = 1;
    return SUCCESS;
}

int nvrtcGetProgramLog(void *program, char *log) {
    (void)program;
    *log = 0;
    return SUCCESS;
}

int nvrtcDestroyProgram(void **program) {
    free(((Program *)*program)->source);
    free(*program);
    *program = 0;
    return SUCCESS;
}
