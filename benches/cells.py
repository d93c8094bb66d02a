"""The cells that work_precision.py, ensembles.py and scaling.py solve: their experiments, the programs with their methods, errors, and times at
equal error."""

import argparse, json, math, pathlib, random, subprocess, sys
from dataclasses import dataclass

import numpy

from rounds import GOLDEN

PAPER_2 = (
    "-87.84 7.23 7.23 143.79 143.79 8.54e-5 8.43e-5 1.61 1.56 .0074621 .692591 .692574 .692477 .448501 .692413 .000194015 .496116 .265885 .00101185 .999542 "
    ".589579 .000515567 .999542 .641861 2.43015e-9 1 .910671 1 .99982 .999977 .00267171 1 1 8.26608e-6 .453268 .270492 .0001963 .996801 2.53943e-5 "
    "3.17262e-7 .0124065"
)
HH_START = "2.757e-4 5.2934e-2 0.59611 0.31768"


@dataclass
class Cell:
    model: str
    title: str
    variables: int
    t_end: float
    unit: str
    # absolute tolerance = scale * rtol, about a hundredth of what the smallest variables that matter reach
    scale: float
    # the one trajectory: a line of a batch
    one: str
    # a line of the ensemble for each k
    line: object
    # methods by program; the first of ours is the default
    methods: dict
    vary: str | None = None


def beta_line(k):
    """v_s over [-40, -30] and the starts of the datasets; every beginning of the list is spread over all of it."""
    a, b, c, d = ((k * step + 0.5) % 1 for step in (GOLDEN, math.sqrt(2), math.sqrt(3), math.sqrt(5)))
    return f"{-70 + 60 * b!r} {0.12 * c!r} {0.17 + 0.03 * d!r} {-40 + 10 * a!r} 0 0"


def paper_table():
    """The 3750 trajectories of Pellegrini et al. (2025): 3000 of the training classes, 750 of the test classes, in an order of chance.
    I and T_stim / T uniform in the ranges."""
    classes = [((2, 10), (0, 0)), ((2, 10), (0.01, 1)), ((1e-4, 2), (0.1, 1)), ((50, 200), (0.01, 1)), ((2, 30), (1, 1))]
    draw, lines = random.Random(2025), []
    for numbers, times in (((20, 2380, 100, 300, 200), 1), ((10, 275, 30, 30, 30), 2)):
        for (current, share), number in zip(classes, numbers):
            for _ in range(number * times):
                lines.append(f"{HH_START} {draw.uniform(*current)!r} {100 * draw.uniform(*share)!r}")
    draw.shuffle(lines)
    return lines


def ohara_rudy_line(k):
    """I uniform in [0, 200] A/F, its duration in [0.5, 20] ms, by the golden ratio; cut where it would shift the potential by more than 150 mV
    alone: beyond, the cell goes to hundreds of mV, where its equations mean nothing."""
    a, b = ((k * step + 0.5) % 1 for step in (GOLDEN, math.sqrt(2)))
    return f"{PAPER_2} {200 * a!r} {min(0.5 + 19.5 * b, 150 / (200 * a))!r}"


HH_LINES = paper_table()
CELLS = [
    Cell("sherman-1988", "beta-cell, bursting, T = 50 s", 3, 50, "s", 1e-2, "-60 0.01 0.18 -36 0 0", beta_line,
         {"ionoscope": ["auto"], "cvode": ["bdf", "bdf-dq", "adams"], "diffsol": ["bdf", "tsit45"], "scipy": ["lsoda", "dop853"]}, "v_s"),
    Cell("hodgkin-huxley-1952", "Hodgkin-Huxley, I = 10 for 50 ms, T = 100 ms", 4, 100, "ms", 1e-2, f"{HH_START} 10 50", lambda k: HH_LINES[k],
         {"ionoscope": ["auto", "stiff"], "cvode": ["bdf", "bdf-dq", "adams"], "diffsol": ["bdf", "tsit45", "esdirk34"], "scipy": ["lsoda", "dop853"]}),
    Cell("ohara-rudy-2011", "O'Hara-Rudy, I = 19.48 A/F for 4.56 ms, T = 500 ms", 41, 500, "ms", 1e-4, f"{PAPER_2} 19.48 4.56", ohara_rudy_line,
         {"ionoscope": ["auto", "stiff"], "cvode": ["bdf", "bdf-dq", "bdf-klu"], "diffsol": ["bdf", "bdf-sparse", "tr_bdf2-sparse", "esdirk34-sparse"], "scipy": ["lsoda"]}),
]  # fmt: skip


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("solvers", nargs="+", help="NAME=PROGRAM, from `solvers` in prepare.sh")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes: shows that everything runs, no numbers to quote")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--cell", action="append", help="one of the models; may be repeated; default: all")
    parser.add_argument("-o", "--output", type=pathlib.Path, default=pathlib.Path("out/benches"))
    args = parser.parse_args()
    args.solvers = programs(args.solvers)
    args.cells = [c for c in CELLS if not args.cell or c.model in args.cell]
    if not args.cells:
        parser.error(f"no cell {args.cell}; there are {', '.join(c.model for c in CELLS)}")
    return args


