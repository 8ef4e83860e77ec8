#!/bin/sh
echo "$1" >> /tmp/events
echo "$1 in $hostname"
