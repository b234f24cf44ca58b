"""Settings: where they come from, and what a wrong one says."""

from pathlib import Path

import pytest

from ioc.app.pages.settings import PAGE, render
from ioc.app.settings import SettingsError, load_settings
from ioc.ingest.limits import IngestLimits
from ioc.stream.hub import HubSettings


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
    assert second == f"{config}:4: http.prt: there is no such setting (did you mean 'port'?)"


def test_a_wrong_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOC_LOG__PARTITIONS", "none")
    with pytest.raises(SettingsError, match=r"^IOC_LOG__PARTITIONS: log\.partitions = 'none'"):
        load_settings()


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("IOC_LOG__PASWORD", r"log\.pasword: there is no such setting \(did you mean 'password'\?\)"),
        ("IOC_LGO__PASSWORD", r"lgo\.password: there is no such setting \(did you mean 'log'\?\)"),
    ],
)
def test_a_misspelt_variable_stops_the_start_and_what_it_holds_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, variable: str, says: str
) -> None:
    monkeypatch.setenv(variable, "sesame")
    with pytest.raises(SettingsError, match=f"^{variable}: {says}$"):
        load_settings()


def test_a_misspelt_name_in_a_list_of_tables_is_told_from_its_neighbours(tmp_path: Path) -> None:
    config = tmp_path / "city.toml"
    config.write_text('[[bridge.topics]]\ntopic = "a"\ndecoder = "cap"\ndevise = "x"\n', "utf-8")
    with pytest.raises(SettingsError, match=r"devise: there is no such setting \(did you mean 'device'\?\)"):
        load_settings(config)


def test_routes_of_a_broker_come_from_either_and_one_that_cannot_work_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("ioc.toml").write_text('[mqtt]\nbroker_routes = {"frigate/#" = "nvr-1"}\n', "utf-8")
    assert load_settings().mqtt.broker_routes == {"frigate/#": "nvr-1"}
    monkeypatch.setenv("IOC_MQTT__BROKER_ROUTES", '{"a/#/b": "nvr-1"}')
    with pytest.raises(SettingsError, match=r"IOC_MQTT__BROKER_ROUTES.*a/#/b is no topic filter"):
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
    assert PAGE.read_text("utf-8") == page, "run: python -m ioc.app.pages.settings"
    meanings = [line.rsplit("|", 2)[1].strip() for line in page.splitlines() if line.startswith("| `")]
    assert len(meanings) > 20
    assert all(meanings)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("http = 5", ":1: http = 5"),
        ("[http.port]\na = 1", ":1: http.port"),
        ("\n[[http]]\nport = 1", ":2: http = "),
        ("\nhttp = { port = 99999 }", ":2: http.port = 99999"),
        ("http.port = 99999", ":1: http.port = 99999"),
        ('"http"."port" = -1', ":1: http.port = -1"),
        ("bounds = [1, 2]", ":1: bounds = [1, 2]: expected four numbers"),
        ("bounds = [2, 2, 1, 3]", ":1: bounds = "),
        (
            '[http]\npicture_hosts = ["nonsense/99"]',
            ":2: http.picture_hosts.0 = 'nonsense/99': 'nonsense/99' does",
        ),
    ],
)
def test_a_wrong_value_is_found_in_every_spelling_of_toml(tmp_path: Path, text: str, place: str) -> None:
    config = tmp_path / "city.toml"
    config.write_text(text, "utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings(config)
    assert str(caught.value).startswith(f"{config}{place}")


def test_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    config = tmp_path / "city.toml"
    config.write_text('data = "x"\nhttp = = 1\n', "utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings(config)
    assert str(caught.value).startswith(f"{config}:2:8: not valid TOML: Invalid value")
    config.write_bytes(b'data = "x"\n# \xff\n')
    with pytest.raises(SettingsError, match=":2: not valid TOML: not UTF-8"):
        load_settings(config)


@pytest.mark.parametrize(
    ("variable", "value", "example"),
    [
        ("IOC_BOUNDS", "1,2", r"bounds = '1,2': expected JSON, such as \[106"),
        ("IOC_HTTP__ALLOWED_ORIGINS", "a", "http.allowed_origins = 'a': expected JSON, such as \\[\"one\""),
        ("IOC_HTTP", "a", "http = 'a': expected JSON"),
    ],
)
def test_a_list_in_the_environment_that_is_no_json_says_what_is_expected(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, example: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"^{variable}: {example}"):
        load_settings()


def test_a_wrong_value_of_the_command_line_names_its_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOC_HTTP__PORT", "1")
    with pytest.raises(SettingsError, match=r"^--port: http\.port = 99999"):
        load_settings(http={"port": 99999})


def test_a_wrong_connection_string_is_found_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOC_DATABASE__ADMIN_DSN", "host=x sesame")
    with pytest.raises(SettingsError, match=r"^IOC_DATABASE__ADMIN_DSN: database\.admin_dsn = …: expected"):
        load_settings()


def test_default_folders_are_those_of_the_checkout_where_the_current_folder_has_none() -> None:
    settings = load_settings()
    assert (settings.rules.folder / "flood-report.yaml").exists()
    assert settings.data == Path("var")
    Path("rules").mkdir()
    assert load_settings().rules.folder == Path("rules")


def test_a_folder_that_somebody_chose_is_left_alone() -> None:
    assert load_settings(rules={"folder": Path("rules")}).rules.folder == Path("rules")
    Path("ioc.toml").write_text('[rules]\nfolder = "rules"\n', "utf-8")
    assert load_settings().rules.folder == Path("rules")


def test_kafka_without_brokers_is_refused_and_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOC_LOG__KIND", "kafka")
    with pytest.raises(SettingsError, match=r"^IOC_LOG: log\.kind = kafka needs log\.bootstrap_servers"):
        load_settings()


def test_parts_of_the_log_that_do_not_fit_together_show_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("ioc.toml").write_text(
        '[log]\nkind = "kafka"\nbootstrap_servers = "k:9092"\nsecurity = "SASL_SSL"\npassword = "geheim"\n'
    )
    with pytest.raises(SettingsError, match=r"needs log\.username") as caught:
        load_settings()
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("IOC_LOG__SPILL", "true", r"log\.spill is for log\.kind = kafka"),
        ("IOC_LOG__TLS_KEY", "our.key", r"log\.tls_key needs log\.tls_certificate"),
    ],
)
def test_settings_of_kafka_that_need_another_one_name_it(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, rule: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=rf"^IOC_LOG: {rule}"):
        load_settings()


