"""Answers as they look, for the OpenAPI document: of a gateway with two replicas and an ordered route."""

from __future__ import annotations

from ..registry.lookup import Status
from ..runtime.stats import RouteState
from . import facts
from .health import Health, RouteHealth

DIGEST = "0d2f7c1a9b3e"
ROUTE = "eu-orders-to-billing"

VERSION = facts.Version(
    name="gateway",
    instance="host-a-5f1c22d0",
    version="0.1.0",
    python="3.13.1",
    config=DIGEST,
    started="2026-03-01T08:00:00Z",
    reloaded="2026-03-04T10:12:31Z",
    reload_failed=False,
    connected=True,
    replicas=[
        facts.ReplicaFact(instance="host-a-5f1c22d0", config=DIGEST),
        facts.ReplicaFact(instance="host-b-9be0417d", config=DIGEST),
    ],
)

ONE_ROUTE = facts.RouteFact(
    name=ROUTE,
    description="When an order is placed in the EU, billing is told.",
    state=RouteState.UP,
    code="standby",
    reason="another replica is active, this one waits",
    since="2026-03-04T10:12:32Z",
    config=DIGEST,
    stream="ORDERS",
    subjects=["orders.created"],
    durable="gateway-eu-orders-to-billing",
    ordering="key",
    role="standby",
    active_instance="host-b-9be0417d",
    steps=["filter-0-pattern", "transform-1-set"],
    targets=[
        facts.TargetFact(
            name="billing",
            subject="billing.orders.{detail.data.orderId}",
            stream="BILLING",
            published=1203,
            duplicates=2,
        )
    ],
    audits=["audit-0-stream"],
    dead_letter="dlq.eu-orders-to-billing",
    received=4100,
    redeliveries=2,
    outcomes=facts.Outcomes(published=1203, filtered=2896, dropped=0, dead_lettered=1),
    dead_letters={"decode-error": 1},
    retries={"stream-full": 3},
    in_flight=0,
    parked=0,
    pending=0,
    ack_pending=1,
    circuit_open=False,
)

PLUGINS = facts.Plugins(
    plugins=[
        facts.PluginFact(
            name="cel",
            distribution="gateway-cel",
            version="0.1.0",
            status=Status.OK,
            reason="",
            components=["filter cel", "transform cel"],
        )
    ]
)

CONFIG = facts.Config(
    digest=DIGEST,
    config={
        "name": "gateway",
        "nats": {"servers": ["nats://127.0.0.1:4222"], "token": "***"},
        "http": {"listen": "127.0.0.1:9464"},
        "routes": [
            {
                "name": ROUTE,
                "source": {"stream": "ORDERS", "subjects": ["orders.created"]},
                "targets": [{"subject": "billing.orders.{detail.data.orderId}"}],
            }
        ],
    },
)

READY = Health(ready=True, state="ok", routes=[RouteHealth(ROUTE, RouteState.UP, "", "")])
NOT_READY = Health(
    ready=False,
    state="down",
    routes=[
        RouteHealth(ROUTE, RouteState.DOWN, "disconnected", "no connection to a server", since="2026-03-04T10:12:32Z")
    ],
)
