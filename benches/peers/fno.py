#!/usr/bin/env python3
"""A Fourier neural operator from ionoscope's .safetensors file in PyTorch: the oracle of our gradients and the peer of benches/operator.sh.

    fno.py check SURROGATE.safetensors FILE.csv OURS.npz    largest difference to `ionoscope simulate SURROGATE --experiments FILE.csv -o OURS.npz`
                                                            in units of each variable's scale; fails above 1e-5
    fno.py oracle OUT.json                         outputs and gradients of small random networks in double precision, for the tests
    fno.py bench THREADS eager|compile             reads tasks {"what": "train"|"infer", ..} on stdin, one line of JSON each; see ../operator_speed.py
"""

import csv, json, pathlib, sys, time

import numpy as np
import torch
from torch.nn.functional import gelu, leaky_relu

ACTIVATIONS = {"gelu": lambda x: gelu(x, approximate="tanh"), "tanh": torch.tanh, "relu": torch.relu, "leaky_relu": leaky_relu}


class Dense(torch.nn.Module):
    """The same affine map at every time: `[batch, from, time]` to `[batch, to, time]`."""

    def __init__(self, weight, bias):
        super().__init__()
        self.weight, self.bias = torch.nn.Parameter(weight), torch.nn.Parameter(bias)

    def forward(self, x):
        return self.weight @ x + self.bias[:, None]


class Fno(torch.nn.Module):
    """The network alone: `[batch, channels, time]` to `[batch, variables, time]`, both without units."""

    def __init__(self, config, tensors):
        super().__init__()
        self.config, self.act = config, ACTIVATIONS[config["activation"]]
        dense = lambda name: Dense(tensors[f"{name}.weight"], tensors[f"{name}.bias"])
        self.lifting = torch.nn.ModuleList([dense("lifting.1"), dense("lifting.2")])
        self.projection = torch.nn.ModuleList([dense("projection.1"), dense("projection.2")])
        self.spectral, self.skip, self.mlp = torch.nn.ParameterList(), torch.nn.ModuleList(), torch.nn.ModuleList()
        for layer in range(config["layers"]):
            r = tensors[f"layer.{layer}.spectral"]
            self.spectral.append(torch.nn.Parameter(torch.complex(r[:, 0].contiguous(), r[:, 1].contiguous())))
            self.skip.append(dense(f"layer.{layer}.skip"))
            if config["kind"] == "zongyi":
                self.mlp.append(torch.nn.ModuleList([dense(f"layer.{layer}.mlp.1"), dense(f"layer.{layer}.mlp.2")]))

    def forward(self, x):
        points = x.shape[-1]
        padded = points + round(self.config["padding"] * points)
        v = self.lifting[1](self.act(self.lifting[0](x)))
        v = torch.nn.functional.pad(v, (0, padded - points))
        for layer, r in enumerate(self.spectral):
            modes = torch.fft.rfft(v)[..., : self.config["modes"]]
            mixed = torch.einsum("bfk,kft->btk", modes, r)
            u = torch.fft.irfft(mixed, padded)
            if self.config["kind"] == "zongyi":
                first, second = self.mlp[layer]
                u = second(self.act(first(u)))
            h = u + self.skip[layer](v)
            h = h if layer + 1 == self.config["layers"] else self.act(h)
            v = v + h if self.config["kind"] == "residual" else h
        return self.projection[1](self.act(self.projection[0](v[..., :points])))


def shapes(config, inputs, outputs, hidden=128):
    """Names and shapes of the tensors, in the order of the file."""
    w, k = config["width"], config["modes"]
    dense = lambda name, to, source: [(f"{name}.weight", (to, source)), (f"{name}.bias", (to,))]
    yield from dense("lifting.1", hidden, inputs) + dense("lifting.2", w, hidden)
    for layer in range(config["layers"]):
        yield f"layer.{layer}.spectral", (k, 2, w, w)
        yield from dense(f"layer.{layer}.skip", w, w)
        if config["kind"] == "zongyi":
            yield from dense(f"layer.{layer}.mlp.1", w, w) + dense(f"layer.{layer}.mlp.2", w, w)
    yield from dense("projection.1", hidden, w) + dense("projection.2", outputs, hidden)


