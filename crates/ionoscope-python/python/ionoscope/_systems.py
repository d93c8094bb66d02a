"""Models, neural maps and operators, and what they answer."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _native
from ._answers import Answer, Basins, Continuation, Coupled, Diagram, Figure, FixedPoints, LyapunovSpectrum, Spikes, answer_of
from ._errors import InputError, WorkError
from ._stimuli import Stimulus, text_of, texts_of

Array = NDArray[np.float64]
Values = Union[None, Mapping[str, ArrayLike], ArrayLike]
"""Of the variables or the parameters: None for the defaults, a dict of those that differ, or an array of all in the model's order."""


Bounds = Union[None, Mapping[str, Sequence[float]]]
"""Intervals by variable: `{"v": (-75, 25)}`."""
Over = Union[Mapping[str, Sequence[float]], str]
"""One parameter, or "i_stim", and its range, `{"v_s": (-40, -30)}`, where several values are taken also their number, `{"v_s": (-40, -30, 101)}`."""


@dataclass(frozen=True)
class Quantity:
    """A variable or parameter of a model."""

    name: str
    unit: str
    description: str
    default: float
    range: tuple[float, float]


class Trajectory(Answer):
    """States over time; `trajectory["v"]` is one variable."""

    def __init__(self, units: dict[str, str], document: dict[str, Any], tables: list[dict[str, Any]], figure: str | None, told: list[str],
                 course: tuple[Array, Array, list[str]]) -> None:
        super().__init__(document, tables, figure, told)
        self.time: Array = course[0]
        """`[time]`, in the model's unit."""
        self.x: Array = course[1]
        """`[time, variable]`"""
        self.names: tuple[str, ...] = tuple(course[2])
        self._units = units

    def __getitem__(self, name: str) -> Array:
        return self.x[:, _index(self.names, name)]

    def __len__(self) -> int:
        return len(self.time)

    @property
    def document(self) -> dict[str, Any]:
        """What `ionoscope simulate --json` prints, with `time` and, by variable, `x`; what is not a number is None, as there."""
        plain = {name: _no_nan(self[name]) for name in self.names}
        return self._document | {"time": self.time.tolist(), "x": plain}

    @document.setter
    def document(self, value: dict[str, Any]) -> None:
        self._document = value

    def columns(self) -> dict[str, NDArray[Any]]:
        """`time` and the variables, as arrays by name."""
        return {"time": self.time} | {name: self[name] for name in self.names}

    def units(self) -> dict[str, str]:
        """Units by column."""
        return self._units

    def to_xarray(self) -> Any:
        """An xarray.Dataset of the variables over `time`, with their units. Needs xarray."""
        xarray = _xarray()
        data = {n: ("time", self[n], {"units": self._units.get(n, "")}) for n in self.names}
        return xarray.Dataset(data, {"time": ("time", self.time, {"units": self._units["time"]})})

    def __repr__(self) -> str:
        return f"<{len(self.time)} times of {', '.join(self.names[:4])}{', ..' if len(self.names) > 4 else ''}>"


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
    outside: dict[int, int] = field(default_factory=dict)
    """Of a surrogate: by experiment, how many of its states are outside what it was trained on."""
    band: Array | None = None
    """Of an operator with `bands=True`: half the width of the calibrated band around `x`."""
    units: dict[str, str] = field(default_factory=dict)
    """Of `time` and the variables, by name."""

    def __getitem__(self, name: str) -> Array:
        return self.x[:, :, _index(self.names, name)]

    def __len__(self) -> int:
        return len(self.x)

    def to_xarray(self) -> Any:
        """An xarray.Dataset of the variables over `experiment` and `time`, with their units. Needs xarray."""
        xarray = _xarray()
        data = {n: (("experiment", "time"), self[n], {"units": self.units.get(n, "")}) for n in self.names}
        return xarray.Dataset(data, {"time": ("time", self.time, {"units": self.units.get("time", "")})})

    def __repr__(self) -> str:
        return f"<{len(self.x)} experiments, {len(self.time)} times, {len(self.names)} variables, {len(self.failures)} failed>"


