"""The models that are in the package, by name: `demo` for rendered scenes, `pocket` for photographs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ovsr_ros.errors import ModelFormatError, ModelNotFoundError
from ovsr_ros.models.hub import Kind

DEMO, POCKET = "demo", "pocket"
CHECKSUMS = "SHA256SUMS"
_NO_SAM = "there is no embedded SAM; take sam_vit_b, or none, which goes without"
_PACKAGE = Path(__file__).parent.parent


@dataclass(frozen=True)
class EmbeddedModels:
    """root: folder with SHA256SUMS. folders: in it, by kind. make: what trains them. missing: why a kind has none."""

    root: Path
    folders: Mapping[Kind, str]
    make: str
    missing: Mapping[Kind, str]


EMBEDDED: Mapping[str, EmbeddedModels] = {
    DEMO: EmbeddedModels(
        _PACKAGE / "demo" / "weights",
        {"timm": "efficientnet_b0", "open_clip": "clip"},
        "ovsr demo train",
        {"sam": _NO_SAM},
    ),
    POCKET: EmbeddedModels(
        _PACKAGE / "pocket" / "weights",
        {"open_clip": "."},
        "ovsr pocket train-text and ovsr pocket train (docs/pocket.md)",
        {"sam": _NO_SAM, "timm": "its image tower gives the features, too; set features.model: clip"},
    ),
}


def embedded_kinds(name: str) -> tuple[Kind, ...]:
    """The kinds of model that are embedded under a name of EMBEDDED."""
    return tuple(EMBEDDED[name].folders)


def embedded_folder(name: str, kind: Kind) -> Path:
    """The folder of an embedded model. Raises ModelNotFoundError where there is none, or the package lacks its data."""
    models = EMBEDDED[name]
    if kind in models.missing:
        raise ModelNotFoundError(f"{name}: {models.missing[kind]}")
    folder = models.root / models.folders[kind]
    if not folder.is_dir() or not (models.root / CHECKSUMS).is_file():
        raise ModelNotFoundError(
            f"{name}: the embedded models are not in {models.root}; install the package with its data, or make them: "
            f"{models.make}"
        )
    return folder


def check_shipped(name: str, checksums: Mapping[Path, str]) -> None:
    """Raises ModelFormatError for a file of an embedded model that is not the one that was shipped.

    checksums: of the files, as they are here.
    """
    root = EMBEDDED[name].root
    lines = (root / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    listed = [line.split(maxsplit=1) for line in lines if line.strip()]
    expected = {root / file.lstrip("*"): digest for digest, file in listed}
    for path, digest in checksums.items():
        if expected.get(path) != digest:
            raise ModelFormatError(
                f"{path}: not the file that was shipped ({CHECKSUMS} has another checksum); reinstall"
            )
