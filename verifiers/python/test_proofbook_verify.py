"""Tests of the Python verifier: public vectors, and what it must refuse. Standard library only."""

import base64
import hashlib
import io
import json
import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import proofbook_verify as pv  # noqa: E402

VECTORS = os.path.join(HERE, "..", "..", "crates", "tlog", "tests", "vectors", "tlog-vectors.json")
with open(VECTORS, encoding="utf-8") as file:
    V = json.load(file)
H = pv.from_b64_hash
LOG = V["ed25519_log"]["vkey"]


def raw_entry(index, leaf, **change):
    value = {
        "ledger": "audit",
        "origin": "log.example.com/audit",
        "index": index,
        "tree_size": 300,
        "leaf_base64": pv.b64(leaf),
        "leaf_hash": pv.leaf_hash(leaf).hex(),
        "state": "present",
    }
    value.update(change)
    return json.dumps(value).encode()


class TestTree(unittest.TestCase):
    def test_roots(self):
        tree = pv.Tree()
        for index in range(70000):
            tree.push(pv.leaf_hash(b"leaf-%d" % index))
        for size, root in V["roots_b64_by_size"].items():
            self.assertEqual(pv.b64(tree.root(int(size))), root, size)
        for size, tiles in V["tiles_needed_by_size (sumdb path has an extra /8/ height element: tile/8/<L>/...; "
                             "C2SP path drops it)"].items():
            paths = {pv.tile_path("tile/%d" % level, n, w): (level, n, w) for level, n, w in pv.tiles_of(int(size))}
            for tile in tiles:
                level, index, width = paths[tile["sumdb_path"].replace("tile/8/", "tile/")]
                data = b"".join(tree.node(8 * level, index * 256 + at) for at in range(width))
                self.assertEqual(pv.sha256(data).hex(), tile["sha256_hex"])

    def test_proofs(self):
        for case in V["inclusion"]:
            proof, leaf, root = [H(x) for x in case["proof"]], H(case["leaf_hash"]), H(case["root"])
            self.assertTrue(pv.verify_inclusion(leaf, case["index"], case["size"], proof, root))
            self.assertFalse(pv.verify_inclusion(leaf, case["index"] + 1, case["size"], proof, root))
            self.assertFalse(pv.verify_inclusion(leaf, case["index"], case["size"], proof + [leaf], root))
            for at in range(len(proof)):
                wrong = proof[:at] + [bytes(32)] + proof[at + 1 :]
                self.assertFalse(pv.verify_inclusion(leaf, case["index"], case["size"], wrong, root))
        for case in V["consistency"]:
            proof, sizes = [H(x) for x in case["proof"]], (case["size1"], case["size2"])
            roots = (H(case["root1"]), H(case["root2"]))
            self.assertTrue(pv.verify_consistency(*sizes, proof, *roots))
            self.assertFalse(pv.verify_consistency(*sizes, proof + [bytes(32)], *roots))
            self.assertFalse(pv.verify_consistency(*sizes, proof, bytes(32), roots[1]))

    def test_paths_and_bundles(self):
        self.assertEqual(pv.tile_path("tile/entries", 1234067), "tile/entries/x001/x234/067")
        self.assertEqual(pv.tile_path("tile/0", 273, 112), "tile/0/273.p/112")
        bundle = bytes.fromhex(V["entry_bundle_first_3_hex"])
        self.assertEqual(pv.decode_bundle(bundle, 3), [b"leaf-0", b"leaf-1", b"leaf-2"])
        for wrong in (bundle[:-1], bundle + b"\0", bundle[1:]):
            self.assertRaises(pv.Malformed, pv.decode_bundle, wrong, 3)


