# syntax=docker/dockerfile:1

# The images of the service's processes, and of the fault proxies alone.
# docs/images.md says how to build and run them.

# Compiles for the target on the machine that builds: nothing is emulated.
FROM --platform=$BUILDPLATFORM golang:1.26.8 AS modules
WORKDIR /src
# For a network with a module proxy of its own; empty is Go's default.
ARG GOPROXY
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download

FROM modules AS source
ARG TARGETOS TARGETARCH
# A scratch image has no time zones, so they are linked in (timetzdata).
ENV CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH GOFLAGS="-trimpath -tags=timetzdata"
COPY replay replay

# The build cache is locked, so that the second of two builds side by side finds
# what the first has compiled.
FROM source AS service
COPY service service
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,id=goldenpath-build,target=/root/.cache/go-build,sharing=locked \
    go build -o /out/ -ldflags "-s -w -X example.com/goldenpath/service/internal/app.release=$VERSION" ./service/cmd/...

FROM source AS tool
COPY chaos chaos
COPY seeds seeds
COPY devtool devtool
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,id=goldenpath-build,target=/root/.cache/go-build,sharing=locked \
    go build -o /out/ -ldflags "-s -w" ./devtool

# No shell, no package manager: one binary, and the certificates to call out.
FROM scratch AS base
COPY --from=modules /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# A number, so that Kubernetes can tell that it is not root (runAsNonRoot).
USER 65532:65532
ARG VERSION=dev
LABEL org.opencontainers.image.version="$VERSION" org.opencontainers.image.licenses="MIT"

FROM base AS server
LABEL org.opencontainers.image.title="notes-server" org.opencontainers.image.description="Answers the notes' HTTP and RPC requests, and migrates their database"
COPY --from=service /out/server /server
ENV SERVICE_ENV=production HTTP_ADDR=0.0.0.0:8081 ADMIN_ADDR=0.0.0.0:8082
EXPOSE 8081 8082
HEALTHCHECK --start-period=30s --start-interval=1s --interval=10s --timeout=5s --retries=3 CMD ["/server", "health"]
ENTRYPOINT ["/server"]

FROM base AS worker
LABEL org.opencontainers.image.title="notes-worker" org.opencontainers.image.description="Relays the notes' events to Kafka and runs their tasks"
COPY --from=service /out/worker /worker
ENV SERVICE_ENV=production WORKER_ADMIN_ADDR=0.0.0.0:8083
EXPOSE 8083
HEALTHCHECK --start-period=30s --start-interval=1s --interval=10s --timeout=5s --retries=3 CMD ["/worker", "health"]
ENTRYPOINT ["/worker"]

FROM base AS scheduler
LABEL org.opencontainers.image.title="notes-scheduler" org.opencontainers.image.description="Has the worker do, at regular times, what no request asks for"
COPY --from=service /out/scheduler /scheduler
ENV SERVICE_ENV=production SCHEDULER_ADMIN_ADDR=0.0.0.0:8084
EXPOSE 8084
HEALTHCHECK --start-period=30s --start-interval=1s --interval=10s --timeout=5s --retries=3 CMD ["/scheduler", "health"]
ENTRYPOINT ["/scheduler"]

FROM base AS devtool
LABEL org.opencontainers.image.title="devtool" org.opencontainers.image.description="The fault proxies: devtool proxy"
COPY --from=tool /out/devtool /devtool
EXPOSE 8474
ENTRYPOINT ["/devtool"]
