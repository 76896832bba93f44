# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Changes of valid inputs: bits, numbers, lengths and order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

#: Numbers at which programs go wrong.
_NUMBERS = (
    0, 1, 2, 3, 4, 7, 8, 16, 32, 64, 100, 127, 128, 255, 256, 1000, 4095, 4096, 8191, 8192, 8193,
    32767, 32768, 65535, 65536, 999_999_999, 1_000_000_000, 2**31 - 1, 2**31, 2**32 - 1, 2**32,
    2**62, 2**63 - 1, 2**63, 2**64 - 1,
)  # fmt: skip

#: Pieces of text at which programs go wrong.
TOKENS = (
    b'nan', b'-inf', b'1e999', b'-1', b'0', b'1.5', b'9' * 400, b'9' * 5000, b'\0', b'\n', b'\r\n',
    b' ', b',', b';', b'#', b'%', b'"', b"'", b'\xff\xfe', b'\xef\xbb\xbf', b'[' * 3000,
    b'{"a":' * 3000, b'\x1b[2J', b'../../x', b'None', b'true', b'0x10', b'\xd9\xa3', b'NaN',
    b'Infinity', b'1_000', b'% end\n',
)  # fmt: skip


def _flip_bits(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    for _ in range(random.choice((1, 1, 1, 2, 8))):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _set_bytes(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    at = random.randrange(len(data))
    size = min(random.choice((1, 2, 4, 8, 16)), len(data) - at)
    data[slice(at, at + size)] = random.randbytes(size)


def _set_number(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    size = random.choice((1, 2, 4, 8))
    if size > len(data):
        return
    at = random.randrange(len(data) - size + 1)
    if random.random() < 0.5:
        at -= at % size
    number = random.choice(_NUMBERS) + random.choice((0, 0, 0, len(data), -at))
    order = 'little' if random.random() < 0.8 else 'big'
    data[slice(at, at + size)] = (number % (1 << 8 * size)).to_bytes(size, order)


def _cut(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    del data[slice(random.randrange(len(data)), None)]


def _delete(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    at = random.randrange(len(data))
    del data[slice(at, at + random.choice((1, 1, 2, 4, 8, 100)))]


def _repeat(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    at = random.randrange(len(data))
    part = data[at:][: random.choice((1, 4, 16, 256))]
    data[at:at] = part * random.choice((1, 1, 2, 10))


def _insert(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    at = random.randrange(len(data) + 1)
    data[at:at] = random.randbytes(random.choice((1, 1, 2, 4, 8, 64)))


def _insert_token(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    at = random.randrange(len(data) + 1)
    data[slice(at, at + random.choice((0, 1, 4)))] = random.choice(TOKENS)


def _splice(random: Random, data: bytearray, others: Sequence[bytes]) -> None:
    other = random.choice(others) if others else data
    at = random.randrange(len(data))
    source = random.randrange(len(other) or 1)
    size = random.choice((4, 16, 64, 1024))
    data[slice(at, at + size)] = other[source:][:size]


_MUTATIONS: tuple[Callable[[Random, bytearray, Sequence[bytes]], None], ...] = (
    _flip_bits,
    _flip_bits,
    _set_bytes,
    _set_number,
    _set_number,
    _cut,
    _delete,
    _repeat,
    _insert,
    _splice,
)


def mutate(
    random: Random, data: bytes, others: Sequence[bytes] = (), *, text: bool = False
) -> bytes:
    """
    Change an input at one to a few places.

    Parameters
    ----------
    random : random.Random
        Source of the changes.
    data : bytes
        Valid input.
    others : sequence of bytes
        Inputs from which parts are taken.
    text : bool
        Whether the format is (partly) text.

    """
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 5))):
        if not changed:
            return bytes(changed)
        if text and random.random() < 0.4:
            _insert_token(random, changed, others)
        else:
            random.choice(_MUTATIONS)(random, changed, others)
    return bytes(changed)
