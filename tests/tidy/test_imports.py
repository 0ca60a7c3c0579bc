"""Who may import whom (design, section 2), and what decides without I/O."""

import re

from support.sources import ROOT, SERVICES, imports, place, python_files

IMPURE = {
    "aiohttp",
    "asyncio",
    "concurrent",
    "datetime",
    "fastapi",
    "grpc",
    "httpx",
    "multiprocessing",
    "os",
    "pathlib",
    "random",
    "redis",
    "rocksdict",
    "secrets",
    "select",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "uvicorn",
}
KERNEL_IMPURE = re.compile(r"\bstd::(fs|net|time|env|process)\b|\bthread_rng\b|\bSystemTime\b|\bInstant\b|\bf(32|64)\b")


def test_services_never_import_each_other() -> None:
    wrong = [
        f"{place(path, line)} imports {module}"
        for service in SERVICES
        for path in python_files(ROOT / "services" / service / "src")
        for line, module in imports(path)
        if module.split(".")[0] in {f"hansa_{other}" for other in SERVICES if other != service}
    ]
    assert not wrong, "\n".join(wrong)


def test_the_library_imports_no_service() -> None:
    wrong = [
        f"{place(path, line)} imports {module}"
        for path in python_files(ROOT / "libs" / "hansa" / "src")
        for line, module in imports(path)
        if module.split(".")[0] in {f"hansa_{name}" for name in SERVICES}
    ]
    assert not wrong, "\n".join(wrong)


def test_the_kernel_package_imports_nothing_of_ours() -> None:
    wrong = [
        f"{place(path, line)} imports {module}"
        for path in python_files(ROOT / "kernel" / "python")
        for line, module in imports(path)
        if module.split(".")[0].startswith("hansa") and not module.startswith("hansa_kernel")
    ]
    assert not wrong, "\n".join(wrong)


def test_only_the_store_imports_rocksdict() -> None:
    wrong = [
        place(path, line)
        for folder in ("libs", "services")
        for path in python_files(ROOT / folder)
        for line, module in imports(path)
        if module.split(".")[0] == "rocksdict" and path.name != "store.py" and "tests" not in path.parts
    ]
    assert not wrong, "\n".join(wrong)


def test_cores_do_no_io_and_read_no_clock() -> None:
    cores = [ROOT / "services" / service / "src" / f"hansa_{service}" / "core" for service in SERVICES]
    wrong = [
        f"{place(path, line)} imports {module}"
        for core in cores
        if core.exists()
        for path in python_files(core)
        for line, module in imports(path)
        if module.split(".")[0] in IMPURE
    ]
    assert any(core.exists() for core in cores)
    assert not wrong, "\n".join(wrong)


def test_the_kernel_does_no_io_and_has_no_floats() -> None:
    wrong = []
    for path in sorted((ROOT / "kernel" / "src").rglob("*.rs")):
        code = path.read_text().split("#[cfg(test)]")[0]
        if path.name.startswith("tests") or "tests" in path.relative_to(ROOT).parts:
            continue
        for number, line in enumerate(code.splitlines(), 1):
            if KERNEL_IMPURE.search(line.split("//")[0]):
                wrong.append(f"{place(path, number)}: {line.strip()}")
    assert not wrong, "\n".join(wrong)


def test_only_the_border_knows_python() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "kernel" / "src").rglob("*.rs"))
        if "pyo3" in path.read_text() and "py" not in path.relative_to(ROOT / "kernel" / "src").parts
    ]
    assert not wrong, "\n".join(wrong)
