"""Runs benches/map_iteration.sh's comparison; called by it. What is measured and how to read it: benches/README.md."""

import argparse, contextlib, json, os, pathlib, subprocess, sys, tempfile

from cells import CELLS, solve
from rounds import digits, environment, finish, in_turn, relative, run, states, summary, table, write_batch

parser = argparse.ArgumentParser()
parser.add_argument("--ours", required=True)
parser.add_argument("--equations", required=True)
parser.add_argument("--map", type=pathlib.Path, help="a surrogate of sherman-1988; default: the shipped one, else one trained in seconds")
parser.add_argument("--quick", action="store_true", help="seconds instead of minutes: shorter, fewer")
parser.add_argument("--rounds", type=int)
parser.add_argument("-o", "--output", type=pathlib.Path, default=pathlib.Path("out/benches"))
args = parser.parse_args()

ROUNDS = args.rounds or (1 if args.quick else 3)
MANY = 100 if args.quick else 1000
T_END = 5 if args.quick else 50
# Every step of a batch costs the same, so the slower peers do a part of the time.
T_PEERS = 0.5 if args.quick else 5
T_CHECK = 1.0
THREADS = [1, 2] if (os.cpu_count() or 1) > 1 else [1]
BACKENDS = ["torch-eager", "torch-compile", "jax"]


