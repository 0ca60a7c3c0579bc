"""What operators and callers can touch is documented where they look for it."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.sources import ROOT, SERVICES, place, python_files

PROTO = ROOT / "proto" / "hansa" / "v1"
OWNERS = {
    "StateDb": "statedb",
    "Executor": "executor",
    "Consensus": "consensus",
    "P2p": "p2p",
    "Peer": "p2p",
    "Ledger": "api",
}


def service_readme(service: str) -> str:
    return (ROOT / "services" / service / "README.md").read_text()


def rpcs() -> list[tuple[str, str]]:
    found = []
    for path in sorted(PROTO.glob("*.proto")):
        owner = ""
        for line in path.read_text().splitlines():
            if match := re.match(r"service (\w+)", line):
                owner = match[1]
            if match := re.match(r"\s+rpc (\w+)\(", line):
                found.append((owner, match[1]))
    return found


@pytest.mark.parametrize(("owner", "rpc"), rpcs())
def test_every_rpc_stands_in_its_service_readme(owner: str, rpc: str) -> None:
    assert rpc in service_readme(OWNERS[owner]), f"{owner}.{rpc}: describe it in services/{OWNERS[owner]}/README.md"


@pytest.mark.parametrize("service", SERVICES)
def test_every_metric_stands_in_its_service_readme(service: str) -> None:
    readme = service_readme(service)
    names = set()
    for path in python_files(ROOT / "services" / service / "src"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                first = node.args[0]
                if node.func.id in {"Counter", "Gauge", "Histogram", "Summary"} and isinstance(first, ast.Constant):
                    names.add(first.value)
    missing = sorted(name for name in names if name not in readme)
    assert not missing, f"services/{service}/README.md says nothing of {missing}"


@pytest.mark.parametrize("service", SERVICES)
def test_every_limit_has_a_reason(service: str) -> None:
    path = ROOT / "services" / service / "src" / f"hansa_{service}" / "limits.py"
    lines = path.read_text().splitlines()
    body = ast.parse(path.read_text()).body
    missing = []
    for index, node in enumerate(body):
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if not (isinstance(target, ast.Name) and target.id.isupper()):
            continue
        following = body[index + 1] if index + 1 < len(body) else None
        has_docstring = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        has_comment = "#" in lines[node.lineno - 1] or lines[node.lineno - 2].lstrip().startswith("#")
        if not (has_docstring or has_comment):
            missing.append(f"{place(path, node.lineno)} {target.id}")
    assert not missing, "\n".join(missing)


def test_queues_are_bounded() -> None:
    wrong = [
        place(path, node.lineno)
        for folder in ("libs", "services")
        for path in python_files(ROOT / folder)
        if "tests" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"asyncio.Queue", "Queue", "queue.Queue", "SimpleQueue", "queue.SimpleQueue"}
        and not (node.args or node.keywords)
    ]
    assert not wrong, "queues without a bound:\n" + "\n".join(wrong)


def test_generated_references_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "reference.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_dashboards_are_those_of_the_code() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "observability" / "dashboards.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_stubs_are_fresh(tmp_path: Path) -> None:
    done = subprocess.run([ROOT / "scripts" / "proto", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ci_calls_the_test_command_of_the_readme() -> None:
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("exec make test")
    commands = re.findall(r"^make \w+", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert commands[:2] == ["make up", "make test"]
