"""Bags labelled by a Ray cluster of three nodes, whose workers, nodes and drivers are killed while they work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_cluster import (
    Cluster,
    Meanwhile,
    contents,
    is_done,
    options_for,
    remove_node_of,
    three_nodes,
    wait_for,
    worker_of,
)
from room_bags import images_of, room_images, write_ros2
from taught_words import teach_words

from ovsr_ros.cli import main
from ovsr_ros.recordings.table import FrameTable

NUM_FRAMES = {"first": 4, "second": 24, "third": 4, "fourth": 24}
OPTIONS = ["--config", "demo", "--set", "text.cache_directory=none", "--device", "cpu"]
WORDS = ["--categories", "wall", "floor", "ball"]


@pytest.fixture(scope="module")
def bags(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("bags")
    return [
        write_ros2(folder / name, images_of(room_images(count, (160, 120), seed=30 + index)))
        for index, (name, count) in enumerate(NUM_FRAMES.items())
    ]


@pytest.fixture(scope="module")
def alone(bags, tmp_path_factory) -> Path:
    """What one machine makes of the bags."""
    out = tmp_path_factory.mktemp("alone")
    assert label(bags, out) == 0
    return out


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with three_nodes() as cluster:
        yield cluster


def label(bags: list[Path], out: Path, *arguments: str, words: list[str] = WORDS) -> int:
    return main(["bags", "label", *map(str, bags), "--out", str(out), *OPTIONS, *words, *arguments])


def test_a_bag_that_kills_its_workers_is_given_up_and_the_others_are_as_one_machine_makes_them(
    bags, alone, cluster, tmp_path, capsys
) -> None:
    killed: list[int] = []

    def kill_whoever_takes_it() -> None:
        while len(killed) < 3:
            pid = wait_for(
                lambda: (found := worker_of(tmp_path / "second")) not in killed and found, "worker on the second bag"
            )
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    killer = Meanwhile(kill_whoever_takes_it)
    assert label(bags[:3], tmp_path, *options_for(cluster), "--json") == 3
    killer.end()
    captured = capsys.readouterr()
    states = {Path(each["bag"]).name: each["state"] for each in json.loads(captured.out)["bags"]}
    assert states == {"first": "done", "second": "given up", "third": "done"}
    assert f"ovsr: {bags[1]}: given up: it has ended its worker 3 times, the last time so: " in captured.err
    for name in ("first", "third"):
        assert contents(tmp_path / name) == contents(alone / name)

    assert label(bags[1:2], tmp_path) == 0, "what it did is not lost, where it does not kill any more"
    assert contents(tmp_path / "second") == contents(alone / "second")


def test_the_pieces_of_a_long_bag_are_found_by_several_workers_and_joined_by_words_that_were_taught(
    bags, alone, cluster, tmp_path
) -> None:
    taught = ["--vocabulary", str(teach_words(alone / "fourth", tmp_path / "vocabulary.json"))]
    memories = {"lost_s": 0.3, "border_memory_s": 0.05, "score_memory_s": 0.05, "refresh_s": 0.1}
    short = [word for name, value in memories.items() for word in ("--set", f"tracking.{name}={value}")]
    assert label(bags[3:], tmp_path / "alone", "--chunk", "0.8", *short, words=taught) == 0
    assert label(bags[3:], tmp_path / "cluster", "--chunk", "0.8", *short, *options_for(cluster), words=taught) == 0
    found = contents(tmp_path / "cluster" / "fourth")
    assert set(found) == {"frames.parquet", "labels/labels.mcap", "labels/metadata.yaml"}
    assert found == contents(tmp_path / "alone" / "fourth")
    assert found["labels/labels.mcap"] != contents(alone / "fourth")["labels/labels.mcap"], "the words count"


def test_when_driver_and_node_are_killed_every_bag_is_labelled_once(bags, alone, cluster, tmp_path, capsys) -> None:
    command = [sys.executable, "-c", "import sys; from ovsr_ros.cli import main; sys.exit(main(sys.argv[1:]))"]
    arguments = ["bags", "label", *map(str, bags), "--out", str(tmp_path), *OPTIONS, *WORDS, *options_for(cluster)]
    driver = subprocess.Popen([*command, *arguments], start_new_session=True)
    try:
        wait_for(lambda: is_done(tmp_path / "first"), "first bag")
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
    done = {name: stamp_of(tmp_path / name) for name in NUM_FRAMES if is_done(tmp_path / name)}
    assert 1 <= len(done) < 4

    def kill_a_node() -> None:
        pid = wait_for(lambda: worker_of(tmp_path / "fourth"), "worker on the fourth bag")
        remove_node_of(cluster, pid)

    killer = Meanwhile(kill_a_node)
    assert label(bags, tmp_path, *options_for(cluster)) == 0
    killer.end()
    assert len(cluster.worker_nodes) == 1
    assert capsys.readouterr().err.count("was labelled already") == len(done)
    assert {name: stamp_of(tmp_path / name) for name in done} == done, "what was labelled was left alone"
    for name, count in NUM_FRAMES.items():
        assert contents(tmp_path / name) == contents(alone / name)
        with FrameTable(tmp_path / name / "frames.parquet") as table:
            assert len({row.stamp_ns for row in table.rows()}) == len(table) == count


def stamp_of(folder: Path) -> int:
    return (folder / "recording.json").stat().st_mtime_ns


def test_without_ray_it_says_what_to_install(bags, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    assert label(bags, tmp_path, "--ray") == 2
    expected = "ovsr: --ray needs the package ray, which is not installed: pip install ray\n"
    assert capsys.readouterr().err == expected


def test_what_cannot_be_is_one_line(bags, cluster, tmp_path, capsys) -> None:
    assert label(bags, tmp_path, "--ray", "127.0.0.1:1") == 2
    assert "--ray 127.0.0.1:1: no Ray cluster can be used there: " in capsys.readouterr().err
    assert label(bags, tmp_path, "--ray", str(bags[0])) == 2
    assert "expected the address of a Ray cluster, HOST:PORT, or nothing behind it" in capsys.readouterr().err
    assert label(bags, tmp_path, "--ray", cluster.address, "--worker-cpus", "64") == 2
    assert "--worker-cpus 64: no machine of the cluster has 64 cores to spare" in capsys.readouterr().err
    assert label(bags, tmp_path, "--ray", cluster.address, "--worker-cpus", "1", "--set", "backend=trident") == 2
    assert "backend: expected ovsr" in capsys.readouterr().err
    assert not list(tmp_path.glob("*/labels"))
