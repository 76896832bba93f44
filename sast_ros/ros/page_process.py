# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The process that serves the live page of a node, see page_node.py."""

from __future__ import annotations

import subprocess
import sys

from rclpy.node import Node
from sast_ros.process import tied_command
from sast_ros.ros.parameters import PageSettings

_PATIENCE_S = 5.0


class PageProcess:
    """
    ``sast-ros view --topic T --page``, as long as the node lives.

    What it prints, its address above all, goes where the node's log goes.

    Parameters
    ----------
    node : Node
        Node that the page shows.
    topic : str
        Topic of its detections, which no other node has.
    settings : PageSettings
        Where it is served; nowhere with port 0.

    """

    def __init__(self, node: Node, topic: str, settings: PageSettings) -> None:
        self._node = node
        self._process: subprocess.Popen[bytes] | None = None
        if not settings.port:
            return
        address = ('--host', settings.host, '--port', str(settings.port))
        diagnostics = f'/diagnostics:={node.resolve_topic_name("/diagnostics")}'
        self._process = subprocess.Popen(
            tied_command(
                (
                    *(sys.executable, '-m', 'sast_ros', 'view', '--page'),
                    *('--topic', node.resolve_topic_name(topic), *address),
                    *('--ros-args', '-r', diagnostics),  # where the page finds the node
                )
            ),
            stdin=subprocess.DEVNULL,
        )

    def poll(self) -> None:
        """Report once if the process has ended."""
        if self._process is not None and self._process.poll() is not None:
            self._node.get_logger().error(
                f'the live page has ended with exit code {self._process.returncode}; its reason '
                'is above, and detection goes on without it'
            )
            self._process = None

    def close(self) -> None:
        """End the process."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
