# inepro-logger in a container: no root, no shell secrets, a root file system that may be
# read-only. Build: docker build -t inepro-logger .
FROM python:3.13-slim-bookworm AS build
ENV UV_PROJECT_ENVIRONMENT=/opt/inepro-logger \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir uv==0.9.11
WORKDIR /src
# First what changes seldom: a change of the code alone installs no dependency again.
COPY pyproject.toml uv.lock README.md LICENSE hatch_build.py ./
RUN uv sync --frozen --no-dev --extra mqtt --extra http --extra metrics --no-install-project
COPY logger logger
COPY inepro_logger inepro_logger
RUN uv sync --frozen --no-dev --extra mqtt --extra http --extra metrics --no-editable

FROM python:3.13-slim-bookworm
COPY --from=build /opt/inepro-logger /opt/inepro-logger
# Volumes that are mounted here take over these owners.
RUN groupadd --gid 10001 logger \
    && useradd --uid 10001 --gid logger --no-create-home --shell /usr/sbin/nologin logger \
    && install -d -m 0750 -o logger -g logger /var/lib/inepro-logger \
    && install -d -m 0755 -o logger -g logger /provisioning
ENV PATH=/opt/inepro-logger/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    STATE_DIRECTORY=/var/lib/inepro-logger \
    INEPRO_LOGGER_CONFIG=/etc/inepro-logger/logger.toml
USER 10001:10001
WORKDIR /var/lib/inepro-logger
# `status` itself waits before it calls something a problem: one such answer is enough.
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s --retries=1 \
    CMD ["inepro-logger", "status"]
ENTRYPOINT ["inepro-logger"]
CMD ["run"]
