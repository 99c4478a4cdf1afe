PYTHON ?= python3

.PHONY: dev

# Build in place: afterwards `PYTHONPATH=. python` imports versant from this folder.
dev:
	PYTHON="$(PYTHON)" tools/dev
