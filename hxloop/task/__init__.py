"""What can be learned: tasks and their samples."""

from hxloop.task.dataset import Dataset, Kind, Split, check_split
from hxloop.task.definition import Task, n_outputs
from hxloop.task.sample_arrays import digest_of, feature_sets, spike_sets
from hxloop.task.spike_trains import MOST_CHANNELS, SpikeTrains

__all__ = [
    "MOST_CHANNELS",
    "Dataset",
    "Kind",
    "SpikeTrains",
    "Split",
    "Task",
    "check_split",
    "digest_of",
    "feature_sets",
    "n_outputs",
    "spike_sets",
]
