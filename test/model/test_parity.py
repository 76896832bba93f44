"""The network against the output of the authors' own implementation (../shared/parity)."""

from __future__ import annotations

import numpy as np
import pytest
from sast_ros.detector import StreamingDetector
from sast_ros.model import build_model, detection_loss, inference_copy, load_model
import torch
from workload import recipe_weights

STEPS = range(4)


def histograms(path) -> np.ndarray:
    stored = np.load(path)
    dense = np.zeros(stored['shape'], np.uint8)
    dense.reshape(-1)[stored['index']] = stored['value']
    return dense


@pytest.fixture(scope='module')
def tiny(shared):
    return load_model(shared / 'parity' / 'gen1_tiny_weights_fp16.safetensors')


@pytest.fixture(scope='module')
def base():
    model = build_model('gen1-base').eval()
    model.load_state_dict(recipe_weights(model, gain=1.8))
    return model


def flips(selected, expected, step_prefix: str = '') -> int:
    """Count the token and window decisions that differ from the fixture."""
    count = 0
    for stage, masks in enumerate(selected, start=1):
        for kind, key in (('window', 'win'), ('grid', 'grid')):
            mask = masks[kind].cpu().numpy()
            prefix = f'{step_prefix}s{stage}_{key}'
            tokens = (
                np.unpackbits(expected[f'{prefix}_tokens_packed'])[: mask.size]
                .astype(bool)
                .reshape(mask.shape)
            )
            windows = np.zeros(len(mask), bool)
            windows[expected[f'{prefix}_windows']] = True
            count += int((mask != tokens).sum()) + int((mask.any(axis=1) != windows).sum())
    return count


@pytest.mark.parametrize('threads', [1, 2])
def test_tiny_equals_the_fixture_in_every_selection_feature_and_output(shared, tiny, threads):
    parity = shared / 'parity'
    inputs = histograms(parity / 'gen1_tiny_inputs.npz')
    detector = StreamingDetector(tiny)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for step in STEPS:
            expected = np.load(parity / f'gen1_tiny_expected_step{step}.npz')
            found = detector.raw_step(inputs[step])
            assert flips(found['selected'], expected) == 0
            features = {stage: h[0].numpy() for stage, h in found['features'].items()}
            for stage, key, values in (
                (1, 'h1_sub', features[1][::4]),
                (2, 'h2_sub', features[2][::4]),
            ):
                np.testing.assert_allclose(
                    values, expected[key], rtol=0, atol=2e-5, err_msg=f'step {step} stage {stage}'
                )
            for stage in (3, 4):
                np.testing.assert_allclose(
                    features[stage], expected[f'h{stage}'], rtol=0, atol=2e-5
                )
            np.testing.assert_allclose(
                found['head'][0].numpy(), expected['raw'], rtol=0, atol=1e-4
            )
    finally:
        torch.set_num_threads(before)
    states = np.load(parity / 'gen1_tiny_states_last.npz')
    for stage, (h, c) in enumerate(found['states'], start=1):
        np.testing.assert_allclose(h[0].numpy(), states[f'h{stage}'], rtol=0, atol=2e-5)
        np.testing.assert_allclose(c[0].numpy(), states[f'c{stage}'], rtol=0, atol=5e-5)


def test_tiny_boxes_equal_the_fixture(shared, tiny):
    parity = shared / 'parity'
    inputs = histograms(parity / 'gen1_tiny_inputs.npz')
    detector = StreamingDetector(tiny, score_threshold=0.02, nms_iou=0.45)
    for step in STEPS:
        expected = np.load(parity / f'gen1_tiny_expected_step{step}.npz')['det_conf0.02']
        clipped = np.clip(expected[:, :4], 0, [304, 240, 304, 240])
        visible = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
        expected, clipped = expected[visible], clipped[visible]
        found = detector.step(inputs[step])
        assert len(found) == len(expected)
        # Scores that are equal up to rounding may change places, so boxes are matched as a set;
        # two class probabilities of one box may be equal up to rounding too.
        rows = np.column_stack([found.boxes, found.objectness, found.class_scores])
        tolerance = [0.02] * 4 + [1e-4] * 2  # pixels: the sides of large boxes are exponentials
        close = (
            np.abs(rows[:, None] - np.column_stack([clipped, expected[:, 4:6]])) <= tolerance
        ).all(axis=2)
        assert close.any(axis=0).all()
        assert close.any(axis=1).all()
        assert (found.class_ids[close.argmax(axis=0)] != expected[:, 6]).sum() <= 1
        assert (np.diff(found.scores) <= 0).all()


