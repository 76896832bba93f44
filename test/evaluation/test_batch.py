# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Many recordings at once: processes that die, commands that are killed, the same metrics."""

from __future__ import annotations

from dataclasses import replace
import json
import multiprocessing
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys

from evaluation import batch_jobs
from evaluation.commands import Command, summaries, without_inputs
from facts import facts
from interruption import INTERRUPTIONS
import numpy as np
from program import is_gone, wait_for
import pytest
from sast_ros.bags import RecordingError
from sast_ros.bags.digest import recording_digest
from sast_ros.cli import main
from sast_ros.evaluation import inputs as evaluation_inputs
from sast_ros.evaluation.batch.jobs import BatchError, JobResult, run_serially
from sast_ros.evaluation.batch.plan import options_digest, plan_replay, Replay
from sast_ros.evaluation.batch.replay import run_replay, run_replay_on_node
from sast_ros.evaluation.batch.workers import run_in_processes
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.inputs import EvaluationInputs
from sast_ros.output import lock_folder
from sast_ros.replay import ReplayOptions

REPOSITORY = Path(__file__).resolve().parents[2]


class TestProcesses:
    """What becomes of jobs, whatever becomes of the processes."""

    def ends(self, jobs: list, workers: int = 2, retries: int = 2) -> list:
        outcomes = run_in_processes(batch_jobs.work, jobs, workers, retries)
        return sorted(outcomes, key=lambda outcome: outcome.index)

    def test_every_job_is_done_once_and_a_failure_is_one_of_its_own(self):
        ends = self.ends([7, 'bad', 8, 9])
        assert [end.index for end in ends] == [0, 1, 2, 3]
        assert [end.value[0] for end in ends if end.value] == [7, 8, 9]
        assert (ends[1].reason, ends[1].trace) == ('a bad job', '')
        assert os.getpid() not in {end.value[1] for end in ends if end.value}
        assert multiprocessing.active_children() == []

    def test_a_process_that_is_killed_costs_one_attempt(self, tmp_path):
        ends = self.ends([1, tmp_path / 'attempts', 2, 3])
        assert [end.reason for end in ends] == [''] * 4
        first, second = (tmp_path / 'attempts').read_text().split()
        assert first != second

    def test_a_job_that_kills_its_process_again_and_again_fails(self):
        ends = self.ends([1, 'deadly', 2], retries=1)
        assert [bool(end.reason) for end in ends] == [False, True, False]
        assert 'attempt 2' in ends[1].reason

    def test_an_unexpected_exception_fails_one_job_and_its_traceback_is_logged(self, caplog):
        for run in (self.ends, lambda jobs: list(run_serially(batch_jobs.work, jobs))):
            caplog.clear()
            first, second = run(['bug', 1])
            assert 'KeyError' in first.reason and second.reason == ''
            assert "raise KeyError('a bug')" in caplog.text

    @pytest.mark.parametrize('job', INTERRUPTIONS)
    def test_an_interruption_ends_all(self, job):
        results = run_serially(lambda job: job(), [str, job, str])
        assert next(results).value == ''
        with pytest.raises(KeyboardInterrupt):
            next(results)

    def test_a_condition_of_all_jobs_ends_all(self):
        with pytest.raises(BatchError, match='there is no such device'):
            self.ends(['endless', 'no device'])
        assert multiprocessing.active_children() == []

    def test_the_processes_end_with_the_iterator(self):
        outcomes = run_in_processes(batch_jobs.work, [1, 'endless', 'endless'], 2)
        assert next(outcomes).value[0] == 1
        outcomes.close()
        assert multiprocessing.active_children() == []

    @pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
    def test_the_processes_end_with_a_parent_that_is_killed(self):
        program = (
            'import os\nfrom evaluation.batch_jobs import work\n'
            'from sast_ros.evaluation.batch.workers import run_in_processes\n'
            'outcomes = run_in_processes(work, [1, 2, "endless", "endless"], 2)\n'
            'pids = {next(outcomes).value[1] for _ in range(2)}\n'
            'print(*pids, flush=True)\n'
            'os.kill(os.getpid(), 9)'
        )
        paths = os.pathsep.join((str(REPOSITORY), str(REPOSITORY / 'test')))
        done = subprocess.run(
            [sys.executable, '-c', program],
            env={**os.environ, 'PYTHONPATH': paths},
            capture_output=True,  # until the last process that has the pipe has ended
            text=True,
            timeout=60,
        )
        assert done.returncode == -signal.SIGKILL
        pids = [int(pid) for pid in done.stdout.split()]
        assert pids
        wait_for(lambda: all(is_gone(pid) for pid in pids))


