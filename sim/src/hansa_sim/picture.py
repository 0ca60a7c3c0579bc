"""The last events of a run as a table with one column per copy, for people who look at a violation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hansa_consensus.core import effects as fx
from hansa_consensus.core import events as ev
from hansa_consensus.core.types import Message, NewView, PeerStatus, Proposal, ViewChange, Vote

if TYPE_CHECKING:
    from .world import World

_WIDTH = 46


def picture(world: World) -> str:
    """Where everybody is, and what happened last."""
    names = [node.name for node in world.nodes]
    lines = []
    for node in world.nodes:
        state = "down" if node.engine is None else str(node.engine.status())
        how = world.faulty.get(node.member, "honest")
        lines.append(f"{node.name} ({how}): {len(node.chain.blocks)} blocks; {state}")
    lines.append("ms        " + " | ".join(f"{name:<{_WIDTH}}" for name in names))
    for now, node, event, effects in world.kept:
        text = event if isinstance(event, str) else f"{_event(event)} → {', '.join(map(_effect, effects))}"
        cells = [" " * _WIDTH] * len(names)
        cells[node.index] = f"{text:<{_WIDTH}}"
        lines.append(f"{now:>9} " + " | ".join(cells).rstrip())
    return "\n".join(lines)


def _event(event: ev.Event) -> str:
    match event:
        case ev.VoteReceived(_, sender, vote):
            return f"{sender}: {_message(vote)}"
        case ev.ProposalReceived(_, sender, proposal):
            return f"{sender}: {_message(proposal)}"
        case ev.ViewChangeReceived(_, sender, change):
            return f"{sender}: {_message(change)}"
        case ev.NewViewReceived(_, sender, new_view):
            return f"{sender}: {_message(new_view)}"
        case ev.StatusReceived(_, sender, status):
            return f"{sender}: {_message(status)}"
        case ev.TimerFired(_, timer):
            return f"timer {timer}"
        case ev.BlockExecuted(_, block):
            return f"executed {block.hex()[:4]}"
        case ev.BlockRefused(_, block, reason):
            return f"refused {block.hex()[:4]} {reason}"
        case ev.BlockCommitted(_, number, block):
            return f"committed {number} {block.hex()[:4]}"
    return type(event).__name__


def _message(message: Message) -> str:
    match message:
        case Vote():
            return f"{message.phase} h{message.to_height} v{message.view} {message.to_hash.hex()[:4]}"
        case Proposal(view=view, prepare=vote):
            return f"proposal h{vote.to_height} v{view} {vote.to_hash.hex()[:4]}"
        case ViewChange(vote=vote, prepared=prepared):
            return f"view change v{vote.view} on {vote.from_height} with {len(prepared)}"
        case NewView(view=view):
            return f"new-view v{view}"
        case PeerStatus():
            return f"status h{message.head_number} v{message.view}"
    return type(message).__name__


def _effect(effect: fx.Effect) -> str:
    match effect:
        case fx.Broadcast(message):
            return f"all: {_message(message)}"
        case fx.Send(member, message):
            return f"to {member}: {_message(message)}"
        case fx.LeaveView(view, reason):
            return f"leave for v{view} {reason}"
        case fx.EnterView(view, leader):
            return f"enter v{view} of {leader}"
        case fx.SetTimer(timer, delay_ms):
            return f"{timer} in {delay_ms}"
        case fx.CancelTimer(timer):
            return f"no {timer}"
        case fx.ReportPeer(member, reason):
            return f"blame {member} {reason}"
        case fx.PersistVote(vote):
            return f"log {_message(vote)}"
    return type(effect).__name__
