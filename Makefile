# `make demo` and `make test` do everything that they need themselves. `make help` lists the rest.

PYTHON ?= python3
JOBS ?= $(shell nproc)
# Where the default package index would bring PyTorch's CUDA build: the index of the CPU builds.
TORCH_INDEX_URL ?=
PYTEST_FLAGS ?= -q -n $(JOBS)

VENV := .venv
PY := $(VENV)/bin/python
# vLLM's pins differ, so it has an environment of its own.
VLLM_VENV := .venv-vllm
VLLM_PY := $(VLLM_VENV)/bin/python
VLLM_PORT ?= 8000
VLLM_FLAGS ?= --dtype float32
# And so do SGLang's.
SGLANG_VENV := .venv-sglang
SGLANG_PY := $(SGLANG_VENV)/bin/python
SGLANG_PORT ?= 30000
SGLANG_FLAGS ?= --dtype float32 --enable-metrics
BUILD := build
SANITIZE_BUILD := build-sanitize

DEBIAN_PACKAGES := g++ git cmake ninja-build ccache mold python3-dev python3-venv \
	libfmt-dev libgtest-dev libsleef-dev libtomlplusplus-dev libxbyak-dev libxsmm-dev \
	nlohmann-json3-dev

CPP_FILES = $(wildcard $(shell git ls-files '*.h' '*.cpp' '*.c'))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

.PHONY: help setup packages build demo serve-vllm serve-sglang test test-all test-cpp test-python \
	test-python-all test-serving test-serving-smoke test-vllm test-sglang test-sanitize lint format bench clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

# Set-up ------------------------------------------------------------------------------------------

setup: packages $(VENV)/.package ## install Debian packages and make .venv with pinned packages

packages:
	@command -v dpkg-query > /dev/null || { \
	  echo "Not a Debian system; please install: $(DEBIAN_PACKAGES)"; exit 0; }; \
	missing=; for p in $(DEBIAN_PACKAGES); do case " $$(echo $(INSTALLED)) " in \
	  *" $$p "*) ;; *) missing="$$missing $$p" ;; esac; done; \
	if [ -n "$$missing" ]; then \
	  echo "Installing Debian packages:$$missing"; \
	  sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -qq; \
	  $$sudo env DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends $$missing > /dev/null; \
	fi

INSTALLED = $(shell dpkg-query -W -f '$${db:Status-Status} $${Package}\n' $(DEBIAN_PACKAGES) \
	2> /dev/null | sed -n 's/^installed //p')

$(VENV)/.requirements: requirements.txt requirements-dev.txt | packages
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "npu_torch needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Installing Python packages into $(VENV)"
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q "$$(grep '^pip==' requirements-dev.txt)"
	$(if $(TORCH_INDEX_URL),$(PY) -m pip install -q --index-url $(TORCH_INDEX_URL) \
	  "$$(grep '^torch==' requirements.txt)")
	$(PY) -m pip install -q -r requirements-dev.txt
	@touch $@

$(VENV)/.package: pyproject.toml $(VENV)/.requirements
	$(PY) -m pip install -q -e . --no-build-isolation --no-deps
	@touch $@

# Every package is named, so none is resolved; Python compiles of them what it imports. vLLM is built
# for no device, against the others.
$(VLLM_VENV)/.requirements: requirements-vllm.txt | packages
	@echo "Installing vLLM into $(VLLM_VENV)"
	test -x $(VLLM_PY) || $(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_PY) -m pip install -q "$$(grep '^pip==' $<)"
	$(if $(TORCH_INDEX_URL),$(VLLM_PY) -m pip install -q --no-deps --no-compile --index-url $(TORCH_INDEX_URL) \
	  "$$(grep '^torch==' $<)")
	grep -v '^vllm==' $< > $(VLLM_VENV)/requirements.txt
	$(VLLM_PY) -m pip install -q --no-deps --no-compile -r $(VLLM_VENV)/requirements.txt
	vllm="$$(grep '^vllm==' $<)"; \
	VLLM_VERSION_OVERRIDE="$${vllm#vllm==}" VLLM_TARGET_DEVICE=empty $(VLLM_PY) -m pip install -q \
	  --no-deps --no-compile --no-build-isolation --no-binary vllm "$$vllm"
	@touch $@

$(VLLM_VENV)/.package: pyproject.toml $(VLLM_VENV)/.requirements
	$(VLLM_PY) -m pip install -q -e . --no-build-isolation --no-deps
	@touch $@

# Every package is named here, too.
$(SGLANG_VENV)/.requirements: requirements-sglang.txt | packages
	@echo "Installing SGLang into $(SGLANG_VENV)"
	test -x $(SGLANG_PY) || $(PYTHON) -m venv $(SGLANG_VENV)
	$(SGLANG_PY) -m pip install -q "$$(grep '^pip==' $<)"
	$(if $(TORCH_INDEX_URL),$(SGLANG_PY) -m pip install -q --no-deps --index-url $(TORCH_INDEX_URL) \
	  "$$(grep '^torch==' $<)")
	$(SGLANG_PY) -m pip install -q --no-deps --no-compile -r $<
	@touch $@

