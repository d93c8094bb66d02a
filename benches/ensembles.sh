#!/usr/bin/env bash
# Time and error of one trajectory of each cell over rtol 1e-3 to 1e-10: ionoscope, CVODE, diffsol and scipy in turn, tables and plots. See benches/README.md.
# usage: work_precision.sh [--quick] [--rounds N] [--cell MODEL].. [-o FOLDER]      PEERS=DIR takes another virtual environment than benches/.venv
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/prepare.sh
python=$(python_with_peers requirements-cells.txt "matplotlib, numpy, scipy, sympy")
exec "$python" benches/work_precision.py $(solvers "$python") "$@"
