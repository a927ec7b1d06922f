#!/usr/bin/env python3
"""Proofbook's second verifier: receipts, entries, exports and whole data folders, with the standard library alone.

It shares no code with the Proofbook binary. Signatures (Ed25519, ML-DSA-44), the Merkle tree, tlog-tiles, signed notes
and Zstandard are implemented here from their specifications: RFC 8032, FIPS 204, RFC 6962, C2SP, RFC 8878. What is
judged and how it is named: docs/formats/verdicts.md. Nothing it reads is executed, trusted or printed raw.

It verifies and does nothing else: it signs nothing, writes nothing, opens no network connection, needs no package.

    proofbook_verify.py proof 7.tlog-proof 7.entry.json --vkey VKEY | --policy FILE
    proofbook_verify.py entry 7.entry.json
    proofbook_verify.py tiles DIR [--vkey VKEY]
    proofbook_verify.py folder DIR [--pin FILE] [--vkey VKEY] [--ledger NAME]

Exit codes: 0 ok, 1 the verifier could not do its work, 2 wrong use, 10 and above: the verdict's.
A folder is read file by file into memory, and what a server writes to it meanwhile may look like damage.
As a module: verify_tiles(), verify_proof(), verify_entry(), verify_folder(), each gives a Report.
"""

import argparse
import base64
import binascii
import hashlib
import json
import os
import re
import stat
import struct
import sys
import zlib
from collections import OrderedDict, namedtuple

# Limits: what is larger is refused before it is read or decoded.
FILE_BYTES_MAX = 1 << 31  # one file of a folder or an export, read whole
SMALL_FILE_BYTES_MAX = 1 << 20  # FORMAT, LEDGER, keys, .seal, tiles, a policy
ENTRY_JSON_BYTES_MAX = 16 << 20  # body and leaf, escaped
NOTE_BYTES_MAX = 65536
SIGNATURES_MAX = 100
PROOF_FILE_BYTES_MAX = 256 << 10
POLICY_BYTES_MAX = 256 << 10
POLICY_ITEMS_MAX = 128
PROOF_HASHES_MAX = 63
LEAF_BYTES_MAX = 65535
BODY_BYTES_MAX = 4 << 20
BLOCK_ENTRIES_MAX = 262144
BUNDLE_BYTES_MAX = 256 * (2 + LEAF_BYTES_MAX)
BODIES_BYTES_MAX = 256 * (4 + BODY_BYTES_MAX)  # one decoded bundle of bodies
SIZE_MAX = (1 << 63) - 1
FINDINGS_MAX = 10000  # a folder that is damaged everywhere need not be listed byte by byte
FILES_MAX = 4000000

ABSENT = 0xFFFFFFFF

# Code, exit code, class: docs/formats/verdicts.md, in its order.
VERDICTS = OrderedDict(
    (code, (exit_code, kind))
    for code, exit_code, kind in (
        ("format-newer", 10, "damage"),
        ("checkpoint-inconsistent", 11, "damage"),
        ("rollback", 12, "damage"),
        ("checkpoint-forged", 13, "damage"),
        ("key-unknown", 14, "damage"),
        ("origin-other", 15, "damage"),
        ("ledger-altered", 16, "damage"),
        ("keys-altered", 17, "damage"),
        ("entry-altered", 20, "damage"),
        ("entry-missing", 21, "damage"),
        ("body-altered", 22, "damage"),
        ("body-missing", 23, "damage"),
        ("tags-altered", 24, "damage"),
        ("tile-altered", 25, "damage"),
        ("manifest-altered", 26, "damage"),
        ("wal-altered", 27, "damage"),
        ("checkpoint-altered", 28, "damage"),
        ("pin-altered", 29, "damage"),
        ("file-altered", 30, "damage"),
        ("file-missing", 31, "damage"),
        ("file-unknown", 32, "damage"),
        ("proof-malformed", 40, "damage"),
        ("proof-wrong", 41, "damage"),
        ("torn-tail", 0, "explained"),
        ("checkpoint-missing", 0, "explained"),
        ("unsigned-tail", 0, "explained"),
        ("unfinished", 0, "explained"),
        ("ok", 0, "ok"),
        ("own-keys", 0, "note"),
        ("no-pin", 0, "note"),
        ("unwitnessed", 0, "note"),
        ("body-withheld", 0, "note"),
        ("lines-unchecked", 0, "note"),
    )
)
_RANK = {code: rank for rank, code in enumerate(VERDICTS)}


class Finding(namedtuple("Finding", "code ledger file bytes entries detail")):
    """One finding. `bytes` and `entries` are half-open ranges or None; `detail` is for people."""

    __slots__ = ()

    def as_json(self):
        return {
            "code": self.code,
            "ledger": self.ledger,
            "file": self.file,
            "bytes": list(self.bytes) if self.bytes else None,
            "entries": list(self.entries) if self.entries else None,
            "detail": self.detail,
        }


class Report:
    """All findings of one verification, in the order they were made."""

    def __init__(self):
        self.findings = []
        self.notes = []
        self.ledgers = []
        self.dropped = 0
        self.unproven = None  # of a proof: the members of the entry JSON that nothing signs
        self.verdict = "ok"

    def add(self, code, file, byte_range=None, entries=None, detail="", ledger=None):
        self.verdict = min(self.verdict, code, key=_RANK.__getitem__)
        if len(self.findings) >= FINDINGS_MAX:
            self.dropped += 1
            return
        self.findings.append(Finding(code, ledger, file, byte_range, entries, detail))

    def note(self, code):
        if code not in self.notes:
            self.notes.append(code)

    @property
    def exit(self):
        return VERDICTS[self.verdict][0]

    def damaged(self):
        return VERDICTS[self.verdict][1] == "damage"

    def as_json(self):
        answer = {
            "verdict": self.verdict,
            "exit": self.exit,
            "findings": [finding.as_json() for finding in self.findings],
            "notes": self.notes,
            "ledgers": self.ledgers,
        }
        if self.dropped:
            answer["dropped"] = self.dropped
        if self.unproven is not None:
            answer["unproven"] = self.unproven
        return answer


class Malformed(Exception):
    """Bytes that are not what their format says."""


class TooLarge(Exception):
    """An input above a named limit: the verifier does not read it."""


def terminal_safe(text):
    """`text` with everything escaped that could steer a terminal or reorder what is shown."""
    out = []
    for char in text:
        code = ord(char)
        bidi = 0x200B <= code <= 0x200F or 0x2028 <= code <= 0x202E or 0x2060 <= code <= 0x206F
        tag = code in (0x061C, 0xFEFF) or 0xD800 <= code <= 0xDFFF or 0xE0000 <= code <= 0xE007F
        if code < 0x20 or 0x7F <= code <= 0x9F or bidi or tag:
            out.append("\\u{%x}" % code)
        else:
            out.append(char)
    return "".join(out)


# Encodings.


def sha256(*parts):
    """SHA-256 of the parts one after the other."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def b64(data):
    return base64.b64encode(data).decode("ascii")


def from_b64(text):
    """RFC 4648 section 4, padded, canonical: one value has one form."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("not base64") from None
    if b64(data) != text:
        raise Malformed("not canonical base64")
    return data


def from_b64_hash(text):
    data = from_b64(text) if len(text) == 44 else b""
    if len(data) != 32:
        raise Malformed("not a hash in base64")
    return data


_DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,18})\Z", re.ASCII)
_HEX64 = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)


def from_decimal(text):
    """A number below 2^63 without leading zeros."""
    if not _DECIMAL.match(text):
        raise Malformed("not a decimal number")
    value = int(text)
    if value > SIZE_MAX:
        raise Malformed("the number is 2^63 or more")
    return value


def from_hex64(text):
    if not _HEX64.match(text):
        raise Malformed("not 64 lower-case hex digits")
    return bytes.fromhex(text)


def strict_json(data, depth_max=64):
    """A JSON value from UTF-8 bytes: no duplicate keys, no NaN, no lone surrogates, bounded depth."""

    def pairs(items):
        result = OrderedDict(items)
        if len(result) != len(items):
            raise Malformed("a key stands twice")
        return result

    def constant(_):
        raise Malformed("not a JSON number")

    def integer(text):
        if text == "-0":
            raise Malformed("zero has no sign")
        return int(text)

    depth = worst = 0
    for token in re.finditer(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', data, re.DOTALL):
        first = data[token.start()]
        if first in b"[{":
            depth += 1
            worst = max(worst, depth)
        elif first in b"]}":
            depth -= 1
    if worst > depth_max:
        raise Malformed("nested too deep")
    try:
        text = data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_int=integer)
    except (ValueError, RecursionError):
        raise Malformed("not JSON") from None
    if "\\u" in text:
        _no_surrogates(value)
    return value


def _no_surrogates(value):
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            try:
                item.encode("utf-8")
            except UnicodeEncodeError:
                raise Malformed("a lone surrogate") from None
        elif isinstance(item, dict):
            stack.extend(item.keys())
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


# Merkle tree, RFC 6962 section 2.1.

EMPTY_ROOT = sha256(b"")


def leaf_hash(entry):
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def verify_inclusion(leaf, index, size, proof, root):
    """RFC 6962 section 2.1.1: whether `proof` leads from the leaf hash at `index` to the root of `size` leaves."""
    if not 0 <= index < size <= SIZE_MAX or len(proof) > PROOF_HASHES_MAX:
        return False
    at, last, value = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            value = node_hash(sibling, value)
            while at & 1 == 0 and at != 0:
                at >>= 1
                last >>= 1
        else:
            value = node_hash(value, sibling)
        at >>= 1
        last >>= 1
    return last == 0 and value == root


def verify_consistency(old, new, proof, old_root, new_root):
    """RFC 6962 section 2.1.2: whether the tree of size `old` is a prefix of that of size `new`."""
    if not 0 <= old <= new <= SIZE_MAX or len(proof) > PROOF_HASHES_MAX:
        return False
    if old == new:
        return not proof and old_root == new_root and (old != 0 or old_root == EMPTY_ROOT)
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    hashes = list(proof)
    if old & (old - 1) == 0:
        hashes.insert(0, old_root)
    if not hashes:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at >>= 1
        last >>= 1
    first = second = hashes[0]
    for value in hashes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            first = node_hash(value, first)
            second = node_hash(value, second)
            while at & 1 == 0 and at != 0:
                at >>= 1
                last >>= 1
        else:
            second = node_hash(second, value)
        at >>= 1
        last >>= 1
    return last == 0 and first == old_root and second == new_root


class Tree:
    """Leaf hashes with all complete subtrees, so that the root of every size reached can be told."""

    def __init__(self):
        self.levels = [[]]

    @property
    def size(self):
        return len(self.levels[0])

    def push(self, leaf):
        levels, level, value = self.levels, 0, leaf
        levels[0].append(value)
        while len(levels[level]) & 1 == 0:
            left = levels[level][-2]
            value = hashlib.sha256(b"\x01" + left + value).digest()
            level += 1
            if level == len(levels):
                levels.append([])
            levels[level].append(value)

    def frontier(self, size):
        """The complete subtrees of the tree of `size`, largest first."""
        hashes, start = [], 0
        for level in range(size.bit_length() - 1, -1, -1):
            if size >> level & 1:
                hashes.append(self.levels[level][start >> level])
                start += 1 << level
        return hashes

    def root(self, size):
        return fold(self.frontier(size))

    def node(self, level, index):
        return self.levels[level][index]


def fold(frontier):
    """The root over complete subtrees, largest first."""
    if not frontier:
        return EMPTY_ROOT
    value = frontier[-1]
    for left in reversed(frontier[:-1]):
        value = node_hash(left, value)
    return value


# tlog-tiles: paths and bundles.


def tile_number(index):
    """`1234067` as `x001/x234/067`."""
    text = "%03d" % (index % 1000)
    index //= 1000
    while index:
        text = "x%03d/%s" % (index % 1000, text)
        index //= 1000
    return text


def tile_path(kind, index, width=256):
    """`kind` is `tile/<level>`, `tile/entries` or `bodies`."""
    partial = ".p/%d" % width if width != 256 else ""
    return "%s/%s%s" % (kind, tile_number(index), partial)


def tiles_of(size):
    """(level, index, width) of each hash tile that a log of `size` has."""
    level = 0
    while size >> (8 * level):
        count = size >> (8 * level)
        for index in range(count >> 8):
            yield level, index, 256
        if count & 255:
            yield level, count >> 8, count & 255
        level += 1


def decode_bundle(data, count):
    """Exactly `count` entries of an entry bundle: `u16be length || entry`."""
    entries, at = [], 0
    for _ in range(count):
        if at + 2 > len(data):
            raise Malformed("the bundle ends too early")
        end = at + 2 + (data[at] << 8 | data[at + 1])
        if end > len(data):
            raise Malformed("the bundle ends inside an entry")
        entries.append(data[at + 2 : end])
        at = end
    if at != len(data):
        raise Malformed("bytes behind the last entry of the bundle")
    return entries


def decode_bodies(data, count):
    """Exactly `count` bodies: `u32be length || body`; None where absent."""
    bodies, at = [], 0
    for _ in range(count):
        if at + 4 > len(data):
            raise Malformed("the bodies end too early")
        length = int.from_bytes(data[at : at + 4], "big")
        at += 4
        if length == ABSENT:
            bodies.append(None)
            continue
        if at + length > len(data):
            raise Malformed("the bodies end inside a body")
        bodies.append(data[at : at + length])
        at += length
    if at != len(data):
        raise Malformed("bytes behind the last body")
    return bodies


# Zstandard, RFC 8878: single frames, no dictionary. A frame is decoded whole or not at all.

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_BLOCK_BYTES_MAX = 1 << 17
_LITERALS_LENGTH = [(i, 0) for i in range(16)] + [
    (16, 1), (18, 1), (20, 1), (22, 1), (24, 2), (28, 2), (32, 3), (40, 3), (48, 4), (64, 6), (128, 7), (256, 8),
    (512, 9), (1024, 10), (2048, 11), (4096, 12), (8192, 13), (16384, 14), (32768, 15), (65536, 16),
]  # fmt: skip
_MATCH_LENGTH = [(i + 3, 0) for i in range(32)] + [
    (35, 1), (37, 1), (39, 1), (41, 1), (43, 2), (47, 2), (51, 3), (59, 3), (67, 4), (83, 4), (99, 5), (131, 7),
    (259, 8), (515, 9), (1027, 10), (2051, 11), (4099, 12), (8195, 13), (16387, 14), (32771, 15), (65539, 16),
]  # fmt: skip
_LITERALS_LENGTH_DEFAULT = [
    4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1,
]  # fmt: skip
_MATCH_LENGTH_DEFAULT = [
    1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
]  # fmt: skip
_OFFSET_DEFAULT = [1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1]


