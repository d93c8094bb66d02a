#!/usr/bin/env bash
# Speed of training the neural map: ionoscope, PyTorch and JAX in turn on this machine. See benches/README.md.
# usage: training.sh [--quick] [--rounds N] [--seconds S] [-o FOLDER]      PEERS=DIR takes another virtual environment than benches/.venv
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/prepare.sh
python=$(python_with_peers)
ours=$(build ionoscope-learn training)
exec "$python" benches/training.py --ours "$ours" "$@"
