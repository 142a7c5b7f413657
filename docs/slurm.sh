#!/usr/bin/env bash
# A cluster of Ray inside a SLURM allocation, and a run of dmlbench on it.
#
#     sbatch --nodes 4 docs/slurm.sh run --dataset cub --recipe standard --leaderboards $HOME/leaderboards
#
# The arguments are those of dmlbench, without --executor and --address. Where the time ends or a node
# fails, submit it again: what is done is not repeated. The leaderboards' folder is needed on the
# first node only; dmlbench, its plugins and the dataset's files are needed on every one.
#SBATCH --job-name=dmlbench
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --gpus-per-node=4
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --no-kill

set -euo pipefail
export RAY_USAGE_STATS_ENABLED=0
# Decoded images and features: on a disk of each node.
export DMLBENCH_CACHE=${DMLBENCH_CACHE:-${TMPDIR:-/tmp}/dmlbench-$(id -un)}

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$first:$((20000 + SLURM_JOB_ID % 20000))  # two allocations may share a node
room=(--num-cpus "${SLURM_CPUS_PER_TASK:-1}" --num-gpus "${SLURM_GPUS_ON_NODE:-0}")

srun --overlap --no-kill --nodes=1 --ntasks=1 --nodelist="$first" \
    ray start --head --block --port="${address#*:}" --include-dashboard=false "${room[@]}" &
others=$((SLURM_JOB_NUM_NODES - 1))
if [ "$others" -gt 0 ]; then
    sleep 15
    srun --overlap --no-kill --nodes="$others" --ntasks="$others" --exclude="$first" \
        ray start --block --address="$address" "${room[@]}" &
fi

# Every node is checked, and makes its data ready, before anything is trained: wait for all of them.
python - "$address" "$SLURM_JOB_NUM_NODES" <<'WAIT'
import sys, time
import ray

address, wanted = sys.argv[1], int(sys.argv[2])
deadline = time.monotonic() + 300
while True:
    try:
        ray.init(address=address, log_to_driver=False)
        break
    except (ConnectionError, RuntimeError):
        if time.monotonic() > deadline:
            raise
        time.sleep(3)
while sum(node["Alive"] for node in ray.nodes()) < wanted and time.monotonic() < deadline:
    time.sleep(3)
WAIT

# The allocation ends with this script, and Ray with it.
dmlbench "$@" --executor ray --address "$address"
