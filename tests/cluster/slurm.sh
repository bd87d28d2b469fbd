#!/usr/bin/env bash
# A Slurm of one node on this machine, for `python tests/cluster/on_slurm.py`, without systemd and without cgroups.
#   tests/cluster/slurm.sh up FOLDER      needs root; apt-get install slurm-wlm munge
#   tests/cluster/slurm.sh down FOLDER
# Its configuration, key, sockets and logs are in FOLDER; clients find it by SLURM_CONF=FOLDER/slurm.conf.
set -euo pipefail
verb=${1:?up or down} folder=${2:?a folder}
node=$(hostname -s)

stop() {
  for name in slurmd slurmctld munged; do
    [ -s "$folder/$name.pid" ] || continue
    pid=$(cat "$folder/$name.pid")
    # The id may be of another program by now.
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$name" ]; then
      kill "$pid"
      while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
    fi
  done
}

if [ "$verb" = down ]; then
  stop
  exit
fi

umask 022
mkdir -p "$folder"/{munge,state,spool}
folder=$(realpath "$folder")
chmod 700 "$folder/munge"
head -c 1024 /dev/urandom >"$folder/munge/key"
chmod 600 "$folder/munge/key"
chmod 711 "$folder/munge"
cat >"$folder/slurm.conf" <<CONF
ClusterName=asam
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
SlurmUser=root
AuthInfo=socket=$folder/munge/socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
# More processors and memory than there are: what is tested is who waits for whom.
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=7200
KillWait=5
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
NodeName=$node NodeAddr=127.0.0.1 CPUs=8 RealMemory=64000 Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes=$node Default=YES State=UP
PartitionName=gpu Nodes=$node State=UP
CONF
# A processor for graphics in name only.
echo "NodeName=$node Name=gpu File=/dev/null" >"$folder/gres.conf"

export SLURM_CONF=$folder/slurm.conf
munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/munged.pid" \
  --log-file="$folder/munge/log" --seed-file="$folder/munge/seed"
slurmctld -c
slurmd
for _ in $(seq 300); do
  if [ "$(sinfo --noheader --format=%T --partition=cpu 2>/dev/null)" = idle ]; then
    sinfo >&2
    exit
  fi
  sleep 0.1
done
tail -n 20 "$folder"/slurm*.log >&2
echo "expected the node to be idle within 30 s" >&2
stop
exit 1
