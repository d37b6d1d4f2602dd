// farm explain: which file a node gets for a path, and why.
import { Command } from 'commander';
import type { WhyObject, WhyVersion } from '../farm/explain-layers.ts';
import { explainNode } from '../farm/explain-node.ts';
import type { PathWhy, WhyComponent } from '../farm/explain-path.ts';
import { LiveFarm } from '../farm/live.ts';
import { farmDirectory, numberArgument, table } from './options.ts';
import { builtinOverlay, programFiles } from './package.ts';

interface ExplainOptions {
  readonly uid?: number;
  readonly gid?: number;
  readonly json?: boolean;
}

/** Versions for other nodes that people are shown; a name with one for each node of a large farm has thousands. */
const othersShown = 3;

export function explainCommand(): Command {
  const id = numberArgument(0, 0xffff_ffff);
  return new Command('explain')
    .description('which file a node gets for a path, and why')
    .argument('<node>', 'its name')
    .argument('<path>', 'the path on the node')
    .option('--uid <uid>', 'asked by this user there', id)
    .option('--gid <gid>', 'and this group', id)
    .option('--json', 'for programs')
    .action((node: string, path: string, options: ExplainOptions, command: Command) => {
      const directory = farmDirectory(command);
      const live = new LiveFarm({ directory, builtinOverlay, programFiles: programFiles(), log: () => {} });
      const why = explainNode(directory, live.published, { node, path, ...userOf(options) });
      process.stdout.write(options.json === true ? `${JSON.stringify(why, undefined, 2)}\n` : pathText(why));
      process.exitCode = why.verdict === 'found' ? 0 : 1;
    });
}

/** With one of the two, the other is nobody's. */
function userOf({ uid, gid }: ExplainOptions) {
  return uid === undefined && gid === undefined ? {} : { user: { uid: uid ?? -1, gids: gid === undefined ? [] : [gid] } };
}

/** What people read. */
export function pathText({ node, path, image, leads, object, missing, components, notes }: PathWhy): string {
  const reason = missing?.startsWith(`${path}: `) === true ? missing.slice(path.length + 2) : missing;
  const head = object === undefined ? `${node} finds nothing at ${path}: ${reason}` : `${node} gets ${path} from ${source(object, image)}`;
  const further = leads !== undefined && leads !== path ? [`  it leads to ${leads}`] : [];
  const what = object === undefined ? [] : [`  ${objectText(object)}`];
  const rows = components.flatMap(rowsOf);
  return `${[head, ...further, ...what, ...notes.map((note) => `  note: ${note}`)].join('\n')}\n${rows.length === 0 ? '' : table(rows)}`;
}

function source({ layer, stored, from }: WhyObject, image: string): string {
  const where = { private: 'its private tree', overlay: 'the overlays', image: `image ${image}`, shared: 'the shared tree' }[layer];
  return `${where}: ${stored === '' ? '/' : stored}${from === undefined ? '' : `, made of ${from}`}`;
}

function objectText({ kind, mode, uid, gid, size, at }: WhyObject): string {
  return `${kind}, mode ${mode.toString(8).padStart(4, '0')}, owner ${uid}:${gid}, ${size} bytes${at === undefined ? '' : `, ${at}`}`;
}

function rowsOf({ path, versions, target, says }: WhyComponent): readonly (readonly string[])[] {
  const mine = versions.filter(({ verdict }) => verdict !== 'other');
  const others = versions.filter(({ verdict }) => verdict === 'other');
  const more = others.length > othersShown ? [['', '', `and ${others.length - othersShown} more versions`, 'not for this node']] : [];
  const rows = [
    ...(says === undefined ? [] : [['shared', '', says]]),
    ...[...mine, ...others.slice(0, othersShown)].map(versionRow),
    ...more.map((row) => row.slice(1)),
    ...(target === undefined ? [] : [['', '', `a symlink to ${target}`]]),
  ];
  return (rows.length === 0 ? [['', '', 'no layer has it']] : rows).map((row, index) => [`  ${index === 0 ? path : ''}`, ...row]);
}

function versionRow({ layer, stored, verdict, says, from }: WhyVersion): readonly string[] {
  const words = { taken: 'taken', lost: 'not taken', other: 'not taken' };
  return [layer, stored, `${words[verdict]}: ${says}${from === undefined ? '' : ` (${from})`}`];
}
