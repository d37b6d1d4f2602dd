#!/bin/sh
# Makes .farm/peers/unfsd, the peer of test/interop/tags.test.ts: unfs3 0.9.22, the last release whose tagged names compile, with libtirpc in place of the
# RPC code that glibc had then. Two lines of daemon.c are changed for that; cluster.c, where the tags are, is as it was released.
# It takes: git autoconf automake flex bison gcc make pkg-config libtirpc-dev
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
source=${1:-https://github.com/unfs3/unfs3.git}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone -q --depth 1 --branch unfs3-0.9.22 "$source" "$work/unfs3"
cd "$work/unfs3"
sed -i 's/svc_getcaller(rqstp->rq_xprt)/((struct sockaddr_in *) svc_getcaller(rqstp->rq_xprt))/' daemon.c
sed -i 's/^    transp = svctcp_create(sock, 0, 0);/    if (sock != RPC_ANYSOCK) listen(sock, SOMAXCONN);\n&/' daemon.c
autoreconf -fi
./configure --enable-cluster CFLAGS='-O2 -fcommon -I/usr/include/tirpc' LIBS=-ltirpc
make
mkdir -p "$top/.farm/peers"
cp unfsd "$top/.farm/peers/unfsd"
