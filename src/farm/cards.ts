// Which card a node has that is known by its GUID or client id alone. Its ROM says both, the system it boots asks with the card's address only.
import type { Mac } from '../base/addresses.ts';

/** One card for each node, the last that its ROM asked with. Bounded by the registry; kept for as long as the server runs. */
export class Cards {
  private readonly names = new Map<Mac, string>();
  private readonly macs = new Map<string, Mac>();

  note(mac: Mac, node: string): void {
    const before = this.macs.get(node);
    if (before === mac) return;
    if (before !== undefined) this.names.delete(before);
    const other = this.names.get(mac);
    if (other !== undefined) this.macs.delete(other);
    this.names.set(mac, node);
    this.macs.set(node, mac);
  }

  /** Name of the node whose ROM last asked with this card. */
  nodeOf(mac: Mac | undefined): string | undefined {
    return mac === undefined ? undefined : this.names.get(mac);
  }
}
