"""Which operators the device runs, measured with the samples of PyTorch's own operator database.

`database` names the operators, `transfer` moves samples to the device as they are, `survey` runs
them and notes fallbacks, `parity` compares results with the CPU's, `overloads` notes which of the
dispatcher's operators are called, and `pool` does any of this in worker processes that may crash.
"""
