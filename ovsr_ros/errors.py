"""Every exception this package raises on purpose.

    OvsrError
    ├── InterpreterError     a package that the running Python lacks or cannot load
    ├── ConfigError          a config file, a preset, an option's key or value
    ├── VocabularyError      a category list that cannot be applied
    ├── VocabularyFileError  a file that should hold a vocabulary, and does not
    ├── ImageError           an image that cannot be read or converted
    ├── SourceError          what the demo camera is to show, and cannot
    ├── RecordingError       a bag, or the folder of its labels, that cannot be used
    ├── DatasetError         a data set's folder that lacks a part
    ├── SampleError          one image or mask of a data set that cannot be used
    └── ModelError           a model that cannot be used
        ├── ModelNotFoundError   its weights are not on this machine
        │   └── TokenizerNotFoundError   they are, but not its tokenizer
        └── ModelFormatError     its file is cut short, of another architecture, or of another checksum

Messages say what was expected, what came, and what to do.
"""


class OvsrError(Exception):
    """Root of the tree: catch this to catch everything that this package raises on purpose."""


class InterpreterError(OvsrError):
    """The running Python lacks a package, or cannot load it; the message names both, and the two ways out."""


class ConfigError(OvsrError):
    """A configuration cannot be used: a missing file, an unknown key, a value out of its range."""


class VocabularyError(OvsrError):
    """A vocabulary change was refused; nothing of it was applied."""


class VocabularyFileError(OvsrError):
    """The file that should hold a vocabulary cannot be read, or holds something else."""


class ImageError(OvsrError):
    """An image message, array or file is not a usable image; the message names the field at fault."""


class SourceError(OvsrError):
    """A file, folder, video or webcam cannot be shown; the message names it, what was expected, what came."""


class RecordingError(OvsrError):
    """A bag, or the folder of its labels, cannot be used; the message names it, what was expected, what came."""


class DatasetError(OvsrError):
    """A data set's folder lacks a part; the message names the missing path and where such data comes from."""


class SampleError(OvsrError):
    """One image or mask cannot be used; the message names the file, what was expected and what came."""


class ModelError(OvsrError):
    """A model cannot be used."""


class ModelNotFoundError(ModelError):
    """A model's weights are not on this machine; the message names the command that gets them."""


class TokenizerNotFoundError(ModelNotFoundError):
    """A model's tokenizer is not on this machine, while its weights are; the message names the command that gets it."""


class ModelFormatError(ModelError):
    """A model's file does not hold what its name promises."""
