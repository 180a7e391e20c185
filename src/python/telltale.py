"""Telltale's reporter for Python: one file, standard library only, Python 3.9 and newer, threads and asyncio.

    import telltale                      # TELLTALE_INGEST_URL and TELLTALE_INGEST_KEY say where records go
    with telltale.start_trace("tools/call chat", layer="tool", tool="chat"):
        with telltale.span("generate", layer="api", provider="KIMI", model="kimi-k2"):
            ...

A guest in its host: no call raises, blocks or prints to stdout; memory and disk are bounded; what is lost is counted.
Without an address or a key, or with TELLTALE_DISABLED=1, every call does nothing. Times on the wire are integer
microseconds since the epoch; `at` arguments are seconds of time.perf_counter(); sizes are bytes.
"""

import asyncio
import atexit
import collections
import contextvars
import datetime
import functools
import gzip
import hashlib
import hmac
import inspect
import json
import math
import os
import queue
import random
import re
import socket
import struct
import sys
import threading
import time
import traceback as tracebacks
import weakref
import zlib

sdk_name = "telltale-py/0.1.0"

# ---------------------------------------------------------------------------------------------------------------------
# limits: those of src/core/limit.ts, by the same names
# ---------------------------------------------------------------------------------------------------------------------

KIB = 1024
MIB = 1024 * KIB
BATCH_BYTES_MAX = 1 * MIB
RUNNING_MAX = 1_000
PIECES_MAX = 1_000
NAME_BYTES_MAX = 256
ID_BYTES_MAX = 256
MESSAGE_BYTES_MAX = 8 * KIB
STACK_BYTES_MAX = 64 * KIB
ATTRIBUTES_MAX = 64
ATTRIBUTE_BYTES_MAX = 4 * KIB
ATTRIBUTES_BYTES_MAX = 16 * KIB
LABELS_MAX = 16
OUTBOX_AGE_DAYS_MAX = 14
INTERRUPTED_SECONDS_MIN = 60
FLUSHES_UNRENEWED_MAX = 4
HOSTED_FLUSH_MS = 15_000
WATCHED_FLUSH_MS = 1_000
RENEWAL_MS_MIN = 2_000
OUTBOX_BYTES_MAX = 8 * MIB
OUTBOX_RECORDS_MAX = 50_000
REPORTER_BATCH_RECORDS_MAX = 500
EXIT_FLUSH_MS_MAX = 2_000
TERMINATION_MS_MAX = 1_000
RETRY_BASE_MS = 250
RETRY_MS_MAX = 30_000
OPEN_CALLS_MAX = 10_000
SESSIONS_COUNTED_MAX = 10_000
QUIET_FLUSH_MS = 50
ERROR_GAP_MS = 100
SEND_MS_MAX = 10_000
REPLY_BYTES_MAX = 1 * MIB
GZIP_BYTES_MIN = 1 * KIB
REFUSED_KEY_RETRY_MS = 60_000
RETRY_AFTER_MS_MAX = 300_000
CIRCUIT_FAILURES_MIN = 5
CAUSES_MAX = 8
ARGUMENT_NAMES_MAX = 32
HASHED_BYTES_MAX = 256 * KIB
ATTRIBUTE_KEY_BYTES_MAX = 128
SEGMENT_BYTES_MAX = 4 * MIB
OUTBOX_DISK_BYTES_MAX = 64 * MIB
ORPHAN_SECONDS_MIN = 60
ORPHAN_SCAN_SECONDS = 30
SEGMENT_TOUCH_SECONDS = 10
DISK_RETRY_SECONDS = 10
SELF_METRIC_SECONDS = 60
# The interpreter's lock changes hands by itself every 5 ms at the fastest: the sender gives it back sooner. A sleep of
# nothing would not do, since whoever sleeps takes the lock back before anybody else has heard of it.
SLICE_MS_MAX = 0.5
BREATH_SECONDS = 0.000_05
# A record that is kept as an object until it is encoded is charged this much for its fixed members.
SPAN_BYTES_CHARGED = 700
# Slower than this, and the tick would take a process with running calls for dead.
PACE_MS_MAX = INTERRUPTED_SECONDS_MIN * 1_000 / FLUSHES_UNRENEWED_MAX
RECUT_BYTES_MIN = 16 * KIB
_RECORD_BYTES_MAX = BATCH_BYTES_MAX // 2
INTEGER_MAX = 2**53 - 1

outcomes = (
    "ok",
    "tool_error",
    "empty",
    "truncated",
    "caller_fault",
    "server_fault",
    "timeout",
    "cancelled",
    "interrupted",
)
_outcomes = frozenset(outcomes)
failures = frozenset(("tool_error", "server_fault", "timeout", "interrupted"))
session_rules = ("continuation", "conversation", "explicit", "mcp", "connection")
layers = ("shim", "websocket", "tool", "provider", "api", "storage")

# ---------------------------------------------------------------------------------------------------------------------
# text and redaction: src/core/secret_form.ts, secret_name.ts, src/wire/redact_json.ts, src/reporter/text_cut.ts
# ---------------------------------------------------------------------------------------------------------------------

redacted = "[redacted]"
unredactable = "[dropped: redaction failed]"

_key_end = r"PRIVATE KEY[A-Z ]{0,8}-----"
_user = r"""[^/\\\s:"'`<>|*?,;()[\]{}]{1,64}"""


def _form(pattern, replacement=redacted, flags=0):
    return re.compile(pattern, re.ASCII | flags), replacement


