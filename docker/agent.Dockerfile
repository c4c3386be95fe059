# docker build -f docker/agent.Dockerfile -t fingerpost-agent:0.1.0 .
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md ./
COPY proto proto
COPY fingerpost fingerpost
COPY mgmt mgmt
COPY agent agent
COPY ctl ctl
COPY charts charts
RUN python -m venv /opt/fingerpost && /opt/fingerpost/bin/pip install --no-cache-dir -c constraints.txt ".[agent]"

FROM python:3.11-slim
COPY --from=build /opt/fingerpost /opt/fingerpost
ENV PATH=/opt/fingerpost/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10101
ENTRYPOINT ["fingerpost-agent"]
