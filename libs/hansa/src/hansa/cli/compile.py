"""Contracts to deploy: Solidity through npm's `solc`, or what another compiler made."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hansa.cli.output import CommandFailed, usage

COMPILE_SECONDS_MAX: Final = 120

EVM_VERSION: Final = "osaka"
"""What a new consortium runs; older compilers are asked for what they know."""

_SCRIPT: Final = """
const path = require('path'), fs = require('fs');
const input = JSON.parse(fs.readFileSync(0));
const roots = input.roots;
delete input.roots;
const solc = require(require.resolve('solc', { paths: roots }));
const find = (name) => {
  for (const root of roots) for (const folder of [root, path.join(root, 'node_modules')]) {
    const file = path.join(folder, name);
    if (fs.existsSync(file)) return { contents: fs.readFileSync(file, 'utf8') };
  }
  return { error: 'not found' };
};
process.stdout.write(solc.compile(JSON.stringify(input), { import: find }));
"""


@dataclass(frozen=True, slots=True)
class Contract:
    """What is deployed."""

    bytecode: bytes
    constructor: tuple[str, ...]  # types of the constructor's arguments


def load_contract(source: str) -> Contract:
    """A contract from `File.sol:Name`, an artefact (JSON of solc, Foundry, Hardhat or Truffle) or a file of hex.

    Raises `CommandFailed` with what to install or change.
    """
    path_text, _, name = source.partition(":") if ".sol" in source else (source, "", "")
    path = Path(path_text)
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{path} cannot be read: {error}") from error
    if path.suffix == ".sol":
        return _compile(path, text, name)
    if path.suffix == ".json":
        try:
            return _artefact(json.loads(text))
        except (ValueError, KeyError, TypeError) as error:
            raise CommandFailed(f"{path} is no compiled contract: {error}") from error
    return Contract(_code(text.strip()), ())


def _compile(path: Path, text: str, name: str) -> Contract:
    node = shutil.which("node")
    if node is None:
        raise CommandFailed("Solidity needs Node.js and npm's solc: install Node.js, then `npm install solc`")
    folder = path.absolute().parent
    roots = [str(parent) for parent in (folder, *folder.parents)] + [str(Path.cwd())]
    base = {
        "language": "Solidity",
        "sources": {path.name: {"content": text}},
        "settings": {
            "optimizer": {"enabled": True, "runs": 200},
            "outputSelection": {"*": {"*": ["abi", "evm.bytecode.object"]}},
        },
        "roots": roots,
    }
    output: dict[str, Any] = {}
    for version in (EVM_VERSION, None):  # None: the compiler's own default
        if version is not None:
            base["settings"]["evmVersion"] = version  # type: ignore[index]
        else:
            base["settings"].pop("evmVersion")  # type: ignore[attr-defined]
        output = _solc(node, base)
        if not any(
            "evmVersion" in str(error.get("message", "")) or "EVM version" in str(error.get("message", ""))
            for error in output.get("errors", [])
        ):
            break
    errors = [error["formattedMessage"] for error in output.get("errors", []) if error.get("severity") == "error"]
    if errors:
        raise CommandFailed("\n".join(errors))
    found = output["contracts"][path.name]
    if not name:
        if len(found) != 1:
            raise usage(f"{path} holds {', '.join(found)}: say which as {path}:NAME")
        name = next(iter(found))
    if name not in found:
        raise usage(f"{path} holds no contract {name!r}; there are: {', '.join(found)}")
    return _artefact(found[name])


def _solc(node: str, base: dict[str, Any]) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [node, "-e", _SCRIPT],
            input=json.dumps(base),
            capture_output=True,
            text=True,
            timeout=COMPILE_SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"the compiler has not ended after {COMPILE_SECONDS_MAX} s") from error
    if done.returncode != 0:
        if "Cannot find module 'solc'" in done.stderr:
            raise CommandFailed("npm's solc is missing: run `npm install solc` beside the contract")
        raise CommandFailed(f"the compiler failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _artefact(found: dict[str, Any]) -> Contract:
    code = found.get("bytecode") or found.get("evm", {}).get("bytecode")
    if isinstance(code, dict):
        code = code["object"]
    if not code:
        raise KeyError("it has no bytecode (an interface or abstract contract?)")
    types: tuple[str, ...] = ()
    for entry in found.get("abi") or ():
        if entry.get("type") == "constructor":
            types = tuple(_type(parameter) for parameter in entry.get("inputs", ()))
    return Contract(_code(code), types)


def _type(parameter: dict[str, Any]) -> str:
    kind: str = parameter["type"]
    if kind.startswith("tuple"):
        inner = ",".join(_type(component) for component in parameter["components"])
        return f"({inner}){kind.removeprefix('tuple')}"
    return kind


def _code(text: str) -> bytes:
    if "__" in text:
        raise CommandFailed("the bytecode has unlinked libraries: link them first")
    try:
        code = bytes.fromhex(text.removeprefix("0x"))
    except ValueError as error:
        raise CommandFailed("the bytecode is not hex") from error
    if not code:
        raise CommandFailed("there is no bytecode")
    return code
