"""Real sentence pairs without a corpus to download: what programs say in English and what their translators made of it,
from gettext catalogues (.mo and .po) on this machine.

A message becomes a pair of plain sentences: without context, markup and keyboard accelerators, on one line, what a
program fills in (%s, {0}, $1) as `ph1`, `ph2`, ... with the same number on both sides. Pairs whose sides do not fill in
the same, and what nobody translated, are left out.
"""

import hashlib
import json
import re
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from babel.messages.pofile import read_po

from acprop.runs import UsageError, data_root
from experiments.transformer.corpus import (
    PLACE,
    Corpus,
    Pairs,
    clean,
    folder_of,
    lowercase,
    prepare,
    split,
    tokenize_pairs,
)

SYSTEM = Path("/usr/share/locale")
REGIONS = {"de": "DE", "ja": "JP", "ro": "RO", "vi": "VN"}  # de_DE is German as de is; de_AT is left out
RATIO = 3.0  # of the sides' lengths in words, beyond which a translation does not say the same


def catalogues(
    language: str, path: str | None, words: Sequence[int], train: int, held_out: int, bpe_merges: int,
    checksum: str | None,
) -> Corpus:  # fmt: skip
    """A corpus that translates into English.

    Args:
        language: whose translations: de, ja, ro, vi, or any other that gettext has.
        path: a folder with catalogues at any depth; None: `$ACPROP_DATA/catalogues`, where
            scripts/fetch_catalogues.py puts them, or else those installed on the system.
        words: the fewest and the most English words of a pair.
        train: at most so many pairs to train on.
        held_out: pairs to validate on, and as many to test on.
        bpe_merges: of the joint BPE.
        checksum: of the published files.
    """
    fetched = data_root() / "catalogues"
    root = Path(path).expanduser() if path else fetched if fetched.is_dir() else SYSTEM
    files = find(root, language)
    if not files:
        raise UsageError(
            f"dataset.path={path}: {root} holds no .mo or .po file of language {language}; `python "
            "scripts/fetch_catalogues.py` fetches some where Debian's apt-get is; dataset=cldr_de_en runs without"
        )
    digest = checksum_of(files)
    folder = folder_of(f"catalogues_{language}_en", digest, *words, train, held_out, bpe_merges)

    def tokenized() -> dict[str, Pairs]:
        return split(pairs_of(files, language, words), train, held_out)

    corpus = prepare(folder, language, "en", bpe_merges, tokenized)
    facts = {"data_sha256": digest, "packages": packages(root, files)}
    return replace(corpus, published=digest == checksum, facts=facts)


def pairs_of(files: list[Path], language: str, words: Sequence[int]) -> list[tuple[str, str, str]]:
    """(message, foreign, English), tokenised and lowercase, in the order that `split` wants: plurals first, so that a
    sentence that stands alone elsewhere stays with them."""
    messages = sorted((m for file in files for m in read(file)), key=lambda message: (-len(message.english), message))
    found = [(m.english[0], foreign, english) for m in messages for english, foreign in sentences(m)]
    found = [row for row in found if words[0] <= count_words(row[2]) <= words[1]]
    ids, pairs = [row[0] for row in found], tokenize_pairs([row[1:] for row in found], language, "en")
    alike = [bool(clean([pair], RATIO, longest=2 * words[1])) for pair in pairs]
    return [(i, *pair) for i, pair, ok in zip(ids, lowercase(pairs), alike, strict=True) if ok]


# -- files -------------------------------------------------------------------------------------------------------------


def find(root: Path, language: str) -> list[Path]:
    """The catalogues of a language: `<language>/LC_MESSAGES/x.mo`, `po/<language>.po` or `x.<language>.po`."""
    own = re.compile(rf"(.*[._-])?{language}(_{REGIONS.get(language, language.upper())})?(\.(utf8|UTF-8))?")

    def speaks(file: Path) -> bool:
        parts = file.relative_to(root).with_suffix("").parts
        return bool(own.fullmatch(parts[-3] if parts[-2:-1] == ("LC_MESSAGES",) and len(parts) > 2 else parts[-1]))

    return sorted(file for suffix in ("mo", "po") for file in root.rglob(f"*.{suffix}") if speaks(file))


