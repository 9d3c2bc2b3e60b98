"""The parameters that every method takes: spellings, repeats, headers, refusals (gmail-wire.md 2.1-2.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad import refusals
from postroad.web import system_parameters
from postroad.web.schemas import STANDARD
from postroad.web.system_parameters import ABSENT, MAX_PARAMETERS, Parameters, read, refuse_illegal

READ = {
    "nothing": (b"", ABSENT),
    "only separators": (b"&&", ABSENT),
    "Python's": (b"alt=json", Parameters(alt="json")),
    "Go's": (b"alt=json&prettyPrint=false", Parameters(alt="json", pretty=False)),
    "a mask": (b"fields=id,threadId", Parameters(fields="id,threadId")),
    "a mask with a dollar sign": (b"$fields=id", Parameters(fields="id")),
    "an escaped dollar sign": (b"%24fields=id", Parameters(fields="id")),
    "two dollar signs are another name": (b"$$fields=id", Parameters(own=(("$$fields", "id"),))),
    "an escaped name": (b"%66ields=id", Parameters(fields="id")),
    "a plus sign is a space": (b"fields=a+b", Parameters(fields="a b")),
    "xgafv": (b"$.xgafv=2", Parameters(xgafv="2")),
    "xgafv escaped": (b"%24.xgafv=1", Parameters(xgafv="1")),
    "xgafv empty": (b"$.xgafv=", Parameters(xgafv="")),
    "xgafv without its dollar sign": (b".xgafv=1", Parameters(own=((".xgafv", "1"),))),
    "the last xgafv counts": (b"$.xgafv=1&$.xgafv=2", Parameters(xgafv="2")),
    "the first callback counts": (b"callback=a&callback=b", Parameters(callback="a")),
    "the first alt counts": (b"alt=media&alt=json", Parameters(alt="media")),
    "the first mask counts": (b"fields=&fields=id", ABSENT),
    "the first prettyPrint counts": (b"prettyPrint=0&prettyPrint=1", Parameters(pretty=False)),
    "both spellings are one name": (b"$alt=a&alt=b", Parameters(alt="a")),
    "names have a case": (b"Alt=json", Parameters(own=(("Alt", "json"),))),
    "quota and key": (b"key=AIza&quotaUser=u", Parameters(key="AIza", quota_user="u")),
    "a token": (b"access_token=x", Parameters(access_token="x")),
    "its other name": (b"oauth_token=y", Parameters(access_token="y")),
    "both": (b"oauth_token=y&access_token=x", Parameters(access_token="x")),
    "an upload": (b"uploadType=media", Parameters(upload="media")),
    "an upload in newer words": (b"upload_protocol=raw", Parameters(upload="raw")),
    "a session": (b"uploadType=resumable&upload_id=ab", Parameters(upload="resumable", upload_id="ab")),
    "another Content-Type": (b"$ct=application/json", Parameters(content_type="application/json")),
    "without effect": (
        b"userIp=1&userip=2&trace=3&pp=1&strict=true&passwd=a&password=b&$apiVersion=v1",
        ABSENT,
    ),
    "the method's own, in order": (
        b"labelIds=B&alt=json&labelIds=A&q",
        Parameters(alt="json", own=(("labelIds", "B"), ("labelIds", "A"), ("q", ""))),
    ),
    "UTF-8": (b"quotaUser=%C3%A4", Parameters(quota_user="ä")),
    "UTF-8 as it is": ("quotaUser=ä".encode(), Parameters(quota_user="ä")),
    "octets that are none": (b"quotaUser=%FF", Parameters(quota_user="\ufffd")),
    "an empty name": (b"=x", Parameters(own=(("", "x"),))),
}


@pytest.mark.parametrize(("query", "parameters"), READ.values(), ids=READ)
def test_a_query_is_read(query, parameters):
    """Names may carry a dollar sign; of repeats the first counts, of $.xgafv the last."""
    assert read(query, {}) == parameters


HEADERS = {b"x-goog-fieldmask": b"id", b"x-goog-api-key": b"k", b"x-goog-quota-user": b"u", b"user-agent": b"x"}


def test_headers_speak_where_the_query_does_not():
    """Mask, key and quota user may come as headers; a parameter goes before its header."""
    assert read(b"", HEADERS) == Parameters(fields="id", key="k", quota_user="u")
    assert read(b"fields=raw", HEADERS) == Parameters(fields="raw", key="k", quota_user="u")


PRETTY = {
    **dict.fromkeys(("false", "FALSE", "False", "f", "F", "no", "n", "0"), False),
    **dict.fromkeys(("true", "True", "t", "yes", "y", "1", "", "off", "maybe", "00"), True),
}


@pytest.mark.parametrize(("text", "pretty"), PRETTY.items())
def test_pretty_is_all_that_is_not_no(text, pretty):
    """A value that is no boolean asks for a pretty answer."""
    assert read(f"prettyPrint={text}".encode(), {}).pretty is pretty


def test_no_more_than_a_hundred_are_read():
    """Of a query with more than a hundred parameters none is read."""
    assert read(b"&".join([b"alt=json"] * MAX_PARAMETERS), {}) == Parameters(alt="json")
    with pytest.raises(refusals.TooManyParameters) as refused:
        read(b"&".join([b"alt=json"] * (MAX_PARAMETERS + 1)), {})
    assert str(refused.value) == "Invalid query parameters. There are more than 100 of them."


@given(st.binary(max_size=200))
def test_any_octets_are_a_query(query):
    """No query, whatever its octets, breaks the reading."""
    parameters = read(query, {})
    assert all(name not in system_parameters._KNOWN for name, _ in parameters.own)


@given(st.dictionaries(st.sampled_from([one.name for one in STANDARD]), st.text("ab1", min_size=1), max_size=5))
def test_a_dollar_sign_before_a_name_is_nothing(pairs):
    """`$name` is `name`, for every standard parameter but $.xgafv, which has it already."""
    plain = "&".join(f"{name}={text}" for name, text in pairs.items())
    with_sign = "&".join(f"${name.removeprefix('$')}={text}" for name, text in pairs.items())
    assert read(plain.encode(), {}) == read(with_sign.encode(), {})


XGAFV = "Invalid query parameters. Invalid value '{}' for system query parameter : $.xgafv"
CALLBACK = "Invalid JSONP callback name: '{}'; only alphabet, number, '_', '$', '.', '[' and ']' are allowed."
ILLEGAL = {
    "another format of errors": ("POST", b"$.xgafv=9", XGAFV.format("9")),
    "with a zero before": ("POST", b"$.xgafv=01", XGAFV.format("01")),
    "an empty one": ("GET", b"$.xgafv=", XGAFV.format("")),
    "the last one": ("GET", b"$.xgafv=1&$.xgafv=0", XGAFV.format("0")),
    "xgafv before callback": ("GET", b"callback=a-b&$.xgafv=9", XGAFV.format("9")),
    "a callback with a space": ("GET", b"callback=a+b", CALLBACK.format("a b")),
    "a callback that is a call": ("GET", b"callback=alert(1)", CALLBACK.format("alert(1)")),
    "a letter beyond ASCII": ("GET", b"callback=%C3%A9", CALLBACK.format("é")),
    "a line end": ("GET", b"callback=a%0A", CALLBACK.format("a\n")),
    "a callback beside JSON": ("GET", b"callback=a-b&alt=JSON", CALLBACK.format("a-b")),
}


@pytest.mark.parametrize(("verb", "query", "text"), ILLEGAL.values(), ids=ILLEGAL)
def test_what_is_illegal_is_refused_with_googles_words(verb, query, text):
    """$.xgafv is 1 or 2; a callback is letters, digits and five signs."""
    with pytest.raises((refusals.SystemParameterInvalid, refusals.CallbackInvalid)) as refused:
        refuse_illegal(read(query, {}), verb)
    assert str(refused.value) == text


LEGAL = {
    "absent": ("GET", b"", ""),
    "1": ("GET", b"$.xgafv=1", ""),
    "2 after nonsense": ("GET", b"$.xgafv=nonsense&$.xgafv=2", ""),
    "a name": ("GET", b"callback=cb", "cb"),
    "any place of a sign": ("GET", b"callback=.1$[_]", ".1$[_]"),
    "an empty one": ("GET", b"callback=", ""),
    "the second is not looked at": ("GET", b"callback=cb&callback=a-b", "cb"),
    "on POST there is none": ("POST", b"callback=a-b", ""),
    "nor beside another format": ("GET", b"callback=a-b&alt=media", ""),
    "an empty alt is none": ("GET", b"callback=cb&alt=", "cb"),
}


@pytest.mark.parametrize(("verb", "query", "function"), LEGAL.values(), ids=LEGAL)
def test_a_callback_is_heeded_on_get_alone(verb, query, function):
    """A callback wraps the JSON answer to a GET, and is nothing elsewhere."""
    parameters = read(query, {})
    refuse_illegal(parameters, verb)
    assert parameters.function(verb) == function


def test_only_version_two_leaves_errors_out():
    """The member `errors` is absent for $.xgafv=2 alone, not for a value that is refused."""
    assert [read(b"$.xgafv=" + value, {}).lists_errors for value in (b"1", b"2", b"3")] == [True, False, True]
    assert ABSENT.lists_errors


FORMATS = {
    "media": 'Unsupported alt type "media" for non byte stream request.',
    "MEDIA": 'Unsupported alt type "media" for non byte stream request.',
    "proto": "Invalid value \"proto\" for query parameter 'alt'",
    "sse": "Invalid value \"sse\" for query parameter 'alt'",
    "ZZZ": "Invalid value \"ZZZ\" for query parameter 'alt'",
}


@pytest.mark.parametrize(("alt", "text"), FORMATS.items())
def test_another_format_is_refused(alt, text):
    """Answers come in JSON; no method gives a medium."""
    with pytest.raises((refusals.FormatUnsupported, refusals.FormatInvalid)) as refused:
        system_parameters.refuse_other_formats(Parameters(alt=alt))
    assert str(refused.value) == text


@pytest.mark.parametrize("query", [b"$.xgafv=%b", b"callback=-%b"])
def test_the_log_repeats_little_of_what_is_illegal(query):
    """However long a bad value is, the operator's line about it is short."""
    with pytest.raises(refusals.Refusal) as refused:
        refuse_illegal(read(query % (b"9" * 5000), {}), "GET")
    assert len(refused.value.why) < 100


@pytest.mark.parametrize("alt", ["", "json", "JSON", "Json"])
def test_json_is_not(alt):
    """JSON in any case of letters is the format, and so is none."""
    system_parameters.refuse_other_formats(Parameters(alt=alt))
