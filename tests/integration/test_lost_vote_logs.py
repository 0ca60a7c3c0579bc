"""Two of four members lose their vote logs: nothing moves until an operator releases one (rule K4)."""

import json
import shutil
import signal
from pathlib import Path

from support.consortium import UP_SECONDS_MAX, Consortium, Member, kill, running, wait_for

LOST = ("member3", "member4")


def mode(consortium: Consortium, member: str) -> str:
    """What `hansa validator status` says; empty while the member does not answer."""
    done = consortium.hansa(
        "validator", "status", "--member", member, "--data", str(consortium.folder), "--json", check=False
    )
    return str(json.loads(done.stdout)["mode"]) if done.returncode == 0 else ""


def lose_votes(consortium: Consortium, member: Member) -> None:
    """Delete its vote log, as a broken disk does, and have it started again."""
    kill(member.pids["node"], signal.SIGSTOP)
    shutil.rmtree(consortium.folder / member.name / "data" / "consensus" / "votes")
    kill(member.pids["node"])


def test_members_without_vote_logs_vote_again_once_an_operator_vouches_for_one(tmp_path: Path) -> None:
    options = ("--members", "4", "--engine", "pbft", "--empty-block-time", "500ms")
    with running(tmp_path / "consortium", *options) as consortium:
        members = consortium.members()
        wait_for("blocks", lambda: members[0].height() >= 3, UP_SECONDS_MAX)
        release = ("validator", "release-voting", "--member", LOST[0], "--data", str(consortium.folder))

        nothing = consortium.hansa(*release)
        assert "voting: there is nothing to release" in nothing.stdout

        for member in members[2:]:
            lose_votes(consortium, member)
        for name in LOST:
            wait_for(f"{name} observes", lambda name=name: mode(consortium, name) == "observing", UP_SECONDS_MAX)
        stands = members[0].height()

        warned = consortium.hansa(*release, check=False)
        assert warned.returncode == 2
        assert "no other process runs with this member's vote key" in warned.stderr
        assert "observing" in warned.stderr
        assert "--yes-no-other-log-exists" in warned.stderr
        assert [mode(consortium, name) for name in LOST] == ["observing", "observing"]
        assert members[0].height() <= stands + 1, "blocks were made without a quorum that votes"

        released = consortium.hansa(*release, "--yes-no-other-log-exists")
        assert "released" in released.stdout
        assert mode(consortium, LOST[0]) == "voting"
        wait_for("blocks go on", lambda: members[0].height() > stands + 1, UP_SECONDS_MAX)
        wait_for("the other one has seen enough", lambda: mode(consortium, LOST[1]) == "voting", UP_SECONDS_MAX)

        head = members[0].height()
        wait_for("all follow", lambda: min(one.height() for one in members) >= head, UP_SECONDS_MAX)
        hashes = [one.rpc("eth_getBlockByNumber", hex(head), False)["hash"] for one in members]
        assert len(set(hashes)) == 1
        signers = members[2].rpc("hansa_getCertificate", hex(head))["signerNames"]
        assert len(signers) >= 3


def test_member_that_is_not_there_is_said_with_its_own_status(tmp_path: Path) -> None:
    nobody = Consortium(tmp_path)
    done = nobody.hansa("validator", "release-voting", "--consensus", "127.0.0.1:9", check=False)
    assert done.returncode == 3
    assert "consensus at 127.0.0.1:9 does not answer" in done.stderr
    both = nobody.hansa("validator", "status", "--member", "x", "--consensus", "127.0.0.1:9", check=False)
    assert both.returncode == 2
    missing = nobody.hansa("validator", "status", "--member", "x", "--data", str(tmp_path), check=False)
    assert missing.returncode == 1
    assert "there is no consortium" in missing.stderr
