"""Chips and their serial numbers as people write them."""
