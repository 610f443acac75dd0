"""Sentence pairs, and what becomes of them before fairseq reads them."""

import re
import tarfile

import pytest

from acprop.runs import UsageError, data_root
from acprop.runs.launch import build
from experiments.transformer import corpus, ted
from experiments.transformer.cldr import pairs
from tests.transformer.conftest import write_archive

LANGUAGES = ("de", "ja", "ro", "vi")


@pytest.mark.parametrize("language", LANGUAGES)
def test_embedded_pairs_are_seeded_distinct_and_whole(language):
    found = pairs(language, "en", 2000, seed=0)
    assert found == pairs(language, "en", 2000, seed=0)
    assert found != pairs(language, "en", 2000, seed=1)
    for side in (0, 1):
        texts = [pair[side] for pair in found]
        assert len({text.lower() for text in texts}) == 2000, "no sentence is in two splits"
        assert all(text == " ".join(text.split()) and text for text in texts)
        assert not [text for text in texts if "duration-" in text or "length-" in text], "Babel's keys are no words"


def test_both_sides_say_the_same():
    months = {"Januar": "Jan", "Februar": "Feb", "März": "Mar", "April": "Apr", "Mai": "May", "Juni": "Jun",
              "Juli": "Jul", "August": "Aug", "Oktober": "Oct", "Dezember": "Dec"}  # fmt: skip
    found = pairs("de", "en", 3000, seed=0)
    checked = 0
    for german, english in found:
        for word, month in months.items():
            if re.search(rf"\b{word}\b", german):
                assert month in english
                checked += 1
        assert ("kilometer" in german.lower()) == ("kilometer" in english)
    assert checked > 500


@pytest.mark.parametrize(("source", "target", "name"), [("xx", "en", "source='xx'"), ("de", "tlh", "target='tlh'")])
def test_an_unknown_language_is_named(source, target, name):
    with pytest.raises(UsageError, match=name):
        pairs(source, target, 1, seed=0)


def test_tokens_are_moses_and_japanese_is_cut_where_the_script_changes():
    assert corpus.tokenize(["It's 3, isn't it?"], "en") == ["It &apos;s 3 , isn &apos;t it ?"]
    assert corpus.tokenize(["ドイツ語は12時に話す。"], "ja") == ["ドイツ 語 は 12 時 に 話 す 。"]


def test_clean_drops_what_moses_would():
    long = " ".join(["w"] * 176)
    kept = [("a b", "c d e"), ("a  b", "c")]
    dropped = [("", "a"), ("a", ""), ("a b c d", "a b"), ("a b", "a b c d"), (long, long)]
    assert corpus.clean([*kept[:1], *dropped]) == kept[:1]
    assert corpus.clean(kept, ratio=2) == [("a b", "c d e"), ("a b", "c")], "and writes one space between words"


def sizes(folder, source, target):
    return {split: len((folder / f"{split}.{source}").read_text().splitlines()) for split in corpus.SPLITS}


def test_an_archive_becomes_a_corpus_as_by_fairseqs_script(configure):
    cfg = configure("transformer", "dataset=iwslt14_de_en")
    folder = data_root() / "iwslt14_de_en"
    talks = write_archive(folder)
    made = build("dataset", cfg.dataset)
    assert made.sizes == sizes(folder, "de", "en") == {"train": 68, "valid": 3, "test": 10}
    assert made.published is False, "and says that these are not the published files"

    def plain(split, language):
        return (folder / f"{split}.{language}").read_text().replace("@@ ", "").splitlines()

    tokens = corpus.lowercase(corpus.tokenize_pairs(talks, "de", "en"))
    assert list(zip(plain("valid", "de"), plain("valid", "en"), strict=True)) == [tokens[22], tokens[45], tokens[68]]
    train = [pair for number, pair in enumerate(tokens, 1) if number % 23]
    assert list(zip(plain("train", "de"), plain("train", "en"), strict=True)) == train
    order = ["ted.dev2010", "tedx.dev2012", "ted.tst2010", "ted.tst2011", "ted.tst2012"]
    assert plain("test", "de") == [f"{name} it &apos; s {n}" for name in order for n in (1, 2)]
    assert "@@ " in (folder / "test.de").read_text(), "words that train does not know are cut"
    assert {"dict.de.txt", "dict.en.txt", "train.de-en.de.bin"} <= {path.name for path in made.folder.iterdir()}

    (folder / "de-en.tgz").unlink()
    assert build("dataset", cfg.dataset) == made, "what is prepared is used as it is"


@pytest.mark.parametrize(("name", "source", "target"), [("ted_ja_en", "ja", "en"), ("iwslt15_en_vi", "en", "vi")])
def test_the_other_pairs_take_every_test_set(name, source, target, configure, monkeypatch):
    monkeypatch.setattr(corpus, "binarize", lambda folder, *languages: sizes(folder, *languages))
    write_archive(data_root() / name, source, target)
    found = build("dataset", configure("transformer", f"dataset={name}").dataset)
    assert found == {"train": 68, "valid": 3, "test": 10}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("iwslt14_de_en", ["de-en.tgz could not be fetched", "ACPROP_DATA", "cldr_de_en runs now"]),
        ("ted_ro_en", ["ro-en.tgz is not there", "ACPROP_DATA", "cldr_de_en runs now"]),
    ],
)
def test_a_missing_archive_is_one_line(name, words, configure):
    with pytest.raises(UsageError) as error:
        build("dataset", configure("transformer", f"dataset={name}").dataset)
    for word in (f"dataset={name}", *words):
        assert word in str(error.value)
    assert "\n" not in str(error.value)


def test_a_broken_archive_is_one_line(configure):
    cfg = configure("transformer", "dataset=iwslt14_de_en")
    folder = data_root() / "iwslt14_de_en"
    write_archive(folder)
    whole = (folder / "de-en.tgz").read_bytes()
    (folder / "de-en.tgz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match="does not hold the whole data set"):
        build("dataset", cfg.dataset)
    texts = {"train.tags.de-en.de": "a\nb\n", "train.tags.de-en.en": "a\n"}
    with pytest.raises(UsageError, match="2 source lines, 1 target lines"):
        ted._splits(texts, "de", "en", [], folder)
    with pytest.raises(UsageError, match=r"no train\.tags\.de-en\.de among"):
        ted._splits({}, "de", "en", [], folder)
    assert not (folder / "train.de").exists()


@pytest.mark.parametrize("unpacked", [False, True])
def test_only_a_newline_ends_a_line_and_macos_adds_no_file(unpacked, tmp_path):
    odd = "one\u2028two\x85three\x0bfour\x0cfive\rsix"
    texts = {
        "train.tags.de-en.de": f"{odd}\nzwei\r\n", "train.tags.de-en.en": "one two three four five six\ntwo\n",
        "tst.de-en.de.xml": f'<seg id="1"> {odd} </seg>\n', "tst.de-en.en.xml": '<seg id="1"> one </seg>\n',
    }  # fmt: skip
    folder = tmp_path / ("de-en" if unpacked else "files")
    folder.mkdir()
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode())
        (folder / f"._{name}").write_bytes(b"\0\5\26\7\377")
    if not unpacked:
        with tarfile.open(tmp_path / "de-en.tgz", "w:gz") as tar:
            tar.add(folder, "de-en")
    read = ted._read(tmp_path, "x", "de-en", None)
    assert read == texts
    splits = ted._splits(read, "de", "en", None, tmp_path)
    assert splits["train"] == [("one two three four five six",) * 2, ("zwei", "two")]
    assert splits["test"] == [("one two three four five six", "one")]
