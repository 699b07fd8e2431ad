"""Codes of neurons that shall have certain values, as the host would choose them."""

import numpy as np

from hxloop.codes.operating_point import Wanted, codes_for, nominal_boot
from hxloop.spec import HICANN_X


def neuron_codes(circuit=(0,), head=None, *, boot=None, spec=HICANN_X, **wanted):
    """Codes of circuits; values that are not named are those of the boot settings' operating point.

    Parameters
    ----------
    circuit : sequence of int
    head : sequence of int, optional
        Every circuit on its own by default.
    boot : BootSettings, optional
        Nominal ones by default.
    spec : ChipSpec
    **wanted : float or sequence of float
        Fields of `hxloop.codes.operating_point.Wanted`; ``tau_syn_us`` stands for both time constants.
    """
    circuit = np.asarray(circuit, np.int16)
    boot = boot or nominal_boot(spec)
    head = None if head is None else np.asarray(head, np.int16)
    return codes_for(Wanted.at(boot.target, circuit, head, **wanted), boot, spec)
