"""Runs benches/ensembles.sh's comparison; called by it. What is measured and how to read it: benches/README.md."""

import os, pathlib, sys, tempfile
from dataclasses import dataclass

import numpy

from cells import arguments, at_error, errors, reference, solve, write
from rounds import digits, environment, finish, in_turn, spread, summary, table

args = arguments(__doc__)
ROUNDS = args.rounds or (1 if args.quick else 3)
THREADS = min(2, os.cpu_count() or 1)
RTOL = [1e-4, 1e-6, 1e-8, 1e-10]
# Ours errs less at the same tolerance: these make it reach the errors of the others at their loosest.
LOOSER = [1e-2, 1e-3]
# Where two programs at a tight tolerance differ by more, the trajectory is irregular and has no reference.
IRREGULAR = 1e-6
CHECKS = 50  # output times at which errors are taken
TARGETS = [1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9]


@dataclass
class Task:
    title: str
    count: int
    dt: float  # of the output
    subset: dict  # trajectories that a program takes of the ensemble, by program; the times are per trajectory
    methods: dict
    t_end: float | None = None


TASKS = {
    "sherman-1988": Task("Beta-cell: 10 000 with v_s in [-40, -30], T = 50 s, output every 0.005 s", 10_000, 0.005, {"cvode": 32, "diffsol": 64},
                         {"ionoscope": ["auto"], "cvode": ["bdf", "adams"], "diffsol": ["bdf", "tsit45"]}),
    "ohara-rudy-2011": Task("O'Hara-Rudy: 1000 with I in [0, 200] A/F for up to 20 ms, T = 500 ms, output every 1 ms", 1000, 1.0, {"cvode": 100, "diffsol": 100},
                            {"ionoscope": ["auto", "stiff"], "cvode": ["bdf", "bdf-klu"], "diffsol": ["bdf", "bdf-sparse"]}),
    "hodgkin-huxley-1952": Task("Hodgkin-Huxley: the 3750 trajectories of Pellegrini et al. (2025), T = 100 ms, 1260 output times", 3750, 100 / 5040 * 4, {"cvode": 400, "diffsol": 800},
                                {"ionoscope": ["auto", "stiff"], "cvode": ["bdf", "adams"], "diffsol": ["bdf", "tsit45"]}, 1259 * 100 / 5040 * 4),
}  # fmt: skip


def compare(folder, cell, task):
    shrink = 20 if args.quick else 1
    count, t_end = task.count // shrink, task.t_end or cell.t_end
    lines = [cell.line(k) for k in range(count)]
    sizes = {name: max(4, size // shrink) for name, size in task.subset.items()} | {"ionoscope": count}
    batches = {name: write(folder, f"{name}.txt", lines[:size]) for name, size in sizes.items()}
    # Errors of all programs are taken on the same trajectories.
    compared = min(sizes.values())
    few = write(folder, "few.txt", lines[:compared])
    want, source, apart, other = reference(args.solvers, folder, cell, few, t_end, t_end / CHECKS, THREADS)
    regular = numpy.ones(compared, bool) if apart is None else apart <= IRREGULAR

    cases = []
    for rtol in LOOSER + RTOL:
        for name in sizes if rtol in RTOL else ["ionoscope"]:
            for method in task.methods[name] if name in args.solvers else []:
                label = name if name == "ionoscope" and method == "auto" else f"{name} {method}"
                cases.append({"name": f"{cell.model} {label} {rtol:g}", "label": label, "by": name, "method": method, "rtol": rtol, "count": sizes[name]})

    def measure(case):
        return solve(args.solvers[case["by"]], folder, cell, batches[case["by"]], case["method"], case["rtol"], t_end, task.dt, "single", THREADS, states=False)

    order = [c["label"] for c in cases if c["rtol"] == RTOL[0]]
    rows, kept, points, whole, at_8 = [], [], {}, {}, {}
    for case, runs in sorted(zip(cases, in_turn(ROUNDS, cases, measure)), key=lambda c: order.index(c[0]["label"])):
        if not runs:
            continue
        got = solve(args.solvers[case["by"]], folder, cell, few, case["method"], case["rtol"], t_end, t_end / CHECKS, threads=THREADS)
        error = summary([float(e) for e in errors(got["x"], want)[regular]])
        seconds, last = [s / case["count"] for r in runs for s in r["seconds"]], runs[-1]
        work = {key: last[key] and last[key] / case["count"] for key in ("steps", "evaluations", "jacobians")}
        kept.append({k: case[k] for k in ("label", "method", "rtol", "count")} | {"threads": THREADS, "seconds_per_trajectory": seconds, "error": error, "failed": last["failed"], "version": last["version"], "per_trajectory": work})
        points.setdefault(case["label"], []).append((error["median"], summary(seconds)["median"]))
        if case["rtol"] == 1e-8:
            whole[case["label"]] = summary(seconds)["median"] * count
            at_8[case["label"]] = error["median"]
        shown = [f"{work[k]:.0f}" if work[k] else "-" for k in ("steps", "evaluations", "jacobians")]
        rows.append([case["label"], f"{case['rtol']:g}", case["count"], spread(seconds), f"{error['median']:.1e} (to {error['max']:.0e})", *shown, last["failed"]])

    text = f"## {task.title}\n\natol = {cell.scale:g} rtol; {THREADS} threads; errors of the first {compared}, at {CHECKS + 1} times. Reference: {source} at rtol 1e-13"
    if apart is not None:
        known = apart[regular] if regular.any() else apart
        text += f"; {other} at 1e-13 is {numpy.median(known):.0e} (median) to {known.max():.0e} away from it"
        text += f"; {compared - regular.sum()} irregular, for which the two differ by more than {IRREGULAR:g}, are left out of the errors" if not regular.all() else ""
    text += ".\n\n" + table(["method", "rtol", "trajectories", "ms per trajectory (range)", "error", "steps", "evaluations", "Jacobians", "failed"], rows)
    text += f"\nThe whole ensemble of {count} at rtol 1e-8, seconds: " + ", ".join(f"{label} {digits(s)}{'' if label.startswith('ionoscope') else ' (from its part)'}" for label, s in whole.items()) + ".\n"
    ratios, matched = [], []
    named = [(f"{e:.1e} ({label} at rtol 1e-8)", e) for label, e in at_8.items()]
    for shown, target in sorted([(f"{t:g}", t) for t in TARGETS] + named, key=lambda t: -t[1]):
        times = {label: at_error(p, target) for label, p in points.items()}
        matched.append({"error": target, "seconds_per_trajectory": times})
        mine = [t for label, t in times.items() if t and label.startswith("ionoscope")]
        if mine:
            ratios.append([shown, digits(1e3 * min(mine))] + [digits(t / min(mine)) if t else "-" for label, t in times.items()])
    if ratios:
        text += "\nTime per trajectory at equal median error, as a multiple of ours (the faster one; between tolerances, linear in the logarithms):\n\n"
        text += table(["error", "ours, ms", *points], ratios)
    doubt = None if apart is None else [float(e) for e in apart]
    return text + "\n", {"model": cell.model, "task": task.title, "reference": {"by": source, "against": other, "apart": doubt}, "cases": kept, "at_equal_error": matched}


record = {"environment": environment(), "rounds": ROUNDS, "threads": THREADS, "ensembles": []}
text = ""
with tempfile.TemporaryDirectory() as name:
    for cell in args.cells:
        more, kept = compare(pathlib.Path(name), cell, TASKS[cell.model])
        text += more
        record["ensembles"].append(kept)
finish("ensembles", args.output, [o for o in sys.argv[1:] if o == "--quick"], record, text)
