"""The checker itself: it accepts a right history and finds each kind of wrong one. No server is needed."""

import copy
import json

import pytest

from support import history
from support.history import Entry, action
from support.oracle import UNCHANGED, Oracle, Table, parse_line

EPOCH = "abc123"


def message(channel_ids, prev, xid=700, epoch=EPOCH):
    items = [{"syncId": sync_id, "action": "insert", "modelName": "Todo", "modelId": str(sync_id), "data": {"id": sync_id}}
             for sync_id in channel_ids]
    return {"type": "sync", "epoch": epoch, "prevSyncId": prev, "lastSyncId": channel_ids[-1], "lsn": "0/16B3748", "xid": xid,
            "commitTime": "2026-11-21T04:10:24.870123Z", "sync": items}


RIGHT = {"a": [message([1, 2], 0), message([4], 2), message([7, 8], 4)], "b": [message([3], 0), message([5, 6], 3)]}
EXPECTED = {name: [action(item["syncId"], "insert", "Todo", item["modelId"], item["data"]) for one in messages for item in one["sync"]]
            for name, messages in RIGHT.items()}


def as_entries(channels):
    return {name: [Entry(b"%d-0" % one["lastSyncId"], json.dumps(one).encode()) for one in messages]
            for name, messages in channels.items()}


def judge(channels):
    entries = as_entries(channels)
    return history.problems(entries, EPOCH) + history.differences(entries, EXPECTED)


def test_a_right_history_has_no_problems():
    assert judge(RIGHT) == []


def test_another_cut_into_messages_is_right_too():
    assert judge({**RIGHT, "a": [message([1], 0), message([2], 1), message([4], 2), message([7, 8], 4)]}) == []


def drop_first(channels):
    del channels["a"][0]


def drop_middle(channels):
    del channels["a"][1]


def drop_last(channels):
    del channels["a"][-1]


def drop_middle_and_mend_chain(channels):
    del channels["a"][1]
    channels["a"][1]["prevSyncId"] = 2


def drop_channel(channels):
    del channels["b"]


def repeat_message(channels):
    channels["a"].insert(1, channels["a"][0])


def repeat_actions_under_new_ids(channels):
    channels["a"].append(message([9, 10], 8))


def repeat_action_within(channels):
    channels["a"][0]["sync"].insert(1, channels["a"][0]["sync"][0])


def swap_actions(channels):
    channels["a"][0]["sync"].reverse()


def swap_messages(channels):
    channels["a"][0], channels["a"][1] = channels["a"][1], channels["a"][0]


def shift_ids(channels):
    channels["b"] = [message([4], 0), message([6, 7], 4)]


def change_data(channels):
    channels["a"][1]["sync"][0]["data"]["id"] = 5


def number_becomes_text(channels):
    channels["a"][1]["sync"][0]["data"]["id"] = "4"


def change_model_id(channels):
    channels["a"][1]["sync"][0]["modelId"] = "5"


def update_for_insert(channels):
    channels["a"][1]["sync"][0]["action"] = "update"


def lose_data(channels):
    del channels["a"][1]["sync"][0]["data"]


def other_epoch(channels):
    channels["a"][1]["epoch"] = "other"


def hole_in_chain(channels):
    channels["a"][1]["prevSyncId"] = 1


def null_prev(channels):
    channels["a"][0]["prevSyncId"] = None


def first_prev_not_floor(channels):
    channels["b"][0]["prevSyncId"] = 2


def wrong_last(channels):
    channels["b"][1]["lastSyncId"] = 7


def empty_message(channels):
    channels["b"][1]["sync"] = []


def stray_message(channels):
    channels["c"] = [message([2], 0)]


def say_unchanged(channels):
    channels["a"][1]["sync"][0]["unchanged"] = ["body"]


@pytest.mark.parametrize("spoil", [
    drop_first, drop_middle, drop_last, drop_middle_and_mend_chain, drop_channel, repeat_message, repeat_actions_under_new_ids,
    repeat_action_within, swap_actions, swap_messages, shift_ids, change_data, number_becomes_text, change_model_id,
    update_for_insert, lose_data, other_epoch, hole_in_chain, null_prev, first_prev_not_floor, wrong_last, empty_message,
    stray_message, say_unchanged])
