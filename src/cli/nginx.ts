// farm nginx: the configuration with which nginx takes over the farm's HTTP port.
import { existsSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Command } from 'commander';
import { proxySecret } from '../boot/forwarded.ts';
import { nginxConfiguration } from '../boot/nginx.ts';
import { loadFarm } from '../farm/config.ts';
import { imagesDirectory } from '../farm/directory.ts';
import type { Farm } from '../farm/farm.ts';
import { readKey } from '../farm/live.ts';
import { farmDirectory, numberArgument } from './options.ts';

export function nginxCommand(): Command {
  return new Command('nginx')
    .description('print the configuration with which nginx serves the large files of images and passes the rest on to farm')
    .option('--out <file>', 'write it there, readable by its owner only')
    .option('--backend <port>', 'the port on 127.0.0.1 where farm serves HTTP', numberArgument(1, 65_535), 8080)
    .action((options: { out?: string; backend: number }, command: Command) => {
      const directory = resolve(farmDirectory(command));
      const text = configuration(loadFarm(directory), directory, options.backend);
      if (options.out === undefined) {
        process.stdout.write(text);
        return;
      }
      const beside = `${options.out}.new`;
      writeFileSync(beside, text, { mode: 0o600 });
      renameSync(beside, options.out);
      for (const line of remarks(directory, options.out, options.backend)) console.log(line);
    });
}

function configuration(farm: Farm, directory: string, backend: number): string {
  const { name, networks, httpPort, tls } = farm;
  const addresses = [...new Set(networks.filter(({ link }) => link.kind === 'direct').map(({ server }) => server))];
  return nginxConfiguration({
    name,
    addresses,
    port: httpPort,
    backend,
    secret: proxySecret(readKey(directory)),
    directory,
    ...(tls === undefined ? {} : { tls }),
  });
}

/** What there is to do next. */
function remarks(directory: string, out: string, backend: number): readonly string[] {
  const closed = firstClosed(imagesDirectory(directory));
  return [
    ...(closed === undefined ? [] : [`nginx's own user may not enter ${closed}, so farm would have to serve everything: chmod o+x ${closed}`]),
    `${out} is written. It has a secret in it: only root may read it.`,
    `next: farm serve --behind-nginx ${backend}, then nginx -t and a reload of nginx`,
  ];
}

/** The first directory on the way that others may not pass through. */
function firstClosed(path: string): string | undefined {
  const parent = dirname(path);
  const above = parent === path ? undefined : firstClosed(parent);
  if (above !== undefined || !existsSync(path)) return above;
  return (statSync(path).mode & 0o001) === 0 ? path : undefined;
}