def _xarray() -> Any:
    try:
        return importlib.import_module("xarray")
    except ImportError:
        raise InputError("to_xarray needs xarray, which is not installed: pip install xarray") from None


def _no_nan(values: Array) -> list[float | None]:
    """As JSON has them."""
    return [v if np.isfinite(v) else None for v in values.tolist()]


def _index(names: tuple[str, ...], name: str) -> int:
    try:
        return names.index(name)
    except ValueError:
        raise InputError(f"no variable '{name}'; there are {', '.join(names)}") from None


def _opened(name: str | os.PathLike[str]) -> str:
    """A name by which it can be opened from any folder."""
    text = os.fspath(name)
    return os.path.abspath(text) if os.path.exists(text) else text


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


class System:
    """The equations of a cell, or what reproduces them, a neural map or a Fourier neural operator: `load` opens one.

    Every question takes `x0` (start), `p` (parameters) and `stimulus`, by default those of the model: `x0={"v": -60}`, `p={"g_na": 100}`,
    `stimulus=10` for a constant current, or `step(..)`, `pulses(..)`, `sampled(..)`, a list of such, or a file. Questions have the names, options
    and defaults of the verbs of the command `ionoscope`, and the same documents. All raise `InputError` for what makes no sense, such as an
    unknown name, a value outside its range, or a question that an operator, which has no rule, cannot answer; and `WorkError` where work fails.
    Ctrl-C stops them.
    """

    def __init__(self, name: str | os.PathLike[str], preset: str | None = None) -> None:
        self._native = _native.System(os.fspath(name), preset)
        self._opened = _opened(name)
        self.preset: str | None = preset
        """The named alternative to the default start and parameters that was chosen."""
        self.kind: str = self._native.kind()
        """"flow" (equations), "map" or "operator"."""
        self.dt: float | None = self._native.dt()
        """Step of a map, or of an operator's own times; None of equations."""
        spec = self._native.spec()

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
        self.presets: tuple[str, ...] = tuple(p["name"] for p in spec["presets"])
        """What `load(name, preset=..)` knows."""

    def __reduce__(self) -> tuple[Any, tuple[str, str | None]]:
        """Opened again where it arrives: pickled and copied by name, as multiprocessing and joblib do."""
        return type(self), (self._opened, self.preset)

    def __repr__(self) -> str:
        kind = {"flow": "equations", "map": f"map with a step of {self.dt} {self.time_unit}"}.get(self.kind, "Fourier neural operator")
        return f"<{self.id}: {kind}, {len(self.variables)} variables, {len(self.parameters)} parameters>"

    def state(self, x0: Values = None) -> Array:
        """A state `[variable]` from what differs from the default one."""
        row: Array = _values(self.variables, x0, "x0", None)[0]
        return row

    def parameter_values(self, p: Values = None) -> Array:
        """Parameters `[parameter]` from what differs from the default ones."""
        row: Array = _values(self.parameters, p, "p", None)[0]
        return row

    def rule(self, x: ArrayLike, p: Values = None, stimulus: ArrayLike = 0.0) -> Array:
        """Derivatives of equations, per unit of time, or next states of a map; for states `[variable]` or `[state, variable]`."""
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
        self, t_end: float | None = None, dt: float | None = None, *, x0: Values = None, p: Values = None, stimulus: Stimulus = None,
        rtol: float | None = None, atol: float | None = None, method: str | None = None, step: float | None = None,
        max_steps: int | None = None, pace: float | str | None = None, extrapolate: bool = False, bands: bool = False,
        show: Sequence[str] = (),
    ) -> Trajectory:
        """One trajectory over [0, t_end], at times `dt` apart, of which `t_end` is a multiple. As `ionoscope simulate`.

        `dt` is a 10 000th of `t_end` where it is not given, and a map's or operator's own step. `method`: "auto", "explicit" (Runge-Kutta of
        order 8), "stiff" (Rosenbrock of order 5), or "rush-larsen" with the fixed `step`; `rtol` 1e-8, `atol` 1e-10. `pace`: first onto the
        orbit to which the cell tends when the stimulus is repeated with this period, or "free", without. Of an operator `t_end` is by default
        the end of its training; what is unlike its training is an error, or with `extrapolate` done and marked; `bands` adds `NAME_band`, half
        the width of a calibrated band. `show`: the variables of the figure.
        """
        options = {
            "t_end": t_end, "dt": dt, "rtol": rtol, "atol": atol, "method": method, "step": step, "max_steps": max_steps, "pace": pace,
            "extrapolate": extrapolate or None, "bands": bands or None, "show": list(show) or None,
        }
        return Trajectory(self._units(), *self._told("simulate", options, x0, p, stimulus))

    def _units(self) -> dict[str, str]:
        return {"time": self.time_unit} | {q.name: q.unit for q in self.variables}

    def simulate_batch(
        self, t_end: float | None = None, dt: float | None = None, *, x0: Values = None, p: Values = None, stimulus: Any = None,
        rtol: float | None = None, atol: float | None = None, method: str | None = None, step: float | None = None,
        max_steps: int | None = None, extrapolate: bool = False, bands: bool = False, threads: int | None = None,
    ) -> Ensemble:
        """Many trajectories at once, on all cores or `threads`, without the interpreter's lock.

        `x0` and `p` are as of `simulate`, with one value or one row an experiment: `p={"I_app": np.linspace(0, 10, 100)}`. `stimulus` is one for all, a
        list of one an experiment, or a 1-D array of constant currents. A solve that fails leaves NaN and an entry in `failures`.
        """
        sizes = [len(_values(self.variables, x0, "x0", None)), len(_values(self.parameters, p, "p", None)), len(texts_of(stimulus, None))]
        count = max(sizes)
        given = {
            "t_end": _float(t_end, "t_end"), "dt": _float(dt, "dt"), "rtol": rtol, "atol": atol, "method": method, "step": step,
            "max_steps": max_steps, "extrapolate": extrapolate, "bands": bands,
        }
        options = _json("simulate_batch", {name: value for name, value in given.items() if value is not None})
        time, (x, failures), outside = self._native.simulate(
            _values(self.variables, x0, "x0", count), _values(self.parameters, p, "p", count), texts_of(stimulus, count), options,
            threads,
        )
        n = len(self.names)
        return Ensemble(
            time, x[:, :, :n], self.names, {k: f for k, f in enumerate(failures) if f is not None}, {k: o for k, o in enumerate(outside) if o},
            x[:, :, n:] if bands else None, self._units(),
        )

    def _told(self, verb: str, options: Mapping[str, Any], x0: Values, p: Values, stimulus: Stimulus) -> tuple[Any, ...]:
        """What the native module tells: document, tables, figure, warnings, trajectory."""
        given = _json(verb, {name: value for name, value in options.items() if value is not None})
        return self._native.ask(verb, given, _one(self.variables, x0, "x0"), _one(self.parameters, p, "p"), text_of(stimulus), None)

    def _ask(self, verb: str, options: Mapping[str, Any], x0: Values, p: Values, stimulus: Stimulus) -> tuple[Any, ...]:
        return self._told(verb, options, x0, p, stimulus)[:4]

    def fixed_points(
        self, p: Values = None, stimulus: Stimulus = None, *, bounds: Bounds = None, starts: int | None = None, seed: int | None = None,
        x0: Values = None,
    ) -> FixedPoints:
        """Fixed points in a box (the variables' ranges where `bounds` does not say otherwise), with eigenvalues, under a constant stimulus.

        Of cells that conserve charge those on the level of the start `x0`; it matters for no others. `starts` runs of Newton's method (256) begin
        all over the box; none found is no proof that there is none. As `ionoscope fixed-points`.
        """
        options = {"box": self._box(bounds), "starts": starts, "seed": seed}
        return FixedPoints(self.names, *self._ask("fixed-points", options, x0, p, stimulus))

    def _box(self, bounds: Bounds) -> dict[str, list[float]] | None:
        for name, ends in (bounds or {}).items():
            _index(self.names, name)
            if len(ends) != 2:
                raise InputError(f"bounds of {name}: {list(ends)}; expected two numbers, the smaller first")
        return None if bounds is None else {name: list(map(float, ends)) for name, ends in bounds.items()}

    def continuation(
        self, over: Over, p: Values = None, stimulus: Stimulus = None, *, second: Over | None = None, cycles: bool = False, period: int | None = None,
        at: Sequence[float] = (), bounds: Bounds = None, searches: int | None = None, starts: int | None = None, seed: int | None = None,
        show: str | None = None, x0: Values = None,
    ) -> Continuation:
        """Branches of fixed points over a parameter, and their bifurcations. As `ionoscope continue`.

        `over={"v_s": (-40, -30)}`: the parameter, or "i_stim", and its interval. With `cycles` periodic orbits too, of a map invariant closed
        curves; whole ones at the values `at`. `second` is a second parameter (`--and`): saddle-nodes and Hopf points are followed over both.
        `period`: of a map, cycles of so many steps in place of fixed points.
        """
        options = {
            "over": over, "and": second, "cycles": cycles or None, "period": period, "at": list(map(float, at)) or None, "box": self._box(bounds),
            "searches": searches, "starts": starts, "seed": seed, "show": show,
        }
        return Continuation(*self._ask("continue", options, x0, p, stimulus))

    def diagram(
        self, over: Over, p: Values = None, stimulus: Stimulus = None, *, kind: str | None = None, inherit: str | None = None, both: bool = False,
        start: str | None = None, show: str | None = None, of: str | None = None, section: Mapping[str, float] | None = None,
        transient: float | None = None, window: float | None = None, dt: float | None = None, rtol: float | None = None, x0: Values = None,
    ) -> Diagram:
        """What the system does over a parameter, by simulation. As `ionoscope diagram`.

        `over={"v_s": (-40, -30, 201)}`: the parameter, or "i_stim", its ends and the number of values. `kind`: "raster", one variable over time, a
        column for every value, or "orbit", marks for every value: `of` "maxima", "isi" (intervals between spikes) or "section" (where
        `section={"n": 0.05}` is crossed upwards). `inherit`: from where a column starts, "forward", "backward", "outwards:VALUE" or "none".
        """
        options = {
            "over": over, "kind": kind, "inherit": inherit, "both": both or None, "start": start, "show": show, "of": of, "section": section,
            "transient": transient, "window": window, "dt": dt, "rtol": rtol,
        }
        return Diagram(*self._ask("diagram", options, x0, p, stimulus))

    def basins(
        self, p: Values = None, stimulus: Stimulus = None, *, starts: int | None = None, grid: Mapping[str, int] | None = None, bounds: Bounds = None,
        seed: int | None = None, over: Over | None = None, t_end: float | None = None, window: float | None = None, sample: float | None = None,
        settle: float | None = None, rtol: float | None = None, full: bool = False, x0: Values = None,
    ) -> Basins:
        """Which share of starts ends on which attractor. As `ionoscope basins`.

        So many random `starts` in the box, or a `grid={"v": 100, "s": 100}`; with `over={"v_s": (-36, -35, 8)}` at each of several values.
        """
        options = {
            "starts": starts, "grid": grid, "box": self._box(bounds), "seed": seed, "over": over, "t_end": t_end, "window": window,
            "sample": sample, "settle": settle, "rtol": rtol, "full": full or None,
        }
        return Basins(*self._ask("basins", options, x0, p, stimulus))

    def lyapunov(
        self, p: Values = None, stimulus: Stimulus = None, *, x0: Values = None, count: int | None = None, transient: float | None = None,
        accuracy: float | None = None, t_end: float | None = None, segment: float | None = None, trajectories: int | None = None,
        rtol: float | None = None,
    ) -> LyapunovSpectrum:
        """Lyapunov exponents per unit of time, with errors, along the trajectory from `x0` under a constant stimulus. As `ionoscope lyapunov`.

        `count` exponents (all); averages begin after a `transient` and end at an `accuracy` or `t_end`. At a rest they are the real parts of the
        eigenvalues, on a cycle they follow from its multipliers.
        """
        options = {
            "count": count, "transient": transient, "accuracy": accuracy, "t_end": t_end, "segment": segment, "trajectories": trajectories,
            "rtol": rtol,
        }
        return LyapunovSpectrum(*self._ask("lyapunov", options, x0, p, stimulus))

    def coupled(
        self, graph: str, coupling: float, t_end: float, p: Values = None, stimulus: Stimulus = None, *, dt: float | None = None,
        scatter: float | None = None, seed: int | None = None, rtol: float | None = None, scheme: str | None = None,
        precision: str | None = None, x0: Values = None,
    ) -> Coupled:
        """Many such cells, coupled through their membrane potentials. As `ionoscope coupled`.

        `graph`: "ring:N", "chain:N", "lattice:NxM", or the file of a table of pairs of cells. `scatter`: the time over which a single cell runs
        before, to give each cell a start of its own (0: all alike). `scheme` of a map: "additive" or "symmetric".
        """
        options = {
            "graph": os.fspath(graph), "coupling": coupling, "t_end": t_end, "dt": dt, "scatter": scatter, "seed": seed, "rtol": rtol,
            "scheme": scheme, "precision": precision,
        }
        return Coupled(*self._ask("coupled", options, x0, p, stimulus))

    def spikes(
        self, p: Values = None, stimulus: Stimulus = None, *, x0: Values = None, t_transient: float | None = None, bursts: int | None = None,
        t_end: float | None = None, t_limit: float | None = None, variable: str | None = None, threshold: float | None = None,
        pause: float | None = None, upstroke: str | None = None, dt: float | None = None,
    ) -> Spikes:
        """Spikes, bursts and action potentials, after a transient and over enough of them. As `ionoscope spikes`; defined in docs/biomarkers.md.

        Times are in the model's unit, `threshold` in that of the `variable` (the membrane potential). A stimulus that changes over time needs `t_end`.
        `upstroke`: "steepest-rise" or "crossing", from when durations count.
        """
        options = {
            "t_transient": t_transient, "bursts": bursts, "t_end": t_end, "t_limit": t_limit, "variable": variable, "threshold": threshold,
            "pause": pause, "upstroke": upstroke, "dt": dt,
        }
        return Spikes(*self._ask("spikes", options, x0, p, stimulus))

    def evaluate(self, dataset: str | os.PathLike[str], *, set: str | None = None, calibrate: str | os.PathLike[str] | None = None) -> Answer:
        """Errors of a surrogate, an operator or a map that takes a stimulus, on a dataset of responses. As `ionoscope evaluate`.

        `set`: "training", "validation" or "test". `calibrate` writes the operator, its band calibrated anew on that set, to this file.
        """
        options = {
            "surrogate": self._opened, "dataset": os.fspath(dataset), "set": set, "calibrate": None if calibrate is None else os.fspath(calibrate),
        }
        return run_task("evaluate", options)

    def describe(self) -> dict[str, Any]:
        """Variables, parameters, units, source, and of a surrogate what it was trained on. As `ionoscope models NAME --json`."""
        return run_task("models", {"id": self._opened}).document


