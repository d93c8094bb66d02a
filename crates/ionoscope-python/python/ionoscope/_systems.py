"""Models, neural maps and operators, and what they answer."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _native
from ._answers import FixedPoints, LyapunovSpectrum, Spikes
from ._errors import InputError, WorkError
from ._stimuli import Stimulus, text_of, texts_of

Array = NDArray[np.float64]
Values = Union[None, Mapping[str, ArrayLike], ArrayLike]
"""Of the variables or the parameters: None for the defaults, a dict of those that differ, or an array of all in the model's order."""


@dataclass(frozen=True)
class Quantity:
    """A variable or parameter of a model."""

    name: str
    unit: str
    description: str
    default: float
    range: tuple[float, float]


@dataclass(frozen=True)
class Trajectory:
    """States over time; `trajectory["v"]` is one variable."""

    time: Array
    """`[time]`, in the model's unit."""
    x: Array
    """`[time, variable]`"""
    names: tuple[str, ...]

    def __getitem__(self, name: str) -> Array:
        return self.x[:, _index(self.names, name)]

    def __repr__(self) -> str:
        return f"Trajectory({len(self.time)} times of {', '.join(self.names[:4])}{', ..' if len(self.names) > 4 else ''})"


@dataclass(frozen=True)
class Ensemble:
    """States of many experiments over time; `ensemble["v"]` is `[experiment, time]`."""

    time: Array
    """`[time]`"""
    x: Array
    """`[experiment, time, variable]`; NaN from where a solve was given up."""
    names: tuple[str, ...]
    failures: dict[int, str] = field(default_factory=dict)
    """Why, by experiment."""
    outside: dict[int, str] = field(default_factory=dict)
    """Of an operator: by experiment, in what it is not of the kind that the network was trained on."""
    band: Array | None = None
    """Of an operator with `bands=True`: half the width of the calibrated band around `x`."""

    def __getitem__(self, name: str) -> Array:
        return self.x[:, :, _index(self.names, name)]

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        return f"Ensemble({len(self.x)} experiments, {len(self.time)} times, {len(self.names)} variables, {len(self.failures)} failed)"


def _index(names: tuple[str, ...], name: str) -> int:
    try:
        return names.index(name)
    except ValueError:
        raise InputError(f"no variable '{name}'; there are {', '.join(names)}") from None


def _opened(name: str | os.PathLike[str]) -> str:
    """A name by which it can be opened from any folder."""
    text = os.fspath(name)
    return os.path.abspath(text) if os.path.exists(text) else text


class _Described:
    """What a model or surrogate says of itself."""

    _opened: str

    def __init__(self, spec: dict[str, Any]) -> None:
        def quantity(q: dict[str, Any]) -> Quantity:
            return Quantity(q["name"], q["unit"], q["description"], q["default"], (q["range"][0], q["range"][1]))

        self.id: str = spec["id"]
        self.title: str = spec["title"]
        self.citation: str = spec["citation"]
        self.time_unit: str = spec["time_unit"]
        self.stimulus_unit: str = spec["stimulus_unit"]
        self.variables: tuple[Quantity, ...] = tuple(map(quantity, spec["variables"]))
        self.parameters: tuple[Quantity, ...] = tuple(map(quantity, spec["parameters"]))
        self.names: tuple[str, ...] = tuple(q.name for q in self.variables)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """Opened again where it arrives: pickled and copied by name, as multiprocessing and joblib do."""
        return type(self), (self._opened,)

    def state(self, x0: Values = None) -> Array:
        """A state `[variable]` from what differs from the default one."""
        row: Array = _values(self.variables, x0, "x0", None)[0]
        return row

    def parameter_values(self, p: Values = None) -> Array:
        """Parameters from what differs from the default ones."""
        row: Array = _values(self.parameters, p, "p", None)[0]
        return row


