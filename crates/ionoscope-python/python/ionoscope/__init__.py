"""Learns the dynamics of excitable cells with neural networks, and proves what it learned against the original equations.

    >>> import ionoscope
    >>> cell = ionoscope.load("hodgkin-huxley-1952")
    >>> trajectory = cell.simulate(50, dt=0.05, stimulus=ionoscope.step(10))
    >>> trajectory["v"].max() > 40
    True

`load` opens a model by its identifier (`models()` lists them) or a trained surrogate by its file. `dataset`, `train` and `tune` are the verbs of the
same names of the command `ionoscope`; their configurations are TOML files or dicts. Times, states and currents are in the model's units.
"""

from ._answers import Answer, Basins, Continuation, Coupled, Diagram, Figure, FixedPoint, FixedPoints, LyapunovSpectrum, Spikes
from ._errors import Error, InputError, WorkError
from ._native import __version__
from ._stimuli import pulses, sampled, step
from ._systems import Ensemble, Operator, Quantity, System, Trajectory, compare, evaluate, load, models, report, reproduce
from ._training import Data, Training, Trial, configuration, dataset, train, tune

__all__ = [
    "Answer", "Basins", "Continuation", "Coupled", "Data", "Diagram", "Ensemble", "Error", "Figure", "FixedPoint", "FixedPoints", "InputError",
    "LyapunovSpectrum", "Operator", "Quantity", "Spikes", "System", "Training", "Trajectory", "Trial", "WorkError", "__version__", "compare",
    "configuration", "dataset", "evaluate", "load", "models", "pulses", "report", "reproduce", "sampled", "step", "train", "tune",
]
