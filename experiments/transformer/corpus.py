"""From sentence pairs to a corpus that fairseq reads, by the steps of fairseq's own prepare-iwslt14.sh: tokenise,
clean, lowercase, joint BPE, binarise. Moses' scripts are sacremoses here, the BPE is subword-nmt's own.
"""

import fcntl
import hashlib
import io
import os
import re
import shutil
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from acprop.runs import UsageError, data_root, require, whole_data, write_atomically
from experiments.transformer import cldr as embedded
from experiments.transformer.child import Fairseq

Pairs = list[tuple[str, str]]
SPLITS = ("train", "valid", "test")
PLACE = re.compile(r"\bph\d+\b")  # where a program fills something in: catalogues.py
JAPANESE_RUNS = re.compile(r"[\u4e00-\u9fff々]+|[\u3041-\u309f]+|[\u30a0-\u30ffー]+|[^\s\u3040-\u30ff\u4e00-\u9fff々]+")


@dataclass(frozen=True)
class Corpus:
    """A binarised corpus.

    Attributes:
        folder: what fairseq-preprocess wrote.
        source, target: language codes.
        sizes: pairs in train, valid and test.
        longest: tokens of the longest sentence, its end included.
        published: whether it is the published one; None where nothing is published.
        facts: what else a record says of it.
    """

    folder: Path
    source: str
    target: str
    sizes: dict[str, int]
    longest: int
    published: bool | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def cldr(source: str, target: str, train: int, valid: int, test: int, seed: int, bpe_merges: int) -> Corpus:
    """The embedded corpus (cldr.py): generated once per setting, in seconds."""
    pairs = embedded.pairs(source, target, train + valid + test, seed)
    splits = {"valid": pairs[:valid], "test": pairs[valid : valid + test], "train": pairs[valid + test :]}

    def tokenized() -> dict[str, Pairs]:
        return {name: lowercase(tokenize_pairs(pairs, source, target)) for name, pairs in splits.items()}

    folder = folder_of(f"cldr_{source}_{target}", splits, bpe_merges)
    return prepare(folder, source, target, bpe_merges, tokenized)


def text(path: str | None, source: str, target: str, train: int, held_out: int, bpe_merges: int) -> Corpus:
    """Text of one's own: `<path>.<source>` and `<path>.<target>`, a sentence a line, line by line the same. Cleaned as
    Moses does, then parted by `split`.

    Raises:
        UsageError: where a file is missing or no UTF-8, or they have not as many lines.
    """
    for name, value in (("path", path), ("source", source), ("target", target)):
        require(bool(value), f"dataset.{name}", value, "path=A/B source=de target=en reads A/B.de and A/B.en")
    files = [Path(f"{path}.{language}").expanduser() for language in (source, target)]
    try:
        contents = [file.read_bytes().decode() for file in files]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"dataset.path={path}: {error}; {files[0]} and {files[1]} must be text in UTF-8") from error
    sides = [content.removesuffix("\n").split("\n") for content in contents]  # no other character ends a line
    lengths = [len(side) for side in sides]
    require(len(set(lengths)) == 1, "dataset.path", path, f"two files of as many lines, not {lengths}")

    def tokenized() -> dict[str, Pairs]:
        pairs = lowercase(clean(tokenize_pairs(list(zip(*sides, strict=True)), source, target)))
        return split([(pair[1], *pair) for pair in pairs], train, held_out)

    digest = hashlib.sha256("\0".join(contents).encode()).hexdigest()
    folder = folder_of(f"text_{source}_{target}", digest, train, held_out, bpe_merges)
    return replace(prepare(folder, source, target, bpe_merges, tokenized), facts={"data_sha256": digest})


def folder_of(name: str, *content: Any) -> Path:
    """Where a corpus lies that is made of this content, by today's tools."""
    tools = [f"{tool}={metadata.version(tool)}" for tool in ("sacremoses", "subword-nmt")]
    return data_root() / name / hashlib.sha256(repr((*content, tools)).encode()).hexdigest()[:12]


def prepare(
    folder: Path, source: str, target: str, bpe_merges: int, tokenized: Callable[[], dict[str, Pairs]]
) -> Corpus:
    """The corpus of a folder; what of it is missing is made, by one process at a time.

    Args:
        folder: gets {train,valid,test}.{source,target} with BPE applied, its `code`, and `bin/`, what fairseq reads.
        source, target: languages.
        bpe_merges: of the joint BPE.
        tokenized: called for the pairs of train, valid and test if they are not there yet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all((folder / f"{split}.{language}").exists() for split in SPLITS for language in (source, target)):
            write_text(folder, tokenized(), source, target, bpe_merges)
        return binarize(folder, source, target)
    finally:
        os.close(lock)


# -- the steps ---------------------------------------------------------------------------------------------------


def tokenize(lines: Iterable[str], language: str) -> list[str]:
    """As Moses' tokenizer.perl; Japanese, which has no spaces, is first cut where the script changes."""
    from sacremoses import MosesTokenizer

    tokenizer = MosesTokenizer(language)
    if language == "ja":
        lines = (" ".join(JAPANESE_RUNS.findall(line)) for line in lines)
    return [tokenizer.tokenize(line, return_str=True) for line in lines]


