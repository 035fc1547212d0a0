"""The device identity: one key in one private file, and signatures as the gateway checks them."""

import copy
import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.adapters import (
    ClientProfile,
    DeviceIdentity,
    StoreCorrupt,
    StoreError,
    StoreUnavailable,
    open_identity,
    proof_text,
)

SEED = bytes(range(32))
GOLDEN = DeviceIdentity(SEED)
DEVICE_ID = "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c"
PUBLIC_KEY = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"


def test_the_signature_is_the_one_that_the_gateway_s_own_functions_make() -> None:
    profile = ClientProfile(platform=" Linux ")
    text = proof_text(GOLDEN.device_id, profile, signed_at=1737264000000, token="tok-example", nonce="nonce-123")
    assert text == (
        f"v3|{DEVICE_ID}|gateway-client|ui|operator|operator.read,operator.write|1737264000000|tok-example|nonce-123"
        "|linux|"
    )
    assert (GOLDEN.device_id, GOLDEN.public_key) == (DEVICE_ID, PUBLIC_KEY)
    assert GOLDEN.sign(text) == (
        "CR_keHA-FY1PHEhniFUv0gZI9AkxkV0svWaz3vrGrLipU-bvnAbRozaYG1SJ_jnpM2L8HLKTs5bz4RfoodLABQ"
    )


def test_an_identity_is_made_once_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "state/deep/device.json"
    first = open_identity(path)
    content = path.read_bytes()
    assert open_identity(path).device_id == first.device_id != open_identity(tmp_path / "other.json").device_id
    assert open_identity(str(path)).sign("text") == first.sign("text")
    assert path.read_bytes() == content
    assert sorted(each.suffix for each in path.parent.iterdir()) in ([".json"], [".json", ".lock"])


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_the_file_is_for_its_user_only(tmp_path: Path) -> None:
    path = tmp_path / "state/device.json"
    former = os.umask(0)
    try:
        open_identity(path)
    finally:
        os.umask(former)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.chmod(0o644)
    open_identity(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_all_who_begin_at_once_get_the_same_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(open_identity, [tmp_path / "device.json"] * 16))
    assert len({identity.device_id for identity in found}) == 1


def private_key_of(path: Path) -> str:
    return str(json.loads(path.read_bytes())["private_key"])


def test_the_key_leaves_the_identity_by_no_way(tmp_path: Path) -> None:
    identity = open_identity(tmp_path / "device.json")
    shown = repr(identity) + str(identity) + f"{identity}"
    assert identity.device_id in shown
    assert private_key_of(tmp_path / "device.json") not in shown
    for leak in (pickle.dumps, msgspec.json.encode, json.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            leak(identity)
    with pytest.raises(AttributeError):
        identity.device_id = "other"


def good(**changes: object) -> bytes:
    stored = {
        "format": "holdfast-device-identity",
        "version": 1,
        "device_id": DEVICE_ID,
        "private_key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    }
    return json.dumps({**stored, **changes}).encode()


def test_the_form_of_the_file_does_not_change(tmp_path: Path) -> None:
    (tmp_path / "device.json").write_bytes(good())
    assert open_identity(tmp_path / "device.json").device_id == DEVICE_ID


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[" * 4000,
        good()[:-20],
        good() + b"x" * 5000,
        good(private_key="BAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),  # a key, but another one
        good(private_key="AAECAwQF"),
        good(private_key="A"),
        good(private_key="é" * 43),
        good(private_key=7),
        good(device_id="other"),
        good(version=2),
        good(format="other"),
        good(more=1),
        Ed25519PrivateKey.from_private_bytes(SEED).private_bytes_raw(),
        b'{"token":"another application\'s"}',
    ],
)
def test_a_damaged_or_foreign_file_is_told_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "device.json"
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="left as it is") as caught:
        open_identity(path)
    assert path.read_bytes() == content
    assert "AAECAwQF" not in str(caught.value) + repr(caught.value.__context__)
    assert caught.value.path == str(path)


def test_what_can_be_neither_read_nor_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path, tmp_path / "file/device.json"):
        with pytest.raises(StoreUnavailable) as caught:
            open_identity(path)
        assert isinstance(caught.value, StoreError)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file"]
