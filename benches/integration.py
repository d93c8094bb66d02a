"""Runs benches/integration.sh's comparison; called by it. What is measured and how to read it: benches/README.md."""

import argparse, math, pathlib, subprocess, sys, tempfile

from rounds import digits, environment, errors, finish, head, in_turn, relative, run, spread, states, summary, table, write_batch

parser = argparse.ArgumentParser()
parser.add_argument("--ours", required=True)
parser.add_argument("--cvode")
parser.add_argument("--diffsol")
parser.add_argument("--quick", action="store_true", help="seconds instead of minutes: shorter, fewer")
parser.add_argument("--rounds", type=int)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("-o", "--output", type=pathlib.Path, default=pathlib.Path("out/benches"))
args = parser.parse_args()

T_END = 10 if args.quick else 50
ROUNDS = args.rounds or (1 if args.quick else 5)
# Trajectories that a program takes of the ensemble, by how long it takes for one; the times are per trajectory.
COUNT = {"ionoscope": 100 if args.quick else 1000, "cvode": 4 if args.quick else 24, "diffsol": 4 if args.quick else 24, "scipy": 2 if args.quick else 8}
# Errors are compared on the trajectories that all compiled programs solve.
COMPARED = COUNT["cvode"]
RTOL = [1e-4, 1e-6, 1e-8, 1e-10, 1e-12]
# Where two programs at rtol 1e-13 differ by more, the trajectory is irregular and has no reference at that time.
IRREGULAR = 1e-6
TARGETS = [1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9]

scipy = [sys.executable, str(pathlib.Path(__file__).parent / "peers" / "scipy_beta_cell.py")]
METHODS = [("ionoscope", "ionoscope", [args.ours], None, [1e-2, 1e-4, 1e-6, 1e-8, 1e-10])]
if args.cvode:
    METHODS += [(f"CVODE {m}", "cvode", [args.cvode], m, RTOL[1:]) for m in ("bdf", "adams")]
if args.diffsol:
    METHODS += [(f"diffsol {m}", "diffsol", [args.diffsol], m, RTOL[1:]) for m in ("bdf", "tsit45")]
if subprocess.run([sys.executable, "-c", "import scipy"], capture_output=True).returncode == 0:
    METHODS += [(f"scipy {m}", "scipy", scipy, m, RTOL[1:]) for m in ("lsoda", "dop853")]
else:
    print("scipy is left out: it is not installed (benches/requirements.txt)", file=sys.stderr)


def at_error(points, target):
    """Seconds at which a method reaches an error, between its tolerances: linear in the logarithms. None outside."""
    points = sorted((math.log(e), math.log(t)) for e, t in points if 0 < e < math.inf)
    for (e0, t0), (e1, t1) in zip(points, points[1:]):
        if e0 <= math.log(target) <= e1 and e1 > e0:
            return math.exp(t0 + (t1 - t0) * (math.log(target) - e0) / (e1 - e0))
    return None


def reference(folder, batch):
    """States at the end at a tight tolerance, which of them can be trusted, and how far an independent program is from those."""
    ours = run([args.ours], folder, batch, rtol=1e-13, atol=1e-16, t_end=T_END, threads=args.threads)["ends"]
    for program, method in ((args.diffsol, "tsit45"), (args.cvode, "adams")):
        if program:
            other = run([program], folder, batch, method=method, rtol=1e-13, atol=1e-15, t_end=T_END, threads=args.threads)["ends"]
            apart = relative(ours, other)
            known = [k for k, e in enumerate(apart) if e <= IRREGULAR]
            if known:
                doubt = summary([apart[k] for k in known])
                return ours, known, {"against": f"{pathlib.Path(program).name} {method} at rtol 1e-13", "left_out": len(ours) - len(known), **doubt}
    return ours, range(len(ours)), None


