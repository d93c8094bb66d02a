"""A study on a Ray cluster of two nodes, one of which is killed."""

import os
import pathlib
import threading
import time

import pytest

ray = pytest.importorskip("ray")

from ray import tune
from ray.cluster_utils import Cluster

from ionoscope.ray import trainable

BASE = {
    "responses": {"model": "fitzhugh-nagumo-1961", "samples": [64, 16, 0], "points": 126, "rtol": 1e-4, "atol": 1e-6},
    "operator": {"network": {"width": 16, "modes": 8, "layers": 2}, "adam": {"epochs": 60, "batch": 16}, "validate_every": 1},
}


def test_a_node_is_killed_and_the_study_completes(tmp_path):
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    other = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    killed = threading.Event()
    try:
        cluster.wait_for_nodes()
        assert ray.cluster_resources()["CPU"] == 2

        def kill():
            # Once a trial's checkpoint is there, both nodes are at work.
            while not list(pathlib.Path(tmp_path).rglob("checkpoint.safetensors")):
                time.sleep(0.2)
            cluster.remove_node(other, allow_graceful=False)
            killed.set()

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()
        tuner = tune.Tuner(
            tune.with_resources(trainable(BASE, checkpoint_epochs=5), {"cpu": 1}),
            param_space={"operator.network.width": tune.grid_search([12, 16, 20]), "operator.seed": 5},
            tune_config=tune.TuneConfig(metric="validation", mode="min"),
            run_config=tune.RunConfig(name="study", storage_path=str(tmp_path), failure_config=tune.FailureConfig(max_failures=5), verbose=0),
        )
        results = tuner.fit()
        thread.join(5)
        assert killed.is_set(), "the study was over before a node was killed"
        assert len(results) == 3 and results.num_errors == 0
        for result in results:
            assert result.metrics["epoch"] == 60
            with result.checkpoint.as_directory() as kept:
                assert (pathlib.Path(kept) / "surrogate.safetensors").is_file()
        print({r.config["operator.network.width"]: r.metrics["validation"] for r in results}, results.get_best_result().config)
        surrogate = {r.config["operator.network.width"]: pathlib.Path(r.checkpoint.path, "surrogate.safetensors").read_bytes() for r in results}
    finally:
        ray.shutdown()
        cluster.shutdown()
    # Killed and gone on with elsewhere, a trial gives the same bits as alone.
    import ionoscope

    for width, bytes_there in surrogate.items():
        alone = ionoscope.train(BASE, tmp_path / f"alone{width}", set={"operator.network.width": width, "operator.seed": 5}, threads=1)
        assert alone.surrogate.read_bytes() == bytes_there, width
