"""A page about a population of chips, for those who design or measure them. It looks inside; hosts cannot."""

from chip_emulator.report.writing import write_report

__all__ = ["write_report"]
