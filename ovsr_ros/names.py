"""What a category's name is: how it is cleaned, what makes two spellings one name, and what is wrong with a text.

A text may hold characters of which nothing is seen: what an editor, a chat or a web page left there. They would make
another word of "mug" for whoever compares names, and for the text encoder. Those that shape what is seen, in emoji and
in scripts that join their letters, are part of the name.
"""

from __future__ import annotations

import re
import unicodedata

MAX_NAME_CHARACTERS = 200

_PLAIN = re.compile("[ -:<-~]*")  # ASCII without control characters and semicolons

_UNDECODED = re.compile("[\udc80-\udcff]")  # how Python keeps bytes that it cannot decode

# Default_Ignorable_Code_Point in DerivedCoreProperties.txt of the Unicode Character Database, 16.0.0.
_IGNORABLES = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
# Characters as blank as a space that are none to Unicode: of Braille, of music, of hieroglyphs.
_BLANKS = dict.fromkeys(map(ord, "\u2800\U0001d159\U00013441\U00013442"), " ")

_JOINERS = "\u200c\u200d"
_EMOJI_JOINER = _JOINERS[1]
_EMOJI_SELECTOR = re.compile("[\ufe0e\ufe0f]")  # as text or in colour
_LETTER_SELECTOR = re.compile("[\u180b-\u180f\ufe00-\ufe0d\U000e0100-\U000e01ef]")
_BLACK_FLAG = "\U0001f3f4"
_FLAG_TAGS = re.compile("[\U000e0020-\U000e007e]+\U000e007f")  # of England, Scotland, Wales, behind a black flag
_KEYCAP = "\u20e3"
_PICTOGRAPHS = range(0x1F000, 0x1FB00)  # Unicode keeps what is still free there for emoji
_OTHER_EMOJI = "\u203c\u2049\u2139\u2194\u25fb\u25fc\u25fd\u25fe\u2934\u2935\u3030"  # those whose category is not "So"
_FIRST_JOINED_SCRIPT = "\u0600"  # of those written from right to left; Hebrew, before it, does not join

_VIRAMA = 9  # its canonical combining class

_MAX_TEXT = 20 * MAX_NAME_CHARACTERS
"""With all that shows nothing. Longer texts are not looked at: NFC takes minutes for 100,000 combining marks."""


def clean_name(text: str) -> str:
    """The name as it is shown, stored and encoded: NFC, single spaces, nothing invisible that shapes nothing.

    Of a text that is far too long the beginning.
    """
    if text.isascii():  # most are, and a vocabulary may have thousands
        return " ".join(text[:_MAX_TEXT].split())
    return unicodedata.normalize("NFC", _visible(text[:_MAX_TEXT]))


def name_key(name: str) -> str:
    """What the spellings of one name have in common: Unicode's NFKC_Casefold, white space single.

    Case, width, ligatures and invisible characters make no difference; the joiners and tags of emoji do.
    """
    text = clean_name(name)
    if text.isascii():
        return text.casefold()
    for _ in range(2):  # folding can undo the normalisation, and the other way round
        text = unicodedata.normalize("NFKC", _IGNORABLES.sub(_emoji_parts, text).casefold())
    return " ".join(text.split())


def name_problem(text: str) -> str:
    """Why a text cannot be a name, and what to do about it; empty: it can."""
    if len(text) > _MAX_TEXT:
        return _too_long(text, len(text))
    if problem := undecoded(text):
        return f"'{shown(text)}' {problem}"
    for place, character in enumerate("" if _PLAIN.fullmatch(text) else text, start=1):
        fault = _fault(character, f"U+{ord(character):04X} at character {place}")
        if fault:
            return f"'{shown(text)}' {fault}"
    name = clean_name(text)
    if all(unicodedata.category(character) in ("Cf", "Zs") for character in name):
        unseen = "".join(text.split())
        if unseen:
            return f"is empty: U+{ord(unseen[0]):04X} shows nothing; give it a name"
        return "is empty; give it a name (in YAML, ' #' begins a comment: put quotes around what has a colour)"
    for word in name.split():
        if unicodedata.category(word[0]).startswith("M"):
            return f"'{shown(name)}' has a combining mark (U+{ord(word[0]):04X}) without a letter before it; add that"
    if len(name) > MAX_NAME_CHARACTERS:
        return _too_long(name, len(name))
    return ""


def undecoded(text: str) -> str:
    """Which byte of a text from the command line was not UTF-8, and what to do about it; empty: none."""
    byte = _UNDECODED.search(text)
    if byte is None:
        return ""
    value, place = ord(byte[0]) & 0xFF, byte.start() + 1
    return f"is not UTF-8: byte 0x{value:02X} at character {place}; write it in UTF-8 (see the terminal's encoding)"


