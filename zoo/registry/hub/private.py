"""Names of huggingface_hub and its HTTP library that they do not publish: all that genae uses.

Where one of them disappears, `tests/registry/test_private.py` fails by its name.
"""

from collections.abc import Callable
from typing import Any

import httpx2
from httpx2 import _utils
from huggingface_hub import HfApi
from huggingface_hub.utils import _http

#: What is looked up, and where: module or class, name.
USED: tuple[tuple[Any, str], ...] = (
    (_http, "_GLOBAL_CLIENT_FACTORY"),
    (_http, "default_client_factory"),
    (_http, "hf_request_event_hook"),
    (_http, "get_session"),
    (_http, "hf_raise_for_status"),
    (HfApi, "_build_hf_headers"),
    (_utils, "URLPattern"),
    (_utils, "get_environment_proxies"),
)

get_session = _http.get_session
raise_for_status = _http.hf_raise_for_status
request_hook = _http.hf_request_event_hook
URLPattern = _utils.URLPattern
environment_proxies = _utils.get_environment_proxies


def client_factory() -> Callable[[], httpx2.Client]:
    """What makes huggingface_hub's client now: someone's own, or its default."""
    own: Callable[[], httpx2.Client] | None = _http._GLOBAL_CLIENT_FACTORY
    return own or _http.default_client_factory


def headers(api: HfApi) -> dict[str, str]:
    """The headers of a request, the token among them."""
    return api._build_hf_headers()
