"""A neural map from ionoscope's .safetensors file, iterated by PyTorch or JAX in double precision: the peers of benches/map_iteration.sh.

    neural_map.py torch-eager|torch-compile|jax THREADS MAP

Each line on stdin is a task {"batch": FILE, "t_end": T, "repeats": K, "ends": FILE}; each gets one line of JSON with the seconds. Of the ways
that were tried the fastest stands here for each: two products with all three sub-networks side by side, in place (eager), or sums of
outer products, which the compilers fuse with the tanh (compile, ten steps a call; jax, the loop inside).
"""

import json, os, sys, time

backend, threads, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if hasattr(os, "sched_setaffinity"):  # jax has no setting for its threads but the processors that it sees
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])

import numpy as np
from safetensors import safe_open

with safe_open(path, "np") as file:
    header = json.loads(file.metadata()["ionoscope"])
    names = [q["name"] for q in header["spec"]["variables"]]
    part = lambda name: np.stack([file.get_tensor(f"{v}.{name}") for v in names])
    A, B, a, alpha, b, beta, gamma = (part(name) for name in ("A", "B", "a", "alpha", "b", "beta", "gamma"))
n = {key: np.array(value) for key, value in header["normalizer"].items()}
D, H = a.shape
dt = header["dt"]
rows = A.transpose(1, 0, 2)  # [input][network][hidden]


def offsets(p):
    """What the control parameters give to the inner layers, constant along a trajectory: [trajectory][network][hidden]."""
    q = (p - n["parameter_mean"]) / n["parameter_sd"]
    return beta + np.einsum("tl,nlh->tnh", q, B)


if backend == "jax":
    import jax, jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    version = jax.__version__

    def step(x, offset):
        u = (x - n["state_mean"]) / n["state_sd"]
        h = jnp.tanh(offset + sum(u[:, k, None, None] * rows[k] for k in range(D)))
        f = jnp.tanh(u[:, :, None] * a + alpha + h)
        return x + n["increment_sd"] * ((f * b).sum(-1) + gamma[:, 0])

    loop = jax.jit(lambda x, offset, steps: jax.lax.fori_loop(0, steps, lambda _, x: step(x, offset), x))

    def prepare(x, offset, steps):
        x, offset = jnp.asarray(x), jnp.asarray(offset)
        return lambda: np.asarray(loop(x, offset, steps))

else:
    import torch

    torch.set_num_threads(threads)
    version = torch.__version__
    t = lambda array: torch.from_numpy(np.ascontiguousarray(array))
    mean, sd, increment_sd, center = t(n["state_mean"]), t(n["state_sd"]), t(n["increment_sd"]), t(gamma[:, 0])
    if backend == "torch-eager":
        inner = t(rows.reshape(D, D * H))
        own, out = np.zeros((D, D * H)), np.zeros((D * H, D))
        for i in range(D):
            own[i, i * H : (i + 1) * H], out[i * H : (i + 1) * H, i] = a[i], b[i]
        own, out, shift = t(own), t(out), t(alpha.reshape(-1))

        def prepare(x, offset, steps):
            x, offset = t(x), t(offset.reshape(len(offset), -1))
            h, f = torch.empty_like(offset), torch.empty_like(offset)

            def go():
                y = x
                for _ in range(steps):
                    u = (y - mean) / sd
                    torch.addmm(offset, u, inner, out=h).tanh_()
                    torch.addmm(shift, u, own, out=f).add_(h).tanh_()
                    y = y + increment_sd * torch.addmm(center, f, out)
                return y.numpy()

            return go

    else:
        ta, tb, shift, inner = t(a), t(b), t(alpha), [t(row) for row in rows]

        def several(count):
            def advance(x, offset):
                for _ in range(count):
                    u = (x - mean) / sd
                    h = torch.tanh(offset + sum(u[:, k, None, None] * inner[k] for k in range(D)))
                    f = torch.tanh(u[:, :, None] * ta + shift + h)
                    x = x + increment_sd * ((f * tb).sum(-1) + center)
                return x

            return torch.compile(advance, dynamic=False)

        ten = several(10)

        def prepare(x, offset, steps):
            if steps % 10:
                raise ValueError(f"{steps} steps are not a multiple of ten")
            x, offset = t(x), t(offset)

            def go():
                y = x
                for _ in range(steps // 10):
                    y = ten(y, offset)
                return y.numpy()

            ten(x, offset)  # compiles outside the clock
            return go


def serve(task):
    batch = np.loadtxt(task["batch"], ndmin=2)
    steps = round(task["t_end"] / dt)
    go = prepare(batch[:, :D], offsets(batch[:, D:]), steps)
    prepare(batch[:, :D], offsets(batch[:, D:]), 30)()  # warms up, and compiles for what a step gives back
    seconds = []
    for _ in range(task["repeats"]):
        begin = time.perf_counter()
        x = go()
        seconds.append(time.perf_counter() - begin)
    with open(task["ends"], "w") as file:
        file.writelines(" ".join(map(repr, row)) + "\n" for row in x.tolist())
    return {"version": version, "seconds": seconds}


if backend != "jax":
    torch.set_grad_enabled(False)
for line in sys.stdin:
    try:
        answer = serve(json.loads(line))
    except Exception as problem:
        answer = {"problem": repr(problem)[:500]}
    print(json.dumps(answer), flush=True)
