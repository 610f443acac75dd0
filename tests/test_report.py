"""Tables and figures are pure functions of records."""

import csv
import io
import itertools
import shutil
import subprocess
from types import SimpleNamespace

import matplotlib.image
import matplotlib.pyplot as plt
import pytest
import torch

from acprop.report import PUBLISHED, RESULTS, results_root
from acprop.report.__main__ import main
from acprop.report.artefacts import OTHER, Cell, table
from acprop.report.build import refresh
from acprop.report.figures import draw_runs, head, legend_below, subplots
from acprop.report.files import write
from acprop.report.records import budgets_text
from acprop.report.stats import Summary, separate_winner, summarize
from acprop.report.style import FONT, look
from acprop.report.tasks import artefacts, parts
from acprop.runs import Run, data_root
from acprop.runs.conf import roster
from acprop.runs.record import load_published
from experiments.cifar import report as cifar
from tests.conftest import ROOT


def leave(configure, *overrides, scores=(50.0, 70.0, 60.0), status="done"):
    """A record as the runner would leave it, with given scores."""
    cfg = configure("cifar", "tracking=none", *overrides)
    with Run.open(cfg, select=("test/top1", "max")) as run:
        for epoch in run.epochs(len(scores)):
            run.log("test", top1=scores[epoch])
        if status == "diverged":
            run.require_finite("training loss", float("nan"))


def rows(name):
    with (results_root() / "tables" / f"{name}.csv").open() as file:
        return {(row["model"], row["optimizer"]): row for row in csv.DictReader(file)}


def test_table_shows_last_best_spread_and_what_is_missing(configure):
    for seed, last in enumerate((60.0, 62.0, 64.0, 62.0, 62.0)):
        leave(configure, f"seed={seed}", scores=(50.0, 70.0 + seed, last))
    leave(configure, "optimizer=adam", scores=(50.0,))
    leave(configure, "optimizer=adam", "seed=1", scores=(51.0,))
    leave(configure, "optimizer=sgd", scores=(10.0,), status="diverged")
    assert main(["tables"]) == 0
    table = rows("fig6_digits_laptop")
    row = table["resnet34", "acprop"]
    assert (float(row["last_mean"]), float(row["last_std"]), float(row["best_mean"])) == (62.0, 1.4142, 72.0)
    assert float(row["last_low"]) == pytest.approx(62 - 2.7764 * 2**0.5 / 5**0.5, abs=1e-3)
    assert row["seeds"] == "0 1 2 3 4"
    assert table["resnet34", "sgd"]["diverged"] == "1"
    text = (results_root() / "tables" / "fig6_digits_laptop.md").read_text()
    assert "62.00 ± 1.41 (5) [60.24, 63.76]" in text
    assert "50.00, 51.00 (2) |" in text, "of fewer than five the runs themselves"
    assert "1 diverged" in text
    assert "not run" in text
    assert "laptop" in text.splitlines()[0]
    assert "paper" not in text.splitlines()[4], "digits are not set beside the paper's CIFAR-10"


def test_a_record_removed_changes_its_cell_and_only_that(configure, tmp_path):
    import shutil

    leave(configure, "optimizer=adam")
    leave(configure, "optimizer=acprop")
    refresh("cifar")
    before = rows("fig6_digits_laptop")
    shutil.rmtree(next((tmp_path / "runs" / "cifar" / "digits-resnet34").glob("adam-*")))
    refresh("cifar")
    after = rows("fig6_digits_laptop")
    assert [key for key in before if before[key] != after[key]] == [("resnet34", "adam")]


def test_a_new_run_costs_the_tables_of_its_own_data_set_and_scale(configure):
    leave(configure, "dataset=cifar10", "scale=paper")
    leave(configure)
    assert main([]) == 0
    assert refresh("cifar") == [], "nothing is new since the report"
    leave(configure, "seed=1")
    assert {name.partition("_laptop")[0] for name in refresh("cifar")} == {"fig6_digits"}
    assert refresh("cifar") == []
    shutil.rmtree(results_root())
    assert "fig6_cifar10" in refresh("cifar")


