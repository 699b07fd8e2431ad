"""Routines, one a file."""
