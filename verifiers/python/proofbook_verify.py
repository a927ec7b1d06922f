#!/usr/bin/env python3
"""Proofbook's second verifier: checks receipts, entries and exports, with the standard library alone.

It shares no code with the Proofbook binary. Signatures (Ed25519, ML-DSA-44), the Merkle tree, tlog-tiles, signed notes
are implemented here from their specifications: RFC 8032, FIPS 204, RFC 6962, C2SP. What
is judged and how it is named: docs/formats/verdicts.md. Nothing it reads is executed, trusted or printed raw.

It verifies and does nothing else: it signs nothing, writes nothing, opens no network connection, needs no package.

    proofbook_verify.py proof 7.tlog-proof 7.entry.json --vkey VKEY | --policy FILE
    proofbook_verify.py entry 7.entry.json
    proofbook_verify.py tiles DIR --vkey VKEY

Exit codes: 0 ok, 1 the verifier could not do its work, 2 wrong use, 10 and above: the verdict's.
It does not judge a whole data folder yet: the binary does.
As a module: verify_tiles(), verify_proof(), verify_entry(), each gives a Report.
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
BODY_BYTES_MAX = 8 << 20
BLOCK_ENTRIES_MAX = 262144
BUNDLE_BYTES_MAX = 256 * (2 + LEAF_BYTES_MAX)
BODIES_BYTES_MAX = 256 << 20  # one decoded bundle of bodies
SIZE_MAX = (1 << 63) - 1
FINDINGS_MAX = 10000  # a folder that is damaged everywhere need not be listed byte by byte
FILES_MAX = 4000000
KEYS_MAX = 100

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

    def add(self, code, file, byte_range=None, entries=None, detail="", ledger=None):
        if len(self.findings) >= FINDINGS_MAX:
            self.dropped += 1
            return
        self.findings.append(Finding(code, ledger, file, byte_range, entries, detail))

    def note(self, code):
        if code not in self.notes:
            self.notes.append(code)

    @property
    def verdict(self):
        codes = [finding.code for finding in self.findings]
        return min(codes, key=_RANK.__getitem__) if codes else "ok"

    @property
    def exit(self):
        return VERDICTS[self.verdict][0]

    def damaged(self):
        return any(VERDICTS[finding.code][1] == "damage" for finding in self.findings)

    def as_json(self):
        return {
            "verdict": self.verdict,
            "exit": self.exit,
            "findings": [finding.as_json() for finding in self.findings],
            "notes": self.notes,
            "ledgers": self.ledgers,
        }


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
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
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


def _judge_checkpoint(report, file, data, policy, origin=None, malformed="proof-malformed"):
    """The checkpoint of a signed note, or None with a finding."""
    try:
        note = parse_note(data)
        checkpoint = parse_checkpoint(note.text)
        if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
            raise Malformed("size 0 with a root that is not the empty one")
    except Malformed as why:
        report.add(malformed, file, detail=str(why))
        return None
    try:
        signers = verify_note(note, policy.logs + list(policy.witnesses.values()))
        if not any(key in policy.logs and key.name == checkpoint.origin for key in signers):
            if any(key in policy.logs for key in signers):
                report.add("origin-other", file, detail="the key is not that of the checkpoint's origin")
                return None
            raise NoKnownKey("no log that was asked for has signed")
        if not policy.quorum_holds(signers):
            raise NoKnownKey("the policy's quorum of witnesses has not cosigned")
    except BadSignature as why:
        report.add("checkpoint-forged", file, detail=str(why))
        return None
    except NoKnownKey as why:
        others = [name for name, _, _ in note.signatures]
        known = [key.name for key in policy.logs]
        code = "key-unknown" if checkpoint.origin in known or set(others) & set(known) else "origin-other"
        # Whoever was given keys of another log alone is told so by the verdict on keys: none of theirs signed.
        report.add("key-unknown" if origin is None else code, file, detail=str(why))
        return None
    if origin is not None and origin != checkpoint.origin:
        report.add("origin-other", file, detail="the checkpoint is of %s" % checkpoint.origin)
        return None
    if not any(key in policy.witnesses.values() for key in signers):
        report.note("unwitnessed")
    return checkpoint


# Leaf, entry JSON, .tlog-proof.

_STRING = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"'
_TIME = r'"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z"'
_LEAF = re.compile(
    (
        r'\{"v":1,"entry_id":"[0-9A-HJKMNP-TV-Z]{26}","source":<S>(?:,"source_epoch":<S>)?'
        r'(?:,"source_seq":[0-9]{1,16})?,"action":<S>,"category":<S>,"severity":<S>,"outcome":<S>'
        r',"occurred_at":<T>,"received_at":<T>'
        r'(?:,"actor_ref":"[0-9a-f]{32}")?,"body_sha256":"([0-9a-f]{64})","body_bytes":([0-9]{1,10})\}\Z'
    )
    .replace("<S>", _STRING)
    .replace("<T>", _TIME)
    .encode()
)


def body_claim(leaf):
    """(digest, length) of the body that an audit ledger's leaf names; None for other bytes."""
    match = _LEAF.match(leaf)
    return (bytes.fromhex(match.group(1).decode()), int(match.group(2))) if match else None


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
Entry = namedtuple("Entry", "raw origin index leaf leaf_hash body body_sha256 state")


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
        value["origin"],
        value["index"],
        leaf,
        from_hex64(value["leaf_hash"]),
        None if body is None else body.encode(),
        None if raw else from_hex64(value["body_sha256"]),
        value["state"],
    )


