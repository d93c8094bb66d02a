"""Stimuli: what is added to a cell's current over time."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Union

import numpy as np
from numpy.typing import ArrayLike

from ._errors import InputError

Stimulus = Union[None, float, Mapping[str, Any], Sequence[Mapping[str, Any]], str, "os.PathLike[str]"]
"""None; a constant current; what `step`, `pulses` or `sampled` give, or a list of such, which add up; a file (.toml, or .csv with time,current)."""


def step(amplitude: float, start: float = 0.0, duration: float | None = None) -> dict[str, Any]:
    """A constant current on [start, start + duration), for ever where no duration is given."""
    return _shape("step", start=start, duration=duration, amplitude=amplitude)


def pulses(amplitude: float, width: float, period: float, start: float = 0.0, count: int | None = None) -> dict[str, Any]:
    """Equal pulses, one a period, for ever where no count is given."""
    return _shape("pulse-train", start=start, amplitude=amplitude, width=width, period=period, count=count)


def sampled(time: ArrayLike, current: ArrayLike) -> dict[str, Any]:
    """A current given by its values, each held until the next time and the last one for ever."""
    return _shape("sampled", times=np.asarray(time, float).tolist(), values=np.asarray(current, float).tolist())


def _shape(name: str, **fields: Any) -> dict[str, Any]:
    return {"shape": name} | {k: v for k, v in fields.items() if v is not None}


def text_of(stimulus: Stimulus) -> str:
    """A stimulus as the native module takes it."""
    if stimulus is None:
        return "[]"
    if isinstance(stimulus, (str, os.PathLike)):
        return os.fspath(stimulus)
    if isinstance(stimulus, (int, float, np.floating, np.integer)):
        return json.dumps([step(float(stimulus))])
    if isinstance(stimulus, Mapping):
        return json.dumps([dict(stimulus)])
    try:
        return json.dumps([dict(s) for s in stimulus])
    except (TypeError, ValueError):
        raise InputError(f"stimulus {stimulus!r}; expected None, a number, step(..), pulses(..), sampled(..), a list of such, or a file") from None


def texts_of(stimulus: Any, count: int | None) -> list[str]:
    """One for each experiment: of a list each element is for one, and of a 1-D array each constant current; anything else is for all."""
    many = isinstance(stimulus, (np.ndarray, list, tuple))
    texts = [text_of(s) for s in stimulus] if many else [text_of(stimulus)]
    if count is None:
        return texts
    if len(texts) == 1:
        return texts * count
    if len(texts) != count:
        raise InputError(f"{len(texts)} stimuli for {count} experiments; expected one for all, or as many")
    return texts
