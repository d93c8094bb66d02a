# Sourced by the scripts of this folder, which run from the root of the repository.

# python_with_peers [REQUIREMENTS MODULES]: the Python with the peers in it, on stdout: the virtual environment in $PEERS, or benches/.venv, which
# is made if it is missing. Without a network the system's Python comes back: our own side and the compiled peers still run.
python_with_peers() {
    local venv=${PEERS:-benches/.venv} requirements=${1:-requirements.txt} modules=${2:-jax, numpy, safetensors, scipy, torch} system
    system=$(command -v python3) || { echo "python3 is needed to run the comparison and was not found" >&2; return 1; }
    if [ ! -x "$venv/bin/python" ] && ! "$system" -m venv "$venv" >&2; then
        echo "no virtual environment could be made in $venv (on Debian: apt install python3-venv): the Python peers are left out" >&2
        echo "$system"
        return
    fi
    if ! "$venv/bin/python" -c "import $modules" 2>/dev/null &&
        ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "benches/$requirements" >&2; then
        echo "benches/$requirements could not be installed into $venv (no network?): what is missing there is left out" >&2
    fi
    echo "$venv/bin/python"
}

# build PACKAGE BENCH: builds a benchmark of ours and gives the path of its program.
build() {
    cargo build --release --quiet -p "$1" --bench "$2" --message-format=json-render-diagnostics |
        python3 -c 'import json, sys
for line in sys.stdin:
    m = json.loads(line)
    if m.get("executable") and m["target"]["name"] == sys.argv[1]: print(m["executable"])' "$2"
}

# solvers PYTHON: builds the programs that solve cells, ours and the peers', and gives them as arguments NAME=PROGRAM. A peer that cannot be
# built is named and left out. Everything is compiled for this processor; what is made lies in out/benches/bin.
solvers() {
    local bin=$PWD/out/benches/bin cc=(${CC:-gcc} -O3 -march=native) found=() target=${CARGO_TARGET_DIR:-$PWD/target}/peers ours
    mkdir -p "$bin"
    ours=$(build ionoscope-dynamics experiments)
    found+=("ionoscope=$ours")
    if ! "$1" benches/peers/ohara_rudy.py >"$bin/ohara_rudy.h" || ! "${cc[@]}" -fPIC -c -I"$bin" benches/peers/cells.c -o "$bin/cells.o" ||
        ! ar rcs "$bin/libcells.a" "$bin/cells.o" || ! "${cc[@]}" -shared "$bin/cells.o" -o "$bin/cells.so" -lm; then
        echo "all peers are left out: they need sympy, gcc and ar" >&2
        echo "${found[@]}"
        return
    fi
    local sundials=(-lsundials_cvode -lsundials_nvecserial -lsundials_sunmatrixdense -lsundials_sunlinsoldense -lsundials_sunnonlinsolfixedpoint)
    local klu=(-DWITH_KLU -I/usr/include/suitesparse -lsundials_sunmatrixsparse -lsundials_sunlinsolklu -lklu)
    if "${cc[@]}" -fopenmp benches/peers/cvode.c "$bin/libcells.a" -o "$bin/cvode" "${sundials[@]}" "${klu[@]}" -lm 2>/dev/null; then
        found+=("cvode=$bin/cvode")
    elif "${cc[@]}" -fopenmp benches/peers/cvode.c "$bin/libcells.a" -o "$bin/cvode" "${sundials[@]}" -lm; then
        echo "CVODE runs without KLU: on Debian: apt install libsuitesparse-dev" >&2
        found+=("cvode-without-klu=$bin/cvode")
    else
        echo "CVODE is left out: it needs gcc and SUNDIALS 6 or later (on Debian: apt install gcc libsundials-dev libsuitesparse-dev)" >&2
    fi
    local cargo=(cargo build --release --quiet --locked --manifest-path benches/peers/diffsol/Cargo.toml --target-dir "$target")
    if CELLS=$bin RUSTFLAGS="-C target-cpu=native" "${cargo[@]}"; then
        found+=("diffsol=$target/release/diffsol-peer")
    else
        echo "diffsol is left out: it could not be built (no network on the first build?)" >&2
    fi
    if "$1" -c "import scipy" 2>/dev/null; then found+=("scipy=$bin/cells.so"); else echo "scipy is left out: it is not installed" >&2; fi
    echo "${found[@]}"
}
