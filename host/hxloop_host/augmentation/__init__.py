"""How training batches are changed before they are sent to the chip, one file a step."""
