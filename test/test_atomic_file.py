from __future__ import annotations

import threading

import pytest

from ovsr_ros.atomic_file import write_atomically


def test_the_file_and_its_folder_are_there_once_it_is_written_and_not_before(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    with write_atomically(path, is_durable=True) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_write_that_fails_leaves_what_was_there(tmp_path, is_shared):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), write_atomically(path, is_shared=is_shared) as file:
        file.writelines([b"ne", "w"])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_written_over(tmp_path):
    path = tmp_path / "file"
    (tmp_path / ".file.part").write_bytes(b"left by a process that was killed")
    with write_atomically(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_of_several_writers_of_a_shared_file_each_writes_the_whole(tmp_path):
    path = tmp_path / "file"
    all_write = threading.Barrier(2, timeout=10.0)

    def write(content):
        with write_atomically(path, is_shared=True) as file:
            all_write.wait()
            file.write(content)

    other = threading.Thread(target=write, args=(b"aaaa",))
    other.start()
    write(b"bb")
    other.join(10.0)
    assert path.read_bytes() in (b"aaaa", b"bb")
    assert list(tmp_path.iterdir()) == [path]