def load(path):
    """Header and network of a file."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["ionoscope"]), {name: file.get_tensor(name).float() for name in file.keys()}


def check(surrogate, experiments, ours):
    header, tensors = load(surrogate)
    net = Fno(header["config"], tensors)
    x = np.load(ours)["x"]
    points, end = x.shape[1], header["t_end"]
    edges = np.arange(points + 1) * end / points
    start = np.array([q["default"] for q in header["spec"]["variables"]])
    scale = np.array(header["scaling"]["state"])
    ramp = 1 - np.exp(-np.arange(points) / (points * header["scaling"]["ramp"]))
    worst = 0.0
    for row, want in zip(csv.DictReader(open(experiments)), x, strict=True):
        begin, duration, amplitude = (float(row[f"stim_{name}"]) for name in ("start", "duration", "amplitude"))
        covered = np.clip(np.minimum(edges[1:], begin + duration) - np.maximum(edges[:-1], begin), 0, None)
        channels = [np.arange(points) / points, amplitude * covered / np.diff(edges) / header["scaling"]["input"]]
        if "charge" in header["scaling"]:  # the integral of the current up to each time
            channels.append(np.concatenate([[0], np.cumsum(amplitude * covered)[:-1]]) / header["scaling"]["charge"])
        channels = np.stack(channels)
        with torch.no_grad():
            y = net(torch.from_numpy(channels.astype(np.float32))[None])[0].double().numpy()
        worst = max(worst, (np.abs(start + (ramp * scale[:, None] * y).T - want) / scale).max())
    print(f"largest difference over {len(x)} experiments, in units of each variable's scale: {worst:.1e}")
    sys.exit(int(worst > 1e-5))


def oracle(out):
    torch.manual_seed(1)
    cases = []
    for kind, activation, padding in [
        ("zongyi", "gelu", 0.1), ("classic", "tanh", 0.0), ("residual", "gelu", 0.25), ("zongyi", "leaky_relu", 0.0), ("classic", "relu", 0.1),
    ]:
        config = {"width": 4, "modes": 3, "layers": 2, "kind": kind, "activation": activation, "padding": padding}
        # Few digits, so that the file is short and exact.
        draw = lambda *shape: torch.round(torch.randn(*shape, dtype=torch.float64) * 64) / 128
        tensors = {name: draw(*shape) for name, shape in shapes(config, 2, 3)}
        net, x, d = Fno(config, tensors), draw(2, 12), draw(3, 12)
        y = net(x[None])[0]
        (y * d).sum().backward()
        by_name = {}
        for layer, r in enumerate(net.spectral):
            by_name[f"layer.{layer}.spectral"] = torch.stack([r.grad.real, r.grad.imag], 1)
            blocks = {"skip": net.skip[layer]} | ({"mlp.1": net.mlp[layer][0], "mlp.2": net.mlp[layer][1]} if kind == "zongyi" else {})
            for name, dense in blocks.items():
                by_name |= {f"layer.{layer}.{name}.weight": dense.weight.grad, f"layer.{layer}.{name}.bias": dense.bias.grad}
        for name, two in (("lifting", net.lifting), ("projection", net.projection)):
            for k in (0, 1):
                by_name |= {f"{name}.{k + 1}.weight": two[k].weight.grad, f"{name}.{k + 1}.bias": two[k].bias.grad}
        flat = lambda of: torch.cat([of[name].flatten() for name, _ in shapes(config, 2, 3)])
        short = lambda values: [float(f"{v:.12g}") for v in values.flatten().tolist()]
        # Every seventh weight's gradient, and the sum of all.
        gradient = flat(by_name)
        cases.append({"config": config, "weights": [round(128 * v) for v in flat(tensors).tolist()], "x": x.flatten().tolist(), "d": d.flatten().tolist(),
                      "y": short(y.detach()), "gradient": short(gradient[::7]), "sum": float(gradient.sum())})
    pathlib.Path(out).write_text(json.dumps({"torch": torch.__version__, "cases": cases}, separators=(",", ":")) + "\n")


def bench(threads, way):
    torch.set_num_threads(threads)
    for line in sys.stdin:
        task = json.loads(line)
        try:
            print(json.dumps({"version": torch.__version__, **measure(task, way)}), flush=True)
        except Exception as problem:
            print(json.dumps({"problem": repr(problem)[:500]}), flush=True)


def measure(task, way):
    config = task["config"]
    tensors = {name: torch.randn(shape) / max(1, shape[-1]) ** 0.5 for name, shape in shapes(config, 2, task["variables"])}
    device = "cuda" if task.get("cuda") else "cpu"
    net = Fno(config, tensors).to(device)
    points, batch = task["points"], task["batch"]
    x = torch.rand(batch, 2, points, device=device)
    go = torch.compile(net, dynamic=False) if way == "compile" else net
    if task["what"] == "infer":
        net.requires_grad_(False)
        # Many samples go through in parts of whatever size is fastest: large ones leave the cache.
        def through(part):
            return lambda: [go(x) for x in x.split(part)]

        def once(step):
            step()
            begin = time.perf_counter()
            step()
            return time.perf_counter() - begin

        parts = [through(part) for part in (10, 100, batch) if part <= batch] if batch > 1 else [through(1)]
        step = min(parts, key=once) if len(parts) > 1 else parts[0]
    else:
        target = torch.rand(batch, task["variables"], points, device=device)
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, weight_decay=1e-4)

        def step():
            optimizer.zero_grad(set_to_none=True)
            y = go(x)
            loss = ((y - target).norm(dim=-1) / target.norm(dim=-1)).mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()

    # A GPU works on while Python goes on, so that many steps are timed together there.
    together, wait = (50, torch.cuda.synchronize) if device == "cuda" else (1, lambda: None)
    step(), step(), wait()
    seconds, begun = [], time.perf_counter()
    while time.perf_counter() - begun < task["seconds"] or len(seconds) < 3:
        begin = time.perf_counter()
        for _ in range(together):
            step()
        wait()
        seconds.append((time.perf_counter() - begin) / together)
    return {"seconds": sorted(seconds)[len(seconds) // 2]}


if __name__ == "__main__":
    verb, *rest = sys.argv[1:]
    {"check": check, "oracle": oracle, "bench": lambda threads, way: bench(int(threads), way)}[verb](*rest)