def programs(solvers):
    """Commands by name, from NAME=PROGRAM."""
    found = dict(word.split("=", 1) for word in solvers)
    if "scipy" in found:
        found["scipy"] = [sys.executable, str(pathlib.Path(__file__).parent / "peers" / "scipy_peer.py"), f"cells={found['scipy']}"]
    if "cvode-without-klu" in found:
        found["cvode"] = found.pop("cvode-without-klu")
    return {name: [command] if isinstance(command, str) else command for name, command in found.items()}


def write(folder, name, lines):
    path = folder / name
    path.write_text("".join(line + "\n" for line in lines))
    return path


def solve(program, folder, cell, batch, method, rtol, t_end, dt, precision="double", threads=1, repeats=1, states=True, atol=None):
    """Runs a program on a batch; what it printed, and with `states` the states [experiment, time, variable] as `x`."""
    file = folder / "states.bin"
    options = {"model": cell.model, "method": method, "rtol": rtol, "atol": atol or rtol * cell.scale, "t_end": t_end, "dt": dt, "precision": precision}
    options |= {"threads": threads, "repeats": repeats, "batch": batch, "states": file if states else "-"} | ({"vary": cell.vary} if cell.vary else {})
    done = subprocess.run([*map(str, program), *(f"{key}={value}" for key, value in options.items())], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{pathlib.Path(program[0]).name} failed: {' '.join(done.stderr.strip().splitlines()[-1:])}")
    answer = json.loads(done.stdout)
    if states:
        x = numpy.fromfile(file)
        answer["x"] = x.reshape(-1, 1 if dt >= t_end else round(t_end / dt) + 1, cell.variables)
    return answer


def errors(got, want):
    """Error of each trajectory: of every variable the root mean square over the output times, as a share of the variable's largest size in the
    reference (over all trajectories, so that a gate that stays shut in one does not decide); the largest over the variables. Infinite where one failed."""
    size = numpy.abs(want).max((0, 1))
    each = (numpy.sqrt(((got - want) ** 2).mean(1)) / size).max(1)
    return numpy.where(numpy.isfinite(each), each, numpy.inf)


def reference(solvers, folder, cell, batch, t_end, dt, threads):
    """States at a tight tolerance, the name of their program, how far an independent program is from them, one value a trajectory, and its name.
    Ours where it is built and knows the cell."""
    tight = {"rtol": 1e-13, "atol": 1e-15 * cell.scale, "t_end": t_end, "dt": dt, "threads": threads}
    candidates = [("ionoscope", "auto"), ("cvode", "bdf-klu" if cell.variables > 4 else "bdf"), ("diffsol", "tsit45"), ("scipy", "radau")]
    answers = []
    for name, method in candidates:
        if name not in solvers or (method == "tsit45" and cell.variables > 4):
            continue
        try:
            answer = solve(solvers[name], folder, cell, batch, method, **tight)
            if answer["failed"]:
                raise RuntimeError(f"{answer['failed']} trajectories failed")
            answers.append((f"{name} {method}", answer["x"]))
        except RuntimeError as problem:
            print(f"{cell.model}: no reference by {name} {method}: {problem}", file=sys.stderr)
        if len(answers) == 2:
            break
    if not answers:
        raise SystemExit(f"{cell.model}: no program gives a reference")
    (name, want), (other, check) = answers[0], answers[-1]
    return want, name, (errors(check, want) if len(answers) == 2 else None), other


def at_error(points, target):
    """Seconds at which a method reaches an error: linear in the logarithms between the tolerances at which it is best. None outside."""
    best = []
    for seconds, error in sorted((t, e) for e, t in points if 0 < e < math.inf):
        if not best or error < best[-1][0]:
            best.append((error, seconds))
    for (e0, t0), (e1, t1) in zip(best, best[1:]):
        if e1 <= target <= e0:
            share = (math.log(target) - math.log(e0)) / (math.log(e1) - math.log(e0))
            return math.exp(math.log(t0) + share * (math.log(t1) - math.log(t0)))
    return None
