"""Command lines that no run can make sense of, by task: overrides, separated by spaces. Each is refused in one line."""

# what every task refuses; of a number whatever is no finite number in its range, of a switch whatever is not on or off
EVERYWHERE = """
seed=-1
seed=1.5
seed=true
seed=abc
seed=null
seed=1000000000000000000000000
force=maybe
force=1
device=tpu
device=null
threads=0
threads=-1
threads=1.5
threads=true
threads=100000
telemetry=-1
telemetry=abc
telemetry=true
checkpoint_every_s=nan
checkpoint_every_s=-1
checkpoint_every_s=null
checkpoint_every_s=abc
deterministic=maybe
tracking.mode=sometimes
tracking.mode=null
tracking.project=null
tracking.entity=3
tracking=nowhere
names.model=../../../../escape
names.dataset=x
names.optimizer=y
task=foo
revision=7
+figure=fig8
+nonsense=1
nonsense=1
scale=huge
=3
seed=
~seed
"""

OPTIMIZER = """
optimizer=nonesuch
optimizer.lr=abc
optimizer.lr=true
optimizer.lr=-1
optimizer.lr=nan
optimizer.lr=inf
optimizer.lr=null
optimizer.lr=[1]
optimizer.eps=-1
optimizer.eps=abc
optimizer.betas=[0.9]
optimizer.betas=[0.9,1.0]
optimizer.betas=[0,0.9]
optimizer.betas=[0.9,abc]
optimizer.betas=0.9
optimizer.weight_decay=-1
optimizer.weight_decay=true
optimizer.variant=nonesuch
+optimizer.nonsense=1
optimizer._target_=torch.optim.Nonesuch
optimizer._target_=os.system
optimizer._target_=3
optimizer={lr:-3}
~optimizer
"""

IMAGES = """
epochs=0
epochs=true
epochs=-1
epochs=1.5
epochs=abc
epochs=null
epochs=[1]
batch_size=0
batch_size=1.5
batch_size=true
batch_size=abc
batch_size=1e9
train_size=0
train_size=1.5
train_size=-5
train_size=abc
train_size=true
held_out=nan
held_out=1
held_out=-0.1
held_out=abc
held_out=true
precision=fp8
precision=null
precision=tf32
channels_last=maybe
channels_last=null
compile=maybe
compile=1
schedule=nonesuch
schedule.at=[2]
schedule.at=abc
schedule.gamma=abc
schedule.gamma=-1
+schedule.nonsense=1
schedule._target_=nonesuch.step
dataset=cartpole
dataset=cldr_de_en
dataset=nonesuch
model=dcgan
model=dqn
model=transformer_iwslt
model=nonesuch
+model.nonsense=1
model._target_=experiments.nonesuch
~dataset
~model
~epochs
"""

WIDTH = """
width=0
width=-1
width=1e9
width=abc
width=true
width=nan
width=null
"""

