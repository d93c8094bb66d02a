"""What the comparisons share: batches of beta-cells, runs in turn, errors, tables and the record of a run. Standard library only."""

import json, math, os, pathlib, platform, statistics, subprocess, sys, time

GOLDEN = (math.sqrt(5) - 1) / 2


def write_batch(path, count):
    """`v n s v_s` a line. Every beginning of the list is spread over v_s in [-40, -30] and over the starts of the datasets, so that a slow
    peer may take the first few and still be compared."""
    with open(path, "w") as file:
        for k in range(count):
            a, b, c, d = ((k * step + 0.5) % 1 for step in (GOLDEN, math.sqrt(2), math.sqrt(3), math.sqrt(5)))
            file.write(f"{-70 + 60 * b!r} {0.12 * c!r} {0.17 + 0.03 * d!r} {-40 + 10 * a!r}\n")


def states(path):
    return [[float(word) for word in line.split()] for line in open(path)]


def run(program, folder, batch, repeats=1, **options):
    """Runs a program on a batch; what it printed, with the states at the end as `ends`."""
    ends = folder / "ends.txt"
    options |= {"batch": batch, "ends": ends, "repeats": repeats}
    command = [*map(str, program), *(f"{key}={value}" for key, value in options.items())]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{pathlib.Path(command[0]).name} failed: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout) | {"ends": states(ends)}


def relative(got, want):
    """Largest over the variables of |x - reference| / (0.01 + |reference|), so that n near 0 does not decide alone, one a trajectory; infinite
    where one failed."""
    each = [max(abs(a - b) / (0.01 + abs(b)) for a, b in zip(x, y)) for x, y in zip(got, want)]
    return [e if e == e else math.inf for e in each]


def summary(values):
    ordered = sorted(values)
    return {"median": statistics.median(ordered), "min": ordered[0], "max": ordered[-1], "runs": len(ordered)}


def in_turn(rounds, cases, measure):
    """Runs every case once a round, A B C A B C ..; seconds and errors of measure(case) are gathered by case."""
    gathered = [[] for _ in cases]
    for round in range(rounds):
        for k, case in enumerate(cases):
            if sys.stderr.isatty():
                print(f"\rround {round + 1} of {rounds}, case {k + 1} of {len(cases)}: {case['name']:<40}", end="", file=sys.stderr, flush=True)
            try:
                gathered[k].append(measure(case))
            except Exception as problem:  # a peer that fails is reported, and the others go on
                print(f"\n{case['name']}: {problem}", file=sys.stderr)
                case["problem"] = str(problem)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return gathered


def spread(values):
    """Median and range of seconds, in milliseconds."""
    s = summary(values)
    return f"{digits(1e3 * s['median'])} ({digits(1e3 * s['min'])} .. {digits(1e3 * s['max'])})"


def digits(x):
    """Three significant digits."""
    if x == 0 or not math.isfinite(x):
        return str(x)
    return f"{x:.{max(0, 2 - math.floor(math.log10(abs(x))))}f}" if 1e-4 <= abs(x) < 1e6 else f"{x:.2e}"


def table(header, rows):
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in [header, ["---"] * len(header), *rows]]
    return "\n".join(lines) + "\n"


def first_line(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip().splitlines()[0]
    except (OSError, IndexError):
        return None


def machine():
    """Cores and processor in words; virtual machines often hide its model, so the generation and the widest vectors stand beside it."""
    try:
        lines = (line.split(":", 1) for line in open("/proc/cpuinfo") if ":" in line)
        info = {key.strip(): value.strip() for key, value in lines}
    except OSError:
        return f"{os.cpu_count()} cores of {platform.processor() or platform.machine()}"
    generation = {"23": " (Zen to Zen 2)", "25": " (Zen 3 or 4)", "26": " (Zen 5)"} if info.get("vendor_id") == "AuthenticAMD" else {}
    flags = info.get("flags", "").split()
    vectors = " with AVX-512" if "avx512f" in flags else " with AVX2" if "avx2" in flags else ""
    return f"{os.cpu_count()} cores of {info.get('model name', platform.machine())}{generation.get(info.get('cpu family'), '')}{vectors}"


def environment():
    """Where and of what the run was made; the load tells how far the times can be trusted."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "machine": machine(),
        "cores": os.cpu_count(),
        "system": platform.platform(terse=True),
        "load_at_start": os.getloadavg(),
        "commit": first_line("git", "rev-parse", "HEAD"),
        "uncommitted_changes": first_line("git", "status", "--porcelain", "--untracked-files=no") is not None,
        "rustc": first_line("rustc", "--version"),
        "cc": first_line(os.environ.get("CC", "gcc"), "--version"),
        "python": platform.python_version(),
    }


def finish(name, folder, options, record, text):
    """Prints the tables and keeps them with everything that was measured."""
    where = record["environment"]
    where["load_at_end"] = os.getloadavg()
    loads = ", ".join(f"{where[k][0]:.1f}" for k in ("load_at_start", "load_at_end"))
    intro = f"`benches/{name}.sh{''.join(' ' + o for o in options)}`, {where['date']}, commit {str(where['commit'])[:12]}"
    intro += f"{' with uncommitted changes' if where['uncommitted_changes'] else ''}, {where['machine']}, load {loads}.\n\n"
    if where["load_at_start"][0] > 0.5 * where["cores"]:
        intro += "**The machine was busy: read the ratios, and those with care.**\n\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(intro + text)
    (folder / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    print(intro + text)
    print(f"kept in {folder}/{name}.md and {name}.json", file=sys.stderr)
