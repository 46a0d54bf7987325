"""The rows of spec configuration section 3 that concern the language, and what section 2 says beside them."""

import pytest

from gossamer.mesh.options.language import ConfigurationError


def value(parse, written, **environment):
    return parse(f"M: {written}\n", **environment).plain["M"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("foo # c", "foo"),
        ("foo // c", "foo"),
        ("foo#bar", "foo#bar"),
        ("foo//bar", "foo//bar"),
        ("http://x:1", "http://x:1"),
        ("a=b", "a=b"),
        ("a:b", "a:b"),
        ('a"b"c', 'a"b"c'),
        ('"it\'s"', "it's"),
        (r"'a\nb'", r"a\nb"),
        (r'"a\nb\t\r\"\\"', 'a\nb\t\r"\\'),
        (r"a\x41b", "aAb"),
        (r'"\xc3\xa9"', "é"),
        ("3xyz", "3xyz"),
        ("3Gyz", "3Gyz"),
        ("1e3", "1e3"),
        ("1024b", "1024b"),
        ("10s", "10s"),
        ("2m30s", "2m30s"),
        ("5d", "5d"),
        ("+5", "+5"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1:4222", "127.0.0.1:4222"),
        ("1.2.3", "1.2.3"),
        ('"$HOME"', "$HOME"),
        ("$2a$11$abc", "$2a$11$abc"),
        ('"$2b$11$abc"', "$2b$11$abc"),
        ('"true"', "true"),
        ("(\na\nb\n)", "\na\nb\n"),
        ("(\na\n) b\n)", "\na\n) b\n"),
        ('"a\nb"', "a\nb"),
    ],
)
def test_strings(parse, written, meant):
    found = value(parse, written)
    assert found == meant
    assert type(found) is str


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("123", 123),
        ("007", 7),
        ("-5", -5),
        ("-5k", -5000),
        ("1m", 1_000_000),
        ("5M", 5_000_000),
        ("1k", 1000),
        ("1K", 1000),
        ("1KB", 1024),
        ("1ki", 1024),
        ("1MiB", 2**20),
        ("1g", 10**9),
        ("1GB", 2**30),
        ("2t", 2 * 10**12),
        ("1tib", 2**40),
        ("1p", 10**15),
        ("1pb", 2**50),
        ("1e", 10**18),
        ("1eib", 2**60),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("1.5", 1.5),
        ("-0.25", -0.25),
        ("TRUE", True),
        ("yes", True),
        ("On", True),
        ("Off", False),
        ("no", False),
        ("false", False),
    ],
)
def test_numbers_and_booleans(parse, written, meant):
    found = value(parse, written)
    assert found == meant
    assert type(found) is type(meant)


