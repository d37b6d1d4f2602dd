// farm private: what nodes have written: how much, what, and to forget it.
import { createInterface } from 'node:readline/promises';
import { Command } from 'commander';
import type { Ipv4 } from '../base/addresses.ts';
import { systemClock } from '../base/clock.ts';
import { FarmError } from '../base/errors.ts';
import { silentLog } from '../base/log.ts';
import { loadFarm } from '../farm/config.ts';
import { privateDirectory } from '../farm/directory.ts';
import { type Farm, tagClient } from '../farm/farm.ts';
import { foldNames } from '../farm/host-range.ts';
import { Images } from '../farm/images.ts';
import { LiveFarm } from '../farm/live.ts';
import { selectNodes } from '../farm/node-set.ts';
import { type PrivateTree, privateTree, privateTrees, wipePrivate } from '../farm/private-trees.ts';
import type { TagClient } from '../overlay/tags.ts';
import { type Difference, differences } from '../tree/difference.ts';
import { readPrivate } from '../tree/private.ts';
import type { Quota } from '../tree/room.ts';
import { type ExcludeOption, nodesArgument, withExclude } from './node-sets.ts';
import { farmDirectory, table } from './options.ts';
import { builtinOverlay, programFiles } from './package.ts';
import { fetchStatus } from './status.ts';

export function privateCommand(): Command {
  const list = withExclude(new Command('list').description('show how much nodes have written, and over which image'))
    .argument('[nodes...]', `${treesArgument}; by default every one there is`)
    .option('--json', 'for programs')
    .action((nodes: readonly string[], { json, exclude }: ExcludeOption & { json?: boolean }, command: Command) =>
      showList(farmDirectory(command), nodes, exclude, json === true),
    );
  const diff = new Command('diff')
    .description("show in what a node's root differs from image and overlays")
    .argument('<node>', 'the node')
    .argument('[path]', 'only this and what is below')
    .option('--json', 'for programs')
    .action((node: string, path: string | undefined, options: { json?: boolean }, command: Command) =>
      showDifferences(farmDirectory(command), node, path, options.json === true),
    );
  const wipe = withExclude(new Command('wipe').description('forget all that nodes have written'))
    .argument('<nodes...>', treesArgument)
    .option('--yes', 'do not ask')
    .option('--force', 'also of nodes that run: they lose their root and must be restarted')
    .action((nodes: readonly string[], options: WipeOptions, command: Command) => wipeTrees(farmDirectory(command), nodes, options));
  return new Command('private').description('what nodes have written').addCommand(list).addCommand(diff).addCommand(wipe);
}

interface WipeOptions extends ExcludeOption {
  readonly yes?: boolean;
  readonly force?: boolean;
}

const treesArgument = `${nodesArgument}; or the name of a node that the farm has no more and that left something`;

/** The names that `words` choose: sets of the farm's nodes, and nodes that have left it. */
function chosenTrees(farm: Farm, there: readonly string[], words: readonly string[], exclude: readonly string[]): readonly string[] {
  const nodes = new Set(farm.nodes.map(({ name }) => name));
  const orphans = new Set(there.filter((name) => !nodes.has(name)));
  const others = (all: readonly string[]): readonly string[] => all.filter((word) => !orphans.has(word));
  const left = words.filter((word) => orphans.has(word) && !exclude.includes(word));
  return [...selectNodes(farm, others(words), others(exclude)).map(({ name }) => name), ...new Set(left)];
}

interface Listed extends Omit<PrivateTree, 'version' | 'changed'> {
  /** The farm has no such node. */
  readonly orphan: boolean;
  readonly image: string | undefined;
  /** That version of the image is still there. */
  readonly imageThere: boolean;
  readonly quota: { readonly bytes?: number; readonly objects?: number } | undefined;
  readonly changed: string | undefined;
}

function showList(directory: string, wanted: readonly string[], exclude: readonly string[], json: boolean): void {
  const farm = loadFarm(directory);
  const byName = new Map(farm.nodes.map((node) => [node.name, node]));
  const there = privateTrees(directory);
  const without = new Set(chosenTrees(farm, there, exclude, []));
  const names = wanted.length === 0 ? there.filter((name) => !without.has(name)) : chosenTrees(farm, there, wanted, exclude);
  const images = new Images(directory, []);
  const rows = names.map((name): Listed => {
    const { version, changed, ...tree } = privateTree(directory, name);
    const node = byName.get(name);
    const imageThere = version !== undefined && images.base(version) !== undefined;
    const when = changed === 0 ? undefined : new Date(changed).toISOString();
    return { ...tree, orphan: node === undefined, image: version, imageThere, quota: node && given(node.profile.quota), changed: when };
  });
  if (json) console.log(JSON.stringify(rows, undefined, 2));
  else if (rows.length === 0) console.log('No node has written anything yet.');
  else process.stdout.write(table([['NODE', 'BYTES', 'OBJECTS', 'QUOTA', 'IMAGE', 'LAST CHANGE'], ...rows.map(row)]));
}

