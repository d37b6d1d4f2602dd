// What the boot servers hand out, by one set of paths for TFTP and HTTP: loaders, each node's script, kernels and initramfs.
import type { Ipv4 } from '../base/addresses.ts';
import type { BootPlan } from '../boot/plan.ts';
import { renderScript } from '../boot/script.ts';
import type { Node } from './config.ts';
import { imagesDirectory } from './directory.ts';
import type { LiveFarm } from './live.ts';
import type { Stage } from './observed.ts';

/** A boot file, and what its being fetched says of the node. */
export interface BootFileFound {
  readonly body: { readonly kind: 'text'; readonly text: string } | { readonly kind: 'file'; readonly directory: string; readonly path: string };
  readonly stage: Stage;
  readonly detail: string;
}

export interface BootFiles {
  /** `path` without a leading slash. undefined: there is no such file for this client. */
  find(path: string, client: Ipv4): BootFileFound | undefined;
}

/** Kernel, initramfs and loaders lie beside an image's root; nothing else of an image goes out this way. */
const imageFile = /^images\/([a-z0-9][a-z0-9._-]*\/[0-9a-f]{12})\/(kernel|initramfs|loaders\/[\w.-]+)$/;
const nodeScript = /^boot\/([a-z0-9-]+)\.ipxe$/i;
const bareLoader = /^[\w-]+\.(kpxe|efi|0|lkrn)$/;

export function bootFiles(live: LiveFarm, plan: (node: Node) => BootPlan | undefined, template: { readonly text: string; readonly origin: string }): BootFiles {
  return {
    find: (path, client) => {
      const [, version, file] = imageFile.exec(path) ?? [];
      if (version !== undefined && file !== undefined) {
        const stage = file.startsWith('loaders/') ? 'loader' : 'kernel';
        return { body: { kind: 'file', directory: imagesDirectory(live.directory), path: `${version}/${file}` }, stage, detail: file.replace('loaders/', '') };
      }
      const { published } = live;
      const name = nodeScript.exec(path)?.[1];
      const node = name === undefined ? published.byAddress.get(client) : published.byName.get(name);
      const boot = node === undefined ? undefined : plan(node);
      if (boot === undefined) return undefined;
      if (name !== undefined) {
        return { body: { kind: 'text', text: renderScript(template, published.farm.name, boot) }, stage: 'loader', detail: 'boot script' };
      }
      if (!bareLoader.test(path)) return undefined;
      // A ROM asks for the loader by the bare name that DHCP gave it.
      const loader = `${boot.image.name}/${boot.image.version}/loaders/${path}`;
      return { body: { kind: 'file', directory: imagesDirectory(live.directory), path: loader }, stage: 'loader', detail: path };
    },
  };
}
