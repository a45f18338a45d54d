#!/bin/sh
# The main job on the example pictures: plan, run, contact sheet. Free, offline, repeatable.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
demo=${1:-var/demo}

maquette db init
maquette project show demo >/dev/null 2>&1 || maquette project create demo --root "$demo/project"

set -- --project demo \
    --input "$here/scenes" \
    --style-refs "$here/styles/rocket.jpg" \
    --manifest "$here/demo.json" \
    --candidates 2 --seed 7 \
    --post-bg-remove --post-upscale --post-color --post-color-profile cinematic_warm

maquette dry "$@"
maquette run "$@"
