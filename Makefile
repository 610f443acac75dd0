# `make` lists the targets. Set-up (.venv) is a prerequisite of every one and happens once.
PYTHON    ?= python3
OPTIMIZER ?= acprop
SEEDS     ?= 0
SCALE     ?= paper
ARGS      ?=
LAUNCHER  ?= joblib
RUN       := .venv/bin/python
REPORT    := $(or $(ACPROP_RESULTS),report)
space     := $() $()
comma     := ,

# What there is, from conf/: the data sets and models of each task, the optimizers of each table.
made_by     = $(basename $(notdir $(shell grep -l '^_target_: experiments\.$(2)\.' conf/$(1)/*.yaml)))
IMAGES     := $(call made_by,dataset,images.data)
CNNS       := $(filter-out resnet18,$(call made_by,model,images.models))
GANS       := $(call made_by,model,gan)
PAIRS      := $(call made_by,dataset,transformer)
CNN_CELLS  := $(foreach data,$(IMAGES),$(addprefix $(data)-,$(CNNS)))
GAN_CELLS  := $(foreach data,$(IMAGES),$(addprefix $(data)-,$(GANS)))
TEXT_CELLS := $(addsuffix -transformer,$(PAIRS))
SWEEPS     := $(basename $(notdir $(wildcard conf/sweep/*.yaml)))
roster      = $(subst $(space),$(comma),$(strip $(shell sed -n 's/^- //p' conf/roster/$(1).yaml)))
# OPTIMIZER=all: those of the table that a cell belongs to
of          = $(if $(filter all,$(OPTIMIZER)),$(call roster,$(1)),$(OPTIMIZER))
task_of     = $(shell sed -n 's/^  task: //p' conf/sweep/$(1).yaml)

.PHONY: help setup quick laptop study catalogues theory sweep reproduce gpu-check report publish results check test chaos lint imagenet \
    imagenet-smoke \
    cnn-laptop gan-laptop rl-laptop transformer-laptop rl tables figures claims page \
    avagrad-cifar avagrad-transformer avagrad-gan $(CNN_CELLS) $(GAN_CELLS) $(TEXT_CELLS) $(addprefix sweep-,$(SWEEPS))
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9_{},-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  cells: DATA-MODEL, DATA one of $(IMAGES); MODEL one of $(CNNS) (Fig 6, Table 5) or $(GANS) (Table 4);"
	@echo "         $(TEXT_CELLS) (Table 3); imagenet (Table 2)"
	@echo "  for cells: OPTIMIZER=acprop, a comma list or all, SEEDS=0,1,2, SCALE=paper|study|laptop|smoke, ARGS='any Hydra override'"

.DEFAULT:
	@echo "error: make $@: there is no such target; these are the targets:" >&2
	@$(MAKE) --no-print-directory help >&2
	@exit 2

# What is never imported is never compiled: half the time of the installation
.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q --no-compile -c constraints.txt -e '.[suite,launchers,dev]'
	@touch $@

setup: .venv/.ready ## create .venv with the tested versions

quick: .venv/.ready ## the whole road in 5 minutes on 2 cores: a cell of each task trained live, Fig 1 exactly, then the report
	$(RUN) -m experiments.cifar -m dataset=digits model=resnet34 optimizer=acprop,adam,sgd scale=laptop $(ARGS)
	@$(MAKE) --no-print-directory -j 2 quick-transformer quick-others
	@$(MAKE) --no-print-directory report

.PHONY: quick-transformer quick-others
quick-transformer:
	$(RUN) -m experiments.transformer dataset=cldr_de_en scale=laptop epochs=2 $(ARGS)
quick-others:
	$(RUN) -m experiments.theory study=map problem=eq1 criterion=limit $(ARGS)
	$(RUN) -m experiments.rl scale=laptop $(ARGS)
	$(RUN) -m experiments.gan dataset=digits model=dcgan scale=laptop steps=200 fid_every=100 $(ARGS)

laptop: cnn-laptop gan-laptop rl-laptop transformer-laptop theory ## every task on embedded data, and the theory: half an hour on 2 cores
	@$(MAKE) --no-print-directory report

cnn-laptop: .venv/.ready
	$(RUN) -m experiments.cifar -m hydra/launcher=joblib dataset=digits scale=laptop \
	    model=densenet121,resnet34,vgg11 optimizer=$(call roster,fig6) seed=$(SEEDS) $(ARGS)

gan-laptop: .venv/.ready
	$(RUN) -m experiments.gan -m hydra/launcher=joblib dataset=digits scale=laptop \
	    model=sagan,sngan,dcgan,rlgan optimizer=$(call roster,table4) seed=$(SEEDS) $(ARGS)

rl-laptop: .venv/.ready
	$(RUN) -m experiments.rl -m hydra/launcher=joblib optimizer=$(call roster,fig9) seed=0,1 scale=laptop $(ARGS)

transformer-laptop: .venv/.ready
	$(RUN) -m experiments.transformer -m hydra/launcher=joblib dataset=cldr_de_en scale=laptop \
	    optimizer=$(call roster,table3) seed=$(SEEDS) $(ARGS)

# One after another, the worthiest first; each goes on where it was stopped.
study: .venv/.ready ## the studies on real data, days of a core; `make sweep NAME=...` runs one, the same command again goes on
	@$(MAKE) --no-print-directory sweep-four_rooms sweep-fashion_mnist sweep-robustness catalogues
	@$(MAKE) --no-print-directory sweep-fashion_mnist_gan sweep-catalogues sweep-control sweep-rl_eps
	@$(MAKE) --no-print-directory report

catalogues: .venv/.ready ## fetch the sentence pairs of the study: gettext catalogues from Debian packages, nothing installed
	@test -e "$(or $(ACPROP_DATA),data)/catalogues/packages.json" || $(RUN) scripts/fetch_catalogues.py

theory: .venv/.ready ## Fig 1 to 5b, Rosenbrock, the rate: all about convergence at full scale, minutes on 2 cores
	$(RUN) -m experiments.theory study=cost $(ARGS)
	$(RUN) -m experiments.theory -m hydra/launcher=joblib study=rate,rate_decaying,rosenbrock,fig2,fig4,authors $(ARGS)
	$(RUN) -m experiments.theory -m hydra/launcher=joblib study=region problem=eq1,eq2 $(ARGS)
	$(RUN) -m experiments.theory -m hydra/launcher=joblib study=fig5 optimizer=rmsprop,adam,adashift,adabelief,acprop \
	    optimizer.lr=1e-3 seed=0,1,2 $(ARGS)
	$(RUN) -m experiments.theory -m hydra/launcher=joblib study=map problem=eq1,eq2 criterion=matching,stated,limit $(ARGS)

rl: .venv/.ready ## Fig 9: DQN on four-rooms, 7 optimizers x 10 seeds
	$(RUN) -m experiments.rl -m hydra/launcher=joblib optimizer=$(call roster,fig9) seed=0,1,2,3,4,5,6,7,8,9 $(ARGS)

sweep: ## NAME=...: a protocol of conf/sweep, settings chosen on data that the report does not use
	@$(if $(filter $(NAME),$(SWEEPS)),,echo "error: NAME=$(NAME): choose one of $(SWEEPS)" >&2; exit 2)
	@$(MAKE) --no-print-directory sweep-$(NAME)

$(addprefix sweep-,$(SWEEPS)): sweep-%: .venv/.ready
	$(RUN) -m experiments.$(call task_of,$*) -m +sweep=$* hydra/launcher=$(LAUNCHER) $(ARGS)

$(CNN_CELLS): .venv/.ready
	$(RUN) -m experiments.cifar -m dataset=$(firstword $(subst -, ,$@)) model=$(lastword $(subst -, ,$@)) \
	    optimizer=$(call of,fig6) seed=$(SEEDS) scale=$(SCALE) $(ARGS)

$(GAN_CELLS): .venv/.ready
	$(RUN) -m experiments.gan -m dataset=$(firstword $(subst -, ,$@)) model=$(lastword $(subst -, ,$@)) \
	    optimizer=$(call of,table4) seed=$(SEEDS) scale=$(SCALE) $(ARGS)

$(TEXT_CELLS): %-transformer: .venv/.ready
	$(RUN) -m experiments.transformer -m dataset=$* optimizer=$(call of,table3) seed=$(SEEDS) scale=$(SCALE) $(ARGS)

imagenet: .venv/.ready ## one cell of Table 2, a process each; for several GPUs a run, torchrun (docs/scale.md)
	$(RUN) -m experiments.imagenet -m dataset=imagenet optimizer=$(call of,table2) seed=$(SEEDS) scale=$(SCALE) $(ARGS)

JPEGS := $(or $(ACPROP_DATA),data)/generated_jpegs
imagenet-smoke: .venv/.ready ## Table 2's runner on generated JPEG files, 2 processes
	$(RUN) scripts/make_jpegs.py "$(JPEGS)"
	.venv/bin/torchrun --standalone --nproc-per-node=2 -m experiments.imagenet dataset=image_folder \
	    "dataset.path='$(JPEGS)'" scale=smoke $(ARGS)

# Table 5's cells that no other table has; no settings are published
avagrad-cifar: CELLS := dataset=cifar10,cifar100 model=wrn28_10 optimizer=$(call roster,table5)
avagrad-transformer: CELLS := dataset=iwslt14_de_en,ted_ro_en optimizer=avagrad
avagrad-gan: CELLS := dataset=cifar10 model=dcgan,sngan optimizer=avagrad
avagrad-cifar avagrad-transformer avagrad-gan: avagrad-%: .venv/.ready
	$(RUN) -m experiments.$* -m $(CELLS) tuned=none seed=$(SEEDS) scale=$(SCALE) $(ARGS)

# Group by group; one that fails does not stop the others, and the exit code tells of it. The same command again goes on.
PAPER := theory rl cifar10-vgg11 cifar10-resnet34 cifar10-densenet121 sweep-fig7 sweep-fig5cd imagenet \
    iwslt14_de_en-transformer iwslt15_en_vi-transformer ted_ja_en-transformer ted_ro_en-transformer \
    cifar10-dcgan cifar10-rlgan cifar10-sngan cifar10-sagan avagrad-cifar avagrad-transformer avagrad-gan
FIVE := 0,1,2,3,4
reproduce: .venv/.ready ## the whole paper, resumable: BUDGET=9m for so long, or to its end; ARGS='hydra/launcher=submitit_slurm'
ifdef BUDGET
	@$(RUN) scripts/reproduce.py --budget $(BUDGET) $(ARGS)
else
	$(RUN) scripts/plan.py
	@$(MAKE) -k --no-print-directory $(PAPER) OPTIMIZER=all SCALE=paper \
	    SEEDS=$(if $(filter file,$(origin SEEDS)),$(FIVE),$(SEEDS)); status=$$?; \
	    $(MAKE) --no-print-directory report && exit $$status
endif

gpu-check: .venv/.ready ## does it all work on this GPU, and how fast? within 8 minutes
	$(RUN) scripts/gpu_check.py $(ARGS)

report: .venv/.ready ## what the published records and your own runs say, under report/: tables, figures, ledger, page
	$(RUN) -m acprop.report
	@sed '/^## /,$$d' "$(REPORT)/claims.md"
	@echo "The page: $(REPORT)/report.html"

tables figures claims page: .venv/.ready
	$(RUN) -m acprop.report $@

publish: .venv/.ready ## add your finished runs to results/records and rebuild results/; RUNS='part of a folder'
	$(RUN) -m acprop.report publish $(RUNS)

results: .venv/.ready ## rebuild results/ from its records alone
	$(RUN) -m acprop.report rebuild

check: .venv/.ready ## is results/ what its records give?
	$(RUN) -m acprop.report check

CHAOS ?= --share 1
chaos: .venv/.ready ## faults against real runs, bad input against real commands, and what is lost of it: 15 minutes on 2 cores
	$(RUN) scripts/chaos.py $(CHAOS)

test: .venv/.ready ## the whole test suite
	$(RUN) -m pytest -n 3

lint: .venv/.ready ## ruff and mypy
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
