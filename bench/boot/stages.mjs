// The stages of a boot, read from the log of whoever serves: each with the first line that shows that a node has reached it.
import { FarmError } from '../../dist/base/errors.js';

/** In order. `shown` is the stage's name in the lab's progress display. */
export const stages = [
  { name: 'dhcp', title: 'first DHCP offer', shown: 'DHCP' },
  { name: 'ack', title: 'DHCP ACK', shown: 'DHCP' },
  { name: 'script', title: 'boot script fetched', shown: 'loader' },
  { name: 'kernel', title: 'kernel fetched', shown: 'kernel' },
  { name: 'initramfs', title: 'initramfs fetched', shown: 'kernel' },
  { name: 'address', title: 'initramfs has its address', shown: 'kernel' },
  { name: 'root', title: 'root mounted', shown: 'root' },
  { name: 'agent', title: 'agent reports', shown: 'agent' },
  { name: 'up', title: 'up', shown: 'up' },
];

const reported = { initramfs: 'address', root: 'root', agent: 'agent', up: 'up' };

/** Follows the boot of `nodes` (`name`, `mac`, `address`). */
export function openBoot(nodes) {
  const boots = new Map(nodes.map(({ name }) => [name, { at: {}, details: {} }]));
  return {
    /** By node name: `at`, when it first reached each stage in milliseconds since the epoch, and `details`, what was said of it. */
    boots,
    /** Takes one line of the log; other programs' lines are passed over. Throws `bench.failed` when a node says that it cannot boot. */
    take(line) {
      const entry = parse(line);
      const stage = entry === undefined ? undefined : stageOf(entry);
      const node = nodes.find(({ name, mac, address }) => [name, mac, address].includes(entry?.node ?? entry?.mac ?? entry?.client));
      if (node === undefined) return;
      if (entry.stage === 'failed') throw new FarmError('bench.failed', `${node.name} cannot boot: ${entry.detail}`);
      const { at, details } = boots.get(node.name);
      if (stage === undefined || at[stage] !== undefined) return;
      at[stage] = Date.parse(entry.time);
      details[stage] = entry.detail;
      // An agent that starts late has nothing to say before that.
      if (stage === 'up') at.agent ??= at.up;
    },
    get isComplete() {
      return [...boots.values()].every(({ at }) => at.up !== undefined);
    },
  };
}

function parse(line) {
  try {
    return line.startsWith('{') ? JSON.parse(line) : undefined;
  } catch {
    return undefined; // a program that is no server of ours wrote it
  }
}

function stageOf({ event, path, file, status, aborted, stage }) {
  switch (event) {
    case 'dhcp.offer':
      return 'dhcp';
    case 'dhcp.ack':
      return 'ack';
    case 'http.done':
    case 'tftp.done': {
      if (aborted === true || (status ?? 200) !== 200) return undefined;
      const name = (path ?? file).split('/').at(-1);
      return name.endsWith('.ipxe') ? 'script' : ['kernel', 'initramfs'].find((one) => one === name);
    }
    case 'node.stage':
      return reported[stage];
    default:
      return undefined;
  }
}
