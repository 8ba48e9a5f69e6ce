# All set-up is done by the first target that needs it; `make reproduce` and `make test` work on a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CORES ?= all
TEST_PROCESSES ?= 2
SYSTEM_TESTS ?= tests
PORT ?= 5000
# uv does not read pip's settings, and without bytecode every first `import torch` costs seconds.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export UV_COMPILE_BYTECODE ?= 1

.PHONY: test-statistics setup reproduce report test test-system kill-grid lint mlflow verify reference clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("hocbench needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	touch $@

reproduce: $(READY)
	$(BIN)/snakemake --cores $(CORES)
	@echo "Done. Open results/embedded/report.html; \`make verify\` compares this run with the reference."

# One page about what there is; part of `make reproduce`.
report: $(READY)
	$(BIN)/snakemake --cores $(CORES) report

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --no-loadscope-reorder

# What needs real daemons (MLflow server, SLURM) or long grids; tests whose daemons are missing say so and are skipped.
test-system: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m system -rs $(SYSTEM_TESTS)

# Simulated test sets with known scores: do intervals and tests keep what they say? Some ten minutes.
test-statistics: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m statistics tests/studies

# 70-odd kills of trainings at random moments, some ten minutes; docs/reliability.md quotes the table.
kill-grid: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.system.kill_grid --out results/kill_grid

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

mlflow: $(READY)
	$(BIN)/hocbench mlflow ui --port $(PORT)

# Is the last embedded run what the committed reference is? docs/verify.md
verify: $(READY)
	$(BIN)/hocbench verify results/embedded

# Takes the last embedded run over into git, small files only.
REFERENCE := results/reference
reference: $(READY)
	$(BIN)/hocbench record results/embedded
	rm -rf $(REFERENCE)/figures
	mkdir -p $(REFERENCE)/figures
	cp results/embedded/tables/*.tex $(REFERENCE)/tables/
	cp results/embedded/figures/*.png $(REFERENCE)/figures/
	if [ -e results/embedded/data/data.md ]; then \
		mkdir -p $(REFERENCE)/data; cp results/embedded/data/data.csv results/embedded/data/data.md $(REFERENCE)/data/; fi
	if [ -e results/coverage/coverage.md ]; then \
		mkdir -p $(REFERENCE)/statistics; cd results/coverage; cp coverage.csv coverage.md coverage.png ../reference/statistics/; fi
	if [ -e results/embedded/speed/speed.md ]; then \
		mkdir -p $(REFERENCE)/speed; cd results/embedded/speed; cp bars.csv speed.md speed.png ../../reference/speed/; fi

# Keeps the environment; removes what the workflow made.
clean:
	rm -rf data/synthetic data/prepared results/embedded results/tiny results/verify logs .checkpoints .snakemake .mlflow
