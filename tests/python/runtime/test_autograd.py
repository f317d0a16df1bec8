import threading

import torch
from torch.utils.checkpoint import checkpoint


def test_backward_of_a_module():
    torch.manual_seed(0)
    cpu = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3))
    npu = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3)).npu()
    npu.load_state_dict(cpu.state_dict())
    x = torch.randn(4, 5)
    cpu(x).square().sum().backward()
    npu(x.npu()).square().sum().backward()
    for mine, reference in zip(npu.parameters(), cpu.parameters(), strict=True):
        assert mine.grad.device.type == "npu"
        assert mine.grad.cpu().allclose(reference.grad, atol=1e-5)


def test_gradients_across_devices():
    x = torch.ones(3, requires_grad=True)
    y = (x.npu() * 2).to("npu:1")
    (y * torch.arange(3.0, device="npu:1")).cpu().sum().backward()
    assert x.grad.tolist() == [0, 2, 4]


def test_backward_runs_on_the_stream_of_forward():
    side = torch.npu.Stream()
    x = torch.ones(1000, device="npu", requires_grad=True)
    with torch.npu.stream(side):
        y = (x * 3).sum()
    side.synchronize()
    y.backward()
    assert x.grad.sum().item() == 3000


def test_backward_in_threads():
    results = []

    def work(k):
        x = torch.full((50,), float(k), device=f"npu:{k % 2}", requires_grad=True)
        (x * x).sum().backward()
        results.append((k, x.grad[0].item(), x.grad.device.index))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [(k, 2.0 * k, k % 2) for k in range(6)]


def test_checkpoint_restores_random_numbers():
    x = torch.ones(100, device="npu", requires_grad=True)
    drawn = []

    def forward(x):
        drawn.append(torch.rand(100, device="npu"))
        return (x * drawn[-1]).sum()

    checkpoint(forward, x, use_reentrant=True).backward()
    assert drawn[0].equal(drawn[1])
    assert x.grad.equal(drawn[0])


def test_hooks_see_device_tensors():
    seen = []
    x = torch.ones(2, device="npu", requires_grad=True)
    y = x * 2
    y.register_hook(lambda grad: seen.append(grad.device.type))
    y.sum().backward()
    assert seen == ["npu"]


def test_optimizer_step():
    parameter = torch.nn.Parameter(torch.ones(3, device="npu"))
    for make in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):
        optimizer = make([parameter], lr=0.1)
        before = parameter.detach().cpu().clone()
        parameter.square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        assert (parameter.detach().cpu() < before).all()
