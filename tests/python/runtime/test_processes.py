import signal


def test_use_after_fork_is_refused(run_python):
    result = run_python(
        """
        import os, torch
        x = torch.ones(2, device="npu")
        if os.fork() == 0:
            assert torch.npu._is_in_bad_fork()
            torch.manual_seed(1)
            del x  # touches nothing of the parent's
            try:
                torch.ones(2, device="npu")
            except RuntimeError as error:
                os._exit(7 if "spawn" in str(error) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
        assert x.cpu().tolist() == [1, 1]
        """
    )
    assert result.returncode == 0, result.stderr


def test_fork_before_use_is_fine(run_python):
    result = run_python(
        """
        import os, torch
        torch.manual_seed(1)
        assert torch.npu.device_count() == 2
        if os.fork() == 0:
            os._exit(int(torch.ones(2, device="npu").cpu().sum()))
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 2
        """
    )
    assert result.returncode == 0, result.stderr


def test_host_access_to_device_memory_is_reported(run_python):
    result = run_python(
        """
        import ctypes, torch
        x = torch.ones(100, device="npu:1")
        print(hex(x.data_ptr()), flush=True)
        ctypes.string_at(x.data_ptr() + 8, 4)
        """
    )
    assert result.returncode == -signal.SIGSEGV
    address = hex(int(result.stdout, 16) + 8)
    assert address in result.stderr and "1" in result.stderr.split(address)[0] + result.stderr
    assert "device" in result.stderr


def test_exit_with_work_under_way(run_python):
    result = run_python(
        """
        import torch
        kept = [torch.ones(1 << 20, device="npu").add(1) for _ in range(20)]
        """
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_exit_from_a_thread_that_used_the_device(run_python):
    result = run_python(
        """
        import threading, torch
        def work():
            with torch.npu.stream(torch.npu.Stream()):
                torch.ones(100, device="npu").cpu()
        threads = [threading.Thread(target=work) for _ in range(4)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        """
    )
    assert (result.returncode, result.stderr) == (0, "")
