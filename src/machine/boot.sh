#!/bin/sh
# usage: boot.sh CHROOT JOB_DIRECTORY NSPAWN_OPTION...
#
# Mounts the job's overlay in the unit's own mount namespace, then becomes systemd-nspawn. Both in
# one ExecStart=, because with PrivateMounts= each Exec line has a mount namespace of its own
# (systemd.exec(5)): the host never sees the mount, and the kernel drops it with the last process.
# The console is a file of the job's: in the journal it would be seventy lines a job.
set -eu
chroot=$1 job=$2
shift 2
exec >>"$job/console" 2>&1
mount -t overlay -o "lowerdir=$chroot,upperdir=$job/upper,workdir=$job/work" nspawn-runner "$job/merged"
exec systemd-nspawn --directory="$job/merged" "$@"
