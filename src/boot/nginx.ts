// The configuration with which nginx stands in front of a farm: it sends the large files of images itself and passes everything else on.
import type { Ipv4 } from '../base/addresses.ts';
import { FarmError } from '../base/errors.ts';
import { proxyHeader } from './forwarded.ts';

export interface NginxValues {
  /** The farm's name. */
  readonly name: string;
  /** Where nginx listens: the server's addresses, and the port that nodes are told. */
  readonly addresses: readonly Ipv4[];
  readonly port: number;
  /** Absolute paths. */
  readonly tls?: { readonly certificate: string; readonly key: string; readonly port: number };
  /** Port on loopback where farm serves HTTP. */
  readonly backend: number;
  /** See `askerOf`. */
  readonly secret: string;
  /** Absolute path of the directory that has `images/`. */
  readonly directory: string;
}

/** What a node fetches that is large: `images/NAME/VERSION/` and one of these. The rest of an image is not for the asking. */
const largeFile = '^/images/[a-z0-9][a-z0-9._-]*/[0-9a-f]{12}/(kernel|kernel\\.nbi|initramfs|root\\.squashfs|loaders/[A-Za-z0-9_][A-Za-z0-9_.-]*)$';

/**
 * The text of a file for nginx's `http` block, such as /etc/nginx/conf.d/farm.conf; for nginx 1.18 and later without modules beyond the
 * usual. It contains the secret. Throws `nginx.path` for a path that cannot be written there.
 */
export function nginxConfiguration(values: NginxValues): string {
  const { name, addresses, port, tls, backend, secret, directory } = values;
  const id = `farm_${name.replace(/[^A-Za-z0-9]/g, '_')}`;
  const listens = addresses.flatMap((address) => [`listen ${address}:${port};`, ...(tls === undefined ? [] : [`listen ${address}:${tls.port} ssl;`])]);
  const certificate = tls === undefined ? [] : [`ssl_certificate ${quoted(tls.certificate)};`, `ssl_certificate_key ${quoted(tls.key)};`];
  const forward = [
    'proxy_http_version 1.1;',
    'proxy_set_header Connection "";',
    'proxy_set_header Host $http_host;',
    'proxy_set_header X-Forwarded-For $remote_addr;', // not $proxy_add_x_forwarded_for: what the client says of itself counts for nothing
    `proxy_set_header ${proxyHeader} ${quoted(secret)};`,
  ];
  return `# nginx in front of the farm ${name}, made by: farm nginx
# Make it anew when farm.yaml changes its addresses, ports or certificate. It has a secret in it: only root may read it.
# farm itself serves HTTP at 127.0.0.1:${backend} then, and knows nodes by the address that nginx tells it.

limit_conn_zone $binary_remote_addr zone=${id}:10m;

upstream ${id} {
    server 127.0.0.1:${backend};
    keepalive 32;
}

server {
${indented(4, [...listens, ...certificate])}

    server_tokens off;
    gzip off;
    limit_conn ${id} 64;
    client_header_timeout 10s;
    client_body_timeout 30s;
    send_timeout 120s;
    keepalive_timeout 15s;
    reset_timedout_connection on;

    # farm limits bodies itself, and refuses what it does not take.
    client_max_body_size 0;
    proxy_request_buffering off;
    proxy_max_temp_file_size 0;

    # Kernels, initramfs and roots: named by what is in them, so they never change.
    location ~ "${largeFile}" {
        root ${quoted(directory)};
        disable_symlinks on from=$document_root;
        sendfile on;
        tcp_nopush on;
        types { application/efi efi; }
        default_type application/octet-stream;
        try_files $uri @farm;

        # farm hears of it by a HEAD, and knows how far the node is.
        mirror /farm-hears;
        mirror_request_body off;
    }

    location = /farm-hears {
        internal;
        proxy_method HEAD;
        proxy_pass http://${id}$request_uri;
${indented(8, forward)}
    }

    location / {
        proxy_pass http://${id};
${indented(8, forward)}
    }

    location @farm {
        proxy_pass http://${id};
${indented(8, forward)}
    }
}
`;
}

function indented(blanks: number, lines: readonly string[]): string {
  return lines.map((line) => `${' '.repeat(blanks)}${line}`).join('\n');
}

/** nginx has no way to write a dollar sign in a value that may contain variables. */
function quoted(text: string): string {
  if (/[$\p{Cc}]/u.test(text)) {
    throw new FarmError('nginx.path', `nginx cannot be told the path ${JSON.stringify(text)}`, 'use a path without dollar signs and control characters');
  }
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}
