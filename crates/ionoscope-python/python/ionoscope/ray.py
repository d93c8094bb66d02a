"""Trials on a Ray cluster: `pip install ionoscope[ray]`.

    from ray import tune
    from ionoscope.ray import trainable

    tuner = tune.Tuner(
        trainable("examples/tune-fhn-quick.toml"),
        param_space={"operator.network.width": tune.choice([16, 24, 32]), "operator.adam.learning_rate": tune.loguniform(1e-4, 1e-2)},
        tune_config=tune.TuneConfig(metric="validation", mode="min", num_samples=20, scheduler=tune.schedulers.ASHAScheduler()),
        run_config=tune.RunConfig(storage_path="/shared/folder", failure_config=tune.FailureConfig(max_failures=3)),
    )
    best = tuner.fit().get_best_result()

Every epoch with a validation error is reported; every so many epochs a checkpoint goes along, from which a trial goes on, to the bit, where Ray begins
it again after a node was lost. The last one also holds `surrogate.safetensors`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ._errors import Error
from ._training import Configuration, configuration, dataset, train

_SECTIONS = ("responses", "operator", "dataset", "train")


def trainable(config: Configuration, *, set: Mapping[str, Any] | None = None, checkpoint_epochs: int = 10, threads: int | None = None) -> Callable[[dict[str, Any]], None]:
    """A function trainable for `ray.tune.Tuner` that trains `config` with the values of a trial.

    `param_space` is of the keys of the configuration, such as `"operator.network.width"`. `config` may be the file of a study: its sections of the
    configuration are taken. `threads` are those of a trial; as many as the CPUs that Ray gave it where not said.
    """
    base = _sections(config, set)

    def trial(space: dict[str, Any]) -> None:
        from ray import tune

        values = {key: value for key, value in space.items() if "." in key}
        resolved = configuration(base, values)
        folder = Path(tempfile.mkdtemp(prefix="ionoscope-trial-"))
        try:
            before = tune.get_checkpoint()
            if before is not None:
                with before.as_directory() as kept:
                    shutil.copytree(kept, folder, dirs_exist_ok=True)
            _bring_data(resolved, folder)
            _train(tune, resolved, folder, checkpoint_epochs, threads or _cpus())
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    return trial


def _train(tune: Any, resolved: dict[str, Any], folder: Path, checkpoint_epochs: int, threads: int) -> None:
    reported: list[int] = []

    def report(record: dict[str, Any]) -> None:
        if record.get("stage") != "adam" or record.get("validation") is None:
            return
        mean = lambda values: sum(values) / len(values)
        metrics = {"epoch": record["epoch"], "training": mean(record["training"]), "validation": mean(record["validation"])}
        # The folder's checkpoint is of the epoch before, from which this one comes out the same again.
        if len(reported) % checkpoint_epochs == checkpoint_epochs - 1:
            _with_checkpoint(tune, metrics, folder)
        else:
            tune.report(metrics)
        reported.append(record["epoch"])

    done = train(resolved, folder, callback=report, resume=True, checkpoint_every=0.0, threads=threads)
    # Begun again after its end, a trial reports nothing more on the way.
    epochs = done.measured.get("epochs") or (reported[-1] if reported else 0)
    last = {"epoch": epochs, "validation": done.validation, "weights": done.weights}
    _with_checkpoint(tune, last, folder)


def _with_checkpoint(tune: Any, metrics: dict[str, Any], folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="ionoscope-checkpoint-") as kept:
        for file in folder.iterdir():
            # The data are made again, the same, wherever the trial goes on.
            if file.is_file() and not file.name.startswith(("responses.", "dataset.")):
                shutil.copy2(file, kept)
        tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(kept))


def _sections(config: Configuration, set: Mapping[str, Any] | None) -> dict[str, Any]:
    if isinstance(config, (str, os.PathLike)):
        try:
            import tomllib
        except ImportError:  # Python 3.10
            import tomli as tomllib
        with open(config, "rb") as file:
            config = tomllib.load(file)
    return configuration({k: v for k, v in config.items() if k in _SECTIONS}, set)


def _cpus() -> int:
    import ray

    return max(1, int(ray.get_runtime_context().get_assigned_resources().get("CPU", 1)))


def _bring_data(resolved: dict[str, Any], folder: Path) -> None:
    """The data, made once on every node, into the folder."""
    section = next(s for s in ("responses", "dataset") if s in resolved)
    name = hashlib.sha256(json.dumps(resolved[section], sort_keys=True).encode()).hexdigest()[:16]
    cache = Path(tempfile.gettempdir()) / f"ionoscope-data-{os.getuid()}"
    cache.mkdir(mode=0o700, exist_ok=True)
    file = cache / name / f"{section}.safetensors"
    if not file.exists():
        own = Path(tempfile.mkdtemp(dir=cache))
        dataset(resolved, own)
        try:
            os.rename(own, cache / name)
        except OSError:  # another trial was first
            shutil.rmtree(own)
    if not file.exists():
        raise Error(f"{file} is not there; was the folder of temporary files emptied?")
    to = folder / file.name
    if not to.exists():
        shutil.copy2(file, to)
