"""A second local user, real where tests run as root: what he does happens in a child with his user id."""

from __future__ import annotations

import json
import os
import traceback

import pytest

NOBODY = 65534

needs_second_user = pytest.mark.skipif(
    os.getuid() != 0, reason="NOT TESTED: what a second local user gets; run the tests as root to have one"
)


def as_second_user(action, *arguments):
    """Result of a function, as JSON has it, in a child that is user `NOBODY`; `OSError` comes back as its name."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.umask(0)
            try:
                result = action(*arguments)
            except OSError as error:
                result = type(error).__name__
            os.write(writer, json.dumps(result).encode())
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        content = file.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, "the second user's part failed"
    return json.loads(content)
