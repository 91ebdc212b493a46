"""What people would have told who review the highest scores of each day: for `sluice evaluate`."""

from collections import deque

from flows.fraud.inputs import DAY, LabelInput

FOUND_FOR = 7 * DAY  # a card that a review found stolen is stopped: for so long nobody reviews it again
ASKED_BACK = 7 * DAY  # whose card was stolen is asked for its payments of so long before


class DailyReviews:
    """Collects the payments of a day (UTC) and, when it is over, tells the labels of those that were reviewed.

    The `per_day` cards with the highest scores are reviewed, each by its payment with the highest one. Where that
    was fraud, its customer goes through the card's payments of the week with the reviewer: all of these are told.
    Where it was good, nobody asks further.
    """

    def __init__(self, per_day: int) -> None:
        self._per_day = per_day
        self._day = 0
        self._highest: dict[str, LabelInput] = {}
        self._found_at: dict[str, float] = {}
        self._week: deque[LabelInput] = deque()
        self.told: set[str] = set()

    def add(self, label: LabelInput) -> None:
        """Note a payment with its score and the label that a review would tell."""
        self._week.append(label)
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
        found = [*reviewed, *self._of_stolen_cards(reviewed, day * DAY)]
        self.told |= {label.label_id for label in found}
        return found

    def _of_stolen_cards(self, reviewed: list[LabelInput], until: float) -> list[LabelInput]:
        """The other payments of the week by the cards that were found stolen, unless they were told before."""
        while self._week and self._week[0].at < until - ASKED_BACK:
            self._week.popleft()
        stolen = {label.instrument_id for label in reviewed if label.fraud}
        known = self.told | {label.label_id for label in reviewed}
        return [each for each in self._week if each.instrument_id in stolen and each.label_id not in known]

    def _is_open(self, label: LabelInput) -> bool:
        return label.at - self._found_at.get(label.instrument_id, -FOUND_FOR) >= FOUND_FOR
