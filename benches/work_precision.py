"""Runs benches/work_precision.sh's comparison; called by it. What is measured and how to read it: benches/README.md."""

import pathlib, sys, tempfile

from cells import arguments, at_error, errors, reference, solve, write
from rounds import digits, environment, finish, in_turn, spread, summary, table

args = arguments(__doc__)
ROUNDS = args.rounds or (1 if args.quick else 5)
RTOL = [1e-4, 1e-6, 1e-8] if args.quick else [10.0**-k for k in range(3, 11)]
# Ours errs less at the same tolerance: these make it reach the errors of the others at their loosest.
LOOSER = [] if args.quick else [1e-1, 1e-2]
OUTPUTS = 100
TARGETS = [10.0**-k for k in range(1, 11)]
COLORS = {"ionoscope": "#c0392b", "cvode": "#1f5fa8", "diffsol": "#2e8b57", "scipy": "#8a6d1d"}
STYLES = ["-", "--", ":", "-."]


def compare(folder, cell):
    batch = write(folder, "one.txt", [cell.one])
    dt = cell.t_end / OUTPUTS
    want, source, apart, other = reference(args.solvers, folder, cell, batch, cell.t_end, dt, 1)
    cases = []
    for rtol in LOOSER + RTOL:
        for name, program in args.solvers.items() if rtol in RTOL else [("ionoscope", args.solvers["ionoscope"])]:
            for method in cell.methods[name]:
                label = name if name == "ionoscope" and method == "auto" else f"{name} {method}"
                cases.append({"name": f"{cell.model} {label} {rtol:g}", "label": label, "program": program, "method": method, "rtol": rtol})

    def measure(case):
        # The first repetition meets cold caches, three give a median.
        return solve(case["program"], folder, cell, batch, case["method"], case["rtol"], cell.t_end, dt, repeats=3)

    order = [c["label"] for c in cases if c["rtol"] == RTOL[0]]
    rows, kept, points = [], [], {}
    for case, runs in sorted(zip(cases, in_turn(ROUNDS, cases, measure)), key=lambda c: order.index(c[0]["label"])):
        if not runs:
            continue
        seconds, last = [s for r in runs for s in r["seconds"]], runs[-1]
        error = float(errors(last["x"], want)[0])
        work = {key: last[key] for key in ("steps", "evaluations", "jacobians", "failed")}
        kept.append({k: case[k] for k in ("label", "method", "rtol")} | work | {"atol": case["rtol"] * cell.scale, "seconds": seconds, "error": error, "version": last["version"]})
        points.setdefault(case["label"], []).append((error, summary(seconds)["median"]))
        shown = [str(work[k]) if work[k] is not None else "-" for k in ("steps", "evaluations", "jacobians")]
        rows.append([case["label"], f"{case['rtol']:g}", spread(seconds), f"{error:.1e}", *shown])

    text = f"## {cell.title}\n\n"
    text += f"Start and stimulus: `{cell.model}`, {OUTPUTS + 1} output times, atol = {cell.scale:g} rtol. Reference: {source} at rtol 1e-13"
    text += f"; {other} at 1e-13 is {apart[0]:.0e} away from it.\n\n" if apart is not None else ", which nobody checked.\n\n"
    text += f"![time against error](work_precision_{cell.model}.svg)\n\n"
    text += table(["method", "rtol", "ms (range)", "error", "steps", "evaluations", "Jacobians"], rows)
    ratios, matched = [], []
    for target in TARGETS:
        times = {label: at_error(p, target) for label, p in points.items()}
        mine, peers = times.get("ionoscope"), {label: t for label, t in times.items() if t and not label.startswith("ionoscope")}
        matched.append({"error": target, "seconds": times})
        if mine and peers:
            first = min(peers, key=peers.get)
            ratios.append([f"{target:g}", digits(1e3 * mine), f"{first}: {digits(peers[first] / mine)}"] + [digits(t / mine) if t else "-" for label, t in times.items() if label != "ionoscope"])
    if ratios:
        text += "\nTime at equal error, as a multiple of ours (between tolerances, linear in the logarithms):\n\n"
        text += table(["error", "ionoscope, ms", "fastest peer", *(label for label in points if label != "ionoscope")], ratios)
    plot(cell, points, args.output / f"work_precision_{cell.model}.svg")
    doubt = None if apart is None else float(apart[0])
    return text + "\n", {"model": cell.model, "reference": {"by": source, "against": other, "apart": doubt}, "cases": kept, "at_equal_error": matched}


def plot(cell, points, path):
    try:
        import matplotlib
    except ImportError:
        print("no plots: matplotlib is not installed", file=sys.stderr)
        return
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "ionoscope"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.6))
    count = {}
    for label, p in points.items():
        kind = label.split()[0]
        style = STYLES[count.setdefault(kind, 0) % len(STYLES)]
        count[kind] += 1
        finite = [(e, 1e3 * t) for e, t in p if 0 < e < float("inf")]
        axes.loglog(*zip(*finite), style, marker="o", ms=3.5, lw=2.2 if kind == "ionoscope" else 1.2, color=COLORS[kind], label=label)
    axes.invert_xaxis()
    axes.set_xlabel("error (root mean square over time, share of the largest size, worst variable)")
    axes.set_ylabel("time of one trajectory, ms")
    axes.set_title(cell.title)
    axes.grid(alpha=0.3, which="major")
    axes.legend(fontsize=8, ncol=2)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


record = {"environment": environment(), "rounds": ROUNDS, "rtol": RTOL, "cells": []}
text = ""
with tempfile.TemporaryDirectory() as name:
    for cell in args.cells:
        more, kept = compare(pathlib.Path(name), cell)
        text += more
        record["cells"].append(kept)
finish("work_precision", args.output, [o for o in sys.argv[1:] if o == "--quick"], record, text)
