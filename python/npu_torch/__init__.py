"""A PyTorch device, "npu", backed by a software-emulated inference chip.

Importing this package, or PyTorch itself where the package is installed, registers the device:
afterwards `tensor.to("npu")` works and `torch.npu` exists.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback

__version__ = "0.1.0"

_TORCH_SERIES = "2.13."

# True while PyTorch, itself being imported, loads this package through its entry point. A failure
# is then reported, but must not make `import torch` fail.
_autoloading = bool(
    getattr(getattr(sys.modules.get("torch"), "__spec__", None), "_initializing", False)
)
_autoload_failed = False


def _autoload() -> None:
    """Entry point that `import torch` calls. The import of this package has done the work.

    It stands above the import of torch, which may call it before this module has finished.
    """
    if _autoload_failed:
        del sys.modules[__name__]  # so that a later `import npu_torch` tries, and raises, again


def _load() -> None:
    import torch

    if not torch.__version__.startswith(_TORCH_SERIES):
        raise ImportError(
            f"npu_torch is built for PyTorch {_TORCH_SERIES}x and found {torch.__version__}; "
            f"install torch=={_TORCH_SERIES}0"
        )
    if importlib.util.find_spec("npu_torch._C") is None:
        raise ImportError("npu_torch is not built yet: run `make build` in its source tree")
    from npu_torch import npu  # loads the libraries, which register the device as "npu"

    if getattr(torch, "npu", None) is npu:
        return  # a second import of this module
    torch.utils.rename_privateuse1_backend("npu")
    torch._register_device_module("npu", npu)
    torch.utils.generate_methods_for_privateuse1_backend(
        for_tensor=True, for_module=True, for_packed_sequence=True, for_storage=True
    )


try:
    _load()
except Exception:
    if not _autoloading:
        raise
    _autoload_failed = True
    print("npu_torch: the device 'npu' is not available:", file=sys.stderr)
    traceback.print_exc(limit=-4)
