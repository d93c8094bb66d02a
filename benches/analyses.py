"""Runs benches/analyses.sh's comparison; called by it. The peer is what a careful user writes: fixed-step Runge-Kutta 4 in loops compiled by
numba, over all cores where trajectories are independent. What is measured and how to read it: benches/README.md."""

import argparse, json, math, os, pathlib, platform, statistics, subprocess, sys, time

import numba, numpy
from numba import njit, prange

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("ionoscope")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("-o", "--output", default="out/benches")
args = parser.parse_args()
THREADS = min(2, os.cpu_count() or 1)
numba.set_num_threads(THREADS)


def ours(*words):
    begin = time.perf_counter()
    done = subprocess.run([args.ionoscope, *words, "--json", "--quiet", "--threads", str(THREADS)], capture_output=True, text=True, check=True)
    return time.perf_counter() - begin, json.loads(done.stdout)


@njit
def lorenz(y, f):
    """The flow and, in columns 1 to 3, its tangent."""
    a, b, c = y[0, 0], y[1, 0], y[2, 0]
    f[0, 0], f[1, 0], f[2, 0] = 10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c
    for k in range(1, 4):
        f[0, k] = 10 * (y[1, k] - y[0, k])
        f[1, k] = (28 - c) * y[0, k] - y[1, k] - a * y[2, k]
        f[2, k] = b * y[0, k] + a * y[1, k] - 8 / 3 * y[2, k]