def _too_long(name: str, length: int) -> str:
    return f"'{shown(name)}' has {length} characters; at most {MAX_NAME_CHARACTERS} are possible"


def shown(name: str) -> str:
    """The name for a message: cut when it is long, with escapes for what cannot be shown."""
    cut = name if len(name) <= 40 else f"{name[:37]}..."
    return "".join(each if _is_shown(each) else each.encode("unicode_escape").decode() for each in cut)


def _is_shown(character: str) -> bool:
    if unicodedata.category(character) in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"):
        return character in _JOINERS or ord(character) in _PICTOGRAPHS
    return True


def _fault(character: str, where: str) -> str:
    """What is wrong with a character wherever it stands; where: its number and place, as "U+FFFD at character 2"."""
    category, code = unicodedata.category(character), ord(character)
    if category in ("Cc", "Zl", "Zp"):
        return f"has control characters (such as a tab or a line break): {where}; leave them out"
    if category == "Cs":
        return f"has half of a surrogate pair: {where}; write the character itself"
    if code == 0xFFFD:
        return f"was decoded wrongly: {where} stands for bytes that were not UTF-8; write it anew, in UTF-8"
    if 0xFFF9 <= code <= 0xFFFC:
        return f"has what is no text: {where} stands for an object or an annotation; leave it out"
    if 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE:
        return f"has a noncharacter: {where}; leave it out"
    if category == "Co":
        return f"has a character of private use: {where} means something in one font only; write it in words"
    if category == "Cn" and code not in _PICTOGRAPHS and not _IGNORABLES.match(character):
        return f"has a character that Unicode {unicodedata.unidata_version} does not assign: {where}; leave it out"
    if code == 0x61B or (character != ";" and ";" in unicodedata.normalize("NFKC", character)):
        return f"has a semicolon of another script: {where}; the one between names is ';' (U+003B)"
    if character == ";":
        return f"has a semicolon: {where}; give each name by itself"
    return ""


# --- Characters that show nothing by themselves ---


def _visible(text: str) -> str:
    """The text with single spaces, and of what shows nothing only what shapes its neighbours."""
    return " ".join(_IGNORABLES.sub(_shaping_parts, text.translate(_BLANKS)).split())


def _shaping_parts(run: re.Match[str]) -> str:
    """What stays of a run of ignorables in a name."""
    before, after = _neighbours(run)
    kept = _emoji_parts(run)
    if len(kept) > 1:  # a flag's
        return kept
    selector = None
    if _is_emoji(before) or after == _KEYCAP:
        selector = _EMOJI_SELECTOR.search(run[0])
    elif unicodedata.category(before) == "Lo":
        selector = _LETTER_SELECTOR.search(run[0])
    if not kept and _are_joined(before, after, run.string[run.start() - 1 : run.start()]):
        kept = next((each for each in run[0] if each in _JOINERS), "")
    return f"{selector[0] if selector else ''}{kept}"


def _emoji_parts(run: re.Match[str]) -> str:
    """What of a run of ignorables makes another emoji of its neighbours."""
    before, after = _neighbours(run)
    tags = _FLAG_TAGS.match(run[0]) if before == _BLACK_FLAG else None
    if tags:
        return tags[0]
    return _EMOJI_JOINER if _EMOJI_JOINER in run[0] and _is_emoji(before) and _is_emoji(after) else ""


def _neighbours(run: re.Match[str]) -> tuple[str, str]:
    """The character before the run, a few marks on it passed over, and the one behind it; else a space."""
    text, start, end = run.string, run.start(), run.end()
    bases = (each for each in text[max(0, start - 8) : start][::-1] if unicodedata.category(each)[0] != "M")
    return next(bases, " "), text[end : end + 1] or " "


def _is_emoji(character: str) -> bool:
    """Nearly: Python does not know. Every emoji that others are joined to, or that has a selector, is one here."""
    in_block = ord(character) in _PICTOGRAPHS
    return in_block or unicodedata.category(character) == "So" or character in _OTHER_EMOJI


def _are_joined(before: str, after: str, last: str) -> bool:
    """Whether a joiner is seen between two letters: of Persian, say, or at a virama, in scripts of India.

    last: what stands right before the joiner, a mark on the letter before it maybe.
    """
    if any(character and unicodedata.combining(character) == _VIRAMA for character in (last, after)):
        return True
    return all(
        character >= _FIRST_JOINED_SCRIPT and unicodedata.bidirectional(character) in ("AL", "R")
        for character in (before, after)
    )
