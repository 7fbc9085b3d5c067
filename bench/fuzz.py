"""Fuzz: input that nobody would write on purpose, into everything that reads what comes from outside.

    PYTHONPATH=. python bench/fuzz.py --inputs 100000      # in `make shell`, about half an hour

Each reader must give what its documentation says, or refuse by an error that says why: no other exception, no input
that takes longer than --longest-s, no memory that stays. Prints a table, and the smallest input of each failure; exit
code 1 if there was one.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
import traceback
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from fuzz_targets import Target, all_targets
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from ovsr_ros.models.memory import resident_bytes

LONGEST_S = 2.0
GROWTH_MIB = 16.0
"""More than that, while the same inputs are read again and again, is memory that stays."""
READ_AGAIN, ROUNDS = 300, 10


@dataclass
class Outcome:
    """What came of one reader's inputs. longest_s: of one of them. problem: "" where all was right."""

    num_inputs: int = 0
    longest_s: float = 0.0
    seconds: float = 0.0
    growth_mib: float = 0.0
    problem: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all readers, or those that are named."""
    targets = all_targets()
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--inputs", type=int, default=100_000, help="inputs, all readers together (100000)")
    parser.add_argument("--seed", type=int, default=0, help="other inputs (0)")
    parser.add_argument("--longest-s", type=float, default=LONGEST_S, help=f"most that one may take ({LONGEST_S:g})")
    parser.add_argument("--only", action="append", choices=sorted(targets), help="this reader; repeatable")
    options = parser.parse_args(arguments)
    chosen = {name: target for name, target in targets.items() if name in (options.only or targets)}
    failed = False
    print("| reader | inputs | inputs a second | longest, ms | growth, MiB | |\n|---|---|---|---|---|---|")
    for name, target in chosen.items():
        outcome = try_inputs(target, -(-options.inputs // len(chosen)), options.seed, options.longest_s)
        failed |= bool(outcome.problem)
        rate = outcome.num_inputs / max(outcome.seconds, 1e-9)
        figures = [
            name,
            outcome.num_inputs,
            f"{rate:.0f}",
            f"{outcome.longest_s * 1e3:.0f}",
            f"{outcome.growth_mib:.1f}",
        ]
        verdict = "**failed**" if outcome.problem else "all as documented"
        print(f"| {' | '.join(map(str, [*figures, verdict]))} |", flush=True)
        if outcome.problem:
            print(outcome.problem, file=sys.stderr)
    return int(failed)


def try_inputs(target: Target, num_inputs: int, seed: int = 0, longest_s: float = LONGEST_S) -> Outcome:
    """Give a reader so many inputs; the first failure ends it, with its smallest input."""
    outcome = Outcome()
    kept: deque[Any] = deque(maxlen=READ_AGAIN)

    @seeded(seed)
    @settings(
        max_examples=num_inputs,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(target.inputs)
    def run(given_input: Any) -> None:
        start = time.perf_counter()
        target.read(given_input)
        took = time.perf_counter() - start
        outcome.longest_s = max(outcome.longest_s, took)
        outcome.num_inputs += 1
        kept.append(given_input)
        assert took < longest_s, f"took {took:.1f} s"

    start = time.perf_counter()
    try:
        run()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        notes = "\n".join(getattr(error, "__notes__", ()))
        outcome.problem = f"{''.join(traceback.format_exception(error))}\n{notes}"
    outcome.seconds = time.perf_counter() - start
    if not outcome.problem:
        outcome.growth_mib = _measure_growth(target, kept)
        if outcome.growth_mib > GROWTH_MIB:
            grown = f"{outcome.growth_mib:.0f} MiB"
            outcome.problem = f"memory grew by {grown} while {len(kept)} inputs were read {ROUNDS} times"
    return outcome


def _measure_growth(target: Target, inputs: Collection[Any]) -> float:
    """MiB. What makes the inputs remembers them all, so that it must not run meanwhile."""

    def read_all() -> float:
        for each in inputs:
            target.read(each)
        gc.collect()
        return resident_bytes() / 2**20

    before = max(read_all(), read_all())
    return [read_all() for _ in range(ROUNDS)][-1] - before


if __name__ == "__main__":
    sys.exit(main())
