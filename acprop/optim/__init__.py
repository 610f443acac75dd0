"""The optimizers: torch alone, nothing of the suite."""

__all__: list[str] = []
