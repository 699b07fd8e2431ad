"""Published figures of chips beside ours, and what agrees."""