def test_a_zulu_time_is_a_datetime(parse):
    assert value(parse, "2016-05-04T18:53:41Z").isoformat() == "2016-05-04T18:53:41+00:00"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "m {M: foo bar}",
            'Parse error on line 1: \'Expected a map value terminator "," or a map terminator "}", '
            "but got 'b' instead.'",
        ),
        ("M: it's", "got 's' instead"),
        (r'M: "a\qb"', "Invalid escape character 'q'"),
        (r'M: "a\x4"', "Expected two hexadecimal digits after '\\x'"),
        ("M: 1.5k", "got 'k' instead"),
        ("M: ${HOME}", "variable reference for '{HOME' on line 1 can not be found"),
        ("M: $2b$11$abc", "variable reference for '2b$11$abc' on line 1 can not be found"),
        ("M: -x", "Expected a digit but got 'x'"),
        ("M: .5", "Parse error on line 1: 'Floats must start with a digit'"),
        ("M: 5.", "Floats must have a digit after the '.'"),
        ("M: -5s", "got 's' instead"),
        ("M: 2016-05-04", "Expected 'T' in ISO8601 datetime"),
        ("M: 12-5", "All ISO8601 dates must be in full Zulu form."),
        ("M: 2016-13-45T18:53:41Z", "expected Zulu formatted DateTime, but got '2016-13-45T18:53:41Z'"),
        ("M: 99999999999999999999", "integer '99999999999999999999' is out of the range"),
        ("M: 9eb", "integer '9eb' is out of the range"),
        ("M:\n1", "Parse error on line 2: 'Expected value but found new line'"),
        ("M", "config is invalid (f.conf:1:1)"),
        ("= 5", "Parse error on line 1: 'Unexpected key separator '='"),
        ("m [a,,b]", "Unexpected array value terminator ','."),
        ("m [a b]", 'Expected an array value terminator "," or an array terminator "]", but got \'b\''),
        ("m [a;b]", "but got ';' instead"),
        ("m {a: }", 'f.conf:1:3: unknown field "a"'),
        ("m {a: 1", "Expected a map value terminator"),
        ("m [a", "Expected an array value terminator"),
        ('M: "abc', "Unexpected EOF."),
        ("M: (a\n", "Unexpected EOF processing block."),
        ("{ M: 1", "Expected a block-level value to end"),
        ("include 5", "Expected include value but found start of a number"),
        ("m [ include x ]", "but got 'x' instead"),
    ],
)
def test_faults(parse, text, message):
    with pytest.raises(ConfigurationError) as caught:
        parse(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a=1\nb:2\nc 3", {"a": 1, "b": 2, "c": 3}),
        ("a=1,b:2;c 3", {"a": 1, "b": 2, "c": 3}),
        ("a {b 1, c: 2; d=3}", {"a": {"b": 1, "c": 2, "d": 3}}),
        ("a\n{\nb:\n1}", {"a": {"b": 1}}),
        ("m {a b\n c d}", {"m": {"a": "b", "c": "d"}}),
        ("m {a: foo,bar: 1}", {"m": {"a": "foo", "bar": 1}}),
        ("t: [a\nb]", {"t": ["a", "b"]}),
        ('t: ["a", # c\n "b",]', {"t": ["a", "b"]}),
        ("t: [1]", {"t": [1]}),
        ("t: [{a: 1},{b: [2 ]}]", {"t": [{"a": 1}, {"b": [2]}]}),
        ('{ "port": 4222, "http": {"x": [true, null]} }', {"port": 4222, "http": {"x": [True, "null"]}}),
        ("{ { listen: a:1 } }", {"listen": "a:1"}),
        ("a: 1 }", {"a": 1}),
        ("a: 1\n}\n", {"a": 1}),
        ("a: 1\na: 2", {"a": 2}),
        ("m {a: x}\nm {b: y}", {"m": {"b": "y"}}),
        ("'a b.c:d' 1", {"a b.c:d": 1}),
        ("a.*.> 1", {"a.*.>": 1}),
        ("$JS/x 1", {"$JS/x": 1}),
        ("# only\n// comments", {}),
        ("", {}),
        ("include: x", {"include": "x"}),
    ],
)
def test_structure(parse, text, meant):
    assert parse(text).plain == meant


class TestVariables:
    def test_definition_before_use(self, parse):
        document = parse("SZ=3000\nmax_payload: $SZ")
        assert document.plain["max_payload"] == 3000
        assert document["SZ"].used
        assert not document["max_payload"].used

    def test_use_before_definition(self, parse):
        with pytest.raises(ConfigurationError, match="variable reference for 'SZ' on line 1 can not be found"):
            parse("max_payload: $SZ\nSZ=3000")

    def test_options_are_variables_too(self, parse):
        assert parse("max_payload: 7000\nmax_control_line: $max_payload").plain["max_control_line"] == 7000

    def test_innermost_first(self, parse):
        document = parse("A: outer\nm {x: $A, A: inner, y: $A}")
        assert document.plain["m"] == {"x": "outer", "A": "inner", "y": "inner"}

    def test_a_map_as_a_variable(self, parse):
        assert parse("P {a: [1, 2]}\nm {x: $P}").plain["m"] == {"x": {"a": [1, 2]}}

    def test_the_file_wins_over_the_environment(self, parse):
        assert parse("SZ: 5000\nx: $SZ", SZ="4k").plain["x"] == 5000

    @pytest.mark.parametrize(
        ("text", "meant"),
        [
            ("4k", 4000),
            ('"a b"', "a b"),
            ("12345", 12345),
            ("{a: 1}", {"a": 1}),
            ("", ""),
            ("$OTHER", "o"),
            ("[x, $OTHER]", ["x", "o"]),
        ],
    )
    def test_environment_is_read_as_a_value(self, parse, text, meant):
        assert parse("x: $V", V=text, OTHER="o").plain["x"] == meant

    def test_environment_with_a_blank(self, parse):
        with pytest.raises(ConfigurationError):
            parse("x: $V", V="a b")

    def test_cycle(self, parse):
        with pytest.raises(ConfigurationError, match="variable reference cycle for 'SZ'"):
            parse("x: $SZ", SZ="$YY", YY="$SZ")

    def test_no_expansion_in_quotes(self, parse):
        assert parse("A: 1\nx: \"$A\"\ny: '$A'\nz: b$A").plain == {"A": 1, "x": "$A", "y": "$A", "z": "b$A"}