class Peer:
    """A Python process that keeps its compiled functions between tasks."""

    def __init__(self, backend, threads, path):
        script = pathlib.Path(__file__).parent / "peers" / "neural_map.py"
        self.process = subprocess.Popen([sys.executable, script, backend, str(threads), path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __call__(self, folder, batch, t_end, repeats=1):
        ends = folder / "peer-ends.txt"
        try:
            self.process.stdin.write(json.dumps({"batch": str(batch), "t_end": t_end, "repeats": repeats, "ends": str(ends)}) + "\n")
            self.process.stdin.flush()
            answer = json.loads(self.process.stdout.readline() or "{}")
        except BrokenPipeError:
            answer = {}
        if not answer:
            raise RuntimeError("it ended: " + " ".join(self.process.stderr.read().strip().splitlines()[-1:]))
        if "problem" in answer:
            raise RuntimeError(answer["problem"])
        return answer | {"ends": states(ends)}

    def close(self):
        # One that has died leaves a broken pipe, and nothing to wait for.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


def find_map(folder):
    shipped = pathlib.Path("pretrained/sherman-1988-dt0.005.safetensors")
    if args.map or shipped.exists():
        path = args.map or shipped
        return path, str(path)
    path = folder / "map.safetensors"
    made = json.loads(subprocess.run([args.ours, f"make={path}"], capture_output=True, text=True, check=True).stdout)
    return path, f"a map trained for {made['seconds']:.0f} s (validation MSE {made['validation_mse']:.0e})"


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    record = {"environment": environment(), "rounds": ROUNDS}
    path, description = find_map(folder)
    record["map"] = description
    one, many = folder / "one.txt", folder / "many.txt"
    one.write_text("-60 0.01 0.18 -36\n")
    write_batch(many, MANY)

    ours = lambda batch, t_end, threads, repeats=1: run([args.ours], folder, batch, repeats, map=path, t_end=t_end, threads=threads)

    def equations(batch, t_end, threads, repeats=1, rtol=1e-8):
        stimulated = folder / f"{batch.stem}-equations.txt"
        stimulated.write_text("".join(f"{line} 0 0\n" for line in batch.read_text().splitlines()))
        done = solve([args.equations], folder, CELLS[0], stimulated, "auto", rtol, t_end, t_end, threads=threads, repeats=repeats)
        return done | {"ends": done.pop("x")[:, -1].tolist()}

    peers = {}
    for backend in BACKENDS:
        for threads in THREADS:
            peers[backend, threads] = Peer(backend, threads, path)

    # The same file read by others must be the same map: one step, and T_CHECK.
    truth = equations(many, T_CHECK, 1, rtol=1e-12)["ends"]
    step = json.loads(subprocess.run([args.ours, f"describe={path}"], capture_output=True, text=True, check=True).stdout)["dt"]
    single, after = ours(many, step, 1)["ends"], ours(many, T_CHECK, 1)["ends"]
    checks = {"ionoscope, map": {"from_equations": summary(relative(after, truth))}}
    checks["ionoscope, equations"] = {"from_equations": summary(relative(equations(many, T_CHECK, 1)["ends"], truth))}
    for backend in BACKENDS:
        peer, check = peers[backend, 1], {}
        try:
            # Compiled PyTorch makes ten steps a call.
            if backend != "torch-compile":
                check["one_step_from_ours"] = summary(relative(peer(folder, many, step)["ends"], single))
            got = peer(folder, many, T_CHECK)["ends"]
            check |= {"from_ours": summary(relative(got, after)), "from_equations": summary(relative(got, truth))}
            checks[backend] = check
        except RuntimeError as problem:
            print(f"{backend} is left out: {problem}", file=sys.stderr)
            for threads in THREADS:
                peers.pop((backend, threads)).close()

    cases = []
    for size, batch in ((1, one), (MANY, many)):
        for threads in [1] if size == 1 else THREADS:
            long, short = {"size": size, "threads": threads, "t_end": T_END}, {"size": size, "threads": threads, "t_end": T_END if size == 1 else T_PEERS}
            cases.append(long | {"label": "ionoscope, map", "call": lambda t, b=batch, n=threads, k=3 if size == 1 else 1: ours(b, t, n, k)})
            cases.append(long | {"label": "ionoscope, equations", "call": lambda t, b=batch, n=threads, k=3 if size == 1 else 1: equations(b, t, n, k)})
            for backend in BACKENDS:
                if (backend, threads) in peers:
                    cases.append(short | {"label": backend, "call": lambda t, b=batch, p=peers[backend, threads]: p(folder, b, t)})
    for case in cases:
        case["name"] = f"{case['label']} x {case['size']}, {case['threads']} threads"
    runs = in_turn(ROUNDS, cases, lambda case: case["call"](case["t_end"]))
    for peer in peers.values():
        peer.close()

    rows, kept = [], []
    base = {}
    for case, done in zip(cases, runs):
        if not done:
            continue
        micro = [1e6 * s / case["t_end"] / case["size"] for r in done for s in r["seconds"]]
        s = summary(micro)
        base.setdefault((case["size"], case["threads"]), s["median"])
        check = checks[case["label"]]
        rows.append([
            case["size"], case["threads"], case["label"], f"{digits(s['median'])} ({digits(s['min'])} .. {digits(s['max'])})",
            "-" if "equations" in case["label"] else digits(1e3 * s["median"] * step), digits(s["median"] / base[case["size"], case["threads"]]),
            f"{check['from_ours']['max']:.0e}" if "from_ours" in check else "-", f"{check['from_equations']['median']:.1e}",
        ])  # fmt: skip
        kept.append({k: case[k] for k in ("label", "size", "threads", "t_end")} | {"microseconds_per_time_and_trajectory": micro, "version": done[-1].get("version")})
    record |= {"cases": kept, "checks": checks, "t_check": T_CHECK, "dt": step}

    text = f"Map: {description}; three sub-networks, dt = {step:g}, so {round(1 / step)} steps a unit of time. `ionoscope, equations`: the original equations of the same cell at rtol 1e-8.\n\n"
    steps = [f"{b} {c['one_step_from_ours']['max']:.0e}" for b, c in checks.items() if "one_step_from_ours" in c]
    if steps:
        text += f"The file read by the `safetensors` package of Python and iterated once, largest difference from ours over {MANY} states: {', '.join(steps)}.\n\n"
    text += table(["trajectories", "threads", "what", "µs per unit of time and trajectory (range)", "ns per step", "time as a multiple of our map's", f"largest difference from our map at t = {T_CHECK:g}", f"error against the equations at t = {T_CHECK:g}, median"], rows)
    finish("map_iteration", args.output, [o for o in sys.argv[1:] if o == "--quick"], record, text)
