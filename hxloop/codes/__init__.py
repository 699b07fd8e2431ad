"""Codes of the analog parameters: nominal curves, operating points, calibration tables."""
