// /hpc: openMosix's /proc/hpc as a tree of live files. Facts sheet 4.1 to 4.5; docs/reference/hpc.md is the page for users.
import type { Clock } from '../../base/clock.ts';
import { FarmError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { LiveDirectory, LiveFile, LiveObject } from '../../tree/memory.ts';
import { TreeError } from '../../tree/tree.ts';
import { guestsDirectory, jobsDirectory, type Taking } from './job-files.ts';
import { nodeDirectory } from './node-files.ts';
import type { AdminFlags, HpcNode, HpcSource } from './source.ts';

/** What gateways a topology may have between two nodes; openMosix's kernel took no more. */
const gatewaysMax = 2;
/** As large as the gossip's field; openMosix has no limit, and a thousand yardsticks are not built yet. */
const speedMax = 10_000_000;

/** How long one list of the nodes serves, ms: `ls -lR` of 2,000 nodes would else make it a hundred thousand times. */
const listTime = 100;

const flags: readonly (keyof AdminFlags)[] = ['stay', 'lstay', 'block', 'quiet', 'nomfs'];

/** The tree of `source`. A write that is refused is EINVAL for the writer, and its sentence is logged. */
export function hpcTree(source: HpcSource, log: Log, clock: Clock): LiveDirectory {
  let refused = '';
  let known: { readonly at: number; readonly byId: ReadonlyMap<string, HpcNode> } | undefined;
  const nodes = (): ReadonlyMap<string, HpcNode> => {
    const at = clock.now();
    if (known === undefined || at < known.at || at >= known.at + listTime) known = { at, byId: new Map(source.nodes().map((node) => [String(node.id), node])) };
    return known.byId;
  };
  const refuse = (file: string, error: FarmError): void => {
    const { code, hint, message: reason } = error;
    refused = `${file}: ${reason}\n${hint === undefined ? '' : `  ${hint}\n`}`;
    log('warn', 'hpc.refused', { file, code, reason, hint });
  };
  const take: Taking = (file, text, act) => guarded(file, text, act, refuse);
  return directory({
    admin: adminDirectory(source, refuse, () => {
      known = undefined; // what was written shows at once
    }),
    config: { kind: 'symlink', target: 'admin/config' },
    info: directory({
      nodes: told(() =>
        source
          .nodes()
          .map((node) => JSON.stringify(node))
          .join('\n'),
      ),
      refused: { kind: 'file', read: () => refused },
      jobs: told(() =>
        source
          .jobs()
          .map((job) => JSON.stringify(job))
          .join('\n'),
      ),
      self: told(() => JSON.stringify({ ...source.self(), gateways: source.gateways(), abroad: source.abroad() })),
    }),
    jobs: jobsDirectory(source, take),
    nodes: nodesDirectory(nodes),
    remote: guestsDirectory(source, take),
  });
}

type Refuse = (file: string, error: FarmError) => void;

function adminDirectory(source: HpcSource, refuse: Refuse, written: () => void): LiveDirectory {
  const taken = (name: string, read: () => string, write: (text: string) => void): LiveFile => ({
    kind: 'file',
    read: () => `${read()}\n`,
    write(text) {
      written();
      guarded(`admin/${name}`, text, write, refuse);
    },
  });
  const flag = (name: keyof AdminFlags): LiveFile =>
    taken(
      name,
      () => (source.self().flags[name] ? '1' : '0'),
      (text) => source.setFlag(name, whole(text, 1) === 1),
    );
  const order = (name: string, read: () => boolean, act: () => void): LiveFile =>
    taken(
      name,
      () => (read() ? '1' : '0'),
      (text) => (whole(text, 1) === 1 ? act() : undefined),
    );
  return directory({
    ...Object.fromEntries(flags.map((name) => [name, flag(name)])),
    bring: order(
      'bring',
      () => false,
      () => source.bring(),
    ),
    config: {
      kind: 'file',
      read: () => source.map(),
      write(text) {
        written();
        guarded('admin/config', text, (map) => source.setMap(map), refuse);
      },
    },
    expel: order(
      'expel',
      () => source.self().flags.expel,
      () => source.expel(),
    ),
    gateways: taken(
      'gateways',
      () => String(source.gateways()),
      (text) => source.setGateways(whole(text, gatewaysMax)),
    ),
    mospe: taken(
      'mospe',
      () => String(source.self().id),
      (text) => {
        whole(text, 0, 'a node has its id from the map; only 0, which takes the map away, can be written');
        source.clearMap();
      },
    ),
    speed: taken(
      'speed',
      () => String(Math.round(source.self().speed)),
      (text) => source.setSpeed(whole(text, speedMax)),
    ),
    version: told(() => source.self().version),
  });
}

function nodesDirectory(nodes: () => ReadonlyMap<string, HpcNode>): LiveDirectory {
  const find = (name: string): HpcNode => {
    const node = nodes().get(name);
    if (node === undefined) throw new TreeError('STALE', `node ${name} is no longer in the map`);
    return node;
  };
  return {
    kind: 'directory',
    names: () => nodes().keys(),
    child: (name) => (nodes().has(name) ? nodeDirectory(() => find(name)) : undefined),
  };
}

function directory(children: Readonly<Record<string, LiveObject>>): LiveDirectory {
  const all = new Map(Object.entries(children));
  return { kind: 'directory', names: () => all.keys(), child: (name) => all.get(name) };
}

function told(read: () => string): LiveFile {
  return { kind: 'file', read: () => `${read()}\n` };
}

/** A whole number from 0 to `most`, as echo writes it. Throws `FarmError` `hpc.value`. */
function whole(text: string, most: number, hint = `write ${most === 1 ? '0 or 1' : `a whole number from 0 to ${most}`}`): number {
  const word = text.trim();
  const value = /^\d{1,9}$/.test(word) ? Number(word) : most + 1;
  if (value <= most) return value;
  throw new FarmError('hpc.value', `"${word.replace(/[^\x20-\x7e]/g, '?').slice(0, 60)}" is not what this file takes`, hint);
}

/** The writer learns a number from the kernel; the journal and info/refused have the sentence. */
function guarded(file: string, text: string, write: (text: string) => void, refuse: Refuse): void {
  try {
    write(text);
  } catch (error) {
    if (!(error instanceof FarmError)) throw error;
    refuse(file, error);
    throw new TreeError('INVAL', error.message, error);
  }
}
