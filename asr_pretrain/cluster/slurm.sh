#!/bin/bash
# Pretraining on several nodes under SLURM; what follows the script's name goes to `asr-pretrain train`.
#   sbatch asr_pretrain/cluster/slurm.sh general.yaml --device cuda --out /shared/runs/general
# At its time limit, or when its nodes are wanted elsewhere, the job saves and stops; the same command goes on.
#SBATCH --job-name=asr-pretrain
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=asr-pretrain-%j.log
set -eu
# One task a node is torchrun; it starts a process for each GPU and starts all again when one dies.
export OMP_NUM_THREADS=1
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun python -m torch.distributed.run \
    --nnodes="$SLURM_NNODES" --nproc_per_node="${SLURM_GPUS_ON_NODE:-1}" --max_restarts=3 \
    --rdzv_backend=c10d --rdzv_endpoint="$head:${PORT:-$((20000 + SLURM_JOB_ID % 10000))}" --rdzv_id="$SLURM_JOB_ID" \
    -m asr_pretrain.cli train "$@"
