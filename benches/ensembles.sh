#!/usr/bin/env bash
# Time per trajectory of ensembles at equal error, single-precision output included, on two threads: ionoscope, CVODE and diffsol in turn. See benches/README.md.
# usage: ensembles.sh [--quick] [--rounds N] [--cell MODEL].. [-o FOLDER]      PEERS=DIR takes another virtual environment than benches/.venv
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/prepare.sh
python=$(python_with_peers requirements-cells.txt "matplotlib, numpy, scipy, sympy")
exec "$python" benches/ensembles.py $(solvers "$python") "$@"
