#!/usr/bin/env python3
"""Evaluates a Fourier neural operator from its file with numpy alone, as a check and as a description of the file.

usage: fno_in_numpy.py SURROGATE.safetensors AMPLITUDE DURATION [OURS.npz]

The stimulus is one step from t = 0. With OURS.npz, written by `ionoscope simulate SURROGATE.safetensors --stimulus AMPLITUDE:0:DURATION -o OURS.npz`,
prints the largest difference in units of each variable's scale."""
import json
import struct
import sys

import numpy as np

data = open(sys.argv[1], "rb").read()
size = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8 : 8 + size])
meta = json.loads(header["__metadata__"]["ionoscope"])


def tensor(name):
    t = header[name]
    begin, end = t["data_offsets"]
    return np.frombuffer(data[8 + size + begin : 8 + size + end], "<f4").astype(float).reshape(t["shape"])


def dense(name, x):
    return tensor(f"{name}.weight") @ x + tensor(f"{name}.bias")[:, None]


def act(x):
    kind = meta["config"]["activation"]
    if kind == "gelu":
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0), "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x)}[kind](x)


amplitude, duration = float(sys.argv[2]), float(sys.argv[3])
config, points, end = meta["config"], meta["points"], meta["t_end"]
edges = np.arange(points + 1) * end / points
# Mean current of each cell of the grid.
current = amplitude * np.clip((duration - edges[:-1]) / np.diff(edges), 0, 1)
x = [np.arange(points) / points, current / meta["scaling"]["input"]]
if "charge" in meta["scaling"]:  # the integral of the current up to each time
    x.append(np.concatenate([[0], np.cumsum(current)[:-1]]) * end / points / meta["scaling"]["charge"])
x = np.stack(x)
v = dense("lifting.2", act(dense("lifting.1", x)))
padded = points + round(config["padding"] * points)
v = np.pad(v, ((0, 0), (0, padded - points)))
for layer in range(config["layers"]):
    r = tensor(f"layer.{layer}.spectral")
    r = r[:, 0] + 1j * r[:, 1]  # [mode, from, to]
    modes = np.fft.rfft(v)[:, : config["modes"]]
    mixed = np.zeros((v.shape[0], padded // 2 + 1), complex)
    mixed[:, : config["modes"]] = np.einsum("kft,fk->tk", r, modes)
    u = np.fft.irfft(mixed, padded)
    if config["kind"] == "zongyi":
        u = dense(f"layer.{layer}.mlp.2", act(dense(f"layer.{layer}.mlp.1", u)))
    h = u + dense(f"layer.{layer}.skip", v)
    h = h if layer + 1 == config["layers"] else act(h)
    v = v + h if config["kind"] == "residual" else h
y = dense("projection.2", act(dense("projection.1", v[:, :points])))
start = np.array([q["default"] for q in meta["spec"]["variables"]])
scale = np.array(meta["scaling"]["state"])
ramp = 1 - np.exp(-np.arange(points) / (points * meta["scaling"]["ramp"]))
states = start[:, None] + ramp * scale[:, None] * y
print(states[:, :: points // 5].T)
if len(sys.argv) > 4:
    ours = np.load(sys.argv[4])["x"]
    ours = ours.reshape(-1, len(scale)).T
    print("largest difference in units of the scale:", (np.abs(ours - states) / scale[:, None]).max())
