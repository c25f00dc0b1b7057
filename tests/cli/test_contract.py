"""The command line as a contract: exit codes, JSON keys, clean stdout, complete help."""

import dataclasses
import importlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

import running
from command_lines import program
from sensorstream.errors import ExitCode

pytestmark = pytest.mark.long

ANSI = re.compile(r"\x1b\[")
NOBODY = "127.0.0.1:1"


def cli(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return running.cli(*arguments, cwd=cwd, timeout=60, environment=environment)


def commands() -> list[list[str]]:
    """Every command of the program, from the program itself."""
    found: list[list[str]] = []

    def walk(command: object, path: list[str]) -> None:
        found.append(path)
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, [*path, name])

    walk(program(), [])
    return found


def test_the_commands_of_the_contract_are_there() -> None:
    known = {" ".join(path) for path in commands()}
    assert {
        *("cluster up", "cluster status", "cluster down", "cluster stop-broker", "cluster start-broker"),
        *(
            "cluster logs",
            "cluster chaos",
            "topics create",
            "topics list",
            "topics describe",
            "topics delete",
            "topics alter",
        ),
        *("produce", "consume", "run", "demo", "verify", "brokers", "lag", "config show", "config init"),
        *("config path", "samples write", "samples posts", "bench", "stream", "aggregate"),
        *("sentiment score", "sentiment stream", "sentiment evaluate", "sentiment train", "sentiment app"),
        *("sentiment watch", "jobs list", "jobs show", "jobs forget", "rejects list", "rejects show", "rejects retry"),
        *("rejects save", "query", "inspect", "cluster list", "cluster env", "topics elect"),
        *("topics reassign", "monitor", "groups list", "groups describe", "groups reset", "groups delete"),
        *("cluster add-broker", "cluster remove-broker"),
        "coverage",
        "plot",
        "doctor",
    } <= known


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_and_option_explains_itself(path: list[str]) -> None:
    command: object = program()
    for name in path:
        command = command.commands[name]  # type: ignore[attr-defined]
    assert getattr(command, "help", None), f"{' '.join(path)} has no help"
    for parameter in command.params:  # type: ignore[attr-defined]
        if parameter.param_type_name == "option":
            assert parameter.help, f"{' '.join(path)}: {parameter.name} has no help"


@pytest.mark.parametrize(
    "path", [["--help"], ["produce", "--help"], ["cluster", "up", "-h"], ["sentiment", "stream", "-h"]], ids=" ".join
)
def test_help_exits_0_without_colours(path: list[str]) -> None:
    done = cli(*path)
    assert done.returncode == ExitCode.DONE
    assert "Usage" in done.stdout
    assert not ANSI.search(done.stdout)
    assert done.stderr == ""


def test_version() -> None:
    done = cli("--version")
    assert re.fullmatch(r"sensorstream \d+\.\d+\.\d+\n", done.stdout)


