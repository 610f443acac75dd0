"""`python -m acprop.report [tables] [figures] [claims] [page]`: rebuilds what the records say; no word means all of it.
The page rebuilds the tables and figures that it shows."""

import sys

from acprop.report import claims, page
from experiments.gan import report as gan
from experiments.imagenet import report as imagenet
from experiments.images import report as cnn
from experiments.rl import report as rl
from experiments.theory import report as theory
from experiments.transformer import report as translation

# each has write_all(tables, figures) -> paths written, without suffix
TASKS = (cnn, imagenet, gan, rl, theory, translation)
WORDS = ("tables", "figures", "claims", "page")


def main(words: list[str]) -> int:
    if unknown := set(words) - set(WORDS):
        print(f"error: {' '.join(sorted(unknown))}: choose of {', '.join(WORDS)}", file=sys.stderr)
        return 2
    wanted = {word: word in words or not words for word in WORDS}
    tables, figures = (wanted[word] or wanted["page"] for word in ("tables", "figures"))
    artefacts = [path for task in TASKS for path in task.write_all(tables, figures)] if tables or figures else []
    rows = claims.ledger() if tables or wanted["claims"] else []
    artefacts += claims.write_tables(rows) if tables else []
    written = list(artefacts)
    if wanted["claims"]:
        written += claims.write(rows)
    if wanted["page"]:
        written += page.write(rows, artefacts)
    print("\n".join(map(str, written)) if written else "no records yet: `make quick` makes some")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