def _values(quantities: tuple[Quantity, ...], values: Values, what: str, count: int | None) -> Array:
    """`[experiment, quantity]`; one row for all where there is no other number of experiments."""
    defaults = np.array([q.default for q in quantities], float)
    if values is None:
        rows = defaults[None]
    elif isinstance(values, Mapping):
        names = tuple(q.name for q in quantities)
        for name in values:
            if name not in names:
                raise InputError(f"{what}: no '{name}'; there are {', '.join(names) or 'none'}")
        columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, float)) for v in values.values())) if values else [np.zeros(1)]
        if columns[0].ndim != 1:
            raise InputError(f"{what}: expected numbers or 1-D arrays, one number an experiment")
        rows = np.repeat(defaults[None], len(columns[0]), 0)
        for name, column in zip(values, columns):
            rows[:, names.index(name)] = column
    else:
        rows = np.atleast_2d(np.asarray(values, float))
        if rows.ndim != 2 or rows.shape[1] != len(quantities):
            raise InputError(f"{what} has the shape {np.shape(values)}; expected [{len(quantities)}] or [experiment, {len(quantities)}]")
    if count is not None and len(rows) != count:
        if len(rows) != 1:
            raise InputError(f"{what} is for {len(rows)} experiments, others are for {count}")
        rows = np.repeat(rows, count, 0)
    return np.ascontiguousarray(rows)


