"""A page about a population of chips, for those who design or measure them. It looks inside; hosts cannot."""

from hxloop_chip.report.report_page import write_report

__all__ = ["write_report"]
