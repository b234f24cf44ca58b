"""The compose files and the Dockerfile, as far as they can be held to account without a Docker engine."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ioc.app.installation import SECRETS
from ioc.app.settings import Settings, load_settings
from tests.native_compose import COMPOSE, OURS, SERVICES, VARIABLE, interpolated

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "tests" / "data" / "compose" / "compose-spec.json").read_text("utf-8"))
SCALE = yaml.safe_load((ROOT / "compose.scale.yaml").read_text("utf-8"))


def environment_of(name: str) -> dict[str, str]:
    secrets = {secret: f"{secret.lower()}-value" for secret in SECRETS}
    return {key: interpolated(value, secrets) for key, value in SERVICES[name]["environment"].items()}


@pytest.mark.parametrize("document", [COMPOSE, SCALE], ids=["compose.yaml", "compose.scale.yaml"])
def test_it_keeps_the_compose_specification(document: dict[str, Any]) -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(document)


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_pinned_limited_and_watched(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":v?\d+\.\d+\.\d+", service["image"]), "an exact version"
    limits = service["deploy"]["resources"]["limits"]
    assert limits["memory"] and limits["cpus"]
    if name != "init":
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


def test_no_secret_has_a_default_and_each_one_is_written_by_init() -> None:
    text = (ROOT / "compose.yaml").read_text("utf-8")
    needed = {match[1]: match for match in VARIABLE.finditer(text) if match[3] is None}
    assert needed.keys() == SECRETS.keys()
    assert all(match[2].startswith(":?") for match in needed.values()), "an absent one stops the start"
    bound = {match[1] for match in VARIABLE.finditer(text) if match[3] is not None}
    assert all(name.endswith("_BIND") for name in bound), "only addresses have defaults"
    assert re.findall(r"(?i)password: *\"?[a-z0-9]", text) == []


def test_what_is_published_stays_on_this_machine_unless_told_otherwise() -> None:
    ports = [interpolated(port, {}) for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 6
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_volume_file_and_network_named_is_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists(), source
            else:
                assert source in COMPOSE["volumes"], source
        assert set(service["networks"]) <= COMPOSE["networks"].keys()
        assert set(service.get("depends_on", {})) <= SERVICES.keys()


@pytest.mark.parametrize("name", OURS)
def test_the_settings_of_each_role_are_settings_of_ours(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in [key for key in os.environ if key.startswith("IOC_")]:
        monkeypatch.delenv(key)
    environment = environment_of(name)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    for key in environment.keys() - {"IOC_SUPERUSER_DSN", "IOC_ADMIN_PASSWORD"}:
        found: Any = settings
        for part in key.removeprefix("IOC_").lower().split("__"):
            found = getattr(found, part)  # a name that is no setting of ours fails here
    assert "password=ioc_app_password-value" in settings.database.app_dsn
    assert settings.http.metrics_token.get_secret_value() == "ioc_metrics_token-value"
    assert isinstance(settings, Settings)


@pytest.mark.parametrize("name", OURS)
def test_the_command_of_each_role_is_one_of_ours(name: str) -> None:
    command = [sys.executable, "-m", "ioc.app", *SERVICES[name]["command"], "--help"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    if name != "init":
        assert SERVICES[name]["command"] == ["run", name]


def test_the_probe_of_our_roles_is_a_program() -> None:
    test = SERVICES["api"]["healthcheck"]["test"]
    assert test[:3] == ["CMD", "python", "-c"]
    done = subprocess.run([sys.executable, *test[2:]], capture_output=True, text=True, check=False)
    # Nothing need listen here, but it must get as far as asking.
    assert done.returncode == 0 or "urllib.error" in done.stderr


def test_three_rule_workers_share_more_partitions_than_workers() -> None:
    assert SCALE["services"].keys() <= SERVICES.keys()
    replicas = SCALE["services"]["rules"]["deploy"]["replicas"]
    assert replicas == 3
    assert int(environment_of("rules")["IOC_LOG__PARTITIONS"]) >= 2 * replicas
    assert "ports" not in SERVICES["rules"], "replicas cannot share a port of the machine"
    assert "container_name" not in SERVICES["rules"]


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions: name and arguments."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text("utf-8"))
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


def test_the_image_is_pinned_and_runs_as_nobody_special() -> None:
    found = instructions()
    froms = [rest for name, rest in found if name == "FROM"]
    assert len(froms) == 2, "what builds is not what runs"
    assert all(re.match(r"python:3\.\d+\.\d+-slim", rest) for rest in froms)
    assert ("USER", "ioc") in found
    after = found[found.index(("USER", "ioc")) :]
    assert not any(name in ("RUN", "COPY") for name, _ in after)


def test_everything_copied_exists_and_the_build_context_holds_it() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert ignored[0] == "*"
    for name, rest in instructions():
        if name == "COPY" and not rest.startswith("--from"):
            for source in shlex.split(rest)[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source.removeprefix('./')}" in ignored, source


def test_every_installation_is_from_a_lock_file_with_hashes() -> None:
    runs = " && ".join(rest for name, rest in instructions() if name == "RUN")
    for command in (part.strip() for part in runs.split("&&")):
        if " pip install" in command and ".whl" not in command:
            assert "--require-hashes" in command
            file = command.split(" -r ")[1].split()[0]
            assert all(
                (ROOT / file.replace("${LOCK}", lock)).exists() for lock in ("runtime", "otel", "parquet")
            )
        if command.startswith("make "):
            done = subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, check=False)
            assert done.returncode == 0, done.stderr