BAD = {
    "cifar": f"{EVERYWHERE}{OPTIMIZER}{IMAGES}{WIDTH}model.width.a=3\ntuned=nonesuch",
    "imagenet": IMAGES + """
image_size=0
image_size=-1
image_size=abc
image_size=100000
resize=0
resize=1.5
image_size=128 resize=64
workers=-1
workers=abc
workers=100000
dataset=image_folder dataset.path=3
dataset=image_folder dataset.size=0
""",
    "gan": WIDTH + """
steps=0
steps=true
steps=abc
steps=7 fid_every=2
batch_size=0
batch_size=abc
lr=abc
lr=-1
lr=true
lr=nan
ema=abc
ema=0
ema=1
ema=1.5
ema=true
mirror=maybe
held_out=2
fid_network=eyes
fid_weights=/nonesuch
fid_network=inception fid_weights=/etc/passwd
fid_weights=3
fid_dims=100
fid_dims=abc
fid_count=0
fid_count=abc
fid_reference=both
fid_mode=maybe
fid_every=0
fid_every=abc
fid_batch_size=0
collapse=abc
collapse=-1
collapse=nan
model=resnet34
model=dqn
dataset=cartpole
dataset=imagenet
model.z_dim=0
model.z_dim=abc
model.loss=nonesuch
model.d_steps=0
model.d_steps=abc
model.conditional=maybe
+model.nonsense=1
classifier.epochs=0
classifier.epochs=true
classifier.batch_size=abc
classifier.model.width=0
classifier.optimizer.lr=abc
classifier.optimizer.lr=-1
classifier.precision=fp8
classifier.names.model=../escape
compile=maybe
channels_last=maybe
optimizer.lr=abc
optimizer.betas=[0,0.9]
""",
    "rl": """
steps=0
steps=true
steps=abc
eval_every=0
eval_every=abc
eval_episodes=0
eval_episodes=1.5
num_envs=0
num_envs=100000
num_envs=abc
model.gamma=2
model.gamma=-1
model.gamma=abc
model.gamma=true
model.gamma=nan
model.buffer_size=0
model.buffer_size=abc
model.batch_size=0
model.batch_size=true
model.learning_starts=-1
model.train_freq=0
model.train_freq=abc
model.train_freq=[1,year]
model.train_freq=[1,episode] num_envs=2
model.gradient_steps=0
model.gradient_steps=abc
model.target_update_interval=0
model.exploration_fraction=2
model.exploration_initial_eps=abc
model.exploration_final_eps=-1
model.exploration_initial_eps=0.1 model.exploration_final_eps=0.5
model.max_grad_norm=0
model.max_grad_norm=abc
model.policy=NonesuchPolicy
model.policy=3
model.policy_kwargs=3
model.policy_kwargs.net_arch=[0]
model.policy_kwargs.net_arch=[64,abc]
model.policy_kwargs.net_arch=abc
model.policy_kwargs.net_arch=true
+model.policy_kwargs.nonsense=1
+model.nonsense=1
+model.tau=2
model=ppo tuned=none model.n_steps=1
model=ppo tuned=none model.n_steps=abc
model=ppo tuned=none model.n_epochs=0
model=ppo tuned=none model.batch_size=1
model=ppo tuned=none model.gae_lambda=2
model=ppo tuned=none model.clip_range=abc
model=ppo tuned=none model.ent_coef=abc
model=ppo tuned=none model.vf_coef=-1
model=sac tuned=none dataset=pendulum model.tau=2
model=sac tuned=none dataset=pendulum model.ent_coef=loud
model=resnet34
model=nonesuch
dataset=digits
dataset=cldr_de_en
dataset=gymnasium
dataset=gymnasium dataset.id=3
dataset.options=3
optimizer.lr=abc
optimizer.lr=-1
~steps
""",
    "transformer": WIDTH + """
epochs=0
epochs=true
epochs=abc
max_tokens=0
max_tokens=abc
max_tokens=true
warmup=0
warmup=abc
dropout=1
dropout=-1
dropout=abc
dropout=true
dropout=nan
label_smoothing=2
label_smoothing=-1
label_smoothing=abc
average_last=0
average_last=99
beam=0
beam=abc
layers=0
layers=true
layers=abc
sentences=0
sentences=99999999
sentences=abc
held_out=0
held_out=abc
bpe_merges=0
bpe_merges=abc
precision=fp8
precision=bf16
model.arch=foo
model.arch=3
model.heads=0
model.heads=3
model.embed_dim=0
model.ffn_dim=abc
+model.nonsense=1
~model.arch
model=resnet34
dataset=digits
dataset=cartpole
dataset.source=../x
telemetry=5
optimizer.lr=abc
optimizer.betas=[0,0.9]
""",
    "theory": """
budget=0
budget=2
budget=abc
budget=true
budget=nan
study=nonesuch
study=fig4 study.P=0
study=fig4 study.P=abc
study=fig4 study.steps=0
study=fig4 study.beta1=1
study=fig4 study.beta2=1
study=fig4 study.beta2=abc
study=fig2 study.optimizers=[]
study=fig2 study.optimizers=[nonesuch]
study=fig2 study.optimizers=adam
study=fig2 study.lr=abc
study=fig2 study.lr=-1
study=fig2 study.x0=abc
study=fig2 study.steps=10 budget=0.01
study=rosenbrock study.lrs=[]
study=rosenbrock study.lrs=[abc]
study=rosenbrock study.lrs=[-1]
study=rosenbrock study.x0=[1]
study=rate study.problems=[nonesuch]
study=rate study.horizons=[512]
study=rate study.horizons=abc
study=rate study.seeds=1
study=rate study.a0=0
study=cost study.optimizer=nonesuch
study=cost study.columns=[0]
study=cost study.repeats=0
study=fig5 study.epochs=0
study=fig5 study.hidden=0
study=fig5 study.batch_size=abc
study=fig5 optimizer.lr=abc
study=fig5 dataset=nonesuch
study=map problem=nonesuch
study=map criterion=nonesuch
study=map problem.periods=[]
study=map problem.periods=[1]
study=map problem.panels=[nonesuch]
study=map criterion.eq1.measure=nonesuch
study=map criterion.eq1.lrs=[]
study=map criterion.eq1.tail=0
study=map criterion.eq1.below=abc
study=map study.minus_log10_one_minus_beta2.count=0
study=map study.beta1=[1]
study=map +study.nonsense=1
study=map study._target_=experiments.nonesuch
seed=true
""",
}  # fmt: skip
CASES = [(task, line.split()) for task, lines in BAD.items() for line in lines.splitlines() if line.strip()]
