"""Names that come from outside, a store's keys or what a bag says of itself, lead nowhere but where they belong."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from room_bags import images_of, room_images, write_ros2
from rosbags.rosbag2 import StoragePlugin

from ovsr_ros.cli import main
from ovsr_ros.errors import ConfigError, RecordingError
from ovsr_ros.recordings.bag import Bag
from ovsr_ros.recordings.fetching import drop, fetched_files, scratch_folder, scratch_for
from ovsr_ros.recordings.files import StoredFiles
from ovsr_ros.recordings.outside_names import is_plain, path_below
from ovsr_ros.recordings.record import folder_for
from ovsr_ros.recordings.storage import Store

ODD = ["../x", "../../x", "/x", "a//x", "./x", "a/..", "..", "a\\x", "a/\0x", "a/./x", ""]
WORDS = ["--config", "demo", "--set", "text.cache_directory=none", "--device", "cpu", "--categories", "wall", "floor"]


@given(st.text(st.sampled_from("a./\\\0%"), max_size=8))
def test_a_path_is_below_its_folder_or_refused(name: str) -> None:
    folder = Path("/scratch/folder")
    try:
        path = path_below(folder, name, name)
    except RecordingError:
        return
    assert path.resolve().relative_to(folder) == Path(name)
    assert str(path) == f"{folder}/{name}"


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_refused_by_name(name: str) -> None:
    with pytest.raises(RecordingError, match="expected a key without") as raised:
        path_below(Path("/scratch"), name, f"s3://bucket/{name}")
    assert repr(f"s3://bucket/{name}") in str(raised.value)


@pytest.fixture
def store() -> fsspec.AbstractFileSystem:
    """Of this process's memory: keys are kept as they are."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield memory
    memory.store.clear()


@pytest.mark.parametrize("odd", [name for name in ODD if name])
def test_nothing_is_written_of_a_bag_with_an_odd_key(store, tmp_path: Path, odd: str) -> None:
    store.store.update({f"/bags/room/{name}": new_file(store, b"x") for name in ("a.mcap", odd)})
    scratch = tmp_path / "a" / "b" / "c"
    with pytest.raises(RecordingError, match="expected a key without"), fetched_files("memory://bags/room", scratch):
        pass
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {".use"}


def new_file(store: fsspec.AbstractFileSystem, content: bytes) -> object:
    store.pipe_file("/new", content)
    return store.store.pop("/new")


def test_a_folder_s_mark_is_no_file(store, tmp_path: Path) -> None:
    store.store.update({f"/bags/room/{name}": new_file(store, b"x") for name in ("", "a.mcap", "sub/")})
    with fetched_files("memory://bags/room", tmp_path) as path:
        assert [each.name for each in path.rglob("*")] == ["a.mcap"]


@pytest.mark.parametrize("name", ["..", ".", ".versions", ".use", ".lock", "a\\b.bag"])
def test_a_place_of_an_odd_name_has_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordingError, match="expected a key without"):
        scratch_for(f"s3://bucket/{name}", tmp_path)
    drop(f"s3://bucket/{name}", tmp_path)


@pytest.mark.parametrize("bag", ["...bag", "..bag", "..", ".", ".bag"])
def test_no_bag_s_labels_go_to_the_folder_above(bag: str, tmp_path: Path) -> None:
    for place in (f"s3://bucket/{bag}", f"/bags/{bag}"):
        parent, _, name = folder_for(place, "/out").rpartition("/")
        assert parent == "/out"
        assert is_plain(name)


def test_what_is_not_ours_in_a_bag_s_journal_or_folder_is_told_or_left(store, tmp_path: Path) -> None:
    content = {".frames.checkpoint": b"x", ".frames.journal/000000000000000": b"x", "labels/../../above": b"x"}
    store.store.update({f"/out/room/{name}": new_file(store, data) for name, data in content.items()})
    files = StoredFiles(tmp_path, tmp_path / "work" / "room", store=Store.at("memory://out/room"))
    files.resume("")
    (files.folder / "recording.json").write_text("{}")
    files.finish("recording.json")
    assert "/out/room/labels/../../above" in store.store, "not ours, as its name leads elsewhere"
    store.pipe_file("/out/room/.frames.journal/-1", b"x")
    store.pipe_file("/out/room/.frames.checkpoint", b"x")
    with pytest.raises(RecordingError, match="journal/-1': expected keys of 15 digits there"):
        files.resume("")


def test_a_bag_of_an_odd_key_is_refused_and_the_others_are_labelled(store, tmp_path: Path, capsys) -> None:
    write_ros2(tmp_path / "bags" / "room", images_of(room_images(1)))
    for name in ("room", "evil"):
        store.put(str(tmp_path / "bags" / "room"), f"/robots/{name}", recursive=True)
    store.store["/robots/evil/../../../x"] = new_file(store, b"x")
    places = ["memory://robots/evil", "memory://robots/..", "memory://robots/room"]
    scratch = ["--out", str(tmp_path / "out"), "--scratch", str(tmp_path / "scratch")]
    assert main(["bags", "label", *places, *scratch, "--json", *WORDS]) == 1
    captured = capsys.readouterr()
    states = {each["bag"]: each["state"] for each in json.loads(captured.out)["bags"]}
    assert states == dict(zip(places, ("failed", "failed", "done"), strict=True))
    assert "'memory://robots/evil/../../../x': expected a key without" in captured.err
    assert not [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()]


def test_a_scratch_folder_of_somebody_else_s_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = scratch_folder("")
    assert folder == scratch_folder("")
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="is a link, or not this user's"):
        scratch_folder("")


IMAGES, OTHERS = room_images(2, seed=3), room_images(3, seed=4)


def test_a_bag_reads_no_file_but_its_own_whatever_its_metadata_says(tmp_path: Path) -> None:
    other = write_ros2(tmp_path / "other", images_of(OTHERS))
    bag = write_ros2(tmp_path / "a", images_of(IMAGES))
    metadata = bag / "metadata.yaml"
    text = metadata.read_text()
    for name in ("../other/other.mcap", f"{other}/other.mcap"):
        metadata.write_text(text.replace("- a.mcap", f"- {name}"))
        assert name in metadata.read_text()
        assert count(bag) == len(IMAGES)


def test_sqlite_opens_the_file_of_that_name_and_none_that_it_would_stand_for(tmp_path: Path) -> None:
    other = write_ros2(tmp_path / "other", images_of(OTHERS), StoragePlugin.SQLITE3)
    (other / "other.db3").rename(tmp_path / "other.db3")
    bag = write_ros2(tmp_path / "a", images_of(IMAGES), StoragePlugin.SQLITE3)
    metadata = bag / "metadata.yaml"
    text = metadata.read_text()
    (bag / "a.db3").rename(bag / "%2e%2e%2fother.db3")
    metadata.write_text(text.replace("a.db3", "%2e%2e%2fother.db3"))
    assert count(bag) == len(IMAGES)
    with Bag(bag) as opened:
        assert "expected a .db3 without %, ? and # in its name" in opened.damage
    assert count(bag / "%2e%2e%2fother.db3") == len(IMAGES)


def test_an_mcap_may_have_any_name(tmp_path: Path) -> None:
    with Bag(write_ros2(tmp_path / "run #3 at 100%", images_of(IMAGES))) as bag:
        assert len(list(bag.messages(bag.topics))) == len(IMAGES)
        assert not bag.damage


def count(path: Path) -> int:
    with Bag(path) as bag:
        return len(list(bag.messages(bag.topics)))
