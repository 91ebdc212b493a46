"""The state machine: random operations against the real core, books and twins, and what must hold after them."""
