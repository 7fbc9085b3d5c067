"""Class files: those in the package are complete, and one's own are read as they are described."""

from importlib import resources

import pytest

from ovsr_ros.errors import DatasetError
from ovsr_ros.evaluation.datasets.class_files import builtin_classes, parse_classes, read_classes
from ovsr_ros.names import name_key
from ovsr_ros.vocabulary.category import MAX_CATEGORIES, Operation, parse_category
from ovsr_ros.vocabulary.registry import VocabularyRegistry

COUNTS = {"voc": 21, "context": 60, "coco_object": 81, "coco_stuff": 171, "ade20k": 150, "cityscapes": 19}
COUNTS |= {"camvid": 11, "nyuv2": 37, "nyuv2_40": 40, "nyuv2_13": 13}
WITH_BACKGROUND = {"voc", "context", "coco_object"}
EACH = [(family, names) for family in COUNTS for names in ("engineered", "plain")]


def test_every_class_file_of_the_package_is_covered_here():
    folder = resources.files("ovsr_ros.evaluation") / "classes"
    assert {entry.name for entry in folder.iterdir()} == {f"{family}_{names}.txt" for family, names in EACH}


@pytest.mark.parametrize(("family", "names"), EACH)
def test_builtin_files_are_complete_vocabularies(family, names):
    classes = builtin_classes(family, names)
    assert len(classes.words) == COUNTS[family]
    assert classes.background == (0 if family in WITH_BACKGROUND else None)
    assert classes.values == tuple(range(COUNTS[family]))
    assert classes.ignored == (255,)
    words = classes.words[1:] if family in WITH_BACKGROUND else classes.words
    assert len(words) <= MAX_CATEGORIES
    vocabulary = VocabularyRegistry().propose(Operation.REPLACE, [parse_category(word) for word in words])
    assert len({name_key(name) for name in vocabulary.names}) == len(words)
    assert all(word == " ".join(word.split()) for word in classes.words)


@pytest.mark.parametrize("family", COUNTS)
def test_both_files_of_a_family_name_the_same_classes_in_the_same_order(family):
    """Up to the spaces, but for the two classes of VOC that were renamed."""
    renamed = {("ship", "boat"), ("table", "diningtable")} if family == "voc" else set()
    pairs = zip(builtin_classes(family, "engineered").titles, builtin_classes(family, "plain").titles, strict=True)
    squeezed = [(first.replace(" ", ""), second.replace(" ", "")) for first, second in pairs]
    assert {pair for pair in squeezed if pair[0] != pair[1]} == renamed


def test_plain_names_have_no_synonyms():
    for family in COUNTS:
        assert not any(";" in word for word in builtin_classes(family, "plain").words)


def test_background_names_as_published():
    voc, coco, context = (
        builtin_classes(family, "engineered").background_names for family in ("voc", "coco_object", "context")
    )
    assert len(set(voc)) == 26
    assert len(set(coco)) == 17
    assert context == ("background",)
    assert {"sky", "fence", "wardrobe"} <= set(voc)
    assert set(coco) < set(voc)
    assert builtin_classes("voc", "plain").background_names == ("background",)


def test_well_known_places():
    assert builtin_classes("voc", "plain").titles[15] == "person"
    assert builtin_classes("voc", "plain").titles[20] == "tv monitor"
    assert builtin_classes("context", "plain").titles[1:4] == ("aeroplane", "bag", "bed")
    assert builtin_classes("context", "plain").titles[59] == "wood"
    assert builtin_classes("coco_object", "plain").titles[80] == "toothbrush"
    assert builtin_classes("coco_stuff", "plain").titles[80] == "banner"
    assert builtin_classes("coco_stuff", "plain").titles[170] == "wood"
    assert builtin_classes("ade20k", "plain").titles[149] == "flag"
    assert builtin_classes("cityscapes", "plain").titles[18] == "bicycle"
    assert builtin_classes("camvid", "plain").titles[3:5] == ("road", "pavement")
    assert builtin_classes("nyuv2", "plain").titles[36] == "bag"


