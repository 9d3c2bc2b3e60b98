"""The cookie of the pages for people."""

import pytest

from postroad.web import cookies

VALUE = "v" * 43


@pytest.mark.parametrize(
    ("header", "secure", "found"),
    [
        (f"postroad={VALUE}", False, VALUE),
        (f"__Host-postroad={VALUE}", True, VALUE),
        (f"postroad={VALUE}", True, ""),
        (f"__Host-postroad={VALUE}", False, ""),
        (f"a=b; postroad={VALUE}; c=d", False, VALUE),
        (f"a=b;postroad={VALUE}", False, VALUE),
        (f"postroad={VALUE}; postroad=other", False, VALUE),
        (f"xpostroad={VALUE}", False, ""),
        (f"Postroad={VALUE}", False, ""),
        ("postroad=", False, ""),
        ("postroad=a b", False, ""),
        ("postroad=\xff", False, ""),
        ("postroad=" + "v" * 65, False, ""),
        ("postroad", False, ""),
        ("", False, ""),
        ("a=" + "x" * 9000 + f"; postroad={VALUE}", False, ""),
    ],
)
def test_only_our_cookie_is_read(header, secure, found):
    """By TLS it has the name that other hosts and plain HTTP cannot set; only what we could have set is read."""
    assert cookies.read({b"cookie": header.encode("latin-1")}, secure=secure) == found


def test_a_browser_without_cookies_has_none():
    """Without the header there is no value."""
    assert cookies.read({}, secure=True) == ""


@pytest.mark.parametrize(
    ("secure", "line"),
    [
        (True, f"__Host-postroad={VALUE}; Path=/; Secure; HttpOnly; SameSite=Lax"),
        (False, f"postroad={VALUE}; Path=/; HttpOnly; SameSite=Lax"),
    ],
)
def test_the_cookie_is_for_this_host_alone(secure, line):
    """No script sees it and no other page sends it; what is set is read again."""
    assert cookies.setting(VALUE, secure=secure) == (b"set-cookie", line.encode())
    assert cookies.read({b"cookie": line.partition(";")[0].encode()}, secure=secure) == VALUE


@pytest.mark.parametrize("secure", [True, False])
def test_the_cookie_is_taken_back_with_the_same_attributes(secure):
    """A browser removes the cookie that it has, and no other."""
    _, line = cookies.removing(secure=secure)
    _, set_before = cookies.setting("", secure=secure)
    assert line == set_before + b"; Max-Age=0"
