"""Which run a record is: pinned, so that records keep their meaning. A hash that changes here orphans records."""

import shutil

import pytest
import yaml

from acprop.report import results_root, tasks
from acprop.report.build import artefacts, gather, refresh
from acprop.report.records import by_cell
from acprop.runs import conf, identity, load_records
from acprop.runs.identity import config_hash, resolved
from acprop.runs.record import SCHEMA
from tests.conftest import ROOT

RECORDS = ROOT / "tests" / "reference" / "records"

# Cells as the command line names them. The second column is what the runs of these settings were known by when a hash
# covered the figure, and tables of defaults, too: it is equal where no setting of this kind has come or gone since.
CELLS = {
    "cifar model=vgg11 optimizer=acprop scale=smoke optimizer.lr=0.01": ("2fb544be", "9153adf7"),
    "cifar model=vgg11 optimizer=acprop scale=smoke": ("761c1ee2", "d2dd4670"),
    "cifar model=vgg11 optimizer=adam scale=smoke": ("94ce2096", "fbab63d1"),
    "cifar dataset=cifar10 model=resnet34 optimizer=acprop scale=paper": ("51bf3bbd", "ac2218ee"),
    "cifar dataset=cifar10 model=densenet121 optimizer=adashift scale=paper": ("6f3c1ef5", "3d325e87"),
    "cifar dataset=cifar10 model=wrn28_10 optimizer=avagrad scale=paper tuned=none": ("08b234e8", "9a56f40e"),
    "gan model=dcgan optimizer=acprop scale=smoke": ("af5a9515", "fbd44ab7"),
    "gan dataset=cifar10 model=sngan optimizer=adam scale=paper": ("8eb3ca83", "f45cc7e9"),
    "imagenet optimizer=acprop scale=paper": ("6741017d", "6741017d"),
    "imagenet optimizer=radam scale=paper": ("1f197ebe", "1f197ebe"),
    "rl optimizer=acprop scale=smoke": ("88d7238e", "8bdfc983"),
    "rl optimizer=sgd scale=paper tuned=none optimizer.lr=1 optimizer.momentum=0.9": ("2cb45a98", "48d481d9"),
    "transformer optimizer=acprop scale=smoke": ("866ef88d", "866ef88d"),
}
# Folder of a record that the suite left when a hash covered the figure -> what it is known by today
LEFT = {
    "cifar/digits-vgg11/acprop-9153adf7/seed=0": "2fb544be",
    "cifar/digits-vgg11/acprop-d2dd4670/seed=0": "761c1ee2",
    "cifar/digits-vgg11/adam-fbab63d1/seed=0": "94ce2096",
    "gan/digits-dcgan/acprop-fbd44ab7/seed=0": "af5a9515",
    "rl/four_rooms-dqn/acprop-8bdfc983/seed=0": "780592de",
    "rl/four_rooms-dqn/acprop-98f7904f/seed=0": "e89f23d9",
    "theory/eq1-fig2/all-4304fb16/seed=0": "4304fb16",
    "transformer/cldr_de_en-transformer_iwslt/acprop-866ef88d/seed=0": "866ef88d",
}


@pytest.fixture
def left(tmp_path):
    """The records of an older version, as a user finds them under the root of the runs."""
    shutil.copytree(RECORDS, tmp_path / "runs")
    return {record.folder: record for record in load_records()}


def plain(cfg):
    config = resolved(cfg)
    config.pop("hydra")
    return config


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_keeps_its_hash(cell, configure):
    assert config_hash(plain(configure(*cell.split()))) == CELLS[cell][0]


def test_records_of_an_older_version_are_known_by_todays_hash(left):
    assert {folder: record.hash for folder, record in left.items()} == LEFT
    assert all(record.summary.get("schema", 1) < SCHEMA for record in left.values()), "they say which version left them"
    older = {cell.split()[0] + old: new for cell, (new, old) in CELLS.items()}
    for folder, new in LEFT.items():
        task, old = folder.partition("/")[0], folder.split("/")[2].rpartition("-")[2]
        if conf.read(task).get("revision", 0) == 0:  # else the numbers are others since
            assert older.get(task + old, new) == new, "a run of today with the settings of a record is the same run"


def test_the_figure_that_a_run_was_started_for_is_no_part_of_it(left):
    for record in left.values():
        assert config_hash({**record.config, "figure": "another"}) == record.hash
    # the record that was started for another figure is another only by its settings
    config = left["rl/four_rooms-dqn/acprop-98f7904f/seed=0"].config
    other = left["rl/four_rooms-dqn/acprop-8bdfc983/seed=0"].config
    changed = {key for key in config if config[key] != other[key]} - {"figure", "tracking"}
    assert changed == {"optimizer"}


