from __future__ import annotations

from pathlib import Path

import open_clip
import pytest

from ovsr_ros.models.byte_pairs import MAX_MERGES, token_texts, vocab_size, words, write_merges


def test_the_first_merges_make_the_first_tokens_of_the_whole_vocabulary(tmp_path: Path) -> None:
    write_merges(tmp_path / "merges.txt.gz", 300)
    tokens = token_texts(tmp_path / "merges.txt.gz")
    assert len(tokens) == vocab_size(300) == 814
    assert tokens[:-2] == token_texts()[:812]
    assert tokens[-2:] == ["<start_of_text>", "<end_of_text>"]


def test_frequent_words_stay_whole_and_others_come_apart(tmp_path: Path) -> None:
    write_merges(tmp_path / "merges.txt.gz", 2000)
    tokenizer = open_clip.SimpleTokenizer(bpe_path=str(tmp_path / "merges.txt.gz"))
    assert len(tokenizer.encode("the door")) == 2
    assert len(tokenizer.encode("chandelier")) > 2
    assert tokenizer.decode(tokenizer.encode("a Chandelier, 2 m")) == "a chandelier , 2 m "


def test_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_merges(tmp_path / name, 50)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_all_merges_make_the_whole_vocabulary(tmp_path: Path) -> None:
    write_merges(tmp_path / "merges.txt.gz", MAX_MERGES)
    assert token_texts(tmp_path / "merges.txt.gz") == token_texts()


@pytest.mark.parametrize("count", [0, -3, MAX_MERGES + 1])
def test_a_count_that_cannot_be_is_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(ValueError, match=f"num_merges: expected 1 to {MAX_MERGES}, got {count}"):
        write_merges(tmp_path / "merges.txt.gz", count)
    assert not list(tmp_path.iterdir())


def test_words_are_whole_and_of_letters_alone() -> None:
    assert words(["in", "door</w>", "do</w>", "3rd</w>", "café</w>", "wall</w>", "<end_of_text>"]) == ["door", "wall"]
