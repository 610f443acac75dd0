# `make` lists the targets. Set-up (.venv) is a prerequisite of every one and happens once.
PYTHON    ?= python3
OPTIMIZER ?= acprop
SEEDS     ?= 0
SCALE     ?= paper
ARGS      ?=
LAUNCHER  ?= joblib
RUN       := .venv/bin/python
RESULTS   := $(or $(ACPROP_RESULTS),results)
FIG6      := sgd,adam,radam,adamw,adashift,adabelief,acprop
FIG9      := sgd,adam,radam,rmsprop,adashift,adabelief,acprop
TABLE3    := adam,radam,adashift,adabelief,acprop
RL        := $(RUN) -m experiments.rl -m hydra/launcher=joblib
TABLE4    := adam,radam,adashift,adabelief,acprop
optimizers = $(if $(filter all,$(OPTIMIZER)),$(FIG6),$(OPTIMIZER))
gan_optimizers = $(if $(filter all,$(OPTIMIZER)),$(TABLE4),$(OPTIMIZER))

.PHONY: help setup quick cnn-quick sweep theory test lint tables figures claims page report reproduce imagenet \
    rl rl-quick rl-sweep gan-quick gan-study transformer-quick transformer-study study iwslt14-transformer imagenet-smoke
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9_{},-]+:.*## / {printf "  make %-40s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  for cells: OPTIMIZER=$(FIG6) or all, SEEDS=0,1,2, SCALE=paper|laptop|smoke, ARGS='any Hydra override'"

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q -c constraints.txt -e '.[suite,launchers,dev]'
	@touch $@

setup: .venv/.ready ## create .venv with the tested versions

quick: cnn-quick gan-quick rl-quick transformer-quick theory ## every task on embedded data, and the theory: half an hour on 2 cores
	@$(MAKE) --no-print-directory report

FASHION := dataset=fashion_mnist scale=study
study: gan-study transformer-study rl ## what else is committed, in seeds: those, and sweeps of Fashion-MNIST: 3 hours on 2 cores
	@$(MAKE) --no-print-directory sweep NAME=fashion_mnist
	@$(MAKE) --no-print-directory sweep NAME=fig5cd ARGS='$(FASHION) $(ARGS)'
	@$(MAKE) --no-print-directory sweep NAME=fig7 ARGS='$(FASHION) $(ARGS)'
	@$(MAKE) --no-print-directory report

report: .venv/.ready ## rebuild all of results/ from the records under runs/, and print the ledger's summary
	$(RUN) -m acprop.report
	@sed '/^## /,$$d' $(RESULTS)/claims.md
	@echo "The page: $(RESULTS)/report.html"

# Group by group; one that fails does not stop the others, and the exit code tells of it. The same command again goes on.
PAPER := theory rl cifar10-vgg11 cifar10-resnet34 cifar10-densenet121 sweep-fig7 sweep-fig5cd imagenet \
    iwslt14-transformer iwslt15_en_vi-transformer ted_ja_en-transformer ted_ro_en-transformer \
    cifar10-dcgan cifar10-rlgan cifar10-sngan cifar10-sagan avagrad-cifar avagrad-transformer avagrad-gan
FIVE := 0,1,2,3,4
reproduce: .venv/.ready ## the whole paper, its time estimated first; resumable; ARGS='hydra/launcher=submitit_slurm'
	$(RUN) scripts/plan.py
	@$(MAKE) -k --no-print-directory $(PAPER) OPTIMIZER=all SCALE=paper \
	    SEEDS=$(if $(filter file,$(origin SEEDS)),$(FIVE),$(SEEDS)); status=$$?; \
	    $(MAKE) --no-print-directory report && exit $$status

%-quick: AT := laptop
%-study: AT := study
%-study: SEEDS := 0,1,2

cnn-quick: .venv/.ready ## Fig 6 on embedded digits: 7 optimizers x 3 nets
	$(RUN) -m experiments.cifar -m hydra/launcher=joblib dataset=digits scale=$(AT) \
	    model=densenet121,resnet34,vgg11 optimizer=$(FIG6) seed=$(SEEDS) $(ARGS)
	@cat $(RESULTS)/tables/fig6_digits_$(AT).md

