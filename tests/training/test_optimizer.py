from __future__ import annotations

import math

import pytest
import torch
from small_sets import tiny
from torch import nn

from convnet_galaxies.model.galaxy_net import GalaxyNet, to_channels_last
from convnet_galaxies.training.average import WeightAverage
from convnet_galaxies.training.muon import as_matrix
from convnet_galaxies.training.optimizer import make_optimizers, make_schedules


def make_net() -> GalaxyNet:
    torch.manual_seed(0)
    return to_channels_last(GalaxyNet(tiny().net, bands=3, classes={"lens": ()}))


def one_step(net: GalaxyNet, optimizers: list[torch.optim.Optimizer]) -> None:
    net(torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)))["lens"].sum().backward()
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()


def test_every_parameter_is_moved_by_exactly_one_optimizer() -> None:
    net = make_net()
    before = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    optimizers = make_optimizers(net, tiny().train, inherited=False)
    for _ in range(3):  # the last norm of a block begins at zero, so what stands before it moves from the second step
        one_step(net, optimizers)
    assert all(not torch.equal(parameter, before[name]) for name, parameter in net.named_parameters())
    total = sum(parameter.numel() for group in _groups(optimizers) for parameter in group["params"])
    assert total == sum(parameter.numel() for parameter in net.parameters())
    assert all(parameter.grad is None for parameter in net.parameters())


def _groups(optimizers: list[torch.optim.Optimizer]) -> list[dict]:
    return [group for optimizer in optimizers for group in optimizer.param_groups]


def test_matrices_of_kernels_share_their_memory() -> None:
    net = make_net()
    kernels = [parameter for parameter in net.backbone.parameters() if parameter.ndim == 4]
    for kernel in kernels:
        matrix = as_matrix(kernel.data)
        assert matrix.data_ptr() == kernel.data_ptr()
        assert matrix.shape == (kernel.shape[0], kernel[0].numel())


def test_steps_of_the_inherited_backbone_are_smaller_by_its_rate_and_those_of_heads_are_not() -> None:
    train = tiny("train.backbone_rate=0.25").train
    new = [group["lr"] for group in _groups(make_optimizers(make_net(), train, inherited=False))]
    old = [group["lr"] for group in _groups(make_optimizers(make_net(), train, inherited=True))]
    assert old[:2] == pytest.approx([0.25 * rate for rate in new[:2]])
    assert old[2] == new[2] == train.learning_rate


def test_frozen_stages_are_given_to_no_optimizer() -> None:
    net = make_net()
    optimizers = make_optimizers(net, tiny("train.frozen_stages=1").train, inherited=True)
    total = sum(parameter.numel() for group in _groups(optimizers) for parameter in group["params"])
    assert total == sum(p.numel() for p in net.parameters()) - sum(p.numel() for p in net.backbone.stem.parameters())


def test_rate_rises_to_its_height_and_falls_to_nearly_zero() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    (schedule,), steps = make_schedules([optimizer], 100, 0.1), []
    for _ in range(100):
        steps.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert steps[0] == pytest.approx(0.2)
    assert max(steps) == steps[9]
    assert steps[9] == pytest.approx(2.0, rel=0.03)
    assert steps[50] == pytest.approx(1 + math.cos(math.pi / 2))
    assert 0 < steps[-1] < 0.001
    assert steps[9:] == sorted(steps[9:], reverse=True)


def test_a_schedule_that_begins_later_goes_on_with_the_rates_of_an_uninterrupted_one() -> None:
    whole, later = (torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=2.0) for _ in range(2))
    (schedule,) = make_schedules([whole], 100, 0.1)
    rates = []
    for _ in range(100):
        rates.append(whole.param_groups[0]["lr"])
        whole.step()
        schedule.step()
    later.param_groups[0]["initial_lr"] = 2.0  # as a checkpoint leaves it
    later.param_groups[0]["lr"] = 0.123
    (rest,) = make_schedules([later], 100, 0.1, done=40)
    for expected in rates[40:]:
        assert later.param_groups[0]["lr"] == expected
        later.step()
        rest.step()


def test_weight_average_of_constant_weights_is_these_weights() -> None:
    net = make_net()
    average = WeightAverage(net, 0.1, 100)
    for step in range(20):
        average.update(net, step)
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(average.net.state_dict()[name], tensor, msg=name)


def test_weight_average_without_memory_keeps_the_last_weights_exactly() -> None:
    net, average = nn.Linear(3, 3), None
    average = WeightAverage(net, None, 100)
    for step in range(3):
        nn.init.normal_(net.weight)
        average.update(net, step)
    assert torch.equal(average.net.weight, net.weight)


def test_weight_average_follows_its_recurrence_and_counts_buffers() -> None:
    net = nn.BatchNorm1d(1)
    average = WeightAverage(net, 0.5, 10)  # a memory of 5 steps, reached at step 50
    expected = 0.0
    for step in range(80):
        with torch.no_grad():
            net.weight.fill_(step)
        net.num_batches_tracked.fill_(step)
        average.update(net, step)
        expected += (step - expected) / (1 + min(5, 0.1 * step))
    assert average.net.weight.item() == pytest.approx(expected, rel=1e-5)
    assert average.net.num_batches_tracked.item() == 79
