from ovsr_ros.models.imagenet_names import imagenet_synsets


def test_classes_have_names_and_definitions() -> None:
    synsets = imagenet_synsets("imagenet-1k")
    assert len(synsets) == 1000
    assert synsets[0].names == ("tench", "Tinca tinca")
    assert synsets[0].definition.startswith("freshwater dace-like game fish")
    assert all(synset.names[0] and synset.definition for synset in synsets)


def test_the_large_set_holds_the_small_one() -> None:
    large = {synset.names for synset in imagenet_synsets("imagenet-21k")}
    small = [synset.names for synset in imagenet_synsets("imagenet-1k")]
    assert len(large) > 20_000
    assert sum(names in large for names in small) > 990
