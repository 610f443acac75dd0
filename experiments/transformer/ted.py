"""TED talks in IWSLT's archives, prepared as fairseq's prepare-iwslt14.sh does: the pairs of train.tags.*, one in 23 of
them for validation, and dev and test sets joined for the test.

Looked for in `$ACPROP_DATA/<name>/`, in this order: text that is prepared already (by this module or by fairseq's
script: {train,valid,test}.{source,target}, BPE applied), the archive unpacked, the archive.
"""

import re
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from acprop.runs import UsageError, data_root, whole_data
from acprop.runs.download import download
from experiments.transformer.corpus import Corpus, Pairs, clean, lowercase, prepare, tokenize_pairs

VALID_EVERY = 23
Texts = dict[str, str]  # file name -> content


def ted(
    name: str, source: str, target: str, url: str | None, test_sets: Sequence[str] | None, bpe_merges: int,
    sizes: dict[str, int] | None = None,
) -> Corpus:  # fmt: skip
    """A corpus from an archive of IWSLT's form, prepared once.

    Args:
        name: the data set's, and its folder's.
        source, target: languages; the archive is `<source>-<target>.tgz`.
        url: where the archive is fetched if it is not there; None: nowhere.
        test_sets: names before `.<source>-<target>.<language>.xml`, joined in this order; None: all there are.
        bpe_merges: of the joint BPE.
        sizes: pairs in train, valid and test as published.
    """
    folder = data_root() / name

    def tokenized() -> dict[str, Pairs]:
        return _splits(_read(folder, name, f"{source}-{target}", url), source, target, test_sets, folder)

    corpus = prepare(folder, source, target, bpe_merges, tokenized)
    return replace(corpus, published=corpus.sizes == dict(sizes)) if sizes else corpus


def _read(folder: Path, name: str, pair: str, url: str | None) -> Texts:
    if (folder / pair).is_dir():
        paths = [path for path in sorted((folder / pair).iterdir()) if path.is_file() and not is_macos(path.name)]
        with whole_data(name, folder / pair, "cldr_de_en"):
            return {path.name: path.read_bytes().decode() for path in paths}
    archive = folder / f"{pair}.tgz"
    if url:
        download(name, [url], archive, None, embedded="cldr_de_en")
    elif not archive.exists():
        raise UsageError(
            f"dataset={name}: {archive} is not there, and it has no public address: place IWSLT's archive there, or "
            f"set ACPROP_DATA to the folder that holds {name}/; dataset=cldr_de_en runs now, without any download"
        )
    with whole_data(name, archive, "cldr_de_en"), tarfile.open(archive) as tar:
        files = [(Path(member.name).name, tar.extractfile(member)) for member in tar if member.isfile()]
        return {name: file.read().decode() for name, file in files if file and pair in name and not is_macos(name)}


def _splits(texts: Texts, source: str, target: str, test_sets: Sequence[str] | None, folder: Path) -> dict[str, Pairs]:
    pair = f"{source}-{target}"
    suffix = f".{pair}.{source}.xml"
    if test_sets is None:
        test_sets = sorted(name.removesuffix(suffix) for name in texts if name.endswith(suffix))
    try:
        talks = _parallel(folder, *(_talk_lines(texts[f"train.tags.{pair}.{lang}"]) for lang in (source, target)))
        tests = [
            _parallel(folder, *(_segments(texts[f"{name}.{pair}.{lang}.xml"]) for lang in (source, target)))
            for name in test_sets
        ]
    except KeyError as error:
        raise UsageError(f"{folder}: no {error.args[0]} among the {len(texts)} files of its archive") from error
    kept = lowercase(clean(tokenize_pairs(talks, source, target)))
    return {
        "train": [p for number, p in enumerate(kept, 1) if number % VALID_EVERY],
        "valid": kept[VALID_EVERY - 1 :: VALID_EVERY],
        "test": lowercase(tokenize_pairs([p for test in tests for p in test], source, target)),
    }


def is_macos(name: str) -> bool:
    """What macOS adds to an archive: ._NAME beside NAME."""
    return name.startswith("._")


def _lines(text: str) -> list[str]:
    """Only \\n ends a line, as for every tool that reads a corpus. `str.splitlines` also ends one at U+2028, U+0085,
    VT, FF or CR, of which talks have some, on one side alone."""
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def _talk_lines(text: str) -> list[str]:
    """The sentences of train.tags.*: what is about a talk goes, title and description stay."""
    lines = [line for line in _lines(text) if not re.search("<url>|<talkid>|<keywords>", line)]
    return [re.sub("</?(title|description)>", "", line) for line in lines]


def _segments(text: str) -> list[str]:
    """The sentences of a dev or test set."""
    lines = [line for line in _lines(text) if "<seg id" in line]
    return [re.sub(r'<seg id="[0-9]*">\s*|\s*</seg>\s*', "", line).replace("’", "'") for line in lines]


def _parallel(folder: Path, sources: list[str], targets: list[str]) -> Pairs:
    if len(sources) != len(targets):
        raise UsageError(f"{folder}: {len(sources)} source lines, {len(targets)} target lines; get the archive again")
    return list(zip(sources, targets, strict=True))
