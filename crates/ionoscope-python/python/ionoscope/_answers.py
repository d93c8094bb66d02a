"""What a question is answered by."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """A figure, which notebooks show."""

    svg: str

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str) -> None:
        """Writes the SVG to a file."""
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.svg)


def answer_of(told: tuple[Any, ...]) -> Answer:
    """An answer from what the native module gives."""
    return Answer(*told[:4])


class Answer:
    """An answer: `document` is what `ionoscope VERB --json` prints, `table()` its numbers, `figure` its figure."""

    def __init__(self, document: dict[str, Any], tables: list[dict[str, Any]], figure: str | None, told: list[str]) -> None:
        self.document: dict[str, Any] = document
        self.figure: Figure | None = None if figure is None else Figure(figure)
        self.warnings: list[str] = told
        """What the answer says against itself; also told as Python's warnings."""
        self._tables = tables
        for text in told:
            warnings.warn(text, stacklevel=4)

    def columns(self) -> dict[str, NDArray[Any]]:
        """The first table as arrays by the names of its columns."""
        if not self._tables:
            raise InputError("the answer has no table; see `document`")
        names = [c["name"] for c in self._tables[0]["columns"]]
        rows = self._tables[0]["rows"]
        return {name: np.array([row[k] for row in rows]) for k, name in enumerate(names)}

    def table(self) -> Any:
        """The first table: a pandas.DataFrame where pandas is installed, else as `columns()`."""
        try:
            pandas = importlib.import_module("pandas")
        except ImportError:
            return self.columns()
        return pandas.DataFrame(self.columns())

    def units(self) -> dict[str, str]:
        """Units of the columns of the first table."""
        return {c["name"]: c["unit"] for c in self._tables[0]["columns"]} if self._tables else {}


@dataclass(frozen=True)
class FixedPoint:
    """A state that stays."""

    x: Array
    """`[variable]`"""
    names: tuple[str, ...]
    eigenvalues: NDArray[np.complex128]
    """Of the flow, per unit of time; of a map the logarithm of its multipliers over its step."""
    stable: bool
    extrapolated: bool
    """Whether it is outside what a surrogate was trained on."""
    neutral: int = 0
    """How many eigenvalues, the last ones, are zero because fixed points are not isolated; they do not count in `stable`."""

    def __getitem__(self, name: str) -> float:
        if name not in self.names:
            raise InputError(f"no variable '{name}'; there are {', '.join(self.names)}")
        return float(self.x[self.names.index(name)])


class FixedPoints(Answer):
    """The fixed points that a search found, as a sequence. None is no proof that there is none: `document["search"]` says what was searched."""

    def __init__(self, names: tuple[str, ...], *answer: Any) -> None:
        super().__init__(*answer)
        self.points: tuple[FixedPoint, ...] = tuple(
            FixedPoint(
                np.array([f["x"][name] for name in names], float), names,
                np.array([complex(z["re"], z["im"]) for z in f["eigenvalues"]]), f["stable"], f["extrapolated"], f.get("neutral", 0),
            )
            for f in self.document["fixed_points"]
        )

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[FixedPoint]:
        return iter(self.points)

    def __getitem__(self, k: int) -> FixedPoint:
        return self.points[k]

    def __repr__(self) -> str:
        return f"<{len(self.points)} fixed points, {sum(f.stable for f in self.points)} of them stable>"


class LyapunovSpectrum(Answer):
    """Lyapunov exponents with their errors."""

    def __init__(self, *answer: Any) -> None:
        super().__init__(*answer)
        self.exponents: Array = np.array(self.document["exponents"], float)
        """Per unit of time, the largest first."""
        self.errors: Array = np.array(self.document["errors"], float)
        self.reached: bool = self.document["reached"]
        """Whether all errors are within the accuracy and nothing speaks against the answer."""
        self.dimension: float | None = self.document["kaplan_yorke_dimension"]
        """After Kaplan and Yorke; None where it is not decided."""

    def __repr__(self) -> str:
        shown = ", ".join(f"{e:.5g}" for e in self.exponents[:4])
        return f"<exponents {shown}{', ..' if len(self.exponents) > 4 else ''}{'' if self.reached else '; accuracy not reached'}>"


class Spikes(Answer):
    """Spikes, bursts and action potentials; `columns()` has an entry for each action potential and failed capture, in the order of time."""

    def __init__(self, *answer: Any) -> None:
        super().__init__(*answer)
        self.regime: str = self.document["regime"].lower()
        """Such as "spiking", "bursting" or "silent"."""
        self.times: Array = np.array(self.document["spikes"], float)
        """Upward crossings of the threshold."""
        self.means: dict[str, float] | None = self.document["means"]
        """Of the complete action potentials, such as `means["apd90"]`; None without any."""

    def __len__(self) -> int:
        return len(self.times)

    def __repr__(self) -> str:
        return f"<{self.regime}, {len(self.times)} spikes>"


class Continuation(Answer):
    """Branches and their bifurcations."""

    def __init__(self, *answer: Any) -> None:
        super().__init__(*answer)
        self.branches: list[dict[str, Any]] = self.document["branches"]
        """Each with "points", "special_points" (its bifurcations) and "ends"."""
        self.cycles: list[dict[str, Any]] = self.document.get("cycles", [])
        self.curves: list[dict[str, Any]] = self.document.get("curves", [])
        self.complete: bool = self.document["complete"]
        """Whether every branch was followed to an end of its own or of what was asked for."""

    def bifurcations(self) -> list[tuple[str, float]]:
        """Kind and parameter of every bifurcation of a fixed point, branch by branch."""
        return [(s["kind"], s["parameter"]) for b in self.branches for s in b["special_points"]]

    def __repr__(self) -> str:
        found = ", ".join(f"{kind} at {at:.6g}" for kind, at in self.bifurcations()[:4])
        return f"<{len(self.branches)} branches, {len(self.cycles)} of cycles; {found or 'no bifurcation'}{'' if self.complete else '; not complete'}>"


class Diagram(Answer):
    """What a system does over a parameter, by simulation; `columns()` has its points or the raster."""

    def __repr__(self) -> str:
        return f"<{self.document['kind']} over {self.document['over']}>"


class Basins(Answer):
    """Attractors, and the share of the starts that end on each; `columns()` has every start, or with `over` the shares."""

    def __init__(self, *answer: Any) -> None:
        super().__init__(*answer)
        at = self.document.get("basins")
        self.attractors: list[dict[str, Any]] = [a for b in at for a in b["attractors"]] if at else self.document["attractors"]
        """With "kind", "share" and its 95 % "interval"; with `over` those of all values, one after the other."""

    def __repr__(self) -> str:
        return "<" + ", ".join(f"{a['kind']} {a['share']:.4g}" for a in self.attractors[:6]) + ">"


class Coupled(Answer):
    """A run of coupled cells; `columns()` has the membrane potentials over time."""

    def __init__(self, *answer: Any) -> None:
        super().__init__(*answer)
        self.synchrony: float | None = self.document["synchrony"]
        """From 0, of cells that are independent, to 1, of cells that do the same; None at rest."""

    def __repr__(self) -> str:
        return f"<{self.document['cells']} cells, synchrony {self.synchrony}>"