def test_no_table_crosses_the_parts_that_records_are_refreshed_by():
    """What the published records of all tasks show at once, they show part by part."""
    records = list(load_published(RESULTS / "records"))
    by_part = [artefact for part in parts(records).values() for artefact in artefacts(part)]
    assert {a.name: (a.caption, a.header, a.rows, a.long) for a in artefacts(records)} == {
        a.name: (a.caption, a.header, a.rows, a.long) for a in by_part
    }


def test_scales_settings_and_data_sets_do_not_mix(configure):
    leave(configure, "scale=laptop")
    leave(configure, "scale=smoke")
    leave(configure, "epochs=3")
    leave(configure, "optimizer.lr=0.01")
    leave(configure, "dataset=cifar10", "scale=paper")
    refresh("cifar")
    names = {path.stem.removesuffix("_speed") for path in (results_root() / "tables").glob("*.md")}
    assert names == {"fig6_digits_laptop", "fig6_digits_smoke", "fig6_digits_laptop-epochs=3", "fig6_cifar10"}
    optimizers = {optimizer for _, optimizer in rows("fig6_digits_laptop")}
    assert {"acprop (lr=0.001)", "acprop (lr=0.01)"} <= optimizers
    assert "acprop" not in optimizers
    assert rows("fig6_cifar10")["resnet34", "acprop"]["paper_best"] == "95.36"
    assert "/ paper 94.92" in (results_root() / "tables" / "fig6_cifar10.md").read_text()


def drawn(name):
    return matplotlib.image.imread(results_root() / "figures" / f"{name}.png")[..., :3]


def test_settings_are_drawn_as_a_map_where_eps_was_varied_else_as_lines(configure, monkeypatch):
    sweep = ("model=vgg11", "optimizer=adamw")
    leave(configure, "model=vgg11", "optimizer=adashift", scores=(30.0,))
    leave(configure, "model=vgg11", "optimizer=adashift", "optimizer.lr=0.1", scores=(30.0,), status="diverged")
    for lr in ("1e-5", "1e-3", "1e-2"):
        for eps in ("1e-5", "1e-8"):
            leave(configure, *sweep, f"optimizer.lr={lr}", f"optimizer.eps={eps}", scores=(90.0,))
    refresh("cifar")
    with (results_root() / "tables" / "fig7_digits_laptop.csv").open() as file:
        order = [(row["lr"], row["eps"]) for row in csv.DictReader(file)]
    caption = (results_root() / "tables" / "fig7_digits_laptop.md").read_text().splitlines()[0]
    assert "Scale: laptop (VGG-11: 20 epochs, batch 16, width 0.25, fp32)." in caption
    assert order == [(lr, eps) for eps in ("1e-08", "1e-05") for lr in ("1e-05", "0.001", "0.01")], "by value"
    lines, before = drawn("fig5cd_digits_laptop"), drawn("fig7_digits_laptop")
    colour = torch.tensor(matplotlib.colormaps["viridis"](0.9)[:3])
    assert (torch.tensor(before) - colour).abs().amax(-1).lt(0.02).double().mean() > 0.3, "six equal cells fill the map"
    assert (torch.tensor(lines) == 1).all(-1).double().mean() > 0.8, "lines on white"


def test_a_sweep_on_a_net_without_published_settings_stays_out_of_fig6(configure):
    for lr in ("1e-3", "1e-2"):
        leave(configure, "model=vgg11_bn", "optimizer=adamw", "tuned=none", f"optimizer.lr={lr}")
    leave(configure, "model=vgg11_bn", "optimizer=adam", "tuned=none")
    refresh("cifar")
    with (results_root() / "tables" / "robustness_digits_laptop.csv").open() as file:
        assert [row["optimizer"] for row in csv.DictReader(file)] == ["adamw", "adamw"]
    assert {cell for cell, row in rows("fig6_digits_laptop").items() if row["done"] == "1"} == {("vgg11_bn", "adam")}


def test_figure_is_drawn_and_the_same_each_time(configure):
    leave(configure, "dataset=cifar10", "scale=paper")
    leave(configure, "dataset=cifar10", "scale=paper", "optimizer=adam", "model=vgg11")
    refresh("cifar")
    paths = [results_root() / "figures" / f"fig6_cifar10{suffix}" for suffix in (".png", ".pdf")]
    first = [path.read_bytes() for path in paths]
    image = matplotlib.image.imread(io.BytesIO(first[0]))
    assert image[..., :3].std() > 0.05
    refresh("cifar")
    assert [path.read_bytes() for path in paths] == first
    assert not [path for path in paths[0].parent.iterdir() if path not in paths]


