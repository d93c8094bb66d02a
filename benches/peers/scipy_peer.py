"""scipy's side of benches/work_precision.sh; the arguments are those of every program there (benches/README.md), and `cells=FILE`.

    scipy_peer.py cells=cells.so model=ID method=M rtol=R atol=A t_end=T dt=DT precision=single|double threads=N repeats=K batch=FILE states=FILE|-

Methods: `lsoda` (exact Jacobian), `dop853` (explicit) and `radau` (exact Jacobian; slow, for references). The first two through
`scipy.integrate.ode`, whose loop over steps is compiled, which makes it about twice as fast as `solve_ivp`. Right-hand side and Jacobian
are the C functions of cells.c, called through ctypes. Threads are processes.
"""

import ctypes, json, multiprocessing, sys, time

import numpy, scipy
from scipy.integrate import ode, solve_ivp

task = dict(word.split("=", 1) for word in sys.argv[1:])
rtol, atol, t_end, dt = (float(task[key]) for key in ("rtol", "atol", "t_end", "dt"))
method, precision = task["method"], numpy.float32 if task["precision"] == "single" else numpy.float64
times = numpy.append(numpy.arange(round(t_end / dt)) * dt, t_end) if dt < t_end else numpy.array([t_end])

library = ctypes.CDLL(task["cells"])
library.find_cell.restype = ctypes.c_void_p
for name in ("cell_rhs", "cell_dense_jacobian"):
    getattr(library, name).argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_double, ctypes.c_double, ctypes.c_void_p]
    getattr(library, name).restype = None
cell = library.find_cell(task["model"].encode())
if not cell:
    sys.exit(f"no cell {task['model']}")
N, parameters = (f(ctypes.c_void_p(cell)) for f in (library.cell_variables, library.cell_parameters))


def solve(line):
    """Output [time][variable], and the evaluations of the right-hand side."""
    p, (amplitude, duration) = line[N] if parameters else 0.0, line[-2:]
    dx, jacobian, x, i_stim, evaluations = numpy.empty(N), numpy.empty((N, N)), line[:N].copy(), amplitude, 0
    inside, dx_at, jacobian_at = numpy.empty(N), dx.ctypes.data, jacobian.ctypes.data
    inside_at = inside.ctypes.data

    def rhs(t, y):
        nonlocal evaluations
        evaluations += 1
        inside[:] = y
        library.cell_rhs(cell, inside_at, p, i_stim, dx_at)
        return dx

    def jac(t, y):
        inside[:] = y
        library.cell_dense_jacobian(cell, inside_at, p, i_stim, jacobian_at)
        return jacobian.T

    out = numpy.full((len(times), N), numpy.nan, precision)
    if times[0] == 0:
        out[0] = x
    for begin, end, i_stim in ((0.0, min(duration, t_end), amplitude), (min(duration, t_end), t_end, 0.0)):
        if end <= begin:
            continue
        wanted = numpy.flatnonzero((times > begin) & (times <= end))
        if method == "radau":
            own = {"fun": lambda t, y: rhs(t, y).copy(), "jac": lambda t, y: jac(t, y).copy()}
            solution = solve_ivp(t_span=(begin, end), y0=x, method="Radau", t_eval=numpy.union1d(times[wanted], end), rtol=rtol, atol=atol, **own)
            if not solution.success:
                return out, evaluations
            out[wanted], x = solution.y.T[: len(wanted)], solution.y[:, -1]
            continue
        solver = ode(rhs, jac if method == "lsoda" else None)
        solver.set_integrator(method, rtol=rtol, atol=atol, nsteps=10**8, **({"with_jacobian": True} if method == "lsoda" else {}))
        solver.set_initial_value(x, begin)
        for k in wanted:
            out[k] = x = solver.integrate(times[k])
        if solver.t < end and solver.successful():
            x = solver.integrate(end)
        if not solver.successful():
            out[wanted] = numpy.nan
            return out, evaluations
        x = x.copy()
    return out, evaluations


if __name__ == "__main__":
    batch = numpy.loadtxt(task["batch"], ndmin=2)
    threads, seconds = int(task["threads"]), []
    pool = multiprocessing.get_context("fork").Pool(threads) if threads > 1 else None
    if pool:
        pool.map(abs, range(threads))  # the processes are there before the clock starts
    for _ in range(int(task["repeats"])):
        begin = time.perf_counter()
        all = pool.map(solve, batch, chunksize=1) if pool else [solve(line) for line in batch]
        seconds.append(time.perf_counter() - begin)
    states = numpy.array([out for out, _ in all])
    if task["states"] != "-":
        states.tofile(task["states"])
    failed = int(numpy.isnan(states[:, -1]).any(1).sum())
    print(json.dumps({"version": scipy.__version__, "seconds": seconds, "steps": None, "evaluations": sum(e for _, e in all), "jacobians": None, "failed": failed}))
