#!/usr/bin/python3
"""Writes the first inputs of each fuzz target to DIRECTORY/TARGET: the golden captures and small seeds.

    tests/fuzz/corpus.py DIRECTORY
"""

import pathlib
import shutil
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = sorted((ROOT / "tests/golden").glob("*/"))
TYPES = 64  # As many as row_json_fuzz.cpp may have; it takes the remainder.


def lines(name):
    """The lines of that capture, by case."""
    for case in GOLDEN:
        if (case / name).exists():
            yield [line for line in (case / name).read_text().splitlines() if line]


def framed(messages):
    """As messages.hpp splits them."""
    return b"".join(struct.pack(">H", len(message)) + message for message in messages if len(message) < 65536)


def captures():
    return [[bytes.fromhex(line) for line in capture] for capture in lines("pgoutput.hex")]


def streamed(messages):
    """Each transaction as one in progress: in a block of its own, then committed."""
    out, xid, part = [], 0, 0
    for message in messages:
        kind = message[:1]
        if kind == b"B":
            xid = message[-4:]
            out.append(b"S" + xid + b"\1")
        elif kind == b"C":
            out += [b"E", b"c" + xid + message[1:]]
        elif kind == b"O" or not xid:
            out.append(message)
        else:
            part += 1
            out.append(kind + (xid if part % 3 or kind == b"M" else struct.pack(">I", 9000 + part)) + message[1:])
            if part % 4 == 0:
                out += [b"E", b"A" + xid + struct.pack(">I", 9000 + part - 1), b"S" + xid + b"\0"]
    return out


def stream_messages():
    header = struct.pack(">QQQ", 0x16B374D848, 0x16B374D900, 757_000_000_000_000)
    for capture in captures():
        yield from (b"w" + header + message[:200] for message in capture)
    yield b"k" + struct.pack(">QQB", 0x16B374D848, 757_000_000_000_000, 1)
    yield b"k" + struct.pack(">QQB", 0, 0, 0)


def wal2json():
    for name, version in (("wal2json.jsonl", b"\2"), ("wal2json-v2.jsonl", b"\2"), ("wal2json-v1.jsonl", b"\1")):
        for capture in lines(name):
            yield version + b"\0" + "\n".join(capture).encode()
    change = ('{"action":"%s","schema":"public","table":"todos","columns":[{"name":"id","typeoid":23,"value":7},'
              '{"name":"title","typeoid":25,"value":"caf\\u00e9 \\"x\\""},{"name":"b","typeoid":1700,"value":12.50}]%s}')
    identity = ',"identity":[{"name":"id","typeoid":23,"value":6}]'
    rows = [change % ("I", ""), change % ("U", identity), '{"action":"D","schema":"public","table":"todos"%s}' % identity,
            '{"action":"T","schema":"public","table":"todos"}',
            '{"action":"M","transactional":true,"prefix":"walcast:event","content":"hello"}']
    begin = '{"action":"B","xid":738,"timestamp":"2024-01-02 03:04:05.123456+00","origin":0,"lsn":"0/1000","nextlsn":"0/1030"}'
    commit = begin.replace('"B"', '"C"')
    for seed in (b"\2\0", b"\2\7", b"\2\xff"):
        yield seed + "\n".join([begin, *rows, commit]).encode()
    first = ('{"kind":"insert","schema":"public","table":"todos","columnnames":["id","title","done"],'
             '"columntypeoids":[23,25,16],"columnvalues":[7,"x",true]}')
    second = ('{"kind":"update","schema":"public","table":"todos","columnnames":["id","title"],"columntypeoids":[23,'
              '25],"columnvalues":[7,null],"oldkeys":{"keynames":["id"],"keytypeoids":[23],"keyvalues":[6]}}')
    third = ('{"kind":"delete","schema":"public","table":"todos","oldkeys":{"keynames":["id"],"keytypeoids":[23],'
             '"keyvalues":[6]}}')
    fourth = '{"kind":"message","transactional":true,"prefix":"walcast:event","content":"hello"}'
    head = '{"xid":738,"timestamp":"2024-01-02 03:04:05.123456+00","nextlsn":"0/1030","change":['
    for seed in (b"\1\0", b"\1\7", b"\1\xff"):
        yield seed + "\n".join([head + ",".join([first, second, third, fourth]) + "]}"]).encode()
        yield seed + "\n".join([head, first, "," + second, "," + third, "," + fourth, "]}"]).encode()


def values():
    deep = ["{" * depth + "1" + "}" * depth for depth in (2, 6, 7, 3000)] + ['("' * 3000]
    texts = ["", "t", "f", "0", "-7", "9007199254740993", "12.50", "-0.000000000000000000001", "1e+300", "NaN", "Infinity",
             "-Infinity", "2024-01-02 03:04:05.12", "2024-01-02 03:04:05.12+00", "0044-03-15 00:00:00 BC", "infinity",
             "294276-12-31 23:59:59.999999+00", "24:00:00", "1 year 2 mons 3 days 04:05:06.789", "\\x", "\\x00ff7f",
             '{"a":[1,null,"\\u00e9"]}', '"x"', "[]", "null", "1 2 3", "$12.50", "10101", "192.168.0.1/24", "(1,2)",
             "[1,10)", "{[1,2),[5,6)}", "{}", "{1,2,NULL}", "{{1,2},{3,4}}", "[0:1]={1,2}", '{"a b","c\\"d","NULL",""}',
             "{t,f,NULL}", "{2024-01-02 03:04:05+00}", '{"\\x00ff"}', "{(1,1),(0,0);(2,2),(3,3)}",
             '(1,"a ""b"" \\\\ c","{""2024-01-02 03:04:05+00"",NULL}",12.50,"\\x00ff")', "(,,,,)", '(1,"",,2,)',
             '("(1,x,,,)",2)', '{"(1,x,,,)","(2,\\"y z\\",,,)"}', '"a"=>"1", "b"=>NULL, "c\\"d"=>"\\\\"', '"a"=>"1"',
             "caf\u00e9 \U0001f418", "a\nb\tc\x01"]
    samples = [text.encode() for text in texts + deep] + [b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"{\xff,1}"]
    for kind in range(TYPES):
        for sample in samples:
            yield bytes([kind, 0]) + sample
    for policy in range(1, 6):
        for sample in samples:
            yield bytes([policy * 7, policy]) + sample


