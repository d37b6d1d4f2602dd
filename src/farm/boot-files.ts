// What the boot servers hand out, by one set of paths for TFTP and HTTP: loaders, each node's menus, kernels, initramfs and packed roots.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Ipv4 } from '../base/addresses.ts';
import { type MenuTemplate, type MenuTemplates, menuTemplateNames, renderMenu } from '../boot/menus.ts';
import { nbiCommandLine, nbiCommandLineOffset } from '../boot/nbi.ts';
import { type BootAction, type BootPlan, imagePath, kernelCommandLine, startsKernel } from '../boot/plan.ts';
import { type MenuRequest, menuRequest } from '../boot/search-order.ts';
import { type TftpFile, tftpBytes, tftpFileBelow } from '../tftp/files.ts';
import { imagesDirectory } from './directory.ts';
import type { Node } from './farm.ts';
import type { LiveFarm } from './live.ts';
import type { Stage } from './observed.ts';

export type BootFileBody =
  | { readonly kind: 'text'; readonly text: string }
  /** With `patch`, its bytes stand in the place of the file's own. */
  | { readonly kind: 'file'; readonly directory: string; readonly path: string; readonly patch?: { readonly offset: number; readonly bytes: Buffer } };

/** A boot file, and what its being fetched says of the node. */
export interface BootFileFound {
  readonly body: BootFileBody;
  readonly stage: Stage;
  readonly detail: string;
  /** The node whose orders for this boot it holds, whoever asked: a menu, or the kernel of a ROM that takes none. */
  readonly menuOf?: Node;
}

export interface BootFiles {
  /** `path` without a leading slash. undefined: there is no such file for this client. `action` goes before what the plan says. */
  find(path: string, client: Ipv4, action?: BootAction): BootFileFound | undefined;
}

/** What lies beside an image's root; nothing else of an image goes out this way. */
const imageFile = /^images\/([a-z0-9][a-z0-9._-]*\/[0-9a-f]{12})\/((?:kernel|initramfs|root\.squashfs)(?:\.sig)?|kernel\.nbi|loaders\/[\w.-]+)$/;
/** Loaders ask for what belongs to them by its bare name. */
const bareLoader = /^(?:[\w-]+\.(?:kpxe|pxe|efi|0|c32|nbi)|memtest)$/i;

/** `template` is the iPXE script's; those of the other menus lie beside it. */
export function bootFiles(live: LiveFarm, plan: (node: Node, action?: BootAction) => BootPlan | undefined, template: MenuTemplate): BootFiles {
  const templates: MenuTemplates = {
    ipxe: template,
    autoexec: beside(template, menuTemplateNames.autoexec),
    pxelinux: beside(template, menuTemplateNames.pxelinux),
    grub: beside(template, menuTemplateNames.grub),
  };
  const images = imagesDirectory(live.directory);

  /** Whom the name in the path says, else who has the asker's address. */
  const whose = ({ of }: MenuRequest, client: Ipv4): Node | undefined => {
    const { byName, byMac, byUuid, byAddress } = live.published;
    if (of.by === 'name') return byName.get(of.name);
    const known = of.by === 'mac' ? byMac.get(of.mac) : of.by === 'uuid' ? byUuid.get(of.uuid) : of.by === 'address' ? byAddress.get(of.address) : undefined;
    return known ?? byAddress.get(client);
  };

  const menu = (request: MenuRequest, client: Ipv4, action: BootAction | undefined): BootFileFound | undefined => {
    const node = whose(request, client);
    const boot = node === undefined ? undefined : plan(node, action);
    if (node === undefined || boot === undefined) {
      const byCard = request.menu === 'grub' && request.of.by === 'client';
      return byCard ? { body: { kind: 'text', text: grubByCard }, stage: 'loader', detail: 'grub.cfg' } : undefined;
    }
    if (request.menu === 'nbi') return netBootImage(images, node, boot);
    const text = renderMenu(request.menu, templates, live.published.farm.name, boot);
    const body = { kind: 'text', text } as const;
    if (request.menu === 'autoexec') return { body, stage: 'loader', detail: 'autoexec.ipxe' };
    return { body, stage: 'menu', detail: `${menuNames[request.menu]}, ${boot.action}`, menuOf: node };
  };

  return {
    find: (path, client, action) => {
      const request = menuRequest(path); // first: iPXE and PXELINUX look for theirs among the image's loaders
      if (request !== undefined) return menu(request, client, action);
      const [, version, file] = imageFile.exec(path) ?? [];
      if (version !== undefined && file !== undefined) {
        const stage = file.startsWith('loaders/') ? 'loader' : 'kernel';
        return { body: { kind: 'file', directory: images, path: `${version}/${file}` }, stage, detail: file.replace('loaders/', '') };
      }
      if (path === 'boot' || path === 'boot/')
        return { body: { kind: 'text', text: index(live.published.farm.nodes) }, stage: 'seen', detail: 'list of menus' };
      if (!bareLoader.test(path)) return undefined;
      const node = live.published.byAddress.get(client);
      const boot = node === undefined ? undefined : plan(node);
      if (boot === undefined) return undefined;
      return { body: { kind: 'file', directory: images, path: below(boot, `loaders/${path}`) }, stage: 'loader', detail: path };
    },
  };
}

