"""Tests of verify.py. Bundles, trees, keys and proofs are made here, from the pages, not with verify.py's functions.

    python3 -m unittest tests/verifier/test_verify.py        (needs the package `cryptography`)
"""

import base64
import hashlib
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

sys.path.insert(0, str(Path(__file__).parent))

import verify  # noqa: E402

# Made from the pages.


def sha(raw):
    return hashlib.sha256(raw).digest()


def canon(value):
    """Canonical JSON, for ASCII names."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def split_at(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(leaves):
    """RFC 6962 section 2.1."""
    if not leaves:
        return sha(b"")
    if len(leaves) == 1:
        return sha(b"\0" + leaves[0])
    k = split_at(len(leaves))
    return sha(b"\1" + mth(leaves[:k]) + mth(leaves[k:]))


def audit_path(m, leaves):
    """RFC 6962 section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split_at(len(leaves))
    if m < k:
        return audit_path(m, leaves[:k]) + [mth(leaves[k:])]
    return audit_path(m - k, leaves[k:]) + [mth(leaves[:k])]


def consistency(m, leaves, whole=True):
    """RFC 6962 section 2.1.2."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = split_at(len(leaves))
    if m <= k:
        return consistency(m, leaves[:k], whole) + [mth(leaves[k:])]
    return consistency(m - k, leaves[k:], False) + [mth(leaves[:k])]


def outside(leaves, lo, hi, first, end):
    """The hashes of proof.json."""
    if hi <= first or end <= lo:
        return [mth(leaves[lo:hi])]
    if hi == lo + 1:
        return []
    k = split_at(hi - lo)
    return outside(leaves, lo, lo + k, first, end) + outside(leaves, lo + k, hi, first, end)


class Signer:
    def __init__(self, name, seed, kind=1):
        self.name, self.kind = name, kind
        self.private = Ed25519PrivateKey.from_private_bytes(sha(seed.encode()))
        self.public = self.private.public_key().public_bytes_raw()
        self.id = sha(name.encode() + b"\n" + bytes([kind]) + self.public)[:4]

    @property
    def vkey(self):
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([self.kind]) + self.public).decode()}"

    def signature(self, text, time=1700000000):
        if self.kind == 1:
            return self.private.sign(text)
        message = b"cosignature/v1\ntime %d\n" % time + text
        return time.to_bytes(8, "big") + self.private.sign(message)

    def line(self, text):
        return f"\u2014 {self.name} ".encode() + base64.b64encode(self.id + self.signature(text)) + b"\n"


LOG = Signer("example.com/ledger", "log")
OTHER_LOG = Signer("example.com/ledger", "another log")
W1, W2, W3 = (Signer(f"witness.example/w{i}", f"w{i}", 4) for i in (1, 2, 3))


def note(text, *signers):
    return text + b"\n" + b"".join(signer.line(text) for signer in signers)


def checkpoint(leaves, signers=(LOG,), origin="example.com/ledger"):
    root = base64.b64encode(mth(leaves))
    return note(f"{origin}\n{len(leaves)}\n".encode() + root + b"\n", *signers)


def body(**attributes):
    """path -> value, as sorted (path, salt, value)."""
    pairs = sorted((path, canon(value)) for path, value in attributes["of"].items())
    return [(path, sha(b"salt" + path.encode()), value) for path, value in pairs]


def digest(path, salt, value):
    raw = path.encode()
    return sha(b"weir/attribute/v1\0" + salt + len(raw).to_bytes(4, "big") + raw + value)


def commit(attributes):
    digests = b"".join(digest(*one) for one in attributes)
    return sha(b"weir/commitment/v1\0" + len(attributes).to_bytes(4, "big") + digests).hex()


def disclose(attributes, shown):
    return {
        "attributes": [
            {"path": path, "salt": salt.hex(), "value": value.decode()}
            if path in shown
            else {"digest": digest(path, salt, value).hex()}
            for path, salt, value in attributes
        ]
    }


TIME = 1772366400000  # 2026-03-01T12:00:00.000Z
CHANGE = body(of={
    "/keys/id": {"S": "1"}, "/old/status": {"S": "new"}, "/new/status": {"S": "sh\"ipped\n\u00e9"}, "/actor": "ma\"ria",
    "/new/a~1b": {"N": "12.50"}, "/new/a0": {"M": {"x": {"L": [{"NULL": True}]}}}, "/new/hidden": {"S": "secret"},
})
RAW = body(of={"/raw": "??", "/reason": "no table"})
ANNOTATED = body(of={"/keys/id": {"S": "1"}, "/reason": "a call", "/tags/a~1b": "x", "/tags/class": "personal"})
ERASURE = body(of={"/actor": "carl", "/reason": "art. 17"})


def entry(kind, **members):
    members = {name.rstrip("_"): value for name, value in members.items() if value is not None}
    return {"kind": kind, "ledger": "main", "v": 1, **members}


def change(sequence, shard="s0", attributes=CHANGE, **more):
    return entry("change", **{
        "assurance": "claimed", "commitment": commit(attributes), "config": "c" * 32, "event": f"e{sequence}",
        "item": "00000001:" + "a" * 32, "operation": "modify", "sequence": str(sequence), "shard": shard,
        "stream": "arn:stream", "table": "orders", "time": TIME + 7, **more,
    })


def amendment(sequence, shard="s0", attributes=ANNOTATED, **more):
    return {**change(sequence, shard, attributes, **more), "kind": "amendment"}


def withheld(sequence, shard="s0"):
    one = {**change(sequence, shard, RAW), "kind": "withheld"}
    del one["assurance"]
    return one


def unknown(sequence, shard="s0"):
    return entry("unknown", commitment=commit(RAW), sequence=str(sequence), shard=shard, stream="arn:stream", time=TIME)


def gap(after=None, shard="s0", **more):
    return entry("gap", after=after, cause="trimmed", loss="certain", shard=shard, stream="arn:stream", **more)


def batch(after, first, last, recorded, shard="s0", **more):
    return entry("batch", **{
        "after": after, "closed": "interval", "config": "c" * 32, "first": first, "last": last,
        "read": 0 if first is None else recorded + 1, "recorded": recorded, "redacted": 0, "shard": shard,
        "stream": "arn:stream", **more,
    })


SHOWN = ["/keys/id", "/old/status", "/new/status", "/actor", "/new/a~1b", "/new/a0"]
NOTHING = ((), ())


def a_ledger():
    """(entry, (attributes, shown)): two shards, every kind, gaps, a batch without records, a tail."""
    return [
        (entry("lifecycle", detail="", time=TIME, what="start"), NOTHING),
        (change(10), (CHANGE, SHOWN)),
        (change(5, "s1"), (CHANGE, ["/keys/id"])),
        (unknown(12), (RAW, ["/reason", "/raw"])),
        (batch("start", "10", "13", 2), NOTHING),
        (batch("start", "4", "6", 1, "s1"), NOTHING),
        (gap("13", next="20", since=TIME, until=TIME + 1), NOTHING),
        (change(20, operation="insert"), (CHANGE, None)),
        (batch("gap", "20", "21", 1), NOTHING),
        (batch("21", None, None, 0), NOTHING),
        (change(21 + 1, operation="remove"), (CHANGE, [])),
        (entry("erasure", commitment=commit(ERASURE), id="x", scope="item", stage="done", time=TIME, bodies=2),
         (ERASURE, ["/actor", "/reason"])),
        (entry("hold", commitment=commit(ERASURE), id="h", scope="subject", stage="placed", time=TIME),
         (ERASURE, ["/actor"])),
        (batch("021", "22", "30", 1, closed="end"), NOTHING),
        (gap("6", "s1", commitment=commit(ERASURE)), (ERASURE, ["/reason"])),
        (change(9, "s1"), (CHANGE, ["/actor"])),
    ]


def an_amended_ledger():
    """What was withheld is accounted for, and told behind the end of its shard."""
    return [
        (withheld(11), (RAW, ["/raw"])),
        (change(12), (CHANGE, ["/keys/id"])),
        (batch("start", "11", "12", 2, redacted=1, closed="end"), NOTHING),
        (amendment(11), (ANNOTATED, ["/keys/id", "/reason", "/tags/a~1b"])),
    ]


# rows

def unescaped(path):
    return path.split("/", 2)[2].replace("~1", "/").replace("~0", "~")


def shown_values(attributes, shown):
    return {path: value.decode() for path, _, value in attributes if shown is not None and path in shown}


def an_object(values, part):
    pairs = [canon(unescaped(path)).decode() + ":" + value for path, value in values.items()
             if path.startswith(f"/{part}/")]
    return "{" + ",".join(pairs) + "}" if pairs else None


def utc(time):
    seconds, ms = divmod(time - TIME, 1000)
    assert seconds == 0
    return f"2026-03-01T12:00:00.{ms:03}Z"


def rows_of(position, one, raw, values):
    objects = {part: an_object(values, part) for part in ("keys", "new", "old", "tags")}
    of_change = one["kind"] in ("change", "amendment")
    if not of_change:
        objects = dict.fromkeys(objects)
    row = {"actor": values.get("/actor"), "kind": canon(one["kind"]).decode(), "position": str(position)}
    if of_change:
        row |= objects | {name: canon(one[name]).decode() for name in ("assurance", "operation", "table")}
        row["reason"] = values.get("/reason")
        row["time"] = canon(utc(one["time"])).decode()
    else:
        row |= {"entry": raw.decode(), "raw": values.get("/raw"), "reason": values.get("/reason")}
    line = "{" + ",".join(f'"{name}":{row[name]}' for name in sorted(row) if row[name] is not None) + "}\n"
    cells = [str(position), utc(one["time"]) if "time" in one else "", one["kind"]]
    cells += [one[name] if of_change else "" for name in ("operation", "table", "assurance")]
    cells.append(json.loads(values["/actor"]) if "/actor" in values else "")
    cells += [objects[part] or "" for part in ("keys", "old", "new")]
    return line.encode(), csv(cells)


def csv(cells):
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells).encode() + b"\r\n"


CSV_HEAD = csv(["position", "time", "kind", "operation", "table", "assurance", "actor", "keys", "old", "new"])
NAMES = ["checkpoint", "entries.jsonl", "disclosures.jsonl", "proof.json", "rows.jsonl", "rows.csv"]


def header(name, size):
    block = bytearray(512)
    for offset, text in [(0, name), (100, "0000644"), (108, "0000000"), (116, "0000000"), (124, f"{size:011o}"),
                         (136, "0" * 11), (148, " " * 8), (156, "0"), (257, "ustar\x0000")]:
        block[offset:offset + len(text)] = text.encode()
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


def tar(members, prefix="weir-bundle-v1/"):
    out = b""
    for name, content in members:
        out += header(prefix + name, len(content)) + content + bytes(-len(content) % 512)
    return out + bytes(1024)


def leaves_of(ledger):
    return [one if isinstance(one, bytes) else canon(one) for one, _ in ledger]


class Bundle:
    """Members of a bundle, to be changed before `file` hashes them. `head` hashes and signs again what it changes."""

    def __init__(self, ledger=None, first=0, end=None, since=None, signers=(LOG,), size=None, rows=True):
        ledger = a_ledger() if ledger is None else ledger
        leaves = leaves_of(ledger)
        end = len(ledger) if end is None else end
        row_lines, csv_lines, disclosures = b"", CSV_HEAD, b""
        for position in range(first, end):
            one, (attributes, shown) = ledger[position]
            if isinstance(one, dict) and rows and one.get("kind") in verify.KINDS and one.get("v") == 1:
                row, line = rows_of(position, one, leaves[position], shown_values(attributes, shown))
                row_lines, csv_lines = row_lines + row, csv_lines + line
            disclosures += canon({} if shown is None or not attributes else disclose(attributes, shown)) + b"\n"
        proof = {"hashes": [one.hex() for one in outside(leaves, 0, len(leaves), first, end)]}
        if since:
            proof["since"] = {"hashes": [one.hex() for one in consistency(since, leaves)], "size": since}
        self.bundle = {"from": first, "ledger": "main", "to": end}
        self.members = {
            "checkpoint": checkpoint(leaves[:size], signers),
            "entries.jsonl": b"".join(one + b"\n" for one in leaves[first:end]),
            "disclosures.jsonl": disclosures,
            "proof.json": canon(proof),
            "rows.jsonl": row_lines,
            "rows.csv": csv_lines,
        }

    def replace(self, name, old, new):
        assert old in self.members[name], (name, old)
        self.members[name] = self.members[name].replace(old, new, 1)
        return self

    def description(self):
        files = [{"bytes": len(self.members[name]), "name": name, "sha256": sha(self.members[name]).hex()}
                 for name in NAMES]
        return {"files": files, **self.bundle}

    def file(self, description=None):
        description = self.description() if description is None else description
        description = description if isinstance(description, bytes) else canon(description)
        return tar([("bundle.json", description), *self.members.items()])


KEY = verify.policy_of_key(LOG.vkey.encode())


def policy(*lines):
    return verify.parse_policy("".join(line + "\n" for line in lines).encode())


class Case(unittest.TestCase):
    def check(self, data, code, say="", by=KEY, since=None):
        data = data.file() if isinstance(data, Bundle) else data
        verdict = verify.verify(data, by, since)
        self.assertEqual((verdict.code, len(verdict.findings)), (code, int(code == 1)), verdict.lines())
        self.assertIn(say, verdict.lines()[0])

    proved = lambda self, data, **more: self.check(data, 0, **more)  # noqa: E731
    tampered = lambda self, data, say, **more: self.check(data, 1, say, **more)  # noqa: E731
    cannot_tell = lambda self, data, say, **more: self.check(data, 2, say, **more)  # noqa: E731


def ledger_with(position, one, attributes=NOTHING, ledger=None):
    ledger = a_ledger() if ledger is None else ledger
    ledger[position] = (one, attributes)
    return ledger


def changed(position, **members):
    """The ledger, with members of one entry changed (None: taken away), hashed and signed again."""
    one, what = a_ledger()[position]
    one = {name: value for name, value in (one | members).items() if value is not None}
    return ledger_with(position, one, what)


class Proved(Case):
    def test_an_untouched_bundle_is_proved(self):
        self.proved(Bundle(), say="proved: 16 entries")

    def test_what_was_withheld_and_told_later_is_proved(self):
        ledger = an_amended_ledger()
        self.proved(Bundle(ledger), say="proved: 4 entries")
        self.proved(Bundle(ledger, first=3))

    def test_every_range_is_proved(self):
        for first in range(16):
            for end in range(first + 1, 17):
                self.proved(Bundle(first=first, end=end))

    def test_every_earlier_checkpoint_is_proved(self):
        leaves = leaves_of(a_ledger())
        for size in range(1, 17):
            self.proved(Bundle(since=size if size < 16 else None), since=checkpoint(leaves[:size]))
        self.proved(Bundle(), since=checkpoint([]))

    def test_every_size_of_a_tree_is_proved(self):
        for size in range(1, 40):
            ledger = [(entry("lifecycle", detail=str(i), time=TIME, what="x"), NOTHING) for i in range(size)]
            leaves = leaves_of(ledger)
            for old in range(1, size):
                self.proved(Bundle(ledger, old, size, since=old), since=checkpoint(leaves[:old]))
            for i in range(size):
                self.proved(proof_of(ledger, i))

    def test_a_quorum_of_witnesses_is_proved(self):
        by = policy(
            "# ours", f"\tlog  {LOG.vkey} https://example.com ", "", f"witness a {W1.vkey}", f"witness b {W2.vkey}",
            f"witness c {W3.vkey}", "group ab any a b", "group all 2 ab c", "quorum all",
        )
        self.proved(Bundle(signers=(LOG, W2, W3)), by=by)
        self.proved(Bundle(signers=(W3, W1, LOG, Signer("x", "x"))), by=by)
        self.cannot_tell(Bundle(signers=(LOG, W1, W2)), "cosignatures", by=by)

    def test_the_example_of_c2sp_signed_note_verifies(self):
        key = verify.parse_vkey(b"example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", 1)
        line = (
            "\u2014 example.com/foo "
            "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
        )
        name, key_id, signature = verify.parse_signature(line.encode())
        self.assertEqual((name, key_id), (key.name, key.id))
        self.assertTrue(key.verifies(b"This is an example message.\n", signature))
        self.assertFalse(key.verifies(b"This is another message.\n", signature))

    def test_an_extension_line_of_a_checkpoint_is_passed_over(self):
        bundle = Bundle()
        text = bundle.members["checkpoint"].partition(b"\n\n")[0] + b"\nmore \x7f\n"
        bundle.members["checkpoint"] = note(text, LOG)
        self.proved(bundle)

    def test_a_row_keeps_the_order_of_escaped_paths(self):
        row = Bundle().members["rows.jsonl"].split(b"\n")[1]
        self.assertLess(row.index(b'"a0"'), row.index(b'"a/b"'))


class CannotTell(Case):
    def test_another_key_is_cannot_tell(self):
        for other in (OTHER_LOG, Signer("example.com/other", "log")):
            self.cannot_tell(Bundle(), "not signed by a log", by=verify.policy_of_key(other.vkey.encode()))

    def test_a_log_does_not_sign_for_another_origin(self):
        bundle = Bundle()
        bundle.members["checkpoint"] = checkpoint(leaves_of(a_ledger()), origin="example.com/else")
        self.cannot_tell(bundle, "not signed by a log")

    def test_an_empty_range_is_cannot_tell(self):
        self.cannot_tell(Bundle(first=3, end=3), "no entries")

    def test_an_empty_file_is_cannot_tell(self):
        self.cannot_tell(b"", "empty")

    def test_another_archive_is_cannot_tell(self):
        members = [("bundle.json", b"{}")]
        self.cannot_tell(tar(members, "weir-bundle-v2/"), "another version")
        self.cannot_tell(tar(members, ""), "another kind")
        self.tampered(tar(members), "no header")

    def test_an_entry_of_another_version_is_cannot_tell(self):
        for one in ({"v": 2}, {"kind": "new", "v": 1}, {"kind": "new", "ledger": "main", "v": 1}):
            self.cannot_tell(Bundle(ledger_with(0, one)), "another version")
        self.tampered(Bundle(ledger_with(0, {"kind": "hold"})), "no version")
        self.tampered(Bundle(ledger_with(0, b'{"v": 2}')), "not canonical")

    def test_another_version_does_not_hide_a_finding(self):
        bundle = Bundle(ledger_with(0, {"v": 2}))
        self.tampered(bundle.replace("proof.json", b"[]", b'["' + b"0" * 64 + b'"]'), "root")

    def test_an_earlier_checkpoint_of_others_is_cannot_tell(self):
        leaves = leaves_of(a_ledger())
        self.cannot_tell(Bundle(), "was not made for", since=checkpoint(leaves[:7]))
        self.cannot_tell(Bundle(since=6), "was not made for", since=checkpoint(leaves[:7]))
        self.cannot_tell(Bundle(since=7), "not signed", since=checkpoint(leaves[:7], (OTHER_LOG,)))
        second = Signer("example.com/second", "second")
        by = policy(f"log {LOG.vkey}", f"log {second.vkey}", "quorum none")
        self.cannot_tell(Bundle(since=7), "is of", by=by, since=checkpoint(leaves[:7], (second,), second.name))

    def test_a_key_that_is_no_point_of_the_curve_cannot_be_parsed(self):
        points = 0
        for y in range(2, 60):
            material = b"\1" + y.to_bytes(32, "little")
            vkey = b"log+%s+%s" % (sha(b"log\n" + material)[:4].hex().encode(), base64.b64encode(material))
            try:
                verify.parse_vkey(vkey, 1)
                points += 1
            except verify.Malformed as why:
                self.assertIn("no point", str(why))
        self.assertTrue(20 < points < 40, points)  # about half of all

    def test_a_key_that_is_none_cannot_be_parsed(self):
        name, key_id, public = LOG.vkey.split("+", 2)
        for bad in ("", "x", f"{name}+{key_id}", f"{name}+{key_id.upper()}x+{public}", f"{name}+00000000+{public}",
                    f"+{key_id}+{public}", f"a b+{key_id}+{public}", LOG.vkey + "\n", LOG.vkey[:-1], W1.vkey):
            with self.assertRaises(verify.Malformed):
                verify.policy_of_key(bad.encode())

    def test_a_policy_that_is_none_cannot_be_parsed(self):
        log, a, b = f"log {LOG.vkey}", f"witness a {W1.vkey}", f"witness b {W2.vkey}"
        for bad in (
            [], [log], [log, "quorum none", "quorum none"], [log, log, "quorum none"], [a, a, "quorum a"],
            [a, f"witness c {W1.vkey}", "quorum a"], ["quorum a", a], [a, "group a any a", "quorum a"],
            [a, "group g 0 a", "quorum g"], [a, "group g 2 a", "quorum g"], [a, "group g any", "quorum g"],
            [a, "group g any a a", "quorum g"], [a, b, "group g any a", "group h any a b", "quorum g"],
            [a, "group g any none", "quorum g"], [f"witness none {W1.vkey}", "quorum none"], ["log x", "quorum none"],
            [f"log {W1.vkey}", "quorum none"], [f"witness a {LOG.vkey}", "quorum a"], ["quorum none\r"], ["what"],
            [log + " url more", "quorum none"], ["quorum"],
        ):
            with self.assertRaises(verify.Malformed, msg=bad):
                policy(*bad)


class Tampered(Case):
    def test_1_the_form_of_the_file_is_checked(self):
        data = Bundle().file()
        for bad in (data + b"\0", data[:-1], data[:600], data[:100], b"x", bytes(2048), data[512:]):
            self.assertEqual(verify.verify(bad, KEY).code, 1)
        members = dict(Bundle().members)
        members["extra"] = b""
        self.tampered(tar([("bundle.json", canon(Bundle().description())), *members.items()]), "1024 zero bytes")

    def test_2_bundle_json_is_checked(self):
        good = Bundle().description()
        files = good["files"]
        for bad in (
            b"", b"[]", canon(good) + b"\n", b" " + canon(good), canon(good | {"more": 1}), canon(good | {"from": 17}),
            canon(good | {"from": True}), canon(good | {"from": "0"}), canon(good | {"ledger": 1}),
            canon(good | {"files": files[:5]}), canon(good | {"files": files[::-1]}), canon(good | {"files": None}),
            canon(good | {"to": 2**53}), canon(good | {"files": [one | {"x": 1} for one in files]}),
            canon({name: value for name, value in good.items() if name != "ledger"}),
            canon(good).replace(b'"from":0', b'"from":0.0'), canon(good).replace(b'"from":0', b'"from":-0'),
            canon(good).replace(b'"from":0', b'"from":0,"from":0'), canon(good).replace(b'"from":0', b'"from":00'),
        ):
            self.tampered(Bundle().file(bad), "bundle.json")

    def test_3_sizes_and_hashes_are_checked(self):
        for i in range(6):
            for wrong in ({"bytes": 3}, {"sha256": "0" * 64}):
                good = Bundle().description()
                good["files"][i] |= wrong
                self.tampered(Bundle().file(good), NAMES[i])

    def test_4_the_checkpoint_is_parsed(self):
        good = Bundle().members["checkpoint"]
        text, _, lines = good.partition(b"\n\n")
        origin, size, root = text.split(b"\n")
        bad_notes = [
            b"", text, text + b"\n", text + b"\n\n", good[:-1], good + b"\n", b"\n" + good, good + b"x\n",
            good + b"\xff", good.replace(b" ", b"  "), good.replace(b"\xe2\x80\x94", b"-"),
            good + "\u2014 x AAAA\n".encode(),
            good + "\u2014 x AAAAAA=\n".encode(), good + "\u2014 x AAAAAAB=\n".encode(),
            good + "\u2014 a+b AAAAAAA=\n".encode(), good + "\u2014 a\u00a0b AAAAAAA=\n".encode(),
            good.replace(b"\n", b"\r\n"), text + b"\n\n\n" + lines,
        ]
        for bad in (
            [b"", size, root], [origin, b"016", root], [origin, b"+16", root], [origin, b"1_6", root],
            [origin, b"", root], [origin, "\u0661".encode(), root], [origin, b"9" * 5000, root],
            [origin, size, root[:-1]],
            [origin, size, root[:-2] + b"B="], [origin, size, b"AAAA"], [origin, size], [origin, size, root, b"", b"x"],
            [origin + b"\t", size, root],
        ):
            bad_notes.append(note(b"\n".join(bad) + b"\n", LOG))
        for bad in bad_notes:
            bundle = Bundle()
            bundle.members["checkpoint"] = bad
            self.tampered(bundle, "checkpoint")

    def test_4_a_signature_of_a_known_key_has_to_verify(self):
        good = Bundle().members["checkpoint"]
        text = good.partition(b"\n\n")[0] + b"\n"
        by = policy(f"log {LOG.vkey}", f"witness w {W1.vkey}", "quorum none")
        for signer in (LOG, W1):
            for signature in (bytes(64), bytes(72), b"x", b"\xff" * 8 + W1.signature(text)[8:]):
                bundle = Bundle()
                raw = base64.b64encode(signer.id + signature)
                bundle.members["checkpoint"] = good + f"\u2014 {signer.name} ".encode() + raw + b"\n"
                self.tampered(bundle, "does not verify", by=by)

    def test_6_the_checkpoint_reaches_to_the_end(self):
        verdict = verify.verify(Bundle(size=15).file(), KEY)
        self.assertEqual(verdict.code, 1)
        self.assertIn("the checkpoint is of 15 entries", verdict.findings[0])

    def test_7_there_is_a_line_for_each_entry(self):
        for name in ("entries.jsonl", "disclosures.jsonl"):
            for mutate in (lambda raw: raw + b"{}\n", lambda raw: raw[:-1], lambda raw: b"", lambda raw: raw + b"\n"):
                bundle = Bundle()
                bundle.members[name] = mutate(bundle.members[name])
                self.tampered(bundle, name)

    def test_7_entries_are_of_the_ledger(self):
        self.tampered(Bundle(changed(0, ledger="other")), "is of the ledger")

    def test_7_members_of_entries_are_as_they_should_be(self):
        for position, members in [
            (0, {"time": 253402207200001}), (0, {"time": "1"}), (0, {"time": None}), (0, {"detail": 1}),
            (0, {"extra": 1}), (0, {"ledger": ""}), (1, {"config": "C" * 32}), (1, {"commitment": "a" * 63}),
            (1, {"item": "a" * 41}), (1, {"operation": "MODIFY"}), (1, {"assurance": "sure"}), (1, {"event": "\x7f"}),
            (1, {"event": "e" * 1025}), (1, {"shard": "\u00e9" * 513}), (1, {"sequence": "1" * 129}),
            (1, {"sequence": ""}), (1, {"sequence": "-1"}), (1, {"sequence": "\u0661"}), (1, {"sequence": 10}),
            (1, {"table": None}), (3, {"table": "t"}), (4, {"after": "begin"}), (4, {"closed": "x"}),
            (4, {"recorded": True}), (6, {"after": "start"}), (6, {"cause": "x"}), (6, {"loss": "x"}),
            (11, {"scope": "x"}), (11, {"stage": "placed"}), (12, {"scope": "retention"}), (12, {"stage": "done"}),
            (12, {"bodies": 1}), (0, {"detail": "x" * 32768}), (0, {"v": "1"}), (0, {"v": {}}), (0, {"v": None}),
            (0, {"kind": {}}), (4, {"first": None}), (4, {"last": None}),
        ]:
            self.tampered(Bundle(changed(position, **members), rows=False), f"the entry at {position}")

    def test_7_entries_are_canonical(self):
        good = leaves_of(a_ledger())[0]
        for old, new in [
            (b'""', b'"\\u0041"'), (b'""', b'"\\ud800"'), (b'""', b'"\xff"'), (b'""', b'"\\/"'), (b'""', b'"\x01"'),
            (b":1,", b":1.0,"), (b":1,", b":1e0,"), (b":1,", b":NaN,"), (b":1,", b":Infinity,"), (b":1,", b":-1,"),
            (b":1,", b":" + b"9" * 5000 + b","), (b"}", b"} "), (b"{", b" {"), (b"{", b"\xef\xbb\xbf{"),
            (b'""', b"[" * 100000), (b'""', b'"'), (b"}", b","), (b'""', b"[" * 100 + b"]" * 100),
            (b":1,", b":1,,"), (b"{", b'{"detail":"",'), (b":1,", b":9007199254740992,"),
        ]:
            self.assertIn(old, good)
            self.tampered(Bundle(ledger_with(0, good.replace(old, new, 1))), "the entry at 0")
        for raw in (b"", b"1", b"null", b'"v"', b"[]", b"[" * 101 + b"]" * 101, b"{}"):
            self.tampered(Bundle(ledger_with(0, raw)), "the entry at 0")

    def test_8_the_entries_are_those_of_the_root(self):
        bundle = Bundle(first=2, end=9)
        hashes = json.loads(bundle.members["proof.json"])["hashes"]
        one = "0" * 64
        for bad in (hashes[:-1], hashes[1:], hashes + [one], [one, *hashes], hashes[::-1], [], [one, *hashes[1:]]):
            bundle.members["proof.json"] = canon({"hashes": bad})
            self.tampered(bundle, "root")
        bundle = Bundle().replace("entries.jsonl", b'"detail":""', b'"detail":"x"')
        self.tampered(bundle.replace("rows.jsonl", b'"detail":""', b'"detail":"x"'), "root")

    def test_8_proof_json_has_its_form(self):
        for bad in (b"", b"[]", b"{}", b'{"hashes":[]}\n', b'{"hashes":["0"]}', b'{"hashes":[],"more":1}',
                    b'{"hashes":{}}', b'{"hashes":[],"since":null}', b'{"hashes":[],"since":{"hashes":[]}}',
                    b'{"hashes":[],"since":{"hashes":[1],"size":1}}'):
            bundle = Bundle()
            bundle.members["proof.json"] = bad
            self.tampered(bundle, "proof.json")

    def test_9_disclosures_are_right(self):
        for old, new in [
            (b'\\"1\\"', b'\\"2\\"'), (b'"salt":"', b'"salt":"0'),
            (b'{"attributes":[', b'{"attributes":[{"digest":"x"},'),
            (b"{}", b'{"attributes":[]}'), (b"{}", b"[]"), (b"{}", b""), (b'"path":"/keys/id",', b""),
            (b'{"path":"/keys/id"', b'{"more":1,"path":"/keys/id"'), (b'"/keys/id"', b'"/keys/i~2"'),
        ]:
            self.tampered(Bundle().replace("disclosures.jsonl", old, new), "the disclosure at")
        attributes = a_ledger()[1][1][0]
        disclosure = disclose(attributes, SHOWN)
        disclosure["attributes"].pop()
        self.tampered(Bundle().replace("disclosures.jsonl", canon(disclose(attributes, SHOWN)), canon(disclosure)),
                      "what the entry commits to")

    def test_9_what_an_entry_commits_to_is_shown_in_the_one_form(self):
        salt = bytes(32)
        for attributes in (
            [("/new/b", salt, b'{"S":"1"}'), ("/new/a", salt, b'{"S":"1"}')],
            [("/new/a", salt, b'{"S":"1"}')] * 2, [("/new", salt, b'{"S":"1"}')], [("/new/a/b", salt, b'{"S":"1"}')],
            [("/new/a~", salt, b'{"S":"1"}')], [("/news/a", salt, b'{"S":"1"}')], [("/actor/x", salt, b'"x"')],
            [("/new/a", salt, b'{"S": "1"}')], [("/new/a", salt, b'{"S":1.5}')], [("/new/a", salt, b"{}")],
            [("/new/a", salt, b'{"N":"1","S":"1"}')], [("/new/a", salt, b'"1"')], [("/actor", salt, b'{"S":"1"}')],
            [("/actor", salt, b'"\\u0041"')], [("/actor", salt, b"")],
            [("/new/a", salt, b'{"L":' + b"[" * 100 + b"]" * 100 + b"}")], [("x", salt, b'"x"')],
        ):
            ledger = a_ledger()
            shown = [path for path, _, _ in attributes]
            bundle = Bundle(ledger_with(1, change(10, attributes=attributes), (attributes, None), ledger))
            lines = bundle.members["disclosures.jsonl"].split(b"\n")
            lines[1] = canon(disclose(attributes, shown))
            bundle.members["disclosures.jsonl"] = b"\n".join(lines)
            self.tampered(bundle, "the disclosure at 1")

    def test_9_an_entry_may_commit_to_nothing_or_deep_values(self):
        salt = bytes(32)
        for attributes in ([], [("/new/a", salt, b'{"L":' + b"[" * 99 + b"]" * 99 + b"}")]):
            one = change(10, attributes=attributes)
            shown = ([path for path, _, _ in attributes])
            self.proved(Bundle(ledger_with(1, one, (attributes, shown))))

    def test_10_rows_are_what_entries_and_disclosures_make(self):
        for name, old, new in [
            ("rows.jsonl", b"orders", b"others"), ("rows.jsonl", b"12:00:00.007Z", b"12:00:00.008Z"),
            ("rows.jsonl", b'"position":3', b'"position":4'), ("rows.jsonl", b'"reason":"no table"', b'"reason":"x"'),
            ("rows.csv", b'"orders"', b"orders"), ("rows.csv", b"\r\n", b"\n"), ("rows.csv", b'ma""ria', b"ma\"\"rie"),
        ]:
            self.tampered(Bundle().replace(name, old, new), name)

    def test_11_records_are_accounted_for(self):
        for say, ledger in [
            ("is not behind 10", changed(3, sequence="10")),
            ("a gap after 12", changed(6, after="12")),
            ("between start and 9", changed(4, after="9")),
            ("between start and gap", changed(4, after="gap")),
            ("should begin at gap", changed(8, after="13")),
            ("between 21 and 20", changed(9, after="20")),
            ("between 21 and gap", changed(9, after="gap")),
            ("between 21 and start", changed(13, after="start")),
            ("1 entries were recorded", changed(8, recorded=2, read=2)),
            ("2 entries were recorded", changed(4, recorded=1)),
            ("more recorded than read", changed(4, read=1)),
            ("more redacted than recorded", changed(4, redacted=3)),
            ("does not say from where", changed(9, read=1)),
            ("goes from 31 to 30", changed(13, first="31")),
            ("goes from 3 to 6 behind 4", changed(5, after="4", first="3")),
            ("a sequence is not from 11 to 13", changed(4, first="11")),
            ("was at its end", changed(9, closed="end")),
            ("not withheld or was told before", [*a_ledger(), (amendment(12), NOTHING)]),
            ("not withheld or was told before", [*an_amended_ledger(), (amendment(11), NOTHING)]),
            ("not withheld or was told before", an_amended_ledger()[:3] + [(amendment(11, event="other"), NOTHING)]),
            ("1 entries were recorded", an_amended_ledger()[1:]),
        ]:
            data = Bundle(ledger).file()
            verdict = verify.verify(data, KEY)
            self.assertEqual(verdict.code, 1, say)
            self.assertTrue(any(say in finding for finding in verdict.findings), (say, verdict.lines()))
            self.assertTrue(all("shard" in finding for finding in verdict.findings), verdict.lines())

    def test_11_what_came_before_the_bundle_is_not_missed(self):
        ledger = changed(4, recorded=3, read=3)
        self.tampered(Bundle(ledger), "entries were recorded")
        self.proved(Bundle(ledger, first=1))
        self.tampered(Bundle(changed(4, recorded=1), first=1), "entries were recorded")
        self.proved(Bundle(changed(4, after="9"), first=1))
        self.proved(Bundle(changed(6, after="12"), first=5))

    def test_11_a_batch_without_records_carries_its_place_on(self):
        def batches(*afters):
            return Bundle([(gap(), NOTHING)] + [(batch(after, None, None, 0), NOTHING) for after in afters])

        self.proved(batches("gap", "gap", "gap"))
        self.tampered(batches("start"), "should begin at gap")
        self.tampered(batches("gap", "7"), "missing")

    def test_12_the_earlier_checkpoint_is_the_beginning_of_this_one(self):
        ledger = a_ledger()
        leaves = leaves_of(ledger)
        others = [b"x", *leaves[1:]]
        self.tampered(Bundle(since=7), "is not the beginning", since=checkpoint(others[:7]))
        self.tampered(Bundle(since=8), "is not the beginning", since=checkpoint(others[:8]))
        self.tampered(Bundle(), "another root", since=checkpoint(others))
        self.tampered(Bundle(), "the earlier checkpoint has 17", since=checkpoint([*leaves, b"x"]))
        empty = note(b"example.com/ledger\n0\n" + base64.b64encode(bytes(32)) + b"\n", LOG)
        self.tampered(Bundle(), "empty tree", since=empty)
        self.tampered(Bundle(), "the earlier checkpoint", since=b"")
        good = checkpoint(leaves[:7])
        self.tampered(Bundle(since=7), "does not verify", since=good.replace(b"\n7\n", b"\n6\n"))
        for size in range(1, 16):
            for wrong in (lambda path: path[:-1], lambda path: path + ["0" * 64], lambda path: ["0" * 64] + path,
                          lambda path: path[:-1] + ["0" * 64]):
                bundle = Bundle(since=size)
                proof = json.loads(bundle.members["proof.json"])
                proof["since"]["hashes"] = wrong(proof["since"]["hashes"])
                bundle.members["proof.json"] = canon(proof)
                self.tampered(bundle, "is not the beginning", since=checkpoint(leaves[:size]))

    def test_a_finding_comes_before_a_doubt(self):
        other = verify.policy_of_key(OTHER_LOG.vkey.encode())
        self.tampered(Bundle().replace("rows.csv", b"orders", b"others"), "rows.csv", by=other)

    def test_every_flip_of_a_byte_is_tampered(self):
        data = Bundle(a_ledger()[:6], first=1, end=5, since=1).file()
        for i in range(len(data)):
            flipped = bytearray(data)
            flipped[i] ^= 1 << i % 8
            verdict = verify.verify(bytes(flipped), KEY)
            self.assertEqual(verdict.code, 1, (i, verdict.lines()))

    def test_every_cut_is_tampered(self):
        data = Bundle(a_ledger()[:6], first=1, end=5).file()
        for length in range(1, len(data), 7):
            self.assertEqual(verify.verify(data[:length], KEY).code, 1, length)


def proof_of(ledger, index, extra=None, path=None, signers=(LOG,), at=None):
    leaves = leaves_of(ledger)
    attributes, shown = ledger[index][1]
    if extra is None:
        disclosure = disclose(attributes, shown) if attributes and shown is not None else {}
        extra = canon({"disclosure": disclosure, "entry": leaves[index].decode()})
    path = audit_path(index, leaves) if path is None else path
    lines = [b"c2sp.org/tlog-proof@v1", b"extra " + base64.b64encode(extra)]
    lines += [f"index {index if at is None else at}".encode(), *map(base64.b64encode, path), b""]
    return b"\n".join(lines) + b"\n" + checkpoint(leaves, signers)


class Proof(Case):
    def test_a_proof_of_each_entry_is_proved(self):
        for index in range(16):
            self.proved(proof_of(a_ledger(), index), say="proved: 1 entries")

    def test_a_proof_of_another_version_is_cannot_tell(self):
        data = proof_of(a_ledger(), 1)
        for other in (b"@v2\n", b"@v1\r\n", b"@v10\n"):
            self.cannot_tell(data.replace(b"@v1\n", other, 1), "another version")

    def test_another_key_is_cannot_tell(self):
        self.cannot_tell(proof_of(a_ledger(), 1, signers=(OTHER_LOG,)), "not signed by a log")

    def test_an_entry_of_another_version_is_cannot_tell(self):
        self.cannot_tell(proof_of(ledger_with(1, {"v": 2}), 1), "another version")

    def test_an_earlier_checkpoint_is_cannot_tell(self):
        self.cannot_tell(proof_of(a_ledger(), 1), "earlier", since=checkpoint([]))

    def test_a_proof_of_another_form_is_tampered(self):
        good = proof_of(a_ledger(), 1)
        for old, new in [
            (b"\nindex ", b"\nindex 0"), (b"\nindex ", b"\nindex +"), (b"\nindex ", b"\n"), (b"\nextra ", b"\nmore "),
            (b"\n\n", b"\n"), (b"\n\n", b"\n\n\n"), (b"=\n", b"\n"), (b"\nindex 1", b"\nindex " + b"9" * 5000),
            (b"\n\n", b"\nAAAA\n\n"),
        ]:
            self.assertIn(old, good)
            self.tampered(good.replace(old, new, 1), "")
        lines = good.split(b"\n")
        self.tampered(b"\n".join(lines[:1] + lines[2:]), "extra")
        self.tampered(b"c2sp.org/tlog-proof@v1\n", "form")

    def test_the_extra_line_is_checked(self):
        ledger = a_ledger()
        good = {"disclosure": disclose(CHANGE, SHOWN), "entry": leaves_of(ledger)[1].decode()}
        for bad in (b"", b"{}", canon(good) + b"\n", canon(good | {"more": 1}), canon(good | {"entry": {}}),
                    canon(good | {"entry": leaves_of(ledger)[2].decode()}), canon(good | {"entry": "{}"}),
                    canon(good | {"disclosure": disclose(CHANGE[1:], SHOWN)}), canon(good | {"disclosure": 1})):
            self.tampered(proof_of(ledger, 1, extra=bad), "")

    def test_the_inclusion_proof_is_checked(self):
        ledger = a_ledger()[:13]
        for index in range(13):
            path = audit_path(index, leaves_of(ledger))
            for bad in (path[:-1], path + [bytes(32)], [bytes(32)] + path, path[::-1] if index < 12 else []):
                self.tampered(proof_of(ledger, index, path=bad), "is not in the tree")
            self.tampered(proof_of(ledger, index, at=13), "is not in the tree")
            self.tampered(proof_of(ledger, index, at=(index + 1) % 13), "is not in the tree")

    def test_every_flip_of_a_byte_is_tampered_or_of_another_version_or_of_another_key(self):
        data = proof_of(a_ledger(), 1)
        version = data.index(b"v1\n")
        key = data.index("\u2014".encode()) + 4
        key_id = key + len(LOG.name) + 1
        unknown = {*range(version, version + 3), *range(key, key_id - 1), *range(key_id, key_id + 6)}
        for i in range(len(data)):
            for bit in range(8):
                flipped = bytearray(data)
                flipped[i] ^= 1 << bit
                verdict = verify.verify(bytes(flipped), KEY)
                self.assertIn(verdict.code, (1, 2) if i in unknown else (1,), (i, verdict.lines()))


# The vectors of host/evidence/vectors, computed again from the pages.


def vectors(name):
    folder = Path(verify.__file__).parents[2] / "host" / "evidence" / "vectors"
    return json.loads((folder / name).read_text("utf-8"))


def canonical_of(value):
    """Canonical JSON: names by UTF-16 code units."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{json.dumps(name, ensure_ascii=False)}:{canonical_of(value[name])}" for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical_of, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def with_sorted_sets(value):
    """A value in DynamoDB-JSON whose sets are in order."""
    ((kind, inside),) = value.items()
    orders = {"SS": str.encode, "NS": str.encode, "BS": base64.b64decode}
    if kind in orders:
        inside = sorted(inside, key=orders[kind])
    elif kind == "L":
        inside = [with_sorted_sets(one) for one in inside]
    elif kind == "M":
        inside = {name: with_sorted_sets(one) for name, one in inside.items()}
    return {kind: inside}


