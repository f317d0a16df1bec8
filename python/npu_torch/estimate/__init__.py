"""How long kernels and model steps take on a machine, without tensor data.

An *estimator* (`npu_torch._C.Estimator`) is a device of any machine file whose tensors have
addresses but no contents: the kernel library launches on it as ever, and every launch is timed
instead of executed. A *question* makes the tensors that it needs and returns a function that
launches.
"""
