"""Ways to a chip: client, transport, and daemons of one's own."""
