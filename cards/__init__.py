"""One folder per model: its card, and for the models that ship, the files of its Hub repository. Data only."""
