"""Alerts, runbooks, scrape targets and Grafana's dashboards say the same as the processes and each other.

What has to be parsed or fired is given to `promtool` (Debian package `prometheus`: make prometheus).
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import Histogram

from connectors.heartbeat import kind_of
from schemas.settings import PORTS
from tests.compose.compose_file import SERVICES
from tests.docs.test_pages import registered
from tests.tidy.sources import ROOT, text

PROMETHEUS = ROOT / "deploy/prometheus"
OTHERS = {"up", "ALERTS", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"}
OF_EVERY_TARGET = {"job", "instance", "le", "alertstate"}
BY_REGEX = re.compile(r'__name__=~"([^"]+)"')
SELECTOR = re.compile(r"\b([a-zA-Z_]\w*)(?:\{([^}]*)\})?")
TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
NAMED = re.compile(r"\b(?:sluice|process)_\w+\b|\bup\b|\bALERTS\b")
DASHBOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def targets(file: str) -> dict[str, str]:
    """The one target of each job."""
    jobs = yaml.safe_load((PROMETHEUS / file).read_text())["scrape_configs"]
    return {job["job_name"]: job["static_configs"][0]["targets"][0] for job in jobs}


def panels() -> Iterator[tuple[str, str]]:
    """The title and each expression of every panel, with a period in place of Grafana's own."""
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{file.stem}: {panel['title']}", target["expr"].replace("$__rate_interval", "1m")


def expressions() -> list[tuple[str, str]]:
    return [*((rule["alert"], rule["expr"]) for rule in rules()), *panels()]


@cache
def labels_of_samples() -> dict[str, set[str]]:
    """The name of every sample that a process of ours exposes, with its labels."""
    found: dict[str, set[str]] = {}
    registry = registered()
    for collector, names in registry._collector_to_names.items():
        labels = set(getattr(collector, "_labelnames", ()))
        bare = {collector._name} if isinstance(collector, Histogram) else set()
        found |= dict.fromkeys(set(names) - bare, labels)
    return found


def unknown(expression: str) -> list[str]:
    """The metrics and labels of an expression that no process exposes."""
    samples, lost = labels_of_samples(), []
    for pattern in BY_REGEX.findall(expression):
        if not any(re.fullmatch(pattern, name) for name in samples):
            lost.append(pattern)
    for name, selection in SELECTOR.findall(TEXT.sub('""', expression)):
        if not NAMED.fullmatch(name) or name in OTHERS:
            continue
        if name not in samples:
            lost.append(name)
            continue
        used = set(re.findall(r"(\w+)\s*(?:=|!)", selection))
        lost += [f"{name}{{{label}}}" for label in sorted(used - samples[name] - OF_EVERY_TARGET)]
    return lost


def promtool(*arguments: str, folder: Path = PROMETHEUS) -> str:
    program = shutil.which("promtool")
    assert program, "the tests of alerts need the Debian package prometheus: make prometheus"
    ran = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_what_is_asked_of_prometheus_is_what_processes_expose() -> None:
    assert {where: lost for where, expression in expressions() if (lost := unknown(expression))} == {}
    assert len(expressions()) > 60


def test_a_metric_or_label_that_nobody_exposes_is_found() -> None:
    assert unknown("max(sluice_nothing)") == ["sluice_nothing"]
    assert unknown('sum(rate(sluice_events_total{kind="x"}[5m]))') == ["sluice_events_total{kind}"]
    assert unknown('sum({__name__=~"sluice_none_total"})') == ["sluice_none_total"]
    assert unknown("sum(rate(sluice_sql_statement_seconds[5m]))") != []


def test_every_metric_of_ours_is_on_a_dashboard_or_raises_an_alert() -> None:
    asked = " ".join(expression for _, expression in expressions())
    names = {metric.name for metric in registered().collect() if metric.name.startswith("sluice_")}
    patterns = BY_REGEX.findall(asked)
    told = {name for name in names if name in asked or any(re.fullmatch(p, f"{name}_total") for p in patterns)}
    assert names - told == {"sluice_alerts_raised"}  # those that stand are what somebody has to look at


def test_each_alert_has_its_runbook_and_each_runbook_its_alert() -> None:
    sections = re.findall(r"^## (\w+)$", text("docs/runbooks.md"), re.MULTILINE)
    assert sorted(sections) == sorted(rule["alert"] for rule in rules())
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"].endswith(".")


def test_each_alert_is_fired_by_a_test_and_held_against_a_stack_that_is_well() -> None:
    tests = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    names = sorted(rule["alert"] for rule in rules())
    assert sorted(case["alertname"] for case in cases if case.get("exp_alerts")) == names
    assert sorted(case["alertname"] for case in cases if not case.get("exp_alerts")) == names


def test_the_targets_are_the_ports_of_the_processes() -> None:
    jobs = {name.removesuffix("_metrics"): port for name, port in PORTS.items() if name.endswith("_metrics")}
    jobs = {name: port for name, port in jobs.items() if kind_of(name) == name}  # how many there are is a setting
    jobs["gateway"] = PORTS["gateway"]
    assert targets("prometheus.yml") == {job: f"localhost:{port}" for job, port in jobs.items()}
    assert targets("compose.yml") == {job: f"{job}:{port}" for job, port in jobs.items() if job != "stack"}
    asked = {name for name in targets("compose.yml") if f"metrics-{name}" in SERVICES[name]["networks"]}
    assert asked == targets("compose.yml").keys()
    [down] = [rule["expr"] for rule in rules() if rule["alert"] == "SluiceTargetDown"]
    assert set(re.findall(r"\w+", TEXT.findall(down)[0])) == jobs.keys()


def test_prometheus_takes_the_files_and_the_alerts_fire(tmp_path: Path) -> None:
    for file in ("prometheus.yml", "compose.yml"):
        promtool("check", "config", file)
    promtool("test", "rules", "alerts_test.yml")
    asked = [{"record": f"panel:{n}", "expr": expression} for n, (_, expression) in enumerate(panels())]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": asked}]}))
    promtool("check", "rules", "panels.yml", folder=tmp_path)


def test_dashboards_are_found_by_grafana() -> None:
    for file in DASHBOARDS:
        dashboard = json.loads(file.read_text())
        assert (dashboard["uid"], dashboard["editable"]) == (file.stem, False)
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(ids) == len(set(ids))
        assert all(panel["datasource"]["uid"] == "prometheus" for panel in dashboard["panels"])
    source = yaml.safe_load(text("deploy/grafana/provisioning/datasources/sluice.yml"))["datasources"][0]
    assert (source["uid"], source["url"]) == ("prometheus", "http://prometheus:9090")
    provider = yaml.safe_load(text("deploy/grafana/provisioning/dashboards/sluice.yml"))["providers"][0]
    mounted = [volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"]]
    assert ["./deploy/grafana/dashboards", provider["options"]["path"]] in mounted
