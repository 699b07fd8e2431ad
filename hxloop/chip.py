"""The chip as training and calibration see it: an emulator behind a socket, one in-process, or silicon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from hxloop.kit.strict import Strict
from hxloop.naming.chip_name import in_brief, with_serial

if TYPE_CHECKING:
    from hxloop.codes.boot import BootSettings
    from hxloop.program import ChipConfig
    from hxloop.result import Readout, Recording, RunResult
    from hxloop.spec import ChipSpec
    from hxloop.spikes import SpikeBatch


class ChipIdentity(Strict):
    """Which chip this is; a run or a calibration is bound to it.

    Attributes
    ----------
    chip : str
        Named chip (silicon and boot settings): ``ideal``, ``typical``, ``rough``, ``uncalibrated``, or one of them with
        other strengths of imperfections, as in ``typical[jitter_trial_us=0]``.
    serial : int
        Serial number; the fixed-pattern mismatch is a function of it.
    spec : str
        Name of the datasheet.
    model : str
        Version of the chip's physics; results of different versions are not comparable bit by bit.
    """

    chip: str
    serial: int
    spec: str
    model: str

    def __str__(self) -> str:
        return with_serial(self.chip, self.serial)

    @property
    def brief(self) -> str:
        """For a line that people read: of many strengths only their number, and a digest."""
        return in_brief(self.chip, self.serial)

    def instead_of(self, expected: ChipIdentity) -> str:
        """What to call this chip where another was expected; their names may be the same."""
        return f"{self}" if str(self) != str(expected) else f"{self} with another model or datasheet"


@runtime_checkable
class Chip(Protocol):
    """What calibration and training are written against."""

    @property
    def spec(self) -> ChipSpec:
        """Datasheet."""

    @property
    def identity(self) -> ChipIdentity:
        """Name and serial."""

    @property
    def boot(self) -> BootSettings:
        """Codes the chip boots with and what they were calibrated for."""

    def configure(self, config: ChipConfig) -> str:
        """Write a configuration; later runs use it.

        Returns
        -------
        str
            `ChipConfig.sha256` of what is now configured.

        Raises
        ------
        InvalidInputError
            The chip refuses the configuration; the one before stays in force.
        """

    def run(
        self,
        inputs: SpikeBatch,
        *,
        duration_ticks: int,
        trial_seed: int = 0,
        first_sample: int = 0,
        record: Recording = "spikes",
        neurons: tuple[int, ...] | None = None,
        readout: Readout | None = None,
        config: ChipConfig | None = None,
    ) -> RunResult:
        """Run the samples one after the other, each from rest.

        Parameters
        ----------
        inputs : SpikeBatch
            External events; sources are input channels.
        duration_ticks : int
            Length of every sample in 8 ns ticks.
        trial_seed : int
            Names the trial: the temporal noise of sample ``k`` is a function of the chip, this number and
            ``first_sample + k`` only, so a batch may be split anywhere. Silicon ignores both.
        first_sample : int
            Number of the first sample within the trial.
        record : {"spikes", "first_spikes", "first_ticks"}
            What to send back. With ``first_spikes`` a sample may end as soon as all recorded neurons have spiked;
            ``events_out`` and ``lost_late`` count up to there. ``first_ticks`` gives the same as a dense array.
        neurons : tuple of int, optional
            Heads (circuit numbers) whose spikes are recorded and sent back, in any order; None: all. With
            ``first_ticks`` each once, for they are the columns. The spikes of others never take the link to the host,
            so that they cannot overload it; they count as ``events_out``.
        readout : Readout, optional
            What to observe beside spikes.
        config : ChipConfig, optional
            Configuration to write first, as `configure` does, in one go with the run. If configuration or run is
            refused, the configuration before stays in force.

        Raises
        ------
        InvalidInputError
            Input events, duration, readout or configuration outside the datasheet, or a neuron that is no configured
            head.
        SessionError
            No configuration was written before.
        """
