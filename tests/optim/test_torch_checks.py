"""torch's own way of checking optimizers: an `OptimizerInfo` each, and the checks that torch runs over its database.

The checks are named after those of pytorch's test/test_optim.py, which torch's package does not contain; the inputs
come through the same generator, which adds every implementation flag of an optimizer to every configuration.
"""

import copy
import inspect
import io

import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR
from torch.testing import assert_close
from torch.testing._internal.common_optimizers import (
    ErrorOptimizerInput,
    OptimizerInfo,
    OptimizerInput,
    TensorTracker,
    _get_optim_inputs_including_global_cliquey_kwargs,
    get_error_inputs_for_all_optims,
    optim_db,
    optim_error_inputs_func_adam,
)
from torch.testing._internal.common_utils import TestCase

from acprop import ACProp
from acprop.optim.base import Options
from tests.optim.cases import OPTIMIZERS

# The cases that torch has for its own adaptive optimizers
FAMILY = [info for info in optim_db if info.name in ("Adam", "AdamW", "Adamax", "NAdam", "RAdam")]
# Options in them that not all of this package's optimizers have, and why; docs/optimizers.md lists them
NOT_OURS = {
    "amsgrad": "ACProp alone: the authors of no other ran it",
    "momentum_decay": "NAdam's own",
    "fused": "ACProp alone has a kernel",
}
# Errors of Adam that are none here: {what torch's case is called: why}
NOT_REFUSED = {
    "lr as Tensor doesn't work with foreach & not capturable": "it does, read once a step",
    "betas must be either both floats or both Tensors": "betas are read once, as numbers",
    r"betas\[0\] as a Tensor is not supported for capturable=False and foreach=True": "betas are read once, as numbers",
}


def torchs_own(cls):
    """(kwargs, name) of torch's cases that `cls` can take."""
    known = inspect.signature(ACProp).parameters if cls is ACProp else {**Options.__annotations__, **SHARED}
    for info in FAMILY:
        for case in info.optim_inputs_func("cpu"):
            unknown = case.kwargs.keys() - known.keys()
            assert unknown <= NOT_OURS.keys(), f"{info.name}, {case.desc}: say why {cls.__name__} has not {unknown}"
            if not unknown:
                yield case.kwargs, f"{info.name}'s {case.desc}"


SHARED = dict.fromkeys(("lr", "betas", "eps", "weight_decay"))


def inputs(cls):
    kwargs = [
        ({}, "default"),
        ({"lr": 0.01}, "non-default lr"),
        ({"lr": torch.tensor(0.01)}, "Tensor lr"),
        ({"weight_decay": 0.1}, "nonzero weight_decay"),
        ({"weight_decay": 0.1, "decoupled_weight_decay": True}, "decoupled weight_decay"),
        ({"weight_decay": 0.1, "maximize": True}, "maximize, weight_decay"),
    ]
    if cls is ACProp:
        kwargs += [({"variant": name, "skip_first_step": True}, name) for name in ("paper", "momentum", "rectified")]
    kwargs += torchs_own(cls)
    return lambda device, dtype=None: [OptimizerInput(None, copy.deepcopy(kw), desc) for kw, desc in kwargs]


def errors(device, dtype):
    bad = [
        ({"lr": -1.0}, "lr=-1.0"),
        ({"betas": (0.9, 1.0)}, "betas="),
        ({"eps": -1e-8}, "eps=-1e-08"),
        ({"weight_decay": -1}, "weight_decay=-1"),
        ({"decoupled_weight_decay": "yes"}, "decoupled_weight_decay='yes'"),
        ({"foreach": True, "differentiable": True}, "foreach=True"),
    ]
    return get_error_inputs_for_all_optims(device, dtype) + [
        ErrorOptimizerInput(OptimizerInput(None, kw, regex), error_type=ValueError, error_regex=regex)
        for kw, regex in bad
    ]


INFOS = [
    OptimizerInfo(
        cls,
        optim_inputs_func=inputs(cls),
        optim_error_inputs_func=errors,
        supported_impls=("foreach", "differentiable", *(["fused"] if cls is ACProp else [])),
        supports_fused_on=("cpu",) if cls is ACProp else (),
        has_capturable_arg=True,
    )
    for cls in OPTIMIZERS
]
# torch's testing module forbids, for the whole process, to set backend flags; other tests seed runs, which sets them
torch.backends.flags_frozen.__globals__["__allow_nonbracketed_mutation_flag"] = True
every_info = pytest.mark.parametrize("info", INFOS, ids=lambda info: info.optim_cls.__name__)


def configurations(info, skip=()):
    return _get_optim_inputs_including_global_cliquey_kwargs("cpu", torch.float32, info, skip=skip)


def step(optimizer, params, grads):
    for p, grad in zip(params, grads, strict=True):
        p.grad = None if grad is None else grad.clone()
    optimizer.step()


def clones(params):
    return [p.detach().clone().requires_grad_() for p in params]


