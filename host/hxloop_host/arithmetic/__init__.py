"""Compiled arithmetic: the same bits wherever it runs."""
