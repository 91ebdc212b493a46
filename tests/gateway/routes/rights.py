"""Who may what, written down once more: a row for each route, a sign for each of those who may ask.

| sign | of an own object | of somebody else's |
|---|---|---|
| `a` | done | done |
| `o` | done | 404 |
| `s` | seen, so 403 | not seen, so 404 |
| `n` | 404: nothing of the kind is theirs | 404 |
| `.` | 403 | 403 |

`done` is the row's status: of what is asked in a way that changes nothing where that can be (409: its state does
not allow it, which nobody is told who does not reach the object). Whoever has no right at all gets 401.
"""

from typing import Any

import msgspec

# The columns. `client`: of a merchant; `app`: a customer in a merchant's app; `service`: one of ours.
WHO = ("customer", "owner", "operator", "viewer", "analyst", "admin", "client", "app", "service")
REFUSED = ("nobody", "disabled", "suspended", "ended")  # 401, wherever a token is asked for

# Extra fields that nobody may set: each body refuses them by name.
FORBIDDEN_FIELDS = ("status", "state", "amount", "merchant_id", "customer", "role", "id", "scope")


class Row(msgspec.Struct, frozen=True):
    """A route: `signs` as above, in the order of `WHO`; `done`: its status. `{card}` in `body`: an object's id."""

    signs: str
    done: int
    body: Any = None
    query: str = ""

    def sign(self, who: str) -> str:
        """The sign of one who asks."""
        return self.signs.replace(" ", "")[WHO.index(who)]


PAYMENT = {
    "amount": 100,
    "currency": "EUR",
    "merchant": "{shop}",
    "payment_method": {"type": "card", "card": "{card}"},
}
CARD = {"number": "4111111111111111", "exp_month": 1, "exp_year": 2039}
CLIENT = {"name": "Shop", "scopes": ["payments:read"], "merchant": "{merchant}"}
NEW = "{new}@example.com"
UNLISTABLE = {"list": "block", "kind": "country", "value": "UK", "reason": "a test"}
LABELS = {"source": "x", "learn": False, "reason": "a test"}
RULE = {"expression": "amount", "outcome": "flag", "reason": "a test", "mode": "off"}  # which is no condition
BACKTEST = {"expression": "amount > 1", "outcome": "flag"}
CHANGE = RULE | {"version": 999, "expression": "amount > 1"}
SNOOZE = {"version": 999, "customer": "acc_x", "until": None}
DECISIONS = {"ids": ["{review}"], "decision": "approve", "reason": "known"}

