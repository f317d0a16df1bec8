import torch


def test_pinned_memory():
    x = torch.arange(10.0).pin_memory()
    assert x.is_pinned() and not torch.arange(10.0).is_pinned()
    assert torch.empty(5, pin_memory=True).is_pinned()
    assert x.npu().cpu().tolist() == list(range(10))
    assert x[2:].is_pinned() and not x.clone().is_pinned()


def test_non_blocking_copies():
    source = torch.arange(100000).pin_memory()
    device = source.to("npu", non_blocking=True)
    target = torch.empty(100000, dtype=torch.int64, pin_memory=True)
    target.copy_(device, non_blocking=True)
    torch.npu.synchronize()
    assert target.equal(source)


def test_pinned_memory_is_not_reused_while_a_copy_reads_it():
    results = []
    for i in range(50):
        source = torch.full((20000,), float(i), pin_memory=True)
        results.append(source.to("npu", non_blocking=True))
        del source
    assert all((result.cpu() == i).all() for i, result in enumerate(results))


def test_blocking_copy_may_be_overwritten_at_once():
    source = torch.zeros(1 << 20, pin_memory=True)
    device = source.npu()
    source.fill_(1)
    assert device.cpu().sum().item() == 0


def test_cache_can_be_emptied():
    torch.empty(1000, pin_memory=True)
    torch.accelerator.empty_host_cache()


def test_emptying_an_unused_cache(run_python):
    result = run_python("import torch; torch.accelerator.empty_host_cache()")
    assert (result.returncode, result.stderr) == (0, "")


def test_data_loader_pins():
    data = torch.utils.data.TensorDataset(torch.arange(6))
    loader = torch.utils.data.DataLoader(data, batch_size=3, pin_memory=True)
    for (batch,) in loader:
        assert batch.is_pinned()
