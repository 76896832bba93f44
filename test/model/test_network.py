# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Shapes, names, options and batch rules of all eight configurations."""

from __future__ import annotations

import math
import re

from facts import facts
import pytest
from sast_ros.errors import SettingError
from sast_ros.model import build_model, CONFIGS, model_config, untrained_model
from sast_ros.model.attention import ALIASES
from sast_ros.model.loss import detection_loss
from sast_ros.model.selection import event_density, partition_order, position_embedding, select
import torch

PARAMETERS = {
    'gen1-tiny': 4_463_285,
    'gen1-small': 10_084_485,
    'gen1-base': 18_806_613,
    'gen1-large': 42_442_869,
    '1mpx-tiny': 4_463_480,
    '1mpx-small': 10_084_776,
    '1mpx-base': 18_807_000,
    '1mpx-large': 42_443_448,
}


def sparse_histogram(
    seed: int, height: int, width: int, share: float = 0.02, batch: int = 1
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    active = torch.rand(batch, 20, height, width, generator=generator) < share
    return active.to(torch.uint8) * torch.randint(
        1, 11, active.shape, generator=generator, dtype=torch.uint8
    )


@pytest.mark.parametrize('name', CONFIGS)
def test_configuration_has_the_published_number_of_parameters(name):
    model = build_model(name)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]
    aliases = 4 * 2 * len(ALIASES)
    assert len(model.state_dict()) + aliases == (460 if name.endswith(('tiny', 'small')) else 508)


