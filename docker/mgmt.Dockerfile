# docker build -f docker/mgmt.Dockerfile -t fingerpost-mgmt:0.1.0 .
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md ./
COPY proto proto
COPY fingerpost fingerpost
COPY mgmt mgmt
COPY agent agent
COPY ctl ctl
COPY charts charts
RUN python -m venv /opt/fingerpost && /opt/fingerpost/bin/pip install --no-cache-dir -c constraints.txt ".[mgmt]"
# xds-protos brings its own older files of this package; whichever is written last is what is imported
RUN /opt/fingerpost/bin/pip install --no-cache-dir --no-deps --force-reinstall -c constraints.txt opentelemetry-proto

FROM python:3.11-slim
COPY --from=build /opt/fingerpost /opt/fingerpost
ENV PATH=/opt/fingerpost/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10101
ENTRYPOINT ["fingerpost-mgmt"]
