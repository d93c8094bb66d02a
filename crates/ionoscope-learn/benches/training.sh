#!/usr/bin/env bash
# Training speed of ionoscope, PyTorch and JAX in turn (A B C A B C ..) on this machine: medians and ratios.
# usage: training.sh [ROUNDS] [SECONDS]        PEERS=DIR uses another virtual environment than benches/.venv
set -euo pipefail
cd "$(dirname "$0")"
rounds=${1:-3} seconds=${2:-3}
venv=${PEERS:-../../../benches/.venv}
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
fi
"$venv/bin/python" -c 'import torch, jax' 2>/dev/null || "$venv/bin/pip" install --quiet torch==2.15.0 jax==0.10.2 jaxlib==0.10.2 numpy
cargo bench --quiet --no-run -p ionoscope-learn --bench training
out=$(mktemp)
trap 'rm -f "$out"' EXIT
# On one thread a process is bound to one core, since not every framework keeps to its own setting.
bound() { if [ "$1" = 1 ]; then shift; taskset -c 0 "$@"; else shift; "$@"; fi; }
for round in $(seq "$rounds"); do
    for threads in 1 2; do
        for batch in 1024 10000; do
            case="--threads $threads --batch $batch --seconds $seconds"
            bound $threads cargo bench --quiet -p ionoscope-learn --bench training -- $case >>"$out"
            for peer in torch-eager torch-compile jax; do
                bound $threads "$venv/bin/python" training_peers.py $peer $case >>"$out" 2>/dev/null || echo "round $round: $peer failed" >&2
            done
        done
    done
done
"$venv/bin/python" - "$out" <<'PY'
import json, statistics, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
median = lambda rows, key: statistics.median(r[key] for r in rows)
names = ["ionoscope", "torch-eager", "torch-compile", "jax"]
print(f"{'threads':>7} {'batch':>6}  " + "".join(f"{n + ' M/s':>19}" for n in names) + f"{'ratio':>8}{'peak':>7}   losses after 1000 steps")
for threads in (1, 2):
    for batch in (1024, 10000):
        case = {n: [r for r in rows if (r["implementation"], r["threads"], r["batch"]) == (n, threads, batch)] for n in names}
        speed = {n: median(c, "samples_per_second") for n, c in case.items() if c}
        ratio = speed["ionoscope"] / max(v for n, v in speed.items() if n != "ionoscope")
        losses = ", ".join(f"{n} {median(c, 'loss_after_1000_steps'):.1e}" for n, c in case.items() if c)
        cells = "".join(f"{speed[n] / 1e6:19.3f}" if n in speed else f"{'-':>19}" for n in names)
        print(f"{threads:7} {batch:6}  {cells}{ratio:8.1f}{median(case['ionoscope'], 'share_of_peak'):7.2f}   {losses}")
print(f"tanh error {median([r for r in rows if 'tanh_error' in r], 'tanh_error'):.2e}; a sample is one sub-network; ratio is to the fastest peer")
PY
