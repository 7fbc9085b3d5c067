# Each target does its own set-up: everything it makes lies in .venv, and is up to date in under a second.
# PYTHON=/path/to/python3 chooses the Python. ARGS="..." is handed on to the program.
ARGS ?=
export PYTHON
# OpenMP's threads sleep while they wait for each other: spinning, they starve whatever else runs.
export OMP_WAIT_POLICY ?= PASSIVE

# What the nodes say to each other stays on this machine. ROS 2 before Jazzy knows only the older variable.
LOCALHOST = case "$$ROS_DISTRO" in humble|iron) export ROS_LOCALHOST_ONLY=1 ;; \
	*) export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST ;; esac
ENV = . .venv/ros_env.sh
# Two test runs on one machine must not hear each other; domains up to 101 are safe on every system.
TEST_DOMAIN = export ROS_DOMAIN_ID=$${OVSR_TEST_DOMAIN_ID:-$$(( $$$$ % 90 + 10 ))}

.PHONY: help setup demo test bench check shell clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup:  ## Python packages, ROS 2 and the generated messages, into .venv
	@tools/setup

demo: setup  ## demo camera and node over DDS; ARGS="--frames 30" ends by itself
	@$(ENV) && $(LOCALHOST) && exec python -m ovsr_ros.nodes.demo $(ARGS)

# Files of tests go to two processes, whose nodes do not hear each other; those that take longest go first
# (test/conftest.py). What each test took: build/junit.xml.
test: setup  ## all tests, or ARGS="test/test_package.py -k wheel"
	@$(ENV) && $(LOCALHOST) && $(TEST_DOMAIN) && exec python -m pytest --junit-xml=build/junit.xml \
		$(or $(ARGS),-n 2 --dist loadfile --no-loadscope-reorder)

bench: setup  ## speed and memory, about 20 minutes, into docs/performance.md; ARGS="frame ros" for these parts alone
	@$(ENV) && $(LOCALHOST) && $(TEST_DOMAIN) && exec python bench/run.py $(ARGS)

check: setup  ## ruff, mypy, import rules
	@$(ENV) && ruff check . && ruff format --check . && mypy && python -m pytest -q test/test_imports.py

shell: setup  ## a shell in which python, ROS 2 and this package are found
	@$(ENV) && exec $${SHELL:-/bin/sh}

clean:  ## remove .venv: the next target sets up from nothing
	@rm -rf .venv
