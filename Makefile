# make demo   sets up .venv, restores sample pictures and those named: make demo FILES="a.jpg b.png"
# make web    sets up .venv and serves a page in the browser, on this machine only
# make test   sets up .venv with everything, lints, checks types, tests
# make fuzz   reads, searches and restores COUNT=2000 damaged files of every format; what it finds is shrunk and printed
# make mutants   changes the finder and the pipeline at MUTANTS=60 random places; prints the changes that no test notices
# make torture  restores FILES_TORTURED=2000 files, 3 % of them broken, killed at ten random moments and gone on with
# make cluster-demo    starts two nodes of a Ray cluster on this machine, and restores sample pictures into cluster-demo/
# make cluster-test    kills a node, processes and pictures that never end, besides what make test does with two nodes
# make cluster-bucket  restores 10,000 tiny pictures of an S3 server on this machine; draws the memory it takes
# make bench  prints the benchmarks
# make field  what people do to mosaics and their files, by real programs where they are installed; FIELD="uneven --cases 20"
# make train-challenge, train-photo, train-locator, train-refiner   trains a released model for MINUTES=60 more, on DATA=../shared/data;
#               with STEPS=… up to that many steps in all
# make release  puts what was trained in the place of the released models, where it validates better

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FILES ?=
MINUTES ?= 60
STEPS ?=
COUNT ?= 2000
WEB ?=
FILES_TORTURED ?= 2000
MUTANTS ?= 60
FIELD ?=
DATA ?= ../shared/data
# mutants: where, and the tests that are to notice them
MUTATED := src/deepix/finder src/deepix/pipeline.py src/deepix/api.py src/deepix/jobs
MUTANT_TESTS := $(addprefix tests/test_,$(addsuffix .py,finder decision grid_lines region_mosaics locating fast_filters \
	finder_parts neighbours pipeline restoration jobs job_results))

.PHONY: demo web test fuzz torture cluster-demo cluster-test cluster-bucket mutants bench field train-challenge train-photo train-locator train-refiner release ship clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo]'
	touch $@

$(VENV)/.web: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[web]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/.demo $(VENV)/.web

demo: $(VENV)/.demo
	$(BIN)/deepix demo $(FILES) --output demo

web: $(VENV)/.web
	$(BIN)/deepix web $(WEB)

test: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2

fuzz: $(VENV)/.dev
	FUZZ=$(COUNT) $(BIN)/python -m pytest tests/test_fuzzing.py

torture: $(VENV)/.dev
	TORTURE=$(FILES_TORTURED) $(BIN)/python -m pytest tests/test_torture.py -s

cluster-demo: $(VENV)/.dev
	$(BIN)/python benchmarks/cluster.py demo --output cluster-demo

cluster-test: $(VENV)/.dev
	CLUSTER=1 $(BIN)/python -m pytest tests/test_cluster.py

cluster-bucket: $(VENV)/.dev
	$(BIN)/python benchmarks/cluster.py bucket --plot docs/cluster-memory.png

mutants: $(VENV)/.dev
	rm -f mutants.json
	$(BIN)/python benchmarks/mutants.py $(MUTATED) --tests $(MUTANT_TESTS) --count $(MUTANTS) --seed $(or $(SEED),0)

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/quality.py
	$(BIN)/python benchmarks/photos.py
	$(BIN)/python benchmarks/restorers.py --data $(DATA)/challenge-val.npz
	$(BIN)/python benchmarks/finding.py
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/mosaics.py
	$(BIN)/python benchmarks/challenge_testset.py

field: $(VENV)/.dev
	$(BIN)/python benchmarks/field.py --data $(DATA) $(if $(FIELD),--rows $(FIELD))

train-challenge train-photo train-locator train-refiner: train-%: $(VENV)/.dev
	$(BIN)/deepix train --recipe recipes/$*.toml --data $(DATA) $(if $(STEPS),--steps $(STEPS),--minutes $(MINUTES))

release: $(VENV)/.dev
	$(BIN)/deepix weights release recipes/*.toml --data $(DATA)

# its former name
ship: release

clean:
	rm -rf $(VENV) demo cluster-demo dist build
