"""The emulated chip and its service; started as `python -m hxloop_chip`, imported by nobody."""
