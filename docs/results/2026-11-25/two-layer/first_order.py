#!/usr/bin/env python3
"""Trains the two-layer map by Adam with numpy, as a check of what first-order training makes of it.

usage: first_order.py DATASET.safetensors TEMPLATE.safetensors units|increments OUT.safetensors

TEMPLATE is any two-layer map trained on DATASET: normaliser and sizes come from it. `units`: the errors of all variables count in
standard deviations of the variable, as they stand; `increments`: in standard deviations of the variable's increment."""
import json
import struct
import sys

import numpy as np

EPOCHS, BATCH, RATE, SEED = 2000, 1000, 3e-3, 1


def load(path):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    tensors = {}
    for name, t in header.items():
        if name != "__metadata__":
            begin, end = t["data_offsets"]
            tensors[name] = np.frombuffer(data[8 + size + begin : 8 + size + end], "<f8").reshape(t["shape"])
    return header, tensors


def save(path, header, tensors):
    document, blob = {"__metadata__": header["__metadata__"]}, b""
    for name, t in tensors.items():
        t = np.ascontiguousarray(t, "<f8")
        document[name] = {"dtype": "F64", "shape": list(t.shape), "data_offsets": [len(blob), len(blob) + t.nbytes]}
        blob += t.tobytes()
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 8)
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + blob)


data, (header, template) = load(sys.argv[1])[1], load(sys.argv[2])
n = json.loads(header["__metadata__"]["ionoscope"])["normalizer"]
mean, sd, p_mean, p_sd, increment_sd = (
    np.array(n[k]) for k in ("state_mean", "state_sd", "parameter_mean", "parameter_sd", "increment_sd")
)
scale = increment_sd / sd if sys.argv[3] == "increments" else np.ones(len(sd))


def pairs(which):
    u, p, v = (data[f"{which}.{k}"] for k in ("u", "p", "next"))
    return np.hstack([(u - mean) / sd, (p - p_mean) / p_sd]), (v - u) / sd / scale


(x, y), (xv, yv) = pairs("training"), pairs("validation")
random = np.random.default_rng(SEED)
inputs, hidden, outputs = x.shape[1], len(template["beta"]), y.shape[1]
weights = [
    random.normal(size=(inputs, hidden)) / 2,
    random.normal(size=hidden) / 2,
    random.normal(size=(hidden, outputs)) / np.sqrt(hidden),
    np.zeros(outputs),
]
first, second = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
steps = EPOCHS * (len(x) // BATCH)
t = 0
for epoch in range(EPOCHS):
    order = random.permutation(len(x))
    for k in range(len(x) // BATCH):
        i = order[k * BATCH : (k + 1) * BATCH]
        h = np.tanh(x[i] @ weights[0] + weights[1])
        r = (h @ weights[2] + weights[3] - y[i]) * 2 / (BATCH * outputs)
        g = (r @ weights[2].T) * (1 - h * h)
        t += 1
        rate = RATE * 0.5 * (1 + np.cos(np.pi * t / steps))
        for w, gradient, m, v in zip(weights, [x[i].T @ g, g.sum(0), h.T @ r, r.sum(0)], first, second):
            m += 0.1 * (gradient - m)
            v += 0.001 * (gradient * gradient - v)
            w -= rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
error = (np.tanh(xv @ weights[0] + weights[1]) @ weights[2] + weights[3] - yv) * scale
print("validation MSE", (error**2).mean(), "increment MSE by variable", ((error * sd / increment_sd) ** 2).mean(0))
a, beta, c, gamma = weights
c, gamma = c * scale * sd / increment_sd, gamma * scale * sd / increment_sd
save(sys.argv[4], header, {"A": a[:outputs], "B": a[outputs:], "beta": beta, "C": c.T, "gamma": gamma})
