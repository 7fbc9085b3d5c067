"""docs/interfaces.md lists every parameter as the options do; run this file with PYTHONPATH=. to rewrite it."""

from pathlib import Path

from ovsr_ros.node_options import NodeOptions
from ovsr_ros.options import OptionInfo, iter_options
from ovsr_ros.settings import PipelineOptions

PAGE = Path(__file__).resolve().parent.parent / "docs" / "interfaces.md"
BEGIN, END = "|---|---|---|---|---|\n", "<!-- end of parameters -->"


def row(info: OptionInfo) -> str:
    if info.choices is not None:
        limits = ", ".join(f"`{choice}`" for choice in info.choices)
    elif info.min is not None or info.max is not None:
        low, high = ("" if value is None else f"{value:g}" for value in (info.min, info.max))
        limits = f"{low} to {high}".strip() + (f" {info.unit}" if info.unit else "")
    else:
        limits = ""
    default = list(info.default) if isinstance(info.default, tuple) else info.default
    shown = str(default) if default != "" else '""'
    fixed = " (read-only)" if info.read_only else ""
    return f"| `{info.name}` | {info.type_name} | `{shown}` | {limits} | {info.help}{fixed} |\n"


def table() -> str:
    return "".join(row(info) for cls in (NodeOptions, PipelineOptions) for info in iter_options(cls))


def rewrite(page: str) -> str:
    start = page.index(BEGIN, page.index("<!-- parameters")) + len(BEGIN)
    return page[:start] + table() + page[page.index(END) :]


def test_every_parameter_is_described_as_it_is():
    page = PAGE.read_text(encoding="utf-8")
    assert rewrite(page) == page, "run: PYTHONPATH=. python test/test_docs.py"


if __name__ == "__main__":
    PAGE.write_text(rewrite(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
