"""The daemon's I/O: sockets, connection file, the supervising process."""
