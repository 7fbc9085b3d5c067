from __future__ import annotations

import hashlib
import os
import pickle
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ovsr_ros.errors import ModelFormatError, ModelNotFoundError
from ovsr_ros.models.checkpoint import checksum, load_weights, read_state_dict

WEIGHTS = {"weight": torch.arange(6.0).view(2, 3), "bias": torch.ones(2)}


class Payload:
    """Unpickled, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".safetensors"])
def test_weights_are_read_from_every_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(WEIGHTS, path)
    else:
        torch.save(WEIGHTS, path)
    read = read_state_dict(path)
    assert read.keys() == WEIGHTS.keys()
    assert all(torch.equal(read[name], WEIGHTS[name]) for name in WEIGHTS)


@pytest.mark.parametrize("key", ["state_dict", "model", "state_dict_ema"])
def test_weights_are_found_inside_a_training_checkpoint(tmp_path: Path, key: str) -> None:
    wrapped = {f"module._orig_mod.{name}": value for name, value in WEIGHTS.items()}
    torch.save({"epoch": 3, key: wrapped}, tmp_path / "a.pt")
    assert read_state_dict(tmp_path / "a.pt").keys() == WEIGHTS.keys()


@pytest.mark.parametrize("as_zip", [True, False])
def test_a_pickled_program_is_refused_and_not_executed(tmp_path: Path, as_zip: bool) -> None:
    evidence = tmp_path / "executed"
    torch.save({**WEIGHTS, "x": Payload(evidence)}, tmp_path / "a.pt", _use_new_zipfile_serialization=as_zip)
    with pytest.raises(ModelFormatError, match=r"a\.pt"):
        read_state_dict(tmp_path / "a.pt")
    (tmp_path / "b.bin").write_bytes(pickle.dumps(Payload(evidence)))
    with pytest.raises(ModelFormatError, match=r"b\.bin"):
        read_state_dict(tmp_path / "b.bin")
    assert not evidence.exists()


def test_a_torchscript_program_is_refused_and_not_executed(tmp_path: Path) -> None:
    path = tmp_path / "program.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated; its files are still about
        program = torch.jit.trace(nn.Linear(3, 2), torch.zeros(1, 3))  # type: ignore[no-untyped-call]  # torch leaves it untyped
        program.save(str(path))
    with pytest.raises(ModelFormatError, match=r"TorchScript.*safetensors"):
        read_state_dict(path)


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt"])
@pytest.mark.parametrize("kept", [0, 5, 0.5, 0.95])
def test_a_file_cut_short_is_named(tmp_path: Path, name: str, kept: float) -> None:
    path = tmp_path / name
    if name.endswith(".pt"):
        torch.save(WEIGHTS, path)
    else:
        save_file(WEIGHTS, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept < 1 else int(kept)])
    with pytest.raises(ModelFormatError, match=r"cut short, damaged, or not a weight file \(\d+ bytes\).*get it again"):
        read_state_dict(path)


@pytest.mark.parametrize("content", [{}, {"a": 1}, [torch.ones(1)], torch.ones(1), {"state_dict": {}}])
def test_a_file_without_weights_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(ModelFormatError, match="expected tensors by name"):
        read_state_dict(tmp_path / "a.pt")


def test_a_missing_file_and_another_kind_of_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="no such weight file"):
        read_state_dict(tmp_path / "a.pt")
    (tmp_path / "a.npz").write_bytes(b"")
    with pytest.raises(ModelFormatError, match="expected a file ending in"):
        read_state_dict(tmp_path / "a.npz")


def test_the_checksum_is_the_files_sha256(tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000
    (tmp_path / "a").write_bytes(content)
    assert checksum(tmp_path / "a") == hashlib.sha256(content).hexdigest()


# --- Loading ---


def test_half_precision_weights_are_loaded_as_float32() -> None:
    network = nn.Linear(3, 2)
    load_weights(network, {name: value.half() for name, value in WEIGHTS.items()}, "m")
    assert network.weight.dtype == torch.float32
    assert torch.equal(network.weight, WEIGHTS["weight"])


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"weight": WEIGHTS["weight"]}, "m: .* of 2 tensors, 1 missing: bias"),
        ({**WEIGHTS, "scale": torch.ones(1)}, "1 not in this architecture: scale"),
        ({**WEIGHTS, "bias": torch.ones(5)}, r"1 of another shape: bias \(expected \(2,\), file \(5,\)\)"),
        ({f"w{n}": torch.ones(1) for n in range(9)}, r"2 missing: weight, bias; 9 not in this .*: w0, w1, w2, \.\.\."),
        ({**WEIGHTS, "bias": torch.tensor([1.0, float("nan")])}, "1 tensors hold values that are not finite: bias"),
    ],
)
def test_weights_that_do_not_fit_are_named_and_nothing_is_loaded(state: dict[str, torch.Tensor], message: str) -> None:
    network = nn.Linear(3, 2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ModelFormatError, match=message):
        load_weights(network, state, "m")
    assert all(torch.equal(network.state_dict()[name], before[name]) for name in before)


def test_names_that_are_ignored_may_be_there() -> None:
    load_weights(nn.Linear(3, 2), {**WEIGHTS, "head.weight": torch.ones(1)}, "m", ignored=("head.",))
