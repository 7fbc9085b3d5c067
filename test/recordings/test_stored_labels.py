"""Labels in an object store are labelled again and searched as those on this machine are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import fsspec
import pytest
from room_bags import ROS1 as ROS1_TYPES
from room_bags import images_of, room_images, write_ros1, write_ros2

from ovsr_ros.cli import main
from ovsr_ros.recordings.storage import Store

OPTIONS = ["--config", "demo", "--set", "text.cache_directory=none", "--device", "cpu"]
PICTURES = ["--masks", "--coco", "--sheet"]
FIRST = ["--categories", "wall", "floor", "ball"]
WORDS = ["wall; ceiling", "floor"]
OTHERS = ["--categories", *WORDS, "--set", "score_threshold=0.1"]


@pytest.fixture(scope="module")
def local(s3, tmp_path_factory) -> Path:
    """Two bags in `fleet/bags`, labelled into `fleet/labels`, and on this machine into this folder."""
    bags = tmp_path_factory.mktemp("bags")
    images = room_images(4, (160, 120), seed=35)
    write_ros2(bags / "room", images_of(images))
    write_ros1(bags / "old.bag", images_of(images[:2], types=ROS1_TYPES.types))
    s3.mkdir("fleet")
    s3.put(str(bags), "fleet/bags", recursive=True)
    out = tmp_path_factory.mktemp("local")
    scratch = ["--scratch", str(tmp_path_factory.mktemp("scratch"))]
    both = [str(bags / "room"), str(bags / "old.bag")]
    assert main(["bags", "label", *both, "--out", str(out), *OPTIONS, *FIRST, *PICTURES]) == 0
    stored = ["s3://fleet/bags/room", "s3://fleet/bags/old.bag", "--out", "s3://fleet/labels"]
    assert main(["bags", "label", *stored, *OPTIONS, *FIRST, *PICTURES, *scratch]) == 0
    return out


@pytest.fixture
def url(s3, local, request) -> str:
    """The labels in the store, to be changed."""
    name = f"fleet/copies/{request.node.name}"
    s3.copy("fleet/labels", name, recursive=True)
    return f"s3://{name}"


@pytest.fixture(scope="module")
def expected(local, tmp_path_factory) -> Path:
    """The labels on this machine, by other words."""
    folder = shutil.copytree(local, tmp_path_factory.mktemp("expected") / "labels")
    assert main(["bags", "relabel", str(folder), *OTHERS, *PICTURES]) == 0
    return folder


def relabel(place: object, *arguments: object) -> int:
    return main(["bags", "relabel", str(place), *OTHERS, *PICTURES, *map(str, arguments)])


SAID = {"recording.json", "summary.json"}
"""What says how it went: paths and seconds differ."""


def stored(s3: fsspec.AbstractFileSystem, url: str) -> dict[str, bytes]:
    folder = url.removeprefix("s3://")
    names = {name.removeprefix(f"{folder}/"): name for name in s3.find(folder)}
    return {key: s3.cat_file(name) for key, name in names.items() if Path(key).name not in SAID}


def contents(folder: Path) -> dict[str, bytes]:
    every = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in SAID)
    return {str(path.relative_to(folder)): path.read_bytes() for path in every}


def files_in(folder: Path) -> list[str]:
    every = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.name for path in every if not any(part.startswith(".") for part in path.parts))


def test_labels_in_a_bucket_are_labelled_again_as_on_this_machine(
    s3, url, expected, tmp_path, monkeypatch, capsys
) -> None:
    put, puts = Store.put, []
    monkeypatch.setattr(Store, "put", lambda self, path: puts.append(self.url) or put(self, path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    s3.pipe_file(f"{url}/room/notes.txt", b"somebody's")
    assert relabel(url, "--json") == 0
    found = json.loads(capsys.readouterr().out)["bags"]
    assert all(0 < each["unlabeled"] < 1 for each in found)
    assert [(each["bag"], each["folder"]) for each in found] == [
        ("s3://fleet/bags/old.bag", f"{url}/old"),
        ("s3://fleet/bags/room", f"{url}/room"),
    ]
    assert stored(s3, url) == {**contents(expected), "room/notes.txt": b"somebody's"}
    record = json.loads(s3.cat_file(f"{url}/room/recording.json"))
    assert (record["state"], record["job"]["categories"]) == ("done", WORDS)
    assert json.loads(s3.cat_file(f"{url}/summary.json"))["frames"] == 6
    of_room = [name for name in puts if name.startswith(f"{url}/room/")]
    assert of_room[-1] == f"{url}/room/recording.json", "it says of all others that they are there"
    assert f"{url}/room/frames.parquet" not in puts, "it is there"
    assert not files_in(tmp_path), "nothing is left behind"


def test_what_is_not_asked_for_is_taken_away_and_needs_no_image(s3, url, tmp_path, monkeypatch) -> None:
    fetch, fetched = Store.fetch, []
    monkeypatch.setattr(Store, "fetch", lambda self, path: fetched.append(self.url) or fetch(self, path))
    arguments = ["bags", "relabel", f"{url}/room", *OTHERS, "--scratch", str(tmp_path)]
    assert main(arguments) == 0
    assert {name.partition("/")[0] for name in stored(s3, f"{url}/room")} == {"frames.parquet", "labels"}
    assert fetched == [f"{url}/room/recording.json", f"{url}/room/frames.parquet"]
    assert files_in(tmp_path) == ["frames.parquet", "recording.json"], "for the next time, as the folder is named"
    assert main(arguments) == 0
    assert fetched[2:] == [f"{url}/room/recording.json"], "the other one has not changed"


def test_from_a_bucket_to_this_machine_and_the_reverse(s3, url, local, expected, tmp_path) -> None:
    wanted = {name: data for name, data in contents(expected).items() if not name.endswith("frames.parquet")}
    assert relabel(url, "--out", tmp_path / "out", "--scratch", tmp_path / "scratch") == 0
    assert contents(tmp_path / "out") == wanted
    assert relabel(local, "--out", f"{url}/beside", "--scratch", tmp_path / "scratch") == 0
    assert stored(s3, f"{url}/beside") == wanted
    assert json.loads(s3.cat_file(f"{url}/beside/summary.json"))["frames"] == 6


def test_labels_here_of_a_bag_in_a_bucket_have_their_pictures(s3, expected, tmp_path) -> None:
    out, scratch = str(tmp_path / "out"), ["--scratch", str(tmp_path / "scratch")]
    assert main(["bags", "label", "s3://fleet/bags/room", "--out", out, *OPTIONS, *FIRST, *scratch]) == 0
    assert relabel(out, *scratch) == 0
    assert contents(tmp_path / "out" / "room") == contents(expected / "room")
    assert not files_in(tmp_path / "scratch")


class Killed(BaseException):
    """As a signal ends a process, for tests: nobody catches it."""


def test_what_is_stopped_is_made_good_by_the_same_command(s3, url, expected, tmp_path, monkeypatch) -> None:
    put, puts = Store.put, []

    def stop(self, path):
        puts.append(self.url)
        if len(puts) == 4:
            raise Killed
        put(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", stop)
        with pytest.raises(Killed):
            relabel(url, "--scratch", tmp_path)
    record = json.loads(s3.cat_file(f"{url}/old/recording.json"))
    assert (record["state"], record["job"]["categories"]) == ("found", FIRST[1:]), "it says that labels are to be made"
    assert relabel(url, "--scratch", tmp_path) == 0
    assert stored(s3, url) == contents(expected)


def find(place: object, *arguments: object) -> int:
    return main(["bags", "find", "floor", str(place), "--limit", "3", *map(str, arguments)])


def test_things_are_found_in_a_bucket_as_on_this_machine(s3, url, local, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    hits = {}
    for name, place in (("here", local), ("there", url)):
        out = tmp_path / name
        assert find(place, "--json", "--sheet", out / "hits.jpg", "--clip", out / "clips", "--seconds", "0.15") == 0
        hits[name] = json.loads(capsys.readouterr().out)
    for here, there in zip(hits["here"], hits["there"], strict=True):
        assert there == {**here, "folder": there["folder"], "bag": there["bag"]}
        assert there["folder"] == f"{url}/{Path(here['folder']).name}"
        assert there["bag"] == f"s3://fleet/bags/{Path(here['bag']).name}"
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    assert len(contents(tmp_path / "there")) == 1 + 2 * 3
    assert not files_in(tmp_path / "temporary"), "nothing is left behind"


def test_the_next_search_fetches_nothing_where_the_folder_is_named(url, tmp_path, monkeypatch, capsys) -> None:
    fetch, fetched = Store.fetch, []
    monkeypatch.setattr(Store, "fetch", lambda self, path: fetched.append(self.url) or fetch(self, path))
    assert find(f"{url}/room", "--scratch", tmp_path) == 0
    first = capsys.readouterr().out
    assert len(fetched) == 2
    assert find(f"{url}/room", "--scratch", tmp_path) == 0
    assert capsys.readouterr().out == first
    assert len(fetched) == 2


def test_what_is_wrong_with_a_store_is_one_line(s3, url, tmp_path, capsys, monkeypatch) -> None:
    for place in ("s3://fleet/bags", "s3://fleet/none", "s3://nobucket/labels"):
        for run in (relabel, find):
            assert run(place, "--scratch", tmp_path) == 2
            assert capsys.readouterr().err == (
                f"ovsr: {place}: expected bags that `ovsr bags label` has labelled, or one of them, got none\n"
            )
    assert find("nonsense://labels") == 2
    assert "nonsense://labels: Protocol not known: nonsense" in capsys.readouterr().err
    assert find(url, "--sheet", "s3://fleet/hits.jpg") == 2
    assert "--sheet s3://fleet/hits.jpg: expected a path of this machine" in capsys.readouterr().err
    assert find(f"{url}/room", "--sheet", tmp_path / "a.jpg", "--scratch", tmp_path) == 0
    s3.pipe_file(f"{url}/old/frames.parquet", b"torn")
    assert relabel(url, "--scratch", tmp_path) == 1
    assert f"{url}/old/frames.parquet: expected the frames that" in capsys.readouterr().err
    assert find(url, "--scratch", tmp_path) == 1
    captured = capsys.readouterr()
    assert f"ovsr: not searched: {url}/old" in captured.err
    assert "s3://fleet/bags/room" in captured.out, "the other one is"

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    assert find(url, "--scratch", tmp_path) == 2
    assert ": cannot be read or written: " in capsys.readouterr().err
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def test_a_bag_that_is_gone_has_no_pictures_and_its_labels_all_the_same(s3, url, tmp_path, capsys) -> None:
    change_record(s3, url, lambda record: record["job"].update(bag="s3://fleet/gone/room"))
    assert relabel(f"{url}/room", "--scratch", tmp_path) == 3
    expected = "no images beside the masks, and no sheet: s3://fleet/gone/room: no such file or folder"
    assert expected in capsys.readouterr().err
    assert find(f"{url}/room", "--sheet", tmp_path / "a.jpg", "--clip", tmp_path, "--scratch", tmp_path) == 1
    error = capsys.readouterr().err
    assert "no thumbnail of hit 1: s3://fleet/gone/room: no such file or folder" in error
    assert "no clip of hit 3: s3://fleet/gone/room: no such file or folder" in error


def change_record(s3, url: str, change) -> None:
    record = json.loads(s3.cat_file(f"{url}/room/recording.json"))
    change(record)
    s3.pipe_file(f"{url}/room/recording.json", json.dumps(record).encode())


def test_what_a_store_s_record_says_of_this_machine_is_not_done(s3, url, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    named = {"text.cache_directory": str(tmp_path / "named"), "device": "cuda:7"}
    change_record(s3, url, lambda record: record["job"]["values"].update(named))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert find(f"{url}/room", "--scratch", tmp_path / "scratch") == 0
    assert relabel(f"{url}/room", "--scratch", tmp_path / "scratch") == 0
    assert (tmp_path / "cache").is_dir()
    assert not (tmp_path / "named").exists()


def test_a_folder_of_an_odd_key_is_refused_and_the_others_go_on(s3, url, tmp_path, capsys) -> None:
    for odd in ("..", "a\\b"):
        for name in ("frames.parquet", "recording.json"):
            s3.copy(f"{url}/old/{name}", f"{url}/{odd}/{name}")
    assert relabel(url, "--out", tmp_path / "out", "--scratch", tmp_path / "scratch") == 1
    captured = capsys.readouterr()
    assert f"'{url}/..': expected a key without '..'" in captured.err
    assert "expected a key without" in captured.err.replace(f"'{url}/..'", "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["old", "room", "summary.json"]
    assert find(url, "--scratch", tmp_path / "scratch") == 1
    assert captured.err.count("expected a key without") == 2


def test_a_bag_whose_frames_are_not_all_found_is_not_labelled_again(s3, url, tmp_path, capsys) -> None:
    change_record(s3, url, lambda record: record.update(state="begun"))
    assert relabel(f"{url}/room", "--scratch", tmp_path) == 1
    expected = f"{url}/room: its frames are not found yet; run `ovsr bags label` to its end first"
    assert expected in capsys.readouterr().err
