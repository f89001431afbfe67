"""`gateway audit verify`: is anything missing from audit records, or changed?"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click
import msgspec

from ..config import model
from ..config.loader import examine
from ..jetstream.oneshot import connected
from ..proof import Proof, prove_file, prove_stream
from ..subjects import token_is_safe, wildcard_fault
from .asking import ended, refuse
from .exits import FINDINGS
from .options import config_option, json_option, timeout_option
from .words import count

_SHOWN = 50
"""Findings shown in words; --json has more."""


@click.command()
@config_option
@json_option
@click.option("--server", metavar="URL", help="The NATS server, instead of what the config says.")
@click.option("--subject", metavar="SUBJECT", help="Only what is stored under this subject; wildcards will do.")
@timeout_option
@click.argument("target", metavar="STREAM|FILE")
def verify(config: str, as_json: bool, server: str | None, subject: str | None, patience: float, target: str) -> None:
    """Prove audit chains whole.

    Reads the records of a stream, or of a file with its rotated parts, and says what is missing, changed, moved or
    added, and what retention has cut. What has a slash or a dot in it, or is there as a file, is a file; else it is a
    stream.

    Exit codes: 0 everything is as it was written, 1 findings, or no such stream or file, or no record in it, 2 wrong
    usage, 69 no connection within --timeout, 75 the connection was closed for good, 78 the config cannot be used.
    """
    # No stream has a dot in its name, and a server would not answer to one.
    is_file = os.sep in target or os.path.isfile(target) or not token_is_safe(target)
    _check_subject(subject, is_file)
    try:
        proof = prove_file(target) if is_file else _stream(config, server, target, subject, patience)
    except OSError as error:
        click.echo(f"{target}: {error.strerror or error}", err=True)
        sys.exit(FINDINGS)
    click.echo(json.dumps(_document(target, proof), indent=2) if as_json else "\n".join(_lines(proof)))
    if not proof.good:
        sys.exit(FINDINGS)


def _stream(config: str, server: str | None, stream: str, subject: str | None, patience: float) -> Proof:
    """Connect and verify; what goes wrong with the server ends the command with its code."""
    settings = model.Nats(servers=[server]) if server else _settings(config)
    return ended(_prove(settings, stream, subject, patience))


async def _prove(settings: model.Nats, stream: str, subject: str | None, patience: float) -> Proof:
    async with connected(settings, "audit verify", patience) as link:
        return await prove_stream(link, stream, subject)


def _settings(config: str) -> model.Nats:
    loaded = examine(config)
    if loaded.config is None:
        refuse([*loaded.problems, "  hint: --server URL does without a config"])
    return loaded.config.nats


def _check_subject(subject: str | None, is_file: bool) -> None:
    """A server would not answer to what can be no subject."""
    if subject is None:
        return
    fault = "a file has no subjects" if is_file else wildcard_fault(subject)
    if fault:
        raise click.BadParameter(fault, param_hint="--subject")


def _document(target: str, proof: Proof) -> dict[str, Any]:
    report = proof.report
    return {
        "target": target,
        "ok": proof.good,
        "records": report.records,
        "cut": proof.cut,
        "chains": [
            {**msgspec.to_builtins(chain), "first_place": str(chain.first_place), "last_place": str(chain.last_place)}
            for chain in report.chains
        ],
        "findings": [{**msgspec.to_builtins(finding), "place": str(finding.place)} for finding in report.findings],
        "counts": {str(code): count for code, count in sorted(report.counts.items())},
        "notes": report.notes,
    }


def _lines(proof: Proof) -> list[str]:
    report = proof.report
    lines = [f"{proof.what}: {count(report.records, 'record')} in {count(len(report.chains), 'chain')}"]
    if proof.cut:
        lines.append(f"cut: {proof.cut}")
    for chain in report.chains:
        state = "ok  " if chain.sound else "BAD "
        cut = f"{count(chain.cut, 'record')} cut by retention, " if chain.cut else ""
        lines.append(
            f"{state} {chain.chain}  route {chain.route}, instance {chain.instance}: {cut}"
            f"records {chain.first} to {chain.last}, {chain.first_place} to {chain.last_place}, {chain.ending}"
            + (f", follows {chain.follows}" if chain.follows else "")
        )
    lines += [f"note: {note}" for note in report.notes]
    lines += [str(finding) for finding in report.findings[:_SHOWN]]
    found = sum(report.counts.values())
    if found > _SHOWN:
        more = ", ".join(f"{code} {count:,}" for code, count in sorted(report.counts.items()))
        lines.append(f"... and {found - _SHOWN:,} more; in all: {more}")
    lines.append(_verdict(proof, found))
    return lines


def _verdict(proof: Proof, found: int) -> str:
    if found:
        return count(found, "finding")
    return "good: nothing inside is missing or changed" if proof.good else "nothing was there to verify"
