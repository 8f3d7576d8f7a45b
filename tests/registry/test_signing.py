"""Signatures are optional; where a key is configured they must hold."""

import pytest

import zoo
from zoo import registry
from zoo.errors import IntegrityError, MissingDependencyError, NotFoundError, UsageError
from zoo.registry import signing


@pytest.fixture
def keys(tmp_path):
    """Two pairs of PEM files: `own`, `own.pub`, `other`, `other.pub`."""
    pytest.importorskip("model_signing", reason="pip install genae[signing]")
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    for name in ("own", "other"):
        key = ec.generate_private_key(ec.SECP256R1())
        (tmp_path / name).write_bytes(
            key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        )
        (tmp_path / f"{name}.pub").write_bytes(
            key.public_key().public_bytes(
                form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo
            )
        )
    return tmp_path


@pytest.fixture
def signed(ready, keys, monkeypatch):
    """A folder of models with one that was signed with the own key."""
    monkeypatch.setenv(signing.SIGN_WITH, str(keys / "own"))
    zoo.push(ready, "alice/toy", to=str(keys / "models"))
    monkeypatch.delenv(signing.SIGN_WITH)
    return str(keys / "models")


def test_a_signature_is_made_on_push_and_holds_on_pull(signed, keys, monkeypatch, tmp_path):
    pulled = registry.pull("alice/toy", tmp_path / "unchecked", source=signed)
    assert (pulled / signing.SIGNATURE).is_file()
    assert registry.verify(pulled).ok
    monkeypatch.setenv(signing.TRUST, str(keys / "own.pub"))
    pulled = registry.pull("alice/toy", tmp_path / "checked", source=signed)
    assert registry.verify(pulled).ok
    assert zoo.push(pulled, "alice/again", to=f"{keys}/models").version == "1.0.0"


def test_another_key_or_another_file_is_refused(signed, keys, monkeypatch, tmp_path):
    pulled = registry.pull("alice/toy", tmp_path / "copy", source=signed)
    monkeypatch.setenv(signing.TRUST, str(keys / "other.pub"))
    with pytest.raises(IntegrityError, match="is not valid"):
        registry.pull("alice/toy", tmp_path / "wrong-key", source=signed)
    assert not (tmp_path / "wrong-key").exists()
    monkeypatch.setenv(signing.TRUST, str(keys / "own.pub"))
    # A forger who can write a matching manifest still has no key.
    (pulled / "README.md").write_text("other words")
    from zoo.card import Card
    from zoo.registry import manifest

    manifest.write(pulled, Card.load(pulled), {"by": "a forger"})
    [problem] = registry.verify(pulled).problems
    assert "is not valid" in problem
    (pulled / signing.SIGNATURE).unlink()
    [problem] = registry.verify(pulled).problems
    assert "not signed" in problem


def test_a_signature_holds_through_a_hub(ready, keys, server, open_hub, monkeypatch):
    hub = open_hub()
    monkeypatch.setattr(registry, "open_remote", lambda place: hub)
    monkeypatch.setenv(signing.SIGN_WITH, str(keys / "own"))
    zoo.push(ready, "alice/toy")
    monkeypatch.setenv(signing.TRUST, str(keys / "own.pub"))
    assert registry.verify(open_hub("b").folder("alice/toy")).ok
    monkeypatch.setenv(signing.TRUST, str(keys / "other.pub"))
    with pytest.raises(IntegrityError, match="is not valid"):
        open_hub("c").folder("alice/toy")
    monkeypatch.delenv(signing.SIGN_WITH)
    zoo.push(ready, "alice/unsigned")
    with pytest.raises(IntegrityError, match="not signed"):
        open_hub("d").folder("alice/unsigned")


def test_keys_that_are_none(ready, keys, monkeypatch):
    monkeypatch.setenv(signing.SIGN_WITH, str(keys / "nowhere"))
    with pytest.raises(NotFoundError, match="GENAE_SIGNING_KEY"):
        zoo.push(ready, "alice/toy", to=str(keys / "models"))
    (keys / "text").write_text("no key")
    monkeypatch.setenv(signing.SIGN_WITH, str(keys / "text"))
    with pytest.raises(UsageError, match="cannot sign"):
        zoo.push(ready, "alice/toy", to=str(keys / "models"))
    assert not (keys / "models").exists()


def test_without_the_package_only_a_configured_key_is_an_error(ready, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "model_signing", None)
    zoo.push(ready, "alice/toy", to=str(tmp_path / "models"))
    (tmp_path / "key").touch()
    monkeypatch.setenv(signing.SIGN_WITH, str(tmp_path / "key"))
    with pytest.raises(MissingDependencyError, match=r"genae\[signing\]"):
        zoo.push(ready, "alice/more", to=str(tmp_path / "models"))
