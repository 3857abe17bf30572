#!/usr/bin/env bash
# test_wheel.sh ENVIRONMENT [WHEEL]: build the wheel, or take the one named, install it in a fresh environment, and use
# it where the source tree cannot be imported: the command, the demo, and tests from a dataset to the written splits.
set -euo pipefail
cd "$(dirname "$0")/.."

source_tree=$PWD
environment=$PWD/$1
wheel=${2:+$(realpath "$2")}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"${PYTHON:-python3}" -m venv --clear "$environment"
python=$environment/bin/python
"$python" -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
if [ -z "$wheel" ]; then
  "$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$work/dist" .
  wheel=$(echo "$work"/dist/*.whl)
fi
"$python" -m pip install --quiet --disable-pip-version-check "${wheel}[demo,http]" pytest hypothesis jsonschema

# Nothing of the source tree but the tests goes along.
cp -r tests "$work/tests"
cd "$work"
place=$("$python" -P -c 'import dedup; print(dedup.__file__)')
case $place in
  "$environment"/*) ;;
  *) echo "dedup was imported from $place, not from the wheel in $environment"; exit 1 ;;
esac

"$environment/bin/dedup" --help >/dev/null
"$environment/bin/dedup" init >/dev/null
"$environment/bin/dedup" demo "$work/demo"
"$python" -m pytest -q -p no:cacheprovider -c /dev/null --rootdir "$work" --import-mode=importlib -o pythonpath="$work" -o markers="shared_data" \
  tests/test_api.py tests/formats/test_odd_rows.py tests/test_png.py
echo "the wheel works outside $source_tree"
