# One image with the same code and libraries for webserver, daemon, code server and Dask cluster.
# Locked by hash, without root; the build fails unless GDAL, PROJ and databases work (verify_image.py).

FROM python:3.11-slim-bookworm AS build
WORKDIR /build
COPY requirements-build.lock requirements-dask.lock ./
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock \
    && python3 -m venv --without-pip /opt/spatial_assets \
    && /opt/build/bin/uv pip sync --no-cache --python /opt/spatial_assets/bin/python \
        --require-hashes --compile-bytecode requirements-dask.lock
# The code comes last, so that a change to it does not reinstall the dependencies.
COPY pyproject.toml README.md LICENSE ./
COPY spatial_assets spatial_assets
RUN /opt/build/bin/uv pip install --no-cache --python /opt/spatial_assets/bin/python \
        --no-deps --build-constraints requirements-build.lock --compile-bytecode .

FROM python:3.11-slim-bookworm
# libexpat1 is the only system library that GDAL's wheel needs. It is not pinned, since Debian removes
# the pinned version with the next security update.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libexpat1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-log-init --create-home --home-dir /opt/dagster dagster \
    && install --directory --owner=dagster --group=dagster /opt/dagster/logs /opt/dagster/cache /project
COPY --from=build /opt/spatial_assets /opt/spatial_assets
COPY workspace.yaml deploy/dagster-postgres.yaml deploy/verify_image.py /opt/dagster/
ENV PATH=/opt/spatial_assets/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PROJ_NETWORK=OFF \
    DAGSTER_HOME=/opt/dagster \
    DAGSTER_LOGS=/opt/dagster/logs \
    SPATIAL_ASSETS_PROJECT=/project
RUN mv /opt/dagster/dagster-postgres.yaml /opt/dagster/dagster.yaml
USER 10001
WORKDIR /opt/dagster
RUN ["python", "/opt/dagster/verify_image.py"]
EXPOSE 3000 4000
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:3000/server_info', timeout=5)"]
CMD ["dagster-webserver", "-h", "0.0.0.0", "-p", "3000", "-w", "/opt/dagster/workspace.yaml"]