def checksum_of(files: list[Path]) -> str:
    """SHA-256 over the contents of the files, wherever they lie and whatever they are called."""
    contents = sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    return hashlib.sha256("".join(contents).encode()).hexdigest()


def packages(root: Path, files: list[Path]) -> dict[str, str]:
    """The packages that the files came from, with their versions: from `packages.json` beside them, or from Debian's
    package manager; none where neither knows."""
    listed = root / "packages.json"
    if listed.exists():
        return json.loads(listed.read_text())
    try:
        owners = _said("dpkg-query", "--search", *map(str, files))
        names = sorted({name for line in owners for name in line.partition(": /")[0].split(", ")})
        versions = _said("dpkg-query", "--show", "--showformat=${Package} ${Version}\\n", *names) if names else ()
    except FileNotFoundError:
        return {}
    return dict(sorted(line.split(" ") for line in versions))


def _said(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()


class Message(NamedTuple):
    """`english` and `foreign` in the same order: one of each, or singular and plural."""

    english: tuple[str, ...]
    foreign: tuple[str, ...]


def read(file: Path) -> Iterator[Message]:
    """The messages of a catalogue, but for the fuzzy and the obsolete. A file that cannot be read is warned of."""
    try:
        yield from _read_po(file) if file.suffix == ".po" else _read_mo(file)
    except (ValueError, LookupError, struct.error, OSError) as error:
        print(f"warning: {file} is no readable catalogue and is left out ({error})", file=sys.stderr)


def _read_mo(file: Path) -> list[Message]:
    """GNU's binary catalogue: two tables of (length, offset), of originals and of translations. Python's and Babel's
    readers lose the plural of an original, or the whole file to a wrong date in its header."""
    data = file.read_bytes()
    order = {0x950412DE: "<", 0xDE120495: ">"}[struct.unpack_from("<I", data)[0]]
    count, originals, translations = struct.unpack_from(f"{order}3I", data, 8)
    found: dict[bytes, bytes] = {}
    for row in range(count):
        original, translation = (
            _cut(data, *struct.unpack_from(f"{order}2I", data, table + 8 * row)) for table in (originals, translations)
        )
        found[original] = translation
    charset = re.search(rb"charset=([\w-]+)", found.pop(b"", b""))
    encoding = charset[1].decode() if charset else "utf-8"
    messages = []
    for original, translation in found.items():
        try:
            english = original.decode("utf-8").rpartition("\x04")[2].split("\x00")
            messages.append(_message(english, translation.decode(encoding).split("\x00")))
        except UnicodeDecodeError:
            continue  # one that lies about its encoding
    return messages


def _cut(data: bytes, length: int, offset: int) -> bytes:
    if offset + length > len(data):
        raise ValueError("it ends early")
    return data[offset : offset + length]


def _read_po(file: Path) -> list[Message]:
    lines = file.read_bytes().splitlines(keepends=True)
    lines = [line for line in lines if not line.startswith((b'"POT-Creation-Date', b'"PO-Revision-Date'))]  # any format
    messages = []
    for entry in read_po(lines, ignore_obsolete=True):
        if entry.id and not entry.fuzzy:
            english, foreign = (
                [side] if isinstance(side, str) else list(side or [""]) for side in (entry.id, entry.string)
            )
            messages.append(_message(english, foreign))
    return messages


def _message(english: list[str], foreign: list[str]) -> Message:
    """Of a plural's forms the first and the last: one, and many. A language with a single form has the plural alone."""
    if len(english) == 1:
        return Message((english[0],), (foreign[0],))
    if len(foreign) == 1:
        return Message((english[-1],), (foreign[0],))
    return Message((english[0], english[-1]), (foreign[0], foreign[-1]))


# -- sentences ---------------------------------------------------------------------------------------------------------

# What a program fills in, in the languages that programs are written in.
FILLED_IN = re.compile(
    r"%\([\w. -]+\)[-+#0]?\d*(?:\.\d+)?[diouxXeEfFgGcrs]"  # %(name)s
    r"|%[A-Z][A-Z_]+%?|%\{\w+\}"  # %PRODUCTNAME, %{name}
    r"|\$\(\w+\)|\$\{\w+\}|\$\[\w+\]|\$\w+"  # $(ARG1), ${name}, $[name], $1
    r"|\{\{?[\w.:!]*\}?\}|@\w+@"  # {0}, {name}, {{name}}, @name@
    r"|(?:%(?P<at>\d+)\$|(?P<next>%))"  # %1$s and %s
    r"[-+#0']*(?:\*|\d+)?(?:\.(?:\*|\d+))?(?:hh|h|ll|l|j|z|t|L|I64|w)?q?[+#]?[diouxXeEfFgGcspmDETFHPVSLK]"
    r"|%L?\d+"  # %1
)
TAGS = (
    "a b i u s p br tt em big small sub sup strong code kbd span font qt nobr li ul ol h1 h2 h3 h4 hr table tr td th "
    "link image item emph literal filename command application interface title para note"
)
MARKUP = re.compile(rf"</?(?:{'|'.join(TAGS.split())})(?:\s[^<>]*)?/?>|%<|%>", re.IGNORECASE)
ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&nbsp;": " ", "&amp;": "&"}
ACCELERATOR_IN_BRACKETS = re.compile(r"\s*[(（][&_][^\W_][)）]")  # how Japanese has them
ACCELERATOR = re.compile(r"[&_~](?=[^\W_])")
ACCELERATED = re.compile(r"[^\W_]*[&_~][^\W_]+(?![&_~])")


def sentences(message: Message) -> Iterator[tuple[str, str]]:
    """The (English, foreign) pairs of a message that are sentences and say the same."""
    for english, foreign in zip(*message, strict=True):
        if english.count("|") != foreign.count("|"):  # a context within the text
            continue
        sides = _fill_in(_without_markup(english), _without_markup(foreign))
        if sides is None:
            continue
        first, second = (" ".join(text.split()) for text in _without_accelerators(*sides))
        if count_words(second) and first.lower() != second.lower():
            yield first, second


def count_words(text: str) -> int:
    """Words that have a letter and are not filled in."""
    return sum(any(map(str.isalpha, word)) for word in PLACE.sub(" ", text).split())


def _without_markup(text: str) -> str:
    text = MARKUP.sub(" ", text)
    for entity, character in ENTITIES.items():
        text = text.replace(entity, character)
    return text


def _fill_in(english: str, foreign: str) -> tuple[str, str] | None:
    """Both texts with numbers for what is filled in; None if it is not the same in both."""
    numbers: dict[str, str] = {}
    first, second = (_numbered(text, numbers) for text in (english, foreign))
    return None if sorted(PLACE.findall(first)) != sorted(PLACE.findall(second)) else (first, second)


def _numbered(text: str, numbers: dict[str, str]) -> str:
    """A place that is not named is known by its position, as %s and %1$s are the same."""
    position = 0

    def number(match: re.Match[str]) -> str:
        nonlocal position
        name = match["at"] or match[0]
        if match["next"]:
            position += 1
            name = str(position)
        return f" {numbers.setdefault(name, f'ph{len(numbers) + 1}')} "

    return FILLED_IN.sub(number, text.replace("%%", "\0")).replace("\0", "%")


def _without_accelerators(english: str, foreign: str) -> tuple[str, str]:
    first, second = (ACCELERATOR_IN_BRACKETS.sub("", text) for text in (english, foreign))
    return _without_accelerator(first, second), _without_accelerator(second, first)


def _without_accelerator(text: str, other: str) -> str:
    """A word with a mark is an identifier (file_name, AT&T) if it stands in both texts."""
    words = [word for word in ACCELERATED.findall(text) if word not in other]
    return text.replace(words[0], ACCELERATOR.sub("", words[0]), 1) if len(words) == 1 else text
