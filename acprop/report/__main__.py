"""`python -m acprop.report [tables] [figures] [claims]`: rebuilds what the records say; no word means everything."""

import sys

from acprop.report import claims, cnn, gan, rl, theory, translation

TASKS = (cnn, gan, rl, theory, translation)  # each has write_all(tables, figures) -> paths written, without suffix
WORDS = ("tables", "figures", "claims")


def main(words: list[str]) -> int:
    if unknown := set(words) - set(WORDS):
        print(f"error: {' '.join(sorted(unknown))}: choose of {', '.join(WORDS)}", file=sys.stderr)
        return 2
    wanted = {word: word in words or not words for word in WORDS}
    written = []
    if wanted["tables"] or wanted["figures"]:
        written += [path for task in TASKS for path in task.write_all(wanted["tables"], wanted["figures"])]
    if wanted["claims"]:
        written += claims.write(claims.ledger())
    print("\n".join(map(str, written)) if written else "no records yet: `make quick` makes some")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
