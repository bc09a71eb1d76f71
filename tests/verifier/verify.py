#!/usr/bin/env python3
"""A second verifier for what Weir hands to an auditor: bundles and proofs of one entry.

Weir has a verifier of its own, `weir verify`. This is another one. It was written from the pages
`host/evidence/formats/bundle.md` and `entry.md` (and the C2SP pages that those name) alone, without a look at
Weir's code, so that nobody has to trust Weir in order to check Weir: where the two disagree about a file, one of
them or the page is wrong. It is meant to be read; numbers in comments are those of "To verify" in `bundle.md`.

    verify.py FILE (--key VKEY | --policy POLICY_FILE) [--since CHECKPOINT_FILE]
    verify.py --batch FOLDER (--key VKEY | --policy POLICY_FILE) [--since CHECKPOINT_FILE]

Exit code: 0 proved, 1 tampered (at least one finding), 2 cannot tell. With --batch every regular file of the folder
is a line `NAME<TAB>EXIT CODE<TAB>first finding or reason`, and the exit code is 0. A crash of this program ends with
70, for it is no verdict.

Needs Python 3.11, and the package `cryptography` for Ed25519.
"""

import argparse
import base64
import binascii
import hashlib
import json
import os
import re
import sys
import traceback
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

MAX_INTEGER = 2**53 - 1
MAX_NESTING = 100
MAX_ENTRY = 32768
MAX_TIME = 253402207200000
MAX_SIZE = 2**64 - 1  # of a tree


class Tampered(Exception):
    """A finding that ends the verification."""


class CannotTell(Exception):
    """A reason that ends the verification."""


class Malformed(Exception):
    """Some bytes are not what they should be. Whoever asked for them says what follows from that."""


@dataclass
class Verdict:
    findings: list = field(default_factory=list)
    reasons: list = field(default_factory=list)
    proved: str = ""

    def finding(self, text):
        self.findings.append(text)

    def cannot_tell(self, text):
        self.reasons.append(text)

    @property
    def code(self):
        return 1 if self.findings else 2 if self.reasons else 0

    def lines(self):
        lines = [f"tampered: {text}" for text in self.findings] + [f"cannot tell: {text}" for text in self.reasons]
        return lines or [f"proved: {self.proved}"]


def quoted(text):
    """Text of a stranger, for a line of output: without control characters, and not too long."""
    return ascii(text if len(text) <= 200 else text[:200] + "...")


# Canonical JSON (entry.md)

INTEGER = re.compile(r"0|[1-9][0-9]{0,15}")
# A string, or the start of one that does not end. Possessive, so that no input makes it slow.
JSON_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
BRACKET = re.compile(r"[\[\]{}]")


def canonical(raw):
    """The value of canonical JSON. What Python's parser lets through is caught by writing it again."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("is not UTF-8") from None
    refuse_deep_nesting(text)
    try:
        value = json.loads(text, parse_int=integer, parse_float=no_number, parse_constant=no_number)
    except json.JSONDecodeError:
        raise Malformed("is not JSON") from None
    try:
        again = encode(value).encode("utf-8")
    except UnicodeEncodeError:
        raise Malformed("has half of a surrogate pair") from None
    if again != raw:
        raise Malformed("is not canonical JSON")
    return value


def refuse_deep_nesting(text):
    """Before it is parsed: Python's parser recurses."""
    if text.count("[") + text.count("{") <= MAX_NESTING:
        return
    level = 0
    for bracket in BRACKET.findall(JSON_STRING.sub("", text)):
        level += 1 if bracket in "[{" else -1
        if level > MAX_NESTING:
            raise Malformed("is nested too deep")


def integer(text):
    if not INTEGER.fullmatch(text) or int(text) > MAX_INTEGER:
        raise Malformed("has a number that is not an integer from 0 to 2^53 - 1")
    return int(text)


def no_number(_text):
    raise Malformed("has a number that is not an integer")


