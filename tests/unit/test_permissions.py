"""`gateway permissions`: what each part of a config needs of NATS, to the letter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from gateway.cli import gateway
from gateway.event import Event
from gateway.jetstream.permissions import Kind, Only, needs, unknown
from gateway.jetstream.replica_records import subjects
from gateway.plugin import Transform
from gateway.routing.compile import compile_config
from gateway.subjects import covers
from tests.support.running import read_config, registry_with

ROUTE: dict[str, Any] = {
    "name": "r",
    "source": {"stream": "IN", "subjects": ["in.>"]},
    "targets": [{"subject": "out.it"}],
}
ALWAYS = {
    "$JS.API.STREAM.INFO.IN",
    "$JS.API.CONSUMER.INFO.IN.gateway-r",
    "$JS.API.CONSUMER.CREATE.IN.gateway-r",
    "$JS.API.CONSUMER.MSG.NEXT.IN.gateway-r",
    "$JS.ACK.IN.gateway-r.>",
    "$JS.API.STREAM.NAMES",
    "out.it",
    "dlq.r",
    *subjects("gateway"),
}


class Foreign(Transform, name="foreign"):
    """A step of a plugin."""

    def apply(self, event: Event) -> Event:
        return event


USUAL = (Only.SHORT_ACKS, Only.OF_THE_DOMAIN)


def published(
    fields: dict[str, Any], *more: dict[str, Any], servers: tuple[Only, ...] = USUAL, **config: Any
) -> set[str]:
    """What a gateway with this route, and more of them, may publish to."""
    parsed = read_config({"routes": [ROUTE | fields, *more], **config}, registry := registry_with([]))
    routes, problems = compile_config(parsed, registry)
    assert not problems
    found = needs(parsed, routes)
    assert len({(need.kind, need.subject) for need in found}) == len(found), "each subject once"
    return {need.subject for need in found if need.kind is Kind.PUBLISH and need.only in (None, *servers)}


def test_a_plain_route_needs_its_source_its_target_and_its_dead_letters() -> None:
    """Nothing else, and above all no STREAM.CREATE, no deletion and no wildcard over streams."""
    assert published({}) == ALWAYS


def test_a_server_with_long_ack_subjects_needs_them_instead() -> None:
    """Its feature flag js_ack_fc_v2 puts domain and account before the stream."""
    assert published({}, servers=(Only.LONG_ACKS,)) == ALWAYS - {"$JS.ACK.IN.gateway-r.>"} | {
        "$JS.ACK.*.*.IN.gateway-r.>"
    }


@pytest.mark.parametrize(("manage", "makes"), [("create", True), ("update", True), ("verify", False)])
def test_who_only_verifies_a_durable_may_not_make_one(manage: str, makes: bool) -> None:
    source = ROUTE["source"] | {"manage": manage}
    assert ("$JS.API.CONSUMER.CREATE.IN.gateway-r" in published({"source": source})) is makes


def test_a_domain_beyond_a_leaf_node_stands_in_the_requests_and_not_in_the_acks() -> None:
    """Ack subjects come with the events."""
    found = published({}, servers=(Only.SHORT_ACKS, Only.BEYOND), nats={"domain": "hub"})
    beyond = {subject.replace("$KV.", "$JS.API.$KV.") for subject in ALWAYS}
    assert found == {subject.replace("$JS.API.", "$JS.hub.API.") for subject in beyond}


def test_a_server_of_the_domain_takes_it_out_before_it_looks_at_permissions() -> None:
    assert published({}, nats={"domain": "hub"}) == ALWAYS


def test_nothing_to_do_is_nothing_allowed(tmp_path: Path) -> None:
    """An empty list would mean everything."""
    off = {"routes": [ROUTE | {"enabled": False}]}
    assert 'publish { deny: [">"' in command(tmp_path, off)[1]
    assert json.loads(command(tmp_path, off, "--json")[1])["publish"] == {"deny": [">"]}
    assert command(tmp_path, off, "--nsc", "u")[1].endswith("--deny-pub '>'\n")


@pytest.mark.parametrize(
    ("template", "subject"),
    [
        ("billing.{id}", "billing.*"),
        ("billing.eu-{id}.x", "billing.*.x"),
        ("{region}.x.{a}-{b}", "*.x.*"),
        ("copy.{$subject.1+}", "copy.*"),
        ("of.{$gateway}.{$route}.{$stream}", "of.gateway.r.IN"),
        ("b.{{x}}", "b.{x}"),
    ],
)
def test_a_placeholder_becomes_a_wildcard_for_its_token(template: str, subject: str) -> None:
    """What no event can change is filled in. Dots never come out of an event, so that `>` is never needed."""
    assert published({"targets": [{"subject": template}]}) == ALWAYS - {"out.it"} | {subject}


def test_a_subject_that_another_one_covers_is_left_out() -> None:
    targets = [{"subject": "out.it"}, {"subject": "out.{id}"}]
    assert published({"targets": targets}) == ALWAYS - {"out.it"} | {"out.*"}


def test_the_stream_a_target_names_may_be_looked_at() -> None:
    assert published({"targets": [{"subject": "out.it", "stream": "OUT"}]}) == ALWAYS | {"$JS.API.STREAM.INFO.OUT"}


@pytest.mark.parametrize(
    ("provision", "more"),
    [
        ("create", {"$JS.API.STREAM.INFO.OUT", "$JS.API.STREAM.CREATE.OUT"}),
        ("verify", {"$JS.API.STREAM.INFO.OUT"}),
        ("off", {"$JS.API.STREAM.INFO.OUT"}),
    ],
)
def test_declared_streams_are_made_only_where_the_config_says_so(provision: str, more: set[str]) -> None:
    """Those that take what a route publishes are looked at in any case, for a warning."""
    streams = [{"name": "OUT", "subjects": ["out.>"], "provision": provision}]
    assert published({}, streams=streams) == ALWAYS | more


def test_a_bucket_that_enriches_may_be_read_and_watched_and_not_written() -> None:
    enrich = {"enrich": {"bucket": "b", "key": "{id}", "into": "x"}}
    assert published({"transforms": [enrich]}) == ALWAYS | {
        "$JS.API.STREAM.INFO.KV_b",
        "$JS.API.STREAM.MSG.GET.KV_b",
        "$JS.API.CONSUMER.CREATE.KV_b",
        "$JS.FC.KV_b.*.>",
    }


AUDIT = {
    "$JS.API.STREAM.INFO.AUDIT",
    "$JS.API.STREAM.MSG.GET.AUDIT",
    "$JS.API.CONSUMER.CREATE.AUDIT.*.audit.r",
    "$JS.API.CONSUMER.MSG.NEXT.AUDIT.*",
    "$JS.API.CONSUMER.DELETE.AUDIT.*",
}


@pytest.mark.parametrize("declared", [False, True])
def test_an_audit_reads_back_from_the_stream_that_is_named_or_declared(declared: bool) -> None:
    stream = {} if declared else {"stream": "AUDIT"}
    streams = [{"name": "AUDIT", "subjects": ["audit.>"]}] if declared else []
    fields = {"audits": [{"stream": {"subject": "audit.{$route}", **stream}}]}
    assert published(fields, streams=streams) == ALWAYS | AUDIT | {"audit.r"}


def test_an_audit_of_no_known_stream_may_read_none_and_that_is_said() -> None:
    """The other way would be the right to read every stream, and to delete any consumer."""
    fields = {"audits": [{"stream": {"subject": "audit.{$route}"}}]}
    assert published(fields) == ALWAYS | {"audit.r"}
    config = read_config({"routes": [ROUTE | fields]}, registry := registry_with([]))
    (note,) = unknown(config, compile_config(config, registry)[0])
    assert note.startswith("r: name the audit's stream")


def test_steps_of_plugins_are_named_because_nobody_knows_what_they_need() -> None:
    config = read_config({"routes": [ROUTE | {"transforms": ["foreign"]}]}, registry := registry_with([Foreign]))
    assert [note.partition(" is ")[0] for note in unknown(config, compile_config(config, registry)[0])] == [
        "r: test/foreign"
    ]


def test_a_durable_that_may_be_changed_leaves_no_question_open() -> None:
    """What another filter leaves out is counted by consumers that go by themselves: nothing more is needed."""
    source = ROUTE["source"] | {"manage": "update"}
    config = read_config({"routes": [ROUTE | {"source": source}]}, registry := registry_with([]))
    assert unknown(config, compile_config(config, registry)[0]) == []


def test_a_route_that_is_off_needs_nothing() -> None:
    assert published({}, ROUTE | {"name": "off", "enabled": False}) == ALWAYS


def test_the_inbox_prefix_is_all_that_is_subscribed_to() -> None:
    config = read_config({"nats": {"inbox-prefix": "_GW.eu"}, "routes": [ROUTE]}, registry := registry_with([]))
    found = needs(config, compile_config(config, registry)[0])
    assert [need.subject for need in found if need.kind is Kind.SUBSCRIBE] == ["_GW.eu.>"]


@pytest.mark.parametrize(
    ("wide", "narrow", "whether"),
    [
        ("a.>", "a.b", True),
        ("a.>", "a.b.>", True),
        ("a.>", "a", False),
        ("a.*", "a.b", True),
        ("a.*", "a.*", True),
        ("a.*", "a.>", False),
        ("a.b", "a.*", False),
        ("a.*", "a.b.c", False),
        ("*.b", "a.b", True),
        (">", "a.*", True),
    ],
)
def test_covering_is_receiving_everything_the_other_one_receives(wide: str, narrow: str, whether: bool) -> None:
    assert covers(wide, narrow) is whether


# ---------------------------------------------------------------------- the command


def command(tmp_path: Path, config: dict[str, Any], *args: str) -> tuple[int, str, str]:
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(config))
    result = CliRunner().invoke(gateway, ["permissions", "-c", str(file), *args])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_prints_a_server_config_with_the_reasons(tmp_path: Path) -> None:
    code, out, _ = command(tmp_path, {"routes": [ROUTE]})
    assert code == 0
    assert '# r: ask for events\n    "$JS.API.CONSUMER.MSG.NEXT.IN.gateway-r"\n' in out


def test_json_has_what_a_script_needs(tmp_path: Path) -> None:
    code, out, _ = command(tmp_path, {"routes": [ROUTE]}, "--json")
    document = json.loads(out)
    assert code == 0
    assert set(document["publish"]["allow"]) == ALWAYS | {"$JS.ACK.*.*.IN.gateway-r.>"}
    assert document["subscribe"]["allow"] == ["_INBOX.>"]
    assert {"kind": "publish", "subject": "dlq.r", "why": "r: dead letters", "only": None} in document["needs"]


def test_nsc_gets_a_line_for_a_shell(tmp_path: Path) -> None:
    code, out, _ = command(tmp_path, {"routes": [ROUTE]}, "--nsc", "gw user")
    assert code == 0
    assert out.startswith("nsc edit user --name 'gw user' --allow-sub '_INBOX.>' ")
    assert "--allow-pub '$JS.API.STREAM.NAMES'" in out


def test_a_config_with_problems_prints_them_and_no_permissions(tmp_path: Path) -> None:
    code, out, err = command(tmp_path, {"routes": [ROUTE | {"filter": []}]})
    assert (code, out) == (1, "")
    assert "unknown-field" in err


def test_two_forms_at_once_are_wrong_usage(tmp_path: Path) -> None:
    assert command(tmp_path, {"routes": [ROUTE]}, "--json", "--nsc", "x")[0] == 2


def test_no_secret_of_the_config_is_printed(tmp_path: Path) -> None:
    nats = {"user": "u", "password": "hunter2"}
    for form in ((), ("--json",), ("--nsc", "u")):
        _, out, err = command(tmp_path, {"nats": nats, "routes": [ROUTE]}, *form)
        assert "hunter2" not in out + err
