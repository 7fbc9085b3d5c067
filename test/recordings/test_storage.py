"""Bags and labels by URL: in an object store on this machine's loopback, which a server of moto's is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from room_bags import ROS1 as ROS1_TYPES
from room_bags import images_of, room_images, write_ros1, write_ros2

from ovsr_ros.cli import main
from ovsr_ros.recordings import files
from ovsr_ros.recordings.fetching import drop, fetched_files
from ovsr_ros.recordings.journal import Journal
from ovsr_ros.recordings.storage import Store, to_place

OPTIONS = ["--config", "demo", "--set", "text.cache_directory=none", "--device", "cpu"]
WORDS = ["--categories", "wall", "floor", "ball"]
NUM_FRAMES = 6


@pytest.fixture(scope="module")
def bags(s3, tmp_path_factory) -> Path:
    """A ROS 2 bag, a folder, and a ROS 1 bag, on this machine and in the bucket `robots`."""
    folder = tmp_path_factory.mktemp("bags")
    images = room_images(NUM_FRAMES, (160, 120), seed=35)
    write_ros2(folder / "room", images_of(images))
    write_ros1(folder / "old.bag", images_of(images[:2], types=ROS1_TYPES.types))
    s3.mkdir("robots")
    s3.put(str(folder), "robots/day 1", recursive=True)
    return folder


@pytest.fixture(scope="module")
def alone(bags, tmp_path_factory) -> Path:
    """What comes of them on this machine."""
    out = tmp_path_factory.mktemp("alone")
    assert label([bags / "room", bags / "old.bag"], out) == 0
    return out


def label(bags: list[object], out: object, *arguments: object) -> int:
    return main(["bags", "label", *map(str, bags), "--out", str(out), *OPTIONS, *WORDS, *map(str, arguments)])


def stored(s3, folder: str) -> dict[str, bytes]:
    """Every file of a bag's in the store, but the one that says how it went."""
    names = {name.removeprefix(f"{folder}/"): name for name in s3.find(folder)}
    return {key: s3.cat_file(name) for key, name in names.items() if key != "recording.json"}


def contents(folder: Path) -> dict[str, bytes]:
    every = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "recording.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in every}


def test_bags_in_a_bucket_are_labelled_into_a_bucket_as_on_this_machine(s3, bags, alone, tmp_path, capsys) -> None:
    arguments = (["s3://robots/day 1/*.bag", "s3://robots/day 1/room"], "s3://robots/labels/", "--scratch", tmp_path)
    assert label(*arguments) == 0
    for name in ("room", "old"):
        assert stored(s3, f"robots/labels/{name}") == contents(alone / name)
    record = json.loads(s3.cat_file("robots/labels/room/recording.json"))
    assert (record["state"], record["job"]["bag"]) == ("done", "s3://robots/day 1/room")
    assert json.loads(s3.cat_file("robots/labels/summary.json"))["frames"] == NUM_FRAMES + 2
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "nothing is left behind"
    capsys.readouterr()
    assert label(*arguments) == 0
    assert capsys.readouterr().err.count("was labelled already") == 2
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "nor fetched for nothing"


def test_labels_of_this_machine_s_bag_go_into_a_bucket_and_the_reverse(s3, bags, alone, tmp_path) -> None:
    assert label([f"file://{bags}/old.bag"], "s3://robots/mixed", "--scratch", tmp_path / "scratch") == 0
    assert stored(s3, "robots/mixed/old") == contents(alone / "old")
    assert label(["s3://robots/day 1/old.bag"], tmp_path / "out", "--scratch", tmp_path / "scratch") == 0
    assert contents(tmp_path / "out" / "old") == contents(alone / "old")


class Killed(BaseException):
    """As a signal ends a process, for tests: nobody catches it."""


