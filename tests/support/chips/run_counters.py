"""Counters of runs that never were."""


def counts(
    events_in, events_out, lost=(0, 0, 0), chip_time_us=1.0, emulation_time_us=1.0, energy_j=0.0, reached=(0, 0, 0, 0.0)
):
    """Arguments of `hxloop.result.RunResult`, in one line."""
    return {
        "events_in": events_in, "events_out": events_out, "lost_in": lost[0], "lost_out": lost[1],
        "lost_late": lost[2], "chip_time_us": chip_time_us, "emulation_time_us": emulation_time_us,
        "energy_j_estimate": energy_j, "synaptic_events": reached[0], "cadc_reads": reached[1],
        "madc_reads": reached[2], "circuit_time_us": reached[3],
    }  # fmt: skip
