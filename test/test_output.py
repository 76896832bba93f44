# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Files and folders that commands write: whole, not through links, by one process at a time."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from pathlib import Path
import subprocess
import sys

from bags.test_detections import detections_of_window
import pytest
from sast_ros.bags import DetectionWriter
from sast_ros.cli import main
from sast_ros.output import check_place, create_file, lock_folder, OutputError, write_file

PARTS = ('detections.npy', 'detections.mcap', 'windows.npy', 'summary.json')


@contextlib.contextmanager
def full_disk(size: int):
    """Let files of this process grow to that many bytes only (EFBIG, as ENOSPC, without name)."""
    import resource
    import signal

    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


class TestFullDisk:
    """A full disk costs the results of this run, not those of the last, and is named."""

    @pytest.mark.parametrize('size', [0, 1, 100, 200, 700, 3000, 100_000])
    def test_detections_leave_nothing(self, tmp_path, size):
        folder = tmp_path / 'out'
        with full_disk(size), pytest.raises(OSError) as caught, DetectionWriter(folder) as writer:
            for index in range(2000):
                writer.write(detections_of_window(index, 20))
            writer.finish({})
        assert caught.value.errno == errno.EFBIG
        assert Path(caught.value.filename).parent == folder
        assert list(folder.iterdir()) == []

    def test_results_of_the_last_run_stay(self, tmp_path):
        with DetectionWriter(tmp_path) as writer:
            writer.finish({})
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        with full_disk(1000), pytest.raises(OSError), DetectionWriter(tmp_path) as writer:
            for index in range(100):
                writer.write(detections_of_window(index, 20))
            writer.finish({})
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    @pytest.mark.parametrize('content', ['x' * 200_000, b'x' * 200_000, 'x' * 11])
    def test_a_file_that_does_not_fit_leaves_nothing(self, tmp_path, content):
        with full_disk(10), pytest.raises(OSError, match='name.txt'):
            write_file(tmp_path / 'name.txt', content)
        assert list(tmp_path.iterdir()) == []


class TestPlaces:
    """A file that cannot be written is named as it was given, and before the work."""

    def test_folders_are_created(self, tmp_path):
        write_file(tmp_path / 'a' / 'b' / 'name.txt', 'x')
        assert (tmp_path / 'a' / 'b' / 'name.txt').read_text() == 'x'

    @pytest.mark.parametrize('write', [check_place, lambda path: write_file(path, 'x')])
    @pytest.mark.parametrize('kind', ['folder', 'below a file', 'read-only'])
    def test_what_lies_there_is_named(self, tmp_path, monkeypatch, write, kind):
        path = tmp_path / 'name.txt'
        if kind == 'folder':
            path.mkdir()
        elif kind == 'below a file':
            path.touch()
            path /= 'name.txt'
        else:  # root may write everywhere
            monkeypatch.setattr(os, 'access', lambda *_: False)
        before = sorted(tmp_path.rglob('*'))
        with pytest.raises(OSError) as caught:
            write(path)
        assert caught.value.filename.endswith('name.txt')
        assert sorted(tmp_path.rglob('*')) == before


class TestLinks:
    """What somebody else put into the output folder is not written to."""

    @pytest.mark.parametrize('kind', ['symlink', 'dangling', 'hard link'])
    @pytest.mark.parametrize('suffix', ['', '.part'])
    def test_targets_keep_their_content(self, tmp_path, kind, suffix):
        victims, out = tmp_path / 'victims', tmp_path / 'out'
        victims.mkdir()
        out.mkdir()
        for name in PARTS:
            if kind != 'dangling':
                (victims / name).write_text('precious')
            if kind == 'hard link':
                os.link(victims / name, out / (name + suffix))
            else:
                os.symlink(victims / name, out / (name + suffix))
        with DetectionWriter(out) as writer:
            writer.write(detections_of_window(0, 3))
            writer.finish({'windows': 1})
        for name in PARTS:
            if kind == 'dangling':
                assert not (victims / name).exists()
            else:
                assert (victims / name).read_text() == 'precious'
            assert not (out / name).is_symlink()
        assert json.loads((out / 'summary.json').read_text()) == {'windows': 1}

    def test_a_link_at_the_name_of_the_lock_is_not_followed(self, tmp_path):
        victim = tmp_path / 'victim'
        victim.write_text('precious')
        (tmp_path / 'out').mkdir()
        os.symlink(victim, tmp_path / 'out' / '.sast_ros.lock')
        with pytest.raises(OSError, match='sast_ros.lock'), lock_folder(tmp_path / 'out'):
            pass
        assert victim.read_text() == 'precious'

    def test_a_new_file_replaces_what_is_there(self, tmp_path):
        (tmp_path / 'a').write_text('old and long')
        with create_file(tmp_path / 'a') as file:
            file.write(b'new')
        assert (tmp_path / 'a').read_text() == 'new'


class TestLock:
    """One process writes into a folder."""

    def test_a_second_one_is_refused_and_the_first_is_named(self, tmp_path):
        with lock_folder(tmp_path / 'out'):
            owner = f'process {os.getpid()} on .*out'
            with pytest.raises(OutputError, match=owner), lock_folder(tmp_path / 'out'):
                pass
            with lock_folder(tmp_path / 'other'):
                pass
        with lock_folder(tmp_path / 'out'):
            pass
        assert list((tmp_path / 'out').iterdir()) == []

    @pytest.mark.parametrize('command', ['replay example', 'label example', 'demo'])
    def test_commands_refuse_a_folder_that_another_process_writes_into(
        self, command, tmp_path, capsys
    ):
        (tmp_path / 'summary.json').write_text('of the other one')
        with lock_folder(tmp_path):
            before = sorted(tmp_path.rglob('*'))
            model = '--model', 'gen1-tiny'
            assert main([*command.split(), '--out', str(tmp_path), *model]) == 1
            assert sorted(tmp_path.rglob('*')) == before
        assert f'process {os.getpid()}' in capsys.readouterr().err

    def test_the_second_replay_does_not_touch_the_files_of_the_first(self, tmp_path):
        with DetectionWriter(tmp_path) as first:
            first.write(detections_of_window(0, 3))
            with pytest.raises(OutputError), DetectionWriter(tmp_path):
                pass
            first.finish({})
            with DetectionWriter(tmp_path) as second:  # complete: the folder is free
                second.finish({})
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(PARTS)

    def test_a_process_that_was_killed_holds_nothing(self, tmp_path):
        program = (
            'import os, sys, pathlib\nfrom sast_ros.output import lock_folder\n'
            f'with lock_folder(pathlib.Path({str(tmp_path)!r})):\n'
            '    os.kill(os.getpid(), 9)\n'
        )
        assert subprocess.run([sys.executable, '-c', program]).returncode == -9
        assert (tmp_path / '.sast_ros.lock').exists()
        with lock_folder(tmp_path):
            pass

    def test_many_processes_take_turns(self, tmp_path):
        """No two are inside at a time, although the lock file comes and goes."""
        program = (
            'import pathlib, sys\nfrom sast_ros.output import lock_folder, OutputError\n'
            f'folder = pathlib.Path({str(tmp_path)!r})\n'
            'done = 0\n'
            'while done < 40:\n'
            '    try:\n'
            '        with lock_folder(folder):\n'
            '            (folder / "inside").touch(exist_ok=False)\n'
            '            (folder / "inside").unlink()\n'
            '            done += 1\n'
            '    except OutputError:\n'
            '        pass\n'
        )
        processes = [subprocess.Popen([sys.executable, '-c', program]) for _ in range(3)]
        assert [process.wait(60) for process in processes] == [0, 0, 0]
