from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ovsr_ros.errors import ConfigError
from ovsr_ros.models.device import has_fast_bf16, inference, resolve_device, resolve_precision

NUM_GPUS = torch.cuda.device_count() if torch.cuda.is_available() else 0


def test_auto_is_the_first_gpu_or_else_the_cpu() -> None:
    assert resolve_device("auto") == torch.device("cuda", 0) if NUM_GPUS else torch.device("cpu")
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:-1", "cuda:x", "", "CPU", "cpu:0"])
def test_what_is_no_device_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"expected auto, cpu, cuda or cuda:N"):
        resolve_device(name)


def test_a_gpu_that_is_not_there_is_refused_with_what_is_there() -> None:
    with pytest.raises(ConfigError, match=rf"sees {NUM_GPUS} GPUs here, got 'cuda:{NUM_GPUS}'; possible: auto, cpu"):
        resolve_device(f"cuda:{NUM_GPUS}")


def test_auto_precision_follows_the_device() -> None:
    on_cpu = torch.bfloat16 if has_fast_bf16() else torch.float32
    assert resolve_precision("auto", torch.device("cpu")) == on_cpu
    assert resolve_precision("auto", torch.device("cuda", 0)) == torch.float16
    assert resolve_precision("bf16", torch.device("cpu")) == torch.bfloat16
    with pytest.raises(ConfigError, match="expected one of auto, fp32, bf16, fp16, got 'int8'"):
        resolve_precision("int8", torch.device("cpu"))


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu sse avx512f avx512_bf16 avx512_fp16", True),
        ("fpu amx_tile amx_bf16", True),
        ("fpu avx2 avx512f xavx512_bf16", False),
    ],
)
def test_fast_bf16_is_read_from_what_the_cpu_says_of_itself(tmp_path: Path, flags: str, expected: bool) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(
        f"processor\t: 0\nmodel name\t: A CPU\nflags\t\t: {flags}\nbugs\t\t: amx_bf16\n", encoding="utf-8"
    )
    assert has_fast_bf16(cpuinfo) is expected
    assert not has_fast_bf16(tmp_path / "missing")


def test_inference_computes_products_in_the_wanted_format_without_gradients() -> None:
    weight = torch.ones(2, 2, requires_grad=True)
    for dtype in (torch.float32, torch.bfloat16):
        with inference(torch.device("cpu"), dtype):
            product = weight @ weight
        assert product.dtype == dtype
        assert not product.requires_grad
