"""What a GPU is told of precision and determinism: torch's switches, which are there without a GPU too."""

import pytest
import torch

from acprop.runs import UsageError, environment
from experiments.images.train import compile_in_place, train

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
