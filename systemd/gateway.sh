#!/bin/sh
# The command `gateway` in a shell of root's, with the variables and credentials that the service has; see README.md.
#   sudo gateway routes
#   sudo GATEWAY_ENV=/etc/gateway/1.env gateway routes      # as the instance gateway@1 sees it
env=${GATEWAY_ENV:-/etc/gateway/gateway.env}
set -a
[ ! -e "$env" ] || . "$env"
CREDENTIALS_DIRECTORY=${CREDENTIALS_DIRECTORY:-/etc/gateway/credentials}
# What the unit sets with Environment= belongs here, too:
#NATS_CREDS=$CREDENTIALS_DIRECTORY/nats.creds
exec /opt/nats-event-gateway/bin/gateway "$@"
