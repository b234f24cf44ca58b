"""Makes a network with SUMO's netconvert, which the wheel eclipse-sumo brings along."""

import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import Final

from simulators.sumo import SumoError
from simulators.sumo.roads import Plan

CONVERT_S: Final = 300.0
"""The whole demo city takes two seconds."""
INSTALL: Final = "install the extra: `make sumo`, or pip install eclipse-sumo libsumo"
_JOIN_M: Final = 30
"""Crossings nearer to each other than this are one junction."""


def program(name: str) -> str:
    """Return where one of SUMO's programs is.

    Raises:
        SumoError: it is not installed.
    """
    wheel = importlib.util.find_spec("sumo")
    for folder in (wheel.submodule_search_locations or ()) if wheel else ():
        inside = Path(folder) / "bin" / name
        if inside.is_file():
            return str(inside)
    found = shutil.which(name)
    if found is None:
        raise SumoError(f"SUMO's program {name} is not installed; {INSTALL}")
    return found


def make_network(plan: Plan, folder: Path) -> Path:
    """Write `plan` and the network made of it into `folder`; return the network's file.

    Raises:
        SumoError: netconvert is missing or does not like the plan.
    """
    made, nodes, edges = (folder / name for name in ("city.net.xml", "city.nod.xml", "city.edg.xml"))
    nodes.write_text(plan.nodes, "utf-8")
    edges.write_text(plan.edges, "utf-8")
    command = [program("netconvert"), "--node-files", str(nodes), "--edge-files", str(edges)]
    command += ["--proj.utm", "--junctions.join", "--junctions.join-dist", str(_JOIN_M), "--tls.guess"]
    command += ["--no-warnings", "--output-file", str(made)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CONVERT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise SumoError(f"netconvert: {problem}; give a network made elsewhere by --net") from problem
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise SumoError(f"netconvert: {''.join(said) or done.returncode}; give a network by --net")
    return made
