#!/usr/bin/env python3
"""What a search over networks finds: the space of examples/tune-fhn-quick.toml by chance, by ionoscope's TPE and by Optuna's, each with the same
number of trials, the same epochs and a median pruner. Needs the Python package and Optuna:

    pip install ./crates/ionoscope-python optuna
    python benches/tuning_networks.py -o out/benches/tuning-networks.json      # 23 minutes on two cores, beside other work
"""

import argparse, concurrent.futures, json, os, pathlib, random, shutil, statistics, subprocess, sys, tempfile, time, tomllib

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--trials", type=int, default=30)
parser.add_argument("--seeds", type=int, default=5)
parser.add_argument("--epochs", type=int, default=None, help="of a trial; the example's where not said")
parser.add_argument("--one", nargs=2, metavar=("METHOD", "SEED"), help=argparse.SUPPRESS)
parser.add_argument("-o", "--output", type=pathlib.Path, default=pathlib.Path("out/benches/tuning-networks.json"))
args = parser.parse_args()
root = pathlib.Path(__file__).resolve().parent.parent
study = tomllib.loads((root / "examples/tune-fhn-quick.toml").read_text())
space = study["space"]
if args.epochs:
    study["operator"].setdefault("adam", {})["epochs"] = args.epochs
METHODS = ["chance", "ionoscope TPE", "Optuna TPE"]


def by_ionoscope(sampler, seed, folder):
    import ionoscope

    config = study | {"trials": args.trials, "sampler": sampler, "seed": seed, "default_first": False, "pruner": {"kind": "median"}}
    trials = ionoscope.tune(config, folder, threads=1)
    epochs = sum(max(map(int, t.reported), default=0) for t in trials)
    return [t.value if t.state == "complete" else None for t in trials], epochs


def by_optuna(seed, folder):
    import ionoscope, optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    base = {k: study[k] for k in ("responses", "operator")}
    ionoscope.dataset(base, folder / "data", threads=1)
    epochs = 0

    def suggest(trial, key, domain):
        if "choice" in domain:
            return trial.suggest_categorical(key, domain["choice"])
        if "integer" in domain:
            return trial.suggest_int(key, *domain["integer"], step=domain.get("step", 1))
        return trial.suggest_float(key, *domain["log"], log=True)

    def objective(trial):
        values = {key: suggest(trial, key, domain) for key, domain in space.items()}
        values["operator.seed"] = random.Random(f"{seed} {trial.number}").getrandbits(40)
        own = folder / f"{trial.number}"
        own.mkdir()
        os.link(folder / "data/responses.safetensors", own / "responses.safetensors")

        def report(record):
            nonlocal epochs
            epochs += 1
            trial.report(statistics.fmean(record["validation"]), record["epoch"])
            return not trial.should_prune()

        done = ionoscope.train(base, own, set=values, callback=report, threads=1)
        shutil.rmtree(own)
        if done.ending == "interrupted":
            raise optuna.TrialPruned()
        return done.validation

    search = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), pruner=optuna.pruners.MedianPruner())
    search.optimize(objective, n_trials=args.trials)
    return [t.value if t.state.name == "COMPLETE" else None for t in search.trials], epochs


if args.one:
    method, seed = args.one[0], int(args.one[1])
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        folder = pathlib.Path(folder)
        values, epochs = by_optuna(seed, folder) if method == "Optuna TPE" else by_ionoscope("random" if method == "chance" else "tpe", seed, folder)
        print(json.dumps({"method": method, "seed": seed, "values": values, "epochs": epochs, "seconds": time.perf_counter() - begin}))
    sys.exit()


def one(case):
    command = [sys.executable, __file__, "--one", case[0], str(case[1]), "--trials", str(args.trials)]
    command += ["--epochs", str(args.epochs)] if args.epochs else []
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{case}: {done.stderr[-2000:]}")
    answer = json.loads(done.stdout)
    print(f"{case[0]}, seed {case[1]}: {min(v for v in answer['values'] if v is not None):.4f}, {answer['seconds']:.0f} s", file=sys.stderr)
    return answer


# Methods in turn, so that whatever else the machine does meets all of them.
cases = [(m, s) for s in range(1, args.seeds + 1) for m in METHODS]
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    runs = list(pool.map(one, cases))
best = {m: [min(v for v in r["values"] if v is not None) for r in runs if r["method"] == m] for m in METHODS}
args.output.parent.mkdir(parents=True, exist_ok=True)
args.output.write_text(json.dumps({"trials": args.trials, "epochs": args.epochs, "runs": runs}, indent=1) + "\n")
print(f"| method | smallest validation error after {args.trials} trials, median of {args.seeds} seeds | range | epochs, median |\n|---|---|---|---|")
for m in METHODS:
    epochs = statistics.median(r["epochs"] for r in runs if r["method"] == m)
    print(f"| {m} | {100 * statistics.median(best[m]):.2f} % | {100 * min(best[m]):.2f} .. {100 * max(best[m]):.2f} % | {epochs:.0f} |")