class _Backward:
    """Bits read from the end of `data` to its beginning; the highest set bit of the last byte is the mark."""

    def __init__(self, data):
        if not data or not data[-1]:
            raise Malformed("a bit stream without its mark")
        self.data = data
        self.left = 8 * len(data) - 9 + data[-1].bit_length()

    def read(self, count):
        """`count` bits, at most 32; those beyond the beginning are zero, and `left` falls below zero."""
        if not count:
            return 0
        low = self.left = self.left - count
        if low >= 0:
            first = low >> 3
            return int.from_bytes(self.data[first : first + 5], "little") >> (low & 7) & ((1 << count) - 1)
        if low + count <= 0:
            return 0
        return (int.from_bytes(self.data[:5], "little") & ((1 << (low + count)) - 1)) << -low


def _fse_counts(data, at, end, symbols_max, log_max):
    """RFC 8878 section 4.1.1: (counts, accuracy log, offset behind the table)."""
    stream = int.from_bytes(data[at:end], "little")
    total = 8 * (end - at)
    log = (stream & 15) + 5
    used, counts = 4, []
    if log > log_max or total < 8:
        raise Malformed("the accuracy of a table is out of bounds")
    remaining, threshold, bits = (1 << log) + 1, 1 << log, log + 1
    while remaining > 1 and len(counts) <= symbols_max:
        most = 2 * threshold - 1 - remaining
        value = stream >> used & (2 * threshold - 1)
        if value & (threshold - 1) < most:
            value &= threshold - 1
            used += bits - 1
        else:
            if value >= threshold:
                value -= most
            used += bits
        count = value - 1
        counts.append(count)
        remaining -= abs(count)
        if count == 0:
            repeat = 3
            while repeat == 3:
                repeat = stream >> used & 3
                used += 2
                counts.extend([0] * repeat)
                if len(counts) > symbols_max + 1 or used > total + 32:
                    raise Malformed("a table has too many symbols")
        if remaining < threshold and remaining > 1:
            bits = remaining.bit_length()
            threshold = 1 << (bits - 1)
    if remaining != 1 or len(counts) > symbols_max + 1 or used > total:
        raise Malformed("the counts of a table do not add up")
    return counts, log, at + (used + 7) // 8


def _fse_table(counts, log):
    """RFC 8878 section 4.1.1: (symbol, bits to read, base of the next state) a state."""
    size = 1 << log
    symbols, high = [0] * size, size
    for symbol, count in enumerate(counts):
        if count == -1:
            high -= 1
            symbols[high] = symbol
    place, step, mask = 0, (size >> 1) + (size >> 3) + 3, size - 1
    for symbol, count in enumerate(counts):
        for _ in range(count):
            symbols[place] = symbol
            place = (place + step) & mask
            while place >= high:
                place = (place + step) & mask
    if place:
        raise Malformed("the counts of a table do not fill it")
    following = [1 if count == -1 else count for count in counts]
    table = []
    for symbol in symbols:
        state = following[symbol]
        following[symbol] += 1
        bits = log - state.bit_length() + 1
        table.append((symbol, bits, (state << bits) - size))
    return table


def _huffman_table(data, at, end):
    """RFC 8878 section 4.2.1: (table of (symbol, bits), longest code, offset behind the tree)."""
    if at >= end:
        raise Malformed("no Huffman tree")
    head = data[at]
    at += 1
    if head >= 128:
        count = head - 127
        stop = at + (count + 1) // 2
        if stop > end:
            raise Malformed("a Huffman tree is cut")
        weights = []
        for byte in data[at:stop]:
            weights += (byte >> 4, byte & 15)
        weights = weights[:count]
    else:
        stop = at + head
        if stop > end:
            raise Malformed("a Huffman tree is cut")
        counts, log, at = _fse_counts(data, at, stop, 255, 6)
        weights = _fse_weights(_fse_table(counts, log), log, data[at:stop])
    if any(weight > 12 for weight in weights):
        raise Malformed("a Huffman weight is out of bounds")
    total = sum(1 << weight >> 1 for weight in weights)
    longest = total.bit_length()
    rest = (1 << longest) - total
    if not total or longest > 12 or rest & (rest - 1):
        raise Malformed("the Huffman weights do not add up")
    weights.append(rest.bit_length())
    ones = weights.count(1)
    if ones < 2 or ones & 1:
        raise Malformed("the Huffman weights do not add up")
    table = []
    for weight in range(1, longest + 1):
        for symbol, of_symbol in enumerate(weights):
            if of_symbol == weight:
                table += [(symbol, longest + 1 - weight)] * (1 << weight >> 1)
    return table, longest, stop


def _fse_weights(table, log, data):
    """RFC 8878 section 4.2.1.2: two states take turns until the stream is used up."""
    stream = _Backward(data)
    states = [stream.read(log), stream.read(log)]
    if stream.left < 0:
        raise Malformed("a Huffman tree is cut")
    weights = []
    while True:
        for turn in (0, 1):
            if len(weights) > 253:
                raise Malformed("a Huffman tree has too many symbols")
            symbol, bits, base = table[states[turn]]
            weights.append(symbol)
            states[turn] = base + stream.read(bits)
            if stream.left < 0:
                weights.append(table[states[1 - turn]][0])
                return weights


def _huffman_stream(table, longest, data, count):
    """`count` literals of one stream, which must be used up by them."""
    left = _Backward(data).left
    out, mask = bytearray(), (1 << longest) - 1
    while len(out) < count:
        # A window of the stream as one number: as a whole it would be copied for every literal.
        base = max(0, left - 2048) >> 3
        value = int.from_bytes(data[base : (left + 7) >> 3], "little")
        have = left - 8 * base
        while len(out) < count and (have >= longest or not base):
            peek = value >> (have - longest) if have >= longest else value << (longest - have)
            symbol, bits = table[peek & mask]
            out.append(symbol)
            have -= bits
            if have < 0:
                raise Malformed("a Huffman stream is cut")
        left = 8 * base + have
    if left:
        raise Malformed("a Huffman stream goes on behind its last literal")
    return out


