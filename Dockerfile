# One image for every process: ingress, worker, beat, Flower and the sandbox. No secret and no setting is in it.

FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/sync
ENV PATH=/opt/sync/bin:$PATH
WORKDIR /src
# The lock changes seldom and the sources often, so its layer comes first. Every file is checked against its hash.
COPY requirements.lock ./
RUN pip install --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md celeryconfig.py ./
COPY sync_worker sync_worker
COPY ingress ingress
COPY sandbox sandbox
# setuptools is in the lock, so nothing is fetched to build the project itself
RUN pip install --no-index --no-deps --no-build-isolation . && pip check

FROM python:3.11-slim
# a number, so that an orchestrator can tell that it is not root; /var/lib/sync is what a process may write
RUN groupadd --gid 10001 exchange \
 && useradd --uid 10001 --gid exchange --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin exchange \
 && install -d -o exchange -g exchange -m 0750 /var/lib/sync \
 && install -d /etc/sync /app
COPY --from=build /opt/sync /opt/sync
ENV PATH=/opt/sync/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SYNC_CONFIG=/etc/sync/sync.toml \
    SYNC_VAR=/var/lib/sync \
    INGRESS_SPOOL=/var/lib/sync/spool
# not writable by the process: Celery looks for modules in its working folder first
WORKDIR /app
USER 10001:10001
CMD ["sync-worker", "--help"]
