# Sourced by the scripts of this folder, which run from the root of the repository.

# The Python with the peers in it, on stdout: the virtual environment in $PEERS, or benches/.venv, which is made if it is missing.
# Without a network the system's Python comes back: our own side and the compiled peers still run.
python_with_peers() {
    local venv=${PEERS:-benches/.venv} system
    system=$(command -v python3) || { echo "python3 is needed to run the comparison and was not found" >&2; return 1; }
    if [ ! -x "$venv/bin/python" ] && ! "$system" -m venv "$venv" >&2; then
        echo "no virtual environment could be made in $venv (on Debian: apt install python3-venv): the Python peers are left out" >&2
        echo "$system"
        return
    fi
    if ! "$venv/bin/python" -c 'import jax, numpy, safetensors, scipy, torch' 2>/dev/null &&
        ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r benches/requirements.txt >&2; then
        echo "benches/requirements.txt could not be installed into $venv (no network?): Python peers that are missing there are left out" >&2
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
