# Everything is installed from lock files with hashes. The console is built with the Node.js of a locked wheel.
FROM python:3.11.13-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/ioc
COPY Makefile pyproject.toml setup.py LICENSE README.md ./
COPY requirements ./requirements
COPY dashboards/console ./dashboards/console
COPY ioc ./ioc
COPY simulators ./simulators
COPY benchmarks ./benchmarks
RUN make setup COMPILED= && rm -rf dashboards/console/node_modules
ARG LOCK=runtime
# Only what runs goes on: a fresh environment with the locked runtime, without pip, Node.js and build tools.
RUN python -m venv --without-pip /opt/run \
 && .venv/bin/uv pip install --python /opt/run/bin/python --no-deps --require-hashes --compile-bytecode -r requirements/${LOCK}.lock \
 && .venv/bin/uv pip install --python .venv/bin/python --no-deps --require-hashes -r requirements/compile.lock \
 && IOC_COMPILE=1 .venv/bin/uv build --wheel --no-build-isolation --python .venv/bin/python --out-dir /opt/wheel . \
 && .venv/bin/uv pip install --python /opt/run/bin/python --no-deps --compile-bytecode /opt/wheel/*.whl

FROM python:3.11.13-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/ioc --shell /usr/sbin/nologin ioc \
 && install -d -o ioc -g ioc -m 0750 /var/lib/ioc
COPY --from=build /opt/run /opt/run
COPY --from=build /opt/ioc/dashboards/console/dist /opt/ioc/dashboards/console/dist
COPY rules /opt/ioc/rules
ENV PATH=/opt/run/bin:$PATH IOC_DATA=/var/lib/ioc PYTHONDONTWRITEBYTECODE=1
WORKDIR /opt/ioc
USER ioc
VOLUME /var/lib/ioc
EXPOSE 8000 1883
ENTRYPOINT ["ioc"]
CMD ["--help"]
