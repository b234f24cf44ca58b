"""Plays seed after seed over a database of its own: `python -m tests.simulation --seeds 1000 --from 0`.

Ends with 1 where a seed fails, and says for each with which command it is played again.
"""

import argparse
import asyncio
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256

import structlog

from ioc.store.migrate import migrate
from tests.conftest import embedded
from tests.simulation.city import Cities, open_cities
from tests.simulation.planted import BUGS
from tests.simulation.simulation import Result, play

PROGRESS_S = 10.0


async def main() -> int:
    """Play the seeds asked for and return the exit code."""
    arguments = _arguments()
    logging.disable(logging.WARNING)  # psycopg's, about connections that were cut
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    results: list[Result] = []
    async with _cities() as cities:
        said_s = time.monotonic()
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            result, trace = await play(cities, seed, arguments.bug)
            results.append(result)
            if arguments.trace:
                print("\n".join(trace.lines))
            if result.broken:
                print(*result.broken, f"play it again: {result.again}", sep="\n  ", file=sys.stderr)
            if time.monotonic() - said_s > PROGRESS_S:
                said_s = time.monotonic()
                print(_summary(results), file=sys.stderr)
    print(json.dumps(_report(results)) if arguments.json else _summary(results))
    return 1 if any(result.broken for result in results) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many (100)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first of them (0)")
    parser.add_argument("--bug", choices=sorted(BUGS), help="with this fault planted into the service")
    parser.add_argument("--trace", action="store_true", help="print what happens")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    return parser.parse_args()


@asynccontextmanager
async def _cities() -> AsyncIterator[Cities]:
    with embedded() as server:
        migrate(server.create("template").admin)
        simulated, replayed = (server.create(name, "template") for name in ("simulated", "replayed"))
        async with open_cities(simulated, replayed) as cities:
            yield cities


def _report(results: list[Result]) -> dict[str, object]:
    faults: Counter[str] = sum((Counter(result.faults) for result in results), Counter())
    return {
        "seeds": len(results),
        "failed": {result.again: list(result.broken) for result in results if result.broken},
        "events": sum(result.events for result in results),
        "incidents": sum(result.incidents for result in results),
        "faults": dict(sorted(faults.items())),
        "seconds": round(sum(result.seconds for result in results), 1),
        "trace": sha256("".join(result.trace for result in results).encode()).hexdigest(),
    }


def _summary(results: list[Result]) -> str:
    failed = sum(bool(result.broken) for result in results)
    faults = sum(sum(result.faults.values()) for result in results)
    seconds = sum(result.seconds for result in results)
    newest = f"up to seed {results[-1].seed}" if results else "none"
    return f"{len(results)} seeds, {newest}: {failed} failed, {faults} faults, {seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
