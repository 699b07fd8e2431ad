"""What a rule hands to the chip: codes within limits, signs and masks, whatever the weights."""

import numpy as np
from support import own_network
from support.chips.grid_chip import GridChip
from support.training_parts import make_runner

from hxloop.rule import Observe
from hxloop.seeds import generator
from hxloop_host.network.building import build_network
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.training.assembly import runner_of


def test_clipping_in_place():
    runner = make_runner(load_settings("small"), GridChip())
    w, other = (np.zeros(runner.network.weight_shape(p)) for p in runner.network.projections)
    w[3, :4] = [-3.0, -2.1, 0.3, 2.2]
    runner.clip([w, other])  # 63 codes of 1/30
    np.testing.assert_array_equal(w[3, :5], [-2.1, -2.1, 0.3, 2.1, 0.0])


def test_codes_keep_signs_and_masks_of_any_weights():
    settings = own_network.settings()
    network = build_network(settings, 4)
    runner = runner_of(settings, network, GridChip(), None, Observe("none"))
    weights = [generator(1, "wild", k).normal(0, 5, network.weight_shape(p)) for k, p in enumerate(network.projections)]
    given = [w.copy() for w in weights]
    codes = runner.codes(weights)
    runner.placement.configure(codes)  # refuses codes against a sign or outside a mask
    for projection, code, before, after in zip(network.projections, codes, given, weights, strict=True):
        np.testing.assert_array_equal(before, after)
        low, high = network.limits(projection, 63)
        assert (
            (code >= np.rint(low * projection.scale_weights)) & (code <= np.rint(high * projection.scale_weights))
        ).all()
        assert np.abs(code).max() == 63
