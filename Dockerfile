# One image for every process of ours, and the target `kafka`: the same with the broker's jars.
# The base has to have Python 3.11 with its module venv; nothing else of it is used.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
# Trust whom the base trusts: a company's own authority stands in the system's store.
ENV UV_SYSTEM_CERTS=1 REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
COPY requirements.lock pyproject.toml ./
# uv itself comes from the lock, by pip, with its hash. Then what the services need: names from pyproject.toml
# without its extras, versions and hashes from the lock.
RUN awk '/^uv==/ {on = 1} /^[^ ]/ && !/^uv==/ {on = 0} on' requirements.lock >/tmp/uv.lock \
    && python3 -m venv /opt/uv \
    && /opt/uv/bin/python -m pip install --quiet --no-cache-dir --require-hashes --requirement /tmp/uv.lock \
    && python3 -m venv --without-pip /opt/sluice \
    && /opt/uv/bin/uv pip install --quiet --no-cache --compile-bytecode --python /opt/sluice/bin/python \
        --require-hashes --requirements pyproject.toml --constraints requirements.lock
COPY . .
RUN /opt/sluice/bin/python -m compileall -q . \
    && install -d bin \
    && printf '#!/opt/sluice/bin/python\nfrom sluice.cli import main\n\nmain()\n' >bin/sluice \
    && chmod 755 bin/sluice

FROM build AS jars
RUN /opt/sluice/bin/python -c "import pathlib, sluice.jars as j; j.provide(pathlib.Path('/opt/kafka'), print)"

FROM ${BASE} AS sluice
RUN groupadd --gid 10001 sluice \
    && useradd --uid 10001 --gid sluice --no-create-home --home-dir /tmp --shell /usr/sbin/nologin sluice \
    && useradd --uid 10002 --gid sluice --no-create-home --home-dir /tmp --shell /usr/sbin/nologin vault \
    && install -d -o sluice -g sluice -m 0700 /data \
    && install -d -o vault -g sluice -m 0700 /vault /keys \
    && install -d -o vault -g sluice -m 0750 /run/vault
COPY --from=build /opt/sluice /opt/sluice
COPY --from=build /app /app
ENV PATH=/app/bin:/opt/sluice/bin:$PATH PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 HOME=/tmp SLUICE_DATA=/data
WORKDIR /app
USER 10001:10001
ENTRYPOINT ["sluice"]

FROM sluice AS kafka
COPY --from=jars /opt/kafka /opt/kafka
ENV SLUICE_CACHE=/opt/kafka
CMD ["run", "kafka"]
