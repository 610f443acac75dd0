"""`python -m acprop.report [tables] [figures] [claims] [page]`: what the published records and your own say, under
report/; no word means all of it.

`python -m acprop.report publish [TEXT ...]` adds finished runs, those whose folder contains every TEXT, to the
published records, and rebuilds results/ from these; `rebuild` does the second alone, and `check` says what it would
change.
"""

import os
import sys

from acprop.report import build, publish, records_root, results_root, tasks
from acprop.runs.errors import UsageError
from acprop.runs.identity import runs_root

ACTIONS = {"publish": publish.publish, "rebuild": publish.rebuild, "check": publish.check}


def main(words: list[str]) -> int:
    try:
        if words[:1] and words[0] in ACTIONS:
            return ACTIONS[words[0]](words[1:])
        if unknown := set(words) - set(build.WORDS):
            known = ", ".join([*build.WORDS, *ACTIONS])
            raise UsageError(f"{' '.join(sorted(unknown))}: choose of {known}")
        return report(words or list(build.WORDS))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def report(words: list[str]) -> int:
    """The report of the published records and the reader's own."""
    if os.environ.get("ACPROP_RUNS") and not runs_root().is_dir():
        raise UsageError(f"ACPROP_RUNS={str(runs_root())!r} is no folder: set it to the root of your runs, or unset it")
    material = build.gather()
    written, made, _ = build.write(material, results_root(), words)
    for path in written:
        print(path)
    if not written:
        print("no records yet: `make quick` makes some")
    for why, folders in tasks.unshown([*material.records, *material.twins], made).items():
        print(f"not shown, {why}: {len(folders)} run(s), e.g. {folders[0]}")
    for problem in material.problems:
        print(f"left out: {problem}", file=sys.stderr)
    published, twins = len(material.published), len(material.twins)
    own = twins + len(material.records) - published
    print(f"{published} published records ({records_root()}), {own} of your own, {twins} of them of a published cell")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
