# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration of the documentation: ``make docs`` builds it into out/docs."""

from pathlib import Path
import re

project = 'sast_ros'
author = copyright = 'sast_ros maintainers'  # noqa: A001 - the name that Sphinx reads
package = (Path(__file__).parent.parent / 'package.xml').read_text()
release = version = re.search(r'<version>\s*([^<\s]+)\s*</version>', package).group(1)

extensions = ['myst_parser']
nitpicky = True
myst_heading_anchors = 3

html_theme = 'furo'
html_static_path = ['_static']
html_css_files = ['tables.css']
html_title = f'sast_ros {release}'
html_copy_source = False
html_show_sphinx = False
