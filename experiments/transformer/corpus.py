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
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from acprop.runs import data_root, write_atomically
from experiments.transformer import cldr as embedded
from experiments.transformer.child import fairseq

Pairs = list[tuple[str, str]]
SPLITS = ("train", "valid", "test")
JAPANESE_RUNS = re.compile(r"[\u4e00-\u9fff々]+|[\u3041-\u309f]+|[\u30a0-\u30ffー]+|[^\s\u3040-\u30ff\u4e00-\u9fff々]+")


@dataclass(frozen=True)
class Corpus:
    """A binarised corpus.

    Attributes:
        folder: what fairseq-preprocess wrote.
        source, target: language codes.
        sizes: pairs in train, valid and test.
        published: whether its sizes are the published ones; None where nothing is published.
    """

    folder: Path
    source: str
    target: str
    sizes: dict[str, int]
    published: bool | None = None


def cldr(source: str, target: str, train: int, valid: int, test: int, seed: int, bpe_merges: int) -> Corpus:
    """The embedded corpus (cldr.py): generated once per setting, in seconds."""
    pairs = embedded.pairs(source, target, train + valid + test, seed)
    splits = {"valid": pairs[:valid], "test": pairs[valid : valid + test], "train": pairs[valid + test :]}
    tools = [f"{name}={metadata.version(name)}" for name in ("sacremoses", "subword-nmt")]
    content = hashlib.sha256(repr((splits, bpe_merges, tools)).encode()).hexdigest()[:12]
    folder = data_root() / f"cldr_{source}_{target}" / content

    def tokenized() -> dict[str, Pairs]:
        return {name: lowercase(tokenize_pairs(split, source, target)) for name, split in splits.items()}

    return prepare(folder, source, target, bpe_merges, tokenized)


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


def binarize(folder: Path, source: str, target: str) -> Corpus:
    """fairseq-preprocess with a dictionary for each side, once."""
    sizes = {split: (folder / f"{split}.{target}").read_bytes().count(b"\n") for split in SPLITS}
    binary = folder / "bin"
    if not binary.exists():
        temporary = folder / ".bin"
        shutil.rmtree(temporary, ignore_errors=True)
        prefixes = [word for split in SPLITS for word in (f"--{split}pref", str(folder / split))]
        for _ in fairseq(
            "preprocess", "--source-lang", source, "--target-lang", target, *prefixes, "--destdir", str(temporary)
        ):
            pass  # its log is in the folder that it makes
        temporary.rename(binary)
    return Corpus(binary, source, target, sizes)
