"""One folder per model: its card and, if its weights ship, the files of its Hub repository."""
