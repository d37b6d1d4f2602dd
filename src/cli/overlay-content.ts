// farm overlay show and diff: what a file of the overlays says, as it is written or as one node gets it.
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { createTwoFilesPatch } from 'diff';
import { FarmError } from '../base/errors.ts';
import { loadFarm } from '../farm/config.ts';
import { overlayDirectory } from '../farm/directory.ts';
import { type Node, tagClient } from '../farm/farm.ts';
import { hostKeys } from '../farm/host-keys.ts';
import { readKey } from '../farm/live.ts';
import { selectNodes } from '../farm/node-set.ts';
import { findTemplate, inForce, type OverlayTemplate, overlayTemplates, plainPath } from '../farm/overlay-templates.ts';
import { mapInForce } from '../farm/own-map.ts';
import { withAccounts } from '../farm/server-account-files.ts';
import { templateValues } from '../farm/values.ts';
import { filesFor } from '../overlay/folded.ts';
import { type OverlaySource, renderOverlay } from '../overlay/render.ts';
import { readOverlaySources } from '../overlay/sources.ts';
import type { OverlayFile } from '../tree/graft.ts';
import { farmDirectory } from './options.ts';
import { builtinOverlay } from './package.ts';

const fileArgument = 'as farm overlay list has it, or as nodes see it';

export function overlayShow(): Command {
  return new Command('show')
    .description('print a file of the overlays as it is written, or as a node gets it')
    .argument('<file>', fileArgument)
    .option('--node <node>', 'rendered for this node')
    .action((file: string, { node: name }: { node?: string }, command: Command) => {
      const directory = farmDirectory(command);
      const own = overlayDirectory(directory);
      if (name === undefined) {
        process.stdout.write(sourceBytes(inForce(findTemplate(overlayTemplates(builtinOverlay, own), file))));
        return;
      }
      const { node, seen } = rendering(directory, name);
      const path = plainPath(file.replace(/^\/+/, '').replace(/\.hbs$/, ''));
      const found = seen([builtinOverlay, own]).get(path);
      if (found === undefined) {
        throw new FarmError(
          'overlay.missing',
          `the overlays give ${node.name} no ${path}`,
          `what it has then is the image's: farm explain ${node.name} /${path}`,
        );
      }
      process.stdout.write(fileBytes(found));
    });
}

export function overlayDiff(): Command {
  return new Command('diff')
    .description("what the farm's overlays change: against the built-in ones, or on a node")
    .argument('<file>', `${fileArgument}; all for every one`)
    .option('--node <node>', 'compare what this node gets with what it would get without them')
    .action((file: string, { node: name }: { node?: string }, command: Command) => {
      const directory = farmDirectory(command);
      const own = overlayDirectory(directory);
      const templates = overlayTemplates(builtinOverlay, own);
      const chosen = file === 'all' ? templates.filter((template) => template.own !== undefined) : [findTemplate(templates, file)];
      process.stdout.write(name === undefined ? chosen.map(sourceDifference).join('') : nodeDifference(directory, name, chosen));
    });
}

/** How a node sees overlays, layer on layer. */
function rendering(directory: string, name: string): { node: Node; seen: (directories: readonly string[]) => ReadonlyMap<string, OverlayFile> } {
  const farm = withAccounts(loadFarm(directory));
  const [node, ...more] = selectNodes(farm, [name], []);
  if (node === undefined || more.length > 0) throw new FarmError('nodes.one', `${name} is not one node`, 'name a single one');
  const key = readKey(directory);
  const context = templateValues(farm, key, mapInForce(farm, directory).text, hostKeys(directory, key).of);
  return { node, seen: (directories) => filesFor(renderOverlay(readOverlaySources(directories), context), tagClient(farm, node)) };
}

function sourceDifference({ path, own, builtin }: OverlayTemplate): string {
  if (own === undefined) return '';
  return difference(path, builtin === undefined ? undefined : sourceBytes(builtin), sourceBytes(own), 'built-in', 'farm');
}

function nodeDifference(directory: string, name: string, chosen: readonly OverlayTemplate[]): string {
  const { seen } = rendering(directory, name);
  const [before, after] = [seen([builtinOverlay]), seen([builtinOverlay, overlayDirectory(directory)])];
  const origins = new Set(chosen.flatMap(({ own, builtin }) => [own?.origin, builtin?.origin]));
  const paths = new Set([...before, ...after].filter(([, { origin }]) => origins.has(origin)).map(([path]) => path));
  return [...paths]
    .sort()
    .map((path) => {
      const [was, is] = [before.get(path), after.get(path)];
      const modes =
        was !== undefined && is !== undefined && was.mode !== is.mode ? `mode of ${path}: ${was.mode.toString(8)}, now ${is.mode.toString(8)}\n` : '';
      return `${modes}${difference(path, was === undefined ? undefined : fileBytes(was), is === undefined ? undefined : fileBytes(is), 'without', 'with')}`;
    })
    .join('');
}

/** A unified diff; nothing if nothing differs. */
function difference(path: string, before: Buffer | undefined, after: Buffer | undefined, was: string, is: string): string {
  if (before === after || (before !== undefined && after?.equals(before) === true)) return '';
  if ([before, after].some((bytes) => bytes?.includes(0) === true)) return `${path}: binary files differ\n`;
  const name = (bytes: Buffer | undefined): string => (bytes === undefined ? '/dev/null' : path);
  const patch = createTwoFilesPatch(name(before), name(after), before?.toString() ?? '', after?.toString() ?? '', was, is, { context: 3 });
  return patch.slice(patch.indexOf('---'));
}

function sourceBytes({ body }: OverlaySource): Buffer {
  return body.kind === 'template' ? Buffer.from(body.text) : bodyBytes(body);
}

function fileBytes({ body }: OverlayFile): Buffer {
  return bodyBytes(body);
}

function bodyBytes(body: OverlayFile['body']): Buffer {
  if (body.kind === 'symlink') return Buffer.from(`-> ${body.target}\n`);
  return body.kind === 'bytes' ? body.bytes : readFileSync(body.path);
}