def test_latex_is_escaped_and_bold(tmp_path):
    write(table("t", OTHER, "50 % of a_b", [], ["x"], [[Cell("1.0 ± 0.1 (3)", bold=True)]], [{"x": 1}]), tmp_path)
    tex = (tmp_path / "tables" / "t.tex").read_text()
    assert r"\caption{50 \% of a\_b}" in tex
    assert r"\textbf{1.0 $\pm$ 0.1 (3)}" in tex
    assert tex.count(r"\toprule") == tex.count(r"\bottomrule") == 1


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex")
def test_pdflatex_takes_every_table_and_any_text(tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TEXMFVAR", str(tmp_path_factory.mktemp("texmf")))  # where it may make fonts
    hostile = r"$x$ {y} ~ ^ \ \input{z} a_b #1 50 % & <b> \end{tabular} | " + "ä – ± β"
    wide = [[Cell(hostile, bold=True)] * 6]
    write(table("hostile", OTHER, hostile, [], [hostile] * 6, wide, [{"x": 1}]), tmp_path)
    tables = [*sorted((ROOT / "results/tables").glob("*.tex")), tmp_path / "tables/hostile.tex"]
    assert len(tables) > 10
    lines = [r"\documentclass{article}", r"\usepackage{booktabs,graphicx}", r"\begin{document}"]
    lines += [rf"\input{{{path}}}\clearpage" for path in tables]
    (tmp_path / "all.tex").write_text("\n".join([*lines, r"\end{document}"]))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert f"({len(tables)} pages" in done.stdout


def test_bold_needs_separate_intervals():
    def interval(low, high):
        return Summary(3, (low + high) / 2, 1.0, low, high)

    assert separate_winner([interval(1, 2), interval(3, 4), None]) == 1
    assert separate_winner([interval(1, 2), interval(3, 4)], largest=False) == 0
    assert separate_winner([interval(1, 3.1), interval(3, 4)]) is None
    assert separate_winner([interval(1, 2), summarize([9.0])]) is None
    assert separate_winner([interval(1, 2)]) is None
    assert summarize([]) is None


def test_published_numbers_are_whole():
    with (PUBLISHED / "fig6_cifar10.csv").open() as file:
        table = list(csv.DictReader(file))
    assert {(row["model"], row["optimizer"]) for row in table} == {
        (model, optimizer) for model in ("vgg11", "resnet34", "densenet121") for optimizer in roster("fig6")
    }
    assert all(float(row["best"]) >= float(row["last"]) for row in table)
    assert sum(row["authors_ran"] == "yes" for row in table) == 6


def test_import_of_the_authors_curves(command, tmp_path, configure):
    folder = tmp_path / "curve"
    folder.mkdir()
    wanted = {"train_acc": [90.0, 99.0, 99.5], "test_acc": [80.0, 95.36, 94.92]}
    torch.save(wanted, folder / "resnet-acprop-lr0.001-betas0.9-0.999-eps1e-08-wdecay0.0005")
    torch.save({"train_acc": [1.0], "test_acc": [99.0]}, folder / "resnet-acprop-lr0.1")
    torch.save({"train_acc": [1.0], "test_acc": [50.0]}, folder / "vgg-sgd-lr0.1-momentum0.9")
    script = str(ROOT / "scripts" / "import_published_curves.py")
    done = command(script, str(folder))
    assert done.returncode == 0, done.stderr
    assert (data_root() / cifar.CURVES_FILE).exists()
    curves = cifar.published_curves("cifar10")
    assert curves["resnet34", "acprop"] == [(1.0, 80.0), (2.0, 95.36), (3.0, 94.92)], "the published setting is taken"
    assert curves["vgg11", "sgd"] == [(1.0, 50.0)]
    leave(configure, "dataset=cifar10", "scale=paper")
    refresh("cifar")

    (folder / "vgg-adam-lr1").write_bytes(b"no curve")
    for arguments in ([str(folder)], [str(tmp_path / "nowhere")], []):
        done = command(script, *arguments)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "PATH" in done.stderr


def test_unknown_word(capsys):
    assert main(["tabels"]) == 2
    assert "tabels" in capsys.readouterr().err


def averaged(curves):
    """(legend, the line, how many bands, means) of a cell's curves."""
    canvas, axes = subplots()
    means = draw_runs(axes[0][0], curves, look("acprop"), "ACProp")
    lines, bands = axes[0][0].lines, axes[0][0].collections
    legend_below(canvas, axes)
    legend = [text.get_text() for legend in canvas.legends for text in legend.get_texts()]
    result = legend, [line.get_xydata().tolist() for line in lines], len(bands), list(means)
    plt.close(canvas)
    return result


def test_runs_that_ended_early_are_counted_and_do_not_hide_the_others():
    good, other = [(1, 50.0), (2, 60.0)], [(1, 52.0), (2, 64.0)]
    assert averaged([good, other]) == (["ACProp"], [[[1, 51], [2, 62]]], 1, [51, 62])
    assert averaged([[], good, [(1, 9.0)]]) == (["ACProp (2 of 3 ended early)"], [[[1, 50], [2, 60]]], 0, [50, 60])
    assert averaged([[], []]) == (["ACProp (2 of 2 ended early)"], [[]], 0, [])
    assert averaged([]) == ([], [], 0, [])


def test_under_several_panels_a_name_stands_once_and_says_of_which_panel_runs_ended_early():
    canvas, axes = subplots(1, 2)
    for axis, title, curves in zip(axes[0], ("VGG-11", "ResNet-34"), ([[], [(1, 5.0)]], [[(1, 7.0)]]), strict=True):
        draw_runs(axis, curves, look("acprop"), "ACProp")
        axis.set_title(title)
    legend_below(canvas, axes)
    assert [text.get_text() for text in canvas.legends[0].get_texts()] == ["ACProp (VGG-11: 1 of 2 ended early)"]
    plt.close(canvas)


def test_a_caption_says_once_what_the_models_share():
    texts = {"vgg11": "12 epochs, width 0.25, 50,000 images", "resnet34": "12 epochs, width 0.1, 50,000 images"}
    cells = {(m, "adam"): [SimpleNamespace(config={"model": m})] for m in texts}

    def told(*models):
        return budgets_text({cell: cells[cell] for cell in cells if cell[0] in models}, lambda c: texts[c["model"]])

    assert told("vgg11") == "VGG-11: 12 epochs, width 0.25, 50,000 images"
    assert told(*texts) == "12 epochs, 50,000 images; VGG-11: width 0.25; ResNet-34: width 0.1"
    texts["resnet34"] = texts["vgg11"]
    assert told(*texts) == "VGG-11, ResNet-34: 12 epochs, width 0.25, 50,000 images"


@plt.rc_context(FONT)
@pytest.mark.parametrize(("panels", "settings"), [(1, 1), (3, 1), (1, 4)])
def test_title_and_legend_lie_within_the_figure(panels, settings):
    canvas, axes = subplots(1, panels, figsize=(max(4.2, 3.3 * panels), 2.9))
    for name in ("sgd", "adam", "adamw", "radam", "adashift", "adabelief", "acprop"):
        for axis, number in itertools.product(axes.flat, range(settings)):
            label = look(name).label if settings == 1 else f"{look(name).label} (eps=1e-08, lr=0.00{number})"
            draw_runs(axis, [[], [(1, 1.0), (2, 2.0)]], look(name), label)
    legend_below(canvas, axes)
    head(canvas, "gettext catalogues, scale study (20 epochs, width 0.25), n = 5")  # two letters too long for one panel
    canvas.draw_without_rendering()
    lines = [len(line) for line in canvas._suptitle.get_text().splitlines()]
    assert min(lines) > 0.7 * max(lines), "no word stands alone in the last"
    width, height = canvas.get_size_inches() * canvas.dpi
    for artist in (canvas.legends[0], canvas._suptitle):
        box = artist.get_window_extent()
        assert 0 <= box.x0 < box.x1 <= width
        assert 0 <= box.y0 < box.y1 <= height
    room = min(axis.get_window_extent().height for axis in axes.flat) / canvas.dpi
    assert room > 0.8, "and leave inches for the panels"
    plt.close(canvas)