def _judge_entry(report, file, entry):
    """Leaf and body of an entry JSON against each other."""
    here = (entry.index, entry.index + 1)
    if leaf_hash(entry.leaf) != entry.leaf_hash:
        report.add("entry-altered", file, entries=here, detail="leaf_hash is not the hash of leaf")
        return
    if entry.raw:
        return
    claim = body_claim(entry.leaf)
    if claim is None:
        report.add("entry-altered", file, entries=here, detail="the leaf is not that of an audit ledger")
    elif claim[0] != entry.body_sha256:
        report.add("body-altered", file, entries=here, detail="body_sha256 is not the one the leaf names")
    elif entry.body is None:
        report.note("body-withheld")
    elif sha256(entry.body) != claim[0] or len(entry.body) != claim[1]:
        report.add("body-altered", file, entries=here, detail="the body does not have the digest the leaf names")


def verify_entry(data, file="entry"):
    """An entry JSON by itself: leaf hash and body digest. Without a proof it says nothing about any log."""
    report = Report()
    try:
        entry = parse_entry(data)
    except Malformed as why:
        report.add("proof-malformed", file, detail=str(why))
        return report
    _judge_entry(report, file, entry)
    return report


def verify_proof(proof, entry, policy, proof_file="proof", entry_file="entry"):
    """A `.tlog-proof` with its entry JSON under a policy; the first failure is the verdict."""
    report = Report()
    file = proof_file
    try:
        index, hashes, note = parse_proof(proof)
        file = entry_file
        parsed = parse_entry(entry)
    except Malformed as why:
        report.add("proof-malformed", file, detail=str(why))
        return report
    checkpoint = _judge_checkpoint(report, proof_file, note, policy)
    if checkpoint is None:
        return report
    here = (index, index + 1)
    if parsed.origin != checkpoint.origin:
        report.add("origin-other", entry_file, entries=here, detail="entry and checkpoint are of two origins")
        return report
    if parsed.index != index:
        report.add("entry-altered", entry_file, entries=here, detail="entry and proof name two indexes")
        return report
    _judge_entry(report, entry_file, parsed)
    if not report.findings and not verify_inclusion(parsed.leaf_hash, index, checkpoint.size, hashes, checkpoint.root):
        report.add("proof-wrong", proof_file, entries=here, detail="the hashes do not lead to the signed root")
    return report


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


