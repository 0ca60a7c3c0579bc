"""A process of a node: reads settings and chain spec, checks what must hold before anything starts, runs services.

`python -m hansa.node --config FILE [--service NAME]` is what supervisors and containers run; it leaves out everything
that only the command line for people needs.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import hansa_kernel
import orjson
import structlog
import uvloop

from hansa.chainspec import ChainSpec, ChainSpecInvalid, check_profile, load_chain_spec
from hansa.config import Settings, SettingsInvalid, load_settings
from hansa.keys import KeysInvalid
from hansa.names import EXIT_REFUSED, START_ORDER
from hansa.service import ServiceUnknown, StartRefused, run_services
from hansa.telemetry import setup_logging

MARKER: Final = "chain.json"
"""File in a data folder that says whose data it is."""


class DataFolderInvalid(Exception):
    """The data folder cannot be used: another chain's, or not writable."""


def claim_data_folder(folder: Path, chain: ChainSpec, member: str) -> None:
    """Write or compare the marker of a data folder. Safe when several services start at once.

    Raises `DataFolderInvalid` when the data are another chain's or another member's.
    """
    mine = {"genesis_hash": "0x" + chain.genesis_hash.hex(), "chain_id": chain.chain_id, "member": member}
    path = folder / MARKER
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            draft = folder / f".{MARKER}.{os.getpid()}"
            with draft.open("wb") as file:
                file.write(orjson.dumps(mine, option=orjson.OPT_APPEND_NEWLINE))
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(draft, path)  # unlike a rename, this never replaces another service's marker
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        found = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise DataFolderInvalid(f"{path} is damaged: {error}; restore it, or start with an empty data_dir") from error
    except OSError as error:
        raise DataFolderInvalid(f"data_dir {folder} cannot be used: {error.strerror}") from error
    for key, value in mine.items():
        if not isinstance(found, dict) or found.get(key) != value:
            got = found.get(key) if isinstance(found, dict) else found
            raise DataFolderInvalid(
                f"data_dir {folder} holds data of another chain or member ({key} {got}, not {value}); set data_dir to "
                "another folder, or chain_spec and member to those of these data"
            )


def prepare(config: Path | None, names: Sequence[str]) -> tuple[Settings, ChainSpec]:
    """Everything that is checked before services start. Raises the typed errors of settings, chain spec and folder."""
    settings = load_settings(config)
    setup_logging(settings.log, service=names[0] if len(names) == 1 else "node", member=settings.member)
    if settings.kernel_threads:
        hansa_kernel.configure(settings.kernel_threads)  # before the kernel's first use
    chain = load_chain_spec(settings.chain_spec)
    if not chain.hansa:
        raise ChainSpecInvalid(
            "config.hansa", "is missing: services run consortium chains (`hansa genesis new` makes one)"
        )
    check_profile(chain, settings.profile)
    chain.index_of(settings.member)
    claim_data_folder(settings.data_dir, chain, settings.member)
    return settings, chain


def run(config: Path | None, names: Sequence[str]) -> int:
    """Run services until a signal or a failure; returns the exit status. Refusals are one line of log and status 78."""
    try:
        settings, chain = prepare(config, names)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run_services(names, settings, chain))
    except (SettingsInvalid, ChainSpecInvalid, KeysInvalid, DataFolderInvalid, ServiceUnknown, StartRefused) as error:
        structlog.get_logger().error("start_refused", error=str(error))
        return EXIT_REFUSED


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `python -m hansa.node`."""
    parser = argparse.ArgumentParser(prog="hansa node", description="Run a member's services.")
    parser.add_argument("--config", type=Path, default=None, help="settings file (TOML)")
    parser.add_argument("--service", choices=START_ORDER, default=None, help="run only this service")
    chosen = parser.parse_args(arguments)
    return run(chosen.config, [chosen.service] if chosen.service else list(START_ORDER))


if __name__ == "__main__":
    sys.exit(main())
