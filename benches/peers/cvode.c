/* CVODE's side of benches/work_precision.sh and benches/ensembles.sh; the arguments are those of every program there (benches/README.md).
 *
 *   cvode model=ID method=M rtol=R atol=A t_end=T dt=DT precision=single|double threads=N repeats=K batch=FILE states=FILE|-
 *
 * Methods: bdf (Newton, exact Jacobian, dense), bdf-klu (the same, sparse with KLU), bdf-dq (dense, Jacobian by CVODE's differences) and
 * adams (orders up to 12, fixed-point iteration). One trajectory after another, shared out over OpenMP threads; each thread keeps one CVODE
 * and restarts it, at the start of a trajectory and where the stimulus ends. For SUNDIALS 6 and later. */
#include <cvode/cvode.h>
#include <math.h>
#include <nvector/nvector_serial.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sundials/sundials_config.h>
#include <sunlinsol/sunlinsol_dense.h>
#include <sunmatrix/sunmatrix_dense.h>
#include <sunnonlinsol/sunnonlinsol_fixedpoint.h>
#ifdef WITH_KLU
#include <sunlinsol/sunlinsol_klu.h>
#include <sunmatrix/sunmatrix_sparse.h>
#endif

#include "cells.h"

typedef struct {
  const Cell *cell;
  double p, i_stim;
} Run;

typedef struct {
  const char *method;
  double rtol, atol, t_end, dt;
  int single;
  long times;
} Task;

typedef struct {
  SUNContext context;
  void *cvode;
  N_Vector y;
  SUNMatrix matrix;
  SUNLinearSolver linear;
  SUNNonlinearSolver nonlinear;
  Run run;
  long steps, evaluations, jacobians, failed;
} Worker;

static int rhs(sunrealtype t, N_Vector y, N_Vector dy, void *data) {
  (void)t;
  Run *r = data;
  r->cell->rhs(N_VGetArrayPointer(y), r->p, r->i_stim, N_VGetArrayPointer(dy));
  return 0;
}

static int jacobian(sunrealtype t, N_Vector y, N_Vector fy, SUNMatrix j, void *data, N_Vector a, N_Vector b, N_Vector c) {
  (void)t, (void)fy, (void)a, (void)b, (void)c;
  Run *r = data;
  cell_dense_jacobian(r->cell, N_VGetArrayPointer(y), r->p, r->i_stim, SUNDenseMatrix_Data(j));
  return 0;
}

#ifdef WITH_KLU
static int sparse_jacobian(sunrealtype t, N_Vector y, N_Vector fy, SUNMatrix j, void *data, N_Vector a, N_Vector b, N_Vector c) {
  (void)t, (void)fy, (void)a, (void)b, (void)c;
  Run *r = data;
  int n = r->cell->variables;
  sunindextype *columns = SUNSparseMatrix_IndexPointers(j), *rows = SUNSparseMatrix_IndexValues(j);
  for (int k = 0; k <= n; k++) columns[k] = r->cell->columns[k];
  for (int k = 0; k < r->cell->columns[n]; k++) rows[k] = r->cell->rows[k];
  r->cell->jacobian(N_VGetArrayPointer(y), r->p, r->i_stim, SUNSparseMatrix_Data(j));
  return 0;
}
#endif

static int make_worker(Worker *w, const Cell *cell, const Task *task) {
  memset(w, 0, sizeof *w);
  if (SUNContext_Create(NULL, &w->context)) return 1;
  int adams = !strcmp(task->method, "adams"), n = cell->variables;
  w->run.cell = cell;
  w->y = N_VNew_Serial(n, w->context);
  w->cvode = CVodeCreate(adams ? CV_ADAMS : CV_BDF, w->context);
  N_VConst(0, w->y);
  int bad = CVodeInit(w->cvode, rhs, 0, w->y) || CVodeSStolerances(w->cvode, task->rtol, task->atol) || CVodeSetUserData(w->cvode, &w->run) ||
            CVodeSetMaxNumSteps(w->cvode, 100000000);
  if (adams) {
    w->nonlinear = SUNNonlinSol_FixedPoint(w->y, 0, w->context);
    return bad || CVodeSetNonlinearSolver(w->cvode, w->nonlinear);
  }
  if (!strcmp(task->method, "bdf-klu")) {
#ifdef WITH_KLU
    w->matrix = SUNSparseMatrix(n, n, cell->columns[n], CSC_MAT, w->context);
    w->linear = SUNLinSol_KLU(w->y, w->matrix, w->context);
    return bad || CVodeSetLinearSolver(w->cvode, w->linear, w->matrix) || CVodeSetJacFn(w->cvode, sparse_jacobian);
#else
    fprintf(stderr, "built without KLU\n");
    return 1;
#endif
  }
  w->matrix = SUNDenseMatrix(n, n, w->context);
  w->linear = SUNLinSol_Dense(w->y, w->matrix, w->context);
  bad = bad || CVodeSetLinearSolver(w->cvode, w->linear, w->matrix);
  if (strcmp(task->method, "bdf-dq")) bad = bad || CVodeSetJacFn(w->cvode, jacobian);
  return bad;
}

static void count_work(Worker *w) {
  long n = 0;
  CVodeGetNumSteps(w->cvode, &n), w->steps += n, n = 0;
  CVodeGetNumRhsEvals(w->cvode, &n), w->evaluations += n, n = 0;
  if (!w->linear) return;
  CVodeGetNumLinRhsEvals(w->cvode, &n), w->evaluations += n, n = 0;
  CVodeGetNumJacEvals(w->cvode, &n), w->jacobians += n;
}

