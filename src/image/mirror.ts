// Which Debian mirror to build from: the recipe's, else the one this server's own apt uses (sources.list(5)), else Debian's.

const debianMirror = 'http://deb.debian.org/debian';
const securityMirror = 'http://deb.debian.org/debian-security';

/** The apt source lines of an image: release, updates, security fixes. */
export function sourceLines(suite: string, mirror: string): readonly string[] {
  return [`deb ${mirror} ${suite} main`, `deb ${mirror} ${suite}-updates main`, `deb ${securityMirror} ${suite}-security main`];
}

/**
 * The mirror that a server's apt sources name (the contents of sources.list and of each file in sources.list.d), or Debian's own.
 * Only whole mirrors count: a path that ends in `/debian`, no snapshot of a day, nothing of another distribution.
 */
export function hostMirror(sources: readonly string[]): string {
  for (const text of sources) {
    for (const line of text.split('\n')) {
      if (/^\s*#/.test(line) || !/^\s*(URIs:|deb\s)/.test(line)) continue;
      const mirror = line.match(/https?:\/\/[^\s]+/g)?.find((address) => /\/debian\/?$/.test(address) && !/^https?:\/\/snapshot\./.test(address));
      if (mirror !== undefined) return mirror.replace(/\/$/, '');
    }
  }
  return debianMirror;
}
