"""Listeners to the progress of trainings and calibrations."""

from hxloop.progress import Message


class Heard:
    """Keeps what was told."""

    def __init__(self):
        self.events = []

    def __call__(self, event):
        self.events.append(event)

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def messages(self):
        return [event.text for event in self.of(Message)]


class Stop(Heard):
    """Ctrl-C at an event of a kind, after so many of them."""

    def __init__(self, kind, after=1):
        super().__init__()
        self.kind, self.after = kind, after

    def __call__(self, event):
        super().__call__(event)
        if isinstance(event, self.kind) and len(self.of(self.kind)) == self.after:
            raise KeyboardInterrupt
