"""What people would have told who review the highest scores of each day: for `sluice evaluate`."""

from flows.fraud.inputs import DAY, LabelInput

FOUND_FOR = 7 * DAY  # a card that a review found stolen is stopped: for so long nobody reviews it again


class DailyReviews:
    """Collects the payments of a day (UTC) and, when it is over, tells the labels of those that were reviewed.

    The `per_day` cards with the highest scores are reviewed, each by its payment with the highest one.
    """

    def __init__(self, per_day: int) -> None:
        self._per_day = per_day
        self._day = 0
        self._highest: dict[str, LabelInput] = {}
        self._found_at: dict[str, float] = {}
        self.told: set[str] = set()

    def add(self, label: LabelInput) -> None:
        """Note a payment with its score and the label that a review would tell."""
        best, score = self._highest.get(label.instrument_id), label.score or 0.0
        if best is None or score > (best.score or 0.0):
            self._highest[label.instrument_id] = label

    def labels_before(self, at: float) -> list[LabelInput]:
        """What the reviews of the day before told, once a payment (at `at`, s since 1970 UTC) begins another."""
        day = int(at // DAY)
        if day == self._day:
            return []
        open_cards = [label for label in self._highest.values() if self._is_open(label)]
        reviewed = sorted(open_cards, key=lambda label: -(label.score or 0.0))[: self._per_day]
        self._day, self._highest = day, {}
        self._found_at |= {label.instrument_id: at for label in reviewed if label.fraud}
        self.told |= {label.label_id for label in reviewed}
        return reviewed

    def _is_open(self, label: LabelInput) -> bool:
        return label.at - self._found_at.get(label.instrument_id, -FOUND_FOR) >= FOUND_FOR