@pytest.mark.parametrize('name', CONFIGS)
def test_step_gives_maps_and_anchors_of_the_published_size(name):
    model = build_model(name).eval()
    config = model.config
    with torch.inference_mode():
        output = model(sparse_histogram(0, *config.frame))
    rows, columns = config.input_size
    assert output.input_size == ((256, 320) if name.startswith('gen1') else (384, 640))
    assert output.head.shape == (
        1,
        1680 if name.startswith('gen1') else 5040,
        5 + len(config.classes),
    )
    tokens = 80 if name.startswith('gen1') else 60
    for stage, ((h, c), selected) in enumerate(zip(output.states, output.selections)):
        stride = 4 * 2**stage
        assert (
            h.shape == c.shape == (1, config.stage_dims[stage], rows // stride, columns // stride)
        )
        for selection in selected:
            assert selection.mask.shape == (1, rows * columns // stride**2 // tokens, tokens)


def test_names_and_shapes_are_those_of_the_official_checkpoint(data_folder):
    official = {}
    for line in (data_folder / 'state_dict_gen1_base.txt').read_text().splitlines():
        if line and not line.startswith('#'):
            name, shape, dtype, kind = line.split('  ')[:4]
            official[name] = (shape, dtype, kind)
    model = build_model('gen1-base')
    own = {
        name: (str(list(value.shape)), str(value.dtype).removeprefix('torch.'))
        for name, value in model.state_dict().items()
    }
    assert own == {
        name: (shape, dtype)
        for name, (shape, dtype, kind) in official.items()
        if not kind.startswith('alias')
    }
    suffixes = {
        name.split('_attn.')[1]
        for name, (_, _, kind) in official.items()
        if kind.startswith('alias')
    }
    assert suffixes == set(ALIASES)


def test_an_odd_number_of_channels_is_refused():
    with pytest.raises(SettingError, match='embed_dim is 31'):
        build_model('gen1-tiny', embed_dim=31, dim_head=31)


@pytest.mark.parametrize('shape', [(20, 240, 304), (1, 3, 240, 304), (1, 1, 20, 240, 304)])
def test_a_histogram_of_another_shape_is_refused(shape):
    with pytest.raises(SettingError, match=re.escape(str(shape))):
        untrained_model('gen1-tiny')(torch.zeros(shape, dtype=torch.uint8))


def test_unknown_name_and_field_are_refused_with_the_alternatives():
    with pytest.raises(ValueError, match='gen1-tiny'):
        build_model('gen1-huge')
    with pytest.raises(ValueError, match='colour'):
        build_model('gen1-tiny', colour='red')


def test_untrained_weights_depend_on_the_seed_alone():
    torch.manual_seed(5)
    first = untrained_model('gen1-tiny', seed=1).state_dict()
    expected = torch.rand(1)
    torch.manual_seed(5)
    again, other = (
        untrained_model('gen1-tiny', seed=1).state_dict(),
        untrained_model('gen1-tiny', seed=2).state_dict(),
    )
    assert all(torch.equal(first[n], again[n]) for n in first)
    assert any(not torch.equal(first[n], other[n]) for n in first)
    assert torch.equal(torch.rand(1), expected)  # the caller's random numbers are left alone


@pytest.mark.parametrize('carried', [False, True])
def test_several_windows_at_once_are_one_after_the_other(reference_model, carried):
    model = reference_model('tiny')
    histograms = sparse_histogram(0, 240, 304, batch=6).unflatten(0, (3, 2))
    with torch.inference_mode():
        before = model(histograms[0]).states if carried else None
        found = model.forward_windows(histograms, before)
        states, heads, masks = before, [], []
        for histogram in histograms:
            output = model(histogram, states)
            states = output.states
            heads.append(output.head)
            masks.append(output.selections[0][1].mask)
    torch.testing.assert_close(found.head, torch.cat(heads), rtol=0, atol=1e-4)
    assert torch.equal(found.selections[0][1].mask, torch.cat(masks))
    for pair, expected in zip(found.states, states):
        torch.testing.assert_close(pair, expected, rtol=0, atol=5e-5)


def test_bfloat16_leaves_the_selections_of_float32_and_has_gradients(reference_model):
    model = reference_model('tiny').train()
    histograms = sparse_histogram(0, 240, 304, batch=4).unflatten(0, (2, 2))
    with torch.no_grad():
        exact = model.forward_windows(histograms)
    with torch.autocast('cpu', torch.bfloat16):
        found = model.forward_windows(histograms)
    found.head.float().square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    for pair, expected_pair in zip(found.selections, exact.selections):
        for selection, expected in zip(pair, expected_pair):
            assert (selection.mask != expected.mask).float().mean() < 0.02


class TestSelection:
    """Partitions, scores, and the tokens that they select."""

    @pytest.mark.parametrize('kind', ['window', 'grid'])
    def test_partition_order_follows_the_specification(self, kind):
        height, width, (h, w) = 16, 20, (8, 10)
        order = partition_order(kind, height, width, (h, w), torch.device('cpu'))
        assert sorted(order.flatten().tolist()) == list(range(height * width))
        for a in range(height // h):
            for b in range(width // w):
                for i in range(h):
                    for j in range(w):
                        row, column = (
                            (a * h + i, b * w + j)
                            if kind == 'window'
                            else (i * height // h + a, j * width // w + b)
                        )
                        assert order[a * (width // w) + b, i * w + j] == row * width + column

    def test_position_embedding_follows_the_specification(self):
        embedding = position_embedding(8, 6, 5, torch.device('cpu'))
        for y, x, channel in ((0, 0, 0), (5, 2, 3), (3, 4, 4), (2, 1, 7)):
            j, length, i = (channel, 6, y) if channel < 4 else (channel - 4, 5, x)
            value = 2 * math.pi * (i + 0.5) / (length + 1e-6) / 10000 ** (2 * (j // 2) / 4)
            assert float(embedding[y, x, channel]) == pytest.approx(
                math.sin(value) if j % 2 == 0 else math.cos(value), abs=1e-6
            )

    def test_density_counts_occupied_cells_of_max_pools(self):
        histogram = sparse_histogram(3, 64, 96, share=0.01, batch=2)
        density = event_density(histogram)
        pooled = histogram.float()
        for index, stride in enumerate((4, 2, 2, 2)):
            pooled = torch.nn.functional.max_pool2d(pooled, stride)
            expected = (pooled > 0).sum(dim=(2, 3)) / (20 * pooled.shape[2] * pooled.shape[3])
            torch.testing.assert_close(density[:, index], expected)

    def test_equal_scores_select_everything(self):
        order = partition_order('window', 8, 8, (4, 4), torch.device('cpu'))
        assert bool(select(torch.full((1, 64), 0.3), order, 1e-3).mask.all())

    def test_one_outstanding_token_is_selected_alone(self):
        order = partition_order('window', 8, 8, (4, 4), torch.device('cpu'))
        scores = torch.zeros(1, 64)
        scores[0, 9] = 5.0
        mask = select(scores, order, 1e-3).mask
        assert mask.sum() == 1
        assert order[mask[0]].tolist() == [9]


class TestOptions:
    """Settings of the configuration that the weights do not decide."""

    def test_dense_selection_keeps_every_token(self):
        model = build_model('gen1-tiny', selection='dense').eval()
        with torch.inference_mode():
            output = model(sparse_histogram(0, 240, 304))
        assert all(bool(s.mask.all()) for pair in output.selections for s in pair)

    def test_larger_amp_selects_fewer_tokens(self):
        shares = []
        for amp in (2e-5, 2e-4, 2e-3, 2e-2):
            model = untrained_model('gen1-tiny', amp=amp)
            with torch.inference_mode():
                output = model(sparse_histogram(0, 240, 304))
            shares.append(
                sum(float(s.mask.float().mean()) for pair in output.selections for s in pair)
            )
        assert shares == sorted(shares, reverse=True)
        assert shares[-1] < 0.5 * shares[0]

    def test_partition_size_that_divides_the_maps_is_used(self):
        model = build_model('gen1-tiny', partition_size=(4, 5)).eval()
        with torch.inference_mode():
            output = model(sparse_histogram(0, 240, 304))
        assert output.selections[3][0].mask.shape == (1, 4, 20)

    def test_partition_size_that_does_not_divide_is_refused(self):
        with pytest.raises(ValueError, match=facts('partition_size', '7x10')):
            model_config('gen1-tiny', partition_size=(7, 10))

    def test_context_broadcasting_mixes_the_mean_of_all_tokens(self):
        """Against docs/sast.md 4.5, step 6, written out for one attention."""
        from sast_ros.model.attention import SparseAttention
        from sast_ros.model.selection import Selection

        torch.manual_seed(0)
        attention = SparseAttention(32, 32, 0.5, context_broadcasting=True).eval()
        order = partition_order('window', 4, 4, (2, 2), torch.device('cpu'))
        mask = torch.rand(2, 4, 4) < 0.5
        mask[:, 0, 0] = True
        x = torch.randn(2, 16, 32)
        found = attention(x, Selection(mask, order))
        attention.context_broadcasting = False
        for sample in range(2):
            normed = attention.norm1(x[sample])
            outputs, contributions = normed.clone(), torch.zeros_like(normed)
            residuals = {}
            for window in range(4):
                tokens = order[window][mask[sample, window]]
                if len(tokens) == 0:
                    continue
                z = attention.norm2(normed[tokens])
                q, k, v = attention.qkv(z).view(len(tokens), 1, 3, 32).unbind(2)
                o = torch.softmax(q[:, 0] @ k[:, 0].T / 32**0.5, dim=1) @ v[:, 0]
                y = z + attention.ls1(attention.proj(o))
                contributions[tokens] = attention.mlp(y)
                residuals[window] = (tokens, y)
            mean = contributions.mean(dim=0)
            for tokens, y in residuals.values():
                outputs[tokens] = y + attention.ls2(0.5 * contributions[tokens] + 0.5 * mean)
            torch.testing.assert_close(found[sample], outputs, rtol=1e-4, atol=1e-5)

    def test_bfloat16_products_come_in_few_sizes_and_compute_the_same(self, monkeypatch):
        """On a CPU each new size of a product costs a compilation (attention.rounded)."""
        import sast_ros.model.attention as module
        from sast_ros.model.selection import Selection

        torch.manual_seed(0)
        attention = module.SparseAttention(64, 32, 0.5, context_broadcasting=True)
        order = partition_order('window', 32, 40, (8, 10), torch.device('cpu'))
        sizes = set()
        attention.qkv.register_forward_pre_hook(lambda _, inputs: sizes.add(len(inputs[0])))

        def attend(share: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
            generator = torch.Generator().manual_seed(seed)
            mask = torch.rand(4, *order.shape, generator=generator) < share
            x = torch.randn(4, 1280, 64, generator=generator, requires_grad=True)
            with torch.autocast('cpu', torch.bfloat16):
                found = attention(x, Selection(mask, order))
            found.square().sum().backward()
            return found.detach(), x.grad

        shares = [0.0002, 0.01, 1.0] + [0.3 + 0.002 * number for number in range(40)]
        rounded = [attend(share, seed) for seed, share in enumerate(shares)]
        assert len(sizes) < 12
        assert not any(size % 64 for size in sizes)
        monkeypatch.setattr(module, 'rounded', lambda count, *_, **__: count)
        for seed, share in enumerate(shares):
            for found, expected in zip(rounded[seed], attend(share, seed)):
                torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)
        assert len(sizes) > 40


class TestLoss:
    """The loss that a network is trained with."""

    def test_no_objects_leaves_only_objectness(self):
        model = build_model('gen1-tiny')
        output = model(sparse_histogram(0, 240, 304, batch=2))
        for labels in (torch.zeros(2, 0, 5), torch.zeros(2, 3, 5)):
            loss = detection_loss(output.head, labels, output.input_size)
            assert float(loss.box.detach()) == float(loss.classes.detach()) == 0
            assert float(loss.objectness.detach()) > 0

    def test_padding_rows_do_not_change_the_loss(self):
        model = build_model('gen1-tiny')
        output = model(sparse_histogram(0, 240, 304))
        labels = torch.tensor([[[0, 100.0, 90, 60, 40], [1, 220, 150, 20, 50]]])
        padded = torch.cat([labels, torch.zeros(1, 5, 5)], dim=1)
        one, two = (
            detection_loss(output.head, rows, output.input_size).total for rows in (labels, padded)
        )
        torch.testing.assert_close(one, two)
