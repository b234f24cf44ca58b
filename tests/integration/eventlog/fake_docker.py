#!/usr/bin/env python3
"""Stands in for Docker's command line: records every call and runs the broker from the archives.

`FAKE_DOCKER` names its folder, `FAKE_DOCKER_CLASSPATH` the archives. A file `refuse` in the folder makes
`docker run` fail as it does without a registry.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

FOLDER = Path(os.environ["FAKE_DOCKER"])
JAVA = ["java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]


def run(arguments: list[str]) -> int:
    """Start what the image's variables describe."""
    if (FOLDER / "refuse").exists():
        print("docker: error pulling image: no such host", file=sys.stderr)
        return 125
    pairs = [arguments[n + 1].split("=", 1) for n, part in enumerate(arguments) if part == "--env"]
    lines = [
        f"{name.removeprefix('KAFKA_').lower().replace('_', '.')}={value.replace('://:', '://127.0.0.1:')}\n"
        for name, value in pairs
        if name != "KAFKA_HEAP_OPTS"
    ]
    properties = FOLDER / "server.properties"
    properties.write_text("".join([*lines, f"log.dirs={FOLDER / 'data'}\n"]), "utf-8")
    java = [*JAVA, "-cp", os.environ["FAKE_DOCKER_CLASSPATH"]]
    format_log = ["kafka.tools.StorageTool", "format", "-t", "5L6g3nShT-eMCtK--X86sw", "-c", str(properties)]
    subprocess.run([*java, *format_log], check=True, capture_output=True)
    with (FOLDER / "out").open("ab") as output:
        broker = subprocess.Popen([*java, "kafka.Kafka", str(properties)], stdout=output, stderr=output)
    (FOLDER / arguments[arguments.index("--name") + 1]).write_text(str(broker.pid), "utf-8")
    return 0


def main(arguments: list[str]) -> int:
    """Do one call and return its exit code."""
    with (FOLDER / "calls").open("a", encoding="utf-8") as calls:
        calls.write(json.dumps(arguments) + "\n")
    match arguments:
        case ["version", *_]:
            return 0
        case ["run", *rest]:
            return run(rest)
        case ["exec", _, _, "--bootstrap-server", address]:
            host, _, port = address.partition(":")
            with socket.socket() as probe:
                return int(probe.connect_ex((host, int(port))) != 0)
        case ["rm", "--force", "--volumes", name]:
            if (FOLDER / name).exists():
                os.kill(int((FOLDER / name).read_text("utf-8")), signal.SIGKILL)
                (FOLDER / name).unlink()
            return 0
    return 64


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
