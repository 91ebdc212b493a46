"""Every process of a real stack tells Prometheus what it measures, and every metric is told by one of them."""

import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from connectors.heartbeat import kind_of
from schemas.settings import PORTS
from tests.docs.test_pages import registered
from tests.end_to_end.shop import Shop, number
from tests.end_to_end.stack import Stack
from tests.patience import until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

# Of a stack with one worker of each flow.
OF_PROCESSES = [name.removesuffix("_metrics") for name in PORTS if name.endswith("_metrics")]
TARGETS = ("gateway", *(f"{name}_metrics" for name in OF_PROCESSES if kind_of(name) == name))
FORBIDDEN_LABELS = {"account", "address", "card", "customer", "email", "ip", "merchant", "payment", "user"}


def families(stack: Stack, target: str) -> dict[str, set[str]]:
    """The metrics of a target that have a sample, with the names of their labels."""
    with urllib.request.urlopen(f"{stack.settings.url(target)}/metrics", timeout=10) as answer:
        found = list(text_string_to_metric_families(answer.read().decode()))
    return {each.name: {label for sample in each.samples for label in sample.labels} for each in found}


def test_every_process_is_a_target_and_every_metric_is_there(stack: Stack, shop: Shop) -> None:
    shop.pay(number("visa", 470_001), 1234)
    shop.pay(number("visa", 470_002), 1235)
    told = {target: families(stack, target) for target in TARGETS}
    assert all("process_cpu_seconds" in each for each in told.values())
    everywhere = {name for each in told.values() for name in each}
    assert {metric.name for metric in registered().collect()} - everywhere == set()
    labels = {label for each in told.values() for names in each.values() for label in names}
    assert labels & FORBIDDEN_LABELS == set()


def test_a_flow_tells_what_it_reads_and_writes(stack: Stack, shop: Shop) -> None:
    def judged() -> bool:
        shop.pay(number("visa", 470_003), 1236)
        return "sluice_fraud_verdicts" in families(stack, "fraud_metrics")

    until(judged)
    for target in ("analytics_metrics", "sql_metrics"):
        assert {"sluice_warehouse_age_seconds", "sluice_flow_lag_records"} <= families(stack, target).keys()
    assert families(stack, "stack_metrics")["sluice_process_ready"] == {"process"}
