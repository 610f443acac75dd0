"""Sentence pairs from gettext catalogues, in the formats that msgfmt and translators write."""

import os
import re

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import write_po

from acprop.report import results_root
from acprop.report.build import refresh
from acprop.runs import UsageError, data_root, load_records
from acprop.runs.launch import build
from experiments.transformer import catalogues, corpus
from experiments.transformer.translate import train
from scripts import fetch_catalogues

MESSAGES = {
    "Open the file as text": "Die Datei als Text öffnen",
    "Could not read the page": "Die Seite war nicht lesbar",
    ("%d file was removed", "%d files were removed"): ("%d Datei wurde entfernt", "%d Dateien wurden entfernt"),
}


def write(path, messages, language="de", **header):
    catalog = Catalog(language, **header)
    for message, translation in messages.items():
        catalog.add(message, translation)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        (write_mo if path.suffix == ".mo" else write_po)(file, catalog)
    return path


def pairs(english, foreign):
    return list(catalogues.sentences(catalogues.Message((english,), (foreign,))))


@pytest.mark.parametrize("name", ["de/LC_MESSAGES/x.mo", "po/de.po"])
def test_both_formats_give_the_same_messages(name, tmp_path):
    file = write(tmp_path / name, MESSAGES)
    assert sorted(catalogues.read(file)) == [
        (("%d file was removed", "%d files were removed"), ("%d Datei wurde entfernt", "%d Dateien wurden entfernt")),
        (("Could not read the page",), ("Die Seite war nicht lesbar",)),
        (("Open the file as text",), ("Die Datei als Text öffnen",)),
    ]


@pytest.mark.parametrize("suffix", ["mo", "po"])
def test_of_a_plural_one_and_many_and_of_a_single_form_the_plural(suffix, tmp_path):
    plural = ("%d file was removed", "%d files were removed")
    japanese = write(tmp_path / f"ja.{suffix}", {plural: ("%d 個のファイルを削除",)}, "ja")
    assert list(catalogues.read(japanese)) == [((plural[1],), ("%d 個のファイルを削除",))]
    romanian = write(tmp_path / f"ro.{suffix}", {plural: ("%d fișier", "%d fișiere", "%d de fișiere")}, "ro")
    assert list(catalogues.read(romanian)) == [(plural, ("%d fișier", "%d de fișiere"))]


@pytest.mark.parametrize("suffix", ["mo", "po"])
def test_a_context_is_no_part_of_the_text(suffix, tmp_path):
    catalog = Catalog("de")
    catalog.add("Open the file", "Datei öffnen", context="menu|File")
    catalog.add("Open the file", "Öffnen Sie die Datei", context="help")
    file = tmp_path / f"de.{suffix}"
    with file.open("wb") as stream:
        (write_mo if suffix == "mo" else write_po)(stream, catalog)
    found = {message.foreign[0]: message.english[0] for message in catalogues.read(file)}
    assert found == {"Datei öffnen": "Open the file", "Öffnen Sie die Datei": "Open the file"}


def test_fuzzy_obsolete_and_untranslated_messages_are_left_out(tmp_path):
    (tmp_path / "de.po").write_text(
        'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n"PO-Revision-Date: 2003--8-25 19:00\\n"\n\n'
        '#, fuzzy\nmsgid "a fuzzy one"\nmsgstr "ein ungefähres"\n\nmsgid "a new one"\nmsgstr ""\n\n'
        'msgid "a good one"\nmsgstr "ein gutes"\n\n#~ msgid "an old one"\n#~ msgstr "ein altes"\n'
    )
    messages = list(catalogues.read(tmp_path / "de.po"))
    assert [pair for message in messages for pair in catalogues.sentences(message)] == [("a good one", "ein gutes")]
    assert pairs("Copyright by nobody", "Copyright by Nobody") == []


