"""What a command does when its runs have ended. Imports nothing heavy."""


def refresh(task: str) -> None:
    """Rebuilds the tables and figures of one task in the reader's report; `make report` does all, and the page."""
    from acprop.report import build

    build.refresh(task)
