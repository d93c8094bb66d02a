"""Runs benches/tuning.sh's comparison; called by it. What is measured and how to read it: benches/README.md."""

import argparse, json, math, pathlib, statistics, subprocess, sys, tempfile, time

import optuna

from rounds import digits, environment, finish, in_turn, spread, summary, table

parser = argparse.ArgumentParser()
parser.add_argument("--ours", required=True)
parser.add_argument("--quick", action="store_true", help="100 trials in place of 1000, two seeds in place of ten")
parser.add_argument("--rounds", type=int)
parser.add_argument("-o", "--output", type=pathlib.Path, default=pathlib.Path("out/benches"))
args = parser.parse_args()

ROUNDS = args.rounds or (1 if args.quick else 3)
TRIALS = 100 if args.quick else 1000
SEEDS = range(2 if args.quick else 10)
SHORT = 60  # trials of the studies whose results are compared
optuna.logging.set_verbosity(optuna.logging.WARNING)


def cost(trial):
    x, y = trial.suggest_float("x", -5, 5), trial.suggest_float("y", 1e-3, 10, log=True)
    n, c = trial.suggest_int("n", 1, 9), trial.suggest_categorical("c", ["a", "b", "c"])
    return (x - 2) ** 2 + (math.log(y) - math.log(0.1)) ** 2 / 4 + (n - 5) ** 2 / 4 + (c != "b")


def by_optuna(folder, trials, sampler, seed, memory):
    samplers = {"random": optuna.samplers.RandomSampler, "tpe": optuna.samplers.TPESampler}
    file = pathlib.Path(folder, "journal.log")
    storage = None if memory else optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(file)))
    begin = time.perf_counter()
    study = optuna.create_study(storage=storage, sampler=samplers[sampler](seed=seed))
    study.optimize(cost, n_trials=trials)
    return {"seconds": time.perf_counter() - begin, "best": study.best_value, "trials": len(study.trials)}


def measure(case):
    with tempfile.TemporaryDirectory() as folder:
        if case["label"] == "optuna":
            return by_optuna(folder, case["trials"], case["sampler"], case["seed"], case["memory"])
        command = [args.ours, "-" if case["memory"] else folder, str(case["trials"]), case["sampler"], str(case["seed"])]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)


record = {"environment": environment(), "rounds": ROUNDS, "optuna": optuna.__version__, "cases": []}
kinds = [(s, m) for s in ("random", "tpe") for m in (True, False)]
cases = [
    {"label": label, "sampler": s, "memory": m, "trials": TRIALS, "seed": 1, "name": f"{label}, {s}, {'memory' if m else 'disk'}"}
    for s, m in kinds for label in ("ionoscope", "optuna")
]
rows, ours = [], {}
for case, done in zip(cases, in_turn(ROUNDS, cases, measure)):
    record["cases"].append({"case": case, "runs": done})
    key = case["sampler"], case["memory"]
    seconds = [r["seconds"] for r in done]
    if case["label"] == "ionoscope":
        ours[key] = summary(seconds)["median"]
    rows.append([case["sampler"], "memory" if case["memory"] else "disk", case["label"], spread(seconds), digits(summary(seconds)["median"] / ours[key])])
text = f"{TRIALS} trials of a function that takes no time; Optuna {optuna.__version__}.\n\n"
text += table(["sampler", "journal", "with", "ms (range)", "ours is faster by"], rows)
found = [
    {"label": label, "sampler": s, "memory": True, "trials": SHORT, "seed": seed, "name": f"{label}, {s}, seed {seed}"}
    for seed in SEEDS for s in ("random", "tpe") for label in ("ionoscope", "optuna")
]
results = {}
for case, done in zip(found, in_turn(1, found, measure)):
    record["cases"].append({"case": case, "runs": done})
    results.setdefault((case["sampler"], case["label"]), []).append(done[0]["best"])
text += f"\nSmallest value after {SHORT} trials (0 is the least there is), over {len(SEEDS)} seeds:\n\n"
text += table(["sampler", "with", "median", "range"], [[s, label, digits(statistics.median(v)), f"{digits(min(v))} .. {digits(max(v))}"] for (s, label), v in results.items()])
finish("tuning", args.output, [o for o in sys.argv[1:] if o == "--quick"], record, text)
