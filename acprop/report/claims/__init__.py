"""The claim ledger: what of the paper holds, row by row. rules.py decides, ledger.py writes."""

from acprop.report.claims.ledger import Row, ledger, summary, write

__all__ = ["Row", "ledger", "summary", "write"]
