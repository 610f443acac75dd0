"""The claim ledger: what of the paper holds, row by row. rules.py decides, ledger.py writes, words.py sums up."""

from acprop.report.claims.ledger import ledger, write
from acprop.report.claims.row import Row
from acprop.report.claims.tables import paper_tables
from acprop.report.claims.words import findings, mutants_table, summary

__all__ = ["Row", "findings", "ledger", "mutants_table", "paper_tables", "summary", "write"]
