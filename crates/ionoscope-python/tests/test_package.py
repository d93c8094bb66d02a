"""The package as a user meets it."""

import concurrent.futures
import copy
import json
import multiprocessing
import pathlib
import pickle
import subprocess
import threading
import time
import warnings

import numpy as np
import pytest

import ionoscope

MAP = {
    "dataset": {"model": "sherman-1988", "chunks": 12, "pairs_per_chunk": 40, "transient": 1.0},
    "train": {"hidden": 4, "adam": {"epochs": 12, "batch": 64}, "second_order": {"iterations": 0}},
}
OPERATOR = {
    "responses": {"model": "fitzhugh-nagumo-1961", "samples": [24, 8, 8], "points": 60, "rtol": 1e-4, "atol": 1e-6},
    "operator": {"network": {"width": 4, "modes": 4, "layers": 2}, "adam": {"epochs": 6, "batch": 8}, "validate_every": 1},
}


def test_models_describe_themselves():
    ids = ionoscope.models()
    assert {"hodgkin-huxley-1952", "fitzhugh-nagumo-1961", "ohara-rudy-2011", "sherman-1988"} <= set(ids)
    cell = ionoscope.load("hodgkin-huxley-1952")
    assert cell.names[0] == "v" and cell.variables[0].unit == "mV" and cell.dt is None
    assert "hodgkin-huxley-1952" in repr(cell)


def test_the_rule_and_its_derivatives_agree():
    cell = ionoscope.load("fitzhugh-nagumo-1961")
    x = cell.state({cell.names[0]: 0.3})
    assert np.array_equal(cell.rule([x, x])[1], cell.rule(x))
    j = cell.jacobian(x)
    for k in range(2):
        h = np.eye(2)[k] * 1e-6
        assert np.allclose((cell.rule(x + h) - cell.rule(x - h)) / 2e-6, j[:, k], atol=1e-7)


def test_one_trajectory_is_the_one_of_a_batch():
    cell = ionoscope.load("hodgkin-huxley-1952")
    amplitudes = np.array([0.0, 5.0, 10.0])
    many = cell.simulate_batch(50, 0.05, stimulus=amplitudes)
    assert many.x.shape == (3, 1001, 4) and not many.failures
    spikes = ((many["v"][:, :-1] < 40) & (many["v"][:, 1:] >= 40)).sum(1)
    assert spikes[0] == 0 and spikes[2] >= 3
    # A batch shares its steps, so that only the tolerance binds them.
    alone = cell.simulate(50, 0.05, stimulus=ionoscope.step(10.0))
    assert np.abs(alone["v"] - many["v"][2]).max() < 1e-3
    name = cell.parameters[0].name
    swept = cell.simulate_batch(5, 0.1, p={name: np.linspace(0.9, 1.1, 4) * cell.parameters[0].default}, x0={"v": 3.0})
    assert len(swept) == 4 and (swept["v"][:, 0] == 3.0).all() and len(set(swept["v"][:, -1])) == 4


def test_a_solver_of_another_house_agrees():
    """The classical Runge-Kutta method of order 4 on the package's own right-hand side."""
    cell = ionoscope.load("fitzhugh-nagumo-1961")
    x, dt = cell.state(), 0.01
    for _ in range(2000):
        k1 = cell.rule(x, stimulus=0.5)
        k2 = cell.rule(x + dt / 2 * k1, stimulus=0.5)
        k3 = cell.rule(x + dt / 2 * k2, stimulus=0.5)
        x = x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + cell.rule(x + dt * k3, stimulus=0.5))
    assert np.allclose(cell.simulate(20, 0.1, stimulus=0.5).x[-1], x, atol=1e-7)


def test_fixed_points_are_where_the_rule_is_zero():
    cell = ionoscope.load("sherman-1988")
    points = cell.fixed_points()
    assert len(points) == 1
    assert np.abs(cell.rule(points[0].x)).max() < 1e-8 and points[0]["v"] == points[0].x[0]
    assert np.allclose(np.sort_complex(np.linalg.eigvals(cell.jacobian(points[0].x))), np.sort_complex(points[0].eigenvalues))


BINARY = pathlib.Path(__file__).parents[3] / "target" / "release" / "ionoscope"
SHERMAN_MAP = pathlib.Path(__file__).parents[3] / "pretrained" / "sherman-1988-dt0.005.safetensors"


def document(*arguments):
    """What the command line says."""
    return json.loads(subprocess.run([BINARY, *map(str, arguments), "--json", "--quiet"], check=True, capture_output=True).stdout)