const menuNames = { ipxe: 'iPXE script', pxelinux: 'pxelinux.cfg', grub: 'grub.cfg' } as const;

/** For an address that is nobody's, given by another DHCP server: Debian's GRUB asks for nothing but grub.cfg by itself. */
const grubByCard = 'configfile $prefix/grub.cfg-01-$net_default_mac\nexit\n';

function beside({ origin }: MenuTemplate, name: string): MenuTemplate {
  const path = join(dirname(origin), name);
  return { origin: path, text: readFileSync(path, 'utf8') };
}

/** A file of the plan's image, from the directory of all images. */
function below({ image }: BootPlan, file: string): string {
  return `${imagePath(image).slice('/images/'.length)}/${file}`;
}

/** The image's own, with this node's command line; undefined for a node that is to boot from its disk. */
function netBootImage(directory: string, node: Node, boot: BootPlan): BootFileFound | undefined {
  if (boot.action === 'local') return undefined;
  const found = { stage: 'kernel', detail: `net boot image, ${boot.action}`, menuOf: node } as const;
  if (!startsKernel(boot.action)) return { ...found, body: { kind: 'file', directory, path: below(boot, 'loaders/memtest.nbi') } };
  const patch = { offset: nbiCommandLineOffset, bytes: nbiCommandLine(kernelCommandLine(boot)) };
  return { ...found, body: { kind: 'file', directory, path: below(boot, 'kernel.nbi'), patch } };
}

/** For people: which menus there are. */
function index(nodes: readonly Node[]): string {
  return nodes.map(({ name }) => `${name}  /boot/${name}.ipxe  /boot/${name}.pxelinux  /boot/${name}.grub\n`).join('');
}

/** What a TFTP transfer of it reads; undefined if the file is not there. */
export async function tftpBody(body: BootFileBody): Promise<TftpFile | undefined> {
  if (body.kind === 'text') return tftpBytes(Buffer.from(body.text));
  const file = await tftpFileBelow(body.directory, body.path);
  return file === undefined || body.patch === undefined ? file : patched(file, body.patch);
}

function patched(file: TftpFile, { offset: start, bytes }: { readonly offset: number; readonly bytes: Buffer }): TftpFile {
  return {
    size: file.size,
    open: async () => {
      const open = await file.open();
      return {
        read: async (offset, target) => {
          const got = await open.read(offset, target);
          const from = Math.max(offset, start);
          const to = Math.min(offset + got, start + bytes.length);
          if (from < to) bytes.copy(target, from - offset, from - start, to - start);
          return got;
        },
        close: () => open.close(),
      };
    },
  };
}
