"""NKeys and XKeys against the recorded vectors (spec auth sections 1 and 2)."""

import base64
import json
from pathlib import Path

import pytest

from gossamer.auth.keys import (
    KeyKind,
    KeyPair,
    NkeyError,
    crc16,
    decode_public,
    decode_seed,
    encode_base32,
    is_public,
    public_kind,
    verify,
)
from gossamer.auth.xkeys import CurveKeyPair

VECTORS = Path(__file__).parent / "vectors"
NKEYS = json.loads((VECTORS / "nkeys.json").read_text())
XKEY = json.loads((VECTORS / "xkey.json").read_text())

#: Texts that the reference takes and we refuse (spec auth section 26.7).
STRICTER = {"user prefix with only 16 bytes of key, good crc", "seed with 31 raw bytes, good crc"}


@pytest.mark.parametrize("key", NKEYS["keys"], ids=lambda key: key["public"][:6])
def test_a_key_reads_and_writes_exactly(key):
    kind = KeyKind[key["kind"].upper()]
    raw = bytes.fromhex(key["raw_seed_hex"])
    assert decode_seed(key["seed"]) == (kind, raw)
    assert decode_public(key["public"])[0] is kind
    assert key["public"][0] == kind.letter
    if kind is KeyKind.CURVE:
        pair = CurveKeyPair.generate(random=lambda count: raw[:count])
        assert CurveKeyPair.from_seed(key["seed"]).public == key["public"]
    else:
        pair = KeyPair.generate(kind, random=lambda count: raw[:count])
        assert KeyPair.from_public(key["public"]).kind is kind
    assert (pair.seed, pair.public, pair.private) == (key["seed"], key["public"], key["private"])


@pytest.mark.parametrize(
    "key", [key for key in NKEYS["keys"] if key.get("signatures")], ids=lambda key: key["public"][:6]
)
def test_signatures_are_those_of_the_reference(key):
    pair = KeyPair.from_seed(key["seed"])
    for entry in key["signatures"]:
        message = entry["message"].encode()
        signature = pair.sign(message)
        assert base64.urlsafe_b64encode(signature).rstrip(b"=").decode() == entry["signature_base64url"]
        assert KeyPair.from_public(key["public"]).verify(message, signature)
        assert verify(key["public"], message, signature)
        assert not pair.verify(message + b"x", signature)
        assert not pair.verify(message, signature[:-1])


@pytest.mark.parametrize("case", NKEYS["parsing"], ids=lambda case: case["why"])
def test_parsing(case):
    for decode, expected in ((decode_public, case["from_public_key_error"]), (decode_seed, case["from_seed_error"])):
        if expected is None and case["why"] not in STRICTER:
            decode(case["input"], line_breaks=True)
        else:
            with pytest.raises(NkeyError) as caught:
                decode(case["input"], line_breaks=True)
            if expected is not None:
                assert str(caught.value) == expected


def test_line_breaks_pass_only_where_a_file_was_read():
    public = NKEYS["keys"][0]["public"]
    assert public_kind(public) is KeyKind.OPERATOR
    assert public_kind(public + "\n") is None
    assert not is_public(public, KeyKind.ACCOUNT, KeyKind.USER)


def test_spare_bits_of_a_seed_must_be_zero():
    seed = NKEYS["keys"][0]["seed"]
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567":
        if letter != seed[-1]:
            with pytest.raises(NkeyError):
                KeyPair.from_seed(seed[:-1] + letter)


@pytest.mark.parametrize("key", NKEYS["keys"], ids=lambda key: key["public"][:6])
def test_a_letter_too_many_makes_no_second_text(key):
    """``A`` adds nothing but zero bits: lists of revoked keys go by the text, so there must be only one."""
    for more in ("A", "AA"):
        with pytest.raises(NkeyError):
            decode_public(key["public"] + more)
        with pytest.raises(NkeyError):
            decode_seed(key["seed"] + more)


@pytest.mark.parametrize("sample", NKEYS["crc16"], ids=lambda sample: sample["data_hex"][:8])
def test_crc16(sample):
    assert crc16(bytes.fromhex(sample["data_hex"])) == sample["crc16"]


def test_crc16_check_value():
    assert crc16(b"123456789") == 0x31C3


@pytest.mark.parametrize("length", range(12))
def test_base32_is_the_standard_one(length):
    data = bytes(range(200, 200 + length))
    assert encode_base32(data) == base64.b32encode(data).decode().rstrip("=")


def test_a_wiped_or_public_key_does_not_sign():
    pair = KeyPair.generate(KeyKind.USER)
    public = pair.public
    pair.wipe()
    assert not pair.can_sign
    for use in (lambda: pair.sign(b""), lambda: pair.seed, lambda: KeyPair.from_public(public).sign(b"")):
        with pytest.raises(NkeyError, match="no seed or private key available"):
            use()
    assert public in repr(pair)


def test_a_curve_key_neither_signs_nor_verifies():
    with pytest.raises(NkeyError, match="curve key is not valid for sign/verify"):
        KeyPair.from_seed(XKEY["sender"]["seed"])
    with pytest.raises(NkeyError, match="curve key is not valid for sign/verify"):
        KeyPair.from_public(XKEY["sender"]["public"])
    with pytest.raises(NkeyError, match="curve key is not valid for sign/verify"):
        KeyPair.generate(KeyKind.CURVE)
    assert not verify(XKEY["sender"]["public"], b"", bytes(64))
    with pytest.raises(NkeyError, match="only curve key can seal/open"):
        CurveKeyPair.from_seed(NKEYS["keys"][0]["seed"])


@pytest.mark.parametrize("case", XKEY["sealed"], ids=lambda case: case["message"][:12])
def test_sealed_messages(case):
    sender, recipient = (CurveKeyPair.from_seed(XKEY[role]["seed"]) for role in ("sender", "recipient"))
    sealed = bytes.fromhex(case["sealed_hex"])
    assert recipient.open(sealed, sender.public) == case["message"].encode()
    assert sender.seal(case["message"].encode(), recipient.public, nonce=bytes.fromhex(case["nonce_hex"])) == sealed
    fresh = sender.seal(case["message"].encode(), recipient.public)
    assert fresh != sealed
    assert recipient.open(fresh, sender.public) == case["message"].encode()


@pytest.mark.parametrize("case", XKEY["open_failures"], ids=lambda case: case["why"])
def test_open_failures(case):
    recipient = CurveKeyPair.from_seed(XKEY["recipient"]["seed"])
    sealed = bytes.fromhex(case["sealed_hex"])
    if isinstance(case["result"], dict):
        assert recipient.open(sealed, case["sender"]) == case["result"]["message"].encode()
    else:
        with pytest.raises(NkeyError) as caught:
            recipient.open(sealed, case["sender"])
        assert str(caught.value) == case["result"]


def test_a_message_sealed_by_a_real_server_opens():
    captured = XKEY["captured_from_server"]
    pair = CurveKeyPair.from_seed(captured["xkey_seed"])
    assert pair.public == captured["xkey_pub"]
    opened = pair.open(bytes.fromhex(captured["sealed_hex"]), captured["server_xkey"])
    assert opened.startswith(b"eyJ")


def test_sealing_wants_curve_keys():
    pair = CurveKeyPair.generate()
    with pytest.raises(NkeyError, match="not a valid recipient public curve key"):
        pair.seal(b"", NKEYS["keys"][0]["public"])
    pair.wipe()
    with pytest.raises(NkeyError):
        pair.seal(b"", XKEY["recipient"]["public"])
