"""The checkpoint that a run resumes from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from deepix.errors import InputError
from deepix.training.engine.callbacks import LAST, steps_in


class AtomicFiles(TorchCheckpointIO):
    """Checkpoints that are there whole or not at all; Lightning's own pass through a folder on maybe another disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint beside the place, flush it to the disk, and move it there."""
        temporary = Path(f"{path}.part")
        try:
            with temporary.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except RuntimeError as error:  # PyTorch's zip writer hides the system's error
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise
        finally:
            temporary.unlink(missing_ok=True)


def used(run: Path | str) -> tuple[int, float]:
    """Return how many steps and seconds of its budget a run had used at its checkpoint.

    Raises
    ------
    InputError : the checkpoint is damaged
    """
    checkpoint = Path(run) / LAST
    try:
        state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        return steps_in(state), float(state["callbacks"]["Budget"]["used"])
    except OSError:
        raise
    except Exception as error:  # PyTorch raises whatever its zip reader and unpickler happen to
        raise InputError(
            f"{checkpoint}: a damaged checkpoint; go on from the run's best weights in a new run: "
            f"deepix train {checkpoint.parent} …"
        ) from error