class TestSignatures(unittest.TestCase):
    # RFC 8032 section 7.1, tests 1 to 3: public key, message, signature.
    RFC8032 = (
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
            "d25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
            "387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
            "4a7c15e9716ed28dc027beceea1ec40a",
        ),
    )

    def test_rfc_8032(self):
        for key, message, signature in self.RFC8032:
            key, message, signature = (bytes.fromhex(text) for text in (key, message, signature))
            self.assertTrue(pv.ed25519_verify(key, message, signature))
            self.assertFalse(pv.ed25519_verify(key, message + b"x", signature))
            for at in range(0, 64, 7):
                wrong = signature[:at] + bytes((signature[at] ^ 1,)) + signature[at + 1 :]
                self.assertFalse(pv.ed25519_verify(key, message, wrong))
            # RFC 8032 section 5.1.7: S must be below L.
            s = int.from_bytes(signature[32:], "little") + 2**252 + 27742317777372353535851937790883648493
            self.assertFalse(pv.ed25519_verify(key, message, signature[:32] + s.to_bytes(32, "little")))

    def test_weak_keys(self):
        p = 2**255 - 19
        for y in (0, 1, p - 1, p, p + 1, 2**255 + 1):
            self.assertIsNone(pv._ed25519_key(y.to_bytes(32, "little")))

    def test_ml_dsa(self):
        case = V["mldsa44_cosignature"]
        key = pv.parse_vkey(case["vkey"]).key
        message = bytes.fromhex(case["cosigned_message_hex"])
        signature = base64.b64decode(case["line_deterministic_signature"].split(" ")[2])[12:]
        self.assertTrue(pv.ml_dsa_44_verify(key, message, signature))
        self.assertFalse(pv.ml_dsa_44_verify(key, message + b"x", signature))
        for at in list(range(0, len(signature), 201)) + [len(signature) - 1, len(signature) - 10]:
            wrong = signature[:at] + bytes((signature[at] ^ 1,)) + signature[at + 1 :]
            self.assertFalse(pv.ml_dsa_44_verify(key, message, wrong), at)


class TestNotes(unittest.TestCase):
    def note(self):
        return V["ed25519_log"]["checkpoint_size_300"].encode()

    def test_all_lines(self):
        whole = V["ed25519_log"]["checkpoint_size_300"]
        whole += V["ed25519_cosignature"]["line"] + V["mldsa44_cosignature"]["line_deterministic_signature"]
        note = pv.parse_note(whole.encode())
        names = ("ed25519_log", "ed25519_cosignature", "mldsa44_cosignature")
        keys = [pv.parse_vkey(V[name]["vkey"]) for name in names]
        self.assertEqual(pv.verify_note(note, keys), keys)
        self.assertEqual(pv.parse_checkpoint(note.text).size, 300)
        changed = whole.replace("300\n", "301\n", 1)
        self.assertRaises(pv.BadSignature, pv.verify_note, pv.parse_note(changed.encode()), keys)
        self.assertRaises(pv.NoKnownKey, pv.verify_note, pv.parse_note(self.note()), keys[1:])

    def test_malformed(self):
        note = self.note()
        for wrong in (b"", note[:-1], note.replace(b"\n\n", b"\n"), note + b"\n", note + b"x\n", note + b"\xff\n",
                      note.replace(b"300", b"\x01"), b"a\n\n" + b"x" * 70000):
            self.assertRaises(pv.Malformed, pv.parse_note, wrong)
        root = pv.b64(bytes(32))
        for wrong in ("", "o\n", "o\n01\n%s\n" % root, "o\n1\nAAAA\n", "o p\n1\n%s\n" % root):
            self.assertRaises(pv.Malformed, pv.parse_checkpoint, wrong)

    def test_keys_of_other_types(self):
        for vkey in ("log.example/a+00000000+/0FB", "log.example/a+00000000+AkFB"):
            # In a note it is ignored; typed, it is an error.
            note = pv.parse_note(self.note())
            self.assertRaises(pv.NoKnownKey, pv.verify_note, note, [pv.parse_vkey(vkey)])
            self.assertRaises(pv.Malformed, pv.given_keys, [LOG, vkey])

    def test_policy(self):
        witness = V["ed25519_cosignature"]["vkey"]
        text = "# c\nlog %s\nwitness w1 %s https://w.example\ngroup g any w1\nquorum g\n" % (LOG, witness)
        policy = pv.Policy.parse(text.encode())
        proof = V["tlog_proof_index_256_size_300"].encode()
        self.assertEqual(pv.verify_proof(proof, raw_entry(256, b"leaf-256"), policy).verdict, "ok")
        alone = b"\n".join(proof.split(b"\n")[:-2]) + b"\n"
        self.assertEqual(pv.verify_proof(alone, raw_entry(256, b"leaf-256"), policy).verdict, "key-unknown")
        for wrong in (text.replace("quorum g\n", ""), text.replace("any w1", "2 w1"), text.replace("any w1", "any w2"),
                      text + "quorum g\n", text + "witness w2 %s u\n" % witness, text.replace("quorum g", "quorum x"),
                      text[:-1], text.replace("any w1", "01 w1"),
                      text.replace("log ", "log %s\nlog " % LOG)):
            self.assertRaises(pv.Malformed, pv.Policy.parse, wrong.encode())


