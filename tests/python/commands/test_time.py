import pytest

N1_BANDWIDTH = ("bandwidth_gbps = 2400", "bandwidth_gbps = 1200")


@pytest.fixture
def gemm(timed):
    """gemm(sizes, options...): the JSON object of a GEMM's time."""
    return lambda sizes, *options: timed("gemm", sizes, *options)


def test_result(gemm):
    result = gemm("1024x2048x512", "--dtype", "bf16", "--arch", "n1")
    assert result["kernel"] == "gemm" and result["sizes"] == "1024x2048x512"
    assert (result["dtype"], result["arch"]) == ("bf16", "n1")
    launch_ns = 2000
    assert result["ns"] == pytest.approx(launch_ns + result["device_ns"])
    assert result["macs"] == 1024 * 2048 * 512
    assert result["hbm_bytes"] >= 2 * (1024 * 2048 + 2048 * 512 + 1024 * 512)
    assert result["cycles"] == pytest.approx(result["device_ns"] * 1.4, rel=0.01)
    peak = 16 * 128 * 128 * 1.4  # multiply-accumulates a nanosecond
    utilization = result["macs"] / (result["device_ns"] * peak)
    assert result["matrix_utilization"] == pytest.approx(utilization, rel=0.01)
    assert result["wall_ms"] > 0 and result["bound_by"]
    assert 0 < result["hbm_utilization"] <= result["hbm_stream_efficiency"] < 1
    assert result["launches"] == 1 and [k["kernel"] for k in result["kernels"]] == ["gemm"]
    assert 0 < result["remembered_us"] < 1e3 * result["wall_ms"]
    queues = {"matrix": 1, "vector": 1, "load": 2, "store": 1, "scalar": 1}
    assert result["busy_cycles"].keys() == result["stall_cycles"].keys() == queues.keys()
    for engine, count in queues.items():
        total = result["busy_cycles"][engine] + result["stall_cycles"][engine]
        assert total == 16 * count * result["cycles"], engine


def test_padding_is_counted_apart(gemm):
    result = gemm("100x300x50", "--arch", "n1")
    assert result["macs"] == 100 * 300 * 50 and result["padded_macs"] > 0


def test_types_and_presets(gemm):
    size = "2048x2048x2048"
    by_type = {t: gemm(size, "--dtype", t, "--arch", "n1")["device_ns"] for t in ("bf16", "f32")}
    assert by_type["f32"] > 4 * by_type["bf16"]
    edge = gemm("512x512x512", "--arch", "n1-edge")
    assert edge["ns"] == pytest.approx(10000 + edge["device_ns"])
    assert edge["device_ns"] > 100 * gemm("512x512x512", "--arch", "n1")["device_ns"]


def test_no_tensor_data_is_touched(gemm):
    # 3 x 8 GiB of operands
    assert gemm("65536x65536x65536", "--arch", "n1")["wall_ms"] < 20000


def test_repeats_are_equal(gemm):
    first, second = (gemm("640x640x640") for _ in range(2))
    for result in (first, second):
        del result["wall_ms"], result["remembered_us"]
    assert first == second


def test_halved_bandwidth_in_a_copied_machine_file(gemm, machine_file):
    size = "64x4096x14336"
    halved = gemm(size, "--arch", machine_file(N1_BANDWIDTH))
    full = gemm(size, "--arch", "n1")
    assert 1.8 <= halved["device_ns"] / full["device_ns"] <= 2.1
    assert halved["macs"] == full["macs"] == 64 * 4096 * 14336
    # The tiles may differ, so operands may be read more than once.
    compulsory = 2 * (64 * 4096 + 4096 * 14336 + 64 * 14336)
    for result in (halved, full):
        assert compulsory <= result["hbm_bytes"] < 1.05 * compulsory


def test_set_changes_keys(gemm):
    size = "64x4096x14336"
    full = gemm(size, "--arch", "n1")
    value = gemm(size, "--arch", "n1", "--set", "hbm.bandwidth_gbps=1200")
    factor = gemm(size, "--arch", "n1", "--set", "hbm.bandwidth_gbps=x0.5")
    assert value["device_ns"] == factor["device_ns"] > 1.8 * full["device_ns"]
    cube = "4096x4096x4096"
    doubled = gemm(cube, "--arch", "n1", "--set", "matrix.rows=x2", "--set", "matrix.cols=256")
    assert doubled["device_ns"] < gemm(cube, "--arch", "n1")["device_ns"]


def test_machine_of_the_environment(gemm, monkeypatch):
    monkeypatch.setenv("NPU_ARCH", "n1-edge")
    assert gemm("64x64x64")["arch"] == "n1-edge"


def test_table(command):
    finished = command("time", "gemm", "256x256x256", "--arch", "n1")
    assert finished.status == 0
    assert "gemm 256x256x256 bf16 on n1" in finished.out and "device_ns" in finished.out


@pytest.mark.parametrize("sizes", ["64x64", "axbxc", "64x64x64x64", "-1x2x3", "64"])
def test_malformed_sizes(refused, sizes):
    # `--` keeps a leading minus from being read as an option
    line = refused("time", "--arch", "n1", "gemm", "--", sizes)
    assert f"'{sizes}'" in line and "MxKxN" in line


@pytest.mark.parametrize("sizes", ["0x64x64", "64x64x0", "99999999999x64x64"])
def test_sizes_out_of_range(refused, sizes):
    line = refused("time", "gemm", sizes)
    assert f"'{sizes}'" in line and "from 1 to 1,048,576" in line


def test_wrong_dtype(refused):
    line = refused("time", "gemm", "64x64x64", "--dtype", "fp4")
    assert "'fp4'" in line and "bf16" in line and "i8" in line


def test_wrong_machines(refused, machine_file, tmp_path):
    line = refused("time", "gemm", "64x64x64", "--arch", "n7")
    assert "'n7'" in line and "n1-edge" in line
    path = machine_file(("bandwidth_gbps = 2400", "bandwidth_gbps = -3"))
    line = refused("time", "gemm", "64x64x64", "--arch", path)
    assert path in line and "hbm.bandwidth_gbps" in line and "-3" in line
    path = machine_file(("bandwidth_gbps", "bandwith_gbps"))
    line = refused("time", "gemm", "64x64x64", "--arch", path)
    assert path in line and "bandwith_gbps" in line


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        ("hbm.bandwidth_gpbs=3", ["hbm.bandwidth_gpbs", "hbm.bandwidth_gbps"]),
        ("matrix.rows=0", ["matrix.rows", "0"]),
        ("matrix.rows=many", ["matrix.rows", "many"]),
        ("matrix.rows", ["matrix.rows", "="]),
        ("matrix.rows=x-1", ["matrix.rows"]),
    ],
)
def test_wrong_keys(refused, change, texts):
    line = refused("time", "gemm", "64x64x64", "--arch", "n1", "--set", change)
    for text in texts:
        assert text in line


def test_without_repeats(gemm):
    assert gemm("64x64x64", "--repeat", "0")["remembered_us"] is None


def test_unknown_kernel(command):
    finished = command("time", "conv", "64x64x64")
    assert finished.status == 2 and finished.out == ""
    assert "'conv'" in finished.err and "gemm" in finished.err
