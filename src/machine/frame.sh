#!/bin/sh
# usage: frame.sh NONCE SHELL, with the script on standard input, as the main process of a stage's
# unit in the machine.
#
# Runs the script on pipes made here: in a user namespace a script may not open /dev/stdout when the
# host made the pipe. A relay carries each pipe out; when the driver has gone, the relay goes on
# reading into nothing, so that what the script left running neither blocks nor dies of SIGPIPE.
# The exit status leaves with the nonce, behind all the script wrote: it is the only proof of success.
# Frame and relays outlive a polite end of the script's group; the script gets default signals.
nonce=$1
shift
trap '' HUP INT QUIT TERM PIPE
pipes=${TMPDIR:-/tmp}/.nspawn-runner-$nonce
mkfifo -m 600 "$pipes.out" "$pipes.err" || exit 70
{
  cat
  exec cat >/dev/null
} <"$pipes.out" 2>/dev/null &
{
  cat
  exec cat >/dev/null
} <"$pipes.err" >&2 2>/dev/null &
exec 3>"$pipes.out" 4>"$pipes.err"
rm -f "$pipes.out" "$pipes.err"
(
  trap - HUP INT QUIT TERM PIPE
  exec "$@" >&3 2>&4 3>&- 4>&-
)
status=$?
printf '\001\002%s %s\n' "$nonce" "$status" >&4
printf '\001\002%s %s\n' "$nonce" "$status" >&3
