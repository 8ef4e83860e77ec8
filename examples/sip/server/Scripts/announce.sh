#!/bin/sh
# Runs once inside a new server: leaves a note of where it answers.
set -eu
echo "$1:$2" > /tmp/sip-address
echo "SIP server of $hostname answers on $1:$2"
