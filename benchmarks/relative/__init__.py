"""The working tree beside another one, and beside other simulators, in one interleaved run."""