@pytest.mark.skipif(not BINARY.exists(), reason="the command is not built")
def test_a_question_has_the_answer_of_the_command_line():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for system in ("fitzhugh-nagumo-1961", "luo-rudy-1991", SHERMAN_MAP):
            cell = ionoscope.load(system)
            assert cell.fixed_points(starts=32).document == document("fixed-points", system, "--starts", 32)
        cell = ionoscope.load("fitzhugh-nagumo-1961")
        found = cell.fixed_points({"e": 0.2}, 0.5, bounds={"v": (-1, 2)}, x0={"v": 0.1})
        assert found.document == document("fixed-points", cell.id, "--param", "e=0.2", "--i-stim", 0.5, "--box", "v=-1:2", "--x0", "v=0.1")
        assert cell.lyapunov(stimulus=0.5).document == document("lyapunov", cell.id, "--i-stim", 0.5)
        assert cell.spikes(stimulus=0.5).document == document("spikes", cell.id, "--i-stim", 0.5)
        heart, train = ionoscope.load("luo-rudy-1991"), ionoscope.step(80, 10, 0.5)
        assert heart.spikes(stimulus=train, t_end=500).document == document("spikes", heart.id, "--stimulus", "80:10:0.5", "--t-end", 500)
        nerve = ionoscope.load("hodgkin-huxley-1952")
        assert nerve.spikes(stimulus=120.0).document == document("spikes", nerve.id, "--i-stim", 120)
        assert ionoscope.load(SHERMAN_MAP).lyapunov({"v_s": -45.0}).document == document("lyapunov", SHERMAN_MAP, "--param", "v_s=-45")


ROOT = pathlib.Path(__file__).parents[3]
HH_MAP = ROOT / "pretrained" / "hh-map.safetensors"
FHN_FNO = ROOT / "pretrained" / "fhn-fno.safetensors"
HH_FNO = ROOT / "pretrained" / "hh-fno.safetensors"
# Every question of a model and of a map: the method's arguments, and those of the command line.
QUESTIONS = [
    ("simulate", "fitzhugh-nagumo-1961", dict(t_end=20, dt=0.5, stimulus=0.5), "--t-end 20 --dt 0.5 --i-stim 0.5"),
    ("simulate", SHERMAN_MAP, dict(t_end=1.0, p={"v_s": -36}), "--t-end 1 --param v_s=-36"),
    ("simulate", "fitzhugh-nagumo-1961", dict(t_end=9, dt=0.5, pace="free", stimulus=0.5), "--t-end 9 --dt 0.5 --pace free --i-stim 0.5"),
    ("simulate", "fitzhugh-nagumo-1961", dict(t_end=9, dt=0.5, method="rush-larsen", step=0.1), "--t-end 9 --dt 0.5 --method rush-larsen --step 0.1"),
    ("simulate", HH_FNO, dict(stimulus=ionoscope.step(10, 0, 50), bands=True), "--stimulus 10:0:50 --bands"),
    ("simulate", FHN_FNO, dict(stimulus=ionoscope.step(9, 0, 50), extrapolate=True), "--stimulus 9:0:50 --extrapolate"),
    ("continuation", "stankevich-2017", dict(over={"v_s": (-40, -30)}), "--over v_s=-40:-30"),
    ("continuation", "fitzhugh-nagumo-1961", dict(over={"i_stim": (0, 1)}, cycles=True, at=[0.5]), "--over i_stim=0:1 --cycles --at 0.5"),
    ("continuation", SHERMAN_MAP, dict(over={"v_s": (-40, -30)}, bounds={"v": (-70, -10)}), "--over v_s=-40:-30 --box v=-70:-10"),
    ("diagram", "fitzhugh-nagumo-1961", dict(over={"i_stim": (0, 1, 5)}), "--over i_stim=0:1:5"),
    ("diagram", SHERMAN_MAP, dict(over={"v_s": (-40, -30, 3)}, kind="orbit", of="isi", both=True), "--over v_s=-40:-30:3 --kind orbit --of isi --both"),
    ("basins", "fitzhugh-nagumo-1961", dict(starts=20, over={"i_stim": (0, 1, 3)}), "--starts 20 --over i_stim=0:1:3"),
    ("basins", SHERMAN_MAP, dict(grid={"v": 2, "s": 2}, p={"v_s": -36}, t_end=2), "--grid v:2,s:2 --param v_s=-36 --t-end 2"),
    ("coupled", "sherman-1988", dict(graph="ring:3", coupling=0.1, t_end=2, scatter=5), "--graph ring:3 --coupling 0.1 --t-end 2 --scatter 5"),
    ("coupled", SHERMAN_MAP, dict(graph="chain:2", coupling=0.1, t_end=1, scatter=1), "--graph chain:2 --coupling 0.1 --t-end 1 --scatter 1"),
    ("spikes", "ten-tusscher-panfilov-2006", dict(t_end=500, stimulus=ionoscope.step(52, 10, 1)), "--t-end 500 --stimulus 52:10:1"),
    ("spikes", SHERMAN_MAP, dict(p={"v_s": -36}, bursts=2), "--param v_s=-36 --bursts 2"),
]