gan-quick: ## Table 4 on embedded digits: 5 optimizers x 4 GANs, minutes on 2 cores
gan-study: ## the same with twice the steps and 3 seeds
gan-quick gan-study: .venv/.ready
	$(RUN) -m experiments.gan -m hydra/launcher=joblib dataset=digits scale=$(AT) \
	    model=sagan,sngan,dcgan,rlgan optimizer=$(TABLE4) seed=$(SEEDS) $(ARGS)
	@cat $(RESULTS)/tables/table4_feature_fid_digits_$(AT).md

cifar10-vgg11: ## one cell of Fig 6
cifar10-resnet34: ## one cell of Fig 6
cifar10-densenet121: ## one cell of Fig 6
cifar10-wrn28_10: ## one cell of Table 5; no settings are published, so with ARGS=tuned=none
cifar100-wrn28_10: ## one cell of Table 5, likewise
cifar10-% cifar100-%: .venv/.ready
	$(RUN) -m experiments.cifar -m dataset=$(firstword $(subst -, ,$@)) model=$* optimizer=$(optimizers) seed=$(SEEDS) scale=$(SCALE) $(ARGS)

sweep: .venv/.ready ## NAME=fashion_mnist, cifar10, fig7 or fig5cd: conf/sweep/NAME.yaml, tuned on held-out images
	$(RUN) -m experiments.cifar -m +sweep=$(NAME) hydra/launcher=$(LAUNCHER) $(ARGS)

sweep-%: .venv/.ready
	$(RUN) -m experiments.cifar -m +sweep=$* hydra/launcher=$(LAUNCHER) $(ARGS)

# Table 5's cells that no other table has; no settings are published
avagrad-cifar: CELLS := dataset=cifar10,cifar100 model=wrn28_10 optimizer=avagrad,acprop
avagrad-transformer: CELLS := dataset=iwslt14_de_en,ted_ro_en optimizer=avagrad
avagrad-gan: CELLS := dataset=cifar10 model=dcgan,sngan optimizer=avagrad
avagrad-%: .venv/.ready
	$(RUN) -m experiments.$* -m $(CELLS) tuned=none seed=$(SEEDS) scale=$(SCALE) $(ARGS)

imagenet: .venv/.ready ## one cell of Table 2, a process each; for several GPUs a run, torchrun (docs/scale.md)
	$(RUN) -m experiments.imagenet -m dataset=imagenet optimizer=$(optimizers) seed=$(SEEDS) scale=$(SCALE) $(ARGS)

theory: .venv/.ready ## Fig 1 to 5b, Rosenbrock, the rate: all about convergence at full scale, minutes on 2 cores
	$(RUN) -m experiments.theory study=cost $(ARGS)
	$(RUN) -m experiments.theory -m hydra/launcher=joblib study=rate,rate_decaying,rosenbrock,fig2,fig4,authors $(ARGS)
	$(RUN) -m experiments.theory -m hydra/launcher=joblib study=region problem=eq1,eq2 $(ARGS)
	$(RUN) -m experiments.theory -m hydra/launcher=joblib study=fig5 optimizer=rmsprop,adam,adashift,adabelief,acprop \
	    optimizer.lr=1e-3 seed=0,1,2 $(ARGS)
	$(RUN) -m experiments.theory -m hydra/launcher=joblib study=map problem=eq1,eq2 criterion=matching,stated,limit $(ARGS)
	@cat $(RESULTS)/tables/theory_maps.md

rl: .venv/.ready ## Fig 9: DQN on four-rooms, 7 optimizers x 10 seeds, then ACProp over eps
	$(RL) optimizer=$(FIG9) seed=0,1,2,3,4,5,6,7,8,9 $(ARGS)
	$(RL) figure=eps optimizer=acprop optimizer.eps=1e-4,1e-6,1e-8,1e-10,1e-12,1e-14,1e-16 seed=0,1,2 $(ARGS)
	@cat $(RESULTS)/tables/fig9_four_rooms.md

