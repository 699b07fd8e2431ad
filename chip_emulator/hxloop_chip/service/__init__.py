"""The daemon's logic: requests, sessions, replies. No sockets, no physics."""
