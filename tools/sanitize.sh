#!/usr/bin/env bash
# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
#
# Run a command with kernels that AddressSanitizer and UndefinedBehaviorSanitizer watch:
#
#     tools/sanitize.sh .venv/bin/pytest test/events
#
# They are built by gcc in out/sanitize, in a copy of the packages that the command imports. `python -m` and `python -c`
# import those in the working directory first: give a script.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=$(dirname "$(realpath --no-symlinks "$(command -v "$1")")")/python
copy=$PWD/out/sanitize
runtime=$(gcc -print-file-name=libasan.so)
[[ $runtime == /* ]] || { echo 'gcc has no AddressSanitizer: install libasan (part of gcc on Debian and Ubuntu)' >&2; exit 1; }
suffix=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')

rm -rf "$copy"
mkdir -p "$copy"
cp -r sast_ros training/sast_ros_training "$copy"
rm -f "$copy"/*/kernels/_kernels*
builds=()
for package in sast_ros training/sast_ros_training; do
  gcc -shared -fPIC -O1 -g -fno-wrapv -fno-omit-frame-pointer -Wno-psabi -fsanitize=address,undefined \
    -fno-sanitize-recover $(find $package/kernels -name "*.c") -lm -o "$copy/${package##*/}/kernels/_kernels$suffix" &
  builds+=($!)
done
for build in "${builds[@]}"; do wait "$build"; done

# libstdc++ too: without it the sanitizer ends a process in which PyTorch throws an exception of C++.
preloaded="$(realpath "$runtime") $(realpath "$(gcc -print-file-name=libstdc++.so.6)")"
# PYTHONMALLOC: each bytes object gets its own guarded memory. Python itself leaks on purpose.
watched=(env "LD_PRELOAD=$preloaded" "PYTHONPATH=$copy" PYTHONMALLOC=malloc PYTHONDONTWRITEBYTECODE=1
  ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1)

# What is not watched would pass
overrun='
import numpy as np
from sast_ros.kernels import library
x, y, p, t = (np.empty(100, kind) for kind in ("u2", "u2", "u1", "i8"))
library.sast_mono(bytes(8 * 101), 101, 0, x, y, p, t)
'
(cd "$copy" && "${watched[@]}" "$python" -c "$overrun" 2>&1 || true) | grep -q 'AddressSanitizer: heap-buffer-overflow' ||
  { echo "AddressSanitizer does not watch the kernels in $copy" >&2; exit 1; }

exec "${watched[@]}" "$@"
