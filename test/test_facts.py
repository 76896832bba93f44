# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Facts in a message are found in any order, each as a whole."""

import re

from facts import facts
import pytest


@pytest.mark.parametrize(
    ('wanted', 'found'),
    [
        (['drive.mcap', 3], True),
        ([3, 'drive.mcap'], True),
        (['--topic', '/left'], True),
        (['drive.mcap', 2], False),
        ([31], False),
        (['mcap3'], False),
        (['/right'], False),
    ],
)
def test_every_fact_must_stand_in_the_message(wanted: list, found: bool) -> None:
    message = 'drive.mcap has 3 topics;\nchoose with --topic: /left, 310 messages'
    assert bool(re.search(facts(*wanted), message)) == found
