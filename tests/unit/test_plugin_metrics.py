"""Metrics of plugins live under their own prefix and cannot take each other's names."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest

from gateway.errors import PluginError
from gateway.observe.plugin_metrics import PluginMetrics


def test_a_plugins_metric_has_its_prefix_and_is_shared_by_its_routes() -> None:
    """Two routes that ask for one counter count into one family, told apart by labels."""
    registry = CollectorRegistry()
    metrics = PluginMetrics(registry).of("geo-ip")
    metrics.counter("lookups", {"route": "a"}).inc()
    metrics.counter("lookups", {"route": "b"}).inc(2)
    text = generate_latest(registry).decode()
    assert 'event_gateway_plugin_geo_ip_lookups_total{route="a"} 1.0' in text
    assert 'event_gateway_plugin_geo_ip_lookups_total{route="b"} 2.0' in text


def test_gauges_and_histograms_are_served_too() -> None:
    """What a plugin sets and observes is on the page."""
    registry = CollectorRegistry()
    metrics = PluginMetrics(registry).of("cache")
    metrics.gauge("entries").set(7)
    metrics.histogram("seconds").observe(0.2)
    text = generate_latest(registry).decode()
    assert "event_gateway_plugin_cache_entries 7.0" in text
    assert "event_gateway_plugin_cache_seconds_count 1.0" in text


def test_a_metric_has_no_series_but_its_own() -> None:
    """No `_created`, which would double the series of counters for nobody."""
    registry = CollectorRegistry()
    metrics = PluginMetrics(registry).of("cache")
    metrics.counter("hits").inc()
    metrics.histogram("seconds").observe(0.2)
    metrics.gauge("files_created").set(3)
    text = generate_latest(registry).decode()
    assert "hits_created" not in text
    assert "seconds_created" not in text
    assert "event_gateway_plugin_cache_files_created 3.0" in text


def test_what_others_of_the_process_measure_is_left_as_it_is() -> None:
    """A plugin may have a registry of its own, and a page."""
    PluginMetrics(CollectorRegistry()).of("cache").counter("hits").inc()
    theirs = CollectorRegistry()
    Counter("theirs", "Theirs.", registry=theirs).inc()
    assert "theirs_created" in generate_latest(theirs).decode()


def test_one_name_is_one_kind_of_metric() -> None:
    """A gauge under a counter's name, or other labels, is the plugin's fault and says so."""
    metrics = PluginMetrics(CollectorRegistry()).of("cache")
    metrics.gauge("entries")
    with pytest.raises(PluginError, match="already a gauge"):
        metrics.histogram("entries")
    with pytest.raises(PluginError, match="labels"):
        metrics.gauge("entries", {"route": "a"})


def test_a_bad_name_is_refused() -> None:
    """A name Prometheus would refuse never reaches the page."""
    with pytest.raises(PluginError, match="no metric name"):
        PluginMetrics(CollectorRegistry()).of("cache").counter("hits per second")
