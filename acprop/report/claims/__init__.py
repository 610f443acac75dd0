"""The claim ledger: what of the paper holds, row by row. rules.py decides, ledger.py writes."""

from acprop.report.claims.ledger import Row, ledger, summary, write
from acprop.report.claims.tables import paper_tables

__all__ = ["Row", "ledger", "paper_tables", "summary", "write"]
