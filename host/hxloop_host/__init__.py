"""The computer beside the chip: client, mapping, coding, learning rules, training, plots."""