def paths_of(body):
    """The attributes of a body: paths with the texts of their values, in order of paths."""
    found = {}
    for part, inside in body.items():
        if isinstance(inside, str):
            found[f"/{part}"] = canonical_of(inside)
            continue
        for name, value in inside.items():
            found[f"/{part}/" + name.replace("~", "~0").replace("/", "~1")] = canonical_of(value if part == "tags" else with_sorted_sets(value))
    return sorted(found.items(), key=lambda pair: pair[0].encode())


class Vectors(unittest.TestCase):
    def test_canonical_form(self):
        for one in vectors("canonical.json"):
            item = {name: with_sorted_sets(value) for name, value in json.loads(one["dynamodb"]).items()}
            self.assertEqual(canonical_of(item), one["canonical"], one["name"])
            self.assertEqual(verify.canonical(one["canonical"].encode()), item, one["name"])

    def test_commitment(self):
        for one in vectors("commitment.json"):
            pairs = [(attribute["path"], attribute["value"]) for attribute in one["attributes"]]
            self.assertEqual(pairs, paths_of(json.loads(one["body"])), one["name"])
            digests = []
            for attribute in one["attributes"]:
                path = attribute["path"].encode()
                salted = bytes.fromhex(attribute["salt"]) + len(path).to_bytes(4, "big") + path
                digests.append(sha(b"weir/attribute/v1\0" + salted + attribute["value"].encode()))
                self.assertEqual(digests[-1].hex(), attribute["digest"])
            whole = sha(b"weir/commitment/v1\0" + len(digests).to_bytes(4, "big") + b"".join(digests))
            self.assertEqual(whole.hex(), one["commitment"], one["name"])
            shown = [{name: attribute[name] for name in ("path", "salt", "value")} for attribute in one["attributes"]]
            for disclosure in ({"attributes": shown}, {"attributes": [{"digest": digest.hex()} for digest in digests]}):
                verify.check_disclosure({"commitment": one["commitment"]}, disclosure)

    def test_entries(self):
        kinds = set()
        for one in vectors("entry.json"):
            raw = one["entry"].encode()
            self.assertEqual(sha(b"\0" + raw).hex(), one["leaf"])
            self.assertEqual(canonical_of(json.loads(raw)), one["entry"])
            self.assertEqual(verify.parse_entry(raw)["kind"], one["kind"])
            kinds.add(one["kind"])
        self.assertEqual(kinds, set(verify.KINDS))

    def test_body_keys(self):
        """A segment's keys are the leaves of a binary tree of hashes, 16 steps below its root."""
        vector = vectors("body_key.json")

        def secret_at(depth, way):
            secret = bytes.fromhex(vector["root"])
            for step in range(depth):
                bit = way >> (depth - 1 - step) & 1
                secret = sha(bytes([bit]) + b"weir/body-key/v1" + secret)
            return secret

        for key in vector["keys"]:
            secret = secret_at(16, key["index"])
            self.assertEqual(sha(b"weir/body-seal/v1" + secret).hex(), key["seal"])
            self.assertEqual(sha(b"weir/body-salt/v1" + secret).hex(), key["salt"])
        covered = set()
        for one in vector["nodes"]:
            self.assertEqual(secret_at(one["depth"], one["way"]).hex(), one["secret"])
            width = 1 << 16 - one["depth"]
            covered.update(range(one["way"] * width, (one["way"] + 1) * width))
        self.assertEqual(set(range(1 << 16)) - covered, set(vector["destroyed"]))