def test_a_setting_that_came_later_changes_no_hash_at_its_old_value(left, monkeypatch):
    later = yaml.safe_load((ROOT / "conf" / "identity.yaml").read_text())
    later["as_before"]["every"]["label_smoothing"] = 0.0
    later["as_before"]["acprop.optim.ACProp"] = {"cautious": False}
    monkeypatch.setattr(identity.conf, "read", lambda name: later)
    (record,) = [one for folder, one in left.items() if "acprop-9153adf7" in folder]
    assert config_hash(record.config) == "2fb544be"
    known = {**record.config, "label_smoothing": 0, "optimizer": {**record.config["optimizer"], "cautious": False}}
    assert config_hash(known) == "2fb544be"
    assert config_hash({**known, "label_smoothing": 0.1}) != "2fb544be"
    assert config_hash({**known, "optimizer": {**known["optimizer"], "cautious": True}}) != "2fb544be"


def test_every_setting_that_came_later_is_as_before_in_old_records(left):
    as_before = yaml.safe_load((ROOT / "conf" / "identity.yaml").read_text())["as_before"]
    for record in left.values():
        for key, value in {**as_before["every"], **as_before.get(record.config["task"], {})}.items():
            assert config_hash({**record.config, key: value}) == record.hash, key
            assert config_hash({**record.config, key: "another"}) != record.hash, key
        optimizer = record.config.get("optimizer", {})
        for key, value in as_before.get(optimizer.get("_target_"), {}).items():
            assert config_hash({**record.config, "optimizer": {**optimizer, key: value}}) == record.hash, key


def test_a_default_for_another_data_set_changes_no_run(left):
    tables = yaml.safe_load((ROOT / "conf" / "identity.yaml").read_text())["tables"]
    for record in left.values():
        for table in tables.get(record.config["task"], ()):
            assert config_hash({**record.config, table: {**record.config[table], "mine": 3}}) == record.hash


def test_code_that_moves_changes_no_hash(left):
    moved = yaml.safe_load((ROOT / "conf" / "identity.yaml").read_text())["moved"]
    (record,) = [one for folder, one in left.items() if "adam-fbab63d1" in folder]
    before = {"model": "experiments.models.", "dataset": "experiments.data.", "schedule": "experiments.schedules."}
    now = {old: new for new, old in moved.items()}
    config = dict(record.config)
    for key, old in before.items():
        assert config[key]["_target_"].startswith(old), "so the record has it"
        config[key] = {**config[key], "_target_": config[key]["_target_"].replace(old, now[old])}
    assert config_hash(config) == record.hash == "94ce2096"
    elsewhere = {**config, "model": {**config["model"], "_target_": "mine.models.vgg11"}}
    assert config_hash(elsewhere) != record.hash


@pytest.mark.parametrize(
    "change",
    [{"device": "cuda"}, {"threads": 4}, {"compile": True}, {"workers": 3}, {"force": True}, {"telemetry": 10},
     {"checkpoint_every_s": 1}, {"tracking": {"mode": "online"}}, {"seed": 7}, {"epochs": 1.0}],
)  # fmt: skip
def test_what_does_not_change_the_numbers_is_no_part_of_it(change, left):
    record = left["cifar/digits-vgg11/acprop-d2dd4670/seed=0"]
    assert config_hash({**record.config, **change}) == record.hash


def test_a_change_of_code_that_changes_numbers_is_said_by_a_revision(left):
    record = left["cifar/digits-vgg11/acprop-d2dd4670/seed=0"]
    assert config_hash({**record.config, "revision": 0}) == record.hash
    assert config_hash({**record.config, "revision": 1}) != record.hash


def test_the_report_reads_records_of_an_older_version(left):
    made, _ = artefacts(gather())
    shown = {record.folder for artefact in made for record in artefact.records}
    assert shown == set(LEFT)
    assert not tasks.unshown(left.values(), made)
    names = set(refresh("cifar"))
    assert "fig6_digits_smoke" in names
    text = (results_root() / "tables" / "fig6_digits_smoke.md").read_text()
    assert "| Adam | " in text


def test_a_record_of_today_splits_no_row_of_an_older_one(left, configure):
    """The same cell, once with the settings that have come since, once without them."""
    record = left["cifar/digits-vgg11/adam-fbab63d1/seed=0"]
    now = plain(configure("cifar", "model=vgg11", "optimizer=adam", "scale=smoke", "seed=1"))
    assert now.keys() != record.config.keys(), "there are such settings"
    folder = record.path.parent / "seed=1"
    shutil.copytree(record.path, folder)
    (folder / "config.yaml").write_text(yaml.safe_dump(now))
    told = (folder / "run.json").read_text().replace('"seed": 0', '"seed": 1')
    (folder / "run.json").write_text(told)
    cells = by_cell(one for one in load_records("cifar") if one.summary["optimizer"] == "adam")
    assert {label: [one.summary["seed"] for one in group] for (_, label), group in cells.items()} == {"adam": [0, 1]}
