"""What a chip and its board consume, item by item: figures with their sources, and sums over what was counted."""