def test_unknown_names_are_refused():
    with pytest.raises(DatasetError, match="names: expected one of engineered, plain, got 'fancy'"):
        builtin_classes("voc", "fancy")


def test_a_file_of_names():
    classes = parse_classes("# objects\n\nmug; cup\n  ball  \n", "classes.txt")
    assert classes.words == ("mug; cup", "ball")
    assert classes.titles == ("mug", "ball")
    assert classes.values == (0, 1)
    assert classes.ignored == (255,)
    assert classes.background is None
    assert classes.background_names == ()
    assert not classes.has_values


def test_a_file_with_values_background_and_ignored_values():
    classes = parse_classes("ignored: 255 254\n12: ball\n0: background: sky; wall\n7: mug; cup\n", "classes.txt")
    assert classes.words == ("ball", "sky; wall", "mug; cup")
    assert classes.titles == ("ball", "background", "mug")
    assert classes.values == (12, 0, 7)
    assert classes.ignored == (255, 254)
    assert classes.background == 1
    assert classes.background_names == ("sky", "wall")
    assert classes.has_values


def test_255_can_be_a_class_and_nothing_need_be_ignored():
    assert parse_classes("0: mug\n255: ball\n", "f").ignored == ()
    assert parse_classes("ignored:\nmug\n", "f").ignored == ()


def test_without_background():
    classes = parse_classes("background: sky\nmug\nball\n", "f").without_background()
    assert classes.words == ("mug", "ball")
    assert classes.values == (0, 1)
    assert classes.background is None


def test_the_file_of_an_editor_that_marks_utf_8(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_bytes(b"\xef\xbb\xbfmug\r\nball\r\n")
    assert read_classes(path).words == ("mug", "ball")


def test_invisible_characters_are_no_part_of_names():
    text = "\ufeff# put together of two files\nbackground: sk\u00ady; wall\u200b\n\ufeffmug\u2060; cup \nball\n"
    classes = parse_classes(text, "f")
    assert classes.words == ("sky; wall", "mug; cup", "ball")
    assert classes.titles == ("background", "mug", "ball")
    assert classes.background_names == ("sky", "wall")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f: expected at least one class that is not the background, came none"),
        ("background: sky", "f: expected at least one class"),
        ("mug\nMUG", "f: category 2: 'MUG' is a duplicate"),
        ("mug; cup\nball; cup", "f: .*'cup' is a duplicate"),
        ("mug;", "f: .*is empty"),
        ("background: sky; sky\nmug", "f: .*'sky' is a duplicate"),
        ("background: sky\nbackground: wall\nmug", "f, line 2: expected one background, came a second"),
        ("0: mug\nball", "f: expected a value on each line or on none, came 1 on 2"),
        ("1: mug\n1: ball", "f: expected a value of its own for each class, came 1 twice"),
        ("70000: mug", "f, line 1: expected values of 0 to 65535, came '70000'"),
        ("ignored: none\nmug", "f, line 1: expected values of 0 to 65535, came 'none'"),
        ("ignored: 1\nignored: 2\nmug", "f, line 2: expected one line of ignored values, came a second"),
        ("ignored: 1\nmug\nball", "f: value 1 is a class and ignored"),
        ("something else", "f: .*is built in"),
        ("m\ufffdg", "f: category 1: .*U.FFFD at character 2"),
        ("mug\nm\u200bug", "f: category 2: 'mug' is a duplicate"),
        ("background: sky; \u3164\nmug", "f: category 2: is empty"),
        ("\n".join(f"class {i}" for i in range(255)), "f: 255 categories are more than the 254"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(text, message):
    with pytest.raises(DatasetError, match=message):
        parse_classes(text, "f")


def test_a_missing_file_and_one_of_another_kind(tmp_path):
    with pytest.raises(DatasetError, match=r"classes\.txt: expected a class file, one class a line .*No such file"):
        read_classes(tmp_path / "classes.txt")
    path = tmp_path / "picture.txt"
    path.write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(DatasetError, match=r"picture\.txt: expected a class file"):
        read_classes(path)
