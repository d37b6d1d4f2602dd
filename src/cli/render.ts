// farm render: the whole rendered set of overlays, for other servers to serve.
import { Command } from 'commander';
import { tagClient } from '../farm/farm.ts';
import { LiveFarm } from '../farm/live.ts';
import { writeRendered } from '../farm/rendered-directory.ts';
import { foldOverlay } from '../overlay/folded.ts';
import type { OverlayFile } from '../tree/graft.ts';
import { chosenNodes, type ExcludeOption, nodesArgument, withExclude } from './node-sets.ts';
import { farmDirectory, table } from './options.ts';
import { builtinOverlay, programFiles } from './package.ts';

interface RenderOptions extends ExcludeOption {
  readonly out?: string;
  readonly json?: boolean;
}

export function renderCommand(): Command {
  return withExclude(new Command('render').description('write what the overlays give nodes as tagged names, for any ClusterNFS-style server'))
    .argument('[nodes...]', nodesArgument)
    .option('--out <dir>', 'write the files there; without it they are listed')
    .option('--json', 'list them for programs')
    .action((sets: string[], { out, json, ...exclude }: RenderOptions, command: Command) => {
      const live = new LiveFarm({ directory: farmDirectory(command), builtinOverlay, programFiles: programFiles(), log: () => {} });
      const { farm, overlay } = live.published;
      const nodes = chosenNodes(exclude, sets.length === 0 ? ['all'] : sets)(farm);
      const files = foldOverlay(
        overlay,
        nodes.map((node) => tagClient(farm, node)),
      );
      if (out !== undefined) {
        writeRendered(out, files);
        if (json !== true) console.log(`${files.length} files for ${nodes.length} ${nodes.length === 1 ? 'node' : 'nodes'} in ${out}`);
      }
      if (json === true) console.log(JSON.stringify(files.map(described), undefined, 2));
      else if (out === undefined)
        process.stdout.write(table(files.map(described).map(({ path, mode, size, target }) => [mode, String(size), `${path}${target}`])));
    });
}

function described({ path, mode, size, body, origin }: OverlayFile) {
  const isLink = body.kind === 'symlink';
  return {
    path: Buffer.from(path, 'latin1').toString(),
    mode: (isLink ? 0o777 : mode).toString(8).padStart(4, '0'),
    size,
    kind: isLink ? 'symlink' : 'file',
    target: isLink ? ` -> ${body.target}` : '',
    origin,
  };
}
