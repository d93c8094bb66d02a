#!/usr/bin/env bash
# Our own scaling: lanes against scalar code, two threads against one, cost per trajectory against their number. See benches/README.md.
# usage: scaling.sh [--quick] [--rounds N] [--cell MODEL].. [-o FOLDER]      PEERS=DIR takes another virtual environment than benches/.venv
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/prepare.sh
python=$(python_with_peers requirements-cells.txt "matplotlib, numpy, scipy, sympy")
exec "$python" benches/scaling.py "ionoscope=$(build ionoscope-dynamics experiments)" "$@"
