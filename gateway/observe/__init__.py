"""What the gateway shows of itself: metrics, logs and the lag of its event loop."""