class TestProof(unittest.TestCase):
    def check(self, proof, entry, verdict, vkey=LOG):
        report = pv.verify_proof(proof, entry, pv.Policy([pv.parse_vkey(vkey)]))
        self.assertEqual(report.verdict, verdict, report.as_json())

    def test_verdicts(self):
        proof = V["tlog_proof_index_256_size_300"].encode()
        entry = raw_entry(256, b"leaf-256")
        self.check(proof, entry, "ok")
        self.check(proof, raw_entry(256, b"leaf-257"), "proof-wrong")
        self.check(proof, raw_entry(256, b"leaf-256", leaf_hash="00" * 32), "entry-altered")
        self.check(proof, raw_entry(255, b"leaf-256"), "entry-altered")
        self.check(proof, raw_entry(256, b"leaf-256", origin="x"), "origin-other")
        self.check(proof, b"{}", "proof-malformed")
        self.check(proof, entry[:-1] + b',"index":256}', "proof-malformed")
        self.check(proof, b"[" * 100000, "proof-malformed")
        self.check(proof[1:], entry, "proof-malformed")
        self.check(proof.replace(b"\n300\n", b"\n301\n"), entry, "checkpoint-forged")
        other = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
        self.check(proof, entry, "key-unknown", other)

    def test_body(self):
        body = b'{"salt":"AA==","event":{}}'
        leaf = (
            '{"v":1,"entry_id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","source":"urn:x","action":"a.b","category":"api",'
            '"severity":"info","outcome":"unknown","occurred_at":"2026-11-24T10:00:00.000000000Z",'
            '"received_at":"2026-11-24T10:00:00.000000000Z","body_sha256":"%s","body_bytes":%d}'
        ) % (pv.sha256(body).hex(), len(body))
        value = {"ledger": "main", "origin": "o/logs/main", "index": 0, "tree_size": 1, "leaf": leaf,
                 "leaf_hash": pv.leaf_hash(leaf.encode()).hex(), "body": body.decode(),
                 "body_sha256": pv.sha256(body).hex(), "state": "present"}
        for change, verdict in (({}, "ok"), ({"body": None}, "ok"), ({"body": "{}"}, "body-altered"),
                                ({"body_sha256": "00" * 32}, "body-altered"), ({"leaf": leaf + " "}, "entry-altered"),
                                ({"ledger": "x"}, "entry-altered"), ({"tree_size": 0}, "entry-altered"),
                                ({"state": "pruned"}, "entry-altered"),
                                ({"state": "?"}, "proof-malformed"), ({"x": 1}, "proof-malformed")):
            report = pv.verify_entry(json.dumps(dict(value, **change)).encode())
            self.assertEqual(report.verdict, verdict, change)
        withheld = pv.verify_entry(json.dumps(dict(value, body=None)).encode())
        self.assertEqual(withheld.notes, ["body-withheld"])


def sign(seed, message):
    """RFC 8032 section 5.1.6, for key notes of the vectors' log."""
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | 1 << 254

    def times(scalar):
        point, double = pv._IDENTITY, pv._BASE
        while scalar:
            point = pv._point_add(point, double) if scalar & 1 else point
            double, scalar = pv._point_double(double), scalar >> 1
        return pv._compress(point)

    def number(*parts):
        return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % pv._L

    nonce = number(digest[32:], message)
    commitment = times(nonce)
    answer = (nonce + number(commitment, times(scalar), message) * scalar) % pv._L
    return commitment + answer.to_bytes(32, "little")


