import sys

import torch


def test_autoload_by_import_torch(run_python):
    result = run_python("import torch; print(torch.ones(3).to('npu').device)")
    assert result.stdout == "npu:0\n", result.stderr


def test_import_twice_and_reload_the_device(run_python):
    result = run_python(
        """
        import torch, sys
        import npu_torch, npu_torch
        del sys.modules["npu_torch"]
        import npu_torch
        assert torch.ones(2, device="npu").sum().item() == 2
        """
    )
    assert result.returncode == 0, result.stderr


def test_failed_autoload_shows_its_cause_and_leaves_torch(run_python):
    code = """
        import sys, importlib.abc
        class Refuse(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path, target=None):
                if name == "npu_torch.npu":
                    raise ImportError("the cause")
        sys.meta_path.insert(0, Refuse())
        import torch
        print(torch.ones(2).sum().item(), hasattr(torch, "npu"))
        try:
            import npu_torch
        except ImportError as error:
            print("raised:", error)
        """
    result = run_python(code)
    assert result.stdout == "2.0 False\nraised: the cause\n", result.stdout + result.stderr
    assert "Traceback" in result.stderr and "ImportError: the cause" in result.stderr


def test_another_torch_is_refused(run_python):
    result = run_python(
        """
        import torch
        torch.__version__ = "2.12.1"
        import npu_torch
        """,
        TORCH_DEVICE_BACKEND_AUTOLOAD="0",
    )
    assert result.returncode == 1
    assert "2.13" in result.stderr and "2.12.1" in result.stderr


def test_names():
    assert torch._C._get_privateuse1_backend_name() == "npu"
    assert torch.get_device_module("npu") is torch.npu is sys.modules["torch.npu"]
    assert torch.ones(1).npu().is_npu
    assert torch.nn.Linear(2, 2).npu().weight.device.type == "npu"
    assert torch.ones(1).untyped_storage().npu().device.type == "npu"


def test_exit_code_after_backward(run_python):
    result = run_python(
        """
        import torch
        x = torch.ones(4, 4, device="npu", requires_grad=True)
        (x * x).sum().backward()
        print(x.grad.cpu().sum().item())
        """
    )
    assert (result.returncode, result.stdout) == (0, "32.0\n"), result.stderr
