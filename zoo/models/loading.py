"""Loading by id: the seam where a registry can translate ids to folders."""


class LoadsById:
    """What models of every kind put before `PreTrainedModel` among their bases."""

    # Replaced by the registry of `zoo`; a copy of this file outside genae keeps the identity.
    resolve = staticmethod(lambda name, revision=None: name)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, revision=None, **kwargs):
        """Load a model from a folder or an id.

        Args:
            pretrained_model_name_or_path: a local folder, which always wins, or `owner/name`.
            *args: passed on to `transformers.PreTrainedModel.from_pretrained`.
            revision: a version (`v1.0.0`), branch or commit; None means the newest one.
            **kwargs: passed on likewise.

        Returns:
            The model, in eval mode.
        """
        name = cls.resolve(pretrained_model_name_or_path, revision=revision)
        load = super().from_pretrained  # type: ignore[misc]
        return load(name, *args, revision=revision or "main", **kwargs)
