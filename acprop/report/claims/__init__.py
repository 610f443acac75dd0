"""The claim ledger: what of the paper holds, row by row. rules.py decides, ledger.py writes."""

from acprop.report.claims.ledger import Row, ledger, summary, write
from acprop.report.claims.tables import write_tables

__all__ = ["Row", "ledger", "summary", "write", "write_tables"]