class _Zstd:
    """The state of one frame: what has been decoded, and the tables that blocks may repeat."""

    def __init__(self, block_bytes_max, size):
        self.out, self.size, self.block_bytes_max = bytearray(), size, block_bytes_max
        self.huffman = None
        self.tables = [None, None, None]
        self.offsets = [1, 4, 8]

    def block(self, data, at, end):
        if end - at > self.block_bytes_max:
            raise Malformed("a block is too large")
        literals, at = self.literals(data, at, end)
        if at >= end:
            raise Malformed("a block without sequences")
        count, at = data[at], at + 1
        if count == 0:
            if at != end:
                raise Malformed("bytes behind the sequences")
            self.append(literals)
            return
        extra = 2 if count == 255 else 1 if count > 127 else 0
        if at + extra > end:
            raise Malformed("the number of sequences is cut")
        if count == 255:
            count = int.from_bytes(data[at : at + 2], "little") + 0x7F00
        elif count > 127:
            count = ((count - 128) << 8) + data[at]
        at += extra
        self.sequences(literals, count, data, at, end)

    def append(self, piece):
        if len(self.out) + len(piece) > self.size:
            raise Malformed("the frame holds more than it says")
        self.out += piece

    def literals(self, data, at, end):
        """RFC 8878 section 3.1.1.3.1: (literals, offset behind them)."""
        if end - at < 2:
            raise Malformed("a block without literals")
        kind, form = data[at] & 3, data[at] >> 2 & 3
        room = min(self.block_bytes_max, self.size - len(self.out))
        if kind < 2:
            head, shift = ((1, 3), (2, 4), (1, 3), (3, 4))[form]
            count = int.from_bytes(data[at : at + head], "little") >> shift
            at += head
            stored = 1 if kind else count
            if at + stored > end or count > room:
                raise Malformed("literals beyond their block")
            piece = data[at : at + stored]
            return (piece * count if kind else piece), at + stored
        head, width = ((3, 10), (3, 10), (4, 14), (5, 18))[form]
        if end - at < 5:
            raise Malformed("the literals are cut")
        value = int.from_bytes(data[at : at + head], "little") >> 4
        count, stored = value & ((1 << width) - 1), value >> width
        at += head
        stop = at + stored
        if stop > end or count > room or (form and count < 6):
            raise Malformed("literals beyond their block")
        if kind == 2:
            table, longest, at = _huffman_table(data, at, stop)
            self.huffman = table, longest
        if self.huffman is None:
            raise Malformed("no Huffman tree to repeat")
        table, longest = self.huffman
        if not form:
            return _huffman_stream(table, longest, data[at:stop], count), stop
        if stop - at < 10:
            raise Malformed("the four streams are cut")
        sizes = struct.unpack_from("<HHH", data, at)
        at += 6
        segment = (count + 3) // 4
        if at + sum(sizes) > stop or 3 * segment > count:
            raise Malformed("the four streams are cut")
        out = bytearray()
        for size in sizes:
            out += _huffman_stream(table, longest, data[at : at + size], segment)
            at += size
        return out + _huffman_stream(table, longest, data[at:stop], count - 3 * segment), stop

    def sequences(self, literals, count, data, at, end):
        """RFC 8878 section 3.1.1.3.2."""
        if at >= end or data[at] & 3:
            raise Malformed("the modes of the sequences are not legal")
        modes, at = data[at], at + 1
        kinds = (
            (6, _LITERALS_LENGTH_DEFAULT, 6, 35, 9),
            (4, _OFFSET_DEFAULT, 5, 31, 8),
            (2, _MATCH_LENGTH_DEFAULT, 6, 52, 9),
        )
        for place, (shift, default, default_log, symbols_max, log_max) in enumerate(kinds):
            mode = modes >> shift & 3
            if mode == 0:
                self.tables[place] = _fse_table(default, default_log), default_log
            elif mode == 1:
                if at >= end or data[at] > symbols_max:
                    raise Malformed("a symbol is out of bounds")
                self.tables[place] = [(data[at], 0, 0)], 0
                at += 1
            elif mode == 2:
                counts, log, at = _fse_counts(data, at, end, symbols_max, log_max)
                self.tables[place] = _fse_table(counts, log), log
            elif self.tables[place] is None:
                raise Malformed("no table to repeat")
        self.execute(literals, count, _Backward(data[at:end]))

    def execute(self, literals, count, stream):
        (lengths, a), (offsets, b), (matches, c) = self.tables
        read = stream.read
        length_at, offset_at, match_at = read(a), read(b), read(c)
        out, used, size = self.out, 0, self.size
        for left in range(count - 1, -1, -1):
            length_code, length_bits, length_next = lengths[length_at]
            offset_code, offset_bits, offset_next = offsets[offset_at]
            match_code, match_bits, match_next = matches[match_at]
            value = (1 << offset_code) + read(offset_code)
            base, bits = _MATCH_LENGTH[match_code]
            match = base + read(bits)
            base, bits = _LITERALS_LENGTH[length_code]
            length = base + read(bits)
            offset = self.offset(value, length)
            if left:
                length_at = length_next + read(length_bits)
                match_at = match_next + read(match_bits)
                offset_at = offset_next + read(offset_bits)
            if used + length > len(literals) or len(out) + length + match > size:
                raise Malformed("a sequence beyond its block")
            out += literals[used : used + length]
            used += length
            start = len(out) - offset
            if offset < 1 or start < 0:
                raise Malformed("a match before the beginning")
            if offset >= match:
                out += out[start : start + match]
            else:
                piece = bytes(out[start:])
                out += (piece * (match // offset + 1))[:match]
        if stream.left:
            raise Malformed("the sequences do not use up their bits")
        self.append(literals[used:])

    def offset(self, value, length):
        """RFC 8878 section 3.1.1.5: 1 to 3 name one of the last offsets."""
        last = self.offsets
        if value > 3:
            self.offsets = [value - 3, last[0], last[1]]
            return value - 3
        place = value - 1 if length else value
        offset = last[0] - 1 if place == 3 else last[place]
        if place:
            self.offsets = [offset, last[0], last[2] if place == 1 else last[1]]
        return offset


def zstd_decode(frame, bytes_max):
    """What exactly one frame holds that uses all of `frame`, and tells its length."""
    if frame[:4] != _ZSTD_MAGIC or len(frame) < 6:
        raise Malformed("not a frame")
    head, at = frame[4], 5
    single, checksum = head >> 5 & 1, head >> 2 & 1
    size_bytes = (1 if single else 0, 2, 4, 8)[head >> 6]
    id_bytes = (0, 1, 2, 4)[head & 3]
    if head & 8 or not size_bytes or at + (not single) + id_bytes + size_bytes > len(frame):
        raise Malformed("a frame header that is not legal, or does not tell the length")
    window = None
    if not single:
        if frame[at] >> 3 > 21:
            raise Malformed("the window is too large")
        window = (1 << (10 + (frame[at] >> 3))) // 8 * (8 + (frame[at] & 7))
        at += 1
    if any(frame[at : at + id_bytes]):
        raise Malformed("a dictionary is asked for")
    at += id_bytes
    size = int.from_bytes(frame[at : at + size_bytes], "little") + (256 if size_bytes == 2 else 0)
    at += size_bytes
    if size > bytes_max:
        raise Malformed("the frame claims more than it may hold")
    state = _Zstd(min(size if window is None else window, _BLOCK_BYTES_MAX), size)
    last = 0
    while not last:
        if at + 3 > len(frame):
            raise Malformed("the frame is cut")
        value = int.from_bytes(frame[at : at + 3], "little")
        last, kind, length = value & 1, value >> 1 & 3, value >> 3
        at += 3
        stored = 1 if kind == 1 else length
        if kind == 3 or at + stored > len(frame):
            raise Malformed("a block that is not legal, or is cut")
        if kind == 2:
            state.block(frame, at, at + stored)
        elif kind == 0:
            state.append(frame[at : at + stored])
        elif len(state.out) + length > size:
            raise Malformed("the frame holds more than it says")
        else:
            state.out += frame[at : at + 1] * length
        at += stored
    if len(state.out) != size:
        raise Malformed("the frame holds less than it says")
    if checksum:
        if frame[at : at + 4] != struct.pack("<I", _xxh64(bytes(state.out)) & 0xFFFFFFFF):
            raise Malformed("the frame fails its checksum")
        at += 4
    if at != len(frame):
        raise Malformed("bytes behind the frame")
    return bytes(state.out)


_M64 = (1 << 64) - 1
_XX1, _XX2, _XX3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_XX4, _XX5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def _rotate(value, bits):
    return (value << bits | value >> (64 - bits)) & _M64


def _xx_round(state, lane):
    return _rotate((state + lane * _XX2) & _M64, 31) * _XX1 & _M64


def _xxh64(data):
    """XXH64 with seed 0, as a frame's checksum is made."""
    at, length = 0, len(data)
    if length >= 32:
        state = [(_XX1 + _XX2) & _M64, _XX2, 0, -_XX1 & _M64]
        while at + 32 <= length:
            state = [_xx_round(value, lane) for value, lane in zip(state, struct.unpack_from("<4Q", data, at))]
            at += 32
        value = sum(_rotate(part, bits) for part, bits in zip(state, (1, 7, 12, 18))) & _M64
        for part in state:
            value = ((value ^ _xx_round(0, part)) * _XX1 + _XX4) & _M64
    else:
        value = _XX5
    value = (value + length) & _M64
    while at + 8 <= length:
        value = (_rotate(value ^ _xx_round(0, struct.unpack_from("<Q", data, at)[0]), 27) * _XX1 + _XX4) & _M64
        at += 8
    if at + 4 <= length:
        value = (_rotate(value ^ struct.unpack_from("<I", data, at)[0] * _XX1 & _M64, 23) * _XX2 + _XX3) & _M64
        at += 4
    for byte in data[at:]:
        value = _rotate(value ^ byte * _XX5 & _M64, 11) * _XX1 & _M64
    for shift, prime in ((33, _XX2), (29, _XX3), (32, 1)):
        value = (value ^ value >> shift) * prime & _M64
    return value


# Ed25519, RFC 8032 section 5.1, strict: canonical encodings, S below L, no point of small order, no cofactor.

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_D2 = 2 * _D % _P
_SQRT_M1 = pow(2, (_P - 1) // 4, _P)
_IDENTITY = (0, 1, 1, 0)


def _point_add(a, b):
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    p = (y1 - x1) * (y2 - x2) % _P
    q = (y1 + x1) * (y2 + x2) % _P
    c = t1 * _D2 % _P * t2 % _P
    d = 2 * z1 * z2 % _P
    e, f, g, h = q - p, d - c, d + c, q + p
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _point_double(a):
    x1, y1, z1, _ = a
    xx = x1 * x1 % _P
    yy = y1 * y1 % _P
    h = xx + yy
    e = h - (x1 + y1) * (x1 + y1) % _P
    g = xx - yy
    f = 2 * z1 * z1 % _P + g
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _decompress(data):
    """The point of a canonical encoding, or None."""
    y = int.from_bytes(data, "little")
    sign = y >> 255
    y &= (1 << 255) - 1
    if y >= _P:
        return None
    yy = y * y % _P
    u, v = (yy - 1) % _P, (_D * yy + 1) % _P
    x = u * pow(v, 3, _P) % _P * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    check = v * x * x % _P
    if check == _P - u or (u == 0 and check == 0):
        x = x * _SQRT_M1 % _P if u else 0
    elif check != u:
        return None
    if x == 0 and sign:
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _compress(point):
    x, y, z, _ = point
    inverse = pow(z, _P - 2, _P)
    x, y = x * inverse % _P, y * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _small_order(point):
    for _ in range(3):
        point = _point_double(point)
    return point[0] == 0 and point[1] == point[2]


def _nibble_table(point):
    table = [_IDENTITY, point]
    for _ in range(14):
        table.append(_point_add(table[-1], point))
    return table


_BASE = _decompress(bytes.fromhex("58" + "66" * 31))
_BASE_TABLE = _nibble_table(_BASE)
_KEY_TABLES = OrderedDict()


def _ed25519_key(key):
    """Table of multiples of minus the key's point; None for a key that is no key."""
    if key not in _KEY_TABLES:
        point = _decompress(key) if len(key) == 32 else None
        table = None
        if point is not None and not _small_order(point):
            x, y, z, t = point
            table = _nibble_table((_P - x, y, z, _P - t))
        if len(_KEY_TABLES) >= 256:
            _KEY_TABLES.popitem(last=False)
        _KEY_TABLES[key] = table
    return _KEY_TABLES[key]


def ed25519_verify(key, message, signature):
    """Whether `signature` over `message` is by `key`."""
    table = _ed25519_key(key)
    if table is None or len(signature) != 64:
        return False
    r_bytes, s = signature[:32], int.from_bytes(signature[32:], "little")
    if s >= _L:
        return False
    r_point = _decompress(r_bytes)
    if r_point is None or _small_order(r_point):
        return False
    k = int.from_bytes(hashlib.sha512(r_bytes + key + message).digest(), "little") % _L
    point = _IDENTITY
    for shift in range(252, -1, -4):
        if shift != 252:
            point = _point_double(_point_double(_point_double(_point_double(point))))
        nibble = s >> shift & 15
        if nibble:
            point = _point_add(point, _BASE_TABLE[nibble])
        nibble = k >> shift & 15
        if nibble:
            point = _point_add(point, table[nibble])
    return _compress(point) == r_bytes


# ML-DSA-44, FIPS 204: verification, pure, empty context.

_Q = 8380417
_GAMMA1 = 1 << 17
_GAMMA2 = (_Q - 1) // 88
_BETA = 78
_OMEGA = 80
_TAU = 39
ML_DSA_KEY_BYTES = 1312
ML_DSA_SIGNATURE_BYTES = 2420


def _zetas():
    values = []
    for index in range(256):
        reverse = int("{:08b}".format(index)[::-1], 2)
        values.append(pow(1753, reverse, _Q))
    return values


_ZETAS = _zetas()
_INV256 = pow(256, _Q - 2, _Q)


def _ntt(poly):
    """FIPS 204 algorithm 41."""
    w, k, length = list(poly), 0, 128
    while length >= 1:
        for start in range(0, 256, 2 * length):
            k += 1
            zeta = _ZETAS[k]
            for j in range(start, start + length):
                t = zeta * w[j + length] % _Q
                w[j + length] = w[j] - t
                w[j] = w[j] + t
        length >>= 1
    return [value % _Q for value in w]


def _ntt_inverse(poly):
    """FIPS 204 algorithm 42."""
    w, k, length = list(poly), 256, 1
    while length < 256:
        for start in range(0, 256, 2 * length):
            k -= 1
            zeta = _Q - _ZETAS[k]
            for j in range(start, start + length):
                t = w[j]
                w[j] = t + w[j + length]
                w[j + length] = zeta * (t - w[j + length]) % _Q
        length <<= 1
    return [value * _INV256 % _Q for value in w]


def _rej_ntt_poly(seed):
    """FIPS 204 algorithm 30."""
    wanted = 840
    while True:
        stream = hashlib.shake_128(seed).digest(wanted)
        poly = []
        for at in range(0, wanted, 3):
            value = stream[at] | stream[at + 1] << 8 | (stream[at + 2] & 127) << 16
            if value < _Q:
                poly.append(value)
                if len(poly) == 256:
                    return poly
        wanted *= 2


def _bits(data, width, count):
    number, mask = int.from_bytes(data, "little"), (1 << width) - 1
    values = []
    # Eight values at a time: shifting the whole number for each value would take quadratic time.
    step = width * 8
    for group in range(0, count, 8):
        part = int.from_bytes(data[group // 8 * width : (group // 8 + 1) * width], "little")
        values.extend(part >> shift & mask for shift in range(0, step, width))
    assert count % 8 == 0 and number.bit_length() <= width * count
    return values


_ML_DSA_KEYS = OrderedDict()


def _ml_dsa_key(key):
    """(tr, A in NTT form, t1 * 2^13 in NTT form)"""
    if key not in _ML_DSA_KEYS:
        rho = key[:32]
        matrix = [[_rej_ntt_poly(rho + bytes((s, r))) for s in range(4)] for r in range(4)]
        t1 = []
        for row in range(4):
            part = key[32 + 320 * row : 352 + 320 * row]
            t1.append(_ntt([value << 13 for value in _bits(part, 10, 256)]))
        if len(_ML_DSA_KEYS) >= 64:
            _ML_DSA_KEYS.popitem(last=False)
        _ML_DSA_KEYS[key] = (hashlib.shake_256(key).digest(64), matrix, t1)
    return _ML_DSA_KEYS[key]


def _hint_decode(data):
    """FIPS 204 algorithm 21; None where malformed."""
    rows, at = [], 0
    for row in range(4):
        end = data[_OMEGA + row]
        if end < at or end > _OMEGA:
            return None
        places = data[at:end]
        if any(a >= b for a, b in zip(places, places[1:])):
            return None
        rows.append(set(places))
        at = end
    return rows if not any(data[at:_OMEGA]) else None


def _sample_in_ball(seed):
    """FIPS 204 algorithm 29."""
    wanted = 272
    while True:
        stream = hashlib.shake_256(seed).digest(wanted)
        signs, at, poly = int.from_bytes(stream[:8], "little"), 8, [0] * 256
        for i in range(256 - _TAU, 256):
            while at < wanted and stream[at] > i:
                at += 1
            if at == wanted:
                break
            j = stream[at]
            at += 1
            poly[i] = poly[j]
            poly[j] = 1 - 2 * (signs >> (i + _TAU - 256) & 1)
        else:
            return poly
        wanted *= 2


def _use_hint(hinted, value):
    """FIPS 204 algorithm 40, gamma2 = (q - 1) / 88."""
    low = value % (2 * _GAMMA2)
    if low > _GAMMA2:
        low -= 2 * _GAMMA2
    if value - low == _Q - 1:
        high, low = 0, low - 1
    else:
        high = (value - low) // (2 * _GAMMA2)
    if not hinted:
        return high
    return (high + 1) % 44 if low > 0 else (high - 1) % 44


def ml_dsa_44_verify(key, message, signature):
    """FIPS 204 algorithms 3 and 8 with an empty context."""
    if len(key) != ML_DSA_KEY_BYTES or len(signature) != ML_DSA_SIGNATURE_BYTES:
        return False
    commitment = signature[:32]
    hints = _hint_decode(signature[32 + 4 * 576 :])
    if hints is None:
        return False
    z = []
    for row in range(4):
        part = signature[32 + 576 * row : 608 + 576 * row]
        poly = [_GAMMA1 - value for value in _bits(part, 18, 256)]
        if max(poly) >= _GAMMA1 - _BETA or min(poly) <= _BETA - _GAMMA1:
            return False
        z.append(_ntt(poly))
    tr, matrix, t1 = _ml_dsa_key(key)
    mu = hashlib.shake_256(tr + b"\x00\x00" + message).digest(64)
    challenge = _ntt(_sample_in_ball(commitment))
    encoded = bytearray()
    for row in range(4):
        a0, a1, a2, a3 = matrix[row]
        product = [
            b0 * y0 + b1 * y1 + b2 * y2 + b3 * y3 - c * t
            for b0, b1, b2, b3, y0, y1, y2, y3, c, t in zip(a0, a1, a2, a3, z[0], z[1], z[2], z[3], challenge, t1[row])
        ]
        hinted = hints[row]
        high = [_use_hint(i in hinted, value) for i, value in enumerate(_ntt_inverse(product))]
        for at in range(0, 256, 4):
            packed = high[at] | high[at + 1] << 6 | high[at + 2] << 12 | high[at + 3] << 18
            encoded += packed.to_bytes(3, "little")
    return hashlib.shake_256(mu + bytes(encoded)).digest(32) == commitment


# Results of signature checks by (kind, key, message digest, signature): tamper loops ask for the same again and again.
_VERIFIED = OrderedDict()
_VERIFIED_MAX = 65536


def _verified(verify, key, message, signature):
    asked = (verify, key, hashlib.sha256(message).digest(), signature)
    if asked not in _VERIFIED:
        if len(_VERIFIED) >= _VERIFIED_MAX:
            _VERIFIED.popitem(last=False)
        _VERIFIED[asked] = verify(key, message, signature)
    return _VERIFIED[asked]


# C2SP signed-note, tlog-checkpoint, tlog-cosignature.

ED25519, COSIGNATURE_ED25519, COSIGNATURE_ML_DSA = 1, 4, 6
Vkey = namedtuple("Vkey", "name key_id kind key")
Note = namedtuple("Note", "text signatures")
Checkpoint = namedtuple("Checkpoint", "origin size root")


class BadSignature(Exception):
    """A line of a known key that does not verify."""


class NoKnownKey(Exception):
    """No line by a key that was given."""


def valid_name(name):
    return bool(name) and not any(char.isspace() or char == "+" or char < " " for char in name)


def parse_vkey(text):
    """`name+hex id+base64 key`, split on the first two `+` only."""
    parts = text.split("+", 2) if len(text) <= 8192 else []
    if len(parts) != 3 or not valid_name(parts[0]) or not re.match(r"[0-9a-f]{8}\Z", parts[1], re.ASCII):
        raise Malformed("not a vkey")
    name, key_id, data = parts[0], bytes.fromhex(parts[1]), from_b64(parts[2])
    if len(data) < 2:
        raise Malformed("the vkey has no key")
    kind, key = data[0], data[1:]
    if kind in (ED25519, COSIGNATURE_ED25519):
        good = _ed25519_key(key) is not None
    elif kind == COSIGNATURE_ML_DSA:
        good = len(key) == ML_DSA_KEY_BYTES
    else:
        return Vkey(name, key_id, kind, key)
    if not good:
        raise Malformed("the vkey's key is no key of its type")
    if sha256(name.encode(), b"\n", bytes((kind,)), key)[:4] != key_id:
        raise Malformed("the vkey's id does not belong to its name and key")
    return Vkey(name, key_id, kind, key)


def given_keys(texts):
    """Keys as somebody typed them: one that cannot be verified here would answer another question than was asked."""
    keys = [parse_vkey(text) for text in texts]
    if any(key.kind not in (ED25519, COSIGNATURE_ED25519, COSIGNATURE_ML_DSA) for key in keys):
        raise Malformed("a vkey of a type that cannot be verified here")
    return keys


def parse_note(data):
    """A signed note: its text, and (name, key id, payload) of each line."""
    if len(data) > NOTE_BYTES_MAX:
        raise Malformed("the note is too large")
    try:
        note = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("the note is not UTF-8") from None
    if any(char < " " and char != "\n" for char in note):
        raise Malformed("a control character in the note")
    split = note.rfind("\n\n")
    if split < 0 or not note.endswith("\n") or len(note) < split + 4:
        raise Malformed("the note has no signature lines")
    lines = note[split + 2 : -1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise Malformed("too many signature lines")
    signatures = []
    for line in lines:
        fields = line.split(" ")
        if len(fields) != 3 or fields[0] != "\u2014" or not valid_name(fields[1]):
            raise Malformed("not a signature line")
        payload = from_b64(fields[2])
        if len(payload) < 5:
            raise Malformed("the signature is too short")
        signatures.append((fields[1], payload[:4], payload[4:]))
    return Note(note[: split + 1], signatures)


def parse_checkpoint(text):
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() != "" or not valid_name(lines[0]) or "" in lines[3:]:
        raise Malformed("not a checkpoint")
    return Checkpoint(lines[0], from_decimal(lines[1]), from_b64_hash(lines[2]))


def _verify_line(vkey, text, payload):
    message = text.encode()
    if vkey.kind == ED25519:
        return _verified(ed25519_verify, vkey.key, message, payload)
    if vkey.kind not in (COSIGNATURE_ED25519, COSIGNATURE_ML_DSA) or len(payload) < 8:
        return False
    seconds = int.from_bytes(payload[:8], "big")
    try:
        checkpoint = parse_checkpoint(text)
    except Malformed:
        return False
    if seconds > SIZE_MAX:
        return False
    if vkey.kind == COSIGNATURE_ED25519:
        message = b"cosignature/v1\ntime %d\n" % seconds + message
        return _verified(ed25519_verify, vkey.key, message, payload[8:])
    name, origin = vkey.name.encode(), checkpoint.origin.encode()
    if len(name) > 255 or len(origin) > 255:
        return False
    message = b"".join(
        (
            b"subtree/v1\n\0",
            bytes((len(name),)) + name,
            payload[:8],
            bytes((len(origin),)) + origin,
            struct.pack(">QQ", 0, checkpoint.size),
            checkpoint.root,
        )
    )
    return _verified(ml_dsa_44_verify, vkey.key, message, payload[8:])


def verify_note(note, vkeys):
    """The keys that signed. A line by name and id of a known key that fails rejects the whole note."""
    signers = []
    for name, key_id, payload in note.signatures:
        known = [key for key in vkeys if (key.name, key.key_id) == (name, key_id) and key.kind in (1, 4, 6)]
        good = [key for key in known if _verify_line(key, note.text, payload)]
        if known and not good:
            raise BadSignature("the line of %s fails under its key" % name)
        signers.extend(key for key in good if key not in signers)
    if not signers:
        raise NoKnownKey("no line is by a key that was given")
    return signers


class Policy:
    """tlog-policy: which logs are believed, and which witnesses must have cosigned."""

    def __init__(self, logs, witnesses=(), groups=(), quorum=None):
        self.logs, self.witnesses, self.groups, self.quorum = list(logs), dict(witnesses), dict(groups), quorum

    @classmethod
    def parse(cls, data):
        if len(data) > POLICY_BYTES_MAX:
            raise Malformed("the policy is too large")
        if data and not data.endswith(b"\n"):
            raise Malformed("the last line of the policy does not end in LF")
        policy, quorum, grouped = cls([]), None, set()
        for number, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), 1):
            fields = [field for field in re.split("[ \t]", line) if field]
            if not fields or fields[0].startswith("#"):
                continue
            try:
                if any(ord(char) < 32 and char != "\t" or ord(char) == 127 for char in line):
                    raise Malformed("a control character")
                word, count = fields[0], len(fields)
                if word == "log" and count in (2, 3):
                    policy._log(fields[1])
                elif word == "witness" and count in (3, 4):
                    policy._witness(fields[1], fields[2])
                elif word == "group" and count >= 4:
                    policy._group(fields[1], fields[2], fields[3:], grouped)
                elif word == "quorum" and count == 2 and quorum is None:
                    quorum = fields[1]
                    if quorum != "none" and not policy._has(quorum):
                        raise Malformed("the quorum names nothing")
                else:
                    raise Malformed("not a log, witness, group or quorum line")
            except Malformed as why:
                raise Malformed("policy, line %d: %s" % (number, why)) from None
        if quorum is None:
            raise Malformed("the policy has no quorum line")
        policy.quorum = None if quorum == "none" else quorum
        return policy

    def _has(self, name):
        return name in self.witnesses or name in self.groups

    def _vkey(self, text, kinds, count):
        vkey = parse_vkey(text)
        if vkey.kind not in kinds or count >= POLICY_ITEMS_MAX:
            raise Malformed("a key of the wrong type, or too many")
        if any(vkey.key == other.key for other in self.logs + list(self.witnesses.values())):
            raise Malformed("a key stands twice")
        return vkey

    def _define(self, name):
        if name == "none" or self._has(name):
            raise Malformed("the name is taken")

    def _log(self, text):
        self.logs.append(self._vkey(text, (ED25519, COSIGNATURE_ML_DSA), len(self.logs)))

    def _witness(self, name, text):
        self._define(name)
        self.witnesses[name] = self._vkey(text, (COSIGNATURE_ED25519, COSIGNATURE_ML_DSA), len(self.witnesses))

    def _group(self, name, threshold, members, grouped):
        self._define(name)
        number = {"any": "1", "all": str(len(members))}.get(threshold, threshold)
        if not 1 <= from_decimal(number) <= len(members) or len(self.groups) >= POLICY_ITEMS_MAX:
            raise Malformed("the threshold does not fit, or too many groups")
        for member in members:
            if not self._has(member) or member in grouped:
                raise Malformed("a member is unknown or stands twice")
            grouped.add(member)
        self.groups[name] = (int(number), members)

    def quorum_holds(self, signers):
        holds = {name: key in signers for name, key in self.witnesses.items()}
        for name, (threshold, members) in self.groups.items():
            holds[name] = sum(holds[member] for member in members) >= threshold
        return self.quorum is None or holds[self.quorum]


def _note_unchecked(report, note, keys):
    """Says so where a line of the note was checked by nobody."""
    known = {(key.name, key.key_id) for key in keys if key.kind in (ED25519, COSIGNATURE_ED25519, COSIGNATURE_ML_DSA)}
    if any((name, key_id) not in known for name, key_id, _ in note.signatures):
        report.note("lines-unchecked")


def _signers(report, file, note, checkpoint, keys, listed=()):
    """The keys that signed a checkpoint, all of `listed` among them; None with a finding."""
    try:
        signers = verify_note(note, keys)
        if not any(key.name == checkpoint.origin and key.kind in (ED25519, COSIGNATURE_ML_DSA) for key in signers):
            raise NoKnownKey("no key of the checkpoint's origin has signed")
        if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
            report.add("checkpoint-inconsistent", file, detail="size 0 with a root that is not the empty one")
            return None
        # A log signs with each of its keys: whoever spoils the name or id of a line takes a signature away.
        if not all(key in signers for key in listed):
            raise NoKnownKey("no line is by a key that `keys` lists for this size")
    except BadSignature as why:
        report.add("checkpoint-forged", file, detail=str(why))
        return None
    except NoKnownKey as why:
        report.add("key-unknown", file, detail=str(why))
        return None
    _note_unchecked(report, note, keys)
    return signers


def _judge_checkpoint(report, data, policy):
    """The checkpoint of a proof by a policy, or None with a finding."""
    try:
        note = parse_note(data)
        checkpoint = parse_checkpoint(note.text)
    except Malformed as why:
        report.add("proof-malformed", None, detail=str(why))
        return None
    signers = _signers(report, None, note, checkpoint, policy.logs + list(policy.witnesses.values()))
    if signers is None:
        return None
    if not any(key in policy.logs and key.name == checkpoint.origin for key in signers):
        report.add("key-unknown", None, detail="no log of the policy has signed")
        return None
    if not policy.quorum_holds(signers):
        report.add("key-unknown", None, detail="the policy's quorum of witnesses has not cosigned")
        return None
    if not any(key in policy.witnesses.values() for key in signers):
        report.note("unwitnessed")
    return checkpoint


def _summary(report, checkpoint):
    about = {"ledger": None, "name": None, "origin": checkpoint.origin, "size": checkpoint.size}
    report.ledgers.append(dict(about, checkpoint=checkpoint.size, root=b64(checkpoint.root)))


# Leaf, entry JSON, .tlog-proof.

_BODY_END = re.compile(rb',"body_sha256":"([0-9a-f]{64})","body_bytes":[0-9]{1,10}\}\Z')


def _body_digest(leaf):
    """The digest that a leaf names for its body, by its end alone."""
    match = _BODY_END.search(leaf)
    return bytes.fromhex(match.group(1).decode()) if match else None


def parse_proof(data):
    """(index, hashes, checkpoint note) of a `.tlog-proof`."""
    if len(data) > PROOF_FILE_BYTES_MAX:
        raise Malformed("the proof file is too large")
    head, empty, note = data.partition(b"\n\n")
    if not empty:
        raise Malformed("no empty line before the checkpoint")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Malformed("the proof is not ASCII") from None
    if lines.pop(0) != "c2sp.org/tlog-proof@v1":
        raise Malformed("the first line is not c2sp.org/tlog-proof@v1")
    if lines and lines[0].startswith("extra "):
        from_b64(lines.pop(0)[6:])
    if not lines or not lines[0].startswith("index "):
        raise Malformed("no index line")
    index = from_decimal(lines.pop(0)[6:])
    if len(lines) > PROOF_HASHES_MAX:
        raise Malformed("more than 63 hashes")
    return index, [from_b64_hash(line) for line in lines], note


_ENTRY_AUDIT = ["ledger", "origin", "index", "tree_size", "leaf", "leaf_hash", "body", "body_sha256", "state"]
_ENTRY_RAW = ["ledger", "origin", "index", "tree_size", "leaf_base64", "leaf_hash", "state"]
Entry = namedtuple("Entry", "raw ledger origin index tree_size leaf leaf_hash body body_sha256 state")


def parse_entry(data):
    """An entry JSON, shape alone."""
    if len(data) > ENTRY_JSON_BYTES_MAX:
        raise Malformed("the entry JSON is too large")
    value = strict_json(data)
    if not isinstance(value, dict) or sorted(value) not in (sorted(_ENTRY_AUDIT), sorted(_ENTRY_RAW)):
        raise Malformed("not the members of an entry JSON")
    raw = "leaf_base64" in value
    for name in ("index", "tree_size"):
        if type(value[name]) is not int or not 0 <= value[name] <= SIZE_MAX:
            raise Malformed("%s is not a number below 2^63" % name)
    texts = [name for name in value if name not in ("index", "tree_size", "body")]
    if not all(isinstance(value[name], str) for name in texts):
        raise Malformed("a member is not a string")
    if not raw and not isinstance(value["body"], (str, type(None))):
        raise Malformed("body is neither string nor null")
    leaf = from_b64(value["leaf_base64"]) if raw else value["leaf"].encode()
    if len(leaf) > LEAF_BYTES_MAX or value["state"] not in ("present", "pruned", "erased", "missing"):
        raise Malformed("the leaf is too long, or an unknown state")
    body = value.get("body")
    return Entry(
        raw,
        value["ledger"],
        value["origin"],
        value["index"],
        value["tree_size"],
        leaf,
        from_hex64(value["leaf_hash"]),
        None if body is None else body.encode(),
        None if raw else from_hex64(value["body_sha256"]),
        value["state"],
    )


def _judge_entry(report, entry):
    """Leaf and body of an entry JSON against each other, and its other members as far as anything speaks of them."""
    here = (entry.index, entry.index + 1)
    altered = None
    if leaf_hash(entry.leaf) != entry.leaf_hash:
        altered = "leaf_hash is not the hash of leaf"
    elif entry.origin.rsplit("/", 1)[-1] != entry.ledger:
        altered = "its ledger is not the one that its origin names"
    elif entry.tree_size <= entry.index:
        altered = "its tree_size does not reach beyond it"
    elif entry.state != "present" and (entry.raw or entry.body is not None):
        altered = "its state is not that of an entry that is whole"
    if altered is not None:
        report.add("entry-altered", None, entries=here, detail=altered)
        return
    if entry.raw:
        return
    digest = _body_digest(entry.leaf)
    if digest != entry.body_sha256:
        report.add("body-altered", None, entries=here, detail="body_sha256 is not the one the leaf names")
    elif entry.body is None:
        report.note("body-withheld")
    elif sha256(entry.body) != digest:
        report.add("body-altered", None, entries=here, detail="the body does not have the digest the leaf names")


def verify_entry(data):
    """An entry JSON by itself: leaf hash and body digest. Without a proof it says nothing about any log."""
    report = Report()
    try:
        entry = parse_entry(data)
    except Malformed as why:
        report.add("proof-malformed", None, detail=str(why))
        return report
    _judge_entry(report, entry)
    return report


def verify_proof(proof, entry, policy):
    """A `.tlog-proof` with its entry JSON under a policy; the first failure is the verdict."""
    report = Report()
    try:
        index, hashes, note = parse_proof(proof)
        parse_checkpoint(parse_note(note).text)
        parsed = parse_entry(entry)
    except Malformed as why:
        report.add("proof-malformed", None, detail=str(why))
        return report
    checkpoint = _judge_checkpoint(report, note, policy)
    if checkpoint is None:
        return report
    _summary(report, checkpoint)
    _judge_proof(report, index, hashes, parsed, checkpoint)
    report.notes.sort(key=list(VERDICTS).index)
    if not report.findings:
        # What neither the proof nor a digest says anything about.
        size = [] if parsed.tree_size == checkpoint.size else ["tree_size"]
        report.unproven = size + (["state"] if not parsed.raw and parsed.body is None else [])
    return report


def _judge_proof(report, index, hashes, entry, checkpoint):
    here = (index, index + 1)
    if entry.origin != checkpoint.origin:
        report.add("origin-other", None, entries=here, detail="entry and checkpoint are of two origins")
        return
    if entry.index != index:
        report.add("entry-altered", None, entries=here, detail="entry and proof name two indexes")
        return
    _judge_entry(report, entry)
    if not report.findings and not verify_inclusion(entry.leaf_hash, index, checkpoint.size, hashes, checkpoint.root):
        report.add("proof-wrong", None, entries=here, detail="the hashes do not lead to the signed root")


# Files. Links are never followed; sizes are known before anything is read.


def read_file(path, limit=FILE_BYTES_MAX):
    """The bytes of a regular file, at most `limit`."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError("%s is not a regular file" % path)
        if about.st_size > limit:
            raise TooLarge("%s has %d bytes, more than %d" % (path, about.st_size, limit))
        data = file.read(limit + 1)
    if len(data) > limit:
        raise TooLarge("%s has more than %d bytes" % (path, limit))
    return data


def _files_below(path):
    """Relative names of everything below a folder that is no folder itself; links count as files."""
    names, stack = [], [""]
    while stack:
        folder = stack.pop()
        with os.scandir(os.path.join(path, folder)) as entries:
            for entry in entries:
                name = folder + "/" + entry.name if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    stack.append(name)
                else:
                    names.append(name)
                if len(names) + len(stack) > FILES_MAX:
                    raise TooLarge("more than %d files" % FILES_MAX)
    return sorted(names)


# Exports: `export --layout tiles`.


class _ExportTree:
    """A tree as it grows from bundle to bundle: of the leaves, or of the hashes in the level-0 tiles."""

    def __init__(self):
        self.tree, self.whole = Tree(), True

    def add(self, hashes):
        for value in hashes:
            self.tree.push(value)

    def leads_to(self, checkpoint):
        return self.whole and self.tree.root(checkpoint.size) == checkpoint.root


class _Export:
    def __init__(self, path, given):
        self.path, self.given, self.report = path, given, Report()
        self.names = set(_files_below(path))
        self.known = {"checkpoint", "keys"}
        # An export of leaves alone has no such folder; one that has it holds every body.
        bodies = os.path.join(path, "bodies")
        self.with_bodies = os.path.isdir(bodies) and not os.path.islink(bodies)
        self.leaves, self.stored, self.differ = _ExportTree(), _ExportTree(), []

    def read(self, name, limit, code, entries=None):
        """The file's bytes, or None with a finding."""
        self.known.add(name)
        if name not in self.names:
            self.report.add("file-missing", name, entries=entries, detail="a log of this size has it")
            return None
        try:
            return read_file(os.path.join(self.path, name), limit)
        except TooLarge as why:
            self.report.add(code, name, entries=entries, detail=str(why))
            return None

    def judge(self):
        checkpoint = self.checkpoint()
        if checkpoint is not None:
            for index in range((checkpoint.size + 255) // 256):
                self.bundle(checkpoint.size, index)
            self.settle(checkpoint)
        if self.report.ledgers:
            for name in sorted(self.names - self.known):
                self.report.add("file-unknown", name, detail="no export has it")
        self.report.notes.sort(key=list(VERDICTS).index)

    def checkpoint(self):
        """The checkpoint to judge the tree by, or None with a finding."""
        self.report.note("unwitnessed")
        if not self.given:
            self.report.note("own-keys")
        data = self.read("checkpoint", NOTE_BYTES_MAX, "proof-malformed")
        if data is None:
            return None
        try:
            note = parse_note(data)
            checkpoint = parse_checkpoint(note.text)
        except Malformed as why:
            self.report.add("proof-malformed", "checkpoint", detail=str(why))
            return None
        data, keys = self.read("keys", SMALL_FILE_BYTES_MAX, "keys-altered"), None
        try:
            keys = None if data is None else _Keys(data, checkpoint.origin)
        except Malformed as why:
            self.report.add("keys-altered", "keys", detail=str(why))
        if self.given or keys is not None:
            known = _Known(self.given, keys)
            if not known.listed:
                self.report.add("keys-altered", "keys", detail="none of the given keys is in it")
            of_log = known.at(checkpoint.size, checkpoint.origin)
            judged_by = of_log + [key for key in self.given if key not in of_log]
            listed = known.listed_at(checkpoint.size)
            if _signers(self.report, "checkpoint", note, checkpoint, judged_by, listed) is None:
                return None
        _summary(self.report, checkpoint)
        return checkpoint

    def bundle(self, size, index):
        """One entry bundle with its level-0 tile and its bodies."""
        start, width = index * 256, min(256, size - index * 256)
        covers = (start, start + width)
        bundle_name = tile_path("tile/entries", index, width)
        tile_name = tile_path("tile/0", index, width)
        bodies_name = tile_path("bodies", index, width)
        stored = self.hashes(tile_name, width, covers)
        self.stored.whole &= stored is not None
        self.stored.add(stored or ())
        bundle = self.read(bundle_name, BUNDLE_BYTES_MAX, "entry-altered", covers)
        leaves = None
        try:
            leaves = None if bundle is None else decode_bundle(bundle, width)
        except Malformed as why:
            self.report.add("entry-altered", bundle_name, None, covers, str(why))
        if leaves is None:
            self.leaves.whole = False
            self.known.add(bodies_name)
            return
        own = [leaf_hash(leaf) for leaf in leaves]
        for offset, (mine, theirs) in enumerate(zip(own, stored or ())):
            if mine != theirs and len(self.differ) < FINDINGS_MAX:
                self.differ.append((start + offset, bundle_name, tile_name))
        digests = [_body_digest(leaf) for leaf in leaves]
        if any(digests):
            self.bodies(bodies_name, covers, digests)
        self.leaves.add(own)

    def hashes(self, name, width, covers):
        data = self.read(name, 8192, "tile-altered", covers)
        if data is not None and len(data) != 32 * width:
            self.report.add("tile-altered", name, None, covers, "not %d hashes" % width)
            data = None
        return None if data is None else [data[at : at + 32] for at in range(0, len(data), 32)]

    def bodies(self, name, covers, digests):
        if not self.with_bodies:
            self.known.add(name)
            self.report.note("body-withheld")
            return
        data = self.read(name, BODIES_BYTES_MAX, "body-altered", covers)
        if data is None:
            return
        try:
            bodies = decode_bodies(data, len(digests))
        except Malformed as why:
            self.report.add("body-altered", name, None, covers, str(why))
            return
        for index, (digest, body) in enumerate(zip(digests, bodies), covers[0]):
            one = (index, index + 1)
            if digest is not None and body is None:
                self.report.add("body-missing", name, None, one, "the leaf names a body that is absent")
            elif (digest is None) != (body is None) or (digest is not None and sha256(body) != digest):
                self.report.add("body-altered", name, None, one, "not the body that the leaf names")

    def settle(self, checkpoint):
        """Whoever leads to the signed root is right: the tiles (then leaves were altered) or the leaves."""
        leaves_hold = self.leaves.leads_to(checkpoint)
        for index, bundle_name, tile_name in self.differ:
            code, name = ("tile-altered", tile_name) if leaves_hold else ("entry-altered", bundle_name)
            self.report.add(code, name, None, (index, index + 1), "leaf and stored hash differ")
        # Where a leaf and its hash differ, that already tells why the roots do.
        judged = (self.leaves.whole or self.stored.whole) and not self.differ
        if judged and not leaves_hold and not self.stored.leads_to(checkpoint):
            detail = "the entries have another root than the checkpoint"
            self.report.add("checkpoint-inconsistent", "checkpoint", entries=(0, checkpoint.size), detail=detail)
        believed = self.leaves.tree if leaves_hold else self.stored.tree if self.stored.whole else None
        for level, index, width in tiles_of(checkpoint.size):
            if level == 0:
                continue
            name = tile_path("tile/%d" % level, index, width)
            first = index << (8 * (level + 1))
            covers = (first, min(checkpoint.size, first + (width << (8 * level))))
            stored = self.hashes(name, width, covers)
            if stored is None or believed is None:
                continue
            if stored != [believed.node(8 * level, index * 256 + at) for at in range(width)]:
                self.report.add("tile-altered", name, None, covers, "not what follows from the tiles below")


def verify_tiles(path, vkeys=()):
    """An export in the tiles layout. `vkeys`: texts of the log's keys; none: its own, and a note says so."""
    export = _Export(path, given_keys(vkeys))
    export.judge()
    return export.report


# Key notes: docs/formats/keys.md.

KeyNote = namedtuple("KeyNote", "origin start keys previous")


def parse_key_note(text):
    lines = text.split("\n")
    if len(lines) < 5 or lines.pop() != "" or lines[0] != "proofbook-key/v1" or not valid_name(lines[1]):
        raise Malformed("not a key note")
    if not lines[2].startswith("from "):
        raise Malformed("a key note without its size")
    keys, previous = [], []
    for line in lines[3:]:
        word, _, vkey = line.partition(" ")
        if word not in ("key", "previous") or (word == "key" and previous):
            raise Malformed("not a line of a key note")
        (keys if word == "key" else previous).append(parse_vkey(vkey))
    if not keys:
        raise Malformed("a key note without a key")
    return KeyNote(lines[1], from_decimal(lines[2][5:]), keys, previous)


def _read_key_note(note, origin):
    signed = parse_note(note)
    text = parse_key_note(signed.text)
    if text.origin != origin or any(key.name != origin for key in text.keys + text.previous):
        raise Malformed("a key note of another origin")
    return signed, text


def _plain(keys):
    return [key for key in keys if key.kind == ED25519]


def _check_key_note(signed, keys):
    """The note is signed by each of these keys alone."""
    try:
        for key in keys:
            verify_note(signed, [key])
    except (BadSignature, NoKnownKey) as why:
        raise Malformed("not signed by each key it lists") from why


def walk_keys(notes, pinned):
    """[(from, keys)] as far as the notes can be trusted from a pinned Ed25519 key on, and whether that is to the end.

    The first note that lists the key begins; a note that no key trusted so far signed, or that drops one unnamed, ends
    the walk."""
    epochs = []
    for note in notes:
        try:
            signed, text = _read_key_note(note, pinned.name)
            if not epochs:
                if pinned.kind != ED25519:
                    raise Malformed("the pinned key is no Ed25519 key")
                if pinned not in text.keys:
                    continue
                _check_key_note(signed, [pinned])
            else:
                start, trusted = epochs[-1]
                if text.start < start:
                    raise Malformed("begins before the note it follows")
                try:
                    verify_note(signed, _plain(trusted))
                except (BadSignature, NoKnownKey) as why:
                    raise Malformed("not signed by the last trusted key") from why
                if not all(key in trusted and key not in text.keys for key in text.previous):
                    raise Malformed("replaces a key that was not valid")
                if not all(key in text.keys or key in text.previous for key in trusted):
                    raise Malformed("drops a key without naming it")
            _check_key_note(signed, _plain(text.keys))
        except Malformed:
            return epochs, False
        epochs.append((text.start, text.keys))
    return epochs, True


class _Keys:
    """A whole `keys` file."""

    def __init__(self, data, origin):
        if len(data) > SMALL_FILE_BYTES_MAX:
            raise Malformed("longer than any keys file")
        notes = strict_json(data)
        if not isinstance(notes, list) or not notes or not all(isinstance(note, str) for note in notes):
            raise Malformed("not an array of notes")
        again = json.dumps(notes, ensure_ascii=False, separators=(",", ":")) + "\n"
        if again.encode() != data:
            raise Malformed("the array is not in its one form")
        self.notes = [note.encode() for note in notes]
        signed = [parse_note(note) for note in self.notes]
        texts = [parse_key_note(note.text) for note in signed]
        self.origin = texts[0].origin
        plain = _plain(texts[0].keys)
        if origin not in (None, self.origin) or not plain:
            raise Malformed("of another origin, or without an Ed25519 key")
        self.epochs, whole = walk_keys(self.notes, plain[0])
        if not whole:
            raise Malformed("a note that is not signed as it must be")
        before = []
        for note, text in zip(signed, texts):
            known = {(key.name, key.key_id) for key in _plain(before + text.keys)}
            if any((name, key_id) not in known for name, key_id, _ in note.signatures):
                raise Malformed("a note with a line by a stranger")
            before = text.keys


class _Known:
    """By which keys the checkpoints of a log are judged."""

    def __init__(self, given, keys):
        self.given = given
        if given:
            plain = [key for key in _plain(given) if keys and key.name == keys.origin]
            self.walks = [walk_keys(keys.notes, key)[0] for key in plain]
        else:
            self.walks = [keys.epochs]
        # Whether `keys` lists one of those that were given for its origin.
        self.listed = any(self.walks) or not self.walks

    def listed_at(self, size):
        """The keys that `keys` lists for a checkpoint of this size."""
        keys = []
        for epochs in self.walks:
            keys += next((of_epoch for start, of_epoch in reversed(epochs) if start <= size), [])
        return keys

    def at(self, size, origin):
        keys = list(self.given) + self.listed_at(size)
        kinds = (ED25519, COSIGNATURE_ML_DSA)
        return list(OrderedDict.fromkeys(key for key in keys if key.kind in kinds and key.name == origin))


# Data folders: docs/formats/data-folder.md, sealed.md, wal.md, checkpoints.md.

_ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}\Z", re.ASCII)
_ABOUT = re.compile(
    rb'\{"format":"proofbook-ledger/1","name":"(?P<name>[!#-\[\]-~]{1,512})","tenant":"[!#-\[\]-~]{1,512}"'
    rb',"kind":"(?P<kind>audit|raw)","origin":"(?P<origin>[!#-\[\]-~]{1,512})"'
    rb',"created_at":"[!#-\[\]-~]{1,512}"\}\n\Z'
)
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_STORED_SLACK = 1 << 20
_MAGICS = OrderedDict((("leaves", b"PBLEAF01"), ("tiles", b"PBTILE01"), ("bodies", b"PBBODY01"), ("tags", b"PBTAGS01")))
_SEAL_BYTES_MAX = 16 << 10
_ABOUT_BYTES_MAX = 4096
_PIN_BYTES_MAX = 64 << 20
_BLOCK_BYTES_MAX_WAL = 128 << 20
_TORN_LIMIT = 65536

# Decoded bundles by their stored bytes: a loop that changes one byte after the other asks for the same again.
_DECODED = OrderedDict()
_DECODED_MAX = 64


def _decoded(decode, data):
    asked = (decode, data)
    if asked not in _DECODED:
        if len(_DECODED) >= _DECODED_MAX:
            _DECODED.popitem(last=False)
        try:
            _DECODED[asked] = decode(data)
        except Malformed as why:
            _DECODED[asked] = why
    _DECODED.move_to_end(asked)
    if isinstance(_DECODED[asked], Malformed):
        raise _DECODED[asked]
    return _DECODED[asked]


def _leaf_bundle(member):
    """(leaves, their hashes back to back) of one gzip member that uses all of its bytes."""
    if not member.startswith(_GZIP_HEADER) or not 18 <= len(member) <= BUNDLE_BYTES_MAX + _STORED_SLACK:
        raise Malformed("not a member as it is written")
    inflate = zlib.decompressobj(-15)
    try:
        data = inflate.decompress(member[10:-8], BUNDLE_BYTES_MAX + 1)
    except zlib.error:
        raise Malformed("the member does not inflate") from None
    if not inflate.eof or inflate.unused_data or inflate.unconsumed_tail or len(data) > BUNDLE_BYTES_MAX:
        raise Malformed("the member does not inflate to its length")
    if struct.pack("<II", zlib.crc32(data), len(data)) != member[-8:]:
        raise Malformed("the member fails its CRC or length")
    leaves = decode_bundle(data, 256)
    return leaves, b"".join(leaf_hash(leaf) for leaf in leaves)


def _body_bundle(frame):
    """The digests of the 256 bodies of one zstd frame, None for an absent one."""
    if len(frame) > BODIES_BYTES_MAX + _STORED_SLACK:
        raise Malformed("longer than any bundle of bodies")
    bodies = decode_bodies(zstd_decode(frame, BODIES_BYTES_MAX), 256)
    return [None if body is None else sha256(body) for body in bodies]


def _is_newer(line, head):
    return line.startswith(head) and bool(re.match(rb"(?!1\Z)[1-9][0-9]*\Z", line[len(head) :]))


def _listed(path):
    """Names in a folder, sorted; None for what is no folder."""
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return None


class _Frontier:
    """The complete subtrees of a tree, largest first."""

    def __init__(self, size=0, hashes=()):
        self.size, self.hashes = size, list(hashes)

    def copy(self):
        return _Frontier(self.size, self.hashes)

    def push(self, value):
        hashes, count = self.hashes, self.size
        while count & 1:
            value = hashlib.sha256(b"\x01" + hashes.pop() + value).digest()
            count >>= 1
        hashes.append(value)
        self.size += 1

    def push_bundle(self, root):
        """256 leaves at once, where the size is a multiple of 256."""
        hashes, count = self.hashes, self.size >> 8
        while count & 1:
            root = node_hash(hashes.pop(), root)
            count >>= 1
        hashes.append(root)
        self.size += 256

    def root(self):
        return fold(self.hashes)


Manifest = namedtuple("Manifest", "origin first end hashes leaves bodies tags tiles previous")


def parse_manifest(data):
    """A `.seal`: strict text under its own digest. `leaves`, `tags` and `tiles` are (bytes, digest)."""
    head, mark, digest = data.rpartition(b"digest ")
    if not mark or digest != sha256(head).hex().encode() + b"\n" or not head.endswith(b"\n"):
        raise Malformed("the manifest fails its digest")
    try:
        lines = head.decode("ascii").split("\n")[:-1]
    except UnicodeDecodeError:
        raise Malformed("the manifest is not ASCII") from None

    def field(name):
        if not lines or not lines[0].startswith(name + " "):
            raise Malformed("the manifest has no %s" % name)
        return lines.pop(0)[len(name) + 1 :]

    def part(name):
        size, _, digest = field(name).partition(" ")
        return _u64(size), from_hex64(digest)

    if not lines or lines.pop(0) != "proofbook-seal/1":
        raise Malformed("not a manifest")
    origin, first, end = field("origin"), from_decimal(field("first")), from_decimal(field("end"))
    received = field("received").split(" ")
    if len(received) != 2:
        raise Malformed("the manifest has not two times")
    for time in received:
        _u64(time)
    root = from_b64_hash(field("root"))
    hashes = [from_b64_hash(text) for text in field("frontier").split(" ")]
    leaves, bodies, tags = part("leaves"), None, None
    if lines and lines[0].startswith("bodies "):
        bodies, tags = _u64(field("bodies")), part("tags")
    tiles, previous = part("tiles"), from_hex64(field("previous"))
    whole = not lines and first < end and not first % 256 and not end % 256
    if not whole or len(hashes) != bin(end).count("1") or fold(hashes) != root:
        raise Malformed("the manifest contradicts itself")
    return Manifest(origin, first, end, hashes, leaves, bodies, tags, tiles, previous)


def _u64(text):
    """A number below 2^64 without leading zeros."""
    if not re.match(r"(?:0|[1-9][0-9]{0,19})\Z", text, re.ASCII) or int(text) >= 1 << 64:
        raise Malformed("not a number")
    return int(text)


SegmentHeader = namedtuple("SegmentHeader", "number previous_end size root chain about")
BlockHeader = namedtuple("BlockHeader", "head count payload first received chain")


def parse_segment_header(data):
    """The first 256 bytes of a segment."""
    if len(data) < 256:
        raise Malformed("the segment is shorter than its header")
    if data[:8] != b"PBWAL001" or sha256(data[:224]) != data[224:256] or any(data[136:224]):
        raise Malformed("the segment header is not what was written")
    number, previous_end, size = struct.unpack_from(">QQQ", data, 8)
    return SegmentHeader(number, previous_end, size, data[32:64], data[64:96], data[96:128])


def parse_block_header(data, at):
    """The block header at `at`, or None."""
    if at + 64 > len(data) or data[at : at + 4] != b"PBLK":
        return None
    count, payload, first, received = struct.unpack_from(">IQQQ", data, at + 4)
    if not 1 <= count <= BLOCK_ENTRIES_MAX or payload > _BLOCK_BYTES_MAX_WAL:
        return None
    return BlockHeader(data[at : at + 64], count, payload, first, received, data[at + 32 : at + 64])


class _Ledger:
    """One ledger under judgement, in the steps of docs/formats/verdicts.md."""

    def __init__(self, path, ulid, report, given, pins):
        self.path, self.ulid, self.report, self.given, self.pins = path, ulid, report, given, pins
        self.missing, self.damaged = set(), False
        self.origin = self.kind = self.about = self.name = None
        self.whole = False
        self.roots, self.asked, self.passed = {}, set(), -1

    def add(self, code, file, byte_range=None, entries=None, detail=""):
        if code not in ("torn-tail", "unfinished") and (file == "wal" or file.startswith(("wal/", "sealed/"))):
            self.damaged = True
        self.report.add(code, file, byte_range, entries, detail, self.ulid)

    def add_missing(self, file, entries=None, detail="it is not there"):
        if file not in self.missing:
            self.add("file-missing", file, None, entries, detail)
            self.missing.add(file)

    def read(self, name, limit=FILE_BYTES_MAX):
        return read_file(os.path.join(self.path, name), limit)

    def small(self, name, limit):
        """(bytes or their beginning, length); None where there is no such file."""
        try:
            data = self.read(name)
        except FileNotFoundError:
            return None
        return data[: limit + 1], len(data)

    # Names.

    def names(self):
        self.segments, self.logs, self.history, self.sets = [], [], False, {}
        self.has_about = self.has_keys = False
        strange = []
        for name in _listed(self.path) or ():
            if name == "LEDGER":
                self.has_about = True
            elif name == "keys":
                self.has_keys = True
            elif name in ("wal", "checkpoints", "sealed"):
                below = _listed(os.path.join(self.path, name))
                if below is None:
                    strange.append(name)
                strange += [name + "/" + file for file in below or () if not self.take(name, file)]
            else:
                strange.append(name)
        _add_strange(self.add, strange)
        self.segments.sort()
        self.logs.sort()

    def take(self, folder, name):
        if folder == "sealed":
            match = re.match(r"([0-9]{20})\.(leaves|bodies|tags|tiles|seal)\Z", name, re.ASCII)
            if match is None or int(match.group(1)) > SIZE_MAX or int(match.group(1)) % 256:
                return False
            self.sets.setdefault(int(match.group(1)), []).append(match.group(2))
            return True
        if folder == "checkpoints" and name == "history.log":
            self.history = True
            return True
        end = ".wal" if folder == "wal" else ".log"
        match = re.match(r"([0-9a-f]{16})\%s\Z" % end, name, re.ASCII)
        if match is None or not int(match.group(1), 16):
            return False
        (self.segments if folder == "wal" else self.logs).append(int(match.group(1), 16))
        return True

    # LEDGER and keys.

    def identity(self):
        """False where nothing else of this ledger is judged."""
        held = []
        if "seal" in self.sets.get(0, ()):
            try:
                manifest = parse_manifest(self.small(_set_file(0, "seal"), _SEAL_BYTES_MAX)[0])
                held += [manifest.previous] if manifest.first == 0 else []
            except Malformed:
                pass
        held += [header.about for header in self.headers.values() if isinstance(header, SegmentHeader)]
        found = self.small("LEDGER", _ABOUT_BYTES_MAX)
        self.about = held[0] if held else None
        if found is None:
            self.add_missing("LEDGER")
            return True
        data, length = found
        head = data.split(b",")[0]
        if head.endswith(b'"') and _is_newer(head[:-1], b'{"format":"proofbook-ledger/'):
            self.add("format-newer", "LEDGER", (0, length), None, "of an unknown version")
            return False
        match = _ABOUT.match(data)
        if match is not None:
            self.name = match.group("name").decode()
        if match is None or (held and sha256(data) not in held):
            self.add("ledger-altered", "LEDGER", (0, length), None, "not the line that others hold")
            return True
        self.about, self.whole = sha256(data), True
        self.origin, self.kind = match.group("origin").decode(), match.group("kind").decode()
        return True

    def keys(self):
        found = self.small("keys", SMALL_FILE_BYTES_MAX)
        keys = None
        if found is None:
            self.add_missing("keys")
        else:
            try:
                keys = _Keys(found[0], self.origin)
                self.origin = self.origin or keys.origin
            except Malformed as why:
                self.add("keys-altered", "keys", (0, found[1]), None, str(why))
        if self.given:
            known = _Known(self.given, keys)
            if not known.listed:
                self.add("keys-altered", "keys", (0, found[1]), None, "none of the given keys is in it")
            return known
        self.report.note("own-keys")
        return _Known([], keys) if keys else None

    # Checkpoints: everything but the roots.

    def checkpoints(self, known):
        self.claims, self.last, self.history_records = [], None, 0
        path = "checkpoints/%s"
        self.highest = path % _log_name(self.logs[-1] if self.logs else 1)
        fails = False
        if self.history:
            self.history_records, fails = self.log(path % "history.log", known)
        if self.logs and self.history_records < self.logs[0] - 1:
            if not self.history:
                self.add_missing(path % "history.log")
            elif not fails:
                self.add("checkpoint-altered", path % "history.log", None, None, "fewer records than rolled logs")
        for before, number in zip([None] + self.logs, self.logs):
            for gone in range(before + 1 if before else number, min(number, (before or number) + 1 + FINDINGS_MAX)):
                self.add_missing(path % _log_name(gone))
            self.log(path % _log_name(number), known)

    def log(self, name, known):
        """(records, whether one fails)"""
        data = self.read(name)
        at, chain, records, fails = 0, bytes(32), 0, False
        while at < len(data):
            head = data[at : at + 8]
            length = int.from_bytes(head[:4], "big")
            if len(head) == 8:
                if length != int.from_bytes(head[4:], "big") ^ 0xFFFFFFFF or length > _TORN_LIMIT:
                    fails = True
                    break
                end = at + 8 + length
                if end + 32 > len(data):
                    break
                chain = sha256(chain, data[at:end])
                if data[end : end + 32] != chain:
                    fails = True
                    break
                self.note(name, (at, end + 32), data[at + 8 : end], known)
                at, records = end + 32, records + 1
            else:
                break
        history = name.endswith("history.log")
        if at < len(data) or (not records and not history):
            torn = not fails and at < len(data) and (history or (name == self.highest and records))
            code = "torn-tail" if torn else "checkpoint-altered"
            self.add(code, name, (at, len(data)), None, "a record that is not whole")
        return records, fails

    def note(self, name, place, note, known):
        try:
            parsed = parse_note(note)
            checkpoint = parse_checkpoint(parsed.text)
        except Malformed as why:
            self.add("checkpoint-altered", name, place, None, str(why))
            return
        if self.origin not in (None, checkpoint.origin):
            self.add("origin-other", name, place, None, "a checkpoint of another origin")
            return
        if known is not None:
            try:
                verify_note(parsed, known.at(checkpoint.size, checkpoint.origin))
            except BadSignature as why:
                self.add("checkpoint-forged", name, place, None, str(why))
                return
            except NoKnownKey as why:
                self.add("key-unknown", name, place, None, str(why))
                return
        if self.last is not None and checkpoint.size < self.last:
            self.add("checkpoint-altered", name, place, None, "the size falls")
            return
        self.last = checkpoint.size
        self.claims.append((checkpoint.size, checkpoint.root, name, place))

    def compare(self, entries):
        if not self.logs and (entries or self.history):
            self.add_missing("checkpoints/%s" % _log_name(self.history_records + 1))
        agreed, groups = 0, OrderedDict()
        for claim in sorted(self.claims, key=lambda claim: claim[0]):
            groups.setdefault(claim[0], []).append(claim)
        for size, group in groups.items():
            root = self.roots.get(size)
            for _, claimed, name, place in group:
                if claimed != (group[0][1] if root is None else root):
                    detail = "signed over another tree"
                    self.add("checkpoint-inconsistent", name, place, (agreed, size), detail)
            if any(claimed == root for _, claimed, _, _ in group):
                agreed = size

    # Sealed sets.

    def sealed(self, start):
        self.tree, self.told, self.end, self.seal = _Frontier(), {}, 0, None
        self.start, self.start_tree = start, _Frontier() if start == 0 else None
        if 0 in self.asked:
            self.roots[0] = EMPTY_ROOT
        self.passed = 0
        before = self.about
        for first in sorted(first for first, kinds in self.sets.items() if "seal" in kinds):
            manifest, before = self.manifest(first, before)
            if manifest is not None:
                named = {"leaves", "tiles", "seal"} | ({"bodies", "tags"} if manifest.bodies is not None else set())
                for kind in self.sets[first]:
                    if kind not in named:
                        self.add("file-unknown", _set_file(first, kind), None, None, "the manifest does not name it")
                self.set(manifest)

    def manifest(self, first, before):
        """(manifest to follow or None, digest that the next one names)"""
        file = _set_file(first, "seal")
        data, length = self.small(file, _SEAL_BYTES_MAX)
        newer = _is_newer(data.split(b"\n")[0], b"proofbook-seal/")
        try:
            if newer:
                raise Malformed("of an unknown version")
            manifest = parse_manifest(data)
            if manifest.first != first:
                raise Malformed("not the manifest of this name")
        except Malformed as why:
            self.add("format-newer" if newer else "manifest-altered", file, (0, length), None, str(why))
            self.end = self.tree = self.seal = None
            return None, None
        if self.end is not None and self.end < first:
            self.add_missing(_set_file(self.end, "seal"), (self.end, first))
            before = self.tree = None
        overlaps = self.end is not None and self.end > first
        detail = None
        if overlaps:
            detail = "begins before the end of the set before"
        elif self.origin not in (None, manifest.origin):
            detail = "of another origin"
        elif self.kind is not None and (manifest.bodies is not None) != (self.kind == "audit"):
            detail = "of another kind of ledger"
        elif before is not None and before != manifest.previous:
            detail = "does not follow the manifest before"
        if detail:
            self.add("manifest-altered", file, (0, length), (first, manifest.end), detail)
        if overlaps:
            return None, before
        self.end, self.seal = manifest.end, (file, length, first, manifest.end)
        return manifest, sha256(data)

    def set(self, manifest):
        if self.tree is not None and self.tree.size != manifest.first:
            self.tree = None
        found = _Set(self, manifest).judge()
        tree = self.tree
        if tree is not None and (tree.size, tree.hashes) == (manifest.end, manifest.hashes):
            self.keep(tree.size)
        elif tree is not None and not found:
            file, length, first, end = self.seal
            detail = "the entries do not have the tree of the manifest"
            self.add("manifest-altered", file, (0, length), (first, end), detail)
            self.keep(tree.size)
        else:
            self.told = {}
            self.tree = tree = _Frontier(manifest.end, manifest.hashes)
            if self.start is not None and manifest.first < self.start <= manifest.end:
                self.start_tree = tree.copy() if self.start == manifest.end else None
            if manifest.end in self.asked:
                self.roots[manifest.end] = tree.root()
            self.passed = max(self.passed, manifest.end)

    def keep(self, size):
        self.roots.update(self.told)
        self.told, self.passed = {}, max(self.passed, size)

    def bundle(self, hashes):
        """The next 256 leaf hashes of the tree back to back, None where nothing tells them."""
        tree = self.tree
        if tree is None or hashes is None:
            self.tree = None
            return
        end = tree.size + 256
        within = [size for size in self.asked | {self.start} if size is not None and tree.size < size < end]
        if within:
            part = tree.copy()
            for at in range(0, 8192, 32):
                part.push(hashes[at : at + 32])
                if part.size in within:
                    if part.size in self.asked:
                        self.told[part.size] = part.root()
                    if part.size == self.start:
                        self.start_tree = part.copy()
        tree.push_bundle(_decoded(_bundle_root, hashes))
        if end in self.asked:
            self.told[end] = tree.root()
        if end == self.start:
            self.start_tree = tree.copy()

    def unfinished(self, start):
        for first, kinds in self.sets.items():
            if "seal" in kinds:
                continue
            if start is not None and start <= first:
                for kind in kinds:
                    self.add("unfinished", _set_file(first, kind), None, None, "a set without a manifest")
            else:
                self.add_missing(_set_file(first, "seal"))

    # Segments.

    def survey(self):
        """Reads all segments; `headers` is a SegmentHeader, "newer" or a Malformed by number."""
        self.data, self.headers, self.hints = {}, {}, {}
        for number in self.segments:
            data = self.data[number] = self.read(_segment_file(number))
            self.hints[number] = parse_block_header(data, 256)
            try:
                self.headers[number] = parse_segment_header(data)
            except Malformed as why:
                newer = len(data) >= 256 and re.match(rb"PBWAL0*([0-9]*)", data[:8])
                digits = newer.group(1) if newer and data[5:8].isdigit() else b""
                self.headers[number] = "newer" if _is_newer(digits, b"") else why

    def owners(self):
        for number, header in self.headers.items():
            if isinstance(header, SegmentHeader):
                if header.number != number:
                    self.headers[number] = Malformed("the header is of another segment")
                elif self.about not in (None, header.about):
                    self.headers[number] = Malformed("the header is of another ledger")

    def first_start(self):
        if not self.segments:
            return None
        number = self.segments[0]
        if number == 1:
            return 0
        header, hint = self.headers[number], self.hints[number]
        return header.size if isinstance(header, SegmentHeader) else hint.first if hint else None

    def tell_header(self, number):
        header = self.headers[number]
        if not isinstance(header, SegmentHeader):
            code = "format-newer" if header == "newer" else "wal-altered"
            self.add(code, _segment_file(number), (0, 256), None, str(header))

    def walk(self, pin_size):
        """(size reached, its root or None)"""
        checkpoint, sealed_end = self.last or 0, self.end or 0
        named = max(checkpoint, pin_size, sealed_end)
        sealed_root = self.tree.root() if self.tree is not None else None
        if not self.segments:
            self.add_missing("wal", (sealed_end, named) if named > sealed_end else None)
            return sealed_end, sealed_root
        walk = _Walk(self, sealed_end, sealed_root)
        for at, number in enumerate(self.segments):
            if at and self.segments[at - 1] + 1 < number:
                walk.skip(self.segments[at - 1], number)
            elif at:
                walk.join(number)
            later = (self.headers[behind] for behind in self.segments[at + 1 :])
            sizes = (header.size for header in later if isinstance(header, SegmentHeader))
            walk.known = next(sizes, named)
            walk.blocks(number)
        walk.finish(checkpoint)
        return walk.reached()

    # All of it.

    def judge(self):
        """The ledger's line of the answer."""
        answer = {"ledger": self.ulid, "name": None, "origin": None, "size": 0, "checkpoint": None, "root": None}
        self.names()
        self.survey()
        if not self.identity():
            return answer
        known = self.keys()
        self.owners()
        line = self.pins.lines.get(self.origin)
        self.checkpoints(known)
        self.asked = {claim[0] for claim in self.claims} | ({line[0]} if line else set())
        start = self.first_start()
        self.sealed(start)
        size, root = self.walk(line[0] if line else 0)
        self.unfinished(start)
        self.compare(size)
        self.pin(line, size)
        b64_root = None if root is None else b64(root)
        answer.update(name=self.name, origin=self.origin, size=size, checkpoint=self.last, root=b64_root)
        return answer

    def pin(self, line, size):
        last = self.last or 0
        if line is None:
            self.report.note("no-pin")
        else:
            pinned, root, place = line
            known = self.roots.get(pinned)
            if not self.damaged and (size < pinned or known not in (None, root)):
                entries = (size, pinned) if size < pinned else None
                self.add("rollback", "pin", place, entries, "the pin knows a larger or another tree")
            if last < pinned and known == root:
                self.add("checkpoint-missing", self.highest, None, (last, pinned), "the pin knows a later checkpoint")
        if last < size:
            self.add("unsigned-tail", self.highest, None, (last, size), "entries that no checkpoint covers yet")


def _set_file(first, kind):
    return "sealed/%020d.%s" % (first, kind)


def _segment_file(number):
    return "wal/%016x.wal" % number


def _log_name(number):
    return "%016x.log" % number


def _add_strange(add, names):
    for name in names:
        if name.endswith(".tmp"):
            add("unfinished", name, None, None, "unfinished work of a crash")
        else:
            add("file-unknown", name, None, None, "no such name belongs here")


class _Set:
    """The files of one sealed set: steps 2 to 7."""

    def __init__(self, ledger, manifest):
        self.ledger, self.manifest = ledger, manifest
        self.first, self.end = manifest.first, manifest.end
        self.bundles = (self.end - self.first) // 256
        self.found, self.count = set(), 0
        self.data, self.suspect, self.other_header, self.trailer_alone = {}, {}, {}, {}

    def add(self, code, kind, place, entries, detail):
        self.found.add(kind)
        self.count += 1
        file = _set_file(self.first, kind)
        if code == "file-missing":
            self.ledger.add(code, file, None, entries, detail)
        else:
            self.ledger.add(code, file, place, entries, detail)

    def judge(self):
        for kind in _MAGICS:
            if kind != "bodies" and kind != "tags" or getattr(self.manifest, kind) is not None:
                self.open(kind)
        leaf_at = self.offsets("leaves", "entry-altered")
        body_at = self.offsets("bodies", "body-altered")
        count = self.bundles
        if leaf_at is None and body_at is None:
            there = [-(-len(self.data.get(kind, b"")) // 8192) for kind in ("tiles", "tags")]
            count = min(count, max(there))
        for number in range(count):
            self.bundle(number, leaf_at, body_at)
        for kind, data in self.data.items():
            if self.suspect[kind] and kind not in self.found:
                place = (0, len(data))
                if self.other_header[kind]:
                    place = (0, 24)
                elif self.trailer_alone[kind]:
                    place = (len(data) - 32, len(data))
                self.add("file-altered", kind, place, (self.first, self.end), "bytes around the bundles differ")
        return self.count

    def open(self, kind):
        try:
            data = self.data[kind] = self.ledger.read(_set_file(self.first, kind))
        except FileNotFoundError:
            self.add("file-missing", kind, None, (self.first, self.end), "the manifest names it")
            return
        part = getattr(self.manifest, kind)
        size, digest = (part, None) if kind == "bodies" else part
        header = _MAGICS[kind] + struct.pack(">QQ", self.first, self.end)
        self.other_header[kind] = len(data) >= 24 and data[:24] != header
        hold = trailer_alone = False
        if len(data) == size and size >= 56:
            own = sha256(data[:-32])
            if own == data[-32:]:
                hold = digest is None or sha256(data) == digest
            else:
                trailer_alone = digest is not None and sha256(data[:-32], own) == digest
        self.suspect[kind] = not hold or self.other_header[kind]
        self.trailer_alone[kind] = trailer_alone

    def offsets(self, kind, code):
        """Where the bundles stand, None where the table cannot be the one that was written, or there is no file."""
        data = self.data.get(kind)
        if data is None:
            return None
        at = len(data) - 32 - 8 * (self.bundles + 1)
        offsets = struct.unpack_from(">%dQ" % (self.bundles + 1), data, at) if at >= 24 else ()
        rising = all(a <= b for a, b in zip(offsets, offsets[1:]))
        if not offsets or not rising or offsets[0] != 24 or offsets[-1] != at:
            detail = "the offsets of the bundles are not in order"
            self.add(code, kind, (0, len(data)), (self.first, self.end), detail)
            return None
        return offsets

    def stored(self, start, count):
        """Stored hashes back to back by their number; fewer where `.tiles` is short."""
        data = self.data.get("tiles", b"")[24 + 32 * start : 24 + 32 * (start + count)]
        return data[: len(data) // 32 * 32]

    def bundle(self, number, leaf_at, body_at):
        covers = (self.first + 256 * number, self.first + 256 * number + 256)
        stored = self.stored(256 * number, 256)
        leaves = hashes = None
        altered = set()
        if leaf_at is not None:
            place = leaf_at[number : number + 2]
            try:
                leaves, hashes = _decoded(_leaf_bundle, self.data["leaves"][place[0] : place[1]])
            except Malformed as why:
                self.add("entry-altered", "leaves", place, covers, str(why))
            else:
                altered = self.compare(number, place, covers, hashes, stored)
        if body_at is not None:
            self.bodies(body_at[number : number + 2], covers, leaves, altered)
        self.tags(number, covers)
        if hashes is None:
            hashes = stored if len(stored) == 8192 else None
        elif altered:
            parts = ((stored if k in altered else hashes)[32 * k : 32 * k + 32] for k in range(256))
            hashes = b"".join(parts)
        self.ledger.bundle(hashes)

    def compare(self, number, place, covers, hashes, stored):
        altered = set()
        if hashes != stored:
            tiles_alone = self.suspect.get("tiles") and not self.suspect["leaves"]
            for k in range(len(stored) // 32):
                at = 32 * k
                if hashes[at : at + 32] == stored[at : at + 32]:
                    continue
                entry = (covers[0] + k, covers[0] + k + 1)
                if tiles_alone:
                    at += 24 + 8192 * number
                    self.add("tile-altered", "tiles", (at, at + 32), entry, "not the hash of the stored leaf")
                else:
                    altered.add(k)
                    self.add("entry-altered", "leaves", place, entry, "not the leaf that was hashed")
        of_bundle = self.end - self.first + number
        root = self.stored(of_bundle, 1)
        if not altered and root and root != _decoded(_bundle_root, hashes):
            at = 24 + 32 * of_bundle
            self.add("tile-altered", "tiles", (at, at + 32), covers, "not the root of the bundle")
        return altered

    def bodies(self, place, covers, leaves, altered):
        suspect = self.suspect["bodies"]
        if suspect and leaves is None:
            return
        try:
            digests = _decoded(_body_bundle, self.data["bodies"][place[0] : place[1]])
        except Malformed as why:
            self.add("body-altered", "bodies", place, covers, str(why))
            return
        for k, digest in enumerate(digests if leaves is not None else ()):
            if k in altered or _body_digest(leaves[k]) == digest:
                continue
            if suspect:
                # Decoders read a damaged frame in different ways: it is named as a whole.
                self.add("body-altered", "bodies", place, covers, "not the bodies that the leaves name")
                return
            missing = digest is None
            detail = "it is absent" if missing else "not the body that the leaf names"
            entry = (covers[0] + k, covers[0] + k + 1)
            self.add("body-missing" if missing else "body-altered", "bodies", place, entry, detail)

    def tags(self, number, covers):
        data = self.data.get("tags")
        at, digest = 24 + 8192 * number, 24 + 8192 * self.bundles + 32 * number
        if data is not None and digest + 32 <= len(data) and sha256(data[at : at + 8192]) != data[digest : digest + 32]:
            self.add("tags-altered", "tags", (at, at + 8192), covers, "not the tags that were written")


def _bundle_root(hashes):
    """The root over 256 hashes back to back."""
    while len(hashes) > 32:
        hashes = b"".join(sha256(b"\x01", hashes[at : at + 64]) for at in range(0, len(hashes), 64))
    return hashes


class _Walk:
    """The walk through the segments of a ledger, block by block."""

    def __init__(self, ledger, sealed_end, sealed_root):
        self.ledger, self.sealed_end, self.sealed_root = ledger, sealed_end, sealed_root
        self.number, self.data, self.at, self.faults = 0, b"", 256, []
        self.known, self.received, self.seal = 0, 0, ledger.seal
        number = ledger.segments[0]
        header, hint = ledger.headers[number], ledger.hints[number]
        start = ledger.first_start()
        self.size = sealed_end if start is None else start
        self.tree = ledger.start_tree if ledger.start_tree is not None else ledger.tree
        ledger.tell_header(number)
        if ledger.end is not None and self.size > sealed_end:
            file = _segment_file(number - 1) if ledger.seal is None else _set_file(sealed_end, "seal")
            ledger.add_missing(file, (sealed_end, self.size))
            self.tree = None
        first = None
        if number == 1 and ledger.about is not None:
            first = sha256(b"proofbook/wal/v1", ledger.about)
        self.chain = first or (hint.chain if hint else None)
        if isinstance(header, SegmentHeader):
            tree = self.tree
            other = tree is not None and tree.size == header.size and tree.root() != header.root
            other |= number == 1 and (header.size, header.previous_end) != (0, 0)
            if other or first not in (None, header.chain):
                detail = "it does not begin with the tree and chain value that are there"
                ledger.add("wal-altered", _segment_file(number), (0, 256), None, detail)
            self.chain = first or header.chain
        self.broken = header == "newer"

    def skip(self, before, number):
        header, gap = self.ledger.headers[number], None
        if isinstance(header, SegmentHeader) and not self.broken and header.size >= self.size:
            gap = (self.size, header.size)
        for gone in range(before + 1, min(number, before + 1 + FINDINGS_MAX)):
            self.ledger.add_missing(_segment_file(gone), gap)
        self.broken = True
        self.ledger.tell_header(number)

    def join(self, number):
        header, hint = self.ledger.headers[number], self.ledger.hints[number]
        self.ledger.tell_header(number)
        if self.broken:
            return
        if isinstance(header, SegmentHeader):
            root = self.tree.root() if self.tree is not None and self.tree.size == self.size else header.root
            chain = header.chain if self.chain is None else self.chain
            reached = (self.at, self.size, root, chain)
            follows = reached == (header.previous_end, header.size, header.root, header.chain)
            if not follows and header.size <= self.size:
                detail = "it does not begin where the one before ends"
                self.ledger.add("wal-altered", _segment_file(number), (0, 256), None, detail)
                self.broken = True
                return
        elif header == "newer":
            self.broken = True
            return
        elif not self.faults:
            follows = True
        elif hint is not None:
            follows = hint.first == self.size and self.chain in (None, hint.chain)
        else:
            follows = self.known <= self.size
        if not follows:
            self.break_off()

    def break_off(self):
        self.broken = True
        known, file = max(self.known, self.size), _segment_file(self.number)
        if not self.faults:
            start = max(self.sealed_end, self.size) if self.sealed_end < known else self.size
            self.ledger.add("entry-missing", file, None, (start, known), "others know entries behind its end")
        for code, place, (start, end), detail in self.faults:
            self.ledger.add(code, file, place, (start, known if end is None else end), detail)
        self.faults = []

    def finish(self, checkpoint):
        if self.broken:
            return
        if not self.faults:
            if checkpoint > max(self.size, self.sealed_end):
                self.break_off()
        elif self.known > self.size:
            self.break_off()
        else:
            place = (self.at, len(self.data))
            self.ledger.add("torn-tail", _segment_file(self.number), place, None, "an unfinished write")

    def reached(self):
        if self.size < self.sealed_end:
            return self.sealed_end, self.sealed_root
        tree = self.tree
        return self.size, tree.root() if tree is not None and tree.size == self.size else None

    def blocks(self, number):
        if self.broken:
            return
        self.number, self.data, self.faults = number, self.ledger.data[number], []
        self.at, self.passed_other = min(256, len(self.data)), False
        while self.at < len(self.data) and self.block():
            pass
        if self.passed_other and self.seal is not None:
            file, length, first, end = self.seal
            detail = "the segments lead to another tree where the set ends"
            self.ledger.add("manifest-altered", file, (0, length), (first, end), detail)
            self.seal = None

    def fault(self, code, place, entries, detail):
        self.faults.append((code, place, entries, detail))

    def block(self):
        """Takes the next block; False, with what is wrong with it, where it does not follow."""
        data, at = self.data, self.at
        header = parse_block_header(data, at)
        table = at + 64
        end = 0 if header is None else table + 40 * header.count + header.payload + 84
        if header is None or end > len(data):
            self.fault("wal-altered", (at, len(data)), (self.size, None), "no block, or one beyond the file")
            return False
        payload, commit = table + 40 * header.count, end - 84
        after = self.size + header.count
        entries = (self.size, after)
        size, root, received = struct.unpack_from(">Q32sQ", data, commit + 4)
        chain = sha256(header.head, data[table:payload], struct.pack(">Q", size), root)
        follows = header.first == self.size and header.received >= self.received
        follows = follows and self.chain in (None, header.chain)
        follows = follows and data[commit : commit + 4] == b"PBCM" and (size, received) == (after, header.received)
        rows = list(struct.iter_unpack(">II32s", data[table:payload]))
        if not follows or data[commit + 52 : end] != chain or not self.fit(rows, header.payload):
            self.fault("wal-altered", (at, end), entries, "header, table or commit record is not what was written")
            return False
        hashes, bad = self.payload(rows, payload)
        tree, told = None, {}
        other = False
        if self.tree is not None:
            tree = self.tree.copy()
            below = tree.size < self.sealed_end
            for index, value in enumerate(hashes, self.size):
                if index < tree.size:
                    continue
                tree.push(value)
                if tree.size in self.ledger.asked and tree.size > self.ledger.passed:
                    told[tree.size] = tree.root()
                if below and tree.size == self.sealed_end and self.sealed_root not in (None, tree.root()):
                    other = True
            if tree.size == size and tree.root() != root:
                self.passed_other |= other
                self.fault("entry-altered", (payload, commit), entries, "not the leaves of the commit record's root")
                return False
        self.passed_other |= other
        for index, place, missing in bad:
            entry = (self.size + index, self.size + index + 1)
            self.fault("body-missing" if missing else "body-altered", place, entry, "not the body the leaf names")
        if bad:
            return False
        self.tree, self.size, self.chain, self.received, self.at = tree, after, chain, received, end
        self.ledger.roots.update(told)
        if told:
            self.ledger.passed = max(told)
        return True

    def fit(self, rows, payload):
        total = 0
        for leaf, body, _ in rows:
            absent = body == ABSENT
            if not 1 <= leaf <= LEAF_BYTES_MAX or not absent and (body > BODY_BYTES_MAX or self.ledger.kind == "raw"):
                return False
            total += leaf + (0 if absent else body)
        return total == payload

    def payload(self, rows, at):
        """(leaf hashes, bodies that fail)"""
        hashes, bad, data, kind = [], [], self.data, self.ledger.kind
        for index, (leaf_bytes, body_bytes, _) in enumerate(rows):
            leaf = data[at : at + leaf_bytes]
            hashes.append(leaf_hash(leaf))
            named = None if kind == "raw" else _body_digest(leaf)
            body_at = at + leaf_bytes
            if body_bytes == ABSENT:
                if kind == "audit" and named is not None:
                    bad.append((index, (at, body_at), True))
                at = body_at
                continue
            end = body_at + body_bytes
            if named != sha256(data[body_at:end]):
                bad.append((index, (body_at, end), False))
            at = end
        return hashes, bad


class _Pins:
    """A pin file: (size, root, place) of the last whole line of each origin."""

    def __init__(self, path, report):
        self.lines = OrderedDict()
        if path is None:
            return
        data = read_file(path)
        add = report.add
        if len(data) > _PIN_BYTES_MAX:
            add("pin-altered", "pin", (0, len(data)), None, "longer than any pin file")
            return
        first, feed, _ = data.partition(b"\n")
        at = len(first) + len(feed)
        if feed and _is_newer(first, b"proofbook-pin/"):
            add("format-newer", "pin", (0, at), None, "of an unknown version")
            return
        if not feed or first != b"proofbook-pin/1":
            add("pin-altered", "pin", (0, at), None, "the first line is not proofbook-pin/1")
        while at < len(data):
            line, feed, _ = data[at:].partition(b"\n")
            place = (at, at + len(line) + len(feed))
            at = place[1]
            if not feed:
                add("torn-tail", "pin", place, None, "an unfinished line")
                break
            try:
                text, _, digest = line.decode("utf-8").rpartition(" ")
                origin, size, root = text.split(" ")
                if sha256(text.encode())[:8].hex() != digest:
                    raise Malformed("a line fails its digest")
                self.lines[origin] = (_u64(size), from_b64_hash(root), place)
            except (ValueError, Malformed) as why:
                add("pin-altered", "pin", place, None, str(why))


def verify_folder(path, vkeys=(), pin=None, ledger=None):
    """A data folder. `vkeys`: texts of known keys, else the folder's own; `ledger`: only that name or ULID."""
    report = Report()
    names = os.listdir(path)
    try:
        data = read_file(os.path.join(path, "FORMAT"))
    except FileNotFoundError:
        report.add("file-missing", "FORMAT", None, None, "a data folder has it")
    else:
        if data != b"proofbook-data 1\n":
            newer = len(data) <= 64 and data.endswith(b"\n") and _is_newer(data[:-1], b"proofbook-data ")
            detail = "not the line `proofbook-data 1`"
            report.add("format-newer" if newer else "file-altered", "FORMAT", (0, len(data)), None, detail)
            if newer:
                return report
    known = ("FORMAT", "LOCK", "bootstrap.token", "ledgers", "vault", "views")
    strange = [name for name in sorted(names) if name not in known]
    folder = os.path.join(path, "ledgers")
    below = _listed(folder)
    if below is None:
        report.add("file-missing", "ledgers", None, None, "a data folder has it")
    ulids = []
    for name in below or ():
        if _ULID.match(name) and _listed(os.path.join(folder, name)) is not None:
            ulids.append(name)
        else:
            strange.append("ledgers/" + name)
    _add_strange(report.add, strange)
    pins = _Pins(pin, report)
    if ledger is not None:
        ulids = [ulid for ulid in ulids if ledger in (ulid, _name_of(os.path.join(folder, ulid, "LEDGER")))]
        if not ulids:
            raise Malformed("the folder has no ledger %s" % ledger)
    given = given_keys(vkeys)
    whole = True
    for ulid in ulids:
        judged = _Ledger(os.path.join(folder, ulid), ulid, report, given, pins)
        report.ledgers.append(judged.judge())
        report.note("unwitnessed")
        whole &= judged.whole
    if whole and ledger is None:
        origins = [answer["origin"] for answer in report.ledgers]
        for origin, (size, _, place) in pins.lines.items():
            if origin not in origins:
                report.add("rollback", "pin", place, (0, size), "the pin knows a ledger that is not there")
    report.notes.sort(key=list(VERDICTS).index)
    return report


def _name_of(path):
    try:
        match = _ABOUT.match(read_file(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return match.group("name").decode() if match else None


# The command line.


def _arguments(argv):
    parser = argparse.ArgumentParser(prog="proofbook_verify.py", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    proof = commands.add_parser("proof", help="a receipt with its entry")
    proof.add_argument("proof")
    proof.add_argument("entry")
    trust = proof.add_mutually_exclusive_group(required=True)
    trust.add_argument("--vkey", action="append")
    trust.add_argument("--policy")
    entry = commands.add_parser("entry", help="an entry JSON by itself")
    entry.add_argument("entry")
    tiles = commands.add_parser("tiles", help="an export in the tiles layout")
    tiles.add_argument("folder")
    tiles.add_argument("--vkey", action="append", default=[], help="known keys; else the export's own")
    folder = commands.add_parser("folder", help="a whole data folder")
    folder.add_argument("folder")
    folder.add_argument("--vkey", action="append", default=[], help="known keys; else the folder's own")
    folder.add_argument("--pin", help="the pin file; else nothing tells an older state from the newest")
    folder.add_argument("--ledger", help="only the ledger of this name or ULID")
    for command in (proof, entry, tiles, folder):
        command.add_argument("--json", action="store_true", help="the whole answer as one JSON object")
    return parser.parse_args(argv)


def _run(arguments):
    if arguments.command == "entry":
        return verify_entry(read_file(arguments.entry, ENTRY_JSON_BYTES_MAX))
    if arguments.command == "tiles":
        return verify_tiles(arguments.folder, arguments.vkey)
    if arguments.command == "folder":
        return verify_folder(arguments.folder, arguments.vkey, arguments.pin, arguments.ledger)
    if arguments.policy is not None:
        policy = Policy.parse(read_file(arguments.policy, POLICY_BYTES_MAX))
    else:
        policy = Policy(given_keys(arguments.vkey))
    proof = read_file(arguments.proof, PROOF_FILE_BYTES_MAX)
    entry = read_file(arguments.entry, ENTRY_JSON_BYTES_MAX)
    return verify_proof(proof, entry, policy)


def _show(report, as_json, out):
    if as_json:
        out.write(json.dumps(report.as_json()) + "\n")
        return
    for ledger in report.ledgers:
        values = (ledger["origin"], ledger["size"], ledger["checkpoint"], ledger["root"])
        out.write(terminal_safe("%s: %s entries, checkpoint %s, root %s" % values) + "\n")
    for finding in report.findings:
        where = "%s/%s" % (finding.ledger, finding.file) if finding.ledger else finding.file or "proof"
        for word, span in (("bytes", finding.bytes), ("entries", finding.entries)):
            where += ", %s %d..%d" % ((word,) + tuple(span)) if span else ""
        out.write(terminal_safe("%s: %s: %s" % (finding.code, where, finding.detail)) + "\n")
    if report.dropped:
        out.write("%d further findings are not listed\n" % report.dropped)
    for note in report.notes:
        out.write("note: %s\n" % note)
    if report.unproven:
        out.write("unproven: %s of the entry: nothing that was checked vouches for it\n" % " and ".join(report.unproven))
    out.write("verdict: %s\n" % report.verdict)


def main(argv=None, out=None, err=None):
    """The exit code of the command line `argv`."""
    out, err = out or sys.stdout, err or sys.stderr
    try:
        arguments = _arguments(argv)
    except SystemExit as stop:
        return stop.code
    try:
        report = _run(arguments)
    except (OSError, TooLarge, Malformed) as why:
        err.write("proofbook_verify: %s\n" % terminal_safe(str(why)))
        return 2 if isinstance(why, Malformed) else 1
    _show(report, arguments.json, out)
    return report.exit


if __name__ == "__main__":
    sys.exit(main())
