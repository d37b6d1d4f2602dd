// Which mirror to build from: the recipe's, else the one this server's own apt uses (sources.list(5)), else the distribution's.

interface Archive {
  readonly mirror: string;
  readonly security: string;
  readonly components: string;
  /** How the path of a whole mirror ends. */
  readonly directory: RegExp;
  /** The kernel of a recipe that names none. */
  readonly kernel: string;
  /** Its keys, for a server of another distribution, and the package that has them. */
  readonly keyring: string;
  readonly keyringPackage: string;
}

/** What a recipe may be made of. */
export const distributions = {
  debian: {
    mirror: 'http://deb.debian.org/debian',
    security: 'http://deb.debian.org/debian-security',
    components: 'main',
    directory: /\/debian\/?$/,
    kernel: 'linux-image-amd64',
    keyring: '/usr/share/keyrings/debian-archive-keyring.gpg',
    keyringPackage: 'debian-archive-keyring',
  },
  // Most loaders, busybox and nodejs are in universe.
  ubuntu: {
    mirror: 'http://archive.ubuntu.com/ubuntu',
    security: 'http://security.ubuntu.com/ubuntu',
    components: 'main universe',
    directory: /\/ubuntu\/?$/,
    kernel: 'linux-image-generic',
    keyring: '/usr/share/keyrings/ubuntu-archive-keyring.gpg',
    keyringPackage: 'ubuntu-keyring',
  },
} as const satisfies Record<string, Archive>;

export type Distribution = keyof typeof distributions;

/** The apt source lines of an image: release, updates, security fixes. */
export function sourceLines(distribution: Distribution, suite: string, mirror: string): readonly string[] {
  const { security, components } = distributions[distribution];
  return [`deb ${mirror} ${suite} ${components}`, `deb ${mirror} ${suite}-updates ${components}`, `deb ${security} ${suite}-security ${components}`];
}

/**
 * The mirror of the distribution that a server's apt sources name (the contents of sources.list and of each file in sources.list.d), or the
 * distribution's own. Only whole mirrors count: a path that ends in `/debian`, no snapshot of a day, nothing of another distribution.
 */
export function hostMirror(distribution: Distribution, sources: readonly string[]): string {
  const { directory, security, mirror: own } = distributions[distribution];
  for (const text of sources) {
    for (const line of text.split('\n')) {
      if (/^\s*#/.test(line) || !/^\s*(URIs:|deb\s)/.test(line)) continue;
      const addresses = line.match(/https?:\/\/[^\s]+/g) ?? [];
      const mirror = addresses.find((address) => directory.test(address) && !/^https?:\/\/snapshot\./.test(address) && !address.startsWith(security));
      if (mirror !== undefined) return mirror.replace(/\/$/, '');
    }
  }
  return own;
}
