"""Runs benches/operator.sh's comparison; called by it. What is measured and how to read it: benches/README.md."""

import argparse, json, os, pathlib, subprocess, sys

from rounds import digits, environment, finish, in_turn, spread, summary, table

parser = argparse.ArgumentParser()
parser.add_argument("--ours", required=True)
parser.add_argument("--quick", action="store_true", help="one case of each kind")
parser.add_argument("--rounds", type=int)
parser.add_argument("--seconds", type=float, help="that a program works in each case")
parser.add_argument("--cuda", action="store_true", help="training steps on a GPU, of both")
parser.add_argument("-o", "--output", type=pathlib.Path, default=pathlib.Path("out/benches"))
args = parser.parse_args()

ROUNDS = args.rounds or (1 if args.quick else 3)
SECONDS = args.seconds or (1 if args.quick else 8)
THREADS = os.cpu_count() or 1
# The fixed networks of the paper and the grids they are used on.
NETWORKS = {
    "FitzHugh-Nagumo": ({"width": 64, "modes": 12, "layers": 5, "kind": "zongyi", "activation": "gelu", "padding": 5 / 1260}, 2, 1260),
    "Hodgkin-Huxley": ({"width": 96, "modes": 5, "layers": 5, "kind": "zongyi", "activation": "gelu", "padding": 7 / 1260}, 4, 1260),
    "O'Hara-Rudy": ({"width": 32, "modes": 48, "layers": 5, "kind": "classic", "activation": "gelu", "padding": 15 / 5040}, 41, 5040),
}
TASKS = [("train", 32), ("infer", 1), ("infer", 1000)]
peer = [sys.executable, "benches/peers/fno.py", "bench", str(THREADS)]
PROGRAMS = {"ionoscope": [args.ours], "torch-eager": [*peer, "eager"], "torch-compile": [*peer, "compile"]}


def measure(case):
    done = subprocess.run(case["program"], input=json.dumps(case["task"]) + "\n", capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"failed: {' '.join(done.stderr.strip().splitlines()[-1:])}")
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    if "problem" in answer:
        raise RuntimeError(answer["problem"])
    return answer


cases = []
for name, (config, variables, points) in list(NETWORKS.items())[: 1 if args.quick else None]:
    for what, batch in TASKS[: 1 if args.cuda else 2 if args.quick else None]:
        task = {"cuda": args.cuda, "what": what, "batch": batch, "config": config, "variables": variables, "points": points, "seconds": SECONDS}
        if batch == 1000 and points > 2000:
            task["batch"] = 100  # a thousand would want more memory in PyTorch than there may be
        cases += [{"key": (name, what, task["batch"]), "label": label, "program": program, "task": task, "name": f"{name}, {what} {task['batch']}, {label}"} for label, program in PROGRAMS.items()]
record = {"environment": environment(), "rounds": ROUNDS, "seconds": SECONDS, "threads": THREADS, "cases": []}
runs = in_turn(ROUNDS, cases, measure)
rows, ours = [], {}
for case, done in zip(cases, runs):
    record["cases"].append({"name": case["name"], "task": case["task"], "runs": done, "problem": case.get("problem")})
    if not done:
        continue
    seconds = [r["seconds"] for r in done]
    if case["label"] == "ionoscope":
        ours[case["key"]] = summary(seconds)["median"]
    ratio = digits(summary(seconds)["median"] / ours[case["key"]]) if case["key"] in ours else "-"
    name, what, batch = case["key"]
    rows.append([name, "training step" if what == "train" else "inference", batch, case["label"], spread(seconds), ratio])
where = "One GPU" if args.cuda else f"{THREADS} threads"
text = f"{where}, single precision. A training step is forward, loss, backward, clipping and AdamW.\n\n"
text += table(["network", "what", "samples", "with", "ms (range)", "ours is faster by"], rows)
finish("operator", args.output, [o for o in sys.argv[1:] if o in ("--quick", "--cuda")], record, text)
