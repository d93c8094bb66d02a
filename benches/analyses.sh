#!/usr/bin/env bash
# Time of a Lyapunov spectrum, of basins and of a raster diagram: ionoscope and loops compiled by numba, in turn. See benches/README.md.
# usage: analyses.sh [--rounds N] [-o FOLDER]      PEERS=DIR takes another virtual environment than benches/.venv
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/prepare.sh
python=$(python_with_peers requirements-analyses.txt "numba, numpy")
cargo build --release --quiet
exec "$python" benches/analyses.py "${CARGO_TARGET_DIR:-target}/release/ionoscope" "$@"