class _Export:
    def __init__(self, path, policy):
        self.path, self.policy, self.report = path, policy, Report()
        self.names = set(_files_below(path))
        self.known = {"checkpoint", "keys"}

    def read(self, name, limit, entries=None):
        """The file's bytes, or None with a finding."""
        self.known.add(name)
        if name not in self.names:
            self.report.add("file-missing", name, entries=entries, detail="a log of this size has it")
            return None
        try:
            return read_file(os.path.join(self.path, name), limit)
        except TooLarge as why:
            self.report.add("file-altered", name, entries=entries, detail=str(why))
            return None

    def judge(self):
        data = self.read("checkpoint", NOTE_BYTES_MAX)
        checkpoint = None if data is None else _judge_checkpoint(self.report, "checkpoint", data, self.policy)
        if checkpoint is None:
            return
        bodies = any(name.startswith("bodies/") for name in self.names)
        tree, damaged = Tree(), False
        for index in range((checkpoint.size + 255) // 256):
            damaged |= self.bundle(checkpoint.size, index, tree, bodies)
        self.upper_tiles(checkpoint.size, tree)
        root = tree.root(checkpoint.size) if tree.size == checkpoint.size else None
        if root is not None and root != checkpoint.root and not self.report.damaged():
            detail = "the entries have another root than the checkpoint"
            self.report.add("checkpoint-inconsistent", "checkpoint", entries=(0, checkpoint.size), detail=detail)
        for name in sorted(self.names - self.known):
            self.report.add("file-unknown", name, detail="no export has it")
        self.report.ledgers.append(
            {
                "ledger": None,
                "name": None,
                "origin": checkpoint.origin,
                "size": checkpoint.size,
                "checkpoint": checkpoint.size,
                "root": b64(checkpoint.root),
            }
        )

    def bundle(self, size, index, tree, bodies):
        """One entry bundle against its level-0 tile, and its bodies; the tree grows by the hashes to believe."""
        start, width = index * 256, min(256, size - index * 256)
        covers = (start, start + width)
        bundle_name = tile_path("tile/entries", index, width)
        tile_name = tile_path("tile/0", index, width)
        bundle = self.read(bundle_name, BUNDLE_BYTES_MAX, covers)
        tile = self.read(tile_name, 8192, covers)
        leaves = None
        if bundle is not None:
            try:
                leaves = decode_bundle(bundle, width)
            except Malformed as why:
                self.report.add("entry-altered", bundle_name, (0, len(bundle)), covers, str(why))
        if tile is not None and len(tile) != 32 * width:
            self.report.add("tile-altered", tile_name, (0, len(tile)), covers, "not %d hashes" % width)
            tile = None
        stored = None if tile is None else [tile[at : at + 32] for at in range(0, len(tile), 32)]
        own = None if leaves is None else [leaf_hash(leaf) for leaf in leaves]
        self.compare(bundle_name, tile_name, index, leaves, own, stored)
        for value in (own or stored or [])[:width]:
            tree.push(value)
        if bodies:
            self.bodies(index, width, leaves)
        return leaves is None

    def compare(self, bundle_name, tile_name, index, leaves, own, stored):
        if own is None or stored is None or own == stored:
            return
        # Which of the two leads to the root: the tile above knows the root of a full bundle.
        above = None
        if len(own) == 256:
            name = next((n for n in self.names if self.above(n, index)), None)
            if name is not None:
                upper = read_file(os.path.join(self.path, name), 8192)
                above = upper[index % 256 * 32 : index % 256 * 32 + 32]
        tree = Tree()
        for value in own:
            tree.push(value)
        bundle_is_good = above is not None and tree.root(len(own)) == above
        at = 0
        for offset, (mine, theirs) in enumerate(zip(own, stored)):
            end = at + 2 + len(leaves[offset])
            if mine != theirs:
                entry = (index * 256 + offset, index * 256 + offset + 1)
                if bundle_is_good:
                    place = (offset * 32, offset * 32 + 32)
                    self.report.add("tile-altered", tile_name, place, entry, "the hash is not that of the entry")
                else:
                    self.report.add("entry-altered", bundle_name, (at, end), entry, "not the entry that was hashed")
            at = end

    @staticmethod
    def above(name, index):
        path = tile_path("tile/1", index // 256)
        return name == path or name.startswith(path + ".p/")

    def bodies(self, index, width, leaves):
        name = tile_path("bodies", index, width)
        covers = (index * 256, index * 256 + width)
        data = self.read(name, BODIES_BYTES_MAX, covers)
        if data is None:
            return
        try:
            bodies = decode_bodies(data, width)
        except Malformed as why:
            self.report.add("body-altered", name, (0, len(data)), covers, str(why))
            return
        at = 0
        for offset, body in enumerate(bodies):
            end = at + 4 + len(body or b"")
            entry = (covers[0] + offset, covers[0] + offset + 1)
            claim = body_claim(leaves[offset]) if leaves is not None else None
            if claim is not None and body is None:
                self.report.add("body-missing", name, (at, end), entry, "the leaf names a body that is absent")
            elif claim is not None and sha256(body) != claim[0]:
                self.report.add("body-altered", name, (at, end), entry, "not the digest that the leaf names")
            elif leaves is not None and claim is None and body is not None:
                self.report.add("body-altered", name, (at, end), entry, "the leaf names no body")
            at = end

    def upper_tiles(self, size, tree):
        for level, index, width in tiles_of(size):
            if level == 0:
                continue
            name = tile_path("tile/%d" % level, index, width)
            first = index << (8 * (level + 1))
            covers = (first, min(size, first + (width << (8 * level))))
            data = self.read(name, 8192, covers)
            if data is None or tree.size != size:
                continue
            follows = b"".join(tree.node(8 * level, index * 256 + at) for at in range(width))
            if data != follows and not self.report.damaged():
                self.report.add("tile-altered", name, (0, len(data)), covers, "not what follows from the tiles below")


def verify_tiles(path, vkeys=(), policy=None):
    """An export in the tiles layout. `vkeys`: texts of the log's keys."""
    export = _Export(path, policy or Policy([parse_vkey(text) for text in vkeys]))
    export.judge()
    return export.report


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
    tiles.add_argument("--vkey", action="append", required=True)
    for command in (proof, entry, tiles):
        command.add_argument("--json", action="store_true", help="the whole answer as one JSON object")
    return parser.parse_args(argv)


def _run(arguments):
    if arguments.command == "entry":
        return verify_entry(read_file(arguments.entry, ENTRY_JSON_BYTES_MAX), arguments.entry)
    if arguments.command == "tiles":
        return verify_tiles(arguments.folder, arguments.vkey)
    if arguments.policy is not None:
        policy = Policy.parse(read_file(arguments.policy, POLICY_BYTES_MAX))
    else:
        policy = Policy([parse_vkey(text) for text in arguments.vkey])
    proof = read_file(arguments.proof, PROOF_FILE_BYTES_MAX)
    entry = read_file(arguments.entry, ENTRY_JSON_BYTES_MAX)
    return verify_proof(proof, entry, policy, arguments.proof, arguments.entry)


def _show(report, as_json, out):
    if as_json:
        out.write(json.dumps(report.as_json()) + "\n")
        return
    for ledger in report.ledgers:
        values = (ledger["origin"], ledger["size"], ledger["checkpoint"], ledger["root"])
        out.write(terminal_safe("%s: %s entries, checkpoint %s, root %s" % values) + "\n")
    for finding in report.findings:
        where = "%s/%s" % (finding.ledger, finding.file) if finding.ledger else finding.file
        for word, span in (("bytes", finding.bytes), ("entries", finding.entries)):
            where += ", %s %d..%d" % ((word,) + tuple(span)) if span else ""
        out.write(terminal_safe("%s: %s: %s" % (finding.code, where, finding.detail)) + "\n")
    if report.dropped:
        out.write("%d further findings are not listed\n" % report.dropped)
    for note in report.notes:
        out.write("note: %s\n" % note)
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
