"""Generate the reference pages of docs/ from the code; with --check only compare them with what is committed."""

import json
import sys
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from hansa.chainspec import chain_spec_schema
from hansa.config import Settings
from hansa_api.limits import Limits
from hansa_api.methods import all_methods
from pydantic import BaseModel
from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"


def settings_page() -> str:
    """Every setting with its environment variable, type, default and meaning."""
    lines = [
        "# Settings",
        "",
        "Made from `hansa.config` by `make docs`. Precedence: command line, environment, `--config` file (TOML), default.",
        "What all members must agree on is in the [chain spec](chain-spec.schema.json), never here.",
    ]
    sections: list[tuple[str, str, type[BaseModel]]] = [("", "Node", Settings)]
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            sections.append((name, (field.annotation.__doc__ or "").strip(), field.annotation))
    for prefix, title, model in sections:
        heading = f"`{prefix}`: {title}" if prefix else "Node"
        lines += [
            "",
            f"## {heading}",
            "",
            "| setting | environment | type | default | meaning |",
            "| --- | --- | --- | --- | --- |",
        ]
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                continue
            variable = "HANSA_" + "__".join(part.upper() for part in (prefix, name) if part)
            lines.append(
                f"| `{name}` | `{variable}` | {_type(field.annotation)} | {_default(field)} | {field.description} |"
            )
    return "\n".join(lines) + "\n"


def methods_page() -> str:
    """Every JSON-RPC method with its parameters and its cost under the rate limit."""
    lines = [
        "# JSON-RPC methods",
        "",
        "Made from the table of `services/api` by `make docs`. Anything else answers -32601. Parameters in brackets may be",
        "left out. Cost: units of the rate limit, where it is on; `by size` grows with what is asked for.",
        "",
        "| method | parameters | cost | what it answers |",
        "| --- | --- | --- | --- |",
    ]
    for method in sorted(all_methods(Limits()), key=lambda entry: entry.name):
        names = ", ".join(param.name if param.required else f"[{param.name}]" for param in method.params)
        cost = str(method.cost) if isinstance(method.cost, int) else "by size"
        doc = (method.handler.__doc__ or "").strip().split("\n\n")[0]
        lines.append(f"| `{method.name}` | {names} | {cost} | {' '.join(doc.split()).replace('|', '/')} |")
    return "\n".join(lines) + "\n"


def _type(annotation: Any) -> str:
    if get_origin(annotation) is UnionType:
        return " or ".join(_type(part) for part in get_args(annotation))
    if annotation is type(None):
        return "nothing"
    text = getattr(annotation, "__name__", str(annotation))
    return text if not get_args(annotation) else str(annotation).replace("typing.", "").replace("|", "or")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "" if value is None else f"`{value}`"


def main() -> int:
    """Write or compare all pages."""
    pages = {
        REFERENCE / "settings.md": settings_page(),
        REFERENCE / "json-rpc.md": methods_page(),
        REFERENCE / "chain-spec.schema.json": json.dumps(chain_spec_schema(), indent=2, sort_keys=True) + "\n",
    }
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(ROOT)} is stale: run `make docs`\n")
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
