"""What rules at first spikes do about neurons that do not spike: the settings they share."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hxloop.kit.ranges import Decay, Fraction, NotNegative
from hxloop.rule import RuleSettings


class SilenceSettings(RuleSettings):
    """What is done about neurons that do not spike, and about gradients that are too large."""

    limits: list[Fraction] = Field(
        description="per population other than delay neurons: share of missing spikes above which the weights onto it "
        "are bumped; with lift, of a neuron"
    )
    silent: Literal["bump", "lift"] = Field(
        "bump", description="bump: batches with too many silent neurons raise weights instead of learning; lift: every "
        "batch learns, and silent neurons get a gradient of their own"
    )  # fmt: skip
    bump: NotNegative = Field(0.0005, description="first increase of the model weights")
    doubling: bool = Field(True, description="double it as long as the same population is bumped again")
    targeted: bool = Field(True, description="bump only the neurons that missed a spike")
    lift: NotNegative = Field(0.01, description="lift: weight of a silent membrane's distance beside the loss")
    wanted_lift: NotNegative | None = Field(
        None, description="lift: the same for an output that is silent in a sample of its label; none given: lift"
    )
    memory: Decay = Field(0.5, description="lift: what is left of a neuron's mean silence after a batch")
    max_dw_norm: NotNegative = Field(
        0.2, description="single weight gradients above: the sample is dropped for the weights of a neuron; 0: never"
    )
    soften: Fraction = Field(
        0.0, description="temperature: least slope of membranes at spikes, in thresholds per tau_syn, for derivatives; "
        "it gives them to spikes that the model does not have; 0: they diverge, and have none"
    )  # fmt: skip