def test_other_byte_orders_and_encodings(tmp_path):
    """GNU's format on a big-endian machine, in Latin 1; a message that lies about it is left out."""
    header = b"Content-Type: text/plain; charset=ISO-8859-1\n"
    entries = [(b"", header), (b"menu\x04open it", "öffne es".encode("latin-1"))]
    table, data, start = [], b"", 28 + 16 * len(entries)
    for column in (0, 1):
        for entry in entries:
            table += [len(entry[column]), start + len(data)]
            data += entry[column] + b"\0"
    words = [0x950412DE, 0, len(entries), 28, 28 + 8 * len(entries), 0, 0, *table]
    file = tmp_path / "x.mo"
    file.write_bytes(b"".join(word.to_bytes(4, "big") for word in words) + data)
    assert list(catalogues.read(file)) == [(("open it",), ("öffne es",))]
    file.write_bytes(file.read_bytes().replace(b"ISO-8859-1", b"utf-8     "))
    assert list(catalogues.read(file)) == []


@pytest.mark.parametrize("cut", [2, 40, 200])
def test_a_broken_file_is_warned_of_and_left_out(cut, tmp_path, capsys):
    file = write(tmp_path / "de.mo", MESSAGES)
    file.write_bytes(file.read_bytes()[:cut])
    assert list(catalogues.read(file)) == []
    (line,) = capsys.readouterr().err.splitlines()
    assert str(file) in line


@pytest.mark.parametrize(
    ("english", "foreign", "expected"),
    [
        ("Cannot open %s: %s", "%s: %s ist zu", ("Cannot open ph1 : ph2", "ph1 : ph2 ist zu")),
        ("%s is in %s", "In %2$s liegt %1$s", ("ph1 is in ph2", "In ph2 liegt ph1")),
        ("%(name)s took %5.2f s", "%5.2f s für %(name)s", ("ph1 took ph2 s", "ph2 s für ph1")),
        ("{0} of {1}", "von {1} {0}", ("ph1 of ph2", "von ph2 ph1")),
        ("$1 and ${HOME}", "${HOME} und $1", ("ph1 and ph2", "ph2 und ph1")),
        ("%1 of %2", "%2 und %1", ("ph1 of ph2", "ph2 und ph1")),
        ("start %PRODUCTNAME", "%PRODUCTNAME starten", ("start ph1", "ph1 starten")),
        ("%dx%d pixels", "%d × %d Pixel", ("ph1 x ph2 pixels", "ph1 × ph2 Pixel")),
        ("50% of it, %d%% done", "50% davon, %d%% fertig", ("50% of it, ph1 % done", "50% davon, ph1 % fertig")),
        ("a %qs here", "ein %qs hier", ("a ph1 here", "ein ph1 hier")),
        ("<b>Bold</b> &amp; <a href='x'>big</a>", "<b>Fett</b> &amp; groß", ("Bold & big", "Fett & groß")),
        ("two\n\tlines", "zwei\nZeilen", ("two lines", "zwei Zeilen")),
        ("write to <file>", "in <file> schreiben", ("write to <file>", "in <file> schreiben")),
        ("E_xit now", "_Jetzt beenden", ("Exit now", "Jetzt beenden")),
        ("&Save", "保存(&S)", ("Save", "保存")),
        ("_Save as...", "名前を付けて保存(_A)...", ("Save as...", "名前を付けて保存...")),
        ("~Insert row", "Zeile ~einfügen", ("Insert row", "Zeile einfügen")),
        (
            "set file_name for AT&T",
            "file_name für AT&T setzen",
            ("set file_name for AT&T", "file_name für AT&T setzen"),
        ),
    ],
)
def test_what_programs_fill_in_and_mark(english, foreign, expected):
    assert pairs(english, foreign) == [expected]


@pytest.mark.parametrize(
    ("english", "foreign"),
    [("open %s", "öffnen"), ("%s and %d", "%s und"), ("{a}", "{b}"), ("menu|Open it", "Öffne es"), ("a word", "%s")],
)
def test_sides_that_do_not_say_the_same_are_left_out(english, foreign):
    assert pairs(english, foreign) == []


def test_words_are_those_that_are_said():
    assert catalogues.count_words("ph1 : the 3 files of ph2 , e.g. it") == 5


def found(count):
    """`count` messages, each a pair of its own."""
    names = ["".join(chr(ord("a") + int(digit)) for digit in f"{number:04d}") for number in range(count)]
    return [(f"say {n}", f"sag {n}", f"say {n}") for n in names]


