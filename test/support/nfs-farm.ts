// A small farm to serve in tests: views with owners, each the property of one client address.
import { type Ipv4, ipv4 } from '../../src/base/addresses.ts';
import { type Access, overflowId } from '../../src/nfs/access.ts';
import type { ExportView, NfsExports } from '../../src/nfs/exports.ts';
import type { Tree } from '../../src/tree/tree.ts';

export const testKey = Buffer.from('a farm secret of thirty-two bytes');
export const loopback: Ipv4 = ipv4('127.0.0.1');

/** Root is root, and everybody else himself. */
export const everything: Access = { readOnly: false, squash: 'none', anonuid: overflowId, anongid: overflowId, privileged: false };

/** One tree for one client; every path is mounted as a directory of it. */
export function singleExport(tree: Tree, client: Ipv4 = loopback, owner = 7, access: Access = everything): NfsExports {
  return {
    mount: (from, path): ExportView | undefined => (from === client ? { owner, tree, access, within: path } : undefined),
    view: (asked, generation, from) => (asked === owner && generation === tree.generation && from === client ? { tree, access } : undefined),
    paths: (from) => (from === client ? ['/'] : []),
  };
}
