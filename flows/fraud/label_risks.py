"""The share of frauds among the labelled payments of one key, over several windows."""

from math import exp

import msgspec

from flows.fraud.inputs import DAY, LabelInput

WEEK, MONTH, QUARTER = 7 * DAY, 30 * DAY, 90 * DAY
# One imagined label of low risk in each window, so that the first real one does not decide alone.
PRIOR_RISK, PRIOR_LABELS = 0.01, 1.0
UNLABELLED = (PRIOR_RISK, PRIOR_RISK, PRIOR_RISK)


class LabelRisks(msgspec.Struct, array_like=True, gc=False):
    """Frauds and labels that fade over a week, a month and a quarter, by when the payments happened.

    A label counts from its arrival on, with the time of its payment; `at` is that of the newest (s since 1970
    UTC). `frauds`: how many there ever were. The order of the fields is part of the recovery state.
    """

    frauds: int = 0
    at: float = 0
    week_frauds: float = 0
    week_labels: float = 0
    month_frauds: float = 0
    month_labels: float = 0
    quarter_frauds: float = 0
    quarter_labels: float = 0

    def update(self, label: LabelInput) -> None:
        """Add a label."""
        apart = -abs(label.at - self.at)
        week, month, quarter = exp(apart / WEEK), exp(apart / MONTH), exp(apart / QUARTER)
        if label.at > self.at:
            self._fade(week, month, quarter)
            self.at, week, month, quarter = label.at, 1.0, 1.0, 1.0
        self.frauds += label.fraud
        self.week_labels += week
        self.month_labels += month
        self.quarter_labels += quarter
        if label.fraud:
            self.week_frauds += week
            self.month_frauds += month
            self.quarter_frauds += quarter

    def values(self) -> tuple[float, float, float]:
        """The shares over a week, a month and a quarter that end with the newest labelled payment."""
        return (
            (self.week_frauds + PRIOR_RISK) / (self.week_labels + PRIOR_LABELS),
            (self.month_frauds + PRIOR_RISK) / (self.month_labels + PRIOR_LABELS),
            (self.quarter_frauds + PRIOR_RISK) / (self.quarter_labels + PRIOR_LABELS),
        )

    def _fade(self, week: float, month: float, quarter: float) -> None:
        self.week_labels *= week
        self.month_labels *= month
        self.quarter_labels *= quarter
        if self.frauds:
            self.week_frauds *= week
            self.month_frauds *= month
            self.quarter_frauds *= quarter
