"""What can be learned: tasks and their samples."""

from hxloop.task.dataset import Dataset, Kind, Split
from hxloop.task.definition import Task, n_outputs
from hxloop.task.spike_trains import SpikeTrains

__all__ = ["Dataset", "Kind", "SpikeTrains", "Split", "Task", "n_outputs"]
