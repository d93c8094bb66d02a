#include "cells.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

static inline double square(double x) { return x * x; }

/* x / (e - 1), e = exp(x), and its derivative by x; the series where the quotient would lose digits. */
static inline double u(double x, double e) {
  if (fabs(x) < 0.05) {
    double y = x * x;
    return 1 - x / 2 + y * (1.0 / 12 - y * (1.0 / 720 - y / 30240));
  }
  return x / (e - 1);
}
static inline double du(double x, double e) {
  if (fabs(x) < 0.05) {
    double y = x * x;
    return -0.5 + x * (1.0 / 6 - y * (1.0 / 180 - y / 5040));
  }
  double d = e - 1;
  return (d - x * e) / (d * d);
}

#include "ohara_rudy.h"

/* Beta-cell: Sherman, Rinzel, Keizer (1988); I_K2, zero in this form of the cell, is left out. */
#define RATE 50.0
#define SIGMA 0.93

static inline double logistic(double x) { return 1 / (1 + exp(-x)); }

static void beta_rhs(const double *restrict x, double v_s, double i_stim, double *restrict d) {
  double v = x[0], n = x[1], s = x[2];
  double m_inf = logistic((v + 20) * (1 / 12.0)), n_inf = logistic((v + 16) * (1 / 5.6)), s_inf = logistic((v - v_s) * 0.1);
  d[0] = (i_stim - 3.6 * m_inf * (v - 25) - (10 * n + 4 * s) * (v + 75)) * RATE;
  d[1] = SIGMA * RATE * (n_inf - n);
  d[2] = (s_inf - s) * (1 / 35.0);
}

static const int beta_columns[] = {0, 3, 5, 7}, beta_rows[] = {0, 1, 2, 0, 1, 0, 2};
static void beta_jacobian(const double *restrict x, double v_s, double i_stim, double *restrict a) {
  (void)i_stim;
  double v = x[0], n = x[1], s = x[2];
  double m_inf = logistic((v + 20) * (1 / 12.0)), n_inf = logistic((v + 16) * (1 / 5.6)), s_inf = logistic((v - v_s) * 0.1);
  a[0] = -(3.6 * (m_inf * (1 - m_inf) * (1 / 12.0) * (v - 25) + m_inf) + 10 * n + 4 * s) * RATE;
  a[1] = SIGMA * RATE * n_inf * (1 - n_inf) * (1 / 5.6);
  a[2] = s_inf * (1 - s_inf) * (0.1 / 35);
  a[3] = -10 * (v + 75) * RATE;
  a[4] = -SIGMA * RATE;
  a[5] = -4 * (v + 75) * RATE;
  a[6] = -1 / 35.0;
}

/* Hodgkin, Huxley (1952), rest at 0 mV. The rates take two exponentials: exp(-V/20) and exp(-V/10) are powers of exp(-V/80). */
typedef struct {
  double am, bm, ah, bh, an, bn;
  double zm, em, zn, en; /* (25 - V) / 10, (10 - V) / 10 and their exponentials */
} Rates;

static inline Rates rates(double v) {
  double e80 = exp(v * (-1 / 80.0)), e20 = square(square(e80)), e10 = square(e20), e18 = exp(v * (-1 / 18.0));
  double zm = (25 - v) * 0.1, zn = (10 - v) * 0.1;
  double em = 12.182493960703473 * e10, en = 2.718281828459045 * e10, eh = 20.085536923187668 * e10;
  return (Rates){u(zm, em), 4 * e18, 0.07 * e20, 1 / (eh + 1), 0.1 * u(zn, en), 0.125 * e80, zm, em, zn, en};
}

static void hh_rhs(const double *restrict x, double p, double i_stim, double *restrict d) {
  (void)p;
  double v = x[0], m = x[1], h = x[2], n = x[3];
  Rates r = rates(v);
  d[0] = i_stim - 120 * m * m * m * h * (v - 115) - 36 * square(square(n)) * (v + 12) - 0.3 * (v - 10.6);
  d[1] = r.am - (r.am + r.bm) * m;
  d[2] = r.ah - (r.ah + r.bh) * h;
  d[3] = r.an - (r.an + r.bn) * n;
}

static const int hh_columns[] = {0, 4, 6, 8, 10}, hh_rows[] = {0, 1, 2, 3, 0, 1, 0, 2, 0, 3};
static void hh_jacobian(const double *restrict x, double p, double i_stim, double *restrict a) {
  (void)p, (void)i_stim;
  double v = x[0], m = x[1], h = x[2], n = x[3];
  Rates r = rates(v);
  double dam = -0.1 * du(r.zm, r.em), dan = -0.01 * du(r.zn, r.en);
  double dbm = r.bm * (-1 / 18.0), dah = r.ah * (-1 / 20.0), dbh = 0.1 * r.bh * (1 - r.bh), dbn = r.bn * (-1 / 80.0);
  a[0] = -120 * m * m * m * h - 36 * square(square(n)) - 0.3;
  a[1] = dam - (dam + dbm) * m;
  a[2] = dah - (dah + dbh) * h;
  a[3] = dan - (dan + dbn) * n;
  a[4] = -360 * m * m * h * (v - 115);
  a[5] = -(r.am + r.bm);
  a[6] = -120 * m * m * m * (v - 115);
  a[7] = -(r.ah + r.bh);
  a[8] = -144 * n * n * n * (v + 12);
  a[9] = -(r.an + r.bn);
}

static const Cell cells[] = {
    {"sherman-1988", 3, 1, beta_columns, beta_rows, beta_rhs, beta_jacobian},
    {"hodgkin-huxley-1952", 4, 0, hh_columns, hh_rows, hh_rhs, hh_jacobian},
    {"ohara-rudy-2011", 41, 0, ohara_rudy_columns, ohara_rudy_rows, ohara_rudy_rhs, ohara_rudy_jacobian},
};

const Cell *find_cell(const char *name) {
  for (size_t k = 0; k < sizeof cells / sizeof *cells; k++)
    if (!strcmp(cells[k].name, name)) return cells + k;
  return NULL;
}

int cell_variables(const Cell *cell) { return cell->variables; }
int cell_parameters(const Cell *cell) { return cell->parameters; }
void cell_rhs(const Cell *cell, const double *x, double p, double i_stim, double *dx) { cell->rhs(x, p, i_stim, dx); }

void cell_dense_jacobian(const Cell *cell, const double *x, double p, double i_stim, double *by_columns) {
  int n = cell->variables;
  double entries[64 * 64];
  cell->jacobian(x, p, i_stim, entries);
  memset(by_columns, 0, sizeof(double) * n * n);
  for (int j = 0; j < n; j++)
    for (int k = cell->columns[j]; k < cell->columns[j + 1]; k++) by_columns[j * n + cell->rows[k]] = entries[k];
}
