"""Words that phrases are made of, beside the names: adjectives, ways to put a name; and synonyms to be tried."""

COLORS = (
    *("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "gray", "grey"),
    *("beige", "golden", "silver", "turquoise", "dark", "light", "dark red", "dark blue", "dark green", "light blue"),
    *("light green", "bright yellow", "colorful", "transparent"),
)
SIZES = ("small", "large", "big", "tiny", "huge", "long", "short", "tall", "thin", "thick", "narrow", "wide", "little")
MATERIALS = (
    *("wooden", "metal", "plastic", "glass", "leather", "stone", "concrete", "cardboard", "paper", "steel", "ceramic"),
    *("rubber", "woolen", "cotton", "brick", "marble"),
)
STATES = (
    *("old", "new", "open", "closed", "empty", "full", "broken", "dirty", "clean", "wet", "dry", "round", "square"),
    *("flat", "folded", "striped", "painted", "rusty", "shiny", "soft", "folding", "electric", "portable", "toy"),
)
SENTENCES = (
    *("a {}", "the {}", "a {}.", "one {}", "some {}", "a photo of a {}.", "a photo of the {}.", "a picture of a {}"),
    *("a photo of a {}.", "a close-up of a {}", "there is a {} in the scene", "a {} in the room", "a {} on the table"),
    *("a {} on the floor", "a {} on the street", "part of a {}", "a {} in the background", "the {} on the left"),
)

SYNONYMS = (
    *(("couch", "sofa"), ("settee", "sofa"), ("TV", "television"), ("television set", "television")),
    *(("sidewalk", "pavement"), ("automobile", "car"), ("fridge", "refrigerator"), ("bike", "bicycle")),
    *(("motorbike", "motorcycle"), ("airplane", "aeroplane"), ("plane", "aeroplane"), ("human", "person")),
    *(("cellphone", "cell phone"), ("mobile phone", "cell phone"), ("bookcase", "bookshelf"), ("drapes", "curtain")),
    *(("rug", "carpet"), ("trash can", "garbage can"), ("waste bin", "garbage can"), ("lorry", "truck")),
    *(("stove", "oven"), ("cupboard", "cabinet"), ("picture frame", "picture"), ("notebook computer", "laptop")),
    *(("cushion", "pillow"), ("street lamp", "streetlight"), ("stairway", "stairs"), ("staircase", "stairs")),
    *(("armchair", "chair"), ("stool", "chair"), ("puppy", "dog"), ("kitten", "cat"), ("hound", "dog")),
    *(("coffee mug", "cup"), ("lawn", "grass"), ("ocean", "sea"), ("boulder", "rock"), ("hill", "mountain")),
    *(("house", "building"), ("skyscraper", "building"), ("lamp shade", "lamp"), ("washbasin", "sink")),
    *(("bathtub", "bath"), ("rucksack", "backpack"), ("spectacles", "sunglasses"), ("necktie", "tie")),
)
"""A word, and the class's name that means the same or its kind."""
