"""`python -m benchmarks NAME [--json]`: one committed benchmark per promised figure."""

import argparse
import json
import sys

try:
    from benchmarks import console, decoders, engine, fanout, incidents, pipeline, replay, store
    from benchmarks.machine import machine
except ModuleNotFoundError as missing:
    sys.exit(
        f"Benchmarks need what the tests need ({missing}). To install it and measure: make bench BENCH=NAME"
    )

BENCHMARKS = {
    "console": console,
    "decoders": decoders,
    "engine": engine,
    "fanout": fanout,
    "incidents": incidents,
    "pipeline": pipeline,
    "replay": replay,
    "store": store,
}


def main() -> int:
    """Run one benchmark; a human table by default, one JSON object with `--json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="name", required=True)
    for name, module in BENCHMARKS.items():
        command = commands.add_parser(name, help=(module.__doc__ or "").splitlines()[0])
        command.add_argument("--json", action="store_true", help="print one JSON object")
        module.add_arguments(command)
    arguments = parser.parse_args()
    figures = BENCHMARKS[arguments.name].run(arguments)
    report = {"benchmark": arguments.name, "machine": machine(), **figures}
    if arguments.json:
        print(json.dumps(report, ensure_ascii=False))
    else:
        _print_table(report)
    return 0


def _print_table(report: dict[str, object], indent: str = "") -> None:
    for name, value in report.items():
        if isinstance(value, dict):
            print(f"{indent}{name}")
            _print_table(value, indent + "  ")
        else:
            print(f"{indent}{name:28} {value}")


if __name__ == "__main__":
    sys.exit(main())
