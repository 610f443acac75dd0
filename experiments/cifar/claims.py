"""The paper's numbers on 32x32 images: Fig 6, and the WRN-28-10 of Table 5."""

from collections.abc import Iterator

from acprop.report.claims.published import Cell, of_table5, rows
from experiments.images.claims import BEST_TOP1, ERROR

METRICS = {"best_top1": BEST_TOP1, "error": ERROR}
RAN = {"yes": "authors", "no": "quoted"}  # fig6_cifar10.csv says it so


def cells() -> Iterator[Cell]:
    for r in rows("fig6_cifar10"):
        yield Cell(
            "fig6", r["model"], "cifar", "cifar10", r["model"], r["optimizer"], "best_top1", float(r["best"]), None,
            r["source"], RAN[r["authors_ran"]], f"cifar10-{r['model']}", f"last epoch {r['last']}",
            n=1,  # a curve file is of one run
        )  # fmt: skip
    # the paper names no settings of this net
    yield from of_table5("cifar", "error", lambda r: f"{r['dataset']}-{r['model']}", untuned=True)
