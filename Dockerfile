# The worker, Flower and the sandbox gateway: one image, three commands (docker-compose.yml).

FROM python:3.11-slim AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY smsq smsq
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

# The version that the test suite runs on.
FROM python:3.11-slim
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

# Pinned, all of it and nothing else; `pip check` below finds what the pins lack.
COPY requirements/worker.txt requirements/worker.txt
RUN pip install --no-deps --only-binary :all: -r requirements/worker.txt
COPY --from=wheel /wheel /wheel
RUN pip install --no-deps /wheel/*.whl && pip check

COPY config config
COPY tasks tasks
COPY worker worker

RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin smsq
USER 10001

# The worker is process 1 itself: no shell between it and the signal that tells it to finish.
STOPSIGNAL SIGTERM
CMD ["celery", "-A", "worker", "worker", "-E"]