class System(_Described):
    """The equations of a cell, or a neural map that reproduces them: `load` opens one."""

    def __init__(self, name: str | os.PathLike[str]) -> None:
        self._native = _native.System(os.fspath(name))
        self._opened = _opened(name)
        super().__init__(self._native.spec())
        self.dt: float | None = self._native.dt()
        """Step of a map; None of equations."""

    def __repr__(self) -> str:
        kind = "equations" if self.dt is None else f"map with a step of {self.dt} {self.time_unit}"
        return f"<{self.id}: {kind}, {len(self.variables)} variables, {len(self.parameters)} parameters>"

    def rule(self, x: ArrayLike, p: Values = None, stimulus: ArrayLike = 0.0) -> Array:
        """Derivatives of equations, next states of a map; for states `[variable]` or `[state, variable]`."""
        states = np.ascontiguousarray(np.atleast_2d(np.asarray(x, float)))
        currents = np.ascontiguousarray(np.broadcast_to(np.asarray(stimulus, float), (len(states),)))
        out = self._native.rule(states, currents, self.parameter_values(p))
        return out[0] if np.ndim(x) == 1 else out

    def jacobian(self, x: ArrayLike, p: Values = None, stimulus: float = 0.0) -> Array:
        """Derivatives of `rule` by the state, `[output, input]`."""
        state = np.ascontiguousarray(np.asarray(x, float))
        if state.shape != (len(self.variables),):
            raise InputError(f"x has the shape {state.shape}; expected one state, [{len(self.variables)}]")
        return self._native.jacobian(state, float(stimulus), self.parameter_values(p))

    def simulate(
        self, t_end: float, dt: float | None = None, *, x0: Values = None, p: Values = None, stimulus: Stimulus = None,
        rtol: float = 1e-8, atol: float = 1e-10, method: str = "auto", step: float | None = None, max_steps: int = 100_000_000,
    ) -> Trajectory:
        """One trajectory over [0, t_end], at times `dt` apart, of which `t_end` is a multiple (a 10 000th of `t_end` where not given, a map's own step).

        `method`: "auto", "explicit" (Runge-Kutta of order 8), "stiff" (Rosenbrock of order 5), or "rush-larsen" with the fixed `step`.
        """
        many = self.simulate_batch(
            t_end, dt, x0=_one(self.state, x0, "x0")[None], p=_one(self.parameter_values, p, "p")[None], stimulus=[stimulus], rtol=rtol, atol=atol, method=method,
            step=step, max_steps=max_steps, threads=None,
        )
        if many.failures:
            raise WorkError(many.failures[0])
        return Trajectory(many.time, many.x[0], self.names)

    def simulate_batch(
        self, t_end: float, dt: float | None = None, *, x0: Values = None, p: Values = None, stimulus: Any = None,
        rtol: float = 1e-8, atol: float = 1e-10, method: str = "auto", step: float | None = None, max_steps: int = 100_000_000,
        threads: int | None = None,
    ) -> Ensemble:
        """Many trajectories at once, on all cores or `threads`, without the interpreter's lock.

        `x0` and `p` are as of `simulate`, with one value or one row an experiment: `p={"I_app": np.linspace(0, 10, 100)}`. `stimulus` is one for all, a
        list of one an experiment, or a 1-D array of constant currents. A solve that fails leaves NaN and an entry in `failures`.
        """
        sizes = [len(_values(self.variables, x0, "x0", None)), len(_values(self.parameters, p, "p", None)), len(texts_of(stimulus, None))]
        count = max(sizes)
        dt = self.dt if dt is None and self.dt is not None else t_end / 10_000 if dt is None else dt
        time, (x, failures) = self._native.simulate(
            _values(self.variables, x0, "x0", count), _values(self.parameters, p, "p", count), texts_of(stimulus, count), float(t_end),
            float(dt), rtol, atol, method, step, max_steps, threads,
        )
        return Ensemble(time, x, self.names, {k: f for k, f in enumerate(failures) if f is not None})

    def _ask(self, verb: str, options: Mapping[str, Any], x0: Values, p: Values, stimulus: Stimulus) -> tuple[Any, ...]:
        given = {name: value for name, value in options.items() if value is not None}
        try:
            text = json.dumps(given, allow_nan=False, default=_plain)
        except (TypeError, ValueError) as e:
            raise InputError(f"{verb}: {e}") from None
        return self._native.ask(verb, text, _one(self.state, x0, "x0"), _one(self.parameter_values, p, "p"), text_of(stimulus))

    def fixed_points(
        self, p: Values = None, stimulus: Stimulus = None, *, bounds: Mapping[str, Sequence[float]] | None = None, starts: int | None = None,
        seed: int | None = None, x0: Values = None,
    ) -> FixedPoints:
        """Fixed points in a box (the variables' ranges where `bounds` does not say otherwise), with eigenvalues, under a constant stimulus.

        Of cells that conserve charge those on the level of the start `x0`; it matters for no others. `starts` runs of Newton's method (256) begin
        all over the box; none found is no proof that there is none. As `ionoscope fixed-points`.

        Raises `InputError` for what makes no sense, such as an unknown name or a stimulus that changes over time.
        """
        for name, ends in (bounds or {}).items():
            _index(self.names, name)
            if len(ends) != 2:
                raise InputError(f"bounds of {name}: {list(ends)}; expected two numbers, the smaller first")
        box = None if bounds is None else {name: list(map(float, ends)) for name, ends in bounds.items()}
        return FixedPoints(self.names, *self._ask("fixed-points", {"box": box, "starts": starts, "seed": seed}, x0, p, stimulus))

    def lyapunov(
        self, p: Values = None, stimulus: Stimulus = None, *, x0: Values = None, count: int | None = None, transient: float | None = None,
        accuracy: float | None = None, t_end: float | None = None, segment: float | None = None, trajectories: int | None = None,
        rtol: float | None = None,
    ) -> LyapunovSpectrum:
        """Lyapunov exponents per unit of time, with errors, along the trajectory from `x0` under a constant stimulus. As `ionoscope lyapunov`.

        `count` exponents (all); averages begin after a `transient` and end at an `accuracy` or `t_end`. At a rest they are the real parts of the
        eigenvalues, on a cycle they follow from its multipliers.

        Raises `InputError` for what makes no sense, and `WorkError` where a trajectory fails.
        """
        options = {
            "count": count, "transient": transient, "accuracy": accuracy, "t_end": t_end, "segment": segment, "trajectories": trajectories,
            "rtol": rtol,
        }
        return LyapunovSpectrum(*self._ask("lyapunov", options, x0, p, stimulus))

    def spikes(
        self, p: Values = None, stimulus: Stimulus = None, *, x0: Values = None, t_transient: float | None = None, bursts: int | None = None,
        t_end: float | None = None, t_limit: float | None = None, variable: str | None = None, threshold: float | None = None,
        pause: float | None = None, upstroke: str | None = None, dt: float | None = None,
    ) -> Spikes:
        """Spikes, bursts and action potentials, after a transient and over enough of them. As `ionoscope spikes`; defined in docs/biomarkers.md.

        Times are in the model's unit, `threshold` in that of the `variable` (the membrane potential). A stimulus that changes over time needs `t_end`.
        `upstroke`: "steepest-rise" or "crossing", from when durations count.

        Raises `InputError` for what makes no sense, and `WorkError` where a solve fails.
        """
        options = {
            "t_transient": t_transient, "bursts": bursts, "t_end": t_end, "t_limit": t_limit, "variable": variable, "threshold": threshold,
            "pause": pause, "upstroke": upstroke, "dt": dt,
        }
        return Spikes(*self._ask("spikes", options, x0, p, stimulus))


