"""Fetches the gettext catalogues that `dataset=catalogues_{de,ja,ro,vi}_en` is made of, from Debian packages, of which
nothing is installed: of what they unpack to, the .mo and .po files are kept, beside `packages.json`.

python scripts/fetch_catalogues.py
python scripts/fetch_catalogues.py FOLDER --languages fr --packages vlc-l10n mutt
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the runners are not installed; they are beside this

from acprop.runs import UsageError, data_root
from acprop.runs.record import write_json
from experiments.transformer.catalogues import REGIONS, find

PACKAGES = {  # of Debian 12; the first nine are half of all pairs
    "libreoffice-l10n-de": "4:7.4.7-1+deb12u14",
    "libreoffice-l10n-ja": "4:7.4.7-1+deb12u14",
    "libreoffice-l10n-ro": "4:7.4.7-1+deb12u14",
    "libreoffice-l10n-vi": "4:7.4.7-1+deb12u14",
    "gimp-data": "2.10.34-1+deb12u10",
    "inkscape": "1.2.2-2+deb12u1",
    "vlc-l10n": "3.0.24-0+deb12u1",
    "git": "1:2.39.5-0+deb12u3",
    "evolution-common": "3.46.4-2+deb12u1",
    "binutils-common": "2.40-2",
    "gcc-12-locales": "12.2.0-14+deb12u1",
    "coreutils": "9.1-1",
    "gnucash-common": "1:4.13-1",
    "gramps": "5.1.5-1",
    "pidgin-data": "2.14.12-1",
    "freeciv-data": "3.0.6-1+deb12u1",
    "dpkg": "1.21.23",
    "gnome-control-center-data": "1:43.6-2~deb12u1",
}


def fetch(folder: Path, packages: dict[str, str | None], languages: Iterable[str]) -> dict[str, str]:
    """Gets the catalogues of the packages into `folder/<package>/`; returns package -> version that is there.

    Args:
        languages: whose catalogues are kept.
        packages: name -> version, None for the newest. A version that is gone is replaced by the newest, a package that
            is gone is left out, and either is said.

    Raises:
        UsageError: if no package could be fetched.
    """
    there: dict[str, str] = {}
    for name, wanted in packages.items():
        with tempfile.TemporaryDirectory() as temporary:
            archive = download(f"{name}={wanted}", Path(temporary)) if wanted else None
            archive = archive or download(name, Path(temporary))
            if archive is None:
                print(f"{name}: apt-get has no such package; it is left out", file=sys.stderr)
                continue
            version = said("dpkg-deb", "--field", str(archive), "Version").strip()
            if wanted not in (None, version):
                told = "tables then say own=files; `apt-get update`, and this again, may find it"
                print(f"{name}: {wanted} is gone; {version} is taken, and {told}", file=sys.stderr)
            unpack(archive, folder / name, languages)
        there[name] = version
        print(f"{name} {version}", flush=True)
    if not there:
        raise UsageError(f"packages={' '.join(packages)}: none could be fetched; `apt-get update` first")
    return there


def download(package: str, folder: Path) -> Path | None:
    subprocess.run(["apt-get", "download", "-q", package], cwd=folder, capture_output=True, check=False)
    return next(folder.glob("*.deb"), None)


def unpack(archive: Path, folder: Path, languages: Iterable[str]) -> None:
    """Leaves the archive's catalogues under `folder`, all of them or none."""
    whole = archive.with_suffix("")
    subprocess.run(["dpkg-deb", "--extract", str(archive), str(whole)], check=True)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for file in (file for language in languages for file in find(whole, language)):
        target = part / file.relative_to(whole)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, target)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="default: catalogues/ in $ACPROP_DATA, or data/catalogues")
    parser.add_argument("--languages", nargs="+", default=list(REGIONS), help="default: %(default)s")
    parser.add_argument("--packages", nargs="+", help=f"default: {', '.join(PACKAGES)}")
    arguments = parser.parse_args()
    folder = arguments.folder or data_root() / "catalogues"
    packages: dict[str, str | None] = dict.fromkeys(arguments.packages) if arguments.packages else dict(PACKAGES)
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise UsageError("apt-get, dpkg-deb: not here; fetch on a Debian system, and copy the folder")
    listed = folder / "packages.json"
    before = json.loads(listed.read_text()) if listed.exists() else {}
    there = fetch(folder, packages, arguments.languages)
    for name in before.keys() - there.keys():
        shutil.rmtree(folder / name, ignore_errors=True)
    write_json(listed, there)


if __name__ == "__main__":
    try:
        main()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