@every_info
def test_errors(info):
    for given in info.optim_error_inputs_func("cpu", torch.float32):
        params = given.optimizer_error_input.params
        params = [torch.randn(2, requires_grad=True)] if params is None else params
        expect = pytest.warns if issubclass(given.error_type, Warning) else pytest.raises
        with expect(given.error_type, match=given.error_regex):
            info.optim_cls(params, **given.optimizer_error_input.kwargs)


@every_info
def test_adams_own_error_cases(info):
    """What Adam refuses is refused with the same type of error, or listed with the reason why it is not."""
    met = set()
    for given in optim_error_inputs_func_adam("cpu", torch.float32):
        case = given.optimizer_error_input
        params = [torch.randn(2, requires_grad=True)] if case.params is None else case.params
        if case.desc in NOT_REFUSED:
            info.optim_cls(params, **case.kwargs)
            met.add(case.desc)
            continue
        expect = pytest.warns if issubclass(given.error_type, Warning) else pytest.raises
        with expect(given.error_type):
            info.optim_cls(params, **case.kwargs)
    assert met == NOT_REFUSED.keys()


@every_info
@pytest.mark.parametrize("scheduler", [lambda o: StepLR(o, step_size=10, gamma=0.9), ReduceLROnPlateau])
def test_forloop_goes_right_direction(info, scheduler):
    for config in configurations(info, skip=("differentiable",)):
        torch.manual_seed(0)
        weight, bias, x = torch.randn(10, 5, requires_grad=True), torch.randn(10, requires_grad=True), torch.randn(5)
        optimizer = info.optim_cls([weight, bias], **config.kwargs)
        schedule = scheduler(optimizer)

        def closure(optimizer=optimizer, weight=weight, bias=bias, x=x):
            optimizer.zero_grad()
            loss = (weight.mv(x) + bias).square().sum()
            loss.backward()
            return loss

        first = closure().item()
        for _ in range(40):
            loss = optimizer.step(closure)
            schedule.step(loss) if isinstance(schedule, ReduceLROnPlateau) else schedule.step()
        assert (closure().item() > first) == bool(config.kwargs.get("maximize")), config.desc


@every_info
def test_foreach_fused_and_capturable_match_forloop(info):
    flags = ["foreach", "capturable", *(["fused"] if "fused" in info.supported_impls else [])]
    for config in info.optim_inputs_func("cpu"):
        for flag in flags:
            torch.manual_seed(1)
            tracker = TensorTracker({"rtol": 1e-9, "atol": 1e-11})
            start = [torch.randn(s, dtype=torch.float64) for s in [(3, 4), (), (2, 3, 2, 2), (7,)]]
            start[2] = start[2].to(memory_format=torch.channels_last)
            grads = [[torch.randn_like(p) if (t + i) % 3 else None for i, p in enumerate(start)] for t in range(8)]
            for value in (False, True):
                params = clones(start)
                optimizer = info.optim_cls(params, **{**config.kwargs, "foreach": False, flag: value})
                for grad in grads:
                    step(optimizer, params, grad)
                    states = [s for p in params for name, s in optimizer.state[p].items() if name != "step"]
                    for tensor in map(torch.Tensor.detach, [*params, *states]):
                        tracker.pop_check_set(tensor, TestCase()) if value else tracker.add(tensor)
            assert tracker.all_popped()


@every_info
def test_complex(info):
    for config in configurations(info, skip=("differentiable",)):
        torch.manual_seed(2)
        z = torch.randn(3, 2, dtype=torch.complex128, requires_grad=True)
        x = torch.view_as_real(z.detach()).clone().requires_grad_()
        complex_one, real_one = (info.optim_cls([p], **copy.deepcopy(config.kwargs)) for p in (z, x))
        for _ in range(12):
            grad = torch.randn(3, 2, dtype=torch.complex128)
            step(complex_one, [z], [grad])
            step(real_one, [x], [torch.view_as_real(grad)])
        assert_close(torch.view_as_real(z.detach()), x.detach(), rtol=1e-12, atol=1e-12)


@every_info
def test_param_groups(info):
    a, b = (torch.ones(3, requires_grad=True) for _ in range(2))
    optimizer = info.optim_cls([{"params": [a]}, {"params": [], "weight_decay": 0.1}], lr=0.0)
    optimizer.add_param_group({"params": [b], "lr": 0.1})
    for _ in range(12):
        step(optimizer, [a, b], [torch.randn(3), torch.randn(3)])
    assert torch.equal(a, torch.ones(3))
    assert not torch.equal(b, torch.ones(3))


@every_info
def test_step_is_noop_when_params_have_no_grad(info):
    for config in configurations(info):
        p = torch.randn(3, requires_grad=True)
        before = p.detach().clone()
        optimizer = info.optim_cls([p, torch.empty(0, requires_grad=True)], **config.kwargs)
        optimizer.step()
        assert torch.equal(p.detach(), before)
        assert not optimizer.state