def test_a_wrong_history_is_found(spoil):
    channels = copy.deepcopy(RIGHT)
    spoil(channels)

    assert judge(channels) != []


def test_a_stream_id_other_than_the_last_sync_id_is_found():
    entries = as_entries(RIGHT)
    entries["a"][0] = entries["a"][0]._replace(id=b"3-0")

    assert history.problems(entries, EPOCH) != []


def test_a_message_of_another_transaction_is_found():
    transactions = {700: (1, 8, history.lsn_number("0/16B3778"))}
    assert history.transaction_problems(as_entries(RIGHT), transactions) == []

    for wrong in ({}, {700: (2, 8, 0x16B3778)}, {700: (1, 7, 0x16B3778)}, {700: (1, 8, 0x16B3748)}, {701: (1, 8, 0x16B3778)}):
        assert history.transaction_problems(as_entries(RIGHT), wrong) != []


def test_ids_that_go_back_on_one_connection_are_found():
    raw = {name: [entry.message for entry in entries] for name, entries in as_entries(RIGHT).items()}
    a, b = raw["a"], raw["b"]

    assert history.order_problems([("a", a[0]), ("b", b[0]), ("a", a[1]), ("b", b[1]), ("a", a[2])]) == []
    assert history.order_problems([("a", a[0]), ("other", a[0]), ("b", b[0])]) == []
    assert history.order_problems([("b", b[0]), ("a", a[0])]) != []
    assert history.order_problems([("a", a[0]), ("a", a[0]), ("b", b[1]), ("a", a[1])]) != []


def test_the_oracle_reads_what_test_decoding_writes():
    line = ("table public.todos: UPDATE: old-key: id[integer]:1 title[text]:' new-tuple: it''s' "
            """new-tuple: id[integer]:2 "odd name"[character varying]:null body[text]:unchanged-toast-datum done[boolean]:true""")
    change = parse_line(line)

    assert change.old == {"id": 1, "title": " new-tuple: it's"}
    assert change.new == {"id": 2, "odd name": None, "body": UNCHANGED, "done": True}
    assert parse_line("BEGIN 738") is None


def test_the_oracle_numbers_and_routes():
    todos = Table("public.todos", full=True, rules=[("Todo", ["w:{w}", "u:{u}"])])
    plain = Table("public.plain")
    record = [("0/10", "700", line) for line in [
        "BEGIN 700",
        "table public.todos: INSERT: id[integer]:1 w[integer]:1 u[integer]:null",
        "table public.plain: INSERT: id[integer]:1",
        "table public.unpublished: INSERT: id[integer]:1",
        "message: transactional: 1 prefix: walcast, sz: 2 content:{}",
        "message: transactional: 1 prefix: walcast:event, sz: 2 content:{}",
        "table public.todos: UPDATE: old-key: id[integer]:1 w[integer]:1 new-tuple: id[integer]:1 w[integer]:2 u[integer]:5",
        "table public.todos: UPDATE: old-key: id[integer]:1 w[integer]:2 u[integer]:5 new-tuple: id[integer]:3 w[integer]:2 u[integer]:5",
        "table public.todos, public.plain: TRUNCATE: (no-flags)",
        "table public.todos: DELETE: id[integer]:3 w[integer]:2",
        "COMMIT 700"]]

    oracle = Oracle([todos, plain]).feed(record)

    moved, renamed = {"id": 1, "w": 2, "u": 5}, {"id": 3, "w": 2, "u": 5}
    assert oracle.expected == {
        "w:1": [action(1, "insert", "Todo", "1", {"id": 1, "w": 1, "u": None}), action(4, "delete", "Todo", "1")],
        "w:2": [action(5, "insert", "Todo", "1", moved), action(6, "delete", "Todo", "1"), action(7, "insert", "Todo", "3", renamed),
                action(10, "delete", "Todo", "3")],
        "u:5": [action(5, "insert", "Todo", "1", moved), action(6, "delete", "Todo", "1"), action(7, "insert", "Todo", "3", renamed)]}
    assert oracle.resets == [(8, "Todo")]
    assert oracle.last_id == 10
    assert oracle.transactions == {700: (1, 10, 0x10)}
