# `make demo` and `make test` need nothing but Python 3.10+ with its venv module: each sets up
# a virtual environment in .venv, installs what it needs there once, then does its work.
#
#   make demo PHOTO=me.jpg     edit your own photo instead of the public-domain sample
#   make demo PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
#                              smaller download on Linux machines without an NVIDIA card
#   make test ARGS="-k slerp"  pass options on to pytest

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
TYPED  := cli lab latent_ops models nodes
PIP     = $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS)

.PHONY: demo test lint benchmark clean

demo: $(VENV)/.installed-demo
	$(BIN)/face-latents demo $(if $(PHOTO),"$(PHOTO)")

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest tests $(ARGS)

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@# The package takes its name from a link, so that a checkout folder may have any name.
	@mkdir -p $(VENV)/typecheck && ln -sfn "$(CURDIR)" $(VENV)/typecheck/face_latents
	MYPYPATH=$(VENV)/typecheck $(BIN)/mypy $(TYPED:%=-p face_latents.%)

benchmark: $(VENV)/.installed-demo
	$(BIN)/face-latents evaluate benchmark

clean:
	rm -rf $(VENV) out build *.egg-info

$(BIN)/python:
	@echo "Setting up $(VENV) (once; PyTorch is a large download)..."
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-%: $(BIN)/python pyproject.toml
	$(PIP) --editable ".[$*]"
	@touch $@