def planned_replay(path: Path, folder: Path) -> Replay:
    options = ReplayOptions()
    return plan_replay(path, folder, options, None, options_digest(options, None))


class TestDigests:
    """What decides whether a recording is replayed again."""

    def test_a_copy_is_the_same_recording(self, tmp_path):
        first, second = tmp_path / 'bag.mcap', tmp_path / 'copy' / 'bag.mcap'
        first.write_bytes(os.urandom(3 << 20))
        second.parent.mkdir()
        shutil.copyfile(first, second)
        os.utime(second, (1, 1))
        assert recording_digest(first) == recording_digest(second)

    def test_a_name_that_is_no_text_has_one(self, tmp_path):
        first, second = (tmp_path / os.fsdecode(b'a' + end) for end in (b'\xe9', b'\xea'))
        for path in (first, second):
            path.write_bytes(b'1')
        assert recording_digest(first) != recording_digest(second)

    @pytest.mark.parametrize('place', [0, (3 << 20) - 1])
    def test_another_content_is_another_recording(self, tmp_path, place):
        path = tmp_path / 'bag.mcap'
        content = bytearray(3 << 20)
        path.write_bytes(content)
        before = recording_digest(path)
        content[place] = 1
        path.write_bytes(content)
        assert recording_digest(path) != before

    def test_all_files_of_a_folder_count(self, tmp_path):
        for name in ('metadata.yaml', 'bag_0.db3'):
            (tmp_path / name).write_text(name)
        before = recording_digest(tmp_path)
        (tmp_path / 'bag_1.db3').write_text('more')
        assert recording_digest(tmp_path) != before

    @pytest.mark.parametrize(
        'change',
        [
            {'model': 'gen1-tiny'},
            {'device': 'cpu'},
            {'window_ms': 25},
            {'stride_ms': 25},
            {'score_threshold': 0.2},
            {'nms_iou': 0.5},
            {'max_detections': 10},
            {'score': 'class'},
            {'sensor_size': (240, 304)},
            {'threads': 2},
            {'start': 1.0},
            {'end': 2.0},
            {'filters': ('hot-pixel',)},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_every_option_counts(self, change):
        changed = replace(ReplayOptions(), **change)
        assert options_digest(changed, None) != options_digest(ReplayOptions(), None)

    def test_the_topic_counts_and_the_video_does_not(self):
        digest = options_digest(ReplayOptions(), None)
        assert options_digest(ReplayOptions(), '/events') != digest
        assert options_digest(ReplayOptions(video=True, video_min_score=0.3), None) == digest

    def test_the_content_of_a_mask_counts_and_not_its_place(self, tmp_path):
        first, second = tmp_path / 'a.npy', tmp_path / 'b.npy'
        np.save(first, np.eye(3))
        np.save(second, np.eye(3))
        digest = options_digest(ReplayOptions(filters=(f'mask={first}',)), None)
        assert options_digest(ReplayOptions(filters=(f'mask={second}',)), None) == digest
        np.save(second, np.ones((3, 3)))
        assert options_digest(ReplayOptions(filters=(f'mask={second}',)), None) != digest

    def test_another_folder_sees_the_same_mask(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        np.save('mask.npy', np.eye(3))
        Path('drive.dat').write_bytes(b'events')
        options = ReplayOptions(filters=('hot-pixel', 'mask=mask.npy'))
        digest = options_digest(options, None)
        planned = plan_replay(Path('drive.dat'), Path('out'), options, None, digest)
        moved = planned.with_absolute_paths()
        assert moved.options.filters == ('hot-pixel', f'mask={tmp_path / "mask.npy"}')
        assert options_digest(moved.options, None) == digest

    def test_the_weights_count_and_not_their_place(self, tmp_path):
        first, second = tmp_path / 'a.safetensors', tmp_path / 'b.safetensors'
        first.write_bytes(b'weights')
        second.write_bytes(b'weights')
        digest = options_digest(ReplayOptions(model=str(first)), None)
        assert options_digest(ReplayOptions(model=str(second)), None) == digest
        second.write_bytes(b'others')
        assert options_digest(ReplayOptions(model=str(second)), None) != digest


def test_processes_give_the_metrics_of_one_process(batch, tmp_path):
    """One of the processes is killed half-way, and one of the recordings is corrupt."""
    bags, out, target = batch.bags[:10], tmp_path / 'out', tmp_path / 'metrics.json'
    arguments = ['--out', out, '--json', target, '--workers', 2]
    command = batch.command(*arguments, bags=[*bags[:3], batch.corrupt, *bags[3:]])
    with Command(command, tmp_path / 'log') as running:
        running.until(lambda: len(summaries(out)) >= len(bags) // 2)
        # The last of its children; the first is a helper of multiprocessing
        victim = running.children()[-1]
        os.kill(victim, signal.SIGKILL)
        assert running.wait() == 1
    assert is_gone(victim)
    batch.check(target, bags)
    said = running.log.read_text()
    assert said.count('left out: ') == 1
    assert 'Traceback' not in said


def test_a_command_that_was_killed_goes_on_where_it_was(batch, tmp_path):
    bags, out, target = batch.bags[10:20], tmp_path / 'out', tmp_path / 'metrics.json'
    command = batch.command('--out', out, '--json', target, '--workers', 2, bags=bags)
    with Command(command, tmp_path / 'log') as running:
        running.until(lambda: len(summaries(out)) >= len(bags) // 2)
        children = running.children()
        running.process.kill()
        running.wait()
    assert len(children) >= 2
    wait_for(lambda: all(is_gone(pid) for pid in children))
    before = summaries(out)
    assert not target.exists()
    assert 5 <= len(before) < len(bags)
    with Command(command, tmp_path / 'log') as running:
        assert running.wait() == 0
    after = summaries(out)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(bags)
    said = running.log.read_text()
    assert f'replay: {len(before)} of {len(bags)} recordings were replayed before' in said
    assert without_inputs(target) == batch.metrics(bags, tmp_path / 'serial.json')
    left = [path.name for path in out.rglob('*') if path.name.endswith('.part')]
    assert left == []


def test_a_command_that_is_ended_takes_its_processes_with_it(batch, tmp_path):
    command = batch.command('--out', tmp_path / 'out', '--workers', 2, bags=batch.bags[:10])
    with Command(command, tmp_path / 'log') as running:
        running.until(lambda: summaries(tmp_path / 'out'))
        children = running.children()
        running.process.terminate()
        assert running.wait() == 143
    assert len(children) >= 2
    wait_for(lambda: all(is_gone(pid) for pid in children))
    assert [*(tmp_path / 'out').rglob('*.part')] == []
    assert 'Traceback' not in running.log.read_text()


def test_a_signal_at_the_very_beginning_leaves_nothing_behind(batch, tmp_path, monkeypatch):
    make, made = Path.mkdir, []

    def make_and_end(path: Path, *arguments: object, **options: object) -> None:
        make(path, *arguments, **options)
        if path.suffix == '.part':
            made.append(path)
            raise SystemExit(143)  # what the handler of SIGTERM raises in a process

    monkeypatch.setattr(Path, 'mkdir', make_and_end)
    with pytest.raises(SystemExit):
        run_replay(planned_replay(batch.bags[0], tmp_path))
    assert len(made) == 1
    assert [*tmp_path.iterdir()] == []


def test_the_first_process_never_loads_torch(batch, tmp_path):
    command = batch.command('--out', tmp_path, '--workers', 2, bags=batch.bags[:2])
    program = (
        'import sys\nfrom sast_ros.cli import main\n'
        'if __name__ == "__main__":\n'
        '    assert main(sys.argv[1:]) == 0\n'
        '    assert "torch" not in sys.modules'
    )
    (tmp_path / 'program.py').write_text(program)
    done = subprocess.run(
        [sys.executable, tmp_path / 'program.py', *command],
        env={**os.environ, 'PYTHONPATH': str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


class TestAgain:
    """The same command again does what has to be done again, and nothing else."""

    @pytest.fixture
    def out(self, batch, tmp_path):
        """Give the folder of one replay that has been made."""
        shutil.copytree(batch.out / 'bag_00', tmp_path / 'out' / 'bag_00')
        return tmp_path / 'out'

    @pytest.fixture(autouse=True)
    def no_report(self, monkeypatch):
        """Save the time of a report, a second each."""
        monkeypatch.setitem(sys.modules, 'matplotlib', None)

    def made_again(self, batch, out, *arguments, bag=None) -> bool:
        before = summaries(out)
        bags = [bag or batch.bags[0]]
        assert main(batch.command('--out', out, *arguments, bags=bags)) == 0
        again = summaries(out) != before
        made = summaries(out)
        assert main(batch.command('--out', out, *arguments, bags=bags)) == 0
        assert summaries(out) == made
        return again

    def test_what_is_done_is_not_done_again(self, batch, out, capsys):
        assert not self.made_again(batch, out)
        assert 'replay: 1 of 1 recordings were replayed before' in capsys.readouterr().err

    def test_with_another_option(self, batch, out):
        assert self.made_again(batch, out, '--score-threshold', 0.05)

    def test_another_recording_of_this_name(self, batch, out, tmp_path):
        other = tmp_path / batch.bags[0].name
        shutil.copy(batch.bags[1], other)
        assert self.made_again(batch, out, bag=other)

    @pytest.mark.parametrize('name', ['summary.json', 'windows.npy'])
    def test_files_that_are_gone(self, batch, out, name):
        (out / 'bag_00' / name).unlink()
        assert self.made_again(batch, out)

    def test_detections_that_are_gone(self, batch, out):
        (out / 'bag_00' / 'detections.npy').unlink()
        (out / 'bag_00' / 'detections.mcap').write_bytes(b'half')
        assert self.made_again(batch, out)

    def test_half_of_a_file(self, batch, out):
        path = out / 'bag_00' / 'detections.npy'
        path.write_bytes(path.read_bytes()[:-100])
        assert self.made_again(batch, out)

    def test_what_a_killed_process_left_is_removed(self, batch, out):
        (out / 'bag_00' / 'summary.json').unlink()
        left = out / 'bag_00' / 'replay-left.part'
        left.mkdir()
        (left / 'detections.npy.part').write_text('half')
        assert self.made_again(batch, out)
        assert not left.exists()


class TestOneName:
    """Recordings of one name in different folders."""

    @pytest.fixture
    def drives(self, batch, tmp_path):
        """Return two recordings with labels beside them."""
        drives = []
        for day, bag in zip(('monday', 'tuesday'), batch.bags, strict=False):
            drives.append(tmp_path / 'data' / day / 'town' / 'drive.mcap')
            drives[-1].parent.mkdir(parents=True)
            shutil.copy(bag, drives[-1])
            labels = bag.with_name(f'{bag.stem}_bbox.npy')
            shutil.copy(labels, drives[-1].with_name('drive_bbox.npy'))
            shutil.copy(bag.with_name('dataset.json'), drives[-1].parent)
        return drives

    @pytest.mark.parametrize('given', [False, True])
    def test_each_has_its_labels_and_its_replay(self, batch, drives, tmp_path, capsys, given):
        out, target = tmp_path / 'out', tmp_path / 'metrics.json'
        command = ['evaluate', *map(str, drives), '--stride-ms', '100', '--out', str(out)]
        command += [
            '--json',
            str(target),
            *(['--labels', str(tmp_path / 'data')] if given else []),
        ]
        assert main(command) == 0
        names = ['monday/town/drive', 'tuesday/town/drive']
        found = without_inputs(target)
        assert [one['name'] for one in found['recordings']] == names
        for name, bag in zip(names, batch.bags, strict=False):
            made = [
                np.load(folder / 'detections.npy') for folder in (out / name, batch.out / bag.stem)
            ]
            assert np.array_equal(*made)
        assert names[1] in (out / 'report.html').read_text()
        capsys.readouterr()
        assert main(command) == 0
        assert '2 of 2 recordings were replayed before' in capsys.readouterr().err
        # Their replays are of one name as well
        labels = ['--labels', str(tmp_path / 'data')]
        replays = [str(out / name) for name in names]
        assert main(['evaluate', *replays, *labels, '--json', str(target), '--out', str(out)]) == 0
        again = without_inputs(target)
        assert again['recordings'] == found['recordings'] and again['AP'] == found['AP']
        expected = batch.metrics(batch.bags[:2], tmp_path / 'serial.json')
        assert found['AP'] == expected['AP']

    def test_folders_of_their_replays_side_by_side_tell_them_apart(self, batch, tmp_path):
        results, target = tmp_path / 'results', tmp_path / 'metrics.json'
        for day, bag in zip(('monday', 'tuesday'), batch.bags, strict=False):
            shutil.copytree(batch.out / bag.stem, results / day)
            summary = json.loads((results / day / 'summary.json').read_text())
            text = json.dumps(summary | {'recording': 'drive.mcap'})
            (results / day / 'summary.json').write_text(text)
            labels = tmp_path / 'labels' / day / 'drive_bbox.npy'
            labels.parent.mkdir(parents=True)
            shutil.copy(bag.with_name(f'{bag.stem}_bbox.npy'), labels)
            shutil.copy(bag.with_name('dataset.json'), labels.parent)
        command = ['evaluate', *map(str, results.iterdir()), '--labels', str(tmp_path / 'labels')]
        assert main([*command, '--json', str(target), '--out', str(tmp_path / 'out')]) == 0
        found = without_inputs(target)
        names = {one['name'] for one in found['recordings']}
        assert names == {'monday/drive', 'tuesday/drive'}
        expected = batch.metrics(batch.bags[:2], tmp_path / 'serial.json')
        assert found['AP'] == expected['AP']

    def test_the_reason_why_one_is_left_out_names_its_folder(self, drives, tmp_path, capsys):
        drives[1].write_bytes(drives[1].read_bytes()[:100])
        command = ['evaluate', *map(str, drives), '--stride-ms', '100', '--out', str(tmp_path)]
        assert main(command) == 1
        said = capsys.readouterr().err
        assert f'left out: {drives[1]}' in said and str(drives[0]) not in said


class TestErrors:
    """One sentence each."""

    def said(self, capsys, *words, code=1) -> list[str]:
        assert main([*map(str, words)]) == code
        lines = capsys.readouterr().err.strip().splitlines()
        return [line for line in lines if not line.startswith('replay')]

    @pytest.mark.parametrize('place', ['other', '.'])
    def test_labels_of_two_recordings_that_are_ambiguous_are_refused_before_any_is_replayed(
        self, batch, tmp_path, capsys, place
    ):
        """Two of one name in different folders, and one that is named twice."""
        (tmp_path / 'other').mkdir()
        bags = [shutil.copy(batch.bags[0], tmp_path / folder) for folder in ('.', place)]
        (sentence,) = self.said(capsys, *batch.command('--out', tmp_path / 'out', bags=bags))
        assert '2 recordings are called bag_00' in sentence
        wanted = tmp_path if place == '.' else batch.corrupt.parent / 'other'
        assert str(wanted) in sentence
        assert not (tmp_path / 'out').exists()

    def test_one_without_labels_does_not_stop_the_others(self, batch, tmp_path, capsys):
        other = shutil.copy(batch.bags[1], tmp_path / 'unlabelled.mcap')
        missing = tmp_path / 'missing.mcap'
        bags = [other, batch.out / 'bag_00', missing]
        target = tmp_path / 'metrics.json'
        arguments = ['--out', tmp_path / 'out', '--json', target]
        said = self.said(capsys, *batch.command(*arguments, bags=bags))
        assert len(said) == 2
        assert 'no labels of the recording unlabelled' in said[0]
        assert 'missing' in said[1]
        metrics = json.loads(target.read_text())
        assert [one['input'] for one in metrics['failed']] == [str(other), str(missing)]
        assert [one['name'] for one in metrics['recordings']] == ['bag_00']

    def test_one_corrupt_recording_alone_is_an_error(self, batch, tmp_path, capsys):
        command = batch.command('--out', tmp_path, bags=[batch.corrupt])
        (sentence,) = self.said(capsys, *command)
        assert 'bag_corrupt.mcap is damaged' in sentence

    def test_nothing_that_can_be_evaluated(self, batch, tmp_path, capsys):
        bags = [batch.corrupt, tmp_path / 'missing.mcap']
        said = self.said(capsys, *batch.command('--out', tmp_path, bags=bags))
        assert len(said) == 3
        assert 'none of the 2 inputs can be evaluated' in said[-1]

    def test_no_workers(self, batch, capsys):
        said = self.said(capsys, *batch.command('--workers', 0), code=2)
        assert "'0' is not a whole number from 1" in said[-1]

    def test_weights_that_are_not_there(self, batch, tmp_path, capsys):
        """They are missing for all recordings, so it is said once."""
        arguments = ['--out', tmp_path, '--model', tmp_path / 'none.safetensors']
        for words in (arguments, [*arguments, '--workers', 2]):
            (sentence,) = self.said(capsys, *batch.command(*words))
            assert 'none.safetensors' in sentence

    def test_another_command_that_replays_into_the_same_folder(self, batch, tmp_path, capsys):
        with lock_folder(tmp_path):
            command = batch.command('--out', tmp_path, bags=batch.bags[:2])
            (sentence,) = self.said(capsys, *command)
        assert f'process {os.getpid()} on' in sentence
        assert 'is writing into' in sentence

    def test_detections_that_would_lie_in_the_recording(self, batch, tmp_path, capsys):
        folder = tmp_path / 'bag_00'
        folder.mkdir()
        shutil.copy(batch.bags[0], folder)
        (sentence,) = self.said(capsys, *batch.command('--out', tmp_path, bags=[folder]))
        assert 'written into the recording' in sentence

    def test_ray_that_is_not_installed(self, batch, tmp_path, capsys, monkeypatch):
        monkeypatch.setitem(sys.modules, 'ray', None)
        command = batch.command('--out', tmp_path, '--ray-address', 'auto')
        (sentence,) = self.said(capsys, *command)
        assert sentence.endswith('pip install ray')


class TestNodes:
    """What is found out on another machine concerns all recordings."""

    @pytest.fixture
    def planned(self, batch, tmp_path):
        """Plan a replay here, as it is sent to another machine."""
        bag = shutil.copy(batch.bags[0], tmp_path)
        return planned_replay(Path(bag), tmp_path / 'out' / 'bag_00').with_absolute_paths()

    @pytest.mark.parametrize('name', ['bag_00.mcap', 'out'])
    def test_files_that_it_does_not_see(self, planned, tmp_path, name):
        (tmp_path / 'out').mkdir()
        path = tmp_path / name
        path.rename(tmp_path / 'elsewhere')
        with pytest.raises(BatchError, match=f'does not see {path}.*at the same place'):
            run_replay_on_node(planned)

    def test_another_version_of_what_decides_detections(self, planned, tmp_path):
        (tmp_path / 'out').mkdir()
        with pytest.raises(BatchError, match='another version.*install the same'):
            run_replay_on_node(replace(planned, digest='of another version'))

    def test_detections_that_do_not_come_back(self, batch, tmp_path):
        options = ReplayOptions()
        inputs = EvaluationInputs(batch.bags[:1], batch.corrupt.parent, tmp_path, options)
        with pytest.raises(EvaluationError, match='the detections are not in'):
            inputs.replay(lambda replays: iter([JobResult(0, {})]), lambda *numbers: None)


def test_an_input_that_needs_what_is_not_installed_does_not_stop_the_others(tmp_path, monkeypatch):
    paths = [tmp_path / 'one.hdf5', tmp_path / 'other.hdf5']

    def plan(path, *_: object) -> None:
        if path == paths[0]:
            raise ModuleNotFoundError(name='h5py')

    monkeypatch.setattr(evaluation_inputs, 'find_labels', lambda *_: None)
    monkeypatch.setattr(evaluation_inputs, 'plan_replay', plan)
    inputs = EvaluationInputs(paths, tmp_path, tmp_path / 'out', ReplayOptions())
    assert list(inputs.failed) == paths[:1]
    assert 'h5py is not installed' in inputs.failed[paths[0]]
    with pytest.raises(ModuleNotFoundError):
        EvaluationInputs(paths[:1], tmp_path, tmp_path / 'out', ReplayOptions())


def test_a_failed_replay_does_not_stop_the_others(batch, tmp_path):
    inputs = EvaluationInputs(batch.bags[:2], batch.corrupt.parent, tmp_path, ReplayOptions())
    ends = [JobResult(1, reason='so odd'), JobResult(0, reason='as well')]
    inputs.replay(lambda replays: iter(ends), lambda *numbers: None)
    assert list(inputs.failed) == batch.bags[:2]
    assert list(inputs.failed.values())[1].endswith('bag_01.mcap: so odd')


def test_a_size_that_no_sensor_has_concerns_its_recording_alone(tmp_path):
    path = tmp_path / 'a.csv'
    path.write_text('# width 4000, height 100\nt_us,x,y,p\n0,1,1,1\n')
    with pytest.raises(RecordingError, match=facts(path, '4000x100', '--sensor-size')):
        run_replay(planned_replay(path, tmp_path / 'out'))


def test_the_sensor_size_may_be_given(batch, tmp_path):
    """For recordings that do not hold it; here it is the same."""
    arguments = ['--out', tmp_path, '--sensor-size', '304x240']
    assert main(batch.command(*arguments, bags=batch.bags[:1])) == 0
    for name in ('detections.npy', 'windows.npy'):
        one, other = tmp_path / 'bag_00' / name, batch.out / 'bag_00' / name
        assert np.array_equal(np.load(one), np.load(other))


def test_the_report_links_into_the_videos(batch, tmp_path, capsys):
    """Asking for videos makes the replays anew; without them they stay."""
    bags, out = batch.bags[:2], tmp_path / 'out'
    assert main(batch.command('--out', out, bags=bags)) == 0
    assert f'report: {out / "report.html"}' in capsys.readouterr().out
    assert 'overlay.mp4' not in (out / 'report.html').read_text()
    before = summaries(out)
    for words in (['--video'], ['--video'], []):
        assert main(batch.command('--out', out, *words, bags=bags)) == 0
        assert (out / 'bag_00' / 'overlay.mp4').stat().st_size > 1000
        assert 'href="bag_00/overlay.mp4' in (out / 'report.html').read_text()
    said = capsys.readouterr().err
    assert said.count('2 of 2 recordings were replayed before') == 2
    for name in ('detections.npy', 'windows.npy'):
        one, other = out / 'bag_00' / name, batch.out / 'bag_00' / name
        assert np.array_equal(np.load(one), np.load(other))
    assert summaries(out) != before


def test_metrics_without_a_report(batch, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    assert main(batch.command('--out', tmp_path, bags=batch.bags[:1])) == 0
    out, error = capsys.readouterr()
    assert 'mAP' in out
    assert 'no report was written' in error and 'pip install' in error
    assert not (tmp_path / 'report.html').exists()
