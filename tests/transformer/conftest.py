"""What the tests of this room share: one trained cell, and a small archive of IWSLT's form."""

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

SMOKE = ("-m", "experiments.transformer", "scale=smoke", "optimizer=acprop", "epochs=3")


@pytest.fixture(scope="session")
def session(tmp_path_factory) -> dict[str, str]:
    """An environment whose folders outlive a test, so that the corpus and the trained cell are made once."""
    folder = tmp_path_factory.mktemp("transformer")
    # names at which fairseq would split a path
    own = {f"ACPROP_{name.upper()}": str(folder / "a:b,c" / name) for name in ("runs", "results", "data")}
    return {**os.environ, **own, "HOME": str(folder), "WANDB_MODE": "offline", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def trained(session) -> Path:
    """The folder of a finished cell, trained as a user trains it."""
    done = subprocess.run([sys.executable, *SMOKE], cwd=ROOT, env=session, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    (path,) = Path(session["ACPROP_RUNS"]).glob("transformer/*/*/seed=0/run.json")
    return path.parent


def write_archive(folder: Path, source: str = "de", target: str = "en", talks: int = 69) -> list[tuple[str, str]]:
    """`<source>-<target>.tgz` as IWSLT packs it; returns the sentence pairs of its talks, in order."""
    pair = f"{source}-{target}"
    pairs = [(f"Das ist Satz {n}, nicht wahr?", f"This is sentence {n}, isn't it?") for n in range(talks)]
    files = {}
    for side, language in enumerate((source, target)):
        head = "<url>http://x</url>\n<keywords>x, y</keywords>\n<talkid>1</talkid>\n<title>A Title</title>\n"
        lines = "\n".join(sentences[side] for sentences in pairs)
        files[f"train.tags.{pair}.{language}"] = f"{head}<description>Two Words</description>\n{lines}\n"
        for name in ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012"):
            segments = "".join(f'<seg id="{n}"> {name} it’s {n} </seg>\n' for n in (1, 2))
            files[f"IWSLT14.{name}.{pair}.{language}.xml"] = f"<doc>\n{segments}</doc>\n"
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / f"{pair}.tgz", "w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(f"{pair}/{name}")
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return [("A Title", "A Title"), ("Two Words", "Two Words"), *pairs]
