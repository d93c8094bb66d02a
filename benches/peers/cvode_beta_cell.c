/* CVODE's side of benches/integration.sh: the same files, the same answer as crates/ionoscope-dynamics/benches/integration.rs.
 *
 *   cvode_beta_cell method=bdf|adams rtol=R atol=A t_end=T threads=N repeats=K batch=FILE ends=FILE
 *
 * bdf: Newton with the exact Jacobian and a dense direct solver. adams: orders up to 12, fixed-point iteration. Trajectories one after
 * another, shared out over OpenMP threads. The current I_K2, zero in the original form of the cell, is left out here.
 * For SUNDIALS 6 and later. */
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

#define RATE (1 / 0.02)
#define RATE_S (1 / 35.0)
#define SIGMA 0.93
#define G_CA 3.6
#define G_K 10.0
#define G_S 4.0
#define V_CA 25.0
#define V_K (-75.0)

static double logistic(double x) { return 1 / (1 + exp(-x)); }

static int rhs(sunrealtype t, N_Vector y, N_Vector dy, void *data) {
  (void)t;
  const double *x = N_VGetArrayPointer(y), v_s = *(double *)data;
  double *d = N_VGetArrayPointer(dy), v = x[0], n = x[1], s = x[2];
  double m_inf = logistic((v + 20) / 12), n_inf = logistic((v + 16) / 5.6), s_inf = logistic((v - v_s) / 10);
  d[0] = -(G_CA * m_inf * (v - V_CA) + (G_K * n + G_S * s) * (v - V_K)) * RATE;
  d[1] = SIGMA * (n_inf - n) * RATE;
  d[2] = (s_inf - s) * RATE_S;
  return 0;
}

static int jacobian(sunrealtype t, N_Vector y, N_Vector fy, SUNMatrix j, void *data, N_Vector a, N_Vector b, N_Vector c) {
  (void)t, (void)fy, (void)a, (void)b, (void)c;
  const double *x = N_VGetArrayPointer(y), v_s = *(double *)data;
  double v = x[0], n = x[1], s = x[2];
  double m_inf = logistic((v + 20) / 12), n_inf = logistic((v + 16) / 5.6), s_inf = logistic((v - v_s) / 10);
  double dm = m_inf * (1 - m_inf) / 12;
  double *v_column = SUNDenseMatrix_Column(j, 0), *n_column = SUNDenseMatrix_Column(j, 1), *s_column = SUNDenseMatrix_Column(j, 2);
  v_column[0] = -(G_CA * (dm * (v - V_CA) + m_inf) + G_K * n + G_S * s) * RATE;
  n_column[0] = -G_K * (v - V_K) * RATE;
  s_column[0] = -G_S * (v - V_K) * RATE;
  v_column[1] = SIGMA * n_inf * (1 - n_inf) / 5.6 * RATE;
  n_column[1] = -SIGMA * RATE;
  v_column[2] = s_inf * (1 - s_inf) / 10 * RATE_S;
  s_column[2] = -RATE_S;
  return 0;
}

/* start holds v n s v_s, end receives v n s; the number of steps and evaluations is added to work. 0 where it went well. */
static int solve(int adams, double rtol, double atol, double t_end, const double *start, double *end, long work[2]) {
  SUNContext context;
  if (SUNContext_Create(NULL, &context)) return 1;
  double v_s = start[3], t = 0;
  N_Vector y = N_VNew_Serial(3, context);
  memcpy(N_VGetArrayPointer(y), start, 3 * sizeof(double));
  void *cvode = CVodeCreate(adams ? CV_ADAMS : CV_BDF, context);
  SUNMatrix matrix = NULL;
  SUNLinearSolver linear = NULL;
  SUNNonlinearSolver nonlinear = NULL;
  int bad = CVodeInit(cvode, rhs, 0, y) || CVodeSStolerances(cvode, rtol, atol) || CVodeSetUserData(cvode, &v_s) ||
            CVodeSetMaxNumSteps(cvode, 100000000) || CVodeSetStopTime(cvode, t_end);
  if (adams) {
    nonlinear = SUNNonlinSol_FixedPoint(y, 0, context);
    bad = bad || CVodeSetNonlinearSolver(cvode, nonlinear);
  } else {
    matrix = SUNDenseMatrix(3, 3, context);
    linear = SUNLinSol_Dense(y, matrix, context);
    bad = bad || CVodeSetLinearSolver(cvode, linear, matrix) || CVodeSetJacFn(cvode, jacobian);
  }
  bad = bad || CVode(cvode, t_end, y, &t, CV_NORMAL) < 0;
  memcpy(end, N_VGetArrayPointer(y), 3 * sizeof(double));
  long steps = 0, evaluations = 0;
  CVodeGetNumSteps(cvode, &steps);
  CVodeGetNumRhsEvals(cvode, &evaluations);
  work[0] += steps;
  work[1] += evaluations;
  if (nonlinear) SUNNonlinSolFree(nonlinear);
  if (linear) SUNLinSolFree(linear);
  if (matrix) SUNMatDestroy(matrix);
  CVodeFree(&cvode);
  N_VDestroy(y);
  SUNContext_Free(&context);
  return bad;
}

static const char *value(int argc, char **argv, const char *key) {
  size_t length = strlen(key);
  for (int i = 1; i < argc; i++)
    if (!strncmp(argv[i], key, length) && argv[i][length] == '=') return argv[i] + length + 1;
  fprintf(stderr, "expected %s=VALUE\n", key);
  exit(2);
}

int main(int argc, char **argv) {
  int adams = !strcmp(value(argc, argv, "method"), "adams"), repeats = atoi(value(argc, argv, "repeats"));
  double rtol = atof(value(argc, argv, "rtol")), atol = atof(value(argc, argv, "atol")), t_end = atof(value(argc, argv, "t_end"));
  omp_set_num_threads(atoi(value(argc, argv, "threads")));
  FILE *file = fopen(value(argc, argv, "batch"), "r");
  if (!file) return perror("batch"), 1;
  int count = 0, room = 1024;
  double(*start)[4] = malloc(room * sizeof *start), (*end)[3];
  double *s;
  while (s = start[count], fscanf(file, "%lf %lf %lf %lf", s, s + 1, s + 2, s + 3) == 4)
    if (++count == room) start = realloc(start, (room *= 2) * sizeof *start);
  fclose(file);
  end = malloc((count + 1) * sizeof *end);
  long steps = 0, evaluations = 0;
  printf("{\"version\": \"%s\", \"seconds\": [", SUNDIALS_VERSION);
  for (int r = 0; r < repeats; r++) {
    steps = evaluations = 0;
    double begin = omp_get_wtime();
#pragma omp parallel for schedule(dynamic) reduction(+ : steps, evaluations)
    for (int k = 0; k < count; k++) {
      long work[2] = {0, 0};
      if (solve(adams, rtol, atol, t_end, start[k], end[k], work)) end[k][0] = end[k][1] = end[k][2] = NAN;
      steps += work[0];
      evaluations += work[1];
    }
    printf("%s%.9f", r ? ", " : "", omp_get_wtime() - begin);
  }
  printf("], \"steps\": %ld, \"evaluations\": %ld}\n", steps, evaluations);
  file = fopen(value(argc, argv, "ends"), "w");
  if (!file) return perror("ends"), 1;
  for (int k = 0; k < count; k++) fprintf(file, "%.17g %.17g %.17g\n", end[k][0], end[k][1], end[k][2]);
  return fclose(file) != 0;
}