def test_console_script_is_installed() -> None:
    script = Path(sys.executable).parent / "sensorstream"
    done = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == cli("--version").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell: str) -> None:
    done = cli("--show-completion", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1", SHELL=f"/bin/{shell}")
    assert "sensorstream" in done.stdout + done.stderr


WRONG: list[tuple[Sequence[str], ExitCode, str]] = [
    (["produse"], ExitCode.USAGE, "produce"),
    (["produce", "--thred", "3"], ExitCode.USAGE, "--thread"),
    (["produce", "--thread", "0"], ExitCode.USAGE, "thread"),
    (["produce", "--thread", "many"], ExitCode.USAGE, "valid integer"),
    (["produce", "--delay", "-1"], ExitCode.USAGE, "delay"),
    (["produce", "--delay", "nan"], ExitCode.USAGE, "delay"),
    (["produce", "--source", "AIR"], ExitCode.USAGE, "TOPIC=FILE"),
    (["produce", "--rate", "0"], ExitCode.USAGE, "--rate"),
    (["produce", "--processes", "0"], ExitCode.USAGE, "--processes"),
    (["produce", "--processes", "4"], ExitCode.USAGE, "pace"),
    (["produce", "--processes", "2", "--delay", "0", "--source", "AIR=-"], ExitCode.USAGE, "stdin"),
    (["produce", "--source-format", "xlsx"], ExitCode.USAGE, "jsonl"),
    (["produce", "--source", "AIR=a.jsonl", "--columns", "a"], ExitCode.USAGE, "--columns"),
    (["produce", "--quote", "'"], ExitCode.USAGE, "--quote"),
    (["produce", "--follow", "--loop"], ExitCode.USAGE, "--follow"),
    (["produce", "--follow", "--source", "AIR=-"], ExitCode.USAGE, "stdin"),
    (["produce", "--follow", "--processes", "4"], ExitCode.USAGE, "followed"),
    (["produce", "--timeout", "1"], ExitCode.USAGE, "--follow"),
    (["produce", "--job", "x"], ExitCode.USAGE, "--exactly-once"),
    (["produce", "--exactly-once", "--source", "AIR=-"], ExitCode.USAGE, "stdin"),
    (["produce", "--exactly-once", "--acks", "1"], ExitCode.USAGE, "acks"),
    (["jobs", "forget", "x"], ExitCode.USAGE, "--yes"),
    (["produce", "--columns", "id,,text"], ExitCode.USAGE, "--columns"),
    (["consume"], ExitCode.USAGE, "--topic"),
    (["consume", "-t", "AIR"], ExitCode.USAGE, "partition or a group"),
    (["consume", "-t", "../../x", "-p", "0"], ExitCode.USAGE, "topic's name"),
    (["consume", "-t", "AIR", "-p", "0", "-o", "soon"], ExitCode.USAGE, "beginning"),
    (["consume", "-t", "AIR", "-p", "0", "--format", "xml"], ExitCode.USAGE, "csv"),
    (["consume", "-t", "AIR", "-p", "0", "--to", "/dev/null/x/"], ExitCode.FAILED, "--to"),
    (["topics", "list", "-b", "nowhere"], ExitCode.USAGE, "HOST:PORT"),
    (["topics", "list", "-b", "cluster:nobodys"], ExitCode.UNREACHABLE, "cluster up"),
    (["topics", "list", "-b", "cluster:../x"], ExitCode.USAGE, "cluster's name"),
    (["topics", "list", "-b", "cluster:a,b:9092"], ExitCode.USAGE, "alone"),
    (["cluster", "add-broker", "--name", "nobodys"], ExitCode.FAILED, "cluster up"),
    (["cluster", "add-broker", "--port", "70000"], ExitCode.USAGE, "65535"),
    (["cluster", "remove-broker", "4", "--name", "nobodys"], ExitCode.FAILED, "cluster up"),
    (["topics", "list", "-X", "linger.mss=5"], ExitCode.USAGE, "linger.ms"),
    (["topics", "list", "-X", "linger"], ExitCode.USAGE, "KEY=VALUE"),
    (["topics", "list", "--client", "carrier-pigeon"], ExitCode.USAGE, "kafka-python"),
    (["topics", "list", "--profile", "nope"], ExitCode.USAGE, "nope"),
    (["topics", "list", "--command-config", "nope.properties"], ExitCode.USAGE, "nope.properties"),
    (["topics", "create", "AIR", "--partitions", "0"], ExitCode.USAGE, "partitions"),
    (["samples", "write", "--days", "0"], ExitCode.USAGE, "days"),
    (["samples", "posts", "--dir", "/dev/null/x"], ExitCode.FAILED, "--dir"),
    (["demo", "--to", "x"], ExitCode.USAGE, "--sentiment"),
    (["verify", "nope.csv"], ExitCode.WRONG_DATA, "nope.csv"),
    (["rejects", "list", "nope"], ExitCode.WRONG_DATA, "nope"),
    (["rejects", "show", "nope.jsonl"], ExitCode.WRONG_DATA, "nope.jsonl"),
    (["rejects", "save", "../x"], ExitCode.USAGE, "topic's name"),
    (["rejects", "retry", "nope.jsonl", "-y"], ExitCode.WRONG_DATA, "nope.jsonl"),
    (["stream", "--from", "A", "--to", "B"], ExitCode.USAGE, "--transform"),
    (["stream", "--from", "A", "--to", "A", "--transform", "round"], ExitCode.USAGE, "its own output forever"),
    (["aggregate", "-t", "AIR"], ExitCode.USAGE, "--window 10m"),
    (["aggregate", "-t", "AIR", "--window", "soon"], ExitCode.USAGE, "10s"),
    (["aggregate", "-t", "AIR", "--window", "1m", "--to", "x.txt"], ExitCode.USAGE, ".csv"),
    (["aggregate", "-t", "AIR", "--window", "1m", "--to", "topic:AIR"], ExitCode.USAGE, "another topic"),
    (["sentiment", "stream", "--scorer", "vadr"], ExitCode.USAGE, "vader"),
    (["sentiment", "stream", "--to", "scored/", "--workers", "2"], ExitCode.USAGE, "--workers"),
    (["sentiment", "score", "fine", "--scorer", "vadr"], ExitCode.USAGE, "vader"),
    (["sentiment", "score", "fine", "--set", "max_chars=0"], ExitCode.USAGE, "max_chars"),
    (["sentiment", "evaluate", "nope.csv"], ExitCode.WRONG_DATA, "nope.csv"),
    (["sentiment", "evaluate", "nope.csv", "--label", "4"], ExitCode.USAGE, "VALUE=LABEL"),
    (["sentiment", "evaluate", "nope.csv", "--min-macro-f1", "2"], ExitCode.USAGE, "--min-macro-f1"),
    (["sentiment", "train", "nope.csv"], ExitCode.USAGE, "--to"),
    (["sentiment", "train", "nope.csv", "--to", "own.sensormodel"], ExitCode.WRONG_DATA, "nope.csv"),
    (["sentiment", "app", "--scorer", "vadr"], ExitCode.USAGE, "vader"),
    (["sentiment", "watch", "-t", "../../x"], ExitCode.USAGE, "topic's name"),
    (["sentiment", "watch", "-o", "soon"], ExitCode.USAGE, "beginning"),
    (["sentiment", "watch", "--timeout", "0"], ExitCode.USAGE, "--timeout"),
    (["lag", "--for", "soon"], ExitCode.USAGE, "--for"),
    (["groups", "reset", "g"], ExitCode.USAGE, "--shift-by"),
    (["groups", "reset", "g", "--to", "soon"], ExitCode.USAGE, "beginning"),
    (["groups", "delete", "g"], ExitCode.USAGE, "--yes"),
    (["monitor", "--once", "--for", "0"], ExitCode.USAGE, "--for"),
    (["monitor", "--once", "--fail-if", "lag >> 1"], ExitCode.USAGE, "character 5"),
    (["monitor", "latency", "--for", "soon"], ExitCode.USAGE, "--for"),
    (["monitor", "latency", "-t", "../x"], ExitCode.USAGE, "topic's name"),
    (["lag", "--fail-if", "lagg > 1"], ExitCode.USAGE, "did you mean 'lag'?"),
    (["run", "--fail-if", "lag > 1 for ever"], ExitCode.USAGE, "'ever'"),
    (["wait", "rows > 1"], ExitCode.USAGE, "rows(AIR)"),
    (["wait", "lag == 0", "--timeout", "0"], ExitCode.USAGE, "--timeout"),
    (["metrics", "--listen", "127.0.0.1:99999"], ExitCode.USAGE, "HOST:PORT"),
    (["monitor", "--for", "3s"], ExitCode.USAGE, "--once"),
    (["monitor"], ExitCode.USAGE, "monitor --once"),
    (["monitor", "--every", "soon"], ExitCode.USAGE, "--every"),
    (["monitor", "-t", "../x"], ExitCode.USAGE, "topic's name"),
    (["monitor", "--web", "--once"], ExitCode.USAGE, "--once"),
    (["monitor", "--allow-changes"], ExitCode.USAGE, "--web"),
    (["monitor", "--web", "--listen", "here"], ExitCode.USAGE, "--listen"),
    (["monitor", "--web", "--listen", "192.0.2.1:0"], ExitCode.USAGE, "--listen"),
    (["monitor", "--web", "--token", "short"], ExitCode.USAGE, "--token"),
    (["monitor", "--web", "--allow-changes", "-q"], ExitCode.USAGE, "--token"),
]


@pytest.mark.parametrize(("arguments", "code", "says"), WRONG, ids=lambda value: str(value)[:60])
def test_what_is_wrong_is_named_in_one_line(arguments: list[str], code: ExitCode, says: str, tmp_path: Path) -> None:
    done = cli(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert not list(tmp_path.iterdir()), "nothing is created"


def test_a_usage_error_speaks_json_too(tmp_path: Path) -> None:
    done = cli("consume", "-t", "AIR", "-p", "x", "--output", "json", cwd=tmp_path)
    assert done.returncode == ExitCode.USAGE
    answer = json.loads(done.stdout)
    assert list(answer) == ["schema", "command", "status", "result", "errors"]
    assert (answer["schema"], answer["command"], answer["status"], answer["result"]) == (1, "consume", "error", None)
    assert list(answer["errors"][0]) == ["message", "hint", "exit_code"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["topics", "list"],
        ["brokers"],
        ["lag"],
        ["monitor", "--once"],
        ["monitor", "--once", "--fail-if", "brokers < 3"],
        ["consume", "-t", "AIR", "-p", "0"],
        ["produce", "--delay", "0"],
        ["run"],
        ["sentiment", "stream", "--workers", "2"],
        ["sentiment", "watch"],
        ["aggregate", "-t", "AIR", "--window", "1m", "-e"],
    ],
    ids=" ".join,
)
def test_a_cluster_that_nobody_answers_for_is_exit_3_within_10_s(arguments: list[str], tmp_path: Path) -> None:
    began = time.monotonic()
    done = cli(*arguments, "-b", NOBODY, "--output", "json", cwd=tmp_path)
    passed = time.monotonic() - began
    assert done.returncode == ExitCode.UNREACHABLE
    # 10 s for the answer, and as long again for a machine on which the interpreter itself starts slowly.
    assert passed < 20
    assert json.loads(done.stdout)["status"] == "error"
    assert NOBODY in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not list(tmp_path.iterdir()), "nothing is created"


KEYS: list[tuple[str, str]] = [
    ("cluster up --docker", "sensorstream.cluster.containers:ContainersUp"),
    ("cluster down", "sensorstream.cluster.results:ClusterDown"),
    ("cluster start-broker", "sensorstream.cluster.results:BrokerStatus"),
    ("cluster add-broker", "sensorstream.cluster.results:BrokerAdded"),
    ("cluster remove-broker", "sensorstream.lab.membership:BrokerRemoved"),
    ("cluster list", "sensorstream.cluster.named:ClusterList"),
    ("cluster env", "sensorstream.cluster.named:ClusterEnvironment"),
    ("cluster chaos", "sensorstream.lab.chaos.results:ChaosResult"),
    ("produce", "sensorstream.pipelines.replay.spec:ReplayResult"),
    ("jobs list", "sensorstream.pipelines.replay.jobs:JobList"),
    ("jobs show", "sensorstream.pipelines.replay.jobs:Job"),
    ("jobs forget", "sensorstream.pipelines.replay.jobs:JobsForgotten"),
    ("consume", "sensorstream.pipelines.capture.spec:CaptureResult"),
    ("run", "sensorstream.lab.run:LabRun"),
    ("demo", "sensorstream.lab.demo:Demonstration"),
    ("demo --sentiment", "sensorstream.lab.sentiment_demo:SentimentDemonstration"),
    ("stream", "sensorstream.pipelines.stream.job:StreamResult"),
    ("sentiment stream", "sensorstream.pipelines.stream.job:StreamResult"),
    ("aggregate", "sensorstream.pipelines.aggregate.spec:AggregateResult"),
    ("sentiment score", "sensorstream.sentiment.scoring:TextsScored"),
    ("sentiment watch", "sensorstream.pipelines.scored_feed.watch:Watched"),
    ("sentiment app", "sensorstream.cli.sentiment.app:AppClosed"),
    ("query", "sensorstream.cli.query:QueryResult"),
    ("lag", "sensorstream.monitor.lag:GroupLag"),
    ("groups list", "sensorstream.monitor.groups:GroupList"),
    ("groups describe", "sensorstream.monitor.groups:GroupDescribed"),
    ("groups reset", "sensorstream.admin.group_changes:GroupReset"),
    ("groups delete", "sensorstream.admin.group_changes:GroupsDeleted"),
    ("lag --for", "sensorstream.monitor.report:GroupReport"),
    ("monitor --once", "sensorstream.monitor.report:ClusterReport"),
    ("monitor latency", "sensorstream.monitor.probe:Probed"),
    ("wait", "sensorstream.monitor.watching:Waited"),
    ("monitor --web", "sensorstream.monitor.web.server:Served"),
    ("doctor", "sensorstream.doctor.results:Diagnosis"),
]


def documented_keys() -> dict[str, str]:
    """What the page on JSON says of each command's result, as it stands in the table."""
    page = Path(__file__).parents[2] / "docs" / "exit-codes-and-json.md"
    rows = [line.strip("|").split("|") for line in page.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    return {name: row[1] for row in rows for name in re.findall("`([^`]+)`", row[0])}


@pytest.mark.parametrize(("command", "result"), KEYS, ids=lambda value: value.partition(":")[0])
def test_the_keys_of_a_result_are_the_documented_ones(command: str, result: str) -> None:
    module, _, name = result.partition(":")
    text = documented_keys()[command]
    while "(" in text:
        text = re.sub(r"\([^()]*\)", "", text)
    keys = [field.name for field in dataclasses.fields(getattr(importlib.import_module(module), name))]
    assert re.findall("`([^`]+)`", text.partition(";")[0]) == keys


def test_every_command_is_on_the_page_about_json() -> None:
    paths = {" ".join(path) for path in commands() if path}
    leaves = {path for path in paths if not any(other.startswith(f"{path} ") for other in paths)}
    told = documented_keys()
    assert {path for path in leaves if path not in told and f"{path.split()[0]} ..." not in told} == set()


def test_rows_and_json_can_not_both_have_stdout(tmp_path: Path) -> None:
    done = cli("consume", "-t", "AIR", "-p", "0", "--to", "-", "--output", "json", cwd=tmp_path)
    assert done.returncode == ExitCode.USAGE
    assert "stdout" in json.loads(done.stdout)["errors"][0]["message"]


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    done = cli("produce", "--source", "AIR=nope.csv", "--delay", "0", "-b", NOBODY, cwd=tmp_path)
    assert done.returncode in (ExitCode.WRONG_DATA, ExitCode.UNREACHABLE)


def test_a_misspelt_key_of_the_configuration_is_named_with_the_right_one(tmp_path: Path) -> None:
    (tmp_path / "sensorstream.toml").write_text('bootstarp = "127.0.0.1:1"\n')
    done = cli("config", "show", cwd=tmp_path)
    assert done.returncode == ExitCode.USAGE
    assert "bootstarp" in done.stderr
    assert "'bootstrap'" in done.stderr
    assert "sensorstream.toml" in done.stderr


def test_a_broken_configuration_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "sensorstream.toml").write_text("bootstrap = [\n")
    done = cli("config", "show", cwd=tmp_path)
    assert done.returncode == ExitCode.USAGE
    assert len(done.stderr.splitlines()) == 1


def test_precedence_of_settings(tmp_path: Path) -> None:
    (tmp_path / "sensorstream.toml").write_text(
        'bootstrap = "file:1"\ngroup = "file"\n[properties]\nlinger.ms = 1\n[profiles.p]\nbootstrap = "profile:1"\n'
    )

    def bootstrap(*arguments: str, **environment: str) -> str:
        done = cli("config", "show", "--output", "json", *arguments, cwd=tmp_path, **environment)
        shown = json.loads(done.stdout)["result"]
        assert shown["group"] == "file"
        assert shown["properties"]["linger.ms"] == "1"
        return str(shown["bootstrap"][0])

    assert bootstrap() == "file:1"
    assert bootstrap("--profile", "p") == "profile:1"
    env = {"SENSORSTREAM_BOOTSTRAP": "env:1"}
    assert bootstrap("--profile", "p", **env) == "env:1"
    assert bootstrap("-X", "bootstrap.servers=x:1", **env) == "x:1"
    assert bootstrap("-X", "bootstrap.servers=x:1", "-b", "flag:1", **env) == "flag:1"


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    (tmp_path / "client.properties").write_text(
        "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required "
        'username="me" password="hunter2=";\nsecurity.protocol=SASL_PLAINTEXT\n'
    )
    for form in ("json", "text"):
        done = cli(
            *("config", "show", "--output", form, "-v"),
            *("--command-config", "client.properties", "-X", "sasl.password=hunter2"),
            cwd=tmp_path,
        )
        assert done.returncode == ExitCode.DONE
        assert "hunter2" not in done.stdout + done.stderr
        assert "********" in done.stdout


def test_config_init_writes_a_file_that_loads(tmp_path: Path) -> None:
    assert cli("config", "init", cwd=tmp_path).returncode == ExitCode.DONE
    assert cli("config", "show", cwd=tmp_path).returncode == ExitCode.DONE
    again = cli("config", "init", cwd=tmp_path)
    assert again.returncode == ExitCode.USAGE
    assert "--force" in again.stderr
    found = cli("config", "path", cwd=tmp_path)
    assert found.stdout.strip() == str(tmp_path / "sensorstream.toml")


def test_importing_the_package_does_nothing(tmp_path: Path) -> None:
    code = "import sensorstream.cli.app, logging; assert not logging.getLogger().handlers"
    subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=60, cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)}
    )
    assert not list(tmp_path.iterdir())