def test_no_sentence_of_one_part_stands_in_another():
    rows = found(100)
    twice = [(m.upper(), s.upper(), f"{t}!") for m, s, t in rows[:50]] + [
        ("x", rows[3][1], "another"),
        ("y", "noch", "say aaaa"),
    ]
    parts = corpus.split(rows + twice, train=1000, held_out=10)
    assert {name: len(pairs) for name, pairs in parts.items()} == {"test": 10, "valid": 10, "train": 80}
    for side in (0, 1):
        texts = [corpus.letters(pair[side]) for pairs in parts.values() for pair in pairs]
        assert len(set(texts)) == len(texts) == 100
    assert len(corpus.split(rows, train=7, held_out=10)["train"]) == 7


def test_the_translation_given_most_often_is_taken():
    rows = [*found(20), ("m", "eins", "one more"), ("m", "noch eins", "one more"), ("m", "noch eins", "One more")]
    kept = [pair for part in corpus.split(rows, 100, 1).values() for pair in part]
    assert [pair[0] for pair in kept if pair[1] == "one more"] == ["eins"], "of equals the first"
    kept = [pair for part in corpus.split([*rows, rows[-2]], 100, 1).values() for pair in part]
    assert [pair[0] for pair in kept if pair[1] == "one more"] == ["noch eins"]


def test_pairs_of_a_message_stay_together_and_where_they_were():
    rows = [row for m, s, t in found(60) for row in ((m, s, t), (m, f"{s} viele", f"{t} many"))]
    parts = corpus.split(rows, 1000, 11)
    home = {}
    for name, pairs in parts.items():
        for _, target in pairs:
            assert home.setdefault(target.removesuffix(" many"), name) == name
    more = corpus.split([*rows, *found(90)[60:]], 1000, 11)
    moved = [pair for pair in more["test"] if pair in parts["train"]]
    assert not moved, "what was trained on is not tested on when messages are added"


def test_too_few_pairs_are_one_line():
    with pytest.raises(UsageError, match="held_out=10 is not possible: less than half of the 20 pairs"):
        corpus.split(found(20), 100, 10)


def test_where_catalogues_lie(tmp_path):
    names = [
        "usr/share/locale/de/LC_MESSAGES/a.mo", "usr/lib/x/de_DE/LC_MESSAGES/b.mo", "po/de.po", "po/x-de.po",
        "po/x.de.po", "c.de_DE.UTF-8.po",
    ]  # fmt: skip
    others = ["de_AT/LC_MESSAGES/a.mo", "vi/LC_MESSAGES/de.mo", "po/nde.po", "po/de.pot", "x/de/notes.txt"]
    for name in names + others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert {path.relative_to(tmp_path).as_posix() for path in catalogues.find(tmp_path, "de")} == set(names)


WORDS = ("red", "green", "blue", "small", "big", "old", "new", "good", "bad", "last")
GERMAN = ("rote", "grüne", "blaue", "kleine", "große", "alte", "neue", "gute", "schlechte", "letzte")


def write_many(folder):
    """1,000 messages in two catalogues, which share half of them."""
    messages = {
        f"Open the {a} {b} {c} file": f"Die {x} {y} {z} Datei öffnen"
        for a, x in zip(WORDS, GERMAN, strict=True) for b, y in zip(WORDS, GERMAN, strict=True)
        for c, z in zip(WORDS, GERMAN, strict=True)
    }  # fmt: skip
    items = list(messages.items())
    write(folder / "de" / "LC_MESSAGES" / "one.mo", {**dict(items[:750]), "Too short": "Zu kurz"})
    write(folder / "po" / "de.po", dict(items[250:]))


@pytest.fixture
def text_only(monkeypatch):
    """Without fairseq's part, which takes seconds."""

    def sizes(folder, source, target):
        counts = {split: len((folder / f"{split}.{source}").read_text().splitlines()) for split in corpus.SPLITS}
        return corpus.Corpus(folder, source, target, counts, longest=20)

    monkeypatch.setattr(corpus, "binarize", sizes)


