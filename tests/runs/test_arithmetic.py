"""What a GPU is told of precision and determinism: torch's switches, which are there without a GPU too."""

import os
import subprocess
import sys

import pytest
import torch
from omegaconf import OmegaConf

from acprop.runs import UsageError, environment
from acprop.runs.launch import Job
from experiments.images.train import compile_in_place, train
from hydra_plugins.acprop_launcher import JoblibLauncher
from tests.conftest import ROOT

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.fixture(autouse=True)
def as_before():
    yield
    environment.set_arithmetic(CPU, "fp32", deterministic=False)


@pytest.mark.parametrize(("precision", "tf32"), [("fp32", False), ("tf32", True), ("bf16", False), ("fp16", False)])
def test_fp32_means_fp32_and_tf32_is_a_choice_of_its_own(precision, tf32):
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = not tf32
    environment.set_arithmetic(CUDA, precision, deterministic=False)
    told = environment._gpu_arithmetic()
    assert (told["tf32_convolution"], told["tf32_matmul"]) == (tf32, tf32)


def test_speed_is_the_default_and_determinism_a_choice(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    environment.set_arithmetic(CUDA, "fp32", deterministic=False)
    assert (told := environment._gpu_arithmetic())["cudnn_benchmark"]
    assert not told["deterministic"]
    assert not torch.backends.cudnn.deterministic
    environment.set_arithmetic(CUDA, "fp32", deterministic=True)
    assert (told := environment._gpu_arithmetic())["deterministic"]
    assert not told["cudnn_benchmark"]
    assert torch.backends.cudnn.deterministic
    assert environment.os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    environment.set_arithmetic(CPU, "fp32", deterministic=True)
    assert not torch.are_deterministic_algorithms_enabled(), "a CPU needs none of it, and would pay for it"


def test_a_gpus_switches_are_in_its_record_and_only_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    assert environment.describe(CUDA, "tf32").items() >= {"precision": "tf32", "deterministic": False}.items()
    assert environment.describe(CPU, "bf16")["precision"] == "bf16"
    assert "deterministic" not in environment.describe(CPU, "bf16")


def test_compiling_keeps_values_and_names():
    net, x = torch.nn.Sequential(torch.nn.Linear(3, 2)), torch.randn(4, 3)
    names, expected = list(net.state_dict()), net(x)
    compile_in_place(net, False)
    assert torch.equal(net(x), expected)
    compile_in_place(net, True)
    assert torch.allclose(net(x), expected)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0, "it was really compiled"
    assert list(net.state_dict()) == names


@pytest.mark.parametrize(
    ("task", "setting", "words"),
    [
        ("cifar", "precision=tf32", "precision='tf32' is not possible: on a GPU alone"),
        ("cifar", "precision=fp8", "precision='fp8' is not possible: choose one of fp32, tf32, bf16, fp16"),
        ("cifar", "compile=fast", "compile='fast' is not possible: choose one of False, True, reduce-overhead"),
        ("gan", "precision=tf32", "precision='tf32' is not possible: on a GPU alone"),
        ("gan", "compile=fast", "compile='fast'"),
        ("transformer", "precision=tf32", "precision='tf32' is not possible: on a GPU alone"),
        ("transformer", "precision=bf16", "precision='bf16' is not possible: on a GPU alone, with fairseq"),
    ],
)
def test_what_is_not_possible_here_is_one_line_and_leaves_nothing(task, setting, words, configure, tmp_path):
    from experiments.gan.train import train as train_gan
    from experiments.transformer.translate import train as translate

    runners = {"cifar": train, "gan": train_gan, "transformer": translate}
    with pytest.raises(UsageError) as error:
        runners[task](configure(task, "scale=smoke", "tracking=none", setting))
    assert words in str(error.value)
    assert not list((tmp_path / "runs").rglob("*.json"))


# -- one GPU a process -------------------------------------------------------------------------------------------------

TAKES_ONE = """
import sys, time, types, torch
from acprop.runs import environment
torch.cuda.is_available = lambda: True
torch.cuda.device_count = lambda: 2
torch.cuda.set_device = lambda number: None
torch.cuda.get_device_properties = lambda number: types.SimpleNamespace(uuid=f"{sys.argv[1]}-{number}")
device = environment.pick_device("auto")
assert environment.pick_device("cuda") == device, "the process keeps it"
print(device, environment.visible_to_child(device)["CUDA_VISIBLE_DEVICES"], flush=True)
sys.stdin.read()
"""


def test_processes_side_by_side_take_a_gpu_each_and_share_the_first_when_none_is_left(tmp_path):
    def start():
        return subprocess.Popen(
            [sys.executable, "-c", TAKES_ONE, tmp_path.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": "5,7"},
        )  # fmt: skip

    processes = []
    for expected in ("cuda:0 5", "cuda:1 7", "cuda:0 5"):
        processes.append(start())
        assert processes[-1].stdout.readline().strip() == expected
    processes[1].communicate()
    processes.append(start())
    assert processes[-1].stdout.readline().strip() == "cuda:1 7", "what a process held is free when it has ended"
    for process in processes:
        process.communicate()


@pytest.mark.parametrize(
    ("device", "n_jobs", "gpus", "expected"),
    [("auto", -1, 2, 2), ("cpu", -1, 2, -1), ("auto", -1, 0, -1), ("auto", 3, 2, 3)],
)
def test_a_sweep_on_a_machine_with_gpus_trains_one_a_gpu(device, n_jobs, gpus, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    launcher = JoblibLauncher(n_jobs=n_jobs)
    launcher.setup(hydra_context=None, task_function=Job("cifar", train), config=OmegaConf.create({"device": device}))
    assert launcher.engine.joblib["n_jobs"] == expected


def test_reinforcement_learning_stays_on_the_cpu_unless_asked(configure):
    assert configure("rl").device == "cpu"
    assert configure("rl", "device=cuda").device == "cuda"
