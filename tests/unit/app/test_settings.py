"""Settings: where they come from, and what a wrong one says."""

from pathlib import Path

import pytest

from ioc.app.settings import SettingsError, load_settings
from ioc.app.settings_page import PAGE, render


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_command_line_wins_over_the_environment_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("ioc.toml").write_text('[http]\nport = 1\nhost = "file"\n[mqtt]\nport = 5\n', "utf-8")
    monkeypatch.setenv("IOC_HTTP__PORT", "2")
    settings = load_settings(http={"host": "line"})
    assert (settings.http.host, settings.http.port, settings.mqtt.port) == ("line", 2, 5)


def test_a_wrong_value_names_file_line_and_expectation(tmp_path: Path) -> None:
    config = tmp_path / "city.toml"
    config.write_text('data = "x"\n[http]\nport = 99999\nprt = 1\n', "utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings(config)
    first, second = str(caught.value).splitlines()
    assert first == f"{config}:3: http.port = 99999: Input should be less than or equal to 65535"
    assert second.startswith(f"{config}:4: http.prt = 1: Extra inputs")


def test_a_wrong_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOC_LOG__PARTITIONS", "none")
    with pytest.raises(SettingsError, match=r"^IOC_LOG__PARTITIONS: log\.partitions = 'none'"):
        load_settings()


def test_a_file_that_is_no_toml_says_so(tmp_path: Path) -> None:
    config = tmp_path / "city.toml"
    config.write_text("http = [", "utf-8")
    with pytest.raises(SettingsError, match="not valid TOML"):
        load_settings(config)


def test_an_absent_file_that_was_asked_for_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path / "absent.toml")


def test_every_setting_says_what_it_means_and_the_page_is_true() -> None:
    page = render()
    assert PAGE.read_text("utf-8") == page, "run: python -m ioc.app.settings_page"
    meanings = [line.rsplit("|", 2)[1].strip() for line in page.splitlines() if line.startswith("| `")]
    assert len(meanings) > 20
    assert all(meanings)
