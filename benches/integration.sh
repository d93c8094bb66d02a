#!/usr/bin/env bash
# Time and error of integrating the beta-cell: ionoscope, CVODE, diffsol and scipy in turn on this machine. See benches/README.md.
# usage: integration.sh [--quick] [--rounds N] [--threads N] [-o FOLDER]      PEERS=DIR takes another virtual environment than benches/.venv
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/prepare.sh
python=$(python_with_peers)
ours=$(build ionoscope-dynamics integration)

built=out/benches/bin
mkdir -p "$built"
peers=()
if ${CC:-gcc} -O3 -march=native -fopenmp benches/peers/cvode_beta_cell.c -o "$built/cvode_beta_cell" -lsundials_cvode -lsundials_nvecserial \
    -lsundials_sunmatrixdense -lsundials_sunlinsoldense -lsundials_sunnonlinsolfixedpoint -lm; then
    peers+=(--cvode "$built/cvode_beta_cell")
else
    echo "CVODE is left out: it needs gcc and SUNDIALS 6 or later (on Debian: apt install gcc libsundials-dev)" >&2
fi
diffsol=benches/peers/diffsol-beta-cell
if RUSTFLAGS="-C target-cpu=native" cargo build --release --quiet --locked --manifest-path $diffsol/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}/peers"; then
    peers+=(--diffsol "${CARGO_TARGET_DIR:-target}/peers/release/diffsol-beta-cell")
else
    echo "diffsol is left out: it could not be built (no network on the first build?)" >&2
fi
exec "$python" benches/integration.py --ours "$ours" "${peers[@]}" "$@"
