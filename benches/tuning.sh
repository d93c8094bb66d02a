#!/usr/bin/env bash
# What a study costs besides its trials, and what it finds: ionoscope and Optuna in turn on this machine. See benches/README.md.
# usage: tuning.sh [--quick] [--rounds N] [-o FOLDER]      PEERS=DIR takes another virtual environment than benches/.venv
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/prepare.sh
python=$(python_with_peers requirements-tuning.txt "optuna")
ours=$(build ionoscope-learn tuning)
exec "$python" benches/study_overhead.py --ours "$ours" "$@"
