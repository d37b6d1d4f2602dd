// Which machine's menu a loader looks for: PXELINUX, GRUB and iPXE try names made of the machine's GUID, address and card, one after the other.
// SYSLINUX doc/pxelinux.txt "Configuration"; GRUB grub-core/net/net.c grub_net_search_config_file.
import { type Ipv4, ipv4FromBytes, type Mac, parseMac } from '../base/addresses.ts';

export type MenuKind = 'ipxe' | 'autoexec' | 'pxelinux' | 'grub' | 'nbi';

/** A menu, and whose: `client` is whoever asks. */
export interface MenuRequest {
  readonly menu: MenuKind;
  readonly of:
    | { readonly by: 'name'; readonly name: string }
    | { readonly by: 'mac'; readonly mac: Mac }
    | { readonly by: 'uuid'; readonly uuid: string }
    | { readonly by: 'address'; readonly address: Ipv4 }
    | { readonly by: 'client' };
}

const named = /^boot\/([a-z0-9-]+)\.(ipxe|pxelinux|grub|nbi)$/i;
/** In the directory that the loader came from, whichever that is. */
const pxelinux = /^(?:.*\/)?pxelinux\.cfg\/([\w.-]+)$/;
const grub = /^(?:.*\/)?grub\.cfg(?:-([\w.:-]+))?$/;

/** What `path`, without a leading slash, asks for; undefined if it is the name of no menu. */
export function menuRequest(path: string): MenuRequest | undefined {
  const [, name, kind] = named.exec(path) ?? [];
  if (name !== undefined && kind !== undefined) return { menu: menuKind(kind.toLowerCase()), of: { by: 'name', name } };
  if (/^(?:.*\/)?autoexec\.ipxe$/.test(path)) return { menu: 'autoexec', of: { by: 'client' } };
  const [, forPxelinux] = pxelinux.exec(path) ?? [];
  if (forPxelinux !== undefined) return { menu: 'pxelinux', of: machine(forPxelinux) };
  const forGrub = grub.exec(path);
  return forGrub === null ? undefined : { menu: 'grub', of: machine(forGrub[1] ?? '') };
}

function menuKind(extension: string): MenuKind {
  return extension === 'pxelinux' || extension === 'grub' || extension === 'nbi' ? extension : 'ipxe';
}

/**
 * A whole name in a search order: GUID, hardware type and address, or IPv4 address in hex. Anything else, `default` and an address cut short among them,
 * is for every machine of some group, so it is the asker's.
 */
function machine(name: string): MenuRequest['of'] {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(name)) return { by: 'uuid', uuid: name.toLowerCase() };
  const card = name.startsWith('01-') ? parseMac(name) : undefined;
  if (card !== undefined) return { by: 'mac', mac: card };
  return /^[0-9a-f]{8}$/i.test(name) ? { by: 'address', address: ipv4FromBytes(Buffer.from(name, 'hex')) } : { by: 'client' };
}