@njit(parallel=True)
def lyapunov(count, steps, h):
    """Exponents of several trajectories, orthonormalized every tenth step."""
    sums = numpy.zeros((count, 3))
    for trajectory in prange(count):
        y, k1, k2, k3, k4 = numpy.zeros((3, 4)), numpy.zeros((3, 4)), numpy.zeros((3, 4)), numpy.zeros((3, 4)), numpy.zeros((3, 4))
        y[0, 0], y[1, 0], y[2, 0] = 1 + 0.1 * trajectory, 1.0, 20.0
        for i in range(3):
            y[i, 1 + i] = 1.0
        for step in range(-steps // 10, steps):
            lorenz(y, k1)
            lorenz(y + h / 2 * k1, k2)
            lorenz(y + h / 2 * k2, k3)
            lorenz(y + h * k3, k4)
            y += h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            if step % 10 == 0:
                for k in range(1, 4):
                    for j in range(1, k):
                        along = (y[:, j] * y[:, k]).sum()
                        y[:, k] -= along * y[:, j]
                    size = math.sqrt((y[:, k] ** 2).sum())
                    y[:, k] /= size
                    if step > 0:
                        sums[trajectory, k - 1] += math.log(size)
    return sums / (steps * h)


@njit
def cell(v, n, s, v_s, g_k2):
    m = 1 / (1 + math.exp((-20 - v) / 12))
    n_inf = 1 / (1 + math.exp((-16 - v) / 5.6))
    s_inf = 1 / (1 + math.exp((v_s - v) / 10))
    p = 1 / (math.exp(v + 49.5) + math.exp(-49.5 - v)) if g_k2 > 0 else 0.0
    return -(3.6 * m * (v - 25) + (10 * n + 4 * s + g_k2 * p) * (v + 75)) / 0.02, 0.93 * (n_inf - n) / 0.02, (s_inf - s) / 35


@njit
def advance(v, n, s, v_s, g_k2, h):
    a, b, c = cell(v, n, s, v_s, g_k2)
    d, e, f = cell(v + h / 2 * a, n + h / 2 * b, s + h / 2 * c, v_s, g_k2)
    i, j, k = cell(v + h / 2 * d, n + h / 2 * e, s + h / 2 * f, v_s, g_k2)
    x, y, z = cell(v + h * i, n + h * j, s + h * k, v_s, g_k2)
    return v + h / 6 * (a + 2 * d + 2 * i + x), n + h / 6 * (b + 2 * e + 2 * j + y), s + h / 6 * (c + 2 * f + 2 * k + z)


@njit(parallel=True)
def basins(starts, v_s, point, t_end, h):
    """Share of starts that come to the fixed point: near it, and still near it a second later, or not by the end."""
    rests = numpy.zeros(len(starts), numpy.bool_)
    for k in prange(len(starts)):
        v, n, s = starts[k]
        near = 0
        for _ in range(int(t_end / h)):
            v, n, s = advance(v, n, s, v_s, 0.12, h)
            near = near + 1 if abs(v - point[0]) < 0.3 and abs(n - point[1]) < 1e-4 and abs(s - point[2]) < 1e-3 else 0
            if near * h > 1:
                rests[k] = True
                break
    return rests.mean()


@njit
def raster(values, t_transient, t_window, h, every):
    v, n, s = -60.0, 0.01, 0.18
    kept = numpy.zeros((len(values), int(t_window / h) // every))
    for k in range(len(values)):
        for _ in range(int(t_transient / h)):
            v, n, s = advance(v, n, s, values[k], 0.0, h)
        for j in range(kept.shape[1]):
            for _ in range(every):
                v, n, s = advance(v, n, s, values[k], 0.0, h)
            kept[k, j] = v
    return kept


BOX = "v=-70:-10,n=0:0.12,s=0.17:0.2"
STARTS, PEER_STARTS, COLUMNS = 100_000, 2000, 100


def our_lyapunov():
    seconds, found = ours("lyapunov", "lorenz-1963")
    return seconds, found["time"], f"{found['exponents'][0]:.4f} +- {found['errors'][0]:.1e}"


def peer_lyapunov():
    begin = time.perf_counter()
    found = lyapunov(16, 120_000, 0.01)
    error = found[:, 0].std(ddof=1) / 4
    return time.perf_counter() - begin, 16 * 1200, f"{found[:, 0].mean():.4f} +- {error:.1e}"


def our_basins():
    seconds, found = ours("basins", "stankevich-2017", "--param", "v_s=-36", "--starts", str(STARTS), "--box", BOX)
    return seconds, STARTS, f"share {found['attractors'][0]['share']:.4f}"


def peer_basins():
    random = numpy.random.default_rng(1)
    starts = random.uniform([-70, 0, 0.17], [-10, 0.12, 0.2], (PEER_STARTS, 3))
    begin = time.perf_counter()
    share = basins(starts, -36.0, numpy.array([-50.636, 0.002056, 0.18792]), 30.0, 0.001)
    return time.perf_counter() - begin, PEER_STARTS, f"share {share:.4f}"


def our_raster():
    seconds, found = ours("diagram", "sherman-1988", "--over", f"v_s=-40:-30:{COLUMNS}")
    return seconds, COLUMNS, f"{len(found['columns'])} columns"


def peer_raster():
    begin = time.perf_counter()
    kept = raster(numpy.linspace(-40, -30, COLUMNS), 100.0, 30.0, 0.001, 5)
    return time.perf_counter() - begin, COLUMNS, f"{len(kept)} columns"


# Compiled before anything is timed.
lyapunov(2, 20, 0.01), basins(numpy.array([[-60.0, 0.01, 0.18]] * 2), -36.0, numpy.zeros(3), 0.1, 0.001), raster(numpy.array([-36.0]), 0.1, 0.1, 0.001, 5)
TASKS = [
    ("Lyapunov spectrum of Lorenz (s a unit of time averaged)", our_lyapunov, peer_lyapunov),
    ("basins of the bistable cell (s a start)", our_basins, peer_basins),
    ("raster diagram of the beta-cell (s a column)", our_raster, peer_raster),
]
lines = [
    f"`benches/analyses.sh`, {time.strftime('%Y-%m-%d %H:%M')}, {THREADS} threads, numba {numba.__version__}, load {', '.join(f'{x:.1f}' for x in os.getloadavg()[:2])}.",
    "",
    "Medians of the rounds, ours and numba's in turn. Ours are whole commands, start and output included.",
    "",
    "| task | ionoscope | numba, RK4 | numba / ionoscope | ours found | numba found |",
    "| --- | --- | --- | --- | --- | --- |",
]
for name, mine, peer in TASKS:
    runs = [(mine(), peer()) for _ in range(args.rounds)]
    a, b = (statistics.median(r[k][0] / r[k][1] for r in runs) for k in (0, 1))
    lines.append(f"| {name} | {a:.3g} | {b:.3g} | {b / a:.3g} | {runs[0][0][2]} | {runs[0][1][2]} |")
    print(lines[-1], file=sys.stderr)
folder = pathlib.Path(args.output)
folder.mkdir(parents=True, exist_ok=True)
(folder / "analyses.md").write_text("\n".join(lines) + "\n")
print(f"kept in {folder}/analyses.md")