def test_base_equals_the_fixture(shared, base):
    parity = shared / 'parity'
    expected = np.load(parity / 'gen1_base_expected.npz')
    inputs = histograms(parity / 'gen1_base_inputs.npz')
    weights = base.state_dict()
    for name, total, absolute in zip(
        expected['weight_names'], expected['weight_sum'], expected['weight_abssum']
    ):
        value = weights[str(name)].double()
        assert float(value.sum()) == pytest.approx(total, rel=1e-9, abs=1e-6)
        assert float(value.abs().sum()) == pytest.approx(absolute, rel=1e-9)
    detector = StreamingDetector(base, score_threshold=float(expected['det_conf']))
    for step in STEPS:
        found = detector.raw_step(inputs[step])
        assert flips(found['selected'], expected, f'step{step}_') == 0
        tensors = {'raw': (found['head'], 1e-4)}
        for stage, (h, c) in enumerate(found['states'], start=1):
            tensors |= {f'h{stage}': (h, 2e-5), f'c{stage}': (c, 5e-5)}
        for key, (tensor, tolerance) in tensors.items():
            values = tensor.contiguous().flatten().numpy()[expected[f'step{step}_{key}_idx']]
            np.testing.assert_allclose(
                values, expected[f'step{step}_{key}_val'], rtol=0, atol=tolerance, err_msg=key
            )
    detector.reset()
    for step in STEPS:
        boxes = expected[f'step{step}_det']
        clipped = np.clip(boxes[:, :4], 0, [304, 240, 304, 240])
        visible = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
        assert len(detector.step(inputs[step])) == int(visible.sum())


@pytest.mark.parametrize('pack', [False, True])
def test_inference_copy_changes_nothing_but_speed(shared, tiny, pack):
    inputs = torch.from_numpy(histograms(shared / 'parity' / 'gen1_tiny_inputs.npz'))
    copy = inference_copy(tiny, pack=pack)
    states = other = None
    with torch.inference_mode():
        for step in STEPS:
            one, two = tiny(inputs[[step]], states), copy(inputs[[step]], other)
            states, other = one.states, two.states
            torch.testing.assert_close(one.head, two.head, rtol=0, atol=1e-4)


def test_batch_gives_every_sample_what_it_gets_alone(shared, tiny):
    inputs = torch.from_numpy(histograms(shared / 'parity' / 'gen1_tiny_inputs.npz'))
    with torch.inference_mode():
        together = tiny(inputs)
        for sample in STEPS:
            alone = tiny(inputs[[sample]])
            torch.testing.assert_close(together.head[sample], alone.head[0], rtol=0, atol=1e-4)
            for (a, b), (c, d) in zip(together.selections, alone.selections):
                assert torch.equal(a.mask[sample], c.mask[0])
                assert torch.equal(b.mask[sample], d.mask[0])


def test_loss_and_gradients_equal_the_fixture(shared, tiny):
    parity = shared / 'parity'
    expected = np.load(parity / 'gen1_tiny_training.npz')
    inputs = torch.from_numpy(histograms(parity / 'gen1_tiny_inputs.npz'))
    model = load_model(parity / 'gen1_tiny_weights_fp16.safetensors')
    first = model(inputs[0:1])
    second = model(inputs[1:2], first.states)
    features = [(torch.cat([a[0], b[0]]), None) for a, b in zip(first.states, second.states)]
    loss = detection_loss(
        model.detect(features), torch.from_numpy(expected['labels']), first.input_size
    )
    loss.total.backward()
    values = [loss.total, loss.box, loss.objectness, loss.classes, 0.0, loss.positives_per_object]
    np.testing.assert_allclose(
        [float(v.detach()) if isinstance(v, torch.Tensor) else v for v in values],
        expected['loss_values'],
        rtol=1e-3,
    )
    gradients = {name: parameter.grad.double() for name, parameter in model.named_parameters()}
    assert set(gradients) == {str(n) for n in expected['grad_names']}
    for name, norm, total in zip(
        expected['grad_names'], expected['grad_l2'], expected['grad_sum']
    ):
        gradient = gradients[str(name)]
        assert float(gradient.norm()) == pytest.approx(norm, rel=1e-3), name
        # A sum cancels: its error is relative to the length of the gradient, not to itself.
        assert float(gradient.sum()) == pytest.approx(total, rel=1e-3, abs=1e-3 * norm), name