static void keep(const Worker *w, const Task *task, void *out, long time) {
  const double *x = N_VGetArrayPointer(w->y);
  int n = w->run.cell->variables;
  if (task->single)
    for (int i = 0; i < n; i++) ((float *)out)[time * n + i] = (float)x[i];
  else
    memcpy((double *)out + time * n, x, n * sizeof(double));
}

/* A line of the batch holds the start, the parameter where one varies, amplitude and duration of the stimulus. Fills out[time][variable]. */
static void solve(Worker *w, const Task *task, const double *line, void *out) {
  const Cell *cell = w->run.cell;
  const double *rest = line + cell->variables;
  double amplitude = rest[cell->parameters], duration = rest[cell->parameters + 1], t = 0;
  w->run.p = cell->parameters ? rest[0] : 0;
  memcpy(N_VGetArrayPointer(w->y), line, cell->variables * sizeof(double));
  long next = 0;
  if (task->dt < task->t_end) keep(w, task, out, next++); /* otherwise the end alone is wanted */
  for (int piece = 0; piece < 2; piece++) {
    double begin = piece ? fmin(duration, task->t_end) : 0, end = piece ? task->t_end : fmin(duration, task->t_end);
    if (!(end > begin)) continue;
    w->run.i_stim = piece ? 0 : amplitude;
    int bad = CVodeReInit(w->cvode, begin, w->y) || CVodeSetStopTime(w->cvode, end);
    for (; !bad && next < task->times; next++) {
      double wanted = next + 1 == task->times ? task->t_end : next * task->dt;
      if (wanted > end * (1 + 1e-14)) break;
      bad = CVode(w->cvode, fmin(wanted, end), w->y, &t, CV_NORMAL) < 0;
      if (!bad) keep(w, task, out, next);
    }
    if (!bad && t < end) bad = CVode(w->cvode, end, w->y, &t, CV_NORMAL) < 0;
    count_work(w);
    if (bad) {
      N_VConst(NAN, w->y);
      for (w->failed++; next < task->times; next++) keep(w, task, out, next);
      return;
    }
  }
}

static const char *value(int argc, char **argv, const char *key) {
  size_t length = strlen(key);
  for (int i = 1; i < argc; i++)
    if (!strncmp(argv[i], key, length) && argv[i][length] == '=') return argv[i] + length + 1;
  fprintf(stderr, "expected %s=VALUE\n", key);
  exit(2);
}

int main(int argc, char **argv) {
#define TEXT(key) value(argc, argv, key)
#define NUMBER(key) atof(TEXT(key))
  const Cell *cell = find_cell(TEXT("model"));
  if (!cell) return fprintf(stderr, "no cell %s\n", TEXT("model")), 2;
  Task task = {TEXT("method"), NUMBER("rtol"), NUMBER("atol"), NUMBER("t_end"), NUMBER("dt"), !strcmp(TEXT("precision"), "single"), 1};
  if (task.dt < task.t_end) task.times = lround(task.t_end / task.dt) + 1;
  int threads = atoi(TEXT("threads")), repeats = atoi(TEXT("repeats"));

  FILE *file = fopen(TEXT("batch"), "r");
  if (!file) return perror("batch"), 1;
  size_t width = cell->variables + cell->parameters + 2, room = 1 << 16, read = 0;
  double *batch = malloc(room * sizeof *batch);
  while (fscanf(file, "%lf", batch + read) == 1)
    if (++read == room) batch = realloc(batch, (room *= 2) * sizeof *batch);
  fclose(file);
  long count = read / width;
  size_t size = task.times * cell->variables * (task.single ? sizeof(float) : sizeof(double));
  char *out = calloc(count, size);
  if (!out || read % width) return fprintf(stderr, "batch: %zu numbers, %zu a line\n", read, width), 1;

  omp_set_num_threads(threads);
  long steps = 0, evaluations = 0, jacobians = 0, failed = 0;
  printf("{\"version\": \"%s\", \"seconds\": [", SUNDIALS_VERSION);
  for (int r = 0; r < repeats; r++) {
    steps = evaluations = jacobians = failed = 0;
    double begin = omp_get_wtime();
#pragma omp parallel reduction(+ : steps, evaluations, jacobians, failed)
    {
      Worker w;
      int bad = make_worker(&w, cell, &task);
      if (bad) exit(1);
#pragma omp for schedule(dynamic)
      for (long k = 0; k < count; k++) solve(&w, &task, batch + k * width, out + k * size);
      steps += w.steps, evaluations += w.evaluations, jacobians += w.jacobians, failed += w.failed;
      if (w.nonlinear) SUNNonlinSolFree(w.nonlinear);
      if (w.linear) SUNLinSolFree(w.linear);
      if (w.matrix) SUNMatDestroy(w.matrix);
      CVodeFree(&w.cvode);
      N_VDestroy(w.y);
      SUNContext_Free(&w.context);
    }
    printf("%s%.9f", r ? ", " : "", omp_get_wtime() - begin);
  }
  printf("], \"steps\": %ld, \"evaluations\": %ld, \"jacobians\": %ld, \"failed\": %ld}\n", steps, evaluations, jacobians, failed);
  if (!strcmp(TEXT("states"), "-")) return 0;
  if (!(file = fopen(TEXT("states"), "wb"))) return perror("states"), 1;
  fwrite(out, size, count, file);
  return fclose(file) != 0;
}