def replies():
    parts = [b"+OK\r\n", b"-NOAUTH who are you\r\n", b":-42\r\n", b":9223372036854775807\r\n", b"$3\r\nabc\r\n", b"$0\r\n\r\n",
             b"$-1\r\n", b"*-1\r\n", b"*0\r\n", b"*2\r\n:17\r\n*1\r\n$2\r\n\r\n\r\n", b"*3\r\n*2\r\n:1\r\n*1\r\n$1\r\nx\r\n$-1\r\n-E\r\n",
             b"*1\r\n" * 12 + b":1\r\n", b"*2147483647\r\n", b"$2147483647\r\n", b"$9\r\nabc\r\n", b"%1\r\n+a\r\n+b\r\n", b"_\r\n"]
    for piece in (0, 1, 6, 255):
        yield bytes([piece]) + b"".join(parts[:11])
        yield from (bytes([piece]) + part for part in parts)


def configurations():
    yield (ROOT / "deploy/walcast.toml").read_bytes()
    for case in GOLDEN:
        yield (case / "rules.toml").read_bytes()
    good = b"""[source]\nurl = "postgres://walcast@db/app"\nslot = "my_slot"\npublication = "p"\nplugin = "pgoutput"
[redis]\nurl = "redis://u:p%40@[::1]:6380/2"\nprefix = "app:"\nhistory = { length = 500, age = "7d" }
[[rule]]\ntable = "tenant_*.n?tes"\nmodel = "Todo"\nchannels = ["workspace:{workspace_id}", "all"]\nid = ["a", "b"]
unroutable = "error"\n"""
    yield good
    yield good + b"\0postgres://other/db\0other\0others\0pgoutput\0redis://:secret@other:1/3\0o:\0007\0001h\0"
    for value in (b"unix:///run/redis.sock?db=3", b"rediss://h", b"redis://h:1/x", b"12", b"90s", b"wal2json", b"true"):
        yield b"\0" + b"\0".join([value] * 16)
    yield b"a." * 500 + b"b = 1\n"
    yield b"a = " + b"[" * 300 + b"]" * 300
    yield b":p@localhost/1"


def templates():
    yield from (b"workspace:{workspace_id}", b"{a}", b"{a}{b}", b"a{{b}}c", b"{", b"}", b"{}", b"{a", b"a}b", b"a\x01", b"",
                "caf\u00e9:{\u00e9}".encode(), b"{a{b}", b"a b/c%:{x}", b"\xff{\xff}")


def predicates():
    texts = ["deleted_at is null", "b", "not b and a = 1", "a in (1, 2, -3.5) or c not in ('x', 'it''s')", "a between 1 and 9",
             "c like 'a%\\_' and (b is not true or b is false)", "d > 1e6 and d <= '-Infinity'", "e = 0.1 or f <> 'NaN'",
             "g = 'x  '", "h < '0044-03-15 BC'", "i >= '24:00'", "j = '2024-01-02T03:04:05.12'", "k = '2024-01-02 03:04:05+05:30'",
             "l = '{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}'", "m = '\\x00ff'", "n = 'a' and o = 'b' and p = 4294967295",
             "q is null", "r <> 'ok'", "s = 7", '"A" is null', "1 < a", "((((a = 1))))", "a lik 'x'", "a = null", "a = b", "a = 1 --"]
    rows = ["=7", "=t", "=caf\u00e9", "=12.50", "=0.1", "=-Infinity", "=x   ", "=0044-03-15 BC", "=24:00:00", "=2024-01-02 03:04:05.12",
            "=2024-01-02 03:04:05+00", "=a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "=\\x00ff", "=a", "=b", "=4294967295", "={}", "=ok", "=7"]
    for text in texts:
        yield "\0".join([text, *rows]).encode()
        yield "\0".join([text, *rows[:6], *["-"] * 13, *["?"] * 19]).encode()


SEEDS = {
    "stream_message": stream_messages,
    "pgoutput": lambda: [framed(capture) for capture in captures()],
    "pgoutput_streaming": lambda: [framed(streamed(capture)) for capture in captures()],
    "wal2json": wal2json,
    "row_json": values,
    "resp": replies,
    "config": configurations,
    "channel_template": templates,
    "predicate": predicates,
}


def main():
    directory = pathlib.Path(sys.argv[1])
    for target, seeds in SEEDS.items():
        shutil.rmtree(directory / target, ignore_errors=True)
        (directory / target).mkdir(parents=True)
        for number, seed in enumerate(dict.fromkeys(seeds())):
            (directory / target / f"{number:04}").write_bytes(seed)


if __name__ == "__main__":
    main()
