# One image for every service of Hansa.
#
#   BASE_IMAGE  Debian 12 with Python 3.11 (any image that has /usr/bin/python3 or /usr/local/bin/python3 >= 3.11)
#   RUST_IMAGE  where the kernel is built, unless WHEELS=prebuilt
#   WHEELS      "build" (default) or "prebuilt": take all wheels from dist/wheels (`make wheels`), no network needed
#
# A certificate authority of a local network can be passed as build secret `ca`.
ARG BASE_IMAGE=python:3.11-slim-bookworm
ARG RUST_IMAGE=rust:1-slim-bookworm
ARG WHEELS=build

FROM ${RUST_IMAGE} AS wheels-build
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    apt-get update && apt-get install -y --no-install-recommends python3 python3-venv build-essential \
    && python3 -m venv /opt/build && /opt/build/bin/pip install --quiet uv maturin
WORKDIR /src
# Dependencies of the kernel in a layer of their own: they change far less often than the kernel.
COPY kernel/Cargo.toml kernel/Cargo.lock kernel/
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    mkdir -p kernel/src && touch kernel/src/lib.rs && cd kernel \
    && cargo build --release --locked --features extension-module
COPY . .
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    PATH=/opt/build/bin:$PATH HANSA_KERNEL_PROFILE=release scripts/wheels /wheels

FROM scratch AS wheels-prebuilt
COPY dist/wheels /wheels

FROM wheels-${WHEELS} AS wheels

FROM ${BASE_IMAGE} AS install
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    python3 -m venv /opt/hansa \
    && /opt/hansa/bin/pip install --no-index --no-cache-dir --no-compile --find-links /wheels \
       hansa hansa-statedb hansa-executor hansa-consensus hansa-p2p hansa-api \
    && /opt/hansa/bin/python -m compileall -q /opt/hansa/lib

FROM ${BASE_IMAGE}
RUN groupadd --gid 10001 hansa && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin hansa \
    && mkdir /data && chown hansa:hansa /data
COPY --from=install /opt/hansa /opt/hansa
ENV PATH=/opt/hansa/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER hansa
VOLUME /data
ENTRYPOINT ["hansa"]
CMD ["--help"]
