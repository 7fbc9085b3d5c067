"""The manifest for Kubernetes: what KubeRay needs is in it, and its command is one that there is."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml

from ovsr_ros.cli import _parser

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def job() -> dict:
    (document,) = yaml.safe_load_all((ROOT / "docs" / "rayjob.yaml").read_text(encoding="utf-8"))
    return document


def test_it_is_a_job_that_ends_and_is_started_again(job: dict) -> None:
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["metadata"]["name"]
    assert job["spec"]["shutdownAfterJobFinishes"] is True
    assert job["spec"]["backoffLimit"] > 0


def test_the_command_is_understood(job: dict) -> None:
    program, *words = shlex.split(job["spec"]["entrypoint"])
    parsed = _parser("bags").parse_args(words)
    assert (program, parsed.bags_command, parsed.ray) == ("ovsr", "label", "auto")
    assert parsed.bags == ["s3://robots/day1/*.mcap"]
    (group,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    assert int(container["resources"]["limits"]["cpu"]) % parsed.worker_cpus == 0
    assert parsed.scratch in [mount["mountPath"] for mount in container["volumeMounts"]]


def test_every_container_has_an_image_of_the_cluster_s_ray_and_what_it_may_take(job: dict) -> None:
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for group in groups:
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        for container in group["template"]["spec"]["containers"]:
            assert container["image"].endswith(f":{cluster['rayVersion']}")
            assert {"cpu", "memory"} == set(container["resources"]["limits"])
            assert {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"} in container["env"]
    for group in cluster["workerGroupSpecs"]:
        assert 0 < group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert f"\nray=={cluster['rayVersion']}\n" in pins
