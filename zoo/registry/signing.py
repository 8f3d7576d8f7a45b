"""Signatures over a model's folder, with the package model-signing and local keys.

They are optional (`pip install genae[signing]`): the base of trust is git, the manifest and the
SHA-256 of every file. A signature adds who made them.
"""

import os
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError, MissingDependencyError, NotFoundError, UsageError

SIGNATURE = "model.sig"
#: Paths of PEM files, in the environment: the private key to sign with, the public one to trust.
SIGN_WITH = "GENAE_SIGNING_KEY"
TRUST = "GENAE_TRUSTED_KEY"


def sign(folder: Path) -> bool:
    """Sign a folder if a private key is configured; whether it was.

    Raises:
        MissingDependencyError: model-signing is not installed.
        NotFoundError: there is no such key.
        UsageError: the key is none.
    """
    key = _key(SIGN_WITH)
    if key is None:
        return False
    hashing, signing, _ = _modules()
    try:
        config = signing.Config().use_elliptic_key_signer(private_key=key)
        config.set_hashing_config(_hashing(hashing, folder))
        config.sign(folder, folder / SIGNATURE)
    except (ValueError, TypeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{SIGN_WITH}={key}: cannot sign with it ({reason}).") from None
    return True


def check(folder: Path) -> bool:
    """Check a folder's signature if a public key is configured; whether there was one to check.

    Raises:
        IntegrityError: not signed, signed by another key, or other files than were signed.
        MissingDependencyError: model-signing is not installed.
        NotFoundError: there is no such key.
    """
    key = _key(TRUST)
    if key is None:
        return False
    signature = folder / SIGNATURE
    if not signature.is_file():
        raise IntegrityError(f"{folder}: not signed, and {TRUST} asks for a signature.")
    hashing, _, verifying = _modules()
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=key)
        config.set_hashing_config(_hashing(hashing, folder))
        config.verify(folder, signature)
    except Exception as error:  # what it raises is its own business: it is not verified
        reason = " ".join(str(error).split())[:300]
        raise IntegrityError(
            f"{folder}: its signature is not valid for {TRUST} ({reason})."
        ) from None
    return True


def _hashing(hashing: Any, folder: Path) -> Any:
    """All files but the signature; in the Hub's cache they are links."""
    config = hashing.Config().set_ignored_paths(paths=[folder / SIGNATURE])
    return config.set_allow_symlinks(True)


def _key(variable: str) -> Path | None:
    text = os.environ.get(variable, "")
    if not text:
        return None
    path = Path(os.path.expanduser(text))
    if not path.is_file():
        raise NotFoundError(f"{variable} names {text!r}, which is no file.")
    return path


def _modules() -> tuple[Any, Any, Any]:
    try:
        from model_signing import hashing, signing, verifying
    except ImportError:
        raise MissingDependencyError(
            "signatures need model-signing: `pip install genae[signing]`."
        ) from None
    return hashing, signing, verifying
