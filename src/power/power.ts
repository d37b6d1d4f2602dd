// Switches nodes: each in the way that farm.yaml says, many at once, and what became of every one.
import type { Mac } from '../base/addresses.ts';
import { FarmError, sentence } from '../base/errors.ts';
import { inParallel } from '../base/in-parallel.ts';
import type { Node } from '../farm/farm.ts';
import { orderByIpmi } from './ipmi.ts';
import type { PowerOrder, PowerOutcome } from './order.ts';
import { orderByRedfish } from './redfish.ts';
import { openRedfish } from './redfish-door.ts';
import { wake } from './wake.ts';

export interface PowerResult {
  readonly node: string;
  readonly by: Node['profile']['power']['kind'];
  readonly outcome: PowerOutcome;
}

/** What was seen of a node: its card, if farm.yaml does not know it, and whether its agent reports. */
export interface Seen {
  readonly card: Mac | undefined;
  readonly reports: boolean;
}

/** ipmitool is a process each, and a rack that starts in one instant trips its fuse. */
const atOnce = 32;

export function orderPower(nodes: readonly Node[], order: PowerOrder, directory: string, seen: (node: Node) => Seen): Promise<readonly PowerResult[]> {
  return inParallel(nodes, atOnce, async (node) => {
    const { power } = node.profile;
    return { node: node.name, by: power.kind, outcome: await outcomeFor(node, order, directory, seen(node)) };
  });
}

async function outcomeFor(node: Node, order: PowerOrder, directory: string, seen: Seen): Promise<PowerOutcome> {
  const { power } = node.profile;
  try {
    switch (power.kind) {
      case 'wol':
        return await orderByWake(node, order, seen);
      case 'ipmi':
        return await orderByIpmi(power, order, directory);
      case 'redfish':
        return await orderByRedfish(openRedfish(power, directory), order, power.system);
    }
  } catch (error) {
    return { kind: 'failed', reason: sentence(error), ...(error instanceof FarmError && error.hint !== undefined ? { remedy: error.hint } : {}) };
  }
}

async function orderByWake(node: Node, order: PowerOrder, { card, reports }: Seen): Promise<PowerOutcome> {
  if (order === 'status') {
    return reports ? { kind: 'state', state: 'on', detail: 'its agent reports' } : { kind: 'state', state: 'unknown', detail: 'its agent does not report' };
  }
  if (order !== 'on') {
    const remedy = `shut it down from within, farm ssh ${node.name} -- ${order === 'cycle' ? 'reboot' : 'poweroff'}, or give it \`power: ipmi\` or \`redfish\` in farm.yaml`;
    return { kind: 'failed', reason: 'Wake-on-LAN can only switch on', remedy };
  }
  if (card === undefined) return { kind: 'failed', reason: 'the MAC address of its card is not known', remedy: `farm node set ${node.name} --mac MAC` };
  await wake(card, node.network);
  const { link } = node.network;
  const way = link.kind === 'direct' ? `on ${link.interface}` : 'through the router, which has to pass directed broadcasts';
  return { kind: 'told', detail: `magic packet to ${card} ${way}` };
}
