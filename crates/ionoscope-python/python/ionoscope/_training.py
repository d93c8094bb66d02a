"""Datasets, trainings and studies: the verbs of the command line, with callbacks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from . import _native
from ._systems import Operator, System, load

Configuration = Union[str, "os.PathLike[str]", Mapping[str, Any]]
"""A TOML file, or its content as a dict."""
Say = Union[Callable[[str], object], None]


@dataclass(frozen=True)
class Data:
    """Made data: `parts["training"]["x"]` and so on, as arrays, copied from the file."""

    path: Path
    parts: dict[str, dict[str, NDArray[Any]]]
    """Of responses "training", "validation", "test", each with "current" `[sample, point]`, "x" `[sample, variable, point]`, "class"; of pairs
    "training", "validation", "new_chunks", each with "x", "next" `[pair, variable]` and "p" `[pair, parameter]`."""


@dataclass(frozen=True)
class Training:
    """A training that came to an end, by itself or early."""

    surrogate: Path
    """File of the surrogate."""
    ending: str
    """"completed", "time-limit" or "interrupted" (by a callback); the last two go on with `resume=True`."""
    seconds: float
    weights: int
    validation: float | None
    """Of an operator the normalized error, of a map the mean squared error of a step."""
    measured: dict[str, Any]
    """What else was measured; with a surrogate to start from, under "start" what that was worth."""
    warnings: list[str] = field(default_factory=list)
    """Such as of a learning rate that is too high."""

    def load(self) -> System | Operator:
        """The surrogate."""
        return load(self.surrogate)


@dataclass(frozen=True)
class Trial:
    """A trial of a study."""

    number: int
    state: str
    """"complete", "pruned", "failed", "running" or "waiting"."""
    value: float | None
    """Of the first objective."""
    objectives: list[float]
    """All of them, in the order of the study's file."""
    values: dict[str, Any]
    """By key of the space."""
    fitted: dict[str, Any] | None
    """What followed from them to meet the budget."""
    reported: dict[str, float]
    """By epoch."""
    problem: str | None


def _given(config: Configuration) -> tuple[str | None, str | None]:
    if isinstance(config, (str, os.PathLike)):
        return os.fspath(config), None
    return None, json.dumps(_plain(config))


def _plain(value: Any) -> Any:
    """Without numpy's types, for JSON."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return value


def _changes(changes: Mapping[str, Any] | None) -> list[str]:
    return [f"{key}={json.dumps(_plain(value))}" for key, value in (changes or {}).items()]


def configuration(config: Configuration, set: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The whole configuration with all defaults; `set` replaces single values: `{"operator.network.width": 32}`."""
    return _native.configuration(*_given(config), _changes(set))


def dataset(config: Configuration, output: str | os.PathLike[str], *, set: Mapping[str, Any] | None = None, say: Say = None,
            threads: int | None = None) -> Data:
    """Makes the data of a configuration in a folder, or finds them there."""
    path, parts = _native.dataset(*_given(config), _changes(set), os.fspath(output), say, threads)
    return Data(Path(path), parts)


def train(
    config: Configuration, output: str | os.PathLike[str], *, set: Mapping[str, Any] | None = None,
    callback: Callable[[dict[str, Any]], object] | None = None, resume: bool = False, start: str | os.PathLike[str] | None = None,
    time_limit: float | None = None, checkpoint_every: float = 60.0, device: str = "cpu", say: Say = None,
    threads: int | None = None,
) -> Training:
    """Trains a surrogate in a folder, on the data there or new ones.

    `callback` is called with every record of the training, on the calling thread: by `"stage"` `"start"` (what the surrogate to start from is worth),
    `"adam"` (`"epoch"`, `"training"`, where it was computed `"validation"`, ..), `"second-order"` and `"warning"` (`"message"`);
    where it returns something false but not None, the training stops, with a checkpoint. An exception in it stops the training too. `resume` goes on
    from the folder's checkpoint and begins where there is none; `start` is a surrogate to start from; `device` is `"cpu"` or, for operators, `"cuda"`;
    `say` takes lines for people, such as `print`.
    """
    done = _native.train(
        *_given(config), _changes(set), os.fspath(output), resume, None if start is None else os.fspath(start), time_limit, checkpoint_every,
        device, callback, say, threads,
    )
    return Training(Path(done["surrogate"]), done["ending"], done["seconds"], done["weights"], done["validation"], done["measured"], done["warnings"])


def tune(
    config: Configuration, output: str | os.PathLike[str], *, set: Mapping[str, Any] | None = None, workers: int = 1, resume: bool = False,
    say: Say = None, threads: int | None = None,
) -> list[Trial]:
    """Searches for the best configuration of a space; leaves journal.log, best.toml, trials.csv and report.html in the folder. All trials."""
    return [Trial(**t) for t in _native.tune(*_given(config), _changes(set), os.fspath(output), workers, resume, say, threads)]
