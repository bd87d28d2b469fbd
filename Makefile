# `make demo` and `make test` work on a fresh machine: each makes `.venv` and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo-data
OUT := demo-dataset
LOOK := demo-preview
FUZZ := --workers 2

.PHONY: demo test check bench cluster docs fuzz kills readers clean

$(BIN)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ $(BIN)/.core

# What a reader or publisher needs, without what the tests need.
$(BIN)/.core: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

# The main job on drawn images: an archive becomes a dataset, stock `datasets` reads it, and there is something to look at.
demo: $(BIN)/.core
	$(BIN)/asam-datasets demo $(DEMO)
	$(BIN)/python -m asam_datasets.publish --train $(DEMO)/sa_000000.tar \
	  --captions $(DEMO)/sa_000000-blip2-caption.json --title "Drawn images" --license cc0-1.0 --out $(OUT)
	$(BIN)/python -c "from datasets import load_dataset; print(next(iter(load_dataset('./$(OUT)', split='train', streaming=True)))['caption'])"
	$(BIN)/asam-datasets preview $(OUT) --out $(LOOK)/sheet.png
	$(BIN)/asam-datasets preview $(OUT) --out $(LOOK)/page.html
	@echo
	@echo "Made:"
	@printf '  %-24s %s\n' $(OUT)/ "the dataset; its README.md is the card, with recipes that run" \
	  $(LOOK)/sheet.png "its 12 images with their masks" \
	  $(LOOK)/page.html "the same to look into: open it in a browser, point at a mask, press ? for the keys"
	@echo "Next, an archive, or images of your own with a COCO JSON (docs/own_data.md):"
	@echo "  $(BIN)/asam-datasets publish sa_000000.tar --out my-dataset"
	@echo "  $(BIN)/asam-datasets publish my_photos --license cc-by-4.0 --out my-dataset"

# Environments with other versions of `datasets`, in which the tests read what was published.
readers: $(BIN)/.installed
	$(BIN)/python tests/support/readers/environments.py

check: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Most tests wait for processes of theirs: three at once keep two cores busy. Who is done takes over from the others.
test: check readers
	$(BIN)/python -m pytest --numprocesses 3 --dist worksteal

$(BIN)/.docs: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

# The site, into `site/`; what is made out of the program first. Links that lead nowhere are errors.
docs: $(BIN)/.docs
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Hostile and damaged input, a million times over all targets: FUZZ="tar --executions 5000 --seed 3 --workers 2".
fuzz: $(BIN)/.installed
	PYTHONPATH=.:tests:tests/support $(BIN)/python -m fuzz $(FUZZ)

# Sixty times `kill -9` at a random moment of a publish, and the same command again.
kills: $(BIN)/.installed
	PYTHONPATH=.:tests:tests/support $(BIN)/python -m fuzz.kills $(KILLS)

# A scale run on this machine, killed ten times. Slurm and Ray: see docs/scale.md.
cluster: $(BIN)/.installed
	$(BIN)/python tests/cluster/on_one_machine.py

bench: $(BIN)/.installed
	$(BIN)/python benchmarks/masks.py
	$(BIN)/python benchmarks/build.py
	$(BIN)/python benchmarks/workers.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/label_map.py
	$(BIN)/python benchmarks/organize.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/configs.py
	$(BIN)/python benchmarks/peers.py --quick
	$(BIN)/python benchmarks/score.py
	$(BIN)/python benchmarks/caption.py --tiny
	$(BIN)/python benchmarks/scale.py --quick
	$(BIN)/python benchmarks/upload.py --quick
	$(BIN)/python benchmarks/fetch.py --quick

clean:
	rm -rf $(VENV) .venvs $(DEMO) $(OUT) $(LOOK)
