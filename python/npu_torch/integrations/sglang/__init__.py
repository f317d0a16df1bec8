"""SGLang's out-of-tree platform for the npu.

SGLang finds it through the entry points `sglang.srt.platforms` and `sglang.srt.plugins`; nothing
here imports SGLang before SGLang itself asks for it.
"""

from __future__ import annotations

import importlib.abc
import logging
import multiprocessing
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

SGLANG_SERIES = "0.5.21"


def activate() -> str | None:
    """Entry point `sglang.srt.platforms`: the platform's class path, or None without a device.

    SGLang's own choice of the CPU, SGLANG_USE_CPU_ENGINE=1, wins.
    """
    import torch

    from npu_torch.integrations.sglang.torchvision_schemas import declare

    declare()
    if not _settle_is_npu():
        sys.meta_path.insert(0, _SettleAtNextImport())
    npu = getattr(torch, "npu", None)
    if npu is None or not npu.is_available() or os.environ.get("SGLANG_USE_CPU_ENGINE") == "1":
        return None
    return "npu_torch.integrations.sglang.platform.NpuPlatform"


def register() -> None:
    """Entry point `sglang.srt.plugins`, called in every process of the engine."""
    from sglang.srt.platforms import current_platform

    _settle_is_npu()
    if current_platform.device_type != "npu":
        return
    from npu_torch.integrations.serving_time import share
    from npu_torch.integrations.sglang import patches

    patches.register()
    if multiprocessing.parent_process() is None:
        # SGLang kills a scheduler rather than ends it; this process then tells its latencies.
        share(logging.getLogger(__name__).info, metrics=False)


def _settle_is_npu() -> bool:
    """Let SGLang's `is_npu()`, which caches its answer, say no; False where it is not defined yet.

    It takes the mere existence of `torch.npu` for Huawei's device, and would import torch_npu.
    """
    import torch

    is_npu = getattr(sys.modules.get("sglang.srt.utils.common"), "is_npu", None)
    if is_npu is None:
        return False
    npu = torch.__dict__.get("npu")
    if npu is not None:
        del torch.npu
    try:
        is_npu()
    finally:
        if npu is not None:
            torch.npu = npu
    return True


class _SettleAtNextImport(importlib.abc.MetaPathFinder):
    """Settles `is_npu()` at the first import after its definition.

    SGLang asks for its platform in the middle of the module that goes on to define `is_npu()`, and
    imports other modules before it calls it.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> Any:
        """Find nothing; the import only tells that time has passed."""
        if _settle_is_npu() and self in sys.meta_path:
            sys.meta_path.remove(self)
        return None
