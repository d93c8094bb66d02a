/* The cells as all peers compute them: one right-hand side and exact Jacobian in C, linked into CVODE's and diffsol's programs and loaded by
 * scipy's, so that no peer is slow for its way of writing the equations. */
#ifndef CELLS_H
#define CELLS_H

typedef struct {
  const char *name;        /* as in `ionoscope models` */
  int variables;
  int parameters;          /* that vary between trajectories: the beta-cell's v_s */
  const int *columns, *rows; /* the Jacobian's entries by columns: those of column j at columns[j] .. columns[j + 1] - 1, their rows */
  void (*rhs)(const double *x, double p, double i_stim, double *dx);
  void (*jacobian)(const double *x, double p, double i_stim, double *entries);
} Cell;

/* NULL where there is none of this name. */
const Cell *find_cell(const char *name);

/* For those who cannot read the structure (scipy). */
int cell_variables(const Cell *cell), cell_parameters(const Cell *cell);
void cell_rhs(const Cell *cell, const double *x, double p, double i_stim, double *dx);
void cell_dense_jacobian(const Cell *cell, const double *x, double p, double i_stim, double *by_columns);

#endif
