"""Networks, and where they go on the chip."""