#                                               people  staff  apps
#                                         customer      analyst client app service
ROUTES: dict[str, Row] = {
    "GET /v1/me":                         Row("a aaa aa .a .", 200),
    "PATCH /v1/me":                       Row("a aaa aa .a .", 200, {}),
    "DELETE /v1/me":                      Row("a aaa aa .. .", 204),
    "GET /v1/me/export":                  Row("a aaa aa .. .", 200),
    "GET /v1/me/notifications":           Row("a aaa aa .a .", 200),
    "PUT /v1/me/notifications":           Row("a aaa aa .a .", 200, {"preferences": {}}),
    "POST /v1/me/confirmations":          Row("a aaa aa .a .", 409, {"channel": "email"}),
    "POST /v1/phone/confirm":             Row("a aaa aa .a .", 422, {"code": "000000"}),
    "POST /v1/me/password":               Row("a aaa aa .. .", 422, {"old": "wrong", "new": "short"}),
    "POST /v1/me/totp":                   Row("a aaa aa .. .", 200, {}),
    "POST /v1/me/totp/confirm":           Row("a aaa aa .. .", 409, {"otp": "000000"}),
    "DELETE /v1/me/totp":                 Row("a aaa aa .. .", 409, {"otp": "000000"}),
    "GET /v1/me/saved":                   Row("a aaa aa .a .", 200, query="kind=payments_view"),
    "PUT /v1/me/saved/<kind>/<name>":     Row("a aaa aa .a .", 200, {"content": "status=failed"}),
    "DELETE /v1/me/saved/<kind>/<name>":  Row("o ooo oo .n .", 204),  # gone by the second time
    "GET /v1/me/sessions":                Row("a aaa aa .a .", 200),
    "DELETE /v1/me/sessions/<session>":   Row("n nnn nn .. .", 204),
    "GET /v1/audit":                      Row(". ... .a .. .", 200),
    "GET /v1/accounts":                   Row(". ... .a .. .", 200),
    "PATCH /v1/accounts/<account>":       Row(". ... .a .. .", 200, {}),
    "POST /v1/logout":                    Row("a aaa aa .a .", 204),
    "POST /v1/cards":                     Row("a a.. .a aa .", 201, CARD),
    "GET /v1/cards":                      Row("a aaa .a aa .", 200),
    "GET /v1/cards/<card>":               Row("o ooo .n oo .", 200),
    "DELETE /v1/cards/<card>":            Row("o o.. .n oo .", 204),
    "POST /v1/payments":                  Row("o oo. .n oo .", 201, PAYMENT),
    "GET /v1/payments":                   Row("a aaa aa aa .", 200),
    "GET /v1/payments/<payment>":         Row("o ooo aa oo .", 200),
    "GET /v1/payments/<payment>/events":  Row("o ooo aa oo .", 200),
    "GET /v1/payments/<payment>/operations": Row(". ... aa .. .", 200),
    "POST /v1/payments/<payment>/capture": Row("s oo. .a os .", 409, {}),
    "POST /v1/payments/<payment>/void":   Row("o oo. .a oo .", 409, {}),
    "POST /v1/payments/<payment>/refunds": Row(". oo. .a o. .", 422, {"amount": 101}),
    "GET /v1/labels":                     Row(". ... aa .. .", 200),
    "POST /v1/labels":                    Row(". ... aa .. .", 422),
    "POST /v1/labels/decisions":          Row(". ... aa .. .", 200, LABELS),
    "POST /v1/payments/<payment>/labels": Row(". ... aa .. .", 201, {"label": "good", "source": "test"}),
    "GET /v1/alerts":                     Row(". ... aa .. .", 503),  # Kafka is away here
    "GET /v1/features":                   Row(". ... aa .. .", 200),
    "GET /v1/refunds":                    Row("a aaa aa aa .", 200, query="payment={payment}"),
    "GET /v1/refunds/<refund>":           Row("o ooo aa oo .", 200),
    "GET /v1/reviews":                    Row(". ... aa .. .", 200),
    "GET /v1/reviews/<review>":           Row(". ... aa .. .", 200),
    "POST /v1/reviews/<review>/decision": Row(". ... aa .. .", 409, {"decision": "approve", "reason": "known"}),
    "PUT /v1/reviews/<review>/assignment": Row(". ... aa .. .", 409),
    "DELETE /v1/reviews/<review>/assignment": Row(". ... aa .. .", 204),
    "POST /v1/reviews/decisions":         Row(". ... aa .. .", 200, DECISIONS),
    "GET /v1/tasks":                      Row(". ... aa .. .", 200),
    "POST /v1/tasks/<task>/resolve":      Row(". ... aa .. .", 409, {"outcome": "lapsed", "reason": "too late"}),
    "GET /v1/lists":                      Row(". ... aa .. .", 200),
    "POST /v1/lists":                     Row(". ... aa .. .", 422, UNLISTABLE),
    "DELETE /v1/lists/<entry>":           Row(". ... aa .. .", 204),
    "GET /v1/rules":                      Row(". ... aa .. .", 200),
    "POST /v1/rules":                     Row(". ... aa .. .", 422, RULE),
    "POST /v1/rules/backtest":            Row(". ... aa .. .", 503, BACKTEST),  # the warehouse is away here
    "POST /v1/rules/check":               Row(". ... aa .. .", 200, {"expression": "amount > 1"}),
    "GET /v1/rules/<rule>":               Row(". ... aa .. .", 200),
    "PUT /v1/rules/<rule>":               Row(". ... aa .. .", 409, CHANGE),
    "PUT /v1/rules/<rule>/snoozes":       Row(". ... aa .. .", 409, SNOOZE),
    "DELETE /v1/rules/<rule>":            Row(". ... aa .. .", 204),
    "GET /v1/staff":                      Row(". ... aa .. .", 200),
    "GET /v1/stops":                      Row(". ... aa .. .", 200),
    "POST /v1/stops":                     Row(". ... .a .. .", 422, {"reason": "a test"}),
    "DELETE /v1/stops/<stop>":            Row(". ... .a .. .", 204),
    "GET /v1/dead-letters":               Row(". ... .a .. .", 503),  # Kafka is away here
    "POST /v1/dead-letters/<letter>/replay": Row(". ... .a .. .", 503, {}),
    "POST /v1/merchants":                 Row(". ... .a .. .", 201, {"name": "Shop"}),
    "GET /v1/merchants/<merchant>":       Row(". ooo .a o. .", 200),
    "PATCH /v1/merchants/<merchant>":     Row(". o.. .a .. .", 200, {}),
    "GET /v1/merchants/<merchant>/people": Row(". o.. .a .. .", 200),
    "POST /v1/merchants/<merchant>/people": Row(". o.. .a .. .", 201, {"email": NEW, "role": "viewer"}),
    "DELETE /v1/merchants/<merchant>/people": Row(". o.. .a .. .", 409, {"email": "{owner_email}"}),
    "DELETE /v1/merchants/<merchant>/people/<person>": Row(". o.. .a .. .", 409),
    "GET /v1/clients":                    Row(". a.. .a .. .", 200),
    "POST /v1/clients":                   Row(". o.. .a .. .", 201, CLIENT),
    "DELETE /v1/clients/<client>":        Row(". o.. .a .. .", 204),
    "POST /v1/clients/<client>/rotate":   Row(". o.. .a .. .", 409, {"overlap_s": 0}),
    "GET /v1/sql-tokens":                 Row(". aaa aa .. .", 200),
    "POST /v1/sql-tokens":                Row(". aaa aa .. .", 201, {"name": "Notebook"}),
    "DELETE /v1/sql-tokens/<sql_token>":  Row(". onn na .. .", 204),
    "POST /v1/sql-tokens/check":          Row(". ... .. .. a", 404, {"token": "sqt_nobodys"}),
    "GET /v1/accounts/<account>/recipient": Row(". ... .. .. a", 200),
}  # fmt: skip

