"""The style of pictures: one palette, and larger letters where a picture stands alone."""

import pytest

from hxloop.kit.figures import COLORS, color_of, draw, draw_alone


def test_colors_are_told_apart_and_repeat_only_where_they_end():
    assert len({color_of(k) for k in range(len(COLORS))}) == len(COLORS) == 8
    assert [color_of(k) for k in range(8, 16)] == list(COLORS)


@pytest.mark.parametrize(("drawn", "points", "dpi"), [(draw, 8, 100), (lambda *a: draw_alone(*a, "png")[0], 9, 200)])
def test_pictures_that_stand_alone_have_larger_letters_and_more_dots(drawn, points, dpi):
    seen = []

    def fill(figure):
        axes = figure.subplots()
        axes.plot([0, 1], label="line")
        seen.append((axes.set_title("title").get_fontsize(), axes.xaxis.get_label().get_fontsize()))
        seen.append(axes.legend().get_texts()[0].get_fontsize())

    png = drawn(3.0, 2.0, fill)
    assert seen == [(points, points), 9 if points == 9 else 7]
    assert [int.from_bytes(png[at : at + 4], "big") for at in (16, 20)] == [3 * dpi, 2 * dpi]
