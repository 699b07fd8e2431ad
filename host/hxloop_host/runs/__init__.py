"""Runs as files and folders."""
