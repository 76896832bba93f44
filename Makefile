# sast_ros: two commands for a bare machine, `make demo` and `make test`. Everything they need goes into .venv.
#
# Another interpreter (3.10 to 3.13) for a new .venv: make setup PYTHON=python3.12

PYTHON ?= python3
VENV := .venv

# Tests run in one process more than there are cores, because a third of their time they wait for other processes. A
# module is not spread over them unless one has nothing else to do: its fixtures are made once. One test after the other,
# as with `pytest`: make test PARALLEL=
PARALLEL := --numprocesses=$(shell cores=$$(nproc); echo $$((cores < 4 ? cores + 1 : 4))) --dist=worksteal

.DEFAULT_GOAL := help
.PHONY: help setup demo test coverage test-view test-arm sanitize fuzz lint docs clean

# These commands always use .venv, also in a shell where a ROS installation is sourced: its variables would mix two sets
# of ROS libraries, and its RMW may not be among the wheels. The tests that need `launch` look for it on PYTHONPATH.
export AMENT_PREFIX_PATH := $(CURDIR)/$(VENV)
unexport CMAKE_PREFIX_PATH COLCON_PREFIX_PATH RMW_IMPLEMENTATION ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION
ifdef ROS_DISTRO
unexport PYTHONPATH LD_LIBRARY_PATH
endif

help:
	@echo 'make demo      set up, then show events -> ROS 2 topics -> detections (writes out/demo)'
	@echo 'make test      set up, then run every test'
	@echo 'make coverage  the same, and print which lines the tests run (twice the time)'
	@echo 'make test-view set up, install Rerun (700 MB), then test "sast-ros view" with it'
	@echo 'make test-arm  test the compiled loops and the network on aarch64, emulated by qemu (a quarter of an hour)'
	@echo 'make sanitize  set up, then test the compiled loops under AddressSanitizer and UndefinedBehaviorSanitizer'
	@echo 'make fuzz      set up, then run all decoders and readers on 10 million generated inputs under the same (an hour)'
	@echo 'make setup     set up .venv only; does nothing where it is up to date'
	@echo 'make lint      check style, types, spelling and workflows'
	@echo 'make docs      build the documentation as a web site (writes out/docs)'
	@echo 'make clean     remove .venv and everything that was built'
	@echo
	@echo 'On a ROS 2 installation use colcon instead: colcon build --base-paths . msg (and training)'

setup:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "sast_ros needs $(PYTHON), which is not on this machine: install the package python3 (Debian, Ubuntu: apt install python3)" >&2; exit 1; }
	@$(PYTHON) tools/set_up.py

demo: setup
	@$(VENV)/bin/sast-ros demo

test: setup
	@$(VENV)/bin/python -m pytest $(PARALLEL)

coverage: setup
	@$(VENV)/bin/python -m pytest $(PARALLEL) --cov --cov-report=term

# Tests of Rerun, which "make test" leaves out where it is not installed: with pyarrow it is a quarter of all that set-up
# installs. Its version is that of constraints.txt.
VIEW_TESTS := test/visualization/test_rerun.py test/system/test_page.py

test-view: setup
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt rerun-sdk
	@$(VENV)/bin/python -m pytest -k rerun $(VIEW_TESTS)

# What differs between processors: compiled loops and the network, which is compared with the selections of the authors'
# own implementation. One module: make test-arm ARM_TESTS=test/test_windows.py
ARM_TESTS := test/events test/bags/test_bad_events.py test/bags/test_event_files.py test/bags/test_hdf5.py \
  test/test_exact_kernels.py test/test_histogram.py test/test_kernels.py test/test_windows.py \
  test/model/inference test/model/test_network.py test/model/test_parity.py test/visualization/test_overlay.py \
  training/test/simulation/test_camera.py training/test/simulation/test_renderer.py

# Left out: larger networks, for their time, and a sequence of random weights in which one token lies within 1e-6 of the
# threshold, where PyTorch's own products decide.
ARM_OPTIONS := -k 'not (-base or -large or [base or bfloat16)' \
  --deselect "test/model/inference/test_engine.py::test_steps_equal_those_of_the_reference[cpu-{'context_broadcasting': True}]"

# Needs no .venv.
test-arm:
	@$(PYTHON) tools/test_arm.py $(ARM_TESTS) $(ARM_OPTIONS)

# The tests that call compiled loops and do not start other processes.
SANITIZED := test/events test/bags/test_bad_events.py test/bags/test_event_files.py test/bags/test_hdf5.py \
  test/test_kernels.py test/test_histogram.py test/test_windows.py \
  test/model/inference/test_postprocess.py test/model/inference/test_cpu.py::test_density_of_any_size \
  test/model/inference/test_cpu.py::test_every_instruction_set_gives_the_results_of_the_reference \
  test/tracking test/visualization/test_layers.py test/visualization/test_overlay.py \
  training/test/simulation/test_camera.py training/test/simulation/test_renderer.py \
  training/test/training/test_augmentation.py training/test/training/test_streams.py

sanitize: setup
	@tools/sanitize.sh $(VENV)/bin/pytest -q -p no:cacheprovider $(PARALLEL) $(SANITIZED)

FUZZ := --executions 10000000

fuzz: setup
	@tools/sanitize.sh $(VENV)/bin/python test/fuzz/campaign.py $(FUZZ)

lint: setup
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/codespell
	@git ls-files -z '*.py' | xargs -0 $(VENV)/bin/numpydoc lint
	@git ls-files -z '*.c' '*.h' | xargs -0 $(VENV)/bin/clang-format --dry-run -Werror
	@$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml

docs: setup
	@$(VENV)/bin/python -m sphinx -W --keep-going -q -b html docs out/docs
	@echo 'in out/docs: index.html'

clean:
	rm -rf .arm .venv build install log out .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage .coverage.* *.egg-info
	rm -rf training/build training/*.egg-info
	rm -f sast_ros/kernels/_kernels*.so training/sast_ros_training/kernels/_kernels*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