def test_a_folder_becomes_a_corpus(configure, tmp_path, text_only):
    write_many(tmp_path / "own")
    cfg = configure("transformer", "dataset=catalogues_de_en", f"dataset.path='{tmp_path / 'own'}'", "scale=smoke")
    made = build("dataset", cfg.dataset)
    assert made.sizes == {"train": 512, "valid": 20, "test": 20}, "as the config says"
    assert (made.source, made.target, made.published) == ("de", "en", False)
    digest = made.facts["data_sha256"]
    assert re.fullmatch("[0-9a-f]{64}", digest)
    assert made.facts["packages"] == {}, "no package has these"
    assert "too short" not in (made.folder / "train.en").read_text().replace("@@ ", "")

    cfg.dataset.checksum = digest
    again = build("dataset", cfg.dataset)
    assert again.published is True
    assert again.folder == made.folder, "made once"
    cfg.dataset.train = 100_000
    more = build("dataset", cfg.dataset)
    assert more.sizes == {"train": 960, "valid": 20, "test": 20}, "the two files share 500"
    assert (more.folder / "test.de").read_text().replace("@@ ", "") == (made.folder / "test.de").read_text().replace(
        "@@ ", ""
    )
    (tmp_path / "own" / "po" / "de.po").unlink()
    assert build("dataset", cfg.dataset).facts["data_sha256"] != digest


def test_fetched_ones_come_before_the_systems_and_bring_their_packages(configure, tmp_path, text_only, monkeypatch):
    monkeypatch.setattr(catalogues, "SYSTEM", tmp_path / "system")
    write_many(tmp_path / "system")
    cfg = configure("transformer", "dataset=catalogues_de_en", "scale=smoke")
    assert build("dataset", cfg.dataset).facts["packages"] == {}
    write_many(data_root() / "catalogues" / "hello")
    (data_root() / "catalogues" / "packages.json").write_text('{"hello": "2.10-3"}')
    assert build("dataset", cfg.dataset).facts["packages"] == {"hello": "2.10-3"}


@pytest.mark.parametrize("language", ["de", "ja", "ro", "vi"])
def test_no_catalogues_are_one_line(language, configure, tmp_path):
    cfg = configure("transformer", f"dataset=catalogues_{language}_en", f"dataset.path='{tmp_path}'", "sentences=10")
    with pytest.raises(UsageError) as error:
        build("dataset", cfg.dataset)
    for words in (f"dataset.path={tmp_path}", f"language {language}", "fetch_catalogues.py", "dataset=cldr_de_en"):
        assert words in str(error.value)
    assert "\n" not in str(error.value)


# -- the script --------------------------------------------------------------------------------------------------------


@pytest.fixture
def debian(tmp_path, monkeypatch):
    """An apt-get that has two packages, one newer than asked for, and a dpkg-deb that knows their archives."""
    tools, store = tmp_path / "bin", tmp_path / "store"
    for name in ("one", "two"):
        write(store / name / "usr" / "share" / "locale" / "de" / "LC_MESSAGES" / f"{name}.mo", MESSAGES)
        write(store / name / "usr" / "share" / "locale" / "fr" / "LC_MESSAGES" / f"{name}.mo", MESSAGES)
        (store / name / "usr" / "share" / "doc.txt").touch()
    (store / "one.version").write_text("1.0\n")
    (store / "two.version").write_text("2.1\n")
    scripts = {
        "apt-get": 'p=${3%%=*}; v=$(cat "$STORE/$p.version") || exit 100\n'
                   'case $3 in *=$v|$p) echo $p > ${p}_${v}_all.deb;; *) exit 100;; esac',
        "dpkg-deb": 'p=$(cat "$2"); case $1 in --field) cat "$STORE/$p.version";; *) cp -r "$STORE/$p" "$3";; esac',
    }  # fmt: skip
    tools.mkdir()
    for name, text in scripts.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STORE", str(store))


def test_packages_are_unpacked_and_what_is_gone_is_said(debian, tmp_path, capsys):
    folder = tmp_path / "catalogues"
    wanted = {"one": "1.0", "two": "2.0", "three": "3.0"}
    assert fetch_catalogues.fetch(folder, wanted, ["de"]) == {"one": "1.0", "two": "2.1"}
    said = capsys.readouterr().err
    assert "two: 2.0 is gone; 2.1 is taken" in said
    assert "three: apt-get has no such package; it is left out" in said
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert files == [f"{name}/usr/share/locale/de/LC_MESSAGES/{name}.mo" for name in ("one", "two")]
    assert len(catalogues.find(folder, "de")) == 2
    with pytest.raises(UsageError, match="none could be fetched"):
        fetch_catalogues.fetch(folder, {"three": None}, ["de"])


