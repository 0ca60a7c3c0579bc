"""The compose file on a real Docker engine.

Images that cannot be pulled are made from Debian's packages with debootstrap, and the tests say so. Without an engine
everything here is skipped.
"""

import json
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.consortium import Member, free_port_base, wait_for

ROOT = Path(__file__).resolve().parents[2]
DEBIAN = "bookworm"
LOCAL_BASE = f"hansa-test/python:{DEBIAN}"
LOCAL_PARTS = f"hansa-test/parts:{DEBIAN}"
PULL_SECONDS_MAX = 60
UP_SECONDS_MAX = 300


def engine_answers() -> bool:
    """Whether a Docker engine and the compose plugin are there."""
    if shutil.which("docker") is None:
        return False
    asked = [["docker", "info"], ["docker", "compose", "version"]]
    return all(
        subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0 for command in asked
    )


def have_image(name: str) -> bool:
    """Whether the engine has this image or can pull it."""
    if subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0:
        return True
    try:
        pulled = subprocess.run(
            ["docker", "pull", "--quiet", name], capture_output=True, check=False, timeout=PULL_SECONDS_MAX
        )
    except subprocess.TimeoutExpired:
        return False
    return pulled.returncode == 0


def debian_image(name: str, *packages: str) -> None:
    """Make a minimal Debian image with `packages`, unless it is there already."""
    if subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0:
        return
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        pytest.skip("public images cannot be pulled, and there is no debootstrap (or no root) to make local ones")
    with tempfile.TemporaryDirectory(prefix="hansa-debian-") as folder:
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", DEBIAN, folder],
            check=True, capture_output=True, timeout=900,
        )  # fmt: skip
        packed = subprocess.Popen(["tar", "-C", folder, "-c", "."], stdout=subprocess.PIPE)
        subprocess.run(["docker", "import", "-", name], stdin=packed.stdout, check=True, capture_output=True)
        packed.wait()


@dataclass
class Compose:
    """A running `docker compose` project."""

    project: str
    environment: dict[str, str]
    rpc_ports: list[int]
    prometheus_port: int
    grafana_port: int
    with_grafana: bool

    def run(self, *arguments: str, timeout: float = 600, check: bool = True) -> str:
        """Output of `docker compose ...`."""
        done = subprocess.run(
            ["docker", "compose", "-p", self.project, *arguments],
            cwd=ROOT, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{arguments}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def services(self) -> dict[str, dict[str, str]]:
        """State of every container, by service."""
        lines = self.run("ps", "--all", "--format", "json").splitlines()
        return {entry["Service"]: entry for entry in map(json.loads, lines)}

    def members(self) -> list[Member]:
        """Clients of the four published JSON-RPC ports."""
        return [
            Member(f"m{i}", True, f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}", "", {}, None, None)
            for i, port in enumerate(self.rpc_ports, 1)
        ]


@pytest.fixture(scope="session")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The whole compose file, all services healthy."""
    if not engine_answers():
        pytest.skip("no Docker engine with the compose plugin")
    environment = {"HANSA_IMAGE": "hansa-test/hansa:latest", "DOCKER_BUILDKIT": "1"}
    defaults = {"BASE_IMAGE": "python:3.11-slim-bookworm", "RUST_IMAGE": "rust:1-slim-bookworm"}
    if not all(have_image(name) for name in defaults.values()):
        warnings.warn(
            "public base images cannot be pulled: building on a local Debian image, from wheels of this machine",
            stacklevel=1,
        )
        debian_image(LOCAL_BASE, "ca-certificates", "python3", "python3-venv")
        subprocess.run([ROOT / "scripts" / "wheels"], check=True, capture_output=True, timeout=1200)
        environment |= {"BASE_IMAGE": LOCAL_BASE, "WHEELS": "prebuilt"}
    for variable, image in (("REDIS_IMAGE", "redis:8-alpine"), ("PROMETHEUS_IMAGE", "prom/prometheus:v3.5.0")):
        if not have_image(image):
            warnings.warn(f"{image} cannot be pulled: Debian's package runs instead", stacklevel=1)
            debian_image(LOCAL_PARTS, "redis-server", "prometheus")
            environment[variable] = LOCAL_PARTS
    with_grafana = have_image("grafana/grafana:12.2.0")
    if not with_grafana:
        warnings.warn(
            "Grafana's image cannot be pulled: its dashboard is checked against Prometheus only", stacklevel=1
        )
    base = free_port_base()
    ports = [base + i for i in range(10)]
    for i in range(4):
        environment[f"RPC_PORT_{i + 1}"] = str(ports[i])
        environment[f"GRPC_PORT_{i + 1}"] = str(ports[4 + i])
    environment |= {"PROMETHEUS_PORT": str(ports[8]), "GRAFANA_PORT": str(ports[9])}
    project = Compose(f"hansatest{base}", environment, ports[:4], ports[8], ports[9], with_grafana)
    wanted = [name for name in project.run("config", "--services").split() if name != "grafana" or with_grafana]
    project.run("build", "setup", timeout=1800)
    try:
        project.run("up", "--detach", *wanted, timeout=UP_SECONDS_MAX)
        yield project
    finally:
        (tmp_path_factory.getbasetemp() / "compose.log").write_text(project.run("logs", "--no-color", check=False))
        project.run("down", "--volumes", "--timeout", "20", check=False)


@pytest.fixture
def healthy(compose: Compose) -> Compose:
    """All containers report healthy."""

    def all_healthy() -> bool:
        found = compose.services()
        return all(entry["Health"] in ("healthy", "") for name, entry in found.items() if name != "setup")

    wait_for("all containers healthy", all_healthy, UP_SECONDS_MAX, pause=2)
    return compose
