// farm overlay: what lies over the image on every node, and which file of whose it is.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Command } from 'commander';
import { FarmError, sentence } from '../base/errors.ts';
import { loadFarm } from '../farm/config.ts';
import { overlayDirectory } from '../farm/directory.ts';
import { foldNames } from '../farm/host-range.ts';
import { LiveFarm, readKey } from '../farm/live.ts';
import { type Audience, audience, findTemplate, inForce, type OverlayTemplate, overlayTemplates } from '../farm/overlay-templates.ts';
import { mapInForce } from '../farm/own-map.ts';
import { templateValues } from '../farm/values.ts';
import type { OverlaySource } from '../overlay/render.ts';
import { farmDirectory, table } from './options.ts';
import { overlayDiff, overlayShow } from './overlay-content.ts';
import { builtinOverlay, programFiles } from './package.ts';

export function overlayCommand(): Command {
  const command = new Command('overlay').description('list, show, edit and compare the files that lie over the image on every node');
  for (const part of [overlayList(), overlayShow(), overlayEdit(), overlayDiff()]) command.addCommand(part);
  return command;
}

function overlayList(): Command {
  return new Command('list')
    .description('list all templates: whose file wins, and which nodes it is for')
    .option('--json', 'for programs')
    .action((options: { json?: boolean }, command: Command) => {
      const directory = farmDirectory(command);
      const farm = loadFarm(directory);
      const context = templateValues(farm, readKey(directory), mapInForce(farm, directory).text);
      const rows = overlayTemplates(builtinOverlay, overlayDirectory(directory)).map((template) => {
        const source = inForce(template);
        return { path: template.path, from: from(template), source: source.origin, kind: source.body.kind, audience: audience(source, farm, context) };
      });
      if (options.json === true) console.log(JSON.stringify(rows, undefined, 2));
      else
        process.stdout.write(
          table([
            ['FILE', 'FROM', 'KIND', 'NODES'],
            ...rows.map(({ path, from: whose, kind, audience: whom }) => [path, whose, kindWords[kind], nodeWords(whom)]),
          ]),
        );
    });
}

const kindWords: Readonly<Record<OverlaySource['body']['kind'], string>> = { template: 'template', bytes: 'file', file: 'file', symlink: 'link' };

function from({ own, builtin }: OverlayTemplate): string {
  if (own === undefined) return 'built-in';
  return builtin === undefined ? 'farm' : 'farm, not built-in';
}

function nodeWords(whom: Audience): string {
  switch (whom.kind) {
    case 'all':
      return 'all';
    case 'users':
      return 'by user';
    case 'some':
      return whom.nodes.length === 0 ? 'none' : foldNames(whom.nodes);
  }
}

function overlayEdit(): Command {
  return new Command('edit')
    .description('edit a file of the overlays; a built-in one is copied into the farm first')
    .argument('<file>', 'as farm overlay list has it, or as nodes see it')
    .action((file: string, _options: object, command: Command) => {
      const directory = farmDirectory(command);
      const template = findTemplate(overlayTemplates(builtinOverlay, overlayDirectory(directory)), file);
      const path = template.own?.origin ?? copied(template, overlayDirectory(directory));
      const editor = process.env['VISUAL'] ?? process.env['EDITOR'];
      if (process.stdin.isTTY !== true || process.stdout.isTTY !== true || editor === undefined || editor === '') {
        console.log(path);
        return;
      }
      // As git does: the editor may be a command with arguments.
      const { status, error } = spawnSync('sh', ['-c', `${editor} "$@"`, editor, path], { stdio: 'inherit' });
      if (error !== undefined || status !== 0) {
        throw new FarmError('editor.failed', `${editor} ended with ${error === undefined ? `status ${status}` : sentence(error)}`, 'set EDITOR to another');
      }
      // What cannot be rendered is told now; a running server goes on with what it has.
      new LiveFarm({ directory, builtinOverlay, programFiles: programFiles(), log: () => {} });
    });
}

/** Where the farm's own copy is now. */
function copied({ builtin, path }: OverlayTemplate, overlays: string): string {
  if (builtin === undefined) throw new Error(`${path} is in no overlay`);
  const to = join(overlays, builtin.path);
  mkdirSync(dirname(to), { recursive: true });
  if (builtin.body.kind === 'symlink') symlinkSync(builtin.body.target, to);
  else {
    copyFileSync(builtin.origin, to);
    chmodSync(to, builtin.mode | 0o200);
  }
  return to;
}
