// setpe: gives this node its map, shows it, takes it away. openMosix setpe(1), facts sheet 1.3 and 1.4.
import { type Ipv4, parseIpv4 } from '../../base/addresses.ts';
import { FarmError } from '../../base/errors.ts';
import { type Hosts, parseHosts } from '../../cluster/hosts.ts';
import { parseMap } from '../../cluster/map.ts';
import { type ClusterMap, expandMap, ownId } from '../../cluster/nodes.ts';
import { selfNode } from './hpc.ts';
import { done, misuse, no, type Tool, type World } from './tool.ts';

export const usage = `setpe -w|-W [-n inet] [-c] [-p ID] [-g 0|1|2] [-f FILE|-]
setpe -r [-f FILE|-]
setpe -off`;

interface Asked {
  readonly action: 'write' | 'read' | 'off' | 'check' | 'gateways';
  readonly id: number | undefined;
  readonly gateways: number | undefined;
  readonly file: string | undefined;
}

export const setpe: Tool = (args, world) => {
  const asked = parse(args);
  const { hpc } = world;
  if (asked.action === 'off') hpc.write('admin/mospe', '0\n');
  else if (asked.action === 'read') show(asked, world);
  else if (asked.action === 'gateways') hpc.write('admin/gateways', `${asked.gateways}\n`);
  else {
    const file = asked.file ?? '-';
    const text = world.readText(file);
    const source = file === '-' ? 'standard input' : file;
    if (asked.action === 'check') return answer(text, source, asked, world);
    check(text, source, asked, world);
    if (asked.gateways !== undefined) hpc.write('admin/gateways', `${asked.gateways}\n`);
    hpc.write('admin/config', text.endsWith('\n') ? text : `${text}\n`);
  }
  return done;
};

/** -c asks a question: a bad table is the answer no. */
function answer(text: string, source: string, asked: Asked, world: World): number {
  try {
    const { id, map } = check(text, source, asked, world);
    world.out(`the table is consistent: ${map.addresses.size} nodes, this is openMosix #${id}\n`);
    return done;
  } catch (error) {
    if (!(error instanceof FarmError) || !error.code.startsWith('map.')) throw error;
    world.complain(`setpe: ${error.message}\n${error.hint === undefined ? '' : `  ${error.hint}\n`}`);
    return no;
  }
}

function parse(args: readonly string[]): Asked {
  const letters = new Set<string>();
  const values = new Map<string, string>();
  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] ?? '';
    if (/^-[pgnf]$/.test(arg)) {
      at += 1;
      const value = args[at];
      if (value === undefined) throw misuse(`${arg} needs a value`, usage);
      values.set(arg, value);
    } else if (/^-(w|W|r|c|off)$/.test(arg)) letters.add(arg);
    else throw misuse(`"${arg}" is no option of setpe`, usage);
  }
  const actions = ['-w', '-W', '-r', '-off'].filter((letter) => letters.has(letter));
  if (actions.length > 1) throw misuse(`${actions.join(' and ')} cannot be together`, usage);
  const net = values.get('-n');
  if (net !== undefined && net !== 'inet') throw misuse(`"${net}" is no kind of network: there is inet only`, usage);
  const common = { id: number(values.get('-p'), '-p', 1, 65_535), gateways: number(values.get('-g'), '-g', 0, 2), file: values.get('-f') };
  const [action] = actions;
  if (action === '-r') return { action: 'read', ...common };
  if (action === '-off') return { action: 'off', ...common };
  if (letters.has('-c')) return { action: 'check', ...common };
  if (action !== undefined) return { action: 'write', ...common };
  if (common.gateways !== undefined) return { action: 'gateways', ...common };
  throw misuse('say what to do', usage);
}

function number(text: string | undefined, option: string, least: number, most: number): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d{1,5}$/.test(text) ? Number(text) : -1;
  if (value >= least && value <= most) return value;
  throw misuse(`${option} takes a number from ${least} to ${most}, not "${text}"`, usage);
}

/** All that can be wrong with the table on this machine, before it goes to the agent. */
function check(text: string, source: string, asked: Asked, world: World): { readonly id: number; readonly map: ClusterMap } {
  const { entries, warnings } = parseMap(text, source);
  const hosts = parseHosts(world.readText('/etc/hosts'));
  const map = expandMap(entries, hosts, source);
  for (const { line, message } of warnings) world.complain(`setpe: warning: ${source}${line === undefined ? '' : ` line ${line}`}: ${message}\n`);
  const local = world.addresses();
  const id = ownNumber(
    map,
    local.map(({ address }) => address),
    asked.id,
    source,
    world,
    hosts,
  );
  return { id, map };
}

/**
 * openMosix looked its host name up, got 127.0.0.1 from /etc/hosts on most distributions, and gave up. Here every address of this machine is tried; the
 * host name only says what to complain about.
 */
function ownNumber(map: ClusterMap, local: readonly Ipv4[], wanted: number | undefined, source: string, world: World, hosts: Hosts): number {
  const named = hosts.get(world.hostname.toLowerCase()) ?? [];
  const trap = named.length > 0 && named.every((address) => address.startsWith('127.'));
  if (wanted !== undefined) return asWanted(map, local, wanted, source);
  try {
    const id = ownId(map, local, source);
    if (trap)
      world.complain(`setpe: note: ${world.hostname} is ${named[0]} in /etc/hosts; took ${map.addresses.get(id) ?? 'an address'} of an interface instead\n`);
    return id;
  } catch (error) {
    if (!(error instanceof FarmError) || error.code !== 'map.self') throw error;
    const mine = named[0] ?? local.find((address) => !address.startsWith('127.')) ?? parseIpv4('127.0.0.1');
    const interfaces = world.addresses().map((each) => `${each.interface} ${each.address}`);
    const fix = trap ? `In /etc/hosts, move ${world.hostname} from the line of ${named[0]} to one with its network address, or add` : 'Add';
    throw new FarmError(
      'map.self',
      `the supplied table is well-formed, but my IP address (${mine}) is not there; this machine has: ${interfaces.join(', ')}`,
      `${fix} a line to the table: "ID ADDRESS 1"`,
      error,
    );
  }
}

function asWanted(map: ClusterMap, local: readonly Ipv4[], wanted: number, source: string): number {
  const own = local.filter((address) => map.ids.get(address) === wanted);
  if (own.length > 0) return wanted;
  const address = map.addresses.get(wanted);
  throw new FarmError(
    'map.self',
    address === undefined ? `${source} has no node ${wanted}` : `node ${wanted} has the address ${address} in ${source}, which this machine does not have`,
    'a node is who its address says: correct the table, or the address',
  );
}

/** To a file the table, to be read by -w again; to the terminal what openMosix said of it. */
function show(asked: Asked, world: World): void {
  const table = world.hpc.read('admin/config');
  if (asked.file !== undefined) {
    world.writeText(asked.file, table === '' ? '' : `${table}\n`);
    return;
  }
  const self = selfNode(world.hpc);
  const { entries } = parseMap(table, 'the active table');
  const lines = entries.map((entry) => {
    if (entry.kind === 'alias') return `openMosix #${entry.id} is also at ${entry.host}`;
    return `openMosix range ${entry.id}-${entry.id + entry.count - 1} begins at ${entry.host}`;
  });
  const total = entries.reduce((sum, entry) => sum + (entry.kind === 'range' ? entry.count : 0), 0);
  const head = [`This is openMosix #${self.id}`, 'Network protocol: 2 (AF_INET)'];
  world.out([...head, ...lines, `Total configured: ${total}`].map((line) => `${line}\n`).join(''));
}