def run_task(verb: str, options: Mapping[str, Any], say: Callable[[str], object] | None = None) -> Answer:
    """Does what a verb of the command line does, with its options where they are not None."""
    given = _json(verb, {name: value for name, value in options.items() if value is not None})
    return answer_of(_native.run_task(verb, given, say))


def _json(verb: str, options: Mapping[str, Any]) -> str:
    try:
        return json.dumps(options, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as e:
        raise InputError(f"{verb}: {e}") from None


def _float(value: float | None, name: str) -> float | None:
    if value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"{name} is {value!r}; expected a number") from None


def _plain(value: Any) -> Any:
    """Numbers and arrays of numpy as Python's own."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{value!r} is no number")


def _one(quantities: tuple[Quantity, ...], values: Values, what: str) -> list[tuple[str, float]]:
    """What one set of values sets, by name, where one is wanted: arrays, of which each entry would be one of several, are refused."""
    if values is None:
        return []
    if isinstance(values, Mapping):
        for name, value in values.items():
            if np.ndim(value) != 0:
                raise InputError(f"{what}: {name} has {np.size(value)} values; expected one number")
    elif np.ndim(values) != 1:
        raise InputError(f"{what} has the shape {np.shape(values)}; expected one value for each")
    row = _values(quantities, values, what, None)[0]
    every = {q.name: float(v) for q, v in zip(quantities, row)}
    if isinstance(values, Mapping):
        return [(name, every[name]) for name in values]
    return [(q.name, every[q.name]) for q in quantities if every[q.name] != q.default]


class Operator(System):
    """A Fourier neural operator: all variables over time from the stimulus, at once. `load` opens one."""

    def __init__(self, name: str | os.PathLike[str], preset: str | None = None) -> None:
        super().__init__(name, preset)
        about = self._native.about()
        if about is None:
            raise InputError(f"{os.fspath(name)} is no Fourier neural operator; open it with load")
        self.t_end: float = about["t_end"]
        """End of what it was trained on, or of a window."""
        self.points: int = about["points"]
        self.weights: int = about["weights"]
        self.takes_start: bool = about["takes_start"]
        """Whether it goes on from any start, window by window, for as long as wanted."""
        self.network: dict[str, Any] = about["network"]
        self.seen: dict[str, Any] = about["seen"]
        """Which stimuli it was trained on."""
        self.band: float | None = about["band"]
        """Share of the values that its calibrated band holds; None where it has none."""
        self.provenance: Any = about["provenance"]


def models() -> list[str]:
    """Identifiers of the models that `load` knows."""
    return _native.model_ids()


def load(name: str | os.PathLike[str], preset: str | None = None) -> System:
    """A model by its identifier, or a surrogate by its file; an `Operator` where it is one. `preset` names another start and parameters."""
    opened = System(name, preset)
    return Operator(name, preset) if opened.kind == "operator" else opened


def compare(
    a: str | os.PathLike[str] | System, b: str | os.PathLike[str] | System, *, over: Over | None = None, p: Mapping[str, float] | None = None,
    x0: Mapping[str, float] | None = None, stimulus: float | None = None, preset: str | None = None, quick: bool = False,
    output: str | os.PathLike[str] | None = None, say: Callable[[str], object] | None = None,
) -> Answer:
    """Two systems with the same variables side by side: equations, maps. As `ionoscope compare`; `output` is the folder of a report."""
    names = [s._opened if isinstance(s, System) else os.fspath(s) for s in (a, b)]
    options = {
        "a": names[0], "b": names[1], "over": over, "parameters": p, "x0": x0, "i_stim": stimulus, "preset": preset, "quick": quick or None,
        "output": None if output is None else os.fspath(output),
    }
    return run_task("compare", options, say)


def evaluate(surrogate: str | os.PathLike[str] | System, dataset: str | os.PathLike[str], *, set: str | None = None) -> Answer:
    """Errors of a surrogate on a dataset of responses: `System.evaluate` of a file."""
    return (surrogate if isinstance(surrogate, System) else load(surrogate)).evaluate(dataset, set=set)


def report(folder: str | os.PathLike[str]) -> Answer:
    """Draws the report of a folder anew; `document["report"]` is the page. As `ionoscope report`."""
    return run_task("report", {"dir": os.fspath(folder)})


def reproduce(
    paper: str, output: str | os.PathLike[str], *, quick: bool = False, model: str | None = None, free: bool = False, device: str | None = None,
    seeds: int | None = None, seed: int | None = None, resume: bool = False, say: Callable[[str], object] | None = None,
) -> Answer:
    """A paper end to end, "kuptsov-2023" or "pellegrini-2025", into a report in a folder. As `ionoscope reproduce`; `say` takes lines, such as `print`."""
    options = {
        "paper": paper, "output": os.fspath(output), "quick": quick, "model": model, "free": free, "device": device, "seeds": seeds, "seed": seed,
        "resume": resume,
    }
    return run_task("reproduce", options, say)
