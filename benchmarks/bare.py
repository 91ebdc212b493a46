"""A bare Quart POST on the gateway's own server settings: `python -m benchmarks.bare PORT`.

Its request and answer have as many bytes as a payment's, and it does no work: the difference to a payment is what
a payment costs beyond HTTP.
"""

import asyncio
import sys

from quart import Quart, Response, request

from gateway.web.serving import serve

ANSWER = b'{"id":"' + b"0" * 700 + b'"}'  # as long as a payment


def create_bare() -> Quart:
    """The app: a login that gives everybody a token, and the POST."""
    app = Quart("bare")

    @app.post("/v1/login")
    async def log_in() -> dict[str, str | int]:
        return {"access_token": "bare", "expires_in": 900}

    @app.post("/v1/payments")
    async def pay() -> Response:
        await request.get_data()
        return Response(ANSWER, 201, content_type="application/json")

    return app


if __name__ == "__main__":
    asyncio.run(serve(create_bare(), "localhost", int(sys.argv[1]), proxies=""))
