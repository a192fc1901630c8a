"""Parameters that do not fit, in words."""

from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta, Raw
from rpc_serving import Add, Wait

from orchestratord.model import Params
from orchestratord.rpc.params import Given, InvalidParams, Reader, params_hash


class Deep(Params, frozen=True):
    wait: Wait
    numbers: list[int] = msgspec.field(default_factory=list)
    keys: dict[Annotated[str, Meta(max_length=2)], int] = msgspec.field(default_factory=dict)
    ratio: float = 1.0


def complaint(params: type[msgspec.Struct], given: Any) -> tuple[str, str]:
    raw = given if isinstance(given, bytes) else msgspec.json.encode(given)
    with pytest.raises(InvalidParams) as caught:
        Reader("test.method", params, keyed=True).read(Raw(raw))
    assert (caught.value.code, caught.value.kind) == (-32602, "InvalidArgument")
    return caught.value.details["field"], str(caught.value)


@pytest.mark.parametrize(
    ("given", "field", "sentence"),
    [
        ({}, "wait", "wait is required"),
        ({"wait": {"name": 5}}, "wait.name", "wait.name must be a string, not an integer"),
        (
            {"wait": {}, "numbers": ["x"]},
            "numbers[0]",
            "numbers[0] must be an integer, not a string",
        ),
        ({"wait": {"x": 1}}, "wait.x", "wait.x is not a parameter of test.method"),
        (
            {"wait": {}, "keys": {"abc": 1}},
            "keys",
            "a key of keys must be a string of length <= 2",
        ),
        (b'{"wait":{},"ratio":1e999}', "ratio", "ratio must be within the range of numbers"),
        ([], "params", "params must be an object, not a list"),
        (b"null", "params", "params must be an object, not null"),
    ],
)
def test_the_field_and_what_it_must_be_are_named(given: Any, field: str, sentence: str) -> None:
    assert complaint(Deep, given) == (field, sentence)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": "A1"}, 'name must be well formed (Lower-case letters), not "A1"'),
        ({"mode": "rude"}, 'mode must be one of polite, stubborn, not "rude"'),
        ({"timeout": -1}, "timeout must be a number >= 0.0, not -1"),
        (
            {"nome": 1},
            "nome is not a parameter of test.method, "
            "which takes timeout, name, mode, labels, secret",
        ),
    ],
)
def test_a_short_wrong_value_is_repeated(given: Any, sentence: str) -> None:
    assert complaint(Wait, given)[1] == sentence


def test_a_secret_a_label_and_a_long_value_are_never_repeated() -> None:
    for given in ({"secret": "SECRET"}, {"labels": {"a": "SECRET"}}, {"name": "SECRET" * 1000}):
        assert "SECRET" not in complaint(Wait, given)[1]
    assert len(complaint(Wait, {"x" * 100_000: 1})[1]) < 300


def test_the_idempotency_key_is_taken_out_before_the_rest_is_judged() -> None:
    reader = Reader("test.add", Add, keyed=True)
    given = reader.read(Raw(b'{"by":2,"idempotency_key":"k"}'))
    assert given == Given(Add(by=2), "k", None, Raw(b'{"by":2}'))
    assert reader.read(Raw(b'{"by":2,"idempotency_key":null}')).key is None
    assert complaint(Add, {"idempotency_key": 5})[0] == "idempotency_key"
    assert complaint(Add, {"idempotency_key": ""})[0] == "idempotency_key"
    assert complaint(Add, {"idempotency_key": "x" * 129})[0] == "idempotency_key"


def test_any_method_takes_a_token_which_no_error_repeats() -> None:
    reader = Reader("test.add", Add, keyed=False)
    given = reader.read(Raw(b'{"token":"SECRET","by":2}'))
    assert given == Given(Add(by=2), None, "SECRET", Raw(b'{"by":2}'))
    assert reader.read(Raw(b'{"by":2}')).token is None
    for wrong in ({"token": "SECRET", "by": "x"}, {"token": ["SECRET"]}, {"token": "SECRET" * 99}):
        assert "SECRET" not in complaint(Add, wrong)[1]


def test_a_token_within_a_parameter_is_not_the_call_s() -> None:
    class Nested(Params, frozen=True):
        env: dict[str, str]

    given = Reader("test.nested", Nested, keyed=True).read(Raw(b'{"env":{"token":"x"}}'))
    assert given == Given(Nested(env={"token": "x"}), None, None, Raw(b'{"env":{"token":"x"}}'))


def test_a_method_that_changes_nothing_takes_no_key() -> None:
    with pytest.raises(InvalidParams):
        Reader("test.add", Add, keyed=False).read(Raw(b'{"idempotency_key":"k"}'))


def test_equal_parameters_hash_alike_however_they_were_written() -> None:
    read = Reader("test.add", Add, keyed=True).read
    written = [b"{}", b'{"by":1}', b'{ "fail" : false, "by" : 1 }']
    assert len({params_hash(read(Raw(text)).params) for text in written}) == 1
    assert params_hash(Add()) != params_hash(Add(by=2))
