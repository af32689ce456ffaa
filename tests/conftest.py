"""Fixtures that several files of tests use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

# copied into a folder by the tests that use it
collect_ignore = ["toy"]

# how long an example takes depends on what else the machine does
settings.register_profile("deepix", deadline=None)
settings.load_profile("deepix")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """PyTorch with one thread: the tests themselves run side by side."""
    import torch  # here: most tests do without it

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