_forms = (
    _form(r"-----BEGIN [A-Z0-9 ]{0,40}%s[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}%s|\Z)" % (_key_end, _key_end)),
    _form(r"(?<![A-Za-z0-9+/=\\\s])[A-Za-z0-9+/=\\\s]{16,}-----END [A-Z0-9 ]{0,40}" + _key_end),
    _form(r"""(:\/\/[^\s:@/"'<>]{0,256}):[^\s/"'<>]{1,512}@""", r"\1:" + redacted + "@"),
    _form(r"""(:\/\/)[^\s:@/"'<>[\]]{16,512}@""", r"\1" + redacted + "@"),
    _form(r"""(\bjdbc:oracle:[a-z]{1,16}:[^\s/:@"']{1,128}\/)[^\s@/"']{1,256}@""", r"\1" + redacted + "@"),
    _form(
        r"([?&#;](?:amp;)?(?:sig|signature|x-amz-signature|x-amz-security-token|x-amz-credential|x-goog-signature"
        r"""|x-goog-credential|key|auth)=)[^&\s"'`#<>]{6,}""",
        r"\1" + redacted,
        re.I,
    ),
    _form(r"""([?&#](?:amp;)?code=)(?=[^&\s"'`#<>]{0,64}\d)[^&\s"'`#<>]{12,}""", r"\1" + redacted, re.I),
    _form(r"""\b(AccountKey|SharedAccessKey|SharedAccessSignature)=[^;\s"'`]{4,}""", r"\1=" + redacted, re.I),
    _form(
        r"\b(bearer(?:[ \t]{1,4}|%20))(?=[A-Za-z._~+/=-]{0,512}[0-9]|[A-Za-z0-9._~+/=-]{20})[A-Za-z0-9._~+/=-]{8,}",
        r"\1" + redacted,
        re.I,
    ),
)
_homes = tuple(
    _form(pattern, r"\1[user]")
    for pattern in (
        r"((?<![A-Za-z0-9_.~-])(?:\/mnt)?(?:\/[a-z])?\/(?:home|Users)\/)%s(?=\/)" % _user,
        r"""((?:HOME|PWD|USERPROFILE|cwd)\\{0,4}["']?[=:][ \t]{0,4}\\{0,4}["']?\/(?:home|Users)\/)%s""" % _user,
        r"""(\b[A-Za-z]:[\\/]{1,4}Users[\\/]{1,4})[^/\\\r\n:"<>|*?,;[\]{}]{1,64}(?=[\\/"']|\Z)""",
    )
)
# Keys and tokens that show by the prefix that their issuer gives them: src/core/secret_token.ts says whose.
_prefixed = (
    ("sk-", r"[A-Za-z0-9_-]{16,}"),
    ("gsk_ xai- r8_ pplx- nvapi- fw_ hf_ api_org_ tgp_v1_ jina_ tvly- pcsk_ lsv2_pt_ lsv2_sk_ csk- fc-", r"[A-Za-z0-9_-]{20,}"),
    ("AKIA ASIA ABIA ACCA", r"[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("AIza", r"[A-Za-z0-9_-]{30,}"),
    ("ya29. AQ.Ab GOCSPX- 1//0", r"[A-Za-z0-9_-]{20,}"),
    ("sb_secret_", r"[A-Za-z0-9_-]{8,}"),
    ("sbp_", r"[A-Za-z0-9_]{16,}"),
    ("vca_ vci_ vck_ vcp_ vcr_ vercel_blob_rw_ cfat_ cfkt_ cfut_ dop_v1_ doo_v1_ dor_v1_ dot_v1_", r"[A-Za-z0-9_-]{20,}"),
    ("fo1_ fm1_ fm2_ nfp_ napi_ rnd_ HRKU-", r"[A-Za-z0-9_-]{20,}"),
    ("pscale_tkn_ pscale_pw_ pscale_oauth_", r"[A-Za-z0-9_.-]{16,}"),
    ("v1.0-", r"[0-9a-f]{24}-[0-9a-f]{64,}"),
    ("ghp_ gho_ ghu_ ghs_ ghr_ github_pat_", r"[A-Za-z0-9_-]{20,}"),
    ("glpat- gldt- glptt- glrt- glsoat- glcbt- glft- glimt- glagent- gloas- GR1348941", r"[A-Za-z0-9_.-]{20,}"),
    ("npm_", r"[A-Za-z0-9]{36}"),
    ("pypi- dckr_pat_ dckr_oat_ rubygems_ cio AKCp", r"[A-Za-z0-9_-]{26,}"),
    ("sk_live_ sk_test_ sk_prod_ rk_live_ rk_test_ rk_prod_", r"[A-Za-z0-9]{16,}"),
    ("whsec_", r"[A-Za-z0-9+/]{16,}"),
    ("sq0atp- sq0csp- shpat_ shpca_ shppa_ shpss_", r"[A-Za-z0-9_-]{20,}"),
    ("SK key-", r"[0-9a-f]{32}(?![A-Za-z0-9])"),
    ("SG.", r"[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    ("xkeysib- xsmtpsib-", r"[A-Za-z0-9-]{32,}"),
    ("re_", r"[A-Za-z0-9]{8}_[A-Za-z0-9]{20,}"),
    ("xoxa- xoxb- xoxc- xoxd- xoxe- xoxo- xoxp- xoxr- xoxs- xapp- xoxe.xoxb- xoxe.xoxp-", r"[A-Za-z0-9-]{11,}"),
    ("hooks.slack.com/services/ hooks.slack.com/workflows/ hooks.slack.com/triggers/", r"[A-Za-z0-9_/+-]{20,}"),
    ("discord.com/api/webhooks/ discordapp.com/api/webhooks/", r"[0-9]{8,24}/[A-Za-z0-9_-]{20,}"),
    ("ntn_ secret_ lin_api_ lin_oauth_ figd_ figo_ ATATT3 ATCTT3 PMAK-", r"[A-Za-z0-9_-]{26,}"),
    ("pat", r"[A-Za-z0-9]{14}\.[0-9a-f]{64}"),
    ("sl.", r"[A-Za-z0-9_-]{60,}"),
    ("sntrys_ sntryu_ glsa_ glc_ bkua_ pul- NRAK- NRJS-", r"[A-Za-z0-9+/_-]{20,}"),
    ("dapi", r"[0-9a-f]{32}"),
    ("dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit.", r"[A-Za-z0-9_.-]{20,}"),
    ("hvs. hvb. hvr.", r"[A-Za-z0-9_-]{20,}"),
    ("sdk- mob- api-", r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![A-Za-z0-9])"),
    ("AGE-SECRET-KEY-1", r"[A-Z0-9]{20,}"),
    ("tt_", r"[a-z0-9]{12}_[A-Za-z0-9_-]{20,}"),
    ("eyJ", r"[A-Za-z0-9_-]{12,}\.[A-Za-z0-9_-]{0,}(?:\.[A-Za-z0-9_-]{0,}){0,3}"),
)
_shaped = (
    r"[0-9a-f]{32}\.[A-Za-z0-9]{16}(?![A-Za-z0-9])",
    r"[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}",
    r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{32,}",
    r"[0-9a-f]{32}-us[0-9]{1,2}(?![A-Za-z0-9])",
    r"[MNO][A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}",
)
_token = re.compile(
    r"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{4})|(?<=%[0-9a-fA-F]{2})|(?<=\[[0-9]m)|(?<=[0-9][0-9]m))(?:"
    + "|".join(["(?:%s)%s" % (names.replace(".", r"\.").replace(" ", "|"), rest) for names, rest in _prefixed])
    + "|%s)={0,2}" % "|".join(_shaped),
    re.ASCII,
)
_bot_token = re.compile(r"(?<![A-Za-z0-9])[0-9]{8,10}:AA[A-Za-z0-9_-]{30,}", re.ASCII)
_bot_tail = re.compile(r"AA[A-Za-z0-9_-]{30,}", re.ASCII)


def without_secrets(text):
    """The text without the secrets that are known by their form, by the name before them or by their randomness, and
    without people's names in paths; the same text where there are none."""
    if len(text) < 8 or not hints_at_secret(text):
        return text
    for form, replacement in _forms:
        text = form.sub(replacement, text)
    text = _token.sub(lambda found: redacted if re.search("[A-Z0-9]", found.group()) else found.group(), text)
    text = _without_random(_without_named(_bot_token.sub(redacted, text)))
    for form, replacement in _homes:
        text = form.sub(replacement, text)
    return text


# Names and values in text: src/core/secret_pair.ts.
_pair = re.compile(
    r"(passw(?:or)?d|passphrase|passcode|pwd|secret|token|key|jwt|cookie|cred|authorization|bearer)([A-Za-z0-9_.-]{0,32})"
    r"""(\\{0,16}["'`]?\]?[ \t]{0,4}(?:=>|:=|[:=]|%3[DdAa])[ \t]{0,4}(?:\[(?=\\{0,16}["']))?|\\{0,16}["'][ \t]{0,4},"""
    r"""[ \t]{0,4}(?:\\{0,16}["']value\\{0,16}["'][ \t]{0,4}:[ \t]{0,4})?(?=\\{0,16}["']))""",
    re.ASCII | re.I,
)
# Before the first of a list of two in a list, and behind its second: `[["authorization", "..."]]`.
_list_start = re.compile(r"""[\[,][ \t]{0,4}\[[ \t]{0,4}\\{0,16}["']\Z""")
_list_end = re.compile(r"""\\{0,16}["'][ \t]{0,4}\]""")
_pair_name = re.compile(r"[A-Za-z0-9_.-]{0,64}\Z")
_strong = re.compile("passw(?:or)?d|passphrase|passcode|pwd|secret", re.I)
_cookie = re.compile(r"(?:set-)?cookies?2?\Z", re.I)
_scheme = re.compile(
    r"(?:basic|bearer|digest|token|api-?key|key|negotiate|ntlm|hmac|oauth|bot|splunk|signature|aws4-hmac-sha256)[ \t]{1,4}",
    re.I,
)
_many_parts = re.compile("digest|oauth|signature|aws4|hmac", re.I)
_placeholder = re.compile(
    r"(?:null|none|nil|undefined|true|false|nan|\*{1,64}|x{3,64}|\.{3}|[$%<{(].{0,63}|\[redacted.{0,63}"
    r"|(?:os|process|import|self|this)\..{0,63})\Z",
    re.I,
)
_ends = {
    "word": re.compile(r"""[\s"'`,;&]"""),
    "line": re.compile('[\r\n"]'),
    "field": re.compile('[\r\n;"]'),
}


def _end_at(text, start, kind):
    found = _ends[kind].search(text, start)
    return found.start() if found else len(text)


def _without_named(text):
    """The text without the values that stand after the name of a secret."""
    parts, done, at = [], 0, 0
    while True:
        found = _pair.search(text, at)
        if found is None:
            break
        at = found.end()
        before = _pair_name.search(text[max(0, found.start() - 64) : found.start()]).group()
        name, sign = before + found.group(1) + found.group(2), found.group(3)
        if not is_secret_name(name):
            continue
        start = found.start() - len(before)
        begin, end, quoted = _value_at(text, at, name, sign, start > 0 and text[start - 1] == ";")
        if "," in sign and "value" not in sign.lower():
            listed = _list_start.search(text[max(0, start - 24) : start]) and _list_end.match(text[end : end + 24])
            if not listed or is_secret_name(text[begin:end]):
                continue
        if _is_secret_value(text[begin:end], name, sign, quoted):
            parts += (text[done:begin], redacted)
            done = at = end
    return "".join(parts) + text[done:] if done else text


def _value_at(text, at, name, sign, is_field):
    named = any(quote in sign for quote in "\"'`")
    authorized = name.lower().endswith("authorization")

    def skip(place):
        found = _scheme.match(text[place : place + 32]) if authorized else None
        return found.end() if found else 0

    start = at
    while start - at < 16 and text[start : start + 1] == "\\":
        start += 1
    if text[start : start + 1] and text[start] in "\"'`":
        end = _closing_at(text, start + 1, text[start], start - at)
        if end is not None:
            return start + 1 + skip(start + 1), end, True
        return start + 1, _end_at(text, start + 1, "word"), True
    skipped = skip(at)
    if (skipped and _many_parts.match(text[at : at + 9])) or _cookie.match(name):
        return at + skipped, _end_at(text, at + skipped, "line"), named
    if is_field:
        return at, _end_at(text, at, "field"), named
    return at + skipped, _end_at(text, at + skipped, "word"), named or skipped > 0


def _closing_at(text, start, quote, backslashes):
    """Where the quote closes on the same line, behind as many backslashes as it opened with; None when it does not."""
    at = start
    limit = text.find("\n", start)
    limit = len(text) if limit < 0 else limit
    while True:
        at = text.find(quote, at, limit)
        if at < 0:
            return None
        behind = 0
        while at - behind > start and text[at - behind - 1] == "\\":
            behind += 1
        if behind == backslashes:
            return at - backslashes
        if backslashes == 0 and behind % 2 == 0:
            return at
        at += 1


def _is_secret_value(value, name, sign, quoted):
    """A value of few characters or without a digit is a word: "Unexpected token: identifier" stays."""
    start = value[:96]
    if not value or _placeholder.match(start):
        return False
    if name.lower() == "pwd" and re.match(r"/|[A-Za-z]:\\", value):
        return False
    assigned = quoted or "=" in sign or "%3d" in sign.lower()
    if _strong.search(name):
        return assigned or len(value) >= 4
    if _cookie.match(name):
        return quoted or "=" in value
    if re.match(r"[0-9]{1,9}\Z", value):
        return False
    return len(value) >= 6 if re.search("[0-9]", start) else assigned and len(value) >= 8


# High-entropy text that no prefix and no name betrays: src/core/secret_random.ts.
_followers = (
    "bcdgilmnprstuwy aeijlou aehiklortu adeilorsu acdefglmnopqrstvwxy aefioru eirst aeiot abcdefglmnoprstvz es e "
    "adefilostuy abeiops acdefgiknostuv bcdfgiklmnoprstuvw aeiloprtu u acdegilmnorstuvy acehiopstuy acehioprstuy "
    "abefilmnprst aei aehi pt p e"
).split()
_common = frozenset(chr(97 + index) + letter for index, row in enumerate(_followers) for letter in row)
_random_run = re.compile("[A-Za-z0-9+/_-]{24,}")
_public_prefix = re.compile(
    r"(?:(?:sha(?:1|224|256|384|512)|md5|blake[23][bs]?)[-_:/]|(?:chatcmpl|cmpl|call|toolu|srvtoolu|msg|req|resp|conv|asst"
    r"|thread|run|step|file|batch|gen|org|proj|fp|vs|ft|evt|cus|pi|pm|ch|in|sub|prod|price|acct|txn|seti|cs_test|cs_live"
    r"|dpl|prj|team|iter|sb_publishable|pk_live|pk_test|rs|ws|fc|ig|mcp)[-_])"
)


def _points_of(before, character):
    digit = character.isdigit()
    if digit != before.isdigit():
        return 2 if (before if digit else character).isalpha() else 0
    if digit or not character.isalpha() or not before.isalpha():
        return 0
    if before.islower() and character.isupper():
        return 1
    return 0 if before.lower() + character.lower() in _common else 2


def _random_reach(token):
    """(start of the first, end of the last) of the windows of 24 characters that look random; None without one."""
    if token.islower() or token.isupper() or not any(character.isupper() for character in token):
        return None
    points = [_points_of(token[i - 1] if i else "\0", character) for i, character in enumerate(token)]
    first, last, sum_, lower, upper = -1, -1, 0, 0, 0
    for i, character in enumerate(token):
        sum_ += points[i]
        lower += character.islower()
        upper += character.isupper()
        left = i - 24
        if left >= 0:
            sum_ -= points[left]
            lower -= token[left].islower()
            upper -= token[left].isupper()
        if left >= -1 and sum_ >= 20 and lower >= 3 and upper >= 3:
            first = left + 1 if first < 0 else first
            last = i + 1
    return None if first < 0 else (first, last)


def _without_random(text):
    return _random_run.sub(_random_part, text)


def _random_part(found):
    token = found.group()
    reach = _random_reach(token)
    if reach is None or _public_prefix.match(token):
        return token
    start = token.rfind("/", 0, reach[0] + 13) + 1
    while start > 0:
        before = 0 if start < 2 else token.rfind("/", 0, start - 1) + 1
        if not re.search("[A-Z]", token[before:start]):
            break
        start = before
    end = _slash_from(token, max(reach[1], reach[0] + 24) - 12)
    while end < len(token):
        following = _slash_from(token, end + 1)
        if not re.search("[A-Z]", token[end:following]):
            break
        end = following
    return token[:start] + redacted + token[end:]


def _slash_from(token, at):
    slash = token.find("/", at)
    return len(token) if slash < 0 else slash


_secret_endings = re.compile(
    "(?:passw(?:or)?d|passphrase|passcode|secrets?|apikeys?|privatekey|secretkey|accesskey|authkey|accesstoken|authtoken"
    r"|refreshtoken|idtoken|bearertoken|csrftoken|xsrftoken|clientsecret)\Z"
)
_secret_words = frozenset("pwd authorization cookie cookies jwt credential credentials cred creds bearer".split())
_key_kinds = frozenset(
    "api access private signing encryption decryption role auth ingest secret master account shared service subscription "
    "license webhook hmac ssh deploy admin client openai anthropic claude kimi moonshot glm zhipu zhipuai zai groq xai "
    "gemini google azure aws stripe sendgrid twilio supabase upstash openrouter mistral jwt deepseek cohere replicate "
    "huggingface cloudflare rsa pgp gpg tls ssl pem anon".split()
)
_measures = frozenset("count usage limit budget type rate length total max min cost ms in out".split())
_abouts = frozenset("length count enabled required present bytes expires".split())
_camel = re.compile("([a-z0-9])([A-Z])")
_no_word = re.compile("[^a-z0-9]+")


def _secret_by_words(name):
    words = _no_word.split(_camel.sub(r"\1 \2", name).lower())
    if words[-1] in _abouts:
        return False
    for index, word in enumerate(words):
        if word in _secret_words or _secret_endings.search(word):
            return True
        if word == "token" and (index + 1 == len(words) or words[index + 1] not in _measures):
            return True
        if word in ("key", "keys") and index > 0 and words[index - 1] in _key_kinds:
            return True
    return False


_known_name = functools.lru_cache(maxsize=4_096)(_secret_by_words)


def is_secret_name(name):
    """Whether what stands under this name is a secret: `api_key`, `X-Auth-Token`, `dbPassword`; not `max_tokens`."""
    return _known_name(name[-128:])  # The end of a long name says what it is.


# What argument shapes say of a value whose name says secret: its size is told.
_shape = re.compile(r"(?:string|array|object)\([0-9]{1,9}\)\Z")
_id_name = re.compile("(?:(?:^|[^A-Za-z])id|[a-z]I[dD])\\Z")


def _is_secret(name, value, rotating=False):
    """Whether the name says secret. A flag or an absence is none, nor is a number under a token's name, the shape of a
    value, or where a shell is (`PWD`)."""
    if value is None or isinstance(value, bool) or value == "" or value == redacted:
        return False
    if rotating and name in ("old", "new"):
        return True
    if not is_secret_name(name):
        return False
    if isinstance(value, (int, float)):
        return "token" not in name.lower()
    return not isinstance(value, str) or not (
        _shape.match(value) or (name == "PWD" and re.match("/|[A-Z]:", value))
    )


def _utf8(text):
    """UTF-8; a lone surrogate as U+FFFD, as every parser on the way would make it."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", "\ufffd", text).encode("utf-8")


def _redact_text(text):
    """Also by the names in it where the text is itself JSON; no longer than it was."""
    clean = without_secrets(text)
    if clean.lstrip()[:1] in ("[", "{") and hints_at_secret(clean):
        try:
            value = json.loads(clean)
            hidden = redact_json(value)
            clean = clean if hidden == value else _json(hidden)
        except (ValueError, RecursionError):
            pass
    if len(clean) <= len(text):
        return clean
    return cut_text(clean, max(len(_utf8(text)), len(redacted)))


def redact_id(text):
    """An id without the secrets in it, and with a mark (32 bits, FNV-1a) that tells it from others as before."""
    clean = _redact_text(text)
    if clean == text or len(text) < 20:
        return clean
    mark = 0x811C9DC5
    for byte in _utf8(text):
        mark = (mark ^ byte) * 0x01000193 & 0xFFFFFFFF
    clean, room = "%s~%08x" % (clean, mark), max(len(_utf8(text)), len(redacted) + 9)
    return clean if len(_utf8(clean)) <= room else _head(clean, room - 3) + "\u2026"


def redact_json(value, rotates=False):
    """Any JSON value without the secrets in it, by the names they stand under and by their own form."""
    if isinstance(value, str):
        return _redact_text(value)
    if isinstance(value, (list, tuple)):
        return [[item[0], redacted] if _names_other(item) else redact_json(item, rotates) for item in value]
    if not isinstance(value, dict):
        return value
    rotating = rotates or any(isinstance(item, str) and item == "rotate_token" for item in value.values())
    # `{"name": "Authorization", "value": "..."}`, as headers and variables are often listed.
    title = next((value[key] for key in ("name", "key", "header") if value.get(key) is not None), None)
    named = isinstance(title, str) and isinstance(value.get("value"), str) and value["value"] and is_secret_name(title)
    clean = {}
    for name, item in value.items():
        name = str(name)
        if _is_secret(name, item, rotating) or (named and name == "value"):
            item = redacted
        elif isinstance(item, str) and _id_name.search(name):
            item = redact_id(item)
        else:
            item = redact_json(item, rotating or name == "rotate_token")
        clean[_redact_text(name)] = item
    return clean


def _names_other(item):
    """Of headers as pairs, `[["authorization", "..."]]`, the second hides what the first names."""
    if not isinstance(item, (list, tuple)) or len(item) != 2 or not all(isinstance(each, str) for each in item):
        return False
    return item[1] != redacted and is_secret_name(item[0]) and not is_secret_name(item[1])


_hint_words = tuple(
    "pass pwd secret authoriza cookie jwt cred bearer oracle: :aa accesssig /home /users \\home \\users".split()
)
_signed = re.compile("[?&#;][^=]*=")
_token_run = re.compile(r"[A-Za-z0-9+./_~-]{16,}")
_hex_run = re.compile(r"[0-9a-f-]+\Z")


def hints_at_secret(text):
    """Whether a text, or the JSON of a record, could hold a secret, by form or by name; false positives cost a
    redaction, and there is no false negative."""
    low = text.lower()
    for word in _hint_words:
        if word in low:
            return True
    # Each span has a `tokens_in` and a `tokens_out`, and a session's `key` names none.
    count = low.count
    if count("token") > count('tokens_in":') + count('tokens_out":') + count('tokens"'):
        return True
    if count("key") > count('"key') - count('\\"key') or ("://" in low and "@" in low):
        return True
    if "=" in low and _signed.search(low):
        return True
    for found in _token_run.finditer(text):
        run = found.group()
        if _hex_run.match(run) or not re.search("[0-9A-Z]", run):
            continue
        start = found.start()
        if start > 0 and text[start - 1] == "\\":
            # The first letter belongs to an escape.
            run = run[5 if run[0] == "u" else 1 :]
        if _token.search(run) or _bot_tail.search(run) or _looks_random(run):
            return True
    return False


def _looks_random(text):
    return any(
        _random_reach(found.group()) is not None and not _public_prefix.match(found.group())
        for found in _random_run.finditer(text)
    )


def _head(text, bytes_max):
    return _utf8(text[:bytes_max])[:bytes_max].decode("utf-8", "ignore")


def _tail(text, bytes_max):
    data = _utf8(text[-bytes_max:])
    start = max(0, len(data) - bytes_max)
    while start < len(data) and data[start] & 0xC0 == 0x80:
        start += 1
    return data[start:].decode("utf-8", "ignore")


def _redacted_before_cut(text):
    try:
        return without_secrets(text)
    except Exception:
        return unredactable


def cut_text(text, bytes_max):
    """Text of at most `bytes_max` bytes of UTF-8, marked where something is missing, redacted before it is cut."""
    if len(text) * 3 <= bytes_max or (len(text) <= bytes_max and len(_utf8(text)) <= bytes_max):
        return text
    clean = _redacted_before_cut(text[: 2 * bytes_max])
    if len(text) <= 2 * bytes_max and len(_utf8(clean)) <= bytes_max:
        return clean
    return _head(clean, bytes_max - 3) + "\u2026"


def cut_middle(text, bytes_max):
    """The same, cut in the middle, so that the beginning and the end of a traceback both stay."""
    if len(text) * 3 <= bytes_max or (len(text) <= bytes_max and len(_utf8(text)) <= bytes_max):
        return text
    reach = 2 * bytes_max
    whole = len(text) <= 2 * reach
    head = _redacted_before_cut(text if whole else text[:reach])
    tail = head if whole else _redacted_before_cut(text[-reach:])
    if whole and len(_utf8(head)) <= bytes_max:
        return head
    mark = "\n\u2026 %d bytes and more left out \u2026\n" % (len(_utf8(text)) - bytes_max)
    room = bytes_max - len(_utf8(mark))
    kept = _head(head, -(-room // 2))
    return kept + mark + _tail(tail, room - len(_utf8(kept)))


def _safe_text(value):
    """The text of anything, whatever its __str__ does."""
    try:
        return value if type(value) is str else str(value)
    except Exception:
        return "<unreadable %s>" % type(value).__name__


def _plain(value):
    """What JSON has no word for. Objects of the host are named, never printed: their text may be content."""
    if isinstance(value, (set, frozenset, collections.deque)):
        return list(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "<%d bytes>" % len(value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    kind = type(value)
    if kind.__module__ in ("uuid", "decimal", "pathlib", "pathlib._local", "fractions", "ipaddress"):
        return str(value)
    return "<%s>" % kind.__name__


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain).encode
_quote = json.encoder.encode_basestring


def _finite(value, depth=0):
    """The same without NaN, infinities and keys that are no text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        if depth > 32:
            return "\u2026"
        return {_safe_text(key): _finite(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return "\u2026" if depth > 32 else [_finite(item, depth + 1) for item in value]
    return value


def _json(value):
    """JSON as JSON.stringify writes it: NaN and the infinities are null."""
    try:
        return _encode(value)
    except (ValueError, TypeError, RecursionError):
        return _encode(_finite(value))


def attributes_json(attributes):
    """Attributes as JSON, or, where they are too many, too large or cannot be written, a mark that says so."""
    if not attributes:
        return "{}"
    try:
        if len(attributes) > ATTRIBUTES_MAX:
            attributes = dict(list(attributes.items())[:ATTRIBUTES_MAX])
        text = _json(attributes)
        if len(text) * 3 <= ATTRIBUTES_BYTES_MAX or len(_utf8(text)) <= ATTRIBUTES_BYTES_MAX:
            return text
        clean = _json(redact_json(json.loads(text)))
        return _json({"telltale.attributes_lost": cut_text(clean, MESSAGE_BYTES_MAX // 8)})
    except Exception as error:
        return _json({"telltale.attributes_lost": cut_text(_safe_text(error), NAME_BYTES_MAX)})


def _entries(attributes):
    """A copy of attributes; what is no mapping is named in place of it."""
    if attributes.__class__ is dict:
        return attributes.copy()
    if isinstance(attributes, collections.abc.Mapping):
        return dict(attributes)
    return {} if attributes is None else {"telltale.attributes_lost": type(attributes).__name__}


def _bag(attributes):
    """The same as an object: what later changes in the host changes nothing here."""
    return json.loads(attributes_json(_entries(attributes))) if attributes is not None else {}


def _text_or_none(value, bytes_max):
    return None if value is None else cut_text(_safe_text(value), bytes_max)


def _count_or_none(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        return None
    return min(INTEGER_MAX, math.floor(value + 0.5) if isinstance(value, float) else value)


def _count_json(value):
    count = _count_or_none(value)
    return "null" if count is None else str(count)


def _number_or_none(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        return None
    return value


# ---------------------------------------------------------------------------------------------------------------------
# clock and ids: src/reporter/epoch_clock.ts, identifier.ts
# ---------------------------------------------------------------------------------------------------------------------

_instant_ns = time.perf_counter_ns
_random = random.Random()
_random.seed(int.from_bytes(os.urandom(32), "big"))
_bits = _random.getrandbits


class _EpochClock:
    """Turns monotonic instants into µs since the epoch; a trace keeps one offset, so that no clock step disturbs it."""

    def __init__(self):
        self._offset_ns = time.time_ns() - _instant_ns()
        self._checked_ns = _instant_ns()

    def offset_ns(self, now=None):
        if now is None:
            now = _instant_ns()
        if now - self._checked_ns >= 1_000_000_000:
            self._checked_ns = now
            measured = time.time_ns() - now
            if abs(measured - self._offset_ns) > 10_000_000:
                self._offset_ns = measured
        return self._offset_ns

    def now_us(self):
        return (_instant_ns() + self.offset_ns()) // 1_000


def new_trace_id():
    """32 random hex digits, never all zero (W3C trace id)."""
    return "%032x" % (_bits(128) or 1)


def new_span_id():
    """16 random hex digits, never all zero (W3C span id)."""
    return "%016x" % (_bits(64) or 1)


def _uuid_of(value):
    text = "%032x" % value
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def new_uuid():
    """A random UUID (version 4)."""
    return _uuid_of(_bits(128) & ~(0xF << 76) & ~(0x3 << 62) | 0x4 << 76 | 0x2 << 62)


def new_uuid_v7():
    """A UUID of version 7: ms since the epoch, then random bits (RFC 9562, 5.7)."""
    millis = time.time_ns() // 1_000_000 & (1 << 48) - 1
    return _uuid_of(millis << 80 | 0x7 << 76 | _bits(12) << 64 | 0x2 << 62 | _bits(62))


# ---------------------------------------------------------------------------------------------------------------------
# trace context: src/wire/trace_context.ts
# ---------------------------------------------------------------------------------------------------------------------

TraceContext = collections.namedtuple("TraceContext", "trace_id parent_span_id sampled recorded others")

_traceparent = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z", re.ASCII)
_member = re.compile(r"[^=]{1,256}=[\x20-\x7e]{1,256}\Z")


def parse_trace_context(traceparent, tracestate=None):
    """A W3C trace context as it arrived, or None. An invalid tracestate is ignored, as the recommendation asks."""
    found = _traceparent.match(traceparent.strip()) if isinstance(traceparent, str) else None
    if not found:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    members = [member.strip() for member in tracestate.split(",")] if isinstance(tracestate, str) else []
    members = [member for member in members if member]
    if len(members) > 32 or not all(_member.match(member) for member in members):
        members = []
    others = tuple(member for member in members if not member.startswith("telltale="))
    return TraceContext(trace_id, span_id, int(flags, 16) & 1 == 1, len(others) < len(members), others)


def headers_of(trace_id, span_id, others=()):
    """The context to send on from a span: always sampled, and marked so that the next recorder is not the first."""
    state = "telltale=" + span_id
    for member in others[:31]:
        if len(state) + 1 + len(member) > 512:
            break
        state += "," + member
    return {"traceparent": "00-%s-%s-01" % (trace_id, span_id), "tracestate": state}


def context_of(carrier):
    """The context in a carrier: a mapping with traceparent and tracestate, in any spelling of case, or None."""
    if not isinstance(carrier, collections.abc.Mapping):
        return None
    parent, state = carrier.get("traceparent"), carrier.get("tracestate")
    if parent is None:
        lowered = {key.lower(): value for key, value in carrier.items() if isinstance(key, str)}
        parent, state = lowered.get("traceparent"), lowered.get("tracestate")
    return parse_trace_context(parent, state)


# ---------------------------------------------------------------------------------------------------------------------
# records: src/reporter/recorded_span.ts, failure.ts, src/core/record.ts, layer.ts
# ---------------------------------------------------------------------------------------------------------------------

_active = contextvars.ContextVar("telltale_span", default=None)
_absent = object()
_message_fields = (
    *("conversation_id", "role", "model_used", "provider_used", "response_time_ms", "tool_name", "thinking_mode"),
    "token_usage",
)
_fields = frozenset(
    "name tool provider model request_id bytes_in bytes_out tokens_in tokens_out holder attributes".split()
)
_scalars = frozenset((str, int, float, bool, type(None)))
_aliases = {
    "stdio": "shim",
    "ws": "websocket",
    "daemon": "websocket",
    "tool layer": "tool",
    "tools": "tool",
    "provider layer": "provider",
    "providers": "provider",
    "ai api": "api",
    "ai api layer": "api",
    "api layer": "api",
    "kimi": "api",
    "glm": "api",
    "storage layer": "storage",
    "supabase": "storage",
    "database": "storage",
    "redis": "storage",
}


def layer_of(name):
    """The layer that a name means: aliases of the six are mapped, any other name stays, in lower case."""
    key = _safe_text(name).strip().lower()
    return _aliases.get(key, key)


def _named(value):
    text = None if value is None else _safe_text(value)
    return cut_text(text, NAME_BYTES_MAX) if text and not text.isspace() else "unnamed"


def _session_of(given):
    """(key, rule) of a text, a pair or a mapping; None where there is no key."""
    if given is None:
        return None
    key, rule = given, "explicit"
    if isinstance(given, collections.abc.Mapping):
        key, rule = given.get("key"), given.get("rule", "explicit")
    elif isinstance(given, (tuple, list)) and len(given) == 2:
        key, rule = given
    text = "" if key is None else _safe_text(key)
    if not text.strip():
        return None
    return cut_text(text, ID_BYTES_MAX), rule if rule in session_rules else "explicit"


def _is(error, *kinds):
    """As isinstance(), which asks the value for its class, and so may raise what the host's value raises."""
    return issubclass(type(error), kinds)


def outcome_of(error):
    """The outcome that an exception means for the span that it leaves."""
    if error is None or (_is(error, SystemExit) and error.code in (None, 0)):
        return "ok"
    if _is(error, asyncio.CancelledError, GeneratorExit):
        return "cancelled"
    if _is(error, KeyboardInterrupt, SystemExit):
        return "interrupted"
    if any(kind.__name__.endswith(("Timeout", "TimeoutError")) or kind is socket.timeout for kind in type(error).__mro__):
        return "timeout"
    return "tool_error"


class _Trace:
    """What the spans of one trace share. `facts`: what is known of its last provider call, for message_metadata()."""

    __slots__ = ("_id", "offset_ns", "others", "facts", "session", "tool")

    def __init__(self, trace_id, offset_ns, others):
        # A number where the id is ours: it is written in hex when it is asked for.
        self._id = trace_id
        self.offset_ns = offset_ns
        self.others = others
        self.facts = None
        self.session = None
        self.tool = None

    @property
    def trace_id(self):
        return self._id if self._id.__class__ is str else "%032x" % self._id


class Span:
    """A stretch of time in one layer, while it runs and until it is encoded. As a context manager it is the active span
    of its block, ends with it, and records the exception that leaves it. Every method is safe to call at any time."""

    __slots__ = (
        *("_reporter", "_epoch", "trace", "_id", "parent_span_id", "entry", "layer", "kind", "start_us", "end_us"),
        *("outcome", "fields", "session", "call_number", "_announced", "_token"),
    )
    recording = True

    def __init__(self, reporter, trace, parent_span_id, entry, layer, kind, at, session, call_number, fields):
        self._reporter = reporter
        self._epoch = reporter._epoch
        self.trace = trace
        self._id = _bits(64) or 1
        self.parent_span_id = parent_span_id
        self.entry = entry
        self.layer = layer if layer in layers else _named(layer)
        self.kind = kind if kind == "wait" else "work"
        self.start_us = ((_instant_ns() if at is None else _ns_of(at)) + trace.offset_ns) // 1_000
        self.end_us = None
        self.outcome = None
        self.fields = fields
        self.session = None
        self.call_number = None
        self._announced = False
        self._token = None
        if "attributes" in fields and fields["attributes"] is not None:
            fields["attributes"] = _entries(fields["attributes"])
        if session is not None or call_number is not _absent:
            self._number(session, call_number)
        if entry and trace.tool is None:
            trace.tool = fields.get("tool")
        reporter._started += 1
        running = reporter._running
        running[self._id] = self
        if len(running) > OPEN_CALLS_MAX:
            # A host that never ends its spans does not grow: the one that ran longest can still end.
            running.pop(next(iter(running)), None)
        if reporter._courier._active_since is None:
            reporter._courier.note(False)

    @property
    def trace_id(self):
        return self.trace.trace_id

    @property
    def span_id(self):
        return "%016x" % self._id

    @property
    def name(self):
        return _named(self.fields.get("name"))

    def set(self, session=_absent, call_number=_absent, attributes=None, **fields):
        """Adds what became known: name, tool, provider, model, request_id, session, call_number, bytes_in, bytes_out,
        tokens_in, tokens_out, holder; attributes are added to those that are there. Nothing after the end."""
        try:
            if self.end_us is None and self._epoch == self._reporter._epoch:
                self._merge(session, call_number, attributes, fields)
        except Exception as error:
            self._reporter._fail(error)

    def end(self, outcome="ok", at=None, session=_absent, call_number=_absent, attributes=None, **fields):
        """Ends the span, once. `at` in seconds of time.perf_counter()."""
        if self.end_us is not None:
            return
        reporter = self._reporter
        try:
            if self._epoch != reporter._epoch or reporter._closed:
                return
            reporter._running.pop(self._id, None)
            known = self.fields
            if session is not _absent or call_number is not _absent or (attributes is not None and "attributes" in known):
                self._merge(session, call_number, attributes, fields)
                known = self.fields
            elif fields or attributes is not None:
                if attributes is not None:
                    fields["attributes"] = _entries(attributes)
                # A new dictionary: the sender may be encoding the old one, to announce the span.
                self.fields = known = {**known, **fields}
            end_us = ((_instant_ns() if at is None else _ns_of(at)) + self.trace.offset_ns) // 1_000
            self.end_us = end_us if end_us > self.start_us else self.start_us
            self.outcome = outcome if outcome in _outcomes else "ok"
            if self.layer == "api":
                self._tell_trace()
            bytes_charged = SPAN_BYTES_CHARGED
            for value in known.values():
                kind = value.__class__
                if kind is str:
                    bytes_charged += len(value)
                elif kind is dict:
                    bytes_charged += 32 * len(value)
                    for item in value.values():
                        kind = item.__class__
                        if kind is str:
                            bytes_charged += len(item)
                        elif kind not in _scalars:
                            bytes_charged = OUTBOX_BYTES_MAX
            # What is large or can still change is encoded now; the rest by the sender.
            if bytes_charged < 8_192:
                waiting = reporter._outbox.put(self, bytes_charged)
            else:
                text = self.json()
                waiting = reporter._outbox.put(text, len(text))
            courier = reporter._courier
            if outcome in failures or waiting >= courier.records_max or courier._active_since is None:
                courier.note(outcome in failures, waiting)
        except Exception as error:
            reporter._fail(error)

    def headers(self):
        """The W3C headers to send on to whoever is called from within this span."""
        return headers_of(self.trace.trace_id, self.span_id, self.trace.others)

    def _merge(self, session, call_number, attributes, fields):
        if attributes is not None:
            before = self.fields.get("attributes")
            given = _entries(attributes)
            fields["attributes"] = {**before, **given} if before else given
        # A new dictionary: the sender may be encoding the old one, to announce the span.
        self.fields = {**self.fields, **fields}
        if session is not _absent or call_number is not _absent:
            self._number(session, call_number)

    def _number(self, session, call_number):
        """Numbers the call where its session becomes known. Only entry spans: the outermost recorder counts."""
        if call_number is not _absent:
            self.call_number = call_number
        if session is _absent:
            return
        before = self.session
        self.session = now = _session_of(session)
        if now and self.trace.session is None:
            self.trace.session = now
        if now and self.entry and call_number is _absent and (before is None or before[0] != now[0]):
            self.call_number = self._reporter._next_call(now[0])

    def _tell_trace(self):
        fields = self.fields
        facts = dict(self.trace.facts) if self.trace.facts else {}
        for name in ("provider", "model", "tokens_in", "tokens_out"):
            if fields.get(name) is not None:
                facts[name] = fields[name]
        facts["response_time_ms"] = (self.end_us - self.start_us) / 1_000
        self.trace.facts = facts

    def json(self):
        """The span as a record in JSON, its members those of `Span` in src/core/record.ts, in that order."""
        return self._json_and_words()[0]

    def redacted_json(self):
        """The same without secrets; only what the host said is searched for hints. None where it must not leave."""
        text, words = self._json_and_words()
        return redact_json_text(text) if hints_at_secret(words) else text

    def _json_and_words(self):
        fields = self.fields
        attributes = fields.get("attributes")
        if not fields.keys() <= _fields:
            unknown = {name: value for name, value in fields.items() if name not in _fields}
            attributes = {**unknown, **(attributes or {})}
        session = self.session
        parent = self.parent_span_id
        get = fields.get
        bag = attributes_json(attributes)
        texts = [
            None if value is None else cut_text(_safe_text(value), NAME_BYTES_MAX)
            for value in (get("request_id"), get("tool"), get("provider"), get("model"), get("holder"))
        ]
        name = self.name
        request_id, tool, provider, model, holder = ["null" if text is None else _quote(text) for text in texts]
        text = (
            '{"type":"span","trace_id":"%s","span_id":"%s","parent_span_id":%s,"layer":%s,"kind":"%s","name":%s'
            ',"start_us":%d,"end_us":%s,"outcome":%s,"entry":%s,"request_id":%s,"session":%s,"call_number":%s,"tool":%s'
            ',"provider":%s,"model":%s,"bytes_in":%s,"bytes_out":%s,"tokens_in":%s,"tokens_out":%s,"holder":%s'
            ',"attributes":%s}'
        ) % (
            self.trace.trace_id,
            self.span_id,
            "null" if parent is None else '"%s"' % parent,
            _quote(self.layer),
            self.kind,
            _quote(name),
            self.start_us,
            "null" if self.end_us is None else self.end_us,
            "null" if self.outcome is None else '"%s"' % self.outcome,
            "true" if self.entry else "false",
            request_id,
            '{"key":%s,"rule":"%s"}' % (_quote(session[0]), session[1]) if session else "null",
            _count_json(self.call_number),
            tool,
            provider,
            model,
            _count_json(get("bytes_in")),
            _count_json(get("bytes_out")),
            _count_json(get("tokens_in")),
            _count_json(get("tokens_out")),
            holder,
            bag,
        )
        texts += (name, self.layer, session[0] if session else None, bag if len(bag) > 2 else None)
        return text, "\n".join([said for said in texts if said is not None])

    def __enter__(self):
        self._token = _active.set(self)
        return self

    def __exit__(self, kind, error, stack):
        try:
            token, self._token = self._token, None
            if token is not None:
                _active.reset(token)
        except Exception:
            pass  # Left in another context than it was entered in: that context ends by itself.
        if error is None:
            self.end()
        elif self.end_us is None:
            try:
                if _is(error, Exception) and not _is(error, asyncio.CancelledError):
                    self._reporter.capture_error(error, span=self)
                self.end(outcome_of(error))
            except Exception as problem:
                self._reporter._fail(problem)
        return False

    async def __aenter__(self):
        return self.__enter__()

    async def __aexit__(self, kind, error, stack):
        return self.__exit__(kind, error, stack)


class _NoSpan:
    """The span of a reporter that records nothing."""

    __slots__ = ()
    recording = False
    trace = None
    trace_id = span_id = layer = name = ""
    parent_span_id = session = call_number = end_us = outcome = None

    def set(self, *_, **__):
        pass

    def end(self, *_, **__):
        pass

    def headers(self):
        return {"traceparent": "", "tracestate": ""}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return False


no_span = _NoSpan()


def _ns_of(at):
    if isinstance(at, (int, float)) and not isinstance(at, bool) and math.isfinite(at):
        return int(at * 1e9)
    return _instant_ns()


def at_of(epoch_seconds):
    """The `at` (seconds of time.perf_counter()) of a wall-clock time in seconds since the epoch."""
    return time.perf_counter() - (time.time() - epoch_seconds)


def failure_of(error):
    """(error_type, message, traceback) of an exception with its causes and members, or of anything else."""
    if not _is(error, BaseException):
        return type(error).__name__, cut_text(_safe_text(error), MESSAGE_BYTES_MAX), None
    message = cut_text(_safe_text(error), MESSAGE_BYTES_MAX)
    try:
        text = "".join(tracebacks.format_exception(type(error), error, error.__traceback__)).rstrip("\n")
        if sys.version_info < (3, 11):
            text += _members_text(error)
    except Exception:
        text = "%s: %s" % (type(error).__name__, message)
    return cut_text(type(error).__name__, NAME_BYTES_MAX), message, cut_middle(text, STACK_BYTES_MAX)


def _members_text(error):
    """The members of an exception group, which a Python before 3.11 does not print by itself."""
    members = getattr(error, "exceptions", None)
    if not isinstance(members, (tuple, list)) or "exceptiongroup" in type(error).__module__:
        return ""
    parts = []
    for member in members[:CAUSES_MAX]:
        if isinstance(member, BaseException):
            text = "".join(tracebacks.format_exception(type(member), member, member.__traceback__))
            parts.append("\n\n[exceptions]: " + text.rstrip("\n"))
    return "".join(parts)


def _instant_us(timestamp, otherwise_us):
    """µs since the epoch of seconds, ms or µs as a number, of a datetime or of ISO 8601 text."""
    try:
        if isinstance(timestamp, str):
            text = timestamp.strip()
            timestamp = datetime.datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text)
        if isinstance(timestamp, datetime.datetime):
            return round(timestamp.timestamp() * 1e6)
        if isinstance(timestamp, (int, float)) and not isinstance(timestamp, bool) and 0 < timestamp < math.inf:
            factor = 1e6 if timestamp < 1e11 else 1e3 if timestamp < 1e14 else 1
            return round(timestamp * factor)
    except Exception:
        pass
    return otherwise_us


def _bare(record):
    """The record without any text of its own, where redaction failed: when and how long is still told."""
    kept = {}
    for name, value in record.items():
        plain = value is None or isinstance(value, (bool, int, float))
        if plain or name in ("type", "trace_id", "span_id", "parent_span_id", "error_id", "message_id", "event_id"):
            kept[name] = value
        elif name in ("outcome", "kind"):
            kept[name] = value
        elif name in ("attributes", "context", "metadata", "labels"):
            kept[name] = {}
        elif name in ("name", "error_type", "message", "error"):
            kept[name] = unredactable
        elif name == "layer":
            kept[name] = value if value in layers else "unknown"
        elif name in ("connection_type", "direction"):
            kept[name] = "unknown"
        else:
            kept[name] = None
    return kept


def redact_json_text(text):
    """The JSON of a record without known secrets; None where it cannot be read, since it must not leave then."""
    try:
        if not hints_at_secret(text):
            return text
        record = json.loads(text)
        try:
            return _json(_redact_record(record))
        except Exception:
            return _json(_bare(record))
    except Exception:
        return None


def _redact_record(record):
    rotates = "rotate_token" in (record.get("tool"), record.get("name"), record.get("function_name"))
    clean = {}
    for name, value in record.items():
        if name == "type":
            clean[name] = value
        elif _is_secret(name, value):
            clean[name] = redacted
        elif name in ("request_id", "conversation_id") and isinstance(value, str):
            clean[name] = redact_id(value)
        elif name == "session" and isinstance(value, dict) and isinstance(value.get("key"), str):
            clean[name] = {**value, "key": redact_id(value["key"])}
        else:
            clean[name] = redact_json(value, rotates)
    return clean


# ---------------------------------------------------------------------------------------------------------------------
# outbox: in memory and on disk, in the file format that src/reporter's outbox shares
# ---------------------------------------------------------------------------------------------------------------------

_entry_head = struct.Struct("<4sII")
_batch_head = struct.Struct("<BBH16sQ")
_magic = b"TTE1"
_segment_name = re.compile(r"([0-9a-f]{16})-([0-9a-f-]{36})-(\d{6,})\.outbox\Z")


def entry_of(payload):
    """One entry of an outbox file."""
    return _entry_head.pack(_magic, len(payload), zlib.crc32(payload)) + payload


def batch_payload(batch):
    """The payload of a batch: its head, then exactly the bytes that are sent."""
    head = _batch_head.pack(1, 1 if batch.encoding else 0, batch.count, _uuid_bytes(batch.batch_id), batch.made_at_us)
    return head + batch.body


def answered_payload(batch_id):
    return b"\x02" + _uuid_bytes(batch_id)


def batch_of(payload):
    """The batch that a payload says, None where it is none."""
    if payload[:1] != b"\x01" or len(payload) < _batch_head.size:
        return None
    _, encoding, count, raw_id, made_at_us = _batch_head.unpack_from(payload)
    if encoding > 1:
        return None
    batch_id = _uuid_of(int.from_bytes(raw_id, "big"))
    return _Batch(batch_id, made_at_us, count, payload[_batch_head.size :], "gzip" if encoding else None, adopted=True)


def _uuid_bytes(text):
    return bytes.fromhex(text.replace("-", ""))


def parse_segment(data):
    """([(offset, payload)], damaged) of the bytes of an outbox file. An entry that runs past the end is a torn tail; from
    one that is damaged up to the next good one is one damage."""
    entries, damaged, at, lost = [], 0, 0, False
    while 0 <= at <= len(data) - _entry_head.size:
        magic, length, crc = _entry_head.unpack_from(data, at)
        payload = data[at + _entry_head.size : at + _entry_head.size + length]
        if magic == _magic and len(payload) < length and not lost:
            break
        if magic == _magic and len(payload) == length and zlib.crc32(payload) == crc:
            entries.append((at, payload))
            at += _entry_head.size + length
            lost = False
            continue
        damaged += not lost
        lost = True
        at = data.find(_magic, at + 1)
    return entries, damaged


class _Batch:
    """A batch whose id and bytes can no longer change. `body` is None while only the disk has it."""

    __slots__ = ("batch_id", "made_at_us", "count", "body", "encoding", "declared", "segment", "offset", "adopted", "piece")

    def __init__(self, batch_id, made_at_us, count, body, encoding, declared=0, adopted=False, piece=(1, 1)):
        self.batch_id = batch_id
        self.made_at_us = made_at_us
        self.count = count
        self.body = body
        self.encoding = encoding
        self.declared = declared
        self.segment = None
        self.offset = 0
        self.adopted = adopted
        self.piece = piece


def piece_id_of(batch_id, part):
    """The id of the first or second piece of a batch, a UUID of version 8 (RFC 9562, 5.8) that follows from its own: who
    cuts it again, after a crash, cuts the same."""
    value = int.from_bytes(hashlib.sha256(("%s %d" % (batch_id, part)).encode()).digest()[:16], "big")
    return _uuid_of(value & ~(0xF << 76) & ~(0x3 << 62) | 0x8 << 76 | 0x2 << 62)


class _Segment:
    """One file of the outbox. `fate`: `elsewhere` where another process has claimed it, which delivers what is in it."""

    __slots__ = ("path", "size", "open_ids", "own", "fate")

    def __init__(self, path, own):
        self.path = path
        self.size = 0
        self.open_ids = {}
        self.own = own
        self.fate = "here"


def _default_outbox_dir(env):
    home = os.path.expanduser("~")
    if os.name == "nt":
        base = env.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
        return os.path.join(base, "telltale", "outbox")
    if sys.platform == "darwin":
        return os.path.join(home, "Library", "Application Support", "telltale", "outbox")
    base = env.get("XDG_STATE_HOME") or os.path.join(home, ".local", "state")
    return os.path.join(base, "telltale", "outbox")


class _DiskOutbox:
    """The segments of one destination in one directory. Only the sender, and at exit the exiting thread, calls it."""

    def __init__(self, folder, ingest_url, process_id):
        self.lock = threading.RLock()
        self.folder = folder
        self.destination = hashlib.sha256(ingest_url.encode("utf-8", "replace")).hexdigest()[:16]
        self.process_id = process_id
        self.segments = []
        # Batches of segments that were deleted for want of room, and of those that others have now, until they are told.
        self.evicted = []
        self.departed = []
        self._current = None
        self._number = 0
        self._blocked_until = -math.inf
        self._checked = False
        self.usable = folder is not None

    def _ready(self):
        """Whether the directory is there, is ours and can be written."""
        if not self.usable or time.perf_counter() < self._blocked_until:
            return False
        if not self._checked:
            try:
                os.makedirs(self.folder, mode=0o700, exist_ok=True)
                mine = not hasattr(os, "geteuid") or os.stat(self.folder).st_uid == os.geteuid()
                self.usable = mine and os.access(self.folder, os.W_OK | os.X_OK)
                self._checked = True
            except OSError:
                self.usable = False
        return self.usable

    def _new_path(self):
        self._number += 1
        name = "%s-%s-%06d.outbox" % (self.destination, self.process_id, self._number)
        return os.path.join(self.folder, name)

    def append(self, batch):
        """Writes a batch; False where the disk does not take it. What was half written is cut off again."""
        if not self._ready():
            return False
        entry = entry_of(batch_payload(batch))
        try:
            if not self._make_room(len(entry)):
                raise OSError("the directory is full")
            segment = self._current
            if segment in self.segments and segment.size + len(entry) <= SEGMENT_BYTES_MAX:
                if self._put(segment, [batch], entry):
                    return True
                if segment.fate == "here":
                    return False
            segment = _Segment(self._new_path(), True)
            self._current = segment
            return self._put(segment, [batch], entry)
        except OSError:
            self._blocked_until = time.perf_counter() + DISK_RETRY_SECONDS
            return False

    def replace(self, batch, pieces):
        """Puts the pieces of a batch in its place, in its segment: all of them or none."""
        segment = batch.segment
        entries = [entry_of(batch_payload(piece)) for piece in pieces]
        with self.lock:
            try:
                good = self._ready() and segment.fate == "here" and self._put(segment, pieces, b"".join(entries), entries)
            except OSError:
                good = False
            if good:
                self.answered(batch)
            return good

    def _put(self, segment, batches, data, entries=None):
        offset = segment.size
        if not self._written(segment, data):
            return False
        if segment not in self.segments:
            self.segments.append(segment)
        for index, batch in enumerate(batches):
            batch.segment, batch.offset = segment, offset
            segment.open_ids[batch.batch_id] = batch
            offset += len(entries[index]) if entries else 0
        return True

    def _written(self, segment, data):
        try:
            return self._write(segment, data)
        except FileNotFoundError:
            if segment not in self.segments:
                raise
            self._depart(segment)
            return False

    def _depart(self, segment):
        """Another process, which found this one silent for too long, has the file now, and delivers it."""
        segment.fate = "elsewhere"
        self.departed.extend(segment.open_ids.values())
        segment.open_ids = {}
        self._forget(segment)

    def _forget(self, segment):
        if segment in self.segments:
            self.segments.remove(segment)

    def _make_room(self, size):
        """Past the bound of the directory the oldest goes, of what is ours: adopted first. False where there is none."""
        total = sum(size for _, size, _ in self._listed())
        while total + size > OUTBOX_DISK_BYTES_MAX:
            oldest = min(self.segments, key=lambda segment: segment.own, default=None)
            if oldest is None:
                return False
            total -= oldest.size
            try:
                os.unlink(oldest.path)
            except FileNotFoundError:
                self._depart(oldest)
                continue
            self.evicted.extend(oldest.open_ids.values())
            self._forget(oldest)
        return True

    def _write(self, segment, entry):
        fresh = segment not in self.segments
        flags = os.O_WRONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        file = os.open(segment.path, flags | (os.O_CREAT | os.O_EXCL if fresh else 0), 0o600)
        try:
            os.lseek(file, segment.size, os.SEEK_SET)
            view = memoryview(entry)
            try:
                while view:
                    view = view[os.write(file, view) :]
            except OSError:
                os.ftruncate(file, segment.size)
                self._blocked_until = time.perf_counter() + DISK_RETRY_SECONDS
                if fresh:
                    os.unlink(segment.path)
                return False
            segment.size += len(entry)
            return True
        finally:
            os.close(file)

    def read(self, batch):
        """The body of a batch that only the disk has, or None where another process has it, or it is damaged."""
        try:
            with open(batch.segment.path, "rb") as file:
                file.seek(batch.offset)
                magic, length, crc = _entry_head.unpack(file.read(_entry_head.size))
                payload = file.read(length)
            if magic == _magic and zlib.crc32(payload) == crc and payload[4:20] == _uuid_bytes(batch.batch_id):
                return payload[_batch_head.size :]
        except FileNotFoundError:
            self._depart(batch.segment)
        except (OSError, struct.error):
            pass
        return None

    def answered(self, batch):
        """The batch has its final answer. A segment in which every batch has one is deleted."""
        segment = batch.segment
        if segment is None:
            return
        try:
            with self.lock:
                batch.segment = None
                segment.open_ids.pop(batch.batch_id, None)
                if segment.open_ids:
                    self._written(segment, entry_of(answered_payload(batch.batch_id)))
                elif segment in self.segments:
                    self._forget(segment)
                    os.unlink(segment.path)
        except OSError:
            pass  # It is sent once more some day, which changes nothing.

    def _listed(self):
        """(path, size, mtime) of every segment of this destination."""
        found = []
        with os.scandir(self.folder) as listing:
            for item in listing:
                name = _segment_name.match(item.name)
                if name and name.group(1) == self.destination:
                    try:
                        facts = item.stat(follow_symlinks=False)
                        found.append((item.path, facts.st_size, facts.st_mtime))
                    except OSError:
                        pass
        return found

    def touch(self):
        """Shows other processes that this one lives: by every file, since any of them may be the one that is looked at."""
        for segment in list(self.segments):
            try:
                os.utime(segment.path)
            except FileNotFoundError:
                self._depart(segment)
            except OSError:
                pass

    def adopt(self):
        """The unanswered batches of segments whose process is gone, claimed by rename; ([batch], damaged)."""
        adopted, damaged = [], 0
        if not self.usable or not (self._checked or os.path.isdir(self.folder)) or not self._ready():
            return adopted, damaged
        try:
            listed = self._listed()
        except OSError:
            return adopted, damaged
        newest = {}
        for path, _, mtime in listed:
            owner = _segment_name.match(os.path.basename(path)).group(2)
            newest[owner] = max(mtime, newest.get(owner, 0))
        now = time.time()
        for path, size, _ in sorted(listed):
            owner = _segment_name.match(os.path.basename(path)).group(2)
            if owner == self.process_id or now - newest[owner] <= ORPHAN_SECONDS_MIN:
                continue
            mine = self._new_path()
            try:
                # First the date, so that nobody takes it for an orphan again under its new name.
                os.utime(path)
                os.rename(path, mine)
                batches, bad = self._parsed(mine)
                damaged += bad
                if not batches:
                    os.unlink(mine)
                    continue
            except OSError:
                continue  # Another reporter was faster.
            segment = _Segment(mine, False)
            segment.size = size
            for batch in batches:
                batch.segment = segment
                segment.open_ids[batch.batch_id] = batch
            self.segments.append(segment)
            adopted.extend(batches)
        return adopted, damaged

    def _parsed(self, path):
        """The unanswered batches of a file, without their bodies."""
        with open(path, "rb") as file:
            entries, damaged = parse_segment(file.read())
        batches = {}
        for offset, payload in entries:
            batch = batch_of(payload)
            if batch is not None:
                batch.body, batch.offset = None, offset
                batches[batch.batch_id] = batch
            elif payload[:1] == b"\x02" and len(payload) >= 17:
                batches.pop(_uuid_of(int.from_bytes(payload[1:17], "big")), None)
        return list(batches.values()), damaged


class _MemoryOutbox:
    """Records in no batch yet, bounded; the oldest is dropped first, and every drop is counted by its reason."""

    def __init__(self, lock, bytes_max=OUTBOX_BYTES_MAX, records_max=OUTBOX_RECORDS_MAX):
        self.lock = lock
        self.bytes_max = bytes_max
        self.records_max = records_max
        self.queue = collections.deque()
        self.bytes = 0
        self.recorded = 0
        self.dropped = {}
        # Records that a batch is being made of.
        self.in_hand = 0
        # Batches that only memory has.
        self.frozen_bytes = 0
        self.frozen_records = 0

    def put(self, item, size):
        """Takes JSON text, or an ended span that the sender encodes later; answers how many wait."""
        with self.lock:
            self.recorded += 1
            waiting = self.queue
            if size > _RECORD_BYTES_MAX:
                self.drop("too_large", 1)
                return len(waiting)
            waiting.append((item, size))
            self.bytes = held = self.bytes + size
            count = len(waiting)
            if held + self.frozen_bytes > self.bytes_max or (
                count + self.in_hand + self.frozen_records > self.records_max
            ):
                return self._shrink()
            return count

    def _shrink(self):
        while self.queue and (
            self.bytes + self.frozen_bytes > self.bytes_max
            or len(self.queue) + self.in_hand + self.frozen_records > self.records_max
        ):
            self.bytes -= self.queue.popleft()[1]
            self.drop("overflow", 1)
        return len(self.queue)

    def drop(self, reason, count):
        if count > 0:
            with self.lock:
                self.dropped[reason] = self.dropped.get(reason, 0) + count

    def refuse(self, reason):
        with self.lock:
            self.recorded += 1
            self.drop(reason, 1)

    def take(self, records_max, bytes_max, breathe=None):
        """The oldest records that fit, encoded and without secrets. `breathe` is called before each."""
        records, taken = [], 0
        while len(records) < records_max:
            if breathe is not None:
                breathe()
            with self.lock:
                if not self.queue:
                    break
                item, size = self.queue.popleft()
                self.in_hand += 1
            reason, text = "unredactable", None
            try:
                text = redact_json_text(item) if item.__class__ is str else item.redacted_json()
            except Exception:
                reason = "internal"
            if text is None:
                with self.lock:
                    self.bytes -= size
                    self.in_hand -= 1
                    self.drop(reason, 1)
                continue
            length = len(_utf8(text)) if not text.isascii() else len(text)
            if records and taken + length + 1 > bytes_max:
                with self.lock:
                    self.queue.appendleft((text, size))
                    self.in_hand -= 1
                break
            with self.lock:
                self.bytes -= size
                if length > _RECORD_BYTES_MAX:
                    self.in_hand -= 1
                    self.drop("too_large", 1)
                    continue
            records.append(text)
            taken += length + 1
        return records


# ---------------------------------------------------------------------------------------------------------------------
# courier: src/reporter/delivery
# ---------------------------------------------------------------------------------------------------------------------


class _Transport:
    """One kept connection to the ingest address. Only one thread posts at a time."""

    def __init__(self, ingest_url, ingest_key, seconds_max):
        import http.client
        import urllib.parse

        self._client = http.client
        url = urllib.parse.urlsplit(ingest_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError("the ingest URL is no http(s) address")
        self._place = (url.hostname, url.port)
        self._path = (url.path or "/") + ("?" + url.query if url.query else "")
        self._key = ingest_key
        self._seconds_max = seconds_max
        self._connection = None
        self._tls = None
        if url.scheme == "https":
            import ssl

            self._tls = ssl.create_default_context()

    def post(self, body, encoding, sent_at_us):
        """(status, Retry-After or None, parsed JSON or None). Raises where no answer came."""
        headers = {
            "Authorization": "Bearer " + self._key,
            "Content-Type": "application/json",
            "Telltale-Sent-At": str(sent_at_us),
        }
        if encoding:
            headers["Content-Encoding"] = encoding
        kept = self._connection is not None
        try:
            return self._exchange(body, headers)
        except (self._client.RemoteDisconnected, ConnectionError):
            self.abort()
            if not kept:
                raise
        except BaseException:
            self.abort()
            raise
        # The far end had closed the kept connection meanwhile: the same bytes once more, on a new one.
        try:
            return self._exchange(body, headers)
        except BaseException:
            self.abort()
            raise

    def _exchange(self, body, headers):
        deadline = time.perf_counter() + self._seconds_max
        if self._connection is None:
            host, port = self._place
            if self._tls:
                made = self._client.HTTPSConnection(host, port, timeout=self._seconds_max, context=self._tls)
            else:
                made = self._client.HTTPConnection(host, port, timeout=self._seconds_max)
            # Nobody's context goes with it, whatever the host had in hand when it asked to flush.
            made._telltale_own = True
            self._connection = made
        connection = self._connection
        connection.request("POST", self._path, body, headers)
        response = connection.getresponse()
        chunks, size = [], 0
        while True:
            chunk = response.read(65_536)
            if not chunk:
                break
            size += len(chunk)
            if size > REPLY_BYTES_MAX or time.perf_counter() > deadline:
                raise OSError("the answer is too large or too slow")
            chunks.append(chunk)
        if response.will_close:
            self.abort()
        try:
            parsed = json.loads(b"".join(chunks))
        except ValueError:
            parsed = None
        return response.status, response.headers.get("Retry-After"), parsed

    def abort(self):
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                connection.close()
        except Exception:
            pass


def retry_after_ms(value, now_s):
    """Retry-After in seconds or as a date (RFC 9110, 10.2.3), bounded; None when absent or unreadable."""
    try:
        if value is None or not value.strip():
            return None
        if re.match(r"\s*\d+(\.\d+)?\s*\Z", value):
            millis = float(value) * 1_000
        else:
            import email.utils

            millis = (email.utils.parsedate_to_datetime(value).timestamp() - now_s) * 1_000
        return min(max(millis, 0), RETRY_AFTER_MS_MAX)
    except Exception:
        return None


def _ack_of(body, batch_id):
    """The ack of this batch, or None: a page that some proxy answers with never passes for a store."""
    if not isinstance(body, dict) or body.get("batch_id") != batch_id or body.get("status") not in ("stored", "repeated"):
        return None
    return body


def _positive(value):
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf else 0


class _Drain:
    __slots__ = ("deadline", "patient", "done", "finished")

    def __init__(self, deadline, patient):
        self.deadline = deadline
        self.patient = patient
        self.done = threading.Event()
        self.finished = False


_counted_fields = (
    *("conversation_id", "role", "model_used", "provider_used", "response_time_ms", "tool_name", "thinking_mode"),
    "token_usage",
)


class _Courier:
    """Sends what the outbox holds, one batch at a time, from one daemon thread that starts with the first record.

    Pace: what the last ack said; a failure or an error goes at once; after a silence longer than the pace, 50 ms after
    the next record. While attempts fail, what is recorded goes to the disk at each pace.
    """

    def __init__(self, reporter, transport, disk, options):
        self.reporter = reporter
        self.transport = transport
        self.disk = disk
        self.lock = reporter._lock
        self.outbox = reporter._outbox
        self.retry_ms = options.get("retry_ms") or RETRY_BASE_MS
        self.frozen = collections.deque()
        self.adopted = collections.deque()
        self.seq = 0
        self.pace_ms = WATCHED_FLUSH_MS
        self.records_max = REPORTER_BATCH_RECORDS_MAX
        self.bytes_max = BATCH_BYTES_MAX
        self.stored = 0
        self.rejected = 0
        # Of how many messages each field was not known, as the server counts them.
        self.missing = {}
        self.watched = False
        # The end may come at any moment: what is recorded goes to the disk at each pace.
        self.cautious = False
        self.failures = 0
        self.declared = 0
        self.adopted_delivered = 0
        self.adopted_dropped = 0
        # Records of this process whose file another one has claimed: they wait there.
        self.elsewhere = 0
        self.damaged = 0
        self.last_seconds = None
        self.stopped = False
        self._sent_at = -math.inf
        self._spilled_at = -math.inf
        self._blocked_until = -math.inf
        self._adopted_until = -math.inf
        self._active_since = None
        self._urgent = False
        self._full = False
        # The exiting thread stores what the sender may be storing, or marking as answered.
        self._storing = disk.lock
        self._signal = queue.SimpleQueue()
        self._signalled = False
        self._requests = collections.deque()
        self._thread = None
        self._thread_at = -math.inf
        self._touched_at = -math.inf
        self._scan_at = -math.inf

    # What the host's threads call.

    def note(self, urgent, waiting=0):
        """Something was recorded or began. `urgent`: an operator wants to see it now."""
        if self._active_since is None:
            self._active_since = time.perf_counter()
            if urgent:
                self._urgent = True
        elif urgent and not self._urgent:
            self._urgent = True
        elif waiting >= self.records_max and not self._full:
            self._full = True
        else:
            return
        self.wake()

    def wake(self):
        if self._thread is None and not self.stopped:
            self._start()
        if not self._signalled:
            self._signalled = True
            self._signal.put(None)

    def _start(self):
        with self.lock:
            now = time.perf_counter()
            if self._thread is not None or now - self._thread_at < 1:
                return
            self._thread_at = now
            thread = threading.Thread(target=self._run, name="telltale", daemon=True)
            self._thread = thread
        try:
            thread.start()
            self.reporter._watch_exit()
        except RuntimeError:
            self._thread = None  # The interpreter is ending, or has no thread left: what is recorded waits.

    def drain(self, seconds, patient):
        """Sends until nothing waits, an attempt fails for good, or the seconds have passed. True: nothing waits."""
        deadline = time.perf_counter() + seconds
        if not self.unfinished():
            return True
        request = _Drain(deadline, patient)
        self._requests.append(request)
        self.wake()
        if self._thread is None:
            self._drain(request)
        else:
            request.done.wait(seconds)
        return request.finished

    def unfinished(self):
        return bool(self.frozen or self.outbox.queue or self.outbox.in_hand) or self._undeclared()

    def waiting(self):
        with self.lock:
            frozen = sum(batch.count for batch in self.frozen)
            return len(self.outbox.queue) + self.outbox.in_hand + frozen + self.elsewhere

    def _undeclared(self):
        return sum(list(self.outbox.dropped.values())) > self.declared

    # What the sender does.

    def _run(self):
        epoch = self.reporter._epoch
        while not self.stopped and self.reporter._epoch == epoch:
            try:
                seconds = self._step()
            except Exception as error:
                self.reporter._warn("internal", "Cannot send a batch: %s" % _safe_text(error))
                self._blocked_until = time.perf_counter() + RETRY_MS_MAX / 1_000
                seconds = 1
            if seconds > 0:
                try:
                    self._signal.get(timeout=seconds)
                except queue.Empty:
                    pass
                self._signalled = False

    def _step(self):
        """What is due now; answers the seconds until something else is, or 0."""
        while self._requests:
            self._drain(self._requests.popleft())
        now = time.perf_counter()
        self._keep_house(now)
        spill_at = self._spill_at()
        if spill_at is not None and spill_at <= now:
            self._spill(now)
            spill_at = self._spill_at()
        due = self._due_at()
        adopted_at = max(self._blocked_until, self._adopted_until) if self.adopted and not self.frozen else None
        if due is not None and due <= now:
            self._attempt()
            return 0
        if adopted_at is not None and adopted_at <= now:
            self._attempt_adopted()
            return 0
        moments = [at for at in (due, adopted_at, spill_at, self._scan_at) if at is not None]
        if self.disk.segments:
            moments.append(self._touched_at + SEGMENT_TOUCH_SECONDS)
        return min(30, max(0.001, min(moments) - now))

    def _keep_house(self, now):
        if self.disk.segments and now - self._touched_at >= SEGMENT_TOUCH_SECONDS:
            self._touched_at = now
            self.disk.touch()
            self._follow_disk()
        if now >= self._scan_at:
            self._scan_at = now + ORPHAN_SCAN_SECONDS * (0.75 + _random.random() / 2)
            adopted, damaged = self.disk.adopt()
            self.damaged += damaged
            self.adopted.extend(adopted)

    def _due_at(self):
        """When to send next, None when there is nothing to say."""
        if self.frozen:
            return self._blocked_until
        waiting = len(self.outbox.queue)
        active = waiting > 0 or self._active_since is not None or self._undeclared()
        if not active and not self.reporter._running:
            return None
        now = time.perf_counter()
        if self._blocked_until > now or waiting >= self.records_max:
            return self._blocked_until
        if self._urgent:
            return self._sent_at + ERROR_GAP_MS / 1_000
        pace = self.pace_ms / 1_000
        if not active:
            return self._sent_at + max(pace, RENEWAL_MS_MIN / 1_000)
        since = self._active_since if self._active_since is not None else now
        return since + QUIET_FLUSH_MS / 1_000 if since - self._sent_at > pace else self._sent_at + pace

    def _spill_at(self):
        """When what waits goes to the disk, None where it need not or cannot."""
        if (self.failures == 0 and not self.cautious) or not self.disk.usable or not self.outbox.queue:
            return None
        crowded = self.outbox.bytes * 2 > self.outbox.bytes_max or len(self.outbox.queue) * 2 > self.outbox.records_max
        earliest = self.disk._blocked_until
        return earliest if crowded else max(earliest, self._spilled_at + self.pace_ms / 1_000)

    def _spill(self, now):
        self._spilled_at = now
        if not self.disk._ready():
            return
        while self.outbox.queue:
            batch = self._cut()
            if not self._store(batch):
                return

    def _store(self, batch):
        """Writes a batch to the disk, and forgets its body; False where it stays in memory."""
        with self._storing:
            if batch.segment is not None:
                return True
            stored = batch.count > 0 and self.disk.append(batch)
        with self.lock:
            if stored and batch.body is not None and not batch.adopted and batch in self.frozen:
                self.outbox.frozen_bytes -= len(batch.body)
                self.outbox.frozen_records -= batch.count
            if stored:
                batch.body = None
        self._follow_disk()
        return stored

    def _follow_disk(self):
        """What the disk had no room for is dropped; what another process has claimed waits with that one."""
        disk = self.disk
        while disk.evicted:
            batch = disk.evicted.pop()
            batch.segment = None
            self._lose(batch, "outbox_full")
        while disk.departed:
            batch = disk.departed.pop()
            with self.lock:
                if self._waits(batch):
                    self._remove(batch)
                    self.elsewhere += 0 if batch.adopted else batch.count

    def _lose(self, batch, reason):
        """Gives a batch up, wherever it stands, and says so."""
        with self.lock:
            self._remove(batch)
            if batch.adopted:
                self.adopted_dropped += batch.count
            else:
                self.outbox.drop(reason, batch.count)
        self.disk.answered(batch)

    def _remove(self, batch):
        with self.lock:
            try:
                (self.adopted if batch.adopted else self.frozen).remove(batch)
            except ValueError:
                return
            if batch.body is not None and not batch.adopted:
                self.outbox.frozen_bytes -= len(batch.body)
                self.outbox.frozen_records -= batch.count

    def _drain(self, request):
        try:
            while self.unfinished():
                now = time.perf_counter()
                if now >= request.deadline or self.stopped:
                    break
                if self._attempt():
                    continue
                wait = self._blocked_until - time.perf_counter()
                if not request.patient or self.failures >= CIRCUIT_FAILURES_MIN:
                    break
                if time.perf_counter() + wait >= request.deadline:
                    break
                time.sleep(max(0, wait))
            request.finished = not self.unfinished()
        finally:
            request.done.set()

    def _attempt(self):
        """One attempt with the oldest batch; true when it has its final answer."""
        batch = self.frozen[0] if self.frozen else self._cut()
        if self.failures and batch.segment is None and self.disk.usable:
            self._store(batch)
        return self._send(batch)

    def _attempt_adopted(self):
        with self.lock:
            if not self.adopted:
                return
            batch = self.adopted[0]
        if not self._send(batch):
            self._adopted_until = self._blocked_until

    def _send(self, batch):
        if self.reporter._clock.now_us() - batch.made_at_us > OUTBOX_AGE_DAYS_MAX * 86_400_000_000:
            self._lose(batch, "expired")
            return True
        body = batch.body if batch.body is not None else self.disk.read(batch)
        self._follow_disk()
        if body is None:
            if self._waits(batch):
                self._lose(batch, "outbox_damaged")
            return True
        self._sent_at = time.perf_counter()
        try:
            status, retry_after, reply = self.transport.post(body, batch.encoding, self.reporter._clock.now_us())
            self.last_seconds = time.perf_counter() - self._sent_at
        except Exception as error:
            return self._keep(batch, None, _safe_text(error) or type(error).__name__)
        return self._carry_out(batch, body, status, retry_after, reply)

    def _carry_out(self, batch, body, status, retry_after, reply):
        ack = _ack_of(reply, batch.batch_id) if status == 200 else None
        if ack is not None:
            self.failures = 0
            self._blocked_until = -math.inf
            self._settle(batch, ack)
            return True
        refused = status in (400, 413, 415, 422)
        if refused and batch.count == 0:
            # A sign of life was refused: there is nothing to give up, and no reason to hurry with the next.
            self._remove(batch)
            self._back_off(None, "it refuses a batch without records")
            return False
        if refused:
            self.failures = 0
            self._blocked_until = -math.inf
            if status != 413:
                text = "Cannot deliver %d records: the server refused_%d" % (batch.count, status)
                self.reporter._warn("batch_refused", text)
                if self._waits(batch):
                    self._lose(batch, "refused_%d" % status)
            elif self._waits(batch):
                return self._recut(batch, body)
            return True
        wait_ms = retry_after_ms(retry_after, time.time())
        if status in (401, 403):
            return self._keep(batch, max(wait_ms or 0, REFUSED_KEY_RETRY_MS), "it answered %d" % status, True)
        return self._keep(batch, wait_ms, "it answered %d" % status)

    def _settle(self, batch, ack):
        rejected = ack.get("rejected")
        rejected = min(len(rejected), batch.count) if isinstance(rejected, list) else 0
        with self.lock:
            if not batch.adopted:
                self._tell_missing(ack.get("missing"))
            if self._waits(batch):
                if batch.adopted:
                    self.adopted_delivered += batch.count - rejected
                    self.adopted_dropped += rejected
                else:
                    self.rejected += rejected
                    self.stored += batch.count - rejected
                    self.declared = max(self.declared, batch.declared)
            elif batch.segment is not None and batch.segment.fate == "elsewhere" and not batch.adopted:
                # It was claimed while it was on its way.
                self.elsewhere -= batch.count
                self.rejected += rejected
                self.stored += batch.count - rejected
            self._remove(batch)
        self.disk.answered(batch)
        self._follow_disk()
        self.watched = ack.get("watched") is True
        pace, records = _positive(ack.get("flush_after_ms")), _positive(ack.get("records_max"))
        if pace:
            self.pace_ms = min(pace, PACE_MS_MAX)
        if records:
            self.records_max = max(1, int(min(REPORTER_BATCH_RECORDS_MAX, records)))

    def _tell_missing(self, missing):
        for field in _counted_fields if isinstance(missing, dict) else ():
            count = _positive(missing.get(field))
            if count:
                self.missing = {**self.missing, field: self.missing.get(field, 0) + int(count)}

    def _keep(self, batch, wait_ms, text, key_refused=False):
        self._back_off(wait_ms, text, key_refused)
        if not batch.adopted and self.disk.usable and self._waits(batch):
            self._store(batch)
        return False

    def _waits(self, batch):
        """Whether it is here still: not deleted for want of room, nor claimed by another process meanwhile."""
        return batch in (self.adopted if batch.adopted else self.frozen)

    def _back_off(self, wait_ms, text, key_refused=False):
        """Waits between half and all of a delay that doubles, and at least as long as the server asked for."""
        delay = min(RETRY_MS_MAX, self.retry_ms * 2 ** min(self.failures, 20))
        self.failures += 1
        wait = max(wait_ms or 0, delay * (0.5 + _random.random() / 2))
        self._blocked_until = time.perf_counter() + wait / 1_000
        if key_refused:
            self.reporter._warn("key_refused", "Cannot deliver records: the ingest key is refused (%s)" % text)
        elif self.failures == CIRCUIT_FAILURES_MIN:
            where = "on the disk" if self.disk.segments else "in memory"
            self.reporter._warn("unreachable", "Cannot reach the ingest address: %s; records wait %s" % (text, where))

    def _cut(self):
        """Freezes the oldest records that fit into one batch: from here on its id and its bytes stay as they are."""
        reporter, outbox = self.reporter, self.outbox
        reporter._announce()
        self._urgent = False
        self._active_since = None
        self._full = False
        self.seq += 1
        envelope = reporter._envelope(self.seq)
        room = max(1, self.bytes_max - len(_utf8(_json(envelope))) - 256)
        records = outbox.take(self.records_max, room, self._breather())
        batch = self._freeze(envelope, records, (1, 1))
        with self.lock:
            outbox.in_hand -= len(records)
            outbox.frozen_bytes += len(batch.body)
            outbox.frozen_records += batch.count
            self.frozen.append(batch)
        return batch

    def _breather(self):
        """What lets the host's threads run between two records, in the sender's own thread: all of this is Python, so no
        two threads do it at once. Not while what waits takes half of the room: then it must be sent before it is lost."""
        if threading.current_thread() is not self._thread or self.reporter._closed:
            return None
        outbox, begun = self.outbox, time.perf_counter()

        def breathe():
            nonlocal begun
            if time.perf_counter() - begun < SLICE_MS_MAX / 1_000:
                return
            if not (outbox.bytes * 2 > outbox.bytes_max or len(outbox.queue) * 2 > outbox.records_max):
                time.sleep(BREATH_SECONDS)
            begun = time.perf_counter()

        return breathe

    def _freeze(self, envelope, records, piece, batch_id=None, adopted=False):
        batch_id = batch_id or new_uuid_v7()
        opening = _json({"batch_id": batch_id, **envelope, "piece": list(piece)})[:-1]
        body = _utf8('%s,"records":[%s]}' % (opening, ",".join(records)))
        encoding = None
        if len(body) > GZIP_BYTES_MIN:
            body, encoding = gzip.compress(body, compresslevel=3, mtime=0), "gzip"
        declared = sum(envelope["counters"]["dropped"].values())
        return _Batch(batch_id, envelope["made_at_us"], len(records), body, encoding, declared, adopted, piece)

    def _recut(self, batch, body):
        """Cuts a batch that was too large in two, with ids that follow from its own and the same `seq`; drops what cannot
        be cut."""
        try:
            whole = json.loads(gzip.decompress(body) if batch.encoding else body)
            records, (i, n) = whole.pop("records"), whole.pop("piece", (1, 1))
            whole.pop("batch_id")
        except Exception:
            self._lose(batch, "outbox_damaged")
            return True
        self.bytes_max = max(RECUT_BYTES_MIN, self.bytes_max // 2)
        if len(records) < 2 or n * 2 > PIECES_MAX:
            self._lose(batch, "too_large")
            return True
        middle = (len(records) + 1) // 2
        texts = [_json(record) for record in records]
        pieces = [
            self._freeze(whole, part, (2 * i - 2 + number, 2 * n), piece_id_of(batch.batch_id, number), batch.adopted)
            for number, part in ((1, texts[:middle]), (2, texts[middle:]))
        ]
        on_disk = batch.segment is not None
        if on_disk and not self.disk.replace(batch, pieces):
            self._follow_disk()
            if self._waits(batch):
                self._back_off(None, "a batch is too large")
            return False
        with self.lock:
            queue_ = self.adopted if batch.adopted else self.frozen
            self._remove(batch)
            for piece in reversed(pieces):
                queue_.appendleft(piece)
                if on_disk:
                    piece.body = None
                elif not batch.adopted:
                    self.outbox.frozen_bytes += len(piece.body)
                    self.outbox.frozen_records += piece.count
        self._follow_disk()
        return True

    def leave(self, seconds):
        """At the host's end: what could not be delivered goes to the disk, within the seconds."""
        deadline = time.perf_counter() + seconds
        while self.disk.usable and time.perf_counter() < deadline:
            if self.outbox.in_hand:
                time.sleep(0.001)  # The sender is making a batch of them.
                continue
            with self.lock:
                unsaved = [batch for batch in self.frozen if batch.count and batch.segment is None]
            if unsaved:
                if not self._store(unsaved[0]):
                    break
            elif not self.outbox.queue or not self.disk._ready():
                break
            else:
                self._cut()
        with self.lock:
            lost = len(self.outbox.queue) + self.outbox.in_hand + sum(batch.count for batch in self.frozen if batch.segment is None)
        if lost:
            self.reporter._warn("unsent", "Cannot deliver %d records before the exit: they are lost" % lost)


# ---------------------------------------------------------------------------------------------------------------------
# reporter: the public API
# ---------------------------------------------------------------------------------------------------------------------


def _write_warning(line):
    try:
        os.write(2, (line + "\n").encode("utf-8", "replace"))
    except OSError:
        pass  # A host without stderr loses the warning, nothing else.


def _turned_off(env):
    return env.get("TELLTALE_DISABLED", "") not in ("", "0", "false")


class Reporter:
    """Records spans, errors, events, messages and gauges, and sends them. Options that are absent come from TELLTALE_*
    in `env`: ingest_url, ingest_key, service, instance, environment, version, outbox_dir (`none`: no disk), content;
    warn (a function of one line), send_seconds_max, retry_ms, bytes_max, records_max. Without an address and a key
    everything does nothing."""

    def __init__(self, env=None, warn=None, **options):
        self.enabled = False
        self._warn_line = warn or _write_warning
        self._told = set()
        self._options = options
        self._epoch = 0
        self._closed = False
        # The thread that is in close().
        self._closing = None
        self._running = {}
        self._clock = _EpochClock()
        self._env = env = os.environ if env is None else env
        self.ingest_key = options.get("ingest_key") or env.get("TELLTALE_INGEST_KEY") or ""
        self.ingest_url = options.get("ingest_url") or env.get("TELLTALE_INGEST_URL") or ""
        self.content = None
        self.salt = hashlib.sha256(b"telltale argument hash\n" + _utf8(self.ingest_key)).hexdigest()
        self._lock = threading.RLock()
        self._outbox = _MemoryOutbox(self._lock)
        self._courier = None
        if _turned_off(env) or not self.ingest_key or not self.ingest_url:
            return
        try:
            self._source = self._source_of(options, env)
            self.content = parse_content_rules(options.get("content") or env.get("TELLTALE_CONTENT") or "")
            self._begin()
            self.enabled = True
            _live_reporters.add(self)
        except Exception as error:
            self._warn("settings", "Cannot report: %s" % _safe_text(error))

    def _begin(self):
        """A process of its own: new id, empty outbox, no thread yet. After fork the parent keeps what it recorded."""
        options = self._options
        self._lock = threading.RLock()
        self._outbox = _MemoryOutbox(
            self._lock, options.get("bytes_max") or OUTBOX_BYTES_MAX, options.get("records_max") or OUTBOX_RECORDS_MAX
        )
        self._running = {}
        self._calls = collections.OrderedDict()
        self._clock = _EpochClock()
        self._process = {
            "id": new_uuid(),
            "started_at_us": self._clock.now_us(),
            "host": redact_id(socket.gethostname()),
            "pid": os.getpid(),
            "sdk": sdk_name,
        }
        folder = options.get("outbox_dir") or self._env.get("TELLTALE_OUTBOX_DIR") or _default_outbox_dir(self._env)
        disk = _DiskOutbox(None if folder == "none" else str(folder), self.ingest_url, self._process["id"])
        seconds_max = options.get("send_seconds_max") or SEND_MS_MAX / 1_000
        transport = _Transport(self.ingest_url, self.ingest_key, seconds_max)
        self._courier = _Courier(self, transport, disk, options)
        self._leaving = False
        self._started = 0
        self._told_self_at = time.perf_counter()

    def _source_of(self, options, env):
        def name(option, variable, otherwise):
            text = _safe_text(options.get(option) or env.get(variable) or "").strip()
            return redact_id(cut_text(text or otherwise, NAME_BYTES_MAX))

        version = options.get("version")
        return {
            "service": name("service", "TELLTALE_SERVICE", "python"),
            "instance": name("instance", "TELLTALE_INSTANCE", socket.gethostname()),
            "environment": name("environment", "TELLTALE_ENVIRONMENT", "default"),
            "version": redact_id(cut_text(_safe_text(version), NAME_BYTES_MAX)) if version else None,
        }

    # Recording. Nothing here raises, whatever it is given.

    def start_trace(
        self,
        name="unnamed",
        layer="tool",
        *,
        context=None,
        entry=None,
        kind="work",
        at=None,
        session=None,
        call_number=_absent,
        **fields,
    ):
        """Begins a request: a trace of its own, or a part of the one that `context` names: a mapping with traceparent
        and tracestate, as it came. `entry`: whether this is the outermost recorder, by default what the context says.
        session: text (an explicit handle) or (key, rule). Fields: see Span.set()."""
        if not self.enabled or self._closed:
            return no_span
        try:
            remote = None if context is None else context_of(context)
            fields["name"] = name
            if remote is None:
                trace = _Trace(_bits(128) or 1, self._clock.offset_ns(), ())
                return Span(self, trace, None, entry is not False, layer, kind, at, session, call_number, fields)
            trace = _Trace(remote.trace_id, self._clock.offset_ns(), remote.others)
            entry = not remote.recorded if entry is None else bool(entry)
            return Span(self, trace, remote.parent_span_id, entry, layer, kind, at, session, call_number, fields)
        except Exception as error:
            self._fail(error)
            return no_span

    def span(
        self,
        name="unnamed",
        layer=None,
        *,
        parent=None,
        kind="work",
        at=None,
        session=None,
        call_number=_absent,
        context=None,
        entry=None,
        **fields,
    ):
        """A span below `parent`, by default below the active one; without any it is a request of its own, as
        start_trace() begins one, and `context` and `entry` mean what they mean there."""
        if not self.enabled or self._closed:
            return no_span
        try:
            if parent is None:
                parent = _active.get()
            if parent is None:
                given = {"context": context, "entry": entry, "kind": kind, "at": at, "session": session}
                return self.start_trace(name, layer or "tool", call_number=call_number, **given, **fields)
            fields["name"] = name
            if not isinstance(parent, Span):
                return no_span
            layer = layer or parent.layer
            return Span(self, parent.trace, parent.span_id, False, layer, kind, at, session, call_number, fields)
        except Exception as error:
            self._fail(error)
            return no_span

    def wait(self, name="wait", *, holder=None, parent=None, layer=None, at=None, **fields):
        """A span in which the request waits, `holder` being who holds what it waits for. Nothing outside of a trace."""
        if not self.enabled or self._closed:
            return no_span
        parent = _active.get() if parent is None else parent
        if not isinstance(parent, Span):
            return no_span
        return self.span(name, layer, parent=parent, kind="wait", at=at, holder=holder, **fields)

    def capture_error(self, error, span=None, context=None, error_type=None, traceback=None, message=None):
        """Records a failure with its traceback, causes and members; answers the error's id, None when nothing was
        recorded. An exception is recorded once a trace, however many blocks it leaves."""
        if not self.enabled or self._closed:
            return None
        try:
            if span is None:
                span = _active.get()
            span = span if isinstance(span, Span) else None
            trace_id = span.trace_id if span else None
            told = _told_of(error)
            if told is not None and (told[0] == trace_id or trace_id is None):
                return told[1]
            kind, text, stack = failure_of(error)
            error_id = new_uuid()
            record = {
                "type": "error",
                "error_id": error_id,
                "at_us": self._clock.now_us(),
                "trace_id": trace_id,
                "span_id": span.span_id if span else None,
                "error_type": _named(error_type) if error_type else kind,
                "message": cut_text(_safe_text(message), MESSAGE_BYTES_MAX) if message is not None else text,
                "traceback": cut_middle(_safe_text(traceback), STACK_BYTES_MAX) if traceback else stack,
                "context": _bag(context),
            }
            self._put_record(record, True)
            _tell(error, (trace_id, error_id))
            return error_id
        except Exception as problem:
            self._fail(problem)
            return None

    def gauge(self, name, value, labels=None, at=None):
        """A sampled resource of this instance. Text and NaN are refused and counted."""
        if not self.enabled or self._closed:
            return
        try:
            good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
            if not good or not isinstance(name, str) or not name.strip():
                self._outbox.refuse("invalid")
                return
            labels = {_safe_text(key): _safe_text(label) for key, label in _entries(labels).items()}
            at_us = _instant_us(at, self._clock.now_us())
            self._put_record({"type": "gauge", "name": name, "at_us": at_us, "value": value, "labels": labels}, False)
        except Exception as error:
            self._fail(error)

    def record_event(
        self,
        connection_type,
        direction,
        script_name=None,
        function_name=None,
        data_size_bytes=None,
        response_time_ms=None,
        error=None,
        error_type=None,
        error_traceback=None,
        metadata=None,
        timestamp=None,
        span=None,
    ):
        """One thing on a connection, by the eleven fields of the operator's monitor; with an error it is stored as one.
        timestamp: seconds since the epoch, a datetime or ISO 8601; now when absent. `span`: the active one."""
        if not self.enabled or self._closed:
            return
        try:
            span = _active.get() if span is None else span
            span = span if isinstance(span, Span) else None
            if _is(error, BaseException):
                kind, text, stack = failure_of(error)
                error, error_type, error_traceback = text, error_type or kind, error_traceback or stack
            record = {
                "type": "event",
                "event_id": new_uuid(),
                "at_us": _instant_us(timestamp, self._clock.now_us()),
                "trace_id": span.trace_id if span else None,
                "span_id": span.span_id if span else None,
                "connection_type": _named(connection_type),
                "direction": _named(direction),
                "script_name": _text_or_none(script_name, NAME_BYTES_MAX),
                "function_name": _text_or_none(function_name, NAME_BYTES_MAX),
                "data_size_bytes": _count_or_none(data_size_bytes),
                "response_time_ms": _number_or_none(response_time_ms),
                "error": None if not error else cut_text(_safe_text(error), MESSAGE_BYTES_MAX),
                "error_type": _text_or_none(error_type, NAME_BYTES_MAX),
                "error_traceback": cut_middle(_safe_text(error_traceback), STACK_BYTES_MAX) if error_traceback else None,
                "metadata": _bag(metadata),
            }
            self._put_record(record, bool(error))
        except Exception as problem:
            self._fail(problem)

    def record_message(self, span=None, metadata=None, timestamp=None, **known):
        """What was said to or by a model, as metadata: see message_metadata(), which fills what is not given here."""
        if not self.enabled or self._closed:
            return
        try:
            filled = message_metadata(span=span, timestamp=timestamp, **known)
            span = _active.get() if span is None else span
            span = span if isinstance(span, Span) else None
            usage = filled["token_usage"]
            asked = filled["role"] in ("user", "system", "developer")
            record = {
                "type": "message",
                "message_id": new_uuid(),
                "at_us": _instant_us(timestamp, self._clock.now_us()),
                "trace_id": span.trace_id if span else None,
                "span_id": span.span_id if span else None,
                "conversation_id": _text_or_none(filled["conversation_id"], ID_BYTES_MAX),
                "role": _text_or_none(filled["role"], NAME_BYTES_MAX),
                "model_used": _text_or_none(filled["model_used"], NAME_BYTES_MAX),
                "provider_used": _text_or_none(filled["provider_used"], NAME_BYTES_MAX),
                "response_time_ms": _number_or_none(filled["response_time_ms"]),
                "tool_name": _text_or_none(filled["tool_name"], NAME_BYTES_MAX),
                "thinking_mode": _text_or_none(filled["thinking_mode"], NAME_BYTES_MAX),
                "token_usage": usage if usage is None else _bag(usage) if isinstance(usage, dict) else _plain_usage(usage),
            }
            missing = [
                field
                for field in _message_fields
                if record[field] is None and not (asked and field in ("response_time_ms", "thinking_mode"))
            ]
            record["metadata"] = _bag({**_entries(metadata), **({"missing": missing} if missing else {})})
            self._put_record(record, False)
        except Exception as error:
            self._fail(error)

    def _put_record(self, record, urgent):
        text = _json(record)
        self._put(text, len(text) if text.isascii() else len(_utf8(text)), urgent)

    def _put(self, item, size, urgent):
        waiting = self._outbox.put(item, size)
        self._courier.note(urgent, waiting)

    def _next_call(self, key):
        """The number of the call that starts now in a session, from 1; sessions used long ago are forgotten."""
        with self._lock:
            number = self._calls.pop(key, 0) + 1
            self._calls[key] = number
            if len(self._calls) > SESSIONS_COUNTED_MAX:
                self._calls.popitem(last=False)
            return number

    def _fail(self, error):
        """Our own failure costs one record and is told once; it never reaches the host."""
        try:
            self._outbox.refuse("internal")
            self._warn("internal", "Cannot record: %s: %s" % (type(error).__name__, _safe_text(error)))
        except Exception:
            pass

    def _warn(self, kind, text):
        """One short line a kind, ever, without secrets."""
        try:
            if kind not in self._told:
                self._told.add(kind)
                self._warn_line("telltale: " + without_secrets(text))
        except Exception:
            pass

    # What the courier asks for.

    def _tell_self(self):
        """The reporter's own gauges, under the names of OpenTelemetry's SDK metrics, once a minute and only beside what
        is sent anyway."""
        courier, outbox, now = self._courier, self._outbox, time.perf_counter()
        if not outbox.queue or now - self._told_self_at < SELF_METRIC_SECONDS:
            return
        self._told_self_at = now
        name = {"otel.component.name": "telltale/0"}
        processor = {**name, "otel.component.type": "telltale_outbox"}
        exporter = {**name, "otel.component.type": "telltale_http_json_exporter"}
        self.gauge("otel.sdk.span.started", self._started)
        self.gauge("otel.sdk.span.live", len(self._running))
        self.gauge("otel.sdk.processor.span.queue.size", len(outbox.queue), processor)
        self.gauge("otel.sdk.processor.span.queue.capacity", outbox.records_max, processor)
        for reason, count in dict(outbox.dropped).items():
            self.gauge("otel.sdk.processor.span.processed", count, {**processor, "error.type": reason})
        self.gauge("otel.sdk.exporter.span.inflight", courier.waiting(), exporter)
        self.gauge("otel.sdk.exporter.span.exported", courier.stored, exporter)
        if courier.rejected:
            labels = {**exporter, "error.type": "rejected"}
            self.gauge("otel.sdk.exporter.span.exported", courier.rejected, labels)
        if courier.last_seconds is not None:
            self.gauge("otel.sdk.exporter.operation.duration", courier.last_seconds, exporter)

    def _announce(self):
        """Records each span that runs and has not been told of yet, so that a trace can be seen while it runs."""
        self._tell_self()
        told = 0
        for span in list(self._running.values()):
            if span._announced:
                continue
            span._announced = True
            if span.end_us is not None:
                continue
            text = span.json()
            self._outbox.put(text, len(text))
            told += 1
            if told >= RUNNING_MAX:
                break

    def _envelope(self, seq):
        innermost = {}
        for span in list(self._running.values()):
            innermost[span.trace.trace_id] = span
        entries, size = [], 0
        for trace_id, span in innermost.items():
            session = span.session or span.trace.session
            tool = _text_or_none(span.fields.get("tool"), NAME_BYTES_MAX)
            entry = {
                "trace_id": trace_id,
                "span_id": span.span_id,
                "layer": _redact_text(span.layer),
                "name": _redact_text(span.name),
                "tool": tool and _redact_text(tool),
                "session": redact_id(session[0]) if session else None,
                "start_us": span.start_us,
            }
            size += 160 + sum(3 * len(value) for value in entry.values() if isinstance(value, str))
            if len(entries) >= RUNNING_MAX or size > BATCH_BYTES_MAX // 4:
                break
            entries.append(entry)
        with self._lock:
            counters = {"recorded": self._outbox.recorded, "dropped": dict(self._outbox.dropped)}
        return {
            "made_at_us": self._clock.now_us(),
            "source": self._source,
            "process": self._process,
            "seq": seq,
            "counters": counters,
            "running": entries,
            "running_total": len(innermost),
        }

    # Around the host's life.

    def status(self):
        """recorded = stored + rejected + the sum of dropped + waiting (memory and disk), at any moment. `missing`: of how
        many messages each field was not known."""
        courier, outbox = self._courier, self._outbox
        if courier is None:
            zero = dict.fromkeys(("recorded", "stored", "rejected", "waiting", "running"), 0)
            adopted = {"waiting": 0, "delivered": 0, "dropped": 0}
            return {"enabled": False, **zero, "dropped": {}, "missing": {}, "watched": False, "circuit": "closed", "adopted": adopted}
        with self._lock:
            return {
                "enabled": self.enabled,
                "recorded": outbox.recorded,
                "stored": courier.stored,
                "rejected": courier.rejected,
                "waiting": courier.waiting(),
                "running": len({span.trace.trace_id for span in list(self._running.values())}),
                "dropped": dict(outbox.dropped),
                "missing": courier.missing,
                "watched": courier.watched,
                "circuit": "open" if courier.failures >= CIRCUIT_FAILURES_MIN else "closed",
                "adopted": {
                    "waiting": sum(batch.count for batch in courier.adopted),
                    "delivered": courier.adopted_delivered,
                    "dropped": courier.adopted_dropped,
                },
            }

    def flush(self, timeout=HOSTED_FLUSH_MS / 1_000):
        """Sends what waits now; true when all of it is answered. Blocks up to `timeout` seconds: from asyncio call it
        by asyncio.to_thread."""
        if not self.enabled or self._courier is None or self._closed:
            return True
        try:
            return self._courier.drain(timeout, False)
        except Exception as error:
            self._warn("internal", "Cannot flush: %s" % _safe_text(error))
            return False

    def close(self, timeout=EXIT_FLUSH_MS_MAX / 1_000):
        """The same for the last time: later records are not taken. What could not be delivered goes to the disk."""
        if not self.enabled or self._courier is None or self._closed:
            return
        courier = self._courier
        try:
            self._closed = True
            self._closing = threading.get_ident()
            began = time.perf_counter()
            courier.drain(timeout * 0.75, True)
            if courier.unfinished():
                courier.leave(max(0.5, timeout - (time.perf_counter() - began)))
            courier.stopped = True
            courier.transport.abort()
            courier.wake()
        except Exception as error:
            self._warn("internal", "Cannot close: %s" % _safe_text(error))
        self._closing = None
        if _termination is not None and _termination.late:
            _termination.end()

    def _save(self, seconds):
        """Writes what waits to the disk within the seconds, or sends it where there is no disk, and goes on."""
        courier = self._courier
        if not self.enabled or courier is None or self._closed:
            return
        until = time.perf_counter() + seconds
        courier.cautious = True
        if not courier.disk._ready() and courier.unfinished():
            courier.drain(seconds, False)
        courier.leave(until - time.perf_counter())

    def _watch_exit(self):
        """At the host's end, within 2 s, what waits is sent or goes to the disk."""
        if self._leaving:
            return
        self._leaving = True
        atexit.register(self._at_exit, self._epoch)
        processes = sys.modules.get("multiprocessing.util")
        # A child of multiprocessing ends without atexit.
        if processes is not None and hasattr(processes, "Finalize"):
            processes.Finalize(None, self._at_exit, (self._epoch,), exitpriority=-100)

    def _at_exit(self, epoch):
        if epoch == self._epoch and self._options.get("flush_at_exit", True):
            self.close()

    def _reborn(self):
        """In a forked child: nothing of the parent's is sent, touched or waited for here."""
        self._epoch += 1
        if not self.enabled or self._closed:
            return
        try:
            courier = self._courier
            connection = courier.transport._connection
            self._begin()
            if connection is not None and connection.sock is not None:
                os.close(connection.sock.detach())
        except Exception:
            self.enabled = False


def _plain_usage(usage):
    return usage if isinstance(usage, (int, float, str, bool)) else _safe_text(_plain(usage))


def _told_of(error):
    try:
        return error.__dict__.get("_telltale") if _is(error, BaseException) else None
    except Exception:
        return None


def _tell(error, what):
    try:
        if _is(error, BaseException):
            error.__dict__["_telltale"] = what
    except Exception:
        pass


def parse_content_rules(text):
    """A function that says whether the content of a tool's calls is wanted, of rules such as `tool=chat,tool=deb*`."""
    patterns = []
    for rule in text.split(","):
        rule = rule.strip()
        if rule:
            found = re.match(r"tool=(.+)\Z", rule, re.S)
            if not found or len(found.group(1).strip()) > NAME_BYTES_MAX:
                raise ValueError("Cannot read the content rule %r: it is no tool=NAME" % rule[:NAME_BYTES_MAX])
            patterns.append(re.compile(".*".join(map(re.escape, found.group(1).strip().split("*"))), re.S))
    return lambda tool: tool is not None and any(pattern.fullmatch(tool) for pattern in patterns)


def _canonical(value):
    """Integral floats as JavaScript writes them."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1e21 else value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {re.sub("[\ud800-\udfff]", "\ufffd", str(key)): _canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    return re.sub("[\ud800-\udfff]", "\ufffd", value) if isinstance(value, str) else value


def argument_hash_of(arguments, salt):
    """16 hex digits that say whether two calls had the same arguments, without saying which."""
    try:
        text = json.dumps(_canonical(arguments), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except Exception:
        text = "null"
    return hmac.new(salt.encode(), text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:16]


_live_reporters = set()
# Set by the command line alone: what SIGTERM does to a script that has no handler of its own.
_termination = None
_reporter = None
_reporter_lock = threading.RLock()


def _after_fork():
    global _reporter_lock
    _random.seed(int.from_bytes(os.urandom(32), "big"))
    _reporter_lock = threading.RLock()
    for reporter in list(_live_reporters):
        reporter._reborn()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def configure(**options):
    """The reporter of this process; options as Reporter's. Called once, early; without it TELLTALE_* decide at the
    first call. A reporter that was there before is closed."""
    global _reporter
    with _reporter_lock:
        before, _reporter = _reporter, Reporter(**options)
    if before is not None:
        before.close()
    return _reporter


def reporter():
    """The reporter of this process."""
    global _reporter
    if _reporter is None:
        with _reporter_lock:
            if _reporter is None:
                _reporter = Reporter()
    return _reporter


def active():
    """The span that the running code is in, or None."""
    return _active.get()


class activated:
    """Makes a span the active one of a block, without ending it: `with telltale.activated(span):`."""

    def __init__(self, span):
        self._span = span if isinstance(span, Span) else None

    def __enter__(self):
        self._token = _active.set(self._span) if self._span else None
        return self._span

    def __exit__(self, *_):
        try:
            if self._token is not None:
                _active.reset(self._token)
        except Exception:
            pass
        return False


def run(span, function, *args, **kwargs):
    """Calls a function with `span` active: for threads, which do not inherit the active span."""
    with activated(span):
        return function(*args, **kwargs)


def enabled():
    return reporter().enabled


def start_trace(name="unnamed", layer="tool", **start):
    return (_reporter or reporter()).start_trace(name, layer, **start)


def span(name="unnamed", layer=None, **start):
    return (_reporter or reporter()).span(name, layer, **start)


def wait(name="wait", **start):
    return (_reporter or reporter()).wait(name, **start)


def capture_error(error, **options):
    return (_reporter or reporter()).capture_error(error, **options)


def record_event(
    connection_type,
    direction,
    script_name=None,
    function_name=None,
    data_size_bytes=None,
    response_time_ms=None,
    error=None,
    error_type=None,
    error_traceback=None,
    metadata=None,
    timestamp=None,
):
    return (_reporter or reporter()).record_event(
        *(connection_type, direction, script_name, function_name, data_size_bytes, response_time_ms),
        *(error, error_type, error_traceback, metadata, timestamp),
    )


def record_message(**message):
    return (_reporter or reporter()).record_message(**message)


def gauge(name, value, labels=None, at=None):
    return (_reporter or reporter()).gauge(name, value, labels, at)


def status():
    return reporter().status()


def flush(timeout=HOSTED_FLUSH_MS / 1_000):
    return reporter().flush(timeout)


def close(timeout=EXIT_FLUSH_MS_MAX / 1_000):
    return reporter().close(timeout)


for _function in (start_trace, span, wait, capture_error, record_event, record_message, gauge, status, flush, close):
    _function.__doc__ = getattr(Reporter, _function.__name__).__doc__


# ---------------------------------------------------------------------------------------------------------------------
# operator's shapes: message metadata, request tracer, captured errors, gauges, waiting
# ---------------------------------------------------------------------------------------------------------------------


def message_metadata(
    conversation_id=None,
    role=None,
    model_used=None,
    provider_used=None,
    response_time_ms=None,
    tool_name=None,
    thinking_mode=None,
    token_usage=None,
    timestamp=None,
    response=None,
    span=None,
):
    """Every field of a message: what is given, else what `response` (a model's answer: a mapping or an object with
    usage, model, metadata) says, else what the active trace's last provider call told. role is `assistant` where
    nothing says otherwise and a model answered, else `user`; timestamp is ISO 8601 in UTC."""
    try:
        span = _active.get() if span is None else span
        trace = span.trace if isinstance(span, Span) else None
        facts = (trace.facts if trace else None) or {}
        said = _facts_of(response)
        usage = token_usage if token_usage is not None else said.get("token_usage")
        if usage is None and ("tokens_in" in facts or "tokens_out" in facts):
            usage = _usage_of(facts.get("tokens_in"), facts.get("tokens_out"))
        model_used = _first(model_used, said.get("model"), facts.get("model"))
        answered = model_used is not None or usage is not None
        session = (span.session or trace.session) if trace else None
        at_us = _instant_us(timestamp, time.time_ns() // 1_000)
        return {
            "conversation_id": _first(conversation_id, session[0] if session else None),
            "role": _first(role, "assistant" if answered else "user"),
            "model_used": model_used,
            "provider_used": _first(provider_used, said.get("provider"), facts.get("provider")),
            "response_time_ms": _first(
                response_time_ms, said.get("response_time_ms"), facts.get("response_time_ms")
            ),
            "tool_name": _first(tool_name, span.fields.get("tool") if trace else None, trace.tool if trace else None),
            "thinking_mode": _first(thinking_mode, said.get("thinking_mode"), facts.get("thinking_mode")),
            "token_usage": usage,
            "timestamp": datetime.datetime.fromtimestamp(at_us / 1e6, datetime.timezone.utc).isoformat(),
        }
    except Exception as error:
        reporter()._warn("metadata", "Cannot fill metadata: %s" % _safe_text(error))
        given = (conversation_id, role, model_used, provider_used, response_time_ms, tool_name, thinking_mode, token_usage)
        return {**dict(zip(_message_fields, given)), "timestamp": timestamp}


def _first(*values):
    for value in values:
        if value is not None and value != "":
            return value
    return None


def _usage_of(tokens_in, tokens_out):
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": (tokens_in or 0) + (tokens_out or 0),
    }


def _member_of(value, name):
    try:
        return value.get(name) if isinstance(value, collections.abc.Mapping) else getattr(value, name, None)
    except Exception:
        return None


def _facts_of(response):
    """What a model's answer says of itself: of OpenAI's and Anthropic's shapes, and of those that wrap them."""
    facts = {}
    if response is None:
        return facts
    outer = _member_of(response, "metadata")
    for source in (response, outer):
        if source is None:
            continue
        usage = _first(_member_of(source, "token_usage"), _member_of(source, "usage"))
        counts = usage_counts(usage)
        if "token_usage" not in facts and counts != (None, None):
            facts["token_usage"] = _usage_of(*counts)
        for name, spellings in (
            ("model", ("model_used", "model", "model_name")),
            ("provider", ("provider_used", "provider", "provider_name")),
            ("response_time_ms", ("ai_response_time_ms", "response_time_ms", "duration_ms", "latency_ms")),
            ("thinking_mode", ("thinking_mode",)),
        ):
            if name not in facts:
                found = _first(*(_member_of(source, spelling) for spelling in spellings))
                if isinstance(found, (str, int, float)) and not isinstance(found, bool):
                    facts[name] = found
                elif name == "provider" and found is not None:
                    value = _member_of(found, "value")
                    facts[name] = value if isinstance(value, str) else type(found).__name__
    return facts


def usage_counts(usage):
    """(tokens in, tokens out) of a model's usage, whoever spelled it; None where it does not say."""
    return tuple(
        _count_or_none(_first(*(_member_of(usage, name) for name in names)))
        for names in (
            ("prompt_tokens", "input_tokens", "prompt_token_count", "tokens_in"),
            ("completion_tokens", "output_tokens", "candidates_token_count", "tokens_out"),
        )
    )


class RequestTracer:
    """Traces by the caller's own request id, for code that cannot hold a span: start_trace, add_span, complete_trace.
    At most 10,000 requests run at once; the oldest is then ended as `interrupted`."""

    def __init__(self, reporter=None):
        self._own = reporter
        self._spans = collections.OrderedDict()
        self._lock = threading.Lock()

    @property
    def _reporter(self):
        return self._own or reporter()

    def start_trace(self, request_id=None, name=None, layer="tool", tool=None, session=None, **fields):
        """Begins a request; answers its request id, a new one where none is given."""
        try:
            request_id = new_uuid() if request_id is None else _safe_text(request_id)
            name = name or ("tools/call %s" % tool if tool else "request")
            begun = self._reporter.start_trace(
                name, layer, tool=tool, session=session, request_id=request_id, **fields
            )
            with self._lock:
                before = self._spans.pop(request_id, None)
                self._spans[request_id] = begun
                oldest = self._spans.popitem(last=False)[1] if len(self._spans) > OPEN_CALLS_MAX else None
            for forgotten in (before, oldest):
                if forgotten is not None:
                    forgotten.end("interrupted")
        except Exception as error:
            self._reporter._fail(error)
        return request_id

    def add_span(
        self,
        request_id,
        layer,
        name=None,
        start_time=None,
        end_time=None,
        duration_ms=None,
        outcome=None,
        error=None,
        kind="work",
        metadata=None,
        **fields,
    ):
        """A part of the request that has ended: start_time and end_time in seconds since the epoch, or duration_ms
        before end_time or now. Answers the span's id, None where the request is unknown."""
        try:
            parent = self._spans.get(_safe_text(request_id))
            if parent is None or not parent.recording:
                return None
            end = _seconds_of(end_time)
            begin = _seconds_of(start_time)
            if begin is None:
                begin = (end or time.time()) - (duration_ms or 0) / 1_000
            if end is None:
                end = begin + duration_ms / 1_000 if duration_ms is not None else time.time()
            part = self._reporter.span(
                name or layer_of(layer), layer_of(layer), parent=parent, kind=kind, at=at_of(begin), attributes=metadata, **fields
            )
            if error is not None:
                self._reporter.capture_error(error, span=part)
                outcome = outcome or (outcome_of(error) if _is(error, BaseException) else "tool_error")
            part.end(outcome or "ok", at=at_of(end))
            return part.span_id
        except Exception as problem:
            self._reporter._fail(problem)
            return None

    def complete_trace(self, request_id, outcome=None, error=None, success=None, **fields):
        """Ends the request, once; answers whether it was running."""
        try:
            with self._lock:
                begun = self._spans.pop(_safe_text(request_id), None)
            if begun is None:
                return False
            if error is not None:
                self._reporter.capture_error(error, span=begun)
                outcome = outcome or (outcome_of(error) if _is(error, BaseException) else "tool_error")
            begun.end(outcome or ("tool_error" if success is False else "ok"), **fields)
            return True
        except Exception as problem:
            self._reporter._fail(problem)
            return False

    def span_of(self, request_id):
        """The request's span while it runs, or None: to be made active, or to send its headers on."""
        return self._spans.get(_safe_text(request_id))


def _seconds_of(moment):
    at_us = _instant_us(moment, None)
    return None if at_us is None else at_us / 1e6


class capture_errors:
    """Records what is raised in a block or a function, and lets it pass. `@capture_errors`, `@capture_errors(name=...,
    layer=...)` on functions, coroutine functions, generators and async generators, and `with` or `async with`
    capture_errors():`. With a name or a layer, each call is a span too. Also in the operator's own shape:
    `@capture_errors(connection_type, script_name=None, context_extractor=None, record_success=False)`: what the extractor
    answers of the call's arguments goes with the error, and with record_success each call that ends is an event."""

    def __new__(cls, function=None, script_name=None, context_extractor=None, record_success=False, **options):
        self = super().__new__(cls)
        connection = options.pop("connection_type", None)
        if function is not None and not callable(function):
            function, connection = None, function
        options.update(connection=connection, script=script_name, extractor=context_extractor, success=record_success)
        self._options = options
        self._entered = []
        if function is None:
            return self
        return self(function)

    def __call__(self, function):
        options = dict(self._options)
        if not callable(function):
            return function
        if inspect.isasyncgenfunction(function):

            @functools.wraps(function)
            async def call_agen(*args, **kwargs):
                inner = function(*args, **kwargs)
                value, thrown = None, None
                try:
                    while True:
                        with _Captured(options, function, (args, kwargs), keep=True):
                            try:
                                item = await (inner.athrow(thrown) if thrown is not None else inner.asend(value))
                            except StopAsyncIteration:
                                return
                        thrown = None
                        try:
                            value = yield item
                        except GeneratorExit:
                            raise
                        except BaseException as error:
                            thrown = error
                finally:
                    await inner.aclose()

            return call_agen
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def call_generator(*args, **kwargs):
                with _Captured(options, function, (args, kwargs)):
                    return (yield from function(*args, **kwargs))

            return call_generator
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def call_async(*args, **kwargs):
                with _Captured(options, function, (args, kwargs)):
                    return await function(*args, **kwargs)

            return call_async

        @functools.wraps(function)
        def call(*args, **kwargs):
            with _Captured(options, function, (args, kwargs)):
                return function(*args, **kwargs)

        return call

    def __enter__(self):
        captured = _Captured(self._options, None)
        self._entered.append(captured)
        captured.__enter__()
        return self

    def __exit__(self, kind, error, stack):
        return self._entered.pop().__exit__(kind, error, stack) if self._entered else False

    async def __aenter__(self):
        return self.__enter__()

    async def __aexit__(self, kind, error, stack):
        return self.__exit__(kind, error, stack)


class _Captured:
    """One call of a captured function, or one block. `given`: the call's arguments, by place and by name."""

    def __init__(self, options, function, given=((), {}), keep=False):
        self._options = options
        self._function = function
        self._given = given
        self._keep = keep
        self._span = None
        self._began = time.perf_counter()
        named = options.get("name") or (function.__qualname__ if function is not None and options.get("layer") else None)
        if named and not keep:
            extra = {name: value for name, value in options.items() if name not in _capture_options}
            self._span = span(named, options.get("layer"), **extra)

    def __enter__(self):
        if self._span is not None:
            self._span.__enter__()
        return self

    def __exit__(self, kind, error, stack):
        try:
            if _is(error, Exception) and not _is(error, asyncio.CancelledError, StopIteration):
                facts = {"response_time_ms": self._spent_ms(), **self._place()} if self._options["connection"] else {}
                traceback = _own_frames.sub("", failure_of(error)[2] or "")
                capture_error(error, span=self._span, context={**self._context(), **facts}, traceback=traceback)
            elif error is None and self._options["success"] and not self._keep:
                self._succeeded()
        except Exception as problem:
            reporter()._fail(problem)
        if self._span is not None:
            self._span.__exit__(kind, error, stack)
        return False

    def _spent_ms(self):
        return round((time.perf_counter() - self._began) * 1_000, 3)

    def _place(self):
        """Where it is, by the names of the operator's monitor."""
        script = self._options["script"] or (getattr(self._function, "__module__", None) or "").rpartition(".")[2] + ".py"
        name = getattr(self._function, "__name__", None)
        return {"connection_type": self._options["connection"], "script_name": script, "function_name": name}

    def _context(self):
        context = dict(_entries(self._options.get("context")))
        extractor = self._options["extractor"]
        if extractor is not None:
            try:
                told = _entries(extractor(*self._given[0], **self._given[1]))
                # An extractor may answer a call's arguments whole: of what is more than a name the shape is kept.
                context.update({name: value if _is_short(value) else _shape_of(value) for name, value in told.items()})
            except Exception as problem:
                reporter()._warn("extractor", "Cannot ask the context extractor: %s" % _safe_text(problem))
        return context

    def _succeeded(self):
        place = self._place()
        place["connection_type"] = place["connection_type"] or "function"
        record_event(direction="success", response_time_ms=self._spent_ms(), metadata=self._context(), **place)


def _is_short(value):
    return len(value) <= NAME_BYTES_MAX if isinstance(value, str) else isinstance(value, (int, float, type(None)))


_capture_options = frozenset("name layer context connection script extractor success".split())


class PerformanceMetrics:
    """Gauges under the operator's names: websocket_connections, supabase_pool_active, supabase_pool_idle,
    redis_memory_mb, redis_key_count, process_memory_mb, event_loop_lag_ms, permits_in_use. `watch(name, read)` gives a
    function to sample; `start(seconds)` samples in a thread of its own, which is off by default."""

    names = frozenset(
        "websocket_connections supabase_pool_active supabase_pool_idle redis_memory_mb redis_key_count "
        "process_memory_mb event_loop_lag_ms permits_in_use".split()
    )

    def __init__(self, labels=None):
        self._labels = labels
        self._reads = {}
        self._stop = None
        self._epoch = None
        self._loops = set()

    def record(self, name, value, labels=None):
        """One sample of one gauge."""
        gauge(name, value, {**(self._labels or {}), **(labels or {})} or None)

    def update(self, **values):
        """Samples by name: update(websocket_connections=3, redis_memory_mb=12.5)."""
        for name, value in values.items():
            self.record(name, value)

    def watch(self, name, read, labels=None):
        """Samples `read()` from now on, at sample() and by the thread; one that raises is left out that time."""
        if len(self._reads) < 256:
            self._reads[name, tuple(sorted((labels or {}).items()))] = read

    def watch_event_loop(self, loop=None):
        """Samples how late a callback of this event loop runs. Call it from within the loop."""
        try:
            loop = loop or asyncio.get_running_loop()
            lag = {"asked_at": None, "ms": None}

            def heard():
                lag["ms"] = (time.perf_counter() - lag["asked_at"]) * 1_000
                lag["asked_at"] = None

            def read():
                late, lag["ms"] = lag["ms"], None
                if lag["asked_at"] is None:
                    lag["asked_at"] = time.perf_counter()
                    loop.call_soon_threadsafe(heard)
                    return late
                return (time.perf_counter() - lag["asked_at"]) * 1_000

            self.watch("event_loop_lag_ms", read)
        except Exception as error:
            reporter()._warn("metrics", "Cannot watch the event loop: %s" % _safe_text(error))

    def sample(self):
        """Samples everything that is watched, and this process's memory."""
        memory = process_memory_mb()
        if memory is not None:
            self.record("process_memory_mb", memory)
        for (name, labels), read in list(self._reads.items()):
            try:
                value = read()
                if value is not None:
                    self.record(name, value, dict(labels))
            except Exception:
                pass  # What is sampled may be gone, or not be there yet.

    def start(self, seconds=15):
        """Samples every `seconds` (1 at least) in a daemon thread until stop(); again after fork, by a call of its own."""
        if not enabled() or (self._stop is not None and self._epoch == reporter()._epoch):
            return
        self._stop, self._epoch = threading.Event(), reporter()._epoch
        stop = self._stop

        def sampling():
            while not stop.wait(max(1, seconds)):
                self.sample()

        try:
            threading.Thread(target=sampling, name="telltale gauges", daemon=True).start()
        except RuntimeError:
            self._stop = None

    def stop(self):
        stop, self._stop = self._stop, None
        if stop is not None:
            stop.set()


def process_memory_mb():
    """The resident memory of this process in MB (10^6 bytes), None where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, ValueError, IndexError, AttributeError):
        pass
    try:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
    except (ImportError, OSError):
        return None


def _holder_name(holding):
    """Who holds something: the tool of its request, else the name of its span."""
    if not isinstance(holding, Span):
        return None
    return cut_text(_safe_text(holding.fields.get("tool") or holding.trace.tool or holding.name), NAME_BYTES_MAX)


class WatchedSemaphore:
    """A semaphore or lock, of threading or asyncio, whose waits are recorded with who held what was waited for. It
    takes the place of the one it is made of: acquire, release, locked, `with` and `async with`."""

    def __init__(self, inner, name, quick_ms=1):
        self._inner = inner
        self._name = name
        self._quick_s = quick_ms / 1_000
        self._holders = collections.OrderedDict()
        self._serial = 0
        self._awaited = inspect.iscoroutinefunction(inner.acquire)

    def acquire(self, *args, **kwargs):
        """As the inner one's: a coroutine where that is one."""
        if self._awaited:
            return self._acquire_async(*args, **kwargs)
        began, waiting = self._begin()
        taken = False
        try:
            taken = self._inner.acquire(*args, **kwargs)
            return taken
        finally:
            self._taken(began, waiting, taken)

    async def _acquire_async(self, *args, **kwargs):
        began, waiting = self._begin()
        taken = False
        try:
            taken = await self._inner.acquire(*args, **kwargs)
            return taken
        finally:
            self._taken(began, waiting, taken)

    def release(self, *args, **kwargs):
        self._given_back()
        return self._inner.release(*args, **kwargs)

    def permits_in_use(self):
        """How many hold a permit, for a gauge."""
        return len(self._holders)

    def _begin(self):
        try:
            holding = next(iter(self._holders.values()), None)
        except RuntimeError:
            holding = None
        return time.perf_counter(), holding

    def _taken(self, began, holding, taken):
        try:
            ended = time.perf_counter()
            if ended - began >= self._quick_s:
                holder, since = holding or (None, began)
                blame = None
                if isinstance(holder, Span):
                    held_ms = max(0, round((began - since) * 1_000))
                    blame = {"telltale.holder_held_ms": held_ms, "telltale.holder_trace_id": holder.trace_id}
                waited = wait("permit %s" % self._name, holder=_holder_name(holder), at=began, attributes=blame)
                waited.end("ok" if taken is not False else "timeout", at=ended)
            if taken is not False:
                self._serial += 1
                self._holders[self._serial] = (_active.get(), ended)
        except Exception as error:
            reporter()._fail(error)

    def _given_back(self):
        """Whoever gives a permit back had one: its own where it holds one, else the oldest."""
        try:
            mine = _active.get()
            for serial, (holding, _) in list(self._holders.items()):
                if holding is not None and mine is not None and holding.trace is mine.trace:
                    self._holders.pop(serial, None)
                    return
            if self._holders:
                self._holders.popitem(last=False)
        except Exception:
            pass

    def __enter__(self):
        self.acquire()
        return self

    def __exit__(self, *_):
        self.release()

    async def __aenter__(self):
        await self.acquire()

    async def __aexit__(self, *_):
        self.release()

    def __getattr__(self, name):
        return getattr(self._inner, name)


class WatchedQueue:
    """A queue, of queue or asyncio: the time between put and get is a wait span of whoever put, and so is a put that
    finds it full. It takes the place of the one it is made of."""

    def __init__(self, inner, name):
        self._inner = inner
        self._name = name
        self._awaited = inspect.iscoroutinefunction(inner.get)

    def put(self, item, *args, **kwargs):
        entry = _Queued(item)
        return self._put_async(entry) if self._awaited else self._inner.put(entry, *args, **kwargs)

    async def _put_async(self, entry):
        await self._inner.put(entry)

    def put_nowait(self, item):
        return self._inner.put_nowait(_Queued(item))

    def get(self, *args, **kwargs):
        return self._get_async() if self._awaited else self._out(self._inner.get(*args, **kwargs))

    async def _get_async(self):
        return self._out(await self._inner.get())

    def get_nowait(self):
        return self._out(self._inner.get_nowait())

    def _out(self, entry):
        if not isinstance(entry, _Queued):
            return entry
        if entry.span is not None:
            wait("queue %s" % self._name, parent=entry.span, at=entry.at).end()
        return entry.item

    def __getattr__(self, name):
        return getattr(self._inner, name)


@functools.total_ordering
class _Queued:
    """An item on its way through a queue; it sorts as the item does."""

    __slots__ = ("item", "span", "at")

    def __init__(self, item):
        self.item = item
        self.span = _active.get()
        self.at = time.perf_counter()

    def __eq__(self, other):
        return self.item == (other.item if isinstance(other, _Queued) else other)

    def __lt__(self, other):
        return self.item < (other.item if isinstance(other, _Queued) else other)

    __hash__ = None


def watch_semaphore(inner, name):
    """WatchedSemaphore(inner, name), or `inner` itself where nothing is recorded."""
    return WatchedSemaphore(inner, name) if enabled() else inner


def watch_queue(inner, name):
    """WatchedQueue(inner, name), or `inner` itself where nothing is recorded."""
    return WatchedQueue(inner, name) if enabled() else inner


# ---------------------------------------------------------------------------------------------------------------------
# hooks: the operator's daemon and Python's own ends, without a change to their code
# ---------------------------------------------------------------------------------------------------------------------

_call = contextvars.ContextVar("telltale_call", default=None)
_in_api = contextvars.ContextVar("telltale_in_api", default=None)  # events with an error, until the call has ended
_client_suffixes = ("_EXAI-WS", "-EXAI-WS", "_EXAI_WS", "-EXAI_WS")
_message_fields = ("model_used", "provider_used", "response_time_ms", "tool_name", "thinking_mode", "token_usage")
PENDING_MESSAGES_MAX = 100
LOGGED_LEVEL_MIN = 40  # logging.ERROR


class _Call:
    """What the hooks know of one tool call of the daemon while it runs."""

    def __init__(self, tool, arguments, own_id):
        self.tool = tool
        self.thinking_mode = arguments.get("thinking_mode")
        self.own_id = own_id
        self.outcome = None
        self.failed = False
        self.from_cache = None  # Not known whether a cache was asked.
        self.replayed = False
        self.inflight = None
        self.choosing = False
        self.chosen = False
        self.providers = set()
        self.messages = []


def _around(begin):
    """What makes a hooked function of a function. `begin` sees the call's arguments by name and answers None, or a
    function of (result, error) that is called at the end and answers the result, or that and arguments to replace."""

    def make(original):
        try:
            signature = inspect.signature(original)
        except (TypeError, ValueError):
            return original

        # Bound once: Signature.bind() at each call costs more than all else here.
        parameters = signature.parameters.values()
        places = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
        words = {one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
        takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters)

        def begun(args, kwargs):
            try:
                told = dict(zip(places, args))
                told.update(kwargs)
                finish = begin(told)
                if finish.__class__ is tuple:
                    finish, changed = finish
                    args, kwargs = list(args), dict(kwargs)
                    for name, value in changed.items():
                        if name in places[: len(args)]:
                            args[places.index(name)] = value
                        elif name in words or takes_any:
                            kwargs[name] = value
                return finish, args, kwargs
            except Exception as problem:
                reporter()._fail(problem)
                return None, args, kwargs

        def finished(finish, result, error):
            try:
                return result if finish is None else finish(result, error)
            except Exception as problem:
                reporter()._fail(problem)
                return result

        async def awaited(finish, awaitable):
            try:
                result = await awaitable
            except BaseException as error:
                finished(finish, None, error)
                raise
            return finished(finish, result, None)

        if inspect.iscoroutinefunction(original):

            @functools.wraps(original)
            async def hooked(*args, **kwargs):
                finish, args, kwargs = begun(args, kwargs)
                return await awaited(finish, original(*args, **kwargs))

        else:

            @functools.wraps(original)
            def hooked(*args, **kwargs):
                finish, args, kwargs = begun(args, kwargs)
                try:
                    result = original(*args, **kwargs)
                except BaseException as error:
                    finished(finish, None, error)
                    raise
                return awaited(finish, result) if inspect.iscoroutine(result) else finished(finish, result, None)

        return hooked

    return make


def _patch(owner, name, make):
    """Puts a hooked method in place of one that is there and is not hooked yet."""
    found = inspect.getattr_static(owner, name, None)
    kind = type(found) if isinstance(found, (classmethod, staticmethod)) else None
    function = found.__func__ if kind else found
    if not inspect.isfunction(function) or getattr(function, "_telltale_hook", False):
        return
    hooked = make(function)
    hooked._telltale_hook = True
    setattr(owner, name, kind(hooked) if kind else hooked)


def _found_in(value, *names):
    """The first of the members that is there, of a mapping or an object."""
    for name in names:
        found = _member_of(value, name)
        if found is not None:
            return found
    return None


def _shape_of(value):
    if isinstance(value, str):
        return "string(%d)" % len(value)
    if isinstance(value, (list, tuple)):
        return "array(%d)" % len(value)
    if isinstance(value, dict):
        return "object(%d)" % len(value)
    if isinstance(value, (bool, type(None))):
        return "null" if value is None else "boolean"
    return "number" if isinstance(value, (int, float)) else type(value).__name__


def _argument_attributes(tool, arguments):
    """Shape and salted hash of a call's arguments; what they say only of a tool that the operator named."""
    own = reporter()
    if not arguments or not own.enabled:
        return {}
    names = list(arguments)[:ARGUMENT_NAMES_MAX]
    shape = {cut_text(_safe_text(name), ATTRIBUTE_KEY_BYTES_MAX): _shape_of(arguments[name]) for name in names}
    if len(arguments) > len(names):
        shape["\u2026"] = "%d more" % (len(arguments) - len(names))
    attributes = {"telltale.argument_shape": shape}
    if sum(len(value) if isinstance(value, (str, list, dict)) else 8 for value in arguments.values()) <= HASHED_BYTES_MAX:
        attributes["telltale.argument_hash"] = argument_hash_of(arguments, own.salt)
    if own.content(tool):
        attributes["telltale.arguments"] = _content_text(arguments)
    return attributes


def _content_text(value):
    """What a call says, without secrets, for those who opted in."""
    return cut_text(_json(redact_json(json.loads(_json(value)))), ATTRIBUTE_BYTES_MAX)


def _tell_result(span, tool, result):
    own = reporter()
    if own.enabled and result is not None and own.content(tool):
        span.set(attributes={"telltale.result": _content_text(result)})


def _text_bytes(value):
    return len(_utf8(value)) if isinstance(value, str) else None


# In a traceback as text: what stands between the host's frames only because it is hooked.
_own_frames = re.compile(r'^  File "%s", line \d+, in .*\n(?:    .*\n)*' % re.escape(__file__), re.M)


def _failed(error, span=None, **context):
    """Records an exception by its true cause: what the daemon's wrappers keep in `original_error`, what MCP's tools
    raise theirs from. Answers whether there is one to tell of; an error is told of once, however it is wrapped."""
    if not isinstance(error, Exception) or isinstance(error, asyncio.CancelledError):
        return False
    chain = [error]
    while len(chain) < CAUSES_MAX:
        last = chain[-1]
        cause = getattr(last, "original_error", None)
        if not isinstance(cause, BaseException) and type(last).__name__ in ("ToolError", "UnexpectedToolError"):
            cause = last.__cause__
        if not isinstance(cause, BaseException) or cause in chain:
            break
        chain.append(cause)
    if len(chain) > 1:
        context["raised_as"] = ["%s: %s" % (type(one).__name__, _safe_text(one)) for one in chain[:-1]]
    told = next((_told_of(one) for one in chain if _told_of(one)), None)
    if told is None:
        traceback = _own_frames.sub("", failure_of(chain[-1])[2] or "")
        capture_error(chain[-1], span=span, context=context, traceback=traceback)
        told = _told_of(chain[-1])
    for one in chain:
        _tell(one, told)
    if _call.get() is not None:
        _call.get().failed = True
    return True


def _handled_as(text):
    """The exception that is being handled now, where a text tells of it: it knows its traceback, the text does not."""
    error = sys.exc_info()[1]
    said = _safe_text(error).strip() if isinstance(error, Exception) else ""
    return error if said and said in text else None


def _ending(span, **fields):
    """Makes `span` active and answers what ends it; the fields are functions of the result."""
    span.__enter__()

    def finish(result, error):
        if error is not None:
            _failed(error, span)
            span.end(outcome_of(error))
        else:
            known = {name: read(result) for name, read in fields.items()}
            span.end(known.pop("outcome", "ok"), **{name: value for name, value in known.items() if value is not None})
        span.__exit__(None, None, None)
        return result

    return finish


def _begin_message(told):
    frame = told.get("msg")
    if not isinstance(frame, dict) or frame.get("op") not in ("call_tool", "tool_call"):
        return None
    tool = frame.get("tool")
    name = tool.get("name") if isinstance(tool, dict) else tool or frame.get("name")
    arguments = frame.get("arguments") or (tool.get("arguments") if isinstance(tool, dict) else None)
    return _begin_call(
        name, arguments, frame, told.get("session_id"), frame.get("request_id", frame.get("id")), "request_id" in frame
    )


def _begin_call(name, arguments, carrier, session_id, request_id, own_id, layer="websocket"):
    name = _safe_text(name) if name else None
    for suffix in _client_suffixes:
        name = name[: -len(suffix)] if name and name.endswith(suffix) else name
    arguments = arguments if isinstance(arguments, dict) else {}
    continued = arguments.get("continuation_id")
    session = (continued, "continuation") if continued else ("session_%s" % session_id, "mcp") if session_id else None
    call = _Call(name, arguments, own_id)
    span = start_trace(
        "tools/call %s" % name if name else "tools/call",
        layer,
        context=carrier,
        tool=name,
        session=session,
        request_id=request_id,
        attributes=_argument_attributes(name, arguments),
    )
    token = _call.set(call)
    finish = _ending(span, outcome=lambda _: call.outcome or ("ok" if call.from_cache or call.inflight else "caller_fault"))

    def ended(result, error):
        if call.inflight is not None:
            call.inflight.end(outcome_of(error))
            span.set(attributes={"telltale.from_inflight": True})
            if not call.own_id:
                span.set(attributes={"telltale.fault": "foreign_inflight_answer"})
        if call.from_cache or (call.from_cache is False and not call.replayed):
            span.set(attributes={"telltale.from_cache": call.from_cache})
        for message, where in call.messages:
            record_message(span=where, **message)
        if error is None or call.outcome is None:
            finish(result, error)
        else:
            span.end(call.outcome)
            span.__exit__(None, None, None)
        _call.reset(token)
        return result

    return ended


def _begin_tool(told):
    name, arguments = told.get("name"), told.get("arguments")
    call = _call.get()
    outer = None
    if call is None:
        session = told.get("session_id")
        outer = _begin_call(name, arguments, None, session, told.get("req_id"), True, layer="tool")
        call, span = _call.get(), _active.get() or no_span
    else:
        if call.inflight is not None:
            call.inflight.end("server_fault")
            call.inflight = None
        span = reporter().span("execute_tool %s" % name, "tool", tool=name)
        span.__enter__()

    def finish(result, error):
        call.outcome, text = _outcome_of_tool(result, error)
        if error is not None:
            _failed(error, span)
        elif text and not call.failed:
            capture_error(text, span=span, error_type="TimeoutError" if call.outcome == "timeout" else "ToolError")
        outputs = result[1] if isinstance(result, tuple) and len(result) > 1 else None
        size = sum(_text_bytes(_found_in(output, "text")) or 0 for output in outputs or ())
        _tell_result(span, call.tool, outputs)
        if outer is not None:
            span.set(bytes_out=size)
            return outer(result, error)
        span.end(call.outcome, bytes_out=size)
        span.__exit__(None, None, None)
        return result

    return finish


def _outcome_of_tool(result, error):
    """(outcome, why it failed) of what execute_tool answered: (success, outputs, error)."""
    if error is not None:
        if type(error).__name__ == "ToolNotFoundError":
            return "caller_fault", None
        return outcome_of(getattr(error, "original_error", None) or error), None
    success, outputs, said = (tuple(result) + (None, None, None))[:3] if isinstance(result, (tuple, list)) else (True, (), None)
    if not success:
        return "timeout" if "timed out" in _safe_text(said) else "tool_error", _safe_text(said or "Tool failed")
    texts = [text for text in (_found_in(output, "text") for output in outputs or ()) if isinstance(text, str)]
    first = texts[0].strip() if texts else ""
    if first.startswith("Error executing tool"):
        return "tool_error", first
    try:
        envelope = json.loads(first) if first.startswith("{") and len(first) < MIB else None
    except ValueError:
        envelope = None
    if isinstance(envelope, dict) and envelope.get("status") == "error":
        return "tool_error", _safe_text(envelope.get("content") or "Tool failed")
    return "ok" if any(text.strip() for text in texts) else "empty", None


class _Permits:
    """Who holds the permits of one semaphore, counted at the guard."""

    def __init__(self):
        self.holders = {}
        self.last = None
        self.told_at = 0.0
        self.gauged_at = 0.0


_permits = weakref.WeakKeyDictionary()


def _permits_of(guard):
    """(what is waited for, who holds it, who asks) for a guard of the daemon's."""
    call = _call.get()
    tool = call.tool if call else None
    name = _safe_text(getattr(guard, "name", "unknown"))
    if tool and name.endswith("_" + tool):
        name = name[: -len(tool) - 1]
    found = re.match(r"(global|provider|session)_sem(?:_(.+))?\Z", name)
    if found:
        key = (found.group(2) or "").partition("_")[0]
        name = found.group(1) + "_sem" + (" " + key if key and found.group(1) == "provider" else "")
    permits = _permits.get(guard.semaphore)
    if permits is None:
        permits = _permits[guard.semaphore] = _Permits()
    return name, permits, tool or "unknown"


def _check_permits(guard, name, permits, tool):
    """A permit that was given back while it is held: more are free and held than there are."""
    bound = getattr(guard.semaphore, "_bound_value", None)
    free, held = getattr(guard.semaphore, "_value", 0), len(permits.holders)
    now = time.monotonic()
    if now - permits.gauged_at >= 1:
        permits.gauged_at = now
        gauge("permits_in_use", held, {"name": name})
    if bound is None or free + held <= bound or now - permits.told_at < 60:
        return
    permits.told_at = now
    text = "Cannot keep to the limit of %s: a permit was released while it was held" % name
    facts = {"permit": name, "held": held, "free": free, "limit": bound, "tool": tool}
    capture_error(text, error_type="PermitReleasedWhileHeld", context=facts)
    if _active.get() is not None:
        _active.get().set(attributes={"telltale.fault": "permit_released_while_held"})


def _begin_permit(told):
    guard = told["self"]
    name, permits, tool = _permits_of(guard)
    waiting = no_span
    if guard.semaphore.locked():
        waiting = wait("permit " + name, holder=next(iter(permits.holders.values()), None))

    def finish(result, error):
        if error is None:
            if permits.last is not None:
                waiting.set(holder=permits.last)
            permits.holders[id(guard)] = tool
            _check_permits(guard, name, permits, tool)
        waiting.end(outcome_of(error))
        return result

    return finish


def _begin_release(told):
    guard = told["self"]
    name, permits, tool = _permits_of(guard)
    _check_permits(guard, name, permits, tool)
    permits.last = permits.holders.pop(id(guard), None) or permits.last
    return None


def _begin_cached(told):
    def finish(result, error):
        call = _call.get()
        if call is not None:
            call.from_cache = bool(call.from_cache) or result is not None
        return result

    return finish


def _begin_semantic(told):
    def finish(result, error):
        if result is not None and _active.get() is not None:
            _active.get().set(attributes={"telltale.from_cache": True, "telltale.cache": "semantic"})
            if _call.get() is not None:
                _call.get().replayed = True
        return result

    return finish


_inflight_tools = weakref.WeakKeyDictionary()


def _begin_add_inflight(told):
    call = _call.get()
    if call is not None and told.get("future") is not None:
        _inflight_tools[told["future"]] = call.tool
    return None


def _begin_inflight(told):
    def finish(result, error):
        call = _call.get()
        if call is not None and result is not None:
            call.inflight = wait("queue inflight", holder=_inflight_tools.get(result))
        return result

    return finish


def _begin_choice(told):
    call = _call.get()
    if call is None or call.choosing:
        return None
    call.choosing = call.chosen = True
    span = reporter().span("choose_model", "provider", attributes={"telltale.requested_model": told.get("requested")})
    finish = _ending(
        span,
        provider=lambda decision: getattr(decision, "provider", None),
        model=lambda decision: getattr(decision, "chosen", None),
        attributes=lambda decision: {"telltale.reason": getattr(decision, "reason", None)},
    )

    def ended(result, error):
        call.choosing = False
        return finish(result, error)

    return ended


def _provider_name(provider):
    try:
        kind = provider.get_provider_type()
        return _safe_text(getattr(kind, "name", kind))
    except Exception:
        return type(provider).__name__


def _begin_provider(told):
    call = _call.get()
    asked = told.get("provider_type")
    name = _safe_text(getattr(asked, "name", asked))
    span = no_span
    if call is not None and not call.chosen and name not in call.providers and _active.get() is not None:
        call.providers.add(name)
        span = reporter().span("get_provider", "provider", provider=name)

    def finish(result, error):
        span.end(outcome_of(error))
        if result is not None:
            for method in ("generate_content", "chat_completions_create"):
                _patch(type(result), method, _around(_begin_api))
        return result

    return finish


def _begin_api(told):
    """One call of an AI API. What the provider calls of itself on the way is a part of it."""
    if _in_api.get() is not None:
        return None
    events = []
    token = _in_api.set(events)
    said = told.get("messages")
    said = [message.get("content") for message in said if isinstance(message, dict)] if isinstance(said, list) else [told.get("prompt")]
    start = {
        "provider": _provider_name(told.get("self")),
        "model": told.get("model_name") or told.get("model"),
        "bytes_in": sum(_text_bytes(text) or 0 for text in said),
    }
    span = reporter().span("chat %s" % start["model"], "api", **start)
    span.__enter__()
    chunks = [0, None]
    began = time.perf_counter()

    def chunk():
        chunks[0] += 1
        if chunks[1] is None:
            chunks[1] = round((time.perf_counter() - began) * 1_000)
            wait("first chunk", parent=span, at=began).end()

    def ended(result, error):
        tokens_in, tokens_out = usage_counts(_first(_found_in(result, "usage"), _found_in(result, "token_usage")))
        model = _found_in(result, "model_name", "model")
        if chunks[0]:
            span.set(attributes={"telltale.chunk_count": chunks[0], "telltale.first_chunk_ms": chunks[1]})
        if isinstance(model, str):
            span.set(model=model)
        content = _found_in(result, "content")
        if error is not None:
            _failed(error, span)
        for event in events[:PENDING_MESSAGES_MAX]:
            # The exception itself tells more than what the monitor was told of it.
            detail = {"error": None, "metadata": {**event["metadata"], "error_message": event["error"]}} if error else {}
            reporter().record_event(**{**event, **detail}, span=span)
        span.end(outcome_of(error), tokens_in=tokens_in, tokens_out=tokens_out, bytes_out=_text_bytes(content))

    def finish(result, error):
        _in_api.reset(token)
        span.__exit__(None, None, None) if span.end_us is not None else _leave(span)
        if error is None and inspect.isasyncgen(result):
            return _told_stream(result, chunk, ended)
        if error is None and inspect.isgenerator(result):
            return _told_generator(result, chunk, ended)
        ended(result, error)
        return result

    on_chunk = told.get("on_chunk")
    if not callable(on_chunk):
        return finish

    def told_chunk(*args, **kwargs):
        chunk()
        return on_chunk(*args, **kwargs)

    async def told_chunk_later(*args, **kwargs):
        chunk()
        return await on_chunk(*args, **kwargs)

    return finish, {"on_chunk": told_chunk_later if inspect.iscoroutinefunction(on_chunk) else told_chunk}


def _leave(span):
    """The span is active no more, and goes on."""
    try:
        token, span._token = span._token, None
        _active.reset(token)
    except Exception:
        pass


async def _told_stream(stream, chunk, ended):
    """The same stream to whoever reads it, `send` and `throw` included."""
    sent = thrown = error = None
    try:
        while True:
            try:
                item = await (stream.asend(sent) if thrown is None else stream.athrow(thrown))
            except StopAsyncIteration:
                return
            sent = thrown = None
            chunk()
            try:
                sent = yield item
            except GeneratorExit:
                await stream.aclose()
                raise
            except BaseException as given:
                thrown = given
    except BaseException as left:
        error = left
        raise
    finally:
        ended(None, None if isinstance(error, GeneratorExit) else error)


def _told_generator(stream, chunk, ended):
    """The same of a generator."""
    sent = thrown = error = None
    try:
        while True:
            try:
                item = stream.send(sent) if thrown is None else stream.throw(thrown)
            except StopIteration as done:
                return done.value
            sent = thrown = None
            chunk()
            try:
                sent = yield item
            except GeneratorExit:
                stream.close()
                raise
            except BaseException as given:
                thrown = given
    except BaseException as left:
        error = left
        raise
    finally:
        ended(None, None if isinstance(error, GeneratorExit) else error)


def _begin_save(told):
    """Storage of a message. Its nulls are filled from the provider call of its trace, in a copy that is stored."""
    call = _call.get()
    content = told.get("content")
    span = reporter().span("save_message", "storage", tool=call.tool if call else None, bytes_in=_text_bytes(content))
    given = told.get("metadata")
    metadata = dict(given) if isinstance(given, dict) else {}
    known = _known_of_message(call, span, told.get("role"))
    for name in _message_fields:
        if metadata.get(name) is None and known.get(name) is not None:
            metadata[name] = known[name]
    message = {name: metadata.get(name) for name in _message_fields}
    message.update(conversation_id=told.get("conversation_id"), role=told.get("role"), timestamp=time.time())
    if message["model_used"] is None:
        message["model_used"] = metadata.get("model")
    finish = _ending(span)

    def ended(result, error):
        finish(result, error)
        if error is not None:
            return result
        if call is None or None not in message.values() or len(call.messages) >= PENDING_MESSAGES_MAX:
            record_message(span=span, **message)
        else:
            # What it lacks is known when the call ends: a question is saved before anything answers it.
            call.messages.append((message, span))
        return result

    changed = {"metadata": metadata} if metadata and metadata != given else {}
    return ended, changed


def _known_of_message(call, span, role):
    facts = (span.trace.facts if span.trace else None) or {}
    usage = {name: facts[name] for name in ("tokens_in", "tokens_out") if facts.get(name) is not None}
    usage = {{"tokens_in": "prompt_tokens", "tokens_out": "completion_tokens"}[name]: count for name, count in usage.items()}
    return {
        "model_used": facts.get("model"),
        "provider_used": facts.get("provider"),
        "response_time_ms": facts.get("response_time_ms"),
        "tool_name": call.tool if call else None,
        "thinking_mode": call.thinking_mode if call else None,
        "token_usage": {**usage, "total_tokens": sum(usage.values())} if usage else None,
    }


def _begin_event(told):
    """The daemon's own monitor: detail, never a request, since it sees a sample."""

    def finish(result, error):
        metadata = told.get("metadata")
        metadata = dict(metadata) if isinstance(metadata, dict) else {}
        size = told.get("data_size_bytes")
        if told.get("direction") == "duration_recorded":
            metadata["tokens"], size = size, None
        failure = told.get("error")
        event = {name: told.get(name) for name in ("connection_type", "direction", "script_name", "function_name")}
        event.update(
            data_size_bytes=size,
            response_time_ms=told.get("response_time_ms"),
            error=metadata.pop("error_message", None) or failure if failure else None,
            error_type=metadata.pop("error_type", None),
            error_traceback=metadata.pop("error_traceback", None),
            metadata={**metadata, "telltale.sampled": True},
        )
        if failure and _in_api.get() is not None:
            _in_api.get().append({**event, "timestamp": time.time()})
            return result
        handled = _handled_as("%s %s" % (_safe_text(failure), _safe_text(event["error"]))) if failure else None
        if handled is not None:
            # The exception tells more than the monitor was told of it, and is told of once, wherever it goes from here.
            _failed(handled, **{name: event[name] for name in ("connection_type", "script_name", "function_name")})
            metadata = {**event["metadata"], "error_message": event["error"]}
            event.update(error=None, error_type=None, error_traceback=None, metadata=metadata)
        record_event(**event)
        return result

    return finish


_seam_tails = frozenset(
    "connection_monitor request_router tool_executor semaphores cache_manager semantic_cache_manager service "
    "supabase_client registry registry_core".split()
)
_seam_classes = {
    "ConnectionMonitor": {"record_event": _begin_event},
    "RequestRouter": {"handle_message": _begin_message},
    "ToolExecutor": {"execute_tool": _begin_tool},
    "SemaphoreGuard": {"__aenter__": _begin_permit, "__aexit__": _begin_release},
    "CacheManager": {
        "get_cached_result": _begin_cached,
        "get_inflight": _begin_inflight,
        "add_inflight": _begin_add_inflight,
    },
    "SemanticCacheManager": {"get": _begin_semantic},
    "RouterService": {"choose_model": _begin_choice, "choose_model_with_hint": _begin_choice},
    "SupabaseStorageManager": {"save_message": _begin_save},
    "ModelProviderRegistry": {"get_provider": _begin_provider},
}


def _is_seam(name):
    return name in _mcp_seams or name in _http_seams or name.rpartition(".")[2] in _seam_tails


def _hook_module(module):
    """Hooks the classes of a module that has been executed, each only if it is there."""
    try:
        name = module.__name__
        if name in _mcp_seams or name in _http_seams:
            (_mcp_seams.get(name) or _http_seams[name])(module)
        elif name.rpartition(".")[2] in _seam_tails:
            for found, seams in _seam_classes.items():
                owner = vars(module).get(found)
                if not isinstance(owner, type):
                    continue
                for method in [method for method in dir(owner) if method in seams or (found == "RouterService" and method.startswith("choose_model"))]:
                    _patch(owner, method, _around(seams.get(method, _begin_choice)))
    except Exception as problem:
        reporter()._fail(problem)


class _SeamFinder:
    """Finds what the others find, and has the modules with seams hooked when they have been executed."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if not _is_seam(name):
            return None
        for finder in sys.meta_path:
            find = None if finder is _SeamFinder else getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find else None
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _SeamLoader(spec.loader)
                return spec
        return None


class _SeamLoader:
    """A module's own loader, which it gets back before it is executed."""

    def __init__(self, loader):
        self._loader = loader

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _hook_module(module)


# Outgoing context: whoever is called by HTTP from within a span can join its trace.

_context_names = ("traceparent", "tracestate")
_loopback = re.compile(r"(?:.+\.)?localhost\.?\Z|127(?:\.[0-9]{1,3}){3}\Z|\[?::1\]?\Z", re.I)


def _host_rule(env):
    """Whether a host is told the context of the active span: one that TELLTALE_PROPAGATE names (with `*` for any text),
    by default one on this machine and that of SUPABASE_URL. Strangers learn nothing."""
    import urllib.parse

    given = env.get("TELLTALE_PROPAGATE")
    if given is None:
        try:
            known = urllib.parse.urlsplit(env.get("SUPABASE_URL") or "").hostname
        except ValueError:
            known = None
        return lambda host: host == known or _loopback.match(host) is not None
    names = [name.strip().lower().strip("[]") for name in given.split(",")]
    named = re.compile("|".join(".*".join(map(re.escape, name.split("*"))) for name in names if name) or "(?!)", re.S)
    return lambda host: named.fullmatch(host) is not None


_tells_host = functools.lru_cache(maxsize=1_024)(lambda host: _propagates(host))
_propagates = None


def _context_for(host):
    """The headers for a request to this host, None where it is told none."""
    span = _active.get()
    if not isinstance(span, Span) or not host:
        return None
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    return span.headers() if _tells_host(host.lower().strip("[]")) else None


def _hook_http_client(module):
    """urllib, requests and urllib3 send by it. Where the host's own headers are complete, ours are added."""
    connections = module.HTTPConnection
    put = connections.putheader

    def target_of(connection, buffered):
        if getattr(connection, "_tunnel_host", None):
            return connection._tunnel_host
        # Of a proxy it is asked for whole addresses.
        whole = re.match(rb"[^ ]+ https?://(?:[^/@ ]*@)?(\[[^\]]*\]|[^:/? ]*)", buffered[0]) if buffered else None
        return whole.group(1) if whole else connection.host

    def make(original):
        @functools.wraps(original)
        def endheaders(self, *args, **kwargs):
            try:
                if _active.get() is not None and not getattr(self, "_telltale_own", False):
                    buffered = self._buffer
                    given = any(line[:11].lower() in (b"traceparent", b"tracestate:") for line in buffered)
                    headers = None if given else _context_for(target_of(self, buffered))
                    for name, value in (headers or {}).items():
                        put(self, name, value)
            except Exception as problem:
                reporter()._fail(problem)
            return original(self, *args, **kwargs)

        return endheaders

    _patch(connections, "endheaders", make)


def _lend_context(request):
    """Adds the context to a request that has `url.host` and `headers`; answers the names that were added."""
    try:
        headers = request.headers
        if _active.get() is None or any(name in headers for name in _context_names):
            return ()
        added = _context_for(request.url.host)
        if added is None:
            return ()
        headers.update(added)
        return _context_names
    except Exception as problem:
        reporter()._fail(problem)
        return ()


def _take_context(request, names):
    """What a redirection copies must not go to where it leads."""
    for name in names:
        try:
            del request.headers[name]
        except Exception:
            pass


def _hook_httpx(module):
    """At the transports: there every hop of a request passes, each with its own address."""

    def make(original):
        @functools.wraps(original)
        def handle_request(self, request):
            names = _lend_context(request)
            try:
                return original(self, request)
            finally:
                _take_context(request, names)

        return handle_request

    def make_async(original):
        @functools.wraps(original)
        async def handle_async_request(self, request):
            names = _lend_context(request)
            try:
                return await original(self, request)
            finally:
                _take_context(request, names)

        return handle_async_request

    for owner, method, maker in (
        ("HTTPTransport", "handle_request", make),
        ("AsyncHTTPTransport", "handle_async_request", make_async),
    ):
        if isinstance(vars(module).get(owner), type):
            _patch(vars(module)[owner], method, maker)


def _hook_aiohttp(module):
    """Each hop is a request of its own there."""

    def make(original):
        @functools.wraps(original)
        def send(self, *args, **kwargs):
            if getattr(self, "method", None) != "CONNECT":
                _lend_context(self)
            return original(self, *args, **kwargs)

        return send

    if isinstance(vars(module).get("ClientRequest"), type):
        _patch(module.ClientRequest, "send", make)


_http_seams = {
    "http.client": _hook_http_client,
    "httpx._transports.default": _hook_httpx,
    "httpx2._transports.default": _hook_httpx,
    "aiohttp.client_reqrep": _hook_aiohttp,
}


def _hook_logging():
    import logging

    def make(original):
        @functools.wraps(original)
        def hooked(self, record):
            try:
                if record.exc_info or record.levelno >= LOGGED_LEVEL_MIN:
                    _tell_log(record)
            except Exception as problem:
                reporter()._fail(problem)
            return original(self, record)

        return hooked

    _patch(logging.Logger, "handle", make)


_logged_at = collections.OrderedDict()


def _tell_log(record):
    """A log record with an exception, at any level; one of an error without, with where it was logged, once a second."""
    facts = {"logger": record.name, "level": record.levelname}
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    if error is None and record.levelno >= LOGGED_LEVEL_MIN:
        error = _handled_as(record.getMessage())
    if error is not None:
        _failed(error, logged=cut_text(_safe_text(record.getMessage()), NAME_BYTES_MAX), **facts)
        return
    if record.levelno < LOGGED_LEVEL_MIN or (_call.get() is not None and _call.get().failed):
        return
    place, now = (record.pathname, record.lineno), time.monotonic()
    if now - _logged_at.get(place, -9.0) < 1:
        return
    _logged_at[place] = now
    _logged_at.move_to_end(place)
    if len(_logged_at) > 1_000:
        _logged_at.popitem(last=False)
    text = record.getMessage()
    traceback = record.stack_info or (text if "Traceback (most recent call last)" in text else None)
    traceback = traceback or '  File "%s", line %d, in %s' % (record.pathname, record.lineno, record.funcName)
    capture_error(text, error_type="LoggedError", traceback=traceback, context=facts)


def _hook_ends():
    """Uncaught exceptions: of the main thread, of others, of event loops. What the host does with them stays."""
    before, before_thread = sys.excepthook, threading.excepthook

    def hook(kind, error, traceback):
        _failed(error, uncaught=True)
        before(kind, error, traceback)

    def hook_thread(args):
        if args.exc_value is not None:
            _failed(args.exc_value, uncaught=True, thread=getattr(args.thread, "name", None))
        before_thread(args)

    def make(original):
        @functools.wraps(original)
        def hooked(self, context):
            try:
                error = context.get("exception")
                message = _safe_text(context.get("message"))
                if not _failed(error, loop=message) and error is None:
                    capture_error(message, error_type="AsyncioError")
            except Exception as problem:
                reporter()._fail(problem)
            return original(self, context)

        return hooked

    sys.excepthook, threading.excepthook = hook, hook_thread
    _patch(asyncio.BaseEventLoop, "call_exception_handler", make)


_installed = False


def install():
    """Hooks the daemon's seams, the MCP SDK, HTTP clients, logging and uncaught exceptions, in what is loaded and in what
    loads later. Answers whether the hooks are in. They record and never change what the host does, with two exceptions:
    a message that is saved gets the fields that are null in it, and HTTP requests from within a span carry its trace
    context to the hosts that TELLTALE_PROPAGATE names. Nothing is hooked while reporting is turned off."""
    global _installed, _propagates
    try:
        own = reporter()
        with _reporter_lock:
            if _installed or not own.enabled:
                return _installed
            _installed = True
        _propagates = _host_rule(own._env)
        sys.meta_path.insert(0, _SeamFinder)
        for name, module in list(sys.modules.items()):
            if module is not None and _is_seam(name):
                _hook_module(module)
        _hook_logging()
        _hook_ends()
    except Exception as problem:
        reporter()._fail(problem)
    return _installed


# ---------------------------------------------------------------------------------------------------------------------
# MCP SDK: servers of the official package, low-level and FastMCP, of its first and its second major
# ---------------------------------------------------------------------------------------------------------------------

_mcp_call = contextvars.ContextVar("telltale_mcp_call", default=None)
_mcp_sessions = weakref.WeakKeyDictionary()
_mcp_asks = ("sampling/createMessage", "elicitation/create", "roots/list")


def _mcp_meta(params):
    meta = _found_in(params, "_meta", "meta")
    if meta is None or isinstance(meta, collections.abc.Mapping):
        return meta or {}
    return {**(getattr(meta, "__pydantic_extra__", None) or {}), **vars(meta)}


def _mcp_start(method, params, request_id, session, connection_id, version, request):
    """`request`: that of HTTP, where it came by one. The trace context in `_meta` goes before that in its headers."""
    meta = _mcp_meta(params)
    headers = getattr(request, "headers", None)
    headers = headers if isinstance(headers, collections.abc.Mapping) else {}
    session = session or headers.get("mcp-session-id")
    version = version or headers.get("mcp-protocol-version")
    arguments = _found_in(params, "arguments")
    arguments = arguments if isinstance(arguments, dict) else {}
    tool = _found_in(params, "name") if method == "tools/call" else None
    target = _found_in(params, "name") if method in ("tools/call", "prompts/get") else None
    given = None
    if method == "tools/call":
        keys = (
            (arguments.get("continuation_id"), "continuation"),
            (meta.get("gen_ai.conversation.id"), "conversation"),
            (meta.get("mcp.session.id") or session, "mcp"),
            (connection_id, "connection"),
        )
        given = next(((key, rule) for key, rule in keys if key), None)
    attributes = {"mcp.method.name": method, "mcp.session.id": session, "mcp.protocol.version": version}
    uri = _found_in(params, "uri")
    attributes["mcp.resource.uri"] = None if uri is None else _safe_text(uri)
    attributes = {name: value for name, value in attributes.items() if value is not None}
    span = start_trace(
        "%s %s" % (method, target) if target else method,
        "tool",
        context=meta if context_of(meta) else headers,
        tool=tool,
        session=given,
        request_id=None if request_id is None else str(request_id),
        attributes={**attributes, **(_argument_attributes(tool, arguments) if arguments else {})},
    )
    return span


def _mcp_end(span, method, result):
    """Ends a request by its result: a mapping or a model."""
    if not method == "tools/call":
        span.end("ok")
        return
    content = _found_in(result, "content") or []
    texts = [text for text in (_found_in(item, "text") for item in content) if isinstance(text, str)]
    size = sum(map(_text_bytes, texts))
    _tell_result(span, span.fields.get("tool") if span.recording else None, texts)
    if _found_in(result, "isError", "is_error") is True:
        if _mcp_call.get() is not None and not _mcp_call.get()["failed"]:
            capture_error(texts[0] if texts else "Tool failed", span=span, error_type="ToolError")
        span.end("tool_error", bytes_out=size)
        return
    said = any(text.strip() for text in texts) or len(content) > len(texts)
    structured = _found_in(result, "structuredContent", "structured_content")
    span.end("ok" if said or structured or _found_in(result, "resultType") == "input_required" else "empty", bytes_out=size)


def _mcp_error(span, error):
    code = _found_in(_found_in(error, "error"), "code")
    if isinstance(error, asyncio.CancelledError) or type(error).__name__ == "Cancelled":
        span.end("cancelled")
        return
    _failed(error, span)
    if not isinstance(code, int):
        code = -32602 if type(error).__name__ == "ValidationError" else None
    faulty = code in (-32700, -32600, -32601, -32602)
    outcome = "caller_fault" if faulty else "timeout" if outcome_of(error) == "timeout" else "server_fault"
    span.end(outcome, attributes={"rpc.response.status_code": str(code)} if code else None)


def _connection_id(session):
    try:
        return _mcp_sessions.setdefault(session, new_uuid())
    except TypeError:
        return None


async def _mcp_middleware(ctx, call_next):
    """Of the second major: each request that comes in."""
    span = no_span
    try:
        if ctx.request_id is not None and ctx.method != "subscriptions/listen":
            connection = getattr(ctx.session, "_connection", None)
            known = getattr(connection, "session_id", None)
            span = _mcp_start(
                *(ctx.method, ctx.params, ctx.request_id, known, _connection_id(connection), ctx.protocol_version),
                request=ctx.request,
            )
    except Exception as problem:
        reporter()._fail(problem)
    _mcp_call.set({"failed": False, "span": span})
    with activated(span):
        try:
            result = await call_next(ctx)
        except BaseException as error:
            _guarded(_mcp_error, span, error)
            raise
    _guarded(_mcp_end, span, ctx.method, result)
    return result


def _guarded(act, *given):
    try:
        act(*given)
    except Exception as problem:
        reporter()._fail(problem)


def _begin_mcp_init(told):
    def finish(result, error):
        middleware = getattr(told["self"], "middleware", None)
        if isinstance(middleware, list) and _mcp_middleware not in middleware:
            middleware.insert(0, _mcp_middleware)
        return result

    return finish


def _begin_mcp_request(told):
    """Of the first major: `_handle_request(message, req, session, ...)`."""
    request, message, session = told.get("req"), told.get("message"), told.get("session")
    params = _found_in(request, "params")
    carried = _found_in(_found_in(message, "message_metadata"), "request_context")
    version = _found_in(_found_in(session, "client_params"), "protocolVersion")
    method = _safe_text(_found_in(request, "method"))
    asked = _found_in(message, "request_id")
    span = _mcp_start(method, params, asked, None, _connection_id(session), version, request=carried)
    call = {"failed": False, "span": span, "method": method}
    _mcp_call.set(call)
    span.__enter__()

    def finish(result, error):
        if error is not None:
            _mcp_error(span, error)
        span.end("cancelled")
        span.__exit__(None, None, None)
        return result

    return finish


def _begin_mcp_respond(told):
    """What a request of the first major is answered with: a result, or the data of an error."""
    call, response = _mcp_call.get(), told.get("response")
    if call is None or "method" not in call or response is None:
        return None
    code = _found_in(response, "code")
    if code is None:
        _mcp_end(call["span"], call["method"], getattr(response, "root", response))
        return None
    if not call["failed"]:
        capture_error(_safe_text(_found_in(response, "message")), span=call["span"], error_type=str(code))
    outcome = "caller_fault" if code in (-32700, -32600, -32601, -32602) else "server_fault"
    call["span"].end(outcome, attributes={"rpc.response.status_code": str(code)})
    return None


def _begin_mcp_tool(told):
    def finish(result, error):
        call = _mcp_call.get()
        if error is not None and call is not None:
            call["failed"] = _failed(error, call["span"])
        return result

    return finish


def _begin_mcp_failed(told):
    """A low-level tool that raised becomes a result within the handler of its exception."""
    call = _mcp_call.get()
    if call is not None and _failed(sys.exc_info()[1], call["span"]):
        call["failed"] = True
    return None


def _begin_mcp_ask(told):
    """What the server asks of its client in the middle of a call: it waits for the client."""
    request = getattr(told.get("request"), "root", told.get("request"))
    method = _safe_text(_found_in(request, "method"))
    waiting = wait(method, holder="client") if method in _mcp_asks else no_span

    def finish(result, error):
        waiting.end(outcome_of(error))
        return result

    return finish


def _seams_of(**classes):
    def hook(module):
        for found, seams in classes.items():
            for method, begin in seams.items():
                if isinstance(vars(module).get(found), type):
                    _patch(vars(module)[found], method, _around(begin))

    return hook


_mcp_seams = {
    "mcp.server.lowlevel.server": _seams_of(
        Server={
            "__init__": _begin_mcp_init,
            "_handle_request": _begin_mcp_request,
            "_make_error_result": _begin_mcp_failed,
        }
    ),
    "mcp.shared.session": _seams_of(
        RequestResponder={"respond": _begin_mcp_respond}, BaseSession={"send_request": _begin_mcp_ask}
    ),
    "mcp.server.session": _seams_of(ServerSession={"send_request": _begin_mcp_ask}),
    "mcp.server.fastmcp.tools.base": _seams_of(Tool={"run": _begin_mcp_tool}),
    "mcp.server.mcpserver.tools.base": _seams_of(Tool={"run": _begin_mcp_tool}),
}


# ---------------------------------------------------------------------------------------------------------------------
# command line: python telltale.py [--service NAME] (SCRIPT | -m MODULE) ARGUMENTS
# ---------------------------------------------------------------------------------------------------------------------

_usage_line = "usage: python telltale.py [--service NAME] (SCRIPT | -m MODULE) [ARGUMENT ...]"


def _stripped(error):
    """The exception without the frames that brought its script here, so that it prints as it would alone."""
    stack = error.__traceback__
    own = _stripped.__code__.co_filename
    while stack is not None and stack.tb_frame.f_code.co_filename == own:
        stack = stack.tb_next
    return error.with_traceback(stack)


class _Termination:
    """SIGTERM for a script that has no handler of its own: what waits goes to the disk, and then the signal does what it
    does by itself. A handler that the script or an event loop sets takes the place of this one."""

    def __init__(self):
        import signal

        self._signal = signal
        self._begun = False
        # It came while this thread was in close(), which ends what it has begun first.
        self.late = False
        if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self.heard)
            atexit.register(self._give_back)

    def heard(self, *_):
        if self._begun:
            return
        self._begun = True
        here = threading.get_ident()
        if any(one._closing == here for one in list(_live_reporters)):
            self.late = True
        else:
            self.end()

    def end(self):
        self.late = False
        until = time.perf_counter() + TERMINATION_MS_MAX / 1_000
        for one in list(_live_reporters):
            try:
                while one._closing is not None and time.perf_counter() < until:
                    time.sleep(0.001)
                one._save(until - time.perf_counter())
            except Exception as problem:
                one._warn("internal", "Cannot keep what waits: %s" % _safe_text(problem))
        self._signal.signal(self._signal.SIGTERM, self._signal.SIG_DFL)
        # The first process of a container lives on: there the kernel passes over what would end it by default.
        os.kill(os.getpid(), self._signal.SIGTERM)

    def _give_back(self):
        """Once nothing of ours is left to do, while the interpreter is still there to hear of it."""
        if not self._begun and self._signal.getsignal(self._signal.SIGTERM) == self.heard:
            self._signal.signal(self._signal.SIGTERM, self._signal.SIG_DFL)


def _main_module():
    """An empty `__main__` in place of ours."""
    sys.modules["__main__"] = module = type(sys)("__main__")
    if sys.version_info < (3, 14):
        module.__annotations__ = {}
    return module


def _run_script(path):
    import builtins
    import importlib.machinery
    import io

    path = os.path.abspath(path)
    module = _main_module()
    loader = importlib.machinery.SourceFileLoader("__main__", path)
    module.__dict__.update(__file__=path, __loader__=loader, __builtins__=builtins, __cached__=None)
    with io.open_code(path) as file:
        source = file.read()
    exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)


def _main(arguments):
    """Runs a script or a module as Python itself would, hooked."""
    this = sys.modules["__main__"]
    this.__name__ = "telltale"
    sys.modules["telltale"] = this
    if arguments[:1] == ["--service"] and len(arguments) > 1:
        os.environ["TELLTALE_SERVICE"] = arguments[1]
        arguments = arguments[2:]
    module = arguments[1] if arguments[:1] == ["-m"] and len(arguments) > 1 else None
    if not arguments or (arguments[0].startswith("-") and module is None):
        sys.stderr.write(_usage_line + "\n")
        sys.exit(0 if arguments[:1] in (["-h"], ["--help"]) else 2)
    script = arguments[0]
    if module is None and not os.path.exists(script):
        sys.stderr.write("%s: can't open file %r: [Errno 2] No such file or directory\n" % (sys.executable, os.path.abspath(script)))
        sys.exit(2)
    if install() and os.name != "nt":
        global _termination
        _termination = _Termination()
    import runpy
    import zipfile

    packed = module is None and (os.path.isdir(script) or zipfile.is_zipfile(script))
    if not getattr(sys.flags, "safe_path", False):
        here = os.getcwd() if module else os.path.abspath(script) if packed else os.path.dirname(os.path.realpath(script))
        sys.path[0] = here
    elif packed:
        sys.path.insert(0, script)
    sys.argv = arguments[1:] if module else list(arguments)
    try:
        if module or packed:
            _main_module()
            runpy._run_module_as_main(module or "__main__", alter_argv=bool(module))
        else:
            _run_script(script)
    except SystemExit:
        raise
    except BaseException as error:
        # The interpreter ends as it does after an uncaught exception; what it prints is printed here, without our frames.
        hook = sys.excepthook
        error = _stripped(error)
        hook(type(error), error, error.__traceback__)

        def silent(*_):
            sys.excepthook = hook

        sys.excepthook = silent
        raise


if __name__ == "__main__":
    _main(sys.argv[1:])
