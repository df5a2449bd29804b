#!/bin/sh
# Pretraining on a few hosts without a scheduler: start it on each of them; HEAD is one they all reach.
#   HEAD=tower sh asr_pretrain/cluster/hosts.sh general.yaml --device cuda --out /shared/runs/general
# NODES is how many hosts there are, or MIN:MAX to go on without those that die; PROCESSES is per host.
set -eu
export OMP_NUM_THREADS=1
exec "${PYTHON:-python3}" -m torch.distributed.run \
    --nnodes="${NODES:-2}" --nproc_per_node="${PROCESSES:-1}" --max_restarts="${RESTARTS:-3}" \
    --rdzv_backend=c10d --rdzv_endpoint="$HEAD:${PORT:-29500}" --rdzv_id="${RUN:-asr-pretrain}" \
    -m asr_pretrain.cli train "$@"