# Without a token: whoever asks is answered as a stranger is.
PUBLIC = {
    "POST /v1/accounts",
    "POST /v1/login",
    "POST /v1/login/refresh",
    "POST /v1/email/confirm",
    "POST /v1/password/reset",
    "POST /v1/password/reset/confirm",
    "GET /v1/return/<payment>/<nonce>",
    "POST /oauth/token",
    "GET /oauth/jwks",
    "POST /oauth/revoke",
    *("GET /oauth/authorize", "POST /oauth/authorize", "POST /oauth/consent"),
    *("GET /oauth/logout", "POST /oauth/logout"),
    "GET /.well-known/oauth-authorization-server",
    "GET /.well-known/openid-configuration",
    "GET /.well-known/openid-configuration/internal",
    *("GET /login", "POST /login", "GET /login/otp", "POST /login/otp", "GET /logout", "POST /logout"),
    *("GET /second-factor", "POST /second-factor", "POST /second-factor/confirm", "GET /second-factor/done"),
    *("GET /reset", "POST /reset", "GET /invitation", "POST /invitation"),
    *("GET /register", "POST /register", "GET /register/done"),
    *("GET /confirm-email", "POST /confirm-email", "POST /confirm-email/again"),
    "GET /pages/<asset>",
    "GET /openapi.json",
    "GET /asyncapi.json",
    "GET /schemas/<file>",
    "GET /docs",
    "GET /docs/<asset>",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
}