@pytest.mark.parametrize("chunk", ["0", "0.2"])
def test_another_machine_goes_on_where_one_was_lost(s3, bags, alone, tmp_path, monkeypatch, chunk: str) -> None:
    monkeypatch.setattr(files, "_KEEP_EVERY_S", 0.0)
    memories = ("lost_s=0.1", "border_memory_s=0", "score_memory_s=0", "refresh_s=0")
    short = [word for each in memories for word in ("--set", f"tracking.{each}")]
    bag, out = ["s3://robots/day 1/room"], f"s3://robots/resumed{chunk}"
    append, appended = Journal.append, []

    def killed(self, row):
        append(self, row)
        appended.append(row)
        if len(appended) == 5:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", killed)
        with pytest.raises(Killed):
            label(bag, out, *short, "--chunk", chunk, "--scratch", tmp_path / "lost")
        assert s3.find(f"{out}/room")
        assert label(bag, out, *short, "--chunk", chunk, "--scratch", tmp_path / "another") == 0
    assert label([bags / "room"], tmp_path / "here", *short, "--chunk", chunk) == 0
    assert stored(s3, f"{out.removeprefix('s3://')}/room") == contents(tmp_path / "here" / "room")
    lead_ins = 0 if chunk == "0" else 2 * 2
    assert len(appended) <= NUM_FRAMES + lead_ins + 1, "the frame in work at most is done again"


def test_a_file_is_whole_or_not_there_in_other_file_systems_too(tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_text("whole")
    store = Store.at("memory://place/b.txt")
    store.put(source)
    assert store.read() == b"whole"
    assert Store.at("memory://place").names() == ["b.txt"]
    store.fetch(tmp_path / "c" / "b.txt")
    assert (tmp_path / "c" / "b.txt").read_text() == "whole"


def test_nobody_takes_away_what_another_one_fetches_or_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "memory://shared/room"
    for name in ("a.mcap", "metadata.yaml"):
        Store.at(f"{url}/{name}").write(b"x")
    fetch = Store.fetch

    def fetch_and_drop(self: Store, path: Path) -> None:
        fetch(self, path)
        drop(url, tmp_path)

    monkeypatch.setattr(Store, "fetch", fetch_and_drop)
    with fetched_files(url, tmp_path) as path:
        drop(url, tmp_path)
        assert sorted(each.name for each in path.iterdir()) == ["a.mcap", "metadata.yaml"]
    Store.at(f"{url}/a.mcap").remove()
    with fetched_files(url, tmp_path) as path:
        assert [each.name for each in path.iterdir()] == ["metadata.yaml"], "what the store has no more is no part"
    drop(url, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_url_is_a_path() -> None:
    assert to_place("file:///a/b/") == "/a/b"
    assert to_place("s3://bucket/a/") == "s3://bucket/a"


def test_a_key_that_leads_out_of_the_scratch_folder_is_refused(s3, bags, tmp_path, capsys) -> None:
    s3.put(str(bags / "room"), "robots/evil/room", recursive=True)
    s3.pipe_file("robots/evil/room/../../../../x", b"x")
    s3.put(str(bags / "old.bag"), "robots/evil/...bag")
    scratch = tmp_path / "a" / "b" / "scratch"
    assert label(["s3://robots/evil/*"], tmp_path / "out", "--scratch", scratch, "--json") == 1
    captured = capsys.readouterr()
    assert {each["state"] for each in json.loads(captured.out)["bags"]} == {"failed", "done"}
    assert "'s3://robots/evil/room/../../../../x': expected a key without '..'" in captured.err
    assert not [path for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["...bag", "room", "summary.json"]


def test_what_is_wrong_with_a_store_is_one_line(s3, bags, tmp_path, capsys) -> None:
    assert label(["s3://robots/none.bag"], tmp_path / "out", "--scratch", tmp_path) == 1
    assert "s3://robots/none.bag: no such file or folder" in capsys.readouterr().err
    assert label(["s3://robots/none/*.bag"], tmp_path / "out") == 2
    assert "s3://robots/none/*.bag: expected bags, got none" in capsys.readouterr().err
    assert label([bags / "old.bag"], "s3://nobucket/labels", "--scratch", tmp_path) in (1, 2)
    assert "s3://nobucket/labels" in capsys.readouterr().err
    assert label(["nonsense://a/b.bag"], tmp_path / "out") == 2
    assert "nonsense://a/b.bag: Protocol not known: nonsense; URLs need the packages" in capsys.readouterr().err


def test_without_s3fs_it_says_what_to_install(bags, tmp_path) -> None:
    hidden = "import sys; sys.modules['s3fs'] = None; from ovsr_ros.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["bags", "label", "s3://robots/a.bag", "--out", str(tmp_path), *OPTIONS, *WORDS]
    done = subprocess.run([sys.executable, "-c", hidden, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("ovsr: s3://robots/a.bag: ")
    assert done.stderr.endswith("URLs need the packages fsspec and, for s3://, s3fs: pip install s3fs\n")