def test_the_command_keeps_a_list_and_drops_what_left_it(debian, command, tmp_path):
    folder = data_root() / "catalogues"
    (folder / "mine").mkdir(parents=True)
    assert command("scripts/fetch_catalogues.py", "--packages", "one", "two").returncode == 0
    assert catalogues.packages(folder, []) == {"one": "1.0", "two": "2.1"}
    assert command("scripts/fetch_catalogues.py", "--packages", "two").returncode == 0
    assert catalogues.packages(folder, []) == {"two": "2.1"}
    assert sorted(path.name for path in folder.iterdir()) == ["mine", "packages.json", "two"], "not what is the user's"
    done = command("scripts/fetch_catalogues.py", "--packages", "three")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: packages=three")


# -- text of one's own -------------------------------------------------------------------------------------------------


def write_text(folder, **sides):
    folder.mkdir(exist_ok=True)
    for language, lines in sides.items():
        (folder / f"own.{language}").write_text("".join(f"{line}\n" for line in lines))


def own(configure, folder, *overrides):
    cfg = configure(
        "transformer", "dataset=text", f"dataset.path='{folder}/own'", "dataset.source=fr", "dataset.target=nl",
        "scale=smoke", *overrides,
    )  # fmt: skip
    return build("dataset", cfg.dataset)


def test_two_files_become_a_corpus(configure, tmp_path, text_only):
    french = [f"phrase {row[0]} , deux\u2028fois\x0c" for row in found(100)]  # not the ends of lines
    dutch = [f"zin {row[0]} , twee keer" for row in found(100)]
    write_text(tmp_path / "text", fr=[*french, "", "vide"], nl=[*dutch, "leeg", ""])
    made = own(configure, tmp_path / "text")
    assert made.sizes == {"train": 60, "valid": 20, "test": 20}
    assert (made.source, made.target) == ("fr", "nl")
    for name in corpus.SPLITS:
        sides = [
            (made.folder / f"{name}.{language}").read_text().replace("@@ ", "").split("\n") for language in ("fr", "nl")
        ]
        assert [line.split()[1:2] for line in sides[0]] == [line.split()[1:2] for line in sides[1]]
    write_text(tmp_path / "text", nl=[*dutch[:-1], "iets anders", "leeg", ""])
    assert own(configure, tmp_path / "text").folder != made.folder


def test_files_that_do_not_fit_are_one_line(configure, tmp_path):
    with pytest.raises(UsageError, match=r"dataset\.path=.*own\.fr.* must be text in UTF-8"):
        own(configure, tmp_path / "text")
    write_text(tmp_path / "text", fr=["un", "deux"], nl=["een"])
    with pytest.raises(UsageError, match=r"two files of as many lines, not \[2, 1\]"):
        own(configure, tmp_path / "text")
    with pytest.raises(UsageError, match=r"dataset\.source=None"):
        own(configure, tmp_path / "text", "dataset.source=null")


@pytest.mark.slow
def test_a_run_says_what_it_was_trained_on(configure):
    write_many(data_root() / "catalogues" / "hello")
    (data_root() / "catalogues" / "packages.json").write_text('{"hello": "2.10-3"}')
    train(configure("transformer", "dataset=catalogues_de_en", "scale=smoke", "epochs=1", "average_last=1",
                    "tracking=none"))  # fmt: skip
    (record,) = load_records("transformer")
    assert record.status == "done"
    assert record.summary["packages"] == {"hello": "2.10-3"}
    assert len(record.summary["data_sha256"]) == 64
    assert record.summary["published_data"] is False
    assert record.summary["test_size"] == 20
    name = "table3_catalogues_smoke-epochs=1-average_last=1-own=files"
    assert name in refresh("transformer")
    table = results_root() / "tables" / f"{name}.md"
    assert table.read_text().splitlines()[2].startswith("| optimizer | DE-EN average |")
