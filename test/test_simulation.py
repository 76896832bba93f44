"""The simulated drive is reproducible, plausible, and reaches the decoder unchanged."""

from __future__ import annotations

import numpy as np
import pytest
from sast_ros.events import EventChunk, open_decoder
from sast_ros.simulation import EventPacketEncoder, simulate_drive
from sast_ros.simulation.sensor import SensorModel


def join(chunks: list[EventChunk]) -> tuple[np.ndarray, ...]:
    return tuple(
        np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in ('x', 'y', 'p', 't')
    )


def test_the_same_seed_gives_the_same_events_and_another_seed_others() -> None:
    first, again, other = (join(list(simulate_drive(0.2, seed))) for seed in (3, 3, 4))
    for one, two in zip(first, again, strict=True):
        assert one.tobytes() == two.tobytes()
    assert len(first[0]) != len(other[0])


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_rates_are_those_of_a_real_sensor(seed: int) -> None:
    chunks = list(simulate_drive(1.0, seed))
    events = sum(len(chunk) for chunk in chunks)
    assert 0.2e6 < events < 2e6
    on = sum(int(chunk.p.sum()) for chunk in chunks)
    assert 0.3 < on / events < 0.7


def test_chunks_follow_one_another_and_know_their_sensor() -> None:
    chunks = list(simulate_drive(0.1))
    x, y, _, t = join(chunks)
    assert (np.diff(t) >= 0).all()
    assert t[0] > 0
    assert t[-1] <= 100_000
    assert {(chunk.width, chunk.height) for chunk in chunks} == {(304, 240)}
    assert x.max() < 304
    assert y.max() < 240


def test_a_length_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match='above 0'):
        next(simulate_drive(0))


def make_sensor(**arguments: float) -> SensorModel:
    settings = {'threshold': 0.25, 'mismatch': 0.0, 'noise_hz': 0.0, **arguments}
    sensor = SensorModel(np.zeros((2, 2), np.float32), np.random.default_rng(0), **settings)
    sensor.advance(np.full((2, 2), 10.0, np.float32), 1)  # forgets where in the dead zone it began
    sensor.advance(np.zeros((2, 2), np.float32), 2)
    return sensor


def test_a_still_scene_gives_no_events_but_noise() -> None:
    still = np.zeros((2, 2), np.float32)
    assert len(make_sensor().advance(still, 10**6)) == 0
    noisy = make_sensor(noise_hz=100.0).advance(still, 10**6)
    assert 300 < len(noisy) < 500


def test_a_steady_rise_gives_evenly_spaced_on_events_of_one_threshold_each() -> None:
    sensor = make_sensor()
    picture = np.zeros((2, 2), np.float32)
    picture[1, 0] = 2.5
    chunk = sensor.advance(picture, 1_000_002)
    assert set(zip(chunk.x.tolist(), chunk.y.tolist(), strict=True)) == {(0, 1)}
    assert (chunk.p == 1).all()
    assert 9 <= len(chunk) <= 10
    assert np.abs(np.diff(chunk.t) - 100_000).max() <= 1
    fall = sensor.advance(np.zeros((2, 2), np.float32), 2_000_002)
    assert (fall.p == 0).all()
    assert 9 <= len(fall) <= 10


def test_packets_decode_to_the_very_events() -> None:
    chunks = list(simulate_drive(0.1))
    encode = EventPacketEncoder(304, 240, 'camera')
    decode = open_decoder('event_camera_msgs/msg/EventPacket')
    decoded = [decode(encode(chunk, 1_700_000_000_123_456_789)) for chunk in chunks]
    for sent, received in zip(join(chunks), join(decoded), strict=True):
        np.testing.assert_array_equal(sent, received)
    last = decoded[-1]
    assert (last.width, last.height, last.frame_id, last.stamp_ns) == (
        304,
        240,
        'camera',
        1_700_000_000_123_456_789,
    )
    assert all(chunk.lost_packets == 0 and chunk.dropped == 0 for chunk in decoded)


def test_the_clock_of_the_sensor_goes_on_where_its_24_bits_end() -> None:
    times = np.array([2**24 - 3000, 2**24 - 1, 2**24, 2**24 + 2500])
    x = np.zeros(1, np.uint16)
    encode = EventPacketEncoder(304, 240, 'camera')
    decode = open_decoder('event_camera_msgs/msg/EventPacket')
    decoded = [
        decode(encode(EventChunk(x, x, x.astype(np.uint8), times[[k]]), 0)) for k in range(4)
    ]
    np.testing.assert_array_equal(np.diff(join(decoded)[3]), np.diff(times))


def test_packets_are_what_ros_reads() -> None:
    serialization = pytest.importorskip('rclpy.serialization')
    messages = pytest.importorskip('event_camera_msgs.msg')
    encode = EventPacketEncoder(304, 240, 'front camera')
    one = np.ones(1, np.uint16)
    chunk = EventChunk(one, one, one.astype(np.uint8), one.astype(np.int64))
    encode(chunk, 0)
    message = serialization.deserialize_message(encode(chunk, 5_000_000_007), messages.EventPacket)
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (5, 7)
    assert (message.header.frame_id, message.width, message.height) == ('front camera', 304, 240)
    assert (message.seq, message.encoding, message.is_bigendian, len(message.events)) == (
        1,
        'evt3',
        False,
        8,
    )


def test_a_sensor_too_large_for_the_encoding_is_refused() -> None:
    with pytest.raises(ValueError, match='4096x240'):
        EventPacketEncoder(4096, 240, '')
