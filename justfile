# Hearth's tasks. `just` comes from PyPI (rust-just) and lives beside the tools that it calls, so that no environment
# has to be activated: `.venv/bin/just test`.

bin := parent_directory(just_executable())
python := bin / "python"
lock := bin / "uv" + " pip compile --quiet --python-version 3.13 --universal --generate-hashes --no-annotate --no-header --no-emit-index-url --upgrade"

# List the tasks
default:
    @'{{ just_executable() }}' --justfile '{{ justfile() }}' --list

# Style, types, and which package may import which
lint:
    '{{ bin }}/ruff' check
    '{{ bin }}/ruff' format --check
    '{{ bin }}/mypy'
    '{{ bin }}/lint-imports'

# Put everything into the house's style
fmt:
    '{{ bin }}/ruff' check --fix
    '{{ bin }}/ruff' format

# The tests that need no Debian package, no other server and little time
quick *arguments:
    '{{ python }}' -m pytest -n auto --dist worksteal -m "not apt and not container and not slow" {{ arguments }}

# Every test; installs what they need from Debian where it can, else says what is left out
test *arguments:
    '{{ python }}' -m tests.support.apt
    '{{ python }}' -m pytest -n 2 --dist worksteal {{ arguments }}

# What has to be green before anything lands
check: lint test

# Speed and memory beside their goals; run it alone on a quiet machine
bench *arguments:
    '{{ python }}' -m tests.bench {{ arguments }}

# Complement, Matrix's conformance suite, on this checkout; the path of its built clone first (tests/complement/README.md)
complement suite *arguments:
    '{{ python }}' -m tests.complement '{{ suite }}' {{ arguments }}

# Let matrix-rust-sdk, the library of Element X, live a session; it needs Rust, and builds for ten minutes the first time
element-x:
    RUST_SESSION=1 '{{ python }}' -m pytest -n 0 tests/interop/test_rust_sdk.py

# List every operation of the specification with its status, in docs/coverage.md
coverage:
    '{{ python }}' -m tests.support.coverage > docs/coverage.md

# Build the container image; arguments go to podman, such as --secret id=pip.conf,src=…
image *arguments:
    podman build --format docker --tag hearth {{ arguments }} .

# Pin what the image holds anew: names, versions and hashes, no addresses (uv from PyPI)
lock:
    '{{ python }}' -m pip install --quiet uv
    {{ lock }} pyproject.toml --no-emit-package faker --output-file image/requirements.lock
    {{ lock }} image/build.in --output-file image/build.lock
