// What a machine loads next, decided from what it says it is. Pure: the same client and node always get the same answer.
import type { Ipv4, Mac } from '../base/addresses.ts';
import type { BootClient } from '../dhcp/pxe.ts';
import type { BootFile } from '../dhcp/questions.ts';

/** Everything that booting one node takes. */
export interface BootPlan {
  readonly node: string;
  readonly mac: Mac;
  /** The farm's address as the node reaches it. */
  readonly server: Ipv4;
  readonly httpPort: number;
  readonly image: { readonly name: string; readonly version: string };
  /** The profile's and the server's additions to the kernel command line. */
  readonly kernelArgs: readonly string[];
}

/** Loaders by firmware, as the image's `loaders/` has them: iPXE, which then fetches the script over HTTP. */
const loaders: Partial<Record<BootClient['firmware'], string>> = { bios: 'undionly.kpxe', 'efi-x64': 'ipxe.efi' };

/** `http://10.11.0.1`, with the port if it is not 80. */
export function httpBase(plan: Pick<BootPlan, 'server' | 'httpPort'>): string {
  return `http://${plan.server}${plan.httpPort === 80 ? '' : `:${plan.httpPort}`}`;
}

/** Path of a node's iPXE script on the boot server. */
export function scriptPath(node: string): string {
  return `/boot/${node}.ipxe`;
}

/** Path of the directory of an image's kernel, initramfs and loaders on the boot server. */
export function imagePath(image: BootPlan['image']): string {
  return `/images/${image.name}/${image.version}`;
}

/** The next file for this client; undefined if it has nothing to boot: an operating system, or firmware that no loader fits. */
export function nextBootFile(client: BootClient, plan: BootPlan): BootFile | undefined {
  // By what it says of itself, not by option 60: iPXE says PXEClient too, and given its own binary it would load itself for ever.
  if (client.loader === 'ipxe') return { kind: 'url', url: `${httpBase(plan)}${scriptPath(plan.node)}` };
  if (client.loader !== 'rom') return undefined;
  const loader = loaders[client.firmware];
  if (loader === undefined) return undefined;
  if (client.http) return { kind: 'url', url: `${httpBase(plan)}${imagePath(plan.image)}/loaders/${loader}` };
  return { kind: 'tftp', server: plan.server, file: loader };
}

/** Where the node mounts its root: the image's version is named, so that a node keeps the image it booted until it boots again. */
function exportPath(image: BootPlan['image']): string {
  return `/${image.name}/${image.version}`;
}

/** The kernel command line: what images/initramfs/init reads, then the consoles, then what the profile adds, which wins. */
export function kernelCommandLine(plan: BootPlan): string {
  const server = plan.httpPort === 80 ? plan.server : `${plan.server}:${plan.httpPort}`;
  return [
    `BOOTIF=01-${plan.mac.replaceAll(':', '-')}`,
    `farm.server=${server}`,
    // nocto: the root is this node's alone, so a file need not be asked for at every open; that halves the calls of a boot (nfs(5)).
    `farm.root=${plan.server}:${exportPath(plan.image)},nocto`,
    'console=ttyS0,115200',
    'console=tty0',
    ...plan.kernelArgs,
  ].join(' ');
}
