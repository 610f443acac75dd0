# `make` lists the targets. Set-up (.venv) is a prerequisite of every one and happens once.
PYTHON    ?= python3
OPTIMIZER ?= acprop
SEEDS     ?= 0
SCALE     ?= paper
ARGS      ?=
RUN       := .venv/bin/python
FIG6      := sgd,adam,radam,adamw,adashift,adabelief,acprop
optimizers = $(if $(filter all,$(OPTIMIZER)),$(FIG6),$(OPTIMIZER))

.PHONY: help setup quick theory test lint tables figures
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9{},-]+:.*## / {printf "  make %-40s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  for cells: OPTIMIZER=$(FIG6) or all, SEEDS=0,1,2, SCALE=paper|laptop|smoke, ARGS='any Hydra override'"

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q -c constraints.txt -e '.[suite,launchers,dev]'
	@touch $@

setup: .venv/.ready ## create .venv with the tested versions

quick: .venv/.ready ## Fig 6 on embedded digits: 7 optimizers x 3 nets, minutes on 2 cores
	$(RUN) -m experiments.cifar -m hydra/launcher=joblib dataset=digits scale=laptop \
	    model=densenet121,resnet34,vgg11 optimizer=$(FIG6) seed=0 $(ARGS)
	@cat results/tables/fig6_digits_laptop.md

cifar10-vgg11: ## one cell of Fig 6
cifar10-resnet34: ## one cell of Fig 6
cifar10-densenet121: ## one cell of Fig 6
cifar10-%: .venv/.ready
	$(RUN) -m experiments.cifar -m dataset=cifar10 model=$* optimizer=$(optimizers) seed=$(SEEDS) scale=$(SCALE) $(ARGS)

theory: .venv/.ready ## Fig 1 to 5b, Rosenbrock, the rate: all about convergence at full scale, minutes on 2 cores
	$(RUN) -m experiments.theory study=cost $(ARGS)
	$(RUN) -m experiments.theory -m hydra/launcher=joblib study=rate,rosenbrock,fig2,fig4 $(ARGS)
	$(RUN) -m experiments.theory -m hydra/launcher=joblib study=fig5 optimizer=rmsprop,adam,adashift,adabelief,acprop \
	    optimizer.lr=1e-3 seed=0,1,2 $(ARGS)
	$(RUN) -m experiments.theory -m hydra/launcher=joblib study=map problem=eq1,eq2 criterion=matching,stated,limit $(ARGS)
	@cat results/tables/theory_maps.md

tables: .venv/.ready ## rebuild every table from the records under runs/
	$(RUN) -m acprop.report tables

figures: .venv/.ready ## rebuild every figure from the records under runs/
	$(RUN) -m acprop.report figures

test: .venv/.ready ## the whole test suite
	$(RUN) -m pytest -n 2

lint: .venv/.ready ## ruff and mypy
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
