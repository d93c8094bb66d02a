"""Runs benches/training.sh's comparison; called by it. What is measured and how to read it: benches/README.md."""

import argparse, json, os, pathlib, subprocess, sys

from rounds import digits, environment, finish, in_turn, summary, table

parser = argparse.ArgumentParser()
parser.add_argument("--ours", required=True)
parser.add_argument("--quick", action="store_true", help="seconds instead of minutes: one case")
parser.add_argument("--rounds", type=int)
parser.add_argument("--seconds", type=float, help="that a program trains in each case")
parser.add_argument("-o", "--output", type=pathlib.Path, default=pathlib.Path("out/benches"))
args = parser.parse_args()

ROUNDS = args.rounds or (1 if args.quick else 2)
SECONDS = args.seconds or (0.5 if args.quick else 2)
THREADS = [1] if args.quick or (os.cpu_count() or 1) == 1 else [1, 2]
BATCHES = [1024] if args.quick else [1024, 10_000]
peers = [sys.executable, "crates/ionoscope-learn/benches/training_peers.py"]
PROGRAMS = {"ionoscope": [args.ours], **{name: [*peers, name] for name in ("torch-eager", "torch-compile", "jax")}}


def measure(case):
    command = [*case["program"], "--threads", str(case["threads"]), "--batch", str(case["batch"]), "--seconds", str(SECONDS)]
    # On one thread a process is bound to one core, since not every framework keeps to its own setting.
    bind = (lambda: os.sched_setaffinity(0, {0})) if case["threads"] == 1 and hasattr(os, "sched_setaffinity") else None
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=bind)
    if done.returncode != 0:
        raise RuntimeError(f"failed: {' '.join(done.stderr.strip().splitlines()[-1:])}")
    return json.loads(done.stdout.strip().splitlines()[-1])


record = {"environment": environment(), "rounds": ROUNDS, "seconds": SECONDS, "cases": []}
cases = [{"threads": t, "batch": b, "label": label, "program": program, "name": f"{label}, {t} threads, batch {b}"} for t in THREADS for b in BATCHES for label, program in PROGRAMS.items()]
runs = in_turn(ROUNDS, cases, measure)
median = lambda case, key: summary([r[key] for r in case])["median"]
rows, ours = [], {}
for case, done in zip(cases, runs):
    record["cases"] += done
    if not done:
        continue
    speeds = summary([r["samples_per_second"] / 1e6 for r in done])
    key = case["threads"], case["batch"]
    if case["label"] == "ionoscope":
        ours[key] = speeds["median"]
    share = f"{100 * median(done, 'share_of_peak'):.0f} %" if "share_of_peak" in done[0] else "-"
    ratio = digits(ours[key] / speeds["median"]) if key in ours else "-"
    rows.append([*key, case["label"], f"{digits(speeds['median'])} ({digits(speeds['min'])} .. {digits(speeds['max'])})", ratio, share, f"{median(done, 'loss_after_1000_steps'):.1e}"])

text = "A sample is forward, backward and Adam of one sub-network (N_h = 100) in single precision.\n\n"
own = [r for r in record["cases"] if "tanh_error" in r]
if own:
    text += f"Largest absolute error of our tanh ({own[0]['instructions']}): {own[0]['tanh_error']:.1e}.\n\n"
text += table(["threads", "batch", "what", "million samples a second (range)", "ours is faster by", "share of peak", "loss after 1000 steps"], rows)
finish("training", args.output, [o for o in sys.argv[1:] if o == "--quick"], record, text)
