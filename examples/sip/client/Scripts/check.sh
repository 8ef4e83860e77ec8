#!/bin/sh
# Runs once inside a new client: the server's address came as argument, environment and file, and all three agree.
set -eu
. /etc/skerry/parameters.sh
[ "$1" = "$SIPP_SERVER_SIP_ADDRESS" ]
grep -qx "server=$1" /etc/sipp/server
echo "$hostname calls $1"
