"""What a session's device is called, for its owner to know it again: a browser and a system, and nothing finer.

Of a User-Agent (RFC 9110 §10.1.5) only words of this page are kept: it is a fingerprint of its person otherwise.
"""

BROWSERS = {  # in this order: many claim to be several of them
    "Edg": "Edge",
    "OPR/": "Opera",
    "SamsungBrowser": "Samsung Internet",
    "Firefox": "Firefox",
    "FxiOS": "Firefox",
    "CriOS": "Chrome",
    "Chrome": "Chrome",
    "Safari": "Safari",
    "curl/": "curl",
    "python": "Python",
    "aiohttp": "Python",
    "node": "Node.js",
    "okhttp": "Android app",
}
SYSTEMS = {
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Android": "Android",
    "Windows": "Windows",
    "Mac OS X": "macOS",
    "Macintosh": "macOS",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
}


def device_label(user_agent: str) -> str:
    """A word for people, as "Firefox on Linux"; empty where nothing is known."""
    found = [_first(BROWSERS, user_agent), _first(SYSTEMS, user_agent)]
    return " on ".join(filter(None, found))


def _first(names: dict[str, str], user_agent: str) -> str:
    read = user_agent.casefold()
    return next((name for sign, name in names.items() if sign.casefold() in read), "")
