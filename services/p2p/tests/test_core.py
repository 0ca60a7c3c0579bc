"""What p2p decides without I/O."""

import itertools

from hansa_p2p.core.dial import DialSchedule, dials
from hansa_p2p.core.held import Held
from hansa_p2p.core.hello import Greeting, hello_refusal
from hansa_p2p.core.inbox import Inbox
from hansa_p2p.core.queues import ClassQueues, Kind, Message
from hansa_p2p.core.rate import ReceiveRate
from hansa_p2p.core.scores import PeerScore
from hansa_p2p.limits import AWAY_SECONDS, FAULTS_MAX


def test_votes_leave_before_older_messages_of_lower_classes() -> None:
    queues = ClassQueues()
    for kind, payload in ((Kind.SYNC, b"s"), (Kind.TRANSACTION, b"t"), (Kind.VOTE, b"v1"), (Kind.VOTE, b"v2")):
        assert queues.push(Message(kind, payload)) == []
    assert [queues.pop() for _ in range(5)] == [
        Message(Kind.VOTE, b"v1"),
        Message(Kind.VOTE, b"v2"),
        Message(Kind.TRANSACTION, b"t"),
        Message(Kind.SYNC, b"s"),
        None,
    ]


def test_full_class_loses_its_oldest_and_no_other_class() -> None:
    queues = ClassQueues(messages_max=2)
    queues.push(Message(Kind.VOTE, b"v"))
    queues.push(Message(Kind.SYNC, b"1"))
    queues.push(Message(Kind.SYNC, b"2"))
    assert queues.push(Message(Kind.SYNC, b"3")) == [Message(Kind.SYNC, b"1")]
    assert len(queues) == 3


def test_full_bytes_of_a_class_lose_as_many_oldest_as_needed() -> None:
    queues = ClassQueues(bytes_max=10)
    for payload in (b"aaaa", b"bbbb"):
        queues.push(Message(Kind.PROPOSAL, payload))
    dropped = queues.push(Message(Kind.PROPOSAL, b"c" * 9))
    assert [message.payload for message in dropped] == [b"aaaa", b"bbbb"]
    assert queues.total_bytes == 9


def test_message_larger_than_its_class_waits_alone() -> None:
    queues = ClassQueues(bytes_max=10)
    assert queues.push(Message(Kind.SYNC, b"x" * 20)) == []
    assert queues.pop() == Message(Kind.SYNC, b"x" * 20)


def test_full_peer_loses_the_lowest_class_first() -> None:
    queues = ClassQueues(total_bytes_max=10)
    queues.push(Message(Kind.SYNC, b"s" * 5))
    queues.push(Message(Kind.TRANSACTION, b"t" * 5))
    assert queues.push(Message(Kind.VOTE, b"v")) == [Message(Kind.SYNC, b"s" * 5)]
    assert queues.push(Message(Kind.VOTE, b"w" * 6)) == [Message(Kind.TRANSACTION, b"t" * 5)]


def test_senders_take_turns_within_a_class() -> None:
    inbox = Inbox()
    for payload in (b"1", b"2"):
        inbox.push(3, Message(Kind.VOTE, payload))
    inbox.push(1, Message(Kind.VOTE, b"3"))
    inbox.push(2, Message(Kind.SYNC, b"4"))
    order = [inbox.pop() for _ in range(5)]
    assert [item and (item[0], item[1].payload) for item in order] == [(1, b"3"), (3, b"1"), (3, b"2"), (2, b"4"), None]


def test_transactions_are_held_in_order_per_sender_and_handed_over_once() -> None:
    held = Held()
    for sender, payload in ((2, b"1"), (0, b"2"), (2, b"3")):
        assert held.push(sender, Message(Kind.TRANSACTION, payload)) == []
    assert [(sender, message.payload) for sender, message in held.take()] == [(0, b"2"), (2, b"1"), (2, b"3")]
    assert held.take() == []


def test_other_classes_are_never_held() -> None:
    held = Held()
    for kind in (Kind.VOTE, Kind.PROPOSAL, Kind.CERTIFICATE, Kind.SYNC):
        assert held.push(1, Message(kind, b"x")) == [Message(kind, b"x")]
    assert held.take() == []


def test_full_hold_loses_the_senders_own_oldest() -> None:
    held = Held(messages_max=2, bytes_max=10)
    held.push(1, Message(Kind.TRANSACTION, b"other"))
    for payload in (b"a", b"b"):
        assert held.push(2, Message(Kind.TRANSACTION, payload)) == []
    assert held.push(2, Message(Kind.TRANSACTION, b"c")) == [Message(Kind.TRANSACTION, b"a")]
    assert held.push(2, Message(Kind.TRANSACTION, b"d" * 10)) == [
        Message(Kind.TRANSACTION, one) for one in (b"b", b"c")
    ]
    assert [message.payload for _, message in held.take()] == [b"other", b"d" * 10]


def test_only_the_newest_change_of_a_member_waits() -> None:
    inbox = Inbox()
    inbox.change(1, up=True)
    inbox.change(2, up=True)
    inbox.change(1, up=False)
    assert [inbox.pop_change() for _ in range(3)] == [(2, True), (1, False), None]


def test_three_faults_in_a_minute_cost_ten_minutes_and_not_more() -> None:
    score = PeerScore()
    assert [score.fault(float(second)) for second in range(FAULTS_MAX)] == [False, False, True]
    assert score.is_away(2 + AWAY_SECONDS - 1)
    assert not score.is_away(2 + AWAY_SECONDS)
    assert score.score(3.0) == -3


def test_faults_far_apart_are_forgiven() -> None:
    score = PeerScore()
    assert not any(score.fault(second * 61.0) for second in range(20))


def test_exactly_one_of_a_pair_dials() -> None:
    assert all(dials(a, b) != dials(b, a) for a in range(5) for b in range(5) if a != b)


def test_pauses_double_up_to_the_cap_and_start_anew_after_a_connection() -> None:
    schedule = DialSchedule(0, 0, pause_ms_max=1_000)
    pauses = [schedule.failed() for _ in range(8)]
    assert all(second >= first * 0.75 for first, second in itertools.pairwise(pauses))
    assert max(pauses) <= 1_000
    assert min(pauses[4:]) >= 750
    schedule.connected()
    assert schedule.failed() == 100


def test_hello_of_another_chain_is_refused() -> None:
    own = Greeting(b"g" * 32, b"t" * 32, 0, "x")
    assert hello_refusal(own, Greeting(b"g" * 32, b"t" * 32, 2, "y"), 2) is None
    assert hello_refusal(own, Greeting(b"h" * 32, b"t" * 32, 2, "y"), 2) == "wrong_genesis"
    assert hello_refusal(own, Greeting(b"g" * 32, b"u" * 32, 2, "y"), 2) == "wrong_transitions"
    assert hello_refusal(own, Greeting(b"g" * 32, b"t" * 32, 3, "y"), 2) == "wrong_member"
    assert hello_refusal(own, Greeting(b"g" * 32, b"t" * 32, 2, "y", 9), 2) == "wrong_protocol_version"


def test_sender_above_its_rate_is_read_later() -> None:
    rate = ReceiveRate(per_second=100, burst=200)
    assert rate.pause_seconds(200, 0.0) == 0
    assert rate.pause_seconds(50, 0.0) == 0.5
    assert rate.pause_seconds(50, 10.0) == 0
