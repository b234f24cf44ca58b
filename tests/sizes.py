"""Print the sizes that the house style limits, and fail when one is exceeded.

Files: at most 600 lines. Functions, less their docstrings: at most 60.
"""

import ast
import statistics
import sys
from pathlib import Path

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 60
ROOT = Path(__file__).parents[1]


def _function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        total -= (first.end_lineno or first.lineno) - first.lineno + 1
    return total


def main() -> int:
    """Measure `ioc`, `simulators` and `benchmarks`; return the exit code."""
    files: dict[str, int] = {}
    functions: dict[str, int] = {}
    for package in ("ioc", "simulators", "benchmarks"):
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text("utf-8")
            name = str(path.relative_to(ROOT))
            if text.strip():
                files[name] = text.count("\n")
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    functions[f"{name}:{node.lineno} {node.name}"] = _function_lines(node)
    for label, sizes in (("lines per file", files), ("lines per function", functions)):
        ordered = sorted(sizes.values())
        p90 = ordered[int(len(ordered) * 0.9)]
        print(f"{label}: {len(ordered)} measured, median {statistics.median(ordered):.0f}, p90 {p90}")
    too_large = [f"{n} ({s} lines)" for n, s in files.items() if s > MAX_FILE_LINES]
    too_large += [f"{n} ({s} lines)" for n, s in functions.items() if s > MAX_FUNCTION_LINES]
    for name in too_large:
        print(f"too large: {name}", file=sys.stderr)
    return 1 if too_large else 0


if __name__ == "__main__":
    sys.exit(main())
