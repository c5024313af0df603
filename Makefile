# Two commands on a fresh machine: `make demo` and `make test`. Whichever is first sets up what both need, once.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python

.PHONY: help setup minkowski demo test sanitize lint doctor clean

help:
	@echo "make demo       pre-train a small network on a room it renders, and show what it learnt"
	@echo "make test       the whole test suite"
	@echo "make sanitize   the tests of the compiled kernels under AddressSanitizer and UndefinedBehaviorSanitizer"
	@echo "make lint       ruff, and mypy on the package"
	@echo "make doctor     what is installed, what is missing and how to mend it"
	@echo "make minkowski  install MinkowskiEngine, or say why not"
	@echo "make setup      only the environment in $(VENV) (PYTHON=python3.12 to choose the interpreter)"

setup:
	@$(PYTHON) -m sparse3d.installation.environment --venv $(VENV) $(if $(filter file,$(origin PYTHON)),--any-python)

minkowski: setup
	$(RUN) tools/build_minkowski.py --required

demo: setup
	$(RUN) tools/demo.py

test: setup
	$(RUN) -m pytest -q tests

sanitize: setup
	CXX=g++ SPARSE3D_NATIVE_FLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all" \
	LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
	$(RUN) -m pytest -q -s tests/sparse/test_native.py tests/sparse/test_amx.py tests/sparse/test_conv_norm.py tests/sparse/test_native_batch_norm.py tests/sparse/test_native_memory.py tests/sparse/test_native_matching.py tests/sparse/test_coordinates.py

lint: setup
	$(RUN) -m ruff check .
	$(RUN) -m mypy sparse3d

doctor: setup
	$(RUN) tools/doctor.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis sparse3d.egg-info