class CommandLine(unittest.TestCase):
    def run_it(self, *arguments):
        command = [sys.executable, str(Path(verify.__file__)), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def write(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def test_the_exit_code_is_the_verdict(self):
        file = self.write("bundle", Bundle(since=7).file())
        bad = self.write("bad", Bundle().replace("rows.csv", b"orders", b"others").file())
        since = self.write("since", checkpoint(leaves_of(a_ledger())[:7]))
        trust = self.write("policy", f"log {LOG.vkey}\nquorum none\n".encode())
        for code, say, arguments in [
            (0, "proved: 16 entries", [file, "--key", LOG.vkey]),
            (0, "proved: 16 entries", [file, "--policy", trust, "--since", since]),
            (1, "tampered: rows.csv", [bad, "--key", LOG.vkey]),
            (2, "cannot tell: ", [file, "--key", OTHER_LOG.vkey]),
            (2, "cannot tell: the key", [bad, "--key", "x"]),
            (2, "cannot tell: the policy", [bad, "--policy", since]),
            (2, "cannot tell: ", [bad, "--policy", self.folder / "none"]),
            (2, "cannot tell: ", [self.folder / "none", "--key", LOG.vkey]),
            (2, "cannot tell: ", [bad, "--key", LOG.vkey, "--since", self.folder / "none"]),
        ]:
            result = self.run_it(*arguments)
            self.assertEqual((result.returncode, result.stderr), (code, ""), result.stdout)
            self.assertTrue(result.stdout.startswith(say), result.stdout)

    def test_a_folder_is_a_line_for_each_file_in_order(self):
        self.write("b", Bundle().file())
        self.write("c", b"")
        self.write("a", b"x" * 5000)
        (self.folder / "d").mkdir()
        result = self.run_it("--batch", self.folder, "--key", LOG.vkey)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        lines = [line.split("\t") for line in result.stdout.splitlines()]
        self.assertEqual([line[:2] for line in lines], [["a", "1"], ["b", "0"], ["c", "2"]])
        self.assertEqual([line[2] for line in lines][1:], ["", "the file is empty"])

    def test_a_crash_is_no_verdict(self):
        result = self.run_it("--batch", self.folder / "none", "--key", LOG.vkey)
        self.assertEqual(result.returncode, 70)


if __name__ == "__main__":
    unittest.main()
