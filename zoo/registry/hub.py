"""Models published on the Hub, fetched by commit and hashed on arrival."""

from pathlib import Path

from zoo.card import Card
from zoo.errors import IntegrityError, NotAllowedError, NotFoundError
from zoo.registry import manifest


def fetch(card: Card, folder: Path, commit: str) -> Path:
    """The published files of a card, from the local cache or the Hub.

    Args:
        card: a card that names a published commit.
        folder: the card's own folder; its manifest, which came with genae, has the hashes.
        commit: the published commit (40 hex digits); a branch or tag could be moved.

    Returns:
        A folder in the Hub's cache. `HF_HUB_OFFLINE` is honoured: then only the cache is used.

    Raises:
        NotFoundError: it cannot be reached, or the commit is gone.
        NotAllowedError: the repository is gated.
        IntegrityError: a file differs from the manifest that came with genae.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError

    expected = manifest.read(folder)["files"]
    names = [manifest.MANIFEST_FILE, *(entry["path"] for entry in expected)]
    try:
        found = Path(snapshot_download(card.id, revision=commit, allow_patterns=names))
    except GatedRepoError as error:
        raise NotAllowedError(f"{card.id} is gated: ask for access on its page.") from error
    except Exception as error:  # the client's errors, and those of the HTTP library below it
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise NotFoundError(
            f"{card.id} at {commit[:12]} is not in the cache and cannot be fetched: {reason}"
        ) from error
    problems = manifest.check_hashes(found)
    if manifest.read(found)["files"] != expected:
        problems.append("its manifest is not the one that came with genae")
    if problems:
        raise IntegrityError(
            f"{found}: {'; '.join(problems)}. Remove this folder and fetch it again; "
            "if it stays different, report it."
        )
    return found
