#!/usr/bin/env bash
# Time of iterating the neural map: ionoscope, PyTorch and JAX in turn, and our own integrator over the same time. See benches/README.md.
# usage: map_iteration.sh [--quick] [--rounds N] [--map FILE] [-o FOLDER]      PEERS=DIR takes another virtual environment than benches/.venv
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/prepare.sh
python=$(python_with_peers)
ours=$(build ionoscope-learn map_iteration)
equations=$(build ionoscope-dynamics experiments)
exec "$python" benches/map_iteration.py --ours "$ours" --equations "$equations" "$@"
