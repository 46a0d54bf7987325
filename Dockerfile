# The image of a Gossamer node, and of the command line that issues what it trusts.

FROM python:3.12-slim AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE ./
COPY auth auth
COPY mesh mesh
COPY operator operator
COPY topologies topologies
RUN python -m venv /opt/gossamer && /opt/gossamer/bin/pip install --no-cache-dir .

FROM python:3.12-slim
COPY --from=build /opt/gossamer /opt/gossamer
# A new volume at /mesh takes its owner from here.
RUN useradd --create-home gossamer && install --directory --owner gossamer --group gossamer --mode 700 /mesh
USER gossamer
# Clients, routes, gateways, leaf nodes, monitoring.
EXPOSE 4222 6222 7222 7422 8222
ENTRYPOINT ["/opt/gossamer/bin/gossamer"]
CMD ["--help"]