@pytest.mark.skipif(not BINARY.exists(), reason="the command is not built")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method, system, options, arguments", QUESTIONS, ids=lambda v: str(v)[-40:])
def test_every_question_has_the_document_of_the_command_line(method, system, options, arguments):
    verb = {"continuation": "continue"}.get(method, method)
    answer = getattr(ionoscope.load(system), method)(**options)
    assert answer.document == document(verb, system, *arguments.split())
    assert answer.figure is None or answer.figure._repr_svg_().startswith("<svg")
    assert len(answer.table()) > 0 and repr(answer).startswith("<")


@pytest.mark.skipif(not BINARY.exists(), reason="the command is not built")
@pytest.mark.filterwarnings("ignore")
def test_tasks_have_the_documents_of_the_command_line(tmp_path):
    for system in ("hodgkin-huxley-1952", SHERMAN_MAP, HH_FNO):
        assert ionoscope.load(system).describe() == document("models", system)
    data = ionoscope.dataset(OPERATOR, tmp_path, set={"responses.points": 1000}).path
    for surrogate in (FHN_FNO, ROOT / "pretrained" / "fhn-map.safetensors"):
        assert ionoscope.evaluate(surrogate, data).document == document("evaluate", surrogate, data)
    pair = ["lorenz-1963", "lorenz-1963"]
    folder = tmp_path / "pair"
    found = ionoscope.compare(*pair, over={"rho": (20, 24)}, quick=True, output=folder)
    # Its costs are measured, so that only what it consists of is the same.
    again = document("compare", *pair, "--over", "rho=20:24", "--quick", "-o", folder)
    assert [s["id"] for s in found.document] == [s["id"] for s in again] and found.document[0] == again[0] and found.figure
    assert ionoscope.report(folder).document == document("report", folder)
    with pytest.raises(ionoscope.InputError, match="variables"):
        ionoscope.compare("lorenz-1963", "fitzhugh-nagumo-1961")
    with pytest.raises(ionoscope.InputError, match="paper"):
        ionoscope.reproduce("nobody-1900", tmp_path)


def test_what_an_operator_cannot_answer_says_so():
    operator = ionoscope.load(HH_FNO)
    over = {"i_stim": (0, 10)}
    for ask in (
        operator.fixed_points, operator.lyapunov, operator.spikes, operator.basins, lambda: operator.continuation(over),
        lambda: operator.diagram(over), lambda: operator.coupled("ring:3", 0.1, 1.0), lambda: operator.rule(operator.state()),
    ):
        with pytest.raises(ionoscope.InputError, match="is a Fourier neural operator, which answers"):
            ask()


def test_trajectories_go_into_xarray_and_presets_are_starts():
    xarray = pytest.importorskip("xarray")
    cell = ionoscope.load("hodgkin-huxley-1952")
    one = cell.simulate(5, 0.1, stimulus=10.0)
    data = one.to_xarray()
    assert isinstance(data, xarray.Dataset) and data["v"].attrs["units"] == "mV" and np.array_equal(data["v"], one["v"])
    many = cell.simulate_batch(5, 0.1, stimulus=np.array([0.0, 10.0])).to_xarray()
    assert many["v"].dims == ("experiment", "time") and many["v"].shape == (2, 51)
    heart = ionoscope.load("ohara-rudy-2011", preset="epi") if "epi" in ionoscope.load("ohara-rudy-2011").presets else None
    if heart is not None:
        assert pickle.loads(pickle.dumps(heart)).preset == "epi"
    with pytest.raises(ionoscope.InputError, match="no presets"):
        ionoscope.load("lorenz-1963", preset="epi")


def spikes_of(cell, current):
    return len(cell.spikes(stimulus=float(current), t_end=100))


