#!/usr/bin/env bash
# Speed of training and using a Fourier neural operator: ionoscope and PyTorch in turn on this machine. See benches/README.md.
# usage: operator.sh [--quick] [--cuda] [--rounds N] [--seconds S] [-o FOLDER]      PEERS=DIR takes another virtual environment than benches/.venv
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/prepare.sh
python=$(python_with_peers)
ours=$(build ionoscope-learn operator)
exec "$python" benches/operator_speed.py --ours "$ours" "$@"
