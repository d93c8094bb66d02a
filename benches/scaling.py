"""Runs benches/scaling.sh's measurements; called by it. What is measured and how to read it: benches/README.md."""

import os, pathlib, sys, tempfile

from cells import CELLS, arguments, solve, write
from rounds import digits, environment, finish, in_turn, spread, summary, table

args = arguments(__doc__)
ours = args.solvers["ionoscope"]
ROUNDS = args.rounds or (1 if args.quick else 5)
SHRINK = 10 if args.quick else 1
RTOL = [1e-4, 1e-6, 1e-8]
# In lanes; the scalar code takes the first eighth. Enough for every lane to be refilled many times.
COUNT = {"sherman-1988": 512, "hodgkin-huxley-1952": 2048, "ohara-rudy-2011": 256}
SIZES = [10**3, 10**4, 10**5] if args.quick else [10**3, 10**4, 10**5, 10**6]
T_SIZES = 10


def lanes(folder, cell):
    """Lanes against scalar code, and two threads against one, by tolerance."""
    count = max(64, COUNT[cell.model] // SHRINK)
    lines = [cell.line(k) for k in range(count)]
    many, few = write(folder, "many.txt", lines), write(folder, "few.txt", lines[: count // 8])
    cases = []
    for rtol in RTOL:
        for what, batch, n, method, threads in (("lanes", many, count, "auto", 1), ("scalar", few, count // 8, "auto-scalar", 1), ("two threads", many, count, "auto", 2)):
            if threads <= (os.cpu_count() or 1):
                cases.append({"name": f"{cell.model} {what} {rtol:g}", "rtol": rtol, "what": what, "batch": batch, "count": n, "method": method, "threads": threads})
    runs = in_turn(ROUNDS, cases, lambda c: solve(ours, folder, cell, c["batch"], c["method"], c["rtol"], cell.t_end, cell.t_end, threads=c["threads"], states=False))
    rows, kept = [], []
    for rtol in RTOL:
        at = {c["what"]: (c, r) for c, r in zip(cases, runs) if c["rtol"] == rtol and r}
        if "lanes" not in at:
            continue
        times = {what: [s / c["count"] for run in r for s in run["seconds"]] for what, (c, r) in at.items()}
        middle = {what: summary(t)["median"] for what, t in times.items()}
        work = at["lanes"][1][-1]
        kept.append({"model": cell.model, "rtol": rtol, "count": count, "seconds_per_trajectory": times, "steps": work["steps"] / count, "stiff": work["stiff"], "failed": work["failed"]})
        share = lambda a, b: digits(middle[a] / middle[b]) if a in middle and b in middle else "-"
        rows.append([cell.model, f"{rtol:g}", *(spread(times[w]) if w in times else "-" for w in ("scalar", "lanes", "two threads")), share("scalar", "lanes"), share("lanes", "two threads"), f"{work['steps'] / count:.0f}", f"{work['stiff']} of {count}"])
    return rows, kept


def sizes(folder):
    cell = CELLS[0]
    cases = [{"name": f"{n} trajectories", "count": n} for n in SIZES]
    for case in cases:
        case["batch"] = write(folder, f"{case['count']}.txt", (cell.line(k) for k in range(case["count"])))
    threads = min(2, os.cpu_count() or 1)
    # The million takes as long as a hundred of the thousand: the small ones are repeated, and the large one is not.
    runs = in_turn(min(ROUNDS, 3), cases, lambda c: solve(ours, folder, cell, c["batch"], "auto", 1e-8, T_SIZES, T_SIZES, threads=threads, states=False, repeats=3 if c["count"] < 10**5 else 1))
    rows, kept, first = [], [], None
    for case, done in zip(cases, runs):
        if not done:
            continue
        seconds = [s / case["count"] for r in done for s in r["seconds"]]
        middle = summary(seconds)["median"]
        first = first or middle
        rows.append([case["count"], digits(middle * case["count"]), spread(seconds), digits(middle / first)])
        kept.append({"count": case["count"], "seconds_per_trajectory": seconds, "threads": threads})
    return rows, kept


record = {"environment": environment(), "rounds": ROUNDS}
with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    by_cell = [lanes(folder, cell) for cell in args.cells]
    record["lanes"] = [k for _, kept in by_cell for k in kept]
    text = "## Lanes and threads\n\nms per trajectory (range); the end alone is wanted; scalar and lanes on one thread.\n\n"
    text += table(["cell", "rtol", "scalar", "lanes", "lanes on two threads", "scalar / lanes", "one thread / two", "steps", "solved by the stiff method"], [row for rows, _ in by_cell for row in rows])
    if not args.cell or CELLS[0].model in args.cell:
        rows, record["sizes"] = sizes(folder)
        text += f"\n## Number of trajectories\n\nBeta-cell, T = {T_SIZES} s, rtol 1e-8, the end alone, all threads (at most two).\n\n"
        text += table(["trajectories", "seconds", "ms per trajectory (range)", "as a multiple of the first"], rows)
finish("scaling", args.output, [o for o in sys.argv[1:] if o == "--quick"], record, text)