function row({ node, bytes, objects, quota, image, imageThere, orphan, changed }: Listed): readonly string[] {
  const limits = [...(quota?.bytes === undefined ? [] : [sizeText(quota.bytes)]), ...(quota?.objects === undefined ? [] : [`${quota.objects} objects`])];
  return [
    node,
    sizeText(bytes),
    String(objects),
    orphan ? 'not in farm.yaml' : limits.join(', ') || 'none',
    image === undefined ? '' : imageThere ? image : `${image} (gone)`,
    changed === undefined ? '' : `${changed.slice(0, 10)} ${changed.slice(11, 19)} UTC`,
  ];
}

/** What of a quota is a limit. */
function given({ bytes, objects }: Quota): { readonly bytes?: number; readonly objects?: number } {
  return { ...(Number.isFinite(bytes) ? { bytes } : {}), ...(Number.isFinite(objects) ? { objects } : {}) };
}

function showDifferences(directory: string, name: string, path: string | undefined, json: boolean): void {
  const live = new LiveFarm({ directory, builtinOverlay, programFiles: programFiles(), log: silentLog });
  const { farm, overlay, byName } = live.published;
  refuseUnknown([name], [...privateTrees(directory), ...byName.keys()]);
  const { state } = readPrivate(privateDirectory(directory, name));
  const node = byName.get(name);
  const version = state.start?.version;
  const base = version === undefined ? undefined : new Images(directory, overlay).base(version);
  if (version !== undefined && base === undefined) {
    const hint = `restart ${name}: what it wrote is carried over to the current image; or put images/${version} back, or wipe the tree`;
    throw new FarmError('private.version-gone', `the image ${version} that ${name} has booted is gone`, hint);
  }
  const all = base === undefined ? [] : differences(state, base, node === undefined ? nobody(name) : tagClient(farm, node));
  const top =
    path === undefined
      ? ''
      : `/${path
          .split('/')
          .filter((part) => part !== '')
          .join('/')}`.replace(/^\/$/, '');
  const found = all.filter((one) => decoded(one.path) === top || decoded(one.path).startsWith(`${top}/`));
  if (json) console.log(JSON.stringify(found.map(record), undefined, 2));
  else process.stdout.write(found.length === 0 ? `${name} has changed nothing${top === '' ? '' : ` in ${top}`}.\n` : table(found.map(line)));
}

/** A node that the farm has no more: tags of anything but its name match nothing. */
function nobody(name: string): TagClient {
  return { address: '0.0.0.0' as Ipv4, host: name, fqdn: name, mac: undefined, groups: [] };
}

function record(difference: Difference): Difference {
  return { ...difference, path: decoded(difference.path), ...(difference.from === undefined ? {} : { from: decoded(difference.from) }) };
}

function line({ path, change, kind, from, size, sizeBelow, what = [] }: Difference): readonly string[] {
  const sizes = size === undefined ? '' : sizeBelow === undefined || sizeBelow === size ? sizeText(size) : `${sizeText(sizeBelow)} -> ${sizeText(size)}`;
  return [change, kind, printable(path), [...(from === undefined ? [] : [`from ${printable(from)}`]), ...what, ...(sizes === '' ? [] : [sizes])].join(', ')];
}

/** Names are bytes, mostly UTF-8. */
function decoded(path: string): string {
  return Buffer.from(path, 'latin1').toString();
}

/** No control character reaches the terminal. */
function printable(path: string): string {
  return decoded(path).replace(/\p{Cc}/gu, '?');
}

const units = ['K', 'M', 'G', 'T'] as const;

/** In three digits or so: `1.5G`. */
export function sizeText(bytes: number): string {
  let value = bytes;
  let unit = '';
  for (const next of units) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return `${value < 10 && unit !== '' ? value.toFixed(1) : Math.round(value)}${unit}`;
}

async function wipeTrees(directory: string, words: readonly string[], { yes = false, force = false, exclude }: WipeOptions): Promise<void> {
  const nodes = chosenTrees(loadFarm(directory), privateTrees(directory), words, exclude);
  if (nodes.length === 0) throw new FarmError('nodes.none', 'no node is left', 'farm private list shows whose trees there are');
  const status = await fetchStatus(directory);
  const running = status.nodes.filter(({ name, stage }) => nodes.includes(name) && status.serving && stage !== 'off' && stage !== 'silent');
  if (running.length > 0 && !force) {
    const names = running.map(({ name, stage }) => `${name} (${stage})`).join(', ');
    throw new FarmError('private.running', `${names} is running: it would lose its root`, 'switch it off first, or wipe with --force and restart it');
  }
  if (!yes) await confirm(`Forget all that ${foldNames(nodes)} ${nodes.length === 1 ? 'has' : 'have'} written?`);
  for (const node of nodes) {
    await wipePrivate(directory, node, systemClock);
    console.log(`${node} begins anew at its next boot`);
  }
}

async function confirm(question: string): Promise<void> {
  if (!process.stdin.isTTY) throw new FarmError('private.unconfirmed', 'this cannot be undone', 'say --yes');
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await lines.question(`${question} It cannot be undone. [y/N] `);
  lines.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new FarmError('private.unconfirmed', 'nothing was wiped');
}

function refuseUnknown(wanted: readonly string[], known: readonly string[]): void {
  const unknown = wanted.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new FarmError('node.missing', `nothing is known of ${unknown.join(', ')}`, 'farm private list shows whose trees there are');
}
