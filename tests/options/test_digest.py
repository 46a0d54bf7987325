"""The digest (spec configuration section 2.9). The sums are nats-server's own, taken with ``-t``."""

import pytest

from gossamer.mesh.options.language.digest import canonical, digest


def test_the_sum_of_the_specification(parse):
    expected = "sha256:797533ebd0dfba7d34a0f9337ecf147e442871f48ddfd07ed751575a5737267e"
    for text in ("port: 4222", "# c\nport = 4222 // d\n", '{"port": 4222}', "port 4222;"):
        assert digest(parse(text)) == expected


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("b: 1\na: 2", '{"a":2,"b":1}\n'),
        ("a: <&>", '{"a":"\\u003c\\u0026\\u003e"}\n'),
        ('a: "\\x01\\t\\n\\"\\\\"', '{"a":"\\u0001\\t\\n\\"\\\\"}\n'),
        ('a: "\\x08\\x0c"', '{"a":"\\b\\f"}\n'),
        ('a: "\\xff"', '{"a":"\ufffd"}\n'),
        ("a: é", '{"a":"é"}\n'),
        ("a: 1.0", '{"a":1}\n'),
        ("a: 1.50", '{"a":1.5}\n'),
        ("a: 0.0000001", '{"a":1e-7}\n'),
        ("a: 0.000001", '{"a":0.000001}\n'),
        ("a: 123456789012345678901234.5", '{"a":1.2345678901234569e+23}\n'),
        ("a: 100000000000000000000.0", '{"a":100000000000000000000}\n'),
        ("a: [], b {}, c: true", '{"a":[],"b":{},"c":true}\n'),
        ("a: 2016-05-04T18:53:41Z", '{"a":"2016-05-04T18:53:41Z"}\n'),
    ],
)
def test_canonical_text(parse, text, written):
    assert canonical(parse(text)) == written
