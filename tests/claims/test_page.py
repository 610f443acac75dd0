"""report.html: whole, self-contained, the same each time; and alive in a real browser, where there is one."""

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from acprop.report import build as report
from acprop.report import page, results_root
from acprop.report.__main__ import main
from acprop.report.page_runs import POINTS, curves
from acprop.runs import Run, load_records
from experiments.theory.__main__ import run as run_theory
from tests.claims.records import leave
from tests.gan.test_report import leave as leave_gan
from tests.rl.test_report import leave as leave_rl

VOID = {"meta", "link", "img", "input", "br"}
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page(HTMLParser):
    """Checks that elements are nested and closed; collects ids, links, texts of scripts."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.attributes, self.scripts, self.counts = [], [], [], [], {}
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.attributes.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)


@pytest.fixture
def records(configure):
    """Some of everything that a page shows: values, rankings, maps, curves, a diverged run, characters to escape."""
    leave(configure, "cifar", "dataset=digits", "model=vgg11", scores=(98.0, 98.5, 97.0))
    leave(configure, "cifar", "dataset=digits", "model=resnet34", "optimizer=adam", scores=(99.0, float("nan")))
    odd = ("names.optimizer='<b>&'", "+note='</script><!--<script>alert(1)</script>'")
    leave(configure, "cifar", "dataset=digits", "model=resnet34", *odd, scores=(12.0,))
    leave_gan(configure, "model=dcgan")  # with pictures
    leave_rl(configure, "scale=laptop")
    run_theory(configure("theory", "tracking=none", "study=fig4"))


def build():
    assert main([]) == 0
    return (results_root() / "report.html").read_text()


def test_it_is_whole_and_needs_nothing_else(records, tmp_path):
    text = build()
    parsed = Page(text)
    assert len(set(parsed.ids)) == len(parsed.ids)
    assert len(text.encode()) < 5_000_000
    assert not re.search(r"""(?:src|href|url\()\s*=?\s*["'(]?\s*(?:https?:)?//""", text), "no resource of a network"
    runs = tmp_path / "runs"
    folders = {path.parent.parent.relative_to(runs).as_posix() for path in runs.rglob("run.json")}
    (data,) = [json.loads(script) for script in parsed.scripts if script.startswith("{")]
    assert set(data["cells"]) == folders
    shown = set()
    for tag, attributes in parsed.attributes:
        for name in ("src", "href"):
            target = attributes.get(name)
            if target and target.startswith("#cell="):
                assert set(target[6:].split("|")) <= folders
                shown |= set(target[6:].split("|"))
            elif target and target.startswith("#"):
                assert target[1:] in parsed.ids
            elif target:
                assert target.startswith("data:"), (tag, target)
        if tag == "img":
            assert attributes["alt"]
        if "aria-labelledby" in attributes and tag == "section":
            assert attributes["aria-labelledby"] in parsed.ids
    assert shown == folders
    assert "&lt;b&gt;&amp;" in text
    assert "<b>" not in text.split('<script type="application/json"')[0]
    assert parsed.counts["figure"] == len(list((results_root() / "figures").glob("*.png")))


def test_every_figure_and_table_names_the_runs_it_was_made_from(records):
    text = build()
    figures = re.findall(r"<figure>.*?</figure>", text, re.S)
    tables = re.findall(r'<div class="scroll plain"[^>]*aria-label="Table .*?</div>\n</div>', text, re.S)
    assert len(figures) > 4
    assert len(tables) == len(list((results_root() / "tables").glob("*.md")))
    for part in (*figures, *tables):
        empty = "_paper" in part and not re.search(r"\(\d+\)", part)  # nothing was run at the paper's scale
        assert ("#cell=" in part) != empty, part[-300:]
    (vgg,) = [part for part in tables if 'aria-label="Table fig6_digits_laptop"' in part]
    behind = vgg.partition('class="table-runs"')[2]
    cells = re.findall('#cell=([^"]+)', behind)
    assert [cell.split("/")[:2] for cell in cells] == [["cifar", "digits-resnet34"]] * 2 + [["cifar", "digits-vgg11"]]
    assert sorted(re.findall(r"</a> seeds? ([\d, ]+)<", behind)) == ["0", "0, 1", "0, 1, 2"]


def test_the_same_records_give_the_same_bytes_and_one_less_gives_others(records, tmp_path):
    first = build()
    assert main(["page"]) == 0
    assert (results_root() / "report.html").read_text() == first
    shutil.rmtree(next((tmp_path / "runs" / "gan").glob("*/*/seed=0")))
    assert build() != first


def test_a_number_leads_to_the_cell_that_it_tells_of(records):
    table = build().partition('aria-label="Table fig6_digits_laptop"')[2].partition("</table>")[0]
    (acprop,) = [row for row in re.findall(r"<tr>.*?</tr>", table, re.S) if "<td>ACProp</td>" in row]
    links = re.findall(r'<a class="number" href="#cell=([^"]+)">([^<]*)</a>', acprop)
    assert [text for _, text in links] == ["97.00, 98.00, 98.50 (3)"] * 2, "last, and best"
    assert all("cifar/digits-vgg11/acprop-" in cell for cell, _ in links)


def test_without_a_record_the_page_stands(tmp_path):
    (tmp_path / "runs").mkdir()
    text = build()
    Page(text)
    assert "No run has ended yet" in text


def test_curves_are_thin_and_keep_their_ends(configure):
    cfg = configure("cifar", "tracking=none")
    with Run.open(cfg, select=("test/top1", "max")) as run:
        for step in range(1000):
            run.step = step
            run.log("train", loss=1 / (1 + step))
            run.log("test", top1=float("nan") if step == 999 else 12.345678)
    (record,) = load_records("cifar")
    found = curves([record])
    assert list(found) == ["test/top1", "train/loss"], "what it was judged by comes first"
    (steps, (losses,)) = found["train/loss"]
    assert len(steps) == len(losses) <= POINTS
    assert (steps[0], steps[-1]) == (0, 999)
    assert losses[0] == 1.0
    assert losses[-1] == 0.001
    assert found["test/top1"][1][0][0] == 12.35
    assert found["test/top1"][1][0][-1] is None


def test_pictures_are_made_to_fit(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (900, 1500, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "fig1_noise.png")
    figure = page._picture(tmp_path / "fig1_noise.png", 120_000)
    assert len(figure.uri) < 4 / 3 * 120_000 + 100
    assert abs(figure.width / figure.height - 1500 / 900) < 0.02


def behind():
    """name of an artefact -> folders of its records"""
    made, _ = report.artefacts(report.gather())
    return {artefact.name: [record.folder for record in artefact.records] for artefact in made}


def test_a_map_feeds_its_figures_and_the_counts(configure):
    run_theory(configure("theory", "tracking=none", "criterion=limit", "problem=eq2"))
    (record,) = load_records("theory")
    found = behind()
    for name in ("fig3_limit", "fig3_limit_beta1", "theory_maps", "theory_maps_beta1"):
        assert found[name] == [record.folder]
    assert "fig1_limit" not in found


def test_two_settings_of_one_study_are_told_apart(configure):
    run_theory(configure("theory", "tracking=none", "study=fig4"))
    run_theory(configure("theory", "tracking=none", "study=fig4", "study.P=30"))
    build()
    names = {path.stem for path in (results_root() / "figures").glob("fig4*.png")}
    assert len(names) == 2
    for name in names:
        (folder,) = behind()[name]
        assert name.split("=")[1] in folder


# -- in a browser ------------------------------------------------------------------------------------------------------


@pytest.fixture
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_barrier(scheme, width, records, browser):
    build()
    tab = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    tab.goto(f"file://{(results_root() / 'report.html').resolve()}")
    found = Axe().run(tab).response["violations"]
    assert not [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("critical", "serious")]


def test_it_works_in_a_browser(records, browser):
    build()
    address = f"file://{(results_root() / 'report.html').resolve()}"
    said, asked = [], []

    def visit(**options):
        tab = browser.new_page(**options)
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(address)
        return tab

    tab = visit(color_scheme="light")
    # filter by verdict and by text
    claims = tab.locator(".claims tbody tr")
    total = claims.count()
    tab.click("[data-verdict=run-at-small-scale-only].run-at-small-scale-only >> nth=0")
    left = tab.locator(".claims tbody tr:visible").count()
    assert 0 < left < total
    assert tab.inner_text("#shown") == f"{left} of {total} claims"
    tab.fill("#filter-claims", "dcgan acprop")
    assert tab.locator(".claims tbody tr:visible td.id").all_inner_texts()
    assert all("DCGAN" in text for text in tab.locator(".claims tbody tr:visible td.id").all_inner_texts())
    # two verdicts widen the choice, none is all; the address keeps it
    tab.fill("#filter-claims", "")
    tab.click("[data-verdict=not-run].not-run >> nth=0")
    assert left < tab.locator(".claims tbody tr:visible").count() <= total
    assert "verdict=" in tab.url
    for chip in ("run-at-small-scale-only", "not-run"):
        tab.click(f"[data-verdict={chip}].{chip} >> nth=0")
    assert tab.locator(".claims tbody tr:visible").count() == total
    # sort, both ways; numbers as numbers
    column = "#runs tbody tr td:nth-child(7)"
    tab.click("#runs th:nth-child(7) button")
    values = [float(text) for text in tab.locator(column).all_inner_texts() if text]
    assert values == sorted(values)
    assert tab.get_attribute("#runs th:nth-child(7)", "aria-sort") == "ascending"
    tab.keyboard.press("Enter")
    assert [float(text) for text in tab.locator(column).all_inner_texts() if text] == sorted(values, reverse=True)
    # filter runs, open a cell by the keyboard, close it
    tab.fill("#filter-runs", "vgg digits")
    assert tab.locator("#runs tbody tr:visible").count() == 1
    tab.locator("#runs tbody tr:visible a").first.focus()
    tab.keyboard.press("Enter")
    dialog = tab.locator("dialog[open]")
    assert "cifar/digits-vgg11/acprop-" in dialog.inner_text()
    assert "optimizer.lr: 0.001" in dialog.inner_text()
    assert dialog.locator("svg path").count() == 3, "a line a seed"
    assert dialog.locator("svg path").first.get_attribute("d").count("L") == 2
    tab.keyboard.press("Escape")
    assert tab.locator("dialog[open]").count() == 0
    # a number of a table opens the cell behind it
    tab.locator("[aria-label='Table fig6_digits_laptop'] a.number").first.click()
    assert "cifar/digits-" in tab.locator("dialog[open]").inner_text()
    tab.keyboard.press("Escape")
    # dark by choice, and by the system
    light = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    tab.click("#theme")
    dark = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != light
    other = visit(color_scheme="dark", viewport={"width": 400, "height": 800})
    assert other.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    assert other.evaluate("document.documentElement.scrollWidth") == 400, "nothing sticks out on a narrow screen"
    # a cell's address opens it
    link = tab.locator("#runs tbody a").first.get_attribute("href")
    direct = browser.new_page()
    direct.goto(address + link)
    assert direct.locator("dialog[open]").count() == 1
    # under twenty pages of paper
    assert tab.pdf(format="A4").count(b"/Type /Page\n") < 20
    assert not said
    assert all(url.startswith(("file:", "data:")) for url in asked)
