# etcd from Debian, where its own image can't be pulled.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
    && apt-get install -y --no-install-recommends etcd-server etcd-client \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
RUN mkdir -p /var/lib/etcd && chown 65532:65532 /var/lib/etcd && chmod 700 /var/lib/etcd
ENV ETCDCTL_API=3
USER 65532:65532
CMD ["etcd"]