@every_info
@pytest.mark.parametrize("weights_only", [True, False])
def test_save_load_equality(info, weights_only):
    for config in configurations(info, skip=("differentiable",)):
        torch.manual_seed(3)
        params = [torch.randn(3, 4, requires_grad=True), torch.randn(2, requires_grad=True)]
        optimizer = info.optim_cls(params, **config.kwargs)
        grads = [[torch.randn_like(p) for p in params] for _ in range(30)]
        for grad in grads[:14]:
            step(optimizer, params, grad)
        buffer = io.BytesIO()
        torch.save(optimizer.state_dict(), buffer)
        buffer.seek(0)
        others = clones(params)
        # every hyper-parameter comes back with the state, but the kernel, which is a matter of the machine
        fused = {"fused": config.kwargs.get("fused", False)} if "fused" in info.supported_impls else {}
        resumed = info.optim_cls(others, lr=77.0, **fused)
        resumed.load_state_dict(torch.load(buffer, weights_only=weights_only))
        assert {k: v for k, v in resumed.param_groups[0].items() if k != "params"} == {
            k: v for k, v in optimizer.param_groups[0].items() if k != "params"
        }
        for grad in grads[14:]:
            step(optimizer, params, grad)
            step(resumed, others, grad)
        assert all(torch.equal(p, q) for p, q in zip(params, others, strict=True)), config.desc


@every_info
@pytest.mark.parametrize("copier", ["deepcopy", "pickle"])
def test_copies_go_on_alike(info, copier):
    import pickle

    torch.manual_seed(4)
    layer = torch.nn.Linear(3, 2)
    optimizer = info.optim_cls(layer.parameters())
    x = torch.randn(20, 5, 3)

    def advance(layer, optimizer, batches):
        for batch in batches:
            optimizer.zero_grad()
            layer(batch).square().sum().backward()
            optimizer.step()

    advance(layer, optimizer, x[:12])
    pair = (layer, optimizer)
    other_layer, other = copy.deepcopy(pair) if copier == "deepcopy" else pickle.loads(pickle.dumps(pair))
    advance(layer, optimizer, x[12:])
    advance(other_layer, other, x[12:])
    assert torch.equal(layer.weight, other_layer.weight)


@every_info
def test_can_load_older_state_dict(info):
    params = [torch.randn(3, requires_grad=True)]
    optimizer = info.optim_cls(params)
    step(optimizer, params, [torch.randn(3)])
    old = copy.deepcopy(optimizer.state_dict())
    for flag in (*info.not_og_supported_flags, "decoupled_weight_decay", "fused", "variant"):
        old["param_groups"][0].pop(flag, None)
    old["state"][0]["step"] = int(old["state"][0]["step"])
    fresh = info.optim_cls(params)
    fresh.load_state_dict(old)
    step(fresh, params, [torch.randn(3)])
    assert fresh.state[params[0]]["step"].item() == 2.0
    assert fresh.param_groups[0]["decoupled_weight_decay"] is False


@every_info
def test_state_dict_with_named_parameters(info):
    layer = torch.nn.Linear(2, 2)
    optimizer = info.optim_cls(layer.named_parameters())
    step(optimizer, list(layer.parameters()), [torch.ones(2, 2), torch.ones(2)])
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]


@every_info
def test_step_hooks(info):
    p = torch.zeros(1, requires_grad=True)
    optimizer = info.optim_cls([p])
    seen = []
    optimizer.register_step_pre_hook(lambda *_: seen.append("pre"))
    optimizer.register_step_post_hook(lambda *_: seen.append("post"))
    step(optimizer, [p], [torch.ones(1)])
    assert seen == ["pre", "post"]


@every_info
def test_sparse_gradients_are_refused(info):
    p = torch.zeros(3, requires_grad=True)
    p.grad = torch.sparse_coo_tensor([[0]], [1.0], (3,), check_invariants=True)
    with pytest.raises(RuntimeError, match=f"{info.optim_cls.__name__} does not take sparse gradients"):
        info.optim_cls([p]).step()


@every_info
def test_differentiable(info):
    """Autograd through one step equals finite differences, in the point, the gradient and the lr."""
    options = {"reduce": None, "keep_num": 1} if "reduce" in info.optim_cls([torch.zeros(1)]).defaults else {}

    def after(point, grad, lr):
        p = point.clone()
        optimizer = info.optim_cls([p], lr=lr, eps=1e-3, weight_decay=0.1, differentiable=True, **options)
        p.grad = grad
        state = optimizer.state[p]
        optimizer._init_state(p, state, optimizer.param_groups[0])
        state["step"] = torch.tensor(5.0)
        for name in info.optim_cls.state_names:
            state[name] = torch.full_like(state[name], 0.3)
        optimizer.step()
        return p

    torch.manual_seed(5)
    given = [torch.randn(4, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    lr = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(after, (*given, lr))