class TestTiles(unittest.TestCase):
    def keys(self):
        vkey = pv.parse_vkey(LOG)
        text = "proofbook-key/v1\n%s\nfrom 0\nkey %s\n" % (vkey.name, LOG)
        line = pv.b64(vkey.key_id + sign(bytes.fromhex(V["ed25519_log"]["seed_hex"]), text.encode()))
        note = "%s\n\u2014 %s %s\n" % (text, vkey.name, line)
        return (json.dumps([note], ensure_ascii=False, separators=(",", ":")) + "\n").encode()

    def export(self, folder):
        tree, leaves = pv.Tree(), [b"leaf-%d" % index for index in range(300)]
        for leaf in leaves:
            tree.push(pv.leaf_hash(leaf))
        files = {"checkpoint": V["ed25519_log"]["checkpoint_size_300"].encode(), "keys": self.keys()}
        for level, index, width in pv.tiles_of(300):
            hashes = [tree.node(8 * level, index * 256 + at) for at in range(width)]
            files[pv.tile_path("tile/%d" % level, index, width)] = b"".join(hashes)
        for index in (0, 1):
            part = leaves[index * 256 : index * 256 + 256]
            data = b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in part)
            files[pv.tile_path("tile/entries", index, len(part))] = data
        for name, data in files.items():
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)
        return files

    def test_export(self):
        with tempfile.TemporaryDirectory() as folder:
            files = self.export(folder)
            self.assertEqual(pv.verify_tiles(folder, [LOG]).verdict, "ok")
            changes = (
                ("tile/entries/000", 100, "entry-altered"),
                ("tile/entries/001.p/44", 3, "entry-altered"),
                ("tile/0/000", 40, "tile-altered"),
                ("tile/1/000.p/1", 1, "tile-altered"),
                ("checkpoint", 3, "checkpoint-forged"),
                ("keys", 30, "keys-altered"),
            )
            for name, at, verdict in changes:
                path = os.path.join(folder, name)
                data = bytearray(files[name])
                data[at] ^= 1
                with open(path, "wb") as file:
                    file.write(data)
                report = pv.verify_tiles(folder, [LOG])
                self.assertEqual(report.verdict, verdict, report.as_json())
                self.assertIn((verdict, name), [(found.code, found.file) for found in report.findings])
                os.remove(path)
                missing = pv.verify_tiles(folder, [LOG])
                self.assertTrue(any(f.code == "file-missing" and f.file == name for f in missing.findings))
                with open(path, "wb") as file:
                    file.write(files[name])
            with open(os.path.join(folder, "surplus\x1b"), "wb"):
                pass
            self.assertEqual(pv.verify_tiles(folder, [LOG]).verdict, "file-unknown")
            out = io.StringIO()
            self.assertEqual(pv.main(["tiles", folder, "--vkey", LOG], out), 32)
            self.assertNotIn("\x1b", out.getvalue())