rl-quick: .venv/.ready ## Fig 9 in small: 7 optimizers x 2 seeds, within 3 minutes on 2 cores
	$(RL) optimizer=$(FIG9) seed=0,1 scale=$(AT) $(ARGS)
	@cat $(RESULTS)/tables/fig9_four_rooms_$(AT).md

SWEEP := figure=sweep tuned=none scale=laptop seed=100 tracking=none
rl-sweep: .venv/.ready ## the tuning behind Fig 9: 12 settings for each optimizer; writes conf/tuned/rl
	$(RL) $(SWEEP) optimizer=adam,radam,rmsprop,adashift,adabelief,acprop \
	    optimizer.lr=3e-4,1e-3,3e-3 optimizer.eps=1e-4,1e-8,1e-12,1e-16
	$(RL) $(SWEEP) optimizer=sgd optimizer.lr=0.3,1,3 optimizer.momentum=0,0.5,0.9,0.99
	$(RUN) scripts/tune_rl.py

cifar10-dcgan: ## one cell of Table 4; needs Inception's weights, or ARGS=fid_network=classifier
cifar10-rlgan: ## one cell of Table 4
cifar10-sngan: ## one cell of Table 4
cifar10-sagan: ## one cell of Table 4
cifar10-dcgan cifar10-rlgan cifar10-sngan cifar10-sagan: cifar10-%: .venv/.ready
	$(RUN) -m experiments.gan -m dataset=cifar10 model=$* optimizer=$(gan_optimizers) seed=$(SEEDS) scale=$(SCALE) $(ARGS)

transformer-quick: ## Table 3 on embedded German-English: 5 optimizers, minutes on 2 cores
transformer-study: ## the same with twice the epochs and 3 seeds
transformer-quick transformer-study: .venv/.ready
	$(RUN) -m experiments.transformer -m hydra/launcher=joblib dataset=cldr_de_en scale=$(AT) \
	    optimizer=$(TABLE3) seed=$(SEEDS) $(ARGS)
	@cat $(RESULTS)/tables/table3_cldr_$(AT).md $(RESULTS)/tables/table3_cldr_$(AT)_samples.md

iwslt14-transformer: ## one cell of Table 3, from IWSLT's archive de-en.tgz (OPTIMIZER=all: its five)
iwslt15_en_vi-transformer: ## one cell of Table 3, from an archive that you place
ted_ja_en-transformer: ## one cell of Table 3, likewise
ted_ro_en-transformer: ## one cell of Table 3, likewise
iwslt14-transformer iwslt15_en_vi-transformer ted_ja_en-transformer ted_ro_en-transformer: %-transformer: .venv/.ready
	$(RUN) -m experiments.transformer -m dataset=$(if $(filter iwslt14,$*),iwslt14_de_en,$*) seed=$(SEEDS) \
	    scale=$(SCALE) optimizer=$(if $(filter all,$(OPTIMIZER)),$(TABLE3),$(OPTIMIZER)) $(ARGS)

JPEGS := $(or $(ACPROP_DATA),data)/generated_jpegs
imagenet-smoke: .venv/.ready ## Table 2's runner on generated JPEG files, 2 processes
	$(RUN) scripts/make_jpegs.py $(JPEGS)
	.venv/bin/torchrun --standalone --nproc-per-node=2 -m experiments.imagenet dataset=image_folder \
	    dataset.path=$(JPEGS) scale=smoke $(ARGS)

tables: .venv/.ready ## rebuild every table from the records under runs/
	$(RUN) -m acprop.report tables

figures: .venv/.ready ## rebuild every figure from the records under runs/
	$(RUN) -m acprop.report figures

claims: .venv/.ready ## rebuild the claim ledger, results/claims.md and .csv, from the records under runs/
	$(RUN) -m acprop.report claims

page: .venv/.ready ## rebuild results/report.html, and the tables and figures that it shows
	$(RUN) -m acprop.report page

test: .venv/.ready ## the whole test suite
	$(RUN) -m pytest -n 2

lint: .venv/.ready ## ruff and mypy
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
