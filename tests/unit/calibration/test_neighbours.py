"""Shares of variance that neighbours have in common, in fields that are made here."""

import numpy as np
import pytest

import hxloop
from hxloop_calibration.characterising.measurements import Measurements
from hxloop_calibration.characterising.neighbours import QUANTITIES, interval, of_chip, share
from hxloop_calibration.characterising.variances import Variance

CHIP = hxloop.ChipIdentity(chip="ours", serial=3, spec="HICANN-X v3", model="silicon")


def chip(rng, rho):
    """Measurements whose circuits have a quarter of their field by a slope, a quarter by columns, and a slow half."""
    arrays = {}
    for name, bend in QUANTITIES.items():
        x = np.linspace(-1.0, 1.0, 256)
        slope = rng.normal() * x / np.sqrt(np.mean(x**2))
        knots = rng.normal(size=(2, 9))
        slow = np.stack([np.interp(np.arange(256) / 32, np.arange(9), row) for row in knots])
        share = np.arange(256) / 32 % 1.0
        slow /= np.sqrt((1 - share) ** 2 + share**2)
        field = np.sqrt(0.25) * slope + np.sqrt(0.25) * rng.normal(size=256) + np.sqrt(0.5) * slow
        x = np.sqrt(1 - rho) * rng.normal(size=512) + np.sqrt(rho) * field.ravel()
        measured = 0.2 * x + 0.02 * rng.normal(size=(2, 512))
        arrays[name] = np.exp(measured) if bend is np.log else measured
    return Measurements(CHIP, arrays)


@pytest.mark.parametrize("rho", [0.0, 0.2, 0.6])
def test_shares_lie_in_their_intervals(rho):
    rng, inside, found = np.random.default_rng(5), 0, []
    for _ in range(60):
        value, low, high = interval([chip(rng, rho)])
        inside += low <= rho <= high
        found.append(value)
    assert inside >= 50  # 57 on average; the end at 0 holds 0 more often
    assert np.mean(found) == pytest.approx(rho, abs=0.05)


def test_circuits_that_are_alike_are_fewer_draws():
    alone, alike = chip(np.random.default_rng(1), 0.0), chip(np.random.default_rng(2), 0.5)
    gross = Variance(2.0, 511)
    assert of_chip(gross, alone).freedom > 400
    assert of_chip(gross, alone).value == pytest.approx(2.0, rel=0.02)
    assert of_chip(gross, alike).freedom < 100
    # The share of the variance of sample variances that the field has, drawn again.
    rng = np.random.default_rng(3)
    variances = [np.var(chip(rng, 0.5)["nominal/v_reset_mv"][0]) for _ in range(300)]
    expected = 2.0 * np.mean(variances) ** 2 / np.var(variances)
    assert of_chip(gross, alike).freedom == pytest.approx(expected, rel=0.6)


@pytest.mark.parametrize("rho", [0.0, 0.05, 0.3])
def test_a_share_that_cannot_be_below_0_is_as_unsure_as_it_says(rho):
    """Shares of chips, and how far they are off in units of what they say: about one."""
    rng = np.random.default_rng(6)
    found = np.array([share(chip(rng, rho)) for _ in range(60)])
    assert (found > 0).all()
    off = (found[:, 0] - rho) / found[:, 1]
    assert np.sqrt(np.mean(off**2)) < 1.7
    assert np.mean(found[:, 1]) < 0.1


def test_few_quantities_tell_nothing():
    arrays = dict(chip(np.random.default_rng(4), 0.9).arrays)
    few = Measurements(CHIP, {name: arrays[name] for name in list(arrays)[:3]})
    assert share(few) == (0.0, 0.0)
