"""The training step of benches/training.rs in PyTorch and JAX: one JSON line.

    python training_peers.py {torch-eager|torch-compile|jax} --threads 1 --batch 1024 --seconds 3

All three sub-networks take part in one step, written twice where a framework has two natural ways (stacked products, or one network
after the other); the faster one counts. The batches lie ready in memory, so that the peers neither shuffle nor gather, which ours does.
"""
import argparse, json, math, time

parser = argparse.ArgumentParser()
parser.add_argument("implementation")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--batch", type=int, default=1024)
parser.add_argument("--seconds", type=float, default=3.0)
args = parser.parse_args()
N, B = 100, args.batch
PAIRS = 120_000 // B * B


def data(np):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((PAIRS, 4))
    s = x[:, 0] - 0.5 * x[:, 1] + 0.3 * x[:, 2] + 0.2 * x[:, 3]
    t = np.stack([0.1 * np.sin(s + i - 1) for i in range(3)])
    t = t / t.std(axis=1, keepdims=True)
    inner = np.stack([np.delete(x, i, axis=1) for i in range(3)])
    own = np.stack([x[:, i : i + 1] for i in range(3)])
    batches = [slice(k * B, (k + 1) * B) for k in range(PAIRS // B)]
    f = np.float32
    return [(inner[:, b].astype(f), own[:, b].astype(f), t[:, b].astype(f)) for b in batches]


def weights(np):
    rng = np.random.default_rng(2)
    w = lambda *shape: (0.2 * rng.standard_normal((3, *shape))).astype(np.float32)
    return [w(3, N), w(1, N), w(1, N), w(1, N), w(N, 1), np.zeros((3, 1, 1), np.float32)]


def measure(epoch, warm):
    """Median samples a second of repeated epochs; loss of the epoch that ends nearest to 1000 steps."""
    losses = [epoch() for _ in range(warm)]
    times, end = [], time.perf_counter() + args.seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        losses.append(epoch())
        times.append(time.perf_counter() - start)
    times.sort()
    at = min(max(1000 // (PAIRS // B), 1), len(losses)) - 1
    return 3 * PAIRS / times[len(times) // 2], losses[at]


def run_torch(compiled):
    import numpy as np, torch

    torch.set_num_threads(args.threads)
    batches = [tuple(torch.from_numpy(a) for a in b) for b in data(np)]

    def stacked(p, inner, own, target):
        A, beta, a, alpha, b, gamma = p
        h = torch.tanh(torch.baddbmm(beta, inner, A))
        out = torch.baddbmm(gamma, torch.tanh(own * a + alpha + h), b)
        return ((out.squeeze(-1) - target) ** 2).mean(dim=1).sum()

    def apart(p, inner, own, target):
        loss = 0.0
        for i in range(3):
            A, beta, a, alpha, b, gamma = (w[i] for w in p)
            h = torch.tanh(torch.addmm(beta, inner[i], A))
            out = torch.addmm(gamma, torch.tanh(own[i] * a + alpha + h), b)
            loss = loss + ((out.squeeze(-1) - target[i]) ** 2).mean()
        return loss

    best = (0.0, math.nan)
    for form in (stacked, apart):
        p = [torch.from_numpy(w).requires_grad_() for w in weights(np)]
        adam = torch.optim.Adam(p, lr=3e-3, fused=True)
        loss_of = torch.compile(form) if compiled else form

        def epoch():
            total = 0.0
            for batch in batches:
                adam.zero_grad()
                loss = loss_of(p, *batch)
                loss.backward()
                adam.step()
                total += loss.detach()
            return float(total) / len(batches) / 3

        best = max(best, measure(epoch, 2))
    return (*best, torch.__version__)


def run_jax():
    import os

    if args.threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    import numpy as np, jax, jax.numpy as jnp

    stack = [jnp.asarray(np.stack(a)) for a in zip(*data(np))]

    def network(p, inner, own, target):
        A, beta, a, alpha, b, gamma = p
        h = jnp.tanh(inner @ A + beta)
        out = jnp.tanh(own * a + alpha + h) @ b + gamma
        return ((out[:, 0] - target) ** 2).mean()

    stacked = lambda p, i, o, t: jax.vmap(network)(p, i, o, t).sum()
    apart = lambda p, i, o, t: sum(network([w[k] for w in p], i[k], o[k], t[k]) for k in range(3))
    best = (0.0, math.nan)
    for form in (stacked, apart):

        def step(carry, batch):
            p, m, v, n = carry
            loss, g = jax.value_and_grad(form)(p, *batch)
            n = n + 1
            m = [0.9 * m + 0.1 * g for m, g in zip(m, g)]
            v = [0.999 * v + 0.001 * g * g for v, g in zip(v, g)]
            scale = 3e-3 / (1 - 0.9**n)
            root = 1 / (1 - 0.999**n)
            p = [p - scale * m / (jnp.sqrt(v * root) + 1e-8) for p, m, v in zip(p, m, v)]
            return (p, m, v, n), loss

        # A whole epoch in one compiled loop: no dispatch between steps.
        scan = jax.jit(lambda carry: jax.lax.scan(step, carry, tuple(stack)), donate_argnums=0)
        p = [jnp.asarray(w) for w in weights(np)]
        state = [(p, [jnp.zeros_like(w) for w in p], [jnp.zeros_like(w) for w in p], jnp.float32(0))]

        def epoch():
            state[0], losses = scan(state[0])
            return float(losses.mean()) / 3

        best = max(best, measure(epoch, 2))
    return (*best, jax.__version__)


speed, loss, version = run_jax() if args.implementation == "jax" else run_torch(args.implementation == "torch-compile")
print(json.dumps({
    "implementation": args.implementation, "version": version, "threads": args.threads, "batch": B,
    "samples_per_second": speed, "loss_after_1000_steps": loss,
}))
