"""Settings for all tests."""

from hypothesis import settings

# Machines that run tests are busy: a slow example is not a failure. The examples are the same in every run.
settings.register_profile("hxloop", deadline=None, derandomize=True)
settings.load_profile("hxloop")
