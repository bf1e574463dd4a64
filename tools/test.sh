#!/bin/sh
# Runs make targets one after another, all of them whatever fails, and ends with the totals of what they counted:
# cargo's `test result:` lines and node's `ℹ pass N` lines.
log=$(mktemp) && trap 'rm -f "$log"' EXIT
failed_targets=""
for target in "$@"; do
    { "${MAKE:-make}" --no-print-directory "$target" 2>&1 || echo "TARGET FAILED $target"; } | tee -a "$log"
done
failed_targets=$(sed -n 's/^TARGET FAILED //p' "$log" | tr '\n' ' ')
awk '
    /^test result:/      { for (i = 1; i < NF; i++) { if ($(i + 1) ~ /^passed/) p += $i; if ($(i + 1) ~ /^failed/) f += $i } }
    /^(ℹ|#) pass [0-9]+/ { p += $3 }
    /^(ℹ|#) fail [0-9]+/ { f += $3 }
    /^(ℹ|#) skipped [0-9]+/ { s += $3 }
    END { printf "\n%d passed, %d failed, %d skipped\n", p, f, s }
' "$log"
[ -z "$failed_targets" ] || { echo "failed: $failed_targets"; exit 1; }