def encode(value):
    """RFC 8785, for what `canonical` reads."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(encode(name) + ":" + encode(value[name]) for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(encode(one) for one in value) + "]"
    # json.dumps escapes exactly what RFC 8785 section 3.2.2.2 escapes, in the same way.
    return json.dumps(value, ensure_ascii=False)


def is_integer(value):
    return type(value) is int  # True is an int, too


def has_members(value, names, optional=()):
    """Is it an object with these members and no others?"""
    return isinstance(value, dict) and set(names) <= set(value) <= set(names) | set(optional)


def is_text(value, pattern):
    return isinstance(value, str) and pattern.fullmatch(value) is not None


HEX_16 = re.compile(r"[0-9a-f]{32}")
HEX_32 = re.compile(r"[0-9a-f]{64}")


def unbase64(text):
    """Standard base64, with padding and without stray bits: only what an encoder would write."""
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise Malformed("is not base64") from None
    if base64.b64encode(raw) != text:
        raise Malformed("is not base64 as an encoder writes it")
    return raw


def decimal(text):
    """ASCII decimal without leading zeros."""
    if not re.fullmatch(rb"0|[1-9][0-9]{0,19}", text) or int(text) > MAX_SIZE:
        raise Malformed("is not a decimal number")
    return int(text)


# Tree (RFC 6962 section 2.1)


def sha256(raw):
    return hashlib.sha256(raw).digest()


def leaf_hash(entry):
    return sha256(b"\x00" + entry)


def node(left, right):
    return sha256(b"\x01" + left + right)


EMPTY_ROOT = sha256(b"")


def range_root(size, first, leaves, hashes):
    """`root(0, size)` of bundle.md; None if there are too few or too many hashes."""
    rest = list(reversed(hashes))
    end = first + len(leaves)

    def root(lo, hi):
        if hi <= first or end <= lo:
            return rest.pop() if rest else None
        if hi == lo + 1:
            return leaves[lo - first]
        k = 1 << ((hi - lo - 1).bit_length() - 1)
        left, right = root(lo, lo + k), root(lo + k, hi)
        return None if left is None or right is None else node(left, right)

    result = root(0, size)
    return None if rest else result


def is_included(leaf, index, size, root, path):
    """An audit path (RFC 6962 section 2.1.1), from the leaf up."""
    if index >= size:
        return False
    result, position, last = leaf, index, size - 1
    for sibling in path:
        if last == 0:
            return False
        if position % 2 or position == last:
            result = node(sibling, result)
            # A last node without a sibling is moved up as it is.
            while position % 2 == 0 and position != 0:
                position, last = position >> 1, last >> 1
        else:
            result = node(result, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and result == root


def is_consistent(old_size, old_root, size, root, path):
    """A consistency proof (RFC 6962 section 2.1.2), for 0 < old_size < size."""
    # A complete old tree is a subtree of the new one: its root is the first hash, and is not repeated in the proof.
    path = [old_root, *path] if old_size & (old_size - 1) == 0 else path
    if not path:
        return False
    position, last = old_size - 1, size - 1
    while position % 2:
        position, last = position >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position % 2 or position == last:
            old, new = node(sibling, old), node(sibling, new)
            while position % 2 == 0 and position != 0:
                position, last = position >> 1, last >> 1
        else:
            new = node(new, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and old == old_root and new == root


# Keys and policies (C2SP signed-note, tlog-cosignature, tlog-policy)

ED25519, COSIGNATURE = 0x01, 0x04
# Unicode spaces (White_Space), the plus sign, and control characters.
NOT_IN_NAME = re.compile("[\\x00-\\x20\\x85\\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000+]")


@dataclass(frozen=True)
class Key:
    name: str
    id: bytes
    type: int
    public: bytes

    def verifies(self, text, signature):
        if self.type == ED25519:
            return ed25519_verifies(self.public, signature, text)
        time = int.from_bytes(signature[:8], "big")
        if len(signature) != 8 + 64 or time > 2**63 - 1:
            return False
        return ed25519_verifies(self.public, signature[8:], b"cosignature/v1\ntime %d\n" % time + text)


def ed25519_verifies(public, signature, message):
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if len(signature) != 64:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


P = 2**255 - 19  # of the field of edwards25519
D = -121665 * pow(121666, -1, P) % P


def is_point(public):
    """Does a point of the curve have this y? (RFC 8032 section 5.1.3: x^2 = (y^2 - 1) / (d y^2 + 1) has to be a square.)"""
    y = int.from_bytes(public, "little") & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    return square == 0 or pow(square, (P - 1) // 2, P) == 1


def key_name(raw):
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("has a name that is not UTF-8") from None
    if not name or NOT_IN_NAME.search(name):
        raise Malformed("has a name that is empty or has a space, a plus sign or a control character")
    return name


def parse_vkey(raw, wanted_type):
    parts = raw.split(b"+", 2)  # base64 may have a plus sign, a name has none
    if len(parts) != 3 or not re.fullmatch(rb"[0-9a-f]{8}", parts[1]):
        raise Malformed("is not a vkey")
    name, material = key_name(parts[0]), unbase64(parts[2])
    if len(material) != 33 or material[0] != wanted_type:
        raise Malformed(f"is not an Ed25519 vkey of type {wanted_type:#04x}")
    if not is_point(material[1:]):
        raise Malformed("is a vkey that is no point of the curve")
    key_id = bytes.fromhex(parts[1].decode("ascii"))
    if sha256(parts[0] + b"\n" + material)[:4] != key_id:
        raise Malformed("is a vkey whose key id does not belong to it")
    return Key(name, key_id, material[0], material[1:])


@dataclass
class Policy:
    logs: list = field(default_factory=list)
    witnesses: dict = field(default_factory=dict)  # by name, in the policy
    groups: dict = field(default_factory=dict)  # by name: threshold and members; each defined behind its members
    quorum: bytes | None = None

    @property
    def keys(self):
        return [*self.logs, *self.witnesses.values()]

    def has_quorum(self, signers):
        # In the order of the file, so that members come before their groups, and nothing recurses.
        present = {b"none": True} | {name: key in signers for name, key in self.witnesses.items()}
        for name, (threshold, members) in self.groups.items():
            present[name] = sum(present[member] for member in members) >= threshold
        return present[self.quorum]


def policy_of_key(raw):
    return Policy(logs=[parse_vkey(raw, ED25519)], quorum=b"none")


def parse_policy(raw):
    if re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", raw):
        raise Malformed("has a control character")
    policy, used = Policy(), set()
    for number, line in enumerate(raw.split(b"\n"), 1):
        words = [word for word in re.split(rb"[ \t]+", line) if word]
        if words and not words[0].startswith(b"#"):
            try:
                parse_policy_line(policy, used, words)
            except Malformed as why:
                raise Malformed(f"has a line {number} that {why}") from None
    if policy.quorum is None:
        raise Malformed("has no quorum")
    return policy


def parse_policy_line(policy, used, words):
    match words:
        case [b"log", vkey] | [b"log", vkey, _]:
            policy.logs.append(new_key(policy.logs, vkey, ED25519))
        case [b"witness", name, vkey] | [b"witness", name, vkey, _]:
            refuse_defined(policy, name)
            policy.witnesses[name] = new_key(policy.witnesses.values(), vkey, COSIGNATURE)
        case [b"group", name, threshold, *members] if members:
            refuse_defined(policy, name)
            use_members(policy, used, members)
            policy.groups[name] = (parse_threshold(threshold, len(members)), members)
        case [b"quorum", name]:
            if policy.quorum is not None:
                raise Malformed("is a second quorum")
            if name != b"none" and not is_defined(policy, name):
                raise Malformed("names what is not defined before it")
            policy.quorum = name
        case _:
            raise Malformed("is not a line of a policy")


def new_key(others, vkey, wanted_type):
    key = parse_vkey(vkey, wanted_type)
    if any(key.public == other.public for other in others):
        raise Malformed("repeats a key")
    return key


def is_defined(policy, name):
    return name in policy.witnesses or name in policy.groups


def refuse_defined(policy, name):
    if name == b"none" or is_defined(policy, name):
        raise Malformed("defines a name again")


def use_members(policy, used, members):
    # A name is a member once in the whole policy: a witness counts in one way only.
    for member in members:
        if not is_defined(policy, member) or member in used:
            raise Malformed("names a member that is not defined before it, or is a member already")
        used.add(member)


def parse_threshold(word, members):
    if word in (b"any", b"all"):
        return 1 if word == b"any" else members
    if not re.fullmatch(rb"[1-9][0-9]{0,8}", word) or int(word) > members:
        raise Malformed("has a threshold that is not from 1 to the number of members")
    return int(word)


# Checkpoint (4, 5; C2SP signed-note, tlog-checkpoint)


@dataclass
class Checkpoint:
    origin: str
    size: int
    root: bytes
    signers: set  # keys of the policy that have signed it


def check_checkpoint(raw, policy, verdict, what="the checkpoint"):
    """4 and 5. None if 4 has a finding; the second of the pair says whether 5 was met."""
    try:
        text, origin, size, root, signatures = parse_checkpoint(raw)
    except Malformed as why:
        verdict.finding(f"{what} {why}")
        return None, False
    signers, sound = set(), True
    for name, key_id, signature in signatures:
        known = [key for key in policy.keys if (key.name, key.id) == (name, key_id)]
        verified = [key for key in known if key.verifies(text, signature)]
        signers.update(verified)
        if known and not verified:
            verdict.finding(f"the signature of {quoted(name)} on {what} does not verify")
            sound = False
    if not sound:
        return None, False
    checkpoint = Checkpoint(origin, size, root, signers)
    return checkpoint, is_trusted(checkpoint, policy, verdict, what)


def is_trusted(checkpoint, policy, verdict, what):
    signed = any(key in checkpoint.signers and key.name == checkpoint.origin for key in policy.logs)
    if not signed:
        verdict.cannot_tell(f"{what} of {quoted(checkpoint.origin)} is not signed by a log that is trusted for it")
    cosigned = policy.has_quorum(checkpoint.signers)
    if not cosigned:
        verdict.cannot_tell(f"{what} does not have the cosignatures that the policy asks for")
    return signed and cosigned


def parse_checkpoint(raw):
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("is not UTF-8") from None
    if re.search(rb"[\x00-\x09\x0b-\x1f]", raw):
        raise Malformed("has a control character")
    text, separator, signatures = raw.rpartition(b"\n\n")
    if not separator or not signatures.endswith(b"\n"):
        raise Malformed("is not a signed note")
    lines = text.split(b"\n")
    if len(lines) < 3 or b"" in lines:
        raise Malformed("does not have an origin, a size and a root")
    try:
        size, root = decimal(lines[1]), unbase64(lines[2])
    except Malformed as why:
        raise Malformed(f"has a size or a root that {why}") from None
    if len(root) != 32:
        raise Malformed("has a root that is not of 32 bytes")
    parsed = [parse_signature(line) for line in signatures[:-1].split(b"\n")]
    return text + b"\n", lines[0].decode("utf-8"), size, root, parsed


def parse_signature(line):
    parts = line.split(b" ")
    if len(parts) != 3 or parts[0] != "\u2014".encode("utf-8"):
        raise Malformed("has a line that is not a signature")
    try:
        name, raw = key_name(parts[1]), unbase64(parts[2])
    except Malformed as why:
        raise Malformed(f"has a signature that {why}") from None
    if len(raw) < 5:
        raise Malformed("has a signature that is too short")
    return name, raw[:4], raw[4:]


# Entry (entry.md)

KINDS = {
    "change": "assurance commitment config event item operation sequence shard stream table time",
    "amendment": "assurance commitment config event item operation sequence shard stream table time",
    "withheld": "commitment config event item operation sequence shard stream table time",
    "unknown": "commitment sequence shard stream time",
    "gap": "after? cause commitment? loss next? shard since? stream until?",
    "batch": "after closed config first? last? read recorded redacted shard stream",
    "lifecycle": "detail time what",
    "erasure": "bodies? commitment id item? scope stage time",
    "hold": "commitment id item? scope stage time",
}
CHANGES = ("change", "amendment")
DIGITS = re.compile(r"[0-9]{1,128}")
ITEM = re.compile(r"[0-9a-f]{8}:[0-9a-f]{32}")
NO_CONTROL = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")  # Unicode category Cc never grows


def any_text(value):
    return isinstance(value, str)


def name_text(value):
    return is_text(value, NO_CONTROL) and len(value.encode("utf-8")) <= 1024


def digits(value):
    return is_text(value, DIGITS)


def time_value(value):
    return is_integer(value) and value <= MAX_TIME


def one_of(*words):
    return lambda value: isinstance(value, str) and value in words


MEMBERS = {
    **dict.fromkeys(["ledger", "stream", "shard", "event"], name_text),
    **dict.fromkeys(["table", "detail", "what", "id"], any_text),
    **dict.fromkeys(["sequence", "next", "first", "last", "after"], digits),
    **dict.fromkeys(["time", "since", "until"], time_value),
    **dict.fromkeys(["read", "recorded", "redacted", "bodies"], is_integer),
    "commitment": lambda value: is_text(value, HEX_32),
    "config": lambda value: is_text(value, HEX_16),
    "item": lambda value: is_text(value, ITEM),
    "operation": one_of("insert", "modify", "remove"),
    "assurance": one_of("unknown", "system", "last-writer", "claimed", "signed", "corroborated"),
    "cause": one_of("trimmed", "shard-expired", "stream-replaced"),
    "loss": one_of("certain", "possible"),
    "closed": one_of("interval", "configuration", "hand-over", "end"),
}
MEMBERS_OF_KIND = {
    ("batch", "after"): lambda value: digits(value) or value in ("start", "gap"),
    ("erasure", "scope"): one_of("attribute", "item", "subject", "retention"),
    ("erasure", "stage"): one_of("intent", "done"),
    ("hold", "scope"): one_of("item", "subject"),
    ("hold", "stage"): one_of("placed", "released"),
}


def parse_entry(raw):
    """The entry, or None for one of another version."""
    if len(raw) > MAX_ENTRY:
        raise Malformed(f"is longer than {MAX_ENTRY} bytes")
    entry = canonical(raw)
    if not isinstance(entry, dict):
        raise Malformed("is not an object")
    if is_of_another_version(entry):
        return None
    kind = entry.get("kind")
    if not is_integer(entry.get("v")):
        raise Malformed("has no version")
    if not isinstance(kind, str) or kind not in KINDS:
        raise Malformed("has no kind")
    names = KINDS[kind].split()
    required = [name for name in names if not name.endswith("?")]
    if not has_members(entry, ["v", "ledger", "kind", *required], [name.rstrip("?") for name in names]):
        raise Malformed(f"does not have the members of the kind {kind!r}")
    for name, value in entry.items():
        if name in ("kind", "v"):
            continue
        is_right = MEMBERS_OF_KIND.get((kind, name)) or MEMBERS[name]
        if not is_right(value):
            raise Malformed(f"has a member {name!r} that is not as it should be")
    if kind == "batch" and ("first" in entry) != ("last" in entry):
        raise Malformed("has one of 'first' and 'last'")
    return entry


def is_of_another_version(entry):
    version, kind = entry.get("v"), entry.get("kind")
    if not is_integer(version):
        return False
    return version != 1 or isinstance(kind, str) and kind not in KINDS


def number(text):
    return int(text)  # of at most 128 digits


# Commitment and disclosure (entry.md)

PATH = re.compile(r"/(?:keys|old|new|tags)/(?:[^~/]|~[01])*|/actor|/reason|/raw", re.DOTALL)


def attribute_digest(salt, path, value):
    path = path.encode("utf-8")
    return sha256(b"weir/attribute/v1\0" + salt + len(path).to_bytes(4, "big") + path + value)


def commitment(digests):
    return sha256(b"weir/commitment/v1\0" + len(digests).to_bytes(4, "big") + b"".join(digests))


def check_disclosure(entry, disclosure):
    """What is shown: the text of each value by its path, in order of paths."""
    if "commitment" not in entry:
        if disclosure != {}:
            raise Malformed("shows something of an entry that has no body")
        return {}
    if disclosure == {}:
        return {}
    if not has_members(disclosure, ["attributes"]) or not isinstance(disclosure["attributes"], list):
        raise Malformed("is not a disclosure")
    shown, digests, before = {}, [], b""
    for attribute in disclosure["attributes"]:
        digests.append(check_attribute(attribute))
        if "path" in attribute:
            path = attribute["path"].encode("utf-8")
            if path <= before:
                raise Malformed("shows paths out of order")
            before = path
            shown[attribute["path"]] = attribute["value"]
    if commitment(digests).hex() != entry["commitment"]:
        raise Malformed("is not what the entry commits to")
    return shown


def check_attribute(attribute):
    if has_members(attribute, ["digest"]):
        if not is_text(attribute["digest"], HEX_32):
            raise Malformed("has a digest that is not one")
        return bytes.fromhex(attribute["digest"])
    if not has_members(attribute, ["path", "salt", "value"]):
        raise Malformed("has an attribute that is neither hidden nor shown")
    path, salt, value = attribute["path"], attribute["salt"], attribute["value"]
    if not is_text(path, PATH):
        raise Malformed("has a path that there is not")
    if not is_text(salt, HEX_32) or not isinstance(value, str):
        raise Malformed("has a salt or a value that is not one")
    try:
        parsed = canonical(value.encode("utf-8"))
    except Malformed as why:
        raise Malformed(f"has a value that {why}") from None
    if path in ("/actor", "/reason", "/raw") or path.startswith("/tags/"):
        right = isinstance(parsed, str)
    else:
        right = isinstance(parsed, dict) and len(parsed) == 1
    if not right:
        raise Malformed("has a value of the wrong type")
    return attribute_digest(bytes.fromhex(salt), path, value.encode("utf-8"))


# The file (1 to 3)

FOLDER = "weir-bundle-v1/"
FILES = ["checkpoint", "entries.jsonl", "disclosures.jsonl", "proof.json", "rows.jsonl", "rows.csv"]
BLOCK = 512
OCTAL = re.compile(rb"[0-7]{11}")


def checksum_field(header):
    return b"%06o\0 " % sum(header[:148] + b" " * 8 + header[156:])


def tar_header(name, size):
    header = bytearray(BLOCK)
    fields = {
        0: name.encode("ascii"),
        100: b"0000644",
        108: b"0000000",
        116: b"0000000",
        124: b"%011o" % size,
        136: b"00000000000",
        156: b"0",
        257: b"ustar\00000",
    }
    for offset, content in fields.items():
        header[offset : offset + len(content)] = content
    header[148:156] = checksum_field(header)
    return bytes(header)


def is_another_archive(data):
    header = data[:BLOCK]
    if len(header) < BLOCK or header[148:156] != checksum_field(header):
        return False
    return header[:100].split(b"\0")[0] != (FOLDER + "bundle.json").encode("ascii")


def read_members(data):
    """1: a file of exactly one form. What stands in a header is written again, and compared."""
    members, offset = {}, 0
    for name in ["bundle.json", *FILES]:
        header = data[offset : offset + BLOCK]
        if not OCTAL.fullmatch(header[124:135]):
            raise Tampered(f"the file has no header of {name} at byte {offset}")
        size = int(header[124:135], 8)
        if header != tar_header(FOLDER + name, size):
            raise Tampered(f"the header of {name} is not as it has to be")
        start = offset + BLOCK
        offset = start + -(-size // BLOCK) * BLOCK
        if offset > len(data) or any(data[start + size : offset]):
            raise Tampered(f"the content of {name} is cut off, or not followed by zero bytes")
        members[name] = data[start : start + size]
    if data[offset:] != bytes(2 * BLOCK):
        raise Tampered("the file does not end with 1024 zero bytes behind its last member")
    return members


def read_description(raw):
    """2"""
    try:
        bundle = canonical(raw)
    except Malformed as why:
        raise Tampered(f"bundle.json {why}") from None
    if not has_members(bundle, ["files", "from", "ledger", "to"]):
        raise Tampered("bundle.json does not have the members it has to have")
    if not (is_integer(bundle["from"]) and is_integer(bundle["to"]) and any_text(bundle["ledger"])):
        raise Tampered("bundle.json has a member that is not as it should be")
    if not isinstance(bundle["files"], list) or not all(is_description_of_file(one) for one in bundle["files"]):
        raise Tampered("bundle.json does not describe its files as it should")
    if [one["name"] for one in bundle["files"]] != FILES:
        raise Tampered("bundle.json does not describe the six other files in order")
    if bundle["from"] > bundle["to"]:
        raise Tampered("bundle.json has a range that ends before it begins")
    if bundle["from"] == bundle["to"]:
        raise CannotTell("the bundle has no entries")
    return bundle


def is_description_of_file(value):
    if not has_members(value, ["bytes", "name", "sha256"]):
        return False
    return is_integer(value["bytes"]) and isinstance(value["name"], str) and is_text(value["sha256"], HEX_32)


def check_files(bundle, members, verdict):
    """3"""
    for described in bundle["files"]:
        content = members[described["name"]]
        if len(content) != described["bytes"] or sha256(content).hex() != described["sha256"]:
            verdict.finding(f"{described['name']} does not have the size and the SHA-256 that bundle.json says")


def split_lines(raw, count, name):
    lines = raw.split(b"\n")
    if lines.pop() != b"" or len(lines) != count:
        raise Tampered(f"{name} does not have {count} lines")
    return lines


# The bundle


def verify_bundle(data, policy, since, verdict):
    if is_another_archive(data):
        raise CannotTell("this is a bundle of another version, or another kind of archive")
    members = read_members(data)
    bundle = read_description(members["bundle.json"])
    check_files(bundle, members, verdict)
    checkpoint, _ = check_checkpoint(members["checkpoint"], policy, verdict)  # if not trusted, go on all the same
    if checkpoint is None:
        return
    first, count = bundle["from"], bundle["to"] - bundle["from"]
    if checkpoint.size < bundle["to"]:
        verdict.finding(f"the checkpoint is of {checkpoint.size} entries, the bundle goes up to {bundle['to']}")
    raw_entries = split_lines(members["entries.jsonl"], count, "entries.jsonl")
    raw_disclosures = split_lines(members["disclosures.jsonl"], count, "disclosures.jsonl")
    entries = read_entries(raw_entries, bundle, verdict)
    if entries is None:
        return
    proof = check_range(members["proof.json"], checkpoint, first, raw_entries, verdict)
    if proof is None:
        return
    shown = check_disclosures(entries, raw_disclosures, first, verdict)
    if None not in entries:
        if shown is not None:
            check_rows(members, raw_entries, entries, shown, first, verdict)
        account(entries, first, verdict)
    if since is not None:
        check_earlier(since, policy, checkpoint, proof.get("since"), verdict)
    verdict.proved = (
        f"{count} entries, positions {first} to {bundle['to'] - 1}, of ledger {quoted(bundle['ledger'])}, "
        f"under {quoted(checkpoint.origin)} at {checkpoint.size} entries"
    )


def read_entries(raw_entries, bundle, verdict):
    """7. None in place of an entry of another version; None for all if there is a finding."""
    entries, sound = [], True
    for position, raw in enumerate(raw_entries, bundle["from"]):
        try:
            entry = read_entry(raw, position, verdict)
            if entry is not None and entry["ledger"] != bundle["ledger"]:
                raise Malformed(f"is of the ledger {quoted(entry['ledger'])}")
            entries.append(entry)
        except Malformed as why:
            verdict.finding(f"the entry at {position} {why}")
            sound = False
    return entries if sound else None


def read_entry(raw, position, verdict):
    entry = parse_entry(raw)
    if entry is None:
        verdict.cannot_tell(f"the entry at {position} is of another version")
    return entry


def check_range(raw, checkpoint, first, raw_entries, verdict):
    """8"""
    try:
        proof = canonical(raw)
    except Malformed as why:
        verdict.finding(f"proof.json {why}")
        return None
    if not is_range_proof(proof):
        verdict.finding("proof.json does not have the members it has to have")
        return None
    hashes = [bytes.fromhex(one) for one in proof["hashes"]]
    leaves = [leaf_hash(raw) for raw in raw_entries]
    if checkpoint.size < first + len(leaves) or range_root(checkpoint.size, first, leaves, hashes) != checkpoint.root:
        verdict.finding("the entries are not those that the root of the checkpoint stands for")
        return None
    return proof


def is_range_proof(proof):
    if not has_members(proof, ["hashes"], ["since"]) or not is_list_of_hashes(proof["hashes"]):
        return False
    if "since" not in proof:
        return True
    since = proof["since"]
    return has_members(since, ["hashes", "size"]) and is_list_of_hashes(since["hashes"]) and is_integer(since["size"])


def is_list_of_hashes(value):
    return isinstance(value, list) and all(is_text(one, HEX_32) for one in value)


def check_disclosures(entries, raw_disclosures, first, verdict):
    """9. What is shown of each entry, or None if there is a finding."""
    shown, sound = [], True
    for position, (entry, raw) in enumerate(zip(entries, raw_disclosures), first):
        if entry is None:
            continue  # nobody knows what an entry of another version commits to
        try:
            shown.append(check_disclosure(entry, canonical(raw)))
        except Malformed as why:
            verdict.finding(f"the disclosure at {position} {why}")
            sound = False
    return shown if sound else None


# Rows (10)

COLUMNS = ["position", "time", "kind", "operation", "table", "assurance", "actor", "keys", "old", "new"]


def check_rows(members, raw_entries, entries, shown, first, verdict):
    json_rows, csv_rows = [], [csv_line(COLUMNS)]
    for position, (raw, entry, values) in enumerate(zip(raw_entries, entries, shown), first):
        objects = {name: shown_object(values, f"/{name}/") for name in ["keys", "old", "new", "tags"]}
        json_rows.append(json_row(position, raw, entry, values, objects) + "\n")
        csv_rows.append(csv_row(position, entry, values, objects))
    for name, rows in {"rows.jsonl": json_rows, "rows.csv": csv_rows}.items():
        if members[name] != "".join(rows).encode("utf-8"):
            verdict.finding(f"{name} is not what the entries and disclosures make")


def shown_object(values, prefix):
    """The attributes with such a path, as JSON in the order of the paths; empty if none is shown."""
    pairs = [
        encode(path.removeprefix(prefix).replace("~1", "/").replace("~0", "~")) + ":" + value
        for path, value in values.items()
        if path.startswith(prefix)
    ]
    return "{" + ",".join(pairs) + "}" if pairs else ""


def json_row(position, raw, entry, values, objects):
    row = {"kind": encode(entry["kind"]), "position": encode(position)}
    row["actor"] = values.get("/actor", "")
    if entry["kind"] in CHANGES:
        row |= objects
        row["reason"] = values.get("/reason", "")
        row |= {name: encode(entry[name]) for name in ["assurance", "operation", "table"]}
        row["time"] = encode(instant(entry["time"]))
    else:
        row["entry"] = raw.decode("utf-8")
        row |= {name: values.get(f"/{name}", "") for name in ["raw", "reason"]}
    return "{" + ",".join(f'"{name}":{row[name]}' for name in sorted(row) if row[name]) + "}"


def csv_row(position, entry, values, objects):
    change = entry["kind"] in CHANGES
    fields = {"position": str(position), "kind": entry["kind"]}
    if "time" in entry:
        fields["time"] = instant(entry["time"])
    if "/actor" in values:
        fields["actor"] = json.loads(values["/actor"])
    if change:
        fields |= objects
        fields |= {name: entry[name] for name in ["operation", "table", "assurance"]}
    return csv_line([fields.get(name, "") for name in COLUMNS])


def csv_line(fields):
    return ",".join('"' + text.replace('"', '""') + '"' for text in fields) + "\r\n"


def instant(milliseconds):
    time = datetime(1970, 1, 1) + timedelta(milliseconds=milliseconds)
    return time.isoformat(timespec="milliseconds") + "Z"


# Records are accounted for (11)


@dataclass
class Shard:
    name: str
    begins: bool  # the bundle begins at position 0
    recorded: int | None = None  # the sequence that was recorded last
    end: int | str | None = None  # what the batch before ended with; None if there was none
    gap: bool = False  # since the batch before
    sequences: list = field(default_factory=list)  # recorded since the batch before
    ended: bool = False
    withheld: dict = field(default_factory=dict)  # event ids of what is not told yet, by sequence


def account(entries, first, verdict):
    shards = {}
    for position, entry in enumerate(entries, first):
        if "shard" not in entry:
            continue
        key = (entry["stream"], entry["shard"])
        if key not in shards:
            name = f"shard {quoted(entry['shard'])} of stream {quoted(entry['stream'])}"
            shards[key] = Shard(name, first == 0)
        account_entry(shards[key], entry, lambda text: verdict.finding(f"the entry at {position}: {text}"))


def account_entry(shard, entry, say):
    if entry["kind"] == "amendment":
        account_amendment(shard, entry, say)
        return
    if shard.ended:
        say(f"{shard.name} was at its end")
    if entry["kind"] == "batch":
        account_batch(shard, entry, say)
    elif entry["kind"] == "gap":
        account_gap(shard, entry, say)
    else:
        sequence = number(entry["sequence"])
        if shard.recorded is not None and sequence <= shard.recorded:
            say(f"{shard.name}: sequence {sequence} is not behind {shard.recorded}")
        shard.recorded = sequence
        shard.sequences.append(sequence)
        if entry["kind"] == "withheld":
            shard.withheld[sequence] = entry["event"]


def account_amendment(shard, amendment, say):
    event = shard.withheld.pop(number(amendment["sequence"]), None)
    if shard.begins and event != amendment["event"]:
        say(f"{shard.name}: an amendment of {amendment['sequence']}, which was not withheld or was told before")


def account_gap(shard, gap, say):
    shard.gap = True
    known = [place for place in (shard.recorded, shard.end) if isinstance(place, int)]
    if "after" in gap and known and number(gap["after"]) != max(known):
        say(f"{shard.name}: a gap after {gap['after']}, but {max(known)} was before it")


def account_batch(shard, batch, say):
    after = batch["after"] if batch["after"] in ("start", "gap") else number(batch["after"])
    check_link(shard, after, say)
    count, at_least = len(shard.sequences), shard.end is None and not shard.begins
    if batch["recorded"] < count or batch["recorded"] > count and not at_least:
        say(f"{shard.name}: {count} entries were recorded, the batch says {batch['recorded']}")
    if batch["recorded"] > batch["read"] or batch["redacted"] > batch["recorded"]:
        say(f"{shard.name}: the batch has more recorded than read, or more redacted than recorded")
    if "first" in batch:
        check_bounds(shard, after, number(batch["first"]), number(batch["last"]), say)
    elif batch["read"] != 0:
        say(f"{shard.name}: the batch does not say from where to where it read")
    shard.end = number(batch["last"]) if "last" in batch else after
    shard.gap, shard.sequences = False, []
    shard.ended = shard.ended or batch["closed"] == "end"


def check_link(shard, after, say):
    if shard.end is None and not shard.begins:
        return  # what was before it is not in the bundle
    end = "start" if shard.end is None else shard.end
    expected = "gap" if shard.gap else end
    if after != expected:
        say(f"{shard.name}: records are missing between {end} and {after} (the batch should begin at {expected})")


def check_bounds(shard, after, first, last, say):
    if first > last or isinstance(after, int) and after >= first:
        say(f"{shard.name}: the batch goes from {first} to {last} behind {after}")
    if any(not first <= sequence <= last for sequence in shard.sequences):
        say(f"{shard.name}: a sequence is not from {first} to {last}, as its batch says")


# An earlier checkpoint (12)


def check_earlier(raw, policy, checkpoint, since, verdict):
    earlier, trusted = check_checkpoint(raw, policy, verdict, "the earlier checkpoint")
    if earlier is None or not trusted:
        return  # a note without a trusted signature says nothing
    if earlier.origin != checkpoint.origin:
        verdict.cannot_tell(f"the earlier checkpoint is of {quoted(earlier.origin)}")
    elif earlier.size > checkpoint.size:
        verdict.finding(f"the earlier checkpoint has {earlier.size} entries, this one {checkpoint.size}")
    elif earlier.size == checkpoint.size:
        if earlier.root != checkpoint.root:
            verdict.finding("the earlier checkpoint has the same size and another root")
    elif earlier.size == 0:
        if earlier.root != EMPTY_ROOT:
            verdict.finding("the earlier checkpoint has no entries and not the root of the empty tree")
    elif since is None or since["size"] != earlier.size:
        verdict.cannot_tell(f"the bundle was not made for an auditor who holds the checkpoint at {earlier.size}")
    else:
        path = [bytes.fromhex(one) for one in since["hashes"]]
        if not is_consistent(earlier.size, earlier.root, checkpoint.size, checkpoint.root, path):
            verdict.finding("the tree of the earlier checkpoint is not the beginning of this one")


# The proof of one entry (C2SP tlog-proof)

ANY_PROOF = b"c2sp.org/tlog-proof@"
PROOF = ANY_PROOF + b"v1\n"


def verify_proof(data, policy, since, verdict):
    if not data.startswith(PROOF):
        raise CannotTell("this is a proof of another version")
    disclosure, raw, index, path, note = read_proof(data)
    checkpoint, _ = check_checkpoint(note, policy, verdict)
    if checkpoint is None:
        return
    try:
        entry = read_entry(raw, index, verdict)
    except Malformed as why:
        raise Tampered(f"the entry {why}") from None
    if not is_included(leaf_hash(raw), index, checkpoint.size, checkpoint.root, path):
        raise Tampered("the entry is not in the tree that the root of the checkpoint stands for")
    if entry is not None:
        try:
            check_disclosure(entry, disclosure)
        except Malformed as why:
            verdict.finding(f"the disclosure {why}")
    if since is not None:
        verdict.cannot_tell("a proof of one entry cannot be held against an earlier checkpoint")
    verdict.proved = f"1 entries, position {index}, under {quoted(checkpoint.origin)} at {checkpoint.size} entries"


def read_proof(data):
    head, separator, note = data.partition(b"\n\n")
    lines = head.split(b"\n")
    if not separator or len(lines) < 3:
        raise Tampered("the file does not have the form of a proof")
    try:
        disclosure, entry = read_extra(after_word(lines[1], b"extra "))
        index = decimal(after_word(lines[2], b"index "))
        path = [unbase64(line) for line in lines[3:]]
    except Malformed as why:
        raise Tampered(f"the proof has a line that {why}") from None
    if any(len(one) != 32 for one in path):
        raise Tampered("the proof has a hash that is not of 32 bytes")
    return disclosure, entry, index, path, note


def after_word(line, word):
    if not line.startswith(word):
        raise Malformed(f"should begin with {word.decode('ascii')!r}")
    return line.removeprefix(word)


def read_extra(text):
    extra = canonical(unbase64(text))
    if not has_members(extra, ["disclosure", "entry"]) or not isinstance(extra["entry"], str):
        raise Malformed("does not hold an entry and its disclosure")
    return extra["disclosure"], extra["entry"].encode("utf-8")


# The command line


def verify(data, policy, since=None):
    verdict = Verdict()
    try:
        if not data:
            raise CannotTell("the file is empty")
        if data.startswith(ANY_PROOF):
            verify_proof(data, policy, since, verdict)
        else:
            verify_bundle(data, policy, since, verdict)
    except Tampered as finding:
        verdict.finding(str(finding))
    except CannotTell as reason:
        verdict.cannot_tell(str(reason))
    return verdict


def read(path):
    try:
        return Path(path).read_bytes()
    except OSError as why:
        raise CannotTell(f"{quoted(str(path))} cannot be read: {why.strerror}") from None


def read_trust(arguments):
    """The policy and the earlier checkpoint, of an auditor who may have mistyped them."""
    what, raw, parse = "key", arguments.key, policy_of_key
    if arguments.policy is not None:
        what, raw, parse = "policy", read(arguments.policy), parse_policy
    try:
        policy = parse(raw)
    except Malformed as why:
        raise CannotTell(f"the {what} {why}") from None
    return policy, None if arguments.since is None else read(arguments.since)


def verify_file(path, arguments):
    try:
        policy, since = read_trust(arguments)
        return verify(read(path), policy, since)
    except CannotTell as reason:
        return Verdict(reasons=[str(reason)])


def verify_folder(folder, arguments):
    files = [Path(one) for one in os.scandir(folder) if one.is_file(follow_symlinks=False)]
    for path in sorted(files, key=lambda one: os.fsencode(one.name)):
        verdict = verify_file(path, arguments)
        first = (verdict.findings + verdict.reasons + [""])[0]
        sys.stdout.buffer.write(b"%s\t%d\t%s\n" % (os.fsencode(path.name), verdict.code, first.encode("utf-8")))


def main():
    parser = argparse.ArgumentParser(description="Verify a bundle or a proof that Weir made.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("file", nargs="?", metavar="FILE", help="a bundle or a .tlog-proof")
    what.add_argument("--batch", metavar="FOLDER", help="verify every regular file of a folder")
    trust = parser.add_mutually_exclusive_group(required=True)
    trust.add_argument("--key", type=os.fsencode, metavar="VKEY", help="the public key of the ledger")
    trust.add_argument("--policy", metavar="POLICY_FILE", help="logs, witnesses and quorum (C2SP tlog-policy)")
    parser.add_argument("--since", metavar="CHECKPOINT_FILE", help="a checkpoint that you held before")
    arguments = parser.parse_args()
    if arguments.batch is not None:
        verify_folder(arguments.batch, arguments)
        return 0
    verdict = verify_file(arguments.file, arguments)
    print("\n".join(verdict.lines()))
    return verdict.code


def crash(kind, value, trace):
    """Python would end with 1, and 1 means tampered."""
    traceback.print_exception(kind, value, trace)
    sys.stdout.flush()
    os._exit(70)


if __name__ == "__main__":
    sys.excepthook = crash
    sys.exit(main())
