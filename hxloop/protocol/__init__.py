"""What host and daemon say to each other: messages, their codec, and where they meet."""