class TestZstd(unittest.TestCase):
    """Frames that the reference implementation wrote: raw and run blocks, Huffman trees, tables of all modes."""

    WORDS = b"the log entry leaf body tree root signed witness proof event actor invoice viewed".split()

    def text(self, count):
        out, n = [], 7
        for _ in range(count):
            n = (n * 1103515245 + 12345) % (1 << 31)
            out.append(b"%s%d" % (self.WORDS[(n >> 16) % len(self.WORDS)], (n >> 8) % 10))
        return b" ".join(out)

    def records(self, count):
        return b"".join(b'{"id":%d,"w":"%s"},' % (i, self.WORDS[i * i % 14]) for i in range(count))

    def frames(self):
        return (
            (b"",
             "KLUv/SAAAQAA"
            ),
            (b"abc",
             "KLUv/SADGQAAYWJj"
            ),
            (b"x" * 5000,
             "KLUv/WCIEkUAAAh4AQCE0wMh"
            ),
            (self.text(120),
             "KLUv/WAtAgUKAILNJRqQJdUB4FeCDFjCEvKT/crd+5ZsacV4cP05B8m4U+ywKQQiTPlaEycJQZMIfq3L1zodchJREKFiTDrp"
             "KG2EpKB4S2NS+VofRKXNaFUfYqKvtcFU2ozo6QYKp9Lm9LVO8wDTgWPOFBRvJl9rkmVVHzJOOBu4GHeKHcO6D+6h8Nbdw//W"
             "RKD6AozHcbeMYFQwFMC5qs9pVV9cqIF9SaQoqQzbATBCw9ipBxA6LO3Wmpe/gByD3NFumaxp8YgIr651EDeKNxIKIITh4TNz"
             "6VniJiGEuVZk4B0GVB2XzdETX4bPOshQ8xA1BOn8gSoffPnBJyqD9SGyHe69apob8oNB0hBLId1p7ZKyoiI2TdHElAhnzQ9h"
             "KwNkh0GF0LX8UNPawtb8ce2xem3PjJQMIxtJwhlUNp+szvbYU/7XeVUF"
            ),
            (self.text(120),
             "KLUv/WQtAkUJAFJJGxGQfYAn8WFttruTXR7gc/4rB8mggEgJgxQAAhghHXASCSgYk046oBRjUjhjoFGQGWggSzFTXh6Vnop5"
             "Fmme0Utx6qWDhyWg9vpj9tB+vngFnp/fxbZ4vot/ix04Sm31ce9PHLWj3ejy4glTagNoqNF9GSWpDHsGIERgFJPrASBIUbqV"
             "NaVZ9r0M8ajH6H6YaSOYTu1VW9m0ix5CwXABpcfx4G7O8bIRC0HhUjlEO4SURMWsXa/EaROenI8eZKgJRZ0SVhjBoj4s+fJJ"
             "OjAfJutAtMdmP3yhBBIi7kKgs7SG3Ipv7KaFaWF4Khifxg9JC3dnz+DE0MdvINKGlv9oxmv4ZL+D1NvzsHdEMr32VlV5zAl9"
             "oU2RtAk5Rg1QSehVd1pVSvEDs8J8KA=="
            ),
            (self.records(400),
             "KLUv/WAsIs0XAIb2bhmguXT9kJRlq7nt59oAIG5SJplkSsBSf9UDfwBfAF4AxVpFFRGdhkxCJdIoqE7/57685/d4Dc1nxiPT"
             "4WxiyuR7bItreg6XkFxGLCIVyiSkSn2nrrRl12iRTpolxyB9LOu2xYoQEhYMKDjcwSFh4UFBwTQwPBAQ4AUNDwsJUoCBoSFB"
             "FyAwDKABBgQD0OAg4cDDQYADBQcAIsABgsIBg1VUrymXVIu1iloR0WnIJFQijYLq9H8+X97ze7yG5jPjkelwtokpk++xLa7p"
             "OVxCssuIRaRCmYRUqe/Ula5l12iReA5NjuM4btu2bds2bttisVgsFovFYrEqqteUS6oBVVSvKZdUi7WKKiJPQyahEmkUVKf/"
             "c1/Ont/jNTSfGY9Mh7OJYZl8j21xTc/hEpLLCC0iFcokpEp9p660ZblGi8RzaApLcgzWaPxmnqwjx40xVjD44AQdlGCDDC4Y"
             "wVVUrymXVIu1iioiOg3VJFQijYLq9H/uy3u+e7yG5jPjkelwNjFlcu+xLa7pOVxCchmxiLRCmYRUqe/Ulbbs2rZIPIemsCTH"
             "YI32zerJunLdGmtFKfpo1FGJNhpdNKIBgZeoIRCzSto7UUuStGkDESgECcEJQQXjMN229DPDOYcAvb4qmgnq9LxINtDW16KS"
             "wo7OevE1iUhd22tIjEfEeEgO4FMBmhx/sjtQev0aha95O2YiOllfNQncdbmuJKCvp0UngV2dLsoF9PqqaDIOuxwScXxlXHLA"
             "XUBdKGx51higr5dFJ4GdnivKBfT6WmQyWNP1IllC+4WSYvht9BifaJ9Of6SinkFVeqnDsycUwL4n/W+iOyiJ4WkjqvgZe1n6"
             "axMl/qnNltrOBqGQ9choS5xyjUPNIaKNFR0sTxB5pvCQOSPIvMKh4okR5hUOlqbG0vitQb3xDG6WcdMA7CulZJITeMQrAitU"
             "+/sW1TuWfCUpAu9yUTKEA6rl+jMooWuufwcCXVUgWAlYryQAK660A+utKZB1MmBtwFkF"
            ),
        )

    def test_frames(self):
        for data, frame in self.frames():
            frame = base64.b64decode(frame)
            self.assertEqual(pv.zstd_decode(frame, 1 << 20), data)
            for wrong in (frame[:-1], frame + b"\0", frame[1:], b"\x27" + frame[1:]):
                self.assertRaises(pv.Malformed, pv.zstd_decode, wrong, 1 << 20)
            if data:
                self.assertRaises(pv.Malformed, pv.zstd_decode, frame, len(data) - 1)

    def test_damaged_frames(self):
        for data, frame in self.frames():
            frame = base64.b64decode(frame)
            for at in range(len(frame)):
                for way in (1, 0x80, 0xFF):
                    wrong = bytearray(frame)
                    wrong[at] ^= way
                    try:
                        # Refused, or no more than what the header claims.
                        self.assertLessEqual(len(pv.zstd_decode(bytes(wrong), 1 << 16)), 1 << 16)
                    except pv.Malformed:
                        pass

    def test_xxh64(self):
        self.assertEqual(pv._xxh64(b""), 0xEF46DB3751D8E999)
        self.assertEqual(pv._xxh64(b"abc"), 0x44BC2CF5AD770999)


