# Two images: `predictor` (predictors and the sink) and `platform` (Dagster, its runs, MLflow).
#   docker build --target predictor -t mlops-assets/predictor:kind .
#   docker build --target platform -t mlops-assets/platform:kind .
# What is installed is locked by hash. Nothing is compiled, and neither has a compiler.
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-trixie@sha256:db3ff2e1800a8581e2c48a27c3995339d47bdf046da21c7627accd3d51053a93

# The installer, from its own lines of the lock.
FROM ${PYTHON_IMAGE} AS installer
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never
WORKDIR /build
COPY requirements.lock .
RUN awk '/^uv==/{p=1} p; p && !/\\$/{exit}' requirements.lock > uv.lock \
 && python -m pip install --no-cache-dir --require-hashes -r uv.lock

# Without the tests of libraries, and without onnxruntime's library for C, which Python's does not load.
FROM installer AS predictor-environment
COPY k8s/images/predictor.lock .
RUN python -m venv --without-pip /opt/venv \
 && uv pip sync --python /opt/venv/bin/python --require-hashes predictor.lock \
 && find /opt/venv -type d \( -name tests -o -name test \) -prune -exec rm -r {} + \
 && find /opt/venv -name 'libonnxruntime.so.*' -delete

# The .pth: see GC_THRESHOLD in the Makefile.
FROM installer AS platform-environment
COPY k8s/images/platform.lock .
RUN python -m venv --without-pip /opt/venv \
 && uv pip sync --python /opt/venv/bin/python --require-hashes platform.lock \
 && printf '#!/opt/venv/bin/python\nfrom mlops_assets.cli import main\n\nmain()\n' \
      > /opt/venv/bin/mlops-assets \
 && printf 'import gc; gc.set_threshold(50_000, 10, 10)\n' \
      > /opt/venv/lib/python3.11/site-packages/gc_threshold.pth \
 && chmod 755 /opt/venv/bin/mlops-assets

# The code, and the settings that Dagster reads beside it. Compiled, as all that is installed: nobody
# could keep that later, since the root file system is read-only.
FROM ${PYTHON_IMAGE} AS source
COPY pyproject.toml /opt/mlops/
COPY mlops_assets /opt/mlops/mlops_assets
RUN python -m compileall -q /opt/mlops

FROM ${PYTHON_IMAGE} AS runtime
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/mlops PYTHONUNBUFFERED=1 HOME=/tmp \
    DAGSTER_DISABLE_TELEMETRY=1 MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=1
RUN useradd --uid 1000 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin mlops
WORKDIR /opt/mlops

FROM runtime AS predictor
COPY --from=predictor-environment /opt/venv /opt/venv
COPY --from=source /opt/mlops /opt/mlops
USER 1000:1000
ENTRYPOINT ["python", "-m"]
CMD ["mlops_assets.serving.predictor", "--help"]

# PostgreSQL's client writes and reads the dumps of backups.
FROM runtime AS platform
RUN apt-get update \
 && apt-get install --yes --no-install-recommends postgresql-client \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir -p /opt/dagster/storage \
 && chown -R 1000:1000 /opt/dagster
COPY --from=platform-environment /opt/venv /opt/venv
COPY --from=source /opt/mlops /opt/mlops
ENV DAGSTER_HOME=/opt/dagster MPLCONFIGDIR=/tmp/matplotlib
USER 1000:1000
CMD ["mlops-assets", "--help"]
