"""`python -m acprop.report [tables] [figures]`: rebuilds what the records say; no word means both."""

import sys

from acprop.report import cnn, gan, imagenet, rl, theory, translation

# each has write_all(tables, figures) -> paths written, without suffix
TASKS = (cnn, imagenet, gan, rl, theory, translation)


def main(words: list[str]) -> int:
    if unknown := set(words) - {"tables", "figures"}:
        print(f"error: {' '.join(sorted(unknown))}: choose tables, figures or both", file=sys.stderr)
        return 2
    wanted = {word: word in words or not words for word in ("tables", "figures")}
    written = [path for task in TASKS for path in task.write_all(**wanted)]
    print("\n".join(map(str, written)) if written else "no records yet: `make quick` makes some")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
