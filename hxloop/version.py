"""Version of the package; the wire protocol has its own (`hxloop.protocol.messages.PROTOCOL_VERSION`)."""

__version__ = "0.1.0"
