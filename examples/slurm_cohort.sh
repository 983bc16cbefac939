#!/bin/bash
# A SLURM array: 16 machines share a cohort, each takes every 16th scan; the same command goes on after a time-out.
#
#     sbatch examples/slurm_cohort.sh /data/scans /data/organs --mode preview
#
#SBATCH --job-name=semgan
#SBATCH --array=1-16
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@60
set -eu
input=$1 output=$2
shift 2

# counted from 1, whatever numbers the array has, as long as they follow each other
part=$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN + 1))/$SLURM_ARRAY_TASK_COUNT

# exec: SLURM's signal before the end of the time reaches semgan, which keeps what is finished
exec semgan segment "$input" --output "$output" --cohort --part "$part" --quiet "$@"