def compare(title, folder, batch, one):
    threads = 1 if one else args.threads
    want, known, doubt = reference(folder, batch if one else head(batch, COMPARED))
    cases = []
    for level in range(5):
        for name, kind, program, method, rtols in METHODS:
            if level < len(rtols):
                count = 1 if one else COUNT[kind]
                cases.append({"name": f"{name} {rtols[level]:g}", "label": name, "kind": kind, "program": program, "method": method, "rtol": rtols[level], "count": count})

    def measure(case):
        # One trajectory is over in milliseconds: the first repetition meets cold caches, three give a median.
        repeats = 3 if one and case["kind"] != "scipy" else 1
        file = batch if one else head(batch, case["count"])
        return run(case["program"], folder, file, repeats, method=case["method"], rtol=case["rtol"], atol=case["rtol"] * 1e-2, t_end=T_END, threads=threads)

    rows, kept, points = [], [], {}
    for case, runs in sorted(zip(cases, in_turn(ROUNDS, cases, measure)), key=lambda c: [m[0] for m in METHODS].index(c[0]["label"])):
        if not runs:
            continue
        seconds = [s / case["count"] for r in runs for s in r["seconds"]]
        mine = [k for k in known if k < case["count"]]
        got, right = [runs[-1]["ends"][k] for k in mine], [want[k] for k in mine]
        plain = summary(relative(got, right))
        tolerances = summary(errors(got, right, lambda x: case["rtol"] * (1e-2 + x)))
        work = runs[-1]["evaluations"] and runs[-1]["evaluations"] / case["count"]
        kept.append({k: case[k] for k in ("label", "rtol", "count")} | {"threads": threads, "seconds_per_trajectory": seconds, "error": plain, "error_in_tolerances": tolerances, "evaluations_per_trajectory": work, "version": runs[-1].get("version")})
        points.setdefault(case["label"], []).append((plain["median"], summary(seconds)["median"]))
        error = f"{plain['median']:.1e}" if one else f"{plain['median']:.1e} (to {plain['max']:.0e})"
        rows.append([case["label"], f"{case['rtol']:g}", spread(seconds), error, digits(tolerances["median"]), f"{work:.0f}" if work else "-"])

    text = f"## {title}\n\n"
    if doubt:
        text += f"Reference: ionoscope at rtol 1e-13; {doubt['against']} is {doubt['median']:.0e} (median) to {doubt['max']:.0e} away from it."
        text += f" Left out of the errors: {doubt['left_out']} of {len(want)}, irregular, for which the two differ by more than {IRREGULAR:g}.\n\n" if doubt["left_out"] else "\n\n"
    text += table(["method", "rtol", "ms per trajectory (range)", "error", "error / (atol + rtol abs(x))", "evaluations"], rows)
    ratios, matched = [], []
    for target in TARGETS:
        times = {label: at_error(p, target) for label, p in points.items()}
        ours = times.get("ionoscope")
        matched.append({"error": target, "seconds": times})
        if ours:
            ratios.append([f"{target:g}", digits(1e3 * ours)] + [digits(t / ours) if t else "-" for label, t in times.items() if label != "ionoscope"])
    text += "\nTime at equal error, as a multiple of ours (between tolerances, linear in the logarithms):\n\n"
    text += table(["error", "ionoscope, ms", *(label for label in points if label != "ionoscope")], ratios)
    return text + "\n", {"reference": doubt, "cases": kept, "at_equal_error": matched}


record = {"environment": environment(), "t_end": T_END, "rounds": ROUNDS}
with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    single, many = folder / "one.txt", folder / "many.txt"
    single.write_text("-60 0.01 0.18 -36\n")
    write_batch(many, COUNT["ionoscope"])
    text, record["one"] = compare(f"One trajectory, T = {T_END}, one thread", folder, single, True)
    more, record["ensemble"] = compare(f"Ensemble of {COUNT['ionoscope']} (peers: its first {COUNT['cvode']}, scipy {COUNT['scipy']}), T = {T_END}, {args.threads} threads", folder, many, False)
options = [o for o in sys.argv[1:] if o == "--quick"]
finish("integration", args.output, options, record, text + more)
