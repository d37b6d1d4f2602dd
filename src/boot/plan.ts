// What a machine loads next, decided from what it says it is. Pure: the same client and plan always get the same answer.
import type { Ipv4, Mac } from '../base/addresses.ts';
import type { BootClient } from '../dhcp/pxe.ts';
import type { BootFile, NothingToBoot } from '../dhcp/questions.ts';
import { isBootable, type LoaderChoice, loaderFor, loaderInsteadOfIpxe } from './loaders.ts';

export type { LoaderChoice } from './loaders.ts';

/** What a machine does at its next boot: `default` and `reinstall` boot the image, `shell` stops in its initramfs. */
export type BootAction = 'default' | 'local' | 'memtest' | 'shell' | 'reinstall';

/** Everything that booting one node takes. */
export interface BootPlan {
  readonly node: string;
  /** The card that boots; absent for a node that is known by something else. */
  readonly mac?: Mac;
  readonly uuid?: string;
  readonly address: Ipv4;
  /** The farm's address as the node reaches it. */
  readonly server: Ipv4;
  readonly httpPort: number;
  readonly image: { readonly name: string; readonly version: string };
  /** The profile's and the server's additions to the kernel command line. */
  readonly kernelArgs: readonly string[];
  /** `ram`: the image's root in one file, fetched whole; `sha256` in hex. */
  readonly root: { readonly kind: 'nfs' } | { readonly kind: 'ram'; readonly file: string; readonly sha256: string; readonly bytes: number };
  readonly loader: LoaderChoice;
  readonly action: BootAction;
  /** Boots in a row that loaded a loader and no kernel; with `auto` each tries the next loader. Absent: 0. */
  readonly failedBoots?: number;
}

/** `http://10.11.0.1`, with the port if it is not 80. */
export function httpBase(plan: Pick<BootPlan, 'server' | 'httpPort'>): string {
  return `http://${plan.server}${plan.httpPort === 80 ? '' : `:${plan.httpPort}`}`;
}

/** Path of a node's iPXE script on the boot server. */
export function scriptPath(node: string): string {
  return `/boot/${node}.ipxe`;
}

/** Path of the tar with what a node whose root is in memory has besides the image. It holds the farm's key: for that node only. */
function overlayPath(node: string): string {
  return `/boot/${node}/overlay.tar`;
}

/** Path of the directory of an image's kernel, initramfs and loaders on the boot server. */
export function imagePath(image: BootPlan['image']): string {
  return `/images/${image.name}/${image.version}`;
}

/** The next file for this client, or why there is none. */
export function nextBoot(client: BootClient, plan: BootPlan): BootFile | NothingToBoot {
  const { loader, firmware } = client;
  const byTftp = (path: string): BootFile => ({ kind: 'tftp', server: plan.server, file: path.slice(1) });
  if (loader === 'none' && !client.bootp) return nothing('an operating system needs no boot file');
  if (!isBootable(firmware)) return nothing(`${firmware} firmware cannot start a kernel for x86-64`);
  // By what it says of itself, not by option 60: iPXE says PXEClient too, and given its own binary it would load itself for ever.
  const loaderPath = (name: string): string => `${imagePath(plan.image)}/loaders/${name}`;
  if (loader === 'ipxe') {
    const other = loaderInsteadOfIpxe(firmware, plan.loader);
    if (other !== undefined) return byTftp(loaderPath(other));
    if (plan.loader === 'nbi' && firmware === 'bios' && client.features.has('nbi') && startsKernel(plan.action)) return byTftp(nbiPath(plan.node));
    return client.features.has('http') ? { kind: 'url', url: `${httpBase(plan)}${scriptPath(plan.node)}` } : byTftp(scriptPath(plan.node));
  }
  if (loader === 'uboot') return nothing('U-Boot starts no kernel for x86-64');
  // Etherboot, and ROMs that say nothing but BOOTP: all of them load a net boot image, and few anything else.
  if (loader !== 'rom') return plan.action === 'local' ? nothing('it is to boot from its own disk') : byTftp(nbiPath(plan.node));
  // With the whole path, under which the loader then finds what else it needs, whoever gave it its address.
  const path = loaderPath(loaderFor(firmware, plan.loader, plan.failedBoots ?? 0));
  return client.http ? { kind: 'url', url: `${httpBase(plan)}${path}` } : byTftp(path);
}

function nothing(reason: string): NothingToBoot {
  return { kind: 'nothing', reason };
}

/** Path of a node's net boot image on the boot server. */
function nbiPath(node: string): string {
  return `/boot/${node}.nbi`;
}

/** Whether the image's kernel is started: all but `local` and `memtest`. */
export function startsKernel(action: BootAction): boolean {
  return action !== 'local' && action !== 'memtest';
}

/** Where the node mounts its root: the image's version is named, so that a node keeps the image it booted until it boots again. */
function exportPath(image: BootPlan['image']): string {
  return `/${image.name}/${image.version}`;
}

/** What images/initramfs/init reads of the root. */
function rootArgs(plan: BootPlan): readonly string[] {
  const { root } = plan;
  // nocto: the root is this node's alone, so a file need not be asked for at every open; that halves the calls of a boot (nfs(5)).
  if (root.kind === 'nfs') return [`farm.root=${plan.server}:${exportPath(plan.image)},nocto`];
  const url = `${httpBase(plan)}${imagePath(plan.image)}/${root.file}`;
  return [`farm.root=ram:${url},sha256=${root.sha256},bytes=${root.bytes},overlay=${overlayPath(plan.node)}`];
}

function actionArgs({ action, node }: BootPlan): readonly string[] {
  if (action === 'shell') return ['farm.action=shell'];
  return action === 'reinstall' ? ['farm.action=reinstall', `farm.script=/boot/${node}/reinstall`] : [];
}

/** The words of the kernel command line: what images/initramfs/init reads, then the consoles, then what the profile adds, which wins. */
export function kernelArguments(plan: BootPlan): readonly string[] {
  const server = plan.httpPort === 80 ? plan.server : `${plan.server}:${plan.httpPort}`;
  return [
    ...(plan.mac === undefined ? [] : [`BOOTIF=01-${plan.mac.replaceAll(':', '-')}`]),
    `farm.server=${server}`,
    ...rootArgs(plan),
    ...actionArgs(plan),
    'console=ttyS0,115200',
    'console=tty0',
    ...plan.kernelArgs,
  ];
}

/** The same as one line. */
export function kernelCommandLine(plan: BootPlan): string {
  return kernelArguments(plan).join(' ');
}