def tokenize_pairs(pairs: Pairs, source: str, target: str) -> Pairs:
    return list(zip(tokenize((s for s, _ in pairs), source), tokenize((t for _, t in pairs), target), strict=True))


def clean(pairs: Pairs, ratio: float = 1.5, shortest: int = 1, longest: int = 175) -> Pairs:
    """As Moses' clean-corpus-n.perl: drops pairs with a side too short or too long, or sides too unequal."""
    kept = []
    for pair in pairs:
        words = [len(side.split()) for side in pair]
        if shortest <= min(words) and max(words) <= longest and max(words) <= ratio * min(words):
            kept.append((" ".join(pair[0].split()), " ".join(pair[1].split())))
    return kept


def split(found: Iterable[tuple[str, str, str]], train: int, held_out: int) -> dict[str, Pairs]:
    """Distinct pairs, so parted that no sentence of one part stands in another, in neither language.

    Sentences are the same if their letters are, whatever their case, digits and marks. Of several translations that
    given most often is taken. What a pair is for depends on its message alone, so it stays when others are added.

    Args:
        found: (message, source, target); pairs of one message stay in one part.
        train: at most so many pairs.
        held_out: pairs in valid, and as many in test.

    Raises:
        UsageError: if nothing is left to train on.
    """
    counts: Counter[tuple[str, str]] = Counter()
    message_of: dict[str, str] = {}
    for message, source, target in found:
        counts[source, target] += 1
        message_of.setdefault(letters(target), letters(message))
    seen: tuple[set[str], set[str]] = (set(), set())
    distinct = []
    for pair in sorted(counts, key=lambda pair: (-counts[pair], pair)):
        sides = [letters(side) for side in pair]
        if not any(side in known for side, known in zip(sides, seen, strict=True)):
            distinct.append((message_of[sides[1]], pair))
        for side, known in zip(sides, seen, strict=True):
            known.add(side)
    require(0 < 2 * held_out < len(distinct), "held_out", held_out, f"less than half of the {len(distinct)} pairs")

    distinct.sort(key=lambda row: (hashlib.sha256(row[0].encode()).digest(), row))
    parts, start = {}, 0
    for name, size in (("test", held_out), ("valid", held_out), ("train", train)):
        parts[name] = [pair for _, pair in distinct[start : start + size]]
        start += size
        while 0 < start < len(distinct) and distinct[start][0] == distinct[start - 1][0]:
            start += 1  # what is left of a message that the part could not hold whole
    return parts


def letters(text: str) -> str:
    """What makes a sentence the same as another: its letters. One without any is itself."""
    return "".join(filter(str.isalpha, PLACE.sub("", text.lower()))) or text


def lowercase(pairs: Pairs) -> Pairs:
    return [(source.lower(), target.lower()) for source, target in pairs]


def write_text(folder: Path, splits: dict[str, Pairs], source: str, target: str, bpe_merges: int) -> None:
    """Learns a joint BPE on both sides of train and writes {train,valid,test}.{source,target} and `code`."""
    from subword_nmt.apply_bpe import BPE
    from subword_nmt.learn_bpe import learn_bpe

    train = "".join(f"{pair[side]}\n" for side in (0, 1) for pair in splits["train"])
    code = io.StringIO()
    with redirect_stderr(sys.stderr if sys.stderr.isatty() else io.StringIO()):  # it draws a progress bar
        learn_bpe(io.StringIO(train), code, bpe_merges)
    write_atomically(folder / "code", code.getvalue())
    code.seek(0)
    bpe = BPE(code)
    for split in SPLITS:
        for side, language in enumerate((source, target)):
            text = "".join(f"{bpe.segment(pair[side])}\n" for pair in splits[split])
            write_atomically(folder / f"{split}.{language}", text)


def measure(folder: Path, split: str, source: str, target: str) -> tuple[int, int]:
    """Pairs of a split; tokens of its longest sentence, its end included."""
    sides = [(folder / f"{split}.{language}").read_bytes().decode() for language in (source, target)]
    counts = [text.count("\n") for text in sides]
    if counts[0] != counts[1] or not counts[0]:
        raise ValueError(f"{split}.{source} and {split}.{target} have {counts[0]} and {counts[1]} lines")
    return counts[0], 1 + max(len(line.split()) for text in sides for line in text.split("\n"))


def binarize(folder: Path, source: str, target: str) -> Corpus:
    """fairseq-preprocess with a dictionary for each side, once."""
    with whole_data(folder.relative_to(data_root()).parts[0], folder, "cldr_de_en"):
        sizes, longest = zip(*(measure(folder, split, source, target) for split in SPLITS), strict=True)
    binary = folder / "bin"
    if not binary.exists():
        temporary = folder / ".bin"
        shutil.rmtree(temporary, ignore_errors=True)
        prefixes = [word for split in SPLITS for word in (f"--{split}pref", split)]
        options = ["--source-lang", source, "--target-lang", target, *prefixes, "--destdir", temporary.name]
        with Fairseq(folder) as fairseq:
            deque(fairseq.run("preprocess", *options), maxlen=0)  # its log is in the folder that it makes
        temporary.rename(binary)
    return Corpus(binary, source, target, dict(zip(SPLITS, sizes, strict=True)), max(longest))
