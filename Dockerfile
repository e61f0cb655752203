FROM python:3.11.13-slim-bookworm AS builder
WORKDIR /src
RUN python -m venv /opt/tools && python -m venv --without-pip /opt/detector
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

# The locks first: what changes seldom is a layer that stays.
COPY requirements.lock requirements-build.lock ./
RUN /opt/tools/bin/pip install --no-deps --require-hashes -r requirements-build.lock \
    && pip --python /opt/detector/bin/python install --no-deps --require-hashes --only-binary :all: -r requirements.lock

COPY pyproject.toml README.md ./
COPY detector detector
RUN /opt/tools/bin/hatchling build -t wheel -d dist \
    && pip --python /opt/detector/bin/python install --no-deps --no-index dist/*.whl \
    && /opt/detector/bin/python -m compileall -q /opt/detector/lib


FROM python:3.11.13-slim-bookworm
RUN groupadd --system --gid 10001 detector \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin detector
COPY --from=builder /opt/detector /opt/detector
# The environment wins over the mounted file, so that the health check asks where the daemon listens.
ENV PATH=/opt/detector/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DETECTOR_HTTP__HOST=0.0.0.0 \
    DETECTOR_HTTP__PORT=8080
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-I", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['DETECTOR_HTTP__PORT'] + '/healthz', timeout=2)"]
ENTRYPOINT ["detector"]
CMD ["run"]
