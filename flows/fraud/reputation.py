"""What speaks against one key: the payments that issuers declined, and what the labels say."""

import msgspec

from flows.fraud.failures import NONE_FAILED, Failures
from flows.fraud.inputs import Features, LabelInput, OutcomeInput
from flows.fraud.label_risks import UNLABELLED, LabelRisks


class Reputation(msgspec.Struct, array_like=True, gc=False):
    """Both are null until there is something: of most keys nothing fails, and nothing is told.

    The order of the fields is part of the recovery state.
    """

    failures: Failures | None = None
    risks: LabelRisks | None = None

    @property
    def is_bad(self) -> bool:
        """Whether a label said fraud."""
        return self.risks is not None and self.risks.frauds > 0

    def settle(self, outcome: OutcomeInput) -> None:
        """Note what became of a payment; what was paid speaks for nobody."""
        if not outcome.paid:
            self.failures = self.failures or Failures()
            self.failures.add(outcome)

    def learn(self, label: LabelInput) -> None:
        """Add a label. Repeats are dropped before, by the instrument."""
        self.risks = self.risks or LabelRisks()
        self.risks.update(label)

    def tell(self, names: tuple[str, ...], at: float, features: Features) -> None:
        """Write the `features` at `at` (s since 1970 UTC) by `names`: the families `FAILED` and `RISKS`."""
        failed, details, funds, stolen, week, month, quarter = names
        features[failed], features[details], features[funds], features[stolen] = (
            NONE_FAILED if self.failures is None else self.failures.values(at)
        )
        features[week], features[month], features[quarter] = (
            UNLABELLED if self.risks is None else self.risks.values()
        )
