#!/bin/sh
# The model zoo's verification of a bundle, re-created from its public description. Offline, on the CPU.
#   bundles/verify.sh [BUNDLE]        prints one line per step; exit code 1 if any failed
here=$(cd "$(dirname "$0")" && pwd)
bundle=$(cd "${1:-$here/semgan_abdomen}" && pwd) || exit 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python}
failed=0

step() {
    name=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        printf 'ok     %s\n' "$name"
    else
        failed=1
        printf 'FAILED %s: %s\n' "$name" "$(grep -v '^ *$' "$work/log" | tail -n 1)"
    fi
}

monai() {
    command=$1
    shift
    (cd "$bundle" && "$python" -m monai.bundle "$command" --meta_file configs/metadata.json "$@")
}

export_step() {
    file=$1
    shift
    monai "$@" --net_id network_def --filepath "$work/$file" --ckpt_file models/model.pt \
        --config_file configs/inference.json && test -s "$work/$file"
}

shape=$("$python" - "$bundle/configs/metadata.json" <<'END'
import json, sys
image = json.load(open(sys.argv[1]))["network_data_format"]["inputs"]["image"]
print(str([1, image["num_channels"], *image["spatial_shape"]]).replace(" ", ""))
END
)

"$python" "$here/../scripts/verify_bundle.py" "$bundle" || failed=1
cp "$here/meta_schema.json" "$work/schema.json" # verify_metadata downloads the schema unless it is there
step "verify_metadata" monai verify_metadata --filepath "$work/schema.json"
step "verify_net_in_out" monai verify_net_in_out --net_id network_def --config_file configs/inference.json
step "TorchScript, scripted" export_step scripted.ts ckpt_export
step "TorchScript, traced" export_step traced.ts ckpt_export --use_trace True --input_shape "$shape"
step "ONNX" export_step model.onnx onnx_export --input_shape "$shape"
exit $failed