$(SGLANG_VENV)/.package: pyproject.toml $(SGLANG_VENV)/.requirements
	$(SGLANG_PY) -m pip install -q -e . --no-build-isolation --no-deps
	@touch $@

# Build -------------------------------------------------------------------------------------------

$(BUILD)/build.ninja: | setup
	cmake -S . -B $(BUILD) -G Ninja -DPython3_EXECUTABLE=$(CURDIR)/$(PY)

build: setup $(BUILD)/build.ninja ## compile the machine, the SDK, the backend and their tests
	@ninja -C $(BUILD) -j$(JOBS)

# Use ---------------------------------------------------------------------------------------------

demo: build ## a small Llama writes text on the simulated NPU
	@$(VENV)/bin/npu-torch demo

serve-vllm: build $(VLLM_VENV)/.package ## OpenAI-compatible server with the shipped model (VLLM_PORT)
	@exec env VLLM_NO_USAGE_STATS=1 NPU_HBM_LIMIT="$${NPU_HBM_LIMIT:-4G}" \
	  $(VLLM_VENV)/bin/vllm serve \
	  python/npu_torch/demo/model --served-model-name npu-demo \
	  --host 127.0.0.1 --port $(VLLM_PORT) $(VLLM_FLAGS)

serve-sglang: build $(SGLANG_VENV)/.package ## OpenAI-compatible server with the shipped model (SGLANG_PORT)
	@exec env NPU_HBM_LIMIT="$${NPU_HBM_LIMIT:-4G}" $(SGLANG_VENV)/bin/sglang serve \
	  --model-path python/npu_torch/demo/model --served-model-name npu-demo \
	  --host 127.0.0.1 --port $(SGLANG_PORT) $(SGLANG_FLAGS)

bench: build ## every promised figure beside its bound, and plots (BENCH_FLAGS)
	@$(PY) benchmarks/run.py $(BENCH_FLAGS)

# Checks ------------------------------------------------------------------------------------------

test: build ## lint, C++ suites, a sample of the Python suites and of those of the serving engines
	@$(MAKE) lint
	@$(MAKE) test-cpp
	@$(MAKE) test-python
	@$(MAKE) test-serving-smoke

test-all: build ## everything, the slow tests too
	@$(MAKE) lint
	@$(MAKE) test-cpp
	@$(MAKE) test-python-all
	@$(MAKE) test-serving

test-cpp: build ## C++ suites: machine, SDK, C API conformance, backend
	@ctest --test-dir $(BUILD) --output-on-failure -j$(JOBS)

test-python: build ## Python suites without those marked slow
	@$(PY) -m pytest tests/python $(PYTEST_FLAGS)

test-python-all: build
	@$(PY) -m pytest tests/python $(PYTEST_FLAGS) -m "not serving"

test-serving: ## vLLM and SGLang on the device; writes the table of docs/serving.md
	@$(MAKE) test-vllm
	@$(MAKE) test-sglang
	@$(PY) tests/serving/feature_table.py

test-serving-smoke: # both at once, on two cores
	@$(MAKE) -j2 --output-sync=target test-vllm test-sglang SERVING=serving_smoke

SERVING ?= serving

test-vllm: build $(VLLM_VENV)/.package ## vLLM on the device
	@$(VLLM_PY) -m pytest tests/serving/vllm -q -m $(SERVING)

test-sglang: build $(SGLANG_VENV)/.package ## SGLang on the device
	@$(SGLANG_PY) -m pytest tests/serving/sglang -q -m $(SERVING)

test-sanitize: packages ## C++ suites under the address and undefined-behaviour sanitizers
	@test -f $(SANITIZE_BUILD)/build.ninja || cmake -S . -B $(SANITIZE_BUILD) -G Ninja \
	  -DNPU_SANITIZE=ON -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O1 -g1"
	@ninja -C $(SANITIZE_BUILD) -j$(JOBS)
	@ctest --test-dir $(SANITIZE_BUILD) --output-on-failure -j$(JOBS)

lint: setup ## clang-format, ruff and mypy, changing nothing
	@echo $(CPP_FILES) | xargs -r -n 16 -P $(JOBS) $(VENV)/bin/clang-format --dry-run -Werror
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

format: setup ## format C++ and Python sources in place
	@echo $(CPP_FILES) | xargs -r -n 16 -P $(JOBS) $(VENV)/bin/clang-format -i
	@$(VENV)/bin/ruff check --fix -q . || true
	@$(VENV)/bin/ruff format -q .

clean: ## remove what the build made
	rm -rf $(BUILD) $(SANITIZE_BUILD) python/npu_torch/lib python/npu_torch/_C*.so

distclean: clean ## and the virtual environment
	rm -rf $(VENV) $(VLLM_VENV) $(SGLANG_VENV) python/*.egg-info .mypy_cache .ruff_cache .pytest_cache
