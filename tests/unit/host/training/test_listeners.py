"""Listeners of trainings: the code in docs/your-own.md, and what they hear."""

import re
from functools import partial

from support.chips.grid_chip import GridChip
from support.listeners import Heard
from support.places import ROOT
from support.training_parts import few_samples

import hxloop
from hxloop.progress import Doing, Ended, EpochDone, Message, Started
from hxloop_host.training.experiment import train

BLOCK = re.findall(
    r"## A listener of your own.*?```python\n(.*?)```",
    (ROOT / "docs" / "your-own.md").read_text(encoding="utf-8"),
    flags=re.DOTALL,
)[0]


def test_the_code_of_the_page_hears_the_losses(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hxloop, "train", partial(train, preset=few_samples()))
    names = {"chip": GridChip()}
    exec(compile(BLOCK, "your-own.md", "exec"), names)
    assert names["losses"] == [metrics.loss for metrics in names["run"].metrics] and len(names["losses"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines if line.startswith("epoch")] == ["epoch 1/2", "epoch 2/2"]


def test_epochs_and_batches_come_in_order_whatever_other_listeners_do(tmp_path):
    def broken(event):
        raise ValueError("no")

    heard = Heard()
    train(preset=few_samples(), chip=GridChip(), epochs=2, out=tmp_path / "run", report=[broken, heard])
    (said,) = heard.messages
    assert "broken listens no more" in said
    begun, *rest, ended = (event for event in heard.events if not isinstance(event, Message | Doing))
    assert isinstance(begun, Started) and ended == Ended()
    named = "yin-yang, preset custom, rule fast_and_deep, beginning drawn, network 25-20-3, chip "
    assert named in begun.title and begun.title.endswith(", seed 0")
    doing = [event.text for event in heard.of(Doing)]
    assert set(doing[0::2]) <= {"loading kernels", "beginning, drawn", "testing"} and set(doing[1::2]) <= {""}, (
        doing
    )  # what took long
    assert (begun.total, begun.unit, begun.done, begun.part) == (2, "epoch", 0, "batch")
    told = [("epoch", e.epoch) if isinstance(e, EpochDone) else (e.done, e.part) for e in rest]
    assert begun.parts == 200 // 40
    batches = range(1, begun.parts + 1)
    assert told == [*((0, b) for b in batches), ("epoch", 1), *((1, b) for b in batches), ("epoch", 2)]
    found = rest[-1]
    assert {"loss", "train_accuracy", "chip_time_s", "speedup_over_biology"} <= set(found.columns) and found.text
