# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Error messages are tested for the facts in them, not for their wording."""

from __future__ import annotations

import re


def facts(*wanted: object) -> str:
    """
    Return a pattern for ``pytest.raises(match=...)``: the message holds every fact.

    Parameters
    ----------
    *wanted : object
        Names, numbers, paths, options or commands, in any order, each matched as whole words.

    """
    return '(?s)' + ''.join(
        rf'(?=.*(?<!\w){re.escape(text)}(?!\w))'
        if text[0].isalnum() and text[-1].isalnum()
        else f'(?=.*{re.escape(text)})'
        for text in map(str, wanted)
    )
