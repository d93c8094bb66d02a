# %% [markdown]
# # From a model to a trained map to a plot
#
# The beta cell of Sherman, Rinzel and Keizer (1988) bursts. A neural map, u(t + dt) = F(u), learns
# it from pieces of its oscillation. It is then compared with the equations: over time, and at the
# fixed point, of which it saw nothing. A quarter of a minute on two cores:
#
#     pip install './crates/ionoscope-python[plot]'
#     python examples/python/model_to_map.py out/python

# %%
import sys
from pathlib import Path

import numpy as np

import ionoscope

out = Path(sys.argv[1] if len(sys.argv) > 1 else "out/python")
iterations = int(sys.argv[2]) if len(sys.argv) > 2 else 200

# %% [markdown]
# ## The model

# %%
cell = ionoscope.load("sherman-1988")
print(cell)
for q in cell.variables:
    print(f"  {q.name:4} {q.unit:4} {q.description}")
equations = cell.simulate(30, dt=0.005)

# %% [markdown]
# ## A map, trained on its oscillations
#
# Every record of the training comes to the callback, here to draw the learning curve.

# %%
config = {
    "dataset": {"model": "sherman-1988"},
    "train": {"hidden": 40, "second_order": {"iterations": iterations}},
}
curves = {}


def follow(record):
    curves.setdefault(record["variable"], []).append(record["training"])


training = ionoscope.train(config, out, callback=follow, resume=True)
network = training.load()
print(network, f"validation MSE {training.validation:.1e}, {training.seconds:.0f} s")

# %% [markdown]
# ## The same start, and the fixed point

# %%
learned = network.simulate(30, dt=network.dt, x0=equations.x[0])
for name, system in [("equations", cell), ("map", network)]:
    for point in system.fixed_points():
        stability = "stable" if point.stable else "unstable"
        print(f"{name:9} fixed point v = {point['v']:.3f} mV, {stability}")
        print(f"{name:9} eigenvalues (1/s) {np.round(point.eigenvalues, 3)}")

# %% [markdown]
# ## A plot

# %%
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

figure, (above, below) = plt.subplots(2, 1, figsize=(9, 6), layout="constrained")
above.plot(equations.time, equations["v"], label="equations", color="0.6", linewidth=2)
label = f"map, {training.weights} weights"
above.plot(learned.time, learned["v"], label=label, color="C0", linewidth=0.8)
above.set(xlabel=f"time ({cell.time_unit})", ylabel="v (mV)")
above.legend(loc="upper right")
for variable, curve in curves.items():
    below.semilogy(curve, label=variable)
below.set(xlabel="second-order step", ylabel="training MSE of the increment")
below.legend(loc="upper right")
figure.savefig(out / "map.png", dpi=120)
print(out / "map.png")
