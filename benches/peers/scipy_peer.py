"""scipy's side of benches/integration.sh: the same files, the same answer as crates/ionoscope-dynamics/benches/integration.rs.

    scipy_beta_cell.py method=lsoda|dop853 rtol=R atol=A t_end=T threads=N repeats=K batch=FILE ends=FILE

`scipy.integrate.ode` is taken because its loop over steps is compiled: it is about twice as fast here as `solve_ivp`. The right-hand side
is plain Python on scalars, faster than numpy for three variables. Threads are processes. I_K2, zero in the original form, is left out.
"""

import json, multiprocessing, sys, time
from math import exp, nan

import scipy
from scipy.integrate import ode

task = dict(word.split("=", 1) for word in sys.argv[1:])
rtol, atol, t_end = (float(task[key]) for key in ("rtol", "atol", "t_end"))


def solve(start):
    *x0, v_s = start

    def rhs(t, x):
        v, n, s = x
        m_inf = 1 / (1 + exp((-20 - v) / 12))
        n_inf = 1 / (1 + exp((-16 - v) / 5.6))
        s_inf = 1 / (1 + exp((v_s - v) / 10))
        return (-50 * (3.6 * m_inf * (v - 25) + (10 * n + 4 * s) * (v + 75)), 46.5 * (n_inf - n), (s_inf - s) / 35)

    solver = ode(rhs).set_integrator(task["method"], rtol=rtol, atol=atol, nsteps=10**8).set_initial_value(x0, 0.0)
    x = solver.integrate(t_end)
    return x.tolist() if solver.successful() else [nan] * 3


if __name__ == "__main__":
    batch = [[float(word) for word in line.split()] for line in open(task["batch"])]
    threads, seconds = int(task["threads"]), []
    pool = multiprocessing.get_context("fork").Pool(threads) if threads > 1 else None
    if pool:
        pool.map(abs, range(threads))  # the processes are there before the clock starts
    for _ in range(int(task["repeats"])):
        begin = time.perf_counter()
        ends = pool.map(solve, batch, chunksize=1) if pool else [solve(start) for start in batch]
        seconds.append(time.perf_counter() - begin)
    with open(task["ends"], "w") as file:
        file.writelines(f"{v!r} {n!r} {s!r}\n" for v, n, s in ends)
    print(json.dumps({"version": scipy.__version__, "seconds": seconds, "steps": None, "evaluations": None}))
