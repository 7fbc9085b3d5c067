"""Which of a bag's topics are the images, their depth and their camera."""

from __future__ import annotations

from dataclasses import dataclass

from ovsr_ros.errors import RecordingError
from ovsr_ros.recordings.bag import Bag, Topic

IMAGE, COMPRESSED, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/CameraInfo"

_DEPTH_ENCODINGS = ("16uc1", "32fc1")


@dataclass(frozen=True)
class Chosen:
    """The topics that are read. depth, info: both, or None."""

    image: Topic
    depth: str | None = None
    info: str | None = None

    @property
    def names(self) -> set[str]:
        return {name for name in (self.image.name, self.depth, self.info) if name}


def choose_topics(bag: Bag, topic: str = "", depth: str = "", info: str = "") -> Chosen:
    """The topics of these names; what is not named is found where there is one only.

    The camera is that beside the image's topic: /camera/camera_info beside /camera/image_raw. Depth is found where one
    topic has depth images, and the camera is known; "none" wants none.

    Raises RecordingError, which lists what there is.
    """
    images = {
        name: found for name, found in bag.topics.items() if found.message_type in (IMAGE, COMPRESSED) and found.count
    }
    depths = {name for name, found in images.items() if found.message_type == IMAGE and _is_depth(bag, name)}
    depths |= {name for name in images if name.endswith("compressedDepth")}
    image = _choose_image(bag, images, depths, topic)
    return _with_depth(bag, image, depths, depth, info)


def _is_compressed(bag: Bag, depth: str) -> bool:
    return bag.topics[depth].message_type == COMPRESSED and depth.endswith("compressedDepth")


def _choose_image(bag: Bag, images: dict[str, Topic], depths: set[str], topic: str) -> Topic:
    colours = {name: found for name, found in images.items() if name not in depths}
    if topic:
        for name in (topic, f"/{topic}", f"{topic}/compressed"):
            if name in images:
                return images[name]
        raise RecordingError(f"{bag.path}: --topic {topic}: no images there; {_listed(images, bag)}")
    if len(colours) == 1:
        return next(iter(colours.values()))
    if not colours:
        raise RecordingError(f"{bag.path}: expected a topic of images, got none; {_listed(images, bag)}")
    raise RecordingError(f"{bag.path}: name one with --topic; {_listed(colours, bag)}")


def _with_depth(bag: Bag, image: Topic, depths: set[str], depth: str, info: str) -> Chosen:
    info = info or f"{image.name.removesuffix('/compressed').rpartition('/')[0]}/camera_info"
    has_info = info in bag.topics and bag.topics[info].message_type == INFO
    if depth == "none":
        return Chosen(image)
    if depth:
        if depth not in bag.topics or not (bag.topics[depth].message_type == IMAGE or _is_compressed(bag, depth)):
            raise RecordingError(
                f"{bag.path}: --depth {depth}: expected a topic of {IMAGE}, or of {COMPRESSED} on one that ends with "
                f"compressedDepth; {_listed_all(bag)}"
            )
        if not has_info:
            raise RecordingError(
                f"{bag.path}: depth needs the camera: expected {INFO} on {info}; name it with --camera-info; "
                f"{_listed_all(bag)}"
            )
        return Chosen(image, depth, info)
    others = [name for name in depths if name != image.name]
    found = [name for name in others if bag.topics[name].message_type == IMAGE] or others  # raw, where there is both
    return Chosen(image, found[0], info) if len(found) == 1 and has_info else Chosen(image)


def _is_depth(bag: Bag, name: str) -> bool:
    """Whether a topic's first image counts or measures distances."""
    for record in bag.messages({name}):
        try:
            return str(bag.deserialize(record).encoding).lower() in _DEPTH_ENCODINGS
        except RecordingError:
            return False
    return False


def _listed(images: dict[str, Topic], bag: Bag) -> str:
    if not images:
        return f"it has no images; {_listed_all(bag)}"
    return "images are on " + ", ".join(
        f"{found.name} ({found.message_type.rpartition('/')[2]}, {found.count})" for found in images.values()
    )


def _listed_all(bag: Bag) -> str:
    listed = ", ".join(f"{found.name} ({found.message_type})" for found in bag.topics.values())
    return f"topics: {listed or 'none'}"
