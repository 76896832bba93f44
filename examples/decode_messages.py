# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Decode the serialised event messages of a bag: ``python decode_messages.py my_bag``."""

import sys

from sast_ros.bags import open_recording
from sast_ros.events import EventFormatError, open_decoder

if len(sys.argv) != 2:
    sys.exit(__doc__)
with open_recording(sys.argv[1]) as recording:
    decode = open_decoder(recording.type)  # one decoder for each topic: it keeps stream state
    for time_ns, raw in recording.messages():  # bytes, as from a raw subscription
        try:
            chunk = decode(raw)
        except EventFormatError as error:
            print(f'left out: {error}')  # names the field and the byte offset
            continue
        if len(chunk):
            span = f'{chunk.t[0]} to {chunk.t[-1]} us ({chunk.clock} clock)'
            print(f'{len(chunk)} events, {span}, received at {time_ns / 1e9:.3f} s')