class TestLeaf(unittest.TestCase):
    def test_forms(self):
        """All that the event room writes: with and without epoch and actor."""
        time = '"2026-11-24T02:29:42.000000000Z"'
        head = '{"v":1,"entry_id":"01JD0000000000000000000000","source":"urn:example:app"'
        middle = ',"action":"user.login","category":"auth","severity":"info","outcome":"success"'
        tail = ',"occurred_at":%s,"received_at":%s%%s,"body_sha256":"%s","body_bytes":%%d}' % (time, time, "a5" * 32)
        actor = ',"actor_ref":"%s"' % ("0f" * 16)
        epochs = ',"source_epoch":"e\\"\\\\","source_seq":0', ',"source_epoch":"1","source_seq":9007199254740991'
        for epoch in ("",) + epochs:
            for ref in ("", actor):
                leaf = (head + epoch + middle + tail % (ref, 700)).encode()
                self.assertEqual(pv._body_digest(leaf), b"\xa5" * 32)
                self.assertIsNone(pv._body_digest(leaf + b" "))
                self.assertIsNone(pv._body_digest(leaf.replace(b"a5", b"A5")))
        self.assertIsNone(pv._body_digest(b"posted"))


class TestFolder(unittest.TestCase):
    def test_what_is_no_ledger(self):
        with tempfile.TemporaryDirectory() as folder:
            report = pv.verify_folder(folder)
            found = [(f.code, f.file) for f in report.findings]
            self.assertEqual(found, [("file-missing", "FORMAT"), ("file-missing", "ledgers")])
            with open(os.path.join(folder, "FORMAT"), "wb") as file:
                file.write(b"proofbook-data 2\n")
            report = pv.verify_folder(folder)
            self.assertEqual((report.verdict, report.exit, len(report.findings)), ("format-newer", 10, 1))
            out, err = io.StringIO(), io.StringIO()
            self.assertEqual(pv.main(["folder", folder, "--json"], out, err), 10)
            self.assertEqual(json.loads(out.getvalue())["verdict"], "format-newer")
            self.assertEqual(pv.main(["folder", folder + "/none"], out, err), 1)

    def test_findings_are_capped_and_the_verdict_is_not(self):
        report = pv.Report()
        for _ in range(pv.FINDINGS_MAX):
            report.add("file-unknown", "x")
        report.add("rollback", "pin")
        self.assertEqual((report.verdict, report.as_json()["dropped"]), ("rollback", 1))


if __name__ == "__main__":
    unittest.main()
