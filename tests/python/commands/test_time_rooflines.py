"""How close the library's kernels come to what `n1` could do at best, launch cost apart."""

import pytest

# The share of the peak matrix rate (useful multiply-accumulates), or of the bandwidth that streams
# get (peak times hbm_stream_efficiency), that a kernel reaches at least.
HEADS = "--heads 32 --kv-heads 8 --head-dim 128"
MATRIX = [
    ("gemm 4096x4096x4096", 0.90),
    ("gemm 2048x2048x2048", 0.80),
    (f"attention {HEADS} --tokens 4096 --causal", 0.75),
]
STREAM = [
    ("gemm 64x4096x14336", 0.92),
    (f"paged_attention --batch 64 {HEADS} --context 2048 --block 16", 0.88),
    ("rms_norm 16384x4096", 0.95),
    ("softmax 16384x4096", 0.95),
    ("silu_and_mul 16384x4096", 0.95),
    ("cast 64Mi", 0.95),
    ("copy 64Mi", 0.95),
]


@pytest.mark.parametrize(("question", "least"), MATRIX)
def test_matrix_rate(timed, question, least):
    assert timed(question, "--arch n1")["matrix_utilization"] >= least


@pytest.mark.parametrize(("question", "least"), STREAM)
def test_stream_bandwidth(timed, question, least):
    result = timed(question, "--arch n1")
    assert result["hbm_utilization"] / result["hbm_stream_efficiency"] >= least