def test_systems_are_pickled_and_copied():
    operator = pathlib.Path(__file__).parents[3] / "pretrained" / "fhn-fno.safetensors"
    for system in ("hodgkin-huxley-1952", SHERMAN_MAP, operator):
        cell = ionoscope.load(system)
        for other in (pickle.loads(pickle.dumps(cell)), copy.copy(cell), copy.deepcopy(cell)):
            assert type(other) is type(cell) and other.id == cell.id and other.names == cell.names
    cell = ionoscope.load("hodgkin-huxley-1952")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(spikes_of, [cell] * 2, [0, 10])) == [spikes_of(cell, 0), spikes_of(cell, 10)]


def test_answers_are_objects():
    cell = ionoscope.load("fitzhugh-nagumo-1961")
    cycle = cell.lyapunov(stimulus=0.5)
    assert cycle.reached and abs(cycle.exponents[0]) < 1e-6 and cycle.dimension == 1.0
    assert cycle.figure._repr_svg_().startswith("<svg") and list(cycle.columns())[:2] == ["exponent", "error"]
    assert cycle.units()["exponent"] == "1/1" and len(cycle.table()) in (2, 6)
    beats = ionoscope.load("hodgkin-huxley-1952").spikes(stimulus=10.0)
    assert beats.regime == "spiking" and len(beats) == len(beats.times) > 100 and beats.means["apd90"] > 0 and len(beats.columns()["apd90"]) > 100
    rest = cell.fixed_points()
    assert [f.stable for f in rest] == [True] and "stable" in repr(rest)
    with pytest.warns(UserWarning, match="outside the training range"):
        ionoscope.load(SHERMAN_MAP).fixed_points({"v_s": -36.0})


def test_wrong_input_is_named():
    with pytest.raises(ionoscope.InputError, match="hodgkin-huxley-1952"):
        ionoscope.load("hodgkin-huxley-1953")
    cell = ionoscope.load("hodgkin-huxley-1952")
    for call, message in [
        (lambda: cell.simulate(10, x0={"W": 1}), "no 'W'"),
        (lambda: cell.simulate(10, x0=[1, 2]), "shape"),
        (lambda: cell.simulate(-1), "t_end|end"),
        (lambda: cell.simulate(1, 0.3), "0.9 and 1.2"),
        (lambda: cell.simulate(10, method="magic"), "magic"),
        (lambda: cell.simulate(10, stimulus=ionoscope.step(1, duration=-1)), "duration"),
        (lambda: cell.simulate_batch(10, p={cell.parameters[0].name: [1, 2]}, stimulus=np.zeros(3)), "experiments"),
        (lambda: cell.simulate(10, stimulus=3j), "stimulus"),
        (lambda: cell.jacobian([[1, 2, 3, 4]]), "one state"),
        (lambda: cell.fixed_points(bounds={"v": [1]}), "bounds of v"),
        (lambda: cell.fixed_points(bounds={"v": [2, 1]}), "empty"),
        (lambda: cell.fixed_points(starts=0), "0 starts"),
        (lambda: cell.lyapunov(count=9), "9 exponents"),
        (lambda: cell.lyapunov(accuracy="high"), "invalid type"),
        (lambda: cell.spikes(bursts=0), "0 bursts"),
        (lambda: cell.spikes(upstroke="steep"), "steepest-rise"),
        (lambda: cell.spikes(stimulus=ionoscope.step(1, 2, 3)), "give t_end"),
        (lambda: cell.lyapunov(stimulus=ionoscope.step(1, 2, 3)), "changes over time"),
        (lambda: cell.simulate(10, p={"g_na": [20, 120]}), "g_na has 2 values"),
        (lambda: cell.lyapunov(p={"g_na": [20, 120]}), "g_na has 2 values"),
        (lambda: cell.simulate(10, p={"g_na": -1e9}), "outside"),
        (lambda: cell.simulate_batch(10, p={"g_na": np.array([120, -1e9])}), "outside"),
        (lambda: ionoscope.configuration({"train": {"hiden": 3}}), "hidden"),
        (lambda: ionoscope.configuration("no-such-file.toml"), "no-such-file"),
    ]:
        with pytest.raises(ionoscope.InputError, match=message):
            call()
    assert issubclass(ionoscope.InputError, ValueError) and issubclass(ionoscope.WorkError, ionoscope.Error)