def _plain(value: Any) -> Any:
    """Numbers of numpy as Python's own."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is no number")


def _one(of: Callable[[Values], Array], values: Values, what: str) -> Array:
    """One set of values, where one is wanted: arrays, of which each entry would be one of several, are refused."""
    if isinstance(values, Mapping):
        for name, value in values.items():
            if np.ndim(value) != 0:
                raise InputError(f"{what}: {name} has {np.size(value)} values; expected one number")
    elif values is not None and np.ndim(values) != 1:
        raise InputError(f"{what} has the shape {np.shape(values)}; expected one value for each")
    return np.ascontiguousarray(of(values))


class Operator(_Described):
    """A Fourier neural operator: all variables over time from the stimulus, at once. `load` opens one."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._native = _native.Operator(os.fspath(path))
        self._opened = _opened(path)
        super().__init__(self._native.spec())
        about = self._native.about()
        self.t_end: float = about["t_end"]
        """End of what it was trained on, or of a window."""
        self.points: int = about["points"]
        self.dt: float = about["dt"]
        self.weights: int = about["weights"]
        self.takes_start: bool = about["takes_start"]
        """Whether it goes on from any start, window by window, for as long as wanted."""
        self.network: dict[str, Any] = about["network"]
        self.seen: dict[str, Any] = about["seen"]
        """Which stimuli it was trained on."""
        self.band: float | None = about["band"]
        """Share of the values that its calibrated band holds; None where it has none."""
        self.provenance: Any = about["provenance"]

    def __repr__(self) -> str:
        return f"<{self.id}: Fourier neural operator, {self.weights} weights, {len(self.variables)} variables to t = {self.t_end} {self.time_unit}>"

    def simulate(
        self, stimulus: Any = None, *, t_end: float | None = None, x0: Values = None, p: Values = None, extrapolate: bool = False, bands: bool = False,
        threads: int | None = None,
    ) -> Ensemble:
        """The states at the times of its own grid, up to `t_end`, for one stimulus, a list of them, or a 1-D array of constant currents.

        A stimulus of a kind that it was not trained on is an error; `extrapolate=True` does it and says so in `outside`. `bands=True` adds the
        calibrated band. Only a network that takes a start takes `x0` and any `t_end`; of `p` those that are inputs of the network.
        """
        sizes = [len(_values(self.variables, x0, "x0", None)), len(_values(self.parameters, p, "p", None)), len(texts_of(stimulus, None))]
        count = max(sizes)
        end = self.t_end if t_end is None else float(t_end)
        times = min(int(end / self.dt * (1 + 1e-9)) + 1, self.points) if not self.takes_start else int(end / self.dt + 1e-6) + 1
        if end <= 0 or (not self.takes_start and end > self.t_end * (1 + 1e-9)):
            raise InputError(f"t_end = {end}; {self.id} was trained up to {self.t_end}")
        x, outside, band = self._native.predict(
            texts_of(stimulus, count), _values(self.variables, x0, "x0", count), _values(self.parameters, p, "p", count), times, extrapolate,
            bands, threads,
        )
        return Ensemble(np.arange(times, dtype=np.float64) * np.float64(self.dt), x, self.names, {}, {k: o for k, o in enumerate(outside) if o is not None}, band)


def models() -> list[str]:
    """Identifiers of the models that `load` knows."""
    return _native.model_ids()


def load(name: str | os.PathLike[str]) -> System | Operator:
    """A model by its identifier, or a surrogate by its file."""
    return Operator(name) if _native.Operator.is_one(os.fspath(name)) else System(name)
