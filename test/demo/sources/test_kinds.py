"""What a source's text names, with the configuration and words that go with it."""

from __future__ import annotations

import os

import pytest
from media_files import write_image, write_video

from ovsr_ros.demo.sources.kinds import Kind, default_config, default_words, find_kind, list_images
from ovsr_ros.errors import SourceError


def test_words_folders_files_and_devices_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "photos").mkdir()
    write_image(tmp_path / "a.png", 50)
    write_video(tmp_path / "a.avi")
    (tmp_path / "camera").symlink_to("/dev/null")
    assert [find_kind(source) for source in ("rooms", "photos", "./photos", "~/a.png", "a.avi", "camera")] == [
        Kind.ROOMS, Kind.PHOTOS, Kind.FOLDER, Kind.FILE, Kind.FILE, Kind.DEVICE,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "got nothing"),
        ("/no/such/file.png", "got: No such file or directory; look at the path"),
        ("0", "a camera is named by its device: /dev/video0"),
        ("/dev/video77", "got: No such file or directory; "),
        ("a\0b", "null"),
        ("x" * 5000, "File name too long"),
    ],
)
def test_what_is_not_there_is_refused(source, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="expected rooms, photos, an image, a folder of images, a video") as error:
        find_kind(source)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_pipe_is_no_source(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="neither a file nor a folder nor a camera"):
        find_kind(str(tmp_path / "pipe"))


def test_images_are_listed_by_name_and_nothing_else_is(tmp_path):
    for name in ("b.PNG", "a10.jpg", "a2.bmp"):
        write_image(tmp_path / name, 10)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "c.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["a10.jpg", "a2.bmp", "b.PNG"]


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "inner").mkdir()
    write_image(tmp_path / "inner" / "a.png", 10)
    with pytest.raises(SourceError, match=r"expected a folder with images \(.*\.png.*\), got one without; folders in"):
        list_images(tmp_path)


def test_rooms_have_models_of_their_own_and_photographs_words_of_their_own():
    assert (default_config("rooms"), default_words("rooms")) == ("demo", ())
    assert default_config("photos") == default_config("/dev/video0") == "pocket"
    assert {"cat", "rocket", "person; astronaut"} <= set(default_words("photos"))
    assert default_words("/dev/video0") == ()