@pytest.mark.parametrize("servers", ["kafka", "kafka:x", "a:1;b:2", "a:1, b:2"])
def test_brokers_are_hosts_with_ports(servers: str) -> None:
    with pytest.raises(SettingsError, match=r"log\.bootstrap_servers"):
        load_settings(log={"bootstrap_servers": servers})


_FOREIGN = '[bridge]\ntopics = [{topic = "a", decoder = "cloudevents", device = "gw"}]\n'
_KAFKA = '[log]\nbootstrap_servers = "k:9092"\n'


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("[relay]\nenabled = true\n", r"relay\.enabled needs log\.bootstrap_servers"),
        (_FOREIGN, r"bridge\.topics needs log\.bootstrap_servers"),
        (
            _KAFKA + 'kind = "kafka"\nspill = true\nspill_after_s = 3\n',
            r"spill_after_s: expected at most rules\.lateness_s",
        ),
        (_KAFKA + _FOREIGN.replace("cloudevents", "clouds"), r"expected a decoder: .*cloudevents"),
        (_KAFKA + _FOREIGN.replace('"a"', '"ioc.events"'), r"ioc\.events is our own topic"),
        (_KAFKA + _FOREIGN.replace('"a"', '"a b"'), r"bridge\.topics\.0\.topic"),
        (
            _KAFKA
            + "[bridge]\ntopics = [\n"
            + '{topic = "a", decoder = "cloudevents", device = "g"},\n' * 2
            + "]\n",
            r"a is repeated",
        ),
    ],
)
def test_relay_and_bridges_that_cannot_work_are_refused_at_the_start(text: str, finding: str) -> None:
    Path("ioc.toml").write_text(text, "utf-8")
    with pytest.raises(SettingsError, match=finding):
        load_settings()


@pytest.mark.parametrize(
    ("wrong", "finding"),
    [
        ({"url": "ftp://tiles.example.org/{z}/{x}/{y}"}, r"url: expected http"),
        ({"url": "https://tiles.example.org; script-src *//{z}/{x}/{y}"}, r"url: expected http"),
        (
            {"url": "https://tiles.example.org/{z}/{x}.png"},
            r"url: expected \{y\} in the address of raster tiles",
        ),
        (
            {"url": "https://a.example.org/c.pmtiles", "kind": "pmtiles", "attribution": " "},
            r"attribution",
        ),
    ],
)
def test_a_base_map_that_could_not_be_shown_is_refused_at_the_start(
    wrong: dict[str, str], finding: str
) -> None:
    with pytest.raises(SettingsError, match=finding):
        load_settings(basemap={"attribution": "© OpenStreetMap"} | wrong)


def test_foreign_topics_are_read_from_the_file() -> None:
    Path("ioc.toml").write_text(_KAFKA + _FOREIGN, "utf-8")
    (topic,) = load_settings().bridge.topics
    assert (topic.topic, topic.decoder, topic.device, topic.group) == ("a", "cloudevents", "gw", "")


def test_bounds_of_ingest_and_feed_reach_them_in_their_units() -> None:
    Path("ioc.toml").write_text(
        "[ingest]\nmax_body_bytes = 2048\nread_timeout_s = 2.5\n"
        "[feed]\nheartbeat_s = 5\noutbox_age_s = 1.5\nmax_clients = 7\n",
        "utf-8",
    )
    settings = load_settings()
    limits, hub = settings.ingest.limits, settings.feed.hub
    assert (limits.max_body_bytes, limits.read_timeout_s) == (2_048, 2.5)
    assert (hub.max_clients, hub.session.hb_ms, hub.session.outbox_age_us) == (7, 5_000, 1_500_000)


def test_bounds_that_nobody_sets_are_those_of_ingest_and_feed() -> None:
    settings = load_settings()
    assert settings.ingest.limits == IngestLimits()
    assert settings.feed.hub == HubSettings()


def test_a_burst_smaller_than_a_body_may_be_is_refused() -> None:
    Path("ioc.toml").write_text("[ingest]\ndevice_burst_events = 10\n", "utf-8")
    with pytest.raises(SettingsError, match="device_burst_events: expected at least max_events_per_request"):
        load_settings()
