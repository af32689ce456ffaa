"""Fixtures that several files of tests use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture(scope="session")
def refiner_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A refiner and an adversary of random weights, exported once: it takes a while."""
    import models  # here: it needs PyTorch, and most tests do without it

    files: dict[str, Path] = models.write_refiner(tmp_path_factory.mktemp("refiner"))
    return files


@pytest.fixture(scope="module")
def refined(tmp_path_factory: pytest.TempPathFactory, refiner_files: dict[str, Path]) -> Iterator[str]:
    """The address of a server whose package ships this refiner."""
    import web_cases

    imported = web_cases.package(tmp_path_factory.mktemp("with"), refiner_files["refiner"])
    with web_cases.server(tmp_path_factory.mktemp("refined"), imported=imported) as (address, _):
        yield address
