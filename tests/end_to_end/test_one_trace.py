"""What becomes of one payment is one trace, whichever process does it, and all of them tell the collector."""

import pytest

from tests.end_to_end.collector import Collector, KeptSpan
from tests.end_to_end.shop import Shop, number
from tests.patience import until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

PARTS = {
    ("sluice-gateway", "request"),
    ("sluice-gateway", "visa sale"),
    ("sluice-fraud", "fraud verdict"),
    ("sluice-notifications", "notify email"),
}


def test_a_payment_is_one_trace_over_gateway_fraud_flow_and_notifications(
    shop: Shop, collector: Collector
) -> None:
    paid = shop.pay(number("visa", 440_002), 1234).json["id"]

    def whole() -> list[KeptSpan]:
        spans = collector.trace_of(paid)
        return spans if {(span.service, span.name) for span in spans} >= PARTS else []

    spans = until(whole, why=lambda: collector.trace_of(paid))
    [request] = [span for span in spans if span.attributes.get("http.route") == "/v1/payments"]
    assert request.attributes["http.request.method"] == "POST"
    caused = {span.name for span in spans if span.parent_id == request.span_id}
    assert caused >= {"visa sale", "fraud verdict", "notify email"}
    asked = [span for span in spans if "recipient" in span.attributes.get("http.route", "")]
    assert all(span.service == "sluice-gateway" for span in asked)  # notifications ask in the trace of the payment
