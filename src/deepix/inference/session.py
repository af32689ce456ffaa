"""ONNX Runtime, and nowhere else: how a model is opened, and on which device."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TYPE_CHECKING, TypeAlias

from deepix.errors import InputError, reason
from deepix.threads import count

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

# its official builds send events to Microsoft, and keep an identifier for it, unless this is set before it is imported
# (https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md); Deepix tells nobody anything
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

Session: TypeAlias = "InferenceSession"
"""An opened model, as ONNX Runtime has it."""

PROVIDERS: dict[str, dict[str, str]] = {
    "CUDAExecutionProvider": {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"},  # the same result each time
    "ROCMExecutionProvider": {},
    "DmlExecutionProvider": {},
    "CoreMLExecutionProvider": {},
    "OpenVINOExecutionProvider": {},
    "CPUExecutionProvider": {},
}
"""ONNX Runtime's execution providers, with their options; those that are installed are used, the first ones first."""


def preload() -> None:
    """Import ONNX Runtime, which takes a while: a caller may do it beside other work."""
    import onnxruntime  # noqa: F401


def open_session(
    content: bytes, name: str, threads: int | None = None, wanted: Collection[str] = tuple(PROVIDERS)
) -> InferenceSession:
    """Open an ONNX model so that it gives the same results on every run.

    Parameters
    ----------
    content : of the .onnx file
    name : what messages call the model
    threads : that one run may use; None: one for each core that this process may run on
    wanted : names of `PROVIDERS` that may be used

    Raises
    ------
    InputError : not a model that ONNX Runtime can use
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # 0 is one for each physical core of the machine, tied to it even if this process was given other cores
    options.intra_op_num_threads = threads or (0 if count() == os.cpu_count() else count())
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.enable_mem_pattern = False  # inputs differ in size
    options.log_severity_level = 3
    # threads that wait for work take the processor from the NumPy between two runs
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    available = onnxruntime.get_available_providers()
    providers = [
        (provider, settings) for provider, settings in PROVIDERS.items() if provider in available and provider in wanted
    ]
    try:
        return onnxruntime.InferenceSession(content, options, providers=providers)
    # ONNX Runtime has an exception of its own for each kind of damage, all of them derived from Exception only
    except Exception as error:
        raise InputError(f"{name}: not an ONNX model that can be used ({reason(error)})") from error
