// What a root that somebody else made lacks to be of use on a node, and the packages that bring it: those of images/debian-13.yaml.
import type { ManifestEntry } from './mtree.ts';

export interface Lack {
  /** `no /usr/bin/node: its nodes boot, but ...` */
  readonly clause: string;
  /** Of Debian and Ubuntu. */
  readonly package: string;
}

type Files = ReadonlyMap<string, Pick<ManifestEntry, 'kind' | 'target'>>;

const init = 'sbin/init';
const systemd = ['usr/lib/systemd/systemd', 'lib/systemd/systemd'];
const libraries = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu', 'usr/lib64', 'lib64', 'usr/lib'];

/** Each with any of some files. The network is no matter of the root: the initramfs has set it up, and its address is kept. */
const needed: readonly (Lack & { readonly anyOf: readonly string[] })[] = [
  { anyOf: ['usr/bin/node'], clause: 'no /usr/bin/node: its nodes boot, but do not join the cluster', package: 'nodejs' },
  {
    anyOf: ['usr/lib/systemd/systemd-udevd', 'lib/systemd/systemd-udevd', 'usr/bin/udevadm', 'sbin/mdev'],
    clause: 'no udev: its nodes load no drivers but those of the initramfs',
    package: 'udev',
  },
  { anyOf: ['usr/sbin/modprobe', 'sbin/modprobe'], clause: 'no modprobe: its nodes load no drivers but those of the initramfs', package: 'kmod' },
  { anyOf: ['usr/sbin/mount.nfs', 'sbin/mount.nfs'], clause: 'no mount.nfs: `shared` paths are not mounted', package: 'nfs-common' },
  {
    anyOf: libraries.map((directory) => `${directory}/libnss_systemd.so.2`),
    clause: 'no nss-systemd: users of farm.yaml are unknown on its nodes',
    package: 'libnss-systemd',
  },
];

/** In the order in which it matters. */
export function lacking(files: Files): readonly Lack[] {
  const leads = (path: string): boolean => leadsToFile(files, path);
  const first: readonly Lack[] = !leads(init)
    ? [{ clause: 'no /sbin/init: nodes that boot it stop at once, unless an overlay brings one', package: 'systemd-sysv' }]
    : systemd.some(leads)
      ? []
      : [{ clause: 'an /sbin/init that is not systemd: units of overlays, the agent among them, are not started', package: 'systemd-sysv' }];
  return [...first, ...needed.filter(({ anyOf }) => !anyOf.some(leads)).map(({ clause, package: name }) => ({ clause, package: name }))];
}

/** Whether the root has Debian's or Ubuntu's packages. */
export function hasApt(files: Files): boolean {
  return leadsToFile(files, 'usr/bin/apt-get');
}

/** path_resolution(7), in the root alone. */
export function leadsToFile(files: Files, path: string): boolean {
  let trail: string[] = [];
  const open = path.split('/').reverse();
  for (let hops = 0; open.length > 0 && hops < 40; ) {
    const part = open.pop() ?? '';
    if (part === '' || part === '.') continue;
    if (part === '..') {
      trail.pop();
      continue;
    }
    const entry = files.get([...trail, part].join('/'));
    if (entry?.target === undefined) {
      trail.push(part);
      continue;
    }
    hops += 1;
    if (entry.target.startsWith('/')) trail = [];
    open.push(...entry.target.split('/').reverse());
  }
  return open.length === 0 && files.get(trail.join('/'))?.kind === 'file';
}