class TestInclude:
    def test_beside_the_including_file(self, parse, files):
        files.update({"sub/a.conf": "include b.conf", "sub/b.conf": "x: 1"})
        assert parse("include sub/a.conf").plain == {"x": 1}

    def test_inside_a_map_and_merged(self, parse, files):
        files["blk.conf"] = "a: 1\nx: 2"
        assert parse("m { x: y; include blk.conf; c: d }").plain == {"m": {"x": 2, "a": 1, "c": "d"}}

    def test_variables_come_out_but_do_not_go_in(self, parse, files):
        files["v.conf"] = "V: 7"
        assert parse("include v.conf\nx: $V").plain["x"] == 7
        files["v.conf"] = "x: $V"
        with pytest.raises(ConfigurationError, match="variable reference for 'V'"):
            parse("V: 7\ninclude v.conf")

    def test_absolute_path_is_joined_first(self, parse, files):
        files["/etc/x"] = "x: far"
        assert parse("include /etc/x").plain == {"x": "far"}
        files["etc/x"] = "x: near"
        assert parse("include '/etc/x'").plain == {"x": "near"}

    def test_missing(self, parse):
        message = "error parsing include file 'x.conf', open x.conf: no such file or directory"
        with pytest.raises(ConfigurationError, match=message):
            parse("include x.conf")

    def test_fault_inside(self, parse, files):
        files["x.conf"] = "a: 1\n b ["
        with pytest.raises(ConfigurationError, match=r"error parsing include file 'x\.conf', Parse error on line 2"):
            parse("include x.conf")

    def test_places_name_the_included_file(self, parse, files):
        files["sub/x.conf"] = "\na: 1"
        assert str(parse("include sub/x.conf")["a"].place) == "sub/x.conf:2:1"

    def test_a_file_that_includes_itself_ends(self, parse, files):
        files["f.conf"] = "include f.conf"
        with pytest.raises(ConfigurationError, match="levels of nesting"):
            parse("include f.conf")


@pytest.mark.parametrize(
    ("text", "key", "place"),
    [
        ("x: 1", "x", "f.conf:1:0"),
        (" x: 1", "x", "f.conf:1:1"),
        ("a: 1\nx: 1", "x", "f.conf:2:1"),
        ("a: 1\n\t x: 1", "x", "f.conf:2:3"),
        ('"x": 1', "x", "f.conf:1:1"),
        ('\n"x": 1', "x", "f.conf:2:2"),
        ("\u2003x: 1", "x", "f.conf:1:3"),
        ("a: é\n é: 1", "é", "f.conf:2:2"),
        ("a: é,x: 1", "x", "f.conf:1:6"),
    ],
)
def test_places(parse, text, key, place):
    assert str(parse(text)[key].place) == place


class TestBounds:
    """Whatever a file holds, reading it ends."""

    def test_nesting(self, parse):
        assert parse("a {" * 90 + "}" * 90).plain
        for opening in ("a {", "a [" + "[" * 5000, "{" * 5000):
            with pytest.raises(ConfigurationError, match="levels of nesting"):
                parse(opening * 1000)

    def test_references_to_references(self, parse):
        lines = ["a0: [x,x,x,x,x,x,x,x,x,x]"]
        lines += [f"a{n}: [{','.join([f'$a{n - 1}'] * 10)}]" for n in range(1, 30)]
        with pytest.raises(ConfigurationError, match="more than 1000000 values"):
            parse("\n".join(lines))

    def test_a_long_chain_in_the_environment(self, parse):
        environment = {f"V{n}": f"$V{n + 1}" for n in range(5000)}
        with pytest.raises(ConfigurationError, match="levels of nesting"):
            parse("x: $V0", **environment)
