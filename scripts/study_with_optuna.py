#!/usr/bin/env python3
"""Opens a study of `ionoscope tune` with Optuna, checks that both see the same, and works on it as one more worker.

usage: study_with_optuna.py DIR IONOSCOPE [TRIALS]

Needs optuna (`pip install optuna`). Each trial is trained by the given `ionoscope`, in a folder of its own, with the values that Optuna suggests."""
import csv
import json
import pathlib
import subprocess
import sys
import tempfile

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

folder, ionoscope = pathlib.Path(sys.argv[1]), sys.argv[2]
more = int(sys.argv[3]) if len(sys.argv) > 3 else 2
table = csv.DictReader(open(folder / "trials.csv"))
objective = table.fieldnames[2]
study = optuna.load_study(study_name="study", storage=JournalStorage(JournalFileBackend(str(folder / "journal.log"))))
for row, trial in zip(table, study.trials, strict=True):
    same = row["state"].replace("failed", "fail").upper() == trial.state.name and float(row[objective]) == trial.value
    for key, value in trial.params.items():
        same &= row[key] == str(value) or float(row[key]) == value
    if not same:
        sys.exit(f"trial {trial.number} differs: {row} {trial}")
print(f"optuna {optuna.__version__} reads {len(study.trials)} trials; best {study.best_value} of trial {study.best_trial.number}")
space = {key: d for t in study.trials for key, d in t.distributions.items()}
for _ in range(more):
    trial = study.ask(space)
    with tempfile.TemporaryDirectory() as output:
        changes = [part for key, value in trial.params.items() for part in ("--set", f"{key}={json.dumps(value)}")]
        # All that is not in the space is alike in every trial.
        done = subprocess.run([ionoscope, "train", str(folder / "best.toml"), *changes, "-o", output + "/run", "--quiet", "--json"], capture_output=True, text=True)
        value = json.loads(done.stdout)["validation"]
    study.tell(trial, value)
    print(f"trial {trial.number}, by optuna: {value}")
