"""What a consortium's genesis hash commits to (design, "Fields of a block").

The genesis block's `extraData` is the Keccak hash of the RFC 8785 canonical JSON of `config` without what may change
in the life of the chain: endpoints, certificates, transitions, and forks that are not active at genesis. Those are
covered by a digest of their own, which peers compare in their handshake.
"""

from typing import Any

import hansa_kernel
import rfc8785

from hansa.chainspec.errors import ChainSpecInvalid

_CHANGING_OF_VALIDATOR = ("endpoint", "certificate")


def _is_later_fork(key: str, value: Any, genesis_time: int) -> bool:
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    return (key.endswith("Time") and value > genesis_time) or (key.endswith("Block") and value > 0)


def _canonical(value: Any) -> bytes:
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeError) as error:
        raise ChainSpecInvalid("config", f"has no canonical JSON ({error}); write large numbers as text") from error


def commitment(config: dict[str, Any], genesis_time: int) -> bytes:
    """32 bytes for `extraData`; `config` as parsed from JSON, `genesis_time` in Unix seconds."""
    kept = {
        key: value
        for key, value in config.items()
        if key != "transitions" and not _is_later_fork(key, value, genesis_time)
    }
    hansa = kept.get("hansa")
    if isinstance(hansa, dict):
        hansa = {key: value for key, value in hansa.items() if key != "transitions"}
        hansa["validators"] = [
            {key: value for key, value in validator.items() if key not in _CHANGING_OF_VALIDATOR}
            for validator in hansa.get("validators", [])
        ]
        kept["hansa"] = hansa
    return hansa_kernel.keccak(_canonical(kept))


def transitions_digest(config: dict[str, Any], genesis_time: int) -> bytes:
    """32 bytes over transitions and later forks: members whose digests differ would part ways at one of them."""
    later = {key: value for key, value in config.items() if _is_later_fork(key, value, genesis_time)}
    hansa = config.get("hansa")
    changes = {
        "forks": later,
        "transitions": config.get("transitions"),
        "hansaTransitions": hansa.get("transitions") if isinstance(hansa, dict) else None,
        # Blob rules of later forks are found by name; the whole schedule is compared.
        "blobSchedule": config.get("blobSchedule"),
    }
    return hansa_kernel.keccak(_canonical(changes))