def test_work_that_fails_says_so_and_leaves_the_rest():
    cell = ionoscope.load("hodgkin-huxley-1952")
    with pytest.raises(ionoscope.WorkError, match="step"):
        cell.simulate(50, 0.05, stimulus=10.0, max_steps=5)
    some = cell.simulate_batch(50, 0.05, stimulus=np.array([10.0, 10.0]), max_steps=5)
    assert set(some.failures) == {0, 1} and np.isnan(some.x[:, -1]).all() and not np.isnan(some.x[:, 0]).any()


def test_other_threads_run_meanwhile():
    cell = ionoscope.load("hodgkin-huxley-1952")
    ticks, stop = [], threading.Event()

    def tick():
        while not stop.wait(0.005):
            ticks.append(time.perf_counter())

    thread = threading.Thread(target=tick)
    thread.start()
    begin = time.perf_counter()
    cell.simulate_batch(2000, 0.1, stimulus=np.linspace(5, 15, 64), threads=1)
    seconds = time.perf_counter() - begin
    stop.set()
    thread.join()
    assert seconds < 0.1 or len(ticks) > seconds / 0.1


def test_a_map_is_trained_stopped_and_gone_on_with(tmp_path):
    records = []
    stopped = ionoscope.train(MAP, tmp_path / "a", callback=lambda r: records.append(r) or len(records) < 5, checkpoint_every=0)
    assert stopped.ending == "interrupted" and [r["epoch"] for r in records] == [1, 2, 3, 4, 5]
    resumed = ionoscope.train(MAP, tmp_path / "a", resume=True)
    whole = ionoscope.train(MAP, tmp_path / "b", threads=1)
    assert resumed.ending == whole.ending == "completed"
    assert resumed.surrogate.read_bytes() == whole.surrogate.read_bytes()
    cell = whole.load()
    assert cell.dt is not None and cell.simulate(10 * cell.dt).x.shape == (11, 3)
    # The network in numpy gives the same step.
    assert np.allclose(cell.simulate(cell.dt).x[1], cell.rule(cell.state()), rtol=1e-12)


def test_an_error_in_a_callback_comes_through_and_stops_the_work(tmp_path):
    def fail(record):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ionoscope.train(MAP, tmp_path, callback=fail)


def test_an_operator_is_trained_and_used(tmp_path):
    data = ionoscope.dataset(OPERATOR, tmp_path)
    assert data.parts["training"]["current"].shape == (24, 60) and data.parts["test"]["x"].shape == (8, 2, 60)
    done = ionoscope.train(OPERATOR, tmp_path, set={"operator.adam.learning_rate": np.float64(0.004)})
    assert 0 < done.validation < 2 and done.measured["epochs"] == 6
    operator = done.load()
    assert isinstance(operator, ionoscope.Operator) and operator.points == 60
    stimuli = [ionoscope.step(0.5, duration=20), ionoscope.step(1.0, duration=50)]
    both = operator.simulate_batch(stimulus=stimuli)
    assert both.x.shape == (2, 60, 2) and (both.x[:, 0] == operator.state()).all()
    assert np.array_equal(operator.simulate(stimulus=stimuli[1]).x, both.x[1])
    with pytest.raises(ionoscope.InputError, match="extrapolate"):
        operator.simulate(stimulus=ionoscope.step(99.0, duration=20))
    with pytest.warns(UserWarning, match="outside the training range"):
        operator.simulate(stimulus=ionoscope.step(99.0, duration=20), extrapolate=True)
    assert operator.simulate_batch(stimulus=[ionoscope.step(99.0, duration=20)], extrapolate=True).outside == {0: 60}
    with pytest.raises(ionoscope.InputError, match="trained up to"):
        operator.simulate(stimulus=stimuli[0], t_end=1e4)


def test_a_study_is_tuned_and_gone_on_with(tmp_path):
    study = OPERATOR | {"trials": 2, "space": {"operator.network.width": {"integer": [2, 6]}}}
    lines = []
    trials = ionoscope.tune(study, tmp_path, say=lines.append)
    assert [t.number for t in trials] == [0, 1] and all(t.state in ("complete", "pruned") for t in trials) and lines
    with pytest.raises(ionoscope.InputError, match="resume"):
        ionoscope.tune(study, tmp_path)
    assert len(ionoscope.tune(study, tmp_path, set={"trials": 3}, resume=True)) == 3
    best = ionoscope.configuration(tmp_path / "best.toml")
    assert best["operator"]["network"]["width"] in {t.values["operator.network.width"] for t in trials} | {2, 3, 4, 5, 6}
